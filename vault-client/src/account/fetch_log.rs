//! The log of an account, from whoever says that he has it.

use vault_proto::account_log::AccountLog;
use vault_proto::ids::AccountId;

use super::AccountError;
use crate::remote::Visitor;
use crate::vault::VaultError;

/// The most answers to one question: a log of 16 MiB, at the size in which
/// hosters send entries.
const MAX_ANSWERS: usize = 64;

/// The log of an account as a hoster shows it, verified from its genesis, whose
/// hash is the account's id; it goes on where `known` ends.
///
/// A hoster may hold the newest entries back, or be another than the account's
/// home: compare [`AccountLog::home`] with the hoster that was asked.
pub(crate) fn fetch_log(
    visitor: &dyn Visitor,
    account: &AccountId,
    known: Option<AccountLog>,
) -> Result<AccountLog, AccountError> {
    let failed = |error| VaultError::AccountLog {
        account: *account,
        error,
    };
    let mut log = known;
    for _ in 0..MAX_ANSWERS {
        let seq = log.as_ref().map_or(0, |log| log.position().seq);
        let answer = visitor.fetch_account_log(account, seq)?;
        let brings_nothing = answer.entries.is_empty();
        for entry in &answer.entries {
            match &mut log {
                Some(log) => log.append(entry).map_err(failed)?,
                None => {
                    let begun = AccountLog::verify_genesis(entry).map_err(failed)?;
                    if begun.id() != *account {
                        return Err(VaultError::WrongGenesis.into());
                    }
                    log = Some(begun);
                }
            }
        }
        if !answer.more {
            return log.ok_or_else(|| VaultError::Answer("an account without a log").into());
        }
        if brings_nothing {
            return Err(VaultError::Answer("there is more, and nothing comes").into());
        }
    }
    Err(VaultError::Answer("it never ends").into())
}
