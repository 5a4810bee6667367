//! A hoster's own software between the line and an honest server: every call of
//! the protocol passes through it, and it does to calls, answers and packs what
//! it was told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use prost::Message;
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic::{Request, Response, Status, Streaming};
use vault_proto::ids::PackId;
use vault_rpc::hoster::hoster_client::HosterClient;
use vault_rpc::hoster::hoster_server::{Hoster as Service, HosterServer};
use vault_rpc::hoster::put_pack_request::Part;
use vault_rpc::hoster::*;

/// Bytes of one message of a read.
const PIECE_BYTES: usize = 256 << 10;

/// Messages of this protocol are at most this long, and a lie may be longer.
const MAX_MESSAGE_BYTES: usize = 64 << 20;

type Instead<Q, A> = Box<dyn FnMut(&mut Q) -> Option<Result<A, Status>> + Send>;
type After<Q, A> = Box<dyn FnMut(&Q, &mut A) + Send>;

/// What is done with the calls of one kind.
pub(super) struct Order<Q, A> {
    instead: Option<Instead<Q, A>>,
    after: Option<After<Q, A>>,
}

impl<Q, A> Default for Order<Q, A> {
    fn default() -> Self {
        Self {
            instead: None,
            after: None,
        }
    }
}

impl<Q, A> Order<Q, A> {
    /// Changes every answer from now on.
    pub(super) fn tamper(&mut self, change: impl FnMut(&Q, &mut A) + Send + 'static) {
        self.after = Some(Box::new(change));
    }

    /// Sees, and may change, every call before the server does; answers in its
    /// stead where something is given.
    pub(super) fn instead(
        &mut self,
        answer: impl FnMut(&mut Q) -> Option<Result<A, Status>> + Send + 'static,
    ) {
        self.instead = Some(Box::new(answer));
    }

    fn begin(&mut self, message: &mut Q) -> Option<Result<A, Status>> {
        self.instead.as_mut()?(message)
    }

    fn end(&mut self, asked: &Q, answer: Result<A, Status>) -> Result<A, Status> {
        answer.map(|mut answer| {
            if let Some(change) = &mut self.after {
                change(asked, &mut answer);
            }
            answer
        })
    }
}

/// Messages on their way to a device.
pub(super) type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

type Reads = Box<dyn FnMut(&ReadPacksRequest, Bytes) -> Messages<ReadPacksResponse> + Send>;
type Watches = Box<dyn FnMut(&WatchHeadsRequest) -> Messages<WatchHeadsResponse> + Send>;
type LinkReads = Box<dyn FnMut(&ReadLinkRequest, Bytes) -> Messages<ReadLinkResponse> + Send>;

/// A call that came, and what went out for it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) call: &'static str,
    /// The request, encoded; of an upload the header alone.
    pub(super) asked: Vec<u8>,
    /// The names and values of what came along with it.
    pub(super) headers: Vec<u8>,
    /// Bytes of a pack that came with it, or went out.
    pub(super) pack_bytes: usize,
}

macro_rules! front {
    ($($call:ident($Asked:ty) -> $Answer:ty;)*) => {
        /// The orders that stand.
        #[derive(Default)]
        pub(super) struct Orders {
            $(pub(super) $call: Order<$Asked, $Answer>,)*
            /// With the bytes of an upload.
            pub(super) put_pack: Order<(PutPackHeader, Bytes), PutPackResponse>,
            /// Instead of the bytes that an honest hoster would send.
            pub(super) read_packs: Option<Reads>,
            pub(super) read_link: Option<LinkReads>,
            pub(super) watch_heads: Option<Watches>,
            /// What is under the name of a pack: other bytes, or none.
            laid: BTreeMap<PackId, Option<Bytes>>,
        }

        #[tonic::async_trait]
        impl Service for Front {
            type WatchHeadsStream = Messages<WatchHeadsResponse>;
            type ReadPacksStream = Messages<ReadPacksResponse>;
            type ReadLinkStream = Messages<ReadLinkResponse>;

            $(
                async fn $call(
                    &self,
                    request: Request<$Asked>,
                ) -> Result<Response<$Answer>, Status> {
                    let (metadata, _, mut asked) = request.into_parts();
                    self.note(stringify!($call), &metadata, &asked, 0);
                    let instead = self.orders().$call.begin(&mut asked);
                    if let Some(answer) = instead {
                        return answer.map(Response::new);
                    }
                    let passed = self.passed_on(metadata, asked.clone());
                    let answer = self.server.clone().$call(passed).await;
                    let answer = answer.map(Response::into_inner);
                    self.orders().$call.end(&asked, answer).map(Response::new)
                }
            )*

            async fn watch_heads(
                &self,
                request: Request<WatchHeadsRequest>,
            ) -> Result<Response<Self::WatchHeadsStream>, Status> {
                let (metadata, _, asked) = request.into_parts();
                self.note("watch_heads", &metadata, &asked, 0);
                let instead = self.orders().watch_heads.as_mut().map(|watch| watch(&asked));
                if let Some(news) = instead {
                    return Ok(Response::new(news));
                }
                let news = self.server.clone().watch_heads(self.passed_on(metadata, asked)).await?;
                Ok(Response::new(Box::pin(news.into_inner())))
            }

            async fn put_pack(
                &self,
                request: Request<Streaming<PutPackRequest>>,
            ) -> Result<Response<PutPackResponse>, Status> {
                let (metadata, _, mut parts) = request.into_parts();
                let mut header = PutPackHeader::default();
                let mut bytes = Vec::new();
                while let Some(message) = parts.message().await? {
                    match message.part {
                        Some(Part::Header(first)) => header = first,
                        Some(Part::Bytes(more)) => bytes.extend_from_slice(&more),
                        None => {}
                    }
                }
                let bytes = Bytes::from(bytes);
                self.note("put_pack", &metadata, &header, bytes.len());
                if let Ok(pack) = PackId::from_slice(&header.pack) {
                    self.shared.packs.lock().unwrap().insert(pack, bytes.clone());
                }
                let mut asked = (header, bytes);
                let instead = self.orders().put_pack.begin(&mut asked);
                if let Some(answer) = instead {
                    return answer.map(Response::new);
                }
                let parts = upload(asked.0.clone(), asked.1.clone());
                let passed = self.passed_on(metadata, tokio_stream::iter(parts));
                let answer = self.server.clone().put_pack(passed).await;
                let answer = answer.map(Response::into_inner);
                self.orders().put_pack.end(&asked, answer).map(Response::new)
            }

            async fn read_packs(
                &self,
                request: Request<ReadPacksRequest>,
            ) -> Result<Response<Self::ReadPacksStream>, Status> {
                let (metadata, _, asked) = request.into_parts();
                let headers = metadata.clone();
                let bytes = match self.laid_bytes(&asked)? {
                    Some(bytes) => bytes,
                    None => {
                        let passed = self.passed_on(metadata, asked.clone());
                        let answer = self.server.clone().read_packs(passed).await?;
                        let parts = answer.into_inner();
                        collected(parts.map(|part| part.map(|part| part.bytes))).await?
                    }
                };
                self.note("read_packs", &headers, &asked, bytes.len());
                let mut orders = self.orders();
                Ok(Response::new(match &mut orders.read_packs {
                    Some(read) => read(&asked, bytes),
                    None => pieces(&bytes, |bytes| ReadPacksResponse { bytes }),
                }))
            }

            async fn read_link(
                &self,
                request: Request<ReadLinkRequest>,
            ) -> Result<Response<Self::ReadLinkStream>, Status> {
                let (metadata, _, asked) = request.into_parts();
                let headers = metadata.clone();
                let passed = self.passed_on(metadata, asked.clone());
                let answer = self.server.clone().read_link(passed).await?;
                let parts = answer.into_inner();
                let bytes = collected(parts.map(|part| part.map(|part| part.bytes))).await?;
                self.note("read_link", &headers, &asked, bytes.len());
                let mut orders = self.orders();
                Ok(Response::new(match &mut orders.read_link {
                    Some(read) => read(&asked, bytes),
                    None => pieces(&bytes, |bytes| ReadLinkResponse { bytes }),
                }))
            }
        }
    };
}

front! {
    hello(HelloRequest) -> HelloResponse;
    login(LoginRequest) -> LoginResponse;
    create_account(CreateAccountRequest) -> CreateAccountResponse;
    append_account_entry(AppendAccountEntryRequest) -> AppendAccountEntryResponse;
    create_vault(CreateVaultRequest) -> CreateVaultResponse;
    append_vault_entry(AppendVaultEntryRequest) -> AppendVaultEntryResponse;
    list_vaults(ListVaultsRequest) -> ListVaultsResponse;
    sync_vault(SyncVaultRequest) -> SyncVaultResponse;
    have_packs(HavePacksRequest) -> HavePacksResponse;
    commit_head(CommitHeadRequest) -> CommitHeadResponse;
    usage(UsageRequest) -> UsageResponse;
    fetch_account_log(FetchAccountLogRequest) -> FetchAccountLogResponse;
    find_account(FindAccountRequest) -> FindAccountResponse;
    put_account_log(PutAccountLogRequest) -> PutAccountLogResponse;
    put_message(PutMessageRequest) -> PutMessageResponse;
    await_message(AwaitMessageRequest) -> AwaitMessageResponse;
    put_offer(PutOfferRequest) -> PutOfferResponse;
    list_offers(ListOffersRequest) -> ListOffersResponse;
    drop_offer(DropOfferRequest) -> DropOfferResponse;
    create_link(CreateLinkRequest) -> CreateLinkResponse;
    list_links(ListLinksRequest) -> ListLinksResponse;
    revoke_link(RevokeLinkRequest) -> RevokeLinkResponse;
    open_link(OpenLinkRequest) -> OpenLinkResponse;
}

/// The service that devices talk to. Clones are the same.
#[derive(Clone)]
pub(super) struct Front {
    server: HosterClient<Channel>,
    shared: Arc<Shared>,
    pub(super) address: SocketAddr,
}

#[derive(Default)]
struct Shared {
    orders: Mutex<Orders>,
    seen: Mutex<Vec<Seen>>,
    packs: Mutex<BTreeMap<PackId, Bytes>>,
    /// Whose calls these are, as a reverse proxy says it.
    caller: Mutex<Option<&'static str>>,
}

impl Front {
    /// Stands before an honest server; in a tokio context.
    pub(super) async fn before(server: SocketAddr) -> Self {
        let channel = Endpoint::try_from(format!("http://{server}")).unwrap();
        let channel = channel.connect().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front = Self {
            server: HosterClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES),
            shared: Arc::default(),
            address: listener.local_addr().unwrap(),
        };
        let service = HosterServer::new(front.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        front
    }

    /// The orders that stand, to change them.
    pub(super) fn orders(&self) -> MutexGuard<'_, Orders> {
        self.shared.orders.lock().unwrap()
    }

    /// Takes every order back.
    pub(super) fn behave(&self) {
        *self.orders() = Orders::default();
    }

    /// The calls so far, oldest first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    pub(super) fn forget_seen(&self) {
        self.shared.seen.lock().unwrap().clear();
    }

    /// Every pack that was ever sent, by id.
    pub(super) fn packs(&self) -> BTreeMap<PackId, Bytes> {
        self.shared.packs.lock().unwrap().clone()
    }

    pub(super) fn pack(&self, pack: &PackId) -> Bytes {
        self.shared.packs.lock().unwrap()[pack].clone()
    }

    /// Keeps other bytes under a pack's name, or none.
    pub(super) fn lay(&self, pack: &PackId, bytes: Option<Vec<u8>>) {
        let bytes = bytes.map(Bytes::from);
        self.orders().laid.insert(*pack, bytes);
    }

    /// Tells the server from now on that calls come from this address.
    pub(super) fn say_who_calls(&self, address: &'static str) {
        *self.shared.caller.lock().unwrap() = Some(address);
    }

    fn passed_on<T>(&self, metadata: MetadataMap, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let passed = request.metadata_mut();
        // Whose token it is; the rest is about this connection.
        if let Some(token) = metadata.get("authorization") {
            passed.insert("authorization", token.clone());
        }
        if let Some(address) = *self.shared.caller.lock().unwrap() {
            passed.insert("x-real-ip", address.parse().unwrap());
        }
        request
    }

    fn note(
        &self,
        call: &'static str,
        headers: &MetadataMap,
        asked: &impl Message,
        pack_bytes: usize,
    ) {
        let headers = headers.clone().into_headers();
        let lines = headers.iter().map(|(name, value)| {
            [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\n"].concat()
        });
        self.shared.seen.lock().unwrap().push(Seen {
            call,
            asked: asked.encode_to_vec(),
            headers: lines.flatten().collect(),
            pack_bytes,
        });
    }

    /// The bytes of ranges of which at least one is of a pack that was laid;
    /// as much of each as there is.
    fn laid_bytes(&self, asked: &ReadPacksRequest) -> Result<Option<Bytes>, Status> {
        let orders = self.orders();
        let packs = self.shared.packs.lock().unwrap();
        let pack_of = |range: &PackRange| PackId::from_slice(&range.pack).unwrap();
        let touched = |range| orders.laid.contains_key(&pack_of(range));
        if !asked.ranges.iter().any(touched) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        for range in &asked.ranges {
            let pack = pack_of(range);
            let held = match orders.laid.get(&pack) {
                Some(laid) => laid.as_ref(),
                None => packs.get(&pack),
            };
            let held = held.ok_or_else(|| refusal(Reason::NotFound, "no such pack"))?;
            let start = (range.offset as usize).min(held.len());
            let end = (start + range.length as usize).min(held.len());
            bytes.extend_from_slice(&held[start..end]);
        }
        Ok(Some(bytes.into()))
    }
}

/// A refusal as a hoster sends it.
pub(super) fn refusal(reason: Reason, message: &str) -> Status {
    let details = Refusal {
        reason: reason.into(),
        message: message.into(),
        ..Refusal::default()
    };
    let details = details.encode_to_vec().into();
    Status::with_details(tonic::Code::FailedPrecondition, "", details)
}

/// Bytes as an honest hoster sends them.
pub(super) fn pieces<T: Send + 'static>(
    bytes: &Bytes,
    message: impl Fn(Bytes) -> T,
) -> Messages<T> {
    let starts = (0..bytes.len()).step_by(PIECE_BYTES);
    let pieces: Vec<_> = starts
        .map(|start| bytes.slice(start..(start + PIECE_BYTES).min(bytes.len())))
        .map(|piece| Ok(message(piece)))
        .collect();
    Box::pin(tokio_stream::iter(pieces))
}

fn upload(header: PutPackHeader, bytes: Bytes) -> Vec<PutPackRequest> {
    let starts = (0..bytes.len()).step_by(PIECE_BYTES);
    let pieces = starts.map(|start| {
        let end = (start + PIECE_BYTES).min(bytes.len());
        Part::Bytes(bytes.slice(start..end))
    });
    std::iter::once(Part::Header(header))
        .chain(pieces)
        .map(|part| PutPackRequest { part: Some(part) })
        .collect()
}

async fn collected(
    parts: impl Stream<Item = Result<Bytes, Status>> + Send,
) -> Result<Bytes, Status> {
    let mut parts = std::pin::pin!(parts);
    let mut bytes = Vec::new();
    while let Some(part) = parts.next().await {
        bytes.extend_from_slice(&part?);
    }
    Ok(bytes.into())
}
