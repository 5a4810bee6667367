//! Reading a restored tree again.

use std::{collections::HashSet, path::Path};

use vault_core::{
    chunk::ChunkKind,
    stream::{StreamChunks, StreamRef},
    tree::{Node, NodeContent, NodeName, Step, Walk},
};

use super::{RestoreError, RestoreReport, file_work::pieces};
use crate::{
    contents::{Contents, ContentsError},
    files::{Directory, FileReader, LeftOut, Reason},
    progress::{Cancellation, Meter, count},
    transfer::TransferError,
};

/// Compares the contents of every file below a target with the snapshot: its
/// chunks are named again from what the disk gives back, and where the snapshot
/// has holes there must be zeros. Never goes through a symlink below the target.
pub(super) struct Verification<'a> {
    pub(super) contents: &'a Contents,
    pub(super) meter: &'a Meter,
    pub(super) cancellation: &'a Cancellation,
    pub(super) report: &'a mut RestoreReport,
}

impl Verification<'_> {
    pub(super) fn run(
        &mut self,
        node: Option<&Node>,
        tree: &StreamRef,
        target: &Path,
    ) -> Result<(), RestoreError> {
        let left_out = self.report.left_out.iter();
        let left_out: HashSet<_> = left_out.map(|entry| entry.path.clone()).collect();
        let mut way = Way::new(target);
        let tree = match node {
            None => tree,
            Some(node) => match node.directory() {
                Some(directory) => directory,
                None => return self.verify(node, &[], &mut way, &left_out),
            },
        };
        let mut source = self.contents.opened().reader.clone();
        let mut walk = Walk::new(tree);
        while let Some(step) = walk.next(&mut source).map_err(ContentsError::from)? {
            self.go_on()?;
            if let Step::Node(node) = step {
                let above = walk.path().split_last().map_or(&[][..], |(_, above)| above);
                self.verify(&node, above, &mut way, &left_out)?;
            }
        }
        Ok(())
    }

    fn go_on(&self) -> Result<(), TransferError> {
        if self.cancellation.is_cancelled() {
            return Err(TransferError::Cancelled);
        }
        Ok(())
    }

    fn verify(
        &mut self,
        node: &Node,
        above: &[NodeName],
        way: &mut Way<'_>,
        left_out: &HashSet<Vec<u8>>,
    ) -> Result<(), RestoreError> {
        if !matches!(node.content(), NodeContent::File { .. }) {
            return Ok(());
        }
        let mut path = Vec::new();
        for name in above.iter().chain([node.name()]) {
            path.push(b'/');
            path.extend_from_slice(name.as_bytes());
        }
        if left_out.contains(&path) {
            return Ok(());
        }
        let outcome = match way.open(above, node.name()) {
            Ok(file) => self.compare(node, &file)?,
            Err(reason) => Err(reason),
        };
        count(&self.meter.files, 1);
        match outcome {
            Ok(()) => self.report.verified += 1,
            Err(reason) => self.report.left_out.push(LeftOut { path, reason }),
        }
        Ok(())
    }

    /// Whether the file holds what its node says; if not, or if it cannot be told,
    /// the reason.
    fn compare(&self, node: &Node, file: &FileReader) -> Result<Result<(), Reason>, ContentsError> {
        let NodeContent::File {
            content,
            size,
            holes,
        } = node.content()
        else {
            return Ok(Ok(()));
        };
        if file.stat().size != *size {
            return Ok(Err(Reason::Different));
        }
        for hole in holes {
            match file.is_zero(hole) {
                Ok(true) => {}
                Ok(false) => return Ok(Err(Reason::Different)),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let opened = self.contents.opened();
        let mut source = opened.reader.clone();
        let mut chunks = StreamChunks::new(content);
        let mut position = 0;
        while let Some(chunk) = chunks.next(&mut source)? {
            self.go_on()?;
            let mut data = vec![0; chunk.length as usize];
            for (offset, start, end) in pieces(holes, position, u64::from(chunk.length)) {
                let piece = &mut data[start as usize..end as usize];
                match file.read_block(piece, offset) {
                    Ok(length) if length == piece.len() => {}
                    Ok(_) => return Ok(Err(Reason::Different)),
                    Err(reason) => return Ok(Err(reason)),
                }
            }
            if opened.keys.chunk_id(ChunkKind::FileData, &data) != chunk.id {
                return Ok(Err(Reason::Different));
            }
            position += u64::from(chunk.length);
            count(&self.meter.bytes, u64::from(chunk.length));
        }
        Ok(Ok(()))
    }
}

/// The directories that lead to the file looked at last, open.
struct Way<'a> {
    target: &'a Path,
    base: Option<Directory>,
    open: Vec<(NodeName, Directory)>,
}

impl<'a> Way<'a> {
    fn new(target: &'a Path) -> Self {
        Self {
            target,
            base: None,
            open: Vec::new(),
        }
    }

    fn open(&mut self, above: &[NodeName], name: &NodeName) -> Result<FileReader, Reason> {
        let same = self.open.iter().zip(above);
        let same = same.take_while(|((open, _), name)| open == *name).count();
        self.open.truncate(same);
        let mut at = match (self.open.last(), &self.base) {
            (Some((_, directory)), _) | (None, Some(directory)) => directory.clone(),
            (None, None) => {
                let base = Directory::open_to_pass(self.target)?;
                self.base.insert(base).clone()
            }
        };
        for name in &above[same..] {
            at = at.pass_to(name.as_bytes())?;
            self.open.push((name.clone(), at.clone()));
        }
        at.open_file(name.as_bytes())
    }
}
