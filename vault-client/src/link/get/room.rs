//! Whether there is room, before anything is written.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use vault_core::links::{CapsuleFields, SharedContent};

use super::GetError;
use crate::files::Target;

/// Refuses what the target cannot hold. What stands there already is not
/// counted, so that an interrupted download can go on.
pub(super) fn ask(fields: &CapsuleFields, target: &Target, path: &Path) -> Result<(), GetError> {
    let free_bytes = match target.free_bytes() {
        Ok(bytes) if bytes < fields.totals().bytes => bytes,
        // A file system that does not tell is tried.
        Ok(_) | Err(_) => return Ok(()),
    };
    let mut needed_bytes = 0_u64;
    let mut way = PathBuf::from(path);
    let mut depth = 0;
    for node in &fields.nodes {
        if node.depth == 0 && node.is_directory() {
            continue;
        }
        let above = node.depth.saturating_sub(1);
        for _ in above..depth {
            way.pop();
        }
        depth = above;
        let name = node.name.as_ref().map_or(&b""[..], |name| name.as_bytes());
        if node.is_directory() {
            way.push(OsStr::from_bytes(name));
            depth += 1;
        } else if let SharedContent::File { chunks, .. } = &node.content {
            let lengths = chunks
                .iter()
                .filter_map(|&at| fields.chunks.get(at as usize));
            let stored: u64 = lengths.map(|chunk| u64::from(chunk.length)).sum();
            let held = fs::symlink_metadata(way.join(OsStr::from_bytes(name)))
                .ok()
                .filter(fs::Metadata::is_file)
                .map_or(0, |file| file.blocks().saturating_mul(512));
            needed_bytes = needed_bytes.saturating_add(stored.saturating_sub(held));
        }
    }
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    Err(GetError::NoRoom {
        needed_bytes,
        free_bytes,
    })
}
