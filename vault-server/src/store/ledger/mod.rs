//! The port for everything small that must agree with itself.

mod accounts;
mod error;
mod heads;
mod inspection;
mod links;
mod offers;
mod packs;
mod vaults;

pub use accounts::{AccountCreation, AccountLedger, Copied, LogCopy, NewAccount, NewAccountEntry};
pub use error::LedgerError;
pub use heads::{Commit, HeadCommit, HeadLedger};
pub use inspection::{HeadChanges, InspectionLedger, WaitingOffer};
pub use links::{DownloadCount, LinkCreation, LinkLedger, LinkOpening, LinksEnd, NewLink};
pub use offers::{NewOffer, OfferLedger, OfferOutcome};
pub use packs::{PackLedger, QuotaRoom, Reservation, Reserve};
pub use vaults::{NewVault, NewVaultEntry, VaultCreation, VaultLedger};

use super::records::{Fullness, LedgerStats};
use crate::clock::UnixTime;

/// Accounts, logs, heads, the life of every pack, quotas and tokens.
///
/// Each call is one atomic step, and calls that touch the same account, or
/// vaults of the same creator, happen one after the other. What is signed has
/// been verified by the caller; the ledger compares positions, counts bytes and
/// stores. Calls block, as those of [`BlobStore`](super::BlobStore) do.
///
/// # Durability
/// [`commit_head`](HeadLedger::commit_head), [`doom`](PackLedger::doom) and whatever adds
/// an invitation, an account, a vault, an entry of a log, an
/// offer or a link are durable when
/// they return, and with them all that any call wrote before. The rest
/// (uploads, leases, tokens, tickets of links that are not counted) survives the process being killed, and a power cut
/// from the next durable call on.
pub trait Ledger:
    AccountLedger
    + VaultLedger
    + PackLedger
    + HeadLedger
    + OfferLedger
    + LinkLedger
    + InspectionLedger
    + Send
    + Sync
    + 'static
{
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
    /// How many guests a member may bring,
    pub guests: u32,
    /// and how many bytes the entries of all their logs may have; with removals,
    /// twice as many.
    pub guest_bytes: u64,
    /// How many vaults wait for one account to accept that it is a member,
    pub unaccepted: usize,
    /// and how many of them that one member made.
    pub unaccepted_of_one: usize,
    /// How many offers wait for one account,
    pub offers: usize,
    /// how many of them from one member and the guests that he brought,
    pub offers_of_one: usize,
    /// how many of them from callers without a token,
    pub offers_of_strangers: usize,
    /// and how long.
    pub offer: std::time::Duration,
    /// How many links a vault has,
    pub links: usize,
    /// how many tickets one of them,
    pub tickets: u32,
    /// and how long each is good for, unless newer ones take its place.
    pub ticket: std::time::Duration,
}

impl Default for Terms {
    /// 7 and 30 days, and 64 MiB: years of hourly heads of four devices; 256
    /// guests, as many as a vault has members, with 64 MiB of logs; 256
    /// vaults to accept, 32 of one member; 64 offers, 8 of them of one member and
    /// 16 of strangers, for 60 days; 1,024 links, each with 4,096 tickets for a day.
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            lease: std::time::Duration::from_secs(7 * DAY),
            grace: std::time::Duration::from_secs(30 * DAY),
            record_bytes: 64 << 20,
            guests: 256,
            guest_bytes: 64 << 20,
            unaccepted: 256,
            unaccepted_of_one: 32,
            offers: 64,
            offers_of_one: 8,
            offers_of_strangers: 16,
            offer: std::time::Duration::from_secs(60 * DAY),
            links: 1024,
            tickets: 4096,
            ticket: std::time::Duration::from_secs(DAY),
        }
    }
}

/// Whether an entry has to wait for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// It has.
    Ordinary,
    /// It follows what takes access away, and is taken until the account is twice as
    /// full as it may be. One member could have others write it again and again.
    CannotWait,
    /// It takes access away, or the log elsewhere, and is taken however full the
    /// account is. Of these there are no more than ordinary entries before them.
    Removal,
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
    /// As many vaults wait to be accepted by whom it adds as may.
    BoxFull,
}
