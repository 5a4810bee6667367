//! Heads, and what they keep.

use vault_proto::{
    ids::{DeviceId, PackId, VaultId},
    position::HeadPosition,
};

use super::LedgerError;
use crate::{
    clock::UnixTime,
    store::records::{Fullness, HeadRecord},
};

/// The part of a [`Ledger`](super::Ledger) about heads.
pub trait HeadLedger {
    /// Moves a vault to its next head.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn commit_head(&self, commit: &HeadCommit<'_>) -> Result<Commit, LedgerError>;

    /// Reads a head.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn head(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadRecord>, LedgerError>;

    /// Reads the sealed root of a head: kept for the newest, and for every
    /// other until the grace period after its successor is over.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn root(&self, vault: &VaultId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Drops at most `limit` roots whose time is over, and says how many.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_due_roots(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError>;
}

/// A head to be accepted.
#[derive(Debug)]
pub struct HeadCommit<'a> {
    /// The vault.
    pub vault: VaultId,
    /// The head before.
    pub previous: Option<HeadPosition>,
    /// The new head.
    pub head: HeadPosition,
    /// The newest entry of the vault log that it names.
    pub log_seq: u64,
    /// The device that signed it.
    pub device: DeviceId,
    /// Its bytes, verified.
    pub signed: &'a [u8],
    /// Its sealed root.
    pub root: &'a [u8],
    /// Packs it adds, in strictly ascending order.
    pub adds: &'a [PackId],
    /// Packs it removes, likewise; none of them is added.
    pub removes: &'a [PackId],
    /// The hour.
    pub now: UnixTime,
}

/// What became of a [`HeadCommit`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// It is the newest head now, and durable with all it adds; or it has been
    /// accepted before.
    Accepted,
    /// Another head or entry came first.
    LostRace {
        /// The newest head's sequence number; 0 for none.
        head_seq: u64,
        /// The newest entry's sequence number.
        log_seq: u64,
    },
    /// These of its adds are not there.
    Missing(Vec<PackId>),
    /// What it revives does not fit any more. One that also removes may exceed
    /// the quota by 64 MiB.
    OverQuota(Fullness),
    /// What it removes does not fit into the trash.
    TrashFull(Fullness),
    /// The account that pays has as many record bytes as it may.
    RecordsFull(Fullness),
    /// There is no such vault.
    NoSuchVault,
}
