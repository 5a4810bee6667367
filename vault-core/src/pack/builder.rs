//! Building a pack.

use std::sync::Arc;

use prost::{Message, encoding::encoded_len_varint};
use rand::rngs::ChaCha20Rng;
use rand_core::{CryptoRng, Rng, SeedableRng};
use vault_proto::{ids::PackId, wire::PackFooter};

use super::{MAX_PACK_LEN, MIN_PACK_LEN, PackEntry, TRAILER_LEN, associated};
use crate::{
    aead,
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    labels,
    seal::{Compressor, MAX_SEALED_OVERHEAD, SealError},
};

/// There is no room: this pack wants to be finished, and the chunk goes into
/// the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pack is full")]
pub struct PackFull;

/// A pack that is being filled. Holds what was pushed, at most 16 MiB.
#[derive(Debug)]
pub struct PackBuilder {
    keys: Arc<VaultKeys>,
    epoch: u64,
    bytes: Vec<u8>,
    entries: Vec<PackEntry>,
    footer: FooterLen,
}

/// A pack that is ready to be sent.
#[derive(Debug, Clone)]
pub struct FinishedPack {
    /// `BLAKE3(bytes)`.
    pub id: PackId,
    /// The whole pack.
    pub bytes: Vec<u8>,
    /// The epoch it is sealed in.
    pub epoch: u64,
    /// What it holds, in order.
    pub entries: Vec<PackEntry>,
    /// How many of the bytes are filler.
    pub filler_bytes: u32,
}

impl PackBuilder {
    /// Begins a pack of one epoch.
    ///
    /// # Panics
    /// When `keys` do not have that epoch.
    #[must_use]
    pub fn new(keys: Arc<VaultKeys>, epoch: u64) -> Self {
        Self::in_buffer(keys, epoch, Vec::new())
    }

    /// Likewise, in memory that was used before; what it holds is overwritten.
    /// With [`MAX_PACK_LEN`] of room it is never moved.
    ///
    /// # Panics
    /// When `keys` do not have that epoch.
    #[must_use]
    pub fn in_buffer(keys: Arc<VaultKeys>, epoch: u64, mut buffer: Vec<u8>) -> Self {
        assert!(keys.has_epoch(epoch), "a pack of an epoch without a key");
        buffer.clear();
        Self {
            keys,
            epoch,
            bytes: buffer,
            entries: Vec::new(),
            footer: FooterLen::default(),
        }
    }

    /// Whether a sealed chunk of that many bytes still fits.
    #[must_use]
    pub fn room_for(&self, sealed_length: usize) -> bool {
        u32::try_from(sealed_length).is_ok_and(|length| {
            self.bytes.len() + sealed_length + self.footer.with(length).sealed() + TRAILER_LEN
                <= MAX_PACK_LEN
        })
    }

    /// Appends a sealed chunk and gives its offset.
    ///
    /// # Errors
    /// When it does not fit ([`Self::room_for`]); nothing has changed then.
    pub fn push(&mut self, kind: ChunkKind, id: &ChunkId, sealed: &[u8]) -> Result<u32, PackFull> {
        if !self.room_for(sealed.len()) {
            return Err(PackFull);
        }
        let start = self.bytes.len();
        self.grow(sealed.len());
        self.bytes.extend_from_slice(sealed);
        Ok(self.record(kind, id, start))
    }

    /// Seals a chunk straight into the pack and gives its offset; `None` when
    /// there might be no room for it.
    ///
    /// # Errors
    /// The chunk is too long for its kind.
    pub fn push_chunk(
        &mut self,
        kind: ChunkKind,
        id: &ChunkId,
        plaintext: &[u8],
        compressor: &mut Compressor,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Option<u32>, SealError> {
        if !self.room_for(plaintext.len() + MAX_SEALED_OVERHEAD) {
            return Ok(None);
        }
        let start = self.bytes.len();
        self.grow(plaintext.len() + MAX_SEALED_OVERHEAD);
        self.keys.seal_chunk(
            self.epoch,
            kind,
            id,
            plaintext,
            compressor,
            rng,
            &mut self.bytes,
        )?;
        Ok(Some(self.record(kind, id, start)))
    }

    /// Makes room for what [`Self::room_for`] said there is room for: by
    /// doubling, and never beyond the largest pack.
    fn grow(&mut self, additional: usize) {
        let needed = self.bytes.len() + additional;
        if needed > self.bytes.capacity() {
            let capacity = needed.next_power_of_two().clamp(MIN_PACK_LEN, MAX_PACK_LEN);
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
    }

    /// Notes the sealed chunk that now stands between `start` and the end.
    fn record(&mut self, kind: ChunkKind, id: &ChunkId, start: usize) -> u32 {
        let narrow = |n: usize| u32::try_from(n).expect("a pack is at most 16 MiB");
        let offset = narrow(start);
        let sealed_length = narrow(self.bytes.len() - start);
        self.footer = self.footer.with(sealed_length);
        self.entries.push(PackEntry {
            kind,
            id: *id,
            offset,
            sealed_length,
        });
        offset
    }

    /// Whether nothing was pushed yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Where the next chunk will stand.
    #[must_use]
    pub fn next_offset(&self) -> u32 {
        u32::try_from(self.bytes.len()).expect("a pack is at most 16 MiB")
    }

    /// Bytes without filler, were it finished now.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.bytes.len() + self.footer.sealed() + TRAILER_LEN
    }

    /// Bytes of the finished pack, were one more sealed chunk of that length
    /// pushed and it finished then.
    #[must_use]
    pub fn finished_len_with(&self, sealed_length: usize) -> usize {
        let length = u32::try_from(sealed_length).unwrap_or(u32::MAX);
        padded(self.bytes.len() + sealed_length + self.footer.with(length).sealed() + TRAILER_LEN)
    }

    /// Appends all of another open pack of the same vault and epoch, as it is.
    ///
    /// The other must never be finished then: no sealed bytes may come to stand
    /// in two packs, or what they have in common draws the chunks' boundaries.
    ///
    /// # Errors
    /// When it does not fit, or belongs elsewhere; nothing has changed then.
    pub fn absorb(&mut self, other: &Self) -> Result<(), PackFull> {
        let mut footer = self.footer;
        for entry in &other.entries {
            footer = footer.with(entry.sealed_length);
        }
        let total = self.bytes.len() + other.bytes.len() + footer.sealed() + TRAILER_LEN;
        let place = |builder: &Self| (builder.keys.vault_id(), builder.epoch);
        if total > MAX_PACK_LEN || place(other) != place(self) {
            return Err(PackFull);
        }
        let start = self.next_offset();
        self.grow(other.bytes.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.entries
            .extend(other.entries.iter().map(|entry| PackEntry {
                offset: start + entry.offset,
                ..*entry
            }));
        self.footer = footer;
        Ok(())
    }

    /// The epoch it is sealed in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What was pushed, in order.
    #[must_use]
    pub fn entries(&self) -> &[PackEntry] {
        &self.entries
    }

    /// Adds footer, filler and trailer.
    #[must_use]
    pub fn finish(self, rng: &mut (impl CryptoRng + ?Sized)) -> FinishedPack {
        let narrow = |n: usize| u32::try_from(n).expect("a pack is at most 16 MiB");
        let Self {
            keys,
            epoch,
            mut bytes,
            entries,
            footer,
        } = self;
        let key = &keys.epoch(epoch).expect("checked in new()").footer;
        let vault = keys.vault_id();

        let total = padded(bytes.len() + footer.sealed() + TRAILER_LEN);
        bytes.reserve_exact(total - bytes.len());

        let footer_offset = bytes.len();
        aead::begin(&mut bytes, rng);
        encode_footer(&entries)
            .encode(&mut bytes)
            .expect("a Vec takes everything");
        let part = associated(labels::PACK_FOOTER, vault, epoch);
        aead::finish(key, &part, &mut bytes, footer_offset);
        let footer_length = bytes.len() - footer_offset;
        debug_assert_eq!(footer_length, footer.sealed());

        let filler_offset = bytes.len();
        bytes.resize(total - TRAILER_LEN, 0);
        // Its own generator: half a pack of randomness should not cost
        // thousands of system calls when `rng` is the system's.
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        ChaCha20Rng::from_seed(seed).fill_bytes(&mut bytes[filler_offset..]);
        let filler_bytes = narrow(bytes.len() - filler_offset);

        let trailer_offset = bytes.len();
        aead::begin(&mut bytes, rng);
        for field in [footer_offset, footer_length, entries.len(), 0] {
            bytes.extend_from_slice(&narrow(field).to_le_bytes());
        }
        let part = associated(labels::PACK_TRAILER, vault, epoch);
        aead::finish(key, &part, &mut bytes, trailer_offset);
        debug_assert_eq!(bytes.len(), total);

        FinishedPack {
            id: PackId::of(&bytes),
            bytes,
            epoch,
            entries,
            filler_bytes,
        }
    }
}

/// What a pack of that many bytes is filled up to.
fn padded(length: usize) -> usize {
    length.next_power_of_two().max(MIN_PACK_LEN)
}

fn encode_footer(entries: &[PackEntry]) -> PackFooter {
    let mut footer = PackFooter {
        kinds: Vec::with_capacity(entries.len()),
        chunk_ids: Vec::with_capacity(entries.len() * 32),
        sealed_lengths: Vec::with_capacity(entries.len()),
    };
    for entry in entries {
        footer.kinds.push(entry.kind.to_byte());
        footer.chunk_ids.extend_from_slice(entry.id.as_bytes());
        footer.sealed_lengths.push(entry.sealed_length);
    }
    footer
}

/// Keeps count of the footer's length, so that asking for room costs nothing.
#[derive(Debug, Clone, Copy, Default)]
struct FooterLen {
    entries: usize,
    lengths_bytes: usize,
}

impl FooterLen {
    fn with(self, sealed_length: u32) -> Self {
        Self {
            entries: self.entries + 1,
            lengths_bytes: self.lengths_bytes + encoded_len_varint(u64::from(sealed_length)),
        }
    }

    /// Bytes of the footer once sealed.
    fn sealed(self) -> usize {
        let field = |length: usize| match length {
            0 => 0,
            _ => 1 + encoded_len_varint(length as u64) + length,
        };
        field(self.entries) + field(self.entries * 32) + field(self.lengths_bytes) + aead::OVERHEAD
    }
}
