use std::{
    convert::Infallible,
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{FlockOperation, flock};
use tokio::sync::oneshot;

use super::OpenError;

/// A data directory that no other server uses while this value lives. The open
/// store holds it, so that it is free again when the last write is done.
///
/// The kernel holds the lock and drops it with the process, however that ends.
#[derive(Debug)]
pub struct DirectoryLock {
    file: File,
    _released: oneshot::Sender<Infallible>,
}

/// Tells when a [`DirectoryLock`] was dropped.
#[derive(Debug)]
pub struct Released(oneshot::Receiver<Infallible>);

impl Released {
    /// Waits until then.
    pub async fn wait(self) {
        // The sender never sends: this is its end.
        let _ = self.0.await;
    }
}

impl DirectoryLock {
    /// Creates the directory for its owner alone, if there is none, and locks it.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when a server runs on it; [`OpenError::Io`].
    pub fn acquire(directory: &Path) -> Result<(Self, Released), OpenError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(directory.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let (sender, receiver) = oneshot::channel();
                let lock = Self {
                    file,
                    _released: sender,
                };
                Ok((lock, Released(receiver)))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file would do, were it not for a child process that was
        // forked a moment ago and still has it open.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
