//! Writing and reading the nodes of one directory.

use super::{MAX_NODE_LEN, Node, NodeError, NodeName};
use crate::chunk::{ChunkKind, ChunkSink, ChunkSource};
use crate::stream::{Cut, ReadError, RecordReader, StreamRef, StreamWriter, push_record};

/// Why a node was not added.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddError<E> {
    /// Its name does not come after that of the node before.
    #[error("nodes are added in strictly ascending order of their names")]
    NotAscending,
    /// A chunk could not be stored; the directory cannot be finished.
    #[error("a chunk could not be stored")]
    Sink(#[source] E),
}

/// Why a tree could not be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError<E> {
    /// A directory's stream could not be read.
    #[error(transparent)]
    Read(#[from] ReadError<E>),
    /// A node that is none.
    #[error("malformed node: {0}")]
    Node(#[from] NodeError),
    /// A name that is repeated or out of order.
    #[error("a directory whose names are not in strictly ascending order")]
    NotAscending,
    /// Directories nested more than [`super::MAX_DEPTH`] deep.
    #[error("a tree deeper than {} directories", super::MAX_DEPTH)]
    TooDeep,
    /// Directories on the way to a node of more than [`super::MAX_WAY_BYTES`].
    #[error("directories in each other whose attributes are too large")]
    WayTooLarge,
}

/// Writes one directory. Holds a few chunks, however many nodes there are.
#[derive(Debug)]
pub struct DirectoryWriter<C> {
    writer: StreamWriter<C>,
    last: Option<NodeName>,
}

impl<C: Cut + Clone> DirectoryWriter<C> {
    /// A directory without nodes yet, cut by the metadata chunker.
    ///
    /// # Panics
    /// As [`StreamWriter::new`].
    pub fn new(chunker: C) -> Self {
        Self {
            writer: StreamWriter::new(ChunkKind::Tree, chunker.clone(), chunker),
            last: None,
        }
    }

    /// Adds a node whose name comes after all the others.
    ///
    /// # Errors
    /// See [`AddError`].
    pub fn add<S: ChunkSink>(
        &mut self,
        node: &Node,
        sink: &mut S,
    ) -> Result<(), AddError<S::Error>> {
        if self.last.as_ref().is_some_and(|last| last >= node.name()) {
            return Err(AddError::NotAscending);
        }
        let mut record = Vec::new();
        push_record(&node.encode(), &mut record);
        self.writer.write(&record, sink).map_err(AddError::Sink)?;
        self.last = Some(node.name().clone());
        Ok(())
    }

    /// Stores what is left and names the directory.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish<S: ChunkSink>(self, sink: &mut S) -> Result<StreamRef, S::Error> {
        self.writer.finish(sink)
    }
}

/// The nodes of one directory, each checked, in ascending order of their names.
///
/// Holds a few chunks, however many nodes there are.
#[derive(Debug)]
pub struct DirectoryReader {
    directory: StreamRef,
    records: Option<RecordReader>,
    /// Where to go on when `records` is gone.
    position: u64,
    last: Option<NodeName>,
}

impl DirectoryReader {
    /// Begins at the directory's first node.
    #[must_use]
    pub fn new(directory: &StreamRef) -> Self {
        Self {
            directory: directory.clone(),
            records: None,
            position: 0,
            last: None,
        }
    }

    /// The next node, or `None` after the last.
    ///
    /// # Errors
    /// See [`TreeError`]. After an error of the source the same call may be
    /// made again; after any other, what comes is checked no less but may
    /// leave nodes out.
    pub fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<Node>, TreeError<S::Error>> {
        let records = match &mut self.records {
            Some(records) => records,
            None => {
                let mut records = RecordReader::new(ChunkKind::Tree, &self.directory, MAX_NODE_LEN);
                records.skip_to(self.position, source)?;
                self.records.insert(records)
            }
        };
        let Some(record) = records.next(source)? else {
            return Ok(None);
        };
        let node = Node::decode(&record)?;
        if self.last.as_ref().is_some_and(|last| last >= node.name()) {
            return Err(TreeError::NotAscending);
        }
        self.last = Some(node.name().clone());
        Ok(Some(node))
    }

    /// Lets go of the chunks in memory; the next call reads them again.
    pub(super) fn park(&mut self) {
        if let Some(records) = self.records.take() {
            self.position = records.position();
        }
    }
}
