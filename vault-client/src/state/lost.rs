//! What a hoster has lost that this device has seen, while it is brought back.

use prost::Message;
use rusqlite::{OptionalExtension, Transaction, params};
use vault_proto::ids::{AccountId, HeadHash, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::wire::SignedEntry;

use super::heads::{Advanced, StoredHead, read_head, write_head, write_links};
use super::logs::{self, NewEntries};
use super::{Durability, State, StateError, array, signed, unsigned};

const DAMAGED_ENTRY: StateError = StateError::Damaged("an entry that was lost");

/// A head that was kept whole while what was lost is brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LostHead {
    /// The signed bytes.
    pub(crate) head: Vec<u8>,
    /// The sealed root.
    pub(crate) root: Vec<u8>,
}

/// What a vault's stored state becomes where the hoster has lost what was seen.
#[derive(Debug)]
pub(crate) struct TurnTo<'a> {
    pub(crate) vault: VaultId,
    /// Where the head stood.
    pub(crate) from: HeadPosition,
    /// The hoster's newest head; `None` for none.
    pub(crate) to: Option<&'a StoredHead>,
    /// The newest head that is known to stand in both chains; 0 for none.
    pub(crate) common: u64,
    /// The newest head of the hoster's that is one that was seen, or has taken the
    /// place of one: whatever was seen behind it is lost.
    pub(crate) stands: u64,
    /// How many entries of the vault log that was seen the hoster has.
    pub(crate) entries: u64,
    /// What it has of the logs.
    pub(crate) logs: &'a [NewEntries],
    /// The accounts that its vault log refers to.
    pub(crate) accounts: &'a [AccountId],
    /// Heads on the way to its newest, and those that they link to.
    pub(crate) links: &'a [HeadPosition],
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

    /// Turns to what the hoster shows, and keeps what it has lost apart until it is
    /// brought back; durably and all at once.
    pub(crate) fn turn_to(&self, turn: &TurnTo<'_>) -> Result<Advanced, StateError> {
        self.write(Durability::Durable, |database| {
            let Some(held) = read_head(database, &turn.vault)? else {
                return Ok(Advanced::Stale);
            };
            if held.seen.position() != Some(turn.from) {
                return Ok(Advanced::Stale);
            }
            if !logs::agrees(database, turn.logs)? {
                return Ok(Advanced::Contradiction);
            }
            lay_heads_aside(database, turn, &held)?;
            lay_entries_aside(database, turn)?;
            logs::insert(database, turn.logs)?;
            let id = turn.vault.as_bytes();
            for account in turn.accounts {
                database.execute(
                    "INSERT OR IGNORE INTO vault_account (vault, account) VALUES (?1, ?2)",
                    params![id, account.as_bytes()],
                )?;
            }
            // They can be accepted no more: their place is behind what was lost.
            database.execute("DELETE FROM signed_commit WHERE vault = ?1", [id])?;
            database.execute("DELETE FROM signed_entry WHERE log = ?1", [id])?;
            // Nobody builds on what this device has committed before.
            database.execute("UPDATE doubted SET own_head = NULL WHERE log = ?1", [id])?;
            write_links(database, &turn.vault, turn.links)?;
            match turn.to {
                Some(to) => write_head(database, &turn.vault, to)?,
                None => {
                    database.execute("DELETE FROM head WHERE vault = ?1", [id])?;
                }
            }
            Ok(Advanced::Done)
        })
    }

    /// The number of the newest head that was lost; `None` when nothing is being
    /// brought back.
    pub(crate) fn lost_seq(&self, vault: &VaultId) -> Result<Option<u64>, StateError> {
        let seq: Option<i64> = self.read(|database| {
            let sql = "SELECT max(seq) FROM lost_head WHERE vault = ?1 AND head IS NOT NULL";
            Ok(database.query_row(sql, [vault.as_bytes()], |row| row.get(0))?)
        })?;
        seq.map(|seq| unsigned(seq, "the place of a head"))
            .transpose()
    }

    /// The number of the oldest head that was lost, as far as they are known.
    pub(crate) fn oldest_lost_seq(&self, vault: &VaultId) -> Result<Option<u64>, StateError> {
        let seq: Option<i64> = self.read(|database| {
            let sql = "SELECT min(seq) FROM lost_head WHERE vault = ?1 AND head IS NULL";
            Ok(database.query_row(sql, [vault.as_bytes()], |row| row.get(0))?)
        })?;
        seq.map(|seq| unsigned(seq, "the place of a head"))
            .transpose()
    }

    /// The heads that were kept whole, in ascending order: the one where the hoster
    /// stood, if it was one of this device's, and the newest that was lost, each time
    /// that it went back.
    pub(crate) fn whole_lost_heads(&self, vault: &VaultId) -> Result<Vec<LostHead>, StateError> {
        self.read(|database| {
            let mut rows = database.prepare_cached(
                "SELECT head, root FROM lost_head
                 WHERE vault = ?1 AND head IS NOT NULL ORDER BY seq",
            )?;
            let rows = rows.query_map([vault.as_bytes()], |row| {
                Ok(LostHead {
                    head: row.get(0)?,
                    root: row.get(1)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The entries of the vault log that were lost, with their places, in ascending
    /// order.
    pub(crate) fn lost_entries(
        &self,
        vault: &VaultId,
    ) -> Result<Vec<(u64, SignedEntry)>, StateError> {
        self.read(|database| {
            let mut rows = database.prepare_cached(
                "SELECT seq, entry FROM lost_entry WHERE vault = ?1 ORDER BY seq",
            )?;
            let rows = rows.query_map([vault.as_bytes()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
            })?;
            rows.map(|row| {
                let (seq, entry) = row?;
                let entry = SignedEntry::decode(&entry[..]).map_err(|_| DAMAGED_ENTRY)?;
                Ok((unsigned(seq, "the place of an entry")?, entry))
            })
            .collect()
        })
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
            .map(|entry| SignedEntry::decode(&entry[..]).map_err(|_| DAMAGED_ENTRY))
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

/// Keeps what this device knows of heads that are lost, and all of the newest. What was lost before, and was being brought back, keeps its place:
/// more devices have seen that.
fn lay_heads_aside(
    database: &Transaction<'_>,
    turn: &TurnTo<'_>,
    held: &StoredHead,
) -> Result<(), StateError> {
    let id = turn.vault.as_bytes();
    let to = turn.to.and_then(|to| Some((to, to.seen.position()?)));
    database.execute(
        "INSERT OR IGNORE INTO lost_head (vault, seq, hash)
         SELECT vault, seq, hash FROM seen_head WHERE vault = ?1 AND seq > ?2",
        params![id, signed(turn.stands)?],
    )?;
    let whole = |at: HeadPosition, head: &StoredHead| {
        database.execute(
            "INSERT INTO lost_head (vault, seq, hash, head, root) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (vault, seq) DO UPDATE
             SET head = coalesce(head, excluded.head), root = coalesce(root, excluded.root)",
            params![
                id,
                signed(at.seq)?,
                at.hash.as_bytes(),
                head.signed,
                head.root
            ],
        )?;
        Ok::<_, StateError>(())
    };
    whole(turn.from, held)?;
    if let Some((to, at)) = to.filter(|(_, at)| at.seq == turn.common) {
        whole(at, to)?;
    }
    database.execute(
        "DELETE FROM seen_head WHERE vault = ?1 AND seq > ?2",
        params![id, signed(turn.common)?],
    )?;
    Ok(())
}

fn lay_entries_aside(database: &Transaction<'_>, turn: &TurnTo<'_>) -> Result<(), StateError> {
    let at = params![turn.vault.as_bytes(), signed(turn.entries)?];
    database.execute(
        "INSERT OR IGNORE INTO lost_entry (vault, seq, entry)
         SELECT log, seq, entry FROM entry WHERE log = ?1 AND seq > ?2",
        at,
    )?;
    database.execute("DELETE FROM entry WHERE log = ?1 AND seq > ?2", at)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::freshness::Witness;
    use super::super::heads::Progress;
    use super::super::heads::tests::{VAULT, heads};
    use super::*;

    fn at(head: &StoredHead) -> HeadPosition {
        head.seen.position().unwrap()
    }

    fn seen(state: &State, base: Option<&StoredHead>, head: &StoredHead, witness: Witness) {
        let progress = Progress {
            vault: VAULT,
            base: base.map(at),
            entries: Vec::new(),
            accounts: Vec::new(),
            head: Some(head.clone()),
            links: vec![at(head)],
            witness: Some(witness),
            accepted: None,
        };
        assert_eq!(state.advance(&progress).unwrap(), Advanced::Done);
    }

    /// A state that has seen five heads, of which it has made the last.
    fn at_the_fifth(state: &State) -> Vec<StoredHead> {
        let chain = heads(5);
        state.doubt(&[*VAULT.as_bytes()]).unwrap();
        seen(state, None, &chain[0], Witness::Nobody);
        for pair in chain.windows(2) {
            seen(state, Some(&pair[0]), &pair[1], Witness::Own);
        }
        chain
    }

    fn turn<'a>(from: HeadPosition, to: &'a StoredHead, common: u64, stands: u64) -> TurnTo<'a> {
        TurnTo {
            vault: VAULT,
            from,
            to: Some(to),
            common,
            stands,
            entries: 0,
            logs: &[],
            accounts: &[],
            links: &[],
        }
    }

    #[test]
    fn what_is_lost_is_kept_apart_and_what_is_not_shared_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let chain = at_the_fifth(&state);
        let stale = turn(at(&chain[3]), &chain[1], 2, 2);
        let before = state.dump();
        assert_eq!(state.turn_to(&stale).unwrap(), Advanced::Stale);
        assert_eq!(state.dump(), before);

        let shown = HeadPosition {
            seq: 2,
            hash: HeadHash::from_array([4; 32]),
        };
        let turn = TurnTo {
            links: &[shown],
            ..turn(at(&chain[4]), &chain[1], 1, 2)
        };
        assert_eq!(state.turn_to(&turn).unwrap(), Advanced::Done);
        assert_eq!(state.seen_head(&VAULT, 2).unwrap(), Some(shown.hash));
        assert_eq!(state.lost_seq(&VAULT).unwrap(), Some(5));
        assert_eq!(state.oldest_lost_seq(&VAULT).unwrap(), Some(3));
        for (seq, head) in (1..).zip(&chain) {
            let hash = Some(at(head).hash);
            let lost = hash.filter(|_| seq > 2);
            assert_eq!(state.lost_head(&VAULT, seq).unwrap(), lost);
            let is_seen = state.seen_head(&VAULT, seq).unwrap() == hash;
            assert_eq!(is_seen, seq == 1, "{seq}");
        }
        let whole = state.whole_lost_heads(&VAULT).unwrap();
        assert_eq!(whole.len(), 1);
        assert_eq!(whole[0].head, chain[4].signed);
        assert_eq!(state.vault_place(&VAULT).unwrap().0, Some(at(&chain[1])));
    }

    #[test]
    fn where_a_hoster_stood_is_kept_too() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let chain = at_the_fifth(&state);
        let turn = turn(at(&chain[4]), &chain[1], 2, 2);
        state.turn_to(&turn).unwrap();
        let whole = state.whole_lost_heads(&VAULT).unwrap();
        let heads: Vec<_> = whole.iter().map(|whole| &whole.head).collect();
        assert_eq!(heads, [&chain[1].signed, &chain[4].signed]);
        state.forget_lost(&VAULT).unwrap();
        assert_eq!(state.lost_seq(&VAULT).unwrap(), None);
    }

    /// A head that builds on what this device had made shows nothing once that is lost.
    #[test]
    fn a_doubt_begins_anew() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let chain = at_the_fifth(&state);
        let turn = turn(at(&chain[4]), &chain[1], 2, 2);
        state.turn_to(&turn).unwrap();
        seen(&state, Some(&chain[1]), &chain[2], Witness::Another);
        assert!(state.is_doubted(VAULT.as_bytes()).unwrap());
        seen(&state, Some(&chain[2]), &chain[3], Witness::Own);
        seen(&state, Some(&chain[3]), &chain[4], Witness::Another);
        assert!(!state.is_doubted(VAULT.as_bytes()).unwrap());
    }
}
