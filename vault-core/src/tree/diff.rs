//! What differs between two trees.

use std::cmp::Ordering;

use super::{DirectoryReader, MAX_DEPTH, Node, NodeName, TreeError};
use crate::chunk::ChunkSource;
use crate::stream::StreamRef;

/// A node that is not the same in both trees.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "changes are looked at one at a time, and never kept in numbers"
)]
pub enum Change {
    /// Only in the tree after. All of a directory's nodes follow.
    Added(Node),
    /// Only in the tree before. All of a directory's nodes follow.
    Removed(Node),
    /// In both, and not equal. A directory whose own metadata is the same is
    /// given too when its content is not.
    Modified {
        /// As it was.
        before: Node,
        /// As it became.
        after: Node,
    },
}

/// The changes that lead from one tree to another, ordered by path. Equal
/// subtrees are passed over unread.
///
/// Where a directory took the place of something else, or something else that
/// of a directory, that is a removal, with all its nodes, and then an addition.
///
/// Its memory is bounded; as for its time, see [`Walk`](super::Walk).
#[derive(Debug)]
pub struct Diff {
    levels: Vec<Level>,
    path: Vec<NodeName>,
}

#[derive(Debug)]
struct Level {
    before: Side,
    after: Side,
}

/// One of the two directories of a level; none where only the other tree has
/// this directory.
#[derive(Debug, Default)]
struct Side {
    directory: Option<DirectoryReader>,
    next: Option<Node>,
}

impl Side {
    fn new(directory: Option<&StreamRef>) -> Self {
        Self {
            directory: directory.map(DirectoryReader::new),
            next: None,
        }
    }

    fn fill<S: ChunkSource>(&mut self, source: &mut S) -> Result<(), TreeError<S::Error>> {
        if self.next.is_none()
            && let Some(directory) = &mut self.directory
        {
            self.next = directory.next(source)?;
            if self.next.is_none() {
                self.directory = None;
            }
        }
        Ok(())
    }

    fn park(&mut self) {
        if let Some(directory) = &mut self.directory {
            directory.park();
        }
    }
}

impl Diff {
    /// Compares `before` with `after`.
    #[must_use]
    pub fn new(before: &StreamRef, after: &StreamRef) -> Self {
        let mut diff = Self {
            levels: Vec::new(),
            path: Vec::new(),
        };
        if before != after {
            diff.enter(Some(before), Some(after));
        }
        diff
    }

    /// The path, from the trees' roots, of the last change.
    #[must_use]
    pub fn path(&self) -> &[NodeName] {
        &self.path
    }

    /// The next change, or `None` after the last.
    ///
    /// # Errors
    /// See [`TreeError`]. After an error of the source the same call may be
    /// made again.
    pub fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<Change>, TreeError<S::Error>> {
        while let Some(level) = self.levels.last_mut() {
            level.before.fill(source)?;
            level.after.fill(source)?;
            let (before, after) = level.take();
            self.path.truncate(self.levels.len() - 1);
            let change = match (before, after) {
                (None, None) => {
                    self.levels.pop();
                    continue;
                }
                (Some(before), Some(after)) if before == after => continue,
                (Some(before), Some(after)) => Change::Modified { before, after },
                (Some(before), None) => Change::Removed(before),
                (None, Some(after)) => Change::Added(after),
            };
            self.descend(&change)?;
            return Ok(Some(change));
        }
        Ok(None)
    }

    fn descend<E>(&mut self, change: &Change) -> Result<(), TreeError<E>> {
        let (before, after) = match change {
            Change::Added(node) => (None, Some(node)),
            Change::Removed(node) => (Some(node), None),
            Change::Modified { before, after } => (Some(before), Some(after)),
        };
        let name = before.or(after).expect("a change has a node").name();
        self.path.push(name.clone());
        if self.path.len() > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        let before = before.and_then(Node::directory);
        let after = after.and_then(Node::directory);
        if before != after {
            self.enter(before, after);
        }
        Ok(())
    }

    fn enter(&mut self, before: Option<&StreamRef>, after: Option<&StreamRef>) {
        self.levels.push(Level {
            before: Side::new(before),
            after: Side::new(after),
        });
        if let Some(outer) = self.levels.len().checked_sub(super::walk::UNPARKED + 1) {
            self.levels[outer].before.park();
            self.levels[outer].after.park();
        }
    }
}

impl Level {
    /// Takes the node with the lesser name, or both when the names are equal
    /// and both or neither are directories.
    fn take(&mut self) -> (Option<Node>, Option<Node>) {
        let order = match (&self.before.next, &self.after.next) {
            (Some(before), Some(after)) => before
                .name()
                .cmp(after.name())
                // A directory and something else: the removal goes first.
                .then_with(|| match is_directory(before) == is_directory(after) {
                    true => Ordering::Equal,
                    false => Ordering::Less,
                }),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => (self.before.next.take(), None),
            Ordering::Equal => (self.before.next.take(), self.after.next.take()),
            Ordering::Greater => (None, self.after.next.take()),
        }
    }
}

fn is_directory(node: &Node) -> bool {
    node.directory().is_some()
}
