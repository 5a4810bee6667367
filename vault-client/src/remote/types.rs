//! What goes to a hoster and what comes back.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use vault_core::keys::DeviceKeys;
use vault_proto::ids::{AccountId, HeadHash, HosterId, LinkId, PackId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::wire::SignedEntry;
use zeroize::Zeroize;

/// Where a hoster is, and how to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HosterAddress {
    /// Where it is dialled.
    pub origin: Origin,
    /// Who it is.
    pub hoster: HosterId,
    /// How TLS is ended there.
    pub tls: TlsTrust,
}

/// Who calls.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The account.
    pub account: AccountId,
    /// The keys of one of its devices.
    pub device: Arc<DeviceKeys>,
}

/// From where on to tell what is new in a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRequest {
    /// The vault.
    pub vault: VaultId,
    /// The newest entry of the vault log that is verified; 0 for none.
    pub vault_log_seq: u64,
    /// The newest head that is verified; 0 for none.
    pub head_seq: u64,
    /// The newest verified entry of each account log that is known.
    pub accounts: Vec<(AccountId, u64)>,
    /// Leaves the sealed root out, when the caller only wants to know.
    pub without_root: bool,
    /// The head to tell of as if it were the newest; 0, and a number beyond the
    /// newest, for that.
    pub until_head_seq: u64,
}

/// What is new in a vault, as the hoster tells it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncAnswer {
    /// New entries of account logs, in ascending order.
    pub accounts: Vec<(AccountId, Vec<SignedEntry>)>,
    /// New entries of the vault log, in ascending order.
    pub vault_entries: Vec<SignedEntry>,
    /// Signed heads on the shortest path from the newest, or the one that was
    /// asked for as such, to the one after the requested, newest first. Empty when
    /// there is nothing new.
    pub heads: Vec<Vec<u8>>,
    /// The sealed root of the head that they lead to, also when that is not new.
    pub root: Vec<u8>,
    /// Of the newest head, whatever was asked for; 0 while there is none.
    pub newest_head_seq: u64,
    /// There is more; ask again from what was sent.
    pub more: bool,
}

/// Bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRange {
    /// The pack.
    pub pack: PackId,
    /// Where the range begins, in bytes.
    pub offset: u32,
    /// How long it is, in bytes.
    pub length: u32,
}

/// Whether a hoster has a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Presence {
    /// It has not.
    Absent,
    /// It has, committed or not.
    There,
    /// A head has removed it: it is kept for the grace period, unless a head adds it
    /// again.
    Trash,
}

impl Presence {
    /// Whether it can be read, and added by a head.
    #[must_use]
    pub fn is_there(self) -> bool {
        self != Self::Absent
    }
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PutOutcome {
    /// The hoster has stored the pack.
    Stored,
    /// The hoster had it already.
    WasThere,
}

/// A head on its way to the hoster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRequest {
    /// The signed head.
    pub head: Vec<u8>,
    /// Its sealed root.
    pub root: Vec<u8>,
    /// Packs it adds, in strictly ascending order; at most
    /// [`super::MAX_PACKS_PER_CALL`].
    pub adds: Vec<PackId>,
    /// Packs it removes, likewise.
    pub removes: Vec<PackId>,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitOutcome {
    /// The head stands, now or since an earlier attempt.
    Accepted,
    /// Another head, or a log entry that this head does not know, came first.
    LostRace {
        /// The newest head.
        head_seq: u64,
        /// The newest entry of the vault log.
        vault_log_seq: u64,
    },
    /// Packs that the head adds are not there.
    MissingPacks(Vec<PackId>),
}

/// Entries of an account's log, as the hoster tells them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogAnswer {
    /// In ascending order.
    pub entries: Vec<SignedEntry>,
    /// There is more; ask again from what was sent.
    pub more: bool,
}

/// Which blocks of [`BLOCK_BYTES`](super::BLOCK_BYTES) of a pack a link may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkBlocks {
    /// The pack.
    pub pack: PackId,
    /// Bit `i` of byte `j`, the lowest being bit 0, stands for block `8 j + i`; as
    /// many bytes as the pack's blocks take.
    pub blocks: Vec<u8>,
}

/// A link that the hoster is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLink {
    /// The vault that its packs are in.
    pub vault: VaultId,
    /// Its id.
    pub link: LinkId,
    /// The committed pack that holds the sealed capsule; readable as a whole.
    pub capsule: PackId,
    /// In strictly ascending order of packs, all committed; at most
    /// [`MAX_PACKS_PER_CALL`](super::MAX_PACKS_PER_CALL).
    pub packs: Vec<LinkBlocks>,
    /// Seconds since 1970; `None` for never.
    pub expires: Option<u64>,
    /// `None` for any number.
    pub max_downloads: Option<NonZeroU32>,
}

/// A link, as the hoster tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkStatus {
    /// Its id.
    pub link: LinkId,
    /// Seconds since 1970.
    pub created: u64,
    /// Seconds since 1970; `None` for never.
    pub expires: Option<u64>,
    /// `None` for any number.
    pub max_downloads: Option<NonZeroU32>,
    /// Tickets that have read beyond the capsule.
    pub downloads: u32,
    /// The account that made it.
    pub account: AccountId,
}

/// A link that the hoster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedLink {
    /// The right to it.
    pub ticket: LinkTicket,
    /// How long the ticket is good.
    pub lifetime_seconds: u64,
    /// The pack that holds the sealed capsule.
    pub capsule: PackId,
    /// Bytes of that pack, at most 16 MiB.
    pub capsule_size: u32,
}

/// The right to one download of a link.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkTicket([u8; 32]);

impl LinkTicket {
    /// Takes 32 bytes as they are.
    #[must_use]
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for LinkTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkTicket(…)")
    }
}

impl Drop for LinkTicket {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What an account uses, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// What the account may use.
    pub quota_bytes: u64,
    /// Packs that heads hold.
    pub committed_bytes: u64,
    /// Packs uploaded that no head holds yet.
    pub unclaimed_bytes: u64,
    /// Packs removed, within the grace period.
    pub trash_bytes: u64,
}

/// A hint that a vault has a new head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadNews {
    /// The vault.
    pub vault: VaultId,
    /// Where its head is said to be.
    pub head_seq: u64,
    /// The head's hash.
    pub head_hash: HeadHash,
}

/// What a connection has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Calls, logins and repetitions included.
    pub rpcs: u64,
    /// Bytes on the wire, TLS included, TCP and IP not.
    pub sent_bytes: u64,
    /// Likewise.
    pub received_bytes: u64,
}

impl Traffic {
    /// What was moved after `earlier` was read.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            rpcs: self.rpcs - earlier.rpcs,
            sent_bytes: self.sent_bytes - earlier.sent_bytes,
            received_bytes: self.received_bytes - earlier.received_bytes,
        }
    }
}
