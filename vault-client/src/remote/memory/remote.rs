//! A handle on a hoster in memory: what a device, or anybody, calls.

use std::ops::ControlFlow;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use vault_proto::ids::{AccountId, DeviceId, LinkId, MessageName, OfferHash, PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::wire::{SignedEntry, VaultKind};

use super::books::{self, Books};
use super::faults::{self, Faults};
use super::{Call, MemoryHoster};
use crate::remote::{
    CommitOutcome, CommitRequest, HeadNews, LinkStatus, LinkTicket, LogAnswer, MAX_WAIT,
    Misbehaviour, NewLink, OpenedLink, PackRange, Presence, PutOutcome, Remote, RemoteError,
    SyncAnswer, SyncRequest, Traffic, Usage, Visitor,
};

/// A handle on a hoster, or on the reason why there is none.
pub(super) struct MemoryRemote {
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
    pub(super) fn new(
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

    fn put_account_log(
        &self,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError> {
        let call = Call::PutAccountLog(*account, entries.len());
        match self.caller {
            Some(_) => self.call(call, |desk| {
                let caller = Some(&desk.account);
                desk.books.put_account_log(caller, account, entries)
            }),
            None => self.open_call(call, |desk| {
                desk.books.put_account_log(None, account, entries)
            }),
        }
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

    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Presence>, RemoteError> {
        self.call(Call::HavePacks(packs.len()), |desk| {
            let shelf = desk.books.shelf(&desk.account, vault)?;
            Ok(packs.iter().map(|pack| shelf.presence(pack)).collect())
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
