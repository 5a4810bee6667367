//! Which directories and files a check has followed, and what of them cannot be read.

use std::collections::{HashMap, HashSet};

use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::stream::StreamRef;

/// What cannot be read below a directory, or of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) files: u64,
    pub(super) directories: u64,
}

impl Lost {
    pub(super) const FILE: Self = Self {
        files: 1,
        directories: 0,
    };
    pub(super) const DIRECTORY: Self = Self {
        files: 0,
        directories: 1,
    };
}

/// Directories and files that were followed, by their names: see [`name_of`].
#[derive(Default)]
pub(super) struct Followed {
    pub(super) seen: HashSet<ChunkId>,
    /// Those of which something cannot be read: none, or few.
    pub(super) broken: HashMap<ChunkId, Lost>,
    /// The directories that are being followed, the innermost last, with what was found
    /// in them so far.
    open: Vec<(ChunkId, Lost)>,
}

impl Followed {
    /// Enters a directory; false if it was followed before.
    pub(super) fn begin(&mut self, directory: ChunkId) -> bool {
        let is_new = self.seen.insert(directory);
        if is_new {
            self.open.push((directory, Lost::default()));
        }
        is_new
    }

    /// Adds to what is lost in the innermost directory. A hostile tree may name one
    /// directory more often than anything can be counted.
    pub(super) fn add(&mut self, lost: Lost) {
        if let Some((_, sum)) = self.open.last_mut() {
            sum.files = sum.files.saturating_add(lost.files);
            sum.directories = sum.directories.saturating_add(lost.directories);
        }
    }

    /// Leaves the innermost directory: what it has lost, the one around it has.
    pub(super) fn end(&mut self) {
        if let Some((directory, lost)) = self.open.pop()
            && lost != Lost::default()
        {
            self.broken.insert(directory, lost);
            self.add(lost);
        }
    }

    pub(super) fn lost(&self, name: &ChunkId) -> Lost {
        self.broken.get(name).copied().unwrap_or_default()
    }
}

/// Tells streams apart: chunks are named by their content, and so are the
/// lists of a longer stream. A file and a directory are never the same stream,
/// though a hostile tree may name the same chunks for both.
pub(super) fn name_of(kind: ChunkKind, stream: &StreamRef) -> ChunkId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[kind.to_byte()]);
    hasher.update(&stream.length().to_le_bytes());
    for chunk in stream.chunks() {
        hasher.update(chunk.id.as_bytes());
    }
    ChunkId::from_array(*hasher.finalize().as_bytes())
}
