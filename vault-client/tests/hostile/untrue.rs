//! What another writer of a vault has written in good form and untruly, and the hoster
//! keeps as it should: a fault of his, and nobody else's.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use vault_client::account::{Account, Setup, VaultSelector};
use vault_client::check::{CheckReport, Problem};
use vault_client::error::ErrorCode;
use vault_client::restore::{RestoreError, RestoreReport};
use vault_client::vault::Vault;
use vault_core::chunk::ChunkKind;
use vault_core::index::IndexEntry;
use vault_core::seal::Decompressor;
use vault_core::tree::MAX_DEPTH;
use vault_proto::vault_log::Role;
use vault_proto::wire;

use super::scene::{Hostile, Person, Restored, Scene};
use super::trees::{Known, body_sealed_by_a_reader, sealed_by_a_reader};
use crate::engine::common::{garbage, plant};
use crate::engine::forger::{Forger, Owner, size};
use crate::engine::{
    backed_up, checked, content_of, forget_cache, newest, noise, restored, snapshots,
};
use crate::support::Other;

/// A person at a server, who has another device.
struct Stage {
    hostile: Hostile,
    person: Person,
}

impl Owner for Stage {
    fn paper(&self) -> Other {
        self.person.paper(&self.hostile)
    }
}

impl Stage {
    /// Of a vault whose keys the other device has at hand.
    fn forger() -> Forger<Self> {
        let hostile = Hostile::start();
        let person = Person::at(&hostile);
        let setup = Setup {
            randomness: Arc::new(Known),
            ..hostile.setup(person.home.path())
        };
        let begun = Account::open(&setup).unwrap().create_vault("documents");
        drop(begun.unwrap());
        let vault = person.reopened(&hostile).open_vault(&VaultSelector::Only);
        Forger::of(Self { hostile, person }, vault.unwrap())
    }

    /// A restore of everything that comes over the line, after which nothing of the
    /// device's has moved, and where it went to.
    fn restore(&self, vault: &Vault) -> (Result<RestoreReport, RestoreError>, TempDir) {
        forget_cache(vault);
        let (before, head) = (self.person.stored(), vault.head());
        let target = tempfile::tempdir().unwrap();
        let snapshot = &snapshots(vault)[0];
        let result = restored(vault, snapshot, Path::new("/"), target.path());
        assert_eq!(self.person.stored(), before);
        assert_eq!(vault.head(), head);
        (result, target)
    }

    /// One of two files is left out, by a fault of whoever has written its pack.
    #[track_caller]
    fn assert_restores_only(&self, name: &str, vault: &mut Vault) {
        let (result, target) = self.restore(vault);
        let report = result.unwrap();
        assert_eq!(report.left_out.len(), 1, "{:?}", report.left_out);
        let mut written = content_of(target.path());
        written.retain(|name, _| name != ".coffre-restore");
        assert_eq!(written.keys().collect::<Vec<_>>(), [name]);
        let problems = self.check(vault).problems;
        let [problem @ Problem::PackMalformed(_)] = &problems[..] else {
            panic!("{problems:?}");
        };
        assert!(!problem.is_the_hosters());
    }

    fn check(&self, vault: &mut Vault) -> CheckReport {
        forget_cache(vault);
        let before = self.person.stored();
        let report = checked(vault).unwrap();
        assert_eq!(self.person.stored(), before);
        report
    }
}

/// How many directories stand in one another, by names that are too long for a path.
/// There is nothing else in any of them.
fn depth(target: &Path) -> usize {
    let mut at = File::open(target).unwrap();
    for depth in 0.. {
        let here = format!("/proc/self/fd/{}", at.as_raw_fd());
        let mut names: Vec<_> = fs::read_dir(&here)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.retain(|name| name != ".coffre-restore");
        let [name] = &names[..] else {
            assert!(names.is_empty(), "{names:?}");
            return depth;
        };
        let next = Path::new(&here).join(name);
        assert!(next.is_dir());
        at = File::open(next).unwrap();
    }
    unreachable!()
}

/// What is made of it before its end is looked at is directories.
#[test]
fn a_tree_that_is_too_deep_is_not_restored() {
    let mut forger = Stage::forger();
    let mut nodes = vec![forger.file(b"end", b"the end")];
    for _ in 0..=MAX_DEPTH {
        nodes = vec![forger.folder(b"d", &nodes)];
    }
    forger.snapshot(&nodes);
    let (stage, mut vault) = forger.commit();
    let (result, target) = stage.restore(&vault);
    let error = result.expect_err("a tree without an end was restored");
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
    assert!(!error.is_transient(), "{error}");
    assert!(depth(target.path()) <= MAX_DEPTH);
    let problems = stage.check(&mut vault).problems;
    let [problem @ Problem::TreeUnreadable { .. }] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert!(!problem.is_the_hosters());
}

/// Sealed as it should be, in a pack and an index that say where it is: it opens, and
/// is not what its id names.
#[test]
fn a_chunk_whose_content_is_not_its_ids_is_not_restored() {
    let mut forger = Stage::forger();
    let (named, content) = (noise(1, 4_000), noise(2, 4_000));
    let kind = ChunkKind::FileData;
    let id = forger.keys.chunk_id(kind, &named);
    let sealed = sealed_by_a_reader(kind, &id, &content);
    let key = forger.keys.export_chunk_key(1, &id).unwrap();
    let hash = *blake3::hash(&sealed).as_bytes();
    let opened = key.open_chunk(kind, &hash, &sealed, &mut Decompressor::default());
    assert_eq!(opened.unwrap(), content);
    forger.pack.push(kind, &id, &sealed).unwrap();
    forger.written.insert(id);
    let first = forger.file(b"first", &named);
    let second = forger.file(b"second", b"as it should be");
    forger.snapshot(&[first, second]);
    let (stage, mut vault) = forger.commit();
    stage.assert_restores_only("second", &mut vault);
}

/// A chunk that is short as it is sealed, and grows a thousandfold when it is opened: it
/// says so itself, or says that it is as long as a chunk may be, or short. What is in it
/// is what its id names, so that nothing but its length keeps it from being restored.
#[test]
fn a_chunk_that_grows_without_bound_is_not_restored() {
    let kind = ChunkKind::FileData;
    let grown = vec![0; 64 << 20];
    let frame = zstd::bulk::compress(&grown, 19).unwrap();
    assert!(frame.len() < 16 << 10);
    let most = u32::try_from(kind.max_len()).unwrap();
    for claimed in [64 << 20, most + 1, most, 100] {
        let mut forger = Stage::forger();
        let id = forger.keys.chunk_id(kind, &grown);
        let body = [&[1], &u32::to_le_bytes(claimed)[..], &frame].concat();
        let sealed = body_sealed_by_a_reader(kind, &id, body);
        forger.pack.push(kind, &id, &sealed).unwrap();
        forger.written.insert(id);
        // A tree that said more would be none.
        let length = u64::from(claimed.min(most));
        let bomb = wire::Node {
            size: length,
            content: Some(wire::Stream {
                length,
                depth: 0,
                chunk_ids: id.as_bytes().to_vec(),
                lengths: vec![claimed.min(most)],
            }),
            ..forger.file(b"bomb", b"")
        };
        let other = forger.file(b"other", b"as it should be");
        forger.snapshot(&[bomb, other]);
        let (stage, mut vault) = forger.commit();
        stage.assert_restores_only("other", &mut vault);
    }
}

/// Garbage under the id of a chunk that nobody has saved yet, by a co-writer who knows
/// what will be saved: the device that saves it relies on its own place of it.
#[test]
fn garbage_under_an_id_that_was_foreseen_takes_nothing_away() {
    let mut scene = Scene::small();
    let writer = scene.joined_by_somebody(Role::Writer);
    let content = noise(7, 100_000);
    let keys = scene.vault.keys().unwrap();
    let (kind, id) = (
        ChunkKind::FileData,
        keys.chunk_id(ChunkKind::FileData, &content),
    );
    let garbage = garbage(&keys);
    let entry = IndexEntry {
        id,
        kind,
        pack: garbage.id,
        epoch: 1,
        pack_size: size(&garbage),
        offset: 0,
        sealed_length: garbage.entries[0].sealed_length,
    };
    let paper = writer.paper(&scene.hostile);
    plant(&paper, &scene.vault, garbage, &[entry]);
    scene.vault.refresh().unwrap();
    scene.files.write("foreseen", &content);
    let report = backed_up(&mut scene.vault, &scene.files).unwrap();
    assert!(report.new_bytes >= 100_000, "{report:?}");
    scene.snapshot = newest(&scene.vault).unwrap();
    scene.assert_restores_all_but(0);
    let problems = scene.check().unwrap().problems;
    assert!(!problems.is_empty());
    assert!(
        !problems.iter().any(Problem::is_the_hosters),
        "{problems:?}"
    );

    // With the hoster's help, who has lost the right one: it is missed, and garbage is
    // not put in its place.
    let packs = scene.packs().into_iter();
    let mut packs = packs.filter(|(_, entries)| entries.iter().any(|entry| entry.id == id));
    let (pack, _) = packs.next().unwrap();
    assert!(packs.next().is_none());
    scene.front().lay(&pack, None);
    let Restored { result, written } = scene.restore();
    match result {
        Err(error) => assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}"),
        Ok(report) => assert_ne!(report.lost_by_hoster, 0),
    }
    assert!(!written.contains_key("foreseen"));
}
