//! Heads that came before the newest, and what the vault held at them.

use vault_core::timestamp::Timestamp;
use vault_proto::{
    head::{Head, HeadError, UnverifiedHead},
    ids::{AccountId, DeviceId, RootHash},
    wire::Root,
};

use super::{
    RootError, Vault, VaultError,
    view::{View, read_root},
};

/// One of a vault's heads, with what is known of what the vault held then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadSummary {
    /// Its number.
    pub seq: u64,
    /// Whose device made it.
    pub account: AccountId,
    /// Which.
    pub device: DeviceId,
    /// What the vault held.
    pub held: Held,
}

/// What a vault held at a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Held {
    /// The head's root opens.
    Readable {
        /// When it was committed, by its maker's clock.
        committed: Option<Timestamp>,
        /// Packs in the vault.
        packs: u64,
        /// Their bytes.
        pack_bytes: u64,
    },
    /// Its maker has sealed something that is not read.
    Unreadable(RootError),
    /// Its maker may not have made it: it stands in the chain because a later one builds on
    /// it.
    NotInOrder,
    /// The hoster keeps it no longer: the grace period after the next head is over.
    Dropped,
}

/// A head of the chain whose maker was verified, and what it signs for.
pub(crate) struct PastHead {
    head: Head,
    pub(crate) root: PastRoot,
}

/// What a head that came before the newest signs for.
pub(crate) enum PastRoot {
    Readable(Box<Root>),
    Unreadable(RootError),
    NotInOrder,
    Dropped,
}

impl Vault {
    /// Whose device has made the newest head, and which; `None` while there is none.
    pub(crate) fn newest_maker(&self) -> Option<(AccountId, DeviceId)> {
        let newest = self.view.seen.newest()?;
        Some((newest.account, newest.device))
    }

    /// What is known of heads, the newest first: of those from number `from` down, or from
    /// the newest, at most `count`. Two calls each.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn heads(&self, from: Option<u64>, count: usize) -> Result<Vec<HeadSummary>, VaultError> {
        let newest = self.head().map_or(0, |newest| newest.seq);
        let from = from.map_or(newest, |from| from.min(newest));
        let seqs = (1..=from).rev().take(count);
        seqs.map(|seq| Ok(HeadSummary::of(&self.past_head(seq)?)))
            .collect()
    }

    /// The head of that number, verified to be one of the chain of the newest, and what
    /// it signs for.
    ///
    /// # Errors
    /// [`VaultError::NoSuchHead`], and the others. What a member has sealed badly is none.
    pub(crate) fn past_head(&self, seq: u64) -> Result<PastHead, VaultError> {
        let view = &self.view;
        let newest = view.seen.position().map_or(0, |newest| newest.seq);
        if seq == 0 || seq > newest {
            return Err(VaultError::NoSuchHead { seq, newest });
        }
        let answer = self
            .member
            .remote
            .sync_vault(&view.asks_between(seq - 1, seq))?;
        if answer.more {
            // Somebody writes to the log.
            return Err(VaultError::Overtaken);
        }
        let [head] = &answer.heads[..] else {
            return Err(VaultError::Answer("not the head that was asked for"));
        };
        let head = UnverifiedHead::decode(head).map_err(VaultError::Head)?;
        if head.seq() != seq {
            return Err(VaultError::Answer("not the head that was asked for"));
        }
        self.check_comes_after(view, head.position())?;
        let is_in_order = head.verify_author(&view.vault_log, &view.accounts).is_ok();
        let head = head.claims().clone();
        let root = match is_in_order {
            true => read_past_root(view, &head, &answer.root)?,
            false => PastRoot::NotInOrder,
        };
        Ok(PastHead { head, root })
    }
}

/// Opens what a head signs for by the rules for the newest one: what its maker could have
/// made after he was put out is not read.
fn read_past_root(view: &View, head: &Head, sealed: &[u8]) -> Result<PastRoot, VaultError> {
    if sealed.is_empty() {
        return Ok(PastRoot::Dropped);
    }
    if RootHash::of(sealed) != head.root {
        return Err(VaultError::Head(HeadError::OtherRoot));
    }
    let kept = head.check_not_put_out(&view.vault_log, &view.accounts);
    Ok(
        match read_root(&view.keys, &view.vault_log, head, sealed, kept)? {
            Ok(root) => PastRoot::Readable(Box::new(root)),
            Err(unreadable) => PastRoot::Unreadable(unreadable.error),
        },
    )
}

impl HeadSummary {
    fn of(past: &PastHead) -> Self {
        let held = match &past.root {
            PastRoot::Readable(root) => Held::Readable {
                committed: root.committed.as_ref().and_then(Timestamp::from_wire),
                packs: root.pack_count,
                pack_bytes: root.pack_bytes,
            },
            PastRoot::Unreadable(error) => Held::Unreadable(*error),
            PastRoot::NotInOrder => Held::NotInOrder,
            PastRoot::Dropped => Held::Dropped,
        };
        Self {
            seq: past.head.seq,
            account: past.head.account,
            device: past.head.device,
            held,
        }
    }
}
