//! A recovery phrase on its way to paper, and back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use dialoguer::Input;
use vault_client::error::ErrorCode;
use vault_client::platform::{Randomness, SystemRandomness};
use vault_core::keys::{PhraseLanguage, RecoveryPhrase};
use zeroize::Zeroizing;

use crate::args::Language;
use crate::failure::Failure;
use crate::input::STANDARD_INPUT;
use crate::language::{self, say, words as words_in};

/// How many words a phrase has.
const WORDS: usize = 24;

/// How many of the words are asked back.
const ASKED_BACK: usize = 2;

/// More than 24 words of any list are long.
const MAX_PHRASE_BYTES: u64 = 4_096;

/// The words in the language that was asked for, or in that of the messages.
pub(crate) fn in_words(phrase: &RecoveryPhrase, asked: Option<Language>) -> Zeroizing<String> {
    phrase.words(match (asked, language::language()) {
        (Some(Language::Fr), _) | (None, language::Language::French) => PhraseLanguage::French,
        _ => PhraseLanguage::English,
    })
}

/// The phrase in a file, or as somebody types it (`prompt` says which), or from
/// standard input where that is no terminal.
pub(crate) fn read(file: Option<&Path>, prompt: &str) -> Result<RecoveryPhrase, Failure> {
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_PHRASE_BYTES as usize));
    match file {
        Some(path) => {
            let failed = |error: io::Error| Failure::file(path, &error);
            let file = File::open(path).map_err(failed)?;
            file.take(MAX_PHRASE_BYTES)
                .read_to_string(&mut text)
                .map_err(failed)?;
        }
        None if io::stdin().is_terminal() => {
            // Shown as they are typed: two dozen words are not got right unseen.
            type_in(prompt, &mut text)?;
        }
        None => {
            io::stdin()
                .lock()
                .take(MAX_PHRASE_BYTES)
                .read_to_string(&mut text)
                .map_err(|error| Failure::io(STANDARD_INPUT, &error))?;
        }
    }
    let text = without_numbers(&text).unwrap_or(text);
    RecoveryPhrase::parse(&text).map_err(|error| {
        Failure::of(ErrorCode::WrongKey, &error).with_hint(words_in(
            "24 words in the order on the paper, all English or all French",
            "24 mots dans l’ordre du papier, tous anglais ou tous français",
        ))
    })
}

/// Lines, until there are as many words as there must be, or an empty one.
fn type_in(prompt: &str, text: &mut String) -> Result<(), Failure> {
    let mut prompt = prompt.to_owned();
    loop {
        let typed: String = Input::new()
            .with_prompt(&prompt)
            .allow_empty(true)
            .interact_text()
            .map_err(|error| Failure::of(ErrorCode::Cancelled, &error))?;
        let typed = Zeroizing::new(typed);
        if text.len() + typed.len() >= MAX_PHRASE_BYTES as usize {
            return Ok(());
        }
        text.push_str(&typed);
        text.push(' ');
        let words = text.split_whitespace();
        let words = words.filter(|word| number(word).is_none()).count();
        if typed.trim().is_empty() || words >= WORDS {
            return Ok(());
        }
        prompt = say!(
            "{words} of {WORDS} words; the next",
            "{words} mots sur {WORDS} ; les suivants"
        );
    }
}

/// The words in the order of the numbers in front of them, as they stand on paper; in
/// whichever order they were copied. `None` where not every word has its number.
fn without_numbers(text: &str) -> Option<Zeroizing<String>> {
    let mut ordered = [""; WORDS];
    let mut parts = text.split_whitespace();
    while let Some(part) = parts.next() {
        let place = ordered.get_mut(number(part)?.checked_sub(1)?)?;
        let word = parts.next().filter(|word| number(word).is_none())?;
        if !place.is_empty() {
            return None;
        }
        *place = word;
    }
    let is_whole = ordered.iter().all(|word| !word.is_empty());
    is_whole.then(|| Zeroizing::new(ordered.join(" ")))
}

/// `7`, `7.` or `7)`.
fn number(part: &str) -> Option<usize> {
    let digits = part.strip_suffix(['.', ')', ':']).unwrap_or(part);
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

/// The words, numbered, in two columns.
pub(crate) fn show(out: &mut dyn Write, words: &str) -> io::Result<()> {
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
pub(crate) fn ask_back(phrase: &RecoveryPhrase, words: &str) -> Result<(), Failure> {
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
                        Failure::of(ErrorCode::Cancelled, &error).with_hint(words_in(
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
pub(crate) struct PhraseFile {
    path: PathBuf,
    file: File,
    is_finished: bool,
}

impl PhraseFile {
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(path).map_err(|error| {
            let failure = Failure::file(path, &error);
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
    pub(crate) fn finish(mut self, words: &str) -> Result<(), Failure> {
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
            Err(error) => Err(Failure::file(&self.path, &error).with_hint(words_in(
                "it is made all the same; repeat the command to have the words again",
                "elle est faite malgré tout ; répétez la commande pour avoir les mots",
            ))),
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

    const PHRASE: &str = "abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon \
        abandon abandon abandon abandon abandon art";

    #[test]
    fn words_stand_in_two_numbered_columns() {
        let mut out = Vec::new();
        show(&mut out, PHRASE).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("\n   1. abandon         13. abandon\n"),
            "{text}"
        );
        assert!(text.contains("\n  12. abandon         24. art\n"), "{text}");
    }

    #[test]
    fn words_are_read_with_the_numbers_in_front_of_them() {
        // Every word another one, so that their order counts.
        let words: Vec<_> = (1..=WORDS).map(|at| format!("w{at}")).collect();
        let plain = words.join(" ");
        for (end, line) in [("", " "), (".", "\n"), (")", "\r\n ")] {
            let numbered = words.iter().enumerate();
            let numbered = numbered.map(|(at, word)| format!("{}{end} {word}", at + 1));
            let text = numbered.collect::<Vec<_>>().join(line);
            assert_eq!(*without_numbers(&text).unwrap(), plain, "{text}");
        }
        // As they are shown, line by line.
        let mut shown = Vec::new();
        show(&mut shown, &plain).unwrap();
        let shown = String::from_utf8(shown).unwrap();
        let columns = shown.split("\n\n").nth(1).unwrap();
        assert_eq!(*without_numbers(columns).unwrap(), plain, "{columns}");
        // One without, one twice, one too many, or none at all.
        for text in [
            columns.replace("7. ", ""),
            columns.replace(" 7. ", " 8. "),
            format!("{columns} 25. w25"),
            columns.replace("w7", "7"),
            plain,
        ] {
            assert!(without_numbers(&text).is_none(), "{text}");
        }
    }

    #[test]
    fn only_the_right_word_is_accepted() {
        let phrase = RecoveryPhrase::parse(PHRASE).unwrap();
        let words: Vec<&str> = PHRASE.split_whitespace().collect();
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
        file.finish(PHRASE).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{PHRASE}\n"));
    }
}
