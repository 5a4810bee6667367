//! Commits in the middle of a backup, while files go on being saved.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use vault_client::backup::{BackupOptions, back_up};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_client::state::PendingPack;
use vault_proto::ids::PackId;
use vault_proto::pack_list::MAX_LISTED_PACKS;

use super::recovery::{Stage, sent};
use super::{
    Event, Eventful, Files, SecondDevice, assert_restores, assert_whole, backed_up, content_of,
    forget_cache, noise, restored, silent, snapshots,
};
use crate::support::{Member, line_lost};

const MIB: usize = 1 << 20;

/// A line on which each pack takes a while, so that savers always have one ready when
/// another has arrived.
fn slow(events: &Eventful) {
    events.on(|event| {
        if event == Event::BeforePut {
            take(Duration::from_millis(25));
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing is waited for: it is slow"
)]
fn take(time: Duration) {
    std::thread::sleep(time);
}

/// Only bytes, or only time, make a checkpoint due.
fn due_after(mut options: BackupOptions, bytes: u64, interval: Duration) -> BackupOptions {
    options.checkpoint_bytes = bytes;
    options.checkpoint_interval = interval;
    options
}

/// How many packs each head claimed, of any vault.
fn claims(hoster: &MemoryHoster) -> Vec<usize> {
    let calls = hoster.calls().into_iter();
    let claims = calls.filter_map(|call| match call {
        Call::CommitHead(request) => Some(request.adds.len()),
        _ => None,
    });
    claims.collect()
}

#[test]
fn a_checkpoint_holds_all_that_its_tree_names_and_nothing_is_lost_between_two() {
    const DIRECTORIES: usize = 40;
    const FILES_IN_EACH: usize = 6;
    let member = Member::new();
    member.account.create_vault("documents").unwrap();
    let events = Eventful::new(&member.hoster);
    let device = SecondDevice::dialling(&member, events.clone());
    let files = Files::new(&[]);
    for directory in 0..DIRECTORIES {
        for file in 0..FILES_IN_EACH {
            let number = directory * FILES_IN_EACH + file;
            let content = noise(number as u64, 400_000 + 3_000 * number);
            files.write(&format!("{directory:02}/{file}"), &content);
            // Twice the same: the second relies on a chunk that another thread stores.
            files.write(&format!("{directory:02}/{file}-again"), &content);
        }
    }
    let mut vault = device.vault();
    let mut options = files.options();
    options.checkpoint_bytes = 8 << 20;
    slow(&events);
    let report = back_up(&mut vault, &options, &silent(), &Cancellation::new()).unwrap();
    events.quiet();
    assert_eq!(report.left_out, []);
    assert_eq!(report.files, 2 * (DIRECTORIES * FILES_IN_EACH) as u64);

    let found = snapshots(&vault);
    // How many, is a matter of how far the savers are ahead.
    assert!(found.len() >= 2, "{} snapshots", found.len());
    assert_whole(&mut vault);
    forget_cache(&vault);
    for partial in &found[..found.len() - 1] {
        assert!(!partial.snapshot.fields().complete);
        let target = tempfile::tempdir().unwrap();
        let report = restored(&vault, partial, files.path(), target.path()).unwrap();
        assert_eq!(report.left_out, []);
    }
    assert_restores(&vault, &found[found.len() - 1], &files);
    // The caches rely on no chunk that is not there.
    files.write("one more", b"so that there is something to commit");
    backed_up(&mut vault, &files).unwrap();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
}

/// A directory of which the files are more than a checkpoint, with directories before
/// and behind them.
fn flat(files: usize, length: usize) -> Files {
    let made = Files::new(&[
        ("flat/a directory/in it", b"one".to_vec()),
        ("flat/z directory/in it", b"two".to_vec()),
    ]);
    for number in 0..files {
        made.write(
            &format!("flat/file {number:04}"),
            &noise(number as u64, length),
        );
    }
    made
}

/// What an incomplete snapshot has is as it was saved, and the directories that were
/// done are in it.
fn assert_partial(stage: &Stage, files: &Files, checkpoints: usize) {
    let whole = content_of(files.path());
    let found = snapshots(&stage.vault);
    assert!(found.len() > checkpoints, "{} snapshots", found.len());
    let mut before = 0;
    for partial in &found[..found.len() - 1] {
        assert!(!partial.snapshot.fields().complete);
        let target = tempfile::tempdir().unwrap();
        let report = restored(&stage.vault, partial, files.path(), target.path()).unwrap();
        assert_eq!(report.left_out, []);
        let part = content_of(target.path());
        assert!(part.iter().all(|(path, bytes)| whole[path] == *bytes));
        for directory in ["a directory", "z directory"] {
            assert!(part.contains_key(&format!("flat/{directory}/in it")));
        }
        assert_eq!(part.len() as u64, partial.snapshot.fields().totals.files);
        assert!(part.len() >= before && part.len() < whole.len());
        before = part.len();
    }
    assert!(before > 2, "files of the directory itself");
    assert_restores(&stage.vault, &found[found.len() - 1], files);
}

#[test]
fn a_directory_is_committed_while_its_files_are_being_saved() {
    let mut stage = Stage::new();
    let files = flat(500, 200_000);
    stage.events.on(|event| {
        if event == Event::BeforePut {
            take(Duration::from_millis(100));
        }
    });
    let options = due_after(files.options(), 20 << 20, Duration::MAX);
    back_up(&mut stage.vault, &options, &silent(), &Cancellation::new()).unwrap();
    stage.events.quiet();
    assert_partial(&stage, &files, 1);
    assert_whole(&mut stage.vault);
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
}

/// The device's clock goes a second each time that it is looked at, which it is for
/// every file.
#[test]
fn what_takes_long_is_committed_however_little_it_is() {
    let mut stage = Stage::new();
    let files = flat(200, 500);
    let options = due_after(files.options(), u64::MAX, Duration::from_secs(60));
    back_up(&mut stage.vault, &options, &silent(), &Cancellation::new()).unwrap();
    assert_partial(&stage, &files, 2);
    assert_whole(&mut stage.vault);

    let mut stage = Stage::new();
    let options = due_after(files.options(), u64::MAX, Duration::from_secs(3_600));
    back_up(&mut stage.vault, &options, &silent(), &Cancellation::new()).unwrap();
    assert_eq!(snapshots(&stage.vault).len(), 1);
}

/// A file of which two packs and more are claimed before its end; then the line ends.
#[test]
fn a_long_file_is_committed_while_it_is_being_saved() {
    let mut stage = Stage::new();
    let size = 240 * MIB;
    let files = Files::new(&[("long", noise(1, size))]);
    let committed = std::sync::Arc::new(AtomicUsize::new(0));
    let options = due_after(files.options(), 20 << 20, Duration::MAX);
    let cancelled = stage.cancelled_with(&options, 0, move |event| {
        match event {
            Event::BeforePut => take(Duration::from_millis(150)),
            Event::BeforeCommit => {
                committed.fetch_add(1, Ordering::SeqCst);
            }
            Event::AfterPut(_) => return committed.load(Ordering::SeqCst) > 0,
            Event::BeforeAny => {}
        }
        false
    });
    assert!(cancelled);
    // While the first was being committed, enough may have been read for another.
    let found = snapshots(&stage.vault);
    assert!((1..=2).contains(&found.len()));
    assert!(found.iter().all(|named| !named.snapshot.is_complete()));
    let held = stage.vault.root().unwrap().pack_bytes;
    assert!(held >= 32 * MIB as u64, "{held} bytes are held by a head");
    assert_whole(&mut stage.vault);

    let report = backed_up(&mut stage.vault, &files).unwrap();
    assert!(report.new_bytes < (size - 32 * MIB) as u64, "{report:?}");
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
}

/// What runs that were cut short have left is more than one head may claim.
#[test]
fn one_file_of_more_packs_than_a_head_claims_is_claimed_by_several() {
    let mut stage = Stage::new();
    let files = Files::new(&[("long", noise(1, 130 * MIB))]);
    let before = claims(&stage.member.hoster).len();
    let mut options = due_after(files.options(), u64::MAX, Duration::MAX);
    assert!(stage.cancelled_with(&options, 6, |event| matches!(event, Event::AfterPut(_))));
    let arrived = stage.member.hoster.packs(&stage.vault.id()).len();
    assert!(arrived >= 7, "{arrived} packs");
    assert_eq!(stage.vault.head(), None);

    // The line is lost between two of the heads: what the first claims is in its index.
    options.packs_per_head = 3;
    let (hoster, count) = (stage.member.hoster.clone(), AtomicUsize::new(0));
    stage.events.on(move |event| {
        if event == Event::BeforeCommit && count.fetch_add(1, Ordering::SeqCst) == 1 {
            hoster.fail_after(0, line_lost());
        }
    });
    let error = back_up(&mut stage.vault, &options, &silent(), &Cancellation::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable, "{error}");
    stage.events.quiet();
    stage.member.hoster.behave();
    assert_eq!(stage.vault.head().unwrap().seq, 1);
    assert!(snapshots(&stage.vault).is_empty());
    assert_eq!(stage.vault.root().unwrap().pack_count, 4);
    assert_whole(&mut stage.vault);
    assert_eq!(super::checked(&mut stage.vault).unwrap().packs, 4);

    back_up(&mut stage.vault, &options, &silent(), &Cancellation::new()).unwrap();
    let claims = claims(&stage.member.hoster);
    let claims = &claims[before..];
    assert!(claims.len() >= 4, "{claims:?}");
    // Three that were sent before, and those with the index, or the last ones.
    assert!(claims.iter().all(|packs| *packs <= 6), "{claims:?}");
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
    let packs = stage.member.hoster.packs(&stage.vault.id()).len() as u64;
    assert_eq!(stage.vault.root().unwrap().pack_count, packs);
    forget_cache(&stage.vault);
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
}

/// Likewise with as many as a head can list, and a few; small ones.
#[test]
fn more_packs_than_a_head_can_list_are_committed() {
    let mut stage = Stage::new();
    let (vault, state) = (stage.vault.id(), stage.vault.state());
    let remote = stage.vault.remote();
    let before = claims(&stage.member.hoster).len();
    for number in 0..MAX_LISTED_PACKS as u64 + 8 {
        let bytes = Bytes::from(noise(number, 16_384));
        let pack = PackId::of(&bytes);
        let noted = PendingPack {
            pack,
            epoch: stage.vault.keys().unwrap().current_epoch(),
            size: 16_384,
            entries: Vec::new(),
            uploaded: false,
        };
        state.add_pending_pack(&vault, &noted).unwrap();
        remote.put_pack(&vault, &pack, bytes).unwrap();
    }
    let files = Files::many(1, 8, 50_000);
    backed_up(&mut stage.vault, &files).unwrap();
    let claims = claims(&stage.member.hoster);
    let claims = &claims[before..];
    let packs = stage.member.hoster.packs(&vault).len();
    assert!(packs > MAX_LISTED_PACKS);
    assert_eq!(claims.iter().sum::<usize>(), packs, "{claims:?}");
    assert_eq!(state.pending_packs(&vault).unwrap(), []);
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
}
