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

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use vault_core::keys::DeviceKeys;
use vault_proto::ids::{
    AccountId, DeviceId, HosterId, LinkId, MessageName, OfferHash, PackId, VaultId,
};
use vault_proto::invitation::{Invitation, InvitationSecret, TlsTrust};
use vault_proto::origin::Origin;
use vault_proto::wire::{SignedEntry, VaultKind};

use super::{
    CommitOutcome, CommitRequest, Connect, Credentials, HeadNews, HosterAddress, LinkStatus,
    LinkTicket, LogAnswer, MAX_WAIT, Misbehaviour, NewLink, OpenedLink, PackRange, PutOutcome,
    Remote, RemoteError, SyncAnswer, SyncRequest, Traffic, Usage, Visitor,
};
use crate::platform::{Clock, SystemClock};
use books::Books;
use faults::Faults;
pub use network::MemoryNetwork;

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
    /// [`Remote::put_account_log`], with the number of entries.
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

/// A handle on a hoster, or on the reason why there is none.
struct MemoryRemote {
    hoster: Result<MemoryHoster, RemoteError>,
    /// `None` for anybody.
    caller: Option<(AccountId, DeviceId)>,
    interrupted: AtomicU64,
}

/// What a call gets to do its work.
struct Desk<'a> {
    books: &'a mut Books,
    faults: &'a mut Faults,
    /// Who calls; the account that is nobody's for anybody.
    account: AccountId,
    device: DeviceId,
    /// Seconds since 1970.
    now: u64,
}

impl MemoryRemote {
    fn new(
        hoster: Result<MemoryHoster, RemoteError>,
        caller: Option<(AccountId, DeviceId)>,
    ) -> Self {
        Self {
            hoster,
            caller,
            interrupted: AtomicU64::new(0),
        }
    }

    fn hoster(&self) -> Result<&MemoryHoster, RemoteError> {
        self.hoster.as_ref().map_err(Clone::clone)
    }

    /// A call of a device: notes it, does it, and lets it fail where it was told
    /// to.
    fn call<T>(
        &self,
        call: Call,
        work: impl FnOnce(Desk<'_>) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        self.open_call(call, |desk| {
            desk.books.check_caller(&desk.account, &desk.device)?;
            work(desk)
        })
    }

    /// A call of anybody, likewise.
    fn open_call<T>(
        &self,
        call: Call,
        work: impl FnOnce(Desk<'_>) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut inner = self.hoster()?.lock();
        let inner = &mut *inner;
        inner.calls.push(call);
        inner.faults.before()?;
        let now = inner.clock.unix_seconds();
        let nobody = (
            AccountId::from_array([0; 32]),
            DeviceId::from_array([0; 32]),
        );
        let (account, device) = self.caller.unwrap_or(nobody);
        let done = work(Desk {
            books: &mut inner.books,
            faults: &mut inner.faults,
            account,
            device,
            now,
        })?;
        inner.faults.after()?;
        Ok(done)
    }

    /// Hands over what was read.
    fn deliver(
        &self,
        ranges: &[PackRange],
        parts: Vec<Bytes>,
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let interrupted = self.interrupted.load(Ordering::Relaxed);
        // Delivered without the lock: the caller may call again.
        let asked: u64 = ranges.iter().map(|range| u64::from(range.length)).sum();
        let mut delivered = 0;
        for part in parts {
            delivered += part.len() as u64;
            if delivered > asked {
                return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooLong));
            }
            if self.interrupted.load(Ordering::Relaxed) != interrupted || deliver(part).is_break() {
                return Err(RemoteError::Cancelled);
            }
        }
        if delivered < asked {
            return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooShort));
        }
        Ok(())
    }
}

impl Visitor for MemoryRemote {
    fn find_account(&self, device: &DeviceId) -> Result<Option<AccountId>, RemoteError> {
        self.open_call(Call::FindAccount(*device), |desk| {
            Ok(desk.books.find_account(device))
        })
    }

    fn fetch_account_log(&self, account: &AccountId, known: u64) -> Result<LogAnswer, RemoteError> {
        self.open_call(Call::FetchAccountLog(*account), |desk| {
            let mut answer = desk.books.fetch_account_log(account, known)?;
            desk.faults.tamper_with_log(account, &mut answer);
            Ok(answer)
        })
    }

    fn put_message(&self, name: &MessageName, message: &[u8]) -> Result<(), RemoteError> {
        self.open_call(Call::PutMessage(*name), |desk| {
            desk.books.put_message(name, message, desk.now)
        })?;
        self.hoster()?.shared.stirred.notify_all();
        Ok(())
    }

    fn await_message(
        &self,
        name: &MessageName,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        let interrupted = self.interrupted.load(Ordering::Relaxed);
        let until = Instant::now() + wait.min(MAX_WAIT);
        self.open_call(Call::AwaitMessage(*name), |_| Ok(()))?;
        let hoster = self.hoster()?;
        let mut inner = hoster.lock();
        loop {
            let now = inner.clock.unix_seconds();
            if let Some(message) = inner.books.message(name, now) {
                return Ok(Some(message));
            }
            if self.interrupted.load(Ordering::Relaxed) != interrupted {
                return Err(RemoteError::Cancelled);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let stirred = hoster.shared.stirred.wait_timeout(inner, left);
            inner = stirred.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn put_offer(&self, account: &AccountId, offer: &[u8]) -> Result<(), RemoteError> {
        self.open_call(Call::PutOffer(*account), |desk| {
            desk.books.put_offer(account, offer)
        })
    }

    fn open_link(&self, link: &LinkId) -> Result<OpenedLink, RemoteError> {
        self.open_call(Call::OpenLink(*link), |desk| {
            desk.books.open_link(link, desk.now)
        })
    }

    fn read_link(
        &self,
        ticket: &LinkTicket,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let parts = self.open_call(Call::ReadLink(ranges.to_vec()), |desk| {
            let parts = desk.books.read_link(ticket, ranges, desk.now)?;
            Ok(desk.faults.reshape(parts))
        })?;
        self.deliver(ranges, parts, deliver)
    }

    fn interrupt(&self) {
        self.interrupted.fetch_add(1, Ordering::Relaxed);
        if let Ok(hoster) = &self.hoster {
            // Whoever waits looks at the count under this lock.
            drop(hoster.lock());
            hoster.shared.stirred.notify_all();
        }
    }

    fn traffic(&self) -> Traffic {
        let rpcs = |hoster: &MemoryHoster| hoster.lock().calls.len() as u64;
        Traffic {
            rpcs: self.hoster.as_ref().map_or(0, rpcs),
            ..Traffic::default()
        }
    }
}

impl Remote for MemoryRemote {
    fn create_account(
        &self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError> {
        self.open_call(Call::CreateAccount, |desk| {
            desk.books.create_account(invitation, genesis)
        })
    }

    fn append_account_entry(&self, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.call(Call::AppendAccountEntry, |desk| {
            desk.books.append_account_entry(&desk.account, entry)
        })
    }

    fn create_vault(&self, genesis: &SignedEntry) -> Result<(), RemoteError> {
        self.call(Call::CreateVault, |desk| {
            desk.books.create_vault(&desk.account, genesis)
        })
    }

    fn append_vault_entry(&self, vault: &VaultId, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.call(Call::AppendVaultEntry(*vault), |desk| {
            desk.books.append_vault_entry(&desk.account, vault, entry)
        })
    }

    fn list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
        self.call(Call::ListVaults, |desk| {
            let mut vaults = desk.books.list_vaults(&desk.account);
            vaults.retain(|(vault, _)| !desk.faults.hides(vault));
            Ok(vaults)
        })
    }

    fn sync_vault(&self, request: &SyncRequest) -> Result<SyncAnswer, RemoteError> {
        self.call(Call::SyncVault(request.clone()), |desk| {
            if desk.faults.hides(&request.vault) {
                return Err(books::no_such_vault());
            }
            let mut answer = desk.books.sync_vault(&desk.account, request)?;
            desk.faults.tamper(&mut answer);
            Ok(answer)
        })
    }

    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<bool>, RemoteError> {
        self.call(Call::HavePacks(packs.len()), |desk| {
            let shelf = desk.books.shelf(&desk.account, vault)?;
            Ok(packs.iter().map(|pack| shelf.has(pack)).collect())
        })
    }

    fn put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        self.call(Call::PutPack(*pack), |desk| {
            desk.books.put_pack(&desk.account, vault, pack, bytes)
        })
    }

    fn read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let parts = self.call(Call::ReadPacks(ranges.to_vec()), |desk| {
            let parts = desk.books.read_packs(&desk.account, vault, ranges)?;
            Ok(desk.faults.reshape(parts))
        })?;
        self.deliver(ranges, parts, deliver)
    }

    fn commit_head(&self, request: &CommitRequest) -> Result<CommitOutcome, RemoteError> {
        self.call(Call::CommitHead(request.clone()), |desk| {
            match desk.faults.commit_answer() {
                Some(lie) => Ok(lie),
                None => desk.books.commit_head(&desk.account, &desk.device, request),
            }
        })
    }

    fn usage(&self) -> Result<Usage, RemoteError> {
        self.call(Call::Usage, |desk| Ok(desk.books.usage(&desk.account)))
    }

    /// Tells of the heads as they stand, once, and ends.
    fn watch_heads(
        &self,
        vaults: &[VaultId],
        deliver: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let news = self.call(Call::WatchHeads, |desk| {
            desk.books.news(&desk.account, vaults)
        })?;
        for news in news {
            if deliver(news).is_break() {
                return Ok(());
            }
        }
        Err(faults::line_lost())
    }

    fn put_account_log(
        &self,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError> {
        self.call(Call::PutAccountLog(*account, entries.len()), |desk| {
            desk.books.put_account_log(&desk.account, account, entries)
        })
    }

    fn list_offers(&self) -> Result<Vec<Vec<u8>>, RemoteError> {
        self.call(Call::ListOffers, |desk| {
            Ok(desk.books.list_offers(&desk.account))
        })
    }

    fn drop_offer(&self, offer: &OfferHash) -> Result<(), RemoteError> {
        self.call(Call::DropOffer(*offer), |desk| {
            desk.books.drop_offer(&desk.account, offer);
            Ok(())
        })
    }

    fn create_link(&self, link: &NewLink) -> Result<(), RemoteError> {
        self.call(Call::CreateLink(link.clone()), |desk| {
            desk.books.create_link(&desk.account, link, desk.now)
        })
    }

    fn list_links(&self, vault: &VaultId) -> Result<Vec<LinkStatus>, RemoteError> {
        self.call(Call::ListLinks, |desk| {
            desk.books.list_links(&desk.account, vault, desk.now)
        })
    }

    fn revoke_link(&self, vault: &VaultId, link: &LinkId) -> Result<(), RemoteError> {
        self.call(Call::RevokeLink(*link), |desk| {
            desk.books.revoke_link(&desk.account, vault, link)
        })
    }
}
