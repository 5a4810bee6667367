//! A vault's verified state in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_core::keys::{AccountSecrets, AccountSecretsError, VaultKeys};
use vault_core::root::{FORMAT_VERSION, open_root};
use vault_proto::account_log::AccountLog;
use vault_proto::head::SeenHeads;
use vault_proto::ids::{AccountId, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::VaultLog;
use vault_proto::wire::{Root, SignedEntry};

use super::{Member, VaultError};
use crate::state::StateError;

/// What is verified of a vault, opened.
#[derive(Clone)]
pub(super) struct View {
    pub(super) vault_log: VaultLog,
    /// Of every account that the vault log refers to.
    pub(super) accounts: BTreeMap<AccountId, AccountLog>,
    pub(super) seen: SeenHeads,
    pub(super) root: Root,
    pub(super) keys: Arc<VaultKeys>,
}

/// How far a view reaches: the newest head, and the newest vault entry.
pub(super) type Place = (Option<HeadPosition>, u64);

impl View {
    pub(super) fn place(&self) -> Place {
        (self.seen.position(), self.vault_log.position().seq)
    }

    /// What the device has stored; `None` for a vault that it never saw.
    pub(super) fn load(member: &Member, vault: &VaultId) -> Result<Option<Self>, VaultError> {
        let Some(stored) = member.state.stored_vault(vault)? else {
            return Ok(None);
        };
        let damaged = StateError::Damaged("a log that does not verify");
        let mut accounts = BTreeMap::new();
        for (id, entries) in &stored.accounts {
            let log = replay_account(entries).filter(|log| log.id() == *id);
            accounts.insert(*id, log.ok_or(StateError::Damaged("an account's log"))?);
        }
        let vault_log = replay_vault(&stored.vault_entries, &accounts)
            .filter(|log| log.id() == *vault)
            .ok_or(damaged)?;
        let (seen, sealed_root) = match stored.head {
            Some(head) => (head.seen, head.root),
            None => (SeenHeads::none(), Vec::new()),
        };
        Self::open(member, vault_log, accounts, seen, &sealed_root, None).map(Some)
    }

    /// Opens keys and root of what is verified. What `before` has opened is
    /// taken over where nothing has changed.
    pub(super) fn open(
        member: &Member,
        vault_log: VaultLog,
        accounts: BTreeMap<AccountId, AccountLog>,
        seen: SeenHeads,
        sealed_root: &[u8],
        before: Option<&Self>,
    ) -> Result<Self, VaultError> {
        let same_keys = before.filter(|before| {
            let generation = |accounts: &BTreeMap<AccountId, AccountLog>| {
                accounts
                    .get(&member.account)
                    .map(|log| log.account_key().generation)
            };
            before.vault_log.position() == vault_log.position()
                && generation(&before.accounts) == generation(&accounts)
        });
        let keys = match same_keys {
            Some(before) => before.keys.clone(),
            None => {
                let own = accounts
                    .get(&member.account)
                    .ok_or(AccountSecretsError::NotADevice)?;
                let secrets = AccountSecrets::open(own, &member.device)?;
                Arc::new(VaultKeys::open(&vault_log, &secrets)?)
            }
        };
        let root = match (seen.newest(), before) {
            (None, _) => empty_root(),
            (Some(_), Some(before)) if before.seen == seen => before.root.clone(),
            (Some(head), _) => open_root(&keys, head, sealed_root).map_err(VaultError::Root)?,
        };
        Ok(Self {
            vault_log,
            accounts,
            seen,
            root,
            keys,
        })
    }
}

/// What a vault holds before its first commit.
fn empty_root() -> Root {
    Root {
        minimum_reader: FORMAT_VERSION,
        minimum_writer: FORMAT_VERSION,
        ..Root::default()
    }
}

/// The log that these entries make; `None` where they make none.
pub(crate) fn replay_account(entries: &[SignedEntry]) -> Option<AccountLog> {
    let (genesis, rest) = entries.split_first()?;
    let mut log = AccountLog::verify_genesis(genesis).ok()?;
    for entry in rest {
        log.append(entry).ok()?;
    }
    Some(log)
}

fn replay_vault(
    entries: &[SignedEntry],
    accounts: &BTreeMap<AccountId, AccountLog>,
) -> Option<VaultLog> {
    let (genesis, rest) = entries.split_first()?;
    let mut log = VaultLog::verify_genesis(genesis, accounts).ok()?;
    for entry in rest {
        log.append(entry, accounts).ok()?;
    }
    Some(log)
}
