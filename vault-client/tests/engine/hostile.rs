//! Trees that a member's device should never have written: whatever they hold,
//! a restore stays inside its target.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::TempDir;
use vault_client::check::Problem;
use vault_client::error::ErrorCode;
use vault_client::files::{Overwrite, Reason};
use vault_client::restore::{RestoreError, RestoreOptions, RestoreReport};
use vault_client::vault::Vault;
use vault_core::tree::MAX_DEPTH;
use vault_proto::wire;
use vault_proto::wire::NodeKind;

use super::forger::{Forger, node, symlink};
use super::{checked, content_of, noise, restored_with, snapshots};

/// A target, and something beside it that must stay as it is.
pub(super) struct Place(TempDir);

impl Place {
    pub(super) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.target()).unwrap();
        fs::create_dir(place.outside()).unwrap();
        fs::write(place.outside().join("victim"), b"untouched").unwrap();
        place
    }

    pub(super) fn target(&self) -> std::path::PathBuf {
        self.0.path().join("target")
    }

    pub(super) fn outside(&self) -> std::path::PathBuf {
        self.0.path().join("outside")
    }

    pub(super) fn restore(
        &self,
        vault: &Vault,
        number: usize,
        options: &RestoreOptions,
    ) -> Result<RestoreReport, RestoreError> {
        let snapshot = &snapshots(vault)[number];
        let result = restored_with(vault, snapshot, Path::new("/"), &self.target(), options);
        self.assert_nothing_left();
        result
    }

    /// Nothing was written beside the target, or changed there.
    pub(super) fn assert_nothing_left(&self) {
        let mut names: Vec<_> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["outside", "target"]);
        let outside = content_of(&self.outside());
        assert_eq!(outside.len(), 1);
        assert_eq!(outside["victim"], b"untouched");
        let victim = self.outside().join("victim");
        assert_eq!(victim.metadata().unwrap().nlink(), 1);
        assert_eq!(victim.metadata().unwrap().mode() & 0o7000, 0);
    }
}

fn always() -> RestoreOptions {
    let mut options = RestoreOptions::default();
    options.place.overwrite = Overwrite::Always;
    options
}

/// A check that tells of trees, and does not blame the hoster.
pub(super) fn assert_told_of(vault: &mut Vault, trees: usize) {
    let report = checked(vault).unwrap();
    let unreadable = |problem: &&Problem| matches!(problem, Problem::TreeUnreadable { .. });
    assert_eq!(report.problems.iter().filter(unreadable).count(), trees);
    assert!(
        !report.problems.iter().any(Problem::is_the_hosters),
        "{report:?}"
    );
}

#[test]
fn what_was_forged_well_is_restored() {
    let mut forger = Forger::new();
    let inner = forger.file(b"letter", b"dear");
    let folder = forger.folder(b"folder", &[inner]);
    let long = noise(1, 1 << 20);
    let file = forger.file(b"long", &long);
    forger.snapshot(&[folder, file]);
    let (_member, mut vault) = forger.commit();
    assert_eq!(checked(&mut vault).unwrap().problems, []);
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    assert_eq!(report.left_out, []);
    let written = content_of(&place.target());
    assert_eq!(written.len(), 2);
    assert_eq!(written["folder/letter"], b"dear");
    assert_eq!(written["long"], long);
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    let absolute = tempfile::tempdir().unwrap();
    let absolute = absolute.path().join("absolute");
    let names: [&[u8]; 10] = [
        b"",
        b".",
        b"..",
        b"../outside",
        b"../outside/victim",
        b"a/../../outside/victim",
        b"a/b",
        b"nul\0",
        b"/",
        absolute.as_os_str().as_encoded_bytes(),
    ];
    let mut forger = Forger::new();
    for name in names {
        let inner = forger.file(b"victim", b"evil");
        let folder = forger.folder(name, &[inner]);
        forger.snapshot(&[folder]);
        let file = forger.file(name, b"evil");
        forger.snapshot(&[file]);
        forger.snapshot(&[symlink(name, "target")]);
    }
    let (_member, mut vault) = forger.commit();
    for number in 0..3 * names.len() {
        let place = Place::new();
        let error = place.restore(&vault, number, &always()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt, "{number}: {error}");
        assert!(!absolute.exists());
    }
    assert_told_of(&mut vault, 3 * names.len());
}

#[test]
fn names_that_come_twice_or_out_of_order_are_refused() {
    let mut forger = Forger::new();
    let evil = forger.file(b"victim", b"evil");
    let folder = forger.folder(b"door", std::slice::from_ref(&evil));
    let door = symlink(b"door", "../outside");
    forger.snapshot(&[door.clone(), folder.clone()]);
    forger.snapshot(&[folder.clone(), door.clone()]);
    forger.snapshot(&[evil.clone(), evil.clone()]);
    forger.snapshot(&[evil, folder]);
    let (_member, mut vault) = forger.commit();
    for number in 0..4 {
        let place = Place::new();
        let error = place.restore(&vault, number, &always()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Corrupt, "{number}: {error}");
    }
    assert_told_of(&mut vault, 4);
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let mut forger = Forger::new();
    // One restore makes the symlinks, the next finds them in its way.
    forger.snapshot(&[
        symlink(b"door", "../outside"),
        symlink(b"victim", "../outside/victim"),
    ]);
    let evil = forger.file(b"victim", b"evil");
    let folder = forger.folder(b"door", std::slice::from_ref(&evil));
    forger.snapshot(&[folder, evil]);
    let (_member, vault) = forger.commit();
    for options in [RestoreOptions::default(), always()] {
        let place = Place::new();
        place.restore(&vault, 0, &options).unwrap();
        assert_eq!(
            fs::read_link(place.target().join("door")).unwrap(),
            Path::new("../outside")
        );
        place.restore(&vault, 1, &options).unwrap();
    }
    // The file takes the place of the symlink, where that was asked for.
    let place = Place::new();
    place.restore(&vault, 0, &always()).unwrap();
    place.restore(&vault, 1, &always()).unwrap();
    let victim = place.target().join("victim");
    assert!(victim.symlink_metadata().unwrap().is_file());
    assert_eq!(fs::read(victim).unwrap(), b"evil");
}

#[test]
fn hard_links_lead_nowhere_else() {
    let mut forger = Forger::new();
    let linked = |node: wire::Node| wire::Node {
        hard_link: vec![5; 16],
        ..node
    };
    let evil = forger.file(b"b", b"evil");
    let other = forger.file(b"c", b"other");
    forger.snapshot(&[
        linked(symlink(b"a", "../outside/victim")),
        linked(evil),
        linked(other),
    ]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place.restore(&vault, 0, &always()).unwrap();
    assert_eq!((report.files, report.others), (2, 1));
    let written = content_of(&place.target());
    // Nodes that say that they are one file, and differ, are not.
    assert_eq!(written["b"], b"evil");
    assert_eq!(written["c"], b"other");
}

#[test]
fn privileges_are_not_restored_unasked() {
    let mut forger = Forger::new();
    let file = forger.file(b"shell", b"#!");
    forger.snapshot(&[wire::Node {
        mode: 0o6755,
        ..file
    }]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    assert_eq!(report.dropped_privileges, 1);
    let mode = place
        .target()
        .join("shell")
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o755);
}

#[test]
fn special_files_are_not_made_unasked() {
    let mut forger = Forger::new();
    let device = |name: &[u8], kind| wire::Node {
        device_major: 1,
        device_minor: 3,
        ..node(name, kind)
    };
    forger.snapshot(&[
        device(b"block", NodeKind::BlockDevice),
        device(b"character", NodeKind::CharacterDevice),
        node(b"fifo", NodeKind::Fifo),
        node(b"socket", NodeKind::Socket),
    ]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place.restore(&vault, 0, &always()).unwrap();
    let reasons: Vec<_> = report
        .left_out
        .iter()
        .map(|left_out| left_out.reason)
        .collect();
    assert_eq!(reasons, [Reason::SpecialFile; 4]);
    for entry in fs::read_dir(place.target()).unwrap() {
        let kind = entry.unwrap().file_type().unwrap();
        assert!(!kind.is_fifo() && !kind.is_socket());
        assert!(!kind.is_block_device() && !kind.is_char_device());
    }
}

#[test]
fn a_tree_that_is_too_deep_ends() {
    let mut forger = Forger::new();
    let mut nodes = vec![node(b"end", NodeKind::Fifo)];
    for _ in 0..=MAX_DEPTH {
        nodes = vec![forger.folder(b"d", &nodes)];
    }
    forger.snapshot(&nodes);
    let (_member, mut vault) = forger.commit();
    assert_told_of(&mut vault, 1);
    let place = Place::new();
    let error = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt, "{error}");
}

/// Each directory names the next one twice: 2^60 nodes in 60 chunks.
#[test]
fn a_tree_that_is_larger_than_anything_is_checked_at_once() {
    let mut forger = Forger::new();
    let mut nodes = vec![forger.file(b"end", b"end")];
    for _ in 0..60 {
        let once = forger.folder(b"a", &nodes);
        let twice = wire::Node {
            name: b"b".to_vec(),
            ..once.clone()
        };
        nodes = vec![once, twice];
    }
    forger.snapshot(&nodes);
    let (_member, mut vault) = forger.commit();
    let report = checked(&mut vault).unwrap();
    assert_eq!(report.problems, []);
    assert!(report.nodes < 200);
}

#[test]
fn a_file_may_claim_any_size() {
    let mut forger = Forger::new();
    let most = i64::MAX as u64;
    let small = forger.file(b"huge", b"small");
    forger.snapshot(&[wire::Node {
        size: most,
        holes: vec![wire::Hole {
            offset: 5,
            length: most - 5,
        }],
        ..small
    }]);
    let (_member, vault) = forger.commit();
    let place = Place::new();
    let report = place
        .restore(&vault, 0, &RestoreOptions::default())
        .unwrap();
    // Left out where the file system has no files that long, a hole elsewhere.
    match place.target().join("huge").metadata() {
        Ok(metadata) => assert!(metadata.blocks() < 1_000),
        Err(_) => assert_eq!(report.left_out.len(), 1),
    }
}
