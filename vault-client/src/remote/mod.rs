//! The hoster, as a device sees it.
//!
//! [`Remote`] moves bytes and checks that answers have the shape they must
//! have; what the bytes say is verified above it, in [`crate::vault`]. Nothing
//! that comes out of a `Remote` is to be believed before that.

mod error;
pub mod grpc;
pub mod memory;
mod types;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use vault_proto::ids::{PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::wire::{SignedEntry, VaultKind};

pub use error::{Misbehaviour, Refusal, RefusalReason, RemoteError};
pub use types::{
    CommitOutcome, CommitRequest, Credentials, HeadNews, HosterAddress, PackRange, PutOutcome,
    SyncAnswer, SyncRequest, Traffic, Usage,
};

/// The most packs that the protocol carries in one call, and in each list of a
/// [`CommitRequest`].
pub const MAX_PACKS_PER_CALL: usize = 8_192;

/// The most ranges that the protocol carries in one call.
pub const MAX_RANGES_PER_CALL: usize = 1_024;

/// The way to hosters.
pub trait Connect: Send + Sync + 'static {
    /// A handle on a hoster, for a device. Dials when it is first used.
    fn connect(&self, address: HosterAddress, credentials: Credentials) -> Arc<dyn Remote>;
}

/// A place that keeps vaults.
///
/// Calls block, and may be made from any number of threads at once, but not
/// from inside an asynchronous task. Every call may be repeated: what has been
/// done already succeeds again.
pub trait Remote: Send + Sync + 'static {
    /// Turns an invitation into the account that `genesis` begins; gives its
    /// quota in bytes.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn create_account(
        &self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError>;

    /// Appends to the caller's own account log.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn append_account_entry(&self, entry: &SignedEntry) -> Result<(), RemoteError>;

    /// Creates the vault that `genesis` begins.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn create_vault(&self, genesis: &SignedEntry) -> Result<(), RemoteError>;

    /// Appends to a vault's log.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RefusalReason::LostRace`] when another entry or head
    /// came first.
    fn append_vault_entry(&self, vault: &VaultId, entry: &SignedEntry) -> Result<(), RemoteError>;

    /// The vaults that the caller is a member of.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError>;

    /// What is new in a vault; not verified.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn sync_vault(&self, request: &SyncRequest) -> Result<SyncAnswer, RemoteError>;

    /// Which of the packs are there, committed or not, in the order asked for.
    /// Renews the lease of those that no head has claimed yet. One call a
    /// [`MAX_PACKS_PER_CALL`] packs.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<bool>, RemoteError>;

    /// Uploads a pack. Its bytes are not hashed again here: `pack` must be
    /// their id, or the hoster refuses them.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError>;

    /// Hands the bytes of the ranges to `deliver`, one after the other, in the
    /// order asked for, in pieces of any size but none empty. Success means that
    /// exactly as many bytes came as the ranges are long; what they are worth is
    /// for the caller to check. One call a [`MAX_RANGES_PER_CALL`] ranges.
    ///
    /// # Errors
    /// [`RemoteError`]; [`Misbehaviour::ReadTooShort`] and
    /// [`Misbehaviour::ReadTooLong`] when the length is wrong;
    /// [`Misbehaviour::PackMissing`] when a pack is not there;
    /// [`RemoteError::Cancelled`] when `deliver` breaks.
    fn read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError>;

    /// Moves a vault's head, atomically.
    ///
    /// # Errors
    /// [`RemoteError`]. A lost race and missing packs are outcomes, not errors.
    fn commit_head(&self, request: &CommitRequest) -> Result<CommitOutcome, RemoteError>;

    /// What the account uses of its quota.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn usage(&self) -> Result<Usage, RemoteError>;

    /// Hands news of heads to `deliver` until it breaks. News are hints: a
    /// hoster may leave some out, or invent them.
    ///
    /// # Errors
    /// [`RemoteError`] when the connection ends.
    fn watch_heads(
        &self,
        vaults: &[VaultId],
        deliver: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError>;

    /// Ends every call that is running with [`RemoteError::Cancelled`]; later
    /// calls work. Returns at once.
    fn interrupt(&self);

    /// What this handle has moved since it was made.
    fn traffic(&self) -> Traffic;
}
