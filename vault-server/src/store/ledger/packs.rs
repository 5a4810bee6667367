//! The life of every pack, and room for it.

use vault_proto::ids::{AccountId, PackId, VaultId};

use super::LedgerError;
use crate::{
    clock::UnixTime,
    store::records::{Blob, Fullness, Pack},
};

/// The part of a [`Ledger`](super::Ledger) about packs.
pub trait PackLedger {
    /// Takes room for an upload: until it is
    /// [recorded](Self::record_pack) or [released](Self::release), its bytes
    /// count against the quota. A pack that is there already needs none, and
    /// its lease is renewed.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn reserve(&self, blob: &Blob, room: QuotaRoom, now: UnixTime) -> Result<Reserve, LedgerError>;

    /// Whether what is reserved still fits, should the quota have changed.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn still_fits(&self, reservation: &Reservation) -> Result<Option<Fullness>, LedgerError>;

    /// Gives reserved room back.
    fn release(&self, reservation: Reservation);

    /// Turns reserved room into an unclaimed pack under a new lease, its bytes
    /// into usage. The blob is stored by now. What is there already stays as it
    /// is; a doomed pack is unclaimed again, a lost one committed.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn record_pack(&self, reservation: Reservation, now: UnixTime) -> Result<(), LedgerError>;

    /// Reads what the ledger knows of packs of one vault, in the order asked for.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Option<Pack>>, LedgerError>;

    /// As [`packs`](Self::packs), and renews the lease of the unclaimed ones.
    /// A lease that is less than an hour old may stay as it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn renew_leases(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Option<Pack>>, LedgerError>;

    /// Calls `visit` for every pack of a vault, or of all vaults, ordered by
    /// vault and id.
    ///
    /// # Errors
    /// [`LedgerError`], or what `visit` returned.
    fn visit_packs(
        &self,
        vault: Option<&VaultId>,
        visit: &mut dyn FnMut(&VaultId, &PackId, &Pack) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;

    /// Marks at most `limit` packs whose lease or grace period is over as
    /// [doomed](crate::store::PackState::Doomed), durably, takes them out of the usage, and
    /// returns them; with them, those that were doomed before, not forgotten, and not
    /// [put off](Self::put_off).
    ///
    /// # Errors
    /// [`LedgerError`].
    fn doom(&self, now: UnixTime, limit: usize) -> Result<Vec<Blob>, LedgerError>;

    /// Forgets a pack that is doomed and whose blob is deleted; false if it was
    /// uploaded again meanwhile.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn forget(&self, blob: &Blob) -> Result<bool, LedgerError>;

    /// Leaves a doomed pack alone until `until`: its blob could not be deleted.
    /// One that was uploaded again meanwhile stays as it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn put_off(&self, blob: &Blob, until: UnixTime) -> Result<(), LedgerError>;

    /// Marks a pack whose blob is missing: unclaimed or in the trash, it is
    /// forgotten; committed, it is [lost](crate::store::PackState::Lost).
    ///
    /// # Errors
    /// [`LedgerError`].
    fn mark_lost(&self, blob: &Blob) -> Result<(), LedgerError>;
}

/// Which room an upload may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRoom {
    /// That of the quota.
    Plain,
    /// That, and 64 MiB more: a prune writes before it removes. It cannot be
    /// checked that a removal follows; who lies has 64 MiB once.
    WithPrune,
}

/// What became of a wish for room.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Reserve {
    /// There is room, and nobody else gets it.
    Reserved(Reservation),
    /// The pack is there already.
    There,
    /// It would not fit.
    OverQuota(Fullness),
    /// There is no such vault.
    NoSuchVault,
}

/// Room that was taken for an upload. It must be recorded or released.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Reservation {
    pub(in crate::store) blob: Blob,
    pub(in crate::store) payer: AccountId,
    /// 0 when what is uploaded replaces a lost pack, whose bytes count already.
    pub(in crate::store) charged_bytes: u64,
    pub(in crate::store) room: QuotaRoom,
}

impl Reservation {
    /// What is being uploaded.
    #[must_use]
    pub const fn blob(&self) -> &Blob {
        &self.blob
    }
}
