//! A hoster in memory, for tests and for programs that embed this library and
//! want to test themselves.
//!
//! It keeps a record of the calls it got, and can be told to misbehave.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use vault_proto::ids::{PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::wire::{SignedEntry, VaultKind};

use super::{
    CommitOutcome, CommitRequest, HeadNews, Misbehaviour, PackRange, PutOutcome, Refusal,
    RefusalReason, Remote, RemoteError, SyncAnswer, SyncRequest, Traffic, Usage,
};

/// A call that a [`MemoryHoster`] got.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// [`Remote::have_packs`], with the number of packs.
    HavePacks(usize),
    /// [`Remote::put_pack`].
    PutPack(PackId),
    /// [`Remote::read_packs`].
    ReadPacks(Vec<PackRange>),
    /// Any other, by name.
    Other(&'static str),
}

#[derive(Default)]
struct Shelves {
    packs: BTreeMap<(VaultId, PackId), Bytes>,
    calls: Vec<Call>,
}

/// A hoster in memory.
#[derive(Default)]
pub struct MemoryHoster {
    shelves: Mutex<Shelves>,
}

impl MemoryHoster {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The calls so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.lock().calls.clear();
    }

    /// Loses a pack; whether it was there.
    pub fn lose_pack(&self, vault: &VaultId, pack: &PackId) -> bool {
        self.lock().packs.remove(&(*vault, *pack)).is_some()
    }

    /// Stores other bytes under a pack's name; whether it was there.
    pub fn replace_pack(&self, vault: &VaultId, pack: &PackId, bytes: Bytes) -> bool {
        match self.lock().packs.get_mut(&(*vault, *pack)) {
            Some(held) => {
                *held = bytes;
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn called(&self, call: Call) -> MutexGuard<'_, Shelves> {
        let mut shelves = self.lock();
        shelves.calls.push(call);
        shelves
    }
}

fn refuse(reason: RefusalReason, message: &str) -> RemoteError {
    RemoteError::Refused(Refusal::new(reason, message))
}

impl Remote for MemoryHoster {
    fn create_account(&self, _: &InvitationSecret, _: &SignedEntry) -> Result<u64, RemoteError> {
        drop(self.called(Call::Other("create_account")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn append_account_entry(&self, _: &SignedEntry) -> Result<(), RemoteError> {
        drop(self.called(Call::Other("append_account_entry")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn create_vault(&self, _: &SignedEntry) -> Result<(), RemoteError> {
        drop(self.called(Call::Other("create_vault")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn append_vault_entry(&self, _: &VaultId, _: &SignedEntry) -> Result<(), RemoteError> {
        drop(self.called(Call::Other("append_vault_entry")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
        drop(self.called(Call::Other("list_vaults")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn sync_vault(&self, _: &SyncRequest) -> Result<SyncAnswer, RemoteError> {
        drop(self.called(Call::Other("sync_vault")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn have_packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<bool>, RemoteError> {
        let shelves = self.called(Call::HavePacks(packs.len()));
        Ok(packs
            .iter()
            .map(|pack| shelves.packs.contains_key(&(*vault, *pack)))
            .collect())
    }

    fn put_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        let mut shelves = self.called(Call::PutPack(*pack));
        if PackId::of(&bytes) != *pack {
            return Err(refuse(
                RefusalReason::HashMismatch,
                "these are not the bytes of that pack",
            ));
        }
        Ok(match shelves.packs.insert((*vault, *pack), bytes) {
            None => PutOutcome::Stored,
            Some(_) => PutOutcome::WasThere,
        })
    }

    fn read_packs(
        &self,
        vault: &VaultId,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        drop(self.called(Call::ReadPacks(ranges.to_vec())));
        for range in ranges {
            let pack = self.lock().packs.get(&(*vault, range.pack)).cloned();
            let pack = pack.ok_or(RemoteError::Misbehaved(Misbehaviour::PackMissing))?;
            let start = range.offset as usize;
            let end = start.saturating_add(range.length as usize);
            if end > pack.len() {
                return Err(RemoteError::Misbehaved(Misbehaviour::ReadTooShort));
            }
            if deliver(pack.slice(start..end)).is_break() {
                return Err(RemoteError::Cancelled);
            }
        }
        Ok(())
    }

    fn commit_head(&self, _: &CommitRequest) -> Result<CommitOutcome, RemoteError> {
        drop(self.called(Call::Other("commit_head")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn usage(&self) -> Result<Usage, RemoteError> {
        let shelves = self.called(Call::Other("usage"));
        Ok(Usage {
            quota_bytes: u64::MAX,
            unclaimed_bytes: shelves.packs.values().map(|pack| pack.len() as u64).sum(),
            ..Usage::default()
        })
    }

    fn watch_heads(
        &self,
        _: &[VaultId],
        _: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        drop(self.called(Call::Other("watch_heads")));
        Err(refuse(RefusalReason::Internal, "not yet"))
    }

    fn interrupt(&self) {}

    fn traffic(&self) -> Traffic {
        Traffic {
            rpcs: self.lock().calls.len() as u64,
            ..Traffic::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_come_back_in_the_order_asked_for() {
        let hoster = MemoryHoster::new();
        let vault = VaultId::from_array([1; 32]);
        let bytes = Bytes::from_static(b"0123456789");
        let pack = PackId::of(&bytes);
        let outcome = hoster.put_pack(&vault, &pack, bytes.clone());
        assert_eq!(outcome, Ok(PutOutcome::Stored));
        let outcome = hoster.put_pack(&vault, &pack, bytes);
        assert_eq!(outcome, Ok(PutOutcome::WasThere));
        let range = |offset, length| PackRange {
            pack,
            offset,
            length,
        };
        let mut read = Vec::new();
        hoster
            .read_packs(&vault, &[range(7, 3), range(0, 2)], &mut |part| {
                read.extend_from_slice(&part);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(read, b"78901");
        let elsewhere = VaultId::from_array([2; 32]);
        assert_eq!(hoster.have_packs(&elsewhere, &[pack]), Ok(vec![false]));
    }
}
