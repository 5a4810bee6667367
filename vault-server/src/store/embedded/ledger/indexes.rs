//! What directories of older servers lack: indexes, sums, and of links with which
//! device they were made.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use vault_proto::{
    account_log::AccountLog,
    ids::{AccountId, VaultId},
    wire::SignedEntry,
};

use super::EmbeddedLedger;
use crate::store::{
    embedded::{
        disk::Sync,
        rocks::{Batch, Table},
        rows::Record,
    },
    ledger::{AccountLedger, LedgerError},
    records::{Link, LinkId, Standing},
};

/// Where it stands which indexes are whole.
const KEY: &[u8] = b"indexes";
/// [`Table::Devices`], and what the logs of a member's guests take.
const WITH_DEVICES: &[u8] = b"1";
/// These, and no link is left that a removed device may have made.
const WHOLE: &[u8] = b"2";
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
    /// Makes the indexes and sums that are not whole, from the logs, and ends links
    /// that a removed device may have made: once.
    pub(in crate::store::embedded) fn complete_indexes(&self) -> Result<(), LedgerError> {
        match self.rocks.get(Table::Format, KEY)?.as_deref() {
            Some(WHOLE) => return Ok(()),
            Some(WITH_DEVICES) => {}
            _ => self.complete_devices()?,
        }
        self.end_links_of_removed_devices()?;
        let mut batch = self.rocks.batch();
        batch.put_whole_indexes();
        Ok(batch.write(Sync::Now)?)
    }

    /// An account whose log does not verify is passed over.
    fn complete_devices(&self) -> Result<(), LedgerError> {
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
        Ok(batch.write(Sync::Later)?)
    }

    /// Of links that were made before it was noted with which device, those go whose
    /// maker has removed one, or cannot be asked.
    fn end_links_of_removed_devices(&self) -> Result<(), LedgerError> {
        let mut makers: BTreeMap<AccountId, BTreeSet<VaultId>> = BTreeMap::new();
        self.rocks.visit(Table::Links, &[], |key, row| {
            let id = key.try_into();
            let id = id.map_err(|_| LedgerError::Damaged("a key is no link"))?;
            let link = Link::from_row(LinkId(id), row)?;
            if link.device.is_none() {
                makers.entry(link.account).or_default().insert(link.vault);
            }
            Ok::<_, LedgerError>(true)
        })?;
        for (maker, vaults) in makers {
            let log = self.stored_log(&maker)?;
            let all_active = log.is_some_and(|log| {
                let mut devices = log.devices();
                devices.all(|device| device.removed_seq.is_none())
            });
            if all_active {
                continue;
            }
            for vault in vaults {
                let which = |link: &Link| link.account == maker && link.device.is_none();
                self.drop_links(&vault, which)?;
            }
        }
        Ok(())
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
