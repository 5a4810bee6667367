//! Restores that were killed, and the next one.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write, stdin, stdout};
use std::mem::forget;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::*;

fn plan(directory: &TargetDirectory, file: &str, contents: &[u8]) -> Option<PlannedFile> {
    let node = file_node(file, contents.len() as u64, metadata(0o644));
    match directory.plan_file(&node).unwrap() {
        FilePlacement::Write(file) => Some(file),
        _ => None,
    }
}

#[test]
fn the_next_restore_finishes_what_was_left_unfinished() {
    let (_guard, base) = base();
    let to = base.join("to");
    fs::create_dir_all(to.join("d")).unwrap();
    fs::write(to.join("d/replaced"), "old").unwrap();
    let target = open(&to, Overwrite::Always);
    let directory = target.root().make_directory(&name("d")).unwrap();
    let made = directory.make_directory(&name("made")).unwrap();
    let done = plan(&directory, "done", b"done").unwrap();
    done.write_at(0, b"done").unwrap();
    done.finish(&metadata(0o644)).unwrap();
    for file in ["half", "replaced"] {
        let half = plan(&directory, file, b"contents").unwrap();
        half.write_at(0, b"cont").unwrap();
        forget(half);
    }
    forget((directory, made));
    target.kill();
    assert_eq!(fs::read(to.join("d/half")).unwrap(), b"cont");

    // Nothing is to be overwritten now; an unfinished file is not something
    // that stands there.
    let target = open(&to, Overwrite::Never);
    let directory = target.root().make_directory(&name("d")).unwrap();
    let made = directory.make_directory(&name("made")).unwrap();
    made.finish(&metadata(0o750));
    assert!(
        plan(&directory, "done", b"done").is_none(),
        "it was finished"
    );
    assert!(
        plan(&directory, "replaced", b"contents").is_none(),
        "it stood there"
    );
    let half = plan(&directory, "half", b"contents").unwrap();
    half.write_at(0, b"contents").unwrap();
    half.finish(&metadata(0o644)).unwrap();
    drop(directory);
    let finished = target.finish().unwrap();
    assert_eq!((finished.left_out, finished.removed_leftovers), (vec![], 2));
    assert_eq!(fs::read(to.join("d/half")).unwrap(), b"contents");
    assert_eq!(fs::read(to.join("d/replaced")).unwrap(), b"old");
    let mode = fs::metadata(to.join("d/made"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o750, "its directories are finished, too");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "the marker is gone");
    assert_eq!(
        fs::read_dir(to.join("d")).unwrap().count(),
        4,
        "no leftovers"
    );
}

#[test]
fn leftovers_are_removed_wherever_the_next_restore_does_not_come() {
    let (_guard, base) = base();
    let target = open(&base, Overwrite::Never);
    let deep = target.root().make_directory(&name("a")).unwrap();
    let deep = deep.make_directory(&name("b")).unwrap();
    forget(plan(&deep, "half", b"contents").unwrap());
    forget(deep);
    target.kill();
    let target = open(&base, Overwrite::Never);
    assert_eq!(target.finish().unwrap().removed_leftovers, 1);
    assert!(!base.join("a/b/half").exists());
}

#[test]
fn without_an_interruption_nothing_is_swept() {
    let (_guard, base) = base();
    fs::write(base.join(".coffre-00000000.part"), "mine").unwrap();
    fs::write(base.join("odd"), "mine").unwrap();
    let odd = fs::Permissions::from_mode(UNFINISHED_FILE);
    fs::set_permissions(base.join("odd"), odd).unwrap();
    fs::write(base.join("file"), "old").unwrap();
    let target = open(&base, Overwrite::Always);
    let file = plan(&target.root(), "file", b"new").unwrap();
    file.write_at(0, b"new").unwrap();
    file.finish(&metadata(0o644)).unwrap();
    assert_eq!(target.finish().unwrap().removed_leftovers, 0);
    assert_eq!(
        fs::read(base.join(".coffre-00000000.part")).unwrap(),
        b"mine"
    );
    assert_eq!(fs::read(base.join("odd")).unwrap(), b"mine");
}

#[test]
fn after_a_crash_of_the_machine_what_was_restored_is_restored_again() {
    for (crashed, is_written) in [(false, false), (true, true)] {
        let (_guard, base) = base();
        let target = open(&base, Overwrite::Never);
        let file = plan(&target.root(), "file", b"contents").unwrap();
        file.write_at(0, b"contents").unwrap();
        file.finish(&metadata(0o644)).unwrap();
        target.kill();
        if crashed {
            // The file kept its size and time, and its bytes never arrived.
            let time = fs::metadata(base.join("file")).unwrap().modified().unwrap();
            fs::write(base.join("file"), [0; 8]).unwrap();
            let file = fs::File::options().write(true).open(base.join("file"));
            file.unwrap().set_modified(time).unwrap();
            let marker = base.join(".coffre-restore");
            let began = fs::metadata(&marker).unwrap().modified().unwrap();
            fs::write(&marker, "an earlier boot").unwrap();
            let marker = fs::File::options().write(true).open(marker);
            marker.unwrap().set_modified(began).unwrap();
        }
        let target = open(&base, Overwrite::Never);
        let file = plan(&target.root(), "file", b"contents");
        assert_eq!(file.is_some(), is_written);
        if let Some(file) = file {
            file.write_at(0, b"contents").unwrap();
            file.finish(&metadata(0o644)).unwrap();
        }
        target.finish().unwrap();
        assert_eq!(fs::read(base.join("file")).unwrap(), b"contents");
    }
}

#[test]
fn two_restores_do_not_share_a_target() {
    let (_guard, base) = base();
    let first = open(&base, Overwrite::Never);
    let second = Target::open(&base, PlaceOptions::default());
    assert!(matches!(second, Err(PlaceError::Busy(_))));
    first.finish().unwrap();
    open(&base, Overwrite::Never).finish().unwrap();
}

#[test]
fn dropping_everything_leaves_a_restore_that_can_go_on() {
    let (_guard, base) = base();
    let target = open(&base, Overwrite::Never);
    let directory = target.root().make_directory(&name("d")).unwrap();
    let file = plan(&directory, "file", b"contents").unwrap();
    // In an order that nobody should choose.
    drop(target);
    drop(directory);
    file.write_at(0, b"contents").unwrap();
    drop(file);
    assert!(!base.join("d/file").exists());
    let target = open(&base, Overwrite::Never);
    let directory = target.root().make_directory(&name("d")).unwrap();
    directory.finish(&metadata(0o755));
    target.finish().unwrap();
    assert_eq!(fs::read_dir(&base).unwrap().count(), 1);
}

/// Where the process to be killed is to restore to.
const VARIABLE: &str = "COFFRE_TEST_KILLED_RESTORE";

#[test]
#[ignore = "a_killed_process_leaves_a_restore_that_can_go_on starts and kills it"]
fn restores_until_it_is_killed() {
    #[expect(clippy::disallowed_methods, reason = "one test tells another")]
    let Some(to) = std::env::var_os(VARIABLE) else {
        return;
    };
    let target = open(Path::new(&to), Overwrite::Always);
    let directory = target.root().make_directory(&name("d")).unwrap();
    put(&directory, &file_node("done", 4, metadata(0o644)), b"done").unwrap();
    let files = ["new", "replaced"].map(|file| plan(&directory, file, b"contents").unwrap());
    for file in &files {
        file.write_at(0, b"cont").unwrap();
    }
    stdout().write_all(b"\nbegun\n").unwrap();
    // Nobody writes to it: this waits for the end.
    let _ = stdin().read(&mut [0]);
}

#[test]
fn a_killed_process_leaves_a_restore_that_can_go_on() {
    let (_guard, base) = base();
    fs::create_dir(base.join("d")).unwrap();
    fs::write(base.join("d/replaced"), "old").unwrap();
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::restores_until_it_is_killed")])
        .args(["--ignored", "--nocapture"])
        .env(VARIABLE, &base)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "begun"));
    let busy = Target::open(&base, PlaceOptions::default());
    assert!(matches!(busy, Err(PlaceError::Busy(_))));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(base.join("d/new")).unwrap(), b"cont");
    assert_eq!(fs::read(base.join("d/replaced")).unwrap(), b"old");

    let target = open(&base, Overwrite::Never);
    let directory = target.root().make_directory(&name("d")).unwrap();
    assert!(plan(&directory, "done", b"done").is_none());
    put(
        &directory,
        &file_node("new", 8, metadata(0o644)),
        b"contents",
    )
    .unwrap();
    drop(directory);
    assert_eq!(target.finish().unwrap().removed_leftovers, 2);
    assert_eq!(fs::read(base.join("d/new")).unwrap(), b"contents");
    assert_eq!(
        fs::read_dir(base.join("d")).unwrap().count(),
        3,
        "no leftovers"
    );
}
