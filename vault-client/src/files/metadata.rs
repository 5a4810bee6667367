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

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    use rustix::fs::{XattrFlags, fsetxattr, lsetxattr};

    use super::*;
    use crate::files::testing::{is_root, not_tested};

    fn owners() -> OwnerNames {
        OwnerNames::default()
    }

    #[test]
    fn attributes_come_ordered_and_whole() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("file");
        let file = File::create(&path).unwrap();
        let large = vec![9; 2_000];
        for (name, value) in [
            ("user.b", &b"\0\xff"[..]),
            ("user.a", b""),
            ("user.c", &large),
        ] {
            fsetxattr(&file, name, value, XattrFlags::empty()).unwrap();
        }
        let directory = Directory::open(base.path()).unwrap();
        let stat = directory.stat_entry(b"file").unwrap();
        let closed = directory.entry_metadata(b"file", &stat, &owners());
        let open = directory.open_file(b"file").unwrap().metadata(&owners());
        assert_eq!(closed.metadata, open.metadata);
        assert_eq!((closed.problem, open.problem), (None, None));
        let xattrs: Vec<_> = open
            .metadata
            .xattrs
            .iter()
            .map(|x| (&x.name[..], &x.value[..]))
            .collect();
        let expected = [
            (&b"user.a"[..], &b""[..]),
            (b"user.b", b"\0\xff"),
            (b"user.c", &large),
        ];
        assert_eq!(xattrs, expected);
    }

    #[test]
    fn a_symlinks_attributes_are_its_own() {
        if !is_root() {
            return not_tested("a symlink's attributes, which only root may give it");
        }
        let base = tempfile::tempdir().unwrap();
        let (file, link) = (base.path().join("file"), base.path().join("link"));
        fs::write(&file, "x").unwrap();
        symlink("file", &link).unwrap();
        lsetxattr(&file, "trusted.of", b"file", XattrFlags::empty()).unwrap();
        lsetxattr(&link, "trusted.of", b"link", XattrFlags::empty()).unwrap();
        let directory = Directory::open(base.path()).unwrap();
        let stat = directory.stat_entry(b"link").unwrap();
        let read = directory.entry_metadata(b"link", &stat, &owners());
        assert_eq!(read.metadata.xattrs[0].value, b"link");
    }

    /// A name, and what a file system says when asked for the value.
    type Attribute<'a> = (&'a [u8], Result<&'a [u8], Errno>);

    fn reading(attributes: &[Attribute<'_>]) -> Attributes {
        let fill = |bytes: &[u8], buffer: &mut [u8]| {
            let room = buffer.get_mut(..bytes.len()).ok_or(Errno::RANGE)?;
            room.copy_from_slice(bytes);
            Ok(bytes.len())
        };
        let list: Vec<u8> = attributes
            .iter()
            .flat_map(|(name, _)| [name, &b"\0"[..]].concat())
            .collect();
        read_attributes(
            |buffer| fill(&list, buffer),
            |name, buffer| {
                let found = attributes.iter().find(|(other, _)| *other == name);
                fill(found.unwrap().1?, buffer)
            },
        )
    }

    #[test]
    fn what_cannot_be_read_is_reported_and_the_rest_kept() {
        let names = |attributes: &Attributes| -> Vec<Vec<u8>> {
            attributes
                .0
                .iter()
                .map(|xattr| xattr.name.clone())
                .collect()
        };
        let denied = reading(&[
            (b"a", Ok(b"1")),
            (b"b", Err(Errno::ACCESS)),
            (b"c", Ok(b"3")),
        ]);
        assert_eq!(names(&denied), [b"a", b"c"]);
        assert_eq!(denied.1, Some(Reason::Attributes));
        // Taken away since it was listed: nothing to report.
        let gone = reading(&[(b"a", Err(Errno::NODATA)), (b"b", Ok(b"2"))]);
        assert_eq!((names(&gone), gone.1), (vec![b"b".to_vec()], None));
        // More than a node may hold.
        let large = vec![0; 60_000];
        let many: [Attribute<'_>; 4] = [
            (b"a", Ok(&large)),
            (b"b", Ok(&large)),
            (b"c", Ok(&large)),
            (b"d", Ok(&large)),
        ];
        let many = reading(&many);
        assert_eq!(
            (many.0.len(), many.1),
            (3, Some(Reason::AttributesTooLarge))
        );
        let no_room = read_attributes(|_| Err(Errno::RANGE), |_, _| Ok(0));
        assert_eq!(no_room.1, Some(Reason::AttributesTooLarge));
        // A file system without attributes.
        let none = read_attributes(|_| Err(Errno::OPNOTSUPP), |_, _| Ok(0));
        assert_eq!((none.0.len(), none.1), (0, None));
    }
}
