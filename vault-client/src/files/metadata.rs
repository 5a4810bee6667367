//! Mode, times, owner and extended attributes of an entry.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{fgetxattr, flistxattr, getxattr, lgetxattr, listxattr, llistxattr};
use rustix::io::Errno;
use vault_core::tree::{Metadata, Xattr};

use super::Reason;
use super::directory::Directory;
use super::owners::OwnerNames;
use super::read::FileReader;
use super::stat::Stat;

/// Bytes of names and values of attributes that are taken along: a node may
/// have 256 KiB in all, and its content needs some.
const MAX_ATTRIBUTES: usize = 192 << 10;

/// The longest list of names that Linux gives out, in bytes.
const MAX_LIST: usize = 64 << 10;

/// The longest value that Linux gives out, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// The metadata of an entry, and what of it could not be had.
#[derive(Debug, Clone)]
pub struct ReadMetadata {
    /// What a node takes.
    pub metadata: Metadata,
    /// Why attributes are missing in it, if some are.
    pub problem: Option<Reason>,
}

impl Directory {
    /// The metadata of this directory itself. `stat` is what it was when it
    /// was opened.
    #[must_use]
    pub fn metadata(&self, stat: &Stat, owners: &OwnerNames) -> ReadMetadata {
        let attributes = self.0.fd().map_err(Reason::from).map(|fd| {
            if self.0.is_pass() {
                // This descriptor is for passing through only: the way to the
                // attributes is its name in /proc, which leads straight to it.
                let path = descriptor_path(&fd);
                read_attributes(
                    |list| listxattr(path.as_slice(), list),
                    |name, value| getxattr(path.as_slice(), name, value),
                )
            } else {
                read_descriptor(&*fd)
            }
        });
        with_attributes(stat, owners, attributes)
    }

    /// The metadata of an entry that is not opened: a symlink, a FIFO, a
    /// socket, a device, or what is known to be unchanged.
    #[must_use]
    pub fn entry_metadata(&self, name: &[u8], stat: &Stat, owners: &OwnerNames) -> ReadMetadata {
        let attributes = self.0.fd().map_err(Reason::from).map(|fd| {
            // There is no such call relative to a directory: the descriptor's
            // name in /proc leads straight to it, and the last component is not
            // followed.
            let path = entry_path(&fd, name);
            read_attributes(
                |list| llistxattr(path.as_slice(), list),
                |name, value| lgetxattr(path.as_slice(), name, value),
            )
        });
        with_attributes(stat, owners, attributes)
    }
}

impl FileReader {
    /// The metadata of the file that is being read.
    #[must_use]
    pub fn metadata(&self, owners: &OwnerNames) -> ReadMetadata {
        let attributes = match self.source().descriptor() {
            Some(fd) => read_descriptor(fd),
            None => (Vec::new(), None),
        };
        with_attributes(self.stat(), owners, Ok(attributes))
    }
}

/// The name in `/proc` of an entry of an open directory.
pub(super) fn entry_path(directory: &OwnedFd, name: &[u8]) -> Vec<u8> {
    let mut path = descriptor_path(directory);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

/// The name in `/proc` of an open descriptor.
pub(super) fn descriptor_path(fd: &OwnedFd) -> Vec<u8> {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes()
}

type Attributes = (Vec<Xattr>, Option<Reason>);

fn with_attributes(
    stat: &Stat,
    owners: &OwnerNames,
    attributes: Result<Attributes, Reason>,
) -> ReadMetadata {
    let (xattrs, problem) = attributes.unwrap_or_else(|reason| (Vec::new(), Some(reason)));
    ReadMetadata {
        metadata: Metadata {
            mode: stat.mode,
            modified: stat.modified,
            uid: stat.uid,
            gid: stat.gid,
            user: owners.user_name(stat.uid),
            group: owners.group_name(stat.gid),
            xattrs,
        },
        problem,
    }
}

fn read_descriptor(fd: impl AsFd + Copy) -> Attributes {
    read_attributes(
        |list| flistxattr(fd, list),
        |name, value| fgetxattr(fd, name, value),
    )
}

/// Reads all attributes, ordered by name.
fn read_attributes(
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    value: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Attributes {
    let names = match with_room(1 << 10, MAX_LIST, list) {
        Ok(names) => names,
        // A file system without attributes, or an entry that can have none.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return (Vec::new(), None),
        Err(errno) => return (Vec::new(), Some(attribute_reason(errno))),
    };
    let mut xattrs: Vec<Xattr> = Vec::new();
    let mut problem = None;
    let mut total = 0;
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        match with_room(1 << 10, MAX_VALUE, |buffer| value(name, buffer)) {
            Ok(value) => {
                // A few bytes each for tags and lengths.
                total += name.len() + value.len() + 16;
                if total > MAX_ATTRIBUTES {
                    problem = Some(Reason::AttributesTooLarge);
                    break;
                }
                xattrs.push(Xattr {
                    name: name.to_vec(),
                    value,
                });
            }
            // Taken away since it was listed.
            Err(Errno::NODATA) => {}
            Err(errno) => problem = Some(attribute_reason(errno)),
        }
    }
    xattrs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    xattrs.dedup_by(|a, b| a.name == b.name);
    (xattrs, problem)
}

fn attribute_reason(errno: Errno) -> Reason {
    match errno {
        Errno::TOOBIG | Errno::RANGE => Reason::AttributesTooLarge,
        Errno::NOENT | Errno::STALE => Reason::Vanished,
        _ => Reason::Attributes,
    }
}

/// Calls with a little room, which nearly always does, else with all there may
/// be need for.
fn with_room(
    little: usize,
    most: usize,
    call: impl Fn(&mut [u8]) -> Result<usize, Errno>,
) -> Result<Vec<u8>, Errno> {
    let mut buffer = vec![0; little];
    let length = match call(&mut buffer) {
        Err(Errno::RANGE) => {
            buffer.resize(most, 0);
            call(&mut buffer)?
        }
        other => other?,
    };
    buffer.truncate(length);
    Ok(buffer)
}
