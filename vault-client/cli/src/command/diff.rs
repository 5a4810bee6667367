//! `coffre diff`.

use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use vault_core::tree::{Change, Node};

use crate::args::Diff;
use crate::document::{NodeFields, PathText, kind};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say};
use crate::session::Context;
use crate::show;

#[derive(Serialize)]
struct Fields {
    before: String,
    after: String,
    added: u64,
    removed: u64,
    modified: u64,
    changes: Vec<ChangeFields>,
}

#[derive(Serialize)]
struct ChangeFields {
    #[serde(flatten)]
    path: PathText,
    change: &'static str,
    kind: &'static str,
    /// What about it was modified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aspects: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<NodeFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<NodeFields>,
}

#[derive(Default)]
struct Counts {
    added: u64,
    removed: u64,
    modified: u64,
}

pub(super) fn run(options: &Diff, context: &Context) -> Result<Exit, Failure> {
    let (_vault, contents) = context.session()?.contents(&options.which.vault)?;
    let series = options.which.series.as_deref();
    let before = contents.snapshot(options.before.as_str(), series)?;
    let after = contents.snapshot(options.after.as_str(), series)?;
    let mut counts = Counts::default();
    let diff = |visit: &mut dyn FnMut(&[u8], &Change) -> ControlFlow<()>| {
        contents.diff(&before.snapshot, &after.snapshot, visit)
    };
    if context.output.is_json() {
        let mut changes = Vec::new();
        diff(&mut |path, change| {
            counts.count(change);
            changes.push(change_fields(path, change));
            ControlFlow::Continue(())
        })?;
        let fields = Fields {
            before: before.id.to_string(),
            after: after.id.to_string(),
            added: counts.added,
            removed: counts.removed,
            modified: counts.modified,
            changes,
        };
        context.output.result(&fields, |_| Ok(()))?;
    } else {
        let mut compared = Ok(());
        context.output.text(|out| {
            let mut written = Ok(());
            compared = diff(&mut |path, change| {
                counts.count(change);
                written = line(out, path, change);
                if written.is_ok() {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            written
        })?;
        compared?;
        let Counts {
            added,
            removed,
            modified,
        } = counts;
        context.output.note(&say!(
            "{added} added, {removed} removed, {modified} modified",
            "{added} ajoutés, {removed} supprimés, {modified} modifiés",
        ));
    }
    Ok(Exit::Done)
}

impl Counts {
    fn count(&mut self, change: &Change) {
        match change {
            Change::Added(_) => self.added += 1,
            Change::Removed(_) => self.removed += 1,
            Change::Modified { before, after } if is_shown(before, after) => self.modified += 1,
            Change::Modified { .. } => {}
        }
    }
}

/// That something in it changed makes a directory different, and its time
/// too: what changed in it is shown, and says as much.
fn is_shown(before: &Node, after: &Node) -> bool {
    before.directory().is_none()
        || aspects(before, after)
            .iter()
            .any(|aspect| !["content", "time"].contains(aspect))
}

fn line(out: &mut dyn Write, path: &[u8], change: &Change) -> io::Result<()> {
    let slash = |node: &Node| if node.directory().is_some() { "/" } else { "" };
    match change {
        Change::Added(node) => writeln!(out, "+ {}{}", show::path(path), slash(node)),
        Change::Removed(node) => writeln!(out, "- {}{}", show::path(path), slash(node)),
        Change::Modified { before, after } if is_shown(before, after) => writeln!(
            out,
            "M {}{}  ({})",
            show::path(path),
            slash(after),
            shown_aspects(before, after).join(", ")
        ),
        Change::Modified { .. } => Ok(()),
    }
}

fn change_fields(path: &[u8], change: &Change) -> ChangeFields {
    let (name, before, after) = match change {
        Change::Added(after) => ("added", None, Some(after)),
        Change::Removed(before) => ("removed", Some(before), None),
        Change::Modified { before, after } => ("modified", Some(before), Some(after)),
    };
    ChangeFields {
        path: PathText::new(path),
        change: name,
        kind: after.or(before).map_or("unknown", kind),
        aspects: before
            .zip(after)
            .map(|(before, after)| aspects(before, after))
            .unwrap_or_default(),
        before: before.map(|node| NodeFields::new(path, node)),
        after: after.map(|node| NodeFields::new(path, node)),
    }
}

/// [`aspects`] for a person.
fn shown_aspects(before: &Node, after: &Node) -> Vec<&'static str> {
    let aspects = aspects(before, after).into_iter();
    let french = |aspect| match aspect {
        "kind" => "genre",
        "content" => "contenu",
        "mode" => "droits",
        "time" => "date",
        "owner" => "propriétaire",
        "attributes" => "attributs",
        "links" => "liens",
        other => other,
    };
    match language() {
        Language::English => aspects.collect(),
        Language::French => aspects.map(french).collect(),
    }
}

/// What is not the same about two nodes of one name.
fn aspects(before: &Node, after: &Node) -> Vec<&'static str> {
    let (old, new) = (before.metadata(), after.metadata());
    let mut aspects = Vec::new();
    let mut note = |differs: bool, aspect| {
        if differs {
            aspects.push(aspect);
        }
    };
    note(kind(before) != kind(after), "kind");
    note(
        kind(before) == kind(after) && before.content() != after.content(),
        "content",
    );
    note(old.mode != new.mode, "mode");
    note(old.modified != new.modified, "time");
    let owner = (old.uid, old.gid, &old.user, &old.group);
    note(owner != (new.uid, new.gid, &new.user, &new.group), "owner");
    note(old.xattrs != new.xattrs, "attributes");
    note(before.hard_link() != after.hard_link(), "links");
    aspects
}
