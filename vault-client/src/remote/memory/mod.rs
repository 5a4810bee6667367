//! A hoster in memory, for tests and for programs that embed this library and
//! want to test themselves.
//!
//! An honest one checks what a real one checks. It keeps a record of the calls
//! that it got, can fail, and can be told to misbehave in every way in which a
//! hoster can.

mod books;
mod faults;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use vault_core::keys::DeviceKeys;
use vault_proto::ids::{AccountId, HosterId, PackId, VaultId};
use vault_proto::invitation::{Invitation, InvitationSecret, TlsTrust};
use vault_proto::origin::Origin;
use vault_proto::wire::{SignedEntry, VaultKind};

use super::{
    CommitOutcome, CommitRequest, Connect, Credentials, HeadNews, HosterAddress, Misbehaviour,
    PackRange, PutOutcome, Remote, RemoteError, SyncAnswer, SyncRequest, Traffic, Usage,
};
use books::Books;
use faults::Faults;

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
}

/// A hoster in memory. Clones are the same hoster; a [fork](Self::fork) is not.
#[derive(Clone)]
pub struct MemoryHoster {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    books: Books,
    calls: Vec<Call>,
    faults: Faults,
    interrupted: u64,
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
        Self {
            inner: Arc::default(),
        }
    }

    /// Another hoster that knows the same so far, and calls itself the same.
    #[must_use]
    pub fn fork(&self) -> Self {
        let inner = Inner {
            books: self.lock().books.clone(),
            ..Inner::default()
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> HosterId {
        books::HOSTER
    }

    /// Invites somebody.
    #[must_use]
    pub fn invite(&self) -> Invitation {
        let secret = self.lock().books.invite();
        Invitation {
            origin: Origin::parse("memory.invalid:1").expect("an origin"),
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
        Arc::new(MemoryRemote {
            hoster: self.clone(),
            account,
            device: device.id(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connect for MemoryHoster {
    fn connect(&self, _: HosterAddress, credentials: Credentials) -> Arc<dyn Remote> {
        self.remote(credentials.account, &credentials.device)
    }
}

struct MemoryRemote {
    hoster: MemoryHoster,
    account: AccountId,
    device: vault_proto::ids::DeviceId,
}

impl MemoryRemote {
    /// Notes a call, does it, and lets it fail where it was told to.
    fn call<T>(
        &self,
        call: Call,
        work: impl FnOnce(&mut Books, &mut Faults) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut inner = self.hoster.lock();
        let newcomer = call == Call::CreateAccount;
        inner.calls.push(call);
        inner.faults.before()?;
        let Inner { books, faults, .. } = &mut *inner;
        if !newcomer {
            books.check_caller(&self.account, &self.device)?;
        }
        let done = work(books, faults)?;
        faults.after()?;
        Ok(done)
    }
}

impl Remote for MemoryRemote {
    fn create_account(
        &self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError> {
        self.call(Call::CreateAccount, |books, _| {
            books.create_account(invitation, genesis)
        })
    }

    fn append_account_entry(&self, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.call(Call::AppendAccountEntry, |books, _| {
            books.append_account_entry(&self.account, entry)
        })
    }

    fn create_vault(&self, genesis: &SignedEntry) -> Result<(), RemoteError> {
        self.call(Call::CreateVault, |books, _| {
            books.create_vault(&self.account, genesis)
        })
    }

    fn append_vault_entry(&self, vault: &VaultId, entry: &SignedEntry) -> Result<(), RemoteError> {
        self.call(Call::AppendVaultEntry(*vault), |books, _| {
            books.append_vault_entry(&self.account, vault, entry)
        })
    }

    fn list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
        self.call(Call::ListVaults, |books, faults| {
            let mut vaults = books.list_vaults(&self.account);
            vaults.retain(|(vault, _)| !faults.hides(vault));
            Ok(vaults)
        })
    }

    fn sync_vault(&self, request: &SyncRequest) -> Result<SyncAnswer, RemoteError> {
        self.call(Call::SyncVault(request.clone()), |books, faults| {
            if faults.hides(&request.vault) {
                return Err(books::no_such_vault());
            }
            let mut answer = books.sync_vault(&self.account, request)?;
            faults.tamper(&mut answer);
            Ok(answer)
        })
    }

    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<bool>, RemoteError> {
        self.call(Call::HavePacks(packs.len()), |books, _| {
            let shelf = books.shelf(&self.account, vault)?;
            Ok(packs.iter().map(|pack| shelf.has(pack)).collect())
        })
    }

    fn put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        self.call(Call::PutPack(*pack), |books, _| {
            books.put_pack(&self.account, vault, pack, bytes)
        })
    }

    fn read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let (parts, interrupted) = {
            let parts = self.call(Call::ReadPacks(ranges.to_vec()), |books, faults| {
                let parts = books.read_packs(&self.account, vault, ranges)?;
                Ok(faults.reshape(parts))
            })?;
            (parts, self.hoster.lock().interrupted)
        };
        // Delivered without the lock: the caller may call again.
        let asked: u64 = ranges.iter().map(|range| u64::from(range.length)).sum();
        let mut delivered = 0;
        for part in parts {
            delivered += part.len() as u64;
            if delivered > asked {
                return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooLong));
            }
            if self.hoster.lock().interrupted != interrupted || deliver(part).is_break() {
                return Err(RemoteError::Cancelled);
            }
        }
        if delivered < asked {
            return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooShort));
        }
        Ok(())
    }

    fn commit_head(&self, request: &CommitRequest) -> Result<CommitOutcome, RemoteError> {
        self.call(
            Call::CommitHead(request.clone()),
            |books, faults| match faults.commit_answer() {
                Some(lie) => Ok(lie),
                None => books.commit_head(&self.account, &self.device, request),
            },
        )
    }

    fn usage(&self) -> Result<Usage, RemoteError> {
        self.call(Call::Usage, |books, _| Ok(books.usage(&self.account)))
    }

    /// Tells of the heads as they stand, once, and ends.
    fn watch_heads(
        &self,
        vaults: &[VaultId],
        deliver: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let news = self.call(Call::WatchHeads, |books, _| {
            books.news(&self.account, vaults)
        })?;
        for news in news {
            if deliver(news).is_break() {
                return Ok(());
            }
        }
        Err(faults::line_lost())
    }

    fn interrupt(&self) {
        self.hoster.lock().interrupted += 1;
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            rpcs: self.hoster.lock().calls.len() as u64,
            ..Traffic::default()
        }
    }
}
