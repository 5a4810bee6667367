//! A hoster that changes what it was given to keep: each lie is noticed for
//! what it is, nothing wrong is written, nothing of the device moves, and an
//! honest answer is taken afterwards.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use vault_client::account::{Account, VaultSelector};
use vault_client::check::{CheckReport, Problem, ReadData, check};
use vault_client::contents::{Contents, NamedSnapshot};
use vault_client::error::ErrorCode;
use vault_client::files::Reason;
use vault_client::progress::Cancellation;
use vault_client::remote::SyncAnswer;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_client::vault::Vault;
use vault_core::chunk::ChunkKind;
use vault_core::pack::{PackEntry, TRAILER_LEN, read_pack_entries};
use vault_proto::ids::PackId;

use super::{
    Event, Eventful, Files, assert_restores, assert_whole, backed_up, checked, content_of,
    forget_cache, newest, restored, silent, snapshots,
};
use crate::support::{Member, commit, rng, setup};

/// A backup at a hoster that may lie about it.
struct Kept {
    member: Member,
    vault: Vault,
    files: Files,
    snapshot: NamedSnapshot,
}

/// The file of a restore that did not end.
const MARKER: &str = ".coffre-restore";

/// What a restore of everything has given.
enum Restored {
    /// It failed as a whole, because of the hoster.
    Nothing,
    /// So many files were left out because of the hoster.
    AllBut(usize),
}

impl Kept {
    /// Small enough for one pack.
    fn small() -> Self {
        Self::of(Files::new(&[
            ("letter", super::noise(1, 3_000)),
            ("photos/one", super::noise(2, 2_000)),
            ("photos/two", b"two ".repeat(500)),
        ]))
    }

    /// Data in packs of their own, two of them of 16 MiB.
    fn large() -> Self {
        Self::of(Files::many(1, 190, 200_000))
    }

    fn of(files: Files) -> Self {
        let member = Member::new();
        let mut vault = member.account.create_vault("documents").unwrap();
        backed_up(&mut vault, &files).unwrap();
        let snapshot = newest(&vault).unwrap();
        Self {
            member,
            vault,
            files,
            snapshot,
        }
    }

    fn hoster(&self) -> &MemoryHoster {
        &self.member.hoster
    }

    fn packs(&self) -> Vec<PackId> {
        self.hoster().packs(&self.vault.id())
    }

    fn bytes(&self, pack: &PackId) -> Vec<u8> {
        self.hoster().pack(&self.vault.id(), pack).unwrap().to_vec()
    }

    fn entries(&self, pack: &PackId) -> Vec<PackEntry> {
        read_pack_entries(&self.vault.keys().unwrap(), 1, pack, &self.bytes(pack)).unwrap()
    }

    /// The packs that hold nothing but files' data, with how many chunks.
    fn data_packs(&self) -> Vec<(PackId, usize)> {
        let packs = self.packs().into_iter();
        let packs = packs.map(|pack| (pack, self.entries(&pack)));
        packs
            .filter(|(_, entries)| entries.iter().all(|e| e.kind == ChunkKind::FileData))
            .map(|(pack, entries)| (pack, entries.len()))
            .collect()
    }

    fn lay(&self, pack: &PackId, bytes: Vec<u8>) {
        let there = self
            .hoster()
            .replace_pack(&self.vault.id(), pack, Bytes::from(bytes));
        assert!(there);
    }

    /// Restores everything on a device that has nothing cached. Whatever is
    /// written must be right, and nothing of the device may move.
    fn restore(&self) -> Restored {
        forget_cache(&self.vault);
        let (stored, head) = (self.member.stored(), self.vault.head());
        let target = tempfile::tempdir().unwrap();
        let result = restored(
            &self.vault,
            &self.snapshot,
            self.files.path(),
            target.path(),
        );
        assert_eq!(self.member.stored(), stored);
        assert_eq!(self.vault.head(), head);
        let whole = content_of(self.files.path());
        let mut written = content_of(target.path());
        // What tells the next restore that this one did not end.
        written.retain(|path, _| path != MARKER);
        assert!(written.iter().all(|(path, bytes)| whole[path] == *bytes));
        match result {
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
                assert!(!error.is_transient(), "{error}");
                Restored::Nothing
            }
            Ok(report) => {
                let left_out = report.left_out.len();
                assert_eq!(written.len() + left_out, whole.len());
                assert_eq!(report.lost_by_hoster, left_out as u64);
                assert!(
                    report
                        .left_out
                        .iter()
                        .all(|l| l.reason == Reason::LostByHoster)
                );
                Restored::AllBut(left_out)
            }
        }
    }

    fn assert_restores_nothing(&self) {
        assert!(matches!(self.restore(), Restored::Nothing));
    }

    fn assert_restores_all_but(&self, files: usize) {
        match self.restore() {
            Restored::AllBut(left_out) => assert_eq!(left_out, files),
            Restored::Nothing => panic!("nothing was restored"),
        }
    }

    /// What a check finds, all of which is the hoster's fault.
    fn problems(&mut self) -> Vec<Problem> {
        let report = checked(&mut self.vault).unwrap();
        assert!(
            report.problems.iter().all(Problem::is_the_hosters),
            "{report:?}"
        );
        report.problems
    }

    fn assert_honest_again(&mut self) {
        self.assert_restores_all_but(0);
        assert_whole(&mut self.vault);
    }
}

/// Positions in a pack: all at its end, and in every sealed chunk the first and
/// last and some between.
fn positions(entries: &[PackEntry], length: usize) -> Vec<usize> {
    let mut positions = Vec::new();
    for entry in entries {
        let (start, sealed) = (entry.offset as usize, entry.sealed_length as usize);
        positions.extend((start..start + sealed).step_by(sealed.div_ceil(7)));
        positions.push(start + sealed - 1);
    }
    let end = entries
        .last()
        .map_or(0, |e| (e.offset + e.sealed_length) as usize);
    // The footer, and the filler after it.
    positions.extend((end..length - TRAILER_LEN).step_by(251));
    positions.extend(length - TRAILER_LEN..length);
    positions
}

#[test]
fn every_flipped_byte_of_a_pack_is_noticed() {
    let mut kept = Kept::small();
    let packs = kept.packs();
    assert_eq!(packs.len(), 1);
    let (pack, bytes) = (packs[0], kept.bytes(&packs[0]));
    let entries = kept.entries(&pack);
    assert!(entries.iter().any(|entry| entry.kind == ChunkKind::Index));
    for position in positions(&entries, bytes.len()) {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        kept.lay(&pack, flipped);
        // The catalog is in it, so that a restore does not come far.
        kept.assert_restores_nothing();
        forget_cache(&kept.vault);
        let error = checked(&mut kept.vault).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    }
    kept.lay(&pack, bytes);
    kept.assert_honest_again();
}

#[test]
fn a_flipped_byte_of_data_costs_the_file_and_no_other() {
    let mut kept = Kept::of(Files::many(1, 100, 200_000));
    let (pack, chunks) = kept.data_packs()[0];
    let bytes = kept.bytes(&pack);
    let entries = kept.entries(&pack);
    let chunk = entries[chunks / 2];
    let end = (chunk.offset + chunk.sealed_length) as usize;
    for position in [chunk.offset as usize, end - 100, end - 1] {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0x10;
        kept.lay(&pack, flipped);
        kept.assert_restores_all_but(1);
        assert_eq!(kept.problems(), [Problem::PackAltered(pack)]);
    }
    // Footer, filler and trailer hold no file, but a check reads them too.
    let last = entries.last().unwrap();
    let footer = (last.offset + last.sealed_length) as usize;
    for position in [footer + 3, bytes.len() - TRAILER_LEN - 1, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[position] ^= 0x10;
        kept.lay(&pack, flipped);
        kept.assert_restores_all_but(0);
        assert_eq!(kept.problems(), [Problem::PackAltered(pack)]);
    }
    kept.lay(&pack, bytes);
    kept.assert_honest_again();
}

#[test]
fn chunks_that_changed_places_are_noticed() {
    let mut kept = Kept::of(Files::many(1, 100, 200_000));
    let (pack, _) = kept.data_packs()[0];
    let bytes = kept.bytes(&pack);
    let entries = kept.entries(&pack);
    let place = |entry: &PackEntry| {
        let start = entry.offset as usize;
        start..start + entry.sealed_length as usize
    };
    let (one, other) = (place(&entries[0]), place(&entries[1]));
    assert_eq!(one.len(), other.len(), "noise does not compress");
    let mut swapped = bytes.clone();
    swapped[one.clone()].copy_from_slice(&bytes[other.clone()]);
    swapped[other].copy_from_slice(&bytes[one]);
    kept.lay(&pack, swapped);
    kept.assert_restores_all_but(2);
    assert_eq!(kept.problems(), [Problem::PackAltered(pack)]);
    kept.lay(&pack, bytes);
    kept.assert_honest_again();
}

#[test]
fn packs_that_changed_places_are_noticed() {
    let mut kept = Kept::large();
    let id = kept.vault.id();
    let mut full = kept.data_packs();
    full.retain(|(pack, _)| kept.bytes(pack).len() == 16 << 20);
    let [(one, ones), (other, others)] = full[..] else {
        panic!("two full packs, and not {full:?}");
    };
    assert!(kept.hoster().swap_packs(&id, &one, &other));
    kept.assert_restores_all_but(ones + others);
    let mut altered = vec![Problem::PackAltered(one), Problem::PackAltered(other)];
    altered.sort();
    assert_eq!(kept.problems(), altered);
    assert!(kept.hoster().swap_packs(&id, &one, &other));
    kept.assert_honest_again();
}

#[test]
fn packs_of_two_commits_that_changed_places_are_noticed() {
    let mut kept = Kept::small();
    kept.files.write("more", b"for a second commit");
    backed_up(&mut kept.vault, &kept.files).unwrap();
    kept.snapshot = newest(&kept.vault).unwrap();
    let packs = kept.packs();
    let [one, other] = packs[..] else {
        panic!("two packs, and not {packs:?}");
    };
    assert!(kept.hoster().swap_packs(&kept.vault.id(), &one, &other));
    kept.assert_restores_nothing();
    assert!(kept.hoster().swap_packs(&kept.vault.id(), &one, &other));
    kept.assert_honest_again();
}

#[test]
fn a_missing_pack_is_missed() {
    let mut kept = Kept::large();
    let (pack, chunks) = kept.data_packs()[0];
    let bytes = kept.bytes(&pack);
    let id = kept.vault.id();
    assert!(kept.hoster().lose_pack(&id, &pack));
    kept.assert_restores_all_but(chunks);
    assert_eq!(kept.problems(), [Problem::PackMissing(pack)]);
    // Also by a check that reads nothing.
    let nothing = ReadData::Nothing;
    let report = check(&mut kept.vault, nothing, &silent(), &Cancellation::new()).unwrap();
    assert_eq!(report.problems, [Problem::PackMissing(pack)]);

    // Without metadata there is nothing to restore by.
    lay_again(&kept, &pack, bytes);
    let data = kept.data_packs();
    let metadata: Vec<_> = kept
        .packs()
        .into_iter()
        .filter(|pack| !data.iter().any(|(id, _)| id == pack))
        .collect();
    let lost: Vec<_> = metadata.iter().map(|pack| kept.bytes(pack)).collect();
    for pack in &metadata {
        kept.hoster().lose_pack(&id, pack);
    }
    kept.assert_restores_nothing();
    for (pack, bytes) in metadata.iter().zip(lost) {
        lay_again(&kept, pack, bytes);
    }
    kept.assert_honest_again();
}

/// What a device has kept of a pack is no reason to say nothing of it.
#[test]
fn a_missing_pack_that_can_be_done_without_is_told() {
    let kept = Kept::small();
    let id = kept.vault.id();
    let pack = kept.packs()[0];
    let bytes = kept.bytes(&pack);
    let restore = || {
        let target = tempfile::tempdir().unwrap();
        let files = kept.files.path();
        let report = restored(&kept.vault, &kept.snapshot, files, target.path()).unwrap();
        assert_eq!(content_of(target.path()), content_of(files));
        assert_eq!((&report.left_out[..], report.lost_by_hoster), (&[][..], 0));
        report.missed_packs
    };
    // All of it is in one pack, which the device keeps because of the tree.
    assert_eq!(kept.packs().len(), 1);
    assert_eq!(restore(), 0);
    assert!(kept.hoster().lose_pack(&id, &pack));
    assert_eq!(restore(), 1);
    lay_again(&kept, &pack, bytes.clone());
    let mut altered = bytes.clone();
    altered.iter_mut().for_each(|byte| *byte ^= 1);
    kept.lay(&pack, altered);
    assert_eq!(restore(), 1);
    kept.lay(&pack, bytes);
    assert_eq!(restore(), 0);
}

/// Gives a pack back that the hoster has lost.
fn lay_again(kept: &Kept, pack: &PackId, bytes: Vec<u8>) {
    let remote = kept.vault.remote();
    remote
        .put_pack(&kept.vault.id(), pack, Bytes::from(bytes))
        .unwrap();
}

/// A hoster that says that it has a pack, and then has not.
#[test]
fn a_pack_that_is_claimed_and_cannot_be_read_is_missed() {
    let kept = Kept::large();
    let (pack, _) = kept.data_packs()[0];
    let id = kept.vault.id();
    let events = Eventful::new(kept.hoster());
    let account = Account::open(&setup(kept.member.home.path(), events.clone())).unwrap();
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let (hoster, count) = (kept.hoster().clone(), AtomicUsize::new(0));
    events.on(move |event| {
        // The first asks what is new, the second which packs are there.
        if event == Event::BeforeAny && count.fetch_add(1, Ordering::SeqCst) == 2 {
            hoster.lose_pack(&id, &pack);
        }
    });
    let report: CheckReport = checked(&mut vault).unwrap();
    assert_eq!(report.problems, [Problem::PackMissing(pack)]);
}

#[test]
fn a_truncated_pack_is_noticed() {
    let mut kept = Kept::large();
    let (pack, chunks) = kept.data_packs()[0];
    let bytes = kept.bytes(&pack);
    kept.lay(&pack, bytes[..bytes.len() / 2].to_vec());
    match kept.restore() {
        Restored::AllBut(left_out) => assert!((1..=chunks).contains(&left_out)),
        Restored::Nothing => panic!("other packs were whole"),
    }
    assert_eq!(kept.problems(), [Problem::PackAltered(pack)]);
    kept.lay(&pack, bytes);
    kept.assert_honest_again();

    let mut kept = Kept::small();
    let pack = kept.packs()[0];
    let bytes = kept.bytes(&pack);
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        kept.lay(&pack, bytes[..length].to_vec());
        kept.assert_restores_nothing();
    }
    kept.lay(&pack, bytes);
    kept.assert_honest_again();
}

#[test]
fn bytes_appended_to_an_answer_are_noticed() {
    let mut kept = Kept::small();
    for more in [1, -1, 65_536] {
        kept.hoster().lengthen_reads(more);
        kept.assert_restores_nothing();
        kept.hoster().behave();
    }
    kept.assert_honest_again();

    let mut kept = Kept::large();
    for more in [1, -1] {
        // The device knows the metadata, so that it comes to the data.
        kept.hoster().lengthen_reads(more);
        forget_cache(&kept.vault);
        kept.hoster().behave();
        drop(Contents::open(&kept.vault).unwrap());
        kept.hoster().lengthen_reads(more);
        let target = tempfile::tempdir().unwrap();
        let result = restored(
            &kept.vault,
            &kept.snapshot,
            kept.files.path(),
            target.path(),
        );
        let whole = content_of(kept.files.path());
        let mut written = content_of(target.path());
        written.retain(|path, _| path != MARKER);
        // Bytes after the last that is wanted harm nothing.
        assert!(written.iter().all(|(path, bytes)| whole[path] == *bytes));
        match result {
            Ok(report) => assert_eq!(written.len() + report.left_out.len(), whole.len()),
            Err(error) => assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}"),
        }
        let problems = kept.problems();
        assert!(!problems.is_empty());
        kept.hoster().behave();
    }
    kept.assert_honest_again();
}

#[test]
fn another_vaults_pack_is_noticed() {
    let mut kept = Kept::small();
    let mut other = kept.member.account.create_vault("other").unwrap();
    backed_up(&mut other, &kept.files).unwrap();
    let pack = kept.packs()[0];
    let theirs = kept.hoster().packs(&other.id())[0];
    let (bytes, foreign) = (
        kept.bytes(&pack),
        kept.hoster().pack(&other.id(), &theirs).unwrap(),
    );
    assert_eq!(bytes.len(), foreign.len());
    kept.lay(&pack, foreign.to_vec());
    kept.assert_restores_nothing();
    kept.lay(&pack, bytes);
    kept.assert_honest_again();
}

#[test]
fn another_epochs_pack_is_noticed() {
    let mut kept = Kept::small();
    let before = kept.packs()[0];
    kept.member.paper().append(kept.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    kept.files.write("more", b"for a second commit");
    backed_up(&mut kept.vault, &kept.files).unwrap();
    assert_eq!(kept.vault.keys().unwrap().current_epoch(), 2);
    kept.snapshot = newest(&kept.vault).unwrap();
    let after = *kept.packs().iter().find(|pack| **pack != before).unwrap();
    for (pack, lie) in [(before, after), (after, before)] {
        let bytes = kept.bytes(&pack);
        kept.lay(&pack, kept.bytes(&lie));
        kept.assert_restores_nothing();
        kept.lay(&pack, bytes);
    }
    kept.assert_honest_again();
}

#[test]
fn flips_of_a_root_are_noticed_by_a_device_that_has_none() {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let second = super::SecondDevice::of(&member);
    backed_up(&mut vault, &Files::new(&[("letter", b"dear".to_vec())])).unwrap();

    let mut theirs = second.vault();
    assert_eq!(theirs.head(), None);
    for position in (0..vault_proto::head::SEALED_ROOT_BYTES[0]).step_by(41) {
        member
            .hoster
            .tamper_with_syncs(move |answer| answer.root[position] ^= 1);
        let error = theirs.refresh().unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert_eq!(theirs.head(), None);
    }
    member.hoster.behave();
    theirs.refresh().unwrap();
    assert_eq!(theirs.head(), vault.head());
    assert_whole(&mut theirs);
}

type Lie = (
    &'static str,
    fn(&Kept) -> Box<dyn FnMut(&mut SyncAnswer) + Send>,
);

/// Lies about logs and heads: no backup, restore or check goes on after one.
const LIES: &[Lie] = &[
    ("an entry twice", |_| {
        Box::new(|answer| {
            let again = answer.vault_entries.clone();
            answer.vault_entries.extend(again);
        })
    }),
    ("entries in another order", |_| {
        Box::new(|answer| answer.vault_entries.reverse())
    }),
    ("a missing entry", |_| {
        Box::new(|answer| drop(answer.vault_entries.remove(0)))
    }),
    ("no head", |_| {
        Box::new(|answer| {
            answer.heads.clear();
            answer.newest_head_seq = 0;
            answer.root.clear();
        })
    }),
    ("an older head", |_| {
        Box::new(|answer| {
            answer.heads.clear();
            answer.newest_head_seq = 1;
        })
    }),
    ("a head signed by a stranger", |kept| {
        let stranger = vault_core::keys::DeviceKeys::generate(&mut rng());
        let sight = kept.member.paper().look(kept.vault.id());
        let account = vault_proto::ids::AccountId::from_array([9; 32]);
        let (head, root) = crate::support::forge(&sight, &stranger, account, |_| {});
        Box::new(move |answer| {
            answer.heads.insert(0, head.clone());
            answer.newest_head_seq += 1;
            answer.root = root.clone();
        })
    }),
    ("another root", |_| {
        Box::new(|answer| answer.root.iter_mut().for_each(|byte| *byte ^= 0xff))
    }),
];

#[test]
fn no_backup_and_no_check_goes_on_after_a_lie() {
    let mut kept = Kept::small();
    // News that an honest hoster would tell: two entries, and a head.
    let paper = kept.member.paper();
    for _ in 0..2 {
        paper.append(kept.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    paper.commit(kept.vault.id());
    kept.files.write("more", &super::noise(7, 5_000));
    for (name, lie) in LIES {
        let (stored, head) = (kept.member.stored(), kept.vault.head());
        kept.hoster().forget_calls();
        let lie: Box<dyn FnMut(&mut SyncAnswer) + Send> = lie(&kept);
        kept.hoster().tamper_with_syncs(lie);
        let error = backed_up(&mut kept.vault, &kept.files).expect_err(name);
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{name}: {error}");
        let error = checked(&mut kept.vault).expect_err(name);
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{name}: {error}");
        let sent = |call: &Call| matches!(call, Call::PutPack(_) | Call::CommitHead(_));
        assert!(!kept.hoster().calls().iter().any(sent), "{name}");
        assert_eq!(kept.member.stored(), stored, "{name}");
        assert_eq!(kept.vault.head(), head, "{name}");
        kept.hoster().behave();
    }
    backed_up(&mut kept.vault, &kept.files).unwrap();
    kept.snapshot = newest(&kept.vault).unwrap();
    kept.assert_honest_again();
}

#[test]
fn no_backup_goes_on_at_a_hoster_that_went_back() {
    let mut kept = Kept::small();
    commit(&mut kept.vault);
    let head = kept.vault.head();
    kept.hoster().roll_back(&kept.vault.id(), 1);
    let stored = kept.member.stored();
    kept.files.write("more", b"and more");
    let error = backed_up(&mut kept.vault, &kept.files).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    let error = checked(&mut kept.vault).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!((kept.member.stored(), kept.vault.head()), (stored, head));
    // What was verified before is there to be restored all the same.
    assert_restores_of(&kept, kept.files.path());
}

fn assert_restores_of(kept: &Kept, path: &Path) {
    let target = tempfile::tempdir().unwrap();
    let report = restored(&kept.vault, &kept.snapshot, path, target.path()).unwrap();
    assert_eq!(report.left_out, []);
}

#[test]
fn what_a_device_has_cached_is_checked_like_what_it_is_sent() {
    let kept = Kept::small();
    // Somebody has been at the files of the cache: they are fetched again.
    let directory = kept.vault.directory().unwrap();
    assert_restores(&kept.vault, &kept.snapshot, &kept.files);
    for name in ["packs", "index"] {
        let mut altered = 0;
        for entry in walk(&directory.join(name)) {
            let mut bytes = std::fs::read(&entry).unwrap();
            for byte in bytes.iter_mut().step_by(50) {
                *byte ^= 1;
            }
            std::fs::write(&entry, bytes).unwrap();
            altered += 1;
        }
        assert!(altered > 0, "{name}");
        assert_restores(&kept.vault, &kept.snapshot, &kept.files);
    }
    assert_eq!(snapshots(&kept.vault).len(), 1);
}

fn walk(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(walk(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn handles_may_be_shared_between_threads_that_restore() {
    let kept = Arc::new(Kept::small());
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let kept = kept.clone();
            std::thread::spawn(move || assert_restores(&kept.vault, &kept.snapshot, &kept.files))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}
