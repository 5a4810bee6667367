//! A record of the cache, whatever the disk gives back: for the properties below, and for
//! the fuzz target `cached_directory`.

use vault_core::stream::StreamRef;
use vault_core::timestamp::Timestamp;

use super::record::{CachedDirectory, RecordBuilder, Settled, directories_in};
use crate::files::stat::{FileId, NodeKind, Stat};

const SERIES: [u8; 16] = [3; 16];
const PATH: &[u8] = b"/home";
const HEAD_SEQ: u64 = 7;

/// A record with any check, and one that has the right one behind it. Every entry lies in
/// what was read; written once more it is the same, but for the stamps.
pub(super) fn directory(bytes: &[u8]) {
    let _ = read(bytes.to_vec());
    let blob = with_check(bytes);
    let directories = directories_in(&SERIES, PATH, &blob);
    let Some(cached) = read(blob.clone()) else {
        return;
    };
    assert_eq!(cached.head_seq(), HEAD_SEQ);
    let mut names = cached.iter().map(|entry| entry.name);
    let mut directories = directories.expect("it asks for less").into_iter();
    assert!(
        directories.all(|directory| names.any(|name| name == directory)),
        "in the order of the entries"
    );
    let unstamped = written(&cached, Settled::No);
    let stamped = written(&cached, Settled::Yes);
    for (at, entry) in cached.iter().enumerate() {
        assert!(entry.name.len() + entry.node.len() < blob.len());
        let _ = cached.find(entry.name);
        for (again, is_unchanged) in [(&unstamped, false), (&stamped, true)] {
            let again = again.entry(at).expect("as many");
            assert_eq!((again.name, again.node), (entry.name, entry.node));
            assert_eq!(again.is_unchanged(&stat()), is_unchanged);
        }
    }
}

fn read(blob: Vec<u8>) -> Option<CachedDirectory> {
    CachedDirectory::decode(&SERIES, PATH, HEAD_SEQ, blob)
}

/// What was read, written as entries that are all the same but for names and nodes.
fn written(cached: &CachedDirectory, settled: Settled) -> CachedDirectory {
    let mut record = RecordBuilder::new(PATH.to_vec(), started());
    for entry in cached.iter() {
        record.push(entry.name, &stat(), settled, entry.node);
    }
    let nodes = cached.iter().map(|entry| entry.node);
    assert!(record.nodes().eq(nodes));
    let record = record.finish(cached.content(), HEAD_SEQ);
    let again = read(record.into_blob(&SERIES)).expect("it was written");
    assert_eq!(again.content(), cached.content());
    assert_eq!(again.iter().len(), cached.iter().len());
    again
}

fn with_check(body: &[u8]) -> Vec<u8> {
    let length = (PATH.len() as u64).to_le_bytes();
    let hash = blake3::hash(&[&SERIES, &length[..], PATH, body].concat());
    [body, &hash.as_bytes()[..16]].concat()
}

fn started() -> Timestamp {
    Timestamp::new(1_800_000_000, 0).expect("a time")
}

fn stat() -> Stat {
    Stat {
        kind: NodeKind::File,
        size: 70_000,
        modified: Timestamp::new(1_700_000_000, 5).expect("a time"),
        changed: Timestamp::new(-1_700_000_000, 999_999_999).expect("a time"),
        id: FileId { dev: 1, ino: 77 },
        mode: 0o644,
        uid: 0,
        gid: 0,
        links: 1,
        device: (0, 0),
        may_have_holes: false,
    }
}

/// A record as a backup writes it, without its check.
pub(super) fn seed() -> Vec<u8> {
    let mut record = RecordBuilder::new(PATH.to_vec(), started());
    for name in [&b"a"[..], b"bb", b"ccc"] {
        record.push(name, &stat(), Settled::Yes, &[9; 40]);
        record.push(name, &stat(), Settled::No, &[8; 200]);
    }
    let kind = NodeKind::Directory;
    record.push(b"d", &Stat { kind, ..stat() }, Settled::Yes, &[7; 20]);
    let record = record.finish(&StreamRef::EMPTY, HEAD_SEQ);
    let mut blob = record.into_blob(&SERIES);
    blob.truncate(blob.len() - 16);
    blob
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_record_that_was_written_is_read() {
        let blob = with_check(&seed());
        let directories = directories_in(&SERIES, PATH, &blob).unwrap();
        assert_eq!(directories, [b"d"]);
        let cached = read(blob).unwrap();
        let unchanged = cached.iter().filter(|entry| entry.is_unchanged(&stat()));
        assert_eq!((cached.iter().len(), unchanged.count()), (7, 3));
        directory(&seed());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(mut body in prop::collection::vec(any::<u8>(), 0..400), version in any::<bool>()) {
            if version && let Some(first) = body.first_mut() {
                *first = 1;
            }
            directory(&body);
        }

        #[test]
        fn no_change_is_too_odd(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
            let mut body = seed();
            for (at, byte) in changes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            directory(&body);
            body.truncate(cut.index(body.len()));
            directory(&body);
        }
    }
}
