//! The device that knows the account.

use std::sync::Arc;

use vault_core::author::{AccountAuthor, AuthorError};
use vault_core::keys::{AccountSecrets, PhraseLanguage};
use vault_core::pairing::{
    CODE_SECONDS, MAX_SEEN_VAULTS, PairingEnd, PairingIntroduction, PairingProposal, PairingStep,
    SeenVault,
};
use vault_proto::ids::DeviceId;

use super::super::{Account, AccountError, GuestLog};
use super::{PairingCode, PairingError, Wait, name};
use crate::progress::Cancellation;
use crate::remote::{MAX_WAIT, RefusalReason, RemoteError};
use crate::vault::Vault;

/// A pairing on the device that knows the account already.
pub struct Pairing {
    account: Account,
    code: PairingCode,
    introduction: PairingIntroduction,
    proposal: PairingProposal,
}

/// A new device is in the account.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Paired {
    /// The new device.
    pub device: DeviceId,
    /// The hosters elsewhere that had to learn of it; why it is not known which
    /// there are, if it is not.
    pub guest_logs: Result<Vec<GuestLog>, Arc<AccountError>>,
}

impl Account {
    /// Takes up the pairing of a new device that shows a code: proposes to it the
    /// entry that adds it. The words come from that list.
    ///
    /// A code is good for one proposal: calling this again with it goes on with
    /// the same.
    ///
    /// # Errors
    /// [`AccountError::PairingOver`] if no such device is there,
    /// [`AccountError::PairingCodeUsed`], [`AccountError::Pairing`], and the
    /// others.
    pub fn pair(
        &self,
        code: &PairingCode,
        words: PhraseLanguage,
        cancel: &Cancellation,
    ) -> Result<Pairing, AccountError> {
        let wait = self.wait(code, MAX_WAIT.as_secs(), cancel);
        let introduction = wait.for_message(PairingStep::Introduction)?;
        let introduction = code.open_introduction(&introduction)?;
        let state = &self.member.state;
        let box_name = name(code, PairingStep::Proposal);
        let (proposal, sealed) = match state.proposal(&box_name)? {
            Some(sealed) => {
                let proposal = code.open_proposal(&introduction.public, &sealed)?;
                (proposal, sealed)
            }
            None => {
                let proposal = self.propose(&introduction, words)?;
                let sealed = code.seal_proposal(&proposal, &mut self.member.rng())?;
                state.set_proposal(&box_name, &sealed)?;
                (proposal, sealed)
            }
        };
        match self.member.remote.put_message(&box_name, &sealed) {
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::Forbidden => {
                state.forget_proposal(&box_name)?;
                return Err(AccountError::PairingCodeUsed);
            }
            put => put?,
        }
        Ok(Pairing {
            account: self.clone(),
            code: code.clone(),
            introduction,
            proposal,
        })
    }

    fn propose(
        &self,
        introduction: &PairingIntroduction,
        words: PhraseLanguage,
    ) -> Result<PairingProposal, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        let log = vault.own_log();
        if log.device(&introduction.public.id()).is_some() {
            return Err(AccountError::PairingCodeUsed);
        }
        let author = AccountAuthor {
            log,
            secrets: &AccountSecrets::open(log, &self.member.device)?,
            device: &self.member.device,
        };
        let new = &introduction.public;
        let mut rng = self.member.rng();
        Ok(PairingProposal {
            addition: author.draft_addition(new, &introduction.name, &mut rng)?,
            hoster: self.row.hoster,
            origin: self.row.origin.clone(),
            tls: self.row.tls,
            account_vault: self.row.vault,
            seen: self.seen()?,
            words,
        })
    }

    /// What this device has last seen of each vault, but for those of which it
    /// does not know itself whether that is the newest.
    fn seen(&self) -> Result<Vec<SeenVault>, AccountError> {
        let state = &self.member.state;
        let mut vaults = vec![(self.row.vault, self.row.hoster)];
        vaults.extend(state.vaults()?.iter().map(|row| (row.id, row.hoster)));
        let mut seen = Vec::new();
        for (id, hoster) in vaults {
            if seen.len() == MAX_SEEN_VAULTS {
                break;
            }
            let is_stored = state.vault_place(&id)?.1 > 0;
            if !is_stored || state.is_doubted(id.as_bytes())? {
                continue;
            }
            let Ok(member) = self.member_at(hoster) else {
                continue;
            };
            // As it is stored: nobody is asked.
            let vault = Vault::open(member, id, None)?;
            seen.push(SeenVault {
                vault: id,
                hoster,
                position: vault.log().position(),
                head: vault.head(),
            });
        }
        seen.sort_by_key(|seen| seen.vault);
        Ok(seen)
    }

    fn wait<'a>(
        &'a self,
        code: &'a PairingCode,
        seconds: u64,
        cancel: &'a Cancellation,
    ) -> Wait<'a> {
        let clock = &*self.member.clock;
        Wait {
            relay: &*self.member.remote,
            code,
            until: clock.unix_seconds().saturating_add(seconds),
            clock,
            cancel,
        }
    }
}

impl Pairing {
    /// The words that the new device has to show too.
    #[must_use]
    pub fn words(&self) -> [&'static str; 6] {
        self.proposal.check_words()
    }

    /// What the new device is called.
    #[must_use]
    pub fn device_name(&self) -> &str {
        &self.introduction.name
    }

    /// The member has compared the words: waits until the new device has signed,
    /// signs too, and sends the entry.
    ///
    /// After an error that is transient, or when it was cancelled, call
    /// [`Account::pair`] with the same code to go on.
    ///
    /// # Errors
    /// [`AccountError::PairingRefused`], [`AccountError::PairingOver`],
    /// [`AccountError::PairingOvertaken`], [`AccountError::Pairing`], and the others.
    pub fn confirm(self, cancel: &Cancellation) -> Result<Paired, AccountError> {
        let account = &self.account;
        let device = self.introduction.public.id();
        let (lock, own) = account.own_log()?;
        let is_done = self.proposal.is_held_by(own.log());
        drop((own, lock));
        if !is_done {
            self.sign(cancel)?;
        }
        self.end(PairingEnd::Done)?;
        Ok(Paired {
            device,
            guest_logs: account.push_log().map_err(Arc::new),
        })
    }

    fn sign(&self, cancel: &Cancellation) -> Result<(), AccountError> {
        let wait = self.account.wait(&self.code, CODE_SECONDS, cancel);
        let signature = wait.for_message(PairingStep::Signature)?;
        let signature = match self.code.open_signature(&signature) {
            Err(PairingError::Refused) => {
                self.end(PairingEnd::Refused)?;
                return Err(AccountError::PairingRefused);
            }
            opened => opened?,
        };
        // Not while the other device is waited for.
        let (_lock, mut own) = self.account.own_log()?;
        let appended = own.append(|author, _| {
            if self.proposal.is_held_by(author.log) {
                return Ok(None);
            }
            let addition = &self.proposal.addition;
            author.complete_addition(addition, &signature).map(Some)
        });
        match appended {
            Ok(_) => Ok(()),
            Err(AccountError::Author(error)) => {
                // Nothing was signed. The entry cannot be added any more, or
                // this was not the new device's signature.
                self.end(PairingEnd::Refused)?;
                Err(match error {
                    AuthorError::NewDevice => PairingError::OtherDevice.into(),
                    _ => AccountError::PairingOvertaken,
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The words differ, or the member wants no such device.
    ///
    /// # Errors
    /// [`AccountError`]; nothing was signed all the same.
    pub fn refuse(self) -> Result<(), AccountError> {
        self.end(PairingEnd::Refused)
    }

    fn end(&self, end: PairingEnd) -> Result<(), AccountError> {
        let member = &self.account.member;
        let sealed = self.code.seal_end(end, &mut member.rng());
        let box_name = name(&self.code, PairingStep::End);
        match member.remote.put_message(&box_name, &sealed) {
            // The same was said before, under another nonce.
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::Forbidden => {}
            put => put?,
        }
        let proposal = name(&self.code, PairingStep::Proposal);
        Ok(member.state.forget_proposal(&proposal)?)
    }
}
