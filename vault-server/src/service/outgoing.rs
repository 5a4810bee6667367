//! Answers in parts, to readers who may stop reading.

use std::time::Duration;

use tokio::{
    sync::mpsc::{self, OwnedPermit},
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::refusal::Refusal;

/// The near end of an answer in parts.
pub(super) struct Outgoing<T> {
    parts: mpsc::Sender<Result<T, Status>>,
    /// A place for the last word, which also who reads nothing shall have.
    last: Option<OwnedPermit<Result<T, Status>>>,
    patience: Duration,
}

/// The two ends of an answer, of which `waiting` parts may wait to be read. It ends
/// when none of them is for as long as `patience`.
pub(super) fn outgoing<T>(
    waiting: usize,
    patience: Duration,
) -> (Outgoing<T>, ReceiverStream<Result<T, Status>>) {
    let (parts, receiver) = mpsc::channel(waiting + 1);
    // A channel that was made a moment ago has room.
    let last = parts.clone().try_reserve_owned().ok();
    let outgoing = Outgoing {
        parts,
        last,
        patience,
    };
    (outgoing, ReceiverStream::new(receiver))
}

impl<T> Outgoing<T> {
    /// Waits until there is room for one more part. False if the answer is over: the
    /// reader is gone, or reads nothing, which he is told.
    pub(super) async fn has_room(&mut self) -> bool {
        let room = timeout(self.patience, self.parts.reserve()).await;
        let Ok(room) = room.map(|room| room.is_ok()) else {
            let refusal = Refusal::too_slow("Nothing of the answer was read for too long.");
            self.say_last(refusal.into());
            return false;
        };
        room
    }

    /// Sends one part, once there is room; false if the answer is over.
    pub(super) async fn send(&mut self, part: T) -> bool {
        // Nobody else takes the room.
        self.has_room().await && self.parts.try_send(Ok(part)).is_ok()
    }

    /// Ends the answer with a refusal.
    pub(super) fn end(mut self, status: Status) {
        self.say_last(status);
    }

    /// Waits until the reader is gone.
    pub(super) async fn closed(&self) {
        self.parts.closed().await;
    }

    fn say_last(&mut self, status: Status) {
        if let Some(last) = self.last.take() {
            last.send(Err(status));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio_stream::StreamExt;

    use super::*;

    #[tokio::test]
    async fn who_reads_nothing_is_told_and_left() {
        let patience = Duration::from_millis(100);
        let (mut outgoing, mut answer) = super::outgoing(2, patience);
        assert!(outgoing.send(1).await && outgoing.send(2).await);
        let began = Instant::now();
        assert!(!outgoing.send(3).await);
        assert!(began.elapsed() >= patience);
        drop(outgoing);
        assert_eq!(answer.next().await.unwrap().unwrap(), 1);
        assert_eq!(answer.next().await.unwrap().unwrap(), 2);
        let refused = answer.next().await.unwrap().unwrap_err();
        let expected = Status::from(Refusal::too_slow(""));
        assert_eq!(refused.code(), expected.code());
        assert!(answer.next().await.is_none());
    }

    #[tokio::test]
    async fn the_last_word_needs_no_room_and_a_reader_who_is_gone_no_word() {
        let patience = Duration::from_secs(60);
        let (mut outgoing, mut answer) = super::outgoing(1, patience);
        assert!(outgoing.send(1).await);
        outgoing.end(Refusal::too_many().into());
        assert!(answer.next().await.unwrap().is_ok());
        assert!(answer.next().await.unwrap().is_err());
        assert!(answer.next().await.is_none());

        let (mut outgoing, answer) = super::outgoing(1, patience);
        drop(answer);
        outgoing.closed().await;
        assert!(!outgoing.send(1).await);
    }
}
