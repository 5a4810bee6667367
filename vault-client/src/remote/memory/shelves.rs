//! The vaults of an honest hoster: logs, heads and packs, and what is checked of them.

use std::collections::BTreeMap;

use bytes::Bytes;
use vault_proto::head::{
    HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead, skip_path,
};
use vault_proto::ids::{AccountId, DeviceId, PackId, VaultId};
use vault_proto::pack_list::PackList;
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::{Role, VaultLog, VaultLogError};
use vault_proto::wire::{SignedEntry, VaultKind};

use super::books::{Books, invalid, newer, no_such_vault, refused};
use crate::remote::{
    CommitOutcome, CommitRequest, HeadNews, Misbehaviour, PackRange, Presence, PutOutcome, Refusal,
    RefusalReason, RemoteError, SyncAnswer, SyncRequest, Usage,
};

/// One vault.
#[derive(Clone)]
pub(super) struct Shelf {
    pub(super) log: VaultLog,
    /// By sequence number, from 1.
    heads: Vec<UnverifiedHead>,
    roots: Vec<Vec<u8>>,
    packs: BTreeMap<PackId, Pack>,
}

#[derive(Clone)]
struct Pack {
    bytes: Bytes,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Unclaimed,
    Committed,
    Trash,
}

impl Books {
    pub(super) fn create_vault(
        &mut self,
        account: &AccountId,
        genesis: &SignedEntry,
    ) -> Result<(), RemoteError> {
        if self.guests.contains_key(account) {
            return Err(refused(RefusalReason::Forbidden, "a guest has no vaults"));
        }
        let log = VaultLog::verify_genesis(genesis, &self.accounts).map_err(invalid)?;
        if log.creator() != *account {
            return Err(refused(RefusalReason::Forbidden, "another member's vault"));
        }
        let shelf = Shelf {
            log,
            heads: Vec::new(),
            roots: Vec::new(),
            packs: BTreeMap::new(),
        };
        self.vaults.entry(shelf.log.id()).or_insert(shelf);
        Ok(())
    }

    pub(super) fn append_vault_entry(
        &mut self,
        account: &AccountId,
        vault: &VaultId,
        entry: &SignedEntry,
    ) -> Result<(), RemoteError> {
        self.shelf(account, vault)?;
        let accounts = &self.accounts;
        let shelf = self.vaults.get_mut(vault).ok_or_else(no_such_vault)?;
        let mut log = shelf.log.clone();
        match log.append(entry, accounts) {
            Err(VaultLogError::Repeated { .. }) => return Ok(()),
            Err(
                VaultLogError::Fork { .. }
                | VaultLogError::Missing { .. }
                | VaultLogError::OlderHead { .. }
                | VaultLogError::HeadFork { .. },
            ) => return Err(refused(RefusalReason::LostRace, "another was first")),
            Err(error) => return Err(invalid(error)),
            Ok(()) => {}
        }
        let newest = shelf.heads.last();
        // One that takes the place of a head that was lost here stands for it.
        let lost = newest.and_then(|head| {
            let hash = head.claims().reconciled?;
            Some(HeadPosition {
                seq: head.seq(),
                hash,
            })
        });
        let named = log.pinned_head();
        if named != newest.map(UnverifiedHead::position) && (named.is_none() || named != lost) {
            return Err(refused(RefusalReason::LostRace, "a head was first"));
        }
        shelf.log = log;
        Ok(())
    }

    pub(super) fn list_vaults(&self, account: &AccountId) -> Vec<(VaultId, VaultKind)> {
        let vaults = self.vaults.iter();
        vaults
            .filter(|(_, shelf)| shelf.log.member(account).is_some())
            .map(|(id, shelf)| (*id, shelf.log.kind().to_wire()))
            .collect()
    }

    pub(super) fn sync_vault(
        &self,
        account: &AccountId,
        request: &SyncRequest,
    ) -> Result<SyncAnswer, RemoteError> {
        let known: BTreeMap<_, _> = request.accounts.iter().copied().collect();
        let held = self.vaults.get(&request.vault);
        let ended = held.and_then(|shelf| Some((shelf, shelf.log.membership_ended(account)?)));
        if let Some((shelf, ended)) = ended {
            return Ok(self.farewell(&shelf.log, ended, &known, request.vault_log_seq));
        }
        let shelf = self.shelf(account, &request.vault)?;
        let accounts = shelf.log.known_positions().filter_map(|(id, _)| {
            let log = self.accounts.get(&id)?;
            let new = newer(log.entries(), known.get(&id).copied().unwrap_or(0));
            (!new.is_empty()).then_some((id, new))
        });
        let newest = shelf.heads.len() as u64;
        let until = match request.until_head_seq {
            0 => newest,
            until => until.min(newest),
        };
        let heads = skip_path(until, request.head_seq).into_iter();
        let heads = heads.filter_map(|seq| Some(shelf.head(seq)?.to_bytes().to_vec()));
        let root = shelf.root(until).filter(|_| !request.without_root);
        Ok(SyncAnswer {
            accounts: accounts.collect(),
            vault_entries: newer(shelf.log.entries(), request.vault_log_seq),
            heads: heads.collect(),
            root: root.cloned().unwrap_or_default(),
            newest_head_seq: newest,
            more: false,
        })
    }

    /// What who was put out is shown: the log up to the entry that did it.
    fn farewell(
        &self,
        log: &VaultLog,
        ended: u64,
        known: &BTreeMap<AccountId, u64>,
        vault_log_seq: u64,
    ) -> SyncAnswer {
        let up_to = |mut entries: Vec<SignedEntry>, known: u64, seq: u64| {
            let left = usize::try_from(seq.saturating_sub(known)).unwrap_or(usize::MAX);
            entries.truncate(left);
            entries
        };
        let accounts = log.known_positions().filter_map(|(id, _)| {
            let theirs = self.accounts.get(&id)?;
            let known = known.get(&id).copied().unwrap_or(0);
            let recorded = log.known_position_at(&id, ended)?.seq;
            let new = up_to(newer(theirs.entries(), known), known, recorded);
            (!new.is_empty()).then_some((id, new))
        });
        SyncAnswer {
            accounts: accounts.collect(),
            vault_entries: up_to(newer(log.entries(), vault_log_seq), vault_log_seq, ended),
            heads: Vec::new(),
            root: Vec::new(),
            newest_head_seq: 0,
            more: false,
        }
    }

    pub(super) fn put_pack(
        &mut self,
        account: &AccountId,
        vault: &VaultId,
        pack: &PackId,
        bytes: Bytes,
    ) -> Result<PutOutcome, RemoteError> {
        self.writable(account, vault)?;
        // Whoever made the vault has the room.
        let creator = self.shelf(account, vault)?.log.creator();
        let usage = self.usage(&creator);
        let shelf = self.vaults.get_mut(vault).ok_or_else(no_such_vault)?;
        if shelf.has(pack) {
            return Ok(PutOutcome::WasThere);
        }
        let used_bytes = usage.committed_bytes + usage.unclaimed_bytes;
        if used_bytes + bytes.len() as u64 > usage.quota_bytes {
            return Err(RemoteError::Refused(Refusal {
                quota_bytes: usage.quota_bytes,
                used_bytes,
                ..Refusal::new(RefusalReason::QuotaExceeded, "the quota is full")
            }));
        }
        if PackId::of(&bytes) != *pack {
            return Err(refused(
                RefusalReason::HashMismatch,
                "not that pack's bytes",
            ));
        }
        let place = Place::Unclaimed;
        shelf.packs.insert(*pack, Pack { bytes, place });
        Ok(PutOutcome::Stored)
    }

    pub(super) fn read_packs(
        &self,
        account: &AccountId,
        vault: &VaultId,
        ranges: &[PackRange],
    ) -> Result<Vec<Bytes>, RemoteError> {
        let shelf = self.shelf(account, vault)?;
        ranges.iter().map(|range| shelf.read(range)).collect()
    }

    pub(super) fn commit_head(
        &mut self,
        account: &AccountId,
        device: &DeviceId,
        request: &CommitRequest,
    ) -> Result<CommitOutcome, RemoteError> {
        let head = UnverifiedHead::decode(&request.head).map_err(invalid)?;
        let adds = PackList::from_ordered(request.adds.clone()).map_err(invalid)?;
        let removes = PackList::from_ordered(request.removes.clone()).map_err(invalid)?;
        let vault = head.claims().vault;
        self.writable(account, &vault)?;
        let accounts = &self.accounts;
        let shelf = self.vaults.get_mut(&vault).ok_or_else(no_such_vault)?;
        let lost = CommitOutcome::LostRace {
            head_seq: shelf.heads.len() as u64,
            vault_log_seq: shelf.log.position().seq,
        };
        if let Some(held) = shelf.head(head.seq()) {
            let same = held.hash() == head.hash();
            return Ok(if same { CommitOutcome::Accepted } else { lost });
        }
        if head.claims().vault_position.seq != shelf.log.position().seq {
            return Ok(lost);
        }
        let context = HeadContext {
            vault_log: &shelf.log,
            account_logs: accounts,
            previous: PreviousHeads::Next(&shelf.seen()),
        };
        let verified = match head.clone().verify(&context) {
            Ok(verified) => verified,
            Err(
                HeadError::Fork { .. }
                | HeadError::MissingLink { .. }
                | HeadError::StalePosition
                | HeadError::AccountEntriesMissing { .. },
            ) => return Ok(lost),
            Err(error) => return Err(invalid(error)),
        };
        let active = accounts.get(account);
        if !active.is_some_and(|log| log.is_active_at(device, log.position().seq)) {
            return Err(invalid(HeadError::DeviceNotActive(*device)));
        }
        verified.check_root(&request.root).map_err(invalid)?;
        verified.check_packs(&adds, &removes).map_err(invalid)?;
        let missing = adds
            .packs()
            .iter()
            .filter(|pack| !shelf.packs.contains_key(pack));
        let missing: Vec<_> = missing.copied().collect();
        if !missing.is_empty() {
            return Ok(CommitOutcome::MissingPacks(missing));
        }
        shelf.move_packs(&adds, Place::Committed);
        shelf.move_packs(&removes, Place::Trash);
        shelf.heads.push(head);
        shelf.roots.push(request.root.clone());
        Ok(CommitOutcome::Accepted)
    }

    pub(super) fn usage(&self, account: &AccountId) -> Usage {
        let mut usage = Usage {
            quota_bytes: if self.guests.contains_key(account) {
                0
            } else {
                self.quota_bytes
            },
            ..Usage::default()
        };
        let own = self.vaults.values();
        for shelf in own.filter(|shelf| shelf.log.creator() == *account) {
            for pack in shelf.packs.values() {
                let counter = match pack.place {
                    Place::Unclaimed => &mut usage.unclaimed_bytes,
                    Place::Committed => &mut usage.committed_bytes,
                    Place::Trash => &mut usage.trash_bytes,
                };
                *counter += pack.bytes.len() as u64;
            }
        }
        usage
    }

    pub(super) fn news(
        &self,
        account: &AccountId,
        vaults: &[VaultId],
    ) -> Result<Vec<HeadNews>, RemoteError> {
        let mut news = Vec::new();
        for vault in vaults {
            if let Some(head) = self.shelf(account, vault)?.heads.last() {
                news.push(HeadNews {
                    vault: *vault,
                    head_seq: head.seq(),
                    head_hash: head.hash(),
                });
            }
        }
        Ok(news)
    }

    /// A vault that the account is a member of.
    pub(super) fn shelf(
        &self,
        account: &AccountId,
        vault: &VaultId,
    ) -> Result<&Shelf, RemoteError> {
        let shelf = self.vaults.get(vault);
        shelf
            .filter(|shelf| shelf.log.member(account).is_some())
            .ok_or_else(no_such_vault)
    }

    pub(super) fn writable(&self, account: &AccountId, vault: &VaultId) -> Result<(), RemoteError> {
        let member = self.shelf(account, vault)?.log.member(account);
        if member.is_some_and(|member| member.accepted && member.role >= Role::Writer) {
            Ok(())
        } else {
            Err(refused(RefusalReason::Forbidden, "this vault may be read"))
        }
    }

    /// A vault, whoever asks.
    pub(super) fn any_shelf(&self, vault: &VaultId) -> Option<&Shelf> {
        self.vaults.get(vault)
    }

    pub(super) fn packs(&self, vault: &VaultId) -> Vec<PackId> {
        let shelf = self.vaults.get(vault);
        shelf.map_or_else(Vec::new, |shelf| shelf.packs.keys().copied().collect())
    }

    pub(super) fn pack(&self, vault: &VaultId, pack: &PackId) -> Option<Bytes> {
        let pack = self.vaults.get(vault)?.packs.get(pack)?;
        Some(pack.bytes.clone())
    }

    pub(super) fn roll_back(&mut self, vault: &VaultId, head_seq: u64) {
        if let Some(shelf) = self.vaults.get_mut(vault) {
            let keep = usize::try_from(head_seq).unwrap_or(usize::MAX);
            shelf.heads.truncate(keep);
            shelf.roots.truncate(keep);
        }
    }

    pub(super) fn take_pack(&mut self, vault: &VaultId, pack: &PackId) -> Option<Bytes> {
        let pack = self.vaults.get_mut(vault)?.packs.remove(pack)?;
        Some(pack.bytes)
    }

    pub(super) fn lay_pack(&mut self, vault: &VaultId, pack: &PackId, bytes: Bytes) {
        if let Some(shelf) = self.vaults.get_mut(vault) {
            let place = Place::Committed;
            shelf.packs.insert(*pack, Pack { bytes, place });
        }
    }
}

impl Shelf {
    pub(super) fn has(&self, pack: &PackId) -> bool {
        self.packs.contains_key(pack)
    }

    pub(super) fn presence(&self, pack: &PackId) -> Presence {
        match self.packs.get(pack).map(|pack| pack.place) {
            None => Presence::Absent,
            Some(Place::Unclaimed | Place::Committed) => Presence::There,
            Some(Place::Trash) => Presence::Trash,
        }
    }

    /// The bytes of a pack that a head holds.
    pub(super) fn committed(&self, pack: &PackId) -> Option<usize> {
        let pack = self.packs.get(pack)?;
        (pack.place == Place::Committed).then_some(pack.bytes.len())
    }

    pub(super) fn read(&self, range: &PackRange) -> Result<Bytes, RemoteError> {
        let pack = self.packs.get(&range.pack);
        let pack = pack.ok_or(RemoteError::Misbehaved(Misbehaviour::PackMissing))?;
        let start = range.offset as usize;
        let end = start.saturating_add(range.length as usize);
        if end > pack.bytes.len() {
            return Err(refused(RefusalReason::Malformed, "beyond the pack's end"));
        }
        Ok(pack.bytes.slice(start..end))
    }

    fn head(&self, seq: u64) -> Option<&UnverifiedHead> {
        self.heads.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    fn root(&self, seq: u64) -> Option<&Vec<u8>> {
        self.roots.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    fn seen(&self) -> SeenHeads {
        let Some(newest) = self.heads.last() else {
            return SeenHeads::none();
        };
        let hash_at = |seq| self.head(seq).map(UnverifiedHead::hash);
        SeenHeads::collect(&newest.to_bytes(), hash_at).expect("heads that were accepted")
    }

    fn move_packs(&mut self, packs: &PackList, place: Place) {
        for pack in packs.packs() {
            if let Some(held) = self.packs.get_mut(pack) {
                held.place = place;
            }
        }
    }
}
