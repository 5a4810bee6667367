//! What comes from a person or from standard input besides arguments.

use std::io::{self, BufRead, IsTerminal, Read};

use dialoguer::Password;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use rustix::termios::{QueueSelector, tcflush};
use vault_client::error::ErrorCode;
use vault_proto::origin::Origin;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::interrupt;
use crate::language::{Language, Words, language, say, words};
use crate::message::both;

/// The port where hosters listen unless an address says otherwise.
const PORT: u16 = 8_443;

pub(crate) const STANDARD_INPUT: Words = words("standard input", "entrée standard");
const TERMINAL: Words = words("the terminal", "le terminal");

/// An argument that is a secret, or in its place `-` for the first line of
/// standard input, of at most `longest` bytes.
pub(crate) fn secret(argument: &str, longest: usize) -> Result<Zeroizing<String>, Failure> {
    if argument != "-" {
        return Ok(Zeroizing::new(argument.trim().to_owned()));
    }
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(longest + 2));
    // Only the line: what stands behind it is read by whoever asks next.
    let mut input = io::stdin().lock().take(longest as u64 + 2);
    input
        .read_line(&mut line)
        .map_err(|error| Failure::io(STANDARD_INPUT, &error))?;
    Ok(Zeroizing::new(line.trim().to_owned()))
}

/// Text that may have been wrapped over lines on its way, or put into brackets or
/// quotes: an argument, or in its place `-` for lines of standard input, until
/// `is_whole` says that nothing is missing, an empty one or the end. Nothing that is
/// taken out can be part of what is read so.
pub(crate) fn pasted(
    argument: &str,
    longest: usize,
    is_whole: impl Fn(&str) -> bool,
) -> Result<Zeroizing<String>, Failure> {
    let mut text = bare(&secret(argument, longest)?);
    while argument == "-" && !text.is_empty() && text.len() <= longest && !is_whole(&text) {
        let more = secret("-", longest)?;
        if more.is_empty() {
            break;
        }
        let both = Zeroizing::new([text.as_str(), more.as_str()].concat());
        text = bare(&both);
    }
    Ok(text)
}

/// Without white space, and without what stands around it.
fn bare(text: &str) -> Zeroizing<String> {
    const AROUND: &[char] = &[
        '<', '>', '"', '\'', '`', '“', '”', '„', '‘', '’', '«', '»', '‹', '›',
    ];
    let is_around = |character: char| character.is_whitespace() || AROUND.contains(&character);
    let text = text.trim_matches(is_around);
    let mut bare = Zeroizing::new(String::with_capacity(text.len()));
    bare.extend(text.chars().filter(|character| !character.is_whitespace()));
    bare
}

/// Where a hoster is: `HOST`, `HOST:PORT`, or any `coffre://` address of it, of
/// which what stands behind the place is ignored.
pub(crate) fn hoster(argument: &str) -> Result<Origin, Failure> {
    const LONGEST: usize = 4_096;
    let text = secret(argument, LONGEST)?;
    let place = text.strip_prefix("coffre://").unwrap_or(&text);
    let place = place.split(['/', '#', '?']).next().unwrap_or_default();
    let with_port = Origin::parse(place)
        .or_else(|error| Origin::parse(&format!("{place}:{PORT}")).map_err(|_| error));
    with_port.map_err(|error| {
        let message = both!(
            "this is no hoster's address: {error}",
            "ce n’est pas l’adresse d’un hébergeur : {error}";
            error
        );
        Failure::usage(message).with_hint(words(
            "the hoster tells it: a name such as vault.example.org, or vault.example.org:8443",
            "l’hébergeur la donne : un nom comme coffre.example.org, ou coffre.example.org:8443",
        ))
    })
}

/// What a device is called: as asked, or like the machine.
pub(crate) fn device_name(asked: Option<&str>) -> String {
    match asked {
        Some(name) => name.to_owned(),
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    }
}

/// Asks a question on the terminal, where a whole line answers it that was typed
/// after it was asked; no, if nothing follows. Where there is no terminal, `instead`
/// says which option answers it.
pub(crate) fn confirm(question: &str, instead: Words) -> Result<bool, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let message = both!(
            "nobody is there to be asked",
            "il n’y a personne à qui demander"
        );
        return Err(Failure::usage(message).with_hint(instead));
    }
    let failed = |error: io::Error| Failure::io(TERMINAL, &error);
    let choice = say!("[y/N]", "[o/N]");
    // Whoever wrote what was pasted at an earlier question must not answer this one.
    tcflush(stdin(), QueueSelector::IFlush).map_err(|error| failed(error.into()))?;
    loop {
        anstream::eprint!("{question} {choice} ");
        let Some(line) = typed_line()? else {
            anstream::eprintln!();
            return Ok(false);
        };
        if let Some(answer) = answer(&line, language()) {
            return Ok(answer);
        }
        let again = say!("yes or no?", "oui ou non ?");
        anstream::eprintln!("{again}");
    }
}

/// What a line says; nothing but Enter is a no.
fn answer(line: &[u8], language: Language) -> Option<bool> {
    match (&line.trim_ascii().to_ascii_lowercase()[..], language) {
        (b"y" | b"yes", _) | (b"o" | b"oui", Language::French) => Some(true),
        (b"" | b"n" | b"no", _) | (b"non", Language::French) => Some(false),
        _ => None,
    }
}

/// A line of the terminal; `None` at its end. Not by [`io::stdin`], which may hold
/// what it read before.
fn typed_line() -> Result<Option<Vec<u8>>, Failure> {
    /// How long a Ctrl-C may wait that another thread is told of.
    const WAIT: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    let failed = |error: Errno| Failure::io(TERMINAL, &error.into());
    let mut line = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        if interrupt::is_interrupted() {
            anstream::eprintln!();
            return Err(Failure::new(
                ErrorCode::Cancelled,
                both!("interrupted", "interrompu"),
            ));
        }
        let terminal = stdin();
        let mut ready = [PollFd::new(&terminal, PollFlags::IN)];
        match poll(&mut ready, Some(&WAIT)) {
            Ok(0) | Err(Errno::INTR) => continue,
            polled => polled.map_err(failed)?,
        };
        match rustix::io::read(terminal, &mut buffer) {
            Ok(0) => return Ok(None),
            Ok(read) => line.extend_from_slice(&buffer[..read]),
            Err(Errno::INTR) => continue,
            // It hung up.
            Err(Errno::IO) => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        if let Some(end) = line.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            line.truncate(end);
            return Ok(Some(line));
        }
    }
}

/// Likewise, for what is done only if the answer is yes.
pub(crate) fn agree(question: &str, instead: Words) -> Result<(), Failure> {
    if confirm(question, instead)? {
        return Ok(());
    }
    let message = both!(
        "the answer was no: nothing was changed",
        "la réponse était non : rien n’a été changé"
    );
    Err(Failure::new(ErrorCode::Cancelled, message))
}

/// A password: typed, or the first line of standard input where that is no
/// terminal.
pub(crate) fn password(prompt: &str, again: Option<&str>) -> Result<Zeroizing<String>, Failure> {
    const LONGEST: usize = 1_024;
    if !io::stdin().is_terminal() {
        return secret("-", LONGEST);
    }
    let mut asked = Password::new().with_prompt(prompt);
    if let Some(again) = again {
        asked =
            asked.with_confirmation(again, say!("they differ; again", "ils diffèrent ; encore"));
    }
    asked
        .interact()
        .map(Zeroizing::new)
        .map_err(|error| Failure::of(ErrorCode::Cancelled, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_does_to_a_line_is_undone() {
        let url = "coffre://vault.example.org/invite#CAESIA";
        let is_whole = |_: &str| true;
        for text in [
            url,
            " coffre://vault.example.org\r\n /invite#CAE\n\tSIA\n",
            "<coffre://vault.example.org/invite#CAESIA>",
            "« coffre://vault.example.org/invite#CAESIA »",
            "\"coffre://vault.example.org/invite#CAESIA\"",
            "‘<coffre://vault.example.org/invite#\u{a0}CAESIA>’",
        ] {
            assert_eq!(*pasted(text, 4_096, is_whole).unwrap(), url, "{text:?}");
        }
        // Nothing else is.
        for text in ["co<ffre", "coffre//a\u{200b}b", "coffre:(a)."] {
            assert_eq!(*pasted(text, 4_096, is_whole).unwrap(), text);
        }
    }

    #[test]
    fn only_yes_is_yes() {
        let (english, french) = (Language::English, Language::French);
        for yes in ["y", "yes", " YES "] {
            assert_eq!(answer(yes.as_bytes(), english), Some(true), "{yes:?}");
            assert_eq!(answer(yes.as_bytes(), french), Some(true), "{yes:?}");
        }
        for no in ["", "  ", "n", "No"] {
            assert_eq!(answer(no.as_bytes(), english), Some(false), "{no:?}");
            assert_eq!(answer(no.as_bytes(), french), Some(false), "{no:?}");
        }
        for (typed, in_french) in [("o", true), ("Oui", true), ("non", false)] {
            assert_eq!(answer(typed.as_bytes(), french), Some(in_french));
            assert_eq!(answer(typed.as_bytes(), english), None, "{typed:?}");
        }
        for neither in ["maybe", "yy", "y n", "yes!", "ouiii", "\u{1b}[Ay", "\0"] {
            assert_eq!(answer(neither.as_bytes(), french), None, "{neither:?}");
        }
    }

    #[test]
    fn a_hoster_is_told_in_many_ways() {
        for text in [
            "vault.example.org",
            "vault.example.org:8443",
            "coffre://vault.example.org:8443",
            "coffre://vault.example.org/",
            " coffre://vault.example.org:8443/invite#CAESIA ",
        ] {
            let origin = hoster(text).unwrap();
            assert_eq!(origin.to_string(), "vault.example.org:8443", "{text}");
        }
        assert_eq!(hoster("[::1]:1").unwrap().to_string(), "[::1]:1");
        for text in ["", "coffre://", "a b", "vault.example.org:0", "http://x"] {
            assert!(hoster(text).is_err(), "{text}");
        }
    }
}
