//! Trees: directories as streams of nodes, ordered by name.
//!
//! ```text
//! Node ── DirectoryWriter ──▶ StreamRef ── DirectoryReader ──▶ Node
//!                                       ── resolve · Walk · Diff
//! ```
//!
//! A [`Node`] says all there is to say about a directory's entry; a
//! subdirectory's holds the [`StreamRef`](crate::stream::StreamRef) of its own
//! nodes. What a tree from outside may hold, and that walking it ends, is
//! checked here; that restoring it stays inside its target, by whoever
//! restores.

mod diff;
mod directory;
mod node;
mod walk;

pub use diff::{Change, Diff};
pub use directory::{AddError, DirectoryReader, DirectoryWriter, TreeError};
pub use node::{Hole, Metadata, Node, NodeContent, NodeError, NodeName, Xattr};
pub(crate) use node::{check_holes, is_target};
pub use walk::{Step, Walk, resolve};

/// The deepest that a tree may be: a path of 4,096 bytes has no more
/// components.
pub const MAX_DEPTH: usize = 2_048;

/// About what a [`Walk`] keeps at most of the directories on the way to where it is,
/// in bytes: attributes can make each of them large.
pub const MAX_WAY_BYTES: usize = 16 << 20;

/// The longest encoded node, in bytes.
pub const MAX_NODE_LEN: usize = 256 << 10;
