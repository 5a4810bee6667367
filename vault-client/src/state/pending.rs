//! Packs on their way: sealed here, and not yet claimed by a head.
//!
//! A pack is noted before its upload starts, so that a backup that was
//! interrupted knows what may have arrived, asks the hoster once, and sends
//! nothing again that did.

use rusqlite::params;
use vault_proto::ids::{PackId, VaultId};

use super::{Durability, State, StateError, array, unsigned};

/// A pack on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPack {
    /// The pack.
    pub pack: PackId,
    /// The epoch that it is sealed under.
    pub epoch: u64,
    /// Its size in bytes.
    pub size: u32,
    /// What it holds, in the caller's own encoding.
    pub entries: Vec<u8>,
    /// Whether the hoster has acknowledged it.
    pub uploaded: bool,
}

impl State {
    /// Notes a pack, behind those that are noted already.
    ///
    /// # Errors
    /// [`StateError`]; a pack that is noted already is an error.
    pub fn add_pending_pack(&self, vault: &VaultId, pack: &PendingPack) -> Result<(), StateError> {
        self.write(Durability::Lazy, |database| {
            database.execute(
                "INSERT INTO pending_pack (vault, pack, number, epoch, size, entries, uploaded)
                 VALUES (?1, ?2,
                  (SELECT coalesce(max(number), 0) + 1 FROM pending_pack WHERE vault = ?1),
                  ?3, ?4, ?5, ?6)",
                params![
                    vault.as_bytes(),
                    pack.pack.as_bytes(),
                    super::signed(pack.epoch)?,
                    pack.size,
                    pack.entries,
                    pack.uploaded
                ],
            )?;
            database.execute(
                "INSERT OR IGNORE INTO own_pack (vault, pack, epoch, size, entries)
                 SELECT ?1, ?2, ?3, ?4, ?5
                 WHERE EXISTS (SELECT 1 FROM common_vault WHERE vault = ?1)",
                params![
                    vault.as_bytes(),
                    pack.pack.as_bytes(),
                    super::signed(pack.epoch)?,
                    pack.size,
                    pack.entries
                ],
            )?;
            Ok(())
        })
    }

    /// From now on keeps what the packs hold that this device notes for the
    /// vault, for [`Self::own_pack`].
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep_own_packs(&self, vault: &VaultId) -> Result<(), StateError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM common_vault WHERE vault = ?1)";
        let kept = self.read(|database| {
            Ok(database.query_row(sql, [vault.as_bytes()], |row| row.get::<_, bool>(0))?)
        })?;
        if kept {
            return Ok(());
        }
        self.write(Durability::Lazy, |database| {
            let sql = "INSERT OR IGNORE INTO common_vault (vault) VALUES (?1)";
            database.execute(sql, [vault.as_bytes()])?;
            Ok(())
        })
    }

    /// A pack that this device has noted since [`Self::keep_own_packs`],
    /// whatever became of it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn own_pack(
        &self,
        vault: &VaultId,
        pack: &PackId,
    ) -> Result<Option<PendingPack>, StateError> {
        self.read(|database| {
            let mut rows = database.prepare_cached(
                "SELECT epoch, size, entries FROM own_pack WHERE vault = ?1 AND pack = ?2",
            )?;
            let mut rows = rows.query(params![vault.as_bytes(), pack.as_bytes()])?;
            let Some(row) = rows.next()? else {
                return Ok(None);
            };
            Ok(Some(PendingPack {
                pack: *pack,
                epoch: unsigned(row.get(0)?, "an epoch")?,
                size: row.get(1)?,
                entries: row.get(2)?,
                uploaded: true,
            }))
        })
    }

    /// The packs of a vault that are noted, in the order in which they were.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn pending_packs(&self, vault: &VaultId) -> Result<Vec<PendingPack>, StateError> {
        self.read(|database| {
            let mut rows = database.prepare(
                "SELECT pack, epoch, size, entries, uploaded
                 FROM pending_pack WHERE vault = ?1 ORDER BY number",
            )?;
            let rows = rows.query_map([vault.as_bytes()], |row| {
                Ok((
                    row.get::<_, Vec<u8>>(0)?,
                    row.get::<_, i64>(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            })?;
            rows.map(|row| {
                let (pack, epoch, size, entries, uploaded) = row?;
                Ok(PendingPack {
                    pack: PackId::from_array(array(&pack, "a pack id")?),
                    epoch: unsigned(epoch, "an epoch")?,
                    size,
                    entries,
                    uploaded,
                })
            })
            .collect()
        })
    }

    /// Notes that the hoster has acknowledged packs.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn mark_packs_uploaded(&self, vault: &VaultId, packs: &[PackId]) -> Result<(), StateError> {
        let sql = "UPDATE pending_pack SET uploaded = 1 WHERE vault = ?1 AND pack = ?2";
        self.for_each_pack(sql, vault, packs)
    }

    /// Forgets packs: a head has claimed them, or they are given up.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn remove_pending_packs(
        &self,
        vault: &VaultId,
        packs: &[PackId],
    ) -> Result<(), StateError> {
        let sql = "DELETE FROM pending_pack WHERE vault = ?1 AND pack = ?2";
        self.for_each_pack(sql, vault, packs)
    }

    fn for_each_pack(
        &self,
        sql: &str,
        vault: &VaultId,
        packs: &[PackId],
    ) -> Result<(), StateError> {
        self.write(Durability::Lazy, |database| {
            let mut statement = database.prepare_cached(sql)?;
            for pack in packs {
                statement.execute(params![vault.as_bytes(), pack.as_bytes()])?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_stay_noted_until_they_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let vault = VaultId::from_array([1; 32]);
        let pack = |id: u8| PendingPack {
            pack: PackId::from_array([id; 32]),
            epoch: 1,
            size: 16_384,
            entries: vec![id; 100],
            uploaded: false,
        };
        let state = State::open(home.path()).unwrap();
        for id in [3, 1, 2] {
            state.add_pending_pack(&vault, &pack(id)).unwrap();
        }
        assert!(state.add_pending_pack(&vault, &pack(1)).is_err());
        state.mark_packs_uploaded(&vault, &[pack(1).pack]).unwrap();
        drop(state);
        let state = State::open(home.path()).unwrap();
        let uploaded = PendingPack {
            uploaded: true,
            ..pack(1)
        };
        assert_eq!(
            state.pending_packs(&vault).unwrap(),
            [pack(3), uploaded, pack(2)]
        );
        let elsewhere = VaultId::from_array([2; 32]);
        state
            .remove_pending_packs(&elsewhere, &[pack(3).pack])
            .unwrap();
        state
            .remove_pending_packs(&vault, &[pack(3).pack, pack(1).pack])
            .unwrap();
        assert_eq!(state.pending_packs(&vault).unwrap(), [pack(2)]);
        assert!(state.pending_packs(&elsewhere).unwrap().is_empty());
    }
}
