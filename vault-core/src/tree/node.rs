//! One entry of a directory.

use std::fmt;

use prost::Message;
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::wire;

use super::MAX_NODE_LEN;
use crate::stream::{StreamError, StreamRef};
use crate::timestamp::Timestamp;

/// The longest name of a node, in bytes.
const MAX_NAME_LEN: usize = 4_096;

/// The longest target of a symlink, in bytes.
const MAX_TARGET_LEN: usize = 65_535;

/// Whether a symlink can point there: 1 to 65,535 bytes without NUL.
pub(crate) fn is_target(target: &[u8]) -> bool {
    (1..=MAX_TARGET_LEN).contains(&target.len()) && !target.contains(&0)
}

/// The longest name of an owner, of a group or of an attribute, in bytes.
const MAX_LABEL_LEN: usize = 255;

/// What is wrong with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// Not the one encoding of a node.
    #[error("not a node: {0}")]
    Encoding(#[from] DecodeError),
    /// Empty, `.`, `..`, with a slash or a NUL, or over 4,096 bytes.
    #[error("not a name that a directory entry can have")]
    Name,
    /// A kind that this version does not know.
    #[error("an unknown kind of node")]
    Kind,
    /// A field that the node's kind does not have, or lacks one that it must.
    #[error("fields of another kind of node")]
    Fields,
    /// More than the low 12 bits.
    #[error("a mode beyond 12 bits")]
    Mode,
    /// No time of modification, or 10^9 nanoseconds or more.
    #[error("no valid time of modification")]
    Modified,
    /// An owner's or group's name with a NUL or over 255 bytes.
    #[error("not the name of an owner or group")]
    Owner,
    /// Out of order, repeated, without a name, with a NUL in it or over 255 bytes.
    #[error("attributes out of order or with bad names")]
    Xattrs,
    /// A content that is no stream.
    #[error("content: {0}")]
    Content(#[from] StreamError),
    /// Holes that are empty, out of order, touch each other, or do not make the
    /// file as long as it says.
    #[error("holes and content do not make up the size")]
    Holes,
    /// An empty target, one with a NUL, or over 65,535 bytes.
    #[error("not a target that a symlink can have")]
    Target,
    /// A hard link or node id that is not 16 bytes, or a directory's hard link.
    #[error("not a hard link or node id")]
    Link,
    /// Longer than [`MAX_NODE_LEN`] when encoded.
    #[error("a node of more than {MAX_NODE_LEN} bytes")]
    TooLong,
}

/// One component of a path: bytes, as the file system gave them. Not empty,
/// not `.` or `..`, without `/` and NUL, at most 4,096 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Vec<u8>);

impl NodeName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`NodeError::Name`].
    pub fn new(name: impl Into<Vec<u8>>) -> Result<Self, NodeError> {
        let name = name.into();
        let reserved = name == b"." || name == b"..";
        let length_fits = (1..=MAX_NAME_LEN).contains(&name.len());
        if !length_fits || reserved || name.iter().any(|b| matches!(b, b'/' | 0)) {
            return Err(NodeError::Name);
        }
        Ok(Self(name))
    }

    /// The name's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A run of zeros in a file that is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hole {
    /// Where in the file it begins.
    pub offset: u64,
    /// Bytes, at least one.
    pub length: u64,
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Xattr {
    /// Its name with the namespace, as `user.mime_type`: 1 to 255 bytes
    /// without NUL.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// What every kind of node has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// The low 12 bits of `st_mode`.
    pub mode: u32,
    /// When the content last changed.
    pub modified: Timestamp,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// The owner's name, empty if unknown: at most 255 bytes without NUL.
    pub user: Vec<u8>,
    /// The group's name, empty if unknown: at most 255 bytes without NUL.
    pub group: Vec<u8>,
    /// In strictly ascending order of their names.
    pub xattrs: Vec<Xattr>,
}

/// What a node is, and what only such a node has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NodeContent {
    /// A regular file.
    File {
        /// Its bytes, holes left out.
        content: StreamRef,
        /// Bytes, with the holes.
        size: u64,
        /// In ascending order, not touching each other.
        holes: Vec<Hole>,
    },
    /// A directory.
    Directory {
        /// Its nodes.
        content: StreamRef,
    },
    /// A symbolic link.
    Symlink {
        /// Where it points: 1 to 65,535 bytes without NUL, never followed here.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharacterDevice {
        /// The major number of `st_rdev`.
        major: u32,
        /// The minor number of `st_rdev`.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The major number of `st_rdev`.
        major: u32,
        /// The minor number of `st_rdev`.
        minor: u32,
    },
}

/// One entry of a directory. Whatever it is made of was checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Node {
    name: NodeName,
    content: NodeContent,
    metadata: Metadata,
    hard_link: Option<[u8; 16]>,
    node_id: Option<[u8; 16]>,
}

impl Node {
    /// A node without hard link and node id.
    ///
    /// # Errors
    /// Whatever of the fields' documentation does not hold; see [`NodeError`].
    pub fn new(
        name: NodeName,
        content: NodeContent,
        metadata: Metadata,
    ) -> Result<Self, NodeError> {
        Self {
            name,
            content,
            metadata,
            hard_link: None,
            node_id: None,
        }
        .check()?
        .check_length()
    }

    /// Marks it as one of the names of a file that has several: nodes of one
    /// snapshot with an equal value are one file.
    ///
    /// # Errors
    /// [`NodeError::Link`] for a directory, [`NodeError::TooLong`].
    pub fn with_hard_link(mut self, hard_link: [u8; 16]) -> Result<Self, NodeError> {
        self.hard_link = Some(hard_link);
        self.check()?.check_length()
    }

    /// Gives it the id that stays with it in a synced tree.
    ///
    /// # Errors
    /// [`NodeError::TooLong`].
    pub fn with_node_id(mut self, node_id: [u8; 16]) -> Result<Self, NodeError> {
        self.node_id = Some(node_id);
        self.check_length()
    }

    /// Its name in the directory.
    #[must_use]
    pub fn name(&self) -> &NodeName {
        &self.name
    }

    /// What it is.
    #[must_use]
    pub fn content(&self) -> &NodeContent {
        &self.content
    }

    /// Mode, times, owner, attributes.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The value that it shares with the other names of the same file.
    #[must_use]
    pub fn hard_link(&self) -> Option<&[u8; 16]> {
        self.hard_link.as_ref()
    }

    /// The id that stays with it in a synced tree.
    #[must_use]
    pub fn node_id(&self) -> Option<&[u8; 16]> {
        self.node_id.as_ref()
    }

    /// A directory's own nodes; `None` for any other kind.
    #[must_use]
    pub fn directory(&self) -> Option<&StreamRef> {
        match &self.content {
            NodeContent::Directory { content } => Some(content),
            _ => None,
        }
    }

    /// The one encoding of this node.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Decodes and checks what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, NodeError> {
        let wire: wire::Node = decode_canonical(bytes, MAX_NODE_LEN)?;
        Self::from_wire(wire)
    }

    fn from_wire(wire: wire::Node) -> Result<Self, NodeError> {
        let modified = wire.modified.as_ref().and_then(Timestamp::from_wire);
        let node = Self {
            name: NodeName::new(wire.name.as_slice())?,
            content: content_from_wire(&wire)?,
            metadata: Metadata {
                mode: wire.mode,
                modified: modified.ok_or(NodeError::Modified)?,
                uid: wire.uid,
                gid: wire.gid,
                user: wire.user,
                group: wire.group,
                xattrs: wire
                    .xattrs
                    .into_iter()
                    .map(|x| Xattr {
                        name: x.name,
                        value: x.value,
                    })
                    .collect(),
            },
            hard_link: optional_id(&wire.hard_link)?,
            node_id: optional_id(&wire.node_id)?,
        };
        node.check()
    }

    fn to_wire(&self) -> wire::Node {
        let metadata = &self.metadata;
        let mut wire = wire::Node {
            name: self.name.0.clone(),
            mode: metadata.mode,
            modified: Some(metadata.modified.to_wire()),
            uid: metadata.uid,
            gid: metadata.gid,
            user: metadata.user.clone(),
            group: metadata.group.clone(),
            xattrs: metadata
                .xattrs
                .iter()
                .map(|x| wire::ExtendedAttribute {
                    name: x.name.clone(),
                    value: x.value.clone(),
                })
                .collect(),
            hard_link: self.hard_link.map_or_else(Vec::new, Vec::from),
            node_id: self.node_id.map_or_else(Vec::new, Vec::from),
            ..wire::Node::default()
        };
        content_to_wire(&self.content, &mut wire);
        wire
    }

    /// About how many bytes of memory it takes.
    pub(super) fn memory(&self) -> usize {
        let xattrs = self.metadata.xattrs.iter();
        let xattrs = xattrs.map(|x| size_of::<Xattr>() + x.name.len() + x.value.len());
        let content = match &self.content {
            NodeContent::File { holes, .. } => size_of_val(&holes[..]),
            NodeContent::Symlink { target } => target.len(),
            _ => 0,
        };
        size_of::<Self>() + self.name.0.len() + content + xattrs.sum::<usize>()
    }

    fn check(self) -> Result<Self, NodeError> {
        check_metadata(&self.metadata)?;
        check_content(&self.content)?;
        if self.hard_link.is_some() && self.directory().is_some() {
            return Err(NodeError::Link);
        }
        Ok(self)
    }

    fn check_length(self) -> Result<Self, NodeError> {
        if self.to_wire().encoded_len() > MAX_NODE_LEN {
            return Err(NodeError::TooLong);
        }
        Ok(self)
    }
}

fn check_metadata(metadata: &Metadata) -> Result<(), NodeError> {
    if metadata.mode > 0o7777 {
        return Err(NodeError::Mode);
    }
    let is_label = |label: &[u8]| label.len() <= MAX_LABEL_LEN && !label.contains(&0);
    if !is_label(&metadata.user) || !is_label(&metadata.group) {
        return Err(NodeError::Owner);
    }
    let names = metadata.xattrs.iter().map(|x| x.name.as_slice());
    if !names.clone().is_sorted_by(|a, b| a < b)
        || !names.clone().all(|name| !name.is_empty() && is_label(name))
    {
        return Err(NodeError::Xattrs);
    }
    Ok(())
}

fn check_content(content: &NodeContent) -> Result<(), NodeError> {
    match content {
        NodeContent::File {
            content,
            size,
            holes,
        } => check_holes(content.length(), *size, holes),
        NodeContent::Symlink { target } if !is_target(target) => Err(NodeError::Target),
        _ => Ok(()),
    }
}

pub(crate) fn check_holes(stored: u64, size: u64, holes: &[Hole]) -> Result<(), NodeError> {
    let mut total = stored;
    let mut end_before = None;
    for hole in holes {
        let end = hole.offset.checked_add(hole.length);
        let end = end.filter(|&end| end <= size).ok_or(NodeError::Holes)?;
        if hole.length == 0 || end_before.is_some_and(|before| hole.offset <= before) {
            return Err(NodeError::Holes);
        }
        end_before = Some(end);
        total = total.checked_add(hole.length).ok_or(NodeError::Holes)?;
    }
    // What a file system can address.
    if total != size || size > i64::MAX as u64 {
        return Err(NodeError::Holes);
    }
    Ok(())
}

fn optional_id(bytes: &[u8]) -> Result<Option<[u8; 16]>, NodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    bytes.try_into().map(Some).map_err(|_| NodeError::Link)
}

fn content_to_wire(content: &NodeContent, wire: &mut wire::Node) {
    let kind = match content {
        NodeContent::File {
            content,
            size,
            holes,
        } => {
            wire.content = Some(content.to_wire());
            wire.size = *size;
            wire.holes = holes
                .iter()
                .map(|h| wire::Hole {
                    offset: h.offset,
                    length: h.length,
                })
                .collect();
            wire::NodeKind::File
        }
        NodeContent::Directory { content } => {
            wire.content = Some(content.to_wire());
            wire::NodeKind::Directory
        }
        NodeContent::Symlink { target } => {
            wire.symlink_target.clone_from(target);
            wire::NodeKind::Symlink
        }
        NodeContent::Fifo => wire::NodeKind::Fifo,
        NodeContent::Socket => wire::NodeKind::Socket,
        NodeContent::CharacterDevice { major, minor } => {
            (wire.device_major, wire.device_minor) = (*major, *minor);
            wire::NodeKind::CharacterDevice
        }
        NodeContent::BlockDevice { major, minor } => {
            (wire.device_major, wire.device_minor) = (*major, *minor);
            wire::NodeKind::BlockDevice
        }
    };
    wire.kind = kind.into();
}

fn content_from_wire(wire: &wire::Node) -> Result<NodeContent, NodeError> {
    let kind = wire::NodeKind::try_from(wire.kind).map_err(|_| NodeError::Kind)?;
    let stream = || {
        let stream = wire.content.as_ref().ok_or(NodeError::Fields)?;
        Ok::<_, NodeError>(StreamRef::from_wire(stream)?)
    };
    let (major, minor) = (wire.device_major, wire.device_minor);
    let content = match kind {
        wire::NodeKind::Unspecified => return Err(NodeError::Kind),
        wire::NodeKind::File => NodeContent::File {
            content: stream()?,
            size: wire.size,
            holes: wire
                .holes
                .iter()
                .map(|h| Hole {
                    offset: h.offset,
                    length: h.length,
                })
                .collect(),
        },
        wire::NodeKind::Directory => NodeContent::Directory { content: stream()? },
        wire::NodeKind::Symlink => NodeContent::Symlink {
            target: wire.symlink_target.clone(),
        },
        wire::NodeKind::Fifo => NodeContent::Fifo,
        wire::NodeKind::Socket => NodeContent::Socket,
        wire::NodeKind::CharacterDevice => NodeContent::CharacterDevice { major, minor },
        wire::NodeKind::BlockDevice => NodeContent::BlockDevice { major, minor },
    };
    // Writing the content out again keeps only the fields of its kind.
    let mut kept = wire::Node::default();
    content_to_wire(&content, &mut kept);
    let same_fields = kept.content.is_some() == wire.content.is_some()
        && kept.size == wire.size
        && kept.holes.len() == wire.holes.len()
        && kept.symlink_target == wire.symlink_target
        && kept.device_major == wire.device_major
        && kept.device_minor == wire.device_minor;
    if same_fields {
        Ok(content)
    } else {
        Err(NodeError::Fields)
    }
}
