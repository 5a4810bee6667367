//! Links, and their downloads.

use vault_proto::ids::{AccountId, DeviceId, PackId, VaultId};

use super::LedgerError;
use crate::{
    clock::UnixTime,
    store::records::{Fullness, Link, LinkId, Ticket, TicketHash},
};

/// The part of a [`Ledger`](super::Ledger) about links.
///
/// Packs that a link names stay as long as it serves: the sweep passes those in
/// the trash over.
pub trait LinkLedger {
    /// Makes a link. Repeating it succeeds.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn create_link(&self, new: &NewLink<'_>) -> Result<LinkCreation, LedgerError>;

    /// Reads a link, over or not.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn link(&self, id: &LinkId) -> Result<Option<Link>, LedgerError>;

    /// The links of a vault, over or not, ordered by name.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn links_of(&self, vault: &VaultId) -> Result<Vec<Link>, LedgerError>;

    /// Which blocks of each pack a link names; `None` for a pack that it does
    /// not.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn link_blocks(
        &self,
        link: &Link,
        packs: &[PackId],
    ) -> Result<Vec<Option<Vec<u8>>>, LedgerError>;

    /// Stores a ticket, which has not counted as a download. When there are too many,
    /// the oldest goes; of a link whose downloads are limited, the oldest of those
    /// that have not counted.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn open_link(
        &self,
        id: &LinkId,
        ticket: &TicketHash,
        now: UnixTime,
    ) -> Result<LinkOpening, LedgerError>;

    /// Counts a ticket as a download, if it has not counted, and its link has one left:
    /// of two tickets at once, the last one goes to one of them.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn count_download(
        &self,
        ticket: &TicketHash,
        now: UnixTime,
    ) -> Result<DownloadCount, LedgerError>;

    /// Reads a ticket, expired or not.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn ticket(&self, hash: &TicketHash) -> Result<Option<Ticket>, LedgerError>;

    /// Drops a link with all that it names; one that is gone is no error.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_link(&self, id: &LinkId) -> Result<(), LedgerError>;

    /// Drops the links and the tickets whose time is over, and says how many
    /// links those were.
    ///
    /// # Errors
    /// [`LedgerError`].
    fn drop_due_links(&self, now: UnixTime) -> Result<u64, LedgerError>;
}

/// A link to be made.
#[derive(Debug)]
pub struct NewLink<'a> {
    /// Its name.
    pub id: LinkId,
    /// The vault.
    pub vault: VaultId,
    /// The newest entry of the vault's log by which the maker may write.
    pub log_seq: u64,
    /// Who makes it,
    pub account: AccountId,
    /// with which device,
    pub device: DeviceId,
    /// and the newest entry of his account's log by which that is one of his.
    pub account_seq: u64,
    /// The pack that is readable as a whole.
    pub capsule: PackId,
    /// The other packs in strictly ascending order, each with a bit for every
    /// block: the lowest bit of the first byte is the first block.
    pub packs: &'a [(PackId, Vec<u8>)],
    /// Of all that it is made from.
    pub digest: [u8; 32],
    /// From when on nothing is served.
    pub expires: Option<UnixTime>,
    /// How often it may be downloaded; 0 for any number.
    pub max_downloads: u32,
    /// The hour.
    pub now: UnixTime,
}

/// What became of a [`NewLink`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum LinkCreation {
    /// It is there, from this call or from an earlier one.
    Created,
    /// There is another link under this name.
    Exists,
    /// The vault's log has grown, or that of who makes it.
    LostRace,
    /// This pack is not committed.
    NotCommitted(PackId),
    /// As many bits as the pack has blocks, one of them set: these are not.
    Blocks(PackId),
    /// The vault has as many links as it may.
    TooMany,
    /// The account that pays has as many record bytes as it may.
    RecordsFull(Fullness),
    /// There is no such vault.
    NoSuchVault,
}

/// What became of a wish to open a link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum LinkOpening {
    /// The ticket is stored.
    Opened(Box<Link>, Ticket),
    /// There is no such link, or it is over.
    Over,
    /// It has as many tickets as it may, and each of them counted as one of its
    /// downloads, which are limited.
    TooMany,
}

/// Whether a ticket may read beyond the capsule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum DownloadCount {
    /// It counts as a download, from this call or from an earlier one.
    Counted,
    /// There is no such link any more, or it has been used up meanwhile.
    Over,
    /// There is no such ticket.
    NoTicket,
}

/// Whose links an entry of a vault's log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinksEnd {
    /// Nobody's.
    None,
    /// Those of a member who may not write any more.
    Of(AccountId),
    /// All of them: the vault moved.
    All,
}

impl LinksEnd {
    /// Whether this link is among them.
    #[must_use]
    pub fn ends(self, link: &Link) -> bool {
        match self {
            Self::None => false,
            Self::Of(account) => link.account == account,
            Self::All => true,
        }
    }
}
