//! Backups that are cut short, and what the next one makes of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use vault_client::account::Account;
use vault_client::backup::{BackupError, BackupOptions, back_up};
use vault_client::contents::ContentsError;
use vault_client::error::ErrorCode;
use vault_client::progress::{Cancellation, Progress, ProgressListener};
use vault_client::remote::RemoteError;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_client::restore::{RestoreOptions, restore};
use vault_client::vault::Vault;
use vault_proto::ids::{PackId, VaultId};

use super::{
    Event, Eventful, Files, assert_restores, assert_whole, backed_up, content_of,
    newest as newest_complete, silent, snapshots,
};
use crate::support::{Member, line_lost, setup};

const MIB: usize = 1 << 20;

/// A device to which something happens.
pub(super) struct Stage {
    pub(super) member: Member,
    pub(super) events: Eventful,
    pub(super) vault: Vault,
}

impl Stage {
    pub(super) fn new() -> Self {
        let member = Member::new();
        member.account.create_vault("documents").unwrap();
        let events = Eventful::new(&member.hoster);
        let account = Account::open(&setup(member.home.path(), events.clone())).unwrap();
        let only = vault_client::account::VaultSelector::Only;
        let vault = account.open_vault(&only).unwrap();
        Self {
            member,
            events,
            vault,
        }
    }

    /// A backup that is cancelled at the `number`th event that `chosen` says
    /// yes to; false if there was none.
    fn cancelled_at(
        &mut self,
        files: &Files,
        number: usize,
        chosen: impl Fn(Event) -> bool + Send + Sync + 'static,
    ) -> bool {
        self.cancelled_with(&files.options(), number, chosen)
    }

    /// Likewise, with options.
    pub(super) fn cancelled_with(
        &mut self,
        options: &BackupOptions,
        number: usize,
        chosen: impl Fn(Event) -> bool + Send + Sync + 'static,
    ) -> bool {
        let cancellation = Cancellation::new();
        let cancel = cancellation.clone();
        let count = AtomicUsize::new(0);
        self.events.on(move |event| {
            if chosen(event) && count.fetch_add(1, Ordering::SeqCst) == number {
                cancel.cancel();
            }
        });
        let result = back_up(&mut self.vault, options, &silent(), &cancellation);
        self.events.quiet();
        match result {
            // Cancelled too late to matter, or never.
            Ok(_) => cancellation.is_cancelled(),
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
                true
            }
        }
    }
}

/// How often each pack was sent.
pub(super) fn sent(hoster: &MemoryHoster) -> BTreeMap<PackId, usize> {
    let mut sent = BTreeMap::new();
    for call in hoster.calls() {
        if let Call::PutPack(pack) = call {
            *sent.entry(pack).or_default() += 1;
        }
    }
    sent
}

fn held_bytes(hoster: &MemoryHoster, vault: &VaultId) -> usize {
    let packs = hoster.packs(vault).into_iter();
    packs
        .map(|pack| hoster.pack(vault, &pack).unwrap().len())
        .sum()
}

#[test]
fn a_backup_may_be_cancelled_at_any_call() {
    let mut stage = Stage::new();
    let files = Files::many(1, 8, 50_000);
    let mut number = 0;
    while stage.cancelled_at(&files, number, |event| !matches!(event, Event::AfterPut(_))) {
        number += 1;
    }
    assert!(number >= 3, "there are more calls than {number}");
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
    // Nothing that has arrived was sent again.
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
}

#[test]
fn a_cancelled_backup_is_continued() {
    let mut stage = Stage::new();
    // Three packs and a bit.
    let files = Files::many(1, 250, 200_000);
    let id = stage.vault.id();
    assert!(stage.cancelled_at(&files, 1, |event| matches!(event, Event::AfterPut(_))));
    let arrived = held_bytes(&stage.member.hoster, &id);
    assert!(arrived >= 32 * MIB, "two packs had arrived: {arrived}");
    assert!(snapshots(&stage.vault).is_empty());

    let report = backed_up(&mut stage.vault, &files).unwrap();
    // What was sealed and had not arrived is sealed anew: at most the packs
    // that were open or on their way.
    let total = 250 * 200_000;
    assert!(
        report.new_bytes as usize <= total - 2 * 15 * MIB,
        "{report:?}"
    );
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
}

#[test]
fn what_the_hoster_has_swept_meanwhile_is_sent_again() {
    let mut stage = Stage::new();
    let files = Files::many(1, 250, 200_000);
    let id = stage.vault.id();
    assert!(stage.cancelled_at(&files, 1, |event| matches!(event, Event::AfterPut(_))));
    for pack in stage.member.hoster.packs(&id) {
        stage.member.hoster.lose_pack(&id, &pack);
    }
    backed_up(&mut stage.vault, &files).unwrap();
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
}

#[test]
fn checkpoints_survive_a_cancelled_backup() {
    let mut stage = Stage::new();
    // Far more than is on its way at once: some of it has arrived before the end.
    let files = Files::many(1, 500, 200_000);
    let mut options = files.options();
    options.checkpoint_bytes = 1;
    let is_commit = |event| event == Event::BeforeCommit;
    assert!(stage.cancelled_with(&options, 0, is_commit));

    stage.vault.refresh().unwrap();
    let checkpoints = snapshots(&stage.vault);
    assert_eq!(checkpoints.len(), 1);
    assert!(
        checkpoints
            .iter()
            .all(|found| !found.snapshot.is_complete())
    );
    assert_whole(&mut stage.vault);
    // It is not the latest: that is one that has everything.
    let error = newest_complete(&stage.vault).unwrap_err();
    assert!(matches!(error, ContentsError::NoSnapshot(_)), "{error}");
    // What a checkpoint holds can be restored.
    let newest = checkpoints.last().unwrap();
    let target = tempfile::tempdir().unwrap();
    let report = super::restored(&stage.vault, newest, files.path(), target.path()).unwrap();
    assert_eq!(report.left_out, []);
    let whole = content_of(files.path());
    let part = content_of(target.path());
    assert!(!part.is_empty());
    assert!(part.iter().all(|(path, bytes)| whole[path] == *bytes));

    // The next backup sends none of their chunks.
    let held: u64 = part.values().map(|bytes| bytes.len() as u64).sum();
    let report = backed_up(&mut stage.vault, &files).unwrap();
    let data: u64 = whole.values().map(|bytes| bytes.len() as u64).sum();
    assert!(report.new_bytes < data - held + MIB as u64, "{report:?}");
    let latest = snapshots(&stage.vault).pop().unwrap();
    assert!(latest.snapshot.is_complete());
    assert_restores(&stage.vault, &latest, &files);
    assert_whole(&mut stage.vault);
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));

    // And the latest stays the latest when a checkpoint comes after it.
    for number in 0..500 {
        let content = super::noise(90_000 + number, 200_000);
        files.write(&format!("more/{number}"), &content);
    }
    assert!(stage.cancelled_with(&options, 0, is_commit));
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert!(!newest.snapshot.is_complete());
    assert_eq!(newest_complete(&stage.vault).unwrap(), latest);
}

#[test]
fn a_pack_that_was_lost_before_the_commit_is_sent_again() {
    let mut stage = Stage::new();
    let files = Files::many(1, 120, 200_000);
    let id = stage.vault.id();
    let arrived = Arc::new(Mutex::new(Vec::new()));
    let (hoster, seen) = (stage.member.hoster.clone(), arrived.clone());
    stage.events.on(move |event| match event {
        Event::AfterPut(pack) => seen.lock().unwrap().push(pack),
        Event::BeforeCommit => {
            let lost = seen.lock().unwrap()[0];
            hoster.lose_pack(&id, &lost);
        }
        _ => {}
    });
    let error = backed_up(&mut stage.vault, &files).unwrap_err();
    assert!(
        matches!(error, BackupError::PacksLost { count: 1 }),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    stage.events.quiet();
    assert_eq!(stage.vault.head(), None);

    let report = backed_up(&mut stage.vault, &files).unwrap();
    // The chunks of that pack, and no others of the files.
    assert!(report.new_bytes > MIB as u64, "{report:?}");
    assert!(report.new_bytes < 17 * MIB as u64, "{report:?}");
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
}

#[test]
fn a_line_that_breaks_anywhere_costs_nothing_twice() {
    let mut stage = Stage::new();
    let files = Files::many(1, 8, 50_000);
    let mut broken = 0;
    loop {
        stage.member.hoster.fail_after(broken, line_lost());
        match backed_up(&mut stage.vault, &files) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), ErrorCode::HosterUnreachable, "{error}"),
        }
        broken += 1;
    }
    stage.member.hoster.behave();
    assert!(broken > 3);
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
}

#[test]
fn an_answer_that_is_lost_anywhere_costs_nothing_twice() {
    let mut stage = Stage::new();
    let files = Files::many(1, 8, 50_000);
    let mut lost = 0;
    loop {
        stage.member.hoster.lose_answer_after(lost);
        match backed_up(&mut stage.vault, &files) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), ErrorCode::HosterUnreachable, "{error}"),
        }
        lost += 1;
    }
    stage.member.hoster.behave();
    assert!(lost > 3);
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
    assert_whole(&mut stage.vault);
    assert!(sent(&stage.member.hoster).values().all(|times| *times == 1));
}

#[test]
fn an_upload_beyond_the_quota_is_refused_and_leaves_the_vault_whole() {
    let mut stage = Stage::new();
    let first = Files::many(1, 4, 50_000);
    backed_up(&mut stage.vault, &first).unwrap();
    let head = stage.vault.head();
    stage.member.hoster.set_quota(2 * MIB as u64);
    let more = Files::many(2, 40, 200_000);
    let error = backed_up(&mut stage.vault, &more).unwrap_err();
    assert_eq!(error.code(), ErrorCode::QuotaExceeded, "{error}");
    assert_eq!(stage.vault.head(), head);
    assert_whole(&mut stage.vault);

    stage.member.hoster.set_quota(u64::MAX);
    backed_up(&mut stage.vault, &more).unwrap();
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &more);
    assert_whole(&mut stage.vault);
}

/// A restore that is cancelled leaves nothing unfinished under a file's name,
/// and the next one completes it.
#[test]
fn a_cancelled_restore_is_completed_by_the_next() {
    let mut stage = Stage::new();
    // More than one call takes, however they are put together.
    let files = Files::many(1, 300, 200_000);
    backed_up(&mut stage.vault, &files).unwrap();
    let newest = snapshots(&stage.vault).pop().unwrap();
    let target = tempfile::tempdir().unwrap();
    let cancellation = Cancellation::new();
    let (cancel, count) = (cancellation.clone(), AtomicUsize::new(0));
    stage.events.on(move |event| {
        if event == Event::BeforeAny && count.fetch_add(1, Ordering::SeqCst) == 1 {
            cancel.cancel();
        }
    });
    let path = files.path().to_str().unwrap().as_bytes();
    let options = RestoreOptions::default();
    let error = restore(
        &stage.vault,
        &newest,
        path,
        target.path(),
        &options,
        &silent(),
        &cancellation,
    )
    .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    stage.events.quiet();
    let report = super::restored(&stage.vault, &newest, files.path(), target.path()).unwrap();
    assert_eq!(report.left_out, []);
    assert_eq!(content_of(target.path()), content_of(files.path()));
}

/// The last that a listener heard.
#[derive(Default)]
struct Last(Mutex<Progress>);

impl ProgressListener for Last {
    fn progress(&self, progress: Progress) {
        *self.0.lock().unwrap() = progress;
    }
}

/// What is read again is counted, and cancelling ends it between two chunks.
#[test]
fn a_verification_tells_how_far_it_is_and_can_be_cancelled() {
    let mut stage = Stage::new();
    let size = 9 * MIB;
    let files = Files::new(&[("long", super::noise(1, size))]);
    backed_up(&mut stage.vault, &files).unwrap();
    let newest = snapshots(&stage.vault).pop().unwrap();
    let target = tempfile::tempdir().unwrap();
    let path = files.path().join("long");
    let restored = |cancellation: &Cancellation| {
        let mut options = RestoreOptions::default();
        options.verify = true;
        let last = Arc::new(Last::default());
        let listener: Arc<dyn ProgressListener> = last.clone();
        let path = path.to_str().unwrap().as_bytes();
        let (vault, target) = (&stage.vault, target.path());
        let result = restore(
            vault,
            &newest,
            path,
            target,
            &options,
            &listener,
            cancellation,
        );
        let progress = *last.0.lock().unwrap();
        (result, progress)
    };
    let (report, progress) = restored(&Cancellation::new());
    let report = report.unwrap();
    assert_eq!((report.files, report.verified), (1, 1));
    // Once written, once read.
    assert_eq!((progress.files, progress.bytes), (2, 2 * size as u64));

    // It is there: all that is to be done is to read it.
    let cancelled = Cancellation::new();
    cancelled.cancel();
    let (result, progress) = restored(&cancelled);
    let error = result.unwrap_err();
    assert_eq!(error.code(), ErrorCode::Cancelled, "{error}");
    assert_eq!(progress.bytes, size as u64);
    let (report, progress) = restored(&Cancellation::new());
    let report = report.unwrap();
    assert_eq!((report.kept, report.verified), (1, 1));
    assert_eq!((progress.files, progress.bytes), (2, 2 * size as u64));
}

/// The hoster says no to a call; which one must not matter.
#[test]
fn refusals_are_told_and_change_nothing() {
    let mut stage = Stage::new();
    let files = Files::many(1, 8, 50_000);
    let refusal = vault_client::remote::Refusal::new(
        vault_client::remote::RefusalReason::DiskFull,
        "the disk is full",
    );
    let mut refused = 0;
    loop {
        let head = stage.vault.head();
        let error = RemoteError::Refused(refusal.clone());
        stage.member.hoster.fail_after(refused, error);
        match backed_up(&mut stage.vault, &files) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.code(), ErrorCode::DiskFull, "{error}"),
        }
        assert_eq!(stage.vault.head(), head);
        refused += 1;
    }
    stage.member.hoster.behave();
    assert!(refused > 3);
    assert_whole(&mut stage.vault);
    let newest = snapshots(&stage.vault).pop().unwrap();
    assert_restores(&stage.vault, &newest, &files);
}
