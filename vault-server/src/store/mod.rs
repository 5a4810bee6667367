//! What a hoster keeps, behind two ports.
//!
//! ```text
//! services ──▶ Packs ──▶ BlobStore   opaque bytes       memory · embedded
//!        └────────┴────▶ Ledger      what agrees        memory · embedded
//! ```
//!
//! [`Packs`] is where the two meet: an upload's checks, its order of writes,
//! and the sweep. Everything here blocks; async code goes through
//! `spawn_blocking`.

mod blobs;
mod decide;
pub mod embedded;
mod ledger;
pub mod memory;
mod packs;
mod records;

#[cfg(test)]
mod contract;

pub use blobs::{BlobError, BlobStore, Incoming, Room, Which};
pub use ledger::{
    AccountCreation, AccountLedger, Appended, Commit, Copied, DownloadCount, HeadChanges,
    HeadCommit, HeadLedger, InspectionLedger, Ledger, LedgerError, LinkCreation, LinkLedger,
    LinkOpening, LinksEnd, LogCopy, NewAccount, NewAccountEntry, NewLink, NewOffer, NewVault,
    NewVaultEntry, OfferLedger, OfferOutcome, PackLedger, QuotaRoom, Reservation, Reserve, Terms,
    Urgency, VaultCreation, VaultLedger, WaitingOffer,
};
pub use packs::{Begun, DiskReserve, Packs, PutError, Reconciled, StoreError, Swept, Upload};
pub use records::{
    Account, Blob, Fullness, HeadRecord, Invitation, InvitationHash, LedgerStats, Link, LinkId,
    Offer, OfferFrom, OfferHash, Pack, PackState, Presence, Standing, Ticket, TicketHash, Token,
    TokenHash, Usage, Vault,
};
