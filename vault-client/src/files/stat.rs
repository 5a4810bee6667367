//! What `lstat` says about an entry, without opening it.

use rustix::fs::{FileType, major, minor};

use vault_core::timestamp::Timestamp;

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum NodeKind {
    /// A regular file.
    File = 1,
    /// A directory.
    Directory = 2,
    /// A symbolic link.
    Symlink = 3,
    /// A named pipe.
    Fifo = 4,
    /// A socket.
    Socket = 5,
    /// A character device.
    CharacterDevice = 6,
    /// A block device.
    BlockDevice = 7,
}

/// The file behind a name: two names with the same id are hard links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The file system's device number; some change at a reboot.
    pub dev: u64,
    /// The inode number.
    pub ino: u64,
}

/// The state of an entry at the moment it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// What it is.
    pub kind: NodeKind,
    /// Device and inode number.
    pub id: FileId,
    /// Bytes, holes included. Whatever the file system says: files in `/proc`
    /// claim 0, or 4,096.
    pub size: u64,
    /// When the contents were last changed (or what somebody set it to).
    pub modified: Timestamp,
    /// When contents or metadata were last changed; nobody can set it.
    pub changed: Timestamp,
    /// The low 12 bits of `st_mode`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names of this file, in all directories.
    pub links: u32,
    /// Major and minor number of a device node, else zeros.
    pub device: (u32, u32),
    /// Whether less is allocated than `size`, so that there may be holes.
    pub may_have_holes: bool,
}

impl Stat {
    /// Whether another look at the same file shows that nobody wrote to it in
    /// between. Metadata may have changed.
    #[must_use]
    pub fn same_contents(&self, later: &Self) -> bool {
        self.id == later.id && self.size == later.size && self.modified == later.modified
    }
}

impl From<&rustix::fs::Stat> for Stat {
    #[allow(
        clippy::unnecessary_cast,
        reason = "field types differ by architecture"
    )]
    fn from(stat: &rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => NodeKind::Directory,
            FileType::Symlink => NodeKind::Symlink,
            FileType::Fifo => NodeKind::Fifo,
            FileType::Socket => NodeKind::Socket,
            FileType::CharacterDevice => NodeKind::CharacterDevice,
            FileType::BlockDevice => NodeKind::BlockDevice,
            _ => NodeKind::File,
        };
        let is_device = matches!(kind, NodeKind::CharacterDevice | NodeKind::BlockDevice);
        let rdev = stat.st_rdev as u64;
        Self {
            kind,
            id: FileId {
                dev: stat.st_dev as u64,
                ino: stat.st_ino as u64,
            },
            size: stat.st_size.max(0) as u64,
            modified: timestamp(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: timestamp(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: u32::try_from(stat.st_nlink).unwrap_or(u32::MAX),
            device: if is_device {
                (major(rdev), minor(rdev))
            } else {
                (0, 0)
            },
            may_have_holes: (stat.st_blocks.max(0) as u64).saturating_mul(512)
                < stat.st_size.max(0) as u64,
        }
    }
}

/// File systems do hand out nanoseconds of a second and more; a node may not.
fn timestamp(seconds: i64, nanoseconds: u64) -> Timestamp {
    let nanoseconds = nanoseconds.min(999_999_999) as u32;
    Timestamp::new(seconds, nanoseconds).expect("nanoseconds are below 10^9")
}
