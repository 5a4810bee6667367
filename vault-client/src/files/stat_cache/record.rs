//! One directory as the cache keeps it.
//!
//! ```text
//! version 1 | content: length, message | entries: count
//! | an entry: name length, name | kind + 128 if it has a stamp
//! |   the stamp: size | mtime s, ns | ctime s, ns | inode number
//! |   node length, node
//! | first 16 bytes of BLAKE3(series | path length, path | all before)
//! ```
//!
//! Numbers are varints, seconds zigzag varints.

use prost::Message;
use prost::encoding::{decode_varint, encode_varint};
use vault_core::stream::StreamRef;
use vault_core::timestamp::Timestamp;
use vault_proto::wire;

use crate::files::stat::{NodeKind, Stat};

const VERSION: u8 = 1;
const HAS_STAMP: u8 = 0x80;
const CHECK_LEN: usize = 16;

/// How far a file system's clock may lag behind the system's when it stamps a
/// change, where stamps have nanoseconds: a few ticks.
const FINE_LAG_NANOSECONDS: u32 = 50_000_000;

/// The same where stamps are whole seconds: FAT counts in twos.
const COARSE_LAG_SECONDS: i64 = 2;

/// What tells whether an entry has changed.
///
/// There is no device number in it. It changes when a machine with LVM, btrfs
/// or USB disks starts, and all would be read again; and the file that another
/// file system has at the same path with the same inode number, size and
/// nanosecond of change is a copy of this one, made by copying the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Timestamp,
    changed: Timestamp,
    ino: u64,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            size: stat.size,
            modified: stat.modified,
            changed: stat.changed,
            ino: stat.id.ino,
        }
    }
}

/// Whether a file with this time of change may be written to, after it was
/// read in a backup that began at `started`, without the time showing it.
///
/// A stamp is as coarse as the file system's clock. A file that changed in the
/// very tick before it was read may have changed in the same tick after, and
/// looks the same: git calls such files racily clean. Only the time of change
/// counts, because nobody can set it; the time of modification may lie in the
/// future for years.
fn is_racy(changed: Timestamp, started: Timestamp) -> bool {
    let latest = if changed.nanoseconds() == 0 {
        Timestamp::new(changed.seconds().saturating_add(COARSE_LAG_SECONDS), 0)
    } else {
        let nanoseconds = changed.nanoseconds() + FINE_LAG_NANOSECONDS;
        let seconds = changed
            .seconds()
            .saturating_add(i64::from(nanoseconds / 1_000_000_000));
        Timestamp::new(seconds, nanoseconds % 1_000_000_000)
    };
    latest.is_none_or(|latest| latest >= started)
}

/// Collects a directory's entries for the cache.
#[derive(Debug)]
pub struct RecordBuilder {
    path: Vec<u8>,
    started: Timestamp,
    count: u64,
    entries: Vec<u8>,
}

impl RecordBuilder {
    /// A directory without entries yet, of a backup that began at `started`
    /// by this device's clock.
    #[must_use]
    pub fn new(path: Vec<u8>, started: Timestamp) -> Self {
        Self {
            path,
            started,
            count: 0,
            entries: Vec::new(),
        }
    }

    /// Adds an entry, in ascending order of names. `stat` is what it was
    /// *before* it was read, `node` its encoded node.
    pub fn push(&mut self, name: &[u8], stat: &Stat, settled: Settled, node: &[u8]) {
        let out = &mut self.entries;
        put_bytes(name, out);
        let is_trusted = settled == Settled::Yes && !is_racy(stat.changed, self.started);
        let flag = if is_trusted { HAS_STAMP } else { 0 };
        out.push(stat.kind as u8 | flag);
        if is_trusted {
            let stamp = Stamp::of(stat);
            encode_varint(stamp.size, out);
            put_timestamp(stamp.modified, out);
            put_timestamp(stamp.changed, out);
            encode_varint(stamp.ino, out);
        }
        put_bytes(node, out);
        self.count += 1;
    }

    /// The encoded nodes of the entries so far, in their order.
    pub fn nodes(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader {
            rest: &self.entries,
            length: self.entries.len(),
        };
        std::iter::from_fn(move || {
            let (start, end) = reader.row()?.node;
            self.entries.get(start as usize..end as usize)
        })
    }

    /// Ends with the directory's own stream, and the head that it is part of.
    #[must_use]
    pub fn finish(self, content: &StreamRef, head_seq: u64) -> DirectoryRecord {
        let mut head = vec![VERSION];
        put_bytes(&content.to_wire().encode_to_vec(), &mut head);
        encode_varint(self.count, &mut head);
        // Moved, not copied: they may be those of a million files.
        let mut body = self.entries;
        body.splice(0..0, head);
        DirectoryRecord {
            path: self.path,
            head_seq,
            body,
        }
    }
}

/// Whether an entry held still while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// It did.
    Yes,
    /// It changed, so that it is to be read again.
    No,
}

/// A directory on its way into the cache.
#[derive(Debug)]
pub struct DirectoryRecord {
    pub(super) path: Vec<u8>,
    pub(super) head_seq: u64,
    body: Vec<u8>,
}

impl DirectoryRecord {
    pub(super) fn into_blob(mut self, series: &[u8; 16]) -> Vec<u8> {
        let check = check_of(series, &self.path, &self.body);
        self.body.extend_from_slice(&check);
        self.body
    }
}

/// A directory as an earlier backup saved it.
#[derive(Debug)]
pub struct CachedDirectory {
    content: StreamRef,
    head_seq: u64,
    blob: Vec<u8>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: (u32, u32),
    node: (u32, u32),
    kind: u8,
    stamp: Option<Stamp>,
}

/// An entry as an earlier backup saved it.
#[derive(Debug, Clone, Copy)]
pub struct CachedEntry<'a> {
    /// One path component.
    pub name: &'a [u8],
    /// Its encoded node.
    pub node: &'a [u8],
    row: &'a Row,
}

impl CachedEntry<'_> {
    /// Whether the entry is as it was: then its node holds still, but for a
    /// directory's content and the names of owners.
    #[must_use]
    pub fn is_unchanged(&self, stat: &Stat) -> bool {
        self.row.kind == stat.kind as u8 && self.row.stamp == Some(Stamp::of(stat))
    }
}

impl CachedDirectory {
    /// Reads what [`DirectoryRecord`] wrote; `None` if it is anything else.
    pub(super) fn decode(
        series: &[u8; 16],
        path: &[u8],
        head_seq: u64,
        mut blob: Vec<u8>,
    ) -> Option<Self> {
        let length = checked(series, path, &blob)?.len();
        blob.truncate(length);
        let mut reader = Reader::new(&blob)?;
        let (content, count) = reader.head()?;
        let content = wire::Stream::decode(&blob[content.0 as usize..content.1 as usize]).ok()?;
        let content = StreamRef::from_wire(&content).ok()?;
        // An entry takes three bytes at least.
        let mut rows = Vec::with_capacity(count.min(length / 3));
        for _ in 0..count {
            rows.push(reader.row()?);
        }
        let is_read = reader.rest.is_empty();
        is_read.then_some(Self {
            content,
            head_seq,
            blob,
            rows,
        })
    }

    /// The directory's stream.
    #[must_use]
    pub fn content(&self) -> &StreamRef {
        &self.content
    }

    /// The sequence number of the head that it was part of.
    #[must_use]
    pub fn head_seq(&self) -> u64 {
        self.head_seq
    }

    /// The entry at a place.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<CachedEntry<'_>> {
        self.rows.get(index).map(|row| self.to_entry(row))
    }

    /// The entry of that name.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<CachedEntry<'_>> {
        let found = self
            .rows
            .binary_search_by(|row| self.slice(row.name).cmp(name));
        self.entry(found.ok()?)
    }

    /// All entries, in ascending order of names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = CachedEntry<'_>> {
        self.rows.iter().map(|row| self.to_entry(row))
    }

    fn slice(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.blob[start as usize..end as usize]
    }

    fn to_entry<'a>(&'a self, row: &'a Row) -> CachedEntry<'a> {
        CachedEntry {
            name: self.slice(row.name),
            node: self.slice(row.node),
            row,
        }
    }
}

/// The names of the directories among the entries of what [`DirectoryRecord`] wrote;
/// `None` if it is anything else. The other entries take no memory.
pub(super) fn directories_in<'a>(
    series: &[u8; 16],
    path: &[u8],
    blob: &'a [u8],
) -> Option<Vec<&'a [u8]>> {
    let body = checked(series, path, blob)?;
    let mut reader = Reader::new(body)?;
    let (_, count) = reader.head()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let row = reader.row()?;
        if row.kind == NodeKind::Directory as u8 {
            names.push(&body[row.name.0 as usize..row.name.1 as usize]);
        }
    }
    reader.rest.is_empty().then_some(names)
}

/// A record without its check, if that is right.
fn checked<'a>(series: &[u8; 16], path: &[u8], blob: &'a [u8]) -> Option<&'a [u8]> {
    let (body, check) = blob.split_at_checked(blob.len().checked_sub(CHECK_LEN)?)?;
    (check == check_of(series, path, body)).then_some(body)
}

fn check_of(series: &[u8; 16], path: &[u8], body: &[u8]) -> [u8; CHECK_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(series);
    hasher.update(&(path.len() as u64).to_le_bytes());
    hasher.update(path);
    hasher.update(body);
    let mut check = [0; CHECK_LEN];
    hasher.finalize_xof().fill(&mut check);
    check
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn put_timestamp(timestamp: Timestamp, out: &mut Vec<u8>) {
    let seconds = timestamp.seconds();
    encode_varint(((seconds << 1) ^ (seconds >> 63)) as u64, out);
    encode_varint(u64::from(timestamp.nanoseconds()), out);
}

struct Reader<'a> {
    rest: &'a [u8],
    // Of the whole.
    length: usize,
}

impl<'a> Reader<'a> {
    /// `None` for more than places of 32 bits can name.
    fn new(whole: &'a [u8]) -> Option<Self> {
        u32::try_from(whole.len()).ok()?;
        Some(Self {
            rest: whole,
            length: whole.len(),
        })
    }

    /// Where the directory's own stream stands, and how many entries follow.
    fn head(&mut self) -> Option<((u32, u32), usize)> {
        if self.byte()? != VERSION {
            return None;
        }
        let content = self.bytes()?;
        Some((content, usize::try_from(self.varint()?).ok()?))
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        decode_varint(&mut self.rest).ok()
    }

    fn timestamp(&mut self) -> Option<Timestamp> {
        let zigzag = self.varint()?;
        let seconds = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        Timestamp::new(seconds, u32::try_from(self.varint()?).ok()?)
    }

    /// Where the bytes stand that follow their length.
    fn bytes(&mut self) -> Option<(u32, u32)> {
        let length = usize::try_from(self.varint()?).ok()?;
        let start = self.length - self.rest.len();
        self.rest = self.rest.get(length..)?;
        // The whole is shorter than 4 GiB.
        Some((start as u32, (start + length) as u32))
    }

    fn row(&mut self) -> Option<Row> {
        let name = self.bytes()?;
        let kind = self.byte()?;
        let stamp = if kind & HAS_STAMP == 0 {
            None
        } else {
            Some(Stamp {
                size: self.varint()?,
                modified: self.timestamp()?,
                changed: self.timestamp()?,
                ino: self.varint()?,
            })
        };
        Some(Row {
            name,
            node: self.bytes()?,
            kind: kind & !HAS_STAMP,
            stamp,
        })
    }
}
