//! The recovery phrases of an account.
//!
//! A phrase is a device on paper. What removes one has to be a paper whose root
//! is the account's beginning: it was there then, or such a one has added it.

use vault_core::author::{AccountAuthor, AuthorError};
use vault_core::keys::{DeviceKeys, RecoveryPhrase};
use vault_proto::account_log::{AccountLog, AccountLogError};
use vault_proto::ids::DeviceId;

use super::left_behind::Search;
use super::sign_up::{PAPER_NAME, load_phrase, store_phrase};
use super::{Account, AccountError, DeviceRemoval};
use crate::state::KeySlot;

/// What a recovery phrase is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PaperStanding {
    /// It recovers the account, and can remove other phrases.
    Rooted,
    /// It recovers the account. It was added by a machine, so it removes no
    /// phrase.
    Added,
    /// It was removed.
    Removed,
    /// It is no phrase of this account.
    Unknown,
}

impl Account {
    /// What the hoster's newest log of the account says of a phrase. The phrase
    /// does not leave this device.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn check_phrase(&self, phrase: &RecoveryPhrase) -> Result<PaperStanding, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        Ok(standing(vault.own_log(), &phrase.device_keys().id()))
    }

    /// Adds a new recovery phrase. With the words of an old one it is as good as
    /// that, and may remove it; without, it recovers the account and no more.
    ///
    /// The phrase stays in the key store until [`Account::forget_phrase`]: until
    /// the member has confirmed that he has it on paper, repeating the call
    /// gives the same one again.
    ///
    /// # Errors
    /// [`AccountError::WrongPhrase`] if the old one is none of this account's,
    /// and the others.
    pub fn add_paper(&self, old: Option<&RecoveryPhrase>) -> Result<RecoveryPhrase, AccountError> {
        let (_lock, mut own) = self.own_log()?;
        if let Some(old) = old {
            match standing(own.log(), &old.device_keys().id()) {
                PaperStanding::Rooted | PaperStanding::Added => {}
                _ => return Err(AccountError::WrongPhrase),
            }
        }
        if let Some(held) = load_phrase(&*self.keys)?
            && (old == Some(&held)
                || matches!(
                    standing(own.log(), &held.device_keys().id()),
                    PaperStanding::Removed
                ))
        {
            // What is to be replaced, or was, waits for nobody's confirmation.
            self.keys.remove(KeySlot::Phrase)?;
        }
        let phrase = store_phrase(&*self.keys, &mut self.member.rng())?;
        let new = phrase.device_keys();
        let author = old.map(RecoveryPhrase::device_keys);
        own.append(|machine, rng| {
            if standing(machine.log, &new.id()) != PaperStanding::Unknown {
                return Ok(None);
            }
            let author = by(machine, author.as_ref());
            let draft = author.draft_addition(new.public(), PAPER_NAME, rng)?;
            author
                .complete_addition(&draft, &draft.sign(&new)?)
                .map(Some)
        })
        .map_err(wrong_phrase)?;
        Ok(phrase)
    }

    /// Removes a recovery phrase by another one, and changes the keys of every
    /// vault that it could open.
    ///
    /// # Errors
    /// [`AccountError::WrongPhrase`] if `by` is none of this account's,
    /// [`AccountError::PaperNeeded`] if it cannot remove any, and the others.
    /// What fails after the removal is in the answer.
    pub fn remove_paper(
        &self,
        paper: &DeviceId,
        phrase: &RecoveryPhrase,
    ) -> Result<DeviceRemoval, AccountError> {
        let keys = phrase.device_keys();
        let (lock, mut own) = self.own_log()?;
        own.append(|machine, rng| match machine.log.device(paper) {
            Some(record) if record.removed_seq.is_some() => Ok(None),
            _ => by(machine, Some(&keys)).remove_device(paper, rng).map(Some),
        })
        .map_err(wrong_phrase)?;
        let search = Search::begin(&own, paper, Some(&keys.id()))?;
        drop((lock, own));
        Ok(self.after_removal(search))
    }
}

/// The same author with other keys, which are at hand as well.
fn by<'a>(machine: &AccountAuthor<'a>, keys: Option<&'a DeviceKeys>) -> AccountAuthor<'a> {
    AccountAuthor {
        device: keys.unwrap_or(machine.device),
        ..*machine
    }
}

fn standing(log: &AccountLog, paper: &DeviceId) -> PaperStanding {
    match log.device(paper) {
        None => PaperStanding::Unknown,
        Some(record) if record.removed_seq.is_some() => PaperStanding::Removed,
        Some(record) if record.is_rooted => PaperStanding::Rooted,
        Some(_) => PaperStanding::Added,
    }
}

fn wrong_phrase(error: AccountError) -> AccountError {
    match error {
        AccountError::Author(AuthorError::AccountLog(AccountLogError::AuthorNotActive)) => {
            AccountError::WrongPhrase
        }
        error => error,
    }
}
