//! Offers that wait for their recipients.

use vault_proto::ids::AccountId;

use super::LedgerError;
use crate::{
    clock::UnixTime,
    store::records::{Offer, OfferFrom, OfferHash},
};

/// The part of a [`Ledger`](super::Ledger) about offers.
pub trait OfferLedger {
    /// Keeps an offer for an account, if there is room in its box. One that is
    /// there already stays as it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn put_offer(&self, new: &NewOffer<'_>) -> Result<OfferOutcome, LedgerError>;

    /// Those that wait for an account, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn offers(&self, account: &AccountId, now: UnixTime) -> Result<Vec<Offer>, LedgerError>;

    /// Drops an offer; one that is gone already is no error.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_offer(&self, account: &AccountId, hash: &OfferHash) -> Result<(), LedgerError>;

    /// Drops at most `limit` offers that waited too long, and says how many.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_due_offers(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError>;
}

/// An offer to be kept.
#[derive(Debug)]
pub struct NewOffer<'a> {
    /// For whom.
    pub account: AccountId,
    /// Of the offer.
    pub hash: OfferHash,
    /// Its sealed bytes.
    pub offer: &'a [u8],
    /// Who leaves it.
    pub from: OfferFrom,
    /// The hour.
    pub now: UnixTime,
}

/// What became of a [`NewOffer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum OfferOutcome {
    /// It is there, from this call or from an earlier one.
    Kept,
    /// There are as many as may be.
    Full,
    /// There is no such account.
    NoSuchAccount,
}
