//! A running server: the store, the listener, the housekeeping, the socket for
//! the hoster's own commands.

use std::{
    fs, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tonic::transport;
use vault_proto::{
    ids::HosterId,
    origin::{Origin, OriginError},
};
use vault_rpc::{
    DESCRIPTORS, admin::admin_server::AdminServer, hoster::hoster_server::HosterServer,
};

use crate::{
    admin::{self, Admin},
    clock::{Clock, SystemClock},
    hoster_key::{HosterKey, write_secret},
    net::{
        self, Accepting, Answering, Callers, MAX_BESIDE_BYTES, MAX_MESSAGE_BYTES, NetworkSeats,
        Renewable, Renewal, Tls, TlsError,
    },
    service::{Hoster, Limits, Service},
    store::{
        DiskReserve, Ledger, Packs, Reconciled, StoreError, Terms,
        embedded::{self, DirectoryLock, Disk, OpenError, RealDisk, Released},
    },
};

/// How a server is run.
pub struct Config {
    /// The data directory; made if there is none.
    pub data: PathBuf,
    /// Where to listen. Port 0 picks a free one.
    pub listen: SocketAddr,
    /// Where devices dial: the first is what invitations name. Without any, the
    /// address that is listened on.
    pub public_addresses: Vec<Origin>,
    /// Who ends TLS.
    pub tls: Tls,
    /// How often the files of a certificate are read again.
    pub renew_every: Duration,
    /// How patient the service is.
    pub limits: Limits,
    /// How patient the listener is.
    pub accepting: Accepting,
    /// How long what nobody needs is kept.
    pub terms: Terms,
    /// Room on the disk that uploads leave alone.
    pub disk_reserve: DiskReserve,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// What the store writes through.
    pub disk: Arc<dyn Disk>,
}

impl Config {
    /// A server on `data` and `listen`, all else as a hoster gets it.
    #[must_use]
    pub fn new(data: PathBuf, listen: SocketAddr) -> Self {
        Self {
            data,
            listen,
            public_addresses: Vec::new(),
            tls: Tls::SelfSigned,
            renew_every: RENEW_EVERY,
            limits: Limits::default(),
            accepting: Accepting::default(),
            terms: Terms::default(),
            disk_reserve: DiskReserve::default(),
            clock: Arc::new(SystemClock),
            disk: Arc::new(RealDisk),
        }
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Plain HTTP/2 must not leave the machine.
    #[error(
        "--insecure-behind-proxy listens on a loopback address only: what it receives is not \
         encrypted"
    )]
    NotLoopback,
    /// The store.
    #[error("the data directory cannot be used: {0}")]
    Store(#[from] OpenError),
    /// The certificate or its key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The hoster's key, the address file or the socket.
    #[error("{0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// The address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// The address has no spelling that devices could dial.
    #[error("the listening address: {0}")]
    Origin(#[from] OriginError),
}

/// A server that runs until it is [stopped](Self::stop) or dropped.
pub struct Server {
    address: SocketAddr,
    hoster: Arc<Hoster>,
    stopping: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
    /// Files that are only there while the server runs.
    traces: Vec<PathBuf>,
    released: Released,
    renewable: Option<Arc<Renewable>>,
}

/// How long a stop waits for requests under way.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// How often what nobody needs is taken away.
const SWEEP_EVERY: Duration = Duration::from_secs(10 * 60);
/// How often the certificate's files are read again.
const RENEW_EVERY: Duration = Duration::from_secs(10 * 60);

impl Server {
    /// Opens the data directory and begins to serve.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if config.tls == Tls::BehindProxy && !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback);
        }
        let started = Instant::now();
        let (lock, released) = DirectoryLock::acquire(&config.data)?;
        let file = |name: &str| config.data.join(name);
        let at = |path: &PathBuf, error| StartError::File(path.clone(), error);

        let key_path = file("hoster.key");
        let key = HosterKey::load_or_create(&key_path).map_err(|error| at(&key_path, error))?;
        let tls = net::end_tls(&config.tls, &file("tls"))?;
        let store = embedded::open(&config.data, lock, config.terms, Arc::clone(&config.disk))?;
        let ledger = Arc::new(store.ledger);
        let packs = Arc::new(Packs::new(
            ledger.clone(),
            Arc::new(store.blobs),
            config.disk_reserve,
        ));

        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.map_err(|error| StartError::Listen(config.listen, error))?;
        let address = listener.local_addr();
        let address = address.map_err(|error| StartError::Listen(config.listen, error))?;
        let mut origins = config.public_addresses;
        // A wildcard is no address to dial.
        if origins.is_empty() && !address.ip().is_unspecified() {
            origins.push(Origin::parse(&address.to_string())?);
        }
        if origins.is_empty() {
            tracing::warn!(
                "no login is taken and no invitation made: where members dial is not known; \
                 start with --public-address"
            );
        }
        let hoster = Arc::new(Hoster::new(
            key,
            origins,
            config.clock,
            ledger,
            packs,
            config.limits,
        ));

        let socket_path = file("admin.sock");
        let socket = admin::listen(&config.data).map_err(|error| at(&socket_path, error))?;
        let address_path = file("address");
        write_secret(&address_path, format!("{address}\n").as_bytes())
            .map_err(|error| at(&address_path, error))?;

        let (stopping, _) = watch::channel(false);
        let admin = Admin {
            hoster: Arc::clone(&hoster),
            trust: tls.trust,
            started,
        };
        let callers = match &tls.acceptor {
            Some(_) => Callers::Dialled,
            None => Callers::Forwarded,
        };
        let incoming = net::accept(listener, tls.acceptor, config.accepting);
        let renewable = tls.renewable.map(Arc::new);
        let mut serving = vec![
            tokio::spawn(serve_devices(
                Arc::clone(&hoster),
                incoming,
                callers,
                config.accepting.ping,
                stopping.subscribe(),
            )),
            tokio::spawn(serve_admin(admin, socket, stopping.subscribe())),
            tokio::spawn(keep_house(Arc::clone(&hoster), stopping.subscribe())),
        ];
        if let Some(renewable) = &renewable {
            let renewable = Arc::clone(renewable);
            serving.push(tokio::spawn(keep_certificate(
                renewable,
                config.renew_every,
                stopping.subscribe(),
            )));
        }
        Ok(Self {
            address,
            hoster,
            stopping,
            serving,
            traces: vec![socket_path, address_path],
            released,
            renewable,
        })
    }

    /// Reads the certificate's files again, as happens every
    /// [`renew_every`](Config::renew_every) in any case. Connections that are there go on as they are. The outcome is logged,
    /// a failure as an error.
    ///
    /// # Errors
    /// [`TlsError`] if the files are of no use; the certificate in use stays in
    /// use then.
    pub async fn renew_certificate(&self) -> Result<Renewal, TlsError> {
        match &self.renewable {
            Some(renewable) => renew(Arc::clone(renewable)).await,
            None => Ok(Renewal::NotFromFiles),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who it is.
    #[must_use]
    pub fn id(&self) -> HosterId {
        self.hoster.key.id()
    }

    /// The packs, for a sweep or a check at a time of the caller's choosing.
    #[must_use]
    pub fn packs(&self) -> &Arc<Packs> {
        &self.hoster.packs
    }

    /// The ledger.
    #[must_use]
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.hoster.ledger
    }

    /// Takes no more requests, waits a while for those under way, and closes
    /// the store.
    pub async fn stop(self) {
        let Self {
            hoster,
            stopping,
            serving,
            traces,
            released,
            ..
        } = self;
        stopping.send_replace(true);
        hoster.feed.stop();
        let aborts: Vec<_> = serving.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            for task in serving {
                // It ended, or panicked, which was reported when it did.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, all).await.is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
        for path in traces {
            // The next start replaces what cannot be removed.
            let _ = fs::remove_file(path);
        }
        drop(hoster);
        // Blocking work that was under way may still hold the store.
        let _ = tokio::time::timeout(STOP_PATIENCE, released.wait()).await;
    }
}

async fn renew(renewable: Arc<Renewable>) -> Result<Renewal, TlsError> {
    let renewed = tokio::task::spawn_blocking(move || renewable.renew())
        .await
        // It does not panic; it is cancelled when the server stops.
        .unwrap_or(Ok(Renewal::Unchanged));
    match &renewed {
        Ok(Renewal::Renewed) => tracing::info!("the certificate was renewed"),
        Ok(_) => {}
        Err(error) => tracing::error!(
            %error,
            "THE CERTIFICATE WAS NOT RENEWED: its files are of no use; the old one stays in use"
        ),
    }
    renewed
}

async fn keep_certificate(
    renewable: Arc<Renewable>,
    every: Duration,
    stopping: watch::Receiver<bool>,
) {
    let work = async {
        loop {
            tokio::time::sleep(every).await;
            // What came of it is in the log.
            let _ = renew(Arc::clone(&renewable)).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stopped(stopping) => {}
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the server was dropped.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

async fn serve_devices(
    hoster: Arc<Hoster>,
    incoming: net::Incoming,
    callers: Callers,
    ping: Duration,
    stopping: watch::Receiver<bool>,
) {
    let patience = hoster.limits.request;
    let under_way = NetworkSeats::new(hoster.limits.calls_of_one_network);
    let beside = NetworkSeats::new(hoster.limits.beside_of_one_network);
    let service = HosterServer::new(Service(hoster))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(4 * MAX_MESSAGE_BYTES);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<HosterServer<Service>>().await;
    let health_service = health_service.max_decoding_message_size(MAX_BESIDE_BYTES);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .with_service_name("coffre.rpc.v1.Hoster")
        .build_v1()
        .expect("the committed descriptors are well-formed")
        .max_decoding_message_size(MAX_BESIDE_BYTES);
    let router = transport::Server::builder()
        .layer(Answering {
            patience,
            under_way,
            beside,
            callers,
        })
        // 4 MiB a stream fill a line of 50 ms at 80 MB/s; what a connection may
        // have on the way is what one that never reads can make us keep.
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(16 << 20)
        .max_concurrent_streams(64)
        .max_frame_size(64 << 10)
        .http2_keepalive_interval(Some(ping))
        .http2_keepalive_timeout(Some(ping))
        .http2_max_header_list_size(16 << 10)
        .add_service(service)
        .add_service(health_service)
        .add_service(reflection);
    let served = router.serve_with_incoming_shutdown(incoming, stopped(stopping));
    if let Err(error) = served.await {
        tracing::error!(%error, "the listener ended");
    }
}

async fn serve_admin(admin: Admin, socket: admin::Socket, stopping: watch::Receiver<bool>) {
    let router = transport::Server::builder().add_service(AdminServer::new(admin));
    let served = router.serve_with_incoming_shutdown(socket, stopped(stopping));
    if let Err(error) = served.await {
        tracing::error!(%error, "the admin socket ended");
    }
}

/// Makes bytes and ledger agree once, then sweeps every ten minutes.
async fn keep_house(hoster: Arc<Hoster>, stopping: watch::Receiver<bool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let work = async {
        let (packs, stop) = (Arc::clone(&hoster.packs), Arc::clone(&stop));
        match tokio::task::spawn_blocking(move || packs.reconcile(&stop)).await {
            Ok(Ok(found)) if found != Reconciled::default() => {
                tracing::warn!(unknown = found.unknown, lost = found.lost, "after a crash");
            }
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(error)) => tracing::error!(%error, "bytes and ledger cannot be compared"),
        }
        loop {
            let sweeping = Arc::clone(&hoster);
            let swept = tokio::task::spawn_blocking(move || sweeping.sweep()).await;
            if let Ok(Err(error)) = swept {
                tracing::error!(%error, "the sweep failed");
            }
            tokio::time::sleep(SWEEP_EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stopped(stopping) => stop.store(true, Ordering::Relaxed),
    }
}

impl Hoster {
    fn sweep(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.nonces.sweep(now);
        self.counters.sweep();
        self.messages.sweep(now);
        // One that fails keeps the other from nothing.
        let tokens = self.ledger.drop_expired_tokens(now);
        let swept = self.packs.sweep(now)?;
        tokens?;
        if swept.packs > 0 {
            tracing::info!(packs = swept.packs, bytes = swept.bytes, "swept");
        }
        Ok(())
    }
}
