//! Accounts' logs, brought to hosters that lack a part of them.
//!
//! Where an account is a guest, the hoster's copy of its log grows by what devices
//! bring, and the hoster goes by it: it lets in the devices that stand there, and takes
//! entries that name places which stand there. So a device brings what is not there yet
//! before anything else. It needs no login for that, since entries prove themselves,
//! and may have none: the entry that makes it a device is among them. A hoster that has
//! restored a backup of its own has lost entries of all its logs, and is brought them
//! back in the same way.

use prost::Message;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::AccountId;
use vault_proto::wire::SignedEntry;

use super::{Member, VaultError};
use crate::remote::{RefusalReason, RemoteError, Visitor};

/// The most bytes of entries in one call: hosters take messages of a few MiB.
const MAX_PUT_BYTES: usize = 1 << 20;

impl Member {
    /// Brings the own account's log to a hoster elsewhere, as far as this device
    /// knows it. Makes no call at home, nor where the hoster has taken all of it
    /// already.
    pub(crate) fn bring_own_log(&self) -> Result<(), VaultError> {
        let Some(hoster) = &self.guest_at else {
            return Ok(());
        };
        let log = self.account.as_bytes();
        if self.state.brought_seq(hoster)? < self.state.log_length(log)? {
            self.bring(&self.state.log_entries(log)?)?;
        }
        Ok(())
    }

    /// Likewise before anything else is asked there: what a hoster elsewhere has to know
    /// before it lets this device in. Where it will not have that, it may know enough
    /// all the same: then gives what it said, for [`explain`].
    pub(super) fn bring_own_log_first(&self) -> Result<Option<VaultError>, VaultError> {
        match self.bring_own_log() {
            Ok(()) => Ok(None),
            Err(error @ VaultError::Remote(RemoteError::Refused(_))) if !error.is_transient() => {
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Likewise, this log, whatever the hoster has taken before.
    pub(crate) fn bring_log(&self, log: &AccountLog) -> Result<(), VaultError> {
        match &self.guest_at {
            Some(_) => self.bring(log.entries()),
            None => Ok(()),
        }
    }

    /// Brings the hoster, at home or elsewhere, what it has lost of the own account's
    /// log, as far as this device knows it; gives the number of those entries.
    ///
    /// # Errors
    /// [`VaultError::LogFork`] where others stand in their places, and the others.
    pub(super) fn bring_own_log_back(&self) -> Result<u64, VaultError> {
        let entries = self.state.log_entries(self.account.as_bytes())?;
        bring_back(&*self.visitor, &self.account, &entries)
    }

    fn bring(&self, entries: &[SignedEntry]) -> Result<(), VaultError> {
        put_log(&*self.visitor, &self.account, entries)?;
        let seq = entries.len() as u64;
        match &self.guest_at {
            Some(hoster) => Ok(self.state.set_brought_seq(hoster, seq)?),
            None => Ok(()),
        }
    }
}

/// What was refused when a log was brought, if it explains an error that came after
/// it: a hoster may not know this device because it did not take the device's entry.
pub(super) fn explain(error: VaultError, refused: Option<VaultError>) -> VaultError {
    let reason = |error: &VaultError| match error {
        VaultError::Remote(RemoteError::Refused(refusal)) => Some(refusal.reason),
        _ => None,
    };
    match refused {
        // That the account is not known there says no more than the error does.
        Some(refused)
            if reason(&error) == Some(RefusalReason::Unauthenticated)
                && reason(&refused) != Some(RefusalReason::NotFound) =>
        {
            refused
        }
        _ => error,
    }
}

/// Brings a hoster's copy of an account's log up to date; all entries of it.
pub(crate) fn put_log(
    visitor: &dyn Visitor,
    account: &AccountId,
    entries: &[SignedEntry],
) -> Result<(), RemoteError> {
    let mut rest = entries;
    while !rest.is_empty() {
        let (some, others) = rest.split_at(fitting(rest));
        visitor.put_account_log(account, some)?;
        rest = others;
    }
    Ok(())
}

/// Brings a hoster those of these entries that follow what it has; gives their number.
/// All of them, where it does not know the account.
pub(super) fn bring_back(
    visitor: &dyn Visitor,
    account: &AccountId,
    entries: &[SignedEntry],
) -> Result<u64, VaultError> {
    let reason = |error: &RemoteError| match error {
        RemoteError::Refused(refusal) => Some(refusal.reason),
        _ => None,
    };
    let there = match visitor.put_account_log(account, &[]) {
        Ok(seq) => usize::try_from(seq).unwrap_or(usize::MAX),
        Err(error) if reason(&error) == Some(RefusalReason::NotFound) => 0,
        Err(error) => return Err(error.into()),
    };
    let lost = entries.get(there..).unwrap_or_default();
    match put_log(visitor, account, lost) {
        Ok(()) => Ok(lost.len() as u64),
        // Nobody else appends to it while this device knows more than the hoster.
        Err(error) if reason(&error) == Some(RefusalReason::LostRace) => Err(VaultError::LogFork),
        Err(error) => Err(error.into()),
    }
}

/// How many of the entries one call takes; at least one.
fn fitting(entries: &[SignedEntry]) -> usize {
    let mut bytes = 0;
    let fits = |entry: &&SignedEntry| {
        bytes += entry.encoded_len();
        bytes <= MAX_PUT_BYTES
    };
    entries.iter().take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sent_in_calls_that_hosters_take() {
        let entry = |bytes| SignedEntry {
            payload: vec![0; bytes],
            signatures: Vec::new(),
        };
        assert_eq!(fitting(&[entry(10), entry(20)]), 2);
        let large = entry(MAX_PUT_BYTES * 2 / 3);
        assert_eq!(fitting(&[entry(10), large.clone(), large.clone()]), 2);
        assert_eq!(fitting(&[entry(MAX_PUT_BYTES * 2), entry(1)]), 1);
    }
}
