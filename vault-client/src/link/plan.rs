//! What a link is to show: the subtree, and where its chunks are.

use std::collections::{HashMap, HashSet};

use vault_core::{
    chunk::{ChunkId, ChunkKind},
    index::IndexEntry,
    links::{
        MAX_LINKED_CHUNKS, MAX_LINKED_NODES, MAX_LINKED_PACKS, SharedChunk, SharedContent,
        SharedNode,
    },
    seal::Decompressor,
    stream::{StreamChunks, StreamRef},
    tree::{Metadata, Node, NodeContent, Step, Walk},
};
use vault_proto::ids::PackId;

use super::LinkError;
use crate::{
    contents::{Contents, ContentsError, NamedSnapshot},
    error::ErrorCode,
    files::{LeftOut, Reason},
    progress::{Cancellation, Meter, count},
    transfer::TransferError,
};

/// The bits of a mode that a link carries.
const MODE_BITS: u32 = 0o777;

/// A subtree of a snapshot, as a link shows it.
pub(super) struct Plan {
    pub(super) nodes: Vec<SharedNode>,
    /// What a link cannot show.
    pub(super) left_out: Vec<LeftOut>,
    /// Each chunk once, with the length that its file's list says.
    chunks: Vec<(IndexEntry, u32)>,
    numbers: HashMap<ChunkId, u32>,
    packs: HashSet<PackId>,
}

impl Plan {
    /// Reads the tree below an absolute path.
    pub(super) fn of(
        contents: &Contents,
        snapshot: &NamedSnapshot,
        path: &[u8],
        cancellation: &Cancellation,
    ) -> Result<Self, LinkError> {
        let mut plan = Self {
            nodes: Vec::new(),
            left_out: Vec::new(),
            chunks: Vec::new(),
            numbers: HashMap::new(),
            packs: HashSet::new(),
        };
        let root = contents.node(&snapshot.snapshot, path)?;
        let tree = match &root {
            None => {
                // The directory `/` has no node: it is like one that anybody makes.
                plan.nodes.push(SharedNode {
                    depth: 0,
                    name: None,
                    mode: 0o755,
                    modified: snapshot.snapshot.fields().started,
                    content: SharedContent::Directory,
                });
                snapshot.snapshot.tree()
            }
            Some(node) => match node.content() {
                NodeContent::Directory { content } => {
                    plan.push(0, node, SharedContent::Directory);
                    content
                }
                NodeContent::File { .. } => {
                    plan.add_file(contents, 0, node)?;
                    return Ok(plan);
                }
                _ => {
                    let path = String::from_utf8_lossy(path).into_owned();
                    return Err(LinkError::NotShareable(path));
                }
            },
        };
        plan.add_all(contents, tree, cancellation)?;
        Ok(plan)
    }

    /// The bytes of sealed chunks that are to be read.
    pub(super) fn sealed_bytes(&self) -> u64 {
        let lengths = self.chunks.iter();
        lengths
            .map(|(entry, _)| u64::from(entry.sealed_length))
            .sum()
    }

    /// Reads every chunk, opens it, and hashes what was read: what a link names
    /// is what this device has seen to be right.
    pub(super) fn read_chunks(
        &self,
        contents: &Contents,
        meter: &Meter,
        cancellation: &Cancellation,
    ) -> Result<Vec<SharedChunk>, LinkError> {
        let mut hasher = Hasher {
            plan: self,
            contents,
            meter,
            cancellation,
            found: vec![None; self.chunks.len()],
            decompressor: Decompressor::default(),
        };
        let wanted: Vec<_> = self.chunks.iter().map(|(entry, _)| *entry).collect();
        match hasher.read(&wanted) {
            Ok(()) => {}
            Err(error) if error.is_lasting() => hasher.read_each_pack(&wanted)?,
            Err(error) => return Err(error.into()),
        }
        let found = hasher.finish()?;
        let mut shared = Vec::with_capacity(self.chunks.len());
        for ((place, sealed_hash), (_, length)) in found.into_iter().zip(&self.chunks) {
            let key = contents
                .opened()
                .keys
                .export_chunk_key(place.epoch, &place.id);
            shared.push(SharedChunk {
                pack: place.pack,
                pack_size: place.pack_size,
                offset: place.offset,
                sealed_length: place.sealed_length,
                length: *length,
                key: key.map_err(|_| TransferError::Unknown)?,
                sealed_hash,
            });
        }
        Ok(shared)
    }

    fn add_all(
        &mut self,
        contents: &Contents,
        tree: &StreamRef,
        cancellation: &Cancellation,
    ) -> Result<(), LinkError> {
        let mut source = contents.opened().reader.clone();
        let mut walk = Walk::new(tree);
        while let Some(step) = walk.next(&mut source).map_err(ContentsError::from)? {
            if cancellation.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            let Step::Node(node) = step else { continue };
            if self.nodes.len() == MAX_LINKED_NODES {
                return Err(LinkError::TooLarge("more entries than a link has"));
            }
            let depth = walk.path().len();
            match node.content() {
                NodeContent::Directory { .. } => self.push(depth, &node, SharedContent::Directory),
                NodeContent::File { .. } => self.add_file(contents, depth, &node)?,
                NodeContent::Symlink { target } => {
                    let target = target.clone();
                    self.push(depth, &node, SharedContent::Symlink { target });
                }
                _ => self.left_out.push(LeftOut {
                    path: path_of(&walk),
                    reason: Reason::SpecialFile,
                }),
            }
        }
        Ok(())
    }

    fn add_file(
        &mut self,
        contents: &Contents,
        depth: usize,
        node: &Node,
    ) -> Result<(), LinkError> {
        let NodeContent::File {
            content,
            size,
            holes,
        } = node.content()
        else {
            return Ok(());
        };
        let opened = contents.opened();
        let mut source = opened.reader.clone();
        let mut chunks = StreamChunks::new(content);
        let mut numbers = Vec::new();
        while let Some(chunk) = chunks.next(&mut source).map_err(ContentsError::from)? {
            let number = match self.numbers.get(&chunk.id) {
                Some(number) => *number,
                None => {
                    let entry = opened
                        .index
                        .lookup(ChunkKind::FileData, &chunk.id)
                        .map_err(TransferError::from)?
                        .ok_or(TransferError::Unknown)?;
                    self.add_chunk(entry, chunk.length)?
                }
            };
            if self.chunks[number as usize].1 != chunk.length {
                return Err(TransferError::Unknown.into());
            }
            numbers.push(number);
        }
        let content = SharedContent::File {
            chunks: numbers,
            size: *size,
            holes: holes.clone(),
        };
        self.push(depth, node, content);
        Ok(())
    }

    fn add_chunk(&mut self, entry: IndexEntry, length: u32) -> Result<u32, LinkError> {
        if self.chunks.len() == MAX_LINKED_CHUNKS {
            return Err(LinkError::TooLarge("more chunks than a link has"));
        }
        self.packs.insert(entry.pack);
        if self.packs.len() > MAX_LINKED_PACKS {
            return Err(LinkError::TooLarge("in more packs than a link reads"));
        }
        let number = u32::try_from(self.chunks.len()).expect("at most 2^18");
        self.chunks.push((entry, length));
        self.numbers.insert(entry.id, number);
        Ok(number)
    }

    fn push(&mut self, depth: usize, node: &Node, content: SharedContent) {
        let Metadata { mode, modified, .. } = node.metadata();
        self.nodes.push(SharedNode {
            depth,
            name: Some(node.name().clone()),
            mode: mode & MODE_BITS,
            modified: *modified,
            content,
        });
    }
}

/// Where each chunk opens, and the hash of its sealed bytes there.
struct Hasher<'a> {
    plan: &'a Plan,
    contents: &'a Contents,
    meter: &'a Meter,
    cancellation: &'a Cancellation,
    found: Vec<Option<(IndexEntry, [u8; 32])>>,
    decompressor: Decompressor,
}

impl Hasher<'_> {
    fn read(&mut self, wanted: &[IndexEntry]) -> Result<(), TransferError> {
        let reader = &self.contents.opened().reader;
        reader.read_many(wanted, &mut |place, sealed| {
            count(&self.meter.transferred_bytes, sealed.len() as u64);
            if self.cancellation.is_cancelled() {
                return Err(TransferError::Cancelled);
            }
            // What does not open here is looked for elsewhere.
            self.take(&place, &sealed)
        })
    }

    /// After one pack failed for good, so that what lies in it is looked for
    /// elsewhere, and nothing else.
    fn read_each_pack(&mut self, wanted: &[IndexEntry]) -> Result<(), TransferError> {
        let mut packs: HashMap<PackId, Vec<IndexEntry>> = HashMap::new();
        for place in wanted {
            packs.entry(place.pack).or_default().push(*place);
        }
        for places in packs.into_values() {
            match self.read(&places) {
                Err(error) if !error.is_lasting() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<(IndexEntry, [u8; 32])>, TransferError> {
        for number in 0..self.found.len() {
            if self.found[number].is_none() {
                self.look_elsewhere(number)?;
            }
        }
        let found = self.found.into_iter();
        found
            .map(|place| place.ok_or(TransferError::Altered))
            .collect()
    }

    /// Looks at every place that any segment names, as
    /// [`Reader::read`](crate::transfer::Reader::read) does.
    fn look_elsewhere(&mut self, number: usize) -> Result<(), TransferError> {
        let opened = self.contents.opened();
        let id = self.plan.chunks[number].0.id;
        let mut worst = TransferError::Unknown;
        for place in opened.index.places(ChunkKind::FileData, &id)? {
            match opened.reader.fetch(&place.pack, place.pack_size) {
                Ok(pack) => {
                    let start = place.offset as usize;
                    let sealed = pack.get(start..start + place.sealed_length as usize);
                    self.take(&place, sealed.unwrap_or_default())?;
                    if self.found[number].is_some() {
                        return Ok(());
                    }
                }
                Err(error) if error.is_lasting() => {
                    if worst.code() != ErrorCode::HosterMisbehaved {
                        worst = error;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(worst)
    }

    /// Notes a chunk that opens.
    fn take(&mut self, place: &IndexEntry, sealed: &[u8]) -> Result<(), TransferError> {
        let number = self.plan.numbers.get(&place.id);
        let number = *number.ok_or(TransferError::Unknown)? as usize;
        let reader = &self.contents.opened().reader;
        let Ok(plaintext) = reader.open(place, sealed.to_vec(), &mut self.decompressor) else {
            return Ok(());
        };
        if plaintext.len() != self.plan.chunks[number].1 as usize {
            // The member's device that wrote the file's list lied.
            return Err(TransferError::Unknown);
        }
        count(&self.meter.bytes, sealed.len() as u64);
        self.found[number] = Some((*place, *blake3::hash(sealed).as_bytes()));
        Ok(())
    }
}

fn path_of(walk: &Walk) -> Vec<u8> {
    let mut path = Vec::new();
    for name in walk.path() {
        path.push(b'/');
        path.extend_from_slice(name.as_bytes());
    }
    path
}
