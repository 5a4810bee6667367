//! The hoster, as a device sees it.
//!
//! [`Visitor`] is what a hoster does for anybody, [`Remote`] what it does for the
//! devices of an account besides. Both move bytes and check that answers have
//! the shape they must have; what the bytes say is verified above them, in
//! [`crate::vault`] and [`crate::account`]. Nothing that comes out of either is to
//! be believed before that.

mod error;
pub mod grpc;
mod limits;
pub mod memory;
mod types;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vault_proto::ids::{AccountId, DeviceId, LinkId, MessageName, OfferHash, PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::origin::Origin;
use vault_proto::wire::{SignedEntry, VaultKind};

pub use error::{Misbehaviour, Refusal, RefusalReason, RemoteError};
pub use limits::{
    BLOCK_BYTES, MAX_MESSAGE_BYTES, MAX_OFFER_BYTES, MAX_OFFERS, MAX_PACKS_PER_CALL,
    MAX_RANGES_PER_CALL, MAX_WAIT, UNCLAIMED_KEPT,
};
pub use types::{
    CommitOutcome, CommitRequest, Credentials, HeadNews, HosterAddress, LinkBlocks, LinkStatus,
    LinkTicket, LogAnswer, NewLink, OpenedLink, PackRange, Presence, PutOutcome, SyncAnswer,
    SyncRequest, Traffic, Usage,
};

/// The way to hosters.
pub trait Connect: Send + Sync + 'static {
    /// A handle on a hoster, for a device. Dials when it is first used.
    fn connect(&self, address: HosterAddress, credentials: Credentials) -> Arc<dyn Remote>;

    /// A handle on a hoster, for whoever does not say who he is. Dials when it is
    /// first used.
    fn visit(&self, address: HosterAddress) -> Arc<dyn Visitor>;

    /// Dials a hoster of which nothing is known but where it is, and learns who
    /// answers there: the holder of the key whose hash the address names, at the
    /// other end of this very channel. Anybody can be: it is the hoster that is
    /// meant only once something that the caller trusts says so, as the log of an
    /// account does that names its home.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RemoteError::UntrustedCertificate`] when a reverse proxy
    /// ends TLS, so that only a publicly trusted certificate could vouch for the
    /// channel, and there is none.
    fn discover(&self, origin: &Origin) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError>;
}

/// A hoster, for whoever does not say who he is.
///
/// Calls block, and may be made from any number of threads at once, but not
/// from inside an asynchronous task. Every call may be repeated: what has been
/// done already succeeds again.
pub trait Visitor: Send + Sync + 'static {
    /// The account that a device is active in, if the hoster knows one.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn find_account(&self, device: &DeviceId) -> Result<Option<AccountId>, RemoteError>;

    /// Entries of an account's log after entry `known`, which is 0 for none; not
    /// verified.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RefusalReason::NotFound`] when the hoster does not know
    /// the account.
    fn fetch_account_log(&self, account: &AccountId, known: u64) -> Result<LogAnswer, RemoteError>;

    /// Brings the log of an account up to date, whose home is another hoster or which
    /// this one has lost a part of; gives the newest entry that is here then. `entries`
    /// begin with the genesis or with one that follows what is here; those that are
    /// here already are passed over, and without any it only says how long the log is.
    /// From a device, an account that is not known here becomes a guest.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RefusalReason::NotFound`] from anybody but a device when
    /// the account is not known.
    fn put_account_log(
        &self,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError>;

    /// Leaves a message of at most [`MAX_MESSAGE_BYTES`] under a name, for a
    /// quarter of an hour.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RefusalReason::Forbidden`] when another message stands
    /// under the name.
    fn put_message(&self, name: &MessageName, message: &[u8]) -> Result<(), RemoteError>;

    /// Waits for the message under a name, for [`MAX_WAIT`] at most; `None` when
    /// none came.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn await_message(
        &self,
        name: &MessageName,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, RemoteError>;

    /// Leaves a sealed offer of at most [`MAX_OFFER_BYTES`] for an account whose
    /// home is here.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RefusalReason::BoxFull`].
    fn put_offer(&self, account: &AccountId, offer: &[u8]) -> Result<(), RemoteError>;

    /// Asks for a download of a link, which counts as one when its ticket first reads
    /// beyond the capsule.
    ///
    /// # Errors
    /// [`RemoteError`]; [`RefusalReason::LinkOver`], and
    /// [`RefusalReason::NotFound`] for a link that the hoster never saw.
    fn open_link(&self, link: &LinkId) -> Result<OpenedLink, RemoteError>;

    /// As [`Remote::read_packs`], for one download.
    ///
    /// # Errors
    /// As there; [`RefusalReason::Forbidden`] for blocks that the link does not
    /// name, and [`RefusalReason::LinkOver`] for a ticket that has not counted, when
    /// others have used the link up meanwhile.
    fn read_link(
        &self,
        ticket: &LinkTicket,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError>;

    /// Ends every call of this handle that is running with
    /// [`RemoteError::Cancelled`]; later calls work. Returns at once.
    fn interrupt(&self);

    /// What this handle has moved since it was made.
    fn traffic(&self) -> Traffic;
}

/// A place that keeps vaults, for a device of an account.
pub trait Remote: Visitor {
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

    /// Where each of the packs is, in the order asked for.
    /// Renews the lease of those that no head has claimed yet. One call a
    /// [`MAX_PACKS_PER_CALL`] packs.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Presence>, RemoteError>;

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

    /// The sealed offers that were left for the caller's account, oldest first; at
    /// most [`MAX_OFFERS`].
    ///
    /// # Errors
    /// [`RemoteError`].
    fn list_offers(&self) -> Result<Vec<Vec<u8>>, RemoteError>;

    /// Drops an offer to the caller's account.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn drop_offer(&self, offer: &OfferHash) -> Result<(), RemoteError>;

    /// Lets whoever knows the link's id read blocks of packs of the vault.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn create_link(&self, link: &NewLink) -> Result<(), RemoteError>;

    /// The links to the vault that have neither expired nor been used up nor
    /// revoked.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn list_links(&self, vault: &VaultId) -> Result<Vec<LinkStatus>, RemoteError>;

    /// Revokes a link: a writer his own, a manager any.
    ///
    /// # Errors
    /// [`RemoteError`].
    fn revoke_link(&self, vault: &VaultId, link: &LinkId) -> Result<(), RemoteError>;
}
