//! Which heads the next entry of a vault's log may name.

use super::Head;
use crate::position::HeadPosition;
use crate::vault_log::VaultLog;

impl Head {
    /// The head whose place this one takes, if it says so.
    #[must_use]
    pub fn replaced(&self) -> Option<HeadPosition> {
        Some(HeadPosition {
            seq: self.seq,
            hash: self.reconciled?,
        })
    }
}

/// The head that an author names in the next entry of `log`. `newest` is the
/// newest head of the vault; `None` while there is none.
///
/// It is the newest, but for one case: where the entry before names the head
/// whose place the newest takes, the next one names that too. Entries name one
/// head at one place, so another name would be refused by everybody.
#[must_use]
pub fn head_for_entry(log: &VaultLog, newest: Option<&Head>) -> Option<HeadPosition> {
    let newest = newest?;
    let pinned = log.pinned_head();
    if pinned.is_some() && pinned == newest.replaced() {
        return pinned;
    }
    Some(newest.position())
}

/// Whether the next entry of `log` may name this head: the newest, or the one
/// whose place that takes, and no other than the entry before where both are at
/// one place.
#[must_use]
pub fn is_head_for_entry(
    log: &VaultLog,
    newest: Option<&Head>,
    named: Option<HeadPosition>,
) -> bool {
    let Some(newest) = newest else {
        return named.is_none() && log.pinned_head().is_none();
    };
    let stands =
        named == Some(newest.position()) || (named.is_some() && named == newest.replaced());
    let pinned = log.pinned_head().filter(|pinned| pinned.seq >= newest.seq);
    stands && (pinned.is_none() || pinned == named)
}
