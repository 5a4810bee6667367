//! One vault: its verified state, and how it moves on.
//!
//! ```text
//! refresh: SyncVault ─▶ verify logs ─▶ verify heads ─▶ open root ─▶ persist
//! commit:  seal root ─▶ sign head ─▶ persist ─▶ CommitHead ─▶ persist
//! ```

use vault_proto::ids::PackId;
use vault_proto::position::HeadPosition;
use vault_proto::wire::Root;

/// What the next head is to say.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitPlan {
    /// Packs that are uploaded and belong to the vault from now on; in any order.
    pub adds: Vec<PackId>,
    /// Packs that no longer do; in any order.
    pub removes: Vec<PackId>,
    /// The new root.
    pub root: Root,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitResult {
    /// The vault stands at this head now.
    Committed(HeadPosition),
    /// Another device was first. The vault's state has been refreshed: rebase
    /// the root on it and commit again.
    LostRace,
    /// These packs are not there: upload them and commit again.
    Missing(Vec<PackId>),
}
