//! Keys of the tables.

use vault_proto::ids::{AccountId, PackId, VaultId};

use crate::{
    clock::UnixTime,
    store::records::{LinkId, OfferHash, Ticket, TicketHash},
};

pub(super) fn of_log(log: &[u8; 32], seq: u64) -> Vec<u8> {
    [&log[..], &seq.to_be_bytes()].concat()
}

pub(super) fn of_member(account: &AccountId, vault: &VaultId) -> Vec<u8> {
    [&account.as_bytes()[..], vault.as_bytes()].concat()
}

pub(super) fn of_pack(vault: &VaultId, pack: &PackId) -> Vec<u8> {
    [&vault.as_bytes()[..], pack.as_bytes()].concat()
}

/// The vault and pack of a key of that table; `None` if it is none.
pub(super) fn pack_of(key: &[u8]) -> Option<(VaultId, PackId)> {
    let (vault, pack) = key.split_at_checked(32)?;
    Some((
        VaultId::from_slice(vault).ok()?,
        PackId::from_slice(pack).ok()?,
    ))
}

/// Offers of an account sort by the time at which they are dropped: each waits
/// as long as any other, so that is the order in which they came.
pub(super) fn of_offer(account: &AccountId, until: UnixTime, hash: &OfferHash) -> Vec<u8> {
    [
        &account.as_bytes()[..],
        &until.seconds().to_be_bytes(),
        &hash.0,
    ]
    .concat()
}

/// The time and the hash of a key of that table, of this account; `None` if it
/// is none.
pub(super) fn offer_of(account: &AccountId, key: &[u8]) -> Option<(UnixTime, OfferHash)> {
    let rest = key.strip_prefix(account.as_bytes())?;
    let (until, hash) = rest.split_first_chunk::<8>()?;
    let until = UnixTime::from_seconds(u64::from_be_bytes(*until));
    Some((until, OfferHash(hash.try_into().ok()?)))
}

pub(super) fn of_vault_link(vault: &VaultId, link: &LinkId) -> Vec<u8> {
    [&vault.as_bytes()[..], &link.0].concat()
}

pub(super) fn of_linked_pack(vault: &VaultId, pack: &PackId, link: &LinkId) -> Vec<u8> {
    [&of_pack(vault, pack)[..], &link.0].concat()
}

/// The link of a key of one of these tables that begins with `of`; `None` if it
/// does not.
pub(super) fn link_of(of: &[u8], key: &[u8]) -> Option<LinkId> {
    let link = key.strip_prefix(of)?;
    Some(LinkId(link.try_into().ok()?))
}

/// Tickets of a link sort by when they were made.
pub(super) fn of_link_ticket(ticket: &Ticket, hash: &TicketHash) -> Vec<u8> {
    let opened = ticket.opened.seconds().to_be_bytes();
    [&ticket.link.0[..], &opened, &hash.0].concat()
}

/// The hash of a key of that table, of this link; `None` if it is none.
pub(super) fn link_ticket_of(link: &LinkId, key: &[u8]) -> Option<TicketHash> {
    let (_, hash) = key.strip_prefix(&link.0)?.split_first_chunk::<8>()?;
    Some(TicketHash(hash.try_into().ok()?))
}

/// What the sweep has to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// A pack whose lease or grace period is over, or that is doomed.
    Pack(VaultId, PackId),
    /// A root that is not the newest, and may be dropped.
    Root(VaultId, u64),
    /// An offer that waited too long.
    Offer(AccountId, OfferHash),
    /// A link that is over.
    Link(LinkId),
}

/// The tables of all kinds of due things in one: they sort by kind, then time.
const PACK: u8 = 0;
const ROOT: u8 = 1;
const OFFER: u8 = 2;
const LINK: u8 = 3;

impl Due {
    pub(super) fn key(&self, due: UnixTime) -> Vec<u8> {
        let time = due.seconds().to_be_bytes();
        match self {
            Self::Pack(vault, pack) => {
                [&[PACK], &time[..], vault.as_bytes(), pack.as_bytes()].concat()
            }
            Self::Root(vault, seq) => {
                [&[ROOT], &time[..], vault.as_bytes(), &seq.to_be_bytes()].concat()
            }
            Self::Offer(account, hash) => {
                [&[OFFER], &time[..], account.as_bytes(), &hash.0].concat()
            }
            Self::Link(link) => [&[LINK], &time[..], &link.0].concat(),
        }
    }

    /// Where the packs begin.
    pub(super) const PACKS: [u8; 1] = [PACK];
    /// Where the roots begin.
    pub(super) const ROOTS: [u8; 1] = [ROOT];
    /// Where the offers begin.
    pub(super) const OFFERS: [u8; 1] = [OFFER];
    /// Where the links begin.
    pub(super) const LINKS: [u8; 1] = [LINK];

    /// The time and the thing of a key; `None` if it is none.
    pub(super) fn from_key(key: &[u8]) -> Option<(UnixTime, Self)> {
        let (kind, rest) = key.split_first()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (of, rest) = rest.split_first_chunk::<32>()?;
        let vault = VaultId::from_array(*of);
        let due = match *kind {
            PACK => Self::Pack(vault, PackId::from_slice(rest).ok()?),
            ROOT => Self::Root(vault, u64::from_be_bytes(rest.try_into().ok()?)),
            OFFER => Self::Offer(AccountId::from_array(*of), OfferHash(rest.try_into().ok()?)),
            LINK if rest.is_empty() => Self::Link(LinkId(*of)),
            _ => return None,
        };
        Some((UnixTime::from_seconds(u64::from_be_bytes(*time)), due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As they are on the disks of hosters.
    #[test]
    fn keys_are_ids_and_big_endian_numbers_end_to_end() {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        let (vault, pack) = (VaultId::from_array([9; 32]), PackId::from_array([7; 32]));
        let account = AccountId::from_array([8; 32]);
        let (nines, sevens) = ("09".repeat(32), "07".repeat(32));
        let log = of_log(vault.as_bytes(), 258);
        assert_eq!(hex(&log), format!("{nines}0000000000000102"));
        let member = hex(&of_member(&account, &vault));
        assert_eq!(member, format!("{}{nines}", "08".repeat(32)));
        assert_eq!(hex(&of_pack(&vault, &pack)), format!("{nines}{sevens}"));
        let time = UnixTime::from_seconds(1_800_000_000);
        let due = hex(&Due::Pack(vault, pack).key(time));
        assert_eq!(due, format!("00000000006b49d200{nines}{sevens}"));
        let due = hex(&Due::Root(vault, 3).key(time));
        assert_eq!(due, format!("01000000006b49d200{nines}0000000000000003"));
        let hash = OfferHash([7; 32]);
        let due = hex(&Due::Offer(account, hash).key(time));
        let eights = "08".repeat(32);
        assert_eq!(due, format!("02000000006b49d200{eights}{sevens}"));
        let key = of_offer(&account, time, &hash);
        assert_eq!(hex(&key), format!("{eights}000000006b49d200{sevens}"));
        assert_eq!(offer_of(&account, &key), Some((time, hash)));
        assert_eq!(offer_of(&AccountId::from_array([9; 32]), &key), None);
        let link = LinkId([8; 32]);
        let due = hex(&Due::Link(link).key(time));
        assert_eq!(due, format!("03000000006b49d200{eights}"));
        let key = of_vault_link(&vault, &link);
        assert_eq!(hex(&key), format!("{nines}{eights}"));
        assert_eq!(link_of(vault.as_bytes(), &key), Some(link));
        assert_eq!(link_of(&[7; 32], &key), None);
        let key = of_linked_pack(&vault, &pack, &link);
        assert_eq!(hex(&key), format!("{nines}{sevens}{eights}"));
        assert_eq!(link_of(vault.as_bytes(), &key), None);
        let ticket = Ticket {
            link,
            opened: time,
            expires: UnixTime::from_seconds(1),
            counted: false,
        };
        let key = of_link_ticket(&ticket, &TicketHash([7; 32]));
        assert_eq!(hex(&key), format!("{eights}000000006b49d200{sevens}"));
        assert_eq!(link_ticket_of(&link, &key), Some(TicketHash([7; 32])));
        assert_eq!(link_ticket_of(&LinkId([7; 32]), &key), None);
    }

    #[test]
    fn what_is_due_sorts_by_kind_and_time_and_reads_back() {
        let (vault, pack) = (VaultId::from_array([9; 32]), PackId::from_array([7; 32]));
        let times = [0, 1, 255, 256, u64::MAX].map(UnixTime::from_seconds);
        let things = [
            Due::Pack(vault, pack),
            Due::Root(vault, 300),
            Due::Offer(AccountId::from_array([1; 32]), OfferHash([2; 32])),
            Due::Link(LinkId([3; 32])),
        ];
        let keys: Vec<_> = things
            .iter()
            .flat_map(|thing| times.map(|time| (thing.key(time), (time, *thing))))
            .collect();
        assert!(keys.is_sorted_by(|a, b| a.0 < b.0));
        for (key, thing) in keys {
            assert_eq!(Due::from_key(&key), Some(thing));
            assert_eq!(Due::from_key(&key[..key.len() - 1]), None);
        }
    }
}
