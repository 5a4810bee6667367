//! Telling how far a long operation is, and ending it early.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

/// How often a listener is called at most.
const INTERVAL: Duration = Duration::from_millis(100);

/// Ends an operation early. Clones share one state; cancelling is final.
#[derive(Debug, Clone, Default)]
pub struct Cancellation(Arc<AtomicBool>);

impl Cancellation {
    /// A fresh one, not cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every operation that holds a clone to stop. Safe from any thread,
    /// at any time, any number of times.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether [`cancel`](Self::cancel) was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// How far an operation is. Totals are what is known so far, and may grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Progress {
    /// Files dealt with.
    pub files: u64,
    /// Their bytes, holes left out.
    pub bytes: u64,
    /// Bytes of those that the vault did not hold yet.
    pub new_bytes: u64,
    /// Bytes sent to or received from the hoster, as packs.
    pub transferred_bytes: u64,
    /// Files in all, when known; else 0.
    pub total_files: u64,
    /// Bytes in all, when known; else 0.
    pub total_bytes: u64,
}

/// Is told how far an operation is: at most ten times a second, never while a
/// lock is held, and from a thread of the library's own.
pub trait ProgressListener: Send + Sync + 'static {
    /// The operation is this far.
    fn progress(&self, progress: Progress);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl ProgressListener for NoProgress {
    fn progress(&self, _: Progress) {}
}

/// The counters behind [`Progress`].
#[derive(Debug, Default)]
pub(crate) struct Meter {
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) new_bytes: AtomicU64,
    pub(crate) transferred_bytes: AtomicU64,
    pub(crate) total_files: AtomicU64,
    pub(crate) total_bytes: AtomicU64,
}

impl Meter {
    pub(crate) fn read(&self) -> Progress {
        Progress {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            new_bytes: self.new_bytes.load(Ordering::Relaxed),
            transferred_bytes: self.transferred_bytes.load(Ordering::Relaxed),
            total_files: self.total_files.load(Ordering::Relaxed),
            total_bytes: self.total_bytes.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a counter of a [`Meter`].
pub(crate) fn count(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// Runs `work` while a thread reports `meter` to `listener`; reports once more
/// at the end.
pub(crate) fn reporting<T>(
    meter: &Meter,
    listener: &Arc<dyn ProgressListener>,
    work: impl FnOnce() -> T,
) -> T {
    std::thread::scope(|scope| {
        let (stop, stopped) = bounded::<()>(0);
        scope.spawn(move || {
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                listener.progress(meter.read());
            }
            listener.progress(meter.read());
        });
        let stop = StopOnDrop(Some(stop));
        let result = work();
        drop(stop);
        result
    })
}

/// Lets the reporting thread end even when the work panics.
struct StopOnDrop(Option<Sender<()>>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.take();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// What was heard, and when.
    #[derive(Default)]
    struct Heard(Mutex<Vec<(Instant, Progress)>>);

    impl ProgressListener for Heard {
        fn progress(&self, progress: Progress) {
            self.0.lock().unwrap().push((Instant::now(), progress));
        }
    }

    /// The listener's calls while `work` lasts.
    fn heard(work: impl FnOnce(&Meter, &Heard)) -> Vec<(Instant, Progress)> {
        let (meter, heard) = (Meter::default(), Arc::new(Heard::default()));
        let listener: Arc<dyn ProgressListener> = heard.clone();
        reporting(&meter, &listener, || work(&meter, &heard));
        drop(listener);
        Arc::into_inner(heard).unwrap().0.into_inner().unwrap()
    }

    #[test]
    fn the_end_is_always_told() {
        let calls = heard(|meter, _| count(&meter.files, 3));
        let last = calls.last().expect("a call at the end");
        assert_eq!(last.1.files, 3);
    }

    #[test]
    fn it_is_told_again_and_again_and_at_most_ten_times_a_second() {
        let begun = Instant::now();
        let calls = heard(|meter, heard| {
            while heard.0.lock().unwrap().len() < 4 {
                count(&meter.bytes, 1);
                std::thread::yield_now();
            }
        });
        // All but the last, which comes at the end.
        for (number, (at, _)) in calls[..calls.len() - 1].iter().enumerate() {
            let least = INTERVAL * (u32::try_from(number).unwrap() + 1);
            assert!(
                *at - begun >= least,
                "call {number} after {:?}",
                *at - begun
            );
        }
        assert!(calls.len() >= 5, "{} calls", calls.len());
    }
}
