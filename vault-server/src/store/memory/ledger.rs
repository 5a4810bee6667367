use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use vault_proto::ids::{AccountId, PackId, VaultId};

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

/// A ledger in maps, under one lock.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    terms: Terms,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    invitations: BTreeMap<InvitationHash, Invitation>,
    accounts: BTreeMap<AccountId, (Account, Vec<Vec<u8>>)>,
    tokens: BTreeMap<TokenHash, Token>,
    vaults: BTreeMap<VaultId, (Vault, Vec<Vec<u8>>)>,
    members: BTreeSet<(AccountId, VaultId)>,
    packs: BTreeMap<(VaultId, PackId), Pack>,
    heads: BTreeMap<(VaultId, u64), HeadRecord>,
    /// Each with the time it may be dropped at.
    roots: BTreeMap<(VaultId, u64), (Vec<u8>, Option<UnixTime>)>,
    reserved: BTreeMap<AccountId, u64>,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            tables: Mutex::default(),
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn reserved(&self, account: &AccountId) -> u64 {
        self.reserved.get(account).copied().unwrap_or_default()
    }

    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Vec<Option<Pack>> {
        let records = packs.iter().map(|pack| self.packs.get(&(*vault, *pack)));
        records.map(Option::<&_>::copied).collect()
    }

    fn payer(&mut self, vault: &VaultId) -> Result<&mut Account, LedgerError> {
        let (vault, _) = self
            .vaults
            .get(vault)
            .ok_or(LedgerError::Damaged("no vault"))?;
        let account = self.accounts.get_mut(&vault.creator);
        let (account, _) = account.ok_or(LedgerError::Damaged("no creator"))?;
        Ok(account)
    }

    fn set_pack(
        &mut self,
        vault: &VaultId,
        pack: &PackId,
        size: u32,
        to: Option<PackState>,
    ) -> Result<(), LedgerError> {
        let key = (*vault, *pack);
        let from = self.packs.get(&key).map(|pack| pack.state);
        self.payer(vault)?.usage.shift(size, from, to);
        match to {
            Some(state) => self.packs.insert(key, Pack { size, state }),
            None => self.packs.remove(&key),
        };
        Ok(())
    }

    fn give_back(&mut self, reservation: &Reservation) {
        if let Some(reserved) = self.reserved.get_mut(&reservation.payer) {
            *reserved = reserved.saturating_sub(reservation.charged_bytes);
        }
    }
}

fn entries_after(entries: &[Vec<u8>], after: u64, limit_bytes: usize) -> Vec<Vec<u8>> {
    let mut total = 0;
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    let rest = entries.get(after..).unwrap_or_default();
    rest.iter()
        .take_while(|entry| {
            let first = total == 0;
            total += entry.len();
            first || total <= limit_bytes
        })
        .cloned()
        .collect()
}

impl Ledger for MemoryLedger {
    fn add_invitation(
        &self,
        hash: &InvitationHash,
        invitation: &Invitation,
    ) -> Result<(), LedgerError> {
        self.tables().invitations.insert(*hash, invitation.clone());
        Ok(())
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountCreation, LedgerError> {
        let tables = &mut *self.tables();
        let there = tables.accounts.get(&new.id).map(|(account, _)| account);
        let Some(invitation) = tables.invitations.get_mut(&new.invitation) else {
            return Ok(AccountCreation::Unknown);
        };
        let creation = match (invitation.used_by, there) {
            (Some(account), Some(there)) if account == new.id => AccountCreation::Created {
                quota_bytes: there.quota_bytes,
            },
            (Some(_), _) => AccountCreation::Used,
            (None, _) if invitation.expires <= new.now => AccountCreation::Expired,
            (None, Some(_)) => AccountCreation::Exists,
            (None, None) => {
                invitation.used_by = Some(new.id);
                let account = Account {
                    id: new.id,
                    label: invitation.label.clone(),
                    joined: new.now,
                    quota_bytes: invitation.quota_bytes,
                    usage: Usage::default(),
                    record_bytes: decide::entry_bytes(new.genesis),
                    log_seq: 1,
                };
                let log = vec![new.genesis.to_vec()];
                tables.accounts.insert(new.id, (account, log));
                AccountCreation::Created {
                    quota_bytes: invitation.quota_bytes,
                }
            }
        };
        Ok(creation)
    }

    fn account(&self, id: &AccountId) -> Result<Option<Account>, LedgerError> {
        let tables = self.tables();
        Ok(tables.accounts.get(id).map(|(account, _)| account.clone()))
    }

    fn accounts(
        &self,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, LedgerError> {
        let tables = self.tables();
        let later = tables
            .accounts
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        let accounts = later.take(limit).map(|(_, (account, _))| account.clone());
        Ok(accounts.collect())
    }

    fn set_quota(&self, id: &AccountId, quota_bytes: u64) -> Result<bool, LedgerError> {
        let mut tables = self.tables();
        let Some((account, _)) = tables.accounts.get_mut(id) else {
            return Ok(false);
        };
        account.quota_bytes = quota_bytes;
        Ok(true)
    }

    fn account_entries(
        &self,
        id: &AccountId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        let tables = self.tables();
        let log = tables.accounts.get(id).map_or(&[][..], |(_, log)| log);
        Ok(entries_after(log, after, limit_bytes))
    }

    fn append_account_entry(
        &self,
        id: &AccountId,
        seq: u64,
        entry: &[u8],
        urgency: Urgency,
    ) -> Result<Appended, LedgerError> {
        let mut tables = self.tables();
        let account = tables.accounts.get_mut(id);
        let (account, log) = account.ok_or(LedgerError::Damaged("no account"))?;
        if seq != account.log_seq + 1 {
            return Ok(Appended::LostRace {
                head_seq: 0,
                log_seq: account.log_seq,
            });
        }
        let more_bytes = decide::entry_bytes(entry);
        if let Some(full) = decide::records_full(account, more_bytes, &self.terms)
            && urgency == Urgency::Ordinary
        {
            return Ok(Appended::RecordsFull(full));
        }
        account.record_bytes = account.record_bytes.saturating_add(more_bytes);
        account.log_seq = seq;
        log.push(entry.to_vec());
        Ok(Appended::Appended)
    }

    fn record_limit(&self, account: &Account) -> u64 {
        decide::record_limit(account, &self.terms)
    }

    fn add_token(&self, hash: &TokenHash, token: &Token) -> Result<(), LedgerError> {
        self.tables().tokens.insert(*hash, *token);
        Ok(())
    }

    fn token(&self, hash: &TokenHash) -> Result<Option<Token>, LedgerError> {
        Ok(self.tables().tokens.get(hash).copied())
    }

    fn drop_expired_tokens(&self, now: UnixTime) -> Result<u64, LedgerError> {
        let tokens = &mut self.tables().tokens;
        let before = tokens.len();
        tokens.retain(|_, token| token.expires > now);
        Ok((before - tokens.len()) as u64)
    }

    fn create_vault(&self, new: &NewVault<'_>) -> Result<VaultCreation, LedgerError> {
        let mut tables = self.tables();
        let exists = tables.vaults.contains_key(&new.id);
        let Some((creator, _)) = tables.accounts.get_mut(&new.creator) else {
            return Ok(VaultCreation::NoSuchAccount);
        };
        if exists {
            return Ok(VaultCreation::Exists);
        }
        let more_bytes = decide::entry_bytes(new.genesis);
        if let Some(full) = decide::records_full(creator, more_bytes, &self.terms) {
            return Ok(VaultCreation::RecordsFull(full));
        }
        creator.record_bytes = creator.record_bytes.saturating_add(more_bytes);
        let vault = Vault {
            id: new.id,
            kind: new.kind,
            creator: new.creator,
            log_seq: 1,
            head: None,
        };
        tables
            .vaults
            .insert(new.id, (vault, vec![new.genesis.to_vec()]));
        tables.members.insert((new.creator, new.id));
        Ok(VaultCreation::Created)
    }

    fn vault(&self, id: &VaultId) -> Result<Option<Vault>, LedgerError> {
        Ok(self.tables().vaults.get(id).map(|(vault, _)| *vault))
    }

    fn vaults_of(&self, member: &AccountId) -> Result<Vec<VaultId>, LedgerError> {
        let tables = self.tables();
        let all = tables.members.iter();
        let own = all.filter(|(account, _)| account == member);
        Ok(own.map(|(_, vault)| *vault).collect())
    }

    fn vault_entries(
        &self,
        id: &VaultId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        let tables = self.tables();
        let log = tables.vaults.get(id).map_or(&[][..], |(_, log)| log);
        Ok(entries_after(log, after, limit_bytes))
    }

    fn append_vault_entry(&self, new: &NewVaultEntry<'_>) -> Result<Appended, LedgerError> {
        let mut tables = self.tables();
        let payer = tables.payer(&new.vault)?.clone();
        let vault = tables.vaults.get_mut(&new.vault);
        let (vault, log) = vault.ok_or(LedgerError::Damaged("no vault"))?;
        if new.seq != vault.log_seq + 1 || new.head != vault.head {
            return Ok(Appended::LostRace {
                head_seq: vault.head_seq(),
                log_seq: vault.log_seq,
            });
        }
        let more_bytes = decide::entry_bytes(new.entry);
        if let Some(full) = decide::records_full(&payer, more_bytes, &self.terms)
            && new.urgency == Urgency::Ordinary
        {
            return Ok(Appended::RecordsFull(full));
        }
        vault.log_seq = new.seq;
        log.push(new.entry.to_vec());
        let payer = tables.payer(&new.vault)?;
        payer.record_bytes = payer.record_bytes.saturating_add(more_bytes);
        if let Some(joined) = new.joined {
            tables.members.insert((joined, new.vault));
        }
        if let Some(left) = new.left {
            tables.members.remove(&(left, new.vault));
        }
        Ok(Appended::Appended)
    }

    fn reserve(&self, blob: &Blob, room: QuotaRoom, now: UnixTime) -> Result<Reserve, LedgerError> {
        let mut tables = self.tables();
        if !tables.vaults.contains_key(&blob.vault) {
            return Ok(Reserve::NoSuchVault);
        }
        let payer = tables.payer(&blob.vault)?.clone();
        let key = (blob.vault, blob.pack);
        let record = tables.packs.get(&key).copied();
        let Some(charged_bytes) = decide::upload_charge(blob.size, record.as_ref()) else {
            drop(tables);
            self.renew_leases(&blob.vault, &[blob.pack], now)?;
            return Ok(Reserve::There);
        };
        let reserved = tables.reserved(&payer.id);
        if let Some(fullness) = decide::over_quota(&payer, reserved, charged_bytes, room) {
            return Ok(Reserve::OverQuota(fullness));
        }
        *tables.reserved.entry(payer.id).or_default() += charged_bytes;
        Ok(Reserve::Reserved(Reservation {
            blob: *blob,
            payer: payer.id,
            charged_bytes,
            room,
        }))
    }

    fn still_fits(&self, reservation: &Reservation) -> Result<Option<Fullness>, LedgerError> {
        let mut tables = self.tables();
        let reserved = tables.reserved(&reservation.payer);
        let payer = tables.payer(&reservation.blob.vault)?;
        let room = reservation.room;
        let charged_bytes = reservation.charged_bytes;
        let others = reserved.saturating_sub(charged_bytes);
        Ok(decide::over_quota(payer, others, charged_bytes, room))
    }

    fn release(&self, reservation: Reservation) {
        self.tables().give_back(&reservation);
    }

    fn record_pack(&self, reservation: Reservation, now: UnixTime) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        tables.give_back(&reservation);
        let Blob { vault, pack, size } = reservation.blob;
        let record = tables.packs.get(&(vault, pack));
        let state = decide::uploaded(record, now, &self.terms);
        tables.set_pack(&vault, &pack, size, Some(state))
    }

    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Option<Pack>>, LedgerError> {
        Ok(self.tables().packs(vault, packs))
    }

    fn renew_leases(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Option<Pack>>, LedgerError> {
        let mut tables = self.tables();
        let records = tables.packs(vault, packs);
        for (pack, record) in packs.iter().zip(&records) {
            let Some(record) = record else { continue };
            if let Some(state) = decide::renewed(record.state, now, &self.terms) {
                tables.set_pack(vault, pack, record.size, Some(state))?;
            }
        }
        Ok(records)
    }

    fn visit_packs(
        &self,
        vault: Option<&VaultId>,
        visit: &mut dyn FnMut(&VaultId, &PackId, &Pack) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        let packs = self.tables().packs.clone();
        packs
            .iter()
            .filter(|((of, _), _)| vault.is_none_or(|vault| vault == of))
            .try_for_each(|((vault, pack), record)| visit(vault, pack, record))
    }

    fn doom(&self, now: UnixTime, limit: usize) -> Result<Vec<Blob>, LedgerError> {
        let mut tables = self.tables();
        let due: Vec<_> = tables
            .packs
            .iter()
            .filter_map(|((vault, pack), record)| {
                let due = record.state.due().filter(|due| *due <= now)?;
                let size = record.size;
                Some((
                    Blob {
                        vault: *vault,
                        pack: *pack,
                        size,
                    },
                    due,
                ))
            })
            .take(limit)
            .collect();
        for (Blob { vault, pack, size }, due) in &due {
            let doomed = PackState::Doomed { due: *due };
            tables.set_pack(vault, pack, *size, Some(doomed))?;
        }
        Ok(due.into_iter().map(|(blob, _)| blob).collect())
    }

    fn forget(&self, blob: &Blob) -> Result<bool, LedgerError> {
        let mut tables = self.tables();
        let record = tables.packs.get(&(blob.vault, blob.pack));
        let doomed = record.is_some_and(|pack| matches!(pack.state, PackState::Doomed { .. }));
        if doomed {
            tables.set_pack(&blob.vault, &blob.pack, blob.size, None)?;
        }
        Ok(doomed)
    }

    fn mark_lost(&self, blob: &Blob) -> Result<(), LedgerError> {
        let mut tables = self.tables();
        let Some(record) = tables.packs.get(&(blob.vault, blob.pack)).copied() else {
            return Ok(());
        };
        let to = decide::without_blob(record.state);
        tables.set_pack(&blob.vault, &blob.pack, record.size, to)
    }

    fn commit_head(&self, commit: &HeadCommit<'_>) -> Result<Commit, LedgerError> {
        let mut tables = self.tables();
        let adds = tables.packs(&commit.vault, commit.adds);
        let removes = tables.packs(&commit.vault, commit.removes);
        let Some((vault, _)) = tables.vaults.get(&commit.vault) else {
            return Ok(Commit::NoSuchVault);
        };
        let vault = *vault;
        let accepted = tables.heads.get(&(commit.vault, commit.head.seq));
        if accepted.is_some_and(|head| head.hash == commit.head.hash) {
            return Ok(Commit::Accepted);
        }
        if let Some(lost) = decide::race(commit, &vault) {
            return Ok(lost);
        }
        let reserved = tables.reserved(&vault.creator);
        let payer = tables.payer(&commit.vault)?;
        let plan = match decide::commit(commit, payer, reserved, &adds, &removes, &self.terms) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };
        payer.record_bytes = payer.record_bytes.saturating_add(plan.record_bytes);
        for step in &plan.steps {
            tables.set_pack(&commit.vault, &step.pack, step.size, Some(step.to))?;
        }
        if let Some(old) = vault.head
            && let Some((_, until)) = tables.roots.get_mut(&(commit.vault, old.seq))
        {
            *until = Some(commit.now.plus(self.terms.grace));
        }
        let key = (commit.vault, commit.head.seq);
        tables.roots.insert(key, (commit.root.to_vec(), None));
        tables.heads.insert(key, decide::head_record(commit, &plan));
        if let Some((vault, _)) = tables.vaults.get_mut(&commit.vault) {
            vault.head = Some(commit.head);
        }
        Ok(Commit::Accepted)
    }

    fn head(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadRecord>, LedgerError> {
        Ok(self.tables().heads.get(&(*vault, seq)).cloned())
    }

    fn root(&self, vault: &VaultId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let tables = self.tables();
        Ok(tables
            .roots
            .get(&(*vault, seq))
            .map(|(root, _)| root.clone()))
    }

    fn drop_due_roots(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError> {
        let mut tables = self.tables();
        let due = tables
            .roots
            .iter()
            .filter(|(_, (_, until))| until.is_some_and(|until| until <= now));
        let due: Vec<_> = due.map(|(key, _)| *key).take(limit).collect();
        for key in &due {
            let root_bytes = tables.roots.remove(key).map_or(0, |(root, _)| root.len());
            let payer = tables.payer(&key.0)?;
            payer.record_bytes = payer.record_bytes.saturating_sub(root_bytes as u64);
        }
        Ok(due.len() as u64)
    }

    fn stats(&self, now: UnixTime) -> Result<LedgerStats, LedgerError> {
        let tables = self.tables();
        let mut stats = LedgerStats {
            accounts: tables.accounts.len() as u64,
            vaults: tables.vaults.len() as u64,
            packs: tables.packs.len() as u64,
            usage: Usage::default(),
            open_invitations: 0,
        };
        for (account, _) in tables.accounts.values() {
            stats.usage.add(&account.usage);
        }
        let invitations = tables.invitations.values();
        let open = invitations.filter(|invitation| invitation.is_open(now));
        stats.open_invitations = open.count() as u64;
        Ok(stats)
    }
}
