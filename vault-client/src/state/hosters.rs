//! Where the account's hosters are, as its settings last said.

use rusqlite::{OptionalExtension, params};
use vault_proto::ids::HosterId;
use vault_proto::origin::Origin;
use vault_proto::wire::TlsMode;

use super::account::{tls_from_columns, tls_to_columns};
use super::{Durability, State, StateError};
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
}
