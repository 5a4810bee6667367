//! Heads and roots.

use prost::Message;
use vault_proto::ids::VaultId;

use super::{EmbeddedLedger, Locked, concatenated};
use crate::{
    clock::UnixTime,
    store::{
        decide,
        embedded::{
            disk::Sync,
            keys::{self, Due},
            rocks::Table,
            rows::ChangesRow,
        },
        ledger::{Commit, HeadCommit, HeadLedger, LedgerError, PackLedger},
        records::HeadRecord,
    },
};

impl HeadLedger for EmbeddedLedger {
    fn commit_head(&self, commit: &HeadCommit<'_>) -> Result<Commit, LedgerError> {
        let Some(locked) = self.lock(&commit.vault)? else {
            return Ok(Commit::NoSuchVault);
        };
        let Locked {
            mut vault,
            mut payer,
            _guard,
        } = locked;
        let accepted = self.head(&vault.id, commit.head.seq)?;
        if accepted.is_some_and(|head| head.hash == commit.head.hash) {
            return Ok(Commit::Accepted);
        }
        if let Some(lost) = decide::race(commit, &vault) {
            return Ok(lost);
        }
        let adds = self.packs(&vault.id, commit.adds)?;
        let removes = self.packs(&vault.id, commit.removes)?;
        let reserved = self.reserved_by(&payer.id);
        let plan = match decide::commit(commit, &payer, reserved, &adds, &removes, &self.terms) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };

        let mut batch = self.rocks.batch();
        for step in &plan.steps {
            let (from, to) = (Some(step.from), Some(step.to));
            batch.move_pack(&vault.id, &step.pack, step.size, from, to);
        }
        payer.usage = plan.usage;
        payer.record_bytes = payer.record_bytes.saturating_add(plan.record_bytes);
        batch.put_account(&payer);
        if let Some(old) = vault.head {
            let until = commit.now.plus(self.terms.grace);
            batch.put(Table::Due, &Due::Root(vault.id, old.seq).key(until), &[]);
        }
        vault.head = Some(commit.head);
        batch.put_vault(&vault);
        let key = keys::of_log(vault.id.as_bytes(), commit.head.seq);
        batch.put_record(Table::Heads, &key, &decide::head_record(commit, &plan));
        batch.put(Table::Roots, &key, commit.root);
        let changes = ChangesRow {
            adds: concatenated(commit.adds),
            removes: concatenated(commit.removes),
        };
        batch.put(Table::Changes, &key, &changes.encode_to_vec());
        batch.write(Sync::Now)?;
        Ok(Commit::Accepted)
    }

    fn head(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadRecord>, LedgerError> {
        self.record(Table::Heads, &keys::of_log(vault.as_bytes(), seq), ())
    }

    fn root(&self, vault: &VaultId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let key = keys::of_log(vault.as_bytes(), seq);
        let root = self.rocks.get(Table::Roots, &key)?;
        Ok(root.map(|root| root.to_vec()))
    }

    fn drop_due_roots(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError> {
        let mut due = Vec::new();
        self.rocks
            .visit(Table::Due, &Due::ROOTS, |key, _| match Due::from_key(key) {
                Some((time, Due::Root(vault, seq))) if time <= now && due.len() < limit => {
                    due.push((time, vault, seq));
                    Ok::<_, LedgerError>(true)
                }
                _ => Ok(false),
            })?;
        for (time, vault, seq) in &due {
            let locked = self.lock(vault)?;
            let Locked {
                mut payer, _guard, ..
            } = locked.ok_or(LedgerError::Damaged("a root without its vault"))?;
            let key = keys::of_log(vault.as_bytes(), *seq);
            let root_bytes = self
                .rocks
                .get(Table::Roots, &key)?
                .map_or(0, |root| root.len());
            payer.record_bytes = payer.record_bytes.saturating_sub(root_bytes as u64);
            let mut batch = self.rocks.batch();
            batch.put_account(&payer);
            batch.delete(Table::Due, &Due::Root(*vault, *seq).key(*time));
            batch.delete(Table::Roots, &key);
            batch.write(Sync::Later)?;
        }
        Ok(due.len() as u64)
    }
}
