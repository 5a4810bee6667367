//! A file that is being restored, held by every chunk that it waits for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use vault_core::tree::{Hole, Metadata, Node, NodeContent};

use crate::files::{PlannedFile, Reason};

/// Whoever lets go of it last ends it: see [`FileWork::finish`].
pub(crate) struct FileWork {
    planned: PlannedFile,
    metadata: Metadata,
    holes: Vec<Hole>,
    bytes: u64,
    failure: Mutex<Option<Reason>>,
}

/// What became of a file.
pub(crate) enum Outcome {
    Written { bytes: u64 },
    LeftOut { path: Vec<u8>, reason: Reason },
}

impl FileWork {
    pub(crate) fn new(planned: PlannedFile, metadata: Metadata, holes: Vec<Hole>) -> Self {
        let bytes = planned.missing_bytes();
        Self {
            planned,
            metadata,
            holes,
            bytes,
            failure: Mutex::default(),
        }
    }

    /// What its metadata and holes take in memory, in bytes, about.
    pub(crate) fn held_bytes(&self) -> usize {
        let xattrs = self.metadata.xattrs.iter();
        let xattrs: usize = xattrs
            .map(|xattr| size_of_val(xattr) + xattr.name.len() + xattr.value.len())
            .sum();
        xattrs + size_of_val(&self.holes[..])
    }

    /// Writes data whose place in the file's stream, holes left out, is
    /// `position`.
    pub(crate) fn write(&self, position: u64, data: &[u8]) {
        if self.has_failed() {
            return;
        }
        for (offset, start, end) in pieces(&self.holes, position, data.len() as u64) {
            let piece = &data[start as usize..end as usize];
            if let Err(reason) = self.planned.write_at(offset, piece) {
                self.fail(reason);
                return;
            }
        }
    }

    /// Says why the file cannot be restored. False if it could not before.
    pub(crate) fn fail(&self, reason: Reason) -> bool {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = failure.is_none();
        failure.get_or_insert(reason);
        is_first
    }

    /// Gives the file its metadata and its name, or removes what there is of it.
    pub(crate) fn finish(self) -> Outcome {
        let path = self.planned.path();
        let bytes = self.bytes;
        let failure = self
            .failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let ended = match failure {
            None => self.planned.finish(&self.metadata),
            Some(reason) => Err(reason),
        };
        match ended {
            Ok(()) => Outcome::Written { bytes },
            Err(reason) => Outcome::LeftOut { path, reason },
        }
    }

    fn has_failed(&self) -> bool {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }
}

/// Where bytes of a stream stand in the file, when the holes are counted:
/// (offset in the file, beginning and end in the bytes).
pub(crate) fn pieces(holes: &[Hole], position: u64, length: u64) -> Vec<(u64, u64, u64)> {
    let mut pieces = Vec::with_capacity(1);
    let (mut shift, mut start) = (0, 0);
    for hole in holes {
        // Data positions before this hole end here.
        let until = hole.offset - shift;
        if until > position + start && start < length {
            let end = (until - position).min(length);
            pieces.push((position + start + shift, start, end));
            start = end;
        }
        if start == length {
            return pieces;
        }
        shift += hole.length;
    }
    if start < length {
        pieces.push((position + start + shift, start, length));
    }
    pieces
}

/// What nodes with the same link say that their file holds.
#[derive(Default)]
pub(crate) struct Links(Mutex<HashMap<[u8; 16], NodeContent>>);

impl Links {
    /// Whether a node says the same as the first with its link.
    pub(crate) fn agrees(&self, node: &Node) -> bool {
        let Some(link) = node.hard_link() else {
            return true;
        };
        let mut contents = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        contents
            .entry(*link)
            .or_insert_with(|| node.content().clone())
            == node.content()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(offset: u64, length: u64) -> Hole {
        Hole { offset, length }
    }

    #[test]
    fn data_stand_around_the_holes() {
        assert_eq!(pieces(&[], 5, 10), [(5, 0, 10)]);
        // data 0..4, hole 4..8, data 8..
        let holes = [hole(4, 4)];
        assert_eq!(pieces(&holes, 0, 10), [(0, 0, 4), (8, 4, 10)]);
        assert_eq!(pieces(&holes, 4, 2), [(8, 0, 2)]);
        assert_eq!(pieces(&holes, 2, 2), [(2, 0, 2)]);
        // hole first, then two more
        let holes = [hole(0, 100), hole(110, 10), hole(130, 5)];
        assert_eq!(
            pieces(&holes, 0, 25),
            [(100, 0, 10), (120, 10, 20), (135, 20, 25)]
        );
        assert_eq!(pieces(&holes, 10, 10), [(120, 0, 10)]);
    }
}
