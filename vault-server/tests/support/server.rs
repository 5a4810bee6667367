use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use vault_proto::invitation::{Invitation, TlsTrust};
use vault_rpc::admin::{InviteRequest, admin_client::AdminClient};
use vault_server::{Config, Server, admin, store::DiskReserve};

use super::{Dialled, Member, TestClock, dial};

/// A server on a temporary directory, with a clock of its own.
pub(crate) struct TestServer {
    pub(crate) server: Server,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) data: Arc<Data>,
}

/// The directory, which outlives a server that is started again.
pub(crate) struct Data(TempDir);

impl Data {
    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("data")
    }
}

/// As a hoster gets it, but for the clock and the disk that tests run on.
pub(crate) fn config(data: &Path, clock: &Arc<TestClock>) -> Config {
    Config {
        clock: clock.clone(),
        disk_reserve: DiskReserve {
            bytes: 0,
            percent: 0,
        },
        ..Config::new(data.to_owned(), SocketAddr::from(([127, 0, 0, 1], 0)))
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let data = Arc::new(Data(tempfile::tempdir().unwrap()));
        Self::start_on(data, Arc::new(TestClock::new()), change).await
    }

    /// On a directory made in `parent`.
    pub(crate) async fn start_in(parent: &Path) -> Self {
        let data = Arc::new(Data(tempfile::tempdir_in(parent).unwrap()));
        Self::start_on(data, Arc::new(TestClock::new()), |_| {}).await
    }

    async fn start_on(
        data: Arc<Data>,
        clock: Arc<TestClock>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(&data.path(), &clock);
        change(&mut config);
        let server = Server::start(config).await.unwrap();
        Self {
            server,
            clock,
            data,
        }
    }

    /// Stops the server and starts another on the same directory; `between` sees
    /// the directory in between.
    pub(crate) async fn restart(self, between: impl FnOnce(&Path)) -> Self {
        let Self {
            server,
            clock,
            data,
        } = self;
        let address = server.address();
        server.stop().await;
        between(&data.path());
        // The same port: members know where they dial.
        Self::start_on(data, clock, |config| config.listen = address).await
    }

    pub(crate) async fn admin(&self) -> AdminClient<tonic::transport::Channel> {
        admin::connect(&self.data.path()).await.unwrap()
    }

    pub(crate) async fn invite(&self, quota_bytes: u64) -> Invitation {
        self.invite_for(quota_bytes, 3600).await
    }

    pub(crate) async fn invite_for(&self, quota_bytes: u64, lifetime_seconds: u64) -> Invitation {
        let request = InviteRequest {
            quota_bytes,
            label: String::new(),
            lifetime_seconds,
        };
        let answer = self.admin().await.invite(request).await.unwrap();
        Invitation::parse(&answer.into_inner().url).unwrap()
    }

    pub(crate) async fn dial(&self, invitation: &Invitation) -> Dialled {
        let pin = match invitation.tls {
            TlsTrust::Pinned(pin) => Some(pin),
            _ => None,
        };
        dial(self.server.address(), pin).await.unwrap()
    }

    /// A member with a quota of 1 GB, logged in.
    pub(crate) async fn member(&self) -> Member {
        self.member_with_quota(1_000_000_000).await
    }

    pub(crate) async fn member_with_quota(&self, quota_bytes: u64) -> Member {
        let invitation = self.invite(quota_bytes).await;
        Member::sign_up(self, &invitation).await
    }
}
