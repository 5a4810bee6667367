//! What the program's exit code says.

use std::process::ExitCode;

use vault_client::error::ErrorCode;

/// How a command ended. Scripts rely on the numbers: they never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Failed = 1,
    Usage = 2,
    Partly = 3,
    Unreachable = 4,
    Full = 5,
    Busy = 6,
    NoVault = 10,
    WrongKey = 12,
    HosterMisbehaved = 13,
    Cancelled = 130,
}

/// What `coffre --help` says about them.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  failed
    2  wrong arguments, or more than one vault: say which
    3  partly done: something was left out, or is not as it should be
    4  the hoster cannot be reached
    5  the quota is used up, or a disk is full
    6  another process is writing to the vault
   10  no vault here, or no account
   12  wrong key
   13  the hoster misbehaved: lost or changed something, or is not who it was; or a
       vault is not all brought forward again after that
  130  cancelled

NO_COLOR switches colours off. COFFRE_HOME is --home. COFFRE_LANG is the language\nof messages, en or fr; without it, that of the locale.";

impl Exit {
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The exit code that stands for an error of the library.
    pub(crate) fn of(code: ErrorCode) -> Self {
        match code {
            ErrorCode::InvalidArgument | ErrorCode::AmbiguousVault => Self::Usage,
            ErrorCode::HosterUnreachable => Self::Unreachable,
            ErrorCode::QuotaExceeded | ErrorCode::DiskFull => Self::Full,
            ErrorCode::VaultBusy => Self::Busy,
            // Without an account there is no vault either.
            ErrorCode::NoVault | ErrorCode::NoAccount => Self::NoVault,
            ErrorCode::WrongKey => Self::WrongKey,
            ErrorCode::HosterMisbehaved => Self::HosterMisbehaved,
            ErrorCode::Cancelled => Self::Cancelled,
            ErrorCode::HosterRefused
            | ErrorCode::InvitationUnknown
            | ErrorCode::InvitationExpired
            | ErrorCode::InvitationUsed
            | ErrorCode::ClockSkew
            | ErrorCode::NotAllowed
            | ErrorCode::RotationDue
            | ErrorCode::VaultExists
            | ErrorCode::AccountExists
            | ErrorCode::Corrupt
            | ErrorCode::TooNew
            | ErrorCode::LocalState
            | ErrorCode::PairingFailed
            | ErrorCode::LinkOver
            | ErrorCode::DeviceUnknown => Self::Failed,
            // The library may learn codes before this program does.
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_exit() {
        let expected = |code| match code {
            ErrorCode::InvalidArgument => 2,
            ErrorCode::HosterUnreachable => 4,
            ErrorCode::HosterRefused => 1,
            ErrorCode::InvitationUnknown => 1,
            ErrorCode::InvitationExpired => 1,
            ErrorCode::InvitationUsed => 1,
            ErrorCode::ClockSkew => 1,
            ErrorCode::QuotaExceeded => 5,
            ErrorCode::DiskFull => 5,
            ErrorCode::NotAllowed => 1,
            ErrorCode::RotationDue => 1,
            ErrorCode::VaultBusy => 6,
            ErrorCode::NoVault => 10,
            ErrorCode::VaultExists => 1,
            ErrorCode::AmbiguousVault => 2,
            ErrorCode::NoAccount => 10,
            ErrorCode::AccountExists => 1,
            ErrorCode::WrongKey => 12,
            ErrorCode::HosterMisbehaved => 13,
            ErrorCode::Corrupt => 1,
            ErrorCode::TooNew => 1,
            ErrorCode::LocalState => 1,
            ErrorCode::PairingFailed => 1,
            ErrorCode::LinkOver => 1,
            ErrorCode::DeviceUnknown => 1,
            ErrorCode::Cancelled => 130,
            other => panic!("{other} needs an exit code"),
        };
        for &code in ErrorCode::ALL {
            assert_eq!(Exit::of(code).number(), expected(code), "{code}");
        }
    }

    #[test]
    fn the_help_names_every_exit_code() {
        let exits = [
            Exit::Done,
            Exit::Failed,
            Exit::Usage,
            Exit::Partly,
            Exit::Unreachable,
            Exit::Full,
            Exit::Busy,
            Exit::NoVault,
            Exit::WrongKey,
            Exit::HosterMisbehaved,
            Exit::Cancelled,
        ];
        for exit in exits {
            let number = format!("{:>5}  ", exit.number());
            assert!(
                HELP.lines().any(|line| line.starts_with(&number)),
                "{exit:?}"
            );
        }
    }
}
