//! Packs: the only thing that a hoster stores in bulk.
//!
//! ```text
//! pack    = sealed chunks ‖ sealed footer ‖ filler ‖ sealed trailer
//!           a power of two of bytes, 16 KiB to 16 MiB
//! trailer = 56 bytes: where the footer is
//! footer  = kinds, ids and lengths of the chunks, in order
//! pack id = BLAKE3(pack)
//! ```
//!
//! Every part looks random to whoever has no key, so chunk boundaries and
//! lengths do not show. One pack belongs to one vault and one epoch.

mod builder;
mod reader;

use vault_proto::ids::VaultId;

use crate::{
    chunk::{ChunkId, ChunkKind},
    seal,
};

pub use builder::{FinishedPack, PackBuilder, PackFull};
pub use reader::{FooterLocation, PackError, read_pack_entries};

/// Bytes of the smallest pack.
pub const MIN_PACK_LEN: usize = 16 << 10;
/// Bytes of the largest pack.
pub const MAX_PACK_LEN: usize = 16 << 20;
/// Bytes of the sealed trailer, with which every pack ends.
pub const TRAILER_LEN: usize = 56;

/// One sealed chunk of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackEntry {
    /// What the chunk holds.
    pub kind: ChunkKind,
    /// The chunk.
    pub id: ChunkId,
    /// Where its sealed bytes begin.
    pub offset: u32,
    /// How many there are.
    pub sealed_length: u32,
}

/// `[version] ‖ part ‖ vault id ‖ epoch (u64)`
fn associated(part: &str, vault: VaultId, epoch: u64) -> Vec<u8> {
    let mut associated = vec![seal::VERSION];
    associated.extend_from_slice(part.as_bytes());
    associated.extend_from_slice(vault.as_bytes());
    associated.extend_from_slice(&epoch.to_le_bytes());
    associated
}

#[cfg(test)]
mod tests;
