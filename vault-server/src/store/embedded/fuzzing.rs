//! Keys and rows of the tables, whatever the disk gives back: for the properties below, and
//! for the fuzz target `ledger_row`. What is read is the same when it is written once more.

use std::fmt::Debug;

use vault_proto::ids::{AccountId, VaultId};

use super::{
    keys::{self, Due},
    rows::{MemberRow, Record},
};
use crate::store::records::{
    Account, HeadRecord, Invitation, Link, LinkId, Offer, Pack, Ticket, Token, Vault,
};

/// The same bytes as a row of every table, and as a key of those whose keys are read.
pub(super) fn row(bytes: &[u8]) {
    again::<Invitation>(|| (), bytes);
    again::<Account>(|| AccountId::from_array([1; 32]), bytes);
    again::<Token>(|| (), bytes);
    again::<Vault>(|| VaultId::from_array([2; 32]), bytes);
    again::<Pack>(|| (), bytes);
    again::<HeadRecord>(|| (), bytes);
    again::<Offer>(|| (), bytes);
    again::<Link>(|| LinkId([3; 32]), bytes);
    again::<Ticket>(|| (), bytes);
    let _ = MemberRow::from_row(bytes);
    key(bytes);
}

fn again<R: Record + PartialEq + Debug>(key: impl Fn() -> R::Key, row: &[u8]) {
    if let Ok(record) = R::from_row(key(), row) {
        let again = R::from_row(key(), &record.to_row());
        assert_eq!(again.expect("it was written"), record);
    }
}

fn key(bytes: &[u8]) {
    if let Some((due, thing)) = Due::from_key(bytes) {
        assert_eq!(thing.key(due), bytes);
    }
    if let Some((vault, pack)) = keys::pack_of(bytes) {
        assert_eq!(keys::of_pack(&vault, &pack), bytes);
    }
    let Some(of) = bytes.first_chunk() else {
        return;
    };
    let (account, vault, link) = (
        AccountId::from_array(*of),
        VaultId::from_array(*of),
        LinkId(*of),
    );
    if let Some((until, hash)) = keys::offer_of(&account, bytes) {
        assert_eq!(keys::of_offer(&account, until, &hash), bytes);
    }
    if let Some(link) = keys::link_of(vault.as_bytes(), bytes) {
        assert_eq!(keys::of_vault_link(&vault, &link), bytes);
    }
    let _ = keys::link_ticket_of(&link, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixTime,
        store::records::{OfferFrom, OfferHash, PackState},
    };

    fn rows() -> Vec<Vec<u8>> {
        let (account, vault) = (AccountId::from_array([1; 32]), VaultId::from_array([2; 32]));
        let until = UnixTime::from_seconds(1_800_000_000);
        let offer = Offer {
            offer: vec![4, 5],
            from: OfferFrom::Member(account),
        };
        let pack = Pack {
            size: 16 << 10,
            state: PackState::Trash { until },
        };
        vec![
            offer.to_row(),
            pack.to_row(),
            keys::of_offer(&account, until, &OfferHash([6; 32])),
            Due::Root(vault, 7).key(until),
            Due::Link(LinkId([8; 32])).key(until),
        ]
    }

    /// Every byte of each, as every other: they are short.
    #[test]
    fn no_change_is_too_odd() {
        for whole in rows() {
            for length in 0..=whole.len() {
                row(&whole[..length]);
            }
            for at in 0..whole.len() {
                for byte in 0..=u8::MAX {
                    let mut changed = whole.clone();
                    changed[at] = byte;
                    row(&changed);
                }
            }
        }
    }
}
