//! Heads: the newest that was verified, and the one that was signed here and
//! is not accepted yet.

use rusqlite::{OptionalExtension, Transaction, params};
use vault_proto::head::SeenHeads;
use vault_proto::ids::{AccountId, HeadHash, PackId, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::wire::SignedEntry;

use super::freshness::{self, Witness};
use super::logs::{self, NewEntries};
use super::{Durability, State, StateError, array, signed, unsigned};
use crate::remote::CommitRequest;

/// How far back the hashes of heads are kept: a hoster that restores a backup
/// goes back less.
const KEPT_HEADS: u64 = 100_000;

/// A verified head, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredHead {
    /// The signed bytes.
    pub(crate) signed: Vec<u8>,
    /// The sealed root.
    pub(crate) root: Vec<u8>,
    /// What the next head will have to extend.
    pub(crate) seen: SeenHeads,
}

/// What a refresh or a commit has verified, to be stored in one step.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) vault: VaultId,
    /// Where the head stood when the work began.
    pub(crate) base: Option<HeadPosition>,
    /// Of account logs and of the vault log.
    pub(crate) entries: Vec<NewEntries>,
    /// The accounts that the vault log refers to.
    pub(crate) accounts: Vec<AccountId>,
    /// The new head; `None` when only logs moved.
    pub(crate) head: Option<StoredHead>,
    /// Heads on the way to the new one, and those that they link to.
    pub(crate) links: Vec<HeadPosition>,
    /// Who made the new head.
    pub(crate) witness: Option<Witness>,
    /// When the new head is the commit that was signed here: the packs that it
    /// adds. The commit waits for nothing any more, and they are on their way
    /// no longer.
    pub(crate) accepted: Option<Vec<PackId>>,
}

impl Progress {
    /// Whether there is nothing to store.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.head.is_none()
    }
}

/// All that is stored of a vault.
#[derive(Debug, Clone)]
pub(crate) struct StoredVault {
    pub(crate) vault_entries: Vec<SignedEntry>,
    /// Of every account that the vault log refers to.
    pub(crate) accounts: Vec<(AccountId, Vec<SignedEntry>)>,
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
    /// All that is stored of a vault; `None` for one that was never seen.
    pub(crate) fn stored_vault(&self, vault: &VaultId) -> Result<Option<StoredVault>, StateError> {
        self.read(|database| {
            let vault_entries = logs::read_entries(database, vault.as_bytes())?;
            if vault_entries.is_empty() {
                return Ok(None);
            }
            let mut accounts =
                database.prepare_cached("SELECT account FROM vault_account WHERE vault = ?1")?;
            let accounts =
                accounts.query_map([vault.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?;
            let accounts = accounts.map(|account| {
                let id = array(&account?, "an account id")?;
                Ok((
                    AccountId::from_array(id),
                    logs::read_entries(database, &id)?,
                ))
            });
            Ok(Some(StoredVault {
                vault_entries,
                accounts: accounts.collect::<Result<_, StateError>>()?,
                head: read_head(database, vault)?,
            }))
        })
    }

    /// How far the stored state of a vault reaches: the newest head, and the
    /// newest entry of the vault log.
    pub(crate) fn vault_place(
        &self,
        vault: &VaultId,
    ) -> Result<(Option<HeadPosition>, u64), StateError> {
        self.read(|database| {
            let head = read_head(database, vault)?;
            let entries = database.query_row(
                "SELECT coalesce(max(seq), 0) FROM entry WHERE log = ?1",
                [vault.as_bytes()],
                |row| row.get(0),
            )?;
            let entries = unsigned(entries, "the place of an entry")?;
            Ok((head.and_then(|head| head.seen.position()), entries))
        })
    }

    /// Stores verified progress, durably and all at once.
    pub(crate) fn advance(&self, progress: &Progress) -> Result<Advanced, StateError> {
        self.write(Durability::Durable, |database| {
            if !logs::agrees(database, &progress.entries)? {
                return Ok(Advanced::Contradiction);
            }
            let held = read_head(database, &progress.vault)?;
            if held.and_then(|held| held.seen.position()) != progress.base {
                return Ok(Advanced::Stale);
            }
            logs::insert(database, &progress.entries)?;
            let vault = progress.vault.as_bytes();
            for account in &progress.accounts {
                database.execute(
                    "INSERT OR IGNORE INTO vault_account (vault, account) VALUES (?1, ?2)",
                    params![vault, account.as_bytes()],
                )?;
            }
            if let Some(adds) = &progress.accepted {
                forget_signed_commit(database, &progress.vault, adds)?;
            }
            freshness::follow(database, progress)?;
            write_links(database, &progress.vault, &progress.links)?;
            if let Some(head) = &progress.head {
                write_head(database, &progress.vault, head)?;
                let seq = head.seen.position().map_or(0, |at| at.seq);
                database.execute(
                    "DELETE FROM seen_head WHERE vault = ?1 AND seq < ?2",
                    params![vault, signed(seq.saturating_sub(KEPT_HEADS))?],
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

    /// Forgets a signed commit whose place in the chain is taken, and the packs
    /// that it has claimed, if it is what took it.
    pub(crate) fn forget_signed_commit(
        &self,
        vault: &VaultId,
        claimed: &[PackId],
    ) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            forget_signed_commit(database, vault, claimed)
        })
    }

    /// Stores a signed commit before it is sent, in the place of the one that
    /// it names as replaced, if the newest head still is the one that it was
    /// made to follow.
    pub(crate) fn set_signed_commit(
        &self,
        vault: &VaultId,
        base: Option<HeadPosition>,
        seq: u64,
        request: &CommitRequest,
    ) -> Result<Advanced, StateError> {
        self.write(Durability::Durable, |database| {
            let held = read_head(database, vault)?;
            if held.and_then(|held| held.seen.position()) != base {
                return Ok(Advanced::Stale);
            }
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
            Ok(Advanced::Done)
        })
    }
}

fn forget_signed_commit(
    database: &Transaction<'_>,
    vault: &VaultId,
    claimed: &[PackId],
) -> Result<(), StateError> {
    let vault = vault.as_bytes();
    database.execute("DELETE FROM signed_commit WHERE vault = ?1", [vault])?;
    for pack in claimed {
        database.execute(
            "DELETE FROM pending_pack WHERE vault = ?1 AND pack = ?2",
            [vault, pack.as_bytes()],
        )?;
    }
    Ok(())
}

pub(super) fn write_links(
    database: &Transaction<'_>,
    vault: &VaultId,
    links: &[HeadPosition],
) -> Result<(), StateError> {
    for at in links {
        database.execute(
            "INSERT OR REPLACE INTO seen_head (vault, seq, hash) VALUES (?1, ?2, ?3)",
            params![vault.as_bytes(), signed(at.seq)?, at.hash.as_bytes()],
        )?;
    }
    Ok(())
}

pub(super) fn write_head(
    database: &Transaction<'_>,
    vault: &VaultId,
    head: &StoredHead,
) -> Result<(), StateError> {
    database.execute(
        "INSERT OR REPLACE INTO head (vault, head, root, skips) VALUES (?1, ?2, ?3, ?4)",
        params![
            vault.as_bytes(),
            head.signed,
            head.root,
            encode_skips(&head.seen)
        ],
    )?;
    Ok(())
}

pub(super) fn read_head(
    database: &Transaction<'_>,
    vault: &VaultId,
) -> Result<Option<StoredHead>, StateError> {
    let row = database
        .query_row(
            "SELECT head, root, skips FROM head WHERE vault = ?1",
            [vault.as_bytes()],
            |row| {
                Ok((
                    row.get::<_, Vec<u8>>(0)?,
                    row.get(1)?,
                    row.get::<_, Vec<u8>>(2)?,
                ))
            },
        )
        .optional()?;
    let Some((signed, root, skips)) = row else {
        return Ok(None);
    };
    let damaged = |_| StateError::Damaged("a head");
    let skips: Vec<_> = skips
        .chunks(32)
        .map(|hash| HeadHash::from_slice(hash).map_err(|_| StateError::Damaged("a head")))
        .collect::<Result<_, _>>()?;
    let seen = SeenHeads::restore(&signed, &skips).map_err(damaged)?;
    Ok(Some(StoredHead { signed, root, seen }))
}

fn encode_skips(seen: &SeenHeads) -> Vec<u8> {
    seen.skips()
        .iter()
        .flat_map(|hash| *hash.as_bytes())
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
pub(super) mod tests {
    use std::collections::BTreeMap;

    use vault_proto::head::{Head, SignedHead};
    use vault_proto::ids::{DeviceId, EntryHash, PackListHash, RootHash};
    use vault_proto::position::LogPosition;

    use super::*;

    pub(in super::super) const VAULT: VaultId = VaultId::from_array([1; 32]);

    /// Heads of a chain, as far as this table is concerned.
    pub(in super::super) fn heads(count: u64) -> Vec<StoredHead> {
        let log = LogPosition {
            seq: 1,
            hash: EntryHash::from_array([3; 32]),
        };
        let mut seen = SeenHeads::none();
        let mut hashes = BTreeMap::new();
        let head = |_| {
            let links = seen.next_links();
            let head = Head {
                vault: VAULT,
                seq: links.seq,
                previous: links.previous,
                skip: links.skip,
                vault_position: log,
                account: AccountId::from_array([4; 32]),
                device: DeviceId::from_array([5; 32]),
                account_position: log,
                epoch: 1,
                root: RootHash::from_array([6; 32]),
                adds: PackListHash::from_array([7; 32]),
                removes: PackListHash::from_array([8; 32]),
                reconciled: None,
            };
            hashes.insert(head.seq, head.hash());
            let signed = SignedHead::new(head, [9; 64]).to_bytes().to_vec();
            seen = SeenHeads::collect(&signed, |seq| hashes.get(&seq).copied()).unwrap();
            StoredHead {
                signed,
                root: vec![2; 4096],
                seen: seen.clone(),
            }
        };
        (0..count).map(head).collect()
    }

    fn stored_head(state: &State) -> Option<StoredHead> {
        state.read(|database| read_head(database, &VAULT)).unwrap()
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
            base: base.and_then(|base| base.seen.position()),
            entries: Vec::new(),
            accounts: Vec::new(),
            head: Some(to.clone()),
            links: Vec::new(),
            witness: None,
            accepted: None,
        }
    }

    #[test]
    fn a_head_moves_only_from_where_it_stands() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let chain = heads(3);
        let [one, two, three] = &chain[..] else {
            panic!()
        };
        assert_eq!(state.advance(&progress(None, one)).unwrap(), Advanced::Done);
        assert_eq!(
            state.advance(&progress(Some(one), three)).unwrap(),
            Advanced::Done
        );
        let before = state.dump();
        assert_eq!(
            state.advance(&progress(Some(one), two)).unwrap(),
            Advanced::Stale
        );
        assert_eq!(
            state.advance(&progress(None, two)).unwrap(),
            Advanced::Stale
        );
        assert_eq!(state.dump(), before);
        assert_eq!(stored_head(&state), Some(three.clone()));
    }

    #[test]
    fn what_later_heads_link_to_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let mut base = None;
        for head in &heads(11) {
            assert_eq!(
                state.advance(&progress(base, head)).unwrap(),
                Advanced::Done
            );
            assert_eq!(stored_head(&state).as_ref(), Some(head));
            base = Some(head);
        }
    }

    #[test]
    fn a_signed_commit_stays_until_it_is_accepted_or_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let chain = heads(2);
        let [one, two] = &chain[..] else { panic!() };
        let sign = |base: Option<&StoredHead>| {
            let base = base.and_then(|base| base.seen.position());
            state.set_signed_commit(&VAULT, base, 2, &commit()).unwrap()
        };
        assert_eq!(sign(Some(one)), Advanced::Stale);
        assert_eq!(state.signed_commit(&VAULT).unwrap(), None);
        state.advance(&progress(None, one)).unwrap();
        assert_eq!(sign(Some(one)), Advanced::Done);
        // A process that only reads may see the next head first.
        state.advance(&progress(Some(one), two)).unwrap();
        assert_eq!(state.signed_commit(&VAULT).unwrap(), Some((2, commit())));
        let accepted = Progress {
            accepted: Some(commit().adds),
            ..progress(Some(two), two)
        };
        state.advance(&accepted).unwrap();
        assert_eq!(state.signed_commit(&VAULT).unwrap(), None);
        assert_eq!(sign(Some(two)), Advanced::Done);
        state.forget_signed_commit(&VAULT, &[]).unwrap();
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
                entries: vec![SignedEntry {
                    payload: vec![payload],
                    signatures: Vec::new(),
                }],
            }]
        };
        let first = Progress {
            entries: entries(1),
            head: None,
            ..progress(None, &heads(1)[0])
        };
        assert_eq!(state.advance(&first).unwrap(), Advanced::Done);
        let before = state.dump();
        let contradicting = Progress {
            entries: entries(2),
            ..progress(None, &heads(1)[0])
        };
        assert_eq!(
            state.advance(&contradicting).unwrap(),
            Advanced::Contradiction
        );
        assert_eq!(state.dump(), before);
    }
}
