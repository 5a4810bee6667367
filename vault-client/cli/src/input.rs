//! What comes from a person or from standard input besides arguments.

use std::io::{self, BufRead, IsTerminal, Read};

use dialoguer::{Confirm, Password};
use vault_client::error::ErrorCode;
use vault_proto::origin::Origin;
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::language::{Words, words};

/// The port where hosters listen unless an address says otherwise.
const PORT: u16 = 8_443;

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
        .map_err(|error| Failure::io("standard input", &error))?;
    Ok(Zeroizing::new(line.trim().to_owned()))
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
        Failure::usage(format!("this is no hoster's address: {error}")).with_hint(words(
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

/// Asks a question on the terminal. Where there is none, `instead` says which
/// option answers it.
pub(crate) fn confirm(question: &str, instead: Words) -> Result<bool, Failure> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(Failure::usage("nobody is there to be asked").with_hint(instead));
    }
    Confirm::new()
        .with_prompt(question)
        .default(false)
        .interact()
        .map_err(|error| Failure::new(ErrorCode::Cancelled, error.to_string()))
}

/// Likewise, for what is done only if the answer is yes.
pub(crate) fn agree(question: &str, instead: Words) -> Result<(), Failure> {
    if confirm(question, instead)? {
        return Ok(());
    }
    let message = "the answer was no: nothing was changed";
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
        asked = asked.with_confirmation(again, "");
    }
    asked
        .interact()
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(ErrorCode::Cancelled, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

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
