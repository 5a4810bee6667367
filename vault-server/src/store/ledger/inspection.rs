//! What the hoster's own commands ask about a member, and nobody else.

use vault_proto::ids::{AccountId, PackId, VaultId};

use super::LedgerError;
use crate::{
    clock::UnixTime,
    store::records::{Invitation, LinkId, OfferFrom, OfferHash, Ticket, Token},
};

/// The part of a [`Ledger`](super::Ledger) that `inspect` asks.
///
/// What is over and waits for the sweep is among the answers: it is there.
pub trait InspectionLedger {
    /// The invitation that became an account; none of a guest. Reads them all.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn invitation_of(&self, account: &AccountId) -> Result<Option<Invitation>, LedgerError>;

    /// The tokens of an account's devices. Reads them all.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn tokens_of(&self, account: &AccountId) -> Result<Vec<Token>, LedgerError>;

    /// The offers that wait for an account, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn offers_for(&self, account: &AccountId) -> Result<Vec<WaitingOffer>, LedgerError>;

    /// The offers that a member left, or a guest that he brought. Reads them all.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn offers_left_by(&self, member: &AccountId) -> Result<Vec<WaitingOffer>, LedgerError>;

    /// The packs that a head added and removed; `None` if there is no such head.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn changes(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadChanges>, LedgerError>;

    /// The packs that a link names, its capsule among them, in their order.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn linked_packs(&self, link: &LinkId) -> Result<Vec<PackId>, LedgerError>;

    /// The tickets of a link, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn tickets_of(&self, link: &LinkId) -> Result<Vec<Ticket>, LedgerError>;
}

/// An offer that waits for its recipient, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingOffer {
    /// For whom.
    pub account: AccountId,
    /// Who left it.
    pub from: OfferFrom,
    /// Of the offer.
    pub hash: OfferHash,
    /// Its length.
    pub sealed_bytes: u32,
    /// When it is dropped.
    pub until: UnixTime,
}

/// What a head changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeadChanges {
    /// The packs it added, in strictly ascending order,
    pub adds: Vec<PackId>,
    /// and those it removed.
    pub removes: Vec<PackId>,
}
