//! The directory that a tree is restored into.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustix::fs::{fstatvfs, fsync, syncfs};
use rustix::io::Errno;
use rustix::process::{Resource, geteuid, getrlimit};

use super::directory::TargetDirectory;
use super::links::Links;
use super::marker::{Interrupted, Marker, sweep};
use crate::files::directory::Directory;
use crate::files::handle::{Access, Pool, lock};
use crate::files::owners::OwnerNames;
use crate::files::{LeftOut, Reason};

/// Descriptors of files that are being written which stay open. A restore is ahead with
/// the names of up to twice as many, which is when the pool looks.
const OPEN_FILES: usize = 8_192;

/// What to do where something stands already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overwrite {
    /// Leave it.
    Never,
    /// Replace files whose size or time of modification differ, and bring the
    /// other metadata up to date.
    Changed,
    /// Replace it.
    Always,
}

/// Whether what is restored gets its owner and group back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ownership {
    /// If this process runs as root.
    WhenRoot,
    /// Yes; what cannot be given away is reported.
    Restore,
    /// No: all of it belongs to who restores it.
    Discard,
}

/// How to restore.
#[derive(Debug, Clone)]
pub struct PlaceOptions {
    /// What to do where something stands already.
    pub overwrite: Overwrite,
    /// Whether owners and groups are restored.
    pub ownership: Ownership,
    /// Whether owners and groups are looked up by name first, and by number
    /// only if nobody has that name here.
    pub owners_by_name: bool,
    /// Whether set-user-id and set-group-id bits and capabilities of files are
    /// restored. A tree from somebody else could make its author root.
    pub keep_privileges: bool,
    /// Whether FIFOs, sockets and device nodes are made.
    pub special_files: bool,
    /// Names of users and groups.
    pub owners: OwnerNames,
}

impl Default for PlaceOptions {
    fn default() -> Self {
        Self {
            overwrite: Overwrite::Never,
            ownership: Ownership::WhenRoot,
            owners_by_name: true,
            keep_privileges: false,
            special_files: false,
            owners: OwnerNames::default(),
        }
    }
}

/// Why a restore into a target cannot begin, or end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaceError {
    /// Another restore into it is under way.
    #[error("{}: another restore is under way here", .0.display())]
    Busy(PathBuf),
    /// Its directory cannot be made, opened or written to.
    #[error("{}: {reason}", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// The system could not bring all of it onto the disk.
    #[error("{}: not all of it reached the disk: {reason}", path.display())]
    NotDurable {
        /// The target.
        path: PathBuf,
        /// Why.
        reason: Reason,
    },
    /// Directories or files of it are still being written.
    #[error("{}: not all that was begun is finished", .0.display())]
    Unfinished(PathBuf),
}

/// A directory that a tree is restored into, and nothing outside of it.
///
/// Dropping it without [`Target::finish`] leaves the restore interrupted: the
/// next one into this directory cleans up.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    // In this order: the root is let go before the marker is unlocked.
    root: Option<TargetDirectory>,
    shared: Arc<Shared>,
    marker: Option<Marker>,
    base: Arc<OwnedFd>,
    swept: u64,
}

/// What a finished restore reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// What could not be written as it should be, beneath the target, beyond
    /// what the calls themselves said.
    pub left_out: Vec<LeftOut>,
    /// Unfinished files of an earlier restore that were removed.
    pub removed_leftovers: u64,
    /// Files that did not get their set-user-id or set-group-id bit or their
    /// capabilities.
    pub dropped_privileges: u64,
}

/// What all of a restore shares.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: PlaceOptions,
    pub(super) restores_owners: bool,
    pub(super) interrupted: Option<Interrupted>,
    pub(super) files: Arc<Pool>,
    pub(super) links: Links,
    pub(super) next_part: AtomicU32,
    pub(super) dropped_privileges: AtomicU64,
    left_out: Mutex<Vec<LeftOut>>,
}

impl Shared {
    pub(super) fn leave_out(&self, path: Vec<u8>, reason: Reason) {
        lock(&self.left_out).push(LeftOut { path, reason });
    }
}

impl Target {
    /// Opens a directory as the target, or makes it, with the directories
    /// above it. What an interrupted restore left unfinished in it is removed.
    ///
    /// # Errors
    /// See [`PlaceError`].
    pub fn open(path: &Path, options: PlaceOptions) -> Result<Self, PlaceError> {
        Self::open_with(path, options, open_files())
    }

    /// Likewise, with about so many files open at most.
    pub(super) fn open_with(
        path: &Path,
        options: PlaceOptions,
        open_files: usize,
    ) -> Result<Self, PlaceError> {
        let error = |reason: Reason| PlaceError::Target {
            path: path.to_owned(),
            reason,
        };
        let was_made = make_all(path).map_err(error)?;
        let directory = Directory::open_base(path, Access::List).map_err(error)?;
        let base = directory.0.fd().map_err(|errno| error(errno.into()))?;
        let marker = Marker::set(&*base, was_made)
            .map_err(|errno| error(errno.into()))?
            .ok_or_else(|| PlaceError::Busy(path.to_owned()))?;
        let swept = match marker.interrupted {
            Some(_) => sweep(&directory).map_err(error)?,
            None => 0,
        };
        let shared = Arc::new(Shared {
            restores_owners: match options.ownership {
                Ownership::WhenRoot => geteuid().is_root(),
                Ownership::Restore => true,
                Ownership::Discard => false,
            },
            options,
            interrupted: marker.interrupted,
            files: Pool::new(open_files),
            links: Links::default(),
            next_part: AtomicU32::new(0),
            dropped_privileges: AtomicU64::new(0),
            left_out: Mutex::default(),
        });
        let was_made = was_made
            || marker
                .interrupted
                .is_some_and(|earlier| earlier.made_target);
        let root = TargetDirectory::root(directory, Arc::clone(&shared), was_made);
        Ok(Self {
            path: path.to_owned(),
            root: Some(root),
            shared,
            marker: Some(marker),
            base,
            swept,
        })
    }

    /// The target's own directory. Finishing it gives the target itself the
    /// mode, owner and time of the tree's root.
    ///
    /// # Panics
    /// Never: the root is there until the target is finished.
    #[must_use]
    pub fn root(&self) -> TargetDirectory {
        self.root.clone().expect("it is not finished")
    }

    /// Bytes that this user may still write to the target's file system: to be
    /// compared with what is to be restored before anything is written.
    ///
    /// # Errors
    /// Why the system does not tell.
    pub fn free_bytes(&self) -> Result<u64, Reason> {
        let stat = fstatvfs(&*self.base)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Whether an earlier restore into it did not finish.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        self.shared.interrupted.is_some()
    }

    /// What was left out so far, and not asked for before.
    #[must_use]
    pub fn take_left_out(&self) -> Vec<LeftOut> {
        std::mem::take(&mut lock(&self.shared.left_out))
    }

    /// Brings onto the disk what was written by now. What fails here is not told
    /// again by [`Self::finish`].
    ///
    /// # Errors
    /// [`PlaceError::NotDurable`].
    pub fn sync(&self) -> Result<(), PlaceError> {
        syncfs(&*self.base).map_err(|errno| self.not_durable(errno))
    }

    fn not_durable(&self, errno: Errno) -> PlaceError {
        PlaceError::NotDurable {
            path: self.path.clone(),
            reason: errno.into(),
        }
    }

    /// Brings everything onto the disk, and ends the restore. All directories
    /// must be finished or dropped by now.
    ///
    /// # Errors
    /// [`PlaceError::Unfinished`] if they are not, and
    /// [`PlaceError::NotDurable`].
    pub fn finish(mut self) -> Result<Finished, PlaceError> {
        self.shared.links.clear();
        let root = self.root.take().and_then(|root| Arc::into_inner(root.0));
        let Some(mut root) = root else {
            return Err(PlaceError::Unfinished(self.path.clone()));
        };
        self.sync()?;
        if let Some(marker) = self.marker.take() {
            let cleared = marker.clear(&*self.base);
            cleared.map_err(|errno| self.not_durable(errno))?;
        }
        // The last, because taking the marker away changes its time.
        root.settle();
        fsync(&*self.base).map_err(|errno| self.not_durable(errno))?;
        Ok(Finished {
            left_out: self.take_left_out(),
            removed_leftovers: self.swept,
            dropped_privileges: self.shared.dropped_privileges.load(Ordering::Relaxed),
        })
    }
}

#[cfg(test)]
impl Target {
    /// Ends as a killed process would: nothing is tidied up, the lock is gone.
    pub(super) fn kill(mut self) {
        self.marker = None;
        std::mem::forget(self);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // Names that wait hold directories, and those hold what is shared.
        self.shared.links.clear();
        if let Some(root) = &self.root {
            root.0.abandon();
        }
    }
}

/// How many files may stay open: a good part of what this process may have. What
/// is closed to make room is opened again, which takes longer than to write it.
fn open_files() -> usize {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // The pool holds up to twice as many before it looks.
    usize::try_from(most / 4)
        .unwrap_or(usize::MAX)
        .min(OPEN_FILES)
}

/// Makes a directory and those above it; says whether it had to.
fn make_all(path: &Path) -> Result<bool, Reason> {
    let io = |error: std::io::Error| Reason::from(&error);
    if path.is_dir() {
        return Ok(false);
    }
    std::fs::create_dir_all(path).map_err(io)?;
    Ok(true)
}
