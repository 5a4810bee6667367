//! What an honest hoster knows of accounts, and what it checks.

use std::collections::BTreeMap;

use prost::Message;
use vault_proto::account_log::{AccountLog, AccountLogError};
use vault_proto::ids::{AccountId, DeviceId, HosterId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::wire::SignedEntry;

use super::boxes::Boxes;
use super::links::Links;
use super::shelves::Shelf;
use crate::remote::{LogAnswer, Refusal, RefusalReason, RemoteError};

/// What a member may bring here, and a guest's log may grow to.
const MAX_GUESTS: usize = 256;
const MAX_GUEST_LOG_BYTES: usize = 4 << 20;

#[derive(Clone)]
pub(super) struct Books {
    pub(super) hoster: HosterId,
    pub(super) quota_bytes: u64,
    /// By secret; with the account that was made of it.
    invitations: BTreeMap<[u8; 32], Option<AccountId>>,
    pub(super) accounts: BTreeMap<AccountId, AccountLog>,
    /// Those of them whose home is elsewhere, with who brought them.
    pub(super) guests: BTreeMap<AccountId, AccountId>,
    /// Lies about whose a device is.
    pub(super) misattributed: BTreeMap<DeviceId, AccountId>,
    pub(super) vaults: BTreeMap<VaultId, Shelf>,
    pub(super) boxes: Boxes,
    pub(super) links: Links,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            hoster: HosterId::from_array([0; 32]),
            quota_bytes: u64::MAX,
            invitations: BTreeMap::new(),
            accounts: BTreeMap::new(),
            guests: BTreeMap::new(),
            misattributed: BTreeMap::new(),
            vaults: BTreeMap::new(),
            boxes: Boxes::default(),
            links: Links::default(),
        }
    }
}

impl Books {
    pub(super) fn invite(&mut self) -> [u8; 32] {
        let mut secret = [0; 32];
        secret[..8].copy_from_slice(&(self.invitations.len() as u64).to_le_bytes());
        self.invitations.insert(secret, None);
        secret
    }

    pub(super) fn check_caller(
        &self,
        account: &AccountId,
        device: &DeviceId,
    ) -> Result<(), RemoteError> {
        let log = self.accounts.get(account);
        if log.is_some_and(|log| log.is_active_at(device, log.position().seq)) {
            Ok(())
        } else {
            Err(refused(RefusalReason::Unauthenticated, "no such device"))
        }
    }

    pub(super) fn create_account(
        &mut self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError> {
        let log = AccountLog::verify_genesis(genesis).map_err(invalid)?;
        let id = log.id();
        if log.home() != self.hoster {
            return Err(refused(RefusalReason::Forbidden, "at home elsewhere"));
        }
        let Some(used_by) = self.invitations.get_mut(invitation.as_bytes()) else {
            return Err(refused(
                RefusalReason::InvitationUnknown,
                "no such invitation",
            ));
        };
        match used_by {
            Some(other) if *other != id => {
                return Err(refused(RefusalReason::InvitationUsed, "used already"));
            }
            _ => *used_by = Some(id),
        }
        self.accounts.entry(id).or_insert(log);
        Ok(self.quota_bytes)
    }

    pub(super) fn append_account_entry(
        &mut self,
        account: &AccountId,
        entry: &SignedEntry,
    ) -> Result<(), RemoteError> {
        let log = self.accounts.get_mut(account).ok_or_else(no_such_account)?;
        if log.home() != self.hoster && log.verify_next(entry).is_ok() {
            // Where it is at home, its entries are put in order.
            return Err(refused(RefusalReason::Moved, "at home elsewhere"));
        }
        match log.append(entry) {
            Ok(()) | Err(AccountLogError::Repeated { .. }) => Ok(()),
            Err(AccountLogError::Fork { .. } | AccountLogError::Missing { .. }) => {
                Err(refused(RefusalReason::LostRace, "another was first"))
            }
            Err(error) => Err(invalid(error)),
        }
    }

    pub(super) fn find_account(&self, device: &DeviceId) -> Option<AccountId> {
        if let Some(lie) = self.misattributed.get(device) {
            return Some(*lie);
        }
        let mut accounts = self.accounts.values();
        accounts
            .find(|log| log.is_active_at(device, log.position().seq))
            .map(AccountLog::id)
    }

    pub(super) fn fetch_account_log(
        &self,
        account: &AccountId,
        known: u64,
    ) -> Result<LogAnswer, RemoteError> {
        let log = self.accounts.get(account).ok_or_else(no_such_account)?;
        Ok(LogAnswer {
            entries: newer(log.entries(), known),
            more: false,
        })
    }

    /// Of one who is known already, anybody brings more.
    pub(super) fn put_account_log(
        &mut self,
        caller: Option<&AccountId>,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError> {
        let known = self.accounts.get(account).cloned();
        if caller.is_none() && known.is_none() {
            return Err(no_such_account());
        }
        if let Some(log) = known.as_ref().filter(|log| log.home() == self.hoster)
            && !self.guests.contains_key(account)
        {
            let mut seq = log.position().seq;
            for entry in entries {
                self.append_account_entry(account, entry)?;
                seq = self
                    .accounts
                    .get(account)
                    .map_or(seq, |log| log.position().seq);
            }
            return Ok(seq);
        }
        let is_new = known.is_none();
        let mut log = known;
        let mut entries = entries.iter();
        let mut log = match log.take() {
            Some(log) => log,
            None => {
                let genesis = entries.next().ok_or_else(no_such_account)?;
                AccountLog::verify_genesis(genesis).map_err(invalid)?
            }
        };
        if log.id() != *account {
            return Err(refused(RefusalReason::Malformed, "another account's log"));
        }
        for entry in entries {
            match log.append(entry) {
                Ok(()) if log.home() == self.hoster => {
                    return Err(refused(RefusalReason::Forbidden, "at home here"));
                }
                Ok(()) | Err(AccountLogError::Repeated { .. }) => {}
                Err(AccountLogError::Fork { .. } | AccountLogError::Missing { .. }) => {
                    return Err(refused(RefusalReason::LostRace, "not what is here"));
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        let seq = log.position().seq;
        if log.home() == self.hoster {
            return match is_new {
                true => Err(refused(RefusalReason::Forbidden, "at home here")),
                false => Ok(seq),
            };
        }
        if is_new {
            let caller = caller.ok_or_else(no_such_account)?;
            if self.guests.contains_key(caller) {
                return Err(refused(
                    RefusalReason::Forbidden,
                    "a guest brings no guests",
                ));
            }
            let brought = self.guests.values().filter(|by| *by == caller).count();
            if brought >= MAX_GUESTS {
                return Err(refused(RefusalReason::TooLarge, "too many guests"));
            }
            self.guests.insert(*account, *caller);
        }
        let bytes: usize = log.entries().iter().map(Message::encoded_len).sum();
        if bytes > MAX_GUEST_LOG_BYTES {
            return Err(refused(
                RefusalReason::TooLarge,
                "a guest's log is too long",
            ));
        }
        self.accounts.insert(*account, log);
        Ok(seq)
    }
}

pub(super) fn newer(entries: &[SignedEntry], known: u64) -> Vec<SignedEntry> {
    let known = usize::try_from(known).unwrap_or(usize::MAX);
    entries.get(known..).unwrap_or_default().to_vec()
}

pub(super) fn refused(reason: RefusalReason, message: &str) -> RemoteError {
    RemoteError::Refused(Refusal::new(reason, message))
}

pub(super) fn invalid(error: impl std::fmt::Display) -> RemoteError {
    refused(RefusalReason::InvalidSigned, &error.to_string())
}

fn no_such_account() -> RemoteError {
    refused(RefusalReason::NotFound, "no such account")
}

pub(super) fn no_such_vault() -> RemoteError {
    refused(RefusalReason::NotFound, "no such vault")
}
