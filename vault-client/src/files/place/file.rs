//! A file of the target, written in any order and by any number of threads.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, ftruncate, openat, unlinkat};
use rustix::io::Errno;
use vault_core::tree::{Metadata, Node, NodeContent, NodeName};

use super::UNFINISHED_FILE;
use super::apply::apply_to_file;
use super::directory::TargetDirectory;
use super::links::{Group, Name, Turn};
use super::target::Overwrite;
use crate::files::Reason;
use crate::files::handle::Slot;
use crate::files::stat::{NodeKind, Stat};
use crate::files::uncached::Caching;

/// What is to happen with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum FilePlacement {
    /// Its contents are to be written.
    Write(PlannedFile),
    /// Nothing: it is another name of a file that this restore writes, or has
    /// written. Should that fail, it comes back as left out in the end.
    Linked,
    /// Nothing: something stands there and stays.
    Kept {
        /// Whether it has the size and time of the saved file, and so most
        /// likely the contents.
        looks_same: bool,
    },
}

/// A file that is being written. Dropping it unfinished removes it.
#[derive(Debug)]
pub struct PlannedFile {
    directory: TargetDirectory,
    name: NodeName,
    // The temporary name, if something stands under its own.
    part: Option<Vec<u8>>,
    group: Option<Group>,
    before: Stat,
    size: u64,
    expected_bytes: u64,
    written_bytes: AtomicU64,
    caching: Caching,
    slot: Arc<Slot>,
    is_finished: bool,
}

impl TargetDirectory {
    /// Makes a file's name, or finds out that nothing is to be written.
    ///
    /// # Errors
    /// [`Reason::Occupied`] where a directory stands that is not empty;
    /// otherwise why it could not be made.
    pub fn plan_file(&self, node: &Node) -> Result<FilePlacement, Reason> {
        let NodeContent::File { content, size, .. } = node.content() else {
            return Err(Reason::Unsupported);
        };
        self.plan(&Wanted {
            name: node.name(),
            metadata: node.metadata(),
            size: *size,
            stored_bytes: content.length(),
            hard_link: node.hard_link(),
        })
    }

    /// Likewise, of a file that is no node of a tree.
    pub(crate) fn plan(&self, file: &Wanted<'_>) -> Result<FilePlacement, Reason> {
        self.check_name(file.name)?;
        if let Some(group) = file.hard_link {
            let name = Name {
                directory: self.clone(),
                name: file.name.clone(),
            };
            if self.0.shared.links.join(group, name)? == Turn::Linked {
                return Ok(FilePlacement::Linked);
            }
        }
        let made = match self.make_own(file.name)? {
            Some(made) => made,
            None => match self.look_at_standing(file)? {
                Some(kept) => return Ok(kept),
                None => self.make_part()?,
            },
        };
        if let Some(group) = file.hard_link {
            self.0.shared.links.begin(*group);
        }
        let slot = Slot::holding(Arc::new(made.fd));
        self.0.shared.files.admit(&slot);
        let file = PlannedFile {
            directory: self.clone(),
            name: file.name.clone(),
            part: made.part,
            group: file.hard_link.copied(),
            before: made.stat,
            size: file.size,
            expected_bytes: file.stored_bytes,
            written_bytes: AtomicU64::new(0),
            caching: Caching::of_size(file.size),
            slot,
            is_finished: false,
        };
        Ok(FilePlacement::Write(file))
    }

    /// Makes the file under its own name; `None` if something stands there.
    fn make_own(&self, name: &NodeName) -> Result<Option<Made>, Reason> {
        let fd = self.fd()?;
        let made = match create(&fd, name.as_bytes()) {
            Ok(made) => made,
            Err(Errno::EXIST) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let stat = Stat::from(&fstat(&made)?);
        if stat.mode != UNFINISHED_FILE {
            // A file system that keeps no modes could not tell a file that is
            // unfinished: the temporary name must.
            unlinkat(&*fd, name.as_bytes(), AtFlags::empty())?;
            return self.make_part().map(Some);
        }
        Ok(Some(Made {
            fd: made,
            stat,
            part: None,
        }))
    }

    fn make_part(&self) -> Result<Made, Reason> {
        let directory = self.fd()?;
        let (part, fd) = self.with_part_name(|part| create(&directory, part))?;
        let stat = Stat::from(&fstat(&fd)?);
        Ok(Made {
            fd,
            stat,
            part: Some(part),
        })
    }

    /// Decides about what stands there; `None` if it is to be replaced.
    fn look_at_standing(&self, file: &Wanted<'_>) -> Result<Option<FilePlacement>, Reason> {
        let shared = &self.0.shared;
        let stat = match self.stat_entry(file.name) {
            Err(Reason::Vanished) => return Ok(None),
            other => other?,
        };
        let looks_same = stat.kind == NodeKind::File
            && stat.size == file.size
            && stat.modified == file.metadata.modified;
        // The earlier restore wrote this, and it may never have reached the
        // disk: what would be kept is made again.
        let is_doubtful = looks_same
            && shared
                .interrupted
                .is_some_and(|run| run.lost_memory && stat.changed >= run.since);
        let is_kept = match shared.options.overwrite {
            Overwrite::Never => true,
            Overwrite::Changed => looks_same,
            Overwrite::Always => false,
        };
        if is_doubtful || !is_kept {
            return Ok(None);
        }
        if looks_same {
            if shared.options.overwrite == Overwrite::Changed {
                self.refresh(file, &stat);
            }
            if let Some(group) = file.hard_link {
                shared.links.done(group, self.first(file.name), stat.id);
            }
        }
        Ok(Some(FilePlacement::Kept { looks_same }))
    }

    /// Brings the metadata of a file that stays up to date.
    fn refresh(&self, file: &Wanted<'_>, stat: &Stat) {
        let metadata = file.metadata;
        let shared = &self.0.shared;
        let is_owner_right = shared
            .owner_of(metadata)
            .is_none_or(|owner| owner == (stat.uid, stat.gid));
        if is_owner_right && stat.mode == metadata.mode && metadata.xattrs.is_empty() {
            return;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let result = self.fd().and_then(|directory| {
            let name = file.name.as_bytes();
            let fd = openat(&*directory, name, flags, Mode::empty())?;
            if Stat::from(&fstat(&fd)?).id != stat.id {
                return Err(Reason::Replaced);
            }
            apply_to_file(&fd, stat, metadata, shared)
        });
        if let Err(reason) = result {
            self.leave_out(file.name, reason);
        }
    }
}

/// A file that is to be made.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a NodeName,
    pub(crate) metadata: &'a Metadata,
    /// Bytes, with the holes.
    pub(crate) size: u64,
    /// Bytes, holes left out.
    pub(crate) stored_bytes: u64,
    /// What it shares with the other names of the same file.
    pub(crate) hard_link: Option<&'a [u8; 16]>,
}

/// A file that was just made.
struct Made {
    fd: OwnedFd,
    stat: Stat,
    part: Option<Vec<u8>>,
}

fn create(directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::from_raw_mode(UNFINISHED_FILE))
}

impl PlannedFile {
    /// The file's name.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// The path beneath the target.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        self.directory.path_of(&self.name)
    }

    /// Bytes that still have to be written.
    #[must_use]
    pub fn missing_bytes(&self) -> u64 {
        self.expected_bytes
            .saturating_sub(self.written_bytes.load(Ordering::Acquire))
    }

    /// Writes bytes of the file at an offset, holes counted. No byte is to be
    /// written twice, and none in a hole.
    ///
    /// # Errors
    /// [`Reason::TooLarge`] beyond the file's size; otherwise why the bytes
    /// could not be written.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Reason> {
        let length = bytes.len() as u64;
        if offset.checked_add(length).is_none_or(|end| end > self.size) {
            return Err(Reason::TooLarge);
        }
        let fd = self.fd()?;
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            match self.caching.write_at(&fd, rest, offset) {
                Ok(0) => return Err(Reason::DiskFull),
                Ok(written) => {
                    offset += written as u64;
                    rest = &rest[written..];
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.written_bytes.fetch_add(length, Ordering::AcqRel);
        Ok(())
    }

    /// Ends the file: its size, its metadata, its name, the other names of it.
    /// Attributes or owners that could not be set are reported with the
    /// target's left out; the file is there all the same.
    ///
    /// # Errors
    /// [`Reason::Incomplete`] if bytes are missing, otherwise why it could not
    /// be ended. The file is removed then.
    pub fn finish(mut self, metadata: &Metadata) -> Result<(), Reason> {
        if self.written_bytes.load(Ordering::Acquire) != self.expected_bytes {
            return Err(Reason::Incomplete);
        }
        let fd = self.fd()?;
        if self.expected_bytes != self.size {
            // A hole at the end; the others are there by not being written.
            ftruncate(&*fd, self.size)?;
        }
        let shared = Arc::clone(&self.directory.0.shared);
        let applied = apply_to_file(&fd, &self.before, metadata, &shared);
        if let Some(part) = &self.part {
            self.directory.rename_over(part, &self.name)?;
        }
        self.is_finished = true;
        if let Err(reason) = applied {
            self.directory.leave_out(&self.name, reason);
        }
        if let Some(group) = self.group.take() {
            let first = self.directory.first(&self.name);
            shared.links.done(&group, first, self.before.id);
        }
        Ok(())
    }

    fn fd(&self) -> Result<Arc<OwnedFd>, Reason> {
        if let Some(fd) = self.slot.open() {
            return Ok(fd);
        }
        // It was closed to make room; the unfinished mode lets its owner write.
        let directory = self.directory.fd()?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = openat(&*directory, self.standing_name(), flags, Mode::empty())?;
        if Stat::from(&fstat(&fd)?).id != self.before.id {
            return Err(Reason::Replaced);
        }
        let fd = Arc::new(fd);
        self.slot.fill(Arc::clone(&fd));
        self.directory.0.shared.files.admit(&self.slot);
        Ok(fd)
    }

    fn standing_name(&self) -> &[u8] {
        self.part.as_deref().unwrap_or(self.name.as_bytes())
    }

    /// Removes the file, if it still is the one that was made.
    fn remove(&self) {
        let stat = self.directory.stat_bytes(self.standing_name());
        if stat.is_ok_and(|stat| stat.id == self.before.id)
            && let Ok(directory) = self.directory.fd()
        {
            // What stays is removed by the next restore.
            let _ = unlinkat(&*directory, self.standing_name(), AtFlags::empty());
        }
    }
}

impl Drop for PlannedFile {
    fn drop(&mut self) {
        if !self.is_finished {
            self.remove();
            if let Some(group) = self.group.take() {
                self.directory.0.shared.links.failed(&group);
            }
        }
    }
}
