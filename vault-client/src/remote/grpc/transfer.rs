//! Packs on their way up and down.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::time::Instant;
use tonic::{Response, Status, Streaming};
use vault_proto::ids::{PackId, VaultId};
use vault_rpc::hoster::put_pack_request::Part;
use vault_rpc::hoster::{
    self as wire, PutPackHeader, PutPackRequest, ReadLinkResponse, ReadPacksRequest,
    ReadPacksResponse,
};

use super::pace::{Pieces, Receiving};
use super::session::{Caller, Ready};
use super::{GrpcRemote, Line, convert};
use crate::remote::{
    MAX_RANGES_PER_CALL, Misbehaviour, PackRange, PutOutcome, RefusalReason, RemoteError,
};

/// Bytes of one message of an upload.
const PIECE_BYTES: usize = 256 << 10;

impl GrpcRemote {
    pub(super) async fn do_put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        let header = PutPackHeader {
            vault: vault.to_vec(),
            pack: pack.to_vec(),
            // Longer ones do not exist, and would be refused.
            size: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            for_prune: false,
        };
        self.line
            .attempts(self.caller(), async |ready| {
                let pieces = Pieces::default();
                let parts = parts(header.clone(), bytes.clone(), pieces.clone());
                let request = ready.request(tokio_stream::iter(parts));
                let mut client = ready.client();
                let call = async {
                    client
                        .put_pack(request)
                        .await
                        .map_err(convert::status_error)
                };
                let (pace, meter) = (&self.line.shared.pace, &self.line.shared.meter);
                let answer = pace
                    .sending(call, &pieces, meter, pace.most(bytes.len()))
                    .await?;
                Ok(if answer.into_inner().was_there {
                    PutOutcome::WasThere
                } else {
                    PutOutcome::Stored
                })
            })
            .await
    }

    pub(super) async fn do_read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let begin = async |ready: &Ready, ranges| {
            let message = ReadPacksRequest {
                vault: vault.to_vec(),
                ranges,
            };
            let request = ready.request(message);
            ready.client().read_packs(request).await
        };
        self.line
            .read(self.caller(), ranges, &begin, deliver)
            .await
            .map_err(|error| match error {
                RemoteError::Refused(refusal) if refusal.reason == RefusalReason::NotFound => {
                    RemoteError::Misbehaved(Misbehaviour::PackMissing)
                }
                error => error,
            })
    }
}

/// A message of a stream of bytes.
pub(super) trait Piece {
    fn into_bytes(self) -> Bytes;
}

impl Piece for ReadPacksResponse {
    fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl Piece for ReadLinkResponse {
    fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl Line {
    /// Reads ranges of packs with the call that `begin` makes. Goes on where it
    /// was when the connection is lost: what was delivered is not asked for
    /// again.
    pub(super) async fn read<P: Piece>(
        &self,
        caller: Caller<'_>,
        ranges: &[PackRange],
        begin: &impl AsyncFn(&Ready, Vec<wire::PackRange>) -> Result<Response<Streaming<P>>, Status>,
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        for some in ranges.chunks(MAX_RANGES_PER_CALL) {
            let mut rest = Rest::new(some);
            loop {
                let before = rest.delivered;
                let read = self
                    .attempts(caller, async |ready| {
                        self.read_rest(ready, begin, &mut rest, deliver).await
                    })
                    .await;
                match read {
                    Ok(()) => break,
                    // Attempts count anew as long as they bring something.
                    Err(RemoteError::Unreachable { .. }) if rest.delivered > before => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    async fn read_rest<P: Piece>(
        &self,
        ready: &Ready,
        begin: &impl AsyncFn(&Ready, Vec<wire::PackRange>) -> Result<Response<Streaming<P>>, Status>,
        rest: &mut Rest<'_>,
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        if rest.bytes() == 0 {
            return Ok(());
        }
        let ranges = rest.ranges().iter().map(convert::range).collect();
        let begun = async { begin(ready, ranges).await.map_err(convert::status_error) };
        let mut messages = self.shared.pace.answered(begun).await?.into_inner();
        let mut receiving = Receiving::new(self.shared.pace);
        while let Some(message) = receiving
            .next(messages.message())
            .await?
            .map_err(convert::status_error)?
        {
            let bytes = message.into_bytes();
            let length = bytes.len();
            if length == 0 {
                return Err(RemoteError::Misbehaved(Misbehaviour::Malformed));
            }
            if length as u64 > rest.bytes() {
                return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooLong));
            }
            rest.delivered += length as u64;
            let handed = Instant::now();
            if deliver(bytes).is_break() {
                return Err(RemoteError::Cancelled);
            }
            receiving.received(length, handed.elapsed());
        }
        if rest.bytes() > 0 {
            return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooShort));
        }
        Ok(())
    }
}

/// The messages of an upload; counts those that were taken.
fn parts(
    header: PutPackHeader,
    bytes: Bytes,
    taken: Arc<AtomicU64>,
) -> impl Iterator<Item = PutPackRequest> + Send + 'static {
    let starts = (0..bytes.len()).step_by(PIECE_BYTES);
    let pieces = starts.map(move |start| {
        let end = (start + PIECE_BYTES).min(bytes.len());
        Part::Bytes(bytes.slice(start..end))
    });
    std::iter::once(Part::Header(header))
        .chain(pieces)
        .map(move |part| {
            taken.fetch_add(1, Ordering::Relaxed);
            PutPackRequest { part: Some(part) }
        })
}

/// What is still to come of some ranges.
struct Rest<'a> {
    asked: &'a [PackRange],
    delivered: u64,
}

impl<'a> Rest<'a> {
    fn new(asked: &'a [PackRange]) -> Self {
        Self {
            asked,
            delivered: 0,
        }
    }

    fn bytes(&self) -> u64 {
        let asked: u64 = self.asked.iter().map(|range| u64::from(range.length)).sum();
        asked - self.delivered
    }

    fn ranges(&self) -> Vec<PackRange> {
        let mut skip = self.delivered;
        let mut rest = Vec::with_capacity(self.asked.len());
        for range in self.asked {
            let skipped = skip.min(u64::from(range.length));
            skip -= skipped;
            let skipped = u32::try_from(skipped).expect("at most the length of a range");
            if skipped < range.length {
                rest.push(PackRange {
                    pack: range.pack,
                    // What lies beyond a pack's end is refused, however far.
                    offset: range.offset.saturating_add(skipped),
                    length: range.length - skipped,
                });
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_is_not_asked_for_again() {
        let range = |id: u8, offset, length| PackRange {
            pack: PackId::from_array([id; 32]),
            offset,
            length,
        };
        let asked = [range(1, 0, 100), range(2, 50, 10), range(3, 7, 5)];
        let rest = |delivered| {
            let mut rest = Rest::new(&asked);
            rest.delivered = delivered;
            rest.ranges()
        };
        assert_eq!(rest(0), asked);
        assert_eq!(rest(40), [range(1, 40, 60), asked[1], asked[2]]);
        assert_eq!(rest(100), asked[1..]);
        assert_eq!(rest(109), [range(2, 59, 1), asked[2]]);
        assert_eq!(rest(115), []);
    }

    #[test]
    fn an_upload_is_a_header_and_all_bytes() {
        let taken = Pieces::default();
        let bytes = Bytes::from(vec![7; PIECE_BYTES * 2 + 1]);
        let all: Vec<_> = parts(PutPackHeader::default(), bytes, taken.clone()).collect();
        let lengths: Vec<_> = all
            .iter()
            .map(|message| match &message.part {
                Some(Part::Bytes(bytes)) => bytes.len(),
                _ => 0,
            })
            .collect();
        assert_eq!(lengths, [0, PIECE_BYTES, PIECE_BYTES, 1]);
        assert_eq!(taken.load(Ordering::Relaxed), 4);
    }
}
