//! Heads: the newest that was verified, and the one that was signed here and
//! is not accepted yet.

use rusqlite::{OptionalExtension, Transaction, params};
use vault_proto::ids::{HeadHash, PackId, VaultId};

use super::logs::{self, NewEntries};
use super::{Durability, State, StateError, array, signed, unsigned};
use crate::remote::CommitRequest;
use crate::vault::HeadAt;

/// A verified head, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredHead {
    pub(crate) at: HeadAt,
    /// The signed bytes.
    pub(crate) signed: Vec<u8>,
    /// The sealed root.
    pub(crate) root: Vec<u8>,
    /// The heads that it skips back to, newest first, without itself.
    pub(crate) spine: Vec<HeadAt>,
}

/// What a refresh or a commit has verified, to be stored in one step.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) vault: VaultId,
    /// Where the head stood when the work began.
    pub(crate) base: Option<HeadAt>,
    /// Of account logs and of the vault log.
    pub(crate) entries: Vec<NewEntries>,
    /// The new head; `None` when only logs moved.
    pub(crate) head: Option<StoredHead>,
}

/// What came of storing [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advanced {
    /// It is stored.
    Done,
    /// Another process has moved the head since the work began: do it anew.
    Stale,
    /// Another process has stored another entry at the same place of a log:
    /// the hoster tells different stories.
    Contradiction,
}

impl State {
    /// The newest verified head of a vault.
    pub(crate) fn head(&self, vault: &VaultId) -> Result<Option<StoredHead>, StateError> {
        self.read(|database| read_head(database, vault))
    }

    /// Stores verified progress, durably and all at once. A commit that was
    /// signed here for a place up to the new head's is dropped: this head, or a
    /// later one, stands there now.
    pub(crate) fn advance(&self, progress: &Progress) -> Result<Advanced, StateError> {
        self.write(Durability::Durable, |database| {
            if !logs::agrees(database, &progress.entries)? {
                return Ok(Advanced::Contradiction);
            }
            let held = read_head(database, &progress.vault)?;
            if held.map(|held| held.at) != progress.base {
                return Ok(Advanced::Stale);
            }
            logs::insert(database, &progress.entries)?;
            if let Some(head) = &progress.head {
                let (vault, seq) = (progress.vault.as_bytes(), signed(head.at.seq)?);
                database.execute(
                    "INSERT OR REPLACE INTO head (vault, seq, head, root, spine)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![vault, seq, head.signed, head.root, encode_spine(head)],
                )?;
                database.execute(
                    "DELETE FROM signed_commit WHERE vault = ?1 AND seq <= ?2",
                    params![vault, seq],
                )?;
            }
            Ok(Advanced::Done)
        })
    }

    /// The commit that was signed here and not seen accepted, with its place.
    pub(crate) fn signed_commit(
        &self,
        vault: &VaultId,
    ) -> Result<Option<(u64, CommitRequest)>, StateError> {
        let row = self.read(|database| {
            Ok(database
                .query_row(
                    "SELECT seq, head, root, adds, removes FROM signed_commit WHERE vault = ?1",
                    [vault.as_bytes()],
                    |row| {
                        Ok((
                            row.get::<_, i64>(0)?,
                            row.get(1)?,
                            row.get(2)?,
                            row.get::<_, Vec<u8>>(3)?,
                            row.get::<_, Vec<u8>>(4)?,
                        ))
                    },
                )
                .optional()?)
        })?;
        let Some((seq, head, root, adds, removes)) = row else {
            return Ok(None);
        };
        let request = CommitRequest {
            head,
            root,
            adds: decode_packs(&adds)?,
            removes: decode_packs(&removes)?,
        };
        Ok(Some((unsigned(seq, "the place of a commit")?, request)))
    }

    /// Stores a signed commit before it is sent, in the place of the one that
    /// it names as replaced.
    pub(crate) fn set_signed_commit(
        &self,
        vault: &VaultId,
        seq: u64,
        request: &CommitRequest,
    ) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute(
                "INSERT OR REPLACE INTO signed_commit (vault, seq, head, root, adds, removes)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    vault.as_bytes(),
                    signed(seq)?,
                    request.head,
                    request.root,
                    encode_packs(&request.adds),
                    encode_packs(&request.removes)
                ],
            )?;
            Ok(())
        })
    }
}

fn read_head(
    database: &Transaction<'_>,
    vault: &VaultId,
) -> Result<Option<StoredHead>, StateError> {
    let row = database
        .query_row(
            "SELECT seq, head, root, spine FROM head WHERE vault = ?1",
            [vault.as_bytes()],
            |row| {
                Ok((
                    row.get::<_, i64>(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get::<_, Vec<u8>>(3)?,
                ))
            },
        )
        .optional()?;
    let Some((seq, signed, root, spine)) = row else {
        return Ok(None);
    };
    let seq = unsigned(seq, "the place of a head")?;
    let mut spine = decode_spine(&spine)?.into_iter();
    match spine.next() {
        Some(at) if at.seq == seq => Ok(Some(StoredHead {
            at,
            signed,
            root,
            spine: spine.collect(),
        })),
        _ => Err(StateError::Damaged("the spine of a head")),
    }
}

/// The head's own place, then its spine: 8 and 32 bytes each.
fn encode_spine(head: &StoredHead) -> Vec<u8> {
    let mut bytes = Vec::with_capacity((head.spine.len() + 1) * 40);
    for at in std::iter::once(&head.at).chain(&head.spine) {
        bytes.extend(at.seq.to_le_bytes());
        bytes.extend(at.hash.as_bytes());
    }
    bytes
}

fn decode_spine(bytes: &[u8]) -> Result<Vec<HeadAt>, StateError> {
    bytes
        .chunks(40)
        .map(|record| {
            let record: [u8; 40] = array(record, "the spine of a head")?;
            let (seq, hash) = record.split_at(8);
            Ok(HeadAt {
                seq: u64::from_le_bytes(array(seq, "the spine of a head")?),
                hash: HeadHash::from_array(array(hash, "the spine of a head")?),
            })
        })
        .collect()
}

fn encode_packs(packs: &[PackId]) -> Vec<u8> {
    packs.iter().flat_map(|pack| *pack.as_bytes()).collect()
}

fn decode_packs(bytes: &[u8]) -> Result<Vec<PackId>, StateError> {
    bytes
        .chunks(32)
        .map(|id| array(id, "a list of packs").map(PackId::from_array))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: VaultId = VaultId::from_array([1; 32]);

    fn head(seq: u64) -> StoredHead {
        let at = |seq: u64| HeadAt {
            seq,
            hash: HeadHash::from_array([u8::try_from(seq).unwrap(); 32]),
        };
        StoredHead {
            at: at(seq),
            signed: vec![1; 456],
            root: vec![2; 4096],
            spine: (1..seq).rev().map(at).collect(),
        }
    }

    fn commit() -> CommitRequest {
        CommitRequest {
            head: vec![7; 456],
            root: vec![8; 4096],
            adds: vec![PackId::from_array([1; 32]), PackId::from_array([2; 32])],
            removes: Vec::new(),
        }
    }

    fn progress(base: Option<&StoredHead>, to: &StoredHead) -> Progress {
        Progress {
            vault: VAULT,
            base: base.map(|base| base.at),
            entries: Vec::new(),
            head: Some(to.clone()),
        }
    }

    #[test]
    fn a_head_moves_only_from_where_it_stands() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let (one, two, three) = (head(1), head(2), head(3));
        assert_eq!(
            state.advance(&progress(None, &one)).unwrap(),
            Advanced::Done
        );
        assert_eq!(
            state.advance(&progress(Some(&one), &three)).unwrap(),
            Advanced::Done
        );
        let before = state.dump();
        assert_eq!(
            state.advance(&progress(Some(&one), &two)).unwrap(),
            Advanced::Stale
        );
        assert_eq!(
            state.advance(&progress(None, &two)).unwrap(),
            Advanced::Stale
        );
        assert_eq!(state.dump(), before);
        assert_eq!(state.head(&VAULT).unwrap(), Some(three));
    }

    #[test]
    fn a_signed_commit_stays_until_a_head_stands_in_its_place() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let (one, two) = (head(1), head(2));
        state.set_signed_commit(&VAULT, 2, &commit()).unwrap();
        state.advance(&progress(None, &one)).unwrap();
        assert_eq!(state.signed_commit(&VAULT).unwrap(), Some((2, commit())));
        state.advance(&progress(Some(&one), &two)).unwrap();
        assert_eq!(state.signed_commit(&VAULT).unwrap(), None);
    }

    #[test]
    fn contradicting_entries_change_nothing() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let entries = |payload: u8| {
            vec![NewEntries {
                log: [3; 32],
                first_seq: 1,
                entries: vec![vault_proto::wire::SignedEntry {
                    payload: vec![payload],
                    signatures: Vec::new(),
                }],
            }]
        };
        assert!(state.add_log_entries(&entries(1)).unwrap());
        let before = state.dump();
        let contradicting = Progress {
            entries: entries(2),
            ..progress(None, &head(1))
        };
        assert_eq!(
            state.advance(&contradicting).unwrap(),
            Advanced::Contradiction
        );
        assert_eq!(state.dump(), before);
    }
}
