//! The ledger in RocksDB.

mod accounts;
mod heads;
mod indexes;
mod inspection;
mod links;
mod offers;
mod packs;
mod vaults;

use std::{
    collections::{BTreeMap, HashMap, btree_map::Entry},
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use vault_proto::ids::{AccountId, PackId, VaultId};

use super::{
    keys::{self, Due},
    rocks::{Batch, Rocks, Stripes, Table},
    rows::Record,
};
use crate::{
    clock::UnixTime,
    store::{
        decide,
        ledger::{AccountLedger, Ledger, LedgerError, Reservation, Terms, Urgency, VaultLedger},
        records::{Account, Fullness, Invitation, LedgerStats, Pack, PackState, Standing, Vault},
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
    /// By who is added to a vault. Taken after a payer's.
    joining: Stripes,
    /// Taken after a payer's.
    links: Stripes,
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

const NO_VAULT: LedgerError = LedgerError::Damaged("a member of no vault");

/// What a locked vault is changed under.
struct Locked<'a> {
    vault: Vault,
    payer: Account,
    _guard: Vec<MutexGuard<'a, ()>>,
}

/// Accounts that one batch changes, each read once. They are locked.
#[derive(Default)]
struct Changed(BTreeMap<AccountId, Account>);

impl Changed {
    fn note(&mut self, account: Option<Account>) {
        self.0.extend(account.map(|account| (account.id, account)));
    }

    fn account(
        &mut self,
        ledger: &EmbeddedLedger,
        id: &AccountId,
    ) -> Result<&mut Account, LedgerError> {
        match self.0.entry(*id) {
            Entry::Occupied(there) => Ok(there.into_mut()),
            Entry::Vacant(vacant) => {
                let account = ledger.account(id)?;
                Ok(vacant.insert(account.ok_or(LedgerError::Damaged("no account"))?))
            }
        }
    }
}

impl EmbeddedLedger {
    pub(super) fn new(rocks: Rocks, terms: Terms) -> Self {
        Self {
            rocks,
            terms,
            payers: Stripes::default(),
            invitations: Stripes::default(),
            joining: Stripes::default(),
            links: Stripes::default(),
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
        self.lock_with(id, &[])
    }

    /// As [`lock`](Self::lock), and the locks of these accounts with it.
    fn lock_with(
        &self,
        id: &VaultId,
        others: &[AccountId],
    ) -> Result<Option<Locked<'_>>, LedgerError> {
        let Some(vault) = self.vault(id)? else {
            return Ok(None);
        };
        // Who created a vault never changes: the lock can be chosen by what was
        // read before it was held.
        let accounts = others.iter().chain([&vault.creator]);
        let guard = self.payers.lock_all(accounts.map(AccountId::as_bytes));
        let damaged = LedgerError::Damaged("a vault without its creator");
        Ok(Some(Locked {
            vault: self
                .vault(id)?
                .ok_or(LedgerError::Damaged("a vault is gone"))?,
            payer: self.account(&vault.creator)?.ok_or(damaged)?,
            _guard: guard,
        }))
    }

    /// The vaults that an account is a member of, with the locks of those who pay
    /// for them, of the account and of `other`.
    fn lock_vaults_of(
        &self,
        account: &AccountId,
        other: &AccountId,
    ) -> Result<(Vec<Vault>, Vec<MutexGuard<'_, ()>>), LedgerError> {
        let read = || {
            let ids = self.vaults_of(account)?;
            let vaults = ids.iter().map(|id| self.vault(id)?.ok_or(NO_VAULT));
            vaults.collect::<Result<Vec<_>, _>>()
        };
        let mut vaults = read()?;
        loop {
            let payers = vaults.iter().map(|vault| &vault.creator);
            let accounts = payers.chain([account, other]);
            let guards = self.payers.lock_all(accounts.map(AccountId::as_bytes));
            // It may have come into another meanwhile; not with a link of its own
            // any more, once it is locked.
            let now = read()?;
            let locked = |vault: &Vault| vaults.iter().any(|other| other.creator == vault.creator);
            if now.iter().all(locked) {
                return Ok((now, guards));
            }
            vaults = now;
        }
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

    /// Counts an entry; what is full if there is no room for it.
    fn add_records(&self, payer: &mut Account, entry: &[u8], urgency: Urgency) -> Option<Fullness> {
        let more_bytes = decide::entry_bytes(entry);
        let refused = decide::entry_refused(payer, more_bytes, urgency, &self.terms);
        if refused.is_some() {
            return refused;
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

    fn put_changed(&mut self, changed: &Changed) {
        for account in changed.0.values() {
            self.put_account(account);
        }
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
    fn stats(&self, now: UnixTime) -> Result<LedgerStats, LedgerError> {
        let mut stats = LedgerStats::default();
        self.rocks.visit(Table::Accounts, &[], |_, row| {
            // The key is not needed for a sum.
            let account = Account::from_row(AccountId::from_array([0; 32]), row)?;
            match account.standing {
                Standing::Member => stats.accounts += 1,
                Standing::Guest { .. } => stats.guests += 1,
            }
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

/// The ids of packs end to end.
fn concatenated(packs: &[PackId]) -> Vec<u8> {
    packs.iter().flat_map(|pack| *pack.as_bytes()).collect()
}
