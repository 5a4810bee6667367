//! What the last backup knew, so that unchanged files need not be read.
//!
//! A row per directory, not per file. All of it is only a hint: a cache that
//! is gone, damaged or locked makes a backup slower and nothing else, so no
//! call here fails.

mod comparison;
#[cfg(test)]
mod fuzzing;
mod record;
mod store;

pub use comparison::Comparison;
pub use record::{CachedDirectory, CachedEntry, DirectoryRecord, RecordBuilder, Settled};
pub use store::StatCache;

#[cfg(test)]
mod tests;
