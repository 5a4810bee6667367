//! A directory: what is in it, and the way to each of its entries.

use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RawDir, fstatfs, openat, readlinkat, statat};
use rustix::io::Errno;
use vault_core::timestamp::Timestamp;

use super::Reason;
use super::handle::{Access, Handle, Pool};
use super::pseudo;
use super::stat::{FileId, NodeKind, Stat};

/// Descriptors that one walk, or one restore, keeps open for directories. A
/// process may commonly have 1,024.
pub(super) const OPEN_DIRECTORIES: usize = 192;

/// Bytes asked of the system at a time when a directory is listed.
const LIST_BUFFER: usize = 32 << 10;

/// A directory on this device. Cheap to clone; opens itself again when needed,
/// and only if the same directory is still in its place.
#[derive(Debug, Clone)]
pub struct Directory(pub(super) Arc<Handle>);

impl Directory {
    /// Opens the directory that `path` leads to, through symlinks if there are
    /// any in it. Paths given out are beneath this one.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub fn open(path: &Path) -> Result<Self, Reason> {
        Self::open_base(path, Access::List)
    }

    pub(super) fn open_base(path: &Path, access: Access) -> Result<Self, Reason> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        let flags = match access {
            Access::List => flags | OFlags::RDONLY,
            Access::Pass => flags | OFlags::PATH,
        };
        let fd = openat(CWD, path, flags, Mode::empty())?;
        let pool = Pool::new(OPEN_DIRECTORIES);
        Ok(Self(Handle::base(fd, access, &pool)?))
    }

    /// Opens a directory in this one, and says what it is.
    ///
    /// # Errors
    /// [`Reason::Replaced`] if something else stands there, a symlink to a
    /// directory included; otherwise why it could not be opened.
    pub fn open_child(&self, name: &[u8]) -> Result<(Self, Stat), Reason> {
        self.child(name, Access::List)
    }

    pub(super) fn child(&self, name: &[u8], access: Access) -> Result<(Self, Stat), Reason> {
        let (handle, stat) = self.0.child(name, access)?;
        Ok((Self(handle), stat))
    }

    /// Like [`Self::open`], for who only wants to pass: it need not be allowed to
    /// list the directory.
    pub(crate) fn open_to_pass(path: &Path) -> Result<Self, Reason> {
        Self::open_base(path, Access::Pass)
    }

    /// Like [`Self::open_child`], likewise.
    pub(crate) fn pass_to(&self, name: &[u8]) -> Result<Self, Reason> {
        self.child(name, Access::Pass).map(|(child, _)| child)
    }

    /// Which directory this is.
    #[must_use]
    pub fn id(&self) -> FileId {
        self.0.id()
    }

    /// The name in the directory above; empty for what [`Directory::open`] gave.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.0.name()
    }

    /// The path beneath what [`Directory::open`] opened, which itself is `/`.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        self.0.append_path(&mut path);
        if path.is_empty() {
            path.push(b'/');
        }
        path
    }

    /// The path of an entry, as [`Self::path`] counts.
    #[must_use]
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        let mut path = Vec::new();
        self.0.append_path(&mut path);
        path.push(b'/');
        path.extend_from_slice(name);
        path
    }

    /// Whether this directory's file system holds no files of anybody's, only
    /// what the kernel has to say.
    pub(super) fn is_pseudo_file_system(&self) -> Result<bool, Reason> {
        let fd = self.0.fd()?;
        let stat = fstatfs(&*fd)?;
        // Its type differs by architecture; the numbers have 32 bits.
        #[allow(clippy::unnecessary_cast, reason = "not on every architecture")]
        let magic = stat.f_type as u32;
        Ok(pseudo::is_pseudo(magic, &self.path()))
    }

    /// Looks at an entry without following or opening it.
    ///
    /// # Errors
    /// Why it could not be looked at.
    pub fn stat_entry(&self, name: &[u8]) -> Result<Stat, Reason> {
        let stat = statat(&*self.0.fd()?, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Stat::from(&stat))
    }

    /// Where a symlink points, as written in it.
    ///
    /// # Errors
    /// Why it could not be read; [`Reason::Replaced`] if it is no symlink.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>, Reason> {
        match readlinkat(&*self.0.fd()?, name, Vec::new()) {
            Ok(target) => Ok(target.into_bytes()),
            Err(Errno::INVAL) => Err(Reason::Replaced),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Everything in this directory, ordered by name bytewise.
    ///
    /// Memory is about 100 bytes an entry. `wanted` is asked before an entry
    /// is looked at (a hanging network mount is not touched if it answers no);
    /// it is told whether the entry is a directory.
    ///
    /// # Errors
    /// Why nothing could be listed. What goes wrong later is in
    /// [`Listing::problems`].
    pub fn list(&self, mut wanted: impl FnMut(&[u8], bool) -> bool) -> Result<Listing, Reason> {
        let fd = self.0.fd()?;
        // Reading moves a descriptor's position: another reader of the same
        // handle must not see half a directory.
        let own = openat(
            &*fd,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut listing = Listing::default();
        let mut buffer = Vec::with_capacity(LIST_BUFFER);
        let mut entries = RawDir::new(&own, buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(errno) if listing.is_empty() => return Err(errno.into()),
                Err(errno) => {
                    listing.problems.push((Box::default(), errno.into()));
                    break;
                }
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let file_type = entry.file_type();
            let is_known = file_type != rustix::fs::FileType::Unknown;
            if is_known && !wanted(name, file_type.is_dir()) {
                continue;
            }
            listing.push_name(name, entry.ino(), is_known)?;
        }
        listing.stat_all(|name| Ok(Stat::from(&statat(&*fd, name, AtFlags::SYMLINK_NOFOLLOW)?)));
        listing.retain_unasked(&mut wanted);
        listing.sort();
        Ok(listing)
    }

    /// Only the named entries, which must be ordered; what is not there is a
    /// problem in the listing.
    pub(super) fn list_only<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> Listing {
        let mut listing = Listing::default();
        for name in names {
            if let Err(reason) = listing.push_name(name, 0, true) {
                listing.problems.push((name.into(), reason));
            }
        }
        listing.stat_all(|name| self.stat_entry(name));
        listing.sort();
        listing
    }
}

/// The entries of a directory, ordered by name bytewise.
#[derive(Debug, Default)]
pub struct Listing {
    names: Vec<u8>,
    rows: Vec<Row>,
    // Device numbers: the directory's own, and those of what is mounted in it.
    devices: Vec<u64>,
    problems: Vec<(Box<[u8]>, Reason)>,
}

/// An entry in 72 bytes.
#[derive(Debug, Clone, Copy)]
struct Row {
    ino: u64,
    /// Of a device node: major and minor.
    size: u64,
    modified_seconds: i64,
    changed_seconds: i64,
    modified_nanoseconds: u32,
    changed_nanoseconds: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    links: u32,
    name_start: u32,
    device: u16,
    name_len: u16,
    kind: Option<NodeKind>,
    may_have_holes: bool,
    was_asked: bool,
}

/// An entry of a listing.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// One path component.
    pub name: &'a [u8],
    /// What it was when it was looked at.
    pub stat: Stat,
}

impl Listing {
    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The entry at a place, if there are that many.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<Entry<'_>> {
        self.rows.get(index).map(|row| self.to_entry(row))
    }

    /// All entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> + DoubleEndedIterator {
        self.rows.iter().map(|row| self.to_entry(row))
    }

    /// Where an entry stands, found by halving.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.rows
            .binary_search_by(|row| self.name(row).cmp(name))
            .ok()
    }

    /// Entries that were seen but could not be looked at; an empty name stands
    /// for the rest of a directory that could not be listed to its end.
    #[must_use]
    pub fn problems(&self) -> &[(Box<[u8]>, Reason)] {
        &self.problems
    }

    fn name(&self, row: &Row) -> &[u8] {
        let start = row.name_start as usize;
        &self.names[start..start + usize::from(row.name_len)]
    }

    fn to_entry(&self, row: &Row) -> Entry<'_> {
        let kind = row.kind.unwrap_or(NodeKind::File);
        let is_device = matches!(kind, NodeKind::CharacterDevice | NodeKind::BlockDevice);
        let stat = Stat {
            kind,
            id: FileId {
                dev: self.devices[usize::from(row.device)],
                ino: row.ino,
            },
            size: if is_device { 0 } else { row.size },
            modified: moment(row.modified_seconds, row.modified_nanoseconds),
            changed: moment(row.changed_seconds, row.changed_nanoseconds),
            mode: row.mode,
            uid: row.uid,
            gid: row.gid,
            links: row.links,
            device: if is_device {
                ((row.size >> 32) as u32, row.size as u32)
            } else {
                (0, 0)
            },
            may_have_holes: row.may_have_holes,
        };
        Entry {
            name: self.name(row),
            stat,
        }
    }

    fn push_name(&mut self, name: &[u8], ino: u64, was_asked: bool) -> Result<(), Reason> {
        let name_start = u32::try_from(self.names.len()).map_err(|_| Reason::TooLarge)?;
        let name_len = u16::try_from(name.len()).map_err(|_| Reason::TooLarge)?;
        self.names.extend_from_slice(name);
        self.rows.push(Row {
            ino,
            size: 0,
            modified_seconds: 0,
            changed_seconds: 0,
            modified_nanoseconds: 0,
            changed_nanoseconds: 0,
            mode: 0,
            uid: 0,
            gid: 0,
            links: 0,
            name_start,
            device: 0,
            name_len,
            kind: None,
            may_have_holes: false,
            was_asked,
        });
        Ok(())
    }

    /// Looks at every entry, in the order of inode numbers: on a disk that is
    /// about the order in which inodes lie.
    fn stat_all(&mut self, mut look: impl FnMut(&[u8]) -> Result<Stat, Reason>) {
        self.rows.sort_unstable_by_key(|row| row.ino);
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain_mut(|row| match look(self.name(row)) {
            Ok(stat) => {
                self.fill(row, &stat);
                true
            }
            Err(reason) => {
                let name = self.name(row).into();
                self.problems.push((name, reason));
                false
            }
        });
        self.rows = rows;
    }

    fn fill(&mut self, row: &mut Row, stat: &Stat) {
        let device = self.devices.iter().rposition(|dev| *dev == stat.id.dev);
        let device = device.unwrap_or_else(|| {
            self.devices.push(stat.id.dev);
            self.devices.len() - 1
        });
        // More than 65,536 mounts in one directory: Linux allows 100,000 in all.
        row.device = u16::try_from(device).unwrap_or(u16::MAX);
        row.ino = stat.id.ino;
        row.size = match stat.device {
            (0, 0) => stat.size,
            (major, minor) => u64::from(major) << 32 | u64::from(minor),
        };
        row.modified_seconds = stat.modified.seconds();
        row.modified_nanoseconds = stat.modified.nanoseconds();
        row.changed_seconds = stat.changed.seconds();
        row.changed_nanoseconds = stat.changed.nanoseconds();
        row.mode = stat.mode;
        row.uid = stat.uid;
        row.gid = stat.gid;
        row.links = stat.links;
        row.kind = Some(stat.kind);
        row.may_have_holes = stat.may_have_holes;
    }

    /// Asks about entries whose kind the directory did not tell.
    fn retain_unasked(&mut self, wanted: &mut impl FnMut(&[u8], bool) -> bool) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| {
            row.was_asked || wanted(self.name(row), row.kind == Some(NodeKind::Directory))
        });
        self.rows = rows;
    }

    fn sort(&mut self) {
        let names = std::mem::take(&mut self.names);
        let name = |row: &Row| {
            let start = row.name_start as usize;
            &names[start..start + usize::from(row.name_len)]
        };
        self.rows.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        // A directory that changes while it is listed may give a name twice.
        self.rows.dedup_by(|a, b| name(a) == name(b));
        self.names = names;
        self.rows.shrink_to_fit();
    }
}

fn moment(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp::new(seconds, nanoseconds).expect("taken apart from a timestamp")
}
