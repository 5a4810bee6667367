//! Indexes and sums that directories of older servers do not have.

use std::collections::BTreeMap;

use prost::Message;
use vault_proto::{account_log::AccountLog, ids::AccountId, wire::SignedEntry};

use super::EmbeddedLedger;
use crate::store::{
    embedded::{
        disk::Sync,
        rocks::{Batch, Table},
    },
    ledger::{AccountLedger, LedgerError},
    records::Standing,
};

/// Where it stands which indexes are whole.
const KEY: &[u8] = b"indexes";
/// [`Table::Devices`], and what the logs of a member's guests take.
const WHOLE: &[u8] = b"1";
/// How many accounts are read at a time.
const PAGE: usize = 256;
/// How many bytes of entries are read at a time.
const READ_BYTES: usize = 1 << 20;

impl Batch<'_> {
    /// Notes that all of it is whole, as it is in an empty directory.
    pub(in crate::store::embedded) fn put_whole_indexes(&mut self) {
        self.put(Table::Format, KEY, WHOLE);
    }
}

impl EmbeddedLedger {
    /// Makes the indexes and sums that are not whole, from the logs: once.
    ///
    /// An account whose log does not verify is passed over.
    pub(in crate::store::embedded) fn complete_indexes(&self) -> Result<(), LedgerError> {
        if self.rocks.get(Table::Format, KEY)?.as_deref() == Some(WHOLE) {
            return Ok(());
        }
        let mut last = None;
        let mut guest_bytes: BTreeMap<AccountId, u64> = BTreeMap::new();
        loop {
            let accounts = self.accounts(last.as_ref(), PAGE)?;
            let mut batch = self.rocks.batch();
            for account in &accounts {
                // Guests are found where their home is.
                if let Standing::Guest { brought_by } = account.standing {
                    *guest_bytes.entry(brought_by).or_default() += account.record_bytes;
                    continue;
                }
                let Some(log) = self.stored_log(&account.id)? else {
                    tracing::error!(account = %account.id, "its log is damaged");
                    continue;
                };
                for device in log.devices() {
                    let id = device.public.id();
                    batch.put(Table::Devices, id.as_bytes(), account.id.as_bytes());
                }
            }
            batch.write(Sync::Later)?;
            last = accounts.last().map(|account| account.id);
            if accounts.len() < PAGE {
                break;
            }
        }
        let mut batch = self.rocks.batch();
        for (sponsor, bytes) in guest_bytes {
            if let Some(mut account) = self.account(&sponsor)? {
                account.guest_bytes = bytes;
                batch.put_account(&account);
            }
        }
        batch.put_whole_indexes();
        Ok(batch.write(Sync::Now)?)
    }

    /// An account's log; `None` if it does not verify.
    fn stored_log(&self, id: &AccountId) -> Result<Option<AccountLog>, LedgerError> {
        let mut log: Option<AccountLog> = None;
        loop {
            let after = log.as_ref().map_or(0, |log| log.position().seq);
            let entries = self.account_entries(id, after, READ_BYTES)?;
            if entries.is_empty() {
                return Ok(log);
            }
            for entry in &entries {
                let Ok(entry) = SignedEntry::decode(&entry[..]) else {
                    return Ok(None);
                };
                let verified = match &mut log {
                    None => AccountLog::verify_genesis(&entry).map(|begun| log = Some(begun)),
                    Some(log) => log.append(&entry),
                };
                if verified.is_err() {
                    return Ok(None);
                }
            }
        }
    }
}
