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
use vault_core::seal::Decompressor;
use vault_core::tree::MAX_DEPTH;

use super::scene::{Hostile, Person};
use super::trees::{Known, sealed_by_a_reader};
use crate::engine::forger::{Forger, Owner};
use crate::engine::{checked, content_of, forget_cache, noise, restored, snapshots};
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
    let (result, target) = stage.restore(&vault);
    let report = result.unwrap();
    assert_eq!(report.left_out.len(), 1, "{:?}", report.left_out);
    let mut written = content_of(target.path());
    written.retain(|name, _| name != ".coffre-restore");
    assert_eq!(written.keys().collect::<Vec<_>>(), ["second"]);
    let problems = stage.check(&mut vault).problems;
    let [problem @ Problem::PackMalformed(_)] = &problems[..] else {
        panic!("{problems:?}");
    };
    assert!(!problem.is_the_hosters());
}
