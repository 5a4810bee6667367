//! From saved files to directories, from the leaves up to `/`.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use vault_core::{
    chunker::Chunker,
    snapshot::Totals,
    stream::StreamRef,
    timestamp::Timestamp,
    tree::{AddError, DirectoryWriter, Metadata, Node, NodeContent, NodeName},
};

use super::directory_job::{DirectoryJob, SavedFile, Stop};
use crate::{
    files::{
        Content, Entry, LeftOut, NodeKind, OwnerNames, Reason, RecordBuilder, Settled, VisitedId,
    },
    progress::{Meter, count},
    transfer::{ChunkWorker, TransferError},
};

/// Directories deeper than this wait for the whole snapshot: writing a partial
/// one recurses.
const PARTIAL_DEPTH: usize = 128;

/// Builds the tree of one backup. Takes directories in the order of the walk:
/// each after those in it.
pub(super) struct TreeBuilder<'a> {
    pub(super) worker: ChunkWorker,
    chunker: Chunker,
    owners: OwnerNames,
    started: Timestamp,
    meter: &'a Meter,
    stop: &'a Stop,
    /// Nodes of directories that are done, by the directory that holds them.
    waiting: HashMap<VisitedId, Vec<Waiting>>,
    /// The directory that is being written.
    open: Option<Open>,
    pub(super) totals: Totals,
    pub(super) left_out: Vec<LeftOut>,
    /// Directories of which only the name is saved: the kernel's own file
    /// systems begin there.
    pub(super) pseudo: Vec<Vec<u8>>,
    /// What the cache is to remember once a head holds it.
    records: Vec<(RecordBuilder, StreamRef)>,
    root: Option<StreamRef>,
}

/// A directory of which some entries are written.
struct Open {
    job: Arc<DirectoryJob>,
    /// Nodes of the directories in it that are still to be written.
    children: BTreeMap<Vec<u8>, Node>,
    writer: DirectoryWriter<Chunker>,
    record: RecordBuilder,
    /// The place of the next entry in the listing.
    next: usize,
}

/// What came of an entry: its node, unless it was left out.
type Taken = (Option<Node>, Settled);

/// A directory that is done and whose parent is not.
struct Waiting {
    path: Vec<u8>,
    node: Node,
}

impl<'a> TreeBuilder<'a> {
    pub(super) fn new(
        worker: ChunkWorker,
        chunker: Chunker,
        owners: OwnerNames,
        started: Timestamp,
        meter: &'a Meter,
        stop: &'a Stop,
    ) -> Self {
        Self {
            worker,
            chunker,
            owners,
            started,
            meter,
            stop,
            waiting: HashMap::new(),
            open: None,
            totals: Totals::default(),
            left_out: Vec::new(),
            pseudo: Vec::new(),
            records: Vec::new(),
            root: None,
        }
    }

    /// Begins the next directory. Its entries are taken by [`Self::step`], until
    /// there are no more.
    pub(super) fn begin(&mut self, job: Arc<DirectoryJob>) -> Result<(), TransferError> {
        let visited = &job.visited;
        self.left_out.extend(visited.left_out.iter().cloned());
        if visited.content == Content::Gone {
            return Ok(());
        }
        if visited.content == Content::PseudoFileSystem {
            self.pseudo.push(visited.path());
        }
        let children: BTreeMap<Vec<u8>, Node> = self
            .waiting
            .remove(&visited.id)
            .into_iter()
            .flatten()
            .map(|child| (child.node.name().as_bytes().to_vec(), child.node))
            .collect();
        if let Some(content) = self.unchanged(&job, &children)? {
            self.close(&job, content);
            return Ok(());
        }
        self.open = Some(Open {
            children,
            writer: DirectoryWriter::new(self.chunker.clone()),
            record: RecordBuilder::new(visited.path(), self.started),
            next: 0,
            job,
        });
        Ok(())
    }

    /// Takes one more entry of the directory that was begun; false when it is done.
    /// Waits for a file for a moment only, so that the caller can look after other
    /// things meanwhile.
    pub(super) fn step(&mut self) -> Result<bool, TransferError> {
        let Some(mut open) = self.open.take() else {
            return Ok(false);
        };
        let job = open.job.clone();
        let Some(entry) = job.visited.listing.entry(open.next) else {
            let content = open.writer.finish(&mut self.worker)?;
            self.records.push((open.record, content.clone()));
            self.close(&job, content);
            return Ok(false);
        };
        let taken = match entry.stat.kind {
            NodeKind::Directory => Some((open.children.remove(entry.name), Settled::Yes)),
            NodeKind::File => self.file(&job, open.next, &entry)?,
            _ => Some(self.other(&job, open.next, &entry)),
        };
        if let Some((node, settled)) = taken {
            open.next += 1;
            if let Some(node) = node {
                add(&mut open.writer, &node, &mut self.worker)?;
                let record = &mut open.record;
                record.push(entry.name, &entry.stat, settled, &node.encode());
            }
        }
        self.open = Some(open);
        Ok(true)
    }

    /// The tree, once `/` was added.
    pub(super) fn root(&self) -> Option<&StreamRef> {
        self.root.as_ref()
    }

    /// A tree of what is done so far. Directories that are not, and those above
    /// them, stand in with the least that lets them be entered.
    pub(super) fn partial_root(&mut self) -> Result<StreamRef, TransferError> {
        let open = match &self.open {
            Some(open) => {
                let done = open.record.nodes().map(Node::decode);
                let done = done.map(|node| node.expect("a node that was encoded"));
                // What is done comes before what is not, by name too.
                let nodes = done.chain(open.children.values().cloned());
                let mut writer = DirectoryWriter::new(self.chunker.clone());
                for node in nodes {
                    add(&mut writer, &node, &mut self.worker)?;
                }
                Some((open.job.visited.path(), writer.finish(&mut self.worker)?))
            }
            None => None,
        };
        let mut top = Partial::default();
        for waiting in self.waiting.values().flatten() {
            if let Some(place) = top.at(&waiting.path) {
                place.done = Some(Done::Node(waiting.node.clone()));
            }
        }
        if let Some((path, content)) = open
            && let Some(place) = top.at(&path)
        {
            place.done = Some(Done::Content(content));
        }
        self.write_partial(top)
    }

    /// What the cache is to remember, now that a head holds it.
    pub(super) fn take_records(&mut self) -> Vec<(RecordBuilder, StreamRef)> {
        std::mem::take(&mut self.records)
    }

    /// The directory's stream as the cache has it, if that still holds.
    fn unchanged(
        &mut self,
        job: &DirectoryJob,
        children: &BTreeMap<Vec<u8>, Node>,
    ) -> Result<Option<StreamRef>, TransferError> {
        let Some(cached) = &job.visited.inspected.cached else {
            return Ok(None);
        };
        if !job.is_same() {
            return Ok(None);
        }
        for (name, node) in children {
            let same = cached
                .find(name)
                .is_some_and(|entry| entry.node == node.encode());
            if !same {
                return Ok(None);
            }
        }
        // A child that could not be saved has no node, and must not live on
        // in the parent's old stream.
        let is_directory = |entry: &Entry<'_>| entry.stat.kind == NodeKind::Directory;
        if job.visited.listing.iter().filter(is_directory).count() != children.len() {
            return Ok(None);
        }
        for (index, entry) in job.visited.listing.iter().enumerate() {
            match entry.stat.kind {
                NodeKind::Directory => {}
                NodeKind::File => {
                    // Holes are not counted, and only the node knows them.
                    let bytes = if entry.stat.may_have_holes {
                        job.unchanged(index)
                            .and_then(|place| cached.entry(place))
                            .and_then(|entry| Node::decode(entry.node).ok())
                            .map_or(0, |node| data_bytes(&node))
                    } else {
                        entry.stat.size
                    };
                    self.count_file(bytes);
                    count(&self.meter.bytes, bytes);
                }
                _ => self.totals.others += 1,
            }
        }
        Ok(Some(cached.content().clone()))
    }

    /// A directory is done: its node waits for its parent.
    fn close(&mut self, job: &DirectoryJob, content: StreamRef) {
        let visited = &job.visited;
        let Some(parent) = visited.parent else {
            self.root = Some(content);
            return;
        };
        self.totals.directories += 1;
        let metadata = visited.metadata(&self.owners);
        if let Some(reason) = metadata.problem {
            self.leave_out(visited.path(), reason);
        }
        if let Some(node) = self.node(
            visited.path(),
            visited.name(),
            NodeContent::Directory { content },
            metadata.metadata,
        ) {
            self.waiting.entry(parent).or_default().push(Waiting {
                path: visited.path(),
                node,
            });
        }
    }

    /// A regular file; `None` while it is not saved yet.
    fn file(
        &mut self,
        job: &DirectoryJob,
        index: usize,
        entry: &Entry<'_>,
    ) -> Result<Option<Taken>, TransferError> {
        if let Some(node) = cached_node(job, index) {
            let bytes = data_bytes(&node);
            self.count_file(bytes);
            count(&self.meter.bytes, bytes);
            return Ok(Some((Some(node), Settled::Yes)));
        }
        let path = || {
            job.visited
                .directory()
                .map_or_else(Vec::new, |d| d.path_of(entry.name))
        };
        let SavedFile {
            content,
            read,
            metadata,
            problem,
        } = match job.take(index, self.stop)? {
            None => return Ok(None),
            Some(Ok(saved)) => saved,
            Some(Err(reason)) => {
                self.leave_out(path(), reason);
                return Ok(Some((None, Settled::No)));
            }
        };
        let mut settled = settled_unless(problem);
        if let Some(reason) = problem {
            self.leave_out(path(), reason);
        }
        if read.has_changed {
            self.leave_out(path(), Reason::ChangedWhileRead);
            settled = Settled::No;
        }
        self.count_file(content.length());
        let content = NodeContent::File {
            content,
            size: read.stat.size,
            holes: read.holes,
        };
        let node = self.node(path(), entry.name, content, metadata);
        let node = match node {
            Some(node) if read.stat.links > 1 => node
                .with_hard_link(hard_link_of(read.stat.id.dev, read.stat.id.ino))
                .ok(),
            node => node,
        };
        Ok(Some((node, settled)))
    }

    /// A symlink, FIFO, socket or device.
    fn other(&mut self, job: &DirectoryJob, index: usize, entry: &Entry<'_>) -> Taken {
        if let Some(node) = cached_node(job, index) {
            self.totals.others += 1;
            return (Some(node), Settled::Yes);
        }
        let Some(directory) = job.visited.directory() else {
            return (None, Settled::No);
        };
        let path = directory.path_of(entry.name);
        let (major, minor) = entry.stat.device;
        let content = match entry.stat.kind {
            NodeKind::Symlink => match directory.read_link(entry.name) {
                Ok(target) => NodeContent::Symlink { target },
                Err(reason) => {
                    self.leave_out(path, reason);
                    return (None, Settled::No);
                }
            },
            NodeKind::Fifo => NodeContent::Fifo,
            NodeKind::Socket => NodeContent::Socket,
            NodeKind::CharacterDevice => NodeContent::CharacterDevice { major, minor },
            NodeKind::BlockDevice => NodeContent::BlockDevice { major, minor },
            NodeKind::File | NodeKind::Directory => return (None, Settled::No),
        };
        let metadata = directory.entry_metadata(entry.name, &entry.stat, &self.owners);
        if let Some(reason) = metadata.problem {
            self.leave_out(path.clone(), reason);
        }
        self.totals.others += 1;
        let node = self.node(path, entry.name, content, metadata.metadata);
        (node, settled_unless(metadata.problem))
    }

    fn node(
        &mut self,
        path: Vec<u8>,
        name: &[u8],
        content: NodeContent,
        metadata: Metadata,
    ) -> Option<Node> {
        let node = NodeName::new(name).and_then(|name| Node::new(name, content, metadata));
        if node.is_err() {
            self.leave_out(path, Reason::TooLarge);
        }
        node.ok()
    }

    fn count_file(&mut self, bytes: u64) {
        self.totals.files += 1;
        self.totals.bytes += bytes;
        count(&self.meter.files, 1);
    }

    fn leave_out(&mut self, path: Vec<u8>, reason: Reason) {
        self.left_out.push(LeftOut { path, reason });
    }

    /// The stream of a directory that is not done.
    fn write_partial(&mut self, partial: Partial) -> Result<StreamRef, TransferError> {
        if let Some(Done::Content(content)) = partial.done {
            return Ok(content);
        }
        let mut writer = DirectoryWriter::new(self.chunker.clone());
        for (name, below) in partial.below {
            let node = match below.done {
                Some(Done::Node(node)) => node,
                _ => {
                    let content = NodeContent::Directory {
                        content: self.write_partial(below)?,
                    };
                    let metadata = Metadata {
                        mode: 0o700,
                        modified: self.started,
                        uid: 0,
                        gid: 0,
                        user: Vec::new(),
                        group: Vec::new(),
                        xattrs: Vec::new(),
                    };
                    let name = NodeName::new(name).expect("a component of a directory's path");
                    Node::new(name, content, metadata).expect("a plain directory")
                }
            };
            add(&mut writer, &node, &mut self.worker)?;
        }
        writer.finish(&mut self.worker)
    }
}

fn add(
    writer: &mut DirectoryWriter<Chunker>,
    node: &Node,
    worker: &mut ChunkWorker,
) -> Result<(), TransferError> {
    writer.add(node, worker).map_err(|error| match error {
        AddError::Sink(error) => error,
        _ => TransferError::Stopped,
    })
}

/// A directory that is done, or on the way to some that are.
#[derive(Default)]
struct Partial {
    done: Option<Done>,
    below: BTreeMap<Vec<u8>, Partial>,
}

/// What there is of a directory.
enum Done {
    /// All of it.
    Node(Node),
    /// Some of its entries.
    Content(StreamRef),
}

impl Partial {
    /// The place of a path below this one; none too far down.
    fn at(&mut self, path: &[u8]) -> Option<&mut Self> {
        let names = path.split(|byte| *byte == b'/');
        let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
        if names.len() > PARTIAL_DEPTH {
            return None;
        }
        let mut place = self;
        for name in names {
            place = place.below.entry(name.to_vec()).or_default();
        }
        Some(place)
    }
}

/// The node of an entry that the cache knows as it is.
fn cached_node(job: &DirectoryJob, index: usize) -> Option<Node> {
    let place = job.unchanged(index)?;
    let entry = job.visited.inspected.cached.as_ref()?.entry(place)?;
    Node::decode(entry.node).ok()
}

/// What was not saved whole is read again by every backup, so that every one
/// reports it.
fn settled_unless(problem: Option<Reason>) -> Settled {
    match problem {
        Some(_) => Settled::No,
        None => Settled::Yes,
    }
}

fn data_bytes(node: &Node) -> u64 {
    match node.content() {
        NodeContent::File { content, .. } => content.length(),
        _ => 0,
    }
}

/// Names of one file carry the same value, others another.
fn hard_link_of(dev: u64, ino: u64) -> [u8; 16] {
    let mut value = [0; 16];
    value[..8].copy_from_slice(&dev.to_le_bytes());
    value[8..].copy_from_slice(&ino.to_le_bytes());
    value
}
