//! Two members who write to one vault at the same moment.

use std::collections::BTreeMap;
use std::thread;

use vault_client::account::{Account, VaultSelector};
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_client::vault::Vault;
use vault_core::snapshot::SnapshotId;
use vault_proto::vault_log::Role;

use super::Person;
use crate::engine::{Files, assert_whole, backed_up, content_of, noise, restored, snapshots};

const BACKUPS: u64 = 6;

/// What a snapshot should give back.
type Saved = (SnapshotId, BTreeMap<String, Vec<u8>>);

/// One backup after the other, each with a file more, and each again until it
/// stands.
fn back_up_often(account: &Account, vault: &VaultSelector, files: &Files, seed: u64) -> Vec<Saved> {
    let mut vault = account.open_vault(vault).unwrap();
    let backups = (0..BACKUPS).map(|number| {
        let content = noise(seed * 1_000 + number, 8_000);
        files.write(&format!("new-{number}"), &content);
        loop {
            match backed_up(&mut vault, files) {
                Ok(report) => return (report.snapshot.unwrap(), content_of(files.path())),
                Err(error) if error.is_transient() => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    backups.collect()
}

/// Every snapshot of both is there, and gives back what was saved in it.
fn assert_all_there(vault: &mut Vault, work: &[(&Files, &[Saved])]) {
    vault.refresh().unwrap();
    let found = snapshots(vault);
    assert_eq!(found.len() as u64, 2 * BACKUPS);
    for (files, saved) in work {
        for (id, content) in *saved {
            let named = found.iter().find(|named| named.id == *id);
            let target = tempfile::tempdir().unwrap();
            let report = restored(vault, named.unwrap(), files.path(), target.path());
            assert_eq!(report.unwrap().left_out, []);
            assert_eq!(content_of(target.path()), *content);
        }
    }
    assert_whole(vault);
}

#[test]
fn no_members_snapshot_is_lost_when_both_write_at_once() {
    let (here, there) = (MemoryHoster::named("here"), MemoryHoster::named("there"));
    let network = MemoryNetwork::new(&[&here, &there]);
    let alice = Person::new("alice", &network, &here);
    let bob = Person::new("bob", &network, &there);
    let mut of_alice = alice.account.create_vault("documents").unwrap();
    let shared = alice
        .account
        .share(&mut of_alice, &bob.address(), Role::Writer)
        .unwrap();
    let mut of_bob = bob.accept(&shared);
    let vault = VaultSelector::Id(of_alice.id());
    let [hers, his] = [Files::many(10, 3, 20_000), Files::many(11, 3, 20_000)];
    // Both save this, each not knowing whether the other's is any good.
    for files in [&hers, &his] {
        files.write("of both", &noise(3, 90_000));
    }
    let (of_hers, of_his) = thread::scope(|scope| {
        let hers = scope.spawn(|| back_up_often(&alice.account, &vault, &hers, 1));
        let his = scope.spawn(|| back_up_often(&bob.account, &vault, &his, 2));
        (hers.join().unwrap(), his.join().unwrap())
    });
    let work = [(&hers, &of_hers[..]), (&his, &of_his[..])];
    for vault in [&mut of_alice, &mut of_bob] {
        assert_all_there(vault, &work);
    }
    assert_eq!(of_alice.head(), of_bob.head());
    let by_bob = snapshots(&of_alice).into_iter();
    let by_bob = by_bob.filter(|named| named.snapshot.fields().device == bob.account.device());
    assert_eq!(by_bob.count() as u64, BACKUPS);
}
