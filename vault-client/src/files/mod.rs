//! The file system: what a backup reads, and what a restore writes.
//!
//! ```text
//! roots · exclude ─▶ walk ─▶ directory ─▶ read, metadata ─▶ (backup)
//!                      └──▶ stat_cache
//! ```
//!
//! Everything goes through directory descriptors, one path component at a
//! time, and no call here follows a symlink: a tree that changes underneath,
//! or that was made to mislead, cannot lead anywhere else. What cannot be read
//! comes back as [`LeftOut`], and the rest goes on.
//!
//! Paths and names are bytes, as the file system gives them.

mod compare;
mod directory;
mod exclude;
mod handle;
mod left_out;
mod metadata;
mod owners;
mod place;
mod pseudo;
mod read;
mod roots;
mod stat;
mod stat_cache;
#[cfg(test)]
mod testing;
mod uncached;
mod walk;

pub use compare::{Aspect, Difference, compare_trees};
pub use directory::{Directory, Entry, Listing};
pub use exclude::{ExcludeError, Excludes};
pub use left_out::{LeftOut, Reason};
pub use metadata::ReadMetadata;
pub use owners::{OwnerNames, OwnerSource, SystemOwners};
pub(crate) use place::Wanted;
pub use place::{
    FilePlacement, Finished, Overwrite, Ownership, PlaceError, PlaceOptions, Placed, PlannedFile,
    Target, TargetDirectory,
};
pub use read::{FileReader, MAX_HOLES, ReadFile, Source};
pub use roots::{Roots, RootsError};
pub use stat::{FileId, NodeKind, Stat};
pub use stat_cache::{
    CachedDirectory, CachedEntry, Comparison, DirectoryRecord, RecordBuilder, Settled, StatCache,
};
pub use walk::{Content, Listed, Visited, VisitedId, Walk, WalkOptions};
