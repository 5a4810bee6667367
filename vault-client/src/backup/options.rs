//! How to back up, and what came of it.

use std::{path::PathBuf, time::Duration};

use vault_core::{seal::CompressionLevel, snapshot::SnapshotId};

use super::commit::PACKS_PER_HEAD;
use crate::{
    files::{Excludes, LeftOut},
    remote::Traffic,
};

/// How to back up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackupOptions {
    /// Absolute paths.
    pub paths: Vec<PathBuf>,
    /// The series; without one, that of this device and these paths.
    pub series: Option<String>,
    /// Whether to begin a series of which every chunk that is read is stored, also
    /// one that the vault holds: then how much is sent does not tell whether it did.
    /// A series stays as it was begun.
    pub without_deduplication: bool,
    /// What to leave out.
    pub excludes: Excludes,
    /// Whether to stay on the file system of each path.
    pub one_file_system: bool,
    /// Read everything, store nothing.
    pub dry_run: bool,
    /// How hard to compress.
    pub compression: CompressionLevel,
    /// What is saved so far is committed when this long has passed since the last
    /// commit, or when [`checkpoint_bytes`](Self::checkpoint_bytes) were uploaded:
    /// within a directory, too, and while one long file is being saved. The
    /// snapshot of such a checkpoint is incomplete. It has the directories that are
    /// done and, of the one that is being saved, the files that are; what was sent
    /// of other files is kept, and not sent again.
    pub checkpoint_interval: Duration,
    /// See [`Self::checkpoint_interval`].
    pub checkpoint_bytes: u64,
    /// What was uploaded and waits for a commit is claimed by several heads, if it is
    /// more packs than this. Never more than half of what a head can list.
    pub packs_per_head: usize,
    /// The program and its version, for the snapshot.
    pub program: String,
}

impl BackupOptions {
    /// The usual way to back up `paths`.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            series: None,
            without_deduplication: false,
            excludes: Excludes::default(),
            one_file_system: false,
            dry_run: false,
            compression: CompressionLevel::default(),
            checkpoint_interval: Duration::from_secs(15 * 60),
            checkpoint_bytes: 4 << 30,
            packs_per_head: PACKS_PER_HEAD,
            program: concat!("coffre ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// What a backup did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BackupReport {
    /// The snapshot; none in a dry run.
    pub snapshot: Option<SnapshotId>,
    /// The name of its series.
    pub series: String,
    /// Files in the snapshot.
    pub files: u64,
    /// Directories in it.
    pub directories: u64,
    /// Other nodes in it.
    pub others: u64,
    /// Bytes of all files, holes left out.
    pub bytes: u64,
    /// Bytes of chunks that the vault did not hold yet, before compression;
    /// trees and the catalog included.
    pub new_bytes: u64,
    /// Bytes of packs that were uploaded.
    pub uploaded_bytes: u64,
    /// How many of those are filler.
    pub filler_bytes: u64,
    /// Packs that were uploaded.
    pub packs: u64,
    /// What passed over the network in this run.
    pub traffic: Traffic,
    /// Seconds it took.
    pub elapsed: Duration,
    /// What is missing in the snapshot, or may be inconsistent in it.
    pub left_out: Vec<LeftOut>,
    /// Paths of directories that are empty in the snapshot because a file
    /// system begins there that holds no files, but what the kernel has to say:
    /// `/proc`, `/sys`.
    pub pseudo_file_systems: Vec<Vec<u8>>,
}
