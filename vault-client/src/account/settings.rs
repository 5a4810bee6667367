//! The settings in an account vault: read, and changed in a commit each.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::pack::{FinishedPack, MAX_PACK_LEN, PackBuilder};
use vault_core::seal::{CompressionLevel, Compressor};
use vault_core::settings::{AccountSettings, SettingsError};
use vault_proto::ids::PackId;
use vault_proto::wire::{Located, Root};

use super::AccountError;
use crate::platform::Rng;
use crate::remote::PackRange;
use crate::vault::{CommitPlan, CommitResult, Vault, VaultError};

/// How often a change is made anew after another device was first.
const RACES: usize = 8;

/// The settings as of the vault's root; empty ones before the first commit.
pub(super) fn read(vault: &Vault) -> Result<AccountSettings, AccountError> {
    let Some(at) = &vault.root().settings else {
        return Ok(AccountSettings::default());
    };
    let place = Place::of(at).ok_or(AccountError::SettingsUnreadable)?;
    // Whole, as all that is small is read.
    let whole = PackRange {
        pack: place.pack,
        offset: 0,
        length: at.pack_size,
    };
    let mut pack = Vec::with_capacity(at.pack_size as usize);
    vault
        .remote()
        .read_packs(&vault.id(), &[whole], &mut |bytes| {
            pack.extend_from_slice(&bytes);
            ControlFlow::Continue(())
        })?;
    let sealed = &pack[place.sealed];
    if blake3::hash(sealed).as_bytes()[..] != at.sealed_hash {
        return Err(AccountError::SettingsAltered);
    }
    let chunk = vault
        .keys()
        .open_chunk(at.epoch, ChunkKind::Settings, &place.chunk, sealed)
        .map_err(|_| AccountError::SettingsUnreadable)?;
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
        let (pack, located) = seal(vault, &after)?;
        let plan = CommitPlan {
            adds: vec![pack.id],
            removes: old_pack(vault.root()).into_iter().collect(),
            root: next_root(vault, located),
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

/// A pack that holds the settings alone.
fn seal(
    vault: &Vault,
    settings: &AccountSettings,
) -> Result<(FinishedPack, Located), AccountError> {
    let keys = vault.keys();
    let epoch = keys.current_epoch();
    let plaintext = settings.encode();
    let id = keys.chunk_id(ChunkKind::Settings, &plaintext);
    let mut rng = Rng::new(vault.randomness());
    let mut builder = PackBuilder::new(Arc::clone(&keys), epoch);
    let mut compressor = Compressor::new(CompressionLevel::default());
    let offset = builder
        .push_chunk(
            ChunkKind::Settings,
            &id,
            &plaintext,
            &mut compressor,
            &mut rng,
        )
        .map_err(|_| SettingsError::TooLong)?
        .ok_or(SettingsError::TooLong)?;
    let pack = builder.finish(&mut rng);
    let sealed_length = pack.entries.first().map_or(0, |entry| entry.sealed_length);
    let sealed = &pack.bytes[offset as usize..][..sealed_length as usize];
    let located = Located {
        chunk_id: id.as_bytes().to_vec(),
        pack: pack.id.to_vec(),
        epoch,
        offset,
        sealed_length,
        sealed_hash: blake3::hash(sealed).as_bytes().to_vec(),
        pack_size: u32::try_from(pack.bytes.len()).expect("a pack is at most 16 MiB"),
    };
    Ok((pack, located))
}

fn next_root(vault: &Vault, settings: Located) -> Root {
    let before = vault.root();
    let next_seq = vault.head().map_or(0, |at| at.seq) + 1;
    let old = before.settings.as_ref();
    let old_bytes = old.map_or(0, |old| u64::from(old.pack_size));
    Root {
        committed: Some(vault.now().to_wire()),
        last_removal_seq: if old.is_some() { next_seq } else { 0 },
        pack_count: (before.pack_count + 1).saturating_sub(u64::from(old.is_some())),
        pack_bytes: (before.pack_bytes + u64::from(settings.pack_size)).saturating_sub(old_bytes),
        settings: Some(settings),
        ..before.clone()
    }
}

fn old_pack(root: &Root) -> Option<PackId> {
    PackId::from_slice(&root.settings.as_ref()?.pack).ok()
}

/// Where a sealed chunk lies, checked.
struct Place {
    pack: PackId,
    chunk: ChunkId,
    sealed: std::ops::Range<usize>,
}

impl Place {
    fn of(at: &Located) -> Option<Self> {
        let end = at.offset.checked_add(at.sealed_length)?;
        (end <= at.pack_size && at.pack_size as usize <= MAX_PACK_LEN).then_some(())?;
        Some(Self {
            pack: PackId::from_slice(&at.pack).ok()?,
            chunk: ChunkId::from_slice(&at.chunk_id)?,
            sealed: at.offset as usize..end as usize,
        })
    }
}
