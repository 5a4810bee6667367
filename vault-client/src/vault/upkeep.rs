//! Keeping the vault's keys from those who were removed.
//!
//! A device that was removed from its account holds an account key that opens
//! the current epoch, and so does a member who was removed. Nothing is sealed
//! before that is over. Whoever may write begins an epoch, which records the
//! newest place of every member's log in the same entry; a reader records what
//! he sees, so that every writer learns of it.

use vault_core::author::{AuthorError, VaultAuthor};
use vault_core::keys::{AccountSecrets, VaultKeys, VaultKeysError};
use vault_proto::account_log::{AccountLog, AccountLogs};
use vault_proto::ids::AccountId;
use vault_proto::vault_log::{Role, VaultLog};
use vault_proto::wire::SignedEntry;

use super::{Vault, VaultError};
use crate::platform::Rng;

/// What was done so that what was removed stays out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Upkeep {
    /// There was nothing to do.
    Nothing,
    /// A new epoch has begun: nothing that is written from now on can be read by
    /// who was removed.
    Rotated,
    /// It is recorded that the keys have to be changed. This member may not do
    /// it: nothing is written to the vault before one who may write has opened
    /// it.
    Due,
}

impl Vault {
    /// Brings the vault to where it may be written to: refreshed, and with keys
    /// that nobody holds who was removed. Every writer calls it first, under the
    /// [lock](Self::lock).
    ///
    /// # Errors
    /// [`VaultError::RotationDue`] where this member may not change the keys, and the
    /// others: those of [`Vault::root`] where there is nothing that could be built on.
    pub fn prepare(&mut self) -> Result<(), VaultError> {
        self.refresh()?;
        if self.keep_up()? == Upkeep::Due {
            return Err(VaultError::RotationDue);
        }
        self.view.keys()?.check_current()?;
        self.root().map(drop)
    }

    /// Records what this device knows of members' logs, or can learn at their homes,
    /// and begins an epoch if one is due and this member may, or if the newest one is
    /// closed to him or leads nowhere; under the lock that [`Vault::lock`] gave out or
    /// else one of its own.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn keep_up(&mut self) -> Result<Upkeep, VaultError> {
        let _lock = self.held()?;
        let own = self.newest_own_log()?;
        let more = &self.with_logs_elsewhere(&own)[..];
        let epoch = self.view.vault_log.epoch().number;
        if self.is_shut_out(&own) {
            self.append(more, |author, keys, rng| {
                author.rotate(keys.ok(), rng).map(Some)
            })?;
        }
        loop {
            // Without a call where there is nothing to do, as almost always.
            let accounts = self.accounts_with(more)?;
            if !is_behind(&self.view.vault_log, &accounts, &self.member.account) {
                break;
            }
            if self.append(more, write_upkeep)?.is_none() {
                break;
            }
        }
        self.pass_pinned_place()?;
        Ok(if self.view.vault_log.rotation_due() {
            Upkeep::Due
        } else if self.view.vault_log.epoch().number > epoch {
            Upkeep::Rotated
        } else {
            Upkeep::Nothing
        })
    }

    /// Whether another member has begun the newest epoch so that this one cannot open
    /// it, and the next one would be open to him.
    fn is_shut_out(&self, own: &AccountLog) -> bool {
        let keys = self.view.keys();
        if keys.map_or(true, |keys| keys.check_current().is_ok()) {
            return false;
        }
        let secrets = AccountSecrets::open(own, &self.member.device);
        may_write(&self.view.vault_log, &self.member.account)
            && secrets.is_ok_and(|secrets| secrets.check_newest().is_ok())
    }

    /// The own account's log as far as this device has seen it anywhere: another
    /// hoster may not know the newest of it.
    pub(crate) fn newest_own_log(&self) -> Result<AccountLog, VaultError> {
        let mut log = self.own_log().clone();
        let stored = self.member.state.log_entries(log.id().as_bytes())?;
        let known = usize::try_from(log.position().seq).unwrap_or(usize::MAX);
        for entry in stored.iter().skip(known) {
            log.append(entry).map_err(|_| VaultError::LogFork)?;
        }
        Ok(log)
    }
}

/// The next entry that upkeep asks for, if any.
fn write_upkeep(
    author: &VaultAuthor<'_>,
    keys: Result<&VaultKeys, VaultKeysError>,
    rng: &mut Rng,
) -> Result<Option<SignedEntry>, AuthorError> {
    let log = author.log;
    if !is_behind(log, author.accounts, &author.account) {
        return Ok(None);
    }
    if may_write(log, &author.account) {
        return author.rotate(keys.ok(), rng).map(Some);
    }
    match unrecorded(log, author.accounts).next() {
        Some(member) => author.refresh(&member).map(Some),
        None => Ok(None),
    }
}

/// Whether there is something for this member to write.
fn is_behind(log: &VaultLog, accounts: &dyn AccountLogs, account: &AccountId) -> bool {
    let accepted = log.member(account).is_some_and(|member| member.accepted);
    let unrecorded = unrecorded(log, accounts).next().is_some();
    accepted && (unrecorded || (log.rotation_due() && may_write(log, account)))
}

fn may_write(log: &VaultLog, account: &AccountId) -> bool {
    let member = log.member(account);
    member.is_some_and(|member| member.accepted && member.role >= Role::Writer)
}

/// The members of whom the vault's log does not record yet that a newer account
/// key exists than the one that the epoch is sealed to.
fn unrecorded<'a>(
    log: &'a VaultLog,
    accounts: &'a dyn AccountLogs,
) -> impl Iterator<Item = AccountId> + 'a {
    let members = log.members().map(|(member, _)| member);
    members.filter(move |member| {
        let Some(theirs) = accounts.account_log(member) else {
            return false;
        };
        let recorded = log.known_position(member);
        let recorded = recorded.and_then(|at| theirs.account_key_at(at.seq));
        let sealed_to = log.epoch().boxes.get(member);
        let newest = theirs.account_key().generation;
        sealed_to.is_none_or(|sealed_to| sealed_to.generation < newest)
            && recorded.is_none_or(|recorded| recorded.generation < newest)
    })
}
