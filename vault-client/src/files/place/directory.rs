//! A directory of the target, and the entries that are no files.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use rustix::fs::{
    AtFlags, FileType, Mode, makedev, mkdirat, mknodat, renameat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::geteuid;
use vault_core::tree::{Metadata, Node, NodeContent, NodeName};

use super::UNFINISHED_DIRECTORY;
use super::apply::{apply_to_directory, apply_to_special, apply_to_symlink};
use super::links::{Name, Turn};
use super::marker::{MARKER, is_part_name, part_name};
use super::target::{Overwrite, Shared};
use crate::files::Reason;
use crate::files::directory::Directory;
use crate::files::handle::{Access, lock};
use crate::files::stat::{FileId, Stat};

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Placed {
    /// It stands there as it was saved.
    Made,
    /// Something stood there, and stays.
    Kept,
}

/// A directory of the target.
///
/// Once it was told with [`TargetDirectory::finish`] what it is to become, and
/// all its clones and everything begun in it are gone, it gets its owner, mode
/// and time: the deepest directories first.
#[derive(Debug, Clone)]
pub struct TargetDirectory(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    parent: Option<Arc<Inner>>,
    directory: Directory,
    pub(super) shared: Arc<Shared>,
    was_made: bool,
    plan: Mutex<Option<Metadata>>,
}

impl TargetDirectory {
    pub(super) fn root(directory: Directory, shared: Arc<Shared>, was_made: bool) -> Self {
        Self(Arc::new(Inner {
            parent: None,
            directory,
            shared,
            was_made,
            plan: Mutex::default(),
        }))
    }

    /// The path beneath the target, which itself is `/`.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.0.directory.path()
    }

    /// Says what the directory is to become when all in it is done. One that
    /// stood there already changes only if existing things may be overwritten.
    pub fn finish(self, metadata: &Metadata) {
        let may_change = self.0.shared.options.overwrite != Overwrite::Never;
        if self.0.was_made || may_change {
            *lock(&self.0.plan) = Some(metadata.clone());
        }
    }

    /// Makes a directory in this one, or opens the one that stands there.
    ///
    /// # Errors
    /// [`Reason::Occupied`] where something else stands and stays, otherwise
    /// why it could not be made.
    pub fn make_directory(&self, name: &NodeName) -> Result<Self, Reason> {
        self.check_name(name)?;
        let fd = self.fd()?;
        let mode = Mode::from_raw_mode(UNFINISHED_DIRECTORY);
        for _ in 0..2 {
            let was_made = match mkdirat(&*fd, name.as_bytes(), mode) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            match self.0.directory.child(name.as_bytes(), Access::List) {
                Ok((directory, stat)) => {
                    // Of a restore that was stopped, or this one's.
                    let is_left_over =
                        stat.mode == UNFINISHED_DIRECTORY && stat.uid == geteuid().as_raw();
                    return Ok(Self(Arc::new(Inner {
                        parent: Some(Arc::clone(&self.0)),
                        directory,
                        shared: Arc::clone(&self.0.shared),
                        was_made: was_made || is_left_over,
                        plan: Mutex::default(),
                    })));
                }
                Err(Reason::Replaced) => self.clear_the_way(name)?,
                Err(reason) => return Err(reason),
            }
        }
        Err(Reason::Occupied)
    }

    /// Makes a symlink or, if asked for in the options, a FIFO, a socket or a
    /// device node.
    ///
    /// # Errors
    /// [`Reason::SpecialFile`] if not asked for; [`Reason::Occupied`] where a
    /// directory stands; otherwise why it could not be made.
    pub fn make_other(&self, node: &Node) -> Result<Placed, Reason> {
        self.check_name(node.name())?;
        let make = Make::of(node.content())?;
        if !matches!(make, Make::Symlink(_)) && !self.0.shared.options.special_files {
            return Err(Reason::SpecialFile);
        }
        if let Some(group) = node.hard_link() {
            let name = Name {
                directory: self.clone(),
                name: node.name().clone(),
            };
            if self.0.shared.links.join(group, name)? == Turn::Linked {
                return Ok(Placed::Made);
            }
        }
        let fd = self.fd()?;
        let placed = match make.call(&fd, node.name().as_bytes()) {
            Ok(()) => {
                self.apply(&make, &fd, node.name().as_bytes(), node.metadata());
                Placed::Made
            }
            Err(Errno::EXIST) => self.replace_other(&make, &fd, node)?,
            Err(errno) => return Err(errno.into()),
        };
        if placed == Placed::Made
            && let Some(group) = node.hard_link()
        {
            let id = self.stat_entry(node.name())?.id;
            self.0.shared.links.done(group, self.first(node.name()), id);
        }
        Ok(placed)
    }

    fn replace_other(&self, make: &Make<'_>, fd: &OwnedFd, node: &Node) -> Result<Placed, Reason> {
        let name = node.name();
        if let Make::Symlink(target) = make {
            let there = self.0.directory.read_link(name.as_bytes());
            let is_resumed = self.0.shared.interrupted.is_some();
            let may_change = self.0.shared.options.overwrite != Overwrite::Never;
            if there.as_deref() == Ok(target) && (is_resumed || may_change) {
                self.apply(make, fd, name.as_bytes(), node.metadata());
                return Ok(Placed::Made);
            }
        }
        if self.0.shared.options.overwrite == Overwrite::Never {
            return Ok(Placed::Kept);
        }
        let (part, ()) = self.with_part_name(|part| make.call(fd, part))?;
        self.apply(make, fd, &part, node.metadata());
        self.rename_over(&part, name)?;
        Ok(Placed::Made)
    }

    fn apply(&self, make: &Make<'_>, fd: &OwnedFd, name: &[u8], metadata: &Metadata) {
        let shared = &self.0.shared;
        let result = match make {
            Make::Symlink(_) => apply_to_symlink(fd, name, metadata, shared),
            Make::Special(..) => apply_to_special(fd, name, metadata, shared),
        };
        if let Err(reason) = result {
            shared.leave_out(self.0.directory.path_of(name), reason);
        }
    }

    pub(super) fn first(&self, name: &NodeName) -> super::links::First {
        super::links::First {
            directory: self.0.directory.clone(),
            name: name.clone(),
        }
    }

    pub(super) fn fd(&self) -> Result<Arc<OwnedFd>, Reason> {
        Ok(self.0.directory.0.fd()?)
    }

    pub(super) fn stat_entry(&self, name: &NodeName) -> Result<Stat, Reason> {
        self.stat_bytes(name.as_bytes())
    }

    pub(super) fn stat_bytes(&self, name: &[u8]) -> Result<Stat, Reason> {
        self.0.directory.stat_entry(name)
    }

    pub(crate) fn path_of(&self, name: &NodeName) -> Vec<u8> {
        self.0.directory.path_of(name.as_bytes())
    }

    pub(super) fn leave_out(&self, name: &NodeName, reason: Reason) {
        self.0.shared.leave_out(self.path_of(name), reason);
    }

    /// Refuses the names that a restore itself needs.
    pub(super) fn check_name(&self, name: &NodeName) -> Result<(), Reason> {
        let name = name.as_bytes();
        if is_part_name(name) || (self.0.parent.is_none() && name == MARKER) {
            return Err(Reason::Reserved);
        }
        Ok(())
    }

    /// Makes something under a temporary name that is free.
    pub(super) fn with_part_name<R>(
        &self,
        make: impl Fn(&[u8]) -> Result<R, Errno>,
    ) -> Result<(Vec<u8>, R), Reason> {
        loop {
            let number = self.0.shared.next_part.fetch_add(1, Ordering::Relaxed);
            let part = part_name(number);
            match make(&part) {
                Ok(made) => return Ok((part, made)),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Gives what stands under a temporary name its own, in the place of what
    /// stands there. A symlink is replaced, not followed; a directory only if
    /// it is empty.
    pub(super) fn rename_over(&self, part: &[u8], name: &NodeName) -> Result<(), Reason> {
        let fd = self.fd()?;
        let rename = || renameat(&*fd, part, &*fd, name.as_bytes());
        let result = match rename() {
            Err(Errno::ISDIR | Errno::EXIST | Errno::NOTEMPTY) => {
                match unlinkat(&*fd, name.as_bytes(), AtFlags::REMOVEDIR) {
                    Ok(()) => rename().map_err(Reason::from),
                    Err(_) => Err(Reason::Occupied),
                }
            }
            other => other.map_err(Reason::from),
        };
        if result.is_err() {
            // It is a leftover else; the next restore would remove it, too.
            let _ = unlinkat(&*fd, part, AtFlags::empty());
        }
        result
    }

    /// Links a name to a file where something stands.
    pub(super) fn replace(
        &self,
        name: &NodeName,
        id: FileId,
        link: impl Fn(&[u8]) -> Result<(), Errno>,
    ) -> Result<(), Reason> {
        // Renaming one name of a file over another does nothing.
        if self.stat_entry(name)?.id == id {
            return Ok(());
        }
        if self.0.shared.options.overwrite == Overwrite::Never {
            return Err(Reason::Occupied);
        }
        let (part, ()) = self.with_part_name(link)?;
        self.rename_over(&part, name)
    }

    /// Removes what stands in the place of a directory, unless nothing may be
    /// overwritten.
    fn clear_the_way(&self, name: &NodeName) -> Result<(), Reason> {
        if self.0.shared.options.overwrite == Overwrite::Never {
            return Err(Reason::Occupied);
        }
        Ok(unlinkat(&*self.fd()?, name.as_bytes(), AtFlags::empty())?)
    }
}

/// How an entry that is neither file nor directory is made.
enum Make<'a> {
    Symlink(&'a [u8]),
    Special(FileType, u64),
}

impl<'a> Make<'a> {
    fn of(content: &'a NodeContent) -> Result<Self, Reason> {
        Ok(match content {
            NodeContent::Symlink { target } => Self::Symlink(target),
            NodeContent::Fifo => Self::Special(FileType::Fifo, 0),
            NodeContent::Socket => Self::Special(FileType::Socket, 0),
            NodeContent::CharacterDevice { major, minor } => {
                Self::Special(FileType::CharacterDevice, makedev(*major, *minor))
            }
            NodeContent::BlockDevice { major, minor } => {
                Self::Special(FileType::BlockDevice, makedev(*major, *minor))
            }
            _ => return Err(Reason::Unsupported),
        })
    }

    fn call(&self, directory: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
        match self {
            Self::Symlink(target) => symlinkat(*target, directory, name),
            Self::Special(file_type, device) => {
                // Nobody may open it before it has its owner and mode.
                mknodat(directory, name, *file_type, Mode::empty(), *device)
            }
        }
    }
}

impl Inner {
    /// Gives the directory what it was told to become.
    pub(super) fn settle(&mut self) {
        let plan = lock(&self.plan).take();
        let Some(metadata) = plan else {
            return;
        };
        let result = self
            .directory
            .0
            .fd()
            .map_err(Reason::from)
            .and_then(|fd| apply_to_directory(&fd, &metadata, &self.shared));
        if let Err(reason) = result {
            self.shared.leave_out(self.directory.path(), reason);
        }
    }

    /// Forgets what the directory was to become.
    pub(super) fn abandon(&self) {
        *lock(&self.plan) = None;
    }
}

impl Drop for Inner {
    /// Settles the directory, and those above it that waited for it, in a
    /// loop: a deep tree would overflow the stack by recursion.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        if parent.is_some() {
            self.settle();
        }
        while let Some(mut inner) = parent.and_then(Arc::into_inner) {
            parent = inner.parent.take();
            // The target itself is settled when the restore is finished.
            if parent.is_some() {
                inner.settle();
            }
            inner.abandon();
        }
    }
}
