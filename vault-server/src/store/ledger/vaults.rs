//! Vaults, their logs and their members.

use vault_proto::{
    ids::{AccountId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};

use super::{Appended, LedgerError, LinksEnd, Urgency};
use crate::store::records::{Fullness, Vault};

/// The part of a [`Ledger`](super::Ledger) about vaults and their logs.
pub trait VaultLedger {
    /// Creates a vault with its genesis and its creator as the only member.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn create_vault(&self, new: &NewVault<'_>) -> Result<VaultCreation, LedgerError>;

    /// Reads a vault.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn vault(&self, id: &VaultId) -> Result<Option<Vault>, LedgerError>;

    /// The vaults that an account is a member of, those first in which it has
    /// accepted that, and each part ordered by id.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn vaults_of(&self, member: &AccountId) -> Result<Vec<VaultId>, LedgerError>;

    /// As [`account_entries`](Self::account_entries), for a vault log.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn vault_entries(
        &self,
        id: &VaultId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError>;

    /// Appends an entry to a vault log, if it is the next one and the vault's
    /// newest head is the one that it names, and if not too many vaults wait for
    /// whom it adds.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn append_vault_entry(&self, new: &NewVaultEntry<'_>) -> Result<Appended, LedgerError>;
}

/// A vault to be made.
#[derive(Debug)]
pub struct NewVault<'a> {
    /// The hash of the genesis.
    pub id: VaultId,
    /// From the genesis.
    pub kind: VaultKind,
    /// Who wrote the genesis.
    pub creator: AccountId,
    /// The encoded genesis, verified.
    pub genesis: &'a [u8],
}

/// What became of a [`NewVault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum VaultCreation {
    /// The vault is there now.
    Created,
    /// It was there before.
    Exists,
    /// There is no such account.
    NoSuchAccount,
    /// It has as many record bytes as it may.
    RecordsFull(Fullness),
}

/// An entry to be appended to a vault log.
#[derive(Debug)]
pub struct NewVaultEntry<'a> {
    /// The vault.
    pub vault: VaultId,
    /// The entry's number.
    pub seq: u64,
    /// The head that it follows.
    pub head: Option<HeadPosition>,
    /// The encoded entry, verified.
    pub entry: &'a [u8],
    /// Who is a member from now on, and has not accepted it.
    pub joined: Option<AccountId>,
    /// Who has accepted now.
    pub accepted: Option<AccountId>,
    /// Who is none any more.
    pub left: Option<AccountId>,
    /// Whose links end with it.
    pub links_end: LinksEnd,
    /// Whether it has to wait for room.
    pub urgency: Urgency,
}
