//! The settings in an account vault: read, and changed in a commit each.

use bytes::Bytes;
use vault_core::chunk::ChunkKind;
use vault_core::settings::{AccountSettings, SettingsError};
use vault_proto::ids::PackId;
use vault_proto::wire::{Located, Root};

use super::AccountError;
use crate::transfer::{TransferError, keep_alone, read_alone, seal_alone};
use crate::vault::{CommitPlan, CommitResult, Vault, VaultError};

/// How often a change is made anew after another device was first.
const RACES: usize = 8;

/// The settings as of the vault's root; empty ones before the first commit.
pub(super) fn read(vault: &Vault) -> Result<AccountSettings, AccountError> {
    let Some(at) = &vault.root()?.settings else {
        return Ok(AccountSettings::default());
    };
    let chunk = read_alone(vault, ChunkKind::Settings, at).map_err(unreadable)?;
    AccountSettings::decode(&chunk).map_err(|_| AccountError::SettingsUnreadable)
}

/// Changes the settings, under the vault's lock and on its newest state, and
/// gives them. A change that changes nothing commits nothing.
pub(super) fn change(
    vault: &mut Vault,
    change: impl Fn(&mut AccountSettings) -> Result<(), SettingsError>,
) -> Result<AccountSettings, AccountError> {
    let _lock = vault.lock()?;
    vault.prepare()?;
    for _ in 0..RACES {
        let before = read(vault)?;
        let mut after = before.clone();
        change(&mut after)?;
        if after == before && vault.head().is_some() {
            return Ok(after);
        }
        let sealed = seal_alone(vault, ChunkKind::Settings, &after.encode())?;
        let (pack, located) = sealed.ok_or(SettingsError::TooLong)?;
        keep_alone(vault, &pack.id, &pack.bytes).map_err(AccountError::Transfer)?;
        let plan = CommitPlan {
            adds: vec![pack.id],
            removes: old_pack(vault.root()?).into_iter().collect(),
            root: next_root(vault, located)?,
        };
        vault
            .remote()
            .put_pack(&vault.id(), &pack.id, Bytes::from(pack.bytes))?;
        match vault.commit(plan) {
            Ok(CommitResult::Committed(_)) => return Ok(after),
            // Another device was first, or one was removed.
            Ok(CommitResult::LostRace | CommitResult::Missing(_))
            | Err(VaultError::RotationDue) => {
                vault.prepare()?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(AccountError::Overtaken)
}

fn next_root(vault: &Vault, settings: Located) -> Result<Root, VaultError> {
    let before = vault.root()?;
    let next_seq = vault.head().map_or(0, |at| at.seq) + 1;
    let old = before.settings.as_ref();
    let old_bytes = old.map_or(0, |old| u64::from(old.pack_size));
    Ok(Root {
        committed: Some(vault.now().to_wire()),
        last_removal_seq: if old.is_some() { next_seq } else { 0 },
        pack_count: (before.pack_count.saturating_add(1)).saturating_sub(u64::from(old.is_some())),
        pack_bytes: (before.pack_bytes)
            .saturating_add(u64::from(settings.pack_size))
            .saturating_sub(old_bytes),
        settings: Some(settings),
        ..before.clone()
    })
}

fn old_pack(root: &Root) -> Option<PackId> {
    PackId::from_slice(&root.settings.as_ref()?.pack).ok()
}

fn unreadable(error: TransferError) -> AccountError {
    match error {
        TransferError::Remote(error) => error.into(),
        TransferError::Altered => AccountError::SettingsAltered,
        error @ (TransferError::Cache(_) | TransferError::State(_)) => {
            AccountError::Transfer(error)
        }
        _ => AccountError::SettingsUnreadable,
    }
}
