//! The device that comes in.

use std::sync::Arc;

use vault_core::keys::{AccountSecretsError, DeviceKeys};
use vault_core::pairing::{
    CODE_SECONDS, PairingEnd, PairingIntroduction, PairingProposal, PairingStep,
};
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, HosterId, VaultId};
use vault_proto::origin::Origin;
use zeroize::Zeroizing;

use super::super::devices::check_name;
use super::super::{Account, AccountError, Setup, fetch_log, joining};
use super::{PairingCode, Wait, name};
use crate::platform::Rng;
use crate::progress::Cancellation;
use crate::remote::{HosterAddress, Visitor};
use crate::state::{AccountLock, JoiningRow, JoiningWay, KeySlot, State, StateError, ToldRow};
use crate::vault::VaultError;

/// What it means that the member of the new device refuses.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Refusal {
    /// Nothing was added, and nothing will be. The other device learns of it, unless
    /// the hoster cannot be told now: then it waits until the code is over.
    Nothing(Result<(), Arc<AccountError>>),
    /// This device had signed before: the other one may have let its keys in, which
    /// nobody holds any more.
    Signed,
}

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
        let (joining, code, device) = match held {
            Some((row, code)) => (row, code, joining::device_keys(setup, &mut rng)?),
            None => introduce(setup, &state, origin, device_name, &mut rng)?,
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
    /// differ, somebody stands in between: [`Self::refuse`], and do not finish.
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

    /// The words differ, or the member wants no such pairing: forgets it, so that the
    /// next one has another code, and tells the other device.
    ///
    /// # Errors
    /// [`AccountError`], where this device cannot forget it.
    pub fn refuse(self) -> Result<Refusal, AccountError> {
        if is_signed(&self.joining) {
            self.give_up()?;
            return Ok(Refusal::Signed);
        }
        self.give_up()?;
        let mut rng = Rng::new(self.setup.randomness.clone());
        let box_name = name(&self.code, PairingStep::Signature);
        let refusal = self.code.seal_refusal(&mut rng);
        let told = self.relay.put_message(&box_name, &refusal);
        Ok(Refusal::Nothing(
            told.map_err(|error| Arc::new(error.into())),
        ))
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
        self.forget()?;
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
    fn forget(&self) -> Result<(), AccountError> {
        self.state.forget_joining()?;
        Ok(self.setup.keys.remove(KeySlot::Pairing)?)
    }

    /// Likewise, and the keys: the other device may let them in all the same.
    fn give_up(&self) -> Result<(), AccountError> {
        self.forget()?;
        Ok(self.setup.keys.remove(KeySlot::Device)?)
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

/// Makes keys, a code and the first message, and stores them.
fn introduce(
    setup: &Setup,
    state: &State,
    origin: &Origin,
    device_name: &str,
    rng: &mut Rng,
) -> Result<(JoiningRow, PairingCode, Arc<DeviceKeys>), AccountError> {
    // No message without its code: first goes the one, then the other.
    state.forget_joining()?;
    setup.keys.remove(KeySlot::Pairing)?;
    // Those that an earlier code stood for may be in the account by now: the other
    // device can sign when this one waits no more. No keys come in twice.
    setup.keys.remove(KeySlot::Device)?;
    let device = joining::device_keys(setup, rng)?;
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
    Ok((joining, code, device))
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

impl Account {
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
}
