//! One directory on its way through the pipeline: listed, its files being
//! saved by several threads, its nodes taken in order.

use std::{
    collections::HashMap,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use vault_core::{stream::StreamRef, tree::Metadata};

use crate::{
    files::{CachedDirectory, Comparison, ReadFile, Reason, Visited},
    transfer::TransferError,
};

/// How long is waited for a file before it is looked whether to stop, or to
/// commit what there is.
const MOMENT: Duration = Duration::from_millis(100);

/// What the walk's threads find out about a directory.
pub(super) struct Inspected {
    pub(super) cached: Option<CachedDirectory>,
    pub(super) comparison: Option<Comparison>,
}

/// A file as it was saved.
pub(super) struct SavedFile {
    pub(super) content: StreamRef,
    pub(super) read: ReadFile,
    pub(super) metadata: Metadata,
    pub(super) problem: Option<Reason>,
}

/// A directory and its files that are being saved.
pub(super) struct DirectoryJob {
    pub(super) visited: Visited<Inspected>,
    saved: Mutex<HashMap<usize, Result<SavedFile, Reason>>>,
    changed: Condvar,
}

impl DirectoryJob {
    pub(super) fn new(visited: Visited<Inspected>) -> Self {
        Self {
            visited,
            saved: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Where entry `index` of the listing stands unchanged in the cache.
    pub(super) fn unchanged(&self, index: usize) -> Option<usize> {
        let comparison = self.visited.inspected.comparison.as_ref()?;
        comparison
            .unchanged
            .get(index)
            .copied()
            .flatten()
            .map(|place| place as usize)
    }

    /// Whether the cache knows every entry of the directory as it is.
    pub(super) fn is_same(&self) -> bool {
        self.visited
            .inspected
            .comparison
            .as_ref()
            .is_some_and(|comparison| comparison.is_same)
    }

    pub(super) fn deliver(&self, index: usize, saved: Result<SavedFile, Reason>) {
        self.lock().insert(index, saved);
        self.changed.notify_all();
    }

    /// A file, whose saving must have been ordered; `None` if it is not there
    /// after a moment.
    pub(super) fn take(
        &self,
        index: usize,
        stop: &Stop,
    ) -> Result<Option<Result<SavedFile, Reason>>, TransferError> {
        let is_awaited = |saved: &mut HashMap<_, _>| !saved.contains_key(&index) && !stop.is_set();
        let mut saved = self
            .changed
            .wait_timeout_while(self.lock(), MOMENT, is_awaited)
            .unwrap_or_else(PoisonError::into_inner)
            .0;
        match saved.remove(&index) {
            Some(file) => Ok(Some(file)),
            None if stop.is_set() => Err(TransferError::Stopped),
            None => Ok(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Result<SavedFile, Reason>>> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends all threads of a backup; keeps the first failure.
#[derive(Default)]
pub(super) struct Stop {
    is_set: AtomicBool,
    failure: Mutex<Option<TransferError>>,
}

impl Stop {
    pub(super) fn set(&self, failure: TransferError) {
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        // That a thread was stopped says nothing about why.
        if !matches!(failure, TransferError::Stopped) {
            first.get_or_insert(failure);
        }
        drop(first);
        self.is_set.store(true, Ordering::Release);
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    pub(super) fn take_failure(&self) -> Option<TransferError> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
