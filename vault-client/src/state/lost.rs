//! What a hoster has lost that this device has seen, while it is brought back.

use prost::Message;
use rusqlite::{OptionalExtension, params};
use vault_proto::ids::{HeadHash, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::wire::SignedEntry;

use super::heads::{Advanced, StoredHead, read_head, write_head};
use super::{Durability, State, StateError, array, signed, unsigned};

/// The newest head that was lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostTip {
    pub(crate) seq: u64,
    /// The signed bytes.
    pub(crate) head: Vec<u8>,
    /// The sealed root.
    pub(crate) root: Vec<u8>,
}

impl State {
    /// The hash of a head that was seen, as far as it was kept.
    pub(crate) fn seen_head(
        &self,
        vault: &VaultId,
        seq: u64,
    ) -> Result<Option<HeadHash>, StateError> {
        self.hash_in("seen_head", vault, seq)
    }

    /// The hash of a head that the hoster has lost, if it is known.
    pub(crate) fn lost_head(
        &self,
        vault: &VaultId,
        seq: u64,
    ) -> Result<Option<HeadHash>, StateError> {
        self.hash_in("lost_head", vault, seq)
    }

    fn hash_in(
        &self,
        table: &str,
        vault: &VaultId,
        seq: u64,
    ) -> Result<Option<HeadHash>, StateError> {
        let sql = format!("SELECT hash FROM {table} WHERE vault = ?1 AND seq = ?2");
        let hash: Option<Vec<u8>> = self.read(|database| {
            let row = database.query_row(&sql, params![vault.as_bytes(), signed(seq)?], |row| {
                row.get(0)
            });
            Ok(row.optional()?)
        })?;
        hash.map(|hash| array(&hash, "the hash of a head").map(HeadHash::from_array))
            .transpose()
    }

    /// Goes back with the hoster to where a vault was, and keeps what it has lost
    /// apart until it is brought back: heads after `to`, and entries of the vault
    /// log after `entries`.
    pub(crate) fn rewind(
        &self,
        vault: &VaultId,
        from: HeadPosition,
        to: Option<&StoredHead>,
        entries: u64,
    ) -> Result<Advanced, StateError> {
        self.write(Durability::Durable, |database| {
            let id = vault.as_bytes();
            let Some(held) = read_head(database, vault)? else {
                return Ok(Advanced::Stale);
            };
            if held.seen.position() != Some(from) {
                return Ok(Advanced::Stale);
            }
            let seq = to.and_then(|to| to.seen.position()).map_or(0, |at| at.seq);
            let (seq, entries) = (signed(seq)?, signed(entries)?);
            database.execute(
                "INSERT OR REPLACE INTO lost_head (vault, seq, hash)
                 SELECT vault, seq, hash FROM seen_head WHERE vault = ?1 AND seq > ?2",
                params![id, seq],
            )?;
            database.execute(
                "INSERT OR REPLACE INTO lost_head (vault, seq, hash, head, root)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![
                    id,
                    signed(from.seq)?,
                    from.hash.as_bytes(),
                    held.signed,
                    held.root
                ],
            )?;
            database.execute(
                "INSERT OR REPLACE INTO lost_entry (vault, seq, entry)
                 SELECT log, seq, entry FROM entry WHERE log = ?1 AND seq > ?2",
                params![id, entries],
            )?;
            database.execute(
                "DELETE FROM seen_head WHERE vault = ?1 AND seq > ?2",
                params![id, seq],
            )?;
            database.execute(
                "DELETE FROM entry WHERE log = ?1 AND seq > ?2",
                params![id, entries],
            )?;
            // It can be accepted no more: its place is behind what was lost.
            database.execute("DELETE FROM signed_commit WHERE vault = ?1", [id])?;
            database.execute("DELETE FROM signed_entry WHERE log = ?1", [id])?;
            match to {
                Some(to) => write_head(database, vault, to)?,
                None => {
                    database.execute("DELETE FROM head WHERE vault = ?1", [id])?;
                }
            }
            Ok(Advanced::Done)
        })
    }

    /// The newest head that was lost; `None` when nothing is being brought back.
    pub(crate) fn lost_tip(&self, vault: &VaultId) -> Result<Option<LostTip>, StateError> {
        let row = self.read(|database| {
            Ok(database
                .query_row(
                    "SELECT seq, head, root FROM lost_head
                     WHERE vault = ?1 AND head IS NOT NULL ORDER BY seq DESC LIMIT 1",
                    [vault.as_bytes()],
                    |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)),
                )
                .optional()?)
        })?;
        row.map(|(seq, head, root)| {
            Ok(LostTip {
                seq: unsigned(seq, "the place of a head")?,
                head,
                root,
            })
        })
        .transpose()
    }

    /// An entry of the vault log that was lost.
    pub(crate) fn lost_entry(
        &self,
        vault: &VaultId,
        seq: u64,
    ) -> Result<Option<SignedEntry>, StateError> {
        let entry: Option<Vec<u8>> = self.read(|database| {
            let sql = "SELECT entry FROM lost_entry WHERE vault = ?1 AND seq = ?2";
            let row = database.query_row(sql, params![vault.as_bytes(), signed(seq)?], |row| {
                row.get(0)
            });
            Ok(row.optional()?)
        })?;
        entry
            .map(|entry| {
                SignedEntry::decode(&entry[..])
                    .map_err(|_| StateError::Damaged("an entry that was lost"))
            })
            .transpose()
    }

    /// All that can be is brought back.
    pub(crate) fn forget_lost(&self, vault: &VaultId) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            for table in ["lost_head", "lost_entry"] {
                let sql = format!("DELETE FROM {table} WHERE vault = ?1");
                database.execute(&sql, [vault.as_bytes()])?;
            }
            Ok(())
        })
    }
}
