//! How long a call waits, and how often it is tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::meter::Meter;
use crate::platform::Randomness;
use crate::remote::RemoteError;

/// The slowest that is put up with. Whatever the hoster does, every call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Until a call without a stream is answered.
    pub answer: Duration,
    /// In each such span, a stream has to move at least `minimum_bytes`.
    pub window: Duration,
    /// See `window`.
    pub minimum_bytes: u64,
    /// Until a quiet stream of news says at least that it is there.
    pub silence: Duration,
}

impl Default for Pace {
    /// A minute, 64 KiB a minute, and 90 seconds of silence.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            answer: Duration::from_secs(60),
            window: Duration::from_secs(60),
            minimum_bytes: 64 << 10,
            silence: Duration::from_secs(90),
        }
    }
}

/// How often a call is tried when the hoster cannot be reached, and the pauses
/// between: each twice as long as the one before, up to a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// At least 1.
    pub attempts: u32,
    /// The pause after the first attempt, at most; half of it at least.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Default for Retry {
    /// Seven attempts in about ten seconds: longer than a restart takes.
    fn default() -> Self {
        Self {
            attempts: 7,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl Retry {
    /// The pause after attempt number `attempt`, which counts from 1.
    pub(super) fn pause(&self, attempt: u32, randomness: &dyn Randomness) -> Duration {
        let factor = 1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
        let longest = self
            .first_pause
            .saturating_mul(factor)
            .min(self.longest_pause);
        // Not all devices of a hoster that restarts come back at once.
        let mut byte = [0];
        randomness.fill(&mut byte);
        longest / 2 + longest * u32::from(byte[0]) / 512
    }
}

impl Pace {
    /// An answer that comes at once or not at all.
    pub(super) async fn answered<T>(
        &self,
        call: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        timeout(self.answer, call)
            .await
            .unwrap_or(Err(RemoteError::Stalled))
    }

    /// A call that sends a lot. It moves as long as pieces are taken from it,
    /// or the connection that it shares sends enough.
    pub(super) async fn sending<T>(
        &self,
        call: impl Future<Output = Result<T, RemoteError>>,
        pieces: &AtomicU64,
        meter: &Meter,
        most: Duration,
    ) -> Result<T, RemoteError> {
        let mut call = std::pin::pin!(call);
        let end = Instant::now() + most;
        loop {
            let (taken, sent) = (pieces.load(Ordering::Relaxed), meter.traffic().sent_bytes);
            let next = (Instant::now() + self.window).min(end);
            if let Ok(done) = timeout_at(next, &mut call).await {
                return done;
            }
            let idle = pieces.load(Ordering::Relaxed) == taken
                && meter.traffic().sent_bytes - sent < self.minimum_bytes;
            if idle || Instant::now() >= end {
                return Err(RemoteError::Stalled);
            }
        }
    }

    /// The most time that sending so many bytes may take.
    pub(super) fn most(&self, bytes: usize) -> Duration {
        let windows = bytes as u64 / self.minimum_bytes.max(1) + 2;
        self.window
            .saturating_mul(u32::try_from(windows).unwrap_or(u32::MAX))
    }
}

/// Watches a stream that receives a lot.
pub(super) struct Receiving {
    pace: Pace,
    until: Instant,
    bytes: u64,
}

impl Receiving {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            until: Instant::now() + pace.window,
            pace,
            bytes: 0,
        }
    }

    /// Waits for the next message, unless the window ends first.
    pub(super) async fn next<T>(&self, message: impl Future<Output = T>) -> Result<T, RemoteError> {
        timeout_at(self.until, message)
            .await
            .map_err(|_| RemoteError::Stalled)
    }

    /// So many bytes have come, and the caller took so long with them.
    pub(super) fn received(&mut self, bytes: usize, handled_in: Duration) {
        self.bytes += bytes as u64;
        self.until += handled_in;
        if self.bytes >= self.pace.minimum_bytes {
            self.bytes = 0;
            self.until = Instant::now() + self.pace.window;
        }
    }
}

/// Pieces that a call has taken to send.
pub(super) type Pieces = Arc<AtomicU64>;

#[cfg(test)]
mod tests {
    use super::*;

    struct Always(u8);

    impl Randomness for Always {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn pauses_double_up_to_a_bound() {
        let retry = Retry::default();
        let pauses =
            |byte| [1, 2, 3, 6, 40].map(|attempt| retry.pause(attempt, &Always(byte)).as_millis());
        assert_eq!(pauses(0), [100, 200, 400, 2_500, 2_500]);
        assert!(
            pauses(255)
                .iter()
                .zip([200, 400, 800, 5_000, 5_000])
                .all(|(a, b)| *a < b)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_dribble_is_no_progress() {
        let pace = Pace::default();
        let mut receiving = Receiving::new(pace);
        let begun = Instant::now();
        let error = loop {
            // A kilobyte every two seconds: half of what is asked for.
            let piece = tokio::time::sleep(Duration::from_secs(2));
            if let Err(error) = receiving.next(piece).await {
                break error;
            }
            receiving.received(1_000, Duration::ZERO);
        };
        assert_eq!(error, RemoteError::Stalled);
        assert_eq!(begun.elapsed(), pace.window);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_line_and_a_slow_disk_are() {
        let mut receiving = Receiving::new(Pace::default());
        for _ in 0..1_000 {
            let piece = tokio::time::sleep(Duration::from_secs(1));
            receiving.next(piece).await.unwrap();
            tokio::time::sleep(Duration::from_secs(100)).await;
            receiving.received(1_500, Duration::from_secs(100));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_nobody_takes_ends() {
        let (pace, meter) = (Pace::default(), Meter::default());
        let pieces = AtomicU64::new(0);
        let never = std::future::pending::<Result<(), RemoteError>>();
        let ended = pace
            .sending(never, &pieces, &meter, pace.most(16 << 20))
            .await;
        assert_eq!(ended, Err(RemoteError::Stalled));

        let slow = async {
            for _ in 0..64 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                pieces.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let done = pace
            .sending(slow, &pieces, &meter, pace.most(16 << 20))
            .await;
        assert_eq!(done, Ok(()));

        let endless = async {
            loop {
                tokio::time::sleep(Duration::from_secs(50)).await;
                pieces.fetch_add(1, Ordering::Relaxed);
            }
        };
        let ended: Result<(), _> = pace
            .sending(endless, &pieces, &meter, pace.most(16 << 20))
            .await;
        assert_eq!(ended, Err(RemoteError::Stalled));
    }
}
