//! `coffre find`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::ControlFlow;

use serde::Serialize;
use vault_client::contents::{Contents, NamedSnapshot};
use vault_client::error::ErrorCode;
use vault_client::files::Excludes;
use vault_core::tree::{Change, Node, NodeContent};

use crate::args::Find;
use crate::document::{NodeFields, PathText};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::say;
use crate::session::Context;
use crate::show::{self, Noun, Size, counted, short};

#[derive(Serialize)]
struct Fields {
    pattern: String,
    /// In the order of their series and paths.
    matches: Vec<MatchFields>,
}

#[derive(Serialize)]
struct MatchFields {
    #[serde(flatten)]
    path: PathText,
    series: String,
    /// Oldest first.
    versions: Vec<VersionFields>,
}

#[derive(Serialize)]
struct VersionFields {
    /// The first and the last snapshot that has it so, of those in a row.
    first_snapshot: String,
    last_snapshot: String,
    snapshots: usize,
    node: NodeFields,
}

/// A node that stayed the same from one snapshot to another, both included;
/// they are counted within their series.
struct Version {
    first: usize,
    last: usize,
    node: Node,
}

pub(super) fn run(options: &Find, context: &Context) -> Result<Exit, Failure> {
    // What a backup can leave out is what can be found.
    let pattern = Excludes::new(&[&options.pattern])
        .map_err(|error| Failure::of(ErrorCode::InvalidArgument, &error))?;
    let (_vault, contents) = context.session()?.contents(&options.which.vault)?;
    let mut by_series: BTreeMap<String, Vec<NamedSnapshot>> = BTreeMap::new();
    for named in contents.snapshots(options.which.series.as_deref())? {
        by_series
            .entry(named.series.clone())
            .or_default()
            .push(named);
    }
    let mut fields = Fields {
        pattern: options.pattern.clone(),
        matches: Vec::new(),
    };
    let mut text = Vec::new();
    for (series, snapshots) in &by_series {
        for (path, versions) in search(&contents, snapshots, &pattern)? {
            if context.output.is_json() {
                fields
                    .matches
                    .push(match_fields(series, snapshots, &path, &versions));
            } else {
                // Into memory this cannot fail.
                let _ = lines(&mut text, snapshots, &path, &versions);
            }
        }
    }
    context.output.result(&fields, |out| out.write_all(&text))?;
    if text.is_empty() && !context.output.is_json() {
        context.output.note(&say!("nothing found", "rien trouvé"));
    }
    Ok(Exit::Done)
}

/// Lists the first snapshot, and then only what changed from one to the next:
/// what stayed is never read twice.
fn search(
    contents: &Contents,
    snapshots: &[NamedSnapshot],
    pattern: &Excludes,
) -> Result<BTreeMap<Vec<u8>, Vec<Version>>, Failure> {
    let matches = |path: &[u8], node: &Node| pattern.excludes(path, node.directory().is_some());
    let mut found: BTreeMap<Vec<u8>, Vec<Version>> = BTreeMap::new();
    let mut add = |path: &[u8], node: &Node, first: usize| {
        if matches(path, node) {
            let version = Version {
                first,
                last: snapshots.len() - 1,
                node: node.clone(),
            };
            found.entry(path.to_vec()).or_default().push(version);
        }
    };
    let Some(oldest) = snapshots.first() else {
        return Ok(found);
    };
    contents.list(&oldest.snapshot, b"/", true, &mut |path, node| {
        add(path, node, 0);
        ControlFlow::Continue(())
    })?;
    for (index, pair) in snapshots.windows(2).enumerate() {
        let [before, after] = pair else { continue };
        contents.diff(&before.snapshot, &after.snapshot, &mut |path, change| {
            let (gone, new) = match change {
                Change::Added(after) => (None, Some(after)),
                Change::Removed(before) => (Some(before), None),
                Change::Modified { before, after } => (Some(before), Some(after)),
            };
            if gone.is_some()
                && let Some(version) = found.get_mut(path).and_then(|versions| versions.last_mut())
            {
                version.last = version.last.min(index);
            }
            if let Some(node) = new
                && matches(path, node)
            {
                let version = Version {
                    first: index + 1,
                    last: snapshots.len() - 1,
                    node: node.clone(),
                };
                found.entry(path.to_vec()).or_default().push(version);
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(found)
}

fn match_fields(
    series: &str,
    snapshots: &[NamedSnapshot],
    path: &[u8],
    versions: &[Version],
) -> MatchFields {
    let version = |version: &Version| VersionFields {
        first_snapshot: snapshots[version.first].id.to_string(),
        last_snapshot: snapshots[version.last].id.to_string(),
        snapshots: version.last - version.first + 1,
        node: NodeFields::new(path, &version.node),
    };
    MatchFields {
        path: PathText::new(path),
        series: series.to_owned(),
        versions: versions.iter().map(version).collect(),
    }
}

fn lines(
    out: &mut Vec<u8>,
    snapshots: &[NamedSnapshot],
    path: &[u8],
    versions: &[Version],
) -> io::Result<()> {
    let is_directory = versions
        .last()
        .is_some_and(|version| version.node.directory().is_some());
    writeln!(
        out,
        "{}{}",
        show::path(path),
        if is_directory { "/" } else { "" }
    )?;
    // Newest first: that is the one that is looked for.
    for version in versions.iter().rev() {
        let size = match version.node.content() {
            NodeContent::File { size, .. } => Size(*size).to_string(),
            _ => String::new(),
        };
        let count = version.last - version.first + 1;
        let id = short(&snapshots[version.last].id);
        let time = show::local_time(version.node.metadata().modified);
        let snapshots = counted(count as u64, Noun::Snapshot);
        let text = say!(
            "    {id}  {size:>7}  changed {time}  (in {snapshots})",
            "    {id}  {size:>7}  modifié {time}  (dans {snapshots})",
        );
        writeln!(out, "{text}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::sync::Arc;

    use vault_client::account::{Account, Setup};
    use vault_client::backup::{BackupOptions, back_up};
    use vault_client::progress::{Cancellation, NoProgress, ProgressListener};
    use vault_client::remote::memory::MemoryHoster;
    use vault_client::vault::Vault;

    use super::*;

    const DIRECTORIES: usize = 300;
    const SNAPSHOTS: usize = 4;

    /// Directories with files in them, of which one changes from snapshot to snapshot.
    fn saved(home: &Path, tree: &Path, hoster: &MemoryHoster) -> Vault {
        let mut setup = Setup::new(home).unwrap();
        setup.connect = Arc::new(hoster.clone());
        let signed_up = Account::sign_up(&setup, &hoster.invite(), "a laptop");
        let mut vault = signed_up.unwrap().0.create_vault("documents").unwrap();
        for number in 0..DIRECTORIES {
            let directory = tree.join(format!("{number:03}"));
            fs::create_dir(&directory).unwrap();
            for name in ["letter.txt", "photo.raw"] {
                fs::write(directory.join(name), number.to_string()).unwrap();
            }
        }
        let listener: Arc<dyn ProgressListener> = Arc::new(NoProgress);
        let options = BackupOptions::new(vec![tree.to_owned()]);
        for number in 0..SNAPSHOTS {
            let file = tree.join(format!("{:03}/letter.txt", number * 70));
            fs::write(file, format!("changed {number} times")).unwrap();
            back_up(&mut vault, &options, &listener, &Cancellation::new()).unwrap();
        }
        vault
    }

    /// By a device that has to ask for all of it.
    #[test]
    fn no_call_is_made_per_directory_file_or_snapshot() {
        let (home, tree) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let hoster = MemoryHoster::new();
        let vault = saved(home.path(), tree.path(), &hoster);
        let cached = vault.directory().unwrap();
        for directory in ["packs", "index"] {
            fs::remove_dir_all(cached.join(directory)).unwrap();
        }
        hoster.forget_calls();
        let contents = Contents::open(&vault).unwrap();
        let snapshots = contents.snapshots(None).unwrap();
        let pattern = Excludes::new(&["*.txt"]).unwrap();
        let found = search(&contents, &snapshots, &pattern).unwrap();
        assert_eq!((found.len(), snapshots.len()), (DIRECTORIES, SNAPSHOTS));
        let versions: usize = found.values().map(Vec::len).sum();
        assert_eq!(versions, DIRECTORIES + SNAPSHOTS - 1);
        // Each pack is read once, whatever is wanted of it.
        let packs = hoster.packs(&vault.id()).len();
        let calls = hoster.calls();
        assert!(calls.len() <= packs, "{} calls, {packs} packs", calls.len());
        assert!(packs < 3 * SNAPSHOTS, "{packs}");
    }
}
