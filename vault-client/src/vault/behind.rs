//! What a hoster has lost, while it is brought back.

use vault_core::root::open_root;
use vault_proto::head::{Head, UnverifiedHead};
use vault_proto::ids::HeadHash;
use vault_proto::wire::Root;

use super::append::named_head;
use super::{Vault, VaultError};
use crate::state::StateError;

impl Vault {
    /// The number of the newest head that was lost; `None` when nothing is being
    /// brought back.
    pub(crate) fn lost_seq(&self) -> Result<Option<u64>, VaultError> {
        Ok(self.member.state.lost_seq(&self.id)?)
    }

    /// How many heads are being brought back, as far as they are known.
    pub(crate) fn count_lost_heads(&self) -> Result<u64, VaultError> {
        let newest = self.lost_seq()?;
        let oldest = self.member.state.oldest_lost_seq(&self.id)?;
        let of = |newest: u64| newest.saturating_sub(oldest.unwrap_or(newest).min(newest)) + 1;
        Ok(newest.map_or(0, of))
    }

    /// What the heads that were kept whole had signed for, in ascending order, with
    /// their numbers; the last is the newest that was lost. The log has to be whole
    /// again, for the keys in it.
    pub(crate) fn lost_roots(&self) -> Result<Vec<(u64, Root)>, VaultError> {
        let lost = self.member.state.whole_lost_heads(&self.id)?;
        let roots = lost.into_iter().map(|lost| {
            let head = UnverifiedHead::decode(&lost.head)
                .map_err(|_| StateError::Damaged("a head that was lost"))?;
            let root = open_root(self.view.keys()?, head.claims(), &lost.root);
            Ok((head.seq(), root.map_err(VaultError::Root)?))
        });
        roots.collect()
    }

    /// Sends the next lost entry again, unchanged, if it may stand now: it names
    /// the newest head, or the lost one that this has taken the place of.
    pub(crate) fn resend_entry(&mut self) -> Result<bool, VaultError> {
        let seq = self.view.vault_log.position().seq + 1;
        let Some(entry) = self.member.state.lost_entry(&self.id, seq)? else {
            return Ok(false);
        };
        let named = named_head(&entry)?;
        let replaced = self.view.seen.newest().and_then(Head::replaced);
        if named != self.head() && named != replaced {
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

    /// Whether the vault's log still lacks entries that were lost.
    ///
    /// # Errors
    /// [`VaultError::EntriesLeftBehind`] where others stand in their places.
    pub(crate) fn lacks_entries(&self) -> Result<bool, VaultError> {
        let standing = self.view.vault_log.entries();
        for (seq, lost) in self.member.state.lost_entries(&self.id)? {
            let index = usize::try_from(seq.saturating_sub(1)).unwrap_or(usize::MAX);
            match standing.get(index) {
                Some(entry) if entry.payload == lost.payload => {}
                Some(_) => return Err(VaultError::EntriesLeftBehind { first: seq }),
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Refuses to write as long as entries that were lost do not stand again: who was
    /// removed by one could read it.
    pub(super) fn check_entries_stand(&self) -> Result<(), VaultError> {
        if self.lacks_entries()? {
            return Err(VaultError::BeingBroughtForward);
        }
        Ok(())
    }

    pub(crate) fn forget_lost(&self) -> Result<(), VaultError> {
        Ok(self.member.state.forget_lost(&self.id)?)
    }

    /// The hash of a head on the way to the newest that was seen, if it is known.
    pub(super) fn seen_hash(&self, seq: u64) -> Result<Option<HeadHash>, VaultError> {
        if let Some(newest) = self.head().filter(|newest| newest.seq == seq) {
            return Ok(Some(newest.hash));
        }
        Ok(self.member.state.seen_head(&self.id, seq)?)
    }
}
