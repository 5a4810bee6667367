//! Where something stands already.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

fn place(directory: &TargetDirectory, file: &str, contents: &str) -> &'static str {
    let node = file_node(file, contents.len() as u64, metadata(0o644));
    match directory.plan_file(&node).unwrap() {
        FilePlacement::Kept { looks_same: true } => "same",
        FilePlacement::Kept { .. } => "kept",
        FilePlacement::Write(planned) => {
            planned.write_at(0, contents.as_bytes()).unwrap();
            planned.finish(node.metadata()).unwrap();
            "written"
        }
        FilePlacement::Linked => "linked",
    }
}

#[test]
fn the_policy_decides_what_is_kept() {
    for (overwrite, same, other_time, other_size) in [
        (Overwrite::Never, "same", "kept", "kept"),
        (Overwrite::Changed, "same", "written", "written"),
        (Overwrite::Always, "written", "written", "written"),
    ] {
        let (_guard, base) = base();
        let target = open(&base, Overwrite::Never);
        place(&target.root(), "same", "was there");
        place(&target.root(), "size", "was");
        target.finish().unwrap();
        fs::write(base.join("time"), "was there").unwrap();

        let target = open(&base, overwrite);
        let root = target.root();
        assert_eq!(place(&root, "new", "was there"), "written");
        assert_eq!(place(&root, "same", "was there"), same);
        assert_eq!(place(&root, "size", "is there!"), other_size);
        assert_eq!(place(&root, "time", "is there!"), other_time);
        drop(root);
        assert_eq!(target.finish().unwrap(), Finished::default());
        let expected = if overwrite == Overwrite::Never {
            "was there"
        } else {
            "is there!"
        };
        assert_eq!(fs::read_to_string(base.join("time")).unwrap(), expected);
        assert_eq!(fs::read_dir(&base).unwrap().count(), 4, "no leftovers");
    }
}

#[test]
fn a_file_is_there_under_its_name_at_all_times() {
    let (_guard, base) = base();
    fs::write(base.join("file"), "old").unwrap();
    let target = open(&base, Overwrite::Always);
    let node = file_node("file", 3, metadata(0o644));
    let FilePlacement::Write(file) = target.root().plan_file(&node).unwrap() else {
        panic!("it is to be replaced");
    };
    file.write_at(0, b"n").unwrap();
    assert_eq!(fs::read(base.join("file")).unwrap(), b"old");
    // Given up: the old one stays, and nothing else.
    drop(file);
    target.finish().unwrap();
    assert_eq!(fs::read(base.join("file")).unwrap(), b"old");
    assert_eq!(fs::read_dir(&base).unwrap().count(), 1);
}

#[test]
fn metadata_alone_is_brought_up_to_date() {
    for (overwrite, expected) in [(Overwrite::Never, 0o600), (Overwrite::Changed, 0o644)] {
        let (_guard, base) = base();
        let target = open(&base, Overwrite::Never);
        place(&target.root(), "file", "contents");
        target.finish().unwrap();
        fs::set_permissions(base.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
        let ino = fs::metadata(base.join("file")).unwrap().ino();

        let target = open(&base, overwrite);
        assert_eq!(place(&target.root(), "file", "contents"), "same");
        target.finish().unwrap();
        let metadata = fs::metadata(base.join("file")).unwrap();
        assert_eq!((metadata.ino(), metadata.mode() & 0o7777), (ino, expected));
    }
}

#[test]
fn directories_that_stand_there_are_filled_and_change_only_if_they_may() {
    for (overwrite, expected) in [(Overwrite::Never, 0o700), (Overwrite::Changed, 0o755)] {
        let (_guard, base) = base();
        let directory = base.join("d");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(directory.join("other"), "stays").unwrap();
        let target = open(&base, overwrite);
        let made = target.root().make_directory(&name("d")).unwrap();
        place(&made, "file", "contents");
        made.finish(&metadata(0o755));
        target.finish().unwrap();
        assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o7777, expected);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
    }
}

#[test]
fn symlinks_are_replaced_or_kept() {
    let (_guard, base) = base();
    let link = |overwrite, to: &str| {
        let target = open(&base, overwrite);
        let placed = target.root().make_other(&symlink_node("link", to)).unwrap();
        assert_eq!(target.finish().unwrap().left_out, []);
        (placed, fs::read_link(base.join("link")).unwrap())
    };
    assert_eq!(link(Overwrite::Never, "a"), (Placed::Made, "a".into()));
    assert_eq!(link(Overwrite::Never, "b"), (Placed::Kept, "a".into()));
    assert_eq!(link(Overwrite::Changed, "b"), (Placed::Made, "b".into()));
    assert_eq!(link(Overwrite::Always, "c"), (Placed::Made, "c".into()));
    assert_eq!(fs::read_dir(&base).unwrap().count(), 1, "no leftovers");
}

#[test]
fn the_target_itself_changes_only_if_it_was_made_or_may() {
    let (_guard, base) = base();
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    for (to, overwrite, expected) in [
        ("there", Overwrite::Never, 0o711),
        ("there", Overwrite::Always, 0o755),
        ("new", Overwrite::Never, 0o755),
    ] {
        let to = base.join(to);
        if to.ends_with("there") {
            fs::create_dir_all(&to).unwrap();
            fs::set_permissions(&to, fs::Permissions::from_mode(0o711)).unwrap();
        }
        let target = open(&to, overwrite);
        target.root().finish(&metadata(0o755));
        target.finish().unwrap();
        assert_eq!(mode(&to), expected);
        let modified = fs::metadata(&to).unwrap().mtime();
        assert_eq!(modified == 1_234_567_890, expected == 0o755);
    }
}

#[test]
fn hard_links_over_what_stands_there() {
    let (_guard, base) = base();
    let restore = |overwrite| {
        let target = open(&base, overwrite);
        let root = target.root();
        for file in ["a", "b"] {
            let node = file_node(file, 3, metadata(0o644));
            let node = node.with_hard_link([1; 16]).unwrap();
            if let FilePlacement::Write(file) = root.plan_file(&node).unwrap() {
                file.write_at(0, b"new").unwrap();
                file.finish(node.metadata()).unwrap();
            }
        }
        drop(root);
        assert_eq!(target.finish().unwrap().left_out, []);
        let ino = |file: &str| fs::metadata(base.join(file)).unwrap().ino();
        assert_eq!(ino("a"), ino("b"));
        assert_eq!(fs::read(base.join("b")).unwrap(), b"new");
        assert_eq!(fs::read_dir(&base).unwrap().count(), 2, "no leftovers");
    };
    fs::write(base.join("b"), "old").unwrap();
    restore(Overwrite::Always);
    // And where they are linked already, whatever the policy.
    restore(Overwrite::Always);
    restore(Overwrite::Changed);
    restore(Overwrite::Never);
}
