//! Verified entries of account logs and vault logs.

use prost::Message;
use rusqlite::{OptionalExtension, Transaction, params};
use vault_proto::wire::SignedEntry;

use super::{State, StateError, signed, unsigned};

/// New entries of one log, in ascending order.
#[derive(Debug, Clone)]
pub(crate) struct NewEntries {
    /// The log's id: an account's or a vault's.
    pub(crate) log: [u8; 32],
    /// Of the first entry.
    pub(crate) first_seq: u64,
    pub(crate) entries: Vec<SignedEntry>,
}

impl State {
    /// All entries of a log, in ascending order; none when it is not known.
    pub(crate) fn log_entries(&self, log: &[u8; 32]) -> Result<Vec<SignedEntry>, StateError> {
        self.read(|database| read_entries(database, log))
    }

    /// How many entries of a log there are.
    pub(crate) fn log_length(&self, log: &[u8; 32]) -> Result<u64, StateError> {
        let newest: i64 = self.read(|database| {
            let sql = "SELECT coalesce(max(seq), 0) FROM entry WHERE log = ?1";
            Ok(database.query_row(sql, [log], |row| row.get(0))?)
        })?;
        unsigned(newest, "the place of an entry")
    }
}

pub(super) fn read_entries(
    database: &Transaction<'_>,
    log: &[u8; 32],
) -> Result<Vec<SignedEntry>, StateError> {
    let mut rows =
        database.prepare_cached("SELECT entry FROM entry WHERE log = ?1 ORDER BY seq")?;
    let rows = rows.query_map([log], |row| row.get::<_, Vec<u8>>(0))?;
    rows.map(|entry| {
        SignedEntry::decode(&entry?[..]).map_err(|_| StateError::Damaged("an entry of a log"))
    })
    .collect()
}

/// Whether the same entries, or none, stand where the new ones are to stand.
/// Signatures do not count: an entry is its payload.
pub(super) fn agrees(database: &Transaction<'_>, new: &[NewEntries]) -> Result<bool, StateError> {
    let mut held =
        database.prepare_cached("SELECT entry FROM entry WHERE log = ?1 AND seq = ?2")?;
    for (log, seq, entry) in numbered(new) {
        let found: Option<Vec<u8>> = held
            .query_row(params![log, signed(seq)?], |row| row.get(0))
            .optional()?;
        if let Some(found) = found {
            let found = SignedEntry::decode(&found[..])
                .map_err(|_| StateError::Damaged("an entry of a log"))?;
            if found.payload != entry.payload {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

pub(super) fn insert(database: &Transaction<'_>, new: &[NewEntries]) -> Result<(), StateError> {
    let mut insert = database
        .prepare_cached("INSERT OR IGNORE INTO entry (log, seq, entry) VALUES (?1, ?2, ?3)")?;
    for (log, seq, entry) in numbered(new) {
        insert.execute(params![log, signed(seq)?, entry.encode_to_vec()])?;
    }
    Ok(())
}

fn numbered(new: &[NewEntries]) -> impl Iterator<Item = (&[u8; 32], u64, &SignedEntry)> {
    new.iter().flat_map(|new| {
        (new.first_seq..)
            .zip(&new.entries)
            .map(|(seq, entry)| (&new.log, seq, entry))
    })
}

#[cfg(test)]
mod tests {
    use super::super::Durability;
    use super::*;

    fn entry(payload: u8) -> SignedEntry {
        SignedEntry {
            payload: vec![payload],
            signatures: Vec::new(),
        }
    }

    #[test]
    fn a_log_only_grows() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let log = [1; 32];
        let add = |first_seq, payloads: &[u8]| {
            let new = [NewEntries {
                log,
                first_seq,
                entries: payloads.iter().copied().map(entry).collect(),
            }];
            state.write(Durability::Durable, |database| {
                let agrees = agrees(database, &new)?;
                if agrees {
                    insert(database, &new)?;
                }
                Ok(agrees)
            })
        };
        assert!(add(1, &[10, 11]).unwrap());
        assert!(add(2, &[11, 12]).unwrap());
        let before = state.dump();
        // The third agrees with nothing that stands; the first two would.
        assert!(!add(2, &[11, 99, 13]).unwrap());
        assert_eq!(state.dump(), before);
        let payloads: Vec<_> = state
            .log_entries(&log)
            .unwrap()
            .into_iter()
            .map(|entry| entry.payload[0])
            .collect();
        assert_eq!(payloads, [10, 11, 12]);
        assert_eq!(state.log_length(&log).unwrap(), 3);
        assert_eq!(state.log_length(&[2; 32]).unwrap(), 0);
        assert!(state.log_entries(&[2; 32]).unwrap().is_empty());
    }
}
