//! `coffre snapshots`.

use serde::Serialize;
use vault_client::contents::NamedSnapshot;

use crate::args::Which;
use crate::document::SnapshotFields;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say};
use crate::session::{Context, VaultFields};
use crate::show::{self, Count, Size};
use crate::table::Table;

#[derive(Serialize)]
struct Fields {
    vault: VaultFields,
    /// Oldest first.
    snapshots: Vec<SnapshotFields>,
}

pub(super) fn run(options: &Which, context: &Context) -> Result<Exit, Failure> {
    let (vault, contents) = context.session()?.contents(&options.vault)?;
    let snapshots = contents.snapshots(options.series.as_deref())?;
    let fields = Fields {
        vault: VaultFields::of(&vault),
        snapshots: snapshots.iter().map(SnapshotFields::from).collect(),
    };
    context.output.result(&fields, |out| {
        if snapshots.is_empty() {
            return writeln!(
                out,
                "{}",
                say!("no snapshots yet", "pas encore d’instantané")
            );
        }
        let mut table = Table::new(match language() {
            Language::English => &["SNAPSHOT", "TIME", "FILES", "SIZE", "SERIES"],
            Language::French => &["INSTANTANÉ", "DATE", "FICHIERS", "TAILLE", "SÉRIE"],
        });
        table.align_right(&[2, 3]);
        for named in &snapshots {
            table.row(row(named));
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

fn row(named: &NamedSnapshot) -> Vec<String> {
    let fields = named.snapshot.fields();
    let mut series = show::printable(&named.series);
    if !fields.complete {
        series.push_str(&say!("  (interrupted)", "  (interrompu)"));
    } else if fields.left_out > 0 {
        series.push_str(&say!("  ({} left out)", "  ({} omis)", fields.left_out));
    }
    vec![
        show::short(&named.id),
        show::local_time(fields.started),
        Count(fields.totals.files).to_string(),
        Size(fields.totals.bytes).to_string(),
        series,
    ]
}
