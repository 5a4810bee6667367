//! Trees and targets that somebody made to do harm.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use vault_core::tree::{NodeName, Xattr};

use super::*;

/// A target beside a directory that nothing may touch.
struct Scene {
    _guard: tempfile::TempDir,
    base: PathBuf,
    to: PathBuf,
    outside: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let (guard, base) = base();
        let scene = Self {
            to: base.join("to"),
            outside: base.join("outside"),
            base,
            _guard: guard,
        };
        fs::create_dir(&scene.to).unwrap();
        for tree in [&scene.outside, &scene.base.join("reference")] {
            fs::create_dir(tree).unwrap();
            fs::write(tree.join("precious"), "untouched").unwrap();
            let time = std::time::SystemTime::UNIX_EPOCH;
            for path in [tree.join("precious"), tree.clone()] {
                fs::File::open(path).unwrap().set_modified(time).unwrap();
            }
        }
        scene
    }

    /// Whatever was tried, it had no effect outside.
    fn assert_untouched(&self) {
        assert_eq!(compare(&self.base.join("reference"), &self.outside), []);
        let mut there: Vec<_> = fs::read_dir(&self.base)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        there.sort_unstable();
        assert_eq!(there, ["outside", "reference", "to"]);
    }
}

const POLICIES: [Overwrite; 3] = [Overwrite::Never, Overwrite::Changed, Overwrite::Always];

#[test]
fn names_that_lead_elsewhere_cannot_be_made_up() {
    for bad in [
        "",
        ".",
        "..",
        "/",
        "/etc/passwd",
        "../outside",
        "a/b",
        "a\0b",
    ] {
        assert!(NodeName::new(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_symlink_of_the_tree_is_not_written_through() {
    for overwrite in POLICIES {
        let scene = Scene::new();
        let target = open(&scene.to, overwrite);
        let root = target.root();
        // First a symlink, then what would go through it: a directory and a
        // file of the same name. A directory's names are in strict order, so
        // that two nodes of a name come only with two restores or two paths.
        let link = symlink_node("x", "../outside");
        let file_link = symlink_node("y", "../outside/precious");
        root.make_other(&link).unwrap();
        root.make_other(&file_link).unwrap();
        if let Ok(directory) = root.make_directory(&name("x")) {
            put(
                &directory,
                &file_node("precious", 5, metadata(0o666)),
                b"owned",
            )
            .unwrap();
            directory.make_directory(&name("sub")).unwrap();
            directory.finish(&metadata(0o777));
        }
        let file = file_node("y", 5, metadata(0o666));
        if let FilePlacement::Write(file) = root.plan_file(&file).unwrap() {
            file.write_at(0, b"owned").unwrap();
            file.finish(&metadata(0o666)).unwrap();
        }
        drop(root);
        target.finish().unwrap();
        scene.assert_untouched();
        let is_link = |path: &str| scene.to.join(path).is_symlink();
        let stays = overwrite == Overwrite::Never;
        assert_eq!((is_link("x"), is_link("y")), (stays, stays));
    }
}

#[test]
fn a_symlink_in_the_target_is_not_written_through() {
    for overwrite in POLICIES {
        let scene = Scene::new();
        symlink(&scene.outside, scene.to.join("dir")).unwrap();
        symlink(scene.outside.join("precious"), scene.to.join("file")).unwrap();
        symlink(scene.outside.join("new"), scene.to.join("dangling")).unwrap();
        symlink(scene.outside.join("precious"), scene.to.join("link")).unwrap();
        symlink(scene.outside.join("precious"), scene.to.join("linked")).unwrap();
        let target = open(&scene.to, overwrite);
        let root = target.root();
        let directory = root.make_directory(&name("dir"));
        if overwrite == Overwrite::Never {
            assert_eq!(directory.map(drop).unwrap_err(), Reason::Occupied);
        } else {
            let directory = directory.unwrap();
            put(
                &directory,
                &file_node("precious", 5, metadata(0o666)),
                b"owned",
            )
            .unwrap();
            directory.finish(&metadata(0o777));
        }
        for file in ["dangling", "file"] {
            let node = file_node(file, 5, metadata(0o666));
            match root.plan_file(&node).unwrap() {
                FilePlacement::Write(file) => {
                    file.write_at(0, b"owned").unwrap();
                    file.finish(node.metadata()).unwrap();
                }
                FilePlacement::Kept { looks_same } => {
                    assert!(overwrite == Overwrite::Never && !looks_same);
                }
                other => panic!("{other:?}"),
            }
        }
        // The metadata of a symlink is its own, too.
        root.make_other(&symlink_node("link", "elsewhere")).unwrap();
        // A hard link over it.
        let first = file_node("first", 1, metadata(0o666));
        let first = first.with_hard_link([1; 16]).unwrap();
        put(&root, &first, b"1").unwrap();
        let linked = file_node("linked", 1, metadata(0o666));
        let linked = linked.with_hard_link([1; 16]).unwrap();
        let linked = root.plan_file(&linked).map(drop);
        assert_eq!(linked.is_err(), overwrite == Overwrite::Never);
        drop(root);
        target.finish().unwrap();
        scene.assert_untouched();
    }
}

#[test]
fn a_symlink_in_the_place_of_the_marker_is_not_followed() {
    let scene = Scene::new();
    symlink(
        scene.outside.join("precious"),
        scene.to.join(".coffre-restore"),
    )
    .unwrap();
    assert!(matches!(
        Target::open(&scene.to, PlaceOptions::default()),
        Err(PlaceError::Target { .. })
    ));
    scene.assert_untouched();
    fs::remove_file(scene.to.join(".coffre-restore")).unwrap();
    make_fifo(&scene.to.join(".coffre-restore"));
    assert!(Target::open(&scene.to, PlaceOptions::default()).is_err());
}

#[test]
fn a_sweep_after_an_interruption_stays_inside() {
    let scene = Scene::new();
    let unfinished = fs::Permissions::from_mode(UNFINISHED_FILE);
    fs::set_permissions(scene.outside.join("precious"), unfinished.clone()).unwrap();
    fs::set_permissions(scene.base.join("reference/precious"), unfinished).unwrap();
    symlink(&scene.outside, scene.to.join("dir")).unwrap();
    symlink(scene.outside.join("precious"), scene.to.join("file")).unwrap();
    fs::write(scene.to.join(".coffre-restore"), "some boot").unwrap();
    let target = open(&scene.to, Overwrite::Always);
    assert_eq!(target.finish().unwrap().removed_leftovers, 0);
    scene.assert_untouched();
}

#[test]
fn a_directory_swapped_for_a_symlink_while_it_is_filled_is_not_followed() {
    let scene = Scene::new();
    let target = open(&scene.to, Overwrite::Always);
    let root = target.root();
    let directory = root.make_directory(&name("d")).unwrap();
    fs::rename(scene.to.join("d"), scene.to.join("moved")).unwrap();
    symlink(&scene.outside, scene.to.join("d")).unwrap();
    let node = file_node("precious", 5, metadata(0o666));
    put(&directory, &node, b"owned").unwrap();
    // Also when the descriptor was closed in between, and has to be opened by
    // name again.
    let many: Vec<_> = (0..500)
        .map(|n| root.make_directory(&name(n.to_string())).unwrap())
        .collect();
    let node = file_node("late", 5, metadata(0o666));
    let refused = put(&directory, &node, b"owned").unwrap_err();
    assert!(
        matches!(refused, Reason::Replaced | Reason::Vanished),
        "{refused:?}"
    );
    drop((many, directory, root));
    target.finish().unwrap();
    scene.assert_untouched();
    assert_eq!(fs::read(scene.to.join("moved/precious")).unwrap(), b"owned");
}

#[test]
fn names_that_a_restore_itself_uses_are_refused() {
    let scene = Scene::new();
    let target = open(&scene.to, Overwrite::Always);
    let root = target.root();
    let reserved = Err(Reason::Reserved);
    for file in [".coffre-restore", ".coffre-00000000.part"] {
        let node = file_node(file, 0, metadata(0o644));
        assert_eq!(root.plan_file(&node).map(drop), reserved);
        assert_eq!(root.make_directory(&name(file)).map(drop), reserved);
        assert_eq!(
            root.make_other(&symlink_node(file, "x")).map(drop),
            reserved
        );
    }
    // Deeper down the marker's name means nothing.
    let below = root.make_directory(&name("below")).unwrap();
    put(
        &below,
        &file_node(".coffre-restore", 1, metadata(0o644)),
        b"x",
    )
    .unwrap();
    drop((below, root));
    target.finish().unwrap();
}

#[test]
fn privileges_are_dropped_unless_asked_for() {
    let with_capabilities = |mode| {
        let mut metadata = metadata(mode);
        if is_root() {
            metadata.xattrs.push(Xattr {
                name: b"security.capability".to_vec(),
                // Version 2, effective, CAP_SETUID.
                value: [1, 0, 0, 2, 128, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0].to_vec(),
            });
        }
        metadata
    };
    for keep_privileges in [false, true] {
        let scene = Scene::new();
        let options = PlaceOptions {
            keep_privileges,
            ..PlaceOptions::default()
        };
        let target = Target::open(&scene.to, options).unwrap();
        let root = target.root();
        put(&root, &file_node("suid", 1, metadata(0o6755)), b"x").unwrap();
        put(
            &root,
            &file_node("capable", 1, with_capabilities(0o755)),
            b"x",
        )
        .unwrap();
        let directory = root.make_directory(&name("d")).unwrap();
        directory.finish(&metadata(0o6775));
        drop(root);
        let finished = target.finish().unwrap();
        let mode = |path: &str| {
            let metadata = fs::metadata(scene.to.join(path)).unwrap();
            metadata.permissions().mode() & 0o7777
        };
        let mut value = [0; 64];
        let capability =
            rustix::fs::getxattr(scene.to.join("capable"), "security.capability", &mut value);
        if keep_privileges {
            assert_eq!(mode("suid"), 0o6755);
            assert_eq!(capability.is_ok(), is_root());
            assert_eq!(finished.dropped_privileges, 0);
        } else {
            assert_eq!(mode("suid"), 0o755);
            assert!(capability.is_err());
            assert_eq!(finished.dropped_privileges, 1 + u64::from(is_root()));
        }
        // It hands the group on that was restored with it, and no more.
        assert_eq!(mode("d"), if is_root() { 0o2775 } else { 0o775 });
    }
}

#[test]
fn an_unfinished_file_is_nobodys_to_read() {
    let scene = Scene::new();
    let target = open(&scene.to, Overwrite::Never);
    let root = target.root();
    let node = file_node("suid", 4, metadata(0o755));
    let FilePlacement::Write(file) = root.plan_file(&node).unwrap() else {
        panic!("it is new");
    };
    file.write_at(0, b"part").unwrap();
    let mode = fs::metadata(scene.to.join("suid"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o200);
}

#[test]
fn whatever_stands_in_the_way_of_a_file_is_replaced_and_not_opened() {
    let scene = Scene::new();
    make_fifo(&scene.to.join("fifo"));
    let _socket = UnixListener::bind(scene.to.join("socket")).unwrap();
    fs::create_dir_all(scene.to.join("full/inside")).unwrap();
    fs::create_dir(scene.to.join("empty")).unwrap();
    let target = open(&scene.to, Overwrite::Always);
    let root = target.root();
    for file in ["fifo", "socket", "empty"] {
        put(&root, &file_node(file, 1, metadata(0o644)), b"x").unwrap();
    }
    let full = put(&root, &file_node("full", 1, metadata(0o644)), b"x");
    assert_eq!(full, Err(Reason::Occupied));
    drop(root);
    target.finish().unwrap();
    assert!(scene.to.join("full/inside").is_dir());
    assert_eq!(fs::read_dir(&scene.to).unwrap().count(), 4, "no leftovers");
}
