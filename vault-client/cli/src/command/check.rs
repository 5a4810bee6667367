//! `coffre check`.

use serde::Serialize;
use vault_client::check::{BrokenSnapshot, CheckReport, Problem, ReadData, check};

use crate::args::Check;
use crate::document::PathText;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::language::{say, words};
use crate::message::{Message, both};
use crate::progress::READ;
use crate::session::{Context, VaultFields};
use crate::show::{self, Count, Noun, Size, counted};

#[derive(Serialize)]
struct Fields {
    vault: VaultFields,
    snapshots: u64,
    nodes: u64,
    chunks: u64,
    packs: u64,
    read_packs: u64,
    read_bytes: u64,
    problems: Vec<ProblemFields>,
    /// Those that cannot be restored whole, the oldest first.
    broken_snapshots: Vec<BrokenFields>,
}

#[derive(Serialize)]
struct BrokenFields {
    snapshot: String,
    series: String,
    started: String,
    /// Files of which not all can be read.
    files: u64,
    /// Directories that cannot be read to their end.
    directories: u64,
}

#[derive(Serialize)]
struct ProblemFields {
    kind: &'static str,
    /// Whether the hoster did not keep what it was given.
    hoster: bool,
    message: Message,
    #[serde(skip_serializing_if = "Option::is_none")]
    pack: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<String>,
    #[serde(flatten)]
    path: Option<PathText>,
}

pub(super) fn run(options: &Check, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut vault = session.vault(&options.vault)?;
    let cancellation = interrupt::cancellation(vault.remote(), &context.output)?;
    let showing = context.progress(READ);
    let read_data = options.read_data.unwrap_or(ReadData::Nothing);
    let report = check(&mut vault, read_data, showing.listener(), &cancellation);
    drop(showing);
    let report = report?;

    let problems: Vec<_> = report.problems.iter().map(problem_fields).collect();
    if !context.output.is_json() {
        for problem in &problems {
            context.output.warn(&problem.message.shown());
        }
        for broken in &report.broken {
            context.output.warn(&shown(broken));
        }
    }
    let fields = Fields {
        vault: VaultFields::of(&vault),
        snapshots: report.snapshots,
        nodes: report.nodes,
        chunks: report.chunks,
        packs: report.packs,
        read_packs: report.read_packs,
        read_bytes: report.read_bytes,
        problems,
        broken_snapshots: report.broken.iter().map(BrokenFields::from).collect(),
    };
    let exit = exit(&report);
    context.output.conclude(&fields, &sentence(&report), exit)
}

fn exit(report: &CheckReport) -> Exit {
    if report.problems.iter().any(Problem::is_the_hosters) {
        Exit::HosterMisbehaved
    } else if !report.problems.is_empty() {
        Exit::Partly
    } else {
        Exit::Done
    }
}

fn problem_fields(problem: &Problem) -> ProblemFields {
    let (mut pack, mut snapshot, mut path) = (None, None, None);
    let (kind, message) = match problem {
        Problem::PackMissing(id) => {
            pack = Some(id.to_string());
            (
                "pack-missing",
                both!(
                    "the hoster does not have pack {id}",
                    "l’hébergeur n’a pas le paquet {id}"
                ),
            )
        }
        Problem::PackRemoved(id) => {
            pack = Some(id.to_string());
            (
                "pack-removed",
                both!(
                    "a device has had pack {id} removed, which is needed; the hoster keeps it for some weeks, and `coffre vault repair` takes it back",
                    "un appareil a fait retirer le paquet {id}, qui est nécessaire ; l’hébergeur le garde quelques semaines, et `coffre vault repair` le reprend"
                ),
            )
        }
        Problem::PackAltered(id) => {
            pack = Some(id.to_string());
            (
                "pack-altered",
                both!(
                    "the hoster has altered pack {id}",
                    "l’hébergeur a altéré le paquet {id}"
                ),
            )
        }
        Problem::PackMalformed(id) => {
            pack = Some(id.to_string());
            (
                "pack-malformed",
                both!(
                    "pack {id} is not what the index says; a device wrote it so",
                    "le paquet {id} n’est pas ce que dit l’index ; un appareil l’a écrit ainsi"
                ),
            )
        }
        Problem::TreeUnreadable {
            snapshot: id,
            after,
            reason,
            ..
        } => {
            snapshot = Some(id.clone());
            path = Some(PathText::new(after));
            let after = show::path(after);
            let id = id.get(..8).unwrap_or(id);
            (
                "tree-unreadable",
                both!(
                    "snapshot {id}, after {after}: {reason}",
                    "instantané {id}, après {after} : {reason}";
                    reason
                ),
            )
        }
        Problem::ChunkUnknown {
            snapshot: id,
            path: file,
        } => {
            snapshot = Some(id.clone());
            path = Some(PathText::new(file));
            let id = id.get(..8).unwrap_or(id);
            let file = show::path(file);
            (
                "chunk-unknown",
                both!(
                    "snapshot {id}: {file}: part of it is nowhere",
                    "instantané {id} : {file} : une partie n’est nulle part"
                ),
            )
        }
        other => ("other", Message::from_english(&format!("{other:?}"))),
    };
    ProblemFields {
        kind,
        hoster: problem.is_the_hosters(),
        message,
        pack,
        snapshot,
        path,
    }
}

impl From<&BrokenSnapshot> for BrokenFields {
    fn from(broken: &BrokenSnapshot) -> Self {
        Self {
            snapshot: broken.id.to_string(),
            series: broken.series.clone(),
            started: show::rfc3339(broken.started),
            files: broken.files,
            directories: broken.directories,
        }
    }
}

fn shown(broken: &BrokenSnapshot) -> String {
    let id = show::short(&broken.id);
    let started = show::local_time(broken.started);
    let series = show::printable(&broken.series);
    let mut lost = Vec::new();
    if broken.files > 0 {
        lost.push(counted(broken.files, Noun::File));
    }
    if broken.directories > 0 {
        let directories = Count(broken.directories);
        lost.push(match broken.directories {
            1 => say!("what else is in a directory", "le reste d’un répertoire",),
            _ => say!(
                "what else is in {directories} directories",
                "le reste de {directories} répertoires",
            ),
        });
    }
    let lost = lost.join(words(" and ", " et ").shown());
    say!(
        "snapshot {id} of {started} ({series}) cannot be restored whole: {lost}",
        "l’instantané {id} du {started} ({series}) ne peut pas être restauré en entier : {lost}",
    )
}

fn sentence(report: &CheckReport) -> String {
    let snapshots = counted(report.snapshots, Noun::Snapshot);
    let nodes = counted(report.nodes, Noun::FileOrDirectory);
    let packs = counted(report.packs, Noun::Pack);
    let mut text = say!(
        "checked {snapshots}, {nodes} and {packs}",
        "vérifié : {snapshots}, {nodes} et {packs}",
    );
    if report.read_packs > 0 {
        let bytes = Size(report.read_bytes);
        let packs = counted(report.read_packs, Noun::Pack);
        text.push_str(&say!(
            "; read {bytes} in {packs}",
            " ; {bytes} lus dans {packs}",
        ));
    }
    if !report.broken.is_empty() {
        let (broken, all) = (Count(report.broken.len() as u64), Count(report.snapshots));
        text.push_str(&say!(
            "; {broken} of {all} snapshots cannot be restored whole",
            " ; instantanés non restaurables en entier : {broken} sur {all}",
        ));
    }
    match report.problems.len() {
        0 => text.push_str(&say!("; no problems", " ; aucun problème")),
        problems => {
            let problems = counted(problems as u64, Noun::Problem);
            text.push_str(&say!("; {problems}", " ; {problems}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use vault_proto::ids::PackId;

    use super::*;

    fn found(problems: &[Problem]) -> CheckReport {
        let mut report = CheckReport::default();
        report.problems = problems.to_vec();
        report
    }

    #[test]
    fn what_the_hoster_has_not_kept_is_told_from_what_a_device_wrote() {
        let pack = PackId::of(b"a pack");
        let tree = |altered| Problem::TreeUnreadable {
            snapshot: "00".repeat(32),
            after: b"/a".to_vec(),
            reason: "why".to_owned(),
            altered,
        };
        let hosters = [
            Problem::PackMissing(pack),
            Problem::PackAltered(pack),
            tree(true),
        ];
        let devices = [
            Problem::PackMalformed(pack),
            Problem::PackRemoved(pack),
            tree(false),
            Problem::ChunkUnknown {
                snapshot: "00".repeat(32),
                path: b"/a".to_vec(),
            },
        ];
        assert_eq!(exit(&found(&[])), Exit::Done);
        for problem in &devices {
            assert_eq!(exit(&found(from_ref(problem))), Exit::Partly);
            assert!(!problem_fields(problem).hoster);
        }
        assert_eq!(exit(&found(&devices)), Exit::Partly);
        for problem in &hosters {
            assert_eq!(exit(&found(from_ref(problem))), Exit::HosterMisbehaved);
            // Whatever else there is.
            let among = [&devices[..], from_ref(problem)].concat();
            assert_eq!(exit(&found(&among)), Exit::HosterMisbehaved);
            assert!(problem_fields(problem).hoster);
        }
        let all = [&hosters[..2], &devices[..1]].concat();
        let mut messages: Vec<_> = all
            .iter()
            .map(|p| problem_fields(p).message.english().to_owned())
            .collect();
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), 3, "{messages:?}");
    }
}
