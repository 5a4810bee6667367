//! The recovery phrase: a device on paper.
//!
//! ```text
//! entropy        = 32 random bytes                     ↔ 24 words (BIP39)
//! signing seed   = BLAKE3-derive_key("coffre v1 paper signing key", entropy)
//! X-Wing private = BLAKE3-derive_key("coffre v1 paper kem key", entropy)
//! ```
//!
//! Only BIP39's word lists and checksum are used, never its password-based
//! seed: the words already hold 256 bits.

use std::fmt;

use bip39::{Language, Mnemonic};
use rand_core::CryptoRng;
use vault_proto::device::DeviceKind;
use zeroize::{Zeroize, Zeroizing};

use super::DeviceKeys;
use crate::{labels, secret::Secret};

/// How many words a phrase has.
const WORDS: usize = 24;

/// The language of a phrase's words. The same phrase can be written in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PhraseLanguage {
    /// BIP39's English list.
    English,
    /// BIP39's French list.
    French,
}

impl PhraseLanguage {
    /// Every language, in the order in which they are tried.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// The list's words.
    pub(crate) fn word_list(self) -> &'static [&'static str; 2048] {
        self.list().word_list()
    }

    const fn list(self) -> Language {
        match self {
            Self::English => Language::English,
            Self::French => Language::French,
        }
    }
}

/// Words that are no recovery phrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PhraseError {
    /// Not 24 words.
    #[error("a recovery phrase has {WORDS} words, not {words}")]
    WordCount {
        /// How many there are.
        words: usize,
    },
    /// A word that stands in no list, or not in the list of the others.
    #[error("word {position} is not in the list")]
    UnknownWord {
        /// Where it stands, counted from 1.
        position: usize,
    },
    /// Every word is in the list, but they do not belong together: one is
    /// wrong, or two are swapped.
    #[error("the words do not belong together: one is wrong, or two are swapped")]
    Checksum,
}

/// 256 bits that a member keeps on paper.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryPhrase {
    entropy: Secret,
}

impl RecoveryPhrase {
    /// Makes a new phrase.
    #[must_use]
    pub fn generate(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self {
            entropy: Secret::generate(rng),
        }
    }

    #[cfg(test)]
    pub(crate) fn from_entropy(entropy: [u8; 32]) -> Self {
        Self {
            entropy: Secret::from_array(entropy),
        }
    }

    /// Reads 24 words in either language.
    ///
    /// Case, accents and the white space between words do not matter: no two
    /// words of a list differ in accents alone.
    ///
    /// # Errors
    /// See [`PhraseError`].
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        let folded = Zeroizing::new(fold(text));
        let words: Vec<&str> = folded.split_whitespace().collect();
        if words.len() != WORDS {
            return Err(PhraseError::WordCount { words: words.len() });
        }
        let mut farthest = PhraseError::UnknownWord { position: 1 };
        // A phrase whose words stand in both lists, with a checksum that holds
        // in both, has a chance below 2^-100.
        for language in PhraseLanguage::ALL {
            match parse_words(language, &words) {
                Ok(entropy) => return Ok(Self { entropy }),
                Err(error) => farthest = farther(farthest, error),
            }
        }
        Err(farthest)
    }

    /// The 24 words, with single spaces between them.
    #[must_use]
    pub fn words(&self, language: PhraseLanguage) -> Zeroizing<String> {
        let mnemonic = Mnemonic::from_entropy_in(language.list(), self.entropy.as_bytes())
            .expect("32 bytes are a length that BIP39 knows");
        let mut text = Zeroizing::new(String::with_capacity(WORDS * 12));
        for word in mnemonic.words() {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        text
    }

    /// The keys of the paper device.
    #[must_use]
    pub fn device_keys(&self) -> DeviceKeys {
        DeviceKeys::from_seeds(
            DeviceKind::Paper,
            self.entropy.derive(labels::PAPER_SIGNING_KEY),
            self.entropy.derive(labels::PAPER_KEM_KEY),
        )
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(…)")
    }
}

fn parse_words(language: PhraseLanguage, words: &[&str]) -> Result<Secret, PhraseError> {
    let list = language.list().word_list();
    let mut text = Zeroizing::new(String::with_capacity(WORDS * 12));
    for (index, word) in words.iter().enumerate() {
        let listed =
            list.iter()
                .find(|listed| fold(listed) == *word)
                .ok_or(PhraseError::UnknownWord {
                    position: index + 1,
                })?;
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(listed);
    }
    let mnemonic =
        Mnemonic::parse_in_normalized(language.list(), &text).map_err(|_| PhraseError::Checksum)?;
    let (mut entropy, length) = mnemonic.to_entropy_array();
    let secret = Secret::from_slice(&entropy[..length]).ok_or(PhraseError::Checksum);
    entropy.zeroize();
    secret
}

/// The error of the language that got farther, which is the one meant.
fn farther(one: PhraseError, other: PhraseError) -> PhraseError {
    let reach = |error| match error {
        PhraseError::WordCount { .. } => 0,
        PhraseError::UnknownWord { position } => position,
        PhraseError::Checksum => usize::MAX,
    };
    if reach(other) > reach(one) {
        other
    } else {
        one
    }
}

/// Lower case without accents. The lists hold none but é and è.
fn fold(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}'))
        .map(|c| match c.to_ascii_lowercase() {
            'é' | 'è' | 'ê' | 'ë' | 'É' | 'È' | 'Ê' | 'Ë' => 'e',
            lower => lower,
        })
        .collect()
}
