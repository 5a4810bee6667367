//! Values of the tables: protobuf messages, so that fields can be added.

use prost::Message;
use vault_proto::{
    ids::{AccountId, DeviceId, HeadHash, PackId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};

use crate::{
    clock::UnixTime,
    store::{
        ledger::LedgerError,
        records::{
            Account, HeadRecord, Invitation, Link, LinkId, Offer, OfferFrom, Pack, PackState,
            Standing, Ticket, Token, Usage, Vault,
        },
    },
};

/// A record with a row of its own.
pub(super) trait Record: Sized {
    /// What the row's key says of it.
    type Key;
    fn to_row(&self) -> Vec<u8>;
    fn from_row(key: Self::Key, row: &[u8]) -> Result<Self, LedgerError>;
}

fn decode<M: Message + Default>(row: &[u8]) -> Result<M, LedgerError> {
    M::decode(row).map_err(|_| LedgerError::Damaged("a row does not decode"))
}

/// An id whose length is wrong.
fn damaged<E>(_: E) -> LedgerError {
    LedgerError::Damaged("a row holds an id of a wrong length")
}

#[derive(Clone, PartialEq, Message)]
struct InvitationRow {
    #[prost(uint64, tag = "1")]
    quota_bytes: u64,
    #[prost(string, tag = "2")]
    label: String,
    #[prost(uint64, tag = "3")]
    expires: u64,
    #[prost(bytes = "vec", optional, tag = "4")]
    used_by: Option<Vec<u8>>,
}

impl Record for Invitation {
    type Key = ();

    fn to_row(&self) -> Vec<u8> {
        InvitationRow {
            quota_bytes: self.quota_bytes,
            label: self.label.clone(),
            expires: self.expires.seconds(),
            used_by: self.used_by.map(|account| account.to_vec()),
        }
        .encode_to_vec()
    }

    fn from_row((): (), row: &[u8]) -> Result<Self, LedgerError> {
        let row: InvitationRow = decode(row)?;
        let used_by = row.used_by.map(|id| AccountId::from_slice(&id));
        Ok(Self {
            quota_bytes: row.quota_bytes,
            label: row.label,
            expires: UnixTime::from_seconds(row.expires),
            used_by: used_by.transpose().map_err(damaged)?,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct AccountRow {
    #[prost(string, tag = "1")]
    label: String,
    #[prost(uint64, tag = "2")]
    joined: u64,
    #[prost(uint64, tag = "3")]
    quota_bytes: u64,
    #[prost(uint64, tag = "4")]
    committed_bytes: u64,
    #[prost(uint64, tag = "5")]
    unclaimed_bytes: u64,
    #[prost(uint64, tag = "6")]
    trash_bytes: u64,
    #[prost(uint64, tag = "7")]
    log_seq: u64,
    #[prost(uint64, tag = "8")]
    record_bytes: u64,
    /// Of a guest alone.
    #[prost(bytes = "vec", optional, tag = "9")]
    brought_by: Option<Vec<u8>>,
    #[prost(uint32, tag = "10")]
    guests: u32,
    #[prost(uint64, tag = "11")]
    guest_bytes: u64,
}

impl Record for Account {
    type Key = AccountId;

    fn to_row(&self) -> Vec<u8> {
        AccountRow {
            label: self.label.clone(),
            joined: self.joined.seconds(),
            quota_bytes: self.quota_bytes,
            committed_bytes: self.usage.committed_bytes,
            unclaimed_bytes: self.usage.unclaimed_bytes,
            trash_bytes: self.usage.trash_bytes,
            log_seq: self.log_seq,
            record_bytes: self.record_bytes,
            brought_by: match self.standing {
                Standing::Member => None,
                Standing::Guest { brought_by } => Some(brought_by.to_vec()),
            },
            guests: self.guests,
            guest_bytes: self.guest_bytes,
        }
        .encode_to_vec()
    }

    fn from_row(id: AccountId, row: &[u8]) -> Result<Self, LedgerError> {
        let row: AccountRow = decode(row)?;
        let brought_by = row.brought_by.map(|id| AccountId::from_slice(&id));
        Ok(Self {
            id,
            standing: match brought_by.transpose().map_err(damaged)? {
                None => Standing::Member,
                Some(brought_by) => Standing::Guest { brought_by },
            },
            label: row.label,
            joined: UnixTime::from_seconds(row.joined),
            quota_bytes: row.quota_bytes,
            usage: Usage {
                committed_bytes: row.committed_bytes,
                unclaimed_bytes: row.unclaimed_bytes,
                trash_bytes: row.trash_bytes,
            },
            record_bytes: row.record_bytes,
            log_seq: row.log_seq,
            guests: row.guests,
            guest_bytes: row.guest_bytes,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct TokenRow {
    #[prost(bytes = "vec", tag = "1")]
    account: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    device: Vec<u8>,
    #[prost(uint64, tag = "3")]
    expires: u64,
}

impl Record for Token {
    type Key = ();

    fn to_row(&self) -> Vec<u8> {
        TokenRow {
            account: self.account.to_vec(),
            device: self.device.to_vec(),
            expires: self.expires.seconds(),
        }
        .encode_to_vec()
    }

    fn from_row((): (), row: &[u8]) -> Result<Self, LedgerError> {
        let row: TokenRow = decode(row)?;
        Ok(Self {
            account: AccountId::from_slice(&row.account).map_err(damaged)?,
            device: DeviceId::from_slice(&row.device).map_err(damaged)?,
            expires: UnixTime::from_seconds(row.expires),
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct VaultRow {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    creator: Vec<u8>,
    #[prost(uint64, tag = "3")]
    log_seq: u64,
    #[prost(uint64, tag = "4")]
    head_seq: u64,
    #[prost(bytes = "vec", tag = "5")]
    head_hash: Vec<u8>,
}

impl Record for Vault {
    type Key = VaultId;

    fn to_row(&self) -> Vec<u8> {
        VaultRow {
            kind: self.kind.into(),
            creator: self.creator.to_vec(),
            log_seq: self.log_seq,
            head_seq: self.head_seq(),
            head_hash: self.head.map_or_else(Vec::new, |head| head.hash.to_vec()),
        }
        .encode_to_vec()
    }

    fn from_row(id: Self::Key, row: &[u8]) -> Result<Self, LedgerError> {
        let row: VaultRow = decode(row)?;
        let head = match row.head_seq {
            0 => None,
            seq => Some(HeadPosition {
                seq,
                hash: HeadHash::from_slice(&row.head_hash).map_err(damaged)?,
            }),
        };
        Ok(Self {
            id,
            kind: VaultKind::try_from(row.kind)
                .map_err(|_| LedgerError::Damaged("a vault of unknown kind"))?,
            creator: AccountId::from_slice(&row.creator).map_err(damaged)?,
            log_seq: row.log_seq,
            head,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct PackRow {
    #[prost(uint32, tag = "1")]
    size: u32,
    #[prost(enumeration = "StateCode", tag = "2")]
    state: i32,
    #[prost(uint64, tag = "3")]
    time: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum StateCode {
    Unspecified = 0,
    Unclaimed = 1,
    Committed = 2,
    Trash = 3,
    Doomed = 4,
    Lost = 5,
}

impl Record for Pack {
    type Key = ();

    fn to_row(&self) -> Vec<u8> {
        let (state, time) = match self.state {
            PackState::Unclaimed { until } => (StateCode::Unclaimed, until.seconds()),
            PackState::Committed => (StateCode::Committed, 0),
            PackState::Trash { until } => (StateCode::Trash, until.seconds()),
            PackState::Doomed { due } => (StateCode::Doomed, due.seconds()),
            PackState::Lost => (StateCode::Lost, 0),
        };
        PackRow {
            size: self.size,
            state: state.into(),
            time,
        }
        .encode_to_vec()
    }

    fn from_row((): (), row: &[u8]) -> Result<Self, LedgerError> {
        let row: PackRow = decode(row)?;
        let time = UnixTime::from_seconds(row.time);
        let state = match row.state() {
            StateCode::Unclaimed => PackState::Unclaimed { until: time },
            StateCode::Committed => PackState::Committed,
            StateCode::Trash => PackState::Trash { until: time },
            StateCode::Doomed => PackState::Doomed { due: time },
            StateCode::Lost => PackState::Lost,
            StateCode::Unspecified => {
                return Err(LedgerError::Damaged("a pack in an unknown state"));
            }
        };
        Ok(Self {
            size: row.size,
            state,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct HeadRow {
    #[prost(bytes = "vec", tag = "1")]
    hash: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    signed: Vec<u8>,
    #[prost(uint64, tag = "3")]
    received: u64,
    #[prost(bytes = "vec", tag = "4")]
    device: Vec<u8>,
    #[prost(uint32, tag = "5")]
    added_packs: u32,
    #[prost(uint64, tag = "6")]
    added_bytes: u64,
    #[prost(uint32, tag = "7")]
    removed_packs: u32,
}

impl Record for HeadRecord {
    type Key = ();

    fn to_row(&self) -> Vec<u8> {
        HeadRow {
            hash: self.hash.to_vec(),
            signed: self.signed.clone(),
            received: self.received.seconds(),
            device: self.device.to_vec(),
            added_packs: self.added_packs,
            added_bytes: self.added_bytes,
            removed_packs: self.removed_packs,
        }
        .encode_to_vec()
    }

    fn from_row((): (), row: &[u8]) -> Result<Self, LedgerError> {
        let row: HeadRow = decode(row)?;
        Ok(Self {
            hash: HeadHash::from_slice(&row.hash).map_err(damaged)?,
            signed: row.signed,
            received: UnixTime::from_seconds(row.received),
            device: DeviceId::from_slice(&row.device).map_err(damaged)?,
            added_packs: row.added_packs,
            added_bytes: row.added_bytes,
            removed_packs: row.removed_packs,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct OfferRow {
    #[prost(bytes = "vec", tag = "1")]
    offer: Vec<u8>,
    #[prost(bool, tag = "2")]
    of_a_stranger: bool,
    #[prost(bytes = "vec", optional, tag = "3")]
    member: Option<Vec<u8>>,
}

impl Record for Offer {
    type Key = ();

    fn to_row(&self) -> Vec<u8> {
        OfferRow {
            offer: self.offer.clone(),
            of_a_stranger: self.from == OfferFrom::Stranger,
            member: match self.from {
                OfferFrom::Member(account) => Some(account.to_vec()),
                OfferFrom::Stranger => None,
            },
        }
        .encode_to_vec()
    }

    fn from_row((): (), row: &[u8]) -> Result<Self, LedgerError> {
        let row: OfferRow = decode(row)?;
        let member = row.member.map(|id| AccountId::from_slice(&id));
        Ok(Self {
            offer: row.offer,
            // Whose an offer was did not always stand here.
            from: match member.transpose().map_err(damaged)? {
                Some(account) => OfferFrom::Member(account),
                None => OfferFrom::Stranger,
            },
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct LinkRow {
    #[prost(bytes = "vec", tag = "1")]
    vault: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    account: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    capsule: Vec<u8>,
    #[prost(uint32, tag = "4")]
    capsule_size: u32,
    #[prost(bytes = "vec", tag = "5")]
    digest: Vec<u8>,
    #[prost(uint64, tag = "6")]
    created: u64,
    #[prost(uint64, optional, tag = "7")]
    expires: Option<u64>,
    #[prost(uint32, tag = "8")]
    max_downloads: u32,
    #[prost(uint32, tag = "9")]
    downloads: u32,
    #[prost(uint32, tag = "10")]
    tickets: u32,
    #[prost(uint64, optional, tag = "11")]
    until: Option<u64>,
    #[prost(uint64, tag = "12")]
    record_bytes: u64,
    #[prost(bytes = "vec", optional, tag = "13")]
    device: Option<Vec<u8>>,
}

impl Record for Link {
    type Key = LinkId;

    fn to_row(&self) -> Vec<u8> {
        LinkRow {
            vault: self.vault.to_vec(),
            account: self.account.to_vec(),
            capsule: self.capsule.to_vec(),
            capsule_size: self.capsule_size,
            digest: self.digest.to_vec(),
            created: self.created.seconds(),
            expires: self.expires.map(UnixTime::seconds),
            max_downloads: self.max_downloads,
            downloads: self.downloads,
            tickets: self.tickets,
            until: self.until.map(UnixTime::seconds),
            record_bytes: self.record_bytes,
            device: self.device.map(|device| device.to_vec()),
        }
        .encode_to_vec()
    }

    fn from_row(id: LinkId, row: &[u8]) -> Result<Self, LedgerError> {
        let row: LinkRow = decode(row)?;
        let device = row.device.map(|id| DeviceId::from_slice(&id));
        Ok(Self {
            id,
            vault: VaultId::from_slice(&row.vault).map_err(damaged)?,
            account: AccountId::from_slice(&row.account).map_err(damaged)?,
            // With which device a link was made did not always stand here.
            device: device.transpose().map_err(damaged)?,
            capsule: PackId::from_slice(&row.capsule).map_err(damaged)?,
            capsule_size: row.capsule_size,
            digest: row.digest.try_into().map_err(damaged)?,
            created: UnixTime::from_seconds(row.created),
            expires: row.expires.map(UnixTime::from_seconds),
            max_downloads: row.max_downloads,
            downloads: row.downloads,
            tickets: row.tickets,
            until: row.until.map(UnixTime::from_seconds),
            record_bytes: row.record_bytes,
        })
    }
}

#[derive(Clone, PartialEq, Message)]
struct TicketRow {
    #[prost(bytes = "vec", tag = "1")]
    link: Vec<u8>,
    #[prost(uint64, tag = "2")]
    expires: u64,
    #[prost(uint64, tag = "3")]
    opened: u64,
    #[prost(bool, tag = "4")]
    uncounted: bool,
}

impl Record for Ticket {
    type Key = ();

    fn to_row(&self) -> Vec<u8> {
        TicketRow {
            link: self.link.0.to_vec(),
            expires: self.expires.seconds(),
            opened: self.opened.seconds(),
            uncounted: !self.counted,
        }
        .encode_to_vec()
    }

    fn from_row((): (), row: &[u8]) -> Result<Self, LedgerError> {
        let row: TicketRow = decode(row)?;
        Ok(Self {
            link: LinkId(row.link.try_into().map_err(damaged)?),
            opened: UnixTime::from_seconds(row.opened),
            expires: UnixTime::from_seconds(row.expires),
            // All that were opened counted, as long as this did not stand here.
            counted: !row.uncounted,
        })
    }
}

/// That an account is a member of a vault. Nothing, where it has accepted that.
#[derive(Clone, PartialEq, Message)]
pub(super) struct MemberRow {
    #[prost(bool, tag = "1")]
    pub(super) unaccepted: bool,
}

impl MemberRow {
    pub(super) fn from_row(row: &[u8]) -> Result<Self, LedgerError> {
        decode(row)
    }
}

/// The lists that a head's header only names by their hashes. They are kept,
/// 32 bytes a pack, because what a verified head added is what a rebuild of
/// an index may trust.
#[derive(Clone, PartialEq, Message)]
pub(super) struct ChangesRow {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) adds: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) removes: Vec<u8>,
}

#[cfg(test)]
mod tests;
