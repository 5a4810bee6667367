//! Threads that store chunks, so that one big file uses every core.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use vault_core::{seal::CompressionLevel, stream::ChunkRef};

use crate::transfer::{ChunkWorker, Store, TransferError};

/// Buffers that are kept to be used again.
const SPARE_BUFFERS: usize = 1;

/// Takes chunks of any file; ends when the last clone is dropped.
#[derive(Clone)]
pub(super) struct SealPool {
    jobs: Sender<Job>,
    spare: Receiver<Vec<u8>>,
}

struct Job {
    plaintext: Vec<u8>,
    place: usize,
    reply: Sender<(usize, Result<ChunkRef, TransferError>)>,
}

impl SealPool {
    /// Starts `threads` threads. Besides the chunks that they work on, of at
    /// most 4 MiB, one waits, and one with each file that is being read.
    pub(super) fn start(store: &Arc<Store>, level: CompressionLevel, threads: usize) -> Self {
        let (jobs, queue) = bounded::<Job>(1);
        let (give_back, spare) = bounded::<Vec<u8>>(SPARE_BUFFERS);
        for _ in 0..threads {
            let (queue, give_back) = (queue.clone(), give_back.clone());
            let mut worker = ChunkWorker::new(store.clone(), level);
            std::thread::spawn(move || {
                for job in queue {
                    let stored = worker.write_file_chunk(&job.plaintext);
                    // A file whose reading has failed no longer listens.
                    let _ = job.reply.send((job.place, stored));
                    // One more than are ever wanted is freed.
                    let _ = give_back.try_send(job.plaintext);
                }
            });
        }
        Self { jobs, spare }
    }

    /// Begins a file, whose chunks come back in order.
    pub(super) fn begin(&self) -> Sequence {
        let (reply, replies) = unbounded();
        Sequence {
            jobs: self.jobs.clone(),
            spare: self.spare.clone(),
            reply,
            replies,
            pushed: 0,
        }
    }
}

/// The chunks of one file, stored by several threads.
pub(super) struct Sequence {
    jobs: Sender<Job>,
    spare: Receiver<Vec<u8>>,
    reply: Sender<(usize, Result<ChunkRef, TransferError>)>,
    replies: Receiver<(usize, Result<ChunkRef, TransferError>)>,
    pushed: usize,
}

impl Sequence {
    /// Hands over the next chunk; waits while all threads are busy.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Result<(), TransferError> {
        let mut plaintext = self.spare.try_recv().unwrap_or_default();
        plaintext.clear();
        plaintext.reserve_exact(chunk.len());
        plaintext.extend_from_slice(chunk);
        let job = Job {
            plaintext,
            place: self.pushed,
            reply: self.reply.clone(),
        };
        self.pushed += 1;
        self.jobs.send(job).map_err(|_| TransferError::Stopped)
    }

    /// All chunks, in the order in which they were pushed.
    pub(super) fn finish(self) -> Result<Vec<ChunkRef>, TransferError> {
        let Self {
            reply,
            replies,
            pushed,
            ..
        } = self;
        drop(reply);
        let mut chunks = vec![None; pushed];
        for (place, stored) in replies {
            chunks[place] = Some(stored?);
        }
        chunks
            .into_iter()
            .collect::<Option<_>>()
            .ok_or(TransferError::Stopped)
    }
}
