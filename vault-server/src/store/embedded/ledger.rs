//! The ledger in RocksDB.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use prost::Message;
use vault_proto::ids::{AccountId, PackId, VaultId};

use super::{
    disk::Sync,
    keys::{self, Due},
    rocks::{Batch, Rocks, Stripes, Table},
    rows::{ChangesRow, Record},
};
use crate::{
    clock::UnixTime,
    store::{
        decide,
        ledger::{
            AccountCreation, Appended, Commit, HeadCommit, Ledger, LedgerError, NewAccount,
            NewVault, NewVaultEntry, QuotaRoom, Reservation, Reserve, Terms, Urgency,
            VaultCreation,
        },
        records::{
            Account, Blob, Fullness, HeadRecord, Invitation, InvitationHash, LedgerStats, Pack,
            PackState, Token, TokenHash, Usage, Vault,
        },
    },
};

/// A ledger in RocksDB.
///
/// Changes are read, decided and written under the lock of the account that
/// pays: a vault's creator. That serialises what one vault's head, log and
/// packs go through, and what the vaults of one account do to its usage.
pub struct EmbeddedLedger {
    rocks: Rocks,
    terms: Terms,
    payers: Stripes,
    invitations: Stripes,
    /// Bytes reserved by uploads under way. They end with the process, so this
    /// is nothing for the disk.
    reserved: Mutex<HashMap<AccountId, u64>>,
}

impl From<io::Error> for LedgerError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Io(error),
        }
    }
}

/// What a locked vault is changed under.
struct Locked<'a> {
    vault: Vault,
    payer: Account,
    _guard: MutexGuard<'a, ()>,
}

impl EmbeddedLedger {
    pub(super) fn new(rocks: Rocks, terms: Terms) -> Self {
        Self {
            rocks,
            terms,
            payers: Stripes::default(),
            invitations: Stripes::default(),
            reserved: Mutex::default(),
        }
    }

    fn record<R: Record>(
        &self,
        table: Table,
        row_key: &[u8],
        key: R::Key,
    ) -> Result<Option<R>, LedgerError> {
        let row = self.rocks.get(table, row_key)?;
        row.map(|row| R::from_row(key, &row)).transpose()
    }

    /// The vault and who pays for it, with the lock that changes need.
    fn lock(&self, id: &VaultId) -> Result<Option<Locked<'_>>, LedgerError> {
        let Some(vault) = self.vault(id)? else {
            return Ok(None);
        };
        // Who created a vault never changes: the lock can be chosen by what was
        // read before it was held.
        let guard = self.payers.lock(vault.creator.as_bytes());
        let damaged = LedgerError::Damaged("a vault without its creator");
        Ok(Some(Locked {
            vault: self
                .vault(id)?
                .ok_or(LedgerError::Damaged("a vault is gone"))?,
            payer: self.account(&vault.creator)?.ok_or(damaged)?,
            _guard: guard,
        }))
    }

    fn reserved(&self) -> MutexGuard<'_, HashMap<AccountId, u64>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserved_by(&self, account: &AccountId) -> u64 {
        self.reserved().get(account).copied().unwrap_or_default()
    }

    fn give_back(&self, reservation: &Reservation) {
        let mut reserved = self.reserved();
        if let Some(bytes) = reserved.get_mut(&reservation.payer) {
            *bytes = bytes.saturating_sub(reservation.charged_bytes);
            if *bytes == 0 {
                reserved.remove(&reservation.payer);
            }
        }
    }

    /// Counts an entry; what is full if there is no room, and it has to wait.
    fn add_records(&self, payer: &mut Account, entry: &[u8], urgency: Urgency) -> Option<Fullness> {
        let more_bytes = decide::entry_bytes(entry);
        let full = decide::records_full(payer, more_bytes, &self.terms);
        if full.is_some() && urgency == Urgency::Ordinary {
            return full;
        }
        payer.record_bytes = payer.record_bytes.saturating_add(more_bytes);
        None
    }

    fn entries(
        &self,
        table: Table,
        log: &[u8; 32],
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        let mut entries = Vec::new();
        let mut total = 0;
        let from = keys::of_log(log, after.saturating_add(1));
        self.rocks.visit(table, &from, |key, entry| {
            total += entry.len();
            let stop = !key.starts_with(log) || (!entries.is_empty() && total > limit_bytes);
            if !stop {
                entries.push(entry.to_vec());
            }
            Ok::<_, LedgerError>(!stop)
        })?;
        Ok(entries)
    }
}

impl Batch<'_> {
    fn put_record<R: Record>(&mut self, table: Table, key: &[u8], record: &R) {
        self.put(table, key, &record.to_row());
    }

    fn put_account(&mut self, account: &Account) {
        self.put_record(Table::Accounts, account.id.as_bytes(), account);
    }

    fn put_vault(&mut self, vault: &Vault) {
        self.put_record(Table::Vaults, vault.id.as_bytes(), vault);
    }

    /// Moves a pack from one state to another, with what the sweep goes by.
    /// The usage is the caller's to change.
    fn move_pack(
        &mut self,
        vault: &VaultId,
        pack: &PackId,
        size: u32,
        from: Option<PackState>,
        to: Option<PackState>,
    ) {
        let due = Due::Pack(*vault, *pack);
        let (old, new) = (from.and_then(PackState::due), to.and_then(PackState::due));
        if let Some(old) = old.filter(|_| old != new) {
            self.delete(Table::Due, &due.key(old));
        }
        if let Some(new) = new.filter(|_| old != new) {
            self.put(Table::Due, &due.key(new), &[]);
        }
        let key = keys::of_pack(vault, pack);
        match to {
            Some(state) => self.put_record(Table::Packs, &key, &Pack { size, state }),
            None => self.delete(Table::Packs, &key),
        }
    }
}

impl Ledger for EmbeddedLedger {
    fn add_invitation(
        &self,
        hash: &InvitationHash,
        invitation: &Invitation,
    ) -> Result<(), LedgerError> {
        let mut batch = self.rocks.batch();
        batch.put_record(Table::Invitations, &hash.0, invitation);
        Ok(batch.write(Sync::Now)?)
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountCreation, LedgerError> {
        let NewAccount {
            invitation: InvitationHash(hash),
            id,
            now,
            ..
        } = new;
        let _invitation = self.invitations.lock(hash);
        let _account = self.payers.lock(id.as_bytes());
        let Some(mut invitation) = self.record::<Invitation>(Table::Invitations, hash, ())? else {
            return Ok(AccountCreation::Unknown);
        };
        match (invitation.used_by, self.account(id)?) {
            (Some(account), Some(there)) if account == *id => {
                return Ok(AccountCreation::Created {
                    quota_bytes: there.quota_bytes,
                });
            }
            (Some(_), _) => return Ok(AccountCreation::Used),
            (None, _) if invitation.expires <= *now => return Ok(AccountCreation::Expired),
            (None, Some(_)) => return Ok(AccountCreation::Exists),
            (None, None) => {}
        }
        invitation.used_by = Some(*id);
        let mut batch = self.rocks.batch();
        batch.put_record(Table::Invitations, hash, &invitation);
        batch.put_account(&Account {
            id: *id,
            label: invitation.label,
            joined: *now,
            quota_bytes: invitation.quota_bytes,
            usage: Usage::default(),
            record_bytes: decide::entry_bytes(new.genesis),
            log_seq: 1,
        });
        batch.put(
            Table::AccountLog,
            &keys::of_log(id.as_bytes(), 1),
            new.genesis,
        );
        batch.write(Sync::Now)?;
        Ok(AccountCreation::Created {
            quota_bytes: invitation.quota_bytes,
        })
    }

    fn account(&self, id: &AccountId) -> Result<Option<Account>, LedgerError> {
        self.record(Table::Accounts, id.as_bytes(), *id)
    }

    fn accounts(
        &self,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, LedgerError> {
        let mut accounts = Vec::new();
        let from = after.map_or(&[][..], |after| after.as_bytes());
        self.rocks.visit(Table::Accounts, from, |key, row| {
            let id = AccountId::from_slice(key)
                .map_err(|_| LedgerError::Damaged("a key is no account id"))?;
            if Some(&id) != after && accounts.len() < limit {
                accounts.push(Account::from_row(id, row)?);
            }
            Ok::<_, LedgerError>(accounts.len() < limit)
        })?;
        Ok(accounts)
    }

    fn set_quota(&self, id: &AccountId, quota_bytes: u64) -> Result<bool, LedgerError> {
        let _account = self.payers.lock(id.as_bytes());
        let Some(mut account) = self.account(id)? else {
            return Ok(false);
        };
        account.quota_bytes = quota_bytes;
        let mut batch = self.rocks.batch();
        batch.put_account(&account);
        batch.write(Sync::Now)?;
        Ok(true)
    }

    fn account_entries(
        &self,
        id: &AccountId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        self.entries(Table::AccountLog, id.as_bytes(), after, limit_bytes)
    }

    fn append_account_entry(
        &self,
        id: &AccountId,
        seq: u64,
        entry: &[u8],
        urgency: Urgency,
    ) -> Result<Appended, LedgerError> {
        let _account = self.payers.lock(id.as_bytes());
        let account = self.account(id)?;
        let mut account = account.ok_or(LedgerError::Damaged("no account"))?;
        if seq != account.log_seq + 1 {
            return Ok(Appended::LostRace {
                head_seq: 0,
                log_seq: account.log_seq,
            });
        }
        if let Some(full) = self.add_records(&mut account, entry, urgency) {
            return Ok(Appended::RecordsFull(full));
        }
        account.log_seq = seq;
        let mut batch = self.rocks.batch();
        batch.put_account(&account);
        batch.put(Table::AccountLog, &keys::of_log(id.as_bytes(), seq), entry);
        batch.write(Sync::Now)?;
        Ok(Appended::Appended)
    }

    fn record_limit(&self, account: &Account) -> u64 {
        decide::record_limit(account, &self.terms)
    }

    fn add_token(&self, hash: &TokenHash, token: &Token) -> Result<(), LedgerError> {
        let mut batch = self.rocks.batch();
        batch.put_record(Table::Tokens, &hash.0, token);
        Ok(batch.write(Sync::Later)?)
    }

    fn token(&self, hash: &TokenHash) -> Result<Option<Token>, LedgerError> {
        self.record(Table::Tokens, &hash.0, ())
    }

    fn drop_expired_tokens(&self, now: UnixTime) -> Result<u64, LedgerError> {
        let mut batch = self.rocks.batch();
        let mut dropped = 0;
        self.rocks.visit(Table::Tokens, &[], |key, row| {
            if Token::from_row((), row)?.expires <= now {
                batch.delete(Table::Tokens, key);
                dropped += 1;
            }
            Ok::<_, LedgerError>(true)
        })?;
        batch.write(Sync::Later)?;
        Ok(dropped)
    }

    fn create_vault(&self, new: &NewVault<'_>) -> Result<VaultCreation, LedgerError> {
        let _creator = self.payers.lock(new.creator.as_bytes());
        let Some(mut creator) = self.account(&new.creator)? else {
            return Ok(VaultCreation::NoSuchAccount);
        };
        if self.vault(&new.id)?.is_some() {
            return Ok(VaultCreation::Exists);
        }
        if let Some(full) = self.add_records(&mut creator, new.genesis, Urgency::Ordinary) {
            return Ok(VaultCreation::RecordsFull(full));
        }
        let mut batch = self.rocks.batch();
        batch.put_account(&creator);
        batch.put_vault(&Vault {
            id: new.id,
            kind: new.kind,
            creator: new.creator,
            log_seq: 1,
            head: None,
        });
        batch.put(
            Table::VaultLog,
            &keys::of_log(new.id.as_bytes(), 1),
            new.genesis,
        );
        batch.put(Table::Members, &keys::of_member(&new.creator, &new.id), &[]);
        batch.write(Sync::Now)?;
        Ok(VaultCreation::Created)
    }

    fn vault(&self, id: &VaultId) -> Result<Option<Vault>, LedgerError> {
        self.record(Table::Vaults, id.as_bytes(), *id)
    }

    fn vaults_of(&self, member: &AccountId) -> Result<Vec<VaultId>, LedgerError> {
        let mut vaults = Vec::new();
        self.rocks
            .visit(Table::Members, member.as_bytes(), |key, _| {
                let Some(vault) = key.strip_prefix(member.as_bytes()) else {
                    return Ok(false);
                };
                let vault = VaultId::from_slice(vault);
                vaults.push(vault.map_err(|_| LedgerError::Damaged("a key is no vault id"))?);
                Ok::<_, LedgerError>(true)
            })?;
        Ok(vaults)
    }

    fn vault_entries(
        &self,
        id: &VaultId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        self.entries(Table::VaultLog, id.as_bytes(), after, limit_bytes)
    }

    fn append_vault_entry(&self, new: &NewVaultEntry<'_>) -> Result<Appended, LedgerError> {
        let locked = self.lock(&new.vault)?;
        let Locked {
            mut vault,
            mut payer,
            _guard,
        } = locked.ok_or(LedgerError::Damaged("no vault"))?;
        if new.seq != vault.log_seq + 1 || new.head != vault.head {
            return Ok(Appended::LostRace {
                head_seq: vault.head_seq(),
                log_seq: vault.log_seq,
            });
        }
        if let Some(full) = self.add_records(&mut payer, new.entry, new.urgency) {
            return Ok(Appended::RecordsFull(full));
        }
        vault.log_seq = new.seq;
        let mut batch = self.rocks.batch();
        batch.put_account(&payer);
        batch.put_vault(&vault);
        batch.put(
            Table::VaultLog,
            &keys::of_log(vault.id.as_bytes(), new.seq),
            new.entry,
        );
        if let Some(joined) = &new.joined {
            batch.put(Table::Members, &keys::of_member(joined, &vault.id), &[]);
        }
        if let Some(left) = &new.left {
            batch.delete(Table::Members, &keys::of_member(left, &vault.id));
        }
        batch.write(Sync::Now)?;
        Ok(Appended::Appended)
    }

    fn reserve(&self, blob: &Blob, room: QuotaRoom, now: UnixTime) -> Result<Reserve, LedgerError> {
        let Some(locked) = self.lock(&blob.vault)? else {
            return Ok(Reserve::NoSuchVault);
        };
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        let Some(charged_bytes) = decide::upload_charge(blob.size, record.as_ref()) else {
            drop(locked);
            self.renew_leases(&blob.vault, &[blob.pack], now)?;
            return Ok(Reserve::There);
        };
        let mut reserved = self.reserved();
        let sum = reserved.entry(locked.payer.id).or_default();
        if let Some(fullness) = decide::over_quota(&locked.payer, *sum, charged_bytes, room) {
            return Ok(Reserve::OverQuota(fullness));
        }
        *sum += charged_bytes;
        Ok(Reserve::Reserved(Reservation {
            blob: *blob,
            payer: locked.payer.id,
            charged_bytes,
            room,
        }))
    }

    fn still_fits(&self, reservation: &Reservation) -> Result<Option<Fullness>, LedgerError> {
        let payer = self.account(&reservation.payer)?;
        let payer = payer.ok_or(LedgerError::Damaged("no account"))?;
        let charged_bytes = reservation.charged_bytes;
        let others = self.reserved_by(&payer.id).saturating_sub(charged_bytes);
        Ok(decide::over_quota(
            &payer,
            others,
            charged_bytes,
            reservation.room,
        ))
    }

    fn release(&self, reservation: Reservation) {
        self.give_back(&reservation);
    }

    fn record_pack(&self, reservation: Reservation, now: UnixTime) -> Result<(), LedgerError> {
        let Blob { vault, pack, size } = reservation.blob;
        let locked = self.lock(&vault)?;
        // From here on the bytes are usage or nothing.
        self.give_back(&reservation);
        let Locked {
            mut payer, _guard, ..
        } = locked.ok_or(LedgerError::Damaged("no vault"))?;
        let key = keys::of_pack(&vault, &pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        let from = record.map(|pack| pack.state);
        let to = decide::uploaded(record.as_ref(), now, &self.terms);
        payer.usage.shift(size, from, Some(to));
        let mut batch = self.rocks.batch();
        batch.put_account(&payer);
        batch.move_pack(&vault, &pack, size, from, Some(to));
        Ok(batch.write(Sync::Later)?)
    }

    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Option<Pack>>, LedgerError> {
        let keys: Vec<_> = packs
            .iter()
            .map(|pack| keys::of_pack(vault, pack))
            .collect();
        let rows = self.rocks.get_all(Table::Packs, &keys)?;
        let records = rows.iter().map(|row| match row {
            Some(row) => Pack::from_row((), row).map(Some),
            None => Ok(None),
        });
        records.collect()
    }

    fn renew_leases(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Option<Pack>>, LedgerError> {
        let Some(_locked) = self.lock(vault)? else {
            return Ok(vec![None; packs.len()]);
        };
        let records = self.packs(vault, packs)?;
        let mut batch = self.rocks.batch();
        for (pack, record) in packs.iter().zip(&records) {
            let Some(record) = record else { continue };
            if let Some(renewed) = decide::renewed(record.state, now, &self.terms) {
                batch.move_pack(vault, pack, record.size, Some(record.state), Some(renewed));
            }
        }
        batch.write(Sync::Later)?;
        Ok(records)
    }

    fn visit_packs(
        &self,
        vault: Option<&VaultId>,
        visit: &mut dyn FnMut(&VaultId, &PackId, &Pack) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let from = vault.map_or(&[][..], |vault| vault.as_bytes());
        self.rocks.visit(Table::Packs, from, |key, row| {
            if !key.starts_with(from) {
                return Ok(false);
            }
            let (vault, pack) =
                keys::pack_of(key).ok_or(LedgerError::Damaged("a key names no pack"))?;
            visit(&vault, &pack, &Pack::from_row((), row)?)?;
            Ok(true)
        })
    }

    fn doom(&self, now: UnixTime, limit: usize) -> Result<Vec<Blob>, LedgerError> {
        let mut due = Vec::new();
        self.rocks
            .visit(Table::Due, &Due::PACKS, |key, _| match Due::from_key(key) {
                Some((time, Due::Pack(vault, pack))) if time <= now && due.len() < limit => {
                    due.push((time, vault, pack));
                    Ok::<_, LedgerError>(true)
                }
                _ => Ok(false),
            })?;
        let mut doomed = Vec::new();
        for (time, vault, pack) in due {
            let locked = self.lock(&vault)?;
            let Locked {
                mut payer, _guard, ..
            } = locked.ok_or(LedgerError::Damaged("a pack without its vault"))?;
            let key = keys::of_pack(&vault, &pack);
            let Some(record) = self.record::<Pack>(Table::Packs, &key, ())? else {
                continue;
            };
            // A head or an upload may have come first.
            if record.state.due() != Some(time) {
                continue;
            }
            let to = PackState::Doomed { due: time };
            payer.usage.shift(record.size, Some(record.state), Some(to));
            let mut batch = self.rocks.batch();
            batch.put_account(&payer);
            batch.move_pack(&vault, &pack, record.size, Some(record.state), Some(to));
            batch.write(Sync::Later)?;
            let size = record.size;
            doomed.push(Blob { vault, pack, size });
        }
        if !doomed.is_empty() {
            // One sync for all of them, before any is unlinked.
            self.rocks.sync()?;
        }
        Ok(doomed)
    }

    fn forget(&self, blob: &Blob) -> Result<bool, LedgerError> {
        let _locked = self.lock(&blob.vault)?;
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let record = self.record::<Pack>(Table::Packs, &key, ())?;
        let Some(Pack {
            size,
            state: state @ PackState::Doomed { .. },
        }) = record
        else {
            return Ok(false);
        };
        let mut batch = self.rocks.batch();
        batch.move_pack(&blob.vault, &blob.pack, size, Some(state), None);
        batch.write(Sync::Later)?;
        Ok(true)
    }

    fn mark_lost(&self, blob: &Blob) -> Result<(), LedgerError> {
        let locked = self.lock(&blob.vault)?;
        let Locked {
            mut payer, _guard, ..
        } = locked.ok_or(LedgerError::Damaged("no vault"))?;
        let key = keys::of_pack(&blob.vault, &blob.pack);
        let Some(Pack { size, state }) = self.record(Table::Packs, &key, ())? else {
            return Ok(());
        };
        let to = decide::without_blob(state);
        payer.usage.shift(size, Some(state), to);
        let mut batch = self.rocks.batch();
        batch.put_account(&payer);
        batch.move_pack(&blob.vault, &blob.pack, size, Some(state), to);
        Ok(batch.write(Sync::Now)?)
    }

    fn commit_head(&self, commit: &HeadCommit<'_>) -> Result<Commit, LedgerError> {
        let Some(locked) = self.lock(&commit.vault)? else {
            return Ok(Commit::NoSuchVault);
        };
        let Locked {
            mut vault,
            mut payer,
            _guard,
        } = locked;
        let accepted = self.head(&vault.id, commit.head.seq)?;
        if accepted.is_some_and(|head| head.hash == commit.head.hash) {
            return Ok(Commit::Accepted);
        }
        if let Some(lost) = decide::race(commit, &vault) {
            return Ok(lost);
        }
        let adds = self.packs(&vault.id, commit.adds)?;
        let removes = self.packs(&vault.id, commit.removes)?;
        let reserved = self.reserved_by(&payer.id);
        let plan = match decide::commit(commit, &payer, reserved, &adds, &removes, &self.terms) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };

        let mut batch = self.rocks.batch();
        for step in &plan.steps {
            let (from, to) = (Some(step.from), Some(step.to));
            batch.move_pack(&vault.id, &step.pack, step.size, from, to);
        }
        payer.usage = plan.usage;
        payer.record_bytes = payer.record_bytes.saturating_add(plan.record_bytes);
        batch.put_account(&payer);
        if let Some(old) = vault.head {
            let until = commit.now.plus(self.terms.grace);
            batch.put(Table::Due, &Due::Root(vault.id, old.seq).key(until), &[]);
        }
        vault.head = Some(commit.head);
        batch.put_vault(&vault);
        let key = keys::of_log(vault.id.as_bytes(), commit.head.seq);
        batch.put_record(Table::Heads, &key, &decide::head_record(commit, &plan));
        batch.put(Table::Roots, &key, commit.root);
        let changes = ChangesRow {
            adds: concatenated(commit.adds),
            removes: concatenated(commit.removes),
        };
        batch.put(Table::Changes, &key, &changes.encode_to_vec());
        batch.write(Sync::Now)?;
        Ok(Commit::Accepted)
    }

    fn head(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadRecord>, LedgerError> {
        self.record(Table::Heads, &keys::of_log(vault.as_bytes(), seq), ())
    }

    fn root(&self, vault: &VaultId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let key = keys::of_log(vault.as_bytes(), seq);
        let root = self.rocks.get(Table::Roots, &key)?;
        Ok(root.map(|root| root.to_vec()))
    }

    fn drop_due_roots(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError> {
        let mut due = Vec::new();
        self.rocks
            .visit(Table::Due, &Due::ROOTS, |key, _| match Due::from_key(key) {
                Some((time, Due::Root(vault, seq))) if time <= now && due.len() < limit => {
                    due.push((time, vault, seq));
                    Ok::<_, LedgerError>(true)
                }
                _ => Ok(false),
            })?;
        for (time, vault, seq) in &due {
            let locked = self.lock(vault)?;
            let Locked {
                mut payer, _guard, ..
            } = locked.ok_or(LedgerError::Damaged("a root without its vault"))?;
            let key = keys::of_log(vault.as_bytes(), *seq);
            let root_bytes = self
                .rocks
                .get(Table::Roots, &key)?
                .map_or(0, |root| root.len());
            payer.record_bytes = payer.record_bytes.saturating_sub(root_bytes as u64);
            let mut batch = self.rocks.batch();
            batch.put_account(&payer);
            batch.delete(Table::Due, &Due::Root(*vault, *seq).key(*time));
            batch.delete(Table::Roots, &key);
            batch.write(Sync::Later)?;
        }
        Ok(due.len() as u64)
    }

    fn stats(&self, now: UnixTime) -> Result<LedgerStats, LedgerError> {
        let mut stats = LedgerStats::default();
        self.rocks.visit(Table::Accounts, &[], |_, row| {
            // The key is not needed for a sum.
            let account = Account::from_row(AccountId::from_array([0; 32]), row)?;
            stats.accounts += 1;
            stats.usage.add(&account.usage);
            Ok::<_, LedgerError>(true)
        })?;
        stats.vaults = self.rocks.count(Table::Vaults)?;
        stats.packs = self.rocks.count(Table::Packs)?;
        self.rocks.visit(Table::Invitations, &[], |_, row| {
            stats.open_invitations += u64::from(Invitation::from_row((), row)?.is_open(now));
            Ok::<_, LedgerError>(true)
        })?;
        Ok(stats)
    }
}

fn concatenated(packs: &[PackId]) -> Vec<u8> {
    packs.iter().flat_map(|pack| *pack.as_bytes()).collect()
}
