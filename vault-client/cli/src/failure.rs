//! Why a command failed, in words.

use std::io;

use vault_client::error::ErrorCode;

use crate::exit::Exit;
use crate::show::printable;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to be told.
    Told {
        /// The stable code.
        code: ErrorCode,
        /// What happened, without control characters.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// Whoever reads the output has seen enough.
    PipeClosed,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl AsRef<str>) -> Self {
        let hint = hint(code).map(str::to_owned);
        Self::Told {
            code,
            message: printable(message.as_ref()),
            hint,
        }
    }

    /// Arguments that make no sense.
    pub(crate) fn usage(message: impl AsRef<str>) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn with_hint(self, better: impl Into<String>) -> Self {
        match self {
            Self::Told { code, message, .. } => Self::Told {
                code,
                message,
                hint: Some(better.into()),
            },
            Self::PipeClosed => self,
        }
    }

    /// A file that the member named, or standard output.
    pub(crate) fn io(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(ErrorCode::DiskFull, format!("{what}: {error}"))
            }
            _ => Self::new(ErrorCode::LocalState, format!("{what}: {error}")),
        }
    }

    /// Standard output.
    pub(crate) fn output(error: io::Error) -> Self {
        Self::io("standard output", &error)
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told { code, .. } => Exit::of(*code),
            Self::PipeClosed => Exit::Done,
        }
    }
}

/// What a member can do about it.
fn hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::HosterUnreachable => {
            "check the connection and try again; an interrupted backup goes on where it stopped"
        }
        ErrorCode::InvitationUnknown => "check that all of it was copied, or ask for another one",
        ErrorCode::InvitationExpired | ErrorCode::InvitationUsed => {
            "ask the hoster for another one"
        }
        ErrorCode::ClockSkew => "set this machine's clock",
        ErrorCode::QuotaExceeded => "ask the hoster for more room, or back up less",
        ErrorCode::DiskFull => "make room and try again",
        ErrorCode::VaultBusy => "try again when the other coffre has finished",
        ErrorCode::NoVault => {
            "`coffre vault list` shows the vaults, `coffre vault create NAME` makes one"
        }
        ErrorCode::VaultExists => "choose another name, or use that vault",
        ErrorCode::AmbiguousVault => "say which with --vault; `coffre vault list` shows them",
        ErrorCode::NoAccount => {
            "sign up first: `coffre signup URL` with an invitation from a hoster"
        }
        ErrorCode::AccountExists => {
            "an account of its own needs a directory of its own: --home DIR or COFFRE_HOME"
        }
        ErrorCode::HosterMisbehaved => {
            "nothing of it was believed; ask the hoster, and keep this message"
        }
        ErrorCode::TooNew => "install a newer coffre",
        _ => return None,
    })
}

/// All errors of the library have a code and one sentence.
macro_rules! told {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.code(), error.to_string())
            }
        }
    )*};
}

told!(
    vault_client::account::AccountError,
    vault_client::backup::BackupError,
    vault_client::check::CheckError,
    vault_client::remote::RemoteError,
    vault_client::restore::RestoreError,
    vault_client::vault::VaultError,
);

impl From<vault_client::contents::ContentsError> for Failure {
    fn from(error: vault_client::contents::ContentsError) -> Self {
        use vault_client::contents::ContentsError;
        match &error {
            ContentsError::Output(source) => Self::output(io::Error::from(source.kind())),
            ContentsError::NoSnapshot(_) | ContentsError::AmbiguousSnapshot(_) => {
                Self::new(error.code(), error.to_string())
                    .with_hint("`coffre snapshots` lists them")
            }
            _ => Self::new(error.code(), error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(failure.exit(), Exit::Done);
        let failure = Failure::output(io::ErrorKind::StorageFull.into());
        assert_eq!(failure.exit(), Exit::Full);
    }

    #[test]
    fn messages_cannot_move_the_cursor() {
        let Failure::Told { message, .. } = Failure::usage("a\x1b[2Jb\nc") else {
            panic!("told nothing")
        };
        assert_eq!(message, "a\\x1b[2Jb\\x0ac");
    }
}
