//! Recovery: from the words alone, a new device of the account.
//!
//! ```text
//! words ─▶ keys of a device ─▶ FindAccount ─▶ account id ─▶ its log
//! HOST:PORT ─▶ discovery ─▶ a key ─── is the log's home ───────┘
//! ```
//!
//! Nothing else is known at first, not even the hoster's key. The account's log
//! vouches for it: the words' own signature is in that log, and the log names the
//! hoster that keeps it. Whoever stands in between has neither.
//!
//! What a hoster cannot be held to is that it shows the newest: whether it does
//! is unknown until somebody who remembers says so.

use std::sync::Arc;

use vault_core::author::AccountAuthor;
use vault_core::keys::{AccountSecrets, AccountSecretsError, DeviceKeys, RecoveryPhrase};
use vault_proto::account_log::AccountLog;
use vault_proto::ids::DeviceId;
use vault_proto::origin::Origin;
use vault_proto::vault_log::VaultKind;
use vault_proto::wire::{self, SignedEntry};

use super::devices::check_name;
use super::{Account, AccountError, Setup, fetch_log, joining, settings};
use crate::platform::Rng;
use crate::remote::{Credentials, HosterAddress, RefusalReason, Remote, RemoteError};
use crate::state::{AccountRow, JoiningRow, JoiningWay, State};
use crate::vault::{Member, Vault, VaultError};

/// How often an entry is made anew after another device was first.
const RACES: usize = 16;

impl Account {
    /// Makes this computer a device of the account that a recovery phrase belongs
    /// to, at its hoster. The phrase stays as it is, and does not leave this
    /// device.
    ///
    /// Repeating the call with the same phrase goes on where it was interrupted.
    /// It is unknown whether what the hoster shows is the newest: that of the
    /// account and of every vault. Hosters where the account is a guest learn of this
    /// device when it first uses them; [`Account::push_log`] tells whether they can.
    ///
    /// # Errors
    /// [`AccountError::UnknownPhrase`], [`AccountError::RemovedPhrase`],
    /// [`AccountError::NotItsHome`] when whoever answers is not the account's
    /// hoster, and the others.
    pub fn recover(
        setup: &Setup,
        origin: &Origin,
        phrase: &RecoveryPhrase,
        device_name: &str,
    ) -> Result<Self, AccountError> {
        check_name(device_name)?;
        let state = Arc::new(State::open(&setup.home)?);
        let _lock = state.home().lock_account()?;
        joining::check_free(&state, false)?;
        let paper = Arc::new(phrase.device_keys());
        let found = find(setup, origin, &paper)?;
        let begun = state.account()?.filter(|row| row.invitation.is_none());
        if begun.is_some_and(|row| row.account != found.log.id()) {
            return Err(AccountError::RecoveryUnfinished);
        }
        Recovery {
            setup,
            state,
            paper,
            found,
        }
        .run(device_name)
    }
}

/// Whom the words belong to, and who keeps him.
struct Found {
    address: HosterAddress,
    log: AccountLog,
    /// For the phrase's own device.
    remote: Arc<dyn Remote>,
}

fn find(setup: &Setup, origin: &Origin, paper: &Arc<DeviceKeys>) -> Result<Found, AccountError> {
    let (address, visitor) = setup.connect.discover(origin)?;
    let account = visitor
        .find_account(&paper.id())?
        .ok_or(AccountError::UnknownPhrase)?;
    let log = fetch_log(&*visitor, &account, None)?;
    match log.device(&paper.id()) {
        None => return Err(VaultError::Answer("an account without that device").into()),
        Some(record) if record.removed_seq.is_some() => return Err(AccountError::RemovedPhrase),
        Some(_) => {}
    }
    joining::check_home(&log, &address)?;
    let credentials = Credentials {
        account,
        device: paper.clone(),
    };
    let remote = setup.connect.connect(address.clone(), credentials);
    Ok(Found {
        address,
        log,
        remote,
    })
}

struct Recovery<'a> {
    setup: &'a Setup,
    state: Arc<State>,
    paper: Arc<DeviceKeys>,
    found: Found,
}

impl Recovery<'_> {
    fn run(mut self, device_name: &str) -> Result<Account, AccountError> {
        // Looked at with the words' own keys before anything is written: what
        // they do not open, this device would not either.
        let mut vault = self.account_vault(device_name)?;
        self.take_longer_log(vault.own_log())?;
        let settings = settings::read(&vault)?;
        let mut doubted = vec![*self.found.log.id().as_bytes(), *vault.id().as_bytes()];
        doubted.extend(
            settings
                .vaults()
                .iter()
                .map(|known| *known.vault.as_bytes()),
        );

        let mut rng = Rng::new(self.setup.randomness.clone());
        let device = joining::device_keys(self.setup, &mut rng)?;
        let row = joining::row(
            &self.found.log,
            vault.id(),
            device.id(),
            device_name,
            &self.found.address,
        );
        let row = self.join(&device, row, &mut rng)?;
        // What is stored names this device only from here on.
        vault.refresh()?;
        drop(vault);
        self.state.doubt(&doubted)?;
        let account = Account::assemble(self.setup, self.state.clone(), row)?;
        account.note_hosters(&settings)?;
        account.look_around()?;
        self.state.forget_joining()?;
        Ok(account)
    }

    /// The vault of the account's settings, among those that the hoster lists.
    fn account_vault(&self, device_name: &str) -> Result<Vault, AccountError> {
        let account = self.found.log.id();
        let member = Arc::new(Member {
            account,
            device: self.paper.clone(),
            first_device_name: device_name.to_owned(),
            state: self.state.clone(),
            remote: self.found.remote.clone(),
            visitor: self.found.remote.clone(),
            guest_at: None,
            homes: None,
            clock: self.setup.clock.clone(),
            randomness: self.setup.randomness.clone(),
        });
        let mut failed = None;
        for (id, kind) in self.found.remote.list_vaults()? {
            if kind != wire::VaultKind::Account {
                continue;
            }
            let opened = Vault::open(member.clone(), id, None).and_then(|mut vault| {
                vault.refresh()?;
                Ok(vault)
            });
            match opened {
                Ok(vault) => {
                    let log = vault.log();
                    if log.kind() == VaultKind::Account && log.creator() == account {
                        return Ok(vault);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.map_or(AccountError::NoAccountVault, AccountError::from))
    }

    /// The log comes twice, by itself and with the vault.
    fn take_longer_log(&mut self, other: &AccountLog) -> Result<(), AccountError> {
        let held = &self.found.log;
        let seq = held.position().seq.min(other.position().seq);
        if held.hash_at(seq) != other.hash_at(seq) {
            return Err(VaultError::LogFork.into());
        }
        if other.position().seq > held.position().seq {
            self.found.log = other.clone();
        }
        Ok(())
    }

    /// Adds this device to the account's log. The entry is stored before it is
    /// sent, and sent again as it is until it stands, or another one does.
    fn join(
        &mut self,
        device: &DeviceKeys,
        mut row: AccountRow,
        rng: &mut Rng,
    ) -> Result<AccountRow, AccountError> {
        let mut accepted = false;
        for _ in 0..RACES {
            let begun = self.state.joining()?;
            if let Some(begun) = &begun {
                row.device_name.clone_from(&begun.device_name);
            }
            if self.is_in(&device.id())? {
                // Hoster and origin are those that were dialled last.
                self.state.set_account(&row)?;
                return Ok(row);
            }
            if accepted {
                let lie = "an entry was accepted and is not shown";
                return Err(VaultError::Answer(lie).into());
            }
            let signed = begun.and_then(|begun| match begun.way {
                JoiningWay::Recovery { entry } => Some(entry),
                JoiningWay::Pairing { .. } => None,
            });
            let entry = match signed {
                Some(entry) if self.found.log.verify_next(&entry).is_ok() => entry,
                _ => {
                    let entry = self.entry(device, &row.device_name, rng)?;
                    let joining = JoiningRow {
                        way: JoiningWay::Recovery {
                            entry: entry.clone(),
                        },
                        origin: row.origin.clone(),
                        device_name: row.device_name.clone(),
                        began: self.setup.clock.unix_seconds(),
                    };
                    self.state.set_joining(&joining, Some(&row))?;
                    entry
                }
            };
            match self.found.remote.append_account_entry(&entry) {
                Ok(()) => accepted = true,
                Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::LostRace => {
                }
                Err(error) => return Err(error.into()),
            }
            let log = self.found.log.clone();
            self.found.log = fetch_log(&*self.found.remote, &log.id(), Some(log))?;
        }
        Err(AccountError::Overtaken)
    }

    fn is_in(&self, device: &DeviceId) -> Result<bool, AccountError> {
        match self.found.log.device(device) {
            None => Ok(false),
            Some(record) if record.removed_seq.is_none() => Ok(true),
            // By another device, while this was interrupted.
            Some(_) => {
                self.state.forget_joining()?;
                Err(AccountSecretsError::NotADevice.into())
            }
        }
    }

    fn entry(
        &self,
        device: &DeviceKeys,
        name: &str,
        rng: &mut Rng,
    ) -> Result<SignedEntry, AccountError> {
        let log = &self.found.log;
        let author = AccountAuthor {
            log,
            secrets: &AccountSecrets::open(log, &self.paper)?,
            device: &self.paper,
        };
        let addition = author.draft_addition(device.public(), name, rng)?;
        let signature = addition.sign(device)?;
        Ok(author.complete_addition(&addition, &signature)?)
    }
}
