//! Reading what a pack holds, from the pack alone.

use std::ops::Range;

use vault_proto::{canonical::decode_canonical, ids::PackId, wire::PackFooter};

use super::{MAX_PACK_LEN, MIN_PACK_LEN, PackEntry, TRAILER_LEN, associated};
use crate::{
    aead::{self, OpenError},
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    labels,
    seal::{MAX_SEALED_OVERHEAD, MIN_SEALED_LEN},
};

/// Why a pack's contents cannot be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The bytes are not those that the pack's id names: the hoster, or the
    /// way here, changed them.
    #[error("not the pack that was asked for")]
    WrongHash,
    /// No pack has this size.
    #[error("{length} bytes are no size of a pack")]
    WrongSize {
        /// Its bytes.
        length: usize,
    },
    /// The trailer or the footer does not open: the wrong vault or epoch, or
    /// damage done before the pack got its id.
    #[error(transparent)]
    Unopenable(#[from] OpenError),
    /// Sealed by a member, and yet not what this format says.
    #[error("the pack's footer contradicts itself")]
    Malformed,
}

/// Where a pack's footer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FooterLocation {
    range: Range<u32>,
    chunks: u32,
}

impl FooterLocation {
    /// The bytes of the pack that are the sealed footer. The sealed chunks
    /// are all that stands before.
    #[must_use]
    pub fn range(&self) -> Range<u32> {
        self.range.clone()
    }
}

/// Lists what a whole pack holds, once its hash is checked.
///
/// # Errors
/// See [`PackError`].
pub fn read_pack_entries(
    keys: &VaultKeys,
    epoch: u64,
    pack: &PackId,
    bytes: &[u8],
) -> Result<Vec<PackEntry>, PackError> {
    // The size first: nothing that big needs hashing.
    check_size(bytes.len())?;
    if PackId::of(bytes) != *pack {
        return Err(PackError::WrongHash);
    }
    let (_, trailer) = bytes
        .split_last_chunk::<TRAILER_LEN>()
        .ok_or(PackError::Malformed)?;
    let location = keys.open_pack_trailer(epoch, bytes.len(), trailer)?;
    let footer = &bytes[location.range.start as usize..location.range.end as usize];
    keys.open_pack_footer(epoch, &location, footer)
}

impl VaultKeys {
    /// Locates the footer of a pack of `pack_len` bytes from its last
    /// [`TRAILER_LEN`] bytes.
    ///
    /// A reader that did not see the whole pack cannot check its hash: what it
    /// is told here may be of another pack of the same vault and epoch, until
    /// the chunks themselves open.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn open_pack_trailer(
        &self,
        epoch: u64,
        pack_len: usize,
        sealed: &[u8; TRAILER_LEN],
    ) -> Result<FooterLocation, PackError> {
        check_size(pack_len)?;
        let part = associated(labels::PACK_TRAILER, self.vault_id(), epoch);
        let plaintext = aead::open(&self.epoch(epoch)?.footer, &part, sealed)?;
        let (words, _) = plaintext.as_chunks::<4>();
        let &[offset, length, chunks, zero] = words else {
            return Err(PackError::Malformed);
        };
        let [offset, length, chunks, zero] = [offset, length, chunks, zero].map(u32::from_le_bytes);
        let end = offset.checked_add(length).ok_or(PackError::Malformed)?;
        let fits = end as usize <= pack_len - TRAILER_LEN;
        if !fits || zero != 0 {
            return Err(PackError::Malformed);
        }
        Ok(FooterLocation {
            range: offset..end,
            chunks,
        })
    }

    /// Opens a sealed footer, and checks that its chunks tile the pack from
    /// its beginning to the footer.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn open_pack_footer(
        &self,
        epoch: u64,
        location: &FooterLocation,
        sealed: &[u8],
    ) -> Result<Vec<PackEntry>, PackError> {
        let part = associated(labels::PACK_FOOTER, self.vault_id(), epoch);
        let plaintext = aead::open(&self.epoch(epoch)?.footer, &part, sealed)?;
        let footer: PackFooter =
            decode_canonical(&plaintext, MAX_PACK_LEN).map_err(|_| PackError::Malformed)?;
        entries_of(&footer, location).ok_or(PackError::Malformed)
    }
}

fn check_size(length: usize) -> Result<(), PackError> {
    if length.is_power_of_two() && (MIN_PACK_LEN..=MAX_PACK_LEN).contains(&length) {
        Ok(())
    } else {
        Err(PackError::WrongSize { length })
    }
}

fn entries_of(footer: &PackFooter, location: &FooterLocation) -> Option<Vec<PackEntry>> {
    let chunks = location.chunks as usize;
    let (ids, rest) = footer.chunk_ids.as_chunks::<32>();
    let columns = [ids.len(), footer.kinds.len(), footer.sealed_lengths.len()];
    if !rest.is_empty() || columns != [chunks; 3] {
        return None;
    }
    let mut offset = 0_u32;
    let mut entries = Vec::with_capacity(chunks);
    for ((&kind, &id), &sealed_length) in footer.kinds.iter().zip(ids).zip(&footer.sealed_lengths) {
        let kind = ChunkKind::from_byte(kind)?;
        let bounds = MIN_SEALED_LEN..=kind.max_len() + MAX_SEALED_OVERHEAD;
        if !bounds.contains(&(sealed_length as usize)) {
            return None;
        }
        entries.push(PackEntry {
            kind,
            id: ChunkId::from_array(id),
            offset,
            sealed_length,
        });
        offset = offset.checked_add(sealed_length)?;
    }
    (offset == location.range.start).then_some(entries)
}
