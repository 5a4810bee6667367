//! Capsules as messages.

use std::collections::BTreeMap;

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::device::DevicePublic;
use vault_proto::ids::{AccountId, LinkId, PackId};
use vault_proto::wire;

use super::{
    CapsuleError, CapsuleFields, MAX_CAPSULE_LEN, MAX_LINKED_CHUNKS, MAX_LINKED_HOLES,
    MAX_LINKED_NODES, MAX_LINKED_PACKS, SharedChunk, SharedContent, SharedNode,
};
use crate::seal::ChunkKey;
use crate::timestamp::Timestamp;
use crate::tree::{Hole, NodeName};

const VERSION: u32 = 1;
/// The field of a capsule that repeats.
const NODES_TAG: u32 = 6;
/// The field of a node that does.
const HOLES_TAG: u32 = 8;

/// The message of a capsule that was checked.
pub(super) fn to_wire(fields: &CapsuleFields, device: &DevicePublic) -> wire::Capsule {
    let sizes: BTreeMap<PackId, u32> = fields
        .chunks
        .iter()
        .map(|chunk| (chunk.pack, chunk.pack_size))
        .collect();
    let rows: BTreeMap<PackId, u32> = sizes.keys().copied().zip(0..).collect();
    let columns = fields.chunks.iter();
    wire::Capsule {
        version: VERSION,
        link: fields.link.to_vec(),
        account: fields.account.to_vec(),
        device: Some(device.to_wire()),
        created: Some(fields.created.to_wire()),
        nodes: fields.nodes.iter().map(node_to_wire).collect(),
        packs: sizes.keys().flat_map(|pack| *pack.as_bytes()).collect(),
        pack_sizes: sizes.values().copied().collect(),
        rows: columns.clone().map(|chunk| rows[&chunk.pack]).collect(),
        offsets: columns.clone().map(|chunk| chunk.offset).collect(),
        sealed_lengths: columns.clone().map(|chunk| chunk.sealed_length).collect(),
        lengths: columns.clone().map(|chunk| chunk.length).collect(),
        keys: columns
            .clone()
            .flat_map(|chunk| *chunk.key.as_bytes())
            .collect(),
        sealed_hashes: columns.flat_map(|chunk| chunk.sealed_hash).collect(),
    }
}

/// Decodes a capsule; not signed, and checked only as far as its message goes.
pub(super) fn decode(payload: &[u8]) -> Result<(CapsuleFields, DevicePublic), CapsuleError> {
    check_counts(payload)?;
    let message: wire::Capsule = decode_canonical(payload, MAX_CAPSULE_LEN)?;
    if message.version != VERSION {
        return Err(CapsuleError::Version(message.version));
    }
    let device = message.device.as_ref().ok_or(CapsuleError::Maker)?;
    let device = DevicePublic::from_wire(device).map_err(|_| CapsuleError::Maker)?;
    let fields = CapsuleFields {
        link: LinkId::from_slice(&message.link).map_err(|_| CapsuleError::OtherLink)?,
        account: AccountId::from_slice(&message.account).map_err(|_| CapsuleError::Maker)?,
        created: time(message.created.as_ref())?,
        chunks: chunks_from_wire(&message)?,
        nodes: message
            .nodes
            .into_iter()
            .map(node_from_wire)
            .collect::<Result<_, _>>()?,
    };
    Ok((fields, device))
}

/// Counts nodes and holes before they are decoded: two bytes of an empty one would
/// become two hundred in memory, or sixteen.
fn check_counts(bytes: &[u8]) -> Result<(), CapsuleError> {
    let mut nodes = 0;
    let mut holes = 0;
    each_field(bytes, |tag, node| {
        if tag != NODES_TAG {
            return Ok(());
        }
        nodes += 1;
        if nodes > MAX_LINKED_NODES {
            return Err(CapsuleError::Nodes);
        }
        let Some(node) = node else {
            return Err(DecodeError::Malformed.into());
        };
        each_field(node, |tag, _| {
            holes += usize::from(tag == HOLES_TAG);
            if holes > MAX_LINKED_HOLES {
                return Err(CapsuleError::TooManyHoles);
            }
            Ok(())
        })
    })
}

/// Gives each field's number, and its bytes where it has a length.
fn each_field<'a>(
    mut rest: &'a [u8],
    mut see: impl FnMut(u32, Option<&'a [u8]>) -> Result<(), CapsuleError>,
) -> Result<(), CapsuleError> {
    let malformed = |_| DecodeError::Malformed;
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).map_err(malformed)?;
        if wire_type == WireType::LengthDelimited {
            let length = decode_varint(&mut rest).map_err(malformed)?;
            let length = usize::try_from(length).map_err(|_| DecodeError::Malformed)?;
            let field = rest.split_at_checked(length);
            let (field, after) = field.ok_or(DecodeError::Malformed)?;
            rest = after;
            see(tag, Some(field))?;
        } else {
            skip_field(wire_type, tag, &mut rest, DecodeContext::default()).map_err(malformed)?;
            see(tag, None)?;
        }
    }
    Ok(())
}

fn node_to_wire(node: &SharedNode) -> wire::CapsuleNode {
    let mut message = wire::CapsuleNode {
        depth: u32::try_from(node.depth).expect("a depth was checked"),
        name: node
            .name
            .as_ref()
            .map_or_else(Vec::new, |name| name.as_bytes().to_vec()),
        mode: node.mode,
        modified: Some(node.modified.to_wire()),
        ..wire::CapsuleNode::default()
    };
    let kind = match &node.content {
        SharedContent::Directory => wire::NodeKind::Directory,
        SharedContent::Symlink { target } => {
            message.symlink_target.clone_from(target);
            wire::NodeKind::Symlink
        }
        SharedContent::File {
            chunks,
            size,
            holes,
        } => {
            message.chunks.clone_from(chunks);
            message.size = *size;
            message.holes = holes
                .iter()
                .map(|hole| wire::Hole {
                    offset: hole.offset,
                    length: hole.length,
                })
                .collect();
            wire::NodeKind::File
        }
    };
    message.kind = kind.into();
    message
}

fn node_from_wire(message: wire::CapsuleNode) -> Result<SharedNode, CapsuleError> {
    let is_file = message.kind() == wire::NodeKind::File;
    let is_symlink = message.kind() == wire::NodeKind::Symlink;
    let has_bytes = !message.chunks.is_empty() || !message.holes.is_empty() || message.size != 0;
    if (has_bytes && !is_file) || (!message.symlink_target.is_empty() && !is_symlink) {
        return Err(CapsuleError::Kind);
    }
    let content = match message.kind() {
        wire::NodeKind::Directory => SharedContent::Directory,
        wire::NodeKind::Symlink => SharedContent::Symlink {
            target: message.symlink_target,
        },
        wire::NodeKind::File => SharedContent::File {
            chunks: message.chunks,
            size: message.size,
            holes: message
                .holes
                .iter()
                .map(|hole| Hole {
                    offset: hole.offset,
                    length: hole.length,
                })
                .collect(),
        },
        _ => return Err(CapsuleError::Kind),
    };
    let name = match message.name.is_empty() {
        true => None,
        false => Some(NodeName::new(message.name).map_err(|_| CapsuleError::Name)?),
    };
    Ok(SharedNode {
        depth: usize::try_from(message.depth).map_err(|_| CapsuleError::Depth)?,
        name,
        mode: message.mode,
        modified: time(message.modified.as_ref())?,
        content,
    })
}

fn chunks_from_wire(message: &wire::Capsule) -> Result<Vec<SharedChunk>, CapsuleError> {
    let (packs, rest) = message.packs.as_chunks::<32>();
    let is_ascending = packs.is_sorted_by(|a, b| a < b);
    let counts_fit = rest.is_empty() && packs.len() == message.pack_sizes.len();
    if !counts_fit || !is_ascending || packs.len() > MAX_LINKED_PACKS {
        return Err(CapsuleError::Packs);
    }
    let (keys, no_keys) = message.keys.as_chunks::<32>();
    let (hashes, no_hashes) = message.sealed_hashes.as_chunks::<32>();
    let count = message.rows.len();
    let columns = [
        message.offsets.len(),
        message.sealed_lengths.len(),
        message.lengths.len(),
        keys.len(),
        hashes.len(),
    ];
    if columns != [count; 5] || !no_keys.is_empty() || !no_hashes.is_empty() {
        return Err(CapsuleError::Columns);
    }
    if count > MAX_LINKED_CHUNKS {
        return Err(CapsuleError::Chunks);
    }
    let mut used = vec![false; packs.len()];
    let mut chunks = Vec::with_capacity(count);
    for place in 0..count {
        let row = message.rows[place] as usize;
        *used.get_mut(row).ok_or(CapsuleError::Packs)? = true;
        chunks.push(SharedChunk {
            pack: PackId::from_array(packs[row]),
            pack_size: message.pack_sizes[row],
            offset: message.offsets[place],
            sealed_length: message.sealed_lengths[place],
            length: message.lengths[place],
            key: ChunkKey::from_array(keys[place]),
            sealed_hash: hashes[place],
        });
    }
    if used.contains(&false) {
        return Err(CapsuleError::Packs);
    }
    Ok(chunks)
}

fn time(message: Option<&wire::Timestamp>) -> Result<Timestamp, CapsuleError> {
    message
        .and_then(Timestamp::from_wire)
        .ok_or(CapsuleError::Time)
}
