//! What is on the disk when a device is told so.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use vault_proto::{ids::PackId, pack_list::PackList};
use vault_rpc::hoster::{
    CreateLinkRequest, LinkBlocks, OpenLinkRequest, PackRange, PutOfferRequest, ReadLinkRequest,
    RevokeLinkRequest,
};

use crate::support::{Done, TestServer, WatchedDisk, pack, sorted};

const KIB: usize = 1 << 10;

/// Whether everything was durable at each acknowledgement: each pack in `files`
/// written, fsynced, renamed, its directory fsynced and every directory that
/// was made for it too, and then the ledger.
fn check(events: &[Done], files: &[PackId]) -> Result<(), String> {
    let acknowledged = events.iter().position(|done| *done == Done::Acknowledged);
    let events = &events[..acknowledged.ok_or("nothing was acknowledged")?];
    let after = |from: usize, wanted: &Done| {
        let found = events[from..].iter().position(|done| done == wanted);
        found.map(|at| from + at)
    };
    // The last thing before the answer is the synced write that it stands for.
    if events.last() != Some(&Done::SyncedLedger) {
        return Err(format!("acknowledged after {:?}", events.last()));
    }
    let synced_ledger = events.len() - 1;
    for pack in files {
        let name = pack.to_string();
        let renamed = events.iter().enumerate().find_map(|(at, done)| match done {
            Done::Renamed(from, to) if to.ends_with(&name) => Some((at, from, to)),
            _ => None,
        });
        let (renamed, from, to) = renamed.ok_or(format!("{name} was not renamed"))?;
        let written = events
            .iter()
            .rposition(|done| *done == Done::Wrote(from.clone()));
        let written = written.ok_or(format!("{name} was not written"))?;
        let synced = after(written, &Done::SyncedFile(from.clone()));
        if synced.is_none_or(|synced| synced > renamed) {
            return Err(format!("{name} was not fsynced before its rename"));
        }
        let mut gained = vec![(renamed, to.as_path())];
        for above in to.ancestors().skip(1) {
            let made = Done::CreatedDirectory(above.into());
            gained.extend(after(0, &made).map(|made| (made, above)));
        }
        for (made, path) in gained {
            let directory = path.parent().unwrap();
            let synced = after(made, &Done::SyncedDirectory(directory.into()));
            let recorded = after(made, &Done::WroteLedger);
            if synced.is_none_or(|synced| synced > recorded.unwrap_or(synced_ledger)) {
                return Err(format!("{} was not fsynced in time", directory.display()));
            }
        }
    }
    Ok(())
}

/// Uploads one pack of each kind, commits them, and returns what happened.
async fn commit_on_a_watched_disk() -> (Vec<Done>, Vec<PackId>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let server = TestServer::start_with(|config| {
        config.disk = Arc::new(WatchedDisk::new(
            |_| Ok(()),
            move |done| {
                log.lock().unwrap().push(done.clone());
                Ok(())
            },
        ));
    })
    .await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let packs = [pack(16 * KIB), pack(128 * KIB), pack(2048 * KIB)];
    for pack in &packs {
        member.put(vault.id(), pack).await.unwrap();
    }
    member
        .commit(&mut vault, &sorted(&packs), &PackList::default())
        .await;
    events.lock().unwrap().push(Done::Acknowledged);
    let events = events.lock().unwrap().clone();
    (events, packs[1..].iter().map(|pack| pack.id).collect())
}

#[tokio::test]
async fn a_head_is_acknowledged_when_all_of_it_is_durable() {
    let (events, files) = commit_on_a_watched_disk().await;
    check(&events, &files).unwrap();
}

/// The check above goes red when any one step is left out, or comes too late.
#[tokio::test]
async fn each_step_before_an_acknowledgement_is_missed() {
    let (events, files) = commit_on_a_watched_disk().await;
    let blobs = events.iter().find_map(|done| match done {
        Done::CreatedDirectory(path) if path.ends_with("blobs") => Some(path.clone()),
        _ => None,
    });
    let mut left_out = BTreeSet::new();
    for (at, done) in events.iter().enumerate() {
        let step = match done {
            Done::SyncedFile(_) => "fsync",
            Done::Renamed(..) => "rename",
            Done::SyncedDirectory(path) if is_of_a_pack(path, blobs.as_deref()) => "directory",
            Done::SyncedLedger if events[at + 1] == Done::Acknowledged => "ledger",
            _ => continue,
        };
        // A rename that failed because the directory was missing is followed by
        // another, and does not appear here.
        let mut without = events.clone();
        without.remove(at);
        check(&without, &files).expect_err(&format!("without {done:?}"));
        let mut late = events.clone();
        let done = late.remove(at);
        late.push(done);
        check(&late, &files).expect_err("after the acknowledgement");
        left_out.insert(step);
    }
    assert_eq!(
        left_out.into_iter().collect::<Vec<_>>(),
        ["directory", "fsync", "ledger", "rename"]
    );
}

/// What others rely on besides heads: nothing else may go back with the power.
#[tokio::test]
async fn guests_offers_and_links_are_durable_when_acknowledged() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&events);
    let server = TestServer::start_with(|config| {
        config.disk = Arc::new(WatchedDisk::new(
            |_| Ok(()),
            move |done| {
                log.lock().unwrap().push(done.clone());
                Ok(())
            },
        ));
    })
    .await;
    let home = TestServer::start().await;
    let (mut member, guest) = (server.member().await, home.member().await);
    let mut vault = member.create_vault().await;
    let (capsule, shared) = (pack(16 * KIB), pack(16 * KIB));
    for pack in [&capsule, &shared] {
        member.put(vault.id(), pack).await.unwrap();
    }
    let adds = sorted([&capsule, &shared]);
    member.commit(&mut vault, &adds, &PackList::default()).await;
    let synced = |what: &str| {
        let events = std::mem::take(&mut *events.lock().unwrap());
        assert_eq!(events.last(), Some(&Done::SyncedLedger), "{what}");
    };
    synced("a head");
    member.bring(&guest, 1).await.unwrap();
    synced("a guest");
    let request = member.request(PutOfferRequest {
        account: member.id().to_vec(),
        offer: vec![1],
    });
    member.client.put_offer(request).await.unwrap();
    synced("an offer");
    let link = vec![7; 32];
    let request = member.request(CreateLinkRequest {
        vault: vault.id().to_vec(),
        link: link.clone(),
        capsule: capsule.id.to_vec(),
        packs: vec![LinkBlocks {
            pack: shared.id.to_vec(),
            blocks: vec![1],
        }],
        expires: 0,
        max_downloads: 3,
    });
    member.client.create_link(request).await.unwrap();
    synced("a link");
    let open = OpenLinkRequest { link: link.clone() };
    let opened = member.client.open_link(open).await.unwrap().into_inner();
    let range = PackRange {
        pack: shared.id.to_vec(),
        offset: 0,
        length: 1,
    };
    let read = ReadLinkRequest {
        ticket: opened.ticket,
        ranges: vec![range],
    };
    member.client.read_link(read).await.unwrap();
    synced("a download that counts");
    let request = member.request(RevokeLinkRequest {
        vault: vault.id().to_vec(),
        link,
    });
    member.client.revoke_link(request).await.unwrap();
    synced("a revocation");
}

/// Whether the directory is `blobs/` or below it.
fn is_of_a_pack(path: &Path, blobs: Option<&Path>) -> bool {
    blobs.is_some_and(|blobs| path.starts_with(blobs))
        && !path.ends_with("incoming")
        && path != blobs.map_or_else(PathBuf::new, Path::to_owned)
}
