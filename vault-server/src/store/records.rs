//! What the ledger knows: one record per account, invitation, token, vault,
//! pack and head. Both adapters speak in these.

use vault_proto::{
    ids::{AccountId, DeviceId, HeadHash, PackId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};

use crate::clock::UnixTime;

/// The name of a blob: a pack of a vault, with its size in bytes.
///
/// The size is part of the name because an adapter may store small packs
/// elsewhere than large ones, and the ledger, which is asked first, knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob {
    /// The vault it belongs to: the same pack in two vaults is two blobs.
    pub vault: VaultId,
    /// BLAKE3 of its bytes.
    pub pack: PackId,
    /// Its length in bytes.
    pub size: u32,
}

/// BLAKE3 of an invitation's secret. The secret itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InvitationHash(pub [u8; 32]);

/// BLAKE3 of a token. The token itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// BLAKE3 of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferHash(pub [u8; 32]);

impl OfferHash {
    /// `BLAKE3(offer)`.
    #[must_use]
    pub fn of(offer: &[u8]) -> Self {
        Self(*blake3::hash(offer).as_bytes())
    }
}

/// Who left an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfferFrom {
    /// This member, or a guest that he brought.
    Member(AccountId),
    /// Somebody without a token.
    Stranger,
}

/// An offer that waits for its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Sealed.
    pub offer: Vec<u8>,
    /// Who left it.
    pub from: OfferFrom,
}

/// The name of a link, which its recipients derive from its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub [u8; 32]);

/// BLAKE3 of a link's ticket. The ticket itself is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketHash(pub [u8; 32]);

/// A link: what lets whoever knows its name read blocks of packs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub id: LinkId,
    /// The vault whose packs it reads.
    pub vault: VaultId,
    /// Who made it,
    pub account: AccountId,
    /// and with which device; `None` for one that was made before that was noted.
    pub device: Option<DeviceId>,
    /// The pack that says what the others hold.
    pub capsule: PackId,
    /// Bytes of that pack.
    pub capsule_size: u32,
    /// Of all that it was made from, so that a repetition is told from another.
    pub digest: [u8; 32],
    /// When it was made.
    pub created: UnixTime,
    /// From when on nothing is served.
    pub expires: Option<UnixTime>,
    /// How often it may be downloaded; 0 for any number.
    pub max_downloads: u32,
    /// How often it was: tickets that read beyond the capsule.
    pub downloads: u32,
    /// Tickets that have not been dropped.
    pub tickets: u32,
    /// From when on it is as good as gone: it has expired, or its last ticket.
    pub until: Option<UnixTime>,
    /// What it counts as for the account that pays.
    pub record_bytes: u64,
}

impl Link {
    /// Whether tickets that have counted can be used.
    #[must_use]
    pub fn serves(&self, now: UnixTime) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether there can be more of them, and more downloads.
    #[must_use]
    pub fn is_open(&self, now: UnixTime) -> bool {
        let used_up = self.max_downloads > 0 && self.downloads >= self.max_downloads;
        self.serves(now) && !used_up
    }

    /// Whether it ends when its maker's account removes these devices. Of one that
    /// was made before it was noted with which, it may have been any.
    #[must_use]
    pub fn ends_without(&self, account: &AccountId, removed: &[DeviceId]) -> bool {
        let made_by = |device: DeviceId| removed.contains(&device);
        self.account == *account && !removed.is_empty() && self.device.is_none_or(made_by)
    }
}

/// The right to one download of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Of this link.
    pub link: LinkId,
    /// When it was given.
    pub opened: UnixTime,
    /// From when on it is refused.
    pub expires: UnixTime,
    /// Whether it has counted as a download: it has read beyond the capsule.
    pub counted: bool,
}

/// An invitation that the hoster made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Bytes that the new member may use.
    pub quota_bytes: u64,
    /// What the hoster typed to recognise the member by; may be empty.
    pub label: String,
    /// From when on it is refused.
    pub expires: UnixTime,
    /// The account it became.
    pub used_by: Option<AccountId>,
}

impl Invitation {
    /// Whether it can still become an account.
    #[must_use]
    pub fn is_open(&self, now: UnixTime) -> bool {
        self.used_by.is_none() && now < self.expires
    }
}

/// Why an account is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was made from an invitation.
    Member,
    /// Its home is another hoster; a member brought its log, so that it can be
    /// a member of vaults here. It has no room of its own.
    Guest {
        /// Who brought it.
        brought_by: AccountId,
    },
}

impl Standing {
    /// Whether the account's home is another hoster.
    #[must_use]
    pub const fn is_guest(self) -> bool {
        matches!(self, Self::Guest { .. })
    }
}

/// A member's or a guest's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The hash of its log's genesis.
    pub id: AccountId,
    /// Member or guest.
    pub standing: Standing,
    /// From the invitation; a guest has none.
    pub label: String,
    /// When the invitation was used, or the log brought.
    pub joined: UnixTime,
    /// Bytes that the vaults it created may hold.
    pub quota_bytes: u64,
    /// Bytes that they do hold.
    pub usage: Usage,
    /// Bytes of what the ledger keeps for it: the entries of its log, and the
    /// entries, heads, lists of packs and roots of the vaults that it created.
    pub record_bytes: u64,
    /// Entries in its log.
    pub log_seq: u64,
    /// How many guests it brought.
    pub guests: u32,
    /// What the entries of their logs count as.
    pub guest_bytes: u64,
}

/// Bytes of the packs in the vaults that an account created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Added by a head and not removed since.
    pub committed_bytes: u64,
    /// Uploaded and not yet added by a head.
    pub unclaimed_bytes: u64,
    /// Removed by a head, and kept for the grace period.
    pub trash_bytes: u64,
}

impl Usage {
    /// What counts against the quota; the trash counts apart.
    #[must_use]
    pub const fn charged_bytes(&self) -> u64 {
        self.committed_bytes.saturating_add(self.unclaimed_bytes)
    }

    /// Adds another account's bytes.
    pub const fn add(&mut self, other: &Self) {
        self.committed_bytes = self.committed_bytes.saturating_add(other.committed_bytes);
        self.unclaimed_bytes = self.unclaimed_bytes.saturating_add(other.unclaimed_bytes);
        self.trash_bytes = self.trash_bytes.saturating_add(other.trash_bytes);
    }
}

/// How full an account is, for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fullness {
    /// Bytes that it may use.
    pub quota_bytes: u64,
    /// Bytes that it uses, uploads under way included.
    pub used_bytes: u64,
}

/// Who a token speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The member.
    pub account: AccountId,
    /// The device that logged in.
    pub device: DeviceId,
    /// From when on it is refused.
    pub expires: UnixTime,
}

/// A vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vault {
    /// The hash of its log's genesis.
    pub id: VaultId,
    /// What it is for.
    pub kind: VaultKind,
    /// The account whose quota its packs count against.
    pub creator: AccountId,
    /// Entries in its log.
    pub log_seq: u64,
    /// Its newest head.
    pub head: Option<HeadPosition>,
}

impl Vault {
    /// The newest head's sequence number; 0 while there is none.
    #[must_use]
    pub fn head_seq(&self) -> u64 {
        self.head.map_or(0, |head| head.seq)
    }
}

/// A head that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRecord {
    /// Its hash.
    pub hash: HeadHash,
    /// Its bytes, signature included.
    pub signed: Vec<u8>,
    /// When it was accepted.
    pub received: UnixTime,
    /// The device that signed it.
    pub device: DeviceId,
    /// How many packs it added, and their bytes.
    pub added_packs: u32,
    /// See `added_packs`.
    pub added_bytes: u64,
    /// How many packs it removed.
    pub removed_packs: u32,
}

/// A pack that the ledger knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// Its length in bytes.
    pub size: u32,
    /// Where it is in its life.
    pub state: PackState,
}

impl Pack {
    /// Whether its bytes can be read, and a head may add it.
    #[must_use]
    pub const fn is_there(&self) -> bool {
        !matches!(self.state, PackState::Doomed { .. } | PackState::Lost)
    }

    /// What whoever asks is told.
    #[must_use]
    pub const fn presence(&self) -> Presence {
        match self.state {
            PackState::Doomed { .. } | PackState::Lost => Presence::Absent,
            PackState::Unclaimed { .. } | PackState::Committed => Presence::There,
            PackState::Trash { .. } => Presence::Trash,
        }
    }
}

/// What is said of a pack to whoever asks whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is not.
    Absent,
    /// It is, committed or not.
    There,
    /// A head has removed it.
    Trash,
}

/// The life of a pack: unclaimed → committed → trash → doomed → forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackState {
    /// Uploaded; no head has added it yet.
    Unclaimed {
        /// When the sweep may take it.
        until: UnixTime,
    },
    /// Added by a head.
    Committed,
    /// Removed by a head; the next head that adds it revives it.
    Trash {
        /// When the sweep may take it.
        until: UnixTime,
    },
    /// The sweep is about to unlink it: as good as gone.
    Doomed {
        /// When the sweep looks at it: the time it was due at, or that at which
        /// it is tried again.
        due: UnixTime,
    },
    /// Committed, but its bytes are not where they should be. Uploading it
    /// again repairs it.
    Lost,
}

/// What [`stats`](super::Ledger::stats) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerStats {
    /// Accounts of members.
    pub accounts: u64,
    /// Accounts of guests.
    pub guests: u64,
    /// Vaults.
    pub vaults: u64,
    /// Packs in any state.
    pub packs: u64,
    /// Bytes of them all.
    pub usage: Usage,
    /// Invitations that can still be used.
    pub open_invitations: u64,
}
