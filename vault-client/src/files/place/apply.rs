//! Giving what was made its owner, attributes, time and mode, in this order:
//! a change of owner takes capabilities away, attributes count as a change of
//! nothing but the metadata, and the mode is the sign that all is done.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags, chmod,
    chownat, fchmod, fchown, fsetxattr, fstat, futimens, lsetxattr, openat, setxattr, utimensat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use vault_core::tree::{Metadata, Xattr};

use super::target::Shared;
use crate::files::Reason;
use crate::files::metadata::{descriptor_path, entry_path};
use crate::files::stat::{NodeKind, Stat};

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;

/// Capabilities that a program gets whoever runs it.
const CAPABILITIES: &[u8] = b"security.capability";

/// Gives an open file its metadata. `before` is what it was when it was made.
///
/// # Errors
/// The first thing that could not be set; the others are set all the same.
pub(super) fn apply_to_file(
    fd: &OwnedFd,
    before: &Stat,
    metadata: &Metadata,
    shared: &Shared,
) -> Result<(), Reason> {
    let mut problems = Problems::default();
    let owner = shared.owner_of(metadata);
    let has_owner = problems.owner(before, owner, |uid, gid| fchown(fd, uid, gid));
    for xattr in shared.attributes_of(metadata) {
        problems.attribute(fsetxattr(
            fd,
            xattr.name.as_slice(),
            &xattr.value,
            XattrFlags::empty(),
        ));
    }
    problems.other(futimens(fd, &times_of(metadata)));
    let mode = shared.mode_of(metadata, has_owner);
    problems.other(fchmod(fd, mode));
    problems.first()
}

/// Gives a directory its metadata, as [`apply_to_file`] does.
pub(super) fn apply_to_directory(
    fd: &OwnedFd,
    metadata: &Metadata,
    shared: &Shared,
) -> Result<(), Reason> {
    let mut problems = Problems::default();
    let before = Stat::from(&fstat(fd)?);
    let owner = shared.owner_of(metadata);
    let has_owner = problems.owner(&before, owner, |uid, gid| fchown(fd, uid, gid));
    for xattr in shared.attributes_of(metadata) {
        problems.attribute(fsetxattr(
            fd,
            xattr.name.as_slice(),
            &xattr.value,
            XattrFlags::empty(),
        ));
    }
    problems.other(futimens(fd, &times_of(metadata)));
    // On a directory set-group-id runs nothing: it hands the group down, which
    // makes sense only with the group that it had.
    let dropped = if has_owner && shared.restores_owners {
        SET_USER_ID
    } else {
        SET_USER_ID | SET_GROUP_ID
    };
    problems.other(fchmod(fd, Mode::from_raw_mode(metadata.mode & !dropped)));
    problems.first()
}

/// Gives a symlink its metadata, without following it. It has no mode.
pub(super) fn apply_to_symlink(
    directory: &OwnedFd,
    name: &[u8],
    metadata: &Metadata,
    shared: &Shared,
) -> Result<(), Reason> {
    let mut problems = Problems::default();
    if let Some((uid, gid)) = shared.owner_of(metadata) {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        problems.other(chownat(directory, name, Some(uid), Some(gid), flags));
    }
    for xattr in shared.attributes_of(metadata) {
        problems.attribute(lsetxattr(
            entry_path(directory, name),
            xattr.name.as_slice(),
            &xattr.value,
            XattrFlags::empty(),
        ));
    }
    let times = times_of(metadata);
    problems.other(utimensat(
        directory,
        name,
        &times,
        AtFlags::SYMLINK_NOFOLLOW,
    ));
    problems.first()
}

/// Gives a FIFO, socket or device node its metadata, without opening it.
pub(super) fn apply_to_special(
    directory: &OwnedFd,
    name: &[u8],
    metadata: &Metadata,
    shared: &Shared,
) -> Result<(), Reason> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = openat(directory, name, flags, Mode::empty())?;
    let before = Stat::from(&fstat(&fd)?);
    if matches!(
        before.kind,
        NodeKind::File | NodeKind::Directory | NodeKind::Symlink
    ) {
        return Err(Reason::Replaced);
    }
    // Such a descriptor only names the node. Its own name in /proc leads to
    // the node whatever stands in the directory by now.
    let path = descriptor_path(&fd);
    let mut problems = Problems::default();
    let owner = shared.owner_of(metadata);
    let has_owner = problems.owner(&before, owner, |uid, gid| {
        chownat(&fd, "", uid, gid, AtFlags::EMPTY_PATH)
    });
    for xattr in shared.attributes_of(metadata) {
        problems.attribute(setxattr(
            path.as_slice(),
            xattr.name.as_slice(),
            &xattr.value,
            XattrFlags::empty(),
        ));
    }
    let times = times_of(metadata);
    problems.other(utimensat(CWD, path.as_slice(), &times, AtFlags::empty()));
    problems.other(chmod(path.as_slice(), shared.mode_of(metadata, has_owner)));
    problems.first()
}

impl Shared {
    /// Who is to own it; `None` if owners are not restored.
    pub(super) fn owner_of(&self, metadata: &Metadata) -> Option<(u32, u32)> {
        if !self.restores_owners {
            return None;
        }
        let by_name = self.options.owners_by_name;
        let owners = &self.options.owners;
        let named = |name: &[u8]| by_name && !name.is_empty();
        let uid = named(&metadata.user).then(|| owners.user_id(&metadata.user));
        let gid = named(&metadata.group).then(|| owners.group_id(&metadata.group));
        Some((
            uid.flatten().unwrap_or(metadata.uid),
            gid.flatten().unwrap_or(metadata.gid),
        ))
    }

    /// The mode of a file, without what would hand on privileges.
    pub(super) fn mode_of(&self, metadata: &Metadata, has_owner: bool) -> Mode {
        let privileges = metadata.mode & (SET_USER_ID | SET_GROUP_ID);
        let is_dropped = privileges != 0 && !(self.options.keep_privileges && has_owner);
        if is_dropped {
            self.dropped_privileges.fetch_add(1, Ordering::Relaxed);
            return Mode::from_raw_mode(metadata.mode & !privileges);
        }
        Mode::from_raw_mode(metadata.mode)
    }

    /// The attributes to set. Only root may set what is not the user's own or
    /// an access list; nobody else is asked to.
    fn attributes_of<'a>(&'a self, metadata: &'a Metadata) -> impl Iterator<Item = &'a Xattr> {
        let is_root = !metadata.xattrs.is_empty() && geteuid().is_root();
        metadata.xattrs.iter().filter(move |xattr| {
            if xattr.name == CAPABILITIES && !self.options.keep_privileges {
                self.dropped_privileges.fetch_add(1, Ordering::Relaxed);
                return false;
            }
            is_root || xattr.name.starts_with(b"user.") || xattr.name.starts_with(b"system.")
        })
    }
}

pub(super) fn times_of(metadata: &Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: metadata.modified.seconds(),
            tv_nsec: metadata.modified.nanoseconds().into(),
        },
    }
}

/// The first thing that could not be set.
#[derive(Default)]
struct Problems(Option<Reason>);

impl Problems {
    /// Changes the owner if it is another; says whether it is right now.
    fn owner(
        &mut self,
        before: &Stat,
        owner: Option<(u32, u32)>,
        change: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> bool {
        match owner {
            None => true,
            Some((uid, gid)) if (uid, gid) == (before.uid, before.gid) => true,
            Some((uid, gid)) => {
                let result = change(Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                self.other(result);
                result.is_ok()
            }
        }
    }

    fn attribute(&mut self, result: Result<(), Errno>) {
        if result.is_err() {
            self.0.get_or_insert(Reason::Attributes);
        }
    }

    fn other(&mut self, result: Result<(), Errno>) {
        if result.is_err() {
            self.0.get_or_insert(Reason::Metadata);
        }
    }

    fn first(self) -> Result<(), Reason> {
        self.0.map_or(Ok(()), Err)
    }
}
