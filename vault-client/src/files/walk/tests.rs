use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use rustix::fs::{AtFlags, Mode, mkdirat, unlinkat};

use super::*;
use crate::files::testing::{
    find, left_out, make_fifo, names, not_tested, on_threads, walk_all, without_privileges,
};

/// A directory whose path has no symlinks in it.
fn base() -> (tempfile::TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().canonicalize().unwrap();
    (base, path)
}

fn out(path: &Path, reason: Reason) -> LeftOut {
    LeftOut {
        path: path.as_os_str().as_bytes().to_vec(),
        reason,
    }
}

#[test]
fn gives_each_directory_after_those_in_it() {
    let (_guard, base) = base();
    for path in ["a/b/c", "a/d", "e"] {
        fs::create_dir_all(base.join(path)).unwrap();
    }
    fs::write(base.join("a/b/file"), "x").unwrap();
    for threads in [1, 2, 4] {
        let all = walk_all(&[&base], on_threads(threads));
        for (at, visited) in all.iter().enumerate() {
            let listing = visited.listing.iter();
            let directories = listing.filter(|entry| entry.stat.kind == NodeKind::Directory);
            let before = all[..at].iter();
            let children = before.filter(|child| child.parent == Some(visited.id));
            assert_eq!(children.count(), directories.count());
        }
        let last = all.last().unwrap();
        assert_eq!((last.path(), last.parent), (b"/".to_vec(), None));
        assert_eq!(last.content, Content::WaysToRoots);
        assert_eq!(names(find(&all, &base)), ["a", "e"]);
        assert_eq!(names(find(&all, &base.join("a"))), ["b", "d"]);
        assert_eq!(names(find(&all, &base.join("a/b"))), ["c", "file"]);
    }
}

#[test]
fn merges_overlapping_roots_and_takes_only_the_ways_above_them() {
    let (_guard, base) = base();
    fs::create_dir_all(base.join("a/b/c")).unwrap();
    fs::create_dir_all(base.join("other")).unwrap();
    fs::write(base.join("a/file"), "x").unwrap();
    let all = walk_all(
        &[&base.join("a/b"), &base.join("a"), &base.join("a")],
        on_threads(2),
    );
    let of_base = find(&all, &base);
    assert_eq!(
        (names(of_base), of_base.content),
        (vec!["a".into()], Content::WaysToRoots)
    );
    let of_a = find(&all, &base.join("a"));
    assert_eq!(
        (names(of_a), of_a.content),
        (vec!["b".into(), "file".into()], Content::Whole)
    );
    assert_eq!(find(&all, &base.join("a/b")).content, Content::Whole);
    let mut paths: Vec<_> = all.iter().map(Visited::path).collect();
    paths.sort_unstable();
    let count = paths.len();
    paths.dedup();
    assert_eq!(paths.len(), count, "each directory once");
}

#[test]
fn saves_roots_that_are_no_directories_as_they_are() {
    let (_guard, base) = base();
    fs::create_dir(base.join("real")).unwrap();
    fs::write(base.join("real/inside"), "x").unwrap();
    symlink("real", base.join("link")).unwrap();
    fs::write(base.join("file"), "x").unwrap();

    let all = walk_all(&[&base.join("link"), &base.join("file")], on_threads(1));
    let kinds: Vec<_> = find(&all, &base)
        .listing
        .iter()
        .map(|e| e.stat.kind)
        .collect();
    assert_eq!(kinds, [NodeKind::File, NodeKind::Symlink]);

    // On the way to a root a symlink is resolved.
    let all = walk_all(&[&base.join("link/inside")], on_threads(1));
    assert_eq!(names(find(&all, &base.join("real"))), ["inside"]);
    assert_eq!(names(find(&all, &base)), ["real"]);
}

#[test]
fn reports_a_root_that_is_missing() {
    let (_guard, base) = base();
    let all = walk_all(&[&base.join("nothing")], on_threads(1));
    assert_eq!(
        left_out(&all),
        [out(&base.join("nothing"), Reason::Vanished)]
    );
    assert!(find(&all, &base).listing.is_empty());
}

#[test]
fn leaves_out_what_is_excluded_but_not_what_was_asked_for() {
    let (_guard, base) = base();
    for path in ["keep", "cache/a", "cache/wanted/deep"] {
        fs::create_dir_all(base.join(path)).unwrap();
    }
    fs::write(base.join("keep/x.o"), "x").unwrap();
    fs::write(base.join("keep/x.c"), "x").unwrap();
    let options = WalkOptions {
        excludes: Excludes::new(&["*.o", "cache/"]).unwrap(),
        ..on_threads(2)
    };
    let all = walk_all(&[&base], options.clone());
    assert_eq!(names(find(&all, &base)), ["keep"]);
    assert_eq!(names(find(&all, &base.join("keep"))), ["x.c"]);

    let all = walk_all(&[&base, &base.join("cache/wanted")], options);
    assert_eq!(names(find(&all, &base)), ["cache", "keep"]);
    let cache = find(&all, &base.join("cache"));
    assert_eq!(
        (names(cache), cache.content),
        (vec!["wanted".into()], Content::WaysToRoots)
    );
    assert_eq!(names(find(&all, &base.join("cache/wanted"))), ["deep"]);
}

#[test]
fn stays_on_the_file_system_of_the_root_if_asked_to() {
    // Every Linux has something mounted in here.
    let mounted = Path::new("/dev/pts");
    let (dev, pts) = (
        fs::metadata("/dev").unwrap(),
        fs::metadata(mounted).unwrap(),
    );
    use std::os::unix::fs::MetadataExt;
    assert_ne!(
        dev.dev(),
        pts.dev(),
        "another file system is mounted on /dev/pts"
    );
    let options = WalkOptions {
        one_file_system: true,
        ..on_threads(2)
    };
    let all = walk_all(&[Path::new("/dev")], options.clone());
    let visited = find(&all, mounted);
    assert_eq!(visited.content, Content::OtherFileSystem);
    assert!(visited.listing.is_empty() && visited.directory().is_none());
    assert!(visited.metadata(&OwnerNames::default()).problem.is_none());
    // As a root of its own it is wanted, with its device's number.
    let all = walk_all(&[Path::new("/dev"), mounted], options);
    assert_eq!(find(&all, mounted).content, Content::Whole);
}

#[test]
fn goes_on_after_a_directory_that_cannot_be_read() {
    let (_guard, base) = base();
    fs::create_dir_all(base.join("closed/inside")).unwrap();
    fs::create_dir_all(base.join("open/inside")).unwrap();
    fs::set_permissions(base.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    without_privileges(|| {
        let all = walk_all(&[&base], on_threads(2));
        let closed = find(&all, &base.join("closed"));
        assert_eq!(closed.content, Content::Unreadable);
        assert_eq!(
            left_out(&all),
            [out(&base.join("closed"), Reason::NotPermitted)]
        );
        assert_eq!(closed.metadata(&OwnerNames::default()).metadata.mode, 0);
        assert_eq!(
            find(&all, &base.join("open/inside")).content,
            Content::Whole
        );
    });
    fs::set_permissions(base.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn passes_through_directories_that_may_only_be_searched() {
    let (_guard, base) = base();
    fs::create_dir_all(base.join("search/root")).unwrap();
    fs::write(base.join("search/root/file"), "x").unwrap();
    fs::set_permissions(base.join("search"), fs::Permissions::from_mode(0o111)).unwrap();
    without_privileges(|| {
        let all = walk_all(&[&base.join("search/root")], on_threads(1));
        assert_eq!(left_out(&all), []);
        assert_eq!(names(find(&all, &base.join("search/root"))), ["file"]);
        let way = find(&all, &base.join("search"));
        assert_eq!(way.metadata(&OwnerNames::default()).metadata.mode, 0o111);
    });
    fs::set_permissions(base.join("search"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn reports_directories_that_vanish_or_are_replaced_after_they_were_listed() {
    let (_guard, base) = base();
    for path in ["gone", "swapped", "there"] {
        fs::create_dir(base.join(path)).unwrap();
    }
    let here = base.clone();
    let roots = Roots::resolve(&[&base]).unwrap();
    let walk = Walk::start(&roots, on_threads(2), move |listed| {
        if listed.path == here.as_os_str().as_bytes() {
            fs::remove_dir(here.join("gone")).unwrap();
            fs::remove_dir(here.join("swapped")).unwrap();
            symlink("/etc", here.join("swapped")).unwrap();
        }
    });
    let all: Vec<_> = walk.unwrap().collect();
    let mut reports = left_out(&all);
    reports.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(
        reports,
        [
            out(&base.join("gone"), Reason::Vanished),
            out(&base.join("swapped"), Reason::Replaced),
        ]
    );
    for (path, content) in [
        ("gone", Content::Gone),
        ("swapped", Content::Gone),
        ("there", Content::Whole),
    ] {
        assert_eq!(find(&all, &base.join(path)).content, content);
    }
}

#[test]
fn lists_all_kinds_and_names_without_opening_or_following_anything() {
    let (_guard, base) = base();
    make_fifo(&base.join("fifo"));
    let _socket = UnixListener::bind(base.join("socket")).unwrap();
    symlink("loop", base.join("loop")).unwrap();
    symlink(".", base.join("self")).unwrap();
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe\n");
    fs::write(base.join(odd), "x").unwrap();
    let all = walk_all(&[&base], on_threads(2));
    assert_eq!(left_out(&all), []);
    let visited = find(&all, &base);
    let entries: Vec<_> = visited
        .listing
        .iter()
        .map(|entry| (entry.name, entry.stat.kind))
        .collect();
    assert_eq!(
        entries,
        [
            (&b"fifo"[..], NodeKind::Fifo),
            (b"loop", NodeKind::Symlink),
            (b"self", NodeKind::Symlink),
            (b"socket", NodeKind::Socket),
            (b"\xff\xfe\n", NodeKind::File),
        ]
    );
    for entry in visited.listing.iter() {
        let metadata = visited.directory().unwrap().entry_metadata(
            entry.name,
            &entry.stat,
            &OwnerNames::default(),
        );
        assert!(metadata.problem.is_none());
    }
    assert_eq!(
        visited.directory().unwrap().read_link(b"loop").unwrap(),
        b"loop"
    );
}

/// Directories in each other, further down than any path can say.
struct Deep {
    levels: Vec<Directory>,
}

impl Deep {
    fn make(base: &Path, levels: usize, name: &[u8]) -> Self {
        let mut made = vec![Directory::open(base).unwrap()];
        for _ in 0..levels {
            let fd = made.last().unwrap().0.fd().unwrap();
            mkdirat(&*fd, name, Mode::from_raw_mode(0o755)).unwrap();
            let (child, _) = made.last().unwrap().open_child(name).unwrap();
            made.push(child);
        }
        Self { levels: made }
    }
}

impl Drop for Deep {
    /// The standard library would need a descriptor a level.
    fn drop(&mut self) {
        while let (Some(directory), Some(parent)) = (self.levels.pop(), self.levels.last()) {
            let fd = parent.0.fd().unwrap();
            unlinkat(&*fd, directory.name(), AtFlags::REMOVEDIR).unwrap();
        }
    }
}

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn walks_paths_longer_than_any_call_takes_with_few_descriptors() {
    let (_guard, base) = base();
    let depth = 1_900;
    let _deep = Deep::make(&base, depth, &[b'n'; 50]);
    let before = open_descriptors();
    let mut most = 0;
    let roots = Roots::resolve(&[&base]).unwrap();
    let mut visited = 0;
    for directory in Walk::start(&roots, on_threads(2), |_| ()).unwrap() {
        assert_eq!(directory.left_out, []);
        // Those above were closed long ago and open again.
        let listing = directory.directory().unwrap().list(|_, _| true).unwrap();
        assert!(directory.content != Content::Whole || listing.len() == directory.listing.len());
        visited += usize::from(directory.path().len() > base.as_os_str().len());
        if visited % 50 == 0 {
            most = most.max(open_descriptors());
        }
    }
    assert_eq!(visited, depth);
    // The trees of this test and of others that run hold some, too.
    assert!(
        most < before + 1_000,
        "{most} descriptors open, {before} before"
    );
}

#[test]
fn stops_where_a_tree_may_not_be_deeper() {
    let (_guard, base) = base();
    let above = base.components().count() - 1;
    let _deep = Deep::make(&base, MAX_DEPTH + 1 - above, b"d");
    let all = walk_all(&[&base], on_threads(1));
    let reports = left_out(&all);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].reason, Reason::TooDeep);
    let components = reports[0].path.iter().filter(|byte| **byte == b'/').count();
    assert_eq!(components, MAX_DEPTH);
    assert_eq!(all[0].content, Content::Gone);
}

#[test]
fn ends_when_nobody_takes_what_it_finds() {
    let (_guard, base) = base();
    for n in 0..100 {
        fs::create_dir(base.join(n.to_string())).unwrap();
    }
    let roots = Roots::resolve(&[&base]).unwrap();
    let mut walk = Walk::start(&roots, on_threads(4), |_| ()).unwrap();
    assert!(walk.next().is_some());
    // Waits for the threads.
    drop(walk);
}

#[test]
#[should_panic(expected = "the inspection failed")]
fn never_ends_early_without_saying_so() {
    let (_guard, base) = base();
    fs::create_dir_all(base.join("a/b")).unwrap();
    let roots = Roots::resolve(&[&base]).unwrap();
    let walk = Walk::start(&roots, on_threads(2), |listed| {
        assert!(!listed.path.ends_with(b"/b"), "the inspection failed");
    });
    walk.unwrap().for_each(drop);
}

/// Looks at this machine's own `/proc` and `/sys`: there is no other way to
/// have one without root's rights.
#[test]
fn the_kernels_own_file_systems_are_not_listed() {
    let patterns = ["/*", "!/proc", "!/sys"].map(str::to_owned);
    let options = WalkOptions {
        excludes: Excludes::new(&patterns).unwrap(),
        ..WalkOptions::default()
    };
    let all = walk_all(&[Path::new("/")], options);
    let root = all.last().unwrap();
    let device = root.stat.id.dev;
    for path in ["/proc", "/sys"] {
        let visited = find(&all, Path::new(path));
        if visited.stat.id.dev == device {
            not_tested(&format!("nothing is mounted at {path}"));
            continue;
        }
        assert_eq!(visited.content, Content::PseudoFileSystem, "{path}");
        assert!(visited.listing.is_empty() && visited.left_out.is_empty());
    }
    // Asked for by name, it is taken at its word.
    let all = walk_all(
        &[Path::new("/proc/sys/kernel/random")],
        WalkOptions::default(),
    );
    let asked = find(&all, Path::new("/proc/sys/kernel/random"));
    assert!(asked.content == Content::Whole && !asked.listing.is_empty());
}
