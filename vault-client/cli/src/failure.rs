//! Why a command failed, in words.

use std::error::Error;
use std::io;
use std::path::Path;

use vault_client::error::ErrorCode;
use vault_client::reconcile::ReconcileError;
use vault_client::vault::{RootError, UnreadableRoot, VaultError};
use vault_core::root::OpenRootError;
use vault_core::timestamp::Timestamp;
use vault_proto::head::HeadError;
use vault_proto::vault_log::VaultKind;

use crate::exit::Exit;
use crate::language::{Words, say, words};
use crate::message::{Message, both};
use crate::show::local_time;

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to be told.
    Told {
        /// The stable code.
        code: ErrorCode,
        /// What happened.
        message: Message,
        /// More of it, in the member's language.
        more: Option<String>,
        /// What to do about it.
        hint: Option<Words>,
        /// Whether the hoster is to blame.
        blames_hoster: bool,
    },
    /// Whoever reads the output has seen enough.
    PipeClosed,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: Message) -> Self {
        Self::Told {
            code,
            message,
            more: None,
            hint: hint(code),
            blames_hoster: code == ErrorCode::HosterMisbehaved,
        }
    }

    /// What an error says.
    pub(crate) fn of(code: ErrorCode, error: &impl Error) -> Self {
        Self::new(code, Message::of(error))
    }

    /// Arguments that make no sense.
    pub(crate) fn usage(message: Message) -> Self {
        Self::new(ErrorCode::InvalidArgument, message)
    }

    pub(crate) fn with_hint(self, better: Words) -> Self {
        match self {
            Self::Told {
                code,
                message,
                more,
                blames_hoster,
                ..
            } => Self::Told {
                code,
                message,
                more,
                hint: Some(better),
                blames_hoster,
            },
            Self::PipeClosed => self,
        }
    }

    /// Of a backup, which the next one goes on with.
    pub(crate) fn of_backup(self) -> Self {
        match self {
            Self::Told {
                code: ErrorCode::HosterUnreachable,
                ..
            } => self.with_hint(words(
                "check the connection and try again; an interrupted backup goes on where it stopped",
                "vérifiez la connexion et réessayez ; une sauvegarde interrompue reprend où elle en était",
            )),
            other => other,
        }
    }

    /// With what helps in a state of a vault that its code alone does not tell.
    fn about(mut self, error: Option<&VaultError>) -> Self {
        if let Self::Told {
            more,
            blames_hoster,
            ..
        } = &mut self
        {
            *more = error.and_then(went_back);
            *blames_hoster &= !error.is_some_and(is_known);
        }
        match error.and_then(vault_hint) {
            Some(better) => self.with_hint(better),
            None => self,
        }
    }

    /// A file that the member named.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        let path = path.display();
        Self::io_told(error, both!("{path}: {error}", "{path} : {error}"; error))
    }

    /// Something that bytes go to or come from, and no file.
    pub(crate) fn io(what: Words, error: &io::Error) -> Self {
        let (english, french) = (what.english, what.french);
        let message = both!("{english}: {error}", "{french} : {error}"; error);
        Self::io_told(error, message)
    }

    fn io_told(error: &io::Error, message: Message) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::new(ErrorCode::DiskFull, message)
            }
            _ => Self::new(ErrorCode::LocalState, message),
        }
    }

    /// Standard output.
    pub(crate) fn output(error: io::Error) -> Self {
        Self::io(words("standard output", "sortie standard"), &error)
    }

    /// None where nothing is told.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Told { code, .. } => Some(*code),
            Self::PipeClosed => None,
        }
    }

    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Told { code, .. } => Exit::of(*code),
            Self::PipeClosed => Exit::Done,
        }
    }
}

/// A message in French. Where it is not known, what kind of error it is stands before
/// the English; and so it does before what the hoster is to blame for, of which members
/// are told by these words.
pub(crate) fn french(code: ErrorCode, message: &Message, blames_hoster: bool) -> String {
    let kind = kind(code);
    match message.french() {
        Some(french) if blames_hoster => format!("{kind} : {french}"),
        Some(french) => french.into_owned(),
        None => format!("{kind} ({})", message.english()),
    }
}

/// What kind of error it is, in French.
fn kind(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidArgument => "demande incorrecte",
        ErrorCode::HosterUnreachable => "l’hébergeur est injoignable",
        ErrorCode::HosterRefused => "l’hébergeur refuse",
        ErrorCode::InvitationUnknown => "invitation inconnue",
        ErrorCode::InvitationExpired => "invitation expirée",
        ErrorCode::InvitationUsed => "invitation déjà utilisée",
        ErrorCode::ClockSkew => "l’horloge de cette machine n’est pas à l’heure",
        ErrorCode::QuotaExceeded => "quota épuisé",
        ErrorCode::DiskFull => "disque plein",
        ErrorCode::NotAllowed => "non autorisé",
        ErrorCode::RotationDue => "les clés du coffre doivent d’abord être changées",
        ErrorCode::VaultBusy => "le coffre est occupé",
        ErrorCode::NoVault => "pas de coffre",
        ErrorCode::VaultExists => "ce coffre existe déjà",
        ErrorCode::AmbiguousVault => "plusieurs coffres possibles",
        ErrorCode::NoAccount => "pas de compte sur cet appareil",
        ErrorCode::AccountExists => "cet appareil a déjà un compte",
        ErrorCode::WrongKey => "mauvaise clé",
        ErrorCode::HosterMisbehaved => "l’hébergeur se comporte mal",
        ErrorCode::Corrupt => "données endommagées",
        ErrorCode::TooNew => "écrit par une version plus récente",
        ErrorCode::LocalState => "erreur sur cet appareil",
        ErrorCode::PairingFailed => "l’appairage n’a pas abouti",
        ErrorCode::LinkOver => "le lien n’est plus valable",
        ErrorCode::DeviceUnknown => "l’hébergeur ne connaît pas cet appareil",
        ErrorCode::Cancelled => "interrompu",
        _ => "erreur",
    }
}

/// What a member can do about it.
fn hint(code: ErrorCode) -> Option<Words> {
    Some(match code {
        ErrorCode::HosterUnreachable => words(
            "check the connection and try again",
            "vérifiez la connexion et réessayez",
        ),
        ErrorCode::InvitationUnknown => words(
            "check that all of it was copied, or ask for another one",
            "vérifiez qu’elle est copiée en entier, ou demandez-en une autre",
        ),
        ErrorCode::InvitationExpired | ErrorCode::InvitationUsed => words(
            "ask the hoster for another one",
            "demandez-en une autre à l’hébergeur",
        ),
        ErrorCode::ClockSkew => words(
            "set this machine's clock",
            "mettez l’horloge de cette machine à l’heure",
        ),
        ErrorCode::QuotaExceeded => words(
            "ask the hoster for more room, or back up less",
            "demandez plus de place à l’hébergeur, ou sauvegardez moins",
        ),
        // This device's, or the hoster's, as the message says.
        ErrorCode::DiskFull => words(
            "make room, or wait until the hoster has, and try again",
            "faites de la place, ou attendez que l’hébergeur en fasse, et réessayez",
        ),
        ErrorCode::VaultBusy => words(
            "try again when the other coffre has finished",
            "réessayez quand l’autre coffre aura fini",
        ),
        ErrorCode::NoVault => words(
            "`coffre vault list` shows the vaults, `coffre vault create NAME` makes one",
            "`coffre vault list` montre les coffres, `coffre vault create NOM` en crée un",
        ),
        ErrorCode::VaultExists => words(
            "choose another name, or use that vault",
            "choisissez un autre nom, ou utilisez ce coffre",
        ),
        ErrorCode::AmbiguousVault => words(
            "say which with --vault; `coffre vault list` shows them",
            "dites lequel avec --vault ; `coffre vault list` les montre",
        ),
        ErrorCode::NoAccount => words(
            "sign up first: `coffre signup URL` with an invitation from a hoster",
            "inscrivez-vous d’abord : `coffre signup URL` avec l’invitation d’un hébergeur",
        ),
        ErrorCode::AccountExists => words(
            "an account of its own needs a directory of its own: --home DIR or COFFRE_HOME",
            "un autre compte demande un autre répertoire : --home DIR ou COFFRE_HOME",
        ),
        ErrorCode::HosterMisbehaved => words(
            "nothing of it was believed; ask the hoster, and keep this message",
            "rien n’en a été cru ; demandez à l’hébergeur, et gardez ce message",
        ),
        ErrorCode::PairingFailed => words(
            "begin again on the new device, with another code",
            "recommencez sur le nouvel appareil, avec un autre code",
        ),
        ErrorCode::RotationDue => words(
            "somebody who may write to the vault has to open it first, with any command that writes",
            "quelqu’un qui peut écrire dans le coffre doit d’abord l’ouvrir, par une commande qui écrit",
        ),
        ErrorCode::DeviceUnknown => words(
            "this device may have been taken out of its account: `coffre device list` on another device shows it. What is on this computer stays; `coffre device pair` or `coffre recover`, with another --home, brings it in anew",
            "cet appareil a peut-être été retiré de son compte : `coffre device list` sur un autre appareil le montre. Ce qui est sur cet ordinateur y reste ; `coffre device pair` ou `coffre recover`, avec un autre --home, le fait entrer de nouveau",
        ),
        ErrorCode::TooNew => words("install a newer coffre", "installez un coffre plus récent"),
        _ => return None,
    })
}

/// Of a hoster that went back to an old backup: that this is known, and the rest is
/// between the member's devices.
fn is_known(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::BeingBroughtForward
            | VaultError::CannotReconcile
            | VaultError::NotBroughtBack { .. }
            | VaultError::EntriesLeftBehind { .. }
    )
}

/// Likewise, where the hoster is not to be asked: what it did is [known](is_known).
fn vault_hint(error: &VaultError) -> Option<Words> {
    Some(match error {
        VaultError::BeingBroughtForward => words(
            "`coffre vault reconcile NAME` on this device until it is through, then the same command again",
            "`coffre vault reconcile NOM` sur cet appareil, jusqu’au bout, puis la même commande encore",
        ),
        VaultError::PutOut { .. } => words(
            "`coffre vault list` says who ended it, and `coffre vault delete NAME` takes it off that list; what you have restored stays yours",
            "`coffre vault list` dit qui y a mis fin, et `coffre vault delete NOM` l’ôte de cette liste ; ce que vous avez restauré reste à vous",
        ),
        VaultError::CannotReconcile => words(
            "`coffre vault reconcile NAME` on the device that wrote to the vault last",
            "`coffre vault reconcile NOM` sur l’appareil qui a écrit le dernier dans le coffre",
        ),
        VaultError::WriterTooOld(_)
        | VaultError::Unreadable(UnreadableRoot {
            error: RootError::Open(OpenRootError::ReaderTooOld { .. }),
            ..
        }) => words(
            "install a newer coffre. If nobody in this vault uses one, a member has said so to spoil it: `coffre vault heads NAME` shows who, and `coffre vault repair NAME --leave-out` brings back what was there before",
            "installez un coffre plus récent. Si personne dans ce coffre n’en utilise, un membre l’a dit pour nuire : `coffre vault heads NOM` montre qui, et `coffre vault repair NOM --leave-out` ramène ce qu’il y avait avant",
        ),
        VaultError::Unreadable(UnreadableRoot {
            kind: VaultKind::Account,
            ..
        }) => words(
            "take out the device that did it (`coffre device remove`); then `coffre vault repair`, without a name, brings back what your account held before",
            "retirez l’appareil qui l’a fait (`coffre device remove`) ; puis `coffre vault repair`, sans nom, ramène ce que contenait votre compte",
        ),
        VaultError::Unreadable(_) => words(
            "take out who did it (`coffre unshare`, `coffre device remove`); then `coffre vault repair NAME` brings back what was there before",
            "retirez qui l’a fait (`coffre unshare`, `coffre device remove`) ; puis `coffre vault repair NOM` ramène ce qu’il y avait avant",
        ),
        VaultError::VaultKeys(error) if error.is_closed() => words(
            "take out who did it (`coffre unshare`, `coffre device remove`); if nobody else in this vault can read it either, `coffre vault repair NAME --leave-out` brings back what was there before",
            "retirez qui l’a fait (`coffre unshare`, `coffre device remove`) ; si personne d’autre dans ce coffre ne peut le lire non plus, `coffre vault repair NOM --leave-out` ramène ce qu’il y avait avant",
        ),
        // Who shows two histories attacks, as a rule.
        VaultError::Head(HeadError::Fork { .. }) => words(
            "nothing of it was believed; ask the hoster, and keep this message. Only if it has told you that it restored an old backup, and a device has saved to it since: `coffre vault reconcile NAME --join` keeps what both lead to",
            "rien n’en a été cru ; demandez à l’hébergeur, et gardez ce message. Seulement s’il vous a dit avoir restauré une ancienne sauvegarde, et qu’un appareil y a sauvegardé depuis : `coffre vault reconcile NOM --join` garde ce à quoi mènent les deux",
        ),
        VaultError::NotBroughtBack { .. } => words(
            "`coffre vault reconcile NAME --join` on this device keeps what it has and what came back",
            "`coffre vault reconcile NOM --join` sur cet appareil garde ce qu’il a et ce qui est revenu",
        ),
        VaultError::EntriesLeftBehind { .. } => words(
            "`coffre vault members NAME` and `coffre device list` on another device show who is in: remove again who had been removed; then `coffre recover` or `coffre device pair`, with another --home, sets this device up anew",
            "sur un autre appareil, `coffre vault members NOM` et `coffre device list` montrent qui en est : retirez encore qui avait été retiré ; puis `coffre recover` ou `coffre device pair`, avec un autre --home, réinstalle cet appareil",
        ),
        _ => return None,
    })
}

/// Of a hoster that went back: what it shows and what was seen, with their dates where
/// they are known, by the clocks of the devices that have committed them.
pub(crate) fn went_back(error: &VaultError) -> Option<String> {
    let VaultError::HosterWentBack {
        known,
        committed,
        got,
        shown,
    } = error
    else {
        return None;
    };
    let of = |date: &Option<Timestamp>| {
        let date = date.map(local_time);
        date.map_or_else(String::new, |date| say!(" of {date}", " du {date}"))
    };
    let (seen, shown) = (of(committed), of(shown));
    let known = known.seq;
    Some(say!(
        "the hoster shows head {got}{shown}; head {known}{seen} was seen before",
        "l’hébergeur montre la tête {got}{shown} ; la tête {known}{seen} avait été vue",
    ))
}

/// All errors of the library have a code and one sentence.
macro_rules! told {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(error.code(), &error)
            }
        }
    )*};
}

told!(vault_client::remote::RemoteError);

impl From<vault_client::link::GetError> for Failure {
    fn from(error: vault_client::link::GetError) -> Self {
        match error.code() {
            // Nobody is logged in: what the hoster does not know is the download.
            ErrorCode::DeviceUnknown => Self::of(ErrorCode::HosterRefused, &error),
            code => Self::of(code, &error),
        }
    }
}

/// Some are a vault's.
macro_rules! told_of_vaults {
    ($($module:ident::$error:ident),* $(,)?) => {$(
        impl From<vault_client::$module::$error> for Failure {
            fn from(error: vault_client::$module::$error) -> Self {
                let vault = match &error {
                    vault_client::$module::$error::Vault(error) => Some(error),
                    _ => None,
                };
                Self::of(error.code(), &error).about(vault)
            }
        }
    )*};
}

told_of_vaults!(
    check::CheckError,
    link::LinkError,
    reconcile::ReconcileError,
    restore::RestoreError,
);

impl From<vault_client::repair::RepairError> for Failure {
    fn from(error: vault_client::repair::RepairError) -> Self {
        use vault_client::repair::RepairError;
        let failure = Self::of(error.code(), &error);
        match &error {
            RepairError::Unreadable { .. }
            | RepairError::Dropped { .. }
            | RepairError::NothingReadable { .. } => {
                failure.with_hint(words(
                    "`coffre vault heads` shows which can be read; --head HEAD takes another one",
                    "`coffre vault heads` montre lesquelles sont lisibles ; --head TÊTE en prend une autre",
                ))
            }
            RepairError::NoRoom { .. } => failure.with_hint(words(
                "--leave-out leaves out what is there now; what was saved since can be saved again",
                "--leave-out laisse de côté ce qu’il y a maintenant ; ce qui a été sauvegardé depuis peut l’être encore",
            )),
            RepairError::Vault(error) | RepairError::Reconcile(ReconcileError::Vault(error)) => {
                failure.about(Some(error))
            }
            RepairError::Reconcile(error) if error.code() == ErrorCode::HosterMisbehaved => {
                failure.with_hint(words(
                    "ask the hoster, and keep this message. Where it has lost that for good, or a member has named what never was: --leave-out leaves it out",
                    "demandez à l’hébergeur, et gardez ce message. S’il l’a perdu pour de bon, ou si un membre a nommé ce qui n’a jamais existé : --leave-out le laisse de côté",
                ))
            }
            _ => failure,
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        Self::of(error.code(), &error).about(Some(&error))
    }
}

impl From<vault_client::backup::BackupError> for Failure {
    fn from(error: vault_client::backup::BackupError) -> Self {
        use vault_client::backup::BackupError;
        let failure = Self::of(error.code(), &error);
        match error {
            BackupError::Deduplicated(_) => failure.with_hint(words(
                "--series NAME begins another",
                "--series NOM en commence une autre",
            )),
            BackupError::Vault(error) => failure.about(Some(&error)),
            _ => failure,
        }
    }
}

impl From<vault_client::account::AccountError> for Failure {
    fn from(error: vault_client::account::AccountError) -> Self {
        use vault_client::account::AccountError;
        let failure = Self::of(error.code(), &error);
        match error {
            AccountError::NoName => failure.with_hint(words(
                "`coffre whoami --name NAME`; others see it, the hoster does not",
                "`coffre whoami --name NOM` ; les autres le voient, l’hébergeur non",
            )),
            AccountError::ContactNameTaken { .. } => failure.with_hint(words(
                "what follows the # is the key: ask whom you know by another way which is theirs; `coffre contact remove` makes room for a new one",
                "ce qui suit le # est la clé : demandez par un autre chemin à la personne que vous connaissez laquelle est la sienne ; `coffre contact remove` fait place à une nouvelle",
            )),
            AccountError::SettingsUnreadable => failure.with_hint(words(
                "`coffre vault repair`, without a name, brings back what your account held before",
                "`coffre vault repair`, sans nom, ramène ce que contenait votre compte",
            )),
            AccountError::OnlyShared(_) => failure.with_hint(words(
                "`coffre vault create NAME` makes one of your own; --vault NAME saves in the shared one all the same",
                "`coffre vault create NOM` en crée un à vous ; --vault NOM sauvegarde quand même dans celui qui est partagé",
            )),
            AccountError::Vault(error) => failure.about(Some(&error)),
            _ => failure,
        }
    }
}

impl From<vault_client::contents::ContentsError> for Failure {
    fn from(error: vault_client::contents::ContentsError) -> Self {
        use vault_client::contents::ContentsError;
        match &error {
            ContentsError::Output(source) => Self::output(io::Error::from(source.kind())),
            ContentsError::NoSnapshot(selector) if selector == "latest" => Self::new(
                error.code(),
                both!(
                    "there is no complete snapshot yet",
                    "il n’y a pas encore d’instantané complet"
                ),
            )
            .with_hint(words(
                "`coffre backup PATH` makes one",
                "`coffre backup CHEMIN` en fait un",
            )),
            ContentsError::Catalog(_) => Self::of(error.code(), &error).with_hint(words(
                "`coffre vault heads` shows who has committed it, `coffre vault repair NAME` brings back what was there before",
                "`coffre vault heads` montre qui l’a enregistré, `coffre vault repair NOM` ramène ce qu’il y avait avant",
            )),
            ContentsError::NoSnapshot(_) | ContentsError::AmbiguousSnapshot(_) => {
                Self::of(error.code(), &error).with_hint(words(
                    "`coffre snapshots` lists them",
                    "`coffre snapshots` les liste",
                ))
            }
            _ => Self::of(error.code(), &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use vault_client::remote::{Misbehaviour, RemoteError};
    use vault_client::vault::VaultError;
    use vault_proto::ids::{DeviceId, HeadHash};
    use vault_proto::position::HeadPosition;
    use vault_proto::vault_log::VaultLogError;

    use super::*;

    /// What the library says of each is tested there.
    #[test]
    fn each_misbehaviour_has_words_of_its_own_and_all_have_one_exit_code() {
        let known = HeadPosition {
            seq: 3,
            hash: HeadHash::from_array([3; 32]),
        };
        let removed = DeviceId::from_array([1; 32]);
        let errors = [
            // An older head, a forked one, one that is left out.
            VaultError::HosterWentBack {
                known,
                committed: None,
                got: 2,
                shown: None,
            },
            VaultError::Head(HeadError::Fork { seq: 3 }),
            VaultError::Head(HeadError::MissingLink { newer: 3, older: 1 }),
            // A head that a stranger, a reader, a removed device has signed.
            VaultError::Head(HeadError::Stranger),
            VaultError::Head(HeadError::MayNotWrite),
            VaultError::Head(HeadError::DeviceNotActive(removed)),
            VaultError::Head(HeadError::StalePosition),
            VaultError::Head(HeadError::BadSignature),
            // A log with an entry that is missing or moved, repeated, or another's.
            VaultError::VaultLog(VaultLogError::Missing {
                expected: 2,
                got: 3,
            }),
            VaultError::VaultLog(VaultLogError::Repeated { seq: 2 }),
            VaultError::VaultLog(VaultLogError::Fork { seq: 2 }),
            VaultError::VaultLog(VaultLogError::Signers),
            VaultError::LogWentBack { known: 3, got: 2 },
            VaultError::WrongGenesis,
            VaultError::Hidden,
            // A pack that is not there, or is cut off.
            VaultError::Remote(RemoteError::Misbehaved(Misbehaviour::PackMissing)),
            VaultError::Remote(RemoteError::Misbehaved(Misbehaviour::ReadTooShort)),
            VaultError::Remote(RemoteError::WrongHosterKey),
        ];
        let mut messages = BTreeSet::new();
        for error in errors {
            let text = error.to_string();
            let failure = Failure::from(error);
            assert_eq!(failure.exit(), Exit::HosterMisbehaved, "{text}");
            assert_eq!(failure.exit().number(), 13);
            let Failure::Told { message, hint, .. } = failure else {
                panic!("{text}: told nothing");
            };
            assert!(hint.is_some(), "{text}: nothing to do about it");
            assert!(
                messages.insert(message.english().to_owned()),
                "{text}: said of another, too"
            );
        }
    }

    /// Members are to hold it against what the hoster has told them.
    #[test]
    fn a_hoster_that_went_back_is_told_with_both_dates() {
        let error = VaultError::HosterWentBack {
            known: HeadPosition {
                seq: 3,
                hash: HeadHash::from_array([3; 32]),
            },
            committed: Timestamp::new(1_795_000_000, 0),
            got: 2,
            shown: Timestamp::new(1_790_000_000, 0),
        };
        let Failure::Told { more, .. } = error.into() else {
            panic!("told nothing");
        };
        let more = more.unwrap();
        assert!(more.contains("head 2 of 2026-09-"), "{more}");
        assert!(more.contains("head 3 of 2026-11-"), "{more}");
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(failure.exit(), Exit::Done);
        let failure = Failure::output(io::ErrorKind::StorageFull.into());
        assert_eq!(failure.exit(), Exit::Full);
    }

    /// Whichever command meets it.
    #[test]
    fn a_vault_that_is_brought_forward_has_hints_of_its_own() {
        use vault_client::account::AccountError;
        use vault_client::backup::BackupError;
        use vault_client::check::CheckError;
        use vault_client::link::LinkError;
        use vault_client::reconcile::ReconcileError;
        use vault_client::restore::RestoreError;
        type Make = fn() -> VaultError;
        let errors: [(Make, &str); 4] = [
            (|| VaultError::BeingBroughtForward, "vault reconcile"),
            (|| VaultError::CannotReconcile, "vault reconcile"),
            (|| VaultError::NotBroughtBack { known: 3 }, "--join"),
            (
                || VaultError::EntriesLeftBehind { first: 3 },
                "vault members",
            ),
        ];
        for (error, command) in errors {
            let failures: [Failure; 7] = [
                error().into(),
                AccountError::from(error()).into(),
                BackupError::from(error()).into(),
                CheckError::from(error()).into(),
                LinkError::from(error()).into(),
                ReconcileError::from(error()).into(),
                RestoreError::from(error()).into(),
            ];
            for failure in failures {
                assert_eq!(failure.exit(), Exit::HosterMisbehaved);
                let Failure::Told {
                    hint,
                    blames_hoster,
                    ..
                } = &failure
                else {
                    panic!("{failure:?}");
                };
                assert!(!blames_hoster, "{failure:?}");
                let hint = hint.as_ref().unwrap();
                for hint in [&hint.english, &hint.french] {
                    assert!(hint.contains(command), "{failure:?}");
                    assert!(!hint.contains("hoster") && !hint.contains("hébergeur"));
                }
            }
        }
        // Of what the hoster is to blame for, it is asked.
        let fork = VaultError::Head(HeadError::Fork { seq: 3 });
        for (error, also) in [(VaultError::Hidden, ""), (fork, "reconcile NAME --join")] {
            let Failure::Told {
                hint,
                blames_hoster,
                ..
            } = error.into()
            else {
                panic!("told nothing");
            };
            assert!(blames_hoster);
            let hint = hint.unwrap().english;
            assert!(
                hint.contains("ask the hoster") && hint.contains(also),
                "{hint}"
            );
        }
    }

    #[test]
    fn what_kind_of_error_it_is_is_told_where_the_message_does_not() {
        let refused = ErrorCode::HosterRefused;
        let misbehaved = ErrorCode::HosterMisbehaved;
        let known = Message::from_english("the hoster refused: Log in again.");
        assert_eq!(
            french(refused, &known, false),
            "l’hébergeur a refusé : Connectez-vous de nouveau."
        );
        assert_eq!(
            french(misbehaved, &known, true),
            "l’hébergeur se comporte mal : l’hébergeur a refusé : Connectez-vous de nouveau."
        );
        let unknown = Message::from_english("xyzzy");
        let told = french(refused, &unknown, false);
        assert_eq!(told, "l’hébergeur refuse (xyzzy)");
    }
}
