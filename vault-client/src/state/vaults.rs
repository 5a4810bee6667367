//! The vaults that this device knows.

use rusqlite::{Row, params};
use vault_proto::ids::{HosterId, VaultId};
use vault_proto::wire::VaultKind;

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

    /// Adds a vault, or says anew what is known of it.
    pub(crate) fn set_vault(&self, row: &VaultRow) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
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
        })
    }
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
        state.set_vault(&row(1, Some("photos"), true)).unwrap();
        state.set_vault(&row(2, Some("mail"), false)).unwrap();
        state.set_vault(&row(3, None, false)).unwrap();
        state.set_vault(&row(1, Some("photos"), false)).unwrap();
        let expected = [
            row(3, None, false),
            row(2, Some("mail"), false),
            row(1, Some("photos"), false),
        ];
        assert_eq!(state.vaults().unwrap(), expected);
    }
}
