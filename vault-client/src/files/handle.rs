//! Directories that can be opened again, so that few need to stay open.
//!
//! A walk through a deep tree would hold one descriptor per level, and a path
//! of many levels is longer than any system call takes. So a handle knows its
//! parent and its name, keeps a descriptor only while the pool has room, and
//! otherwise opens again from the nearest ancestor that is open, one component
//! at a time, never through a symlink, and only if the same directory still
//! stands there.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::stat::{FileId, Stat};

/// How a directory is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// To list it.
    List,
    /// To pass through: being allowed to search it is enough.
    Pass,
}

impl Access {
    fn flags(self) -> OFlags {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match self {
            Self::List => flags | OFlags::RDONLY,
            Self::Pass => flags | OFlags::PATH,
        }
    }
}

/// A directory, open or able to be opened again.
#[derive(Debug)]
pub(super) struct Handle {
    parent: Option<Arc<Handle>>,
    name: Box<[u8]>,
    id: FileId,
    access: Access,
    slot: Arc<Slot>,
    pool: Arc<Pool>,
}

impl Handle {
    /// A directory that stays open for as long as its handle lives.
    pub(super) fn base(fd: OwnedFd, access: Access, pool: &Arc<Pool>) -> Result<Arc<Self>, Errno> {
        let id = Stat::from(&fstat(&fd)?).id;
        Ok(Arc::new(Self {
            parent: None,
            name: Box::default(),
            id,
            access,
            slot: Slot::holding(Arc::new(fd)),
            pool: Arc::clone(pool),
        }))
    }

    /// Opens a directory in this one, and says what it is.
    pub(super) fn child(
        self: &Arc<Self>,
        name: &[u8],
        access: Access,
    ) -> Result<(Arc<Self>, Stat), Errno> {
        let fd = open_at(&*self.fd()?, name, access)?;
        let stat = Stat::from(&fstat(&fd)?);
        let slot = Slot::holding(Arc::new(fd));
        self.pool.admit(&slot);
        let child = Self {
            parent: Some(Arc::clone(self)),
            name: name.into(),
            id: stat.id,
            access,
            slot,
            pool: Arc::clone(&self.pool),
        };
        Ok((Arc::new(child), stat))
    }

    /// A descriptor of this directory.
    ///
    /// Fails with `STALE` if another directory stands in its place by now.
    pub(super) fn fd(&self) -> Result<Arc<OwnedFd>, Errno> {
        if let Some(fd) = self.slot.open() {
            return Ok(fd);
        }
        let mut closed = vec![self];
        let mut next = self.parent.as_deref();
        let mut fd = loop {
            // A base's slot is never emptied.
            let handle = next.ok_or(Errno::BADF)?;
            match handle.slot.open() {
                Some(fd) => break fd,
                None => closed.push(handle),
            }
            next = handle.parent.as_deref();
        };
        for handle in closed.into_iter().rev() {
            let opened = open_at(&*fd, &handle.name, handle.access)?;
            if Stat::from(&fstat(&opened)?).id != handle.id {
                return Err(Errno::STALE);
            }
            fd = Arc::new(opened);
            handle.slot.fill(Arc::clone(&fd));
            handle.pool.admit(&handle.slot);
        }
        Ok(fd)
    }

    /// The name in the parent; empty for a base.
    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    pub(super) fn id(&self) -> FileId {
        self.id
    }

    /// Whether the descriptor may only be passed through (`O_PATH`).
    pub(super) fn is_pass(&self) -> bool {
        self.access == Access::Pass
    }

    /// The names from the base down to this directory, joined by slashes and
    /// appended to `path`, each with a slash before it.
    pub(super) fn append_path(&self, path: &mut Vec<u8>) {
        let mut names = Vec::new();
        let mut handle = self;
        while let Some(parent) = &handle.parent {
            names.push(&handle.name);
            handle = parent;
        }
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
    }
}

impl Drop for Handle {
    /// Takes the ancestors apart in a loop: a chain of a hundred thousand
    /// levels would overflow the stack by recursion.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut handle) = parent.and_then(Arc::into_inner) {
            parent = handle.parent.take();
        }
    }
}

fn open_at(parent: impl AsFd, name: &[u8], access: Access) -> Result<OwnedFd, Errno> {
    match openat(&parent, name, access.flags(), Mode::empty()) {
        // Linux says NOTDIR, others LOOP: say what stands there.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Err(Errno::NOTDIR)
        }
        other => other,
    }
}

/// Keeps the number of open descriptors down.
#[derive(Debug)]
pub(super) struct Pool {
    limit: usize,
    // Oldest first. Slots whose handle is gone stay until the next sweep.
    slots: Mutex<VecDeque<Weak<Slot>>>,
}

impl Pool {
    /// A pool that holds about `limit` descriptors open.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            slots: Mutex::default(),
        })
    }

    /// Counts a slot that was just filled, and empties the oldest if there are
    /// too many. The oldest are the ancestors, which are needed last.
    pub(super) fn admit(&self, slot: &Arc<Slot>) {
        let mut slots = lock(&self.slots);
        slots.push_back(Arc::downgrade(slot));
        if slots.len() < self.limit.saturating_mul(2) {
            return;
        }
        slots.retain(|slot| slot.strong_count() > 0);
        while slots.len() > self.limit {
            if let Some(slot) = slots.pop_front().and_then(|slot| slot.upgrade()) {
                slot.empty();
            }
        }
    }
}

/// A place for one descriptor.
#[derive(Debug)]
pub(super) struct Slot(Mutex<Option<Arc<OwnedFd>>>);

impl Slot {
    pub(super) fn holding(fd: Arc<OwnedFd>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(fd))))
    }

    pub(super) fn open(&self) -> Option<Arc<OwnedFd>> {
        lock(&self.0).clone()
    }

    pub(super) fn fill(&self, fd: Arc<OwnedFd>) {
        *lock(&self.0) = Some(fd);
    }

    pub(super) fn empty(&self) {
        *lock(&self.0) = None;
    }
}

/// Nothing here leaves a lock's contents half changed, so a panic elsewhere
/// does not spoil them.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::files::{Directory, Reason};

    #[test]
    fn what_took_a_directorys_place_is_not_opened_for_it() {
        let base = tempfile::tempdir().unwrap();
        for n in 0..500 {
            fs::create_dir(base.path().join(n.to_string())).unwrap();
        }
        fs::create_dir_all(base.path().join("d/e")).unwrap();
        let directory = Directory::open(base.path()).unwrap();
        let (moved, _) = directory.open_child(b"d").unwrap();
        let (below, _) = moved.open_child(b"e").unwrap();
        let (stays, _) = directory.open_child(b"0").unwrap();
        fs::rename(base.path().join("d"), base.path().join("elsewhere")).unwrap();
        fs::create_dir_all(base.path().join("d/e")).unwrap();
        // As long as they are open they are what they were.
        assert!(below.list(|_, _| true).is_ok());
        let others: Vec<_> = (0..500)
            .map(|n| directory.open_child(n.to_string().as_bytes()).unwrap())
            .collect();
        assert!(stays.list(|_, _| true).is_ok());
        assert_eq!(moved.list(|_, _| true).err(), Some(Reason::Vanished));
        assert_eq!(below.list(|_, _| true).err(), Some(Reason::Vanished));
        drop(others);
    }
}
