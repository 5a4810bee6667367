//! Why an entry is not the next of a vault log.

use crate::canonical::DecodeError;
use crate::entry::{FieldError, SignaturesError};
use crate::ids::{AccountId, DeviceId, VaultId};
use crate::origin::OriginError;
use crate::position::HeadPosition;

/// Why an entry was refused. The log is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultLogError {
    /// The payload is not the canonical encoding of an entry.
    #[error("the entry's payload is {0}")]
    Decode(#[from] DecodeError),
    /// A version that this program does not know.
    #[error("the entry has version {0}")]
    Version(u32),
    /// A field is missing or not of its length.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The address in a `moved` entry is none.
    #[error(transparent)]
    Origin(#[from] OriginError),

    /// A log begins with a genesis, and this is none.
    #[error("the log does not begin with a genesis")]
    NotGenesis,
    /// A genesis in the middle of a log.
    #[error("a genesis can only come first")]
    GenesisAgain,
    /// The entry belongs to another vault.
    #[error("the entry belongs to another vault than {expected}")]
    OtherVault {
        /// Whose log this is.
        expected: VaultId,
    },
    /// Entries between the log's last and this one are missing.
    #[error("entry {got} came where {expected} was due")]
    Missing {
        /// The entry that comes next.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// The log has this very entry already.
    #[error("entry {seq} is in the log already")]
    Repeated {
        /// Which.
        seq: u64,
    },
    /// There are two entries at this place: someone signed twice, or lies.
    #[error("there is another entry at {seq}: the log forks")]
    Fork {
        /// Where.
        seq: u64,
    },
    /// The entry names no head or an older one than the entry before it.
    #[error("the entry does not know head {}, which the one before it names", known.seq)]
    OlderHead {
        /// What the entry before names.
        known: HeadPosition,
    },
    /// The entry names another head than the entry before it, at the same place.
    #[error("there is another head at {seq}: the chain of heads forks")]
    HeadFork {
        /// Where.
        seq: u64,
    },

    /// The log of an account that the entry names is not at hand.
    #[error("the account log of {account} is not at hand")]
    AccountLogMissing {
        /// Whose.
        account: AccountId,
    },
    /// The entry knows entries of an account log that are not at hand.
    #[error("the account log of {account} is at hand up to {have}; the entry names {need}")]
    AccountEntriesMissing {
        /// Whose.
        account: AccountId,
        /// The newest entry at hand.
        have: u64,
        /// The entry that is named.
        need: u64,
    },
    /// The entry names another account entry than that log holds at the place.
    #[error("the entry names another entry than the account log of {account} holds")]
    PositionMismatch {
        /// Whose.
        account: AccountId,
    },
    /// The entry names an older place in an account log than an entry before it.
    #[error("the entry does not know the newest recorded entry of account {account}")]
    PositionWentBack {
        /// Whose.
        account: AccountId,
    },
    /// The entry names its author at two places of his log.
    #[error("the entry names its author at two places of his log")]
    TwoPositions,

    /// The author is no member.
    #[error("the author is no member of the vault")]
    Stranger,
    /// The author has not accepted his membership.
    #[error("the author has not accepted his membership")]
    NotAccepted,
    /// The author's membership is accepted already.
    #[error("the membership is accepted already")]
    AlreadyAccepted,
    /// The author's account never had such a device.
    #[error("device {0} is unknown")]
    UnknownDevice(DeviceId),
    /// The device was not yet added or already removed.
    #[error("device {0} is not active")]
    DeviceNotActive(DeviceId),
    /// Not signed by exactly the device that it names.
    #[error("the entry is not signed by exactly the device that it names")]
    Signers,
    /// The signature does not fit.
    #[error("the signature of device {device} does not fit")]
    BadSignature {
        /// Whose.
        device: DeviceId,
    },

    /// The author's role does not allow this entry.
    #[error("the author's role does not allow this entry")]
    NotAllowed,
    /// Only a paper device moves the vault.
    #[error("only a paper device moves the vault")]
    PaperNeeded,
    /// A paper that a machine added, or that such a paper added, does not move
    /// the vault.
    #[error("a paper device that a machine added does not move the vault")]
    PaperNotRooted,
    /// An account vault has one member for ever and never moves.
    #[error("no such entry in an account vault")]
    NotInAccountVault,
    /// The vault would be left without a manager who has accepted.
    #[error("the vault would be left without a manager")]
    LastManager,
    /// The account is a member already.
    #[error("account {0} is a member already")]
    AlreadyMember(AccountId),
    /// The account is no member.
    #[error("account {0} is no member")]
    NotAMember(AccountId),
    /// No more than 256 members.
    #[error("the vault has as many members as it may have")]
    TooManyMembers,
    /// The member has this role already.
    #[error("the member has this role already")]
    SameRole,
    /// A refresh to a place that is recorded already.
    #[error("the refresh names nothing newer than what is recorded")]
    NothingNewer,
    /// Nobody is added while a rotation is due.
    #[error("a rotation is due")]
    RotationDue,
    /// The epoch is not the next one.
    #[error("the epoch has number {got} where {expected} was due")]
    EpochNumber {
        /// The number that comes next.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// The commitment of an earlier epoch: its secret would be an old one.
    #[error("the epoch's commitment is that of an earlier epoch")]
    CommitmentReused,
    /// The epoch secret is not sealed to exactly the members, in order.
    #[error("the epoch secret is not sealed to exactly the members")]
    Boxes,
    /// A box is sealed to another generation than the account's at the place
    /// that the box names.
    #[error("a box for {account} is sealed to generation {got}; {expected} was the newest")]
    Generation {
        /// Whose box.
        account: AccountId,
        /// The newest generation at that place.
        expected: u64,
        /// The box's.
        got: u64,
    },
    /// A move to where the vault is.
    #[error("the vault is at that hoster already")]
    SameHome,
}

impl From<SignaturesError> for VaultLogError {
    fn from(error: SignaturesError) -> Self {
        match error {
            SignaturesError::Signers => Self::Signers,
            SignaturesError::Bad(device) => Self::BadSignature { device },
        }
    }
}
