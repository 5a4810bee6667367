//! Verified logs, kept in memory while they are used.
//!
//! The ledger stores entries; here they are verified, again after every start:
//! a hoster that checks what it stores notices its own disk failing.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use prost::Message;
use vault_proto::{
    account_log::{AccountLog, AccountLogs},
    head::HeadError,
    ids::{AccountId, VaultId},
    vault_log::{VaultLog, VaultLogError},
    wire::SignedEntry,
};

use super::refusal::Refusal;
use crate::store::{Ledger, LedgerError};

/// How many bytes of entries are read from the ledger at a time.
const READ_BYTES: usize = 1 << 20;

/// The logs of accounts and vaults, as long as the ledger has them.
pub(crate) struct Logs {
    ledger: Arc<dyn Ledger>,
    accounts: Cache<AccountId, AccountLog>,
    vaults: Cache<VaultId, VaultLog>,
}

/// Some accounts' logs.
#[derive(Default)]
pub(crate) struct Accounts(BTreeMap<AccountId, Arc<AccountLog>>);

impl AccountLogs for Accounts {
    fn account_log(&self, account: &AccountId) -> Option<&AccountLog> {
        self.0.get(account).map(|log| &**log)
    }
}

impl Logs {
    pub(crate) fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self {
            ledger,
            accounts: Cache::default(),
            vaults: Cache::default(),
        }
    }

    /// An account's log; `None` if there is no such account here.
    pub(crate) fn account(&self, id: &AccountId) -> Result<Option<Arc<AccountLog>>, Refusal> {
        let Some(account) = self.ledger.account(id)? else {
            return Ok(None);
        };
        let cached = self.accounts.cached(id);
        if let Some(log) = cached
            .as_ref()
            .filter(|log| log.position().seq == account.log_seq)
        {
            return Ok(Some(Arc::clone(log)));
        }
        let mut log = cached.map(|log| AccountLog::clone(&log));
        loop {
            let after = log.as_ref().map_or(0, |log| log.position().seq);
            let entries = self.ledger.account_entries(id, after, READ_BYTES)?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                let entry = decode(entry)?;
                match &mut log {
                    None => log = Some(AccountLog::verify_genesis(&entry).map_err(damaged)?),
                    Some(log) => log.append(&entry).map_err(damaged)?,
                }
            }
        }
        let log = Arc::new(log.ok_or(LedgerError::Damaged("an account without a log"))?);
        self.accounts.keep(*id, &log, log.entries());
        Ok(Some(log))
    }

    /// A vault's log; `None` if there is no such vault here.
    pub(crate) fn vault(&self, id: &VaultId) -> Result<Option<Arc<VaultLog>>, Refusal> {
        let Some(vault) = self.ledger.vault(id)? else {
            return Ok(None);
        };
        let cached = self.vaults.cached(id);
        if let Some(log) = cached
            .as_ref()
            .filter(|log| log.position().seq == vault.log_seq)
        {
            return Ok(Some(Arc::clone(log)));
        }
        let mut log = cached.map(|log| VaultLog::clone(&log));
        loop {
            let after = log.as_ref().map_or(0, |log| log.position().seq);
            let entries = self.ledger.vault_entries(id, after, READ_BYTES)?;
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                let entry = decode(entry)?;
                match &mut log {
                    None => log = Some(self.vault_genesis(&entry)?.map_err(damaged)?),
                    Some(log) => self.append(log, &entry)?.map_err(damaged)?,
                }
            }
        }
        let log = Arc::new(log.ok_or(LedgerError::Damaged("a vault without a log"))?);
        self.vaults.keep(*id, &log, log.entries());
        Ok(Some(log))
    }

    /// Verifies a vault's genesis with the account logs that it refers to.
    pub(crate) fn vault_genesis(
        &self,
        entry: &SignedEntry,
    ) -> Result<Result<VaultLog, VaultLogError>, Refusal> {
        self.with_accounts(
            |accounts| VaultLog::verify_genesis(entry, accounts),
            missing_from_entry,
        )
    }

    /// Verifies and appends an entry with the account logs that it refers to.
    pub(crate) fn append(
        &self,
        log: &mut VaultLog,
        entry: &SignedEntry,
    ) -> Result<Result<(), VaultLogError>, Refusal> {
        self.with_accounts(|accounts| log.append(entry, accounts), missing_from_entry)
    }

    /// Verifies a head with the account logs that it refers to.
    pub(crate) fn with_author<T>(
        &self,
        verify: impl FnMut(&Accounts) -> Result<T, HeadError>,
    ) -> Result<Result<T, HeadError>, Refusal> {
        self.with_accounts(verify, |error| match error {
            HeadError::AccountLogMissing { account } => Some(*account),
            _ => None,
        })
    }

    /// Calls `verify` with more and more account logs, as long as it names one
    /// that is missing and that is here.
    fn with_accounts<T, E>(
        &self,
        mut verify: impl FnMut(&Accounts) -> Result<T, E>,
        missing: impl Fn(&E) -> Option<AccountId>,
    ) -> Result<Result<T, E>, Refusal> {
        let mut accounts = Accounts::default();
        loop {
            let result = verify(&accounts);
            let Some(account) = result.as_ref().err().and_then(&missing) else {
                return Ok(result);
            };
            let Some(log) = self.account(&account)? else {
                return Ok(result);
            };
            if accounts.0.insert(account, log).is_some() {
                return Ok(result);
            }
        }
    }
}

fn missing_from_entry(error: &VaultLogError) -> Option<AccountId> {
    match error {
        VaultLogError::AccountLogMissing { account } => Some(*account),
        _ => None,
    }
}

fn decode(entry: &[u8]) -> Result<SignedEntry, Refusal> {
    let entry = SignedEntry::decode(entry);
    entry.map_err(|_| LedgerError::Damaged("an entry does not decode").into())
}

/// What was verified when it came does not verify any more.
fn damaged(error: impl std::error::Error) -> Refusal {
    Refusal::internal(&error)
}

/// The most recent logs. When they have too many bytes it begins anew: to read a
/// log again costs milliseconds.
struct Cache<K, V>(Mutex<Kept<K, V>>);

struct Kept<K, V> {
    logs: HashMap<K, (Arc<V>, usize)>,
    bytes: usize,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Kept {
            logs: HashMap::new(),
            bytes: 0,
        }))
    }
}

impl<K: Eq + Hash + Copy, V> Cache<K, V> {
    /// Of encoded entries; verified ones take up to twice as much.
    const MOST_BYTES: usize = 8 << 20;

    fn cached(&self, key: &K) -> Option<Arc<V>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.logs.get(key).map(|(log, _)| Arc::clone(log))
    }

    fn keep(&self, key: K, log: &Arc<V>, entries: &[SignedEntry]) {
        let bytes: usize = entries.iter().map(Message::encoded_len).sum();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, old)) = kept.logs.remove(&key) {
            kept.bytes -= old;
        }
        if kept.bytes + bytes > Self::MOST_BYTES {
            kept.logs.clear();
            kept.bytes = 0;
        }
        kept.bytes += bytes;
        kept.logs.insert(key, (Arc::clone(log), bytes));
    }
}
