//! What several JSON documents have in common. Fields are only ever added.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::Serialize;
use vault_client::contents::NamedSnapshot;
use vault_client::files::LeftOut;
use vault_client::remote::Traffic;
use vault_core::tree::{Node, NodeContent};

use crate::show;

/// A path or name: text, and its bytes in hexadecimal where those are not
/// UTF-8 and the text is only close.
#[derive(Debug, Serialize)]
pub(crate) struct PathText {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_bytes: Option<String>,
}

impl PathText {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            path: String::from_utf8_lossy(bytes).into_owned(),
            path_bytes: std::str::from_utf8(bytes).is_err().then(|| hex(bytes)),
        }
    }

    pub(crate) fn of(path: &Path) -> Self {
        Self::new(path.as_os_str().as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Something that was left out.
#[derive(Debug, Serialize)]
pub(crate) struct LeftOutEntry {
    #[serde(flatten)]
    path: PathText,
    /// A name for machines.
    reason: &'static str,
    message: String,
}

impl LeftOutEntry {
    pub(crate) fn all(left_out: &[LeftOut]) -> Vec<Self> {
        let entry = |left_out: &LeftOut| Self {
            path: PathText::new(&left_out.path),
            reason: left_out.reason.as_str(),
            message: left_out.reason.to_string(),
        };
        left_out.iter().map(entry).collect()
    }
}

/// What passed over the network.
#[derive(Debug, Serialize)]
pub(crate) struct TrafficFields {
    rpcs: u64,
    sent_bytes: u64,
    received_bytes: u64,
}

impl From<Traffic> for TrafficFields {
    fn from(traffic: Traffic) -> Self {
        Self {
            rpcs: traffic.rpcs,
            sent_bytes: traffic.sent_bytes,
            received_bytes: traffic.received_bytes,
        }
    }
}

/// A snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct SnapshotFields {
    id: String,
    series: String,
    started: String,
    finished: String,
    /// False for a checkpoint of a backup that was interrupted.
    complete: bool,
    files: u64,
    directories: u64,
    others: u64,
    bytes: u64,
    left_out: u64,
    device: String,
    device_name: String,
    paths: Vec<PathText>,
    program: String,
}

impl From<&NamedSnapshot> for SnapshotFields {
    fn from(named: &NamedSnapshot) -> Self {
        let fields = named.snapshot.fields();
        Self {
            id: named.id.to_string(),
            series: named.series.clone(),
            started: show::rfc3339(fields.started),
            finished: show::rfc3339(fields.finished),
            complete: fields.complete,
            files: fields.totals.files,
            directories: fields.totals.directories,
            others: fields.totals.others,
            bytes: fields.totals.bytes,
            left_out: fields.left_out,
            device: fields.device.to_string(),
            device_name: fields.device_name.clone(),
            paths: fields
                .paths
                .iter()
                .map(|path| PathText::new(path))
                .collect(),
            program: fields.program.clone(),
        }
    }
}

/// A file, directory or something else in a snapshot.
#[derive(Debug, Serialize)]
pub(crate) struct NodeFields {
    #[serde(flatten)]
    path: PathText,
    kind: &'static str,
    /// As `chmod` takes it.
    mode: String,
    /// Of a file: bytes, holes included.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    modified: String,
    uid: u32,
    gid: u32,
    user: String,
    group: String,
    /// Of a symlink.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<PathText>,
    /// Of a device.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<[u32; 2]>,
    /// Names of one file share this.
    #[serde(skip_serializing_if = "Option::is_none")]
    hard_link: Option<String>,
    xattrs: Vec<String>,
}

impl NodeFields {
    pub(crate) fn new(path: &[u8], node: &Node) -> Self {
        let metadata = node.metadata();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut size, mut target, mut device) = (None, None, None);
        match node.content() {
            NodeContent::File { size: bytes, .. } => size = Some(*bytes),
            NodeContent::Symlink { target: to } => target = Some(PathText::new(to)),
            NodeContent::CharacterDevice { major, minor }
            | NodeContent::BlockDevice { major, minor } => device = Some([*major, *minor]),
            _ => {}
        }
        Self {
            path: PathText::new(path),
            kind: kind(node),
            mode: format!("{:04o}", metadata.mode),
            size,
            modified: show::rfc3339(metadata.modified),
            uid: metadata.uid,
            gid: metadata.gid,
            user: text(&metadata.user),
            group: text(&metadata.group),
            target,
            device,
            hard_link: node.hard_link().map(|id| hex(id)),
            xattrs: metadata
                .xattrs
                .iter()
                .map(|xattr| text(&xattr.name))
                .collect(),
        }
    }
}

/// What a node is, for machines.
pub(crate) fn kind(node: &Node) -> &'static str {
    match node.content() {
        NodeContent::File { .. } => "file",
        NodeContent::Directory { .. } => "directory",
        NodeContent::Symlink { .. } => "symlink",
        NodeContent::Fifo => "fifo",
        NodeContent::Socket => "socket",
        NodeContent::CharacterDevice { .. } => "character-device",
        NodeContent::BlockDevice { .. } => "block-device",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_given_where_text_would_lie() {
        let json = |bytes: &[u8]| serde_json::to_string(&PathText::new(bytes)).unwrap();
        assert_eq!(json(b"/a\x1bb"), r#"{"path":"/a\u001bb"}"#);
        assert_eq!(
            json(b"/caf\xe9"),
            "{\"path\":\"/caf\u{fffd}\",\"path_bytes\":\"2f636166e9\"}"
        );
    }
}
