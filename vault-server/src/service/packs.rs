//! Packs over the wire: bytes in, bytes out, in bounded memory.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use vault_proto::ids::VaultId;
use vault_rpc::hoster::{
    HavePacksRequest, HavePacksResponse, PackRange, PutPackHeader, PutPackRequest, PutPackResponse,
    ReadPacksRequest, ReadPacksResponse, Reason, put_pack_request::Part,
};

use super::{
    Caller, Envelope, Hoster, blocking, elements, login::Party, outgoing::outgoing,
    refusal::Refusal, request, vaults::Membership,
};
use crate::{
    seats::Seat,
    store::{Begun, Blob, Presence, QuotaRoom, Upload},
};

/// The most ranges of one read.
const MAX_RANGES: usize = 1024;
/// Bytes of an upload that may wait while others are written.
const WRITE_BYTES: usize = 512 << 10;
/// Bytes of one message of a read.
const READ_MESSAGE_BYTES: usize = 256 << 10;
/// Bytes that are read from the store at a time.
const READ_BYTES: u32 = 1 << 20;

/// How slow an upload may be.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The header comes within this.
    pub header: Duration,
    /// So does every message after it,
    pub message: Duration,
    /// and the whole pack, whatever its size, within this.
    pub pack: Duration,
}

impl Default for Pace {
    /// 30 s, 60 s, and 30 minutes: 16 MiB at 9 KiB/s.
    fn default() -> Self {
        Self {
            header: Duration::from_secs(30),
            message: Duration::from_secs(60),
            pack: Duration::from_secs(30 * 60),
        }
    }
}

impl Hoster {
    pub(crate) fn have_packs(
        &self,
        caller: Caller,
        request: &HavePacksRequest,
    ) -> Result<HavePacksResponse, Refusal> {
        let vault = request::vault(&request.vault)?;
        let packs = request::asked_packs(&request.packs)?;
        self.membership(caller, &vault)?;
        let there = self.packs.have(&vault, &packs, self.clock.now())?;
        Ok(HavePacksResponse {
            there: there.into_iter().map(byte).collect(),
        })
    }

    fn begin_upload(
        &self,
        envelope: &Envelope,
        header: &PutPackHeader,
    ) -> Result<(Begun, Right, Seat<Party>), Refusal> {
        let caller = self.caller(envelope)?;
        let blob = Blob {
            vault: request::vault(&header.vault)?,
            pack: request::pack(&header.pack)?,
            size: request::pack_size(header.size)?,
        };
        self.writable(caller, &blob.vault)?;
        let seat = self.upload_of(caller)?;
        let room = if header.for_prune {
            QuotaRoom::WithPrune
        } else {
            QuotaRoom::Plain
        };
        let begun = self.packs.begin(&blob, room, self.clock.now())?;
        let vault = blob.vault;
        Ok((begun, Right { caller, vault }, seat))
    }

    /// Whether who began to read may go on.
    fn check_still_reads(&self, right: Right) -> Result<(), Refusal> {
        self.check_active(right.caller)?;
        right.still(self.membership(right.caller, &right.vault))
    }

    /// Whether who began to upload may go on.
    fn check_still_writes(&self, right: Right) -> Result<(), Refusal> {
        self.check_active(right.caller)?;
        right.still(self.writable(right.caller, &right.vault))
    }

    /// The ranges as places in packs that are there.
    fn ranges(
        &self,
        caller: Caller,
        vault: VaultId,
        request: &ReadPacksRequest,
    ) -> Result<Vec<Range>, Refusal> {
        self.membership(caller, &vault)?;
        self.locate(vault, &request.ranges)
    }

    pub(super) fn locate(
        &self,
        vault: VaultId,
        ranges: &[PackRange],
    ) -> Result<Vec<Range>, Refusal> {
        if ranges.len() > MAX_RANGES {
            return Err(Refusal::too_large(format!(
                "At most {MAX_RANGES} ranges can be read at once."
            )));
        }
        let packs = ranges.iter().map(|range| request::pack(&range.pack));
        let packs = packs.collect::<Result<Vec<_>, _>>()?;
        let records = self.ledger.packs(&vault, &packs)?;
        let ranges = ranges.iter().zip(packs).zip(records);
        ranges
            .map(|((range, pack), record)| {
                let record = record.filter(|record| record.is_there());
                let size = record
                    .ok_or_else(|| {
                        Refusal::new(Reason::NotFound, format!("There is no pack {pack} here."))
                    })?
                    .size;
                let end = range.offset.checked_add(range.length);
                if range.length == 0 || end.is_none_or(|end| end > size) {
                    return Err(Refusal::malformed(format!(
                        "The range is empty, or not inside pack {pack} of {size} bytes."
                    )));
                }
                Ok(Range {
                    blob: Blob { vault, pack, size },
                    offset: range.offset,
                    length: range.length,
                })
            })
            .collect()
    }
}

fn byte(presence: Presence) -> u8 {
    match presence {
        Presence::Absent => 0,
        Presence::There => 1,
        Presence::Trash => 2,
    }
}

/// Who uploads or reads, and in which vault: looked at again as it goes on.
#[derive(Clone, Copy)]
struct Right {
    caller: Caller,
    vault: VaultId,
}

impl Right {
    /// As the membership is found now; there was one.
    fn still(self, membership: Result<Membership, Refusal>) -> Result<(), Refusal> {
        match membership {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.reason() == Reason::NotFound => {
                Err(Refusal::removed_member(&self.vault))
            }
            Err(refusal) => Err(refusal),
        }
    }
}

/// Takes one pack. In memory are what the store collects, and twice
/// [`WRITE_BYTES`] and a message while it writes.
pub(crate) async fn put(
    hoster: &Arc<Hoster>,
    envelope: Envelope,
    mut stream: Streaming<PutPackRequest>,
) -> Result<PutPackResponse, Status> {
    let pace = hoster.limits.pace;
    let header = match timeout(pace.header, next(&mut stream)).await {
        Ok(header) => header?,
        Err(_) => return Err(stood_still()),
    };
    let Some(Part::Header(header)) = header else {
        return Err(Refusal::malformed("An upload begins with a header.").into());
    };
    let (begun, right, _seat) = blocking(hoster, move |hoster| {
        hoster.begin_upload(&envelope, &header)
    })
    .await?;
    let Begun::Upload(upload) = begun else {
        return Ok(PutPackResponse { was_there: true });
    };
    // Dropping the future drops the upload, which leaves nothing behind.
    let taken = timeout(pace.pack, take_bytes(hoster, &mut stream, upload, right));
    let upload = taken.await.unwrap_or_else(|_| {
        Err(Refusal::too_slow("The upload took too long. Nothing of it was kept.").into())
    })?;
    blocking(hoster, move |hoster| {
        hoster.check_still_writes(right)?;
        Ok(upload.finish(hoster.clock.now())?)
    })
    .await?;
    Ok(PutPackResponse { was_there: false })
}

/// Writes what has come while more comes: from a fast line much at a time, from
/// a slow one each message at once, and no thread waits for a line.
async fn take_bytes(
    hoster: &Arc<Hoster>,
    stream: &mut Streaming<PutPackRequest>,
    upload: Box<Upload>,
    right: Right,
) -> Result<Box<Upload>, Status> {
    let pace = hoster.limits.pace;
    let write = |mut upload: Box<Upload>, parts: Vec<Bytes>| {
        Box::pin(blocking(hoster, move |hoster| {
            hoster.check_still_writes(right)?;
            for bytes in parts {
                upload.write(&bytes)?;
            }
            Ok(upload)
        }))
    };
    let mut at_rest = Some(upload);
    let mut writing = None;
    let (mut waiting, mut waiting_bytes) = (Vec::new(), 0);
    let (mut until, mut ended) = (Instant::now() + pace.message, false);
    loop {
        if !waiting.is_empty()
            && let Some(upload) = at_rest.take()
        {
            writing = Some(write(upload, mem::take(&mut waiting)));
            waiting_bytes = 0;
        }
        if ended && let Some(upload) = at_rest.take() {
            return Ok(upload);
        }
        tokio::select! {
            biased;
            written = async { writing.as_mut().expect("asked before").await }, if writing.is_some() => {
                (writing, at_rest) = (None, Some(written?));
                // While much waited, nobody listened to the line.
                until = Instant::now() + pace.message;
            }
            message = timeout_at(until, next(stream)), if !ended && waiting_bytes < WRITE_BYTES => {
                let message = message.map_err(|_| stood_still())??;
                until = Instant::now() + pace.message;
                match message {
                    None => ended = true,
                    Some(Part::Bytes(bytes)) if bytes.is_empty() => {
                        // Else a message of no bytes a minute would hold its place for ever.
                        return Err(Refusal::malformed("A message of an upload is empty.").into());
                    }
                    Some(Part::Bytes(bytes)) => {
                        waiting_bytes += bytes.len();
                        waiting.push(bytes);
                    }
                    Some(Part::Header(_)) => {
                        return Err(Refusal::malformed("An upload has one header.").into());
                    }
                }
            }
        }
    }
}

fn stood_still() -> Status {
    Refusal::too_slow("The upload stood still for too long. Nothing of it was kept.").into()
}

/// The next message; `None` at the end.
async fn next(stream: &mut Streaming<PutPackRequest>) -> Result<Option<Part>, Status> {
    match stream.message().await {
        Ok(None) => Ok(None),
        Ok(Some(PutPackRequest { part: Some(part) })) => Ok(Some(part)),
        Ok(Some(PutPackRequest { part: None })) => {
            Err(Refusal::malformed("A message of the upload is empty.").into())
        }
        Err(status) => Err(match crate::net::before_the_service(&status) {
            Some(refusal) => refusal.into(),
            None => status,
        }),
    }
}

pub(super) struct Range {
    pub(super) blob: Blob,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// Sends the ranges, one piece of [`READ_BYTES`] ahead of the network.
pub(crate) async fn read(
    hoster: &Arc<Hoster>,
    caller: Envelope,
    request: ReadPacksRequest,
) -> Result<ReceiverStream<Result<ReadPacksResponse, Status>>, Status> {
    elements::check(&request)?;
    let (ranges, right) = blocking(hoster, move |hoster| {
        let caller = hoster.caller(&caller)?;
        let vault = request::vault(&request.vault)?;
        let seat = hoster.stream_of(caller)?;
        let ranges = hoster.ranges(caller, vault, &request)?;
        Ok((ranges, (Right { caller, vault }, seat)))
    })
    .await?;
    let (right, seat) = right;
    let check = move |hoster: &Hoster| hoster.check_still_reads(right);
    let wrap = |bytes| ReadPacksResponse { bytes };
    Ok(send(Arc::clone(hoster), ranges, check, wrap, seat))
}

/// Sends the ranges while `check` allows it; holds `seat` until all are sent.
pub(super) fn send<T: Send + 'static>(
    hoster: Arc<Hoster>,
    ranges: Vec<Range>,
    check: impl Fn(&Hoster) -> Result<(), Refusal> + Copy + Send + 'static,
    wrap: impl Fn(Bytes) -> T + Send + 'static,
    seat: impl Send + 'static,
) -> ReceiverStream<Result<T, Status>> {
    let (mut outgoing, answer) = outgoing(1, hoster.limits.stalled);
    tokio::spawn(async move {
        let _seat = seat;
        for piece in ranges.into_iter().flat_map(pieces) {
            // Room first, so that nothing is read that cannot go.
            if !outgoing.has_room().await {
                return;
            }
            let read = blocking(&hoster, move |hoster| {
                check(hoster)?;
                let mut bytes = vec![0; piece.length as usize];
                hoster.packs.read(&piece.blob, piece.offset, &mut bytes)?;
                Ok(Bytes::from(bytes))
            })
            .await;
            let mut bytes = match read {
                Ok(bytes) => bytes,
                Err(status) => return outgoing.end(status),
            };
            while !bytes.is_empty() {
                let message = bytes.split_to(bytes.len().min(READ_MESSAGE_BYTES));
                if !outgoing.send(wrap(message)).await {
                    return;
                }
            }
        }
    });
    answer
}

/// A range in pieces that are read at once, each sent in a few messages. None
/// spans two ranges: the client counts bytes, not messages, but a lost pack then
/// costs its own range only.
fn pieces(range: Range) -> impl Iterator<Item = Range> {
    let end = range.offset + range.length;
    (range.offset..end)
        .step_by(READ_BYTES as usize)
        .map(move |offset| Range {
            blob: range.blob,
            offset,
            length: READ_BYTES.min(end - offset),
        })
}
