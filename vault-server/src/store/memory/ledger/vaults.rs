//! Vaults and their logs.

use vault_proto::ids::{AccountId, VaultId};

use super::{MemoryLedger, Tables, entries_after};
use crate::store::{
    decide,
    ledger::{Appended, LedgerError, NewVault, NewVaultEntry, Terms, VaultCreation, VaultLedger},
    records::Vault,
};

impl VaultLedger for MemoryLedger {
    fn create_vault(&self, new: &NewVault<'_>) -> Result<VaultCreation, LedgerError> {
        let mut tables = self.tables();
        let exists = tables.vaults.contains_key(&new.id);
        let Some((creator, _)) = tables.accounts.get_mut(&new.creator) else {
            return Ok(VaultCreation::NoSuchAccount);
        };
        if exists {
            return Ok(VaultCreation::Exists);
        }
        let more_bytes = decide::entry_bytes(new.genesis);
        if let Some(full) = decide::records_full(creator, more_bytes, &self.terms) {
            return Ok(VaultCreation::RecordsFull(full));
        }
        creator.record_bytes = creator.record_bytes.saturating_add(more_bytes);
        let vault = Vault {
            id: new.id,
            kind: new.kind,
            creator: new.creator,
            log_seq: 1,
            head: None,
        };
        tables
            .vaults
            .insert(new.id, (vault, vec![new.genesis.to_vec()]));
        tables.members.insert((new.creator, new.id), true);
        Ok(VaultCreation::Created)
    }

    fn vault(&self, id: &VaultId) -> Result<Option<Vault>, LedgerError> {
        Ok(self.tables().vaults.get(id).map(|(vault, _)| *vault))
    }

    fn vaults_of(&self, member: &AccountId) -> Result<Vec<VaultId>, LedgerError> {
        let tables = self.tables();
        let of = |wanted: bool| {
            let all = tables.members.iter();
            let own = all
                .filter(move |((account, _), accepted)| account == member && **accepted == wanted);
            own.map(|((_, vault), _)| *vault)
        };
        Ok(of(true).chain(of(false)).collect())
    }

    fn vault_entries(
        &self,
        id: &VaultId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        let tables = self.tables();
        let log = tables.vaults.get(id).map_or(&[][..], |(_, log)| log);
        Ok(entries_after(log, after, limit_bytes))
    }

    fn append_vault_entry(&self, new: &NewVaultEntry<'_>) -> Result<Appended, LedgerError> {
        let mut tables = self.tables();
        let payer = tables.payer(&new.vault)?.clone();
        let vault = tables.vaults.get(&new.vault);
        let (vault, _) = vault.ok_or(LedgerError::Damaged("no vault"))?;
        if new.seq != vault.log_seq + 1 || new.head != vault.head {
            return Ok(Appended::LostRace {
                head_seq: vault.head_seq(),
                log_seq: vault.log_seq,
            });
        }
        if let Some(joined) = &new.joined
            && !tables.may_wait(joined, payer.id, &self.terms)
        {
            return Ok(Appended::BoxFull);
        }
        let vault = tables.vaults.get_mut(&new.vault);
        let (vault, log) = vault.ok_or(LedgerError::Damaged("no vault"))?;
        let more_bytes = decide::entry_bytes(new.entry);
        let refused = decide::entry_refused(&payer, more_bytes, new.urgency, &self.terms);
        if let Some(full) = refused {
            return Ok(Appended::RecordsFull(full));
        }
        vault.log_seq = new.seq;
        log.push(new.entry.to_vec());
        let payer = tables.payer(&new.vault)?;
        payer.record_bytes = payer.record_bytes.saturating_add(more_bytes);
        let ends = new.links_end;
        tables.end_links(|link| link.vault == new.vault && ends.ends(link))?;
        for (member, accepted) in [(new.joined, false), (new.accepted, true)] {
            if let Some(member) = member {
                tables.members.insert((member, new.vault), accepted);
            }
        }
        if let Some(left) = new.left {
            tables.members.remove(&(left, new.vault));
        }
        Ok(Appended::Appended)
    }
}

impl Tables {
    /// Whether a vault of this creator may wait to be accepted by an account.
    fn may_wait(&self, joined: &AccountId, creator: AccountId, terms: &Terms) -> bool {
        let unaccepted = self.members.iter();
        let unaccepted =
            unaccepted.filter(|((account, _), accepted)| account == joined && !**accepted);
        let vaults = unaccepted.filter_map(|((_, vault), _)| self.vaults.get(vault));
        let creators: Vec<_> = vaults.map(|(vault, _)| vault.creator).collect();
        decide::may_wait(creator, &creators, terms)
    }
}
