//! `coffre stats`.

use std::collections::BTreeSet;

use serde::Serialize;
use vault_client::remote::Usage;

use crate::args::WhichVault;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::say;
use crate::session::{Context, VaultFields};
use crate::show::{Count, Noun, Size, counted};

#[derive(Serialize)]
struct Fields {
    vault: VaultFields,
    head: u64,
    epoch: u64,
    series: usize,
    snapshots: usize,
    /// Of the files of all snapshots, as if each were stored by itself.
    snapshot_bytes: u64,
    latest: Option<LatestFields>,
    packs: u64,
    pack_bytes: u64,
    usage: UsageFields,
}

#[derive(Serialize)]
struct LatestFields {
    snapshot: String,
    files: u64,
    directories: u64,
    bytes: u64,
}

/// What the account uses at the hoster, all of its vaults together.
#[derive(Debug, Clone, Serialize)]
pub(super) struct UsageFields {
    pub(super) quota_bytes: u64,
    committed_bytes: u64,
    unclaimed_bytes: u64,
    trash_bytes: u64,
}

impl UsageFields {
    pub(super) fn used_bytes(&self) -> u64 {
        self.committed_bytes.saturating_add(self.unclaimed_bytes)
    }
}

impl From<Usage> for UsageFields {
    fn from(usage: Usage) -> Self {
        Self {
            quota_bytes: usage.quota_bytes,
            committed_bytes: usage.committed_bytes,
            unclaimed_bytes: usage.unclaimed_bytes,
            trash_bytes: usage.trash_bytes,
        }
    }
}

/// Of numbers that members' devices wrote down, whatever they are.
fn sum(numbers: impl Iterator<Item = u64>) -> u64 {
    numbers.fold(0, u64::saturating_add)
}

pub(super) fn run(options: &WhichVault, context: &Context) -> Result<Exit, Failure> {
    let (vault, contents) = context.session()?.contents(options)?;
    let snapshots = contents.snapshots(None)?;
    let series: BTreeSet<&str> = snapshots
        .iter()
        .map(|named| named.series.as_str())
        .collect();
    let latest = snapshots
        .iter()
        .rev()
        .find(|named| named.snapshot.is_complete());
    let fields = Fields {
        head: vault.head().map_or(0, |head| head.seq),
        epoch: vault.log().epoch().number,
        series: series.len(),
        snapshots: snapshots.len(),
        snapshot_bytes: sum(snapshots
            .iter()
            .map(|named| named.snapshot.fields().totals.bytes)),
        latest: latest.map(|named| {
            let totals = named.snapshot.fields().totals;
            LatestFields {
                snapshot: named.id.to_string(),
                files: totals.files,
                directories: totals.directories,
                bytes: totals.bytes,
            }
        }),
        packs: vault.root()?.pack_count,
        pack_bytes: vault.root()?.pack_bytes,
        usage: vault.remote().usage()?.into(),
        vault: VaultFields::of(&vault),
    };
    context.output.result(&fields, |out| {
        let vault = fields.vault.shown_name();
        writeln!(out, "{}", say!("vault      {vault}", "coffre      {vault}"))?;
        let snapshots = Count(fields.snapshots as u64);
        let series = counted(fields.series as u64, Noun::Series);
        let bytes = Size(fields.snapshot_bytes);
        let text = say!(
            "snapshots  {snapshots} in {series}, {bytes} of files in all",
            "instantanés {snapshots} en {series}, {bytes} de fichiers en tout",
        );
        writeln!(out, "{text}")?;
        if let Some(latest) = &fields.latest {
            let (files, bytes) = (counted(latest.files, Noun::File), Size(latest.bytes));
            let text = say!(
                "latest     {files}, {bytes}",
                "le dernier  {files}, {bytes}"
            );
            writeln!(out, "{text}")?;
        }
        let (stored, packs) = (Size(fields.pack_bytes), counted(fields.packs, Noun::Pack));
        let text = say!(
            "stored     {stored} in {packs}",
            "stocké      {stored} en {packs}"
        );
        writeln!(out, "{text}")?;
        let usage = &fields.usage;
        let (used, quota) = (Size(usage.used_bytes()), Size(usage.quota_bytes));
        let text = say!(
            "quota      {used} of {quota} used, by all vaults together",
            "quota       {used} sur {quota}, pour tous les coffres ensemble",
        );
        writeln!(out, "{text}")
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_a_member_made_up_are_added() {
        assert_eq!(sum([1, 2, 3].into_iter()), 6);
        assert_eq!(sum([u64::MAX, 1].into_iter()), u64::MAX);
    }
}
