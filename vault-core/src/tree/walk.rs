//! Finding one node, and visiting all.

use super::{DirectoryReader, MAX_DEPTH, MAX_WAY_BYTES, Node, NodeName, TreeError};
use crate::chunk::ChunkSource;
use crate::stream::StreamRef;

/// Directories, from the innermost outwards, whose chunks a walk keeps in
/// memory; it reads those further out again when it comes back to them, so
/// that the deepest tree takes no more memory than an ordinary one.
pub(super) const UNPARKED: usize = 16;

/// The node at a path, given as its components from `tree` on; `None` if there
/// is none, or if `components` is empty: a tree's root has no node.
///
/// Reads each directory on the way up to the component's name. Symlinks are
/// not followed.
///
/// # Errors
/// See [`TreeError`].
pub fn resolve<S: ChunkSource>(
    tree: &StreamRef,
    components: &[NodeName],
    source: &mut S,
) -> Result<Option<Node>, TreeError<S::Error>> {
    let mut found: Option<Node> = None;
    for name in components {
        let directory = match &found {
            None => Some(tree),
            Some(node) => node.directory(),
        };
        let Some(directory) = directory else {
            return Ok(None);
        };
        found = find(directory, name, source)?;
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(found)
}

fn find<S: ChunkSource>(
    directory: &StreamRef,
    name: &NodeName,
    source: &mut S,
) -> Result<Option<Node>, TreeError<S::Error>> {
    let mut nodes = DirectoryReader::new(directory);
    while let Some(node) = nodes.next(source)? {
        if node.name() >= name {
            return Ok(Some(node).filter(|node| node.name() == name));
        }
    }
    Ok(None)
}

/// What a walk came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A node. A directory's own nodes come next, then its [`Step::Leave`].
    Node(Node),
    /// The end of this directory's nodes.
    Leave(Node),
}

/// All nodes of a tree: a directory before its nodes, those in the order of
/// their names, and the directory again after them.
///
/// Its memory is bounded. Its time is not: a hostile tree can name one
/// directory many times over, and be larger than anything by that; whoever
/// walks one counts.
#[derive(Debug)]
pub struct Walk {
    root: DirectoryReader,
    inner: Vec<(Node, DirectoryReader)>,
    /// Of the nodes in `inner`.
    inner_bytes: usize,
    path: Vec<NodeName>,
}

impl Walk {
    /// Begins at the first node of `tree`.
    #[must_use]
    pub fn new(tree: &StreamRef) -> Self {
        Self {
            root: DirectoryReader::new(tree),
            inner: Vec::new(),
            inner_bytes: 0,
            path: Vec::new(),
        }
    }

    /// The path, from the tree's root, of the node that the last step came to.
    #[must_use]
    pub fn path(&self) -> &[NodeName] {
        &self.path
    }

    /// Leaves out the nodes of the directory that the last step came to, and
    /// its [`Step::Leave`]. Without effect after any other step.
    pub fn skip(&mut self) {
        if self.inner.len() == self.path.len() {
            self.leave();
        }
    }

    /// Leaves out whatever is left of the directory whose nodes it is among, and its
    /// [`Step::Leave`], and goes on with what comes after it; for a directory that cannot
    /// be read. False at the tree's root, behind which there is nothing.
    pub fn give_up(&mut self) -> bool {
        self.leave().is_some()
    }

    fn leave(&mut self) -> Option<Node> {
        let (node, _) = self.inner.pop()?;
        self.inner_bytes -= node.memory();
        Some(node)
    }

    /// The next step, or `None` at the end.
    ///
    /// # Errors
    /// See [`TreeError`]. After an error of the source the same call may be
    /// made again.
    pub fn next<S: ChunkSource>(
        &mut self,
        source: &mut S,
    ) -> Result<Option<Step>, TreeError<S::Error>> {
        let directory = match self.inner.last_mut() {
            Some((_, directory)) => directory,
            None => &mut self.root,
        };
        let next = directory.next(source)?;
        // The path of the step before ends with its node, which is not part of
        // the one of this directory.
        self.path.truncate(self.inner.len());
        let Some(node) = next else {
            return Ok(self.leave().map(Step::Leave));
        };
        self.path.push(node.name().clone());
        if self.path.len() > MAX_DEPTH {
            return Err(TreeError::TooDeep);
        }
        if let Some(content) = node.directory() {
            let bytes = self.inner_bytes + node.memory();
            if bytes > MAX_WAY_BYTES {
                return Err(TreeError::WayTooLarge);
            }
            self.inner_bytes = bytes;
            let reader = DirectoryReader::new(content);
            self.inner.push((node.clone(), reader));
            if let Some(outer) = self.inner.len().checked_sub(UNPARKED + 1) {
                self.inner[outer].1.park();
            }
        }
        Ok(Some(Step::Node(node)))
    }
}
