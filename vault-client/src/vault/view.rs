//! A vault's verified state in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_core::aead::OpenError;
use vault_core::keys::{AccountSecrets, AccountSecretsError, VaultKeys, VaultKeysError};
use vault_core::root::{FORMAT_VERSION, OpenRootError, open_root};
use vault_proto::account_log::AccountLog;
use vault_proto::head::{Head, HeadError, SeenHeads};
use vault_proto::ids::{AccountId, DeviceId, RootHash, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::{VaultKind, VaultLog};
use vault_proto::wire::{Root, SignedEntry};

use super::{Member, VaultError};
use crate::remote::SyncRequest;
use crate::state::StateError;

/// What is verified of a vault, opened.
#[derive(Clone)]
pub(super) struct View {
    pub(super) vault_log: VaultLog,
    /// Of every account that the vault log refers to.
    pub(super) accounts: BTreeMap<AccountId, AccountLog>,
    pub(super) seen: SeenHeads,
    /// What the newest head signs for, if it can be read.
    pub(super) root: Result<Root, UnreadableRoot>,
    /// Closed where another member has sent this one noise.
    pub(super) keys: Result<Arc<VaultKeys>, VaultKeysError>,
}

/// A root that a member has sealed and that is not read: it does not open, needs a newer
/// program, or its head took the place of another one and its maker was put out there.
/// The head is in order, and so are the logs: members and keys can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("head {head}, which device {device} of account {account} has committed: {error}")]
pub struct UnreadableRoot {
    /// The number of the head that names it.
    pub head: u64,
    /// Whose device committed it.
    pub account: AccountId,
    /// Which.
    pub device: DeviceId,
    /// Why it is not read.
    pub error: RootError,
    /// What kind of vault it is.
    pub kind: VaultKind,
}

/// Why a root is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenRootError),
    /// [`Head::check_not_put_out`]
    #[error("it takes the place of a head behind which its maker was put out")]
    PutOut,
}

/// How far a view reaches: the newest head, and the newest vault entry.
pub(super) type Place = (Option<HeadPosition>, u64);

impl View {
    pub(super) fn root(&self) -> Result<&Root, VaultError> {
        self.root.as_ref().map_err(|unreadable| {
            let epoch = self.seen.newest().map(|head| head.epoch);
            let keys = self.keys.as_ref().map_err(|error| *error);
            let closed = keys.map_or_else(Some, |keys| keys.closed_epoch(epoch?));
            closed.map_or(VaultError::Unreadable(*unreadable), VaultError::VaultKeys)
        })
    }

    pub(super) fn keys(&self) -> Result<&Arc<VaultKeys>, VaultKeysError> {
        self.keys.as_ref().map_err(|error| *error)
    }

    pub(super) fn place(&self) -> Place {
        (self.seen.position(), self.vault_log.position().seq)
    }

    /// Asks for the way from head `newest` to the one after `known`, and for what
    /// `newest` signs for.
    pub(super) fn asks_between(&self, known: u64, newest: u64) -> SyncRequest {
        let accounts = self.accounts.iter();
        SyncRequest {
            vault: self.vault_log.id(),
            vault_log_seq: self.vault_log.position().seq,
            head_seq: known,
            accounts: accounts
                .map(|(account, log)| (*account, log.position().seq))
                .collect(),
            without_root: false,
            until_head_seq: newest,
        }
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
    ///
    /// What a member has sealed so that it does not open is kept as closed: it must
    /// not keep anybody from removing him.
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
                match VaultKeys::open(&vault_log, &secrets) {
                    Err(error) if !error.is_closed() => return Err(error.into()),
                    keys => keys.map(Arc::new),
                }
            }
        };
        let root = match (seen.newest(), before) {
            (None, _) => Ok(empty_root()),
            // With other keys it may open.
            (Some(_), Some(before)) if before.seen == seen && before.root.is_ok() => {
                before.root.clone()
            }
            (Some(head), _) => {
                let kept = head.check_not_put_out(&vault_log, &accounts);
                read_root(&keys, &vault_log, head, sealed_root, kept)?
            }
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

impl RootError {
    /// Whether a member has done it, and no newer program would read it.
    #[must_use]
    pub fn is_a_members_doing(&self) -> bool {
        !matches!(self, Self::Open(OpenRootError::ReaderTooOld { .. }))
    }
}

/// Opens the root of a verified head, whose maker was `kept` or not.
pub(super) fn read_root(
    keys: &Result<Arc<VaultKeys>, VaultKeysError>,
    log: &VaultLog,
    head: &Head,
    sealed: &[u8],
    kept: Result<(), HeadError>,
) -> Result<Result<Root, UnreadableRoot>, VaultError> {
    let opened = match keys {
        Ok(keys) => open_root(keys, head, sealed),
        Err(_) if RootHash::of(sealed) != head.root => Err(OpenRootError::NotThisRoot),
        Err(_) => Err(OpenRootError::Unopenable(OpenError)),
    };
    match opened {
        Err(error @ OpenRootError::NotThisRoot) => Err(VaultError::Root(error)),
        opened => {
            let put_out = kept.map_err(|_| RootError::PutOut);
            let root = put_out.and_then(|()| Ok(opened?));
            Ok(root.map_err(|error| UnreadableRoot {
                head: head.seq,
                account: head.account,
                device: head.device,
                error,
                kind: log.kind(),
            }))
        }
    }
}

/// What a vault holds before its first commit.
pub(crate) fn empty_root() -> Root {
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
