//! A hoster in memory, for tests and for programs that embed this library and
//! want to test themselves.
//!
//! An honest one checks what a real one checks. It keeps a record of the calls
//! that it got, can fail, and can be told to misbehave in every way in which a
//! hoster can. Several of them make a [`MemoryNetwork`].

mod boxes;
mod books;
mod faults;
mod links;
mod network;
mod remote;
mod shelves;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use vault_core::keys::DeviceKeys;
use vault_proto::ids::{
    AccountId, DeviceId, HosterId, LinkId, MessageName, OfferHash, PackId, VaultId,
};
use vault_proto::invitation::{Invitation, InvitationSecret, TlsTrust};
use vault_proto::origin::Origin;

use super::{
    CommitRequest, Connect, Credentials, HosterAddress, NewLink, PackRange, Remote, RemoteError,
    SyncRequest, Visitor,
};
use crate::platform::{Clock, SystemClock};
use books::Books;
use faults::Faults;
pub use network::MemoryNetwork;
use remote::MemoryRemote;

/// A call that a [`MemoryHoster`] got.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Call {
    /// [`Remote::create_account`].
    CreateAccount,
    /// [`Remote::append_account_entry`].
    AppendAccountEntry,
    /// [`Remote::create_vault`].
    CreateVault,
    /// [`Remote::append_vault_entry`].
    AppendVaultEntry(VaultId),
    /// [`Remote::list_vaults`].
    ListVaults,
    /// [`Remote::sync_vault`].
    SyncVault(SyncRequest),
    /// [`Remote::have_packs`], with the number of packs.
    HavePacks(usize),
    /// [`Remote::put_pack`].
    PutPack(PackId),
    /// [`Remote::read_packs`].
    ReadPacks(Vec<PackRange>),
    /// [`Remote::commit_head`].
    CommitHead(CommitRequest),
    /// [`Remote::usage`].
    Usage,
    /// [`Remote::watch_heads`].
    WatchHeads,
    /// [`Visitor::find_account`].
    FindAccount(DeviceId),
    /// [`Visitor::fetch_account_log`].
    FetchAccountLog(AccountId),
    /// [`Visitor::put_account_log`], with the number of entries.
    PutAccountLog(AccountId, usize),
    /// [`Visitor::put_message`].
    PutMessage(MessageName),
    /// [`Visitor::await_message`].
    AwaitMessage(MessageName),
    /// [`Visitor::put_offer`].
    PutOffer(AccountId),
    /// [`Remote::list_offers`].
    ListOffers,
    /// [`Remote::drop_offer`].
    DropOffer(OfferHash),
    /// [`Remote::create_link`].
    CreateLink(NewLink),
    /// [`Remote::list_links`].
    ListLinks,
    /// [`Remote::revoke_link`].
    RevokeLink(LinkId),
    /// [`Visitor::open_link`].
    OpenLink(LinkId),
    /// [`Visitor::read_link`].
    ReadLink(Vec<PackRange>),
}

/// A hoster in memory. Clones are the same hoster; a [fork](Self::fork) is not.
#[derive(Clone)]
pub struct MemoryHoster {
    id: HosterId,
    origin: Origin,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// A message came, or a handle was interrupted.
    stirred: Condvar,
}

struct Inner {
    books: Books,
    calls: Vec<Call>,
    faults: Faults,
    clock: Arc<dyn Clock>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            books: Books::default(),
            calls: Vec::new(),
            faults: Faults::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl Default for MemoryHoster {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryHoster {
    /// An honest one that knows nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::named("memory")
    }

    /// Likewise, with an id of its own, at `NAME.invalid:1`.
    ///
    /// # Panics
    /// When that is no origin.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let origin = Origin::parse(&format!("{name}.invalid:1")).expect("a name of a host");
        let id = HosterId::from_array(*blake3::hash(origin.as_str().as_bytes()).as_bytes());
        let hoster = Self {
            id,
            origin,
            shared: Arc::default(),
        };
        hoster.lock().books.hoster = id;
        hoster
    }

    /// Another hoster that knows the same so far, and calls itself the same.
    #[must_use]
    pub fn fork(&self) -> Self {
        let inner = self.lock();
        let inner = Inner {
            books: inner.books.clone(),
            clock: inner.clock.clone(),
            ..Inner::default()
        };
        Self {
            id: self.id,
            origin: self.origin.clone(),
            shared: Arc::new(Shared {
                inner: Mutex::new(inner),
                stirred: Condvar::new(),
            }),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> HosterId {
        self.id
    }

    /// Where it is dialled.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// How to reach it.
    #[must_use]
    pub fn address(&self) -> HosterAddress {
        HosterAddress {
            origin: self.origin(),
            hoster: self.id,
            tls: TlsTrust::Proxy,
        }
    }

    /// Goes by another clock than the system's from now on.
    pub fn set_clock(&self, clock: Arc<dyn Clock>) {
        self.lock().clock = clock;
    }

    /// Invites somebody.
    #[must_use]
    pub fn invite(&self) -> Invitation {
        let secret = self.lock().books.invite();
        Invitation {
            origin: self.origin(),
            hoster: self.id(),
            tls: TlsTrust::Proxy,
            secret: InvitationSecret::from_array(secret),
            expires: u64::MAX,
        }
    }

    /// Lets every account use so many bytes.
    pub fn set_quota(&self, bytes: u64) {
        self.lock().books.quota_bytes = bytes;
    }

    /// The calls so far, oldest first, failed ones included.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// The packs of a vault that it holds, ordered by id.
    #[must_use]
    pub fn packs(&self, vault: &VaultId) -> Vec<PackId> {
        self.lock().books.packs(vault)
    }

    /// The bytes that it holds under a pack's name.
    #[must_use]
    pub fn pack(&self, vault: &VaultId, pack: &PackId) -> Option<Bytes> {
        self.lock().books.pack(vault, pack)
    }

    /// The handle of a device; what [`Connect::connect`] gives.
    #[must_use]
    pub fn remote(&self, account: AccountId, device: &DeviceKeys) -> Arc<dyn Remote> {
        Arc::new(MemoryRemote::new(
            Ok(self.clone()),
            Some((account, device.id())),
        ))
    }

    /// The handle of anybody; what [`Connect::visit`] gives.
    #[must_use]
    pub fn visitor(&self) -> Arc<dyn Visitor> {
        Arc::new(MemoryRemote::new(Ok(self.clone()), None))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared
            .inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The only hoster there is: whatever is dialled, it answers.
impl Connect for MemoryHoster {
    fn connect(&self, _: HosterAddress, credentials: Credentials) -> Arc<dyn Remote> {
        self.remote(credentials.account, &credentials.device)
    }

    fn visit(&self, _: HosterAddress) -> Arc<dyn Visitor> {
        self.visitor()
    }

    fn discover(&self, origin: &Origin) -> Result<(HosterAddress, Arc<dyn Visitor>), RemoteError> {
        let address = HosterAddress {
            origin: origin.clone(),
            ..self.address()
        };
        Ok((address, self.visitor()))
    }
}
