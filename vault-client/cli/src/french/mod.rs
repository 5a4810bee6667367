//! French for messages that are made in English.
//!
//! The libraries' errors, the hoster's refusals and what the system says have English
//! texts only. Each is looked up by the template that it is made from; what was filled
//! in is kept, or looked up in turn where it is a message itself.

mod template;

use std::sync::LazyLock;

use template::{English, French};

/// Each holds an English text, as in the source, and below it the French, indented.
const CATALOGUES: [&str; 3] = [
    include_str!("library.txt"),
    include_str!("hoster.txt"),
    include_str!("system.txt"),
];

/// No message has as many others inside of each other.
const MAX_DEPTH: usize = 8;

/// Those with the most letters first: what they match, they match for good reason.
static ENTRIES: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut entries: Vec<_> = pairs().filter_map(Entry::parse).collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.letters));
    entries
});

struct Entry {
    english: English,
    letters: usize,
    french: French,
}

/// The French of a message; `None` where it is not known.
///
/// Costs a time in proportion to its length.
pub(crate) fn of(english: &str) -> Option<String> {
    translated(english, MAX_DEPTH)
}

fn translated(english: &str, depth: usize) -> Option<String> {
    let depth = depth.checked_sub(1)?;
    looked_up(english, depth).or_else(|| sentence(english, depth))
}

fn looked_up(english: &str, depth: usize) -> Option<String> {
    ENTRIES.iter().find_map(|entry| {
        let filled = entry.english.filled(english)?;
        if entry.letters == 0 {
            // Anything can look like this: only what is said in it tells.
            let [message] = entry.french.messages(&filled)[..] else {
                return None;
            };
            let message = translated(message, depth)?;
            return Some(entry.french.with(&filled, |_| message.clone()));
        }
        let message = |text: &str| translated(text, depth).unwrap_or_else(|| text.to_owned());
        Some(entry.french.with(&filled, message))
    })
}

/// Of an error that the hoster has made a sentence of.
fn sentence(english: &str, depth: usize) -> Option<String> {
    let mut characters = english.strip_suffix('.')?.chars();
    let first = characters.next().filter(|first| first.is_uppercase())?;
    let bare: String = first.to_lowercase().chain(characters).collect();
    let french = looked_up(&bare, depth)?;
    let mut characters = french.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    Some(first.chain(characters).chain(['.']).collect())
}

/// What the catalogues say: English and French.
fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = CATALOGUES.into_iter().flat_map(str::lines);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut english = None;
    lines.filter_map(move |line| match line.strip_prefix("  ") {
        Some(french) => Some((english.take()?, french)),
        None => {
            english = Some(line);
            None
        }
    })
}

impl Entry {
    fn parse((english, french): (&str, &str)) -> Option<Self> {
        let english = English::parse(english)?;
        Some(Self {
            letters: english.letters(),
            english,
            french: French::parse(french)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::time::{Duration, Instant};

    use vault_client::account::AccountError;
    use vault_client::contents::ContentsError;
    use vault_client::remote::{Refusal, RefusalReason, RemoteError};
    use vault_client::vault::VaultError;
    use vault_proto::head::HeadError;
    use vault_proto::vault_log::VaultLogError;

    use super::*;

    #[track_caller]
    fn is(english: impl ToString, french: &str) {
        assert_eq!(of(&english.to_string()).as_deref(), Some(french));
    }

    #[test]
    fn each_entry_is_well_formed_and_fills_in_the_same() {
        let mut seen = BTreeSet::new();
        for pair in pairs() {
            let entry = Entry::parse(pair).unwrap_or_else(|| panic!("{pair:?}"));
            let [english, french] = template::names::of_both(&entry.english, &entry.french);
            assert_eq!(english, french, "{pair:?}");
            assert!(seen.insert(pair.0), "twice: {pair:?}");
            assert!(!pair.1.contains('\''), "a straight apostrophe: {pair:?}");
        }
        let lines = CATALOGUES.iter().flat_map(|text| text.lines());
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        assert_eq!(lines.count(), 2 * seen.len());
        assert!(seen.len() > 500, "{}", seen.len());
    }

    #[test]
    fn messages_inside_of_others_are_translated_in_turn() {
        is(
            AccountError::NoAccount,
            "il n’y a pas encore de compte sur cet appareil",
        );
        is(
            VaultError::Head(HeadError::Fork { seq: 3 }),
            "la tête du coffre : il y a une autre tête à la place 3 : il y a deux histoires",
        );
        is(
            RemoteError::Unreachable {
                detail: "Connection refused (os error 111)".into(),
            },
            "l’hébergeur est injoignable : connexion refusée (erreur système 111)",
        );
        is(
            "/a: b/c: No such file or directory (os error 2)",
            "/a: b/c : fichier ou répertoire introuvable (erreur système 2)",
        );
        // What nobody has French for stays, after what somebody has.
        is("the key store: Xyzzy", "le trousseau de clés : Xyzzy");
        is("Xyzzy (os error 9999)", "Xyzzy (erreur système 9999)");
        let deep = "the vault cannot be read: ".repeat(30);
        assert!(of(&deep).is_some());
    }

    #[test]
    fn what_is_filled_in_may_change_places() {
        is(
            "the log of account ab is not at hand",
            "le journal du compte ab n’est pas là",
        );
        is(
            "This device's clock is 7 minutes behind the hoster's. Set it right and try again.",
            "L’horloge de cet appareil est en retard sur celle de l’hébergeur de 7 minutes. Mettez-la à l’heure et réessayez.",
        );
    }

    #[test]
    fn an_error_that_the_hoster_says_as_a_sentence_is_one_in_french() {
        let error = VaultLogError::Repeated { seq: 2 };
        assert_eq!(error.to_string(), "entry 2 is in the log already");
        let refusal = |message: &str| {
            RemoteError::Refused(Refusal::new(RefusalReason::InvalidSigned, message))
        };
        is(
            refusal("Entry 2 is in the log already."),
            "l’hébergeur a refusé : L’entrée 2 est déjà dans le journal.",
        );
        is(
            refusal("The quota is full: 4 of 5 bytes are used."),
            "l’hébergeur a refusé : Le quota est épuisé : 4 octets occupés sur 5.",
        );
        is(refusal("We moved."), "l’hébergeur a refusé : We moved.");
        assert_eq!(of("."), None);
    }

    /// Of two that match, that with more letters of its own.
    #[test]
    fn the_more_particular_template_is_taken() {
        is(
            "/a: another restore is under way here",
            "/a : une autre restauration y est en cours",
        );
        is(
            "/a: not all of it reached the disk: no space left",
            "/a : tout n’a pas atteint le disque : plus de place",
        );
    }

    #[test]
    fn a_template_of_places_alone_matches_only_around_a_message() {
        assert_eq!(of("note: to myself"), None);
        assert_eq!(of(": "), None);
        assert_eq!(of(""), None);
        is("note: cancelled", "note : interrompu");
    }

    #[test]
    fn a_name_that_looks_like_a_message_stays_a_name() {
        for name in [
            "cancelled",
            "{0}",
            "{~0}",
            "a\": cancelled",
            "»",
            "\\",
            "é\u{301}",
        ] {
            let error = ContentsError::NoSnapshot(name.to_owned());
            let shown = format!("{name:?}");
            let shown = &shown[1..shown.len() - 1];
            is(error, &format!("il n’y a pas d’instantané « {shown} »"));
        }
    }

    /// Whoever chose the name.
    #[test]
    fn long_names_take_no_long_time() {
        let begun = Instant::now();
        for piece in [
            ": ",
            "the vault's head: ",
            "head 1, which device ",
            " (os error 1)",
            "\"",
            "{",
            "A.",
        ] {
            let long = piece.repeat(100_000);
            let _ = of(&long);
            let _ = of(&format!("/{long}: cancelled"));
            let _ = of(&format!("the hoster refused: {long}."));
        }
        // It is a matter of some milliseconds each.
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn each_kind_of_error_of_the_system_is_known() {
        use io::ErrorKind;
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::PermissionDenied,
            ErrorKind::ConnectionRefused,
            ErrorKind::ConnectionReset,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
            ErrorKind::ConnectionAborted,
            ErrorKind::NotConnected,
            ErrorKind::NetworkDown,
            ErrorKind::BrokenPipe,
            ErrorKind::AlreadyExists,
            ErrorKind::NotADirectory,
            ErrorKind::IsADirectory,
            ErrorKind::DirectoryNotEmpty,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::StaleNetworkFileHandle,
            ErrorKind::InvalidInput,
            ErrorKind::InvalidData,
            ErrorKind::TimedOut,
            ErrorKind::WriteZero,
            ErrorKind::StorageFull,
            ErrorKind::QuotaExceeded,
            ErrorKind::FileTooLarge,
            ErrorKind::ResourceBusy,
            ErrorKind::InvalidFilename,
            ErrorKind::UnexpectedEof,
            ErrorKind::OutOfMemory,
            ErrorKind::Interrupted,
            ErrorKind::Unsupported,
        ] {
            let text = io::Error::from(kind).to_string();
            assert!(of(&text).is_some(), "{text}");
        }
        use rustix::io::Errno;
        for errno in [
            Errno::PERM,
            Errno::NOENT,
            Errno::INTR,
            Errno::IO,
            Errno::NXIO,
            Errno::TOOBIG,
            Errno::BADF,
            Errno::AGAIN,
            Errno::NOMEM,
            Errno::ACCESS,
            Errno::BUSY,
            Errno::EXIST,
            Errno::XDEV,
            Errno::NODEV,
            Errno::NOTDIR,
            Errno::ISDIR,
            Errno::INVAL,
            Errno::NFILE,
            Errno::MFILE,
            Errno::NOTTY,
            Errno::TXTBSY,
            Errno::FBIG,
            Errno::NOSPC,
            Errno::SPIPE,
            Errno::ROFS,
            Errno::MLINK,
            Errno::PIPE,
            Errno::NAMETOOLONG,
            Errno::NOSYS,
            Errno::NOTEMPTY,
            Errno::LOOP,
            Errno::OVERFLOW,
            Errno::ILSEQ,
            Errno::NOTSUP,
            Errno::ADDRINUSE,
            Errno::ADDRNOTAVAIL,
            Errno::NETDOWN,
            Errno::NETUNREACH,
            Errno::CONNABORTED,
            Errno::CONNRESET,
            Errno::NOTCONN,
            Errno::TIMEDOUT,
            Errno::CONNREFUSED,
            Errno::HOSTDOWN,
            Errno::HOSTUNREACH,
            Errno::STALE,
            Errno::DQUOT,
            Errno::REMOTEIO,
        ] {
            let text = io::Error::from(errno).to_string();
            let (bare, _) = text.split_once(" (os error ").unwrap();
            assert!(of(bare).is_some(), "{text}");
        }
    }
}
