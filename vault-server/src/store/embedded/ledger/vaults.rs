//! Vaults and their logs.

use prost::Message;
use vault_proto::ids::{AccountId, VaultId};

use super::{EmbeddedLedger, Locked};
use crate::store::{
    decide,
    embedded::{disk::Sync, keys, rocks::Table, rows::MemberRow},
    ledger::{
        AccountLedger, Appended, LedgerError, LinksEnd, NewVault, NewVaultEntry, Urgency,
        VaultCreation, VaultLedger,
    },
    records::{Link, Vault},
};

impl VaultLedger for EmbeddedLedger {
    fn create_vault(&self, new: &NewVault<'_>) -> Result<VaultCreation, LedgerError> {
        let _creator = self.payers.lock(new.creator.as_bytes());
        let Some(mut creator) = self.account(&new.creator)? else {
            return Ok(VaultCreation::NoSuchAccount);
        };
        if self.vault(&new.id)?.is_some() {
            return Ok(VaultCreation::Exists);
        }
        if let Some(full) = self.add_records(&mut creator, new.genesis, Urgency::Ordinary) {
            return Ok(VaultCreation::RecordsFull(full));
        }
        let mut batch = self.rocks.batch();
        batch.put_account(&creator);
        batch.put_vault(&Vault {
            id: new.id,
            kind: new.kind,
            creator: new.creator,
            log_seq: 1,
            head: None,
        });
        batch.put(
            Table::VaultLog,
            &keys::of_log(new.id.as_bytes(), 1),
            new.genesis,
        );
        batch.put(Table::Members, &keys::of_member(&new.creator, &new.id), &[]);
        batch.write(Sync::Now)?;
        Ok(VaultCreation::Created)
    }

    fn vault(&self, id: &VaultId) -> Result<Option<Vault>, LedgerError> {
        self.record(Table::Vaults, id.as_bytes(), *id)
    }

    fn vaults_of(&self, member: &AccountId) -> Result<Vec<VaultId>, LedgerError> {
        let (mut vaults, unaccepted) = self.memberships(member)?;
        vaults.extend(unaccepted);
        Ok(vaults)
    }

    fn vault_entries(
        &self,
        id: &VaultId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        self.entries(Table::VaultLog, id.as_bytes(), after, limit_bytes)
    }

    fn append_vault_entry(&self, new: &NewVaultEntry<'_>) -> Result<Appended, LedgerError> {
        let locked = self.lock(&new.vault)?;
        let Locked {
            mut vault,
            mut payer,
            _guard,
        } = locked.ok_or(LedgerError::Damaged("no vault"))?;
        if new.seq != vault.log_seq + 1 || new.head != vault.head {
            return Ok(Appended::LostRace {
                head_seq: vault.head_seq(),
                log_seq: vault.log_seq,
            });
        }
        let _joining = match &new.joined {
            Some(joined) => {
                let guard = self.joining.lock(joined.as_bytes());
                if !self.may_wait(joined, &vault)? {
                    return Ok(Appended::BoxFull);
                }
                Some(guard)
            }
            None => None,
        };
        if let Some(full) = self.add_records(&mut payer, new.entry, new.urgency) {
            return Ok(Appended::RecordsFull(full));
        }
        vault.log_seq = new.seq;
        let mut batch = self.rocks.batch();
        let _ended = match new.links_end {
            LinksEnd::None => None,
            end => {
                let which = |link: &Link| end.ends(link);
                Some(self.end_links(&mut batch, &vault.id, &mut payer, which)?)
            }
        };
        batch.put_account(&payer);
        batch.put_vault(&vault);
        batch.put(
            Table::VaultLog,
            &keys::of_log(vault.id.as_bytes(), new.seq),
            new.entry,
        );
        for (member, unaccepted) in [(&new.joined, true), (&new.accepted, false)] {
            if let Some(member) = member {
                let row = MemberRow { unaccepted }.encode_to_vec();
                batch.put(Table::Members, &keys::of_member(member, &vault.id), &row);
            }
        }
        if let Some(left) = &new.left {
            batch.delete(Table::Members, &keys::of_member(left, &vault.id));
        }
        batch.write(Sync::Now)?;
        Ok(Appended::Appended)
    }
}

impl EmbeddedLedger {
    /// The vaults in which an account has accepted its membership, and the others.
    fn memberships(&self, member: &AccountId) -> Result<(Vec<VaultId>, Vec<VaultId>), LedgerError> {
        let (mut accepted, mut others) = (Vec::new(), Vec::new());
        let of = member.as_bytes();
        self.rocks.visit(Table::Members, of, |key, row| {
            let Some(vault) = key.strip_prefix(of) else {
                return Ok(false);
            };
            let vault = VaultId::from_slice(vault);
            let vault = vault.map_err(|_| LedgerError::Damaged("a key is no vault id"))?;
            match MemberRow::from_row(row)?.unaccepted {
                true => others.push(vault),
                false => accepted.push(vault),
            }
            Ok::<_, LedgerError>(true)
        })?;
        Ok((accepted, others))
    }

    /// Whether this vault may wait to be accepted by an account.
    fn may_wait(&self, joined: &AccountId, vault: &Vault) -> Result<bool, LedgerError> {
        let (_, unaccepted) = self.memberships(joined)?;
        let mut creators = Vec::new();
        for waiting in unaccepted {
            creators.extend(self.vault(&waiting)?.map(|vault| vault.creator));
        }
        Ok(decide::may_wait(vault.creator, &creators, &self.terms))
    }
}
