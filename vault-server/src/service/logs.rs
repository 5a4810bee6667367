//! Verified logs, kept in memory while they are used.
//!
//! The ledger stores entries; here they are verified, again after every start:
//! a hoster that checks what it stores notices its own disk failing.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
        let is_current = |log: &AccountLog| log.position().seq >= account.log_seq;
        let log = self.accounts.current(*id, is_current, |mut log| {
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
            let log = log.ok_or(LedgerError::Damaged("an account without a log"))?;
            let bytes = encoded_bytes(log.entries());
            Ok::<_, Refusal>((log, bytes))
        });
        log.map(Some)
    }

    /// A vault's log; `None` if there is no such vault here.
    pub(crate) fn vault(&self, id: &VaultId) -> Result<Option<Arc<VaultLog>>, Refusal> {
        let Some(vault) = self.ledger.vault(id)? else {
            return Ok(None);
        };
        let is_current = |log: &VaultLog| log.position().seq >= vault.log_seq;
        let log = self.vaults.current(*id, is_current, |mut log| {
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
            let log = log.ok_or(LedgerError::Damaged("a vault without a log"))?;
            let bytes = encoded_bytes(log.entries());
            Ok::<_, Refusal>((log, bytes))
        });
        log.map(Some)
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

fn encoded_bytes(entries: &[SignedEntry]) -> usize {
    entries.iter().map(Message::encoded_len).sum()
}

/// The logs that were used last. To verify a long one again costs seconds of a thread,
/// of which there are not many: it is done once, however many calls want it.
struct Cache<K, V> {
    kept: Mutex<Kept<K, V>>,
    /// Held while a log is verified. Those of vaults before those of accounts.
    verifying: [Mutex<()>; 64],
    hasher: RandomState,
}

struct Kept<K, V> {
    logs: HashMap<K, Log<V>>,
    bytes: usize,
    /// Counts uses.
    time: u64,
}

struct Log<V> {
    log: Arc<V>,
    bytes: usize,
    used: u64,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                logs: HashMap::new(),
                bytes: 0,
                time: 0,
            }),
            verifying: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl<K: Eq + Hash + Copy, V: Clone> Cache<K, V> {
    /// Of encoded entries, as many as the longest log has; verified ones take up to
    /// twice as much.
    const MOST_BYTES: usize = 32 << 20;

    /// The log that is kept, if it is current; else what `verify` makes of it, with
    /// the bytes of its entries.
    fn current<E>(
        &self,
        key: K,
        is_current: impl Fn(&V) -> bool,
        verify: impl FnOnce(Option<V>) -> Result<(V, usize), E>,
    ) -> Result<Arc<V>, E> {
        if let Some(log) = self.kept(&key).filter(|log| is_current(log)) {
            return Ok(log);
        }
        let stripe = self.hasher.hash_one(key) % self.verifying.len() as u64;
        let stripe = &self.verifying[stripe as usize];
        let _verifying = stripe.lock().unwrap_or_else(PoisonError::into_inner);
        // Another call may have done it meanwhile.
        let known = self.kept(&key);
        if let Some(log) = known.as_ref().filter(|log| is_current(log)) {
            return Ok(Arc::clone(log));
        }
        let (log, bytes) = verify(known.map(Arc::unwrap_or_clone))?;
        let log = Arc::new(log);
        self.keep(key, &log, bytes);
        Ok(log)
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K, V>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self, key: &K) -> Option<Arc<V>> {
        let kept = &mut *self.lock();
        kept.time += 1;
        let found = kept.logs.get_mut(key)?;
        found.used = kept.time;
        Some(Arc::clone(&found.log))
    }

    fn keep(&self, key: K, log: &Arc<V>, bytes: usize) {
        let kept = &mut *self.lock();
        kept.time += 1;
        kept.bytes += bytes;
        let log = Log {
            log: Arc::clone(log),
            bytes,
            used: kept.time,
        };
        if let Some(old) = kept.logs.insert(key, log) {
            kept.bytes -= old.bytes;
        }
        // The newest stays, however long it is.
        while kept.bytes > Self::MOST_BYTES && kept.logs.len() > 1 {
            let oldest = kept.logs.iter().min_by_key(|(_, log)| log.used);
            let oldest = oldest.map(|(key, _)| *key);
            let dropped = oldest.and_then(|key| kept.logs.remove(&key));
            kept.bytes -= dropped.map_or(0, |log| log.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
        thread,
        time::Duration,
    };

    use super::*;

    const A_MIB: usize = 1 << 20;

    /// A cache of numbers, and how often one was made.
    #[derive(Default)]
    struct Numbers {
        cache: Cache<u8, u64>,
        made: AtomicUsize,
    }

    impl Numbers {
        /// The number under this name, which is at least `least` and has so many bytes.
        fn ask(&self, name: u8, least: u64, bytes: usize) -> u64 {
            let verify = |known: Option<u64>| {
                self.made.fetch_add(1, Ordering::SeqCst);
                thread::park_timeout(Duration::from_millis(20));
                Ok::<_, Infallible>((known.unwrap_or(0).max(least), bytes))
            };
            let Ok(found) = self.cache.current(name, |number| *number >= least, verify);
            *found
        }

        fn made(&self) -> usize {
            self.made.swap(0, Ordering::SeqCst)
        }
    }

    #[test]
    fn a_log_is_verified_once_however_many_want_it() {
        let numbers = Numbers::default();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(numbers.ask(1, 5, A_MIB), 5));
            }
        });
        assert_eq!(numbers.made(), 1);
        // One that has grown since is continued.
        assert_eq!(numbers.ask(1, 7, A_MIB), 7);
        assert_eq!(numbers.ask(1, 6, A_MIB), 7);
        assert_eq!(numbers.made(), 1);
    }

    #[test]
    fn the_logs_that_were_used_last_are_kept() {
        let numbers = Numbers::default();
        for name in 0..3 {
            numbers.ask(name, 1, 10 * A_MIB);
        }
        assert_eq!(numbers.made(), 3);
        numbers.ask(0, 1, 0);
        // Two of those make room for this one: not the one that was just used.
        numbers.ask(3, 1, 15 * A_MIB);
        assert_eq!(numbers.made(), 1);
        numbers.ask(0, 1, 0);
        numbers.ask(3, 1, 0);
        assert_eq!(numbers.made(), 0);
        numbers.ask(1, 1, 5 * A_MIB);
        assert_eq!(numbers.made(), 1);
        // One that is longer than all together may be is kept alone.
        numbers.ask(9, 1, 50 * A_MIB);
        numbers.ask(9, 1, 50 * A_MIB);
        assert_eq!(numbers.made(), 1);
        let kept = numbers.cache.lock();
        assert_eq!((kept.logs.len(), kept.bytes), (1, 50 * A_MIB));
    }
}
