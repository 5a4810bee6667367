//! Whether there is room, before anything is written.

use std::{
    collections::HashSet,
    fs,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use vault_core::{
    stream::StreamRef,
    tree::{Node, NodeContent, NodeName, Step, Walk},
};

use super::{RestoreError, Run};
use crate::{contents::ContentsError, files::Target, transfer::TransferError};

impl Run<'_> {
    /// Refuses what the target cannot hold.
    ///
    /// Where the whole snapshot fits, nothing is asked but how much that is.
    /// Otherwise the tree is read once more, and what stands in the target
    /// already is not counted, so that an interrupted restore can go on. What a
    /// file system needs besides contents is not foreseen: it may still fill.
    pub(super) fn ask_for_room(
        &self,
        node: Option<&Node>,
        target: &Target,
        path: &Path,
    ) -> Result<(), RestoreError> {
        let free_bytes = match target.free_bytes() {
            Ok(bytes) if bytes < self.total_bytes => bytes,
            // A file system that does not tell is tried.
            Ok(_) | Err(_) => return Ok(()),
        };
        let mut needed = Needed::default();
        let tree = match node {
            None => self.tree,
            Some(node) => match node.directory() {
                Some(directory) => directory,
                None => {
                    needed.add(node, &path.join(name_of(node.name())));
                    return needed.fits(free_bytes);
                }
            },
        };
        self.add_all(tree, path, &mut needed)?;
        needed.fits(free_bytes)
    }

    fn add_all(
        &self,
        tree: &StreamRef,
        path: &Path,
        needed: &mut Needed,
    ) -> Result<(), RestoreError> {
        let mut source = self.contents.opened().reader.clone();
        let mut walk = Walk::new(tree);
        while let Some(step) = walk.next(&mut source).map_err(ContentsError::from)? {
            if self.cancellation.is_cancelled() {
                return Err(TransferError::Cancelled.into());
            }
            let Step::Node(node) = step else { continue };
            if matches!(node.content(), NodeContent::File { .. }) {
                let place: PathBuf = walk.path().iter().map(name_of).collect();
                needed.add(&node, &path.join(place));
            }
        }
        Ok(())
    }
}

fn name_of(name: &NodeName) -> &Path {
    Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()))
}

#[derive(Default)]
struct Needed {
    bytes: u64,
    links: HashSet<[u8; 16]>,
}

impl Needed {
    fn add(&mut self, node: &Node, place: &Path) {
        let NodeContent::File { content, .. } = node.content() else {
            return;
        };
        // One file, whatever it is called elsewhere.
        if node
            .hard_link()
            .is_some_and(|link| !self.links.insert(*link))
        {
            return;
        }
        let held = fs::symlink_metadata(place)
            .ok()
            .filter(fs::Metadata::is_file)
            .map_or(0, |file| file.blocks().saturating_mul(512));
        let more = content.length().saturating_sub(held);
        self.bytes = self.bytes.saturating_add(more);
    }

    fn fits(&self, free_bytes: u64) -> Result<(), RestoreError> {
        if self.bytes <= free_bytes {
            return Ok(());
        }
        Err(RestoreError::NoRoom {
            needed_bytes: self.bytes,
            free_bytes,
        })
    }
}
