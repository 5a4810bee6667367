//! The list of links in a vault: read, and changed in a commit each.

use std::sync::Arc;

use bytes::Bytes;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::links::{Link, Links, LinksError};
use vault_core::pack::{FinishedPack, MAX_PACK_LEN, PackBuilder};
use vault_core::seal::{CompressionLevel, Compressor};
use vault_proto::ids::PackId;
use vault_proto::wire::{Located, Root};

use super::LinkError;
use crate::platform::Rng;
use crate::remote::PackRange;
use crate::transfer::{TransferError, unreadable_range};
use crate::vault::{CommitPlan, CommitResult, Vault, VaultError};

/// How often a change is made anew after another device was first.
const RACES: usize = 16;

/// The links as of the vault's root.
pub(crate) fn read(vault: &Vault) -> Result<Links, LinkError> {
    let Some(at) = &vault.root().links else {
        return Ok(Links::default());
    };
    let plaintext = read_located(vault, at)?;
    Links::decode(&plaintext).map_err(LinkError::ListMalformed)
}

/// Changes the list, under the vault's lock and on its newest state. The pack of
/// each link that is new is to be uploaded by then, and of each that goes is
/// taken away.
pub(super) fn change(
    vault: &mut Vault,
    change: impl Fn(&Vault, &mut Links) -> Result<(), LinkError>,
) -> Result<(), LinkError> {
    let _lock = vault.lock()?;
    vault.prepare()?;
    for _ in 0..RACES {
        let before = read(vault)?;
        let mut after = before.clone();
        change(vault, &mut after)?;
        if after == before {
            return Ok(());
        }
        let difference = Difference::between(&before, &after);
        let list = match after.all() {
            [] => None,
            _ => Some(seal(vault, &after)?),
        };
        if let Some((pack, _)) = &list {
            let bytes = Bytes::copy_from_slice(&pack.bytes);
            vault.remote().put_pack(&vault.id(), &pack.id, bytes)?;
        }
        let plan = difference.plan(vault.root(), list, vault.now().to_wire())?;
        match vault.commit(plan) {
            Ok(CommitResult::Committed(_)) => return Ok(()),
            // Another device was first, or one was removed.
            Ok(CommitResult::LostRace) | Err(VaultError::RotationDue) => vault.prepare()?,
            // Of a link that is new, or of the list: uploads are kept for a week.
            Ok(CommitResult::Missing(_)) => return Err(LinkError::Overtaken),
            Err(error) => return Err(error.into()),
        }
    }
    Err(LinkError::Overtaken)
}

/// The packs of capsules, and their bytes, that come and go.
#[derive(Default)]
struct Difference {
    adds: Vec<(PackId, u32)>,
    removes: Vec<(PackId, u32)>,
}

impl Difference {
    fn between(before: &Links, after: &Links) -> Self {
        let only_in = |one: &Links, other: &Links| -> Vec<_> {
            one.all()
                .iter()
                .filter(|link| other.link(&link.id()).is_none())
                .map(|link: &Link| (link.capsule, link.capsule_size))
                .collect()
        };
        Self {
            adds: only_in(after, before),
            removes: only_in(before, after),
        }
    }

    fn plan(
        mut self,
        before: &Root,
        list: Option<(FinishedPack, Located)>,
        committed: vault_proto::wire::Timestamp,
    ) -> Result<CommitPlan, LinkError> {
        if let Some(old) = &before.links {
            let pack = PackId::from_slice(&old.pack).map_err(|_| TransferError::Unknown)?;
            self.removes.push((pack, old.pack_size));
        }
        let links = list.map(|(pack, located)| {
            self.adds.push((pack.id, located.pack_size));
            located
        });
        let bytes = |packs: &[(PackId, u32)]| -> u64 {
            packs.iter().map(|(_, size)| u64::from(*size)).sum()
        };
        // The newest removal stays: no chunk of these packs is ever named again.
        let root = Root {
            minimum_reader: before.minimum_reader.max(1),
            minimum_writer: before.minimum_writer.max(1),
            committed: Some(committed),
            links,
            pack_count: (before.pack_count + self.adds.len() as u64)
                .saturating_sub(self.removes.len() as u64),
            pack_bytes: (before.pack_bytes + bytes(&self.adds))
                .saturating_sub(bytes(&self.removes)),
            ..before.clone()
        };
        let ids = |packs: Vec<(PackId, u32)>| packs.into_iter().map(|(id, _)| id).collect();
        Ok(CommitPlan {
            adds: ids(self.adds),
            removes: ids(self.removes),
            root,
        })
    }
}

/// A pack that holds the list alone.
fn seal(vault: &Vault, links: &Links) -> Result<(FinishedPack, Located), LinkError> {
    let kind = ChunkKind::Links;
    let keys = vault.keys();
    let epoch = keys.current_epoch();
    let plaintext = links.encode();
    let id = keys.chunk_id(kind, &plaintext);
    let mut rng = Rng::new(vault.randomness());
    let mut builder = PackBuilder::new(Arc::clone(&keys), epoch);
    let mut compressor = Compressor::new(CompressionLevel::default());
    let offset = builder
        .push_chunk(kind, &id, &plaintext, &mut compressor, &mut rng)
        .ok()
        .flatten()
        .ok_or(LinkError::Links(LinksError::TooMany))?;
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

/// Reads the pack that the list is alone in, whole, as all that is small is read.
fn read_located(vault: &Vault, at: &Located) -> Result<Vec<u8>, TransferError> {
    let pack = PackId::from_slice(&at.pack).map_err(|_| TransferError::Unknown)?;
    let chunk = ChunkId::from_slice(&at.chunk_id).ok_or(TransferError::Unknown)?;
    let end = at.offset.checked_add(at.sealed_length);
    let end = end.filter(|&end| end <= at.pack_size && at.pack_size as usize <= MAX_PACK_LEN);
    let end = end.ok_or(TransferError::Unknown)?;
    let whole = PackRange {
        pack,
        offset: 0,
        length: at.pack_size,
    };
    let mut bytes = Vec::with_capacity(at.pack_size as usize);
    vault
        .remote()
        .read_packs(&vault.id(), &[whole], &mut |part| {
            bytes.extend_from_slice(&part);
            std::ops::ControlFlow::Continue(())
        })
        .map_err(unreadable_range)?;
    let sealed = &bytes[at.offset as usize..end as usize];
    if blake3::hash(sealed).as_bytes()[..] != at.sealed_hash {
        return Err(TransferError::Altered);
    }
    vault
        .keys()
        .open_chunk(at.epoch, ChunkKind::Links, &chunk, sealed)
        .map_err(|_| TransferError::Unknown)
}
