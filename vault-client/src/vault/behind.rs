//! A hoster that went back: from where on, and back to where it was.
//!
//! Only what the hoster shows in full, and what this device has seen to come
//! before the newest head, is believed: anything else is a fork.

use vault_core::root::open_root;
use vault_proto::head::{HeadError, UnverifiedHead};
use vault_proto::ids::HeadHash;
use vault_proto::position::HeadPosition;
use vault_proto::wire::Root;

use super::append::{agree, named_head};
use super::view::View;
use super::{Vault, VaultError, fetch};
use crate::state::{Advanced, StateError, StoredHead};

/// An earlier state of a vault, as its hoster shows it, verified.
pub(crate) struct Behind {
    view: View,
    head: Option<StoredHead>,
}

impl Vault {
    /// What the hoster shows, when it is an earlier state of what this device
    /// has seen; `None` when it is not behind.
    ///
    /// # Errors
    /// [`VaultError::Head`] and [`VaultError::LogFork`] when it shows another
    /// story; [`VaultError::CannotReconcile`] when this device has not seen enough
    /// to tell; and the others.
    pub(crate) fn look_behind(&self) -> Result<Option<Behind>, VaultError> {
        let (theirs, progress) = fetch::from_nothing(&self.member, &self.id)?;
        let ours = &self.view;
        let length = theirs.vault_log.position().seq;
        if ours.vault_log.hash_at(length) != theirs.vault_log.hash_at(length) {
            return Err(VaultError::LogFork);
        }
        for (account, log) in &theirs.accounts {
            if ours
                .accounts
                .get(account)
                .is_some_and(|held| !agree(held, log))
            {
                return Err(VaultError::LogFork);
            }
        }
        let (shown, known) = (theirs.seen.position(), ours.seen.position());
        if shown == known && length == ours.vault_log.position().seq {
            return Ok(None);
        }
        if let Some(shown) = shown {
            match self.seen_hash(shown.seq)? {
                Some(hash) if hash == shown.hash => {}
                Some(_) => return Err(VaultError::Head(HeadError::Fork { seq: shown.seq })),
                None if known.is_some_and(|known| known.seq > shown.seq) => {
                    return Err(VaultError::CannotReconcile);
                }
                None => return Err(VaultError::Head(HeadError::Fork { seq: shown.seq })),
            }
        }
        Ok(Some(Behind {
            view: theirs,
            head: progress.head,
        }))
    }

    /// Goes back with the hoster, keeping what was lost apart, and sends it the
    /// entries of the own account's log that it has lost.
    pub(crate) fn rewind(&mut self, behind: Behind) -> Result<(), VaultError> {
        let Some(from) = self.head() else {
            return Err(VaultError::CannotReconcile);
        };
        let Behind { view, head } = behind;
        let held = view.accounts.get(&self.member.account);
        let held = held.map_or(0, |log| log.position().seq);
        let held = usize::try_from(held).unwrap_or(usize::MAX);
        for entry in self.own_log().entries().iter().skip(held) {
            self.member.remote.append_account_entry(entry)?;
        }
        let entries = view.vault_log.position().seq;
        let state = &self.member.state;
        match state.rewind(&self.id, from, head.as_ref(), entries)? {
            Advanced::Done => {}
            _ => return Err(VaultError::Overtaken),
        }
        self.view = View {
            accounts: self.view.accounts.clone(),
            ..view
        };
        Ok(())
    }

    /// The number of the newest head that was lost; `None` when nothing is being
    /// brought back.
    pub(crate) fn lost_seq(&self) -> Result<Option<u64>, VaultError> {
        let tip = self.member.state.lost_tip(&self.id)?;
        Ok(tip.map(|tip| tip.seq))
    }

    /// What the newest head that was lost had signed for. The log has to be whole
    /// again, for the keys in it.
    pub(crate) fn lost_root(&self) -> Result<Option<Root>, VaultError> {
        let Some(tip) = self.member.state.lost_tip(&self.id)? else {
            return Ok(None);
        };
        let head = UnverifiedHead::decode(&tip.head)
            .map_err(|_| StateError::Damaged("a head that was lost"))?;
        let root = open_root(self.view.keys()?, head.claims(), &tip.root);
        root.map(Some).map_err(VaultError::Root)
    }

    /// Sends the next lost entry again, unchanged, if it may stand now: it names
    /// the newest head, or the lost one that this has taken the place of.
    pub(crate) fn resend_entry(&mut self) -> Result<bool, VaultError> {
        let seq = self.view.vault_log.position().seq + 1;
        let Some(entry) = self.member.state.lost_entry(&self.id, seq)? else {
            return Ok(false);
        };
        let named = named_head(&entry)?;
        if named != self.head() && named != self.replaced_head()? {
            return Ok(false);
        }
        self.member.remote.append_vault_entry(&self.id, &entry)?;
        let accounts = self.view.accounts.clone();
        if !self.adopt_entry(&entry, accounts)? {
            self.fetch()?;
        }
        if self.view.vault_log.position().seq < seq {
            return Err(VaultError::Answer("an entry was accepted and is not shown"));
        }
        Ok(true)
    }

    /// The lost head whose place the newest one has taken.
    fn replaced_head(&self) -> Result<Option<HeadPosition>, VaultError> {
        let newest = self.view.seen.newest();
        Ok(newest.and_then(|head| {
            let hash: HeadHash = head.reconciled?;
            Some(HeadPosition {
                seq: head.seq,
                hash,
            })
        }))
    }

    /// Whether the vault's log still lacks entries that were lost.
    pub(crate) fn lacks_entries(&self) -> Result<bool, VaultError> {
        let seq = self.view.vault_log.position().seq + 1;
        Ok(self.member.state.lost_entry(&self.id, seq)?.is_some())
    }

    pub(crate) fn forget_lost(&self) -> Result<(), VaultError> {
        Ok(self.member.state.forget_lost(&self.id)?)
    }

    fn seen_hash(&self, seq: u64) -> Result<Option<HeadHash>, VaultError> {
        if let Some(newest) = self.head().filter(|newest| newest.seq == seq) {
            return Ok(Some(newest.hash));
        }
        Ok(self.member.state.seen_head(&self.id, seq)?)
    }
}
