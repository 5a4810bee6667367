//! Directories to back up, and what is in one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use filetime::FileTime;

/// Something of everything.
pub(crate) fn plant(directory: &Path) {
    fs::create_dir_all(directory.join("documents/empty")).unwrap();
    fs::write(
        directory.join("documents/letter.txt"),
        "Dear hoster, you cannot read this.",
    )
    .unwrap();
    fs::write(directory.join("documents/empty.txt"), "").unwrap();
    fs::write(directory.join("photo.raw"), noise(1, 3_000_000)).unwrap();
    fs::hard_link(
        directory.join("photo.raw"),
        directory.join("documents/same photo.raw"),
    )
    .unwrap();
    symlink("documents/letter.txt", directory.join("link")).unwrap();
    symlink("/nowhere/at all", directory.join("broken link")).unwrap();
    fs::write(directory.join(OsStr::from_bytes(b"caf\xe9")), "latin 1").unwrap();
    fs::write(directory.join("two\nlines \x1b[2J"), "control").unwrap();
    let sparse = fs::File::create(directory.join("sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    let script = directory.join("script.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o751)).unwrap();
    filetime::set_file_mtime(
        &script,
        FileTime::from_unix_time(1_234_567_890, 123_456_789),
    )
    .unwrap();
    filetime::set_file_mtime(
        directory.join("documents/empty"),
        FileTime::from_unix_time(5, 7),
    )
    .unwrap();
}

/// Bytes that do not compress, and the same each time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// What a directory holds: by path, everything that a backup keeps.
pub(crate) fn look(directory: &Path) -> BTreeMap<PathBuf, Seen> {
    let mut seen = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let stat = fs::symlink_metadata(&path).unwrap();
        let bytes = if stat.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else if stat.is_file() {
            fs::read(&path).unwrap()
        } else {
            waiting.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        };
        let name = path.strip_prefix(directory).unwrap().to_owned();
        let attributes = xattr::list(&path).unwrap();
        names
            .entry(stat.ino())
            .or_insert_with(Vec::new)
            .push(name.clone());
        let found = Seen {
            mode: stat.mode(),
            owner: (stat.uid(), stat.gid()),
            modified: (stat.mtime(), stat.mtime_nsec()),
            attributes: attributes
                .map(|name| (name.as_bytes().to_vec(), xattr::get(&path, &name).unwrap()))
                .collect(),
            bytes,
            same_file: Vec::new(),
        };
        seen.insert(name, found);
    }
    for mut same in names.into_values() {
        same.sort();
        for name in &same {
            seen.get_mut(name).unwrap().same_file = same.clone();
        }
    }
    seen
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
    attributes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: Vec<u8>,
    same_file: Vec<PathBuf>,
}

/// Compares two directories, with themselves.
pub(crate) fn assert_same(first: &BTreeMap<PathBuf, Seen>, second: &Path) {
    let second = look(second);
    let names = |tree: &BTreeMap<PathBuf, Seen>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(first), names(&second));
    for (name, seen) in first {
        assert!(*seen == second[name], "{name:?} differs");
    }
}
