//! What became of the files of a restore or a download, told by all of its threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::file_work::{FileWork, Outcome};
use crate::{
    files::{LeftOut, Reason},
    progress::{Meter, count},
};

/// What was written, and what was not.
#[derive(Default)]
pub(crate) struct Counted {
    pub(crate) files: u64,
    /// Of the files, holes left out.
    pub(crate) bytes: u64,
    /// Made or entered.
    pub(crate) directories: u64,
    /// Symlinks and whatever else was made.
    pub(crate) others: u64,
    /// What stood there and stayed.
    pub(crate) kept: u64,
    /// How many of those left out are the hoster's doing.
    pub(crate) lost_by_hoster: u64,
    pub(crate) left_out: Vec<LeftOut>,
}

/// The target has no room for more.
pub(crate) struct TargetFull;

pub(crate) struct Tally<'a> {
    meter: &'a Meter,
    counted: Mutex<Counted>,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(meter: &'a Meter) -> Self {
        Self {
            meter,
            counted: Mutex::default(),
        }
    }

    pub(crate) fn into_counted(self) -> Counted {
        self.counted
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a file when this was the last that held it.
    pub(crate) fn settle(&self, work: Arc<FileWork>) -> Result<(), TargetFull> {
        let Some(work) = Arc::into_inner(work) else {
            return Ok(());
        };
        count(&self.meter.files, 1);
        match work.finish() {
            Outcome::Written { bytes } => {
                let mut counted = self.counted();
                counted.files += 1;
                counted.bytes += bytes;
                Ok(())
            }
            Outcome::LeftOut { path, reason } => self.leave_out(path, reason),
        }
    }

    /// A file of which something is not to be had.
    pub(crate) fn lose(&self, work: Arc<FileWork>, reason: Reason) -> Result<(), TargetFull> {
        if work.fail(reason) && reason == Reason::LostByHoster {
            self.counted().lost_by_hoster += 1;
        }
        self.settle(work)
    }

    pub(crate) fn leave_out(&self, path: Vec<u8>, reason: Reason) -> Result<(), TargetFull> {
        if reason == Reason::DiskFull {
            return Err(TargetFull);
        }
        self.counted().left_out.push(LeftOut { path, reason });
        Ok(())
    }
}
