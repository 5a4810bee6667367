//! The port for everything small that must agree with itself.

use std::io;

use vault_proto::{
    ids::{AccountId, DeviceId, PackId, VaultId},
    position::HeadPosition,
    wire::VaultKind,
};

use super::records::{
    Account, Blob, Fullness, HeadRecord, Invitation, InvitationHash, LedgerStats, Pack, Token,
    TokenHash, Vault,
};
use crate::clock::UnixTime;

/// Accounts, logs, heads, the life of every pack, quotas and tokens.
///
/// Each call is one atomic step, and calls that touch the same account, or
/// vaults of the same creator, happen one after the other. What is signed has
/// been verified by the caller; the ledger compares positions, counts bytes and
/// stores. Calls block, as those of [`BlobStore`](super::BlobStore) do.
///
/// # Durability
/// [`commit_head`](Self::commit_head), [`doom`](Self::doom) and whatever adds
/// an invitation, an account, a vault or an entry of a log are durable when
/// they return, and with them all that any call wrote before. The rest
/// (uploads, leases, tokens) survives the process being killed, and a power cut
/// from the next durable call on.
pub trait Ledger: Send + Sync + 'static {
    // ------------------------------------------------------------ accounts

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

    // -------------------------------------------------------------- tokens

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

    // -------------------------------------------------------------- vaults

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

    /// The vaults that an account is a member of, or invited to, ordered by id.
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
    /// newest head is the one that it names.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn append_vault_entry(&self, new: &NewVaultEntry<'_>) -> Result<Appended, LedgerError>;

    // --------------------------------------------------------------- packs

    /// Takes room for an upload: until it is
    /// [recorded](Self::record_pack) or [released](Self::release), its bytes
    /// count against the quota. A pack that is there already needs none, and
    /// its lease is renewed.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn reserve(&self, blob: &Blob, room: QuotaRoom, now: UnixTime) -> Result<Reserve, LedgerError>;

    /// Whether what is reserved still fits, should the quota have changed.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn still_fits(&self, reservation: &Reservation) -> Result<Option<Fullness>, LedgerError>;

    /// Gives reserved room back.
    fn release(&self, reservation: Reservation);

    /// Turns reserved room into an unclaimed pack under a new lease, its bytes
    /// into usage. The blob is stored by now. What is there already stays as it
    /// is; a doomed pack is unclaimed again, a lost one committed.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn record_pack(&self, reservation: Reservation, now: UnixTime) -> Result<(), LedgerError>;

    /// Reads what the ledger knows of packs of one vault, in the order asked for.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Result<Vec<Option<Pack>>, LedgerError>;

    /// As [`packs`](Self::packs), and renews the lease of the unclaimed ones.
    /// A lease that is less than an hour old may stay as it is.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn renew_leases(
        &self,
        vault: &VaultId,
        packs: &[PackId],
        now: UnixTime,
    ) -> Result<Vec<Option<Pack>>, LedgerError>;

    /// Calls `visit` for every pack of a vault, or of all vaults, ordered by
    /// vault and id.
    ///
    /// # Errors
    /// [`LedgerError`], or what `visit` returned.
    fn visit_packs(
        &self,
        vault: Option<&VaultId>,
        visit: &mut dyn FnMut(&VaultId, &PackId, &Pack) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError>;

    /// Marks at most `limit` packs whose lease or grace period is over as
    /// [doomed](super::PackState::Doomed), durably, takes them out of the usage, and
    /// returns them; with them, those that were doomed before and not forgotten.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn doom(&self, now: UnixTime, limit: usize) -> Result<Vec<Blob>, LedgerError>;

    /// Forgets a pack that is doomed and whose blob is deleted; false if it was
    /// uploaded again meanwhile.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn forget(&self, blob: &Blob) -> Result<bool, LedgerError>;

    /// Marks a pack whose blob is missing: unclaimed or in the trash, it is
    /// forgotten; committed, it is [lost](super::PackState::Lost).
    ///
    /// # Errors
    /// [`LedgerError`].
    fn mark_lost(&self, blob: &Blob) -> Result<(), LedgerError>;

    // --------------------------------------------------------------- heads

    /// Moves a vault to its next head.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn commit_head(&self, commit: &HeadCommit<'_>) -> Result<Commit, LedgerError>;

    /// Reads a head.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn head(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadRecord>, LedgerError>;

    /// Reads the sealed root of a head: kept for the newest, and for every
    /// other until the grace period after its successor is over.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn root(&self, vault: &VaultId, seq: u64) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Drops at most `limit` roots whose time is over, and says how many.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_due_roots(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError>;

    /// Counts everything; reads every account.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn stats(&self, now: UnixTime) -> Result<LedgerStats, LedgerError>;
}

/// How long a ledger keeps what nobody needs, and how much of its own it keeps
/// for an account.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Uploads that no head has claimed.
    pub lease: std::time::Duration,
    /// Packs that a head removed, and roots that are not the newest.
    pub grace: std::time::Duration,
    /// Bytes of log entries, heads, lists of packs and roots that an account may
    /// have beside a sixteenth of its quota. The quota itself is for packs.
    pub record_bytes: u64,
}

impl Default for Terms {
    /// 7 and 30 days, and 64 MiB: years of hourly heads of four devices.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            lease: std::time::Duration::from_secs(7 * DAY),
            grace: std::time::Duration::from_secs(30 * DAY),
            record_bytes: 64 << 20,
        }
    }
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

/// Whether an entry has to wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It has.
    Ordinary,
    /// It takes access away, and is taken however full the account is.
    CannotWait,
}

/// Which room an upload may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaRoom {
    /// That of the quota.
    Plain,
    /// That, and 64 MiB more: a prune writes before it removes. It cannot be
    /// checked that a removal follows; who lies has 64 MiB once.
    WithPrune,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Appended {
    /// It is the newest entry now.
    Appended,
    /// Another entry or head came first.
    LostRace {
        /// The newest head's sequence number; 0 for none, or for an account.
        head_seq: u64,
        /// The newest entry's sequence number.
        log_seq: u64,
    },
    /// The account that pays has as many record bytes as it may.
    RecordsFull(Fullness),
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
    /// Who is a member from now on.
    pub joined: Option<AccountId>,
    /// Who is none any more.
    pub left: Option<AccountId>,
    /// Whether it has to wait for room.
    pub urgency: Urgency,
}

/// What became of a wish for room.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Reserve {
    /// There is room, and nobody else gets it.
    Reserved(Reservation),
    /// The pack is there already.
    There,
    /// It would not fit.
    OverQuota(Fullness),
    /// There is no such vault.
    NoSuchVault,
}

/// Room that was taken for an upload. It must be recorded or released.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Reservation {
    pub(super) blob: Blob,
    pub(super) payer: AccountId,
    /// 0 when what is uploaded replaces a lost pack, whose bytes count already.
    pub(super) charged_bytes: u64,
    pub(super) room: QuotaRoom,
}

impl Reservation {
    /// What is being uploaded.
    #[must_use]
    pub const fn blob(&self) -> &Blob {
        &self.blob
    }
}

/// A head to be accepted.
#[derive(Debug)]
pub struct HeadCommit<'a> {
    /// The vault.
    pub vault: VaultId,
    /// The head before.
    pub previous: Option<HeadPosition>,
    /// The new head.
    pub head: HeadPosition,
    /// The newest entry of the vault log that it names.
    pub log_seq: u64,
    /// The device that signed it.
    pub device: DeviceId,
    /// Its bytes, verified.
    pub signed: &'a [u8],
    /// Its sealed root.
    pub root: &'a [u8],
    /// Packs it adds, in strictly ascending order.
    pub adds: &'a [PackId],
    /// Packs it removes, likewise; none of them is added.
    pub removes: &'a [PackId],
    /// The hour.
    pub now: UnixTime,
}

/// What became of a [`HeadCommit`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Commit {
    /// It is the newest head now, and durable with all it adds; or it has been
    /// accepted before.
    Accepted,
    /// Another head or entry came first.
    LostRace {
        /// The newest head's sequence number; 0 for none.
        head_seq: u64,
        /// The newest entry's sequence number.
        log_seq: u64,
    },
    /// These of its adds are not there.
    Missing(Vec<PackId>),
    /// What it revives does not fit any more. One that also removes may exceed
    /// the quota by 64 MiB.
    OverQuota(Fullness),
    /// What it removes does not fit into the trash.
    TrashFull(Fullness),
    /// The account that pays has as many record bytes as it may.
    RecordsFull(Fullness),
    /// There is no such vault.
    NoSuchVault,
}

/// Why the ledger could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The disk or the database failed.
    #[error("the ledger failed: {0}")]
    Io(#[source] io::Error),
    /// A record that cannot be.
    #[error("the ledger is damaged: {0}")]
    Damaged(&'static str),
}
