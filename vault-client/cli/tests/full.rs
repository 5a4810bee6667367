//! Disks that are too small, the device's and the hoster's: a tmpfs that is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::hoster::{Device, Hoster, Run, not_tested};
use crate::trees::{assert_same, look, noise};

/// A small disk, until it is dropped.
struct Disk {
    place: TempDir,
}

impl Disk {
    /// `None` where this user may not mount anything.
    fn mount(options: &str) -> Option<Self> {
        Self::mount_in(&std::env::temp_dir(), options)
    }

    /// In a new directory there.
    fn mount_in(parent: &Path, options: &str) -> Option<Self> {
        let place = tempfile::tempdir_in(parent).unwrap();
        let disk = Self { place };
        disk.call("mount", &["-t", "tmpfs", "-o", options, "tmpfs"])
            .then_some(disk)
    }

    fn grow(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(self.call("mount", &["-o", &options]));
    }

    fn call(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).arg(self.place.path());
        command.output().is_ok_and(|output| output.status.success())
    }

    fn target(&self) -> PathBuf {
        self.place.path().join("target")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.call("umount", &["--lazy"]);
    }
}

/// A hoster on such a disk. Of it, too, it leaves a part free.
fn hoster_on(disk: &Disk) -> Hoster {
    Hoster::start_in(disk.place.path(), |config| config.disk_reserve.bytes = 0)
}

fn saved(plant: impl FnOnce(&Path)) -> (Hoster, Device, TempDir, PathBuf) {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap().join("tree");
    fs::create_dir(&tree).unwrap();
    plant(&tree);
    device.back_up(&tree);
    (hoster, device, place, tree)
}

fn restore(device: &Device, tree: &Path, target: &Path) -> (i32, serde_json::Value) {
    let what = format!("latest:{}", tree.display());
    device.json(&["restore", &what, "--to", target.to_str().unwrap()])
}

#[test]
fn what_does_not_fit_is_not_begun() {
    let Some(disk) = Disk::mount("size=3m") else {
        return not_tested("this user may not mount a tmpfs");
    };
    let (_hoster, device, _place, tree) = saved(|tree| {
        for file in 0..4 {
            fs::write(tree.join(format!("{file}")), noise(file, 1_000_000)).unwrap();
        }
    });
    let (exit, document) = restore(&device, &tree, &disk.target());
    assert_eq!(
        (exit, &document["code"]),
        (5, &"disk-full".into()),
        "{document:#}"
    );
    assert!(
        document["message"].as_str().unwrap().contains("4000000"),
        "{document:#}"
    );
    assert_eq!(fs::read_dir(disk.target()).unwrap().count(), 0);
    // What is there already needs no room.
    fs::copy(tree.join("0"), disk.target().join("0")).unwrap();
    fs::copy(tree.join("1"), disk.target().join("1")).unwrap();
    disk.grow("size=5m");
    let (exit, document) = restore(&device, &tree, &disk.target());
    assert_eq!((exit, &document["kept"]), (0, &2.into()), "{document:#}");
}

#[test]
fn a_disk_that_fills_ends_it_and_the_next_restore_finishes() {
    let Some(disk) = Disk::mount("size=4m") else {
        return not_tested("this user may not mount a tmpfs");
    };
    // Small files: few bytes, and a page of memory for each.
    let (_hoster, device, _place, tree) = saved(|tree| {
        for file in 0..2_000 {
            fs::write(tree.join(format!("{file}")), noise(file, 600)).unwrap();
        }
    });
    let what = format!("latest:{}", tree.display());
    let run = Run::of(
        device
            .coffre(&["restore", &what, "--to"])
            .arg(disk.target()),
    );
    assert_eq!(run.exit, 5, "{run:?}");
    assert!(run.stderr.contains("no room left"), "{run:?}");
    disk.grow("size=64m");
    let (exit, document) = restore(&device, &tree, &disk.target());
    assert_eq!(
        (exit, &document["left_out"]),
        (0, &0.into()),
        "{document:#}"
    );
    assert!(document["kept"].as_u64().unwrap() > 0, "{document:#}");
    assert_same(&look(&tree), &disk.target());
}

/// A backup that stays on its file system has an empty directory where another begins.
#[test]
fn another_file_system_is_left_out_where_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap();
    let Some(disk) = Disk::mount_in(&tree, "size=1m") else {
        return not_tested("this user may not mount a tmpfs");
    };
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    fs::write(tree.join("here"), "here").unwrap();
    fs::write(disk.place.path().join("there"), "there").unwrap();
    let listed = |options: &[&str]| {
        let path = tree.to_str().unwrap();
        let run = device.run(&[&["backup", path][..], options].concat());
        assert_eq!(run.exit, 0, "{run:?}");
        let run = device.run(&["ls", "-R", &format!("latest:{path}")]);
        run.text().to_owned()
    };
    let all = listed(&[]);
    assert!(all.contains("here") && all.contains("/there"), "{all}");
    let mount = disk.place.path().file_name().unwrap().to_str().unwrap();
    for option in ["-x", "--one-file-system"] {
        let some = listed(&[option]);
        assert!(some.contains("here") && some.contains(mount), "{some}");
        assert!(!some.contains("/there"), "{some}");
    }
}

/// A backup ends because the hoster's disk is full, and says so.
fn assert_refused_for_room(device: &Device, tree: &Path) {
    let arguments = ["backup", tree.to_str().unwrap()];
    let (exit, document) = device.json(&arguments);
    assert_eq!(
        (exit, &document["code"]),
        (5, &"disk-full".into()),
        "{document:#}"
    );
    let run = device.run(&arguments);
    assert_eq!(run.exit, 5, "{run:?}");
    for words in ["The hoster's disk is full", "wait until the hoster has"] {
        assert!(run.stderr.contains(words), "{run:?}");
    }
}

/// Every snapshot's id, oldest first.
fn snapshots(device: &Device) -> Vec<String> {
    let document = device.done(&["snapshots"]);
    let all = document["snapshots"].as_array().unwrap().iter();
    all.map(|snapshot| snapshot["id"].as_str().unwrap().to_owned())
        .collect()
}

fn assert_restored(device: &Device, tree: &Path) {
    let place = tempfile::tempdir().unwrap();
    let target = place.path().join("restored");
    let (exit, document) = restore(device, tree, &target);
    assert_eq!(exit, 0, "{document:#}");
    assert_same(&look(tree), &target);
}

#[test]
fn a_backup_that_fills_the_hosters_disk_is_finished_when_there_is_room() {
    let Some(disk) = Disk::mount("size=64m") else {
        return not_tested("this user may not mount a tmpfs");
    };
    let hoster = hoster_on(&disk);
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap();
    fs::write(tree.join("letter"), "text").unwrap();
    let before = device.back_up(&tree);
    for file in 0..12 {
        fs::write(tree.join(format!("{file}")), noise(file, 8_000_000)).unwrap();
    }
    assert_refused_for_room(&device, &tree);
    // What was there is, and can be read.
    assert_eq!(snapshots(&device), [&before[..]]);
    device.done(&["check", "--read-data"]);

    disk.grow("size=256m");
    let after = device.back_up(&tree);
    assert_eq!(snapshots(&device), [before, after]);
    device.done(&["check", "--read-data"]);
    assert_restored(&device, &tree);
}
