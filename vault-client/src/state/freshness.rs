//! Whether what a hoster shows is known to be the newest.
//!
//! A device that begins without a memory takes what its hoster shows: that may
//! be old. The doubt ends when a device that remembers more builds on what this
//! one has written since, or when the member confirms a head.

use rusqlite::{OptionalExtension, Transaction, params};

use super::heads::Progress;
use super::{Durability, State, StateError, signed, unsigned};

impl State {
    /// From now on it is not known whether what the hosters show of these logs
    /// is the newest: the ids of accounts and vaults.
    pub(crate) fn doubt(&self, logs: &[[u8; 32]]) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            for log in logs {
                database.execute(
                    "INSERT OR REPLACE INTO doubted (log, own_head) VALUES (?1, NULL)",
                    [log],
                )?;
            }
            Ok(())
        })
    }

    /// Somebody who remembers has confirmed what is stored of a log.
    pub(crate) fn trust(&self, log: &[u8; 32]) -> Result<(), StateError> {
        self.write(Durability::Durable, |database| {
            database.execute("DELETE FROM doubted WHERE log = ?1", [log])?;
            Ok(())
        })
    }

    /// Whether it is unknown if what is stored of a log is the newest.
    pub(crate) fn is_doubted(&self, log: &[u8; 32]) -> Result<bool, StateError> {
        self.read(|database| {
            let sql = "SELECT EXISTS (SELECT 1 FROM doubted WHERE log = ?1)";
            Ok(database.query_row(sql, [log], |row| row.get(0))?)
        })
    }
}

/// What a new head says of the doubt about its vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Witness {
    /// This device has made it.
    Own,
    /// A device has that may remember more than this one.
    Another,
    /// One that began later than this one, and may remember no more.
    Nobody,
}

/// Ends the doubt about a vault when its new head shows that it may: that a
/// device which remembers has accepted a head of this one's as the newest.
pub(super) fn follow(database: &Transaction<'_>, progress: &Progress) -> Result<(), StateError> {
    let (Some(head), Some(witness)) = (&progress.head, progress.witness) else {
        return Ok(());
    };
    let vault = progress.vault.as_bytes();
    let seq = head.seen.position().map_or(0, |at| at.seq);
    match witness {
        Witness::Own => {
            database.execute(
                "UPDATE doubted SET own_head = ?2 WHERE log = ?1 AND own_head IS NULL",
                params![vault, signed(seq)?],
            )?;
        }
        Witness::Another => {
            let own: Option<Option<i64>> = database
                .query_row(
                    "SELECT own_head FROM doubted WHERE log = ?1",
                    [vault],
                    |row| row.get(0),
                )
                .optional()?;
            let Some(Some(own)) = own else { return Ok(()) };
            if unsigned(own, "the place of a head")? < seq {
                database.execute("DELETE FROM doubted WHERE log = ?1", [vault])?;
                // Only devices of the account write to its vault, and they name
                // the place of its log.
                database.execute(
                    "DELETE FROM doubted WHERE log IN
                     (SELECT account FROM account WHERE vault = ?1)",
                    [vault],
                )?;
            }
        }
        Witness::Nobody => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vault_proto::ids::VaultId;

    use super::*;

    fn progress(witness: Witness) -> Progress {
        use super::super::heads::tests::{VAULT, heads};
        Progress {
            vault: VAULT,
            base: None,
            entries: Vec::new(),
            accounts: Vec::new(),
            head: heads(3).pop(),
            links: Vec::new(),
            witness: Some(witness),
            accepted: None,
        }
    }

    #[test]
    fn a_doubt_ends_when_somebody_builds_on_what_this_device_wrote() {
        use super::super::heads::tests::VAULT;
        let home = tempfile::tempdir().unwrap();
        let state = State::open(home.path()).unwrap();
        let (vault, other) = (*VAULT.as_bytes(), *VaultId::from_array([7; 32]).as_bytes());
        assert!(!state.is_doubted(&vault).unwrap());
        state.doubt(&[vault, other]).unwrap();
        let tell = |witness, own: Option<i64>| {
            state.doubt(&[vault]).unwrap();
            state
                .write(Durability::Durable, |database| {
                    database.execute(
                        "UPDATE doubted SET own_head = ?1 WHERE log = ?2",
                        params![own, vault],
                    )?;
                    follow(database, &progress(witness))
                })
                .unwrap();
            state.is_doubted(&vault).unwrap()
        };
        // The head is the third.
        assert!(tell(Witness::Another, None));
        assert!(tell(Witness::Another, Some(3)));
        assert!(tell(Witness::Nobody, Some(2)));
        assert!(tell(Witness::Own, None));
        assert!(!tell(Witness::Another, Some(2)));
        assert!(state.is_doubted(&other).unwrap());
        state.trust(&other).unwrap();
        assert!(!state.is_doubted(&other).unwrap());
    }
}
