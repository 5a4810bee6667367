//! What all errors of this library have in common.

use std::fmt;

/// What went wrong, as a code that stays stable: a program's exit code, or
/// another language's exception, hangs on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The caller asked for something that makes no sense.
    InvalidArgument,
    /// The hoster cannot be reached, or the connection broke. Worth another try.
    HosterUnreachable,
    /// The hoster answered, and said no.
    HosterRefused,
    /// Nobody knows this invitation.
    InvitationUnknown,
    /// The invitation is too old.
    InvitationExpired,
    /// Somebody else has used the invitation.
    InvitationUsed,
    /// This device's clock and the hoster's differ too much.
    ClockSkew,
    /// The member's quota at the hoster is used up.
    QuotaExceeded,
    /// The hoster's disk, or this device's, is full.
    DiskFull,
    /// The member or the device may not do this, or not any more.
    NotAllowed,
    /// A vault's keys have to be changed before anything is written to it.
    RotationDue,
    /// Another process is writing to the vault.
    VaultBusy,
    /// There is no such vault, or none at all.
    NoVault,
    /// There is a vault of that name already.
    VaultExists,
    /// More than one vault answers to what was asked for.
    AmbiguousVault,
    /// There is no account on this device yet.
    NoAccount,
    /// There is an account on this device already.
    AccountExists,
    /// A key or phrase does not open what it should.
    WrongKey,
    /// What the hoster sent contradicts what members have signed.
    HosterMisbehaved,
    /// What a member's device has signed or sealed is not what it should be.
    Corrupt,
    /// Written by a newer version of the program.
    TooNew,
    /// The device's own state could not be read or written.
    LocalState,
    /// A pairing of two devices came to nothing: it was refused, or took too
    /// long. Worth another one.
    PairingFailed,
    /// A link has expired, was revoked, or has been used as often as it may be.
    LinkOver,
    /// The hoster does not take this device's login, or not any more.
    DeviceUnknown,
    /// The caller stopped it.
    Cancelled,
}

impl ErrorCode {
    /// All codes of this version.
    pub const ALL: &[Self] = &[
        Self::InvalidArgument,
        Self::HosterUnreachable,
        Self::HosterRefused,
        Self::InvitationUnknown,
        Self::InvitationExpired,
        Self::InvitationUsed,
        Self::ClockSkew,
        Self::QuotaExceeded,
        Self::DiskFull,
        Self::NotAllowed,
        Self::RotationDue,
        Self::VaultBusy,
        Self::NoVault,
        Self::VaultExists,
        Self::AmbiguousVault,
        Self::NoAccount,
        Self::AccountExists,
        Self::WrongKey,
        Self::HosterMisbehaved,
        Self::Corrupt,
        Self::TooNew,
        Self::LocalState,
        Self::PairingFailed,
        Self::LinkOver,
        Self::DeviceUnknown,
        Self::Cancelled,
    ];

    /// The code's name, for machines: it never changes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid-argument",
            Self::HosterUnreachable => "hoster-unreachable",
            Self::HosterRefused => "hoster-refused",
            Self::InvitationUnknown => "invitation-unknown",
            Self::InvitationExpired => "invitation-expired",
            Self::InvitationUsed => "invitation-used",
            Self::ClockSkew => "clock-skew",
            Self::QuotaExceeded => "quota-exceeded",
            Self::DiskFull => "disk-full",
            Self::NotAllowed => "not-allowed",
            Self::RotationDue => "rotation-due",
            Self::VaultBusy => "vault-busy",
            Self::NoVault => "no-vault",
            Self::VaultExists => "vault-exists",
            Self::AmbiguousVault => "ambiguous-vault",
            Self::NoAccount => "no-account",
            Self::AccountExists => "account-exists",
            Self::WrongKey => "wrong-key",
            Self::HosterMisbehaved => "hoster-misbehaved",
            Self::Corrupt => "corrupt",
            Self::TooNew => "too-new",
            Self::LocalState => "local-state",
            Self::PairingFailed => "pairing-failed",
            Self::LinkOver => "link-over",
            Self::DeviceUnknown => "device-unknown",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_codes_are_listed_and_told_apart() {
        // Cancelled stays the last: then a code that is left out shifts one.
        for (place, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, place, "{code}");
        }
        assert_eq!(ErrorCode::ALL.last(), Some(&ErrorCode::Cancelled));
        let names: std::collections::HashSet<_> =
            ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), ErrorCode::ALL.len());
    }
}
