//! Pairing: two devices of a member, and a hoster that relays four messages
//! which it cannot read ([`vault_core::pairing`]).
//!
//! ```text
//! new:  NewDevice::begin ─▶ code ──────┐ read off the screen
//! old:             Account::pair ◀─────┘─▶ words · confirm
//! new:  await_words ─▶ words · finish ─▶ Account
//! ```
//!
//! Both sides may be interrupted anywhere: what is made is stored before it is
//! sent, and calling again goes on from there.

use std::sync::Arc;
use std::time::Duration;

use vault_core::author::{AccountAuthor, AuthorError};
use vault_core::keys::{AccountSecrets, AccountSecretsError, DeviceKeys, PhraseLanguage};
use vault_core::pairing::{
    CODE_SECONDS, MAX_SEEN_VAULTS, PairingEnd, PairingIntroduction, PairingProposal, PairingStep,
    SeenVault,
};
pub use vault_core::pairing::{PairingCode, PairingError};
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, DeviceId, HosterId, MessageName, VaultId};
use vault_proto::origin::Origin;
use zeroize::Zeroizing;

use super::devices::check_name;
use super::{Account, AccountError, GuestLog, Setup, fetch_log, joining};
use crate::platform::{Clock, Rng};
use crate::progress::Cancellation;
use crate::remote::{HosterAddress, MAX_WAIT, RefusalReason, RemoteError, Visitor};
use crate::state::{AccountLock, JoiningRow, JoiningWay, KeySlot, State, StateError, ToldRow};
use crate::vault::{Vault, VaultError};

/// How long a wait goes on before it is looked whether it was cancelled.
const WAIT: Duration = Duration::from_secs(2);

/// A device that is being brought into an account by another one.
pub struct NewDevice {
    setup: Setup,
    state: Arc<State>,
    _lock: AccountLock,
    joining: JoiningRow,
    device: Arc<DeviceKeys>,
    code: PairingCode,
    relay: Arc<dyn Visitor>,
    proposal: Option<PairingProposal>,
}

impl NewDevice {
    /// Begins, with the hoster that relays: the home of the account. Within the
    /// code's time, calling it again gives the same one.
    ///
    /// # Errors
    /// [`AccountError::AccountExists`], and the others.
    pub fn begin(setup: &Setup, origin: &Origin, device_name: &str) -> Result<Self, AccountError> {
        check_name(device_name)?;
        let state = Arc::new(State::open(&setup.home)?);
        let lock = state.home().lock_account()?;
        joining::check_free(&state, true)?;
        let mut rng = Rng::new(setup.randomness.clone());
        let device = joining::device_keys(setup, &mut rng)?;
        let begun = state.joining()?.filter(|row| {
            is_signed(row)
                || (row.origin == *origin
                    && row.device_name == device_name
                    && setup.clock.unix_seconds() < over(row.began))
        });
        let held = match begun {
            Some(row) => load_code(setup)?.map(|code| (row, code)),
            None => None,
        };
        let (joining, code) = match held {
            Some(held) => held,
            None => introduce(setup, &state, &device, origin, device_name, &mut rng)?,
        };
        let (_, relay) = setup.connect.discover(&joining.origin)?;
        if let JoiningWay::Pairing {
            introduction,
            signature: None,
            ..
        } = &joining.way
        {
            relay.put_message(&name(&code, PairingStep::Introduction), introduction)?;
        }
        Ok(Self {
            setup: setup.clone(),
            state,
            _lock: lock,
            joining,
            device,
            code,
            relay,
            proposal: None,
        })
    }

    /// What the other device has to read; as secret as the pairing.
    #[must_use]
    pub fn code(&self) -> Zeroizing<String> {
        self.code.to_text()
    }

    /// Until when the code is good, in seconds since 1970.
    #[must_use]
    pub fn code_expires(&self) -> u64 {
        over(self.joining.began)
    }

    /// Waits for the other device, and gives the words that it shows too. If they
    /// differ, somebody stands in between: drop this, and do not finish.
    ///
    /// # Errors
    /// [`AccountError::PairingOver`], [`AccountError::Pairing`], and the others.
    pub fn await_words(
        &mut self,
        cancel: &Cancellation,
    ) -> Result<[&'static str; 6], AccountError> {
        let JoiningWay::Pairing { proposal, .. } = &self.joining.way else {
            return Err(AccountError::RecoveryUnfinished);
        };
        let sealed = match proposal {
            Some(sealed) => sealed.clone(),
            None => self.wait(cancel).for_message(PairingStep::Proposal)?,
        };
        let proposal = self.code.open_proposal(self.device.public(), &sealed)?;
        let words = proposal.check_words();
        self.proposal = Some(proposal);
        if let JoiningWay::Pairing { proposal, .. } = &mut self.joining.way {
            *proposal = Some(sealed);
        }
        Ok(words)
    }

    /// The account that the other device proposes, and its hoster; `None` before
    /// [`Self::await_words`].
    #[must_use]
    pub fn proposed(&self) -> Option<(AccountId, HosterId)> {
        let proposal = self.proposal.as_ref()?;
        Some((proposal.addition.account(), proposal.hoster))
    }

    /// Signs, after the member has compared the words; waits until the other
    /// device has done so too, and fetches what there is. Everything that the
    /// other device has seen has to be there.
    ///
    /// After an error that is transient, or when it was cancelled, begin again to
    /// go on.
    ///
    /// # Errors
    /// [`AccountError::PairingRefused`], [`AccountError::PairingOver`], and the
    /// others.
    pub fn finish(mut self, cancel: &Cancellation) -> Result<Account, AccountError> {
        if self.proposal.is_none() {
            self.await_words(cancel)?;
        }
        let proposal = self.proposal.take().ok_or(AccountError::PairingOver)?;
        let signature = self.signature(&proposal)?;
        let box_name = name(&self.code, PairingStep::Signature);
        self.relay.put_message(&box_name, &signature)?;
        let end = match self.wait(cancel).for_message(PairingStep::End) {
            Ok(sealed) => Some(self.code.open_end(&sealed)?),
            // Its last message may be lost, and the entry stand all the same.
            Err(AccountError::PairingOver) => None,
            Err(error) => return Err(error),
        };
        if end == Some(PairingEnd::Refused) {
            self.give_up()?;
            return Err(AccountError::PairingRefused);
        }
        let address = HosterAddress {
            origin: proposal.origin.clone(),
            hoster: proposal.hoster,
            tls: proposal.tls,
        };
        let home = self.setup.connect.visit(address.clone());
        let log = fetch_log(&*home, &proposal.addition.account(), None)?;
        joining::check_home(&log, &address)?;
        match check_held(&proposal, &log) {
            Err(VaultError::LogWentBack { .. }) if end.is_none() => {
                self.give_up()?;
                return Err(AccountError::PairingOver);
            }
            held => held?,
        }
        if !log.is_active_at(&self.device.id(), log.position().seq) {
            self.give_up()?;
            return Err(AccountSecretsError::NotADevice.into());
        }
        self.come_in(&proposal, &log, &address)
    }

    fn come_in(
        self,
        proposal: &PairingProposal,
        log: &AccountLog,
        address: &HosterAddress,
    ) -> Result<Account, AccountError> {
        let row = joining::row(
            log,
            proposal.account_vault,
            self.device.id(),
            &self.joining.device_name,
            address,
        );
        let told = proposal.seen.iter().map(|seen| ToldRow {
            vault: seen.vault,
            hoster: seen.hoster,
            position: seen.position,
            head: seen.head,
        });
        let told: Vec<_> = told.collect();
        self.state.set_joined(&row, &told)?;
        let account = Account::assemble(&self.setup, self.state.clone(), row)?;
        check_held(proposal, account.open_own_vault()?.own_log())?;
        account.doubt_what_nobody_told(proposal)?;
        account.look_around()?;
        self.give_up()?;
        Ok(account)
    }

    /// The third message: as it was sent before, or new and stored.
    fn signature(&mut self, proposal: &PairingProposal) -> Result<Vec<u8>, AccountError> {
        let JoiningWay::Pairing { signature, .. } = &mut self.joining.way else {
            return Err(AccountError::RecoveryUnfinished);
        };
        if let Some(signature) = signature {
            return Ok(signature.clone());
        }
        if self.setup.clock.unix_seconds() >= over(self.joining.began) {
            return Err(AccountError::PairingOver);
        }
        let signed = proposal.addition.sign(&self.device)?;
        let mut rng = Rng::new(self.setup.randomness.clone());
        let sealed = self.code.seal_signature(&signed, &mut rng);
        *signature = Some(sealed.clone());
        self.state.set_joining(&self.joining, None)?;
        Ok(sealed)
    }

    /// Forgets code and messages.
    fn give_up(&self) -> Result<(), AccountError> {
        self.state.forget_joining()?;
        Ok(self.setup.keys.remove(KeySlot::Pairing)?)
    }

    fn wait<'a>(&'a self, cancel: &'a Cancellation) -> Wait<'a> {
        Wait {
            relay: &*self.relay,
            code: &self.code,
            clock: &*self.setup.clock,
            until: over(self.joining.began),
            cancel,
        }
    }
}

/// Makes a code and the first message, and stores them.
fn introduce(
    setup: &Setup,
    state: &State,
    device: &DeviceKeys,
    origin: &Origin,
    device_name: &str,
    rng: &mut Rng,
) -> Result<(JoiningRow, PairingCode), AccountError> {
    // No message without its code: first goes the one, then the other.
    state.forget_joining()?;
    setup.keys.remove(KeySlot::Pairing)?;
    let code = PairingCode::generate(device.public(), rng);
    setup
        .keys
        .store_new(KeySlot::Pairing, code.to_text().as_bytes())?;
    let introduction = PairingIntroduction {
        public: device.public().clone(),
        name: device_name.to_owned(),
    };
    let joining = JoiningRow {
        way: JoiningWay::Pairing {
            introduction: code.seal_introduction(&introduction, rng)?,
            proposal: None,
            signature: None,
        },
        origin: origin.clone(),
        device_name: device_name.to_owned(),
        began: setup.clock.unix_seconds(),
    };
    state.set_joining(&joining, None)?;
    Ok((joining, code))
}

fn load_code(setup: &Setup) -> Result<Option<PairingCode>, AccountError> {
    let Some(text) = setup.keys.load(KeySlot::Pairing)? else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&text).map_err(|_| StateError::Damaged("a pairing code"))?;
    Ok(Some(PairingCode::parse(text)?))
}

fn is_signed(row: &JoiningRow) -> bool {
    let way = &row.way;
    matches!(way, JoiningWay::Pairing { signature, .. } if signature.is_some())
}

/// When a code that was made then is good no more.
fn over(began: u64) -> u64 {
    began.saturating_add(CODE_SECONDS)
}

/// Whether the log holds what the other device knew, and the entry that both
/// signed.
fn check_held(proposal: &PairingProposal, log: &AccountLog) -> Result<(), VaultError> {
    let known = proposal.addition.position().seq;
    let got = log.position().seq;
    if got < known {
        return Err(VaultError::LogWentBack { known, got });
    }
    match proposal.is_held_by(log) {
        true => Ok(()),
        false => Err(VaultError::LogFork),
    }
}

/// A pairing on the device that knows the account already.
pub struct Pairing {
    account: Account,
    code: PairingCode,
    introduction: PairingIntroduction,
    proposal: PairingProposal,
}

/// A new device is in the account.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Paired {
    /// The new device.
    pub device: DeviceId,
    /// The hosters elsewhere that had to learn of it; why it is not known which
    /// there are, if it is not.
    pub guest_logs: Result<Vec<GuestLog>, Arc<AccountError>>,
}

impl Account {
    /// Takes up the pairing of a new device that shows a code: proposes to it the
    /// entry that adds it. The words come from that list.
    ///
    /// A code is good for one proposal: calling this again with it goes on with
    /// the same.
    ///
    /// # Errors
    /// [`AccountError::PairingOver`] if no such device is there,
    /// [`AccountError::PairingCodeUsed`], [`AccountError::Pairing`], and the
    /// others.
    pub fn pair(
        &self,
        code: &PairingCode,
        words: PhraseLanguage,
        cancel: &Cancellation,
    ) -> Result<Pairing, AccountError> {
        let wait = self.wait(code, MAX_WAIT.as_secs(), cancel);
        let introduction = wait.for_message(PairingStep::Introduction)?;
        let introduction = code.open_introduction(&introduction)?;
        let state = &self.member.state;
        let box_name = name(code, PairingStep::Proposal);
        let (proposal, sealed) = match state.proposal(&box_name)? {
            Some(sealed) => {
                let proposal = code.open_proposal(&introduction.public, &sealed)?;
                (proposal, sealed)
            }
            None => {
                let proposal = self.propose(&introduction, words)?;
                let sealed = code.seal_proposal(&proposal, &mut self.member.rng())?;
                state.set_proposal(&box_name, &sealed)?;
                (proposal, sealed)
            }
        };
        match self.member.remote.put_message(&box_name, &sealed) {
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::Forbidden => {
                state.forget_proposal(&box_name)?;
                return Err(AccountError::PairingCodeUsed);
            }
            put => put?,
        }
        Ok(Pairing {
            account: self.clone(),
            code: code.clone(),
            introduction,
            proposal,
        })
    }

    fn propose(
        &self,
        introduction: &PairingIntroduction,
        words: PhraseLanguage,
    ) -> Result<PairingProposal, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        let log = vault.own_log();
        if log.device(&introduction.public.id()).is_some() {
            return Err(AccountError::PairingCodeUsed);
        }
        let author = AccountAuthor {
            log,
            secrets: &AccountSecrets::open(log, &self.member.device)?,
            device: &self.member.device,
        };
        let new = &introduction.public;
        let mut rng = self.member.rng();
        Ok(PairingProposal {
            addition: author.draft_addition(new, &introduction.name, &mut rng)?,
            hoster: self.row.hoster,
            origin: self.row.origin.clone(),
            tls: self.row.tls,
            account_vault: self.row.vault,
            seen: self.seen()?,
            words,
        })
    }

    /// What this device has last seen of each vault, but for those of which it
    /// does not know itself whether that is the newest.
    fn seen(&self) -> Result<Vec<SeenVault>, AccountError> {
        let state = &self.member.state;
        let mut vaults = vec![(self.row.vault, self.row.hoster)];
        vaults.extend(state.vaults()?.iter().map(|row| (row.id, row.hoster)));
        let mut seen = Vec::new();
        for (id, hoster) in vaults {
            if seen.len() == MAX_SEEN_VAULTS {
                break;
            }
            let is_stored = state.vault_place(&id)?.1 > 0;
            if !is_stored || state.is_doubted(id.as_bytes())? {
                continue;
            }
            let Ok(member) = self.member_at(hoster) else {
                continue;
            };
            // As it is stored: nobody is asked.
            let vault = Vault::open(member, id, None)?;
            seen.push(SeenVault {
                vault: id,
                hoster,
                position: vault.log().position(),
                head: vault.head(),
            });
        }
        seen.sort_by_key(|seen| seen.vault);
        Ok(seen)
    }

    /// It is unknown whether what is shown is the newest where the other device
    /// had not looked, or did not know itself.
    fn doubt_what_nobody_told(&self, proposal: &PairingProposal) -> Result<(), AccountError> {
        let is_told = |vault: &VaultId| proposal.seen.iter().any(|seen| seen.vault == *vault);
        let mut doubted = Vec::new();
        if !is_told(&self.row.vault) {
            doubted.extend([*self.row.account.as_bytes(), *self.row.vault.as_bytes()]);
        }
        for known in self.settings()?.vaults() {
            if !is_told(&known.vault) {
                doubted.push(*known.vault.as_bytes());
            }
        }
        Ok(self.member.state.doubt(&doubted)?)
    }

    fn wait<'a>(
        &'a self,
        code: &'a PairingCode,
        seconds: u64,
        cancel: &'a Cancellation,
    ) -> Wait<'a> {
        let clock = &*self.member.clock;
        Wait {
            relay: &*self.member.remote,
            code,
            until: clock.unix_seconds().saturating_add(seconds),
            clock,
            cancel,
        }
    }
}

impl Pairing {
    /// The words that the new device has to show too.
    #[must_use]
    pub fn words(&self) -> [&'static str; 6] {
        self.proposal.check_words()
    }

    /// What the new device is called.
    #[must_use]
    pub fn device_name(&self) -> &str {
        &self.introduction.name
    }

    /// The member has compared the words: waits until the new device has signed,
    /// signs too, and sends the entry.
    ///
    /// After an error that is transient, or when it was cancelled, call
    /// [`Account::pair`] with the same code to go on.
    ///
    /// # Errors
    /// [`AccountError::PairingOver`], [`AccountError::PairingOvertaken`],
    /// [`AccountError::Pairing`], and the others.
    pub fn confirm(self, cancel: &Cancellation) -> Result<Paired, AccountError> {
        let account = &self.account;
        let device = self.introduction.public.id();
        let (lock, own) = account.own_log()?;
        let is_done = self.proposal.is_held_by(own.log());
        drop((own, lock));
        if !is_done {
            self.sign(cancel)?;
        }
        self.end(PairingEnd::Done)?;
        Ok(Paired {
            device,
            guest_logs: account.push_log().map_err(Arc::new),
        })
    }

    fn sign(&self, cancel: &Cancellation) -> Result<(), AccountError> {
        let wait = self.account.wait(&self.code, CODE_SECONDS, cancel);
        let signature = wait.for_message(PairingStep::Signature)?;
        let signature = self.code.open_signature(&signature)?;
        // Not while the other device is waited for.
        let (_lock, mut own) = self.account.own_log()?;
        let appended = own.append(|author, _| {
            if self.proposal.is_held_by(author.log) {
                return Ok(None);
            }
            let addition = &self.proposal.addition;
            author.complete_addition(addition, &signature).map(Some)
        });
        match appended {
            Ok(_) => Ok(()),
            Err(AccountError::Author(error)) => {
                // Nothing was signed. The entry cannot be added any more, or
                // this was not the new device's signature.
                self.end(PairingEnd::Refused)?;
                Err(match error {
                    AuthorError::NewDevice => PairingError::OtherDevice.into(),
                    _ => AccountError::PairingOvertaken,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The words differ, or the member wants no such device.
    ///
    /// # Errors
    /// [`AccountError`]; nothing was signed all the same.
    pub fn refuse(self) -> Result<(), AccountError> {
        self.end(PairingEnd::Refused)
    }

    fn end(&self, end: PairingEnd) -> Result<(), AccountError> {
        let member = &self.account.member;
        let sealed = self.code.seal_end(end, &mut member.rng());
        let box_name = name(&self.code, PairingStep::End);
        match member.remote.put_message(&box_name, &sealed) {
            // The same was said before, under another nonce.
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::Forbidden => {}
            put => put?,
        }
        let proposal = name(&self.code, PairingStep::Proposal);
        Ok(member.state.forget_proposal(&proposal)?)
    }
}

/// Waits for messages.
struct Wait<'a> {
    relay: &'a dyn Visitor,
    code: &'a PairingCode,
    clock: &'a dyn Clock,
    /// Seconds since 1970.
    until: u64,
    cancel: &'a Cancellation,
}

impl Wait<'_> {
    fn for_message(&self, step: PairingStep) -> Result<Vec<u8>, AccountError> {
        let box_name = name(self.code, step);
        loop {
            if self.cancel.is_cancelled() {
                return Err(RemoteError::Cancelled.into());
            }
            let is_over = self.clock.unix_seconds() >= self.until;
            // Once more when it is over: what was left in time counts, except for
            // a proposal, which is good for nothing then.
            let wait = if is_over { Duration::ZERO } else { WAIT };
            if is_over && step == PairingStep::Proposal {
                return Err(AccountError::PairingOver);
            }
            match self.relay.await_message(&box_name, wait)? {
                Some(message) => return Ok(message),
                None if is_over => return Err(AccountError::PairingOver),
                None => {}
            }
        }
    }
}

fn name(code: &PairingCode, step: PairingStep) -> MessageName {
    code.box_name(step)
}
