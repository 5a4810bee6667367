use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use vault_core::timestamp::Timestamp;

use super::*;
use crate::files::testing::{stream, time};
use crate::files::{Directory, FileId, NodeKind, Stat};

const SERIES: [u8; 16] = [1; 16];
const OTHER_SERIES: [u8; 16] = [2; 16];

fn base() -> (tempfile::TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("cache.sqlite");
    (base, path)
}

fn stat(kind: NodeKind) -> Stat {
    Stat {
        kind,
        id: FileId { dev: 8, ino: 42 },
        size: 1_000_000,
        modified: time(-5, 999_999_999),
        changed: time(1_000, 7),
        mode: 0o644,
        uid: 1,
        gid: 2,
        links: 1,
        device: (0, 0),
        may_have_holes: false,
    }
}

/// When the backups of these tests began: long after everything changed.
const STARTED: i64 = 5_000;

fn record(path: &str, entries: &[(&str, Stat)]) -> DirectoryRecord {
    let mut record = RecordBuilder::new(path.as_bytes().to_vec(), time(STARTED, 0));
    for (name, stat) in entries {
        let node = format!("node of {name}");
        record.push(name.as_bytes(), stat, Settled::Yes, node.as_bytes());
    }
    record.finish(&stream(70_000), 17)
}

/// What the cache says about an entry that is as `later` says now.
fn is_unchanged(cache: &StatCache, later: &Stat) -> bool {
    let cached = cache.load_directory(&SERIES, b"/d").unwrap();
    cached.find(b"file").unwrap().is_unchanged(later)
}

#[test]
fn gives_back_what_was_stored_to_that_series_alone() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    assert!(cache.load_directory(&SERIES, b"/d").is_none());
    let entries = [
        ("a", stat(NodeKind::File)),
        ("b", stat(NodeKind::Directory)),
        ("c", stat(NodeKind::Symlink)),
    ];
    cache.store(&SERIES, vec![record("/d", &entries), record("/e", &[])]);
    drop(cache);

    let cache = StatCache::open(&path);
    let cached = cache.load_directory(&SERIES, b"/d").unwrap();
    assert_eq!((cached.content(), cached.head_seq()), (&stream(70_000), 17));
    let read: Vec<_> = cached
        .iter()
        .map(|entry| (entry.name, entry.node))
        .collect();
    let expected = [
        (&b"a"[..], &b"node of a"[..]),
        (b"b", b"node of b"),
        (b"c", b"node of c"),
    ];
    assert_eq!(read, expected);
    for (name, stat) in &entries {
        assert!(cached.find(name.as_bytes()).unwrap().is_unchanged(stat));
    }
    assert_eq!(
        cache.load_directory(&SERIES, b"/e").unwrap().iter().len(),
        0
    );
    assert!(cache.load_directory(&OTHER_SERIES, b"/d").is_none());
    assert!(cache.load_directory(&SERIES, b"/f").is_none());

    cache.store(&OTHER_SERIES, vec![record("/d", &[])]);
    cache.forget(&SERIES);
    assert!(cache.load_directory(&SERIES, b"/d").is_none());
    assert!(cache.load_directory(&OTHER_SERIES, b"/d").is_some());
    cache.clear();
    assert!(cache.load_directory(&OTHER_SERIES, b"/d").is_none());
}

#[test]
fn notices_every_change_that_a_file_can_make() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let file = stat(NodeKind::File);
    cache.store(&SERIES, vec![record("/d", &[("file", file)])]);
    assert!(is_unchanged(&cache, &file));
    let changes: [fn(&mut Stat); 5] = [
        |stat| stat.kind = NodeKind::Symlink,
        |stat| stat.size += 1,
        |stat| stat.modified = time(-5, 999_999_998),
        |stat| stat.changed = time(1_000, 8),
        |stat| stat.id.ino += 1,
    ];
    for change in changes {
        let mut later = file;
        change(&mut later);
        assert!(!is_unchanged(&cache, &later), "{later:?}");
    }
    // Device numbers change when the machine starts, and say nothing.
    let mut later = file;
    later.id.dev += 1;
    assert!(is_unchanged(&cache, &later));
}

#[test]
fn trusts_no_file_that_may_have_changed_unseen() {
    let near = |changed: Timestamp| {
        let mut file = stat(NodeKind::File);
        file.changed = changed;
        file
    };
    for (changed, is_trusted) in [
        // Long before the backup, and well before it.
        (time(1_000, 7), true),
        (time(STARTED - 1, 949_999_999), true),
        // In the last ticks before it, and while it ran.
        (time(STARTED - 1, 950_000_000), false),
        (time(STARTED, 1), false),
        (time(STARTED + 100, 1), false),
        // Where stamps are whole seconds, or two.
        (time(STARTED - 3, 0), true),
        (time(STARTED - 2, 0), false),
        (time(STARTED, 0), false),
        (time(i64::MAX, 0), false),
        (time(i64::MAX, 999_999_999), false),
    ] {
        let (_guard, path) = base();
        let cache = StatCache::open(&path);
        cache.store(&SERIES, vec![record("/d", &[("file", near(changed))])]);
        assert_eq!(
            is_unchanged(&cache, &near(changed)),
            is_trusted,
            "{changed:?}"
        );
    }
    // A time of modification in the future is somebody's wish, and no reason
    // to read the file again and again.
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let mut file = stat(NodeKind::File);
    file.modified = time(STARTED * 10, 1);
    cache.store(&SERIES, vec![record("/d", &[("file", file)])]);
    assert!(is_unchanged(&cache, &file));
}

#[test]
fn trusts_no_file_that_changed_while_it_was_read() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let file = stat(NodeKind::File);
    let mut record = RecordBuilder::new(b"/d".to_vec(), time(STARTED, 0));
    record.push(b"file", &file, Settled::No, b"node");
    cache.store(&SERIES, vec![record.finish(&stream(1), 1)]);
    assert!(!is_unchanged(&cache, &file));
}

/// The race itself, on a real file: written twice in one tick of the clock,
/// and read in between.
#[test]
fn reads_a_file_again_that_changed_right_after_it_was_read() {
    let (guard, path) = base();
    let cache = StatCache::open(&path);
    let directory = Directory::open(guard.path()).unwrap();
    let file = guard.path().join("file");
    for n in 0..50 {
        fs::write(&file, format!("{n:03} a")).unwrap();
        let before = directory.stat_entry(b"file").unwrap();
        // The backup begins now and reads "a"...
        let started = before.changed;
        let mut record = RecordBuilder::new(b"/d".to_vec(), started);
        record.push(b"file", &before, Settled::Yes, b"node");
        cache.store(&SERIES, vec![record.finish(&stream(1), 1)]);
        // ...and the file becomes "b", with the same length.
        fs::write(&file, format!("{n:03} b")).unwrap();
        let later = directory.stat_entry(b"file").unwrap();
        assert!(!is_unchanged(&cache, &later));
    }
}

#[test]
fn compares_a_listing_in_one_pass() {
    let (guard, path) = base();
    let tree = guard.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    for name in ["a", "b", "c", "d"] {
        fs::write(tree.join(name), name).unwrap();
    }
    let directory = Directory::open(&tree).unwrap();
    let cache = StatCache::open(&path);
    let listing = directory.list(|_, _| true).unwrap();
    let store = |started| {
        let mut record = RecordBuilder::new(b"/tree".to_vec(), started);
        for entry in listing.iter() {
            record.push(entry.name, &entry.stat, Settled::Yes, entry.name);
        }
        cache.store(&SERIES, vec![record.finish(&stream(1), 1)]);
        cache.load_directory(&SERIES, b"/tree").unwrap()
    };
    // Long after, so that nothing is racy.
    let cached = store(time(i64::from(u32::MAX), 0));
    let same = cached.compare(&listing);
    assert!(same.is_same);
    assert_eq!(same.unchanged, [0, 1, 2, 3, 4].map(Some));

    fs::remove_file(tree.join("b")).unwrap();
    fs::write(tree.join("c"), "longer").unwrap();
    fs::write(tree.join("bb"), "new").unwrap();
    let listing = directory.list(|_, _| true).unwrap();
    let names: Vec<_> = listing.iter().map(|entry| entry.name).collect();
    assert_eq!(names, [&b"a"[..], b"bb", b"c", b"d", b"sub"]);
    let changed = cached.compare(&listing);
    assert!(!changed.is_same);
    assert_eq!(changed.unchanged, [Some(0), None, None, Some(3), Some(4)]);

    fs::remove_file(tree.join("bb")).unwrap();
    fs::remove_file(tree.join("c")).unwrap();
    let fewer = cached.compare(&directory.list(|_, _| true).unwrap());
    assert!(!fewer.is_same, "what is gone is a change, too");
    assert_eq!(fewer.unchanged, [Some(0), Some(3), Some(4)]);
}

#[test]
fn forgets_directories_that_are_gone() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let directory = stat(NodeKind::Directory);
    let entries = [
        ("gone", directory),
        ("gone-too", directory),
        ("here", directory),
    ];
    let all = [
        "/d",
        "/d/gone",
        "/d/gone/x/y",
        "/d/gone-too",
        "/d/here",
        "/d/gone0",
        "/d/gone.",
    ];
    let records = all.iter().map(|path| match *path {
        "/d" => record("/d", &entries),
        path => record(path, &[]),
    });
    cache.store(&SERIES, records.collect());
    cache.store(&OTHER_SERIES, vec![record("/d/gone", &[])]);
    // A file took the place of one, nothing that of the other.
    let entries = [("gone", stat(NodeKind::File)), ("here", directory)];
    cache.store(&SERIES, vec![record("/d", &entries)]);
    let known: Vec<_> = all
        .into_iter()
        .filter(|path| cache.load_directory(&SERIES, path.as_bytes()).is_some())
        .collect();
    assert_eq!(known, ["/d", "/d/here", "/d/gone0", "/d/gone."]);
    assert!(cache.load_directory(&OTHER_SERIES, b"/d/gone").is_some());

    // Beneath the root of all.
    cache.store(&SERIES, vec![record("/", &[("d", directory)])]);
    cache.store(&SERIES, vec![record("/", &[])]);
    assert!(cache.load_directory(&SERIES, b"/d/here").is_none());
}

#[test]
fn does_not_keep_paths_longer_than_any_call_takes() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let long = format!("/{}", "x".repeat(5_000));
    cache.store(&SERIES, vec![record(&long, &[]), record("/d", &[])]);
    assert!(cache.load_directory(&SERIES, long.as_bytes()).is_none());
    assert!(cache.load_directory(&SERIES, b"/d").is_some());
}

#[test]
fn nobody_else_may_read_it() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    cache.store(&SERIES, vec![record("/d", &[])]);
    for entry in fs::read_dir(path.parent().unwrap()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}

#[test]
fn is_made_anew_when_it_is_damaged() {
    let damages: [fn(&Path); 4] = [
        |path| fs::write(path, "this is no database, however long it is").unwrap(),
        |path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[100..].fill(0xa5);
            fs::write(path, bytes).unwrap();
        },
        |path| fs::write(path, &fs::read(path).unwrap()[..4096]).unwrap(),
        |path| fs::write(path, "").unwrap(),
    ];
    for damage in damages {
        let (_guard, path) = base();
        let cache = StatCache::open(&path);
        let many: Vec<_> = (0..200).map(|n| record(&format!("/{n}"), &[])).collect();
        cache.store(&SERIES, many);
        drop(cache);
        damage(&path);
        let cache = StatCache::open(&path);
        let _ = cache.load_directory(&SERIES, b"/0");
        cache.store(&SERIES, vec![record("/d", &[])]);
        assert!(cache.load_directory(&SERIES, b"/d").is_some());
    }
}

#[test]
fn is_made_anew_when_it_is_damaged_while_open() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let many: Vec<_> = (0..2000).map(|n| record(&format!("/{n}"), &[])).collect();
    cache.store(&SERIES, many);
    // What a connection holds in memory may still be right.
    drop(StatCache::open(&path));
    let length = fs::metadata(&path).unwrap().len();
    let file = fs::File::options().write(true).open(&path).unwrap();
    use std::os::unix::fs::FileExt;
    file.write_all_at(&vec![0x5a; length as usize], 0).unwrap();
    fs::remove_file(path.with_file_name("cache.sqlite-wal")).ok();
    let cache = StatCache::open(&path);
    for n in 0..2000 {
        let _ = cache.load_directory(&SERIES, format!("/{n}").as_bytes());
    }
    cache.store(&SERIES, vec![record("/d", &[])]);
    assert!(cache.load_directory(&SERIES, b"/d").is_some());
}

#[test]
fn a_row_that_was_tampered_with_is_not_believed() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    let entries = [("file", stat(NodeKind::File))];
    cache.store(&SERIES, vec![record("/d", &entries), record("/e", &[])]);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let read = |path: &str| -> Vec<u8> {
        let sql = "SELECT listing FROM directories WHERE path = ?1";
        connection
            .query_row(sql, [path.as_bytes()], |row| row.get(0))
            .unwrap()
    };
    let write = |path: &str, listing: &[u8]| {
        let sql = "UPDATE directories SET listing = ?2 WHERE path = ?1";
        let parameters = rusqlite::params![path.as_bytes(), listing];
        connection.execute(sql, parameters).unwrap();
    };
    let good = read("/d");
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        write("/d", &bad);
        assert!(cache.load_directory(&SERIES, b"/d").is_none(), "byte {at}");
        write("/d", &good[..at]);
        assert!(cache.load_directory(&SERIES, b"/d").is_none(), "{at} bytes");
    }
    // Another directory's row, and the right one again.
    write("/d", &read("/e"));
    assert!(cache.load_directory(&SERIES, b"/d").is_none());
    write("/d", &good);
    assert!(cache.load_directory(&SERIES, b"/d").is_some());
}

#[test]
fn another_versions_cache_is_thrown_away() {
    let (_guard, path) = base();
    let cache = StatCache::open(&path);
    cache.store(&SERIES, vec![record("/d", &[])]);
    drop(cache);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let cache = StatCache::open(&path);
    assert!(cache.load_directory(&SERIES, b"/d").is_none());
    cache.store(&SERIES, vec![record("/d", &[])]);
    assert!(cache.load_directory(&SERIES, b"/d").is_some());
}

#[test]
fn no_place_for_it_is_no_error() {
    let cache = StatCache::open(Path::new("/dev/null/no/directory/cache"));
    cache.store(&SERIES, vec![record("/d", &[])]);
    assert!(cache.load_directory(&SERIES, b"/d").is_none());
}

#[test]
fn many_threads_and_processes_use_it_at_once() {
    let (_guard, path) = base();
    // Each opens the database for itself, as another process does.
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                let cache = StatCache::open(path);
                for n in 0..20 {
                    let directory = format!("/{thread}/{n}");
                    cache.store(&SERIES, vec![record(&directory, &[])]);
                    let read = cache.load_directory(&SERIES, directory.as_bytes());
                    assert!(read.is_some(), "{directory}");
                }
            });
        }
    });
    let cache = StatCache::open(&path);
    for thread in 0..4 {
        for n in 0..20 {
            let directory = format!("/{thread}/{n}");
            assert!(
                cache
                    .load_directory(&SERIES, directory.as_bytes())
                    .is_some()
            );
        }
    }
}
