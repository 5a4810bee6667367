//! How far the member was shown the devices of the account.

use rusqlite::{OptionalExtension, params};

use super::{Durability, State, StateError, signed, unsigned};

/// When that was, and how far the account's log went then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShownDevices {
    pub(crate) seq: u64,
    /// In seconds since 1970.
    pub(crate) time: u64,
}

impl State {
    /// The last time; `None` if they never were.
    pub(crate) fn shown_devices(&self) -> Result<Option<ShownDevices>, StateError> {
        let row: Option<(i64, i64)> = self.read(|database| {
            let sql = "SELECT seq, time FROM shown_devices";
            Ok(database
                .query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        })?;
        let Some((seq, time)) = row else {
            return Ok(None);
        };
        Ok(Some(ShownDevices {
            seq: unsigned(seq, "the devices that were shown")?,
            time: unsigned(time, "when devices were shown")?,
        }))
    }

    /// They are shown now.
    pub(crate) fn set_shown_devices(&self, shown: ShownDevices) -> Result<(), StateError> {
        let (seq, time) = (signed(shown.seq)?, signed(shown.time)?);
        self.write(Durability::Lazy, |database| {
            // Another process may have shown more meanwhile.
            database.execute(
                "INSERT INTO shown_devices (one, seq, time) VALUES (1, ?1, ?2)
                 ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, time = excluded.time
                 WHERE excluded.seq >= seq",
                params![seq, time],
            )?;
            Ok(())
        })
    }
}
