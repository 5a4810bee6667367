//! What is restored is what was saved.

use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat, setxattr};
use vault_core::tree::Hole;

use super::*;

fn set_time(path: &Path, nanoseconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds);
    File::open(path).unwrap().set_modified(time).unwrap();
}

/// A tree with some of everything.
fn make_tree(base: &Path) {
    fs::create_dir_all(base.join("a/b/empty")).unwrap();
    fs::create_dir(base.join("read-only")).unwrap();
    fs::write(base.join("a/plain"), "plain").unwrap();
    fs::write(base.join("a/none"), "").unwrap();
    fs::write(base.join("read-only/file"), "kept").unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe\n* ");
    fs::write(base.join(odd), "odd").unwrap();
    fs::write(base.join("n".repeat(255)), "long").unwrap();
    fs::write(base.join("big"), vec![3; 9 << 20]).unwrap();
    let sparse = File::create(base.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_at(b"x", 1 << 20).unwrap();
    File::create(base.join("hollow"))
        .unwrap()
        .set_len(1 << 20)
        .unwrap();
    fs::hard_link(base.join("a/plain"), base.join("a/b/other name")).unwrap();
    fs::hard_link(base.join("a/plain"), base.join("z")).unwrap();
    symlink("../nowhere", base.join("a/link")).unwrap();
    symlink("/etc/passwd", base.join("absolute")).unwrap();
    symlink("loop", base.join("loop")).unwrap();
    setxattr(
        base.join("a/plain"),
        "user.note",
        b"\0binary\xff",
        XattrFlags::empty(),
    )
    .unwrap();
    setxattr(
        base.join("a"),
        "user.on a directory",
        b"",
        XattrFlags::empty(),
    )
    .unwrap();
    for (path, mode) in [("a/plain", 0o640), ("a/none", 0), ("a/b/empty", 0o1777)] {
        fs::set_permissions(base.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    if is_root() {
        lchown(base.join("a/none"), Some(1234), Some(4321)).unwrap();
        lchown(base.join("a/link"), Some(1234), Some(4321)).unwrap();
        lchown(base.join("a/b"), Some(1234), Some(4321)).unwrap();
        lsetxattr(
            base.join("a/link"),
            "trusted.note",
            b"link",
            XattrFlags::empty(),
        )
        .unwrap();
    }
    for (n, path) in ["a/plain", "big", "a/b/empty", "a/b", "a", "read-only"]
        .iter()
        .enumerate()
    {
        set_time(&base.join(path), 1_111_111_111_123_456_789 + n as u64);
    }
    set_time(&base.join("sparse"), 1);
    let read_only = fs::Permissions::from_mode(0o555);
    fs::set_permissions(base.join("read-only"), read_only).unwrap();
    set_time(base, 999_999_999_999_999_999);
}

#[test]
fn restores_contents_and_metadata_to_the_last_byte() {
    let (_guard, base) = base();
    let (from, to) = (base.join("from"), base.join("deep/down/to"));
    fs::create_dir(&from).unwrap();
    make_tree(&from);
    let (left_out, finished) = copy_tree(&from, &to, PlaceOptions::default());
    assert_eq!((left_out, finished), (vec![], Finished::default()));
    assert_eq!(compare(&from, &to), []);
    let sparse = fs::metadata(to.join("sparse")).unwrap();
    assert!(sparse.blocks() * 512 < 1 << 20, "holes stay holes");
    let (one, two) = (to.join("a/plain"), to.join("z"));
    assert_eq!(
        fs::metadata(one).unwrap().ino(),
        fs::metadata(two).unwrap().ino()
    );
}

#[test]
fn special_files_are_made_only_if_asked_for() {
    if !is_root() {
        return not_tested("device nodes, which only root can make");
    }
    let (_guard, base) = base();
    let (from, to) = (base.join("from"), base.join("to"));
    fs::create_dir(&from).unwrap();
    for (path, file_type, device) in [
        ("fifo", FileType::Fifo, 0),
        ("socket", FileType::Socket, 0),
        ("character", FileType::CharacterDevice, makedev(1, 3)),
        ("block", FileType::BlockDevice, makedev(7, 300)),
    ] {
        mknodat(
            CWD,
            from.join(path),
            file_type,
            Mode::from_raw_mode(0o640),
            device,
        )
        .unwrap();
        lchown(from.join(path), Some(1234), Some(4321)).unwrap();
    }
    let (left_out, _) = copy_tree(&from, &to, PlaceOptions::default());
    assert_eq!(
        left_out,
        ["/block", "/character", "/fifo", "/socket"].map(|path| out(path, Reason::SpecialFile))
    );
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);

    let asked = PlaceOptions {
        special_files: true,
        ..PlaceOptions::default()
    };
    let to = base.join("asked");
    let (left_out, finished) = copy_tree(&from, &to, asked);
    assert_eq!((left_out, finished.left_out), (vec![], vec![]));
    assert_eq!(compare(&from, &to), []);
}

#[test]
fn takes_chunks_in_any_order_from_any_thread() {
    let (_guard, base) = base();
    let target = open(&base.join("to"), Overwrite::Never);
    let chunk = 64 << 10;
    let holes = vec![Hole {
        offset: 3 * chunk,
        length: chunk,
    }];
    let node = sparse_node("file", 15 * chunk, 16 * chunk, holes, metadata(0o644));
    let FilePlacement::Write(file) = target.root().plan_file(&node).unwrap() else {
        panic!("it is new");
    };
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let file = &file;
            scope.spawn(move || {
                for n in (0..16).rev().filter(|n| n % 4 == thread && *n != 3) {
                    file.write_at(n * chunk, &vec![n as u8; chunk as usize])
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(file.missing_bytes(), 0);
    file.finish(node.metadata()).unwrap();
    target.finish().unwrap();
    let contents = fs::read(base.join("to/file")).unwrap();
    let expected = (0..16).flat_map(|n| vec![if n == 3 { 0 } else { n as u8 }; chunk as usize]);
    assert!(contents == expected.collect::<Vec<_>>());
}

#[test]
fn keeps_few_files_open_however_many_are_begun() {
    let (_guard, base) = base();
    let target = Target::open_with(&base.join("to"), options(Overwrite::Never), 192).unwrap();
    let directory = target.root().make_directory(&name("d")).unwrap();
    let nodes: Vec<_> = (0..1500)
        .map(|n| file_node(&n.to_string(), 2, metadata(0o600)))
        .collect();
    let files: Vec<_> = nodes
        .iter()
        .map(|node| match directory.plan_file(node).unwrap() {
            FilePlacement::Write(file) => file,
            other => panic!("{other:?}"),
        })
        .collect();
    let begun = fs::read_dir("/proc/self/fd").unwrap().filter(|entry| {
        let link = fs::read_link(entry.as_ref().unwrap().path());
        link.is_ok_and(|link| link.starts_with(base.join("to/d")))
    });
    let begun = begun.count();
    assert!(begun < 500, "{begun} files open");
    for offset in 0..2 {
        for file in &files {
            file.write_at(offset, b"x").unwrap();
        }
    }
    for (file, node) in files.into_iter().zip(&nodes) {
        file.finish(node.metadata()).unwrap();
    }
    directory.finish(&metadata(0o755));
    assert_eq!(target.finish().unwrap(), Finished::default());
    assert_eq!(fs::read(base.join("to/d/0")).unwrap(), b"xx");
    assert_eq!(fs::read(base.join("to/d/1499")).unwrap(), b"xx");
}

#[test]
fn a_file_is_whole_or_not_there() {
    let (_guard, base) = base();
    let target = open(&base.join("to"), Overwrite::Never);
    let root = target.root();
    let node = file_node("file", 10, metadata(0o644));
    let begin = || match root.plan_file(&node).unwrap() {
        FilePlacement::Write(file) => file,
        other => panic!("{other:?}"),
    };
    let file = begin();
    file.write_at(0, b"half").unwrap();
    assert_eq!(file.missing_bytes(), 6);
    assert_eq!(file.write_at(4, b"too much"), Err(Reason::TooLarge));
    assert_eq!(file.write_at(u64::MAX, b"x"), Err(Reason::TooLarge));
    assert_eq!(file.finish(node.metadata()), Err(Reason::Incomplete));
    assert!(!base.join("to/file").exists());
    drop(begin());
    assert!(!base.join("to/file").exists());
}

#[test]
fn hard_links_follow_their_file_or_are_left_out_with_it() {
    let (_guard, base) = base();
    let target = open(&base.join("to"), Overwrite::Never);
    let root = target.root();
    let linked = |file: &str, group: u8| {
        let node = file_node(file, 3, metadata(0o644));
        node.with_hard_link([group; 16]).unwrap()
    };
    let plan = |node: &_| match root.plan_file(node).unwrap() {
        FilePlacement::Write(file) => Some(file),
        FilePlacement::Linked => None,
        other => panic!("{other:?}"),
    };
    let good = plan(&linked("good", 1)).unwrap();
    let bad = plan(&linked("bad", 2)).unwrap();
    assert!(plan(&linked("good too", 1)).is_none());
    assert!(plan(&linked("bad too", 2)).is_none());
    good.write_at(0, b"one").unwrap();
    good.finish(&metadata(0o644)).unwrap();
    drop(bad);
    // After a failure the next name is written.
    let again = plan(&linked("again", 2)).unwrap();
    again.write_at(0, b"two").unwrap();
    again.finish(&metadata(0o644)).unwrap();
    assert!(plan(&linked("late", 1)).is_none());
    drop(root);
    let finished = target.finish().unwrap();
    assert_eq!(
        finished.left_out,
        [out("/bad too", Reason::LinkNotRestored)]
    );
    let to = base.join("to");
    let ino = |file: &str| fs::metadata(to.join(file)).unwrap().ino();
    assert_eq!(ino("good"), ino("good too"));
    assert_eq!(ino("good"), ino("late"));
    assert_ne!(ino("good"), ino("again"));
    assert!(!to.join("bad").exists() && !to.join("bad too").exists());
}

#[test]
fn names_that_the_file_system_refuses_are_reported() {
    let (_guard, base) = base();
    let target = open(&base.join("to"), Overwrite::Never);
    let root = target.root();
    let long = "x".repeat(300);
    let refused = Err(Reason::NameRefused);
    let node = file_node(&long, 0, metadata(0o644));
    assert_eq!(root.plan_file(&node).map(drop), refused);
    assert_eq!(root.make_directory(&name(&long)).map(drop), refused);
    assert_eq!(
        root.make_other(&symlink_node(&long, "x")).map(drop),
        refused
    );
}

#[test]
fn says_how_much_room_there_is() {
    let (_guard, base) = base();
    let target = open(&base, Overwrite::Never);
    let free = target.free_bytes().unwrap();
    assert!(free > 0 && free < 1 << 60);
}

#[test]
fn does_not_end_while_something_is_being_written() {
    let (_guard, base) = base();
    let target = open(&base.join("to"), Overwrite::Never);
    let held = target.root().make_directory(&name("d")).unwrap();
    assert!(matches!(target.finish(), Err(PlaceError::Unfinished(_))));
    drop(held);
    // So the next has something to clean up.
    assert!(base.join("to/.coffre-restore").exists());
}

#[test]
fn discards_owners_if_told_to() {
    if !is_root() {
        return not_tested("owners, which only root can change");
    }
    let (_guard, base) = base();
    let mut metadata = metadata(0o644);
    (metadata.uid, metadata.gid) = (1234, 4321);
    for (ownership, uid) in [(Ownership::Discard, 0), (Ownership::WhenRoot, 1234)] {
        let to = base.join(uid.to_string());
        let options = PlaceOptions {
            ownership,
            ..PlaceOptions::default()
        };
        let target = Target::open(&to, options).unwrap();
        put(
            &target.root(),
            &file_node("file", 1, metadata.clone()),
            b"x",
        )
        .unwrap();
        target.finish().unwrap();
        assert_eq!(fs::metadata(to.join("file")).unwrap().uid(), uid);
    }
}

#[test]
fn prefers_the_owners_name_to_the_number() {
    if !is_root() {
        return not_tested("owners, which only root can change");
    }
    struct Renumbered;
    impl crate::files::OwnerSource for Renumbered {
        fn user_name(&self, _: u32) -> Option<Vec<u8>> {
            None
        }
        fn group_name(&self, _: u32) -> Option<Vec<u8>> {
            None
        }
        fn user_id(&self, name: &[u8]) -> Option<u32> {
            (name == b"colette").then_some(2001)
        }
        fn group_id(&self, name: &[u8]) -> Option<u32> {
            (name == b"archive").then_some(2002)
        }
    }
    let (_guard, base) = base();
    let mut known = metadata(0o644);
    (known.uid, known.gid) = (1001, 1002);
    known.user = b"colette".to_vec();
    let mut unknown = known.clone();
    unknown.user = b"nobody here".to_vec();
    unknown.group = b"archive".to_vec();
    let options = PlaceOptions {
        owners: crate::files::OwnerNames::new(Renumbered),
        ..PlaceOptions::default()
    };
    let target = Target::open(&base, options).unwrap();
    put(&target.root(), &file_node("known", 1, known), b"x").unwrap();
    put(&target.root(), &file_node("unknown", 1, unknown), b"x").unwrap();
    target.finish().unwrap();
    let owner = |file: &str| {
        let metadata = fs::metadata(base.join(file)).unwrap();
        (metadata.uid(), metadata.gid())
    };
    assert_eq!(owner("known"), (2001, 1002));
    assert_eq!(owner("unknown"), (1001, 2002));
}
