//! How the hoster says no: one reason a program can act on, and one sentence a
//! person can.

use prost::Message;
use tonic::{Code, Status};
use vault_proto::ids::VaultId;
use vault_rpc::hoster::{Reason, Refusal as WireRefusal};

use crate::store::{BlobError, Fullness, LedgerError, PutError, StoreError};

/// A refusal. The sentence is ours from the first to the last letter, or made
/// of numbers and ids: nothing a caller sent, no path and no secret is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    message: String,
    fullness: Option<Fullness>,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            fullness: None,
        }
    }

    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self::new(Reason::Malformed, message)
    }

    pub(crate) fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Reason::Unauthenticated, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(Reason::Forbidden, message)
    }

    /// A request whose parts do not decode.
    pub(crate) fn undecodable(error: &dyn std::error::Error) -> Self {
        Self::malformed(sentence(error))
    }

    /// An entry or head that does not verify.
    pub(crate) fn invalid(error: &dyn std::error::Error) -> Self {
        Self::new(Reason::InvalidSigned, sentence(error))
    }

    /// The same words whether there is no such vault or the caller is no member.
    pub(crate) fn no_such_vault() -> Self {
        Self::new(Reason::NotFound, "There is no such vault here.")
    }

    pub(crate) fn no_such_account() -> Self {
        Self::new(Reason::NotFound, "There is no such account here.")
    }

    pub(crate) fn lost_race() -> Self {
        Self::new(
            Reason::LostRace,
            "Another device was first. Fetch what is new and try again.",
        )
    }

    pub(crate) fn moved() -> Self {
        Self::new(Reason::Moved, "This log has moved to another hoster.")
    }

    pub(crate) fn too_slow(message: impl Into<String>) -> Self {
        Self::new(Reason::TooSlow, message)
    }

    pub(crate) fn too_many() -> Self {
        Self::new(
            Reason::TooMany,
            "Too many requests in a short time. Wait a moment and try again.",
        )
    }

    pub(crate) fn removed_device() -> Self {
        Self::new(Reason::Removed, "This device was removed from its account.")
    }

    pub(crate) fn removed_member(vault: &VaultId) -> Self {
        Self::new(
            Reason::Removed,
            format!("This member was removed from vault {vault}."),
        )
    }

    /// What a request is that nothing can be read from.
    pub(crate) fn unreadable() -> Self {
        Self::malformed(
            "The request is damaged, or made by a program that speaks another language.",
        )
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Reason::TooLarge, message)
    }

    pub(crate) fn disk_full() -> Self {
        Self::new(
            Reason::DiskFull,
            "The hoster's disk is full. Nothing was stored; try again when there is room.",
        )
    }

    pub(crate) fn quota(fullness: Fullness) -> Self {
        let Fullness {
            quota_bytes,
            used_bytes,
        } = fullness;
        Self {
            fullness: Some(fullness),
            ..Self::new(
                Reason::QuotaExceeded,
                format!("The quota is full: {used_bytes} of {quota_bytes} bytes are used."),
            )
        }
    }

    pub(crate) fn records(fullness: Fullness) -> Self {
        let Fullness {
            quota_bytes,
            used_bytes,
        } = fullness;
        Self {
            fullness: Some(fullness),
            ..Self::new(
                Reason::QuotaExceeded,
                format!(
                    "The account's log entries and heads would take {used_bytes} bytes, and they \
                     may take {quota_bytes}. Old roots are dropped as their grace period ends; \
                     the hoster can raise the quota."
                ),
            )
        }
    }

    pub(crate) fn guests(fullness: Fullness) -> Self {
        let Fullness {
            quota_bytes,
            used_bytes,
        } = fullness;
        Self {
            fullness: Some(fullness),
            ..Self::new(
                Reason::QuotaExceeded,
                format!(
                    "The logs of all guests that one member brought would take {used_bytes} \
                     bytes, and they may take {quota_bytes}."
                ),
            )
        }
    }

    pub(crate) fn log_full(limit_bytes: usize) -> Self {
        Self::too_large(format!(
            "The log would have more than {limit_bytes} bytes. Only removals are taken still."
        ))
    }

    pub(crate) fn trash(fullness: Fullness) -> Self {
        let Fullness {
            quota_bytes,
            used_bytes,
        } = fullness;
        Self {
            fullness: Some(fullness),
            ..Self::new(
                Reason::QuotaExceeded,
                format!(
                    "The trash is full: with this removal it would hold {used_bytes} bytes, and \
                     it may hold {quota_bytes}. It empties itself as its grace period ends."
                ),
            )
        }
    }

    /// What went wrong is written to the log; the caller learns that it did.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            Reason::Internal,
            "Something is wrong at the hoster. It is not your fault; try again later.",
        )
    }

    /// What a program acts on.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What a person reads.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    const fn code(&self) -> Code {
        match self.reason {
            Reason::Malformed | Reason::HashMismatch | Reason::InvalidSigned => {
                Code::InvalidArgument
            }
            Reason::Unauthenticated => Code::Unauthenticated,
            Reason::Forbidden | Reason::Removed => Code::PermissionDenied,
            Reason::NotFound | Reason::InvitationUnknown => Code::NotFound,
            Reason::InvitationExpired
            | Reason::InvitationUsed
            | Reason::ClockSkew
            | Reason::LinkOver
            | Reason::Moved => Code::FailedPrecondition,
            Reason::QuotaExceeded | Reason::DiskFull | Reason::TooMany | Reason::BoxFull => {
                Code::ResourceExhausted
            }
            Reason::LostRace => Code::Aborted,
            Reason::TooLarge => Code::OutOfRange,
            Reason::TooSlow => Code::DeadlineExceeded,
            Reason::Internal | Reason::Unspecified => Code::Internal,
        }
    }
}

/// An error of vault-proto, which says what is wrong in our words, numbers and
/// ids, as a sentence.
fn sentence(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    let first = characters.next().into_iter();
    let mut sentence: String = first.flat_map(char::to_uppercase).collect();
    sentence.push_str(characters.as_str());
    sentence.push('.');
    sentence
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let fullness = refusal.fullness.unwrap_or(Fullness {
            quota_bytes: 0,
            used_bytes: 0,
        });
        let details = WireRefusal {
            reason: refusal.reason.into(),
            message: refusal.message.clone(),
            quota_bytes: fullness.quota_bytes,
            used_bytes: fullness.used_bytes,
        };
        let code = refusal.code();
        Self::with_details(code, refusal.message, details.encode_to_vec().into())
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Full => Self::disk_full(),
            error => Self::internal(&error),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Ledger(error) => error.into(),
            StoreError::Blobs(BlobError::Full) => Self::disk_full(),
            StoreError::Blobs(BlobError::Missing | BlobError::Damaged) => Self::new(
                Reason::NotFound,
                "The hoster has lost this pack. Another copy of it has to be uploaded.",
            ),
            error => Self::internal(&error),
        }
    }
}

impl From<PutError> for Refusal {
    fn from(error: PutError) -> Self {
        match error {
            PutError::NoSuchVault => Self::no_such_vault(),
            PutError::OverQuota(fullness) => Self::quota(fullness),
            PutError::DiskFull => Self::disk_full(),
            PutError::WrongLength { announced } => Self::malformed(format!(
                "The pack was announced with {announced} bytes, and has more or fewer."
            )),
            PutError::HashMismatch => Self::new(
                Reason::HashMismatch,
                "The bytes are not those of the name they were sent under. Nothing was kept.",
            ),
            PutError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_travels_in_the_details_of_a_status() {
        let refusal = Refusal::quota(Fullness {
            quota_bytes: 5,
            used_bytes: 4,
        });
        let status = Status::from(refusal);
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = WireRefusal::decode(status.details()).unwrap();
        assert_eq!(details.reason(), Reason::QuotaExceeded);
        assert_eq!((details.quota_bytes, details.used_bytes), (5, 4));
        assert_eq!(details.message, status.message());
        assert!(!details.message.contains(char::is_control));
    }
}
