//! `coffre ls`.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use vault_core::tree::{Node, NodeContent};

use crate::args::Ls;
use crate::document::{NodeFields, PathText};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Context;
use crate::show;

#[derive(Serialize)]
struct Fields {
    snapshot: String,
    #[serde(flatten)]
    path: PathText,
    entries: Vec<NodeFields>,
}

pub(super) fn run(options: &Ls, context: &Context) -> Result<Exit, Failure> {
    let (_vault, contents) = context.session()?.contents(&options.which.vault)?;
    let series = options.which.series.as_deref();
    let named = contents.snapshot(options.what.snapshot.as_str(), series)?;
    let list = |visit: &mut dyn FnMut(&[u8], &Node) -> ControlFlow<()>| {
        let path = options.what.path_or_root();
        contents.list(&named.snapshot, path, options.recursive, visit)
    };
    if context.output.is_json() {
        let mut entries = Vec::new();
        list(&mut |path, node| {
            entries.push(NodeFields::new(path, node));
            ControlFlow::Continue(())
        })?;
        let fields = Fields {
            snapshot: named.id.to_string(),
            path: PathText::new(options.what.path_or_root()),
            entries,
        };
        context.output.result(&fields, |_| Ok(()))?;
    } else {
        let mut listed = Ok(());
        context.output.text(|out| {
            let mut written = Ok(());
            listed = list(&mut |path, node| {
                written = line(out, path, node, options.long);
                if written.is_ok() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            written
        })?;
        listed?;
    }
    Ok(Exit::Done)
}

fn line(out: &mut dyn Write, path: &[u8], node: &Node, long: bool) -> io::Result<()> {
    let mut shown = show::path(path);
    if node.directory().is_some() {
        shown.push('/');
    }
    if !long {
        return writeln!(out, "{shown}");
    }
    if let NodeContent::Symlink { target } = node.content() {
        shown.push_str(" -> ");
        shown.push_str(&show::path(target));
    }
    let metadata = node.metadata();
    let size = match node.content() {
        NodeContent::File { size, .. } => size.to_string(),
        NodeContent::CharacterDevice { major, minor }
        | NodeContent::BlockDevice { major, minor } => format!("{major}, {minor}"),
        _ => "-".to_owned(),
    };
    writeln!(
        out,
        "{} {:<8} {:<8} {size:>12} {} {shown}",
        mode(node),
        owner(&metadata.user, metadata.uid),
        owner(&metadata.group, metadata.gid),
        show::local_time(metadata.modified),
    )
}

fn owner(name: &[u8], number: u32) -> String {
    if name.is_empty() {
        number.to_string()
    } else {
        show::path(name)
    }
}

/// Ten letters, as `ls -l` has them.
fn mode(node: &Node) -> String {
    let kind = match node.content() {
        NodeContent::File { .. } => '-',
        NodeContent::Directory { .. } => 'd',
        NodeContent::Symlink { .. } => 'l',
        NodeContent::Fifo => 'p',
        NodeContent::Socket => 's',
        NodeContent::CharacterDevice { .. } => 'c',
        NodeContent::BlockDevice { .. } => 'b',
        _ => '?',
    };
    let mode = node.metadata().mode;
    let bit = |bit: u32, letter: char| if mode & bit == 0 { '-' } else { letter };
    // The execute bit's place also shows set-user-id, set-group-id and sticky.
    let last =
        |execute: u32, special: u32, letter: char| match (mode & execute != 0, mode & special != 0)
        {
            (false, false) => '-',
            (true, false) => 'x',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        };
    [
        kind,
        bit(0o400, 'r'),
        bit(0o200, 'w'),
        last(0o100, 0o4000, 's'),
        bit(0o040, 'r'),
        bit(0o020, 'w'),
        last(0o010, 0o2000, 's'),
        bit(0o004, 'r'),
        bit(0o002, 'w'),
        last(0o001, 0o1000, 't'),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use vault_core::timestamp::Timestamp;
    use vault_core::tree::{Metadata, NodeName};

    use super::*;

    #[test]
    fn modes_read_as_in_ls() {
        for (mode, shown) in [
            (0o644, "prw-r--r--"),
            (0o000, "p---------"),
            (0o4755, "prwsr-xr-x"),
            (0o2644, "prw-r-Sr--"),
            (0o1777, "prwxrwxrwt"),
            (0o1666, "prw-rw-rwT"),
        ] {
            let metadata = Metadata {
                mode,
                modified: Timestamp::new(0, 0).unwrap(),
                uid: 0,
                gid: 0,
                user: Vec::new(),
                group: Vec::new(),
                xattrs: Vec::new(),
            };
            let name = NodeName::new(*b"pipe").unwrap();
            let node = Node::new(name, NodeContent::Fifo, metadata).unwrap();
            assert_eq!(super::mode(&node), shown);
        }
    }

    /// Whoever saved the tree chose every name in it.
    #[test]
    fn no_name_in_a_listing_writes_to_the_terminal() {
        let name = b"\x1b]0;x\x07\r\x9b31m\xc2\x9b\xe2\x80\xae".to_vec();
        let metadata = Metadata {
            mode: 0o777,
            modified: Timestamp::new(0, 0).unwrap(),
            uid: 0,
            gid: 0,
            user: name.clone(),
            group: name.clone(),
            xattrs: Vec::new(),
        };
        let target = name.clone();
        let content = NodeContent::Symlink { target };
        let node = Node::new(NodeName::new(name.clone()).unwrap(), content, metadata).unwrap();
        let mut out = Vec::new();
        line(&mut out, &name, &node, true).unwrap();
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_suffix('\n').unwrap();
        assert!(text.chars().all(show::is_harmless), "{text:?}");
        let shown = "\\x1b]0;x\\x07\\x0d\\x9b31m\\u{9b}\\u{202e}";
        assert_eq!(text.matches(shown).count(), 4, "{text}");
    }
}
