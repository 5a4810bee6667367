//! One chunk alone in a pack: what the root names itself and not through the
//! index.

use std::ops::ControlFlow;
use std::sync::Arc;

use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::pack::{FinishedPack, MAX_PACK_LEN, PackBuilder};
use vault_core::seal::{CompressionLevel, Compressor};
use vault_proto::ids::PackId;
use vault_proto::wire::Located;

use super::{PackCache, TransferError, unreadable_range};
use crate::platform::Rng;
use crate::remote::PackRange;
use crate::vault::{Vault, VaultError};

/// Seals a chunk, and makes the pack that holds it alone; `None` if it is too
/// long for that.
///
/// # Errors
/// Those of [`Vault::keys`].
pub(crate) fn seal_alone(
    vault: &Vault,
    kind: ChunkKind,
    plaintext: &[u8],
) -> Result<Option<(FinishedPack, Located)>, VaultError> {
    let keys = vault.keys()?;
    let epoch = keys.current_epoch();
    let id = keys.chunk_id(kind, plaintext);
    let mut rng = Rng::new(vault.randomness());
    let mut builder = PackBuilder::new(Arc::clone(&keys), epoch);
    let mut compressor = Compressor::new(CompressionLevel::default());
    let pushed = builder.push_chunk(kind, &id, plaintext, &mut compressor, &mut rng);
    let Ok(Some(offset)) = pushed else {
        return Ok(None);
    };
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
    Ok(Some((pack, located)))
}

/// Keeps a pack of [`seal_alone`] on this device too, before it is uploaded: nothing
/// brings it back where the hoster goes back to a backup of its own.
///
/// # Errors
/// [`TransferError::Cache`], and those of the device's state.
pub(crate) fn keep_alone(vault: &Vault, pack: &PackId, bytes: &[u8]) -> Result<(), TransferError> {
    let cache = PackCache::of(vault)?;
    if cache.holds(pack) {
        return Ok(());
    }
    cache.keep(pack, bytes).map_err(TransferError::Cache)
}

/// Reads the pack that a chunk is alone in, whole, as all that is small is read,
/// opens the chunk, and [keeps](keep_alone) the pack.
///
/// # Errors
/// [`TransferError::Altered`] where these are not the bytes that the root names,
/// [`TransferError::Unknown`] where they do not open or the place makes no sense,
/// and those of the call.
pub(crate) fn read_alone(
    vault: &Vault,
    kind: ChunkKind,
    at: &Located,
) -> Result<Vec<u8>, TransferError> {
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
            ControlFlow::Continue(())
        })
        .map_err(unreadable_range)?;
    let sealed = bytes
        .get(at.offset as usize..end as usize)
        .ok_or(TransferError::Altered)?;
    if blake3::hash(sealed).as_bytes()[..] != at.sealed_hash {
        // Who named it so, or who sends it.
        return Err(match PackId::of(&bytes) == pack {
            true => TransferError::Unknown,
            false => TransferError::Altered,
        });
    }
    let plaintext = vault
        .keys()?
        .open_chunk(at.epoch, kind, &chunk, sealed)
        .map_err(|_| TransferError::Unknown)?;
    keep_alone(vault, &pack, &bytes)?;
    Ok(plaintext)
}
