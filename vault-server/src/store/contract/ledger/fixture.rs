//! What the tests of a ledger begin with.

use std::time::Duration;

use vault_proto::{
    ids::{AccountId, DeviceId, HeadHash, PackId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};

use crate::{
    clock::UnixTime,
    store::{
        ledger::{
            AccountCreation, Appended, Commit, HeadCommit, Ledger, LinksEnd, NewAccount,
            NewAccountEntry, NewVault, NewVaultEntry, QuotaRoom, Reservation, Reserve, Urgency,
            VaultCreation,
        },
        records::{Blob, Fullness, Invitation, InvitationHash, Pack, PackState, Usage},
    },
};

pub(super) const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
pub(super) const QUOTA: u64 = 1_000_000;
pub(super) const KIB: u32 = 1024;

pub(super) fn account(number: u8) -> AccountId {
    AccountId::from_array([number; 32])
}

/// The one in the genesis of the account of this number.
pub(super) fn device(number: u8) -> DeviceId {
    DeviceId::from_array([number; 32])
}

/// The numbers of vaults say who made them: 11 and 12 are account 1's.
pub(super) fn vault(number: u8) -> VaultId {
    VaultId::from_array([number; 32])
}

pub(super) fn pack(number: u32) -> PackId {
    PackId::of(&number.to_le_bytes())
}

pub(super) fn blob(vault_number: u8, number: u32, size: u32) -> Blob {
    Blob {
        vault: vault(vault_number),
        pack: pack(number),
        size,
    }
}

/// The ids in the order that a head has them in.
pub(super) fn packs<const N: usize>(numbers: [u32; N]) -> Vec<PackId> {
    let mut packs: Vec<_> = numbers.into_iter().map(pack).collect();
    packs.sort();
    packs
}

pub(super) fn invitation(quota_bytes: u64) -> Invitation {
    Invitation {
        quota_bytes,
        label: "somebody".into(),
        expires: NOW.plus(DAY),
        used_by: None,
    }
}

pub(super) fn open_account(ledger: &dyn Ledger, number: u8) {
    let hash = InvitationHash([number; 32]);
    ledger.add_invitation(&hash, &invitation(QUOTA)).unwrap();
    let created = ledger
        .create_account(&NewAccount {
            invitation: hash,
            id: account(number),
            genesis: &[number; 100],
            devices: &[device(number)],
            now: NOW,
        })
        .unwrap();
    assert_eq!(created, AccountCreation::Created { quota_bytes: QUOTA });
}

pub(super) fn make_vault(ledger: &dyn Ledger, number: u8) {
    let created = ledger
        .create_vault(&NewVault {
            id: vault(number),
            kind: VaultKind::Storage,
            creator: account(number / 10),
            genesis: &[number; 100],
        })
        .unwrap();
    assert_eq!(created, VaultCreation::Created);
}

/// Account 1 with vault 11.
pub(super) fn one_vault(ledger: &dyn Ledger) {
    open_account(ledger, 1);
    make_vault(ledger, 11);
}

pub(super) fn reserve(ledger: &dyn Ledger, blob: &Blob) -> Reservation {
    match ledger.reserve(blob, QuotaRoom::Plain, NOW).unwrap() {
        Reserve::Reserved(reservation) => reservation,
        refused => panic!("{refused:?}"),
    }
}

pub(super) fn upload_at(ledger: &dyn Ledger, blob: &Blob, now: UnixTime) {
    let reservation = reserve(ledger, blob);
    ledger.record_pack(reservation, now).unwrap();
}

pub(super) fn upload(ledger: &dyn Ledger, blob: &Blob) {
    upload_at(ledger, blob, NOW);
}

pub(super) fn usage(ledger: &dyn Ledger, number: u8) -> Usage {
    ledger.account(&account(number)).unwrap().unwrap().usage
}

pub(super) fn usage_of(committed: u32, unclaimed: u32, trash: u32) -> Usage {
    Usage {
        committed_bytes: committed.into(),
        unclaimed_bytes: unclaimed.into(),
        trash_bytes: trash.into(),
    }
}

pub(super) fn record(ledger: &dyn Ledger, blob: &Blob) -> Option<Pack> {
    ledger.packs(&blob.vault, &[blob.pack]).unwrap()[0]
}

pub(super) fn state(ledger: &dyn Ledger, blob: &Blob) -> PackState {
    record(ledger, blob).unwrap().state
}

pub(super) fn full(used_bytes: u64) -> Fullness {
    Fullness {
        quota_bytes: QUOTA,
        used_bytes,
    }
}

/// A head that nobody signed; `salt` makes it another one at the same place.
pub(super) fn position(seq: u64, salt: u8) -> HeadPosition {
    let mut hash = [salt; 32];
    hash[..8].copy_from_slice(&seq.to_le_bytes());
    HeadPosition {
        seq,
        hash: HeadHash::from_array(hash),
    }
}

/// Commits head `seq` on top of head `seq - 1`, both with salt 0.
pub(super) fn commit_at(
    ledger: &dyn Ledger,
    vault_number: u8,
    seq: u64,
    adds: &[PackId],
    removes: &[PackId],
    now: UnixTime,
) -> Commit {
    ledger
        .commit_head(&HeadCommit {
            adds,
            removes,
            now,
            ..head(vault_number, seq, 0)
        })
        .unwrap()
}

pub(super) fn commit(ledger: &dyn Ledger, seq: u64, adds: &[PackId], removes: &[PackId]) -> Commit {
    commit_at(ledger, 11, seq, adds, removes, NOW)
}

/// An empty head, on a log of one entry.
pub(super) fn head(vault_number: u8, seq: u64, salt: u8) -> HeadCommit<'static> {
    HeadCommit {
        vault: vault(vault_number),
        previous: (seq > 1).then(|| position(seq - 1, 0)),
        head: position(seq, salt),
        log_seq: 1,
        device: DeviceId::from_array([9; 32]),
        signed: &[7; 456],
        root: &[8; 4096],
        adds: &[],
        removes: &[],
        now: NOW,
    }
}

/// An entry of account 1's log.
pub(super) fn append_own(
    ledger: &dyn Ledger,
    seq: u64,
    entry: &[u8],
    urgency: Urgency,
) -> Appended {
    ledger
        .append_account_entry(&NewAccountEntry {
            account: account(1),
            seq,
            entry,
            added: None,
            removed: None,
            urgency,
        })
        .unwrap()
}

pub(super) fn append(
    ledger: &dyn Ledger,
    seq: u64,
    head: Option<HeadPosition>,
    joined: Option<u8>,
    left: Option<u8>,
) -> Appended {
    ledger
        .append_vault_entry(&NewVaultEntry {
            vault: vault(11),
            seq,
            head,
            entry: &[seq as u8; 100],
            joined: joined.map(account),
            accepted: None,
            left: left.map(account),
            links_end: LinksEnd::None,
            urgency: Urgency::Ordinary,
        })
        .unwrap()
}
