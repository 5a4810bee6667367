//! Why an entry is not the next of an account log.

use crate::canonical::DecodeError;
use crate::device::DeviceError;
use crate::entry::{FieldError, SignaturesError};
use crate::ids::{AccountId, DeviceId};
use crate::origin::OriginError;

/// Why an entry was refused. The log is as it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountLogError {
    /// The payload is not the canonical encoding of an entry.
    #[error("the entry's payload is {0}")]
    Decode(#[from] DecodeError),
    /// A version that this program does not know.
    #[error("the entry has version {0}")]
    Version(u32),
    /// A field is missing or not of its length.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// A device's keys or kind are none.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The address in a `moved` entry is none.
    #[error(transparent)]
    Origin(#[from] OriginError),

    /// A log begins with a genesis, and this is none.
    #[error("the log does not begin with a genesis")]
    NotGenesis,
    /// A genesis in the middle of a log.
    #[error("a genesis can only come first")]
    GenesisAgain,
    /// The entry belongs to another account.
    #[error("the entry belongs to another account than {expected}")]
    OtherAccount {
        /// Whose log this is.
        expected: AccountId,
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

    /// The author is no active device of the account.
    #[error("the author is no active device of the account")]
    AuthorNotActive,
    /// Not signed by exactly those who must sign, in their order.
    #[error("the entry is not signed by exactly those who must sign it")]
    Signers,
    /// A signature does not fit.
    #[error("the signature of device {device} does not fit")]
    BadSignature {
        /// Whose.
        device: DeviceId,
    },

    /// A genesis lists from 1 to 16 devices.
    #[error("a genesis lists {0} devices")]
    GenesisDevices(usize),
    /// Devices of a genesis are not in strictly ascending order of their ids.
    #[error("the devices are not ordered by their ids")]
    DeviceOrder,
    /// The device was added before; one that was removed never comes back.
    #[error("device {0} was in this log before")]
    DeviceReused(DeviceId),
    /// Another device has the same signing or key-encapsulation key, or had it.
    #[error("a key of device {0} was another's")]
    KeyReused(DeviceId),
    /// No more than 64 devices can be active, and where another device than a
    /// rooted paper adds one, no more than 56.
    #[error("the account has as many devices as it may have")]
    TooManyDevices,
    /// The entry is about a device that is not active.
    #[error("device {0} is not active")]
    DeviceNotActive(DeviceId),
    /// A device cannot remove itself.
    #[error("a device cannot remove itself")]
    RemovesItself,
    /// Only a paper device removes a paper device, or moves the log.
    #[error("only a paper device removes a paper device or moves the log")]
    PaperNeeded,
    /// A paper that a machine added, or that such a paper added, removes no paper
    /// and does not move the log.
    #[error("a paper device that a machine added removes no paper device and moves no log")]
    PaperNotRooted,
    /// The account key's generation is not the next one.
    #[error("the account key has generation {got} where {expected} was due")]
    Generation {
        /// The generation that comes next.
        expected: u64,
        /// The one that came.
        got: u64,
    },
    /// An account key of an earlier generation.
    #[error("the account key is one of an earlier generation")]
    AccountKeyReused,
    /// The account key is not sealed to exactly the active devices, in order.
    #[error("the account key is not sealed to exactly the active devices")]
    Boxes,
    /// A move to where the log is.
    #[error("the log is at that hoster already")]
    SameHome,
}

impl From<SignaturesError> for AccountLogError {
    fn from(error: SignaturesError) -> Self {
        match error {
            SignaturesError::Signers => Self::Signers,
            SignaturesError::Bad(device) => Self::BadSignature { device },
        }
    }
}
