//! The gRPC service that devices speak to.
//!
//! ```text
//! request ─▶ parse ─▶ whose token? ─▶ a member? ─▶ verify what is signed ─▶ one step of the ledger
//!            request   login          vaults       logs, heads               store
//! ```
//!
//! Every call that touches the store does so as a whole in one blocking task;
//! only uploads, reads and watches, which last, come back to tokio in between.

mod accounts;
mod copies;
mod elements;
mod heads;
mod links;
mod login;
mod logs;
mod messages;
mod offers;
mod outgoing;
mod packs;
mod rates;
mod refusal;
mod request;
mod vaults;

use std::{sync::Arc, time::Duration};

use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use vault_proto::origin::Origin;
use vault_rpc::hoster::{
    self as rpc, AppendAccountEntryRequest, AppendAccountEntryResponse, AppendVaultEntryRequest,
    AppendVaultEntryResponse, CommitHeadRequest, CommitHeadResponse, CreateAccountRequest,
    CreateAccountResponse, CreateVaultRequest, CreateVaultResponse, HavePacksRequest,
    HavePacksResponse, HelloRequest, HelloResponse, ListVaultsRequest, ListVaultsResponse,
    LoginRequest, LoginResponse, PutPackRequest, PutPackResponse, ReadPacksRequest,
    ReadPacksResponse, SyncVaultRequest, SyncVaultResponse, UsageRequest, UsageResponse,
    WatchHeadsRequest, WatchHeadsResponse,
};

pub use messages::Relay;
pub use packs::Pace;
pub use rates::{Rate, Rates};
pub use refusal::Refusal;

pub(crate) use accounts::hash_invitation;
pub(crate) use logs::Logs;

use self::{
    elements::Elements,
    heads::Feed,
    links::Readers,
    login::{Caller, Envelope, Nonces, Party},
    messages::Messages,
    rates::Counters,
};
use crate::{
    clock::Clock,
    hoster_key::HosterKey,
    net::{Channel, Proof},
    seats::Seats,
    store::{Ledger, Packs},
};

/// What the service needs and what it keeps.
pub(crate) struct Hoster {
    pub(crate) key: HosterKey,
    /// Where devices dial. While it is empty, no login can be taken: whether a
    /// device was sent here by somebody else could not be told.
    pub(crate) origins: Vec<Origin>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) packs: Arc<Packs>,
    pub(crate) logs: Logs,
    pub(crate) nonces: Nonces,
    pub(crate) counters: Counters,
    pub(crate) messages: Messages,
    /// Watches and reads under way.
    streams: Arc<Seats<Party>>,
    /// Uploads under way.
    uploads: Arc<Seats<Party>>,
    /// Reads of links under way.
    readers: Readers,
    pub(crate) feed: Feed,
    pub(crate) limits: Limits,
}

/// How patient the service is, and what it puts up with.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// With uploads.
    pub pace: Pace,
    /// With all other requests: they are there, and their answer has begun.
    pub request: Duration,
    /// How often a message is sent on a quiet watch.
    pub watch_keepalive: Duration,
    /// What is too many.
    pub rates: Rates,
    /// The most calls at a time from one network, until their answers begin; each
    /// may have a message in memory. A site has four times as many.
    pub calls_of_one_network: usize,
    /// The most calls of the health and reflection services at a time from one network,
    /// until their answers end. A site has four times as many.
    pub beside_of_one_network: usize,
    /// The most watches and reads of one member at a time, of all guests that one
    /// brought, and reads of links by one network.
    pub streams_of_one: usize,
    /// The most uploads of one member at a time, and of all guests that one brought;
    /// each has up to 3 MiB in memory.
    pub uploads_of_one: usize,
    /// A reader takes something of its answer within this.
    pub stalled: Duration,
    /// What waits in memory between two devices.
    pub relay: Relay,
    /// The most bytes of an account's log, and
    pub account_log_bytes: usize,
    /// of a vault's. Logs that are used are in memory as a whole. A removal is taken
    /// however long the log is, and what has to follow one until it is twice as long.
    pub vault_log_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pace: Pace::default(),
            request: Duration::from_secs(60),
            watch_keepalive: Duration::from_secs(30),
            rates: Rates::default(),
            calls_of_one_network: 256,
            beside_of_one_network: 8,
            streams_of_one: 64,
            uploads_of_one: 32,
            // Twice as long as 4 MiB on the way take at 9 KiB/s.
            stalled: Duration::from_secs(15 * 60),
            relay: Relay::default(),
            account_log_bytes: 4 << 20,
            vault_log_bytes: 32 << 20,
        }
    }
}

impl Hoster {
    pub(crate) fn new(
        key: HosterKey,
        origins: Vec<Origin>,
        clock: Arc<dyn Clock>,
        ledger: Arc<dyn Ledger>,
        packs: Arc<Packs>,
        limits: Limits,
    ) -> Self {
        Self {
            key,
            origins,
            clock,
            logs: Logs::new(Arc::clone(&ledger)),
            ledger,
            packs,
            nonces: Nonces::default(),
            counters: Counters::new(&limits.rates),
            messages: Messages::new(limits.relay),
            streams: Seats::new(limits.streams_of_one),
            uploads: Seats::new(limits.uploads_of_one),
            readers: Readers::new(limits.streams_of_one),
            feed: Feed::default(),
            limits,
        }
    }
}

/// Runs `work` where it may block.
async fn blocking<T: Send + 'static>(
    hoster: &Arc<Hoster>,
    work: impl FnOnce(&Hoster) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Status> {
    let hoster = Arc::clone(hoster);
    match tokio::task::spawn_blocking(move || work(&hoster)).await {
        Ok(result) => Ok(result?),
        // It panicked, or the server is stopping.
        Err(error) => Err(Refusal::internal(&error).into()),
    }
}

/// The connection that a request came by.
fn channel<T>(request: &Request<T>) -> Channel {
    request.extensions().get().copied().unwrap_or_default()
}

/// What is to be given on it.
fn proof<T>(request: &Request<T>) -> Proof {
    request.extensions().get().cloned().unwrap_or_default()
}

/// The service over a shared [`Hoster`].
pub(crate) struct Service(pub(crate) Arc<Hoster>);

impl Service {
    /// A call that needs no token.
    async fn open<Q: Elements + Send + 'static, A: Send + 'static>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&Hoster, &Channel, Q) -> Result<A, Refusal> + Send + 'static,
    ) -> Result<Response<A>, Status> {
        let channel = channel(&request);
        let request = request.into_inner();
        elements::check(&request)?;
        let answer = blocking(&self.0, move |hoster| work(hoster, &channel, request));
        answer.await.map(Response::new)
    }

    /// A call of a device that has logged in.
    async fn known<Q: Elements + Send + 'static, A: Send + 'static>(
        &self,
        request: Request<Q>,
        work: impl FnOnce(&Hoster, Caller, Q) -> Result<A, Refusal> + Send + 'static,
    ) -> Result<Response<A>, Status> {
        let envelope = Envelope::of(&request);
        let request = request.into_inner();
        elements::check(&request)?;
        let answer = blocking(&self.0, move |hoster| {
            let caller = hoster.caller(&envelope)?;
            work(hoster, caller, request)
        });
        answer.await.map(Response::new)
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl rpc::hoster_server::Hoster for Service {
    async fn hello(&self, request: Request<HelloRequest>) -> Answer<HelloResponse> {
        self.open(request, Hoster::hello).await
    }

    async fn login(&self, request: Request<LoginRequest>) -> Answer<LoginResponse> {
        self.open(request, Hoster::login).await
    }

    async fn create_account(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Answer<CreateAccountResponse> {
        self.open(request, Hoster::create_account).await
    }

    async fn append_account_entry(
        &self,
        request: Request<AppendAccountEntryRequest>,
    ) -> Answer<AppendAccountEntryResponse> {
        self.known(request, Hoster::append_account_entry).await
    }

    async fn create_vault(
        &self,
        request: Request<CreateVaultRequest>,
    ) -> Answer<CreateVaultResponse> {
        self.known(request, Hoster::create_vault).await
    }

    async fn append_vault_entry(
        &self,
        request: Request<AppendVaultEntryRequest>,
    ) -> Answer<AppendVaultEntryResponse> {
        self.known(request, Hoster::append_vault_entry).await
    }

    async fn list_vaults(&self, request: Request<ListVaultsRequest>) -> Answer<ListVaultsResponse> {
        let list = |hoster: &Hoster, caller, _| hoster.list_vaults(caller);
        self.known(request, list).await
    }

    async fn sync_vault(&self, request: Request<SyncVaultRequest>) -> Answer<SyncVaultResponse> {
        let sync = |hoster: &Hoster, caller, request| hoster.sync_vault(caller, &request);
        self.known(request, sync).await
    }

    type WatchHeadsStream = ReceiverStream<Result<WatchHeadsResponse, Status>>;

    async fn watch_heads(
        &self,
        request: Request<WatchHeadsRequest>,
    ) -> Answer<Self::WatchHeadsStream> {
        let envelope = Envelope::of(&request);
        let request = request.into_inner();
        elements::check(&request)?;
        let (caller, watched) = blocking(&self.0, move |hoster| {
            let caller = hoster.caller(&envelope)?;
            let seat = hoster.stream_of(caller)?;
            Ok(((caller, seat), hoster.watched(caller, &request.vaults)?))
        })
        .await?;
        let (caller, seat) = caller;
        let stream = heads::watch(Arc::clone(&self.0), caller, seat, watched);
        Ok(Response::new(stream))
    }

    async fn have_packs(&self, request: Request<HavePacksRequest>) -> Answer<HavePacksResponse> {
        let have = |hoster: &Hoster, caller, request| hoster.have_packs(caller, &request);
        self.known(request, have).await
    }

    async fn put_pack(
        &self,
        request: Request<Streaming<PutPackRequest>>,
    ) -> Answer<PutPackResponse> {
        let envelope = Envelope::of(&request);
        let answer = packs::put(&self.0, envelope, request.into_inner()).await;
        answer.map(Response::new)
    }

    type ReadPacksStream = ReceiverStream<Result<ReadPacksResponse, Status>>;

    async fn read_packs(
        &self,
        request: Request<ReadPacksRequest>,
    ) -> Answer<Self::ReadPacksStream> {
        let envelope = Envelope::of(&request);
        let answer = packs::read(&self.0, envelope, request.into_inner()).await;
        answer.map(Response::new)
    }

    async fn commit_head(&self, request: Request<CommitHeadRequest>) -> Answer<CommitHeadResponse> {
        let commit = |hoster: &Hoster, caller, request| hoster.commit_head(caller, &request);
        self.known(request, commit).await
    }

    async fn usage(&self, request: Request<UsageRequest>) -> Answer<UsageResponse> {
        let usage = |hoster: &Hoster, caller, _| hoster.usage(caller);
        self.known(request, usage).await
    }

    async fn fetch_account_log(
        &self,
        request: Request<rpc::FetchAccountLogRequest>,
    ) -> Answer<rpc::FetchAccountLogResponse> {
        let fetch = |hoster: &Hoster, channel: &Channel, request| {
            hoster.fetch_account_log(channel, &request)
        };
        self.open(request, fetch).await
    }

    async fn find_account(
        &self,
        request: Request<rpc::FindAccountRequest>,
    ) -> Answer<rpc::FindAccountResponse> {
        let find =
            |hoster: &Hoster, channel: &Channel, request| hoster.find_account(channel, &request);
        self.open(request, find).await
    }

    async fn put_account_log(
        &self,
        request: Request<rpc::PutAccountLogRequest>,
    ) -> Answer<rpc::PutAccountLogResponse> {
        let envelope = Envelope::of(&request);
        let put = move |hoster: &Hoster, _: &Channel, request| {
            let caller = hoster.caller_or_stranger(&envelope)?;
            hoster.put_account_log(caller, request)
        };
        self.open(request, put).await
    }

    async fn put_message(
        &self,
        request: Request<rpc::PutMessageRequest>,
    ) -> Answer<rpc::PutMessageResponse> {
        let channel = channel(&request);
        let answer = messages::put(&self.0, &channel, request.into_inner())?;
        Ok(Response::new(answer))
    }

    async fn await_message(
        &self,
        request: Request<rpc::AwaitMessageRequest>,
    ) -> Answer<rpc::AwaitMessageResponse> {
        let channel = channel(&request);
        let answer = messages::wait(&self.0, &channel, request.into_inner()).await;
        answer.map(Response::new)
    }

    async fn put_offer(
        &self,
        request: Request<rpc::PutOfferRequest>,
    ) -> Answer<rpc::PutOfferResponse> {
        let envelope = Envelope::of(&request);
        let put = move |hoster: &Hoster, _: &Channel, request| {
            let caller = hoster.caller_or_stranger(&envelope)?;
            hoster.put_offer(caller, &request)
        };
        self.open(request, put).await
    }

    async fn list_offers(
        &self,
        request: Request<rpc::ListOffersRequest>,
    ) -> Answer<rpc::ListOffersResponse> {
        let list = |hoster: &Hoster, caller, _| hoster.list_offers(caller);
        self.known(request, list).await
    }

    async fn drop_offer(
        &self,
        request: Request<rpc::DropOfferRequest>,
    ) -> Answer<rpc::DropOfferResponse> {
        let drop = |hoster: &Hoster, caller, request| hoster.drop_offer(caller, &request);
        self.known(request, drop).await
    }

    async fn create_link(
        &self,
        request: Request<rpc::CreateLinkRequest>,
    ) -> Answer<rpc::CreateLinkResponse> {
        let create = |hoster: &Hoster, caller, request| hoster.create_link(caller, &request);
        self.known(request, create).await
    }

    async fn list_links(
        &self,
        request: Request<rpc::ListLinksRequest>,
    ) -> Answer<rpc::ListLinksResponse> {
        let list = |hoster: &Hoster, caller, request| hoster.list_links(caller, &request);
        self.known(request, list).await
    }

    async fn revoke_link(
        &self,
        request: Request<rpc::RevokeLinkRequest>,
    ) -> Answer<rpc::RevokeLinkResponse> {
        let revoke = |hoster: &Hoster, caller, request| hoster.revoke_link(caller, &request);
        self.known(request, revoke).await
    }

    async fn open_link(
        &self,
        request: Request<rpc::OpenLinkRequest>,
    ) -> Answer<rpc::OpenLinkResponse> {
        let open =
            |hoster: &Hoster, channel: &Channel, request| hoster.open_link(channel, &request);
        self.open(request, open).await
    }

    type ReadLinkStream = ReceiverStream<Result<rpc::ReadLinkResponse, Status>>;

    async fn read_link(
        &self,
        request: Request<rpc::ReadLinkRequest>,
    ) -> Answer<Self::ReadLinkStream> {
        let (channel, proof) = (channel(&request), proof(&request));
        let answer = links::read(&self.0, channel, proof, request.into_inner()).await;
        answer.map(Response::new)
    }
}
