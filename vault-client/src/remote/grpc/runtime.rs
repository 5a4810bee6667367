//! The threads that move bytes.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle};

/// What network calls run on: one thread of this library's own, or a runtime
/// of the embedding program. Clones share it.
#[derive(Clone)]
pub struct Runtime {
    handle: Handle,
    // Held so that the last clone ends it.
    _own: Option<Arc<Own>>,
}

impl Runtime {
    /// A runtime with one thread of its own, which moves bytes and does the
    /// arithmetic of TLS.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("coffre-net")
            .enable_io()
            .enable_time()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            _own: Some(Arc::new(Own(Some(runtime)))),
        })
    }

    /// The embedding program's runtime, which must have I/O and time enabled
    /// and threads of its own, and outlive what uses it.
    #[must_use]
    pub fn from_handle(handle: Handle) -> Self {
        Self { handle, _own: None }
    }

    pub(super) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.handle.block_on(future)
    }
}

struct Own(Option<tokio::runtime::Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting for its tasks could deadlock, or panic inside a task.
            runtime.shutdown_background();
        }
    }
}
