//! Invitations, accounts with their logs, and tokens.

use vault_proto::ids::{AccountId, DeviceId};

use super::{Appended, LedgerError, Urgency};
use crate::{
    clock::UnixTime,
    store::records::{Account, Fullness, Invitation, InvitationHash, Token, TokenHash},
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

    /// The invitations that can still become an account, with their hashes, in the
    /// order of those. Reads them all.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn open_invitations(
        &self,
        now: UnixTime,
    ) -> Result<Vec<(InvitationHash, Invitation)>, LedgerError>;

    /// Drops an invitation that no account was made from, and says what it was; `None`
    /// if there is none.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_invitation(&self, hash: &InvitationHash) -> Result<Option<Invitation>, LedgerError>;

    /// Turns an invitation into an account. Repeating it succeeds.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountCreation, LedgerError>;

    /// Extends a copy of the log of an account whose home is another hoster, all
    /// entries or none. A log that is not here yet makes a guest, if whoever
    /// brings it is a member and has not brought too many. What a guest's log takes
    /// counts for that member.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn put_account_log(&self, copy: &LogCopy<'_>) -> Result<Copied, LedgerError>;

    /// The account whose log here was the last to name this device: from an
    /// invitation's genesis, or from an entry that was
    /// [appended](Self::append_account_entry). Whether it is active there, the
    /// log says. Guests are found where their home is.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn account_of(&self, device: &DeviceId) -> Result<Option<AccountId>, LedgerError>;

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

    /// Changes an account's quota, and says what it was; `None` if there is no such
    /// account. Less than is used is allowed: nothing more is uploaded then.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn set_quota(&self, id: &AccountId, quota_bytes: u64) -> Result<Option<u64>, LedgerError>;

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
    fn append_account_entry(&self, new: &NewAccountEntry<'_>) -> Result<Appended, LedgerError>;

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
    /// The devices it lists.
    pub devices: &'a [DeviceId],
    /// The hour.
    pub now: UnixTime,
}

/// An entry to be appended to an account log.
#[derive(Debug)]
pub struct NewAccountEntry<'a> {
    /// The account.
    pub account: AccountId,
    /// The entry's number.
    pub seq: u64,
    /// The encoded entry, verified.
    pub entry: &'a [u8],
    /// The device that it adds.
    pub added: Option<DeviceId>,
    /// The device that it removes: links that were made with it end.
    pub removed: Option<DeviceId>,
    /// Whether it has to wait for room.
    pub urgency: Urgency,
}

/// Entries that another hoster put in order.
#[derive(Debug)]
pub struct LogCopy<'a> {
    /// The account.
    pub account: AccountId,
    /// How many entries are here already; 0 for an account that is new here.
    pub after: u64,
    /// The encoded entries that follow, verified.
    pub entries: &'a [Vec<u8>],
    /// The devices that they remove: links that were made with one of them end.
    pub removed: &'a [DeviceId],
    /// Who brings them.
    pub brought_by: AccountId,
    /// Whether they have to wait for room.
    pub urgency: Urgency,
    /// The hour.
    pub now: UnixTime,
}

/// What became of a [`LogCopy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Copied {
    /// The log is that long now.
    Copied {
        /// The newest entry's sequence number.
        log_seq: u64,
    },
    /// The log has another length than was said.
    LostRace,
    /// Who brings a guest is none of the members.
    NotAMember,
    /// He has brought as many guests as a member may.
    TooManyGuests,
    /// The logs of the guests that one member brought have as many bytes as they
    /// may.
    GuestsFull(Fullness),
    /// The account has as many record bytes as it may.
    RecordsFull(Fullness),
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
