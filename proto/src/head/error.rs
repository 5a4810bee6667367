//! Why a head was refused.

use crate::ids::{AccountId, DeviceId};
use crate::position::HeadPosition;

/// Why a head, or a path of heads, was refused. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not 456 bytes.
    #[error("a head is 456 bytes, not {0}")]
    Length(usize),
    /// Does not begin as heads of this version do.
    #[error("not a head of this version")]
    Magic,
    /// A sequence number, or a position's, is 0.
    #[error("the head counts from 0")]
    Zero,
    /// Names a head before the first, or none where there is one.
    #[error("the head's links do not fit its sequence number")]
    Links,

    /// A head of another vault.
    #[error("the head belongs to another vault")]
    NotThisVault,
    /// Older than one that is known: the hoster went back, or hides the newest.
    #[error("head {got} is older than head {} that is known", known.seq)]
    Older {
        /// The head that is known.
        known: HeadPosition,
        /// The newest that was offered.
        got: u64,
    },
    /// The very head that is known.
    #[error("head {seq} is known already")]
    Repeated {
        /// Which.
        seq: u64,
    },
    /// There are two heads at this place.
    #[error("there is another head at {seq}: the chain forks")]
    Fork {
        /// The newest place where they are known to differ.
        seq: u64,
    },
    /// The way from the newest head back to the known one is interrupted.
    #[error("the link from head {newer} back to head {older} is missing")]
    MissingLink {
        /// The last head that was reached.
        newer: u64,
        /// The one that it does not link to.
        older: u64,
    },
    /// The path was verified for another head than this.
    #[error("the head is not the newest of the path")]
    NotOfThisPath,

    /// The head knows entries of the vault log that are not at hand.
    #[error("the vault log is at hand up to {have}; the head knows entry {need}")]
    VaultEntriesMissing {
        /// The newest entry at hand.
        have: u64,
        /// The entry that the head names.
        need: u64,
    },
    /// The log of the head's author is not at hand.
    #[error("the account log of {account} is not at hand")]
    AccountLogMissing {
        /// The author's account.
        account: AccountId,
    },
    /// The head knows entries of its author's account log that are not at hand.
    #[error("the account log of {account} is at hand up to {have}; the head knows entry {need}")]
    AccountEntriesMissing {
        /// The author's account.
        account: AccountId,
        /// The newest entry at hand.
        have: u64,
        /// The entry that the head names.
        need: u64,
    },
    /// The head names another entry than the log holds at that place.
    #[error("the head names an entry that is not the log's: a log forks")]
    PositionMismatch,
    /// The head names a place in a log that is older than one that was known
    /// to those who came before it.
    #[error("the head does not know the newest entries of a log")]
    StalePosition,
    /// The head names an entry that was made after it.
    #[error("the head names a vault entry that came after it")]
    PositionAhead,

    /// The author is no member.
    #[error("the author is no member of the vault")]
    Stranger,
    /// The author may only read, or has not accepted his membership.
    #[error("the author may not write")]
    MayNotWrite,
    /// A rotation was due: nothing may be sealed before it is done.
    #[error("the head was made while a rotation was due")]
    RotationDue,
    /// Not the epoch of the entry that the head names.
    #[error("the head names epoch {got} where {expected} is the current one")]
    WrongEpoch {
        /// The epoch at the vault entry that the head names.
        expected: u64,
        /// The head's.
        got: u64,
    },
    /// The author's account never had such a device.
    #[error("device {0} is unknown")]
    UnknownDevice(DeviceId),
    /// The device was not yet added or already removed.
    #[error("device {0} is not active")]
    DeviceNotActive(DeviceId),
    /// The signature does not fit.
    #[error("the signature of the head does not fit")]
    BadSignature,

    /// Not one of the two lengths, or not the root that the head names.
    #[error("this is not the sealed root that the head names")]
    OtherRoot,
    /// Not the packs that the head names.
    #[error("these are not the packs that the head names")]
    OtherPacks,
}
