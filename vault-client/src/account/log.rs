//! Writing to the account's own log: one signature a place, as in
//! [`crate::vault`].
//!
//! The log comes with the account vault's sync: that vault names it, and every
//! device of the account reads it there.

use std::sync::Arc;

use vault_core::author::{AccountAuthor, AuthorError};
use vault_core::keys::AccountSecrets;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::VaultId;
use vault_proto::wire::SignedEntry;

use super::AccountError;
use crate::platform::Rng;
use crate::remote::{RefusalReason, RemoteError};
use crate::state::{AccountLock, Advanced};
use crate::vault::{Member, Vault, VaultError};

/// How often an entry is made anew after another device was first.
const RACES: usize = 16;

/// The account's newest log, as its hoster shows it, and what opens it.
pub(super) struct OwnLog {
    pub(super) vault: Vault,
}

impl OwnLog {
    /// Fetches it, and sends again what this device has signed and not seen
    /// accepted, if it still can be. Under the account's lock.
    pub(super) fn open(
        member: &Arc<Member>,
        account_vault: VaultId,
        _lock: &AccountLock,
    ) -> Result<Self, AccountError> {
        let mut vault = Vault::open(member.clone(), account_vault, None)?;
        vault.refresh()?;
        let mut opened = Self { vault };
        opened.settle()?;
        Ok(opened)
    }

    pub(super) fn log(&self) -> &AccountLog {
        self.vault.own_log()
    }

    pub(super) fn secrets(&self) -> Result<AccountSecrets, AccountError> {
        let device = &self.vault.member().device;
        Ok(AccountSecrets::open(self.log(), device)?)
    }

    /// Appends the entry that `write` makes on the newest log; whether there was
    /// one. `write` is asked again whenever another device was first, and gives
    /// nothing when there is nothing to do (any more).
    ///
    /// After a failed connection it is not known whether the hoster has accepted
    /// the entry: [`Self::open`] finds out, by sending it again.
    pub(super) fn append(
        &mut self,
        mut write: impl FnMut(&AccountAuthor<'_>, &mut Rng) -> Result<Option<SignedEntry>, AuthorError>,
    ) -> Result<bool, AccountError> {
        for _ in 0..RACES {
            let log = self.log();
            let secrets = self.secrets()?;
            let member = self.vault.member();
            let author = AccountAuthor {
                log,
                secrets: &secrets,
                device: &member.device,
            };
            let Some(entry) = write(&author, &mut member.rng())? else {
                return Ok(false);
            };
            log.verify_next(&entry).map_err(AuthorError::from)?;
            let seq = log.position().seq + 1;
            let stored = member
                .state
                .set_signed_entry(log.id().as_bytes(), seq, &entry)?;
            if stored != Advanced::Done {
                self.vault.refresh()?;
                continue;
            }
            if self.send(seq, &entry)? {
                return Ok(true);
            }
        }
        Err(AccountError::Overtaken)
    }

    fn settle(&mut self) -> Result<(), AccountError> {
        let state = self.vault.state();
        let Some((seq, entry)) = state.signed_entry(self.log().id().as_bytes())? else {
            return Ok(());
        };
        if self.is_taken(seq)? {
            return Ok(());
        }
        match self.send(seq, &entry) {
            // What the hoster refuses for good is replaced by the next one.
            Err(AccountError::Remote(error @ RemoteError::Refused(_))) if !error.is_transient() => {
                Ok(())
            }
            sent => sent.map(drop),
        }
    }

    /// Whether the entry stands; if not, another one does.
    fn send(&mut self, seq: u64, entry: &SignedEntry) -> Result<bool, AccountError> {
        let lost = match self.vault.remote().append_account_entry(entry) {
            Ok(()) => false,
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::LostRace => true,
            Err(error) => return Err(error.into()),
        };
        self.vault.refresh()?;
        let place = usize::try_from(seq - 1).ok();
        let standing = place.and_then(|place| self.log().entries().get(place));
        let stands = standing.is_some_and(|standing| standing.payload == entry.payload);
        if self.is_taken(seq)? {
            return Ok(stands);
        }
        Err(AccountError::Vault(if lost {
            VaultError::UnfoundedRace
        } else {
            VaultError::Answer("an entry was accepted and is not shown")
        }))
    }

    /// Whether an entry stands at that place: then what was signed for it is
    /// forgotten.
    fn is_taken(&self, seq: u64) -> Result<bool, AccountError> {
        let log = self.log();
        let taken = log.position().seq >= seq;
        if taken {
            let state = self.vault.state();
            state.forget_signed_entry(log.id().as_bytes())?;
        }
        Ok(taken)
    }
}
