//! Reading a restored tree again.

use std::{
    fs::File,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileExt as _, OpenOptionsExt as _},
    },
    path::Path,
};

use vault_core::{
    chunk::ChunkKind,
    stream::{StreamChunks, StreamRef},
    tree::{Node, NodeContent, NodeName, Step, Walk},
};

use super::{RestoreError, RestoreReport, file_work::pieces};
use crate::{
    contents::{Contents, ContentsError},
    files::{LeftOut, Reason},
};

/// Compares every file below `target` with the snapshot: its chunks are named
/// again from what the disk gives back.
pub(super) fn verify(
    contents: &Contents,
    node: Option<&Node>,
    tree: &StreamRef,
    target: &Path,
    report: &mut RestoreReport,
) -> Result<(), RestoreError> {
    let tree = match node {
        None => tree,
        Some(node) => match node.directory() {
            Some(directory) => directory,
            None => return verify_file(contents, node, &[], target, report),
        },
    };
    let mut source = contents.opened().reader.clone();
    let mut walk = Walk::new(tree);
    while let Some(step) = walk.next(&mut source).map_err(ContentsError::from)? {
        if let Step::Node(node) = step {
            let above = walk.path().split_last().map_or(&[][..], |(_, above)| above);
            verify_file(contents, &node, above, target, report)?;
        }
    }
    Ok(())
}

fn verify_file(
    contents: &Contents,
    node: &Node,
    above: &[NodeName],
    target: &Path,
    report: &mut RestoreReport,
) -> Result<(), RestoreError> {
    if !matches!(node.content(), NodeContent::File { .. }) {
        return Ok(());
    }
    let mut path = Vec::new();
    for name in above.iter().chain([node.name()]) {
        path.push(b'/');
        path.extend_from_slice(name.as_bytes());
    }
    if report.left_out.iter().any(|left_out| left_out.path == path) {
        return Ok(());
    }
    let on_disk = target.join(std::ffi::OsStr::from_bytes(&path[1..]));
    match is_equal(contents, node, &on_disk)? {
        Ok(true) => report.verified += 1,
        Ok(false) => report.left_out.push(LeftOut {
            path,
            reason: Reason::Incomplete,
        }),
        Err(error) => report.left_out.push(LeftOut {
            path,
            reason: Reason::from(&error),
        }),
    }
    Ok(())
}

fn is_equal(
    contents: &Contents,
    node: &Node,
    path: &Path,
) -> Result<Result<bool, io::Error>, ContentsError> {
    let NodeContent::File {
        content,
        size,
        holes,
    } = node.content()
    else {
        return Ok(Ok(true));
    };
    let opened = File::options()
        .read(true)
        .custom_flags(libc_nofollow())
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    match file.metadata() {
        Ok(metadata) if metadata.len() != *size => return Ok(Ok(false)),
        Ok(_) => {}
        Err(error) => return Ok(Err(error)),
    }
    let mut source = contents.opened().reader.clone();
    let mut chunks = StreamChunks::new(content);
    let mut position = 0;
    while let Some(chunk) = chunks.next(&mut source)? {
        let mut data = vec![0; chunk.length as usize];
        for (offset, start, end) in pieces(holes, position, u64::from(chunk.length)) {
            let piece = &mut data[start as usize..end as usize];
            if let Err(error) = file.read_exact_at(piece, offset) {
                return Ok(Err(error));
            }
        }
        if contents.opened().keys.chunk_id(ChunkKind::FileData, &data) != chunk.id {
            return Ok(Ok(false));
        }
        position += u64::from(chunk.length);
    }
    Ok(Ok(true))
}

fn libc_nofollow() -> i32 {
    i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of the system's")
}
