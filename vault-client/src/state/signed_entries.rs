//! Entries of logs that were signed here and are not accepted yet.

use prost::Message;
use rusqlite::{OptionalExtension, params};
use vault_proto::wire::SignedEntry;

use super::heads::Advanced;
use super::{Durability, State, StateError, signed, unsigned};

impl State {
    /// The entry of a log that was signed here and not seen accepted, with its
    /// place.
    pub(crate) fn signed_entry(
        &self,
        log: &[u8; 32],
    ) -> Result<Option<(u64, SignedEntry)>, StateError> {
        let row = self.read(|database| {
            Ok(database
                .query_row(
                    "SELECT seq, entry FROM signed_entry WHERE log = ?1",
                    [log],
                    |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?)),
                )
                .optional()?)
        })?;
        let Some((seq, entry)) = row else {
            return Ok(None);
        };
        let entry = SignedEntry::decode(&entry[..])
            .map_err(|_| StateError::Damaged("an entry that was signed"))?;
        Ok(Some((unsigned(seq, "the place of an entry")?, entry)))
    }

    /// Stores a signed entry before it is sent, in the place of one that can be
    /// accepted no more, if the log still ends right before it.
    pub(crate) fn set_signed_entry(
        &self,
        log: &[u8; 32],
        seq: u64,
        entry: &SignedEntry,
    ) -> Result<Advanced, StateError> {
        self.write(Durability::Durable, |database| {
            let newest: i64 = database.query_row(
                "SELECT coalesce(max(seq), 0) FROM entry WHERE log = ?1",
                [log],
                |row| row.get(0),
            )?;
            if unsigned(newest, "the place of an entry")? + 1 != seq {
                return Ok(Advanced::Stale);
            }
            database.execute(
                "INSERT OR REPLACE INTO signed_entry (log, seq, entry) VALUES (?1, ?2, ?3)",
                params![log, signed(seq)?, entry.encode_to_vec()],
            )?;
            Ok(Advanced::Done)
        })
    }

    /// Forgets a signed entry: it stands in its log, or another one does.
    pub(crate) fn forget_signed_entry(&self, log: &[u8; 32]) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute("DELETE FROM signed_entry WHERE log = ?1", [log])?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::logs::{self, NewEntries};
    use super::*;

    const LOG: [u8; 32] = [1; 32];

    fn entry(payload: u8) -> SignedEntry {
        SignedEntry {
            payload: vec![payload],
            signatures: Vec::new(),
        }
    }

    #[test]
    fn a_signed_entry_stays_until_it_is_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let held = |state: &State| state.signed_entry(&LOG).unwrap();
        assert_eq!(held(&state), None);
        // The log is not that long, or longer.
        let set = |seq| {
            state
                .set_signed_entry(&LOG, seq, &entry(seq as u8))
                .unwrap()
        };
        assert_eq!(set(2), Advanced::Stale);
        let genesis = [NewEntries {
            log: LOG,
            first_seq: 1,
            entries: vec![entry(9)],
        }];
        let insert = |database: &rusqlite::Transaction<'_>| logs::insert(database, &genesis);
        state.write(Durability::Durable, insert).unwrap();
        assert_eq!(set(1), Advanced::Stale);
        assert_eq!(set(3), Advanced::Stale);
        assert_eq!(held(&state), None);

        assert_eq!(set(2), Advanced::Done);
        assert_eq!(state.signed_entry(&[2; 32]).unwrap(), None);
        state.forget_signed_entry(&[2; 32]).unwrap();
        drop(state);
        let state = State::open(home.path()).unwrap();
        assert_eq!(held(&state), Some((2, entry(2))));
        state.forget_signed_entry(&LOG).unwrap();
        assert_eq!(held(&state), None);
    }
}
