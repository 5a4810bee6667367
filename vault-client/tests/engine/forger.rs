//! A member's device that writes what it likes.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use vault_client::platform::Rng;
use vault_client::vault::Vault;
use vault_core::catalog::{Catalog, Series, SeriesKind};
use vault_core::chunk::{ChunkId, ChunkKind, ChunkSink, ChunkSource};
use vault_core::chunker::{ChunkSizes, Chunker};
use vault_core::index::{IndexEntry, SegmentBuilder};
use vault_core::keys::VaultKeys;
use vault_core::pack::{FinishedPack, PackBuilder};
use vault_core::seal::Compressor;
use vault_core::snapshot::{SeriesId, Snapshot, SnapshotFields, Totals};
use vault_core::stream::{StreamRef, StreamWriter};
use vault_core::timestamp::Timestamp;
use vault_proto::wire;
use vault_proto::wire::{Located, NodeKind, Root, SegmentRef};

use crate::support::{Member, Other, rng};

/// Whose vault it is, at whatever hoster.
pub(crate) trait Owner {
    /// The device that signs for what was written.
    fn paper(&self) -> Other;
}

impl Owner for Member {
    fn paper(&self) -> Other {
        Member::paper(self)
    }
}

/// A device of the member's that writes what it likes, in chunks, packs and an
/// index that are as they should be.
pub(crate) struct Forger<O = Member> {
    pub(crate) owner: O,
    pub(crate) vault: Vault,
    pub(crate) keys: Arc<VaultKeys>,
    pub(crate) pack: PackBuilder,
    pub(crate) written: HashSet<ChunkId>,
    pub(crate) compressor: Compressor,
    pub(crate) rng: Rng,
    pub(crate) snapshots: Vec<StreamRef>,
    /// Changes what the index says.
    pub(crate) misplace: fn(&mut Vec<IndexEntry>),
    /// Segments of the index beside the one that is true, newest last.
    pub(crate) untrue: Vec<Vec<IndexEntry>>,
}

impl<O> ChunkSink for Forger<O> {
    type Error = Infallible;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, Infallible> {
        let id = self.keys.chunk_id(kind, plaintext);
        if self.written.insert(id) {
            let (compressor, rng) = (&mut self.compressor, &mut self.rng);
            let pushed = self.pack.push_chunk(kind, &id, plaintext, compressor, rng);
            assert!(pushed.unwrap().is_some(), "one pack holds all of it");
        }
        Ok(id)
    }
}

/// Has nothing: what is begun anew reads nothing.
struct Nothing;

impl ChunkSource for Nothing {
    type Error = &'static str;

    fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, &'static str> {
        Err("nothing is there")
    }
}

impl Forger {
    pub(crate) fn new() -> Self {
        let member = Member::new();
        let vault = member.account.create_vault("documents").unwrap();
        Self::of(member, vault)
    }
}

impl<O: Owner> Forger<O> {
    /// For a vault to which nothing was committed yet.
    pub(crate) fn of(owner: O, vault: Vault) -> Self {
        let keys = vault.keys().unwrap();
        Self {
            pack: PackBuilder::new(keys.clone(), 1),
            owner,
            vault,
            keys,
            written: HashSet::new(),
            compressor: Compressor::default(),
            rng: rng(),
            snapshots: Vec::new(),
            misplace: |_| {},
            untrue: Vec::new(),
        }
    }

    pub(crate) fn stream(&mut self, kind: ChunkKind, bytes: &[u8]) -> StreamRef {
        let keys = self.keys.clone();
        let lists = Chunker::new(keys.metadata_chunker(), ChunkSizes::METADATA);
        let own = match kind {
            ChunkKind::FileData => Chunker::new(keys.file_chunker(), ChunkSizes::FILE_DATA),
            _ => lists.clone(),
        };
        let mut writer = StreamWriter::new(kind, own, lists);
        let Ok(()) = writer.write(bytes, self);
        let Ok(stream) = writer.finish(self);
        stream
    }

    /// A directory of these nodes, in this order, whatever they are.
    pub(crate) fn directory(&mut self, nodes: &[wire::Node]) -> StreamRef {
        let mut bytes = Vec::new();
        for node in nodes {
            node.encode_length_delimited(&mut bytes).unwrap();
        }
        self.stream(ChunkKind::Tree, &bytes)
    }

    pub(crate) fn file(&mut self, name: &[u8], content: &[u8]) -> wire::Node {
        let stream = self.stream(ChunkKind::FileData, content);
        wire::Node {
            content: Some(stream.to_wire()),
            size: content.len() as u64,
            ..node(name, NodeKind::File)
        }
    }

    pub(crate) fn folder(&mut self, name: &[u8], nodes: &[wire::Node]) -> wire::Node {
        let stream = self.directory(nodes);
        wire::Node {
            content: Some(stream.to_wire()),
            mode: 0o755,
            ..node(name, NodeKind::Directory)
        }
    }

    /// One snapshot more, whose `/` holds these nodes.
    pub(crate) fn snapshot(&mut self, nodes: &[wire::Node]) {
        let tree = self.directory(nodes);
        self.snapshots.push(tree);
    }

    /// Commits the snapshots; gives the vault as an honest device of the member's
    /// has it then.
    pub(crate) fn commit(mut self) -> (O, Vault) {
        let keys = self.keys.clone();
        let lists = || Chunker::new(keys.metadata_chunker(), ChunkSizes::METADATA);
        let cut = || Chunker::new(keys.metadata_chunker(), ChunkSizes::CATALOG);
        let mut catalog = Catalog::EMPTY;
        let id = SeriesId::from_array([7; 16]);
        let series = Series::new(id, "evil".into(), SeriesKind::Backup).unwrap();
        catalog.add_series(series).unwrap();
        // Appending reads what was appended before.
        let mut source = Written::default();
        for tree in std::mem::take(&mut self.snapshots) {
            let snapshot = Snapshot::new(SnapshotFields {
                series: id,
                started: timestamp(),
                finished: timestamp(),
                tree,
                paths: vec![b"/".to_vec()],
                device: self.vault.device(),
                device_name: "evil".into(),
                complete: true,
                totals: Totals::default(),
                left_out: 0,
                program: "evil".into(),
            })
            .unwrap();
            let mut sink = Remembering {
                forger: &mut self,
                written: Written::default(),
            };
            let added = catalog.add_snapshot(&snapshot, cut(), lists(), &mut source, &mut sink);
            let written = sink.written;
            catalog = added.unwrap();
            source.0.extend(written.0);
        }

        let chunks = self.pack.finish(&mut self.rng);
        let mut entries: Vec<_> = chunks
            .entries
            .iter()
            .map(|entry| IndexEntry {
                id: entry.id,
                kind: entry.kind,
                pack: chunks.id,
                epoch: 1,
                pack_size: size(&chunks),
                offset: entry.offset,
                sealed_length: entry.sealed_length,
            })
            .collect();
        (self.misplace)(&mut entries);
        let mut segments = std::mem::take(&mut self.untrue);
        segments.insert(0, entries);
        self.pack = PackBuilder::new(keys.clone(), 1);
        self.written.clear();
        for entries in &segments {
            let mut segment = SegmentBuilder::new();
            for entry in entries {
                segment.add(entry).unwrap();
            }
            let Ok(_) = self.write_chunk(ChunkKind::Index, &segment.encode());
        }
        let Ok(_) = self.write_chunk(ChunkKind::Catalog, &catalog.encode());
        let map = self.pack.finish(&mut self.rng);
        let root = Root {
            minimum_reader: 1,
            minimum_writer: 1,
            committed: Some(timestamp().to_wire()),
            catalog: Some(located(&map, segments.len())),
            segments: segments
                .iter()
                .enumerate()
                .map(|(number, entries)| SegmentRef {
                    at: Some(located(&map, number)),
                    entries: entries.len() as u32,
                })
                .collect(),
            pack_count: 2,
            pack_bytes: u64::from(size(&map)) + u64::from(size(&chunks)),
            ..Root::default()
        };
        let id = self.vault.id();
        let adds = [map.id, chunks.id];
        for pack in [map, chunks] {
            let bytes = Bytes::from(pack.bytes);
            self.vault.remote().put_pack(&id, &pack.id, bytes).unwrap();
        }
        self.owner.paper().commit_change(id, &root, &adds, &[]);
        self.vault.refresh().unwrap();
        (self.owner, self.vault)
    }
}

/// Chunks of the catalog's, to be read again.
#[derive(Default)]
struct Written(std::collections::HashMap<ChunkId, Vec<u8>>);

impl ChunkSource for Written {
    type Error = &'static str;

    fn read_chunk(&mut self, kind: ChunkKind, id: &ChunkId) -> Result<Vec<u8>, &'static str> {
        self.0
            .get(id)
            .cloned()
            .map_or_else(|| Nothing.read_chunk(kind, id), Ok)
    }
}

struct Remembering<'a, O> {
    forger: &'a mut Forger<O>,
    written: Written,
}

impl<O> ChunkSink for Remembering<'_, O> {
    type Error = Infallible;

    fn write_chunk(&mut self, kind: ChunkKind, plaintext: &[u8]) -> Result<ChunkId, Infallible> {
        let id = self.forger.write_chunk(kind, plaintext)?;
        self.written.0.insert(id, plaintext.to_vec());
        Ok(id)
    }
}

fn timestamp() -> Timestamp {
    Timestamp::from_wire(&wire::Timestamp::default()).unwrap()
}

pub(crate) fn size(pack: &FinishedPack) -> u32 {
    u32::try_from(pack.bytes.len()).unwrap()
}

pub(crate) fn located(pack: &FinishedPack, number: usize) -> Located {
    let entry = &pack.entries[number];
    let sealed = &pack.bytes[entry.offset as usize..][..entry.sealed_length as usize];
    Located {
        chunk_id: entry.id.as_bytes().to_vec(),
        pack: pack.id.to_vec(),
        epoch: pack.epoch,
        offset: entry.offset,
        sealed_length: entry.sealed_length,
        sealed_hash: blake3::hash(sealed).as_bytes().to_vec(),
        pack_size: size(pack),
    }
}

pub(crate) fn node(name: &[u8], kind: NodeKind) -> wire::Node {
    wire::Node {
        name: name.to_vec(),
        kind: kind.into(),
        mode: 0o644,
        modified: Some(wire::Timestamp::default()),
        ..wire::Node::default()
    }
}

pub(crate) fn symlink(name: &[u8], target: &str) -> wire::Node {
    wire::Node {
        symlink_target: target.as_bytes().to_vec(),
        ..node(name, NodeKind::Symlink)
    }
}
