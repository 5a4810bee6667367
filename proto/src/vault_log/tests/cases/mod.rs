//! Vault entries that break exactly one rule each.

mod bodies;
mod entries;
mod genesis;

use super::cast::Cast;
use crate::entry::FieldError;
use crate::vault_log::VaultLogError as E;
use crate::wire::SignedEntry;

/// Which log an entry is offered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// None: the entry is a genesis.
    Nothing,
    /// [`Cast::calm`].
    Calm,
    /// [`Cast::due`].
    Due,
    /// [`Cast::account`].
    Account,
}

/// An entry that is refused after some log, and why.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) after: After,
    pub(crate) entry: SignedEntry,
    pub(crate) error: E,
}

type Row = (&'static str, SignedEntry, E);

/// Every case, in the order of the rules.
pub(crate) fn cases(cast: &Cast) -> Vec<Case> {
    [
        (After::Nothing, genesis::genesis_rows(cast)),
        (After::Calm, entries::chain_rows(cast)),
        (After::Calm, entries::author_rows(cast)),
        (After::Calm, entries::position_rows(cast)),
        (After::Calm, bodies::role_rows(cast)),
        (After::Calm, bodies::member_rows(cast)),
        (After::Calm, bodies::rotate_rows(cast)),
        (After::Calm, bodies::move_rows(cast)),
        (After::Due, bodies::due_rows(cast)),
        (After::Account, bodies::account_rows(cast)),
    ]
    .into_iter()
    .flat_map(|(after, rows)| {
        rows.into_iter().map(move |(name, entry, error)| Case {
            name,
            after,
            entry,
            error,
        })
    })
    .collect()
}

fn field(name: &'static str) -> E {
    FieldError::new(name).into()
}
