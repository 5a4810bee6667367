//! What a backup or a restore could not take along, and why.

use std::fmt;
use std::io;

use rustix::io::Errno;

/// Something that was left out while the rest went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The absolute path on this device, or the path beneath a restore's
    /// target. For the local user only.
    pub path: Vec<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why something was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This user may not read it, or not write it.
    NotPermitted,
    /// It was there when its directory was listed, and then was not.
    Vanished,
    /// Another kind of thing stands under the name by now.
    Replaced,
    /// It changed while it was read: what was read is kept, and may mix the
    /// state before with the state after.
    ChangedWhileRead,
    /// It says that it is empty, and goes on and on.
    Endless,
    /// Its extended attributes, or some of them, could not be read or set.
    Attributes,
    /// Its extended attributes are larger than a node may be.
    AttributesTooLarge,
    /// More directories lie in each other than a tree may have.
    TooDeep,
    /// More than a directory, or a name, may hold.
    TooLarge,
    /// Its owner, mode or time could not be set.
    Metadata,
    /// Something else stands there, and stays.
    Occupied,
    /// A FIFO, socket or device node, and those were not asked for.
    SpecialFile,
    /// A name that a restore itself needs.
    Reserved,
    /// The file system does not take this name.
    NameRefused,
    /// The file that this is another name of could not be restored.
    LinkNotRestored,
    /// Not all of its bytes were written.
    Incomplete,
    /// The hoster does not have all of its bytes as they were stored.
    LostByHoster,
    /// Some of its bytes are nowhere in the vault: they were never there, or were lost, and
    /// nobody has stored them again.
    Nowhere,
    /// Reading it again gave something else than the snapshot has.
    Different,
    /// There is no space left, or the user's quota is used up.
    DiskFull,
    /// A symlink that leads out of what is restored, and comes from somebody else.
    LeadsOut,
    /// A kind of node that this call, or this version, cannot make.
    Unsupported,
    /// The system refused with this error number.
    Failed(i32),
}

impl Reason {
    /// The reason's name, for machines: it never changes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotPermitted => "not-permitted",
            Self::Vanished => "vanished",
            Self::Replaced => "replaced",
            Self::ChangedWhileRead => "changed-while-read",
            Self::Endless => "endless",
            Self::Attributes => "attributes",
            Self::AttributesTooLarge => "attributes-too-large",
            Self::TooDeep => "too-deep",
            Self::TooLarge => "too-large",
            Self::Metadata => "metadata",
            Self::Occupied => "occupied",
            Self::SpecialFile => "special-file",
            Self::Reserved => "reserved",
            Self::NameRefused => "name-refused",
            Self::LinkNotRestored => "link-not-restored",
            Self::Incomplete => "incomplete",
            Self::LostByHoster => "lost-by-hoster",
            Self::Nowhere => "nowhere",
            Self::Different => "different",
            Self::DiskFull => "disk-full",
            Self::LeadsOut => "leads-out",
            Self::Unsupported => "unsupported",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPermitted => f.write_str("permission denied"),
            Self::Vanished => f.write_str("vanished"),
            Self::Replaced => f.write_str("replaced by another kind of file"),
            Self::ChangedWhileRead => f.write_str("changed while it was read"),
            Self::Endless => f.write_str("does not end"),
            Self::Attributes => f.write_str("extended attributes not accessible"),
            Self::AttributesTooLarge => f.write_str("extended attributes too large"),
            Self::TooDeep => f.write_str("too many directories in each other"),
            Self::TooLarge => f.write_str("too large"),
            Self::Metadata => f.write_str("owner, mode or time not set"),
            Self::Occupied => f.write_str("something else stands here"),
            Self::SpecialFile => f.write_str("special files are made only if asked for"),
            Self::Reserved => f.write_str("a name that a restore itself uses"),
            Self::NameRefused => f.write_str("the file system does not take this name"),
            Self::LinkNotRestored => {
                f.write_str("the file that this is a hard link to is not restored")
            }
            Self::Incomplete => f.write_str("not all of its bytes were written"),
            Self::LostByHoster => {
                f.write_str("the hoster does not have all of it as it was stored")
            }
            Self::Nowhere => f.write_str("part of it is nowhere in the vault"),
            Self::Different => f.write_str("not what the snapshot has"),
            Self::DiskFull => f.write_str("no space left"),
            Self::LeadsOut => f.write_str("a symlink that leads out of the link"),
            Self::Unsupported => f.write_str("not a kind that can be restored"),
            Self::Failed(number) => io::Error::from_raw_os_error(*number).fmt(f),
        }
    }
}

impl std::error::Error for Reason {}

impl From<Errno> for Reason {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ACCESS | Errno::PERM => Self::NotPermitted,
            Errno::NOENT | Errno::STALE => Self::Vanished,
            Errno::NOSPC | Errno::DQUOT => Self::DiskFull,
            Errno::ILSEQ | Errno::NAMETOOLONG => Self::NameRefused,
            // What O_NOFOLLOW and O_DIRECTORY say about something else.
            Errno::LOOP | Errno::NOTDIR => Self::Replaced,
            other => Self::Failed(other.raw_os_error()),
        }
    }
}

impl From<&io::Error> for Reason {
    fn from(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Errno::from_raw_os_error(number).into(),
            None => Self::Failed(Errno::IO.raw_os_error()),
        }
    }
}
