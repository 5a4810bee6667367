//! Where the account's hosters are, as its settings last said, and what they have
//! taken of its log.

use rusqlite::{OptionalExtension, params};
use vault_proto::ids::HosterId;
use vault_proto::origin::Origin;
use vault_proto::wire::TlsMode;

use super::account::{tls_from_columns, tls_to_columns};
use super::{Durability, State, StateError, signed, unsigned};
use crate::remote::HosterAddress;

impl State {
    /// Where a hoster is; `None` for one that the settings did not name.
    pub(crate) fn hoster(&self, id: &HosterId) -> Result<Option<HosterAddress>, StateError> {
        self.read(|database| {
            let row = database
                .query_row(
                    "SELECT origin, tls_mode, tls_pin FROM hoster WHERE id = ?1",
                    [id.as_bytes()],
                    |row| {
                        Ok((
                            row.get::<_, String>(0)?,
                            row.get::<_, i32>(1)?,
                            row.get::<_, Vec<u8>>(2)?,
                        ))
                    },
                )
                .optional()?;
            let Some((origin, mode, pin)) = row else {
                return Ok(None);
            };
            Ok(Some(HosterAddress {
                origin: Origin::parse_exact(&origin)
                    .map_err(|_| StateError::Damaged("an origin"))?,
                hoster: *id,
                tls: tls_from_columns(mode, &pin)?,
            }))
        })
    }

    /// Says anew where the hosters are.
    pub(crate) fn set_hosters(&self, hosters: &[HosterAddress]) -> Result<(), StateError> {
        self.write(Durability::Lazy, |database| {
            database.execute("DELETE FROM hoster", [])?;
            for known in hosters {
                let (mode, pin): (TlsMode, &[u8]) = tls_to_columns(&known.tls)?;
                database.execute(
                    "INSERT OR REPLACE INTO hoster (id, origin, tls_mode, tls_pin)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![
                        known.hoster.as_bytes(),
                        known.origin.as_str(),
                        mode as i32,
                        pin
                    ],
                )?;
            }
            Ok(())
        })
    }

    /// The newest entry of the account's log that a hoster elsewhere has taken from
    /// this device; 0 for none.
    pub(crate) fn brought_seq(&self, hoster: &HosterId) -> Result<u64, StateError> {
        let seq: Option<i64> = self.read(|database| {
            let sql = "SELECT seq FROM brought WHERE hoster = ?1";
            Ok(database
                .query_row(sql, [hoster.as_bytes()], |row| row.get(0))
                .optional()?)
        })?;
        unsigned(seq.unwrap_or(0), "the place of an entry")
    }

    /// A hoster has taken the log up to this entry. Another process may have
    /// brought it more.
    pub(crate) fn set_brought_seq(&self, hoster: &HosterId, seq: u64) -> Result<(), StateError> {
        self.write(Durability::Lazy, |database| {
            database.execute(
                "INSERT INTO brought (hoster, seq) VALUES (?1, ?2)
                 ON CONFLICT (hoster) DO UPDATE SET seq = max(seq, excluded.seq)",
                params![hoster.as_bytes(), signed(seq)?],
            )?;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use vault_proto::invitation::TlsTrust;

    use super::*;

    #[test]
    fn hosters_come_back() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let hoster = |id: u8, tls| HosterAddress {
            origin: Origin::parse(&format!("h{id}.example:7743")).unwrap(),
            hoster: HosterId::from_array([id; 32]),
            tls,
        };
        let hosters = [
            hoster(1, TlsTrust::Pinned([7; 32])),
            hoster(2, TlsTrust::Public),
            hoster(3, TlsTrust::Proxy),
        ];
        state.set_hosters(&hosters).unwrap();
        for known in &hosters {
            let back = state.hoster(&known.hoster).unwrap();
            assert_eq!(back.as_ref(), Some(known));
        }
        state.set_hosters(&hosters[1..]).unwrap();
        assert_eq!(state.hoster(&hosters[0].hoster).unwrap(), None);
    }

    #[test]
    fn what_a_hoster_has_taken_it_has() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let [one, other] = [1, 2].map(|id| HosterId::from_array([id; 32]));
        assert_eq!(state.brought_seq(&one).unwrap(), 0);
        for seq in [3, 5, 4] {
            state.set_brought_seq(&one, seq).unwrap();
        }
        state.set_hosters(&[]).unwrap();
        assert_eq!(state.brought_seq(&one).unwrap(), 5);
        assert_eq!(state.brought_seq(&other).unwrap(), 0);
    }
}
