//! Capsules: a subtree of a snapshot, with where its chunks are and what opens
//! them.
//!
//! A capsule is a tree of its own: it names nothing of the vault but packs, and
//! says nothing of the source but names, modes, times and bytes.

mod seal;
mod wire;

use std::collections::BTreeMap;

use vault_proto::canonical::DecodeError;
use vault_proto::device::DevicePublic;
use vault_proto::ids::{AccountId, LinkId, PackId};

use crate::aead::OpenError;
use crate::chunk::ChunkKind;
use crate::index::is_inside;
use crate::pack::{MAX_PACK_LEN, MIN_PACK_LEN};
use crate::seal::{ChunkKey, Decompressor};
use crate::timestamp::Timestamp;
use crate::tree::{Hole, MAX_DEPTH, Metadata, NodeError, NodeName, check_holes, is_target};

pub(super) use seal::is_capsule_size;
pub use seal::{SealCapsuleError, SealedCapsule};

/// The longest encoded capsule, in bytes.
pub const MAX_CAPSULE_LEN: usize = 32 << 20;
/// The most entries of a link's tree.
pub const MAX_LINKED_NODES: usize = 1 << 18;
/// The most chunks of a link.
pub const MAX_LINKED_CHUNKS: usize = 1 << 18;
/// The most holes in all files of a link.
pub const MAX_LINKED_HOLES: usize = 1 << 18;
/// The most packs of a link; as many as a hoster takes.
pub const MAX_LINKED_PACKS: usize = 8_192;
/// What a hoster lets be read of a pack, or not, at a time, in bytes.
pub const BLOCK_LEN: u32 = 64 << 10;

/// The bits of a mode that a link carries: none that hands on privileges.
const MODE_BITS: u32 = 0o777;

/// What is wrong with a capsule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CapsuleError {
    /// Not the one encoding of a capsule.
    #[error("not a capsule: {0}")]
    Encoding(#[from] DecodeError),
    /// Not padded as it should be, or not compressed so.
    #[error("a capsule that is not padded or compressed as it should be")]
    Padding,
    /// Made for another version of the format.
    #[error("the capsule has version {0}; this program knows version 1")]
    Version(u32),
    /// Made for another link.
    #[error("the capsule of another link")]
    OtherLink,
    /// An account or a device that is none.
    #[error("no account or device has made this capsule")]
    Maker,
    /// Not signed by the device that it names.
    #[error("the capsule is not signed by who is said to have made it")]
    Signature,
    /// No time, or one with 10^9 nanoseconds or more.
    #[error("not a time")]
    Time,
    /// No entries, or more than [`MAX_LINKED_NODES`].
    #[error("a link has from 1 to {MAX_LINKED_NODES} entries")]
    Nodes,
    /// Depths that make no tree with one root, or one that is too deep.
    #[error("entries that make no tree")]
    Depth,
    /// Not a name, a name that is missing, or names of one directory that are
    /// repeated or out of order.
    #[error("names that are none, repeated or out of order")]
    Name,
    /// Neither a file nor a directory nor a symlink, or one with the fields of
    /// another.
    #[error("an entry that is neither file, directory nor symlink")]
    Kind,
    /// A mode beyond 9 bits.
    #[error("a mode beyond 9 bits")]
    Mode,
    /// Holes and chunks that do not make the file as long as it says.
    #[error("holes and chunks do not make up the size")]
    Holes,
    /// More than [`MAX_LINKED_HOLES`].
    #[error("files with more than {MAX_LINKED_HOLES} holes in all")]
    TooManyHoles,
    /// A symlink without a target that it can have.
    #[error("not a target that a symlink can have")]
    Target,
    /// Columns of different lengths.
    #[error("columns of different lengths")]
    Columns,
    /// Packs that are none, too many, out of order, or not used.
    #[error("packs that are none, too many, out of order or unused")]
    Packs,
    /// Chunks that are too many, not used, not there, or that their pack cannot
    /// hold.
    #[error("chunks that are too many, missing, unused or out of place")]
    Chunks,
}

/// One chunk of a file, for whoever has the link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedChunk {
    /// The pack that holds it.
    pub pack: PackId,
    /// The pack's length in bytes.
    pub pack_size: u32,
    /// Where in the pack its sealed bytes begin.
    pub offset: u32,
    /// How many there are.
    pub sealed_length: u32,
    /// Bytes of its plaintext, from 1 to 4 MiB.
    pub length: u32,
    /// What opens it.
    pub key: ChunkKey,
    /// BLAKE3 of its sealed bytes.
    pub sealed_hash: [u8; 32],
}

impl SharedChunk {
    /// Opens what the hoster sent as the sealed chunk.
    ///
    /// # Errors
    /// One, whatever is wrong.
    pub fn open(
        &self,
        sealed: &[u8],
        decompressor: &mut Decompressor,
    ) -> Result<Vec<u8>, OpenError> {
        let kind = ChunkKind::FileData;
        let plaintext = self
            .key
            .open_chunk(kind, &self.sealed_hash, sealed, decompressor)?;
        if sealed.len() != self.sealed_length as usize || plaintext.len() != self.length as usize {
            return Err(OpenError);
        }
        Ok(plaintext)
    }

    fn is_in_its_pack(&self) -> bool {
        let kind = ChunkKind::FileData;
        (1..=kind.max_len()).contains(&(self.length as usize))
            && is_inside(kind, self.offset, self.sealed_length, self.pack_size)
    }
}

/// What an entry of a link is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharedContent {
    /// A regular file.
    File {
        /// Its chunks in order, by their place in [`CapsuleFields::chunks`].
        chunks: Vec<u32>,
        /// Bytes, with the holes.
        size: u64,
        /// In ascending order, not touching each other.
        holes: Vec<Hole>,
    },
    /// A directory. What stands in it follows, one deeper.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Where it points: 1 to 65,535 bytes without NUL, never followed here.
        target: Vec<u8>,
    },
}

/// An entry of a link's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedNode {
    /// How deep it stands; 0 for the first, and for no other.
    pub depth: usize,
    /// Its name; `None` only for the `/` of a whole snapshot.
    pub name: Option<NodeName>,
    /// The low 9 bits of `st_mode`.
    pub mode: u32,
    /// When the content last changed.
    pub modified: Timestamp,
    /// What it is.
    pub content: SharedContent,
}

impl SharedNode {
    /// Mode and time, as a node of a tree has them: of nobody, with no
    /// attributes.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata {
            mode: self.mode,
            modified: self.modified,
            uid: 0,
            gid: 0,
            user: Vec::new(),
            group: Vec::new(),
            xattrs: Vec::new(),
        }
    }

    /// Whether others may stand in it.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        matches!(self.content, SharedContent::Directory)
    }
}

/// What a capsule is made of, but for who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapsuleFields {
    /// The link that it is for.
    pub link: LinkId,
    /// The account of whoever made it.
    pub account: AccountId,
    /// When.
    pub created: Timestamp,
    /// The tree: the first is its root, a directory comes before what is in it,
    /// and what is in one directory comes in the order of its names.
    pub nodes: Vec<SharedNode>,
    /// The chunks of all files, each once.
    pub chunks: Vec<SharedChunk>,
}

/// How much a link holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files.
    pub files: u64,
    /// Directories.
    pub directories: u64,
    /// Symlinks.
    pub symlinks: u64,
    /// Bytes of all files, holes left out.
    pub bytes: u64,
}

impl CapsuleFields {
    /// How much it holds.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for node in &self.nodes {
            match &node.content {
                SharedContent::Directory => totals.directories += 1,
                SharedContent::Symlink { .. } => totals.symlinks += 1,
                SharedContent::File { chunks, .. } => {
                    totals.files += 1;
                    let bytes = self.stored_bytes(chunks).unwrap_or(u64::MAX);
                    totals.bytes = totals.bytes.saturating_add(bytes);
                }
            }
        }
        totals
    }

    /// Which blocks of [`BLOCK_LEN`] bytes of which packs hold its chunks. Bit i
    /// of byte j, the lowest being bit 0, stands for block 8 j + i; there are as
    /// many bytes as the pack's blocks take.
    #[must_use]
    pub fn blocks(&self) -> BTreeMap<PackId, Vec<u8>> {
        let mut packs = BTreeMap::new();
        for chunk in &self.chunks {
            let blocks = packs.entry(chunk.pack).or_insert_with(|| {
                vec![0; chunk.pack_size.div_ceil(BLOCK_LEN).div_ceil(8) as usize]
            });
            let first = chunk.offset / BLOCK_LEN;
            let last = (chunk.offset + chunk.sealed_length - 1) / BLOCK_LEN;
            for block in first..=last {
                blocks[block as usize / 8] |= 1 << (block % 8);
            }
        }
        packs
    }

    /// Checks everything that this module's documentation says.
    fn check(&self) -> Result<(), CapsuleError> {
        if self.chunks.len() > MAX_LINKED_CHUNKS {
            return Err(CapsuleError::Chunks);
        }
        self.check_packs()?;
        if !self.chunks.iter().all(SharedChunk::is_in_its_pack) {
            return Err(CapsuleError::Chunks);
        }
        self.check_tree()?;
        let holes = self.nodes.iter().map(|node| match &node.content {
            SharedContent::File { holes, .. } => holes.len(),
            _ => 0,
        });
        if holes.sum::<usize>() > MAX_LINKED_HOLES {
            return Err(CapsuleError::TooManyHoles);
        }
        let mut used = vec![false; self.chunks.len()];
        for node in &self.nodes {
            self.check_node(node, &mut used)?;
        }
        if used.contains(&false) {
            return Err(CapsuleError::Chunks);
        }
        Ok(())
    }

    fn check_packs(&self) -> Result<(), CapsuleError> {
        let mut sizes = BTreeMap::new();
        for chunk in &self.chunks {
            let size = chunk.pack_size;
            let is_size =
                size.is_power_of_two() && (MIN_PACK_LEN..=MAX_PACK_LEN).contains(&(size as usize));
            let before = *sizes.entry(chunk.pack).or_insert(size);
            if !is_size || before != size || sizes.len() > MAX_LINKED_PACKS {
                return Err(CapsuleError::Packs);
            }
        }
        Ok(())
    }

    fn check_tree(&self) -> Result<(), CapsuleError> {
        if !(1..=MAX_LINKED_NODES).contains(&self.nodes.len()) {
            return Err(CapsuleError::Nodes);
        }
        // The newest name at each depth of the way to the node before.
        let mut way: Vec<Option<&NodeName>> = Vec::new();
        let mut may_descend = false;
        for (place, node) in self.nodes.iter().enumerate() {
            let is_first = place == 0;
            let deepest = way.len() + usize::from(may_descend || is_first);
            let fits = node.depth < deepest && node.depth <= MAX_DEPTH;
            if !fits || is_first != (node.depth == 0) {
                return Err(CapsuleError::Depth);
            }
            match &node.name {
                None if !is_first || !node.is_directory() => return Err(CapsuleError::Name),
                _ => {}
            }
            way.truncate(node.depth + 1);
            match way.get_mut(node.depth) {
                Some(before) => {
                    if *before >= node.name.as_ref() {
                        return Err(CapsuleError::Name);
                    }
                    *before = node.name.as_ref();
                }
                None => way.push(node.name.as_ref()),
            }
            may_descend = node.is_directory();
        }
        Ok(())
    }

    fn check_node(&self, node: &SharedNode, used: &mut [bool]) -> Result<(), CapsuleError> {
        if node.mode & !MODE_BITS != 0 {
            return Err(CapsuleError::Mode);
        }
        match &node.content {
            SharedContent::Directory => Ok(()),
            SharedContent::Symlink { target } if is_target(target) => Ok(()),
            SharedContent::Symlink { .. } => Err(CapsuleError::Target),
            SharedContent::File {
                chunks,
                size,
                holes,
            } => {
                for &chunk in chunks {
                    *used.get_mut(chunk as usize).ok_or(CapsuleError::Chunks)? = true;
                }
                let stored = self.stored_bytes(chunks).ok_or(CapsuleError::Holes)?;
                check_holes(stored, *size, holes).map_err(|_: NodeError| CapsuleError::Holes)
            }
        }
    }

    /// Bytes of a file without its holes; `None` beyond what a file can have.
    fn stored_bytes(&self, chunks: &[u32]) -> Option<u64> {
        chunks.iter().try_fold(0_u64, |sum, &chunk| {
            let length = self.chunks.get(chunk as usize)?.length;
            sum.checked_add(u64::from(length))
        })
    }
}

/// A capsule whose maker's signature was verified, and all of whose rules hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capsule {
    fields: CapsuleFields,
    device: DevicePublic,
}

impl Capsule {
    /// What it is made of.
    #[must_use]
    pub fn fields(&self) -> &CapsuleFields {
        &self.fields
    }

    /// The device that signed it. That it is one of the account's, only the
    /// account's log says.
    #[must_use]
    pub fn device(&self) -> &DevicePublic {
        &self.device
    }

    /// The root of its tree.
    #[must_use]
    pub fn root(&self) -> &SharedNode {
        self.fields.nodes.first().expect("a capsule has a node")
    }
}

#[cfg(test)]
mod tests;
