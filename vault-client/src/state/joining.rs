//! A device on its way into an account that exists, and what it was told there.

use prost::Message;
use rusqlite::{OptionalExtension, Transaction, named_params, params};
use vault_proto::ids::{EntryHash, HeadHash, HosterId, MessageName, VaultId};
use vault_proto::origin::Origin;
use vault_proto::position::{HeadPosition, LogPosition};
use vault_proto::wire::SignedEntry;

use super::account::{AccountRow, write_account};
use super::{Durability, State, StateError, array, signed, unsigned};

/// A pairing or a recovery that this device has begun and not finished.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct JoiningRow {
    pub(crate) way: JoiningWay,
    /// Where it began.
    pub(crate) origin: Origin,
    /// What this device is called.
    pub(crate) device_name: String,
    /// Seconds since 1970.
    pub(crate) began: u64,
}

/// How a device joins an account. What it sends is stored before.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum JoiningWay {
    /// With the help of another device. The code is in the key store.
    Pairing {
        /// The first message.
        introduction: Vec<u8>,
        /// The second, once the member has agreed to it.
        proposal: Option<Vec<u8>>,
        /// The third, likewise.
        signature: Option<Vec<u8>>,
    },
    /// With a recovery phrase: the entry that adds this device.
    Recovery { entry: SignedEntry },
}

/// What another device has said of a vault, to be held against what its hoster
/// shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ToldRow {
    pub(crate) vault: VaultId,
    pub(crate) hoster: HosterId,
    pub(crate) position: LogPosition,
    pub(crate) head: Option<HeadPosition>,
}

impl State {
    /// What this device has begun and not finished.
    pub(crate) fn joining(&self) -> Result<Option<JoiningRow>, StateError> {
        self.read(|database| {
            let row = database
                .query_row("SELECT * FROM joining", [], |row| {
                    Ok((
                        row.get::<_, String>("origin")?,
                        row.get::<_, String>("device_name")?,
                        row.get::<_, i64>("began")?,
                        row.get::<_, Option<Vec<u8>>>("introduction")?,
                        row.get::<_, Option<Vec<u8>>>("proposal")?,
                        row.get::<_, Option<Vec<u8>>>("signature")?,
                        row.get::<_, Option<Vec<u8>>>("entry")?,
                    ))
                })
                .optional()?;
            let Some((origin, device_name, began, introduction, proposal, signature, entry)) = row
            else {
                return Ok(None);
            };
            let way = match (introduction, entry) {
                (Some(introduction), None) => JoiningWay::Pairing {
                    introduction,
                    proposal,
                    signature,
                },
                (None, Some(entry)) => JoiningWay::Recovery {
                    entry: SignedEntry::decode(&entry[..])
                        .map_err(|_| StateError::Damaged("an entry that was signed"))?,
                },
                _ => return Err(StateError::Damaged("a device that is joining")),
            };
            Ok(Some(JoiningRow {
                way,
                origin: Origin::parse_exact(&origin)
                    .map_err(|_| StateError::Damaged("an origin"))?,
                device_name,
                began: unsigned(began, "a time")?,
            }))
        })
    }

    /// Stores how far it is, before anything of it is sent. With a row of the
    /// account, that of a sign-up which never got anywhere is dropped.
    pub(crate) fn set_joining(
        &self,
        joining: &JoiningRow,
        account: Option<&AccountRow>,
    ) -> Result<(), StateError> {
        let (introduction, proposal, signature, entry) = match &joining.way {
            JoiningWay::Pairing {
                introduction,
                proposal,
                signature,
            } => (
                Some(introduction),
                proposal.as_ref(),
                signature.as_ref(),
                None,
            ),
            JoiningWay::Recovery { entry } => (None, None, None, Some(entry.encode_to_vec())),
        };
        self.write(Durability::Durable, |database| {
            database.execute(
                "INSERT OR REPLACE INTO joining
                 (id, origin, device_name, began, introduction, proposal, signature, entry)
                 VALUES (1, :origin, :device_name, :began, :introduction, :proposal, :signature,
                  :entry)",
                named_params! {
                    ":origin": joining.origin.as_str(),
                    ":device_name": joining.device_name,
                    ":began": signed(joining.began)?,
                    ":introduction": introduction,
                    ":proposal": proposal,
                    ":signature": signature,
                    ":entry": entry,
                },
            )?;
            account.map_or(Ok(()), |row| write_account(database, row))
        })
    }

    /// The device is in the account: what it was told of the vaults stays until
    /// it has been held against what their hosters show.
    pub(crate) fn set_joined(&self, row: &AccountRow, told: &[ToldRow]) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            write_account(database, row)?;
            told.iter().try_for_each(|told| write_told(database, told))
        })
    }

    /// It is finished, or was given up.
    pub(crate) fn forget_joining(&self) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute("DELETE FROM joining", [])?;
            Ok(())
        })
    }

    /// What was told and not held against anything yet.
    pub(crate) fn told(&self) -> Result<Vec<ToldRow>, StateError> {
        self.read(|database| {
            let mut rows = database.prepare_cached("SELECT * FROM told ORDER BY vault")?;
            let rows = rows.query_map([], |row| {
                Ok((
                    row.get::<_, Vec<u8>>("vault")?,
                    row.get::<_, Vec<u8>>("hoster")?,
                    row.get::<_, i64>("seq")?,
                    row.get::<_, Vec<u8>>("hash")?,
                    row.get::<_, Option<i64>>("head_seq")?,
                    row.get::<_, Option<Vec<u8>>>("head_hash")?,
                ))
            })?;
            rows.map(|row| {
                let (vault, hoster, seq, hash, head_seq, head_hash) = row?;
                let head = match (head_seq, head_hash) {
                    (Some(seq), Some(hash)) => Some(HeadPosition {
                        seq: unsigned(seq, "the place of a head")?,
                        hash: HeadHash::from_array(array(&hash, "a head's hash")?),
                    }),
                    _ => None,
                };
                Ok(ToldRow {
                    vault: VaultId::from_array(array(&vault, "a vault id")?),
                    hoster: HosterId::from_array(array(&hoster, "a hoster id")?),
                    position: LogPosition {
                        seq: unsigned(seq, "the place of an entry")?,
                        hash: EntryHash::from_array(array(&hash, "an entry's hash")?),
                    },
                    head,
                })
            })
            .collect()
        })
    }

    /// What was told of a vault is no more than what its hoster shows.
    pub(crate) fn forget_told(&self, vault: &VaultId) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute("DELETE FROM told WHERE vault = ?1", [vault.as_bytes()])?;
            Ok(())
        })
    }

    /// What this device has proposed to a new one, by the name under which it
    /// was sent.
    pub(crate) fn proposal(&self, name: &MessageName) -> Result<Option<Vec<u8>>, StateError> {
        self.read(|database| {
            let sql = "SELECT message FROM proposal WHERE name = ?1";
            Ok(database
                .query_row(sql, [name.as_bytes()], |row| row.get(0))
                .optional()?)
        })
    }

    /// Stores a proposal before it is sent.
    pub(crate) fn set_proposal(
        &self,
        name: &MessageName,
        message: &[u8],
    ) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute(
                "INSERT INTO proposal (name, message) VALUES (?1, ?2)",
                params![name.as_bytes(), message],
            )?;
            Ok(())
        })
    }

    /// A pairing has ended on this side.
    pub(crate) fn forget_proposal(&self, name: &MessageName) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute("DELETE FROM proposal WHERE name = ?1", [name.as_bytes()])?;
            Ok(())
        })
    }
}

fn write_told(database: &Transaction<'_>, told: &ToldRow) -> Result<(), StateError> {
    database.execute(
        "INSERT OR REPLACE INTO told (vault, hoster, seq, hash, head_seq, head_hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            told.vault.as_bytes(),
            told.hoster.as_bytes(),
            signed(told.position.seq)?,
            told.position.hash.as_bytes(),
            told.head.map(|head| signed(head.seq)).transpose()?,
            told.head.as_ref().map(|head| head.hash.as_bytes()),
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        assert_eq!(state.joining().unwrap(), None);
        let ways = [
            JoiningWay::Pairing {
                introduction: vec![1],
                proposal: None,
                signature: None,
            },
            JoiningWay::Pairing {
                introduction: vec![1],
                proposal: Some(vec![2]),
                signature: Some(vec![3]),
            },
            JoiningWay::Recovery {
                entry: SignedEntry {
                    payload: vec![4],
                    signatures: Vec::new(),
                },
            },
        ];
        for way in ways {
            let row = JoiningRow {
                way,
                origin: Origin::parse("hoster.example:7743").unwrap(),
                device_name: "a phone".into(),
                began: 1_800_000_000,
            };
            state.set_joining(&row, None).unwrap();
            assert_eq!(state.joining().unwrap(), Some(row));
        }
        state.forget_joining().unwrap();
        assert_eq!(state.joining().unwrap(), None);
    }

    #[test]
    fn what_was_told_stays_until_it_is_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let told = |id: u8, head| ToldRow {
            vault: VaultId::from_array([id; 32]),
            hoster: HosterId::from_array([9; 32]),
            position: LogPosition {
                seq: 7,
                hash: EntryHash::from_array([8; 32]),
            },
            head,
        };
        let head = HeadPosition {
            seq: 6,
            hash: HeadHash::from_array([5; 32]),
        };
        let rows = [told(1, Some(head)), told(2, None)];
        state
            .write(Durability::Durable, |database| {
                rows.iter().try_for_each(|told| write_told(database, told))
            })
            .unwrap();
        assert_eq!(state.told().unwrap(), rows);
        state.forget_told(&rows[0].vault).unwrap();
        assert_eq!(state.told().unwrap(), rows[1..]);
    }

    #[test]
    fn a_proposal_is_made_once() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let name = MessageName::from_array([1; 32]);
        assert_eq!(state.proposal(&name).unwrap(), None);
        state.set_proposal(&name, b"one").unwrap();
        assert!(state.set_proposal(&name, b"another").is_err());
        assert_eq!(state.proposal(&name).unwrap().unwrap(), b"one");
        state.forget_proposal(&name).unwrap();
        assert_eq!(state.proposal(&name).unwrap(), None);
    }
}
