//! Addresses, and the members behind them.
//!
//! ```text
//! address ─▶ dial its host ─▶ account log ─┬─ genesis hash = fingerprint
//!                                          ├─ home = who answered
//!                                          └─ extends what was seen before
//! ```
//!
//! A log that passes is the member's. It can still be an old one: what was seen
//! of it, here or on another device of the account, it must hold.

use std::sync::Arc;

use vault_core::contact::ContactNumber;
use vault_core::settings::{AccountSettings, Contact};
use vault_proto::account_log::AccountLog;
use vault_proto::address::Address;
use vault_proto::ids::AccountId;
use vault_proto::position::LogPosition;

use super::{Account, AccountError, fetch_log};
use crate::remote::{HosterAddress, RefusalReason, RemoteError, Visitor};
use crate::vault::VaultError;

/// How often a log may have moved before the one that is asked for it is held to
/// lead in circles.
const MAX_MOVES: usize = 8;

/// A member as he was just found.
pub(super) struct Found {
    /// His log, verified.
    pub(super) log: AccountLog,
    /// Its home.
    pub(super) home: HosterAddress,
    /// The way there.
    pub(super) visitor: Arc<dyn Visitor>,
}

impl Account {
    /// The account's address, to be given to others.
    ///
    /// # Errors
    /// [`AccountError::NoName`] until [`Account::set_name`] was called, and the
    /// others.
    pub fn address(&self) -> Result<Address, AccountError> {
        let settings = self.settings()?;
        let name = settings.name().ok_or(AccountError::NoName)?;
        Ok(Address::new(
            name,
            self.row.origin.clone(),
            self.row.account,
        )?)
    }

    /// Sets what the member calls himself before others: the first part of his
    /// address.
    ///
    /// # Errors
    /// [`AccountError::Settings`] for what is no name, and the others.
    pub fn set_name(&self, name: &str) -> Result<(), AccountError> {
        self.change_settings(|settings| settings.set_name(name))?;
        Ok(())
    }

    /// The contacts, ordered by account.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn contacts(&self) -> Result<Vec<Contact>, AccountError> {
        Ok(self.settings()?.contacts().to_vec())
    }

    /// Finds the member behind an address, and remembers him: his log as far as
    /// it was seen, for every device of this account. One that is a contact
    /// already is brought up to date, under the address's name.
    ///
    /// # Errors
    /// [`AccountError::OwnAddress`]; [`AccountError::ContactNameTaken`] where somebody
    /// else of that name and place is a contact; [`AccountError::NoSuchAccount`] where the
    /// hoster knows nobody of that fingerprint; [`AccountError::ContactLog`] where
    /// the log that is shown is not the member's; and the others.
    pub fn add_contact(&self, address: &Address) -> Result<Contact, AccountError> {
        let settings = self.settings()?;
        let found = self.find_member(address, settings.contact(&address.account()))?;
        self.remember(address, &found)
    }

    /// Forgets a contact, and what was seen of his log.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn remove_contact(&self, account: &AccountId) -> Result<(), AccountError> {
        self.change_settings(|settings| {
            settings.remove_contact(account);
            Ok(())
        })?;
        Ok(())
    }

    /// The number that this member and that one compare, by telephone or side by
    /// side. If it is the same, each has the other's account.
    #[must_use]
    pub fn contact_number(&self, account: &AccountId) -> ContactNumber {
        ContactNumber::of(&self.row.account, account)
    }

    /// The two members compared their number, or take that back.
    ///
    /// # Errors
    /// [`AccountError::NoSuchContact`], and the others.
    pub fn set_verified(&self, account: &AccountId, verified: bool) -> Result<(), AccountError> {
        let settings = self.change_settings(|settings| match settings.contact(account) {
            Some(contact) => settings.set_contact(Contact {
                is_verified: verified,
                ..contact.clone()
            }),
            None => Ok(()),
        })?;
        match settings.contact(account) {
            Some(_) => Ok(()),
            None => Err(AccountError::NoSuchContact),
        }
    }

    /// Fetches a member's log from its home and verifies it: that it is the
    /// account's, that who answered is its home, and that it goes on from all that
    /// was seen of it.
    pub(super) fn find_member(
        &self,
        address: &Address,
        pinned: Option<&Contact>,
    ) -> Result<Found, AccountError> {
        let account = address.account();
        if account == self.row.account {
            return Err(AccountError::OwnAddress);
        }
        let mut origin = address.origin().clone();
        for _ in 0..MAX_MOVES {
            let (home, visitor) = self.connect().discover(&origin)?;
            let log = match fetch_log(&*visitor, &account, None) {
                Err(AccountError::Vault(
                    VaultError::AccountLog { .. }
                    | VaultError::WrongGenesis
                    | VaultError::Answer(_),
                )) => return Err(AccountError::ContactLog(account)),
                Err(AccountError::Remote(RemoteError::Refused(refusal)))
                    if refusal.reason == RefusalReason::NotFound =>
                {
                    return Err(AccountError::NoSuchAccount(account));
                }
                fetched => fetched?,
            };
            if log.home() == home.hoster {
                self.check_goes_on(&log, pinned.map(|pinned| pinned.position))?;
                return Ok(Found { log, home, visitor });
            }
            // It was here once. Whoever answered cannot have invented where it is
            // now: the member's device signed it.
            origin = match log.home_origin() {
                Some(moved) if *moved != origin => moved.clone(),
                _ => return Err(AccountError::ContactLog(account)),
            };
        }
        Err(AccountError::ContactLog(account))
    }

    /// Whether a log holds what this device and this account have seen of it.
    fn check_goes_on(
        &self,
        log: &AccountLog,
        pinned: Option<LogPosition>,
    ) -> Result<(), AccountError> {
        let account = log.id();
        let holds = |at: LogPosition| log.hash_at(at.seq) == Some(at.hash);
        if !pinned.is_none_or(holds) {
            return Err(AccountError::ContactLog(account));
        }
        let stored = self.member.state.log_entries(account.as_bytes())?;
        let same = stored.len() <= log.entries().len()
            && stored
                .iter()
                .zip(log.entries())
                .all(|(stored, shown)| stored.payload == shown.payload);
        match same {
            true => Ok(()),
            false => Err(AccountError::ContactLog(account)),
        }
    }

    /// Notes how far a member's log was seen; under his name if he is new.
    pub(super) fn remember(
        &self,
        address: &Address,
        found: &Found,
    ) -> Result<Contact, AccountError> {
        let account = address.account();
        let here = Address::new(address.name(), found.home.origin.clone(), account)?;
        check_name_free(&self.settings()?, &here)?;
        let settings = self.change_settings(|settings| {
            let known = settings.contact(&account);
            // Another device may have seen more of it meanwhile.
            let further = known.filter(|known| known.position.seq > found.log.position().seq);
            settings.set_contact(Contact {
                address: here.clone(),
                hoster: found.home.hoster,
                is_verified: known.is_some_and(|known| known.is_verified),
                position: further.map_or(found.log.position(), |known| known.position),
            })
        })?;
        let contact = settings.contact(&account).cloned();
        contact.ok_or(AccountError::NoSuchContact)
    }
}

/// Whether an address can be kept without being taken for another contact's: one that
/// is kept under the same name already stays.
pub(super) fn check_name_free(
    settings: &AccountSettings,
    address: &Address,
) -> Result<(), AccountError> {
    let is_alike = |known: &Address| {
        known.name().to_lowercase() == address.name().to_lowercase()
            && known.origin() == address.origin()
    };
    let mut contacts = settings.contacts().iter();
    let taken = contacts
        .find(|known| known.address.account() != address.account() && is_alike(&known.address));
    let known = settings.contact(&address.account());
    match taken {
        Some(taken) if !known.is_some_and(|known| is_alike(&known.address)) => {
            Err(AccountError::ContactNameTaken {
                known: Box::new(taken.address.clone()),
                other: Box::new(address.clone()),
            })
        }
        _ => Ok(()),
    }
}
