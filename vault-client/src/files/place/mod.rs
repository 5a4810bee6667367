//! Writing a restored tree, and nothing outside of its target.
//!
//! ```text
//! Target ─▶ TargetDirectory ─▶ PlannedFile ─▶ finish
//!    │            └─ finish: mode and time, once all in it is done
//!    └─ finish: syncfs, then the marker goes
//! ```
//!
//! A tree may come from somebody who wishes harm. Each directory is opened by
//! one name in the directory above it, never through a symlink, and everything
//! is made by one name in such a directory; a name with a slash, `..` and the
//! like are no [`NodeName`](vault_core::tree::NodeName). So there is no path
//! that could lead outside, and `openat2` with `RESOLVE_BENEATH` would have
//! nothing to add.
//!
//! **What an interrupted restore leaves behind.** A file is made under its own
//! name with mode 01200, which no other program uses, and
//! gets its real mode last; only where a file stands already is a temporary
//! name needed. While a restore runs, `.coffre-restore` stands in the target,
//! locked. A restore that finds one that nobody locks goes through the target
//! first and removes whatever is unfinished; the restore itself then makes it
//! again. If the machine went down in between, what is written may not be on
//! the disk: then whatever the earlier restore made is made again.

mod apply;
mod directory;
mod file;
mod links;
mod marker;
mod target;

pub use directory::{Placed, TargetDirectory};
pub(crate) use file::Wanted;
pub use file::{FilePlacement, PlannedFile};
pub use target::{Finished, Overwrite, Ownership, PlaceError, PlaceOptions, Target};

/// The mode of a file whose contents are not all there: the sticky bit, which
/// means nothing on a file, and write permission for the owner alone.
pub(super) const UNFINISHED_FILE: u32 = 0o1200;

/// The mode of a directory until all in it is done.
pub(super) const UNFINISHED_DIRECTORY: u32 = 0o1700;

#[cfg(test)]
mod tests;
