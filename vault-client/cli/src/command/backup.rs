//! `coffre backup`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Serialize;
use vault_client::backup::{BackupOptions, BackupReport, back_up};
use vault_client::error::ErrorCode;
use vault_client::files::Excludes;

use crate::args::Backup;
use crate::document::{LeftOutEntry, PathText, TrafficFields};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::interrupt;
use crate::language::say;
use crate::message::both;
use crate::progress::UPLOADED;
use crate::session::{Context, VaultFields};
use crate::show::{self, Noun, Size, counted, duration, short};

#[derive(Serialize)]
struct Fields {
    /// None in a dry run.
    snapshot: Option<String>,
    vault: VaultFields,
    series: String,
    dry_run: bool,
    files: u64,
    directories: u64,
    others: u64,
    bytes: u64,
    new_bytes: u64,
    uploaded_bytes: u64,
    filler_bytes: u64,
    packs: u64,
    #[serde(flatten)]
    traffic: TrafficFields,
    seconds: f64,
    left_out: usize,
    left_out_entries: Vec<LeftOutEntry>,
    /// Directories saved empty: what is mounted there holds no files.
    pseudo_file_systems: Vec<PathText>,
}

pub(super) fn run(options: &Backup, context: &Context) -> Result<Exit, Failure> {
    let how = backup_options(options)?;
    let session = context.session()?;
    let mut vault = session.vault_to_save_in(&options.vault)?;
    let cancellation = interrupt::cancellation(vault.remote(), &context.output)?;
    let showing = context.progress(UPLOADED);
    let report = back_up(&mut vault, &how, showing.listener(), &cancellation);
    drop(showing);
    let report = report?;

    context.output.left_out(&report.left_out);
    if !context.output.is_json() {
        for path in &report.pseudo_file_systems {
            let path = show::path(path);
            context.output.note(&say!(
                "saved empty: {path}: the kernel's own, no files",
                "sauvegardé vide : {path} : au noyau, pas de fichiers",
            ));
        }
    }
    let fields = Fields {
        snapshot: report.snapshot.map(|id| id.to_string()),
        vault: VaultFields::of(&vault),
        series: report.series.clone(),
        dry_run: options.dry_run,
        files: report.files,
        directories: report.directories,
        others: report.others,
        bytes: report.bytes,
        new_bytes: report.new_bytes,
        uploaded_bytes: report.uploaded_bytes,
        filler_bytes: report.filler_bytes,
        packs: report.packs,
        traffic: report.traffic.into(),
        seconds: report.elapsed.as_secs_f64(),
        left_out: report.left_out.len(),
        left_out_entries: LeftOutEntry::all(&report.left_out),
        pseudo_file_systems: report
            .pseudo_file_systems
            .iter()
            .map(|path| PathText::new(path))
            .collect(),
    };
    let exit = if report.left_out.is_empty() {
        Exit::Done
    } else {
        Exit::Partly
    };
    context.output.conclude(&fields, &sentence(&report), exit)
}

fn backup_options(options: &Backup) -> Result<BackupOptions, Failure> {
    let paths = options
        .paths
        .iter()
        .map(|path| absolute(path))
        .collect::<Result<Vec<_>, _>>()?;
    // A slip of the pen, or a disk that is not plugged in: a snapshot of
    // nothing would stand before the good ones.
    if let Some(path) = paths.first()
        && paths.iter().all(|path| is_missing(path))
    {
        let path = path.display();
        return Err(Failure::usage(both!(
            "{path}: there is no such file or directory",
            "{path} : ce fichier ou répertoire n’existe pas"
        )));
    }
    let mut patterns = Vec::new();
    for file in &options.exclude_file {
        let text = fs::read_to_string(file).map_err(|error| unusable(file, &error))?;
        patterns.extend(Excludes::patterns_in(&text).map(str::to_owned));
    }
    patterns.extend(options.exclude.iter().cloned());
    let excludes = Excludes::new(&patterns)
        .map_err(|error| Failure::of(ErrorCode::InvalidArgument, &error))?;
    let mut how = BackupOptions::new(paths);
    how.series = options.series.clone();
    how.without_deduplication = options.no_deduplication;
    how.excludes = excludes;
    how.one_file_system = options.one_file_system;
    how.dry_run = options.dry_run;
    how.compression = options.compression;
    how.program = concat!("coffre ", env!("CARGO_PKG_VERSION")).to_owned();
    Ok(how)
}

fn is_missing(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Only lexically: the library decides what to do about symlinks.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| unusable(path, &error))
}

/// A path that was given, and cannot be read.
fn unusable(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    Failure::usage(both!("{path}: {error}", "{path} : {error}"; error))
}

fn sentence(report: &BackupReport) -> String {
    let name = match &report.snapshot {
        Some(id) => say!("snapshot {}", "instantané {}", short(id)),
        None => say!("dry run", "à blanc"),
    };
    let (files, bytes) = (counted(report.files, Noun::File), Size(report.bytes));
    let new = Size(report.new_bytes);
    let mut text = say!(
        "{name}: {files}, {bytes}; {new} new",
        "{name} : {files}, {bytes} ; {new} de nouveau",
    );
    if report.snapshot.is_some() {
        let uploaded = Size(report.uploaded_bytes);
        let packs = counted(report.packs, Noun::Pack);
        text.push_str(&say!(
            ", {uploaded} uploaded in {packs}",
            ", {uploaded} envoyés en {packs}",
        ));
    }
    let elapsed = duration(report.elapsed);
    text.push_str(&say!("; {elapsed}", " ; {elapsed}"));
    if !report.left_out.is_empty() {
        let left_out = report.left_out.len();
        text.push_str(&say!("; {left_out} left out", " ; {left_out} omis"));
    }
    text
}
