//! `coffre signup`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dialoguer::Input;
use serde::Serialize;
use vault_client::account::Account;
use vault_client::error::ErrorCode;
use vault_client::platform::{Randomness, SystemRandomness};
use vault_core::keys::{PhraseLanguage, RecoveryPhrase};
use vault_proto::invitation::{Invitation, MAX_INVITATION_BYTES};
use zeroize::Zeroizing;

use crate::args::{Language, Signup};
use crate::document::PathText;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{self, say, words as words_in};
use crate::session::Context;

/// How many of the words are asked back.
const ASKED_BACK: usize = 2;

#[derive(Serialize)]
struct Fields<'a> {
    account: String,
    device: String,
    device_name: String,
    hoster: String,
    hoster_address: String,
    /// Where the recovery phrase was written to,
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase_file: Option<PathText>,
    /// or the phrase itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase: Option<&'a str>,
}

pub(super) fn run(options: &Signup, context: &Context) -> Result<Exit, Failure> {
    let invitation = invitation(&options.invitation)?;
    let device_name = match &options.device {
        Some(name) => name.clone(),
        None => rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned(),
    };
    let setup = context.setup()?;
    // Before anything else: a file that cannot be made must not cost the words.
    let file = options
        .phrase_out
        .as_deref()
        .map(PhraseFile::create)
        .transpose()?;
    let (account, phrase) = Account::sign_up(&setup, &invitation, &device_name)?;
    let words = phrase.words(match (options.language, language::language()) {
        (Some(Language::Fr), _) | (None, language::Language::French) => PhraseLanguage::French,
        _ => PhraseLanguage::English,
    });

    let mut fields = Fields {
        account: account.id().to_string(),
        device: account.device().to_string(),
        device_name: account.device_name().to_owned(),
        hoster: account.hoster().to_string(),
        hoster_address: account.origin().to_string(),
        phrase_file: options.phrase_out.as_deref().map(PathText::of),
        phrase: None,
    };
    let (origin, id) = (account.origin(), &fields.account[..8]);
    let done = say!(
        "signed up at {origin} as {id}",
        "inscrit chez {origin} : {id}"
    );
    match file {
        Some(file) => {
            file.finish(&words)?;
            context.output.summary(&fields, &done)?;
        }
        None => {
            fields.phrase = Some(&words);
            context.output.result(&fields, |out| show(out, &words))?;
            if !context.output.is_json() {
                if io::stdin().is_terminal() && io::stderr().is_terminal() {
                    ask_back(&phrase, &words)?;
                }
                context.output.note(&done);
            }
        }
    }
    // Until here, repeating the command shows the words again.
    account.forget_phrase()?;
    Ok(Exit::Done)
}

/// The invitation on the command line, or the first line of standard input.
fn invitation(argument: &str) -> Result<Invitation, Failure> {
    let mut url = Zeroizing::new(String::new());
    if argument == "-" {
        let input = io::stdin().lock().take(2 * MAX_INVITATION_BYTES as u64);
        io::BufReader::new(input)
            .read_line(&mut url)
            .map_err(|error| Failure::io("standard input", &error))?;
    } else {
        url.push_str(argument);
    }
    Invitation::parse(&url).map_err(|error| {
        Failure::usage(format!("this is no invitation: {error}")).with_hint(words_in(
            "an invitation is one line that begins with coffre://; copy all of it",
            "une invitation est une ligne qui commence par coffre:// ; copiez-la en entier",
        ))
    })
}

/// The words, numbered, in two columns.
fn show(out: &mut dyn Write, words: &str) -> io::Result<()> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let rows = words.len().div_ceil(2);
    let title = say!("Your recovery phrase:", "Votre phrase de récupération :");
    writeln!(out, "{title}\n")?;
    for row in 0..rows {
        // Accents count as one: width is in characters, not in bytes.
        let left = words.get(row).unwrap_or(&"");
        let right = words.get(row + rows).unwrap_or(&"");
        writeln!(
            out,
            "  {:>2}. {left:<16}{:>2}. {right}",
            row + 1,
            row + rows + 1
        )?;
    }
    let advice = say!(
        "\n\
         Write these words down, on paper, in this order. Keep the paper where a fire\n\
         or a thief that takes this device does not take it too. They are shown this\n\
         once. Whoever has them has all your vaults; without them and without a device\n\
         nobody can open those again, not even the hoster.",
        "\n\
         Notez ces mots sur papier, dans cet ordre. Gardez le papier là où un incendie\n\
         ou un voleur qui emporte cet appareil ne l’emporte pas aussi. Ils ne sont\n\
         montrés qu’une fois. Qui les a, a tous vos coffres ; sans eux et sans appareil,\n\
         personne ne peut plus les ouvrir, pas même l’hébergeur.",
    );
    writeln!(out, "{advice}")
}

/// Asks some of the words back, until they are right.
fn ask_back(phrase: &RecoveryPhrase, words: &str) -> Result<(), Failure> {
    let words: Vec<&str> = words.split_whitespace().collect();
    let why = say!(
        "To see that they are on paper:",
        "Pour voir s’ils sont bien sur le papier :",
    );
    anstream::eprintln!("\n{why}");
    for position in positions(words.len(), &SystemRandomness) {
        let prompt = say!("word {}", "mot {}", position + 1);
        loop {
            let answer: String =
                Input::new()
                    .with_prompt(&prompt)
                    .interact_text()
                    .map_err(|error| {
                        Failure::new(ErrorCode::Cancelled, error.to_string()).with_hint(words_in(
                            "repeat the same command to see the words again",
                            "répétez la même commande pour revoir les mots",
                        ))
                    })?;
            if is_word(phrase, &words, position, &answer) {
                break;
            }
            let text = say!("no, that is another word", "non, c’est un autre mot");
            anstream::eprintln!("{text}");
        }
    }
    Ok(())
}

/// Two different places in the phrase, in ascending order.
fn positions(words: usize, randomness: &dyn Randomness) -> Vec<usize> {
    let mut positions = Vec::new();
    while positions.len() < ASKED_BACK {
        let mut byte = [0];
        randomness.fill(&mut byte);
        // Not quite even, and no secret.
        let position = usize::from(byte[0]) % words;
        if !positions.contains(&position) {
            positions.push(position);
        }
    }
    positions.sort_unstable();
    positions
}

/// Whether the phrase is still the same with this word in it: accents and case
/// do not matter then, as they do not when it is read one day.
fn is_word(phrase: &RecoveryPhrase, words: &[&str], position: usize, answer: &str) -> bool {
    let mut words = words.to_vec();
    words[position] = answer.trim();
    let text = Zeroizing::new(words.join(" "));
    RecoveryPhrase::parse(&text).is_ok_and(|read| read == *phrase)
}

/// A new file for the phrase, for its owner only; removed again unless the
/// phrase is in it.
struct PhraseFile {
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl PhraseFile {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(|error| {
            let failure = Failure::io(&path.display().to_string(), &error);
            match error.kind() {
                io::ErrorKind::AlreadyExists => failure.with_hint(words_in(
                    "a phrase never overwrites a file: name another one",
                    "une phrase n’écrase jamais un fichier : nommez-en un autre",
                )),
                _ => failure,
            }
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_finished: false,
        })
    }

    /// Writes the words, durably.
    fn finish(mut self, words: &str) -> Result<(), Failure> {
        let written = self
            .file
            .write_all(words.as_bytes())
            .and_then(|()| self.file.write_all(b"\n"))
            .and_then(|()| self.file.sync_all())
            .and_then(|()| sync_parent(&self.path));
        match written {
            Ok(()) => {
                self.is_finished = true;
                Ok(())
            }
            Err(error) => Err(
                Failure::io(&self.path.display().to_string(), &error).with_hint(words_in(
                    "the account is made; repeat the command to have the words again",
                    "le compte est créé ; répétez la commande pour avoir les mots",
                )),
            ),
        }
    }
}

impl Drop for PhraseFile {
    fn drop(&mut self) {
        if !self.is_finished {
            // Made by this process, and nothing in it that anybody has.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon art";

    #[test]
    fn words_stand_in_two_numbered_columns() {
        let mut out = Vec::new();
        show(&mut out, WORDS).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("\n   1. abandon         13. abandon\n"),
            "{text}"
        );
        assert!(text.contains("\n  12. abandon         24. art\n"), "{text}");
    }

    #[test]
    fn only_the_right_word_is_accepted() {
        let phrase = RecoveryPhrase::parse(WORDS).unwrap();
        let words: Vec<&str> = WORDS.split_whitespace().collect();
        for (answer, is_right) in [
            ("art", true),
            (" ART ", true),
            ("abandon", false),
            ("", false),
            ("art art", false),
        ] {
            assert_eq!(is_word(&phrase, &words, 23, answer), is_right, "{answer}");
        }
        let french = phrase.words(PhraseLanguage::French);
        let words: Vec<&str> = french.split_whitespace().collect();
        assert!(is_word(&phrase, &words, 0, "abaisser"));
    }

    #[test]
    fn two_different_words_are_asked_back() {
        struct Twice(std::sync::atomic::AtomicU8);
        impl Randomness for Twice {
            fn fill(&self, bytes: &mut [u8]) {
                let drawn = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                bytes.fill(if drawn < 3 { 7 } else { 27 });
            }
        }
        assert_eq!(positions(24, &Twice(0.into())), [3, 7]);
    }

    #[test]
    fn a_phrase_file_is_private_new_and_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("phrase");
        drop(PhraseFile::create(&path).unwrap());
        assert!(!path.exists(), "an unused file stays");
        let file = PhraseFile::create(&path).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o600
        );
        assert!(PhraseFile::create(&path).is_err());
        file.finish(WORDS).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{WORDS}\n"));
    }
}
