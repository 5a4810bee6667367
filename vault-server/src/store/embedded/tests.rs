//! What only this store can go wrong with: its directories, its database.

mod older;
mod shown;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use tempfile::TempDir;
use vault_proto::{
    ids::{AccountId, PackId, VaultId},
    wire::VaultKind,
};

use super::{rows::Record, *};
use crate::{
    clock::UnixTime,
    store::{
        blobs::{BlobStore, Which},
        ledger::{
            AccountCreation, AccountLedger, Copied, LogCopy, NewAccount, NewVault, PackLedger,
            QuotaRoom, Reserve, Urgency, VaultCreation, VaultLedger,
        },
        packs::{Begun, DiskReserve, Packs},
        records::{Blob, Invitation, InvitationHash, PackState, Presence},
    },
};

const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);
const ACCOUNT: AccountId = AccountId::from_array([4; 32]);
const VAULT: VaultId = VaultId::from_array([3; 32]);
const QUOTA: u64 = 10_000_000;
static NEVER: AtomicBool = AtomicBool::new(false);

fn open_in(directory: &Path) -> Embedded {
    let (lock, _) = DirectoryLock::acquire(directory).unwrap();
    open(directory, lock, Terms::default(), Arc::new(RealDisk)).unwrap()
}

/// A store with an account that has a vault.
fn with_vault() -> (TempDir, Embedded) {
    let directory = tempfile::tempdir().unwrap();
    let store = open_in(directory.path());
    let hash = InvitationHash([1; 32]);
    let invitation = Invitation {
        quota_bytes: QUOTA,
        label: String::new(),
        expires: UnixTime::from_seconds(u64::MAX),
        used_by: None,
    };
    store.ledger.add_invitation(&hash, &invitation).unwrap();
    let account = NewAccount {
        invitation: hash,
        id: ACCOUNT,
        genesis: &[1; 10],
        devices: &[],
        now: NOW,
    };
    let created = store.ledger.create_account(&account).unwrap();
    assert!(matches!(created, AccountCreation::Created { .. }));
    let vault = NewVault {
        id: VAULT,
        kind: VaultKind::Storage,
        creator: ACCOUNT,
        genesis: &[1; 10],
    };
    let created = store.ledger.create_vault(&vault).unwrap();
    assert_eq!(created, VaultCreation::Created);
    (directory, store)
}

fn packs_of(store: Embedded) -> Arc<Packs> {
    let reserve = DiskReserve {
        bytes: 0,
        percent: 0,
    };
    Arc::new(Packs::new(
        Arc::new(store.ledger),
        Arc::new(store.blobs),
        reserve,
    ))
}

fn blob(size: u32) -> (Blob, Vec<u8>) {
    let bytes = vec![7; size as usize];
    let pack = PackId::of(&bytes);
    let vault = VAULT;
    (Blob { vault, pack, size }, bytes)
}

fn put(packs: &Arc<Packs>, size: u32) -> Blob {
    let (blob, bytes) = blob(size);
    let Begun::Upload(mut upload) = packs.begin(&blob, QuotaRoom::Plain, NOW).unwrap() else {
        panic!("it is there already");
    };
    upload.write(&bytes).unwrap();
    upload.finish(NOW).unwrap();
    blob
}

#[test]
fn a_directory_that_cannot_be_read_hides_no_other() {
    let (directory, store) = with_vault();
    let packs = packs_of(store);
    let [lost, hidden] = [1 << 20, 2 << 20].map(|size| put(&packs, size));
    let of = |blob: &Blob| {
        let name = blob.pack.to_string();
        let vault = directory.path().join("blobs").join(VAULT.to_string());
        (vault.join(&name[..2]), name)
    };
    // One pack is gone; of another, the directory leads to itself.
    let (first, name) = of(&lost);
    fs::remove_file(first.join(&name[2..4]).join(name)).unwrap();
    let (loops, _) = of(&hidden);
    fs::remove_dir_all(&loops).unwrap();
    symlink(&loops, &loops).unwrap();
    // And a pack that the ledger does not know.
    let bytes = vec![9; 1 << 20];
    let (unknown, _) = of(&Blob {
        pack: PackId::of(&bytes),
        ..lost
    });
    let name = PackId::of(&bytes).to_string();
    let unknown = unknown.join(&name[2..4]);
    fs::create_dir_all(&unknown).unwrap();
    fs::write(unknown.join(&name), &bytes).unwrap();

    packs.reconcile(&NEVER).unwrap_err();
    assert!(!unknown.join(name).exists());
    let have = packs.have(&VAULT, &[lost.pack, hidden.pack], NOW).unwrap();
    let expected = [Presence::Absent, Presence::There];
    assert_eq!(have, expected, "one cannot be told yet");
}

#[test]
fn what_cannot_be_removed_from_incoming_is_in_nobodys_way() {
    let (directory, store) = with_vault();
    drop(store);
    // A directory is not unlinked as a file is.
    fs::create_dir(directory.path().join("blobs/incoming/0")).unwrap();
    let packs = packs_of(open_in(directory.path()));
    let blob = put(&packs, 1 << 20);
    assert_eq!(
        packs.have(&VAULT, &[blob.pack], NOW).unwrap(),
        [Presence::There]
    );
}

#[test]
fn the_ledger_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    // Made beforehand, for everybody to look at.
    set_mode(directory.path(), 0o755);
    let ledger = directory.path().join("ledger");
    let mode = || fs::metadata(&ledger).unwrap().permissions().mode() & 0o777;
    drop(open_in(directory.path()));
    assert_eq!(mode(), 0o700);
    // A group is the hoster's to let in, everybody is not.
    for (before, after) in [(0o755, 0o750), (0o750, 0o750)] {
        set_mode(&ledger, before);
        drop(open_in(directory.path()));
        assert_eq!(mode(), after);
    }
}

#[test]
fn a_record_that_fails_gives_its_room_back() {
    let (_directory, store) = with_vault();
    let rocks = &store.blobs.rocks;
    let (blob, _) = blob(8 << 20);
    let reserve = || {
        let reserve = store.ledger.reserve(&blob, QuotaRoom::Plain, NOW);
        match reserve.unwrap() {
            Reserve::Reserved(reservation) => reservation,
            refused => panic!("{refused:?}"),
        }
    };
    let reservation = reserve();
    let vault = rocks.get(Table::Vaults, VAULT.as_bytes()).unwrap().unwrap();
    let put = |row: &[u8]| {
        let mut batch = rocks.batch();
        batch.put(Table::Vaults, VAULT.as_bytes(), row);
        batch.write(Sync::Later).unwrap();
    };
    put(&[0xff]);
    store.ledger.record_pack(reservation, NOW).unwrap_err();
    put(&vault);
    // Twice of it would not fit.
    store.ledger.release(reserve());
}

#[test]
fn a_small_pack_is_unrecorded_until_the_ledger_knows_it() {
    let (_directory, store) = with_vault();
    let unrecorded = |store: &Embedded| {
        let mut found = Vec::new();
        let mut visit = |blob| {
            found.push(blob);
            Ok(())
        };
        store
            .blobs
            .list(Which::ApartFromLedger, &mut visit)
            .unwrap();
        found
    };
    let (blob, bytes) = blob(16 << 10);
    let reserve = store.ledger.reserve(&blob, QuotaRoom::Plain, NOW).unwrap();
    let Reserve::Reserved(reservation) = reserve else {
        panic!("it is there already");
    };
    let mut incoming = store.blobs.begin(&blob).unwrap();
    incoming.write(&bytes).unwrap();
    incoming.finish().unwrap();
    assert_eq!(unrecorded(&store), [blob]);
    store.ledger.record_pack(reservation, NOW).unwrap();
    assert_eq!(unrecorded(&store), []);
    let records = store.ledger.packs(&VAULT, &[blob.pack]).unwrap();
    let state = records[0].map(|pack| pack.state);
    assert!(matches!(state, Some(PackState::Unclaimed { .. })));
    store.blobs.verify(&blob).unwrap();
}

#[test]
fn guests_from_before_their_bytes_were_counted_are_counted() {
    let (directory, store) = with_vault();
    let guest_bytes = |store: &Embedded| {
        let account = store.ledger.account(&ACCOUNT).unwrap();
        account.unwrap().guest_bytes
    };
    for number in [7, 8] {
        let copy = LogCopy {
            account: AccountId::from_array([number; 32]),
            after: 0,
            entries: &[vec![number; 100]],
            removed: &[],
            brought_by: ACCOUNT,
            urgency: Urgency::Ordinary,
            now: NOW,
        };
        let copied = store.ledger.put_account_log(&copy).unwrap();
        assert_eq!(copied, Copied::Copied { log_seq: 1 });
    }
    assert_eq!(guest_bytes(&store), 2 * (100 + 128));
    let mut older = store.ledger.account(&ACCOUNT).unwrap().unwrap();
    older.guest_bytes = 0;
    let mut batch = store.blobs.rocks.batch();
    batch.put(Table::Accounts, ACCOUNT.as_bytes(), &older.to_row());
    batch.delete(Table::Format, b"indexes");
    batch.write(Sync::Now).unwrap();
    drop(store);
    // Once: the next start leaves alone what is counted since.
    for _ in 0..2 {
        let store = open_in(directory.path());
        assert_eq!(guest_bytes(&store), 2 * (100 + 128));
    }
}
