//! A hoster at the other end of a line: gRPC over one HTTP/2 connection.
//!
//! ```text
//! call ─▶ attempts ─▶ session (connect · Hello · Login, once) ─▶ one call, paced
//!            ▲                                                     │
//!            └── again: connection lost, token too old ◀───────────┘
//! ```
//!
//! The connection is made when it is first needed and made again when it is
//! lost. Every wait has an end ([`Pace`]), and every call may be repeated, so
//! that a hoster that restarts is no more than a pause ([`Retry`]).

mod calls;
mod connection;
mod convert;
mod discover;
#[cfg(test)]
mod fuzzing;
mod greeting;
mod login;
mod meter;
mod pace;
mod runtime;
mod session;
mod tls;
mod transfer;
mod visitor;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use vault_proto::ids::{LinkId, OfferHash, PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::origin::Origin;
use vault_proto::wire::{SignedEntry, VaultKind};

use super::{
    CommitOutcome, CommitRequest, Connect, Credentials, HeadNews, HosterAddress, LinkStatus,
    NewLink, PackRange, Presence, PutOutcome, Remote, RemoteError, SyncAnswer, SyncRequest, Usage,
    Visitor,
};
use crate::platform::{Clock, Randomness};
use meter::Meter;
pub use pace::{Pace, Retry};
pub use runtime::Runtime;
use session::Session;
use tokio::sync::watch;

/// Reaches hosters over the network.
#[derive(Clone)]
pub struct GrpcConnect {
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    runtime: Runtime,
    pace: Pace,
    retry: Retry,
}

impl GrpcConnect {
    /// All that is dialled shares a runtime.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>, runtime: Runtime) -> Self {
        Self {
            clock,
            randomness,
            runtime,
            pace: Pace::default(),
            retry: Retry::default(),
        }
    }

    /// With another patience.
    #[must_use]
    pub fn with_patience(mut self, pace: Pace, retry: Retry) -> Self {
        self.pace = pace;
        self.retry = retry;
        self
    }
}

impl Connect for GrpcConnect {
    fn connect(&self, address: HosterAddress, credentials: Credentials) -> Arc<dyn Remote> {
        Arc::new(GrpcRemote {
            line: self.line(address),
            credentials,
        })
    }

    fn visit(&self, address: HosterAddress) -> Arc<dyn Visitor> {
        Arc::new(GrpcVisitor {
            line: self.line(address),
        })
    }

    fn discover(&self, origin: &Origin) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError> {
        let address = self.runtime.block_on(discover::discover(self, origin))?;
        Ok((address.clone(), self.visit(address)))
    }
}

impl GrpcConnect {
    fn line(&self, address: HosterAddress) -> Line {
        Line {
            shared: Shared {
                address,
                clock: self.clock.clone(),
                randomness: self.randomness.clone(),
                pace: self.pace,
                retry: self.retry,
                meter: Arc::new(Meter::default()),
            },
            session: tokio::sync::Mutex::default(),
            interrupts: watch::Sender::new(0),
            runtime: self.runtime.clone(),
        }
    }
}

/// A hoster that is reached over the network, for a device.
struct GrpcRemote {
    line: Line,
    credentials: Credentials,
}

/// A hoster that is reached over the network, for anybody.
struct GrpcVisitor {
    line: Line,
}

/// The way to one hoster.
struct Line {
    shared: Shared,
    session: tokio::sync::Mutex<Session>,
    interrupts: watch::Sender<u64>,
    runtime: Runtime,
}

/// What every connection and call needs.
struct Shared {
    address: HosterAddress,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    pace: Pace,
    retry: Retry,
    meter: Arc<Meter>,
}

impl Line {
    /// Runs a call on the calling thread until it ends or is interrupted.
    fn run<T>(&self, call: impl Future<Output = Result<T, RemoteError>>) -> Result<T, RemoteError> {
        let mut interrupts = self.interrupts.subscribe();
        self.runtime.block_on(async move {
            tokio::select! {
                done = call => done,
                _ = interrupts.changed() => Err(RemoteError::Cancelled),
            }
        })
    }

    fn interrupt(&self) {
        self.interrupts.send_modify(|count| *count += 1);
    }
}

impl GrpcRemote {
    fn run<T>(&self, call: impl Future<Output = Result<T, RemoteError>>) -> Result<T, RemoteError> {
        self.line.run(call)
    }
}

impl Remote for GrpcRemote {
    fn create_account(
        &self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError> {
        self.run(self.do_create_account(invitation, genesis))
    }

    fn append_account_entry(&self, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.run(self.do_append_account_entry(entry))
    }

    fn create_vault(&self, genesis: &SignedEntry) -> Result<(), RemoteError> {
        self.run(self.do_create_vault(genesis))
    }

    fn append_vault_entry(&self, vault: &VaultId, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.run(self.do_append_vault_entry(vault, entry))
    }

    fn list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
        self.run(self.do_list_vaults())
    }

    fn sync_vault(&self, request: &SyncRequest) -> Result<SyncAnswer, RemoteError> {
        self.run(self.do_sync_vault(request))
    }

    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Presence>, RemoteError> {
        self.run(self.do_have_packs(vault, packs))
    }

    fn put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        self.run(self.do_put_pack(vault, pack, bytes))
    }

    fn read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        self.run(self.do_read_packs(vault, ranges, deliver))
    }

    fn commit_head(&self, request: &CommitRequest) -> Result<CommitOutcome, RemoteError> {
        self.run(self.do_commit_head(request))
    }

    fn usage(&self) -> Result<Usage, RemoteError> {
        self.run(self.do_usage())
    }

    fn watch_heads(
        &self,
        vaults: &[VaultId],
        deliver: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        self.run(self.do_watch_heads(vaults, deliver))
    }

    fn list_offers(&self) -> Result<Vec<Vec<u8>>, RemoteError> {
        self.run(self.do_list_offers())
    }

    fn drop_offer(&self, offer: &OfferHash) -> Result<(), RemoteError> {
        self.run(self.do_drop_offer(offer))
    }

    fn create_link(&self, link: &NewLink) -> Result<(), RemoteError> {
        self.run(self.do_create_link(link))
    }

    fn list_links(&self, vault: &VaultId) -> Result<Vec<LinkStatus>, RemoteError> {
        self.run(self.do_list_links(vault))
    }

    fn revoke_link(&self, vault: &VaultId, link: &LinkId) -> Result<(), RemoteError> {
        self.run(self.do_revoke_link(vault, link))
    }
}
