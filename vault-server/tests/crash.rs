//! After a crash: leftovers are swept, nothing committed is missing.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vault_proto::{
    ids::{PackId, VaultId},
    pack_list::PackList,
};
use vault_rpc::hoster::Reason;
use vault_server::store::{PackState, Reconciled};

use crate::support::{Done, Member, TestServer, WatchedDisk, assert_refused, pack, sorted};

const KIB: usize = 1 << 10;

static NEVER: AtomicBool = AtomicBool::new(false);

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Waits until the server has deleted a file, a minute at most.
async fn until_it_is_gone(path: &Path) {
    let gone = async {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = tokio::time::timeout(Duration::from_secs(60), gone).await;
    gone.unwrap_or_else(|_| panic!("{} is there still", path.display()));
}

/// Waits until the server has noticed that a pack is lost, a minute at most.
async fn until_it_is_marked(server: &TestServer, vault: VaultId, pack: PackId) {
    let is_marked = || {
        let records = server.server.ledger().packs(&vault, &[pack]).unwrap();
        records[0].is_some_and(|pack| pack.state == PackState::Lost)
    };
    let marked = async {
        while !is_marked() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let marked = tokio::time::timeout(Duration::from_secs(60), marked).await;
    marked.expect("the start does not find it");
}

async fn reconnect(server: &TestServer, member: &mut Member) {
    let invitation = server.invite(1).await;
    member.reconnect(server.dial(&invitation).await);
}

#[tokio::test]
async fn what_interrupted_uploads_left_is_removed() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let (kept, unclaimed) = (pack(256 * KIB), pack(128 * KIB));
    for pack in [&kept, &unclaimed] {
        member.put(vault.id(), pack).await.unwrap();
    }
    member
        .commit(&mut vault, &sorted([&kept]), &PackList::default())
        .await;
    let of_a_pack = |data: &Path, id: PackId| {
        let name = id.to_string();
        let vault = data.join("blobs").join(vault.id().to_string());
        vault.join(&name[..2]).join(&name[2..4]).join(&name)
    };
    let unknown = PackId::of(b"unknown");
    let server = server
        .restart(|data| {
            // An upload that was under way, and one that was renamed when the
            // ledger had not heard of it.
            fs::write(data.join("blobs/incoming/0"), b"half").unwrap();
            let path = of_a_pack(data, unknown);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, [0; 128 * KIB]).unwrap();
            // What is not ours stays.
            fs::write(data.join("blobs/README"), b"a note").unwrap();
        })
        .await;
    let data = server.data.path();
    // The server does this by itself, some time after its start.
    until_it_is_gone(&of_a_pack(&data, unknown)).await;
    let mut left = files(&data.join("blobs"));
    left.sort();
    let mut expected = vec![
        of_a_pack(&data, kept.id),
        of_a_pack(&data, unclaimed.id),
        data.join("blobs/README"),
    ];
    expected.sort();
    assert_eq!(left, expected);

    reconnect(&server, &mut member).await;
    let whole = |pack: &crate::support::Packed| (pack.id, 0, pack.bytes.len() as u32);
    let read = member
        .read(vault.id(), &[whole(&kept), whole(&unclaimed)])
        .await;
    assert!(read.unwrap() == [&kept.bytes[..], &unclaimed.bytes].concat());
    member
        .commit(&mut vault, &sorted([&unclaimed]), &PackList::default())
        .await;
}

#[tokio::test]
async fn a_committed_pack_that_vanished_is_reported_and_repaired() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let lost = pack(256 * KIB);
    member.put(vault.id(), &lost).await.unwrap();
    member
        .commit(&mut vault, &sorted([&lost]), &PackList::default())
        .await;
    let server = server
        .restart(|data| {
            for path in files(&data.join("blobs")) {
                fs::remove_file(path).unwrap();
            }
        })
        .await;
    // The start finds it, before anybody reads.
    until_it_is_marked(&server, vault.id(), lost.id).await;
    reconnect(&server, &mut member).await;
    let read = member.read(vault.id(), &[(lost.id, 0, 1)]).await;
    assert_refused(read, Reason::NotFound);
    let found = server.server.packs().reconcile(&NEVER).unwrap();
    assert_eq!(found, Reconciled::default(), "there is nothing to find");
    // A device that still has it puts it back, whatever its quota.
    server.server.ledger().set_quota(&member.id(), 1).unwrap();
    assert!(!member.put(vault.id(), &lost).await.unwrap().was_there);
    let read = member.read(vault.id(), &[(lost.id, 0, 100)]).await.unwrap();
    assert!(read == lost.bytes[..100]);
}

/// A disk that cannot be read today may be read tomorrow.
#[tokio::test]
async fn a_pack_that_cannot_be_read_is_not_lost() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let packed = pack(256 * KIB);
    member.put(vault.id(), &packed).await.unwrap();
    let adds = sorted([&packed]);
    member.commit(&mut vault, &adds, &PackList::default()).await;
    let [path] = &files(&server.data.path().join("blobs"))[..] else {
        panic!("one pack");
    };
    // Where the name leads to itself, nobody can tell what is there.
    let away = path.with_extension("away");
    fs::rename(path, &away).unwrap();
    symlink(path, path).unwrap();
    let range = [(packed.id, 0, 100)];
    for _ in 0..2 {
        let read = member.read(vault.id(), &range).await;
        assert_refused(read, Reason::Internal);
    }
    fs::remove_file(path).unwrap();
    fs::rename(&away, path).unwrap();
    let read = member.read(vault.id(), &range).await.unwrap();
    assert!(read == packed.bytes[..100]);
}

/// A disk that is full whenever the switch is on.
fn fills_up(full: &Arc<AtomicBool>, when: fn(&Done) -> bool) -> Arc<WatchedDisk> {
    let full = Arc::clone(full);
    Arc::new(WatchedDisk::new(
        move |done| match full.load(Ordering::SeqCst) && when(done) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        },
        |_| Ok(()),
    ))
}

#[tokio::test]
async fn a_disk_that_fills_up_refuses_and_recovers() {
    let steps: [fn(&Done) -> bool; 7] = [
        |done| matches!(done, Done::Created(_)),
        |done| matches!(done, Done::Wrote(_)),
        |done| matches!(done, Done::SyncedFile(_)),
        |done| matches!(done, Done::Renamed(..)),
        |done| matches!(done, Done::CreatedDirectory(_)),
        |done| matches!(done, Done::SyncedDirectory(_)),
        |done| matches!(done, Done::WroteLedger),
    ];
    for (number, step) in steps.into_iter().enumerate() {
        let full = Arc::new(AtomicBool::new(false));
        let disk = fills_up(&full, step);
        let server = TestServer::start_with(|config| config.disk = disk).await;
        let mut member = server.member().await;
        let mut vault = member.create_vault().await;
        let large = pack(1024 * KIB);
        full.store(true, Ordering::SeqCst);
        assert_refused(member.put(vault.id(), &large).await, Reason::DiskFull);
        full.store(false, Ordering::SeqCst);
        let incoming = server.data.path().join("blobs/incoming");
        assert_eq!(files(&incoming), Vec::<PathBuf>::new(), "step {number}");
        assert!(!member.put(vault.id(), &large).await.unwrap().was_there);

        let commit = member.commit_of(&vault, &sorted([&large]), &PackList::default());
        assert!(member.send(&commit).await.is_ok());
        vault.follow(&commit);
        let size = large.bytes.len() as u32;
        let read = member
            .read(vault.id(), &[(large.id, 0, size)])
            .await
            .unwrap();
        assert!(read == large.bytes);
    }
}

#[tokio::test]
async fn a_head_that_cannot_be_written_is_not_accepted() {
    let full = Arc::new(AtomicBool::new(false));
    let disk = fills_up(&full, |done| *done == Done::SyncedLedger);
    let server = TestServer::start_with(|config| config.disk = disk).await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let pack = pack(16 * KIB);
    member.put(vault.id(), &pack).await.unwrap();
    let commit = member.commit_of(&vault, &sorted([&pack]), &PackList::default());
    full.store(true, Ordering::SeqCst);
    assert_refused(member.send(&commit).await, Reason::DiskFull);
    full.store(false, Ordering::SeqCst);
    // The same head, byte for byte, once there is room.
    assert!(member.send(&commit).await.is_ok());
    vault.follow(&commit);
    member
        .commit(&mut vault, &PackList::default(), &sorted([&pack]))
        .await;
}

/// The sweep unlinks only what the ledger durably calls doomed.
#[tokio::test]
async fn the_sweep_marks_before_it_unlinks() {
    let events = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let disk = WatchedDisk::new(
        |_| Ok(()),
        move |done| {
            log.lock().unwrap().push(done.clone());
            Ok(())
        },
    );
    let server = TestServer::start_with(|config| config.disk = Arc::new(disk)).await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let (one, two) = (pack(128 * KIB), pack(256 * KIB));
    for pack in [&one, &two] {
        member.put(vault, pack).await.unwrap();
    }
    server.clock.advance(Duration::from_secs(7 * 24 * 60 * 60));
    let now = vault_server::clock::Clock::now(&*server.clock);
    events.lock().unwrap().clear();
    let swept = server.server.packs().sweep(now).unwrap();
    assert_eq!((swept.packs, swept.bytes), (2, 384 * KIB as u64));
    let events = events.lock().unwrap();
    let synced = events.iter().position(|done| *done == Done::SyncedLedger);
    let deleted = |done: &&Done| matches!(done, Done::Deleted(_));
    let first = events.iter().position(|done| deleted(&done));
    assert!(synced.unwrap() < first.unwrap(), "{events:?}");
    assert_eq!(events.iter().filter(deleted).count(), 2);
}
