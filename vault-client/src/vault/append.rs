//! Appending to the vault's log: one signature a place, as with heads.
//!
//! An entry is stored before it is sent, and sent byte for byte until it, or
//! another verified one, stands at its place. Two things take its chance away
//! although its place stays free: a head that came first, since an entry names
//! the newest, or the one whose place that takes; and a hoster that refuses it for
//! good. Then, and only then, is another one signed for that place, after the first
//! was sent once more.

use std::collections::BTreeMap;

use prost::Message;
use vault_core::author::{AuthorError, VaultAuthor};
use vault_core::keys::{VaultKeys, VaultKeysError};
use vault_core::root::check_writer;
use vault_proto::account_log::AccountLog;
use vault_proto::head::{Head, is_head_for_entry};
use vault_proto::ids::AccountId;
use vault_proto::position::{HeadPosition, LogPosition};
use vault_proto::wire::{Root, SignedEntry, VaultEntry};

use super::{CommitPlan, Over, Vault, VaultError, fetch};
use crate::platform::Rng;
use crate::remote::{RefusalReason, RemoteError};
use crate::state::{Advanced, StateError};

/// How often an entry is made anew after somebody else was first.
const RACES: usize = 16;

/// What came of sending a stored entry.
enum Sent {
    /// It stands, and the view with it.
    Stands,
    /// Something else came first; the view was refreshed.
    Lost,
    /// The hoster will not have it.
    Refused(RemoteError),
}

impl Vault {
    /// Appends the entry that `write` makes on the newest state, under the lock
    /// that [`Vault::lock`] gave out or else one of its own; gives its place.
    /// `write` is asked again whenever somebody else was first, and gives
    /// nothing when there is nothing to do (any more): what an earlier call has
    /// signed may have arrived meanwhile.
    ///
    /// `more` are logs of accounts as far as this device knows them from
    /// elsewhere: those of accounts that the vault does not name yet, and newer
    /// ones. The hoster must have them, too.
    ///
    /// # Errors
    /// [`VaultError`]. After a failed connection it is not known whether the
    /// hoster has accepted the entry: the next refresh or append under the lock
    /// finds out, by sending it again.
    pub(crate) fn append(
        &mut self,
        more: &[AccountLog],
        mut write: impl FnMut(
            &VaultAuthor<'_>,
            Result<&VaultKeys, VaultKeysError>,
            &mut Rng,
        ) -> Result<Option<SignedEntry>, AuthorError>,
    ) -> Result<Option<LogPosition>, VaultError> {
        let _lock = self.held()?;
        // Theirs are the next places.
        self.check_entries_stand()?;
        self.pass_pinned_place()?;
        for _ in 0..RACES {
            self.fetch()?;
            self.settle()?;
            let accounts = self.accounts_with(more)?;
            let author = VaultAuthor {
                log: &self.view.vault_log,
                accounts: &accounts,
                head: self.view.seen.newest(),
                account: self.member.account,
                device: &self.member.device,
            };
            let keys = self.view.keys().map(|keys| &**keys);
            let Some(entry) = write(&author, keys, &mut self.member.rng())? else {
                return Ok(None);
            };
            let seq = self.view.vault_log.position().seq + 1;
            let state = &self.member.state;
            if state.set_signed_entry(self.id.as_bytes(), seq, &entry)? != Advanced::Done {
                continue;
            }
            match self.send_entry(seq, &entry, accounts)? {
                Sent::Stands => {
                    let hash = self.view.vault_log.hash_at(seq);
                    return Ok(hash.map(|hash| LogPosition { seq, hash }));
                }
                Sent::Lost => {}
                Sent::Refused(error) => return Err(error.into()),
            }
        }
        Err(VaultError::Overtaken)
    }

    /// Commits once more what is there, where the newest head has taken the place of a
    /// lost one that the log names, if this member may: an entry that puts its author
    /// out would name that place again, and whoever sees the vault for the first time
    /// could not tell him from a thief (H13).
    pub(crate) fn pass_pinned_place(&mut self) -> Result<(), VaultError> {
        let log = self.log();
        let pinned = log.pinned_head();
        let is_pinned =
            pinned.is_some() && self.view.seen.newest().and_then(Head::replaced) == pinned;
        if !is_pinned || log.rotation_due() || !self.may_write() || self.lacks_entries()? {
            return Ok(());
        }
        // What cannot be read, or built on, is not committed again.
        let Some(root) = self.root().ok().filter(|root| check_writer(root).is_ok()) else {
            return Ok(());
        };
        let root = Root {
            committed: Some(self.now().to_wire()),
            ..root.clone()
        };
        let plan = CommitPlan {
            adds: Vec::new(),
            removes: Vec::new(),
            root,
        };
        self.commit_over(plan, Over::Spoiled)?;
        Ok(())
    }

    /// Sends again the entry that was signed and not seen accepted, if it still
    /// can be.
    pub(super) fn settle_entry(&mut self) -> Result<(), VaultError> {
        let Some((seq, entry)) = self.member.state.signed_entry(self.id.as_bytes())? else {
            return Ok(());
        };
        if self.is_taken(seq)? || !self.may_stand(&entry)? {
            return Ok(());
        }
        // What cannot be accepted any more is replaced by the next one.
        let accounts = self.view.accounts.clone();
        self.send_entry(seq, &entry, accounts)?;
        Ok(())
    }

    fn send_entry(
        &mut self,
        seq: u64,
        entry: &SignedEntry,
        accounts: BTreeMap<AccountId, AccountLog>,
    ) -> Result<Sent, VaultError> {
        match self.member.remote.append_vault_entry(&self.id, entry) {
            Ok(()) => {
                if !self.adopt_entry(entry, accounts)? {
                    self.fetch()?;
                }
                let stands = self.stands(seq, entry);
                if !self.is_taken(seq)? {
                    return Err(VaultError::Answer("an entry was accepted and is not shown"));
                }
                Ok(if stands { Sent::Stands } else { Sent::Lost })
            }
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::LostRace => {
                self.fetch()?;
                let stands = self.stands(seq, entry);
                if self.is_taken(seq)? {
                    Ok(if stands { Sent::Stands } else { Sent::Lost })
                } else if self.may_stand(entry)? {
                    Err(VaultError::UnfoundedRace)
                } else {
                    Ok(Sent::Lost)
                }
            }
            Err(error @ RemoteError::Refused(_)) if !error.is_transient() => {
                Ok(Sent::Refused(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes over an entry that the hoster has accepted. False when more than
    /// this entry has to be known first.
    pub(super) fn adopt_entry(
        &mut self,
        entry: &SignedEntry,
        accounts: BTreeMap<AccountId, AccountLog>,
    ) -> Result<bool, VaultError> {
        let adopted = fetch::with_entry(&self.member, &self.id, &self.view, accounts, entry);
        let Ok((view, progress)) = adopted else {
            return Ok(false);
        };
        match self.member.state.advance(&progress)? {
            Advanced::Done => {
                self.view = view;
                Ok(true)
            }
            Advanced::Stale => Ok(false),
            Advanced::Contradiction => Err(VaultError::LogFork),
        }
    }

    /// Whether the head that an entry of this device's names is one that the next
    /// entry may name.
    fn may_stand(&self, entry: &SignedEntry) -> Result<bool, StateError> {
        let newest = self.view.seen.newest();
        let named = named_head(entry)?;
        Ok(is_head_for_entry(&self.view.vault_log, newest, named))
    }

    fn stands(&self, seq: u64, entry: &SignedEntry) -> bool {
        let standing = seq
            .checked_sub(1)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| self.view.vault_log.entries().get(index));
        standing.is_some_and(|standing| standing.payload == entry.payload)
    }

    /// Whether an entry stands at that place: then what was signed for it is
    /// forgotten.
    fn is_taken(&self, seq: u64) -> Result<bool, VaultError> {
        let taken = self.view.vault_log.position().seq >= seq;
        if taken {
            self.member.state.forget_signed_entry(self.id.as_bytes())?;
        }
        Ok(taken)
    }

    /// The logs at hand, the longest of each account.
    pub(super) fn accounts_with(
        &self,
        more: &[AccountLog],
    ) -> Result<BTreeMap<AccountId, AccountLog>, VaultError> {
        let mut accounts = self.view.accounts.clone();
        for log in more {
            match accounts.get(&log.id()) {
                Some(held) if !agree(held, log) => return Err(VaultError::LogFork),
                Some(held) if held.position().seq >= log.position().seq => {}
                _ => {
                    accounts.insert(log.id(), log.clone());
                }
            }
        }
        Ok(accounts)
    }
}

/// Whether one of two logs of an account begins with the other.
pub(super) fn agree(one: &AccountLog, other: &AccountLog) -> bool {
    let common = one.position().seq.min(other.position().seq);
    one.hash_at(common) == other.hash_at(common)
}

/// The head that an entry of this device's names.
pub(super) fn named_head(entry: &SignedEntry) -> Result<Option<HeadPosition>, StateError> {
    let damaged = || StateError::Damaged("an entry that was signed");
    let entry = VaultEntry::decode(&entry.payload[..]).map_err(|_| damaged())?;
    let head = entry
        .head
        .map(|head| HeadPosition::from_wire(&head, "head"));
    head.transpose().map_err(|_| damaged())
}
