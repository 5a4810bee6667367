//! Files that are not as files should be: each is told of, and the rest saved.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, OFlags, mkdirat, mknodat, openat};
use serde_json::Value;
use tempfile::TempDir;
use vault_client::files::compare_trees;

use crate::hoster::{Device, Hoster, not_tested};
use crate::trees::noise;

/// A member with an empty vault, and an empty directory.
struct Case {
    _hoster: Hoster,
    device: Device,
    place: TempDir,
}

impl Case {
    fn new() -> Self {
        let hoster = Hoster::start();
        let device = hoster.member();
        device.done(&["vault", "create", "papers"]);
        let case = Self {
            _hoster: hoster,
            device,
            place: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(case.tree()).unwrap();
        case
    }

    fn tree(&self) -> PathBuf {
        self.place.path().canonicalize().unwrap().join("tree")
    }

    fn target(&self) -> PathBuf {
        self.place.path().join("restored")
    }

    fn back_up(&self) -> (i32, Value) {
        self.device.json(&["backup", self.tree().to_str().unwrap()])
    }

    fn restore(&self, options: &[&str]) -> (i32, Value) {
        let what = format!("latest:{}", self.tree().display());
        let target = self.target();
        let mut arguments = vec!["restore", &what, "--to", target.to_str().unwrap()];
        arguments.extend(options);
        self.device.json(&arguments)
    }

    #[track_caller]
    fn assert_restored(&self) {
        let differences = compare_trees(&self.tree(), &self.target()).unwrap();
        let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
        assert!(differences.is_empty(), "{differences:#?}");
    }
}

/// What was left out, by the end of its path, and why.
#[track_caller]
fn assert_left_out(document: &Value, expected: &[(&str, &str)]) {
    let entries = document["left_out_entries"].as_array().unwrap();
    let mut found: Vec<_> = entries
        .iter()
        .map(|entry| {
            let path = entry["path"].as_str().unwrap();
            let name = path.rsplit('/').next().unwrap();
            (name, entry["reason"].as_str().unwrap())
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected, "{document:#}");
    assert_eq!(document["left_out"], expected.len(), "{document:#}");
}

#[test]
fn names_that_are_no_text_and_links_in_a_circle_come_back() {
    let case = Case::new();
    let tree = case.tree();
    for name in [&b"caf\xe9"[..], b"\xff\xfe", b"new\nline", b"\x1b[2J", b" "] {
        fs::write(tree.join(OsStr::from_bytes(name)), name).unwrap();
    }
    let folder = tree.join(OsStr::from_bytes(b"dossier \xe9"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(OsStr::from_bytes(&[0x80; 255])), "longest").unwrap();
    symlink("itself", tree.join("itself")).unwrap();
    symlink("pong", tree.join("ping")).unwrap();
    symlink("ping", tree.join("pong")).unwrap();
    symlink("..", folder.join("upwards")).unwrap();
    symlink(OsStr::from_bytes(b"\xff/nowhere"), tree.join("astray")).unwrap();
    let (exit, document) = case.back_up();
    assert_eq!(exit, 0, "{document:#}");
    assert_eq!(document["files"], 6, "{document:#}");
    let (exit, document) = case.restore(&["--verify"]);
    assert_eq!(exit, 0, "{document:#}");
    assert_eq!(document["verified"], 6, "{document:#}");
    case.assert_restored();
}

#[test]
fn special_files_are_saved_and_made_again_only_if_asked_for() {
    let case = Case::new();
    let tree = case.tree();
    fs::write(tree.join("file"), "between them").unwrap();
    let make = |name: &str, kind, mode, device| {
        mknodat(
            CWD,
            tree.join(name),
            kind,
            Mode::from_raw_mode(mode),
            device,
        )
    };
    make("fifo", FileType::Fifo, 0o600, 0).unwrap();
    let socket = UnixListener::bind(tree.join("socket")).unwrap();
    drop(socket);
    let mut special = vec![("fifo", "special-file"), ("socket", "special-file")];
    let null = rustix::fs::makedev(1, 3);
    if make("null", FileType::CharacterDevice, 0o644, null).is_ok() {
        let disk = rustix::fs::makedev(7, 250);
        make("disk", FileType::BlockDevice, 0o600, disk).unwrap();
        special.extend([("disk", "special-file"), ("null", "special-file")]);
        special.sort_unstable();
    } else {
        not_tested("this user may not make device nodes");
    }
    let (exit, document) = case.back_up();
    assert_eq!(exit, 0, "{document:#}");
    // Neither read nor waited for, and not forgotten either.
    let (exit, document) = case.restore(&[]);
    assert_eq!(exit, 3, "{document:#}");
    assert_left_out(&document, &special);
    let written = fs::read(case.target().join("file")).unwrap();
    assert_eq!(written, b"between them");
    assert_eq!(fs::read_dir(case.target()).unwrap().count(), 1);
    // Into a directory that stands already they would come, too, but its times
    // would be those of their coming.
    fs::remove_dir_all(case.target()).unwrap();
    let (exit, document) = case.restore(&["--special-files"]);
    assert_eq!(exit, 0, "{document:#}");
    case.assert_restored();
}

#[test]
fn what_may_not_be_read_is_left_out_by_every_backup() {
    let case = Case::new();
    let tree = case.tree();
    fs::write(tree.join("public"), "for all").unwrap();
    fs::write(tree.join("secret"), "for nobody").unwrap();
    fs::set_permissions(tree.join("secret"), Permissions::from_mode(0o0)).unwrap();
    fs::create_dir(tree.join("closed")).unwrap();
    fs::set_permissions(tree.join("closed"), Permissions::from_mode(0o0)).unwrap();
    // Permissions apply to root as well, without these rights.
    let mut command = Command::new(env!("CARGO_BIN_EXE_coffre"));
    if rustix::process::geteuid().is_root() {
        let without = "=-dac_override,-dac_read_search";
        command = Command::new("setpriv");
        command
            .args(["--bounding-set", "--inh-caps"].map(|set| format!("{set}{without}")))
            .arg(env!("CARGO_BIN_EXE_coffre"));
    }
    command
        .args(["backup", "--json"])
        .arg(&tree)
        .env("COFFRE_HOME", case.device.home.path());
    // The second time, the cache knows the rest.
    for _ in 0..2 {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        let denied = "not-permitted";
        assert_left_out(&document, &[("closed", denied), ("secret", denied)]);
        assert_eq!(document["files"], 1, "{document:#}");
    }
    let (exit, document) = case.restore(&[]);
    assert_eq!(exit, 0, "{document:#}");
    let written = fs::read(case.target().join("public")).unwrap();
    assert_eq!(written, b"for all");
    assert!(!case.target().join("secret").exists());
    fs::set_permissions(tree.join("closed"), Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_file_that_is_written_to_meanwhile_is_kept_and_told_of() {
    let case = Case::new();
    let tree = case.tree();
    fs::write(tree.join("still"), noise(1, 3_000_000)).unwrap();
    fs::write(tree.join("busy"), noise(2, 80_000_000)).unwrap();
    let file = File::options().write(true).open(tree.join("busy")).unwrap();
    let is_over = AtomicBool::new(false);
    let (exit, document) = thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn: u8 = 0;
            while !is_over.load(Ordering::Relaxed) {
                file.write_all_at(&[turn], 40_000_000).unwrap();
                turn = turn.wrapping_add(1);
            }
        });
        let run = case.back_up();
        is_over.store(true, Ordering::Relaxed);
        run
    });
    assert_eq!(exit, 3, "{document:#}");
    assert_left_out(&document, &[("busy", "changed-while-read")]);
    assert_eq!(document["files"], 2, "{document:#}");
    let (exit, document) = case.restore(&[]);
    assert_eq!(exit, 0, "{document:#}");
    let read = |name: &str| fs::read(case.target().join(name)).unwrap();
    assert!(read("still") == noise(1, 3_000_000));
    let mut busy = read("busy");
    busy[40_000_000] = noise(2, 80_000_000)[40_000_000];
    assert!(busy == noise(2, 80_000_000), "all else is as it was");
}

#[test]
fn ten_sparse_gigabytes_cost_next_to_nothing() {
    let case = Case::new();
    let length = 10_000_000_000;
    let file = File::create(case.tree().join("sparse")).unwrap();
    file.set_len(length).unwrap();
    for offset in [0, 5_000_000_123, length - 7] {
        file.write_all_at(b"an island", offset.min(length - 9))
            .unwrap();
    }
    drop(file);
    let (exit, document) = case.back_up();
    assert_eq!(exit, 0, "{document:#}");
    let uploaded = document["uploaded_bytes"].as_u64().unwrap();
    assert!(uploaded < 1_000_000, "{document:#}");
    let (exit, document) = case.restore(&["--verify"]);
    assert_eq!(exit, 0, "{document:#}");
    assert_eq!(document["verified"], 1, "{document:#}");
    let restored = case.target().join("sparse");
    let stat = fs::metadata(&restored).unwrap();
    assert_eq!(stat.len(), length);
    assert!(stat.blocks() * 512 < 1_000_000, "{stat:?}");
    let file = File::open(restored).unwrap();
    let mut read = [1; 11];
    file.read_exact_at(&mut read, 5_000_000_122).unwrap();
    assert_eq!(&read, b"\0an island\0");
    file.read_exact_at(&mut read, length - 11).unwrap();
    assert_eq!(&read, b"\0\0an island");
}

/// Longer than any path that a system call takes.
#[test]
fn a_path_beyond_four_kibibytes_comes_back() {
    let case = Case::new();
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |at: &OwnedFd, name: &str| openat(at, name, flags, Mode::empty()).unwrap();
    let mut at = openat(CWD, case.tree(), flags, Mode::empty()).unwrap();
    let mut length = case.tree().as_os_str().len();
    for level in 0..20_u8 {
        let name = char::from(b'a' + level).to_string().repeat(255);
        mkdirat(&at, &name, Mode::from_raw_mode(0o755)).unwrap();
        at = open(&at, &name);
        length += 1 + name.len();
    }
    assert!(length > 4_096);
    let create = OFlags::CREATE | OFlags::WRONLY;
    let file = openat(&at, "deep", create, Mode::from_raw_mode(0o644)).unwrap();
    File::from(file).write_all_at(b"down here", 0).unwrap();
    let (exit, document) = case.back_up();
    assert_eq!(exit, 0, "{document:#}");
    assert_eq!(document["files"], 1, "{document:#}");
    let (exit, document) = case.restore(&["--verify"]);
    assert_eq!(exit, 0, "{document:#}");
    assert_eq!(document["verified"], 1, "{document:#}");
    case.assert_restored();
}

/// Restores, lets `change` happen to the target, and reads it again.
#[track_caller]
fn verified_after(change: impl FnOnce(&Path)) -> (i32, Value) {
    let case = Case::new();
    let folder = case.tree().join("folder");
    fs::create_dir(&folder).unwrap();
    let file = File::create(folder.join("holed")).unwrap();
    file.write_all_at(&noise(1, 100_000), 0).unwrap();
    file.set_len(3_000_000).unwrap();
    file.write_all_at(&noise(2, 100_000), 2_900_000).unwrap();
    fs::write(folder.join("letter"), noise(3, 3_000_000)).unwrap();
    let (exit, document) = case.back_up();
    assert_eq!(exit, 0, "{document:#}");
    let (exit, document) = case.restore(&["--verify"]);
    assert_eq!(exit, 0, "{document:#}");
    assert_eq!(document["verified"], 2, "{document:#}");
    change(&case.target());
    // What is there stays, and is compared.
    case.restore(&["--overwrite", "never", "--verify"])
}

#[test]
fn verifying_tells_of_every_changed_byte() {
    for (name, offset) in [
        ("letter", 0),
        ("letter", 2_999_999),
        ("holed", 50_000),
        // Where the snapshot has a hole.
        ("holed", 1_500_000),
        ("holed", 2_999_999),
        // One byte longer.
        ("letter", 3_000_000),
    ] {
        let (exit, document) = verified_after(|target| {
            let path = target.join("folder").join(name);
            let file = File::options().read(true).write(true).open(path).unwrap();
            let mut byte = [0];
            let _at_the_end = file.read_at(&mut byte, offset).unwrap();
            file.write_all_at(&[byte[0] ^ 1], offset).unwrap();
        });
        assert_eq!(exit, 3, "{name} {offset}: {document:#}");
        assert_left_out(&document, &[(name, "different")]);
        assert_eq!(document["verified"], 1, "{document:#}");
    }
}

#[test]
fn verifying_waits_for_no_fifo_and_follows_no_symlink() {
    let (exit, document) = verified_after(|target| {
        let path = target.join("folder/letter");
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
    });
    assert_eq!(exit, 3, "{document:#}");
    let reasons: Vec<_> = document["left_out_entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["path"].as_str().unwrap())
        .collect();
    assert_eq!(reasons, ["/folder/letter"], "{document:#}");
    assert_eq!(document["verified"], 1, "{document:#}");

    // The right bytes elsewhere are not the restored file.
    let (exit, document) = verified_after(|target| {
        fs::rename(target.join("folder"), target.join("elsewhere")).unwrap();
        symlink("elsewhere", target.join("folder")).unwrap();
    });
    assert_eq!(exit, 3, "{document:#}");
    assert_eq!(document["verified"], 0, "{document:#}");
}
