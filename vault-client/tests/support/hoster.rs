//! A real server in this process, behind a relay that can spoil the line.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use tempfile::TempDir;
use tokio::runtime::Runtime as Tokio;
use vault_client::account::{Account, Setup};
use vault_client::platform::{Clock, SystemRandomness};
use vault_client::remote::grpc::{GrpcConnect, Pace, Retry, Runtime};
use vault_client::state::FileKeyStore;
use vault_client::vault::Vault;
use vault_core::keys::DeviceKeys;
use vault_proto::invitation::Invitation;
use vault_proto::origin::Origin;
use vault_rpc::admin::InviteRequest;
use vault_server::clock::{Clock as _, UnixTime};
use vault_server::store::Swept;
use vault_server::{Config, Limits, Server, Tls};

use super::relay::Relay;

/// A clock that stands where it is put; both sides may look at the same.
#[derive(Clone)]
pub(crate) struct Standing(Arc<AtomicU64>);

impl Standing {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_790_000_000)))
    }

    pub(crate) fn forward(&self, by: Duration) {
        self.0.fetch_add(by.as_secs(), Ordering::Relaxed);
    }

    fn seconds(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock for Standing {
    fn unix_nanoseconds(&self) -> i128 {
        i128::from(self.seconds()) * 1_000_000_000
    }
}

impl vault_server::clock::Clock for Standing {
    fn now(&self) -> UnixTime {
        UnixTime::from_seconds(self.seconds())
    }
}

/// A hoster that runs.
pub(crate) struct Hoster {
    server: Option<Server>,
    pub(crate) relay: Relay,
    pub(crate) clock: Standing,
    pub(crate) data: TempDir,
    tls: Tls,
    limits: Limits,
    tokio: Tokio,
}

impl Hoster {
    pub(crate) fn start() -> Self {
        Self::start_with(Tls::SelfSigned)
    }

    /// One at which a device may call and log in as often as it likes.
    pub(crate) fn start_patient() -> Self {
        let mut hoster = Self::start();
        hoster.stop();
        let rates = &mut hoster.limits.rates;
        for rate in [&mut rates.calls, &mut rates.logins, &mut rates.strangers] {
            rate.every = Duration::from_micros(1);
        }
        hoster.start_again();
        hoster
    }

    pub(crate) fn start_with(tls: Tls) -> Self {
        Self::start_on(Tokio::new().unwrap(), tls)
    }

    pub(crate) fn start_on(tokio: Tokio, tls: Tls) -> Self {
        let relay = tokio.block_on(Relay::bind());
        let mut hoster = Self {
            server: None,
            relay,
            clock: Standing::new(),
            data: tempfile::tempdir().unwrap(),
            tls,
            limits: Limits::default(),
            tokio,
        };
        hoster.start_again();
        hoster
    }

    pub(crate) fn start_again(&mut self) {
        assert!(self.server.is_none());
        let config = Config {
            public_addresses: vec![self.origin()],
            tls: self.tls.clone(),
            limits: self.limits,
            clock: Arc::new(self.clock.clone()),
            ..Config::new(self.data.path().to_owned(), ([127, 0, 0, 1], 0).into())
        };
        let server = self.tokio.block_on(Server::start(config)).unwrap();
        self.relay.lead_to(server.address());
        self.server = Some(server);
    }

    pub(crate) fn stop(&mut self) {
        let server = self.server.take().unwrap();
        self.tokio.block_on(server.stop());
    }

    /// Where devices dial: the relay.
    pub(crate) fn origin(&self) -> Origin {
        Origin::parse(&self.relay.address().to_string()).unwrap()
    }

    /// Where the server listens, behind the relay.
    pub(crate) fn server_address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    pub(crate) fn tokio(&self) -> &Tokio {
        &self.tokio
    }

    /// Takes away what is over by its clock, as the server does every ten minutes;
    /// whenever it is called.
    pub(crate) fn sweeper(&self) -> impl Fn() -> Swept + Send + use<> {
        let packs = Arc::clone(self.server.as_ref().unwrap().packs());
        let clock = self.clock.clone();
        move || packs.sweep(clock.now()).unwrap()
    }

    pub(crate) fn invite(&self, quota_bytes: u64) -> Invitation {
        let invited = self.tokio.block_on(async {
            let mut admin = vault_server::admin::connect(self.data.path())
                .await
                .unwrap();
            let request = InviteRequest {
                quota_bytes,
                label: "a test".into(),
                lifetime_seconds: 3_600,
            };
            admin.invite(request).await.unwrap().into_inner()
        });
        Invitation::parse(&invited.url).unwrap()
    }

    /// The key that says who it is, as whoever runs it has it.
    pub(crate) fn key(&self) -> DeviceKeys {
        let digits = fs::read_to_string(self.data.path().join("hoster.key")).unwrap();
        let seed = HEXLOWER.decode(digits.trim_end().as_bytes()).unwrap();
        // A device's keys are such a key, and another that nobody asks for here.
        let keys = DeviceKeys::from_secret_bytes(&[&[1], &seed[..], &[0; 32]].concat());
        keys.unwrap()
    }

    /// What a device at `home` runs on.
    pub(crate) fn setup(&self, home: &Path, pace: Pace) -> Setup {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let randomness = Arc::new(SystemRandomness);
        let connect = GrpcConnect::new(clock.clone(), randomness.clone(), Runtime::new().unwrap());
        Setup {
            home: home.to_owned(),
            keys: Arc::new(FileKeyStore::new(home)),
            clock,
            randomness,
            connect: Arc::new(connect.with_patience(pace, hasty())),
        }
    }
}

/// Three attempts without a pause worth the name.
pub(crate) fn hasty() -> Retry {
    Retry {
        attempts: 3,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
    }
}

/// What the tests that are about patience wait at most.
pub(crate) fn impatient() -> Pace {
    Pace {
        connect: Duration::from_millis(500),
        answer: Duration::from_millis(500),
        window: Duration::from_millis(500),
        silence: Duration::from_millis(500),
        ..Pace::default()
    }
}

/// A device of a member of such a hoster.
pub(crate) struct Device {
    pub(crate) home: TempDir,
    pub(crate) account: Account,
}

impl Device {
    pub(crate) fn new(hoster: &Hoster) -> Self {
        let home = tempfile::tempdir().unwrap();
        let setup = hoster.setup(home.path(), Pace::default());
        let invitation = hoster.invite(1 << 30);
        let (account, _) = Account::sign_up(&setup, &invitation, "a laptop").unwrap();
        Self { home, account }
    }

    pub(crate) fn with_vault(hoster: &Hoster) -> (Self, Vault) {
        let device = Self::new(hoster);
        let mut vault = device.account.create_vault("documents").unwrap();
        super::commit(&mut vault);
        (device, vault)
    }

    /// As another process would open it.
    pub(crate) fn reopened(&self, hoster: &Hoster, pace: Pace) -> Account {
        Account::open(&hoster.setup(self.home.path(), pace)).unwrap()
    }
}
