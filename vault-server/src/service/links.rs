//! Links: whoever knows a link's name reads the blocks of packs that it names,
//! and no others.

use std::sync::Arc;

use prost::Message;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use vault_proto::ids::PackId;
use vault_rpc::hoster::{
    CreateLinkRequest, CreateLinkResponse, LinkBlocks, LinkStatus, ListLinksRequest,
    ListLinksResponse, OpenLinkRequest, OpenLinkResponse, PackRange, ReadLinkRequest,
    ReadLinkResponse, Reason, RevokeLinkRequest, RevokeLinkResponse,
};

use super::{
    Caller, Hoster, blocking, elements,
    packs::{self, Range},
    refusal::Refusal,
    request,
};
use crate::{
    clock::UnixTime,
    net::{Channel, Network, NetworkSeat, NetworkSeats, Proof},
    random,
    seats::{Seat, Seats},
    store::{DownloadCount, Link, LinkCreation, LinkId, LinkOpening, NewLink, TicketHash},
};

/// The most packs that a link names beside its capsule.
const MAX_LINKED_PACKS: usize = 8192;
/// Bytes of a block.
const BLOCK_BYTES: u32 = 64 << 10;
/// How often a link is tried again that an entry of a log came before.
const TRIES: usize = 8;

/// The most reads at a time.
pub(crate) struct Readers {
    networks: NetworkSeats,
    links: Arc<Seats<LinkId>>,
}

impl Readers {
    /// So many of one network, or where there is no telling, of one link.
    pub(super) fn new(most: usize) -> Self {
        Self {
            networks: NetworkSeats::new(most),
            links: Seats::new(most),
        }
    }

    fn take(&self, from: Option<Network>, link: LinkId) -> Option<Reader> {
        Some(match from {
            Some(network) => Reader::Network(self.networks.take(network)?),
            None => Reader::Link(self.links.take(link)?),
        })
    }
}

/// One of them, until it is dropped.
#[expect(dead_code, reason = "held, not looked at")]
enum Reader {
    Network(NetworkSeat),
    Link(Seat<LinkId>),
}

/// `BLAKE3-derive_key("coffre-server v1 link ticket hash", ticket)`
fn hash_ticket(ticket: &[u8; 32]) -> TicketHash {
    TicketHash(blake3::derive_key(
        "coffre-server v1 link ticket hash",
        ticket,
    ))
}

/// `BLAKE3-derive_key("coffre-server v1 link request", request)`
fn digest(request: &CreateLinkRequest) -> [u8; 32] {
    blake3::derive_key("coffre-server v1 link request", &request.encode_to_vec())
}

impl Hoster {
    pub(crate) fn create_link(
        &self,
        caller: Caller,
        request: &CreateLinkRequest,
    ) -> Result<CreateLinkResponse, Refusal> {
        let vault = request::vault(&request.vault)?;
        let id = LinkId(request::array(&request.link, "link")?);
        let capsule = request::pack(&request.capsule)?;
        let packs = linked_packs(&request.packs)?;
        let now = self.clock.now();
        let expires = match request.expires {
            0 => None,
            seconds => Some(UnixTime::from_seconds(seconds)),
        };
        if expires.is_some_and(|expires| expires <= now) {
            return Err(Refusal::malformed("The link would be over already."));
        }
        for _ in 0..TRIES {
            let account_seq = self.active_seq(caller)?;
            let membership = self.writable(caller, &vault)?;
            let created = self.ledger.create_link(&NewLink {
                id,
                vault,
                log_seq: membership.log.position().seq,
                account: caller.account,
                device: caller.device,
                account_seq,
                capsule,
                packs: &packs,
                digest: digest(request),
                expires,
                max_downloads: request.max_downloads,
                now,
            })?;
            return match created {
                LinkCreation::Created => Ok(CreateLinkResponse {}),
                // Who it was that may write, and with which device, is asked again.
                LinkCreation::LostRace => continue,
                LinkCreation::Exists => {
                    Err(Refusal::forbidden("There is another link under this name."))
                }
                LinkCreation::NotCommitted(pack) => Err(Refusal::new(
                    Reason::NotFound,
                    format!("There is no committed pack {pack} here."),
                )),
                LinkCreation::Blocks(pack) => Err(Refusal::malformed(format!(
                    "The blocks named of pack {pack} are not ones that it has."
                ))),
                LinkCreation::TooMany => Err(Refusal::too_large(
                    "The vault has as many links as it may. Old ones can be revoked.",
                )),
                LinkCreation::RecordsFull(fullness) => Err(Refusal::records(fullness)),
                LinkCreation::NoSuchVault => Err(Refusal::no_such_vault()),
            };
        }
        Err(Refusal::lost_race())
    }

    pub(crate) fn list_links(
        &self,
        caller: Caller,
        request: &ListLinksRequest,
    ) -> Result<ListLinksResponse, Refusal> {
        let vault = request::vault(&request.vault)?;
        self.membership(caller, &vault)?;
        let now = self.clock.now();
        let links = self.ledger.links_of(&vault)?;
        let open = links.iter().filter(|link| link.is_open(now));
        Ok(ListLinksResponse {
            links: open.map(status).collect(),
        })
    }

    pub(crate) fn revoke_link(
        &self,
        caller: Caller,
        request: &RevokeLinkRequest,
    ) -> Result<RevokeLinkResponse, Refusal> {
        let vault = request::vault(&request.vault)?;
        let id = LinkId(request::array(&request.link, "link")?);
        let membership = self.membership(caller, &vault)?;
        membership.check_may_write()?;
        let link = self.ledger.link(&id)?;
        if let Some(link) = link.filter(|link| link.vault == vault) {
            if link.account != caller.account && !membership.is_manager() {
                return Err(Refusal::forbidden(
                    "Another member made the link; a manager can revoke it.",
                ));
            }
            self.ledger.drop_link(&id)?;
        }
        Ok(RevokeLinkResponse {})
    }

    pub(crate) fn open_link(
        &self,
        channel: &Channel,
        request: &OpenLinkRequest,
    ) -> Result<OpenLinkResponse, Refusal> {
        self.counters.stranger(channel.network)?;
        let id = LinkId(request::array(&request.link, "link")?);
        self.counters.opening(id, channel.network)?;
        let now = self.clock.now();
        let ticket = random::array()?;
        let opened = self.ledger.open_link(&id, &hash_ticket(&ticket), now)?;
        match opened {
            LinkOpening::Opened(link, opened) => Ok(OpenLinkResponse {
                ticket: ticket.to_vec(),
                lifetime_seconds: now.distance(opened.expires).as_secs(),
                capsule: link.capsule.to_vec(),
                capsule_size: link.capsule_size,
            }),
            LinkOpening::Over => Err(over()),
            LinkOpening::TooMany => Err(Refusal::too_many()),
        }
    }

    /// The link of a ticket, if both are good.
    fn download(&self, ticket: &TicketHash) -> Result<Link, Refusal> {
        let now = self.clock.now();
        let ticket = self.ledger.ticket(ticket)?.ok_or_else(no_ticket)?;
        let link = self.ledger.link(&ticket.link)?.ok_or_else(over)?;
        let serves = match ticket.counted {
            true => link.serves(now),
            // What others have used up shows its capsule no more, either.
            false => link.is_open(now),
        };
        if !serves {
            return Err(over());
        }
        if ticket.expires <= now {
            return Err(no_ticket());
        }
        Ok(link)
    }

    /// Counts the download, if that is not done and the ranges lead beyond the capsule:
    /// whoever has no more than that cannot have what it shows.
    fn count(&self, ticket: &TicketHash, link: &Link, ranges: &[Range]) -> Result<(), Refusal> {
        if ranges.iter().all(|range| range.blob.pack == link.capsule) {
            return Ok(());
        }
        match self.ledger.count_download(ticket, self.clock.now())? {
            DownloadCount::Counted => Ok(()),
            DownloadCount::Over => Err(over()),
            DownloadCount::NoTicket => Err(no_ticket()),
        }
    }

    /// The ranges as places in packs that are there, of blocks that the link names.
    fn linked(&self, link: &Link, ranges: &[PackRange]) -> Result<Vec<Range>, Refusal> {
        let refused = || Refusal::forbidden("The link does not lead there.");
        let packs = ranges.iter().map(|range| request::pack(&range.pack));
        let packs = packs.collect::<Result<Vec<_>, _>>()?;
        // First: whether a pack is there is nothing for those it is not for.
        let named = self.ledger.link_blocks(link, &packs)?;
        if named.iter().any(Option::is_none) {
            return Err(refused());
        }
        let ranges = self.locate(link.vault, ranges)?;
        let inside = ranges.iter().zip(&named).all(|(range, blocks)| {
            blocks
                .as_deref()
                .is_some_and(|blocks| covers(blocks, range))
        });
        if !inside {
            return Err(refused());
        }
        Ok(ranges)
    }

    fn reader(&self, channel: &Channel, link: &Link) -> Result<Reader, Refusal> {
        let reader = self.readers.take(channel.network, link.id);
        reader.ok_or_else(Refusal::too_many)
    }
}

/// Sends what a link lets a download have, as long as it does.
pub(crate) async fn read(
    hoster: &Arc<Hoster>,
    channel: Channel,
    proof: Proof,
    request: ReadLinkRequest,
) -> Result<ReceiverStream<Result<ReadLinkResponse, Status>>, Status> {
    elements::check(&request)?;
    let (ticket, seat, ranges) = blocking(hoster, move |hoster| {
        hoster.counters.stranger(channel.network)?;
        let ticket = hash_ticket(&request::array(&request.ticket, "ticket")?);
        let link = hoster.download(&ticket)?;
        proof.give();
        let seat = hoster.reader(&channel, &link)?;
        let ranges = hoster.linked(&link, &request.ranges)?;
        // Last: what is refused has not been downloaded.
        hoster.count(&ticket, &link, &ranges)?;
        Ok((ticket, seat, ranges))
    })
    .await?;
    let check = move |hoster: &Hoster| hoster.download(&ticket).map(drop);
    let wrap = |bytes| ReadLinkResponse { bytes };
    Ok(packs::send(Arc::clone(hoster), ranges, check, wrap, seat))
}

fn no_ticket() -> Refusal {
    Refusal::unauthenticated("This download is over. It can be begun once more.")
}

/// The same words for a link that is over and for one that never was: nobody
/// learns which names there were.
fn over() -> Refusal {
    Refusal::new(
        Reason::LinkOver,
        "There is no such link, or it has expired, was revoked, or was used as often as it may be.",
    )
}

/// Packs in strictly ascending order, with the blocks of each.
fn linked_packs(packs: &[LinkBlocks]) -> Result<Vec<(PackId, Vec<u8>)>, Refusal> {
    if packs.len() > MAX_LINKED_PACKS {
        return Err(Refusal::too_large(format!(
            "A link names at most {MAX_LINKED_PACKS} packs."
        )));
    }
    let packs = packs
        .iter()
        .map(|named| Ok((request::pack(&named.pack)?, named.blocks.clone())));
    let packs = packs.collect::<Result<Vec<_>, Refusal>>()?;
    if !packs.is_sorted_by(|a, b| a.0 < b.0) {
        return Err(Refusal::malformed(
            "The packs of a link come in strictly ascending order.",
        ));
    }
    Ok(packs)
}

/// Whether every block that a range touches is named.
fn covers(blocks: &[u8], range: &Range) -> bool {
    let first = range.offset / BLOCK_BYTES;
    let last = (range.offset + range.length - 1) / BLOCK_BYTES;
    (first..=last).all(|block| {
        let bits = blocks.get((block / 8) as usize);
        bits.is_some_and(|bits| bits >> (block % 8) & 1 == 1)
    })
}

fn status(link: &Link) -> LinkStatus {
    LinkStatus {
        link: link.id.0.to_vec(),
        created: link.created.seconds(),
        expires: link.expires.map_or(0, UnixTime::seconds),
        max_downloads: link.max_downloads,
        downloads: link.downloads,
        account: link.account.to_vec(),
    }
}
