//! The vaults that this device knows.

use rusqlite::{Row, Transaction, params};
use vault_proto::ids::{AccountId, HosterId, VaultId};
use vault_proto::wire::VaultKind;

use super::logs::{self, NewEntries};
use super::{Durability, State, StateError, array};

/// A vault, as the account vault and the hoster last told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VaultRow {
    pub(crate) id: VaultId,
    pub(crate) kind: VaultKind,
    pub(crate) hoster: HosterId,
    pub(crate) name: Option<String>,
    /// Its genesis is stored, and hoster and account vault may not know it yet.
    pub(crate) creating: bool,
}

impl State {
    /// All vaults, in the order of their names and ids.
    pub(crate) fn vaults(&self) -> Result<Vec<VaultRow>, StateError> {
        let read = |row: &Row<'_>| {
            Ok((
                row.get::<_, Vec<u8>>("id")?,
                row.get::<_, i32>("kind")?,
                row.get::<_, Vec<u8>>("hoster")?,
                row.get("name")?,
                row.get("creating")?,
            ))
        };
        self.read(|database| {
            let mut rows = database.prepare("SELECT * FROM vault ORDER BY name, id")?;
            let rows = rows.query_map([], read)?;
            rows.map(|row| {
                let (id, kind, hoster, name, creating) = row?;
                Ok(VaultRow {
                    id: VaultId::from_array(array(&id, "a vault id")?),
                    kind: VaultKind::try_from(kind)
                        .map_err(|_| StateError::Damaged("a kind of vault"))?,
                    hoster: HosterId::from_array(array(&hoster, "a hoster id")?),
                    name,
                    creating,
                })
            })
            .collect()
        })
    }

    /// Begins a vault of this account's: with its genesis, stored before it is
    /// sent.
    pub(crate) fn begin_vault(
        &self,
        row: &VaultRow,
        account: &AccountId,
        genesis: NewEntries,
    ) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            logs::insert(database, &[genesis])?;
            database.execute(
                "INSERT OR IGNORE INTO vault_account (vault, account) VALUES (?1, ?2)",
                [row.id.as_bytes(), account.as_bytes()],
            )?;
            write_vault(database, row)
        })
    }

    /// Says anew which vaults there are, besides those that are being created.
    pub(crate) fn set_vaults(&self, rows: &[VaultRow]) -> Result<(), StateError> {
        self.write(Durability::Lazy, |database| {
            database.execute("DELETE FROM vault WHERE creating = 0", [])?;
            for row in rows {
                write_vault(database, row)?;
            }
            Ok(())
        })
    }
}

fn write_vault(database: &Transaction<'_>, row: &VaultRow) -> Result<(), StateError> {
    database.execute(
        "INSERT OR REPLACE INTO vault (id, kind, hoster, name, creating)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            row.id.as_bytes(),
            row.kind as i32,
            row.hoster.as_bytes(),
            row.name,
            row.creating
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vaults_come_back_by_name() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let row = |id: u8, name: Option<&str>, creating| VaultRow {
            id: VaultId::from_array([id; 32]),
            kind: VaultKind::Storage,
            hoster: HosterId::from_array([9; 32]),
            name: name.map(str::to_owned),
            creating,
        };
        let account = AccountId::from_array([8; 32]);
        let genesis = NewEntries {
            log: [1; 32],
            first_seq: 1,
            entries: Vec::new(),
        };
        let photos = row(1, Some("photos"), true);
        state.begin_vault(&photos, &account, genesis).unwrap();
        let gone = row(7, Some("gone"), false);
        state.set_vaults(&[gone]).unwrap();
        let listed = [row(2, Some("mail"), false), row(3, None, false)];
        state.set_vaults(&listed).unwrap();
        let [mail, nameless] = listed;
        let expected = [nameless.clone(), mail.clone(), photos];
        assert_eq!(state.vaults().unwrap(), expected);

        let photos = row(1, Some("photos"), false);
        let listed = [mail.clone(), nameless.clone(), photos.clone()];
        state.set_vaults(&listed).unwrap();
        let expected = [nameless, mail, photos];
        assert_eq!(state.vaults().unwrap(), expected);
    }
}
