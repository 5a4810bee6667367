//! Why the hoster did not do what it was asked.

use crate::error::ErrorCode;

/// Why a call to the hoster failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No connection, or it broke.
    #[error("the hoster cannot be reached: {detail}")]
    Unreachable {
        /// For a developer; English, without secrets.
        detail: String,
    },
    /// The hoster neither answered nor moved bytes at the slowest pace that is
    /// put up with.
    #[error("the hoster is too slow")]
    Stalled,
    /// The hoster answered, and said no.
    #[error(transparent)]
    Refused(Refusal),
    /// The hoster's answer breaks the protocol.
    #[error(transparent)]
    Misbehaved(Misbehaviour),
    /// Whoever answered does not hold the hoster's key.
    #[error("whoever answers does not hold the hoster's key")]
    WrongHosterKey,
    /// Whoever answered has no certificate that this device trusts.
    #[error("the hoster's certificate is not to be trusted: {detail}")]
    UntrustedCertificate {
        /// For a developer; English.
        detail: String,
    },
    /// The caller stopped the call.
    #[error("cancelled")]
    Cancelled,
}

impl RemoteError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unreachable { .. } | Self::Stalled => ErrorCode::HosterUnreachable,
            Self::Refused(refusal) => refusal.code(),
            Self::Misbehaved(_) | Self::WrongHosterKey | Self::UntrustedCertificate { .. } => {
                ErrorCode::HosterMisbehaved
            }
            Self::Cancelled => ErrorCode::Cancelled,
        }
    }

    /// Whether the same call may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled => true,
            Self::Refused(refusal) => matches!(
                refusal.reason,
                RefusalReason::Internal | RefusalReason::TooSlow
            ),
            Self::Misbehaved(_)
            | Self::WrongHosterKey
            | Self::UntrustedCertificate { .. }
            | Self::Cancelled => false,
        }
    }
}

/// What the hoster says when it says no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hoster refused: {message}")]
pub struct Refusal {
    /// Why.
    pub reason: RefusalReason,
    /// For a person; English, as the hoster wrote it, without control
    /// characters and at most 500 characters long.
    pub message: String,
    /// With [`RefusalReason::QuotaExceeded`]: bytes.
    pub quota_bytes: u64,
    /// With [`RefusalReason::QuotaExceeded`]: bytes.
    pub used_bytes: u64,
}

impl Refusal {
    /// A refusal whose message, coming from outside, is made fit to be shown.
    #[must_use]
    pub fn new(reason: RefusalReason, message: &str) -> Self {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        Self {
            reason,
            message: message.chars().take(500).map(printable).collect(),
            quota_bytes: 0,
            used_bytes: 0,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self.reason {
            RefusalReason::InvitationUnknown => ErrorCode::InvitationUnknown,
            RefusalReason::InvitationExpired => ErrorCode::InvitationExpired,
            RefusalReason::InvitationUsed => ErrorCode::InvitationUsed,
            RefusalReason::QuotaExceeded => ErrorCode::QuotaExceeded,
            RefusalReason::DiskFull => ErrorCode::DiskFull,
            RefusalReason::ClockSkew => ErrorCode::ClockSkew,
            RefusalReason::NotFound => ErrorCode::NoVault,
            RefusalReason::Unauthenticated => ErrorCode::DeviceUnknown,
            _ => ErrorCode::HosterRefused,
        }
    }
}

/// Why the hoster says no; the protocol's `Reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// The request makes no sense to the hoster.
    Malformed,
    /// Not logged in.
    Unauthenticated,
    /// Known, but not allowed.
    Forbidden,
    /// There is no such thing, or it is not the caller's to see.
    NotFound,
    /// Nobody knows the invitation.
    InvitationUnknown,
    /// The invitation is too old.
    InvitationExpired,
    /// Somebody else has used the invitation.
    InvitationUsed,
    /// The quota is used up.
    QuotaExceeded,
    /// The hoster's disk is full.
    DiskFull,
    /// The clocks differ too much.
    ClockSkew,
    /// The bytes are not those of the name they were sent under.
    HashMismatch,
    /// An entry or head does not verify.
    InvalidSigned,
    /// Another writer was first.
    LostRace,
    /// Over a limit.
    TooLarge,
    /// The device sent too slowly.
    TooSlow,
    /// The log has moved to another hoster.
    Moved,
    /// The link has expired, was revoked, or has been used up.
    LinkOver,
    /// The recipient has as many offers waiting as the hoster keeps.
    BoxFull,
    /// The hoster has a fault of its own.
    Internal,
    /// A reason that this version does not know.
    Other,
}

/// How an answer breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// An answer lacks something, or has a length that it cannot have.
    #[error("the hoster's answer makes no sense")]
    Malformed,
    /// An answer is longer than any answer may be.
    #[error("the hoster's answer is too long")]
    TooLarge,
    /// Fewer bytes came than were asked for.
    #[error("the hoster sent fewer bytes than it was asked for")]
    ReadTooShort,
    /// More bytes came than were asked for.
    #[error("the hoster sent more bytes than it was asked for")]
    ReadTooLong,
    /// A pack that was read is not there.
    #[error("the hoster has lost a pack")]
    PackMissing,
    /// The hoster says that a pack is missing which it was not asked about.
    #[error("the hoster misses packs that it was not asked about")]
    MissingUnasked,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_cannot_write_to_the_terminal() {
        let refusal = Refusal::new(
            RefusalReason::Forbidden,
            "no\u{1b}[2J\u{9b}31m\r\nway\u{7f}",
        );
        assert!(!refusal.message.chars().any(char::is_control));
        assert!(refusal.message.starts_with("no [2J"));
        let long = Refusal::new(RefusalReason::Forbidden, &"é".repeat(10_000));
        assert_eq!(long.message.chars().count(), 500);
    }
}
