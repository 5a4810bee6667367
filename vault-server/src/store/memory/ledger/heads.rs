//! Heads and roots.

use vault_proto::ids::VaultId;

use super::MemoryLedger;
use crate::{
    clock::UnixTime,
    store::{
        decide,
        ledger::{Commit, HeadChanges, HeadCommit, HeadLedger, LedgerError},
        records::HeadRecord,
    },
};

impl HeadLedger for MemoryLedger {
    fn commit_head(&self, commit: &HeadCommit<'_>) -> Result<Commit, LedgerError> {
        let mut tables = self.tables();
        let adds = tables.packs(&commit.vault, commit.adds);
        let removes = tables.packs(&commit.vault, commit.removes);
        let Some((vault, _)) = tables.vaults.get(&commit.vault) else {
            return Ok(Commit::NoSuchVault);
        };
        let vault = *vault;
        let accepted = tables.heads.get(&(commit.vault, commit.head.seq));
        if accepted.is_some_and(|head| head.hash == commit.head.hash) {
            return Ok(Commit::Accepted);
        }
        if let Some(lost) = decide::race(commit, &vault) {
            return Ok(lost);
        }
        let reserved = tables.reserved(&vault.creator);
        let payer = tables.payer(&commit.vault)?;
        let plan = match decide::commit(commit, payer, reserved, &adds, &removes, &self.terms) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };
        payer.record_bytes = payer.record_bytes.saturating_add(plan.record_bytes);
        for step in &plan.steps {
            tables.set_pack(&commit.vault, &step.pack, step.size, Some(step.to))?;
        }
        if let Some(old) = vault.head
            && let Some((_, until)) = tables.roots.get_mut(&(commit.vault, old.seq))
        {
            *until = Some(commit.now.plus(self.terms.grace));
        }
        let key = (commit.vault, commit.head.seq);
        tables.roots.insert(key, (commit.root.to_vec(), None));
        let changes = HeadChanges {
            adds: commit.adds.to_vec(),
            removes: commit.removes.to_vec(),
        };
        tables.changes.insert(key, changes);
        tables.heads.insert(key, decide::head_record(commit, &plan));
        if let Some((vault, _)) = tables.vaults.get_mut(&commit.vault) {
            vault.head = Some(commit.head);
        }
        Ok(Commit::Accepted)
    }

    fn head(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadRecord>, LedgerError> {
        Ok(self.tables().heads.get(&(*vault, seq)).cloned())
    }

    fn root(&self, vault: &VaultId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError> {
        let tables = self.tables();
        Ok(tables
            .roots
            .get(&(*vault, seq))
            .map(|(root, _)| root.clone()))
    }

    fn drop_due_roots(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError> {
        let mut tables = self.tables();
        let due = tables
            .roots
            .iter()
            .filter(|(_, (_, until))| until.is_some_and(|until| until <= now));
        let due: Vec<_> = due.map(|(key, _)| *key).take(limit).collect();
        for key in &due {
            let root_bytes = tables.roots.remove(key).map_or(0, |(root, _)| root.len());
            let payer = tables.payer(&key.0)?;
            payer.record_bytes = payer.record_bytes.saturating_sub(root_bytes as u64);
        }
        Ok(due.len() as u64)
    }
}
