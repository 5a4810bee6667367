//! `coffre restore`.

use serde::Serialize;
use vault_client::files::{LeftOut, Overwrite, PlaceOptions, Reason};
use vault_client::restore::{RestoreOptions, RestoreReport, restore};

use crate::args::{OverwriteMode, Restore};
use crate::document::{LeftOutEntry, PathText, TrafficFields};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::language::say;
use crate::progress::DOWNLOADED;
use crate::session::Context;
use crate::show::{Count, Noun, Size, counted, duration, short};

#[derive(Serialize)]
struct Fields {
    snapshot: String,
    series: String,
    #[serde(flatten)]
    path: PathText,
    target: String,
    files: u64,
    bytes: u64,
    directories: u64,
    others: u64,
    /// Files that were there already and stayed.
    kept: u64,
    verified: u64,
    dropped_privileges: u64,
    lost_by_hoster: u64,
    /// Packs that the hoster does not have any more, and that could be done without.
    missed_packs: u64,
    #[serde(flatten)]
    traffic: TrafficFields,
    seconds: f64,
    left_out: usize,
    left_out_entries: Vec<LeftOutEntry>,
}

pub(super) fn run(options: &Restore, context: &Context) -> Result<Exit, Failure> {
    let (vault, contents) = context.session()?.contents(&options.which.vault)?;
    let series = options.which.series.as_deref();
    let named = contents.snapshot(options.what.snapshot.as_str(), series)?;
    drop(contents);
    let how = restore_options(options);
    let cancellation = interrupt::cancellation(vault.remote(), &context.output)?;
    let showing = context.progress(DOWNLOADED);
    let path = options.what.path_or_root();
    let report = restore(
        &vault,
        &named,
        path,
        &options.to,
        &how,
        showing.listener(),
        &cancellation,
    );
    drop(showing);
    let report = report?;

    context.output.left_out(&report.left_out);
    if report.dropped_privileges > 0 {
        let files = counted(report.dropped_privileges, Noun::File);
        context.output.note(&say!(
            "{files} got no set-user-id, set-group-id bit or capabilities; --privileges restores them",
            "{files} sans bits set-user-id, set-group-id ni capacités ; --privileges les rétablit",
        ));
    }
    if report.missed_packs > 0 {
        let packs = counted(report.missed_packs, Noun::Pack);
        context.output.warn(&say!(
            "the hoster has lost or altered {packs}; what was needed of it was still found elsewhere: run `coffre check`",
            "l’hébergeur a perdu ou altéré {packs} ; ce qu’il en fallait a encore été trouvé ailleurs : lancez `coffre check`",
        ));
    }
    let fields = Fields {
        snapshot: named.id.to_string(),
        series: named.series.clone(),
        path: PathText::new(path),
        target: options.to.display().to_string(),
        files: report.files,
        bytes: report.bytes,
        directories: report.directories,
        others: report.others,
        kept: report.kept,
        verified: report.verified,
        dropped_privileges: report.dropped_privileges,
        lost_by_hoster: report.lost_by_hoster,
        missed_packs: report.missed_packs,
        traffic: report.traffic.into(),
        seconds: report.elapsed.as_secs_f64(),
        left_out: report.left_out.len(),
        left_out_entries: LeftOutEntry::all(&report.left_out),
    };
    let name = say!("snapshot {}", "instantané {}", short(&named.id));
    let exit = exit(&report);
    context
        .output
        .conclude(&fields, &sentence(&name, &report), exit)
}

fn exit(report: &RestoreReport) -> Exit {
    let is_full = |entry: &LeftOut| entry.reason == Reason::DiskFull;
    if report.lost_by_hoster > 0 {
        Exit::HosterMisbehaved
    } else if report.left_out.iter().any(is_full) {
        Exit::Full
    } else if !report.left_out.is_empty() {
        Exit::Partly
    } else {
        Exit::Done
    }
}

pub(super) fn overwrite(mode: OverwriteMode) -> Overwrite {
    match mode {
        OverwriteMode::Never => Overwrite::Never,
        OverwriteMode::Changed => Overwrite::Changed,
        OverwriteMode::Always => Overwrite::Always,
    }
}

fn restore_options(options: &Restore) -> RestoreOptions {
    let place = PlaceOptions {
        overwrite: overwrite(options.overwrite),
        owners_by_name: !options.numeric_owners,
        keep_privileges: options.privileges,
        special_files: options.special_files,
        ..PlaceOptions::default()
    };
    let mut how = RestoreOptions::default();
    how.place = place;
    how.verify = options.verify;
    how
}

fn sentence(name: &str, report: &RestoreReport) -> String {
    let (files, bytes) = (counted(report.files, Noun::File), Size(report.bytes));
    let mut text = say!(
        "{name}: restored {files}, {bytes}",
        "{name} : {files} restaurés, {bytes}",
    );
    if report.kept > 0 {
        text.push_str(&say!(", {} kept", ", {} gardés", Count(report.kept)));
    }
    if report.verified > 0 {
        text.push_str(&say!(
            ", {} verified",
            ", {} vérifiés",
            Count(report.verified)
        ));
    }
    let elapsed = duration(report.elapsed);
    text.push_str(&say!("; {elapsed}", " ; {elapsed}"));
    if report.lost_by_hoster > 0 {
        let lost = Count(report.lost_by_hoster);
        text.push_str(&say!(
            "; {lost} lost by the hoster",
            " ; {lost} perdus par l’hébergeur",
        ));
    }
    if !report.left_out.is_empty() {
        let left_out = report.left_out.len();
        text.push_str(&say!("; {left_out} left out", " ; {left_out} omis"));
    }
    text
}
