//! Invitations, accounts with their logs, and tokens.

use vault_proto::ids::AccountId;

use super::{Appended, LedgerError, Urgency};
use crate::{
    clock::UnixTime,
    store::records::{Account, Invitation, InvitationHash, Token, TokenHash},
};

/// The part of a [`Ledger`](super::Ledger) about invitations, accounts and tokens.
pub trait AccountLedger {
    /// Stores an invitation.
    ///
    /// # Errors
    /// [`LedgerError`], as everywhere here.
    fn add_invitation(
        &self,
        hash: &InvitationHash,
        invitation: &Invitation,
    ) -> Result<(), LedgerError>;

    /// Turns an invitation into an account. Repeating it succeeds.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountCreation, LedgerError>;

    /// Reads an account.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn account(&self, id: &AccountId) -> Result<Option<Account>, LedgerError>;

    /// At most `limit` accounts after `after`, ordered by id.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn accounts(
        &self,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, LedgerError>;

    /// Changes an account's quota; false if there is no such account.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn set_quota(&self, id: &AccountId, quota_bytes: u64) -> Result<bool, LedgerError>;

    /// The entries of an account log after `after`, encoded, oldest first, until
    /// `limit_bytes` are reached; at least one if there is one.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn account_entries(
        &self,
        id: &AccountId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError>;

    /// Appends the entry number `seq`, if that is the next one and there is room.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn append_account_entry(
        &self,
        id: &AccountId,
        seq: u64,
        entry: &[u8],
        urgency: Urgency,
    ) -> Result<Appended, LedgerError>;

    /// How many [record bytes](Account::record_bytes) an account may have.
    fn record_limit(&self, account: &Account) -> u64;

    /// Stores a token.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn add_token(&self, hash: &TokenHash, token: &Token) -> Result<(), LedgerError>;

    /// Reads a token, expired or not.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn token(&self, hash: &TokenHash) -> Result<Option<Token>, LedgerError>;

    /// Drops the tokens that have expired, and says how many those were.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_expired_tokens(&self, now: UnixTime) -> Result<u64, LedgerError>;
}

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount<'a> {
    /// What the member was given.
    pub invitation: InvitationHash,
    /// The hash of the genesis.
    pub id: AccountId,
    /// The encoded genesis, verified.
    pub genesis: &'a [u8],
    /// The hour.
    pub now: UnixTime,
}

/// What became of a [`NewAccount`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum AccountCreation {
    /// The account is there, from this call or from an earlier one.
    Created {
        /// From the invitation.
        quota_bytes: u64,
    },
    /// No such invitation was made.
    Unknown,
    /// It has expired.
    Expired,
    /// Another account was made from it.
    Used,
    /// The account is there, from another invitation.
    Exists,
}
