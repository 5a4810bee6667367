//! A head as a member keeps it on paper, or reads it out to compare.
//!
//! ```text
//! printed head = SEQ "-" groups of 4 of BASE32(
//!     first 20 bytes of the head's hash ‖ first 5 bytes of
//!     derive_key("coffre v1 printed head", vault ‖ seq (u64) ‖ those 20 bytes))
//! ```
//!
//! The check tells a slip of the pen, or a head of another vault. It is no secret.

use std::fmt;

use data_encoding::BASE32_NOPAD;
use vault_proto::ids::{HeadHash, VaultId};
use vault_proto::position::HeadPosition;

use crate::labels;

/// Bytes of a hash that are printed: nobody finds a second head with the same.
const HASH_BYTES: usize = 20;
/// Bytes of the check.
const CHECK_BYTES: usize = 5;
/// Characters between two dashes.
const GROUP: usize = 4;
/// Bytes of what is read as one, white space around it left out.
const MAX_BYTES: usize = 128;

/// A head of one vault, as far as it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrintedHead {
    vault: VaultId,
    seq: u64,
    hash: [u8; HASH_BYTES],
}

impl PrintedHead {
    /// The head at this place of the vault's chain.
    #[must_use]
    pub fn of(vault: &VaultId, head: &HeadPosition) -> Self {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(&head.hash.as_bytes()[..HASH_BYTES]);
        Self {
            vault: *vault,
            seq: head.seq,
            hash,
        }
    }

    /// Reads a head of this vault, whatever case, white space and dashes were made of
    /// what comes after its number; `None` for anything else.
    #[must_use]
    pub fn parse(vault: &VaultId, text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return None;
        }
        let (number, rest) = text.split_once('-')?;
        let seq: u64 = number.parse().ok()?;
        // A sign or a zero before it is nothing that was printed.
        if seq == 0 || seq.to_string() != number {
            return None;
        }
        let letters: String = rest
            .chars()
            .filter(|c| *c != '-' && !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let bytes = BASE32_NOPAD.decode(letters.as_bytes()).ok()?;
        let (hash, check) = bytes.split_first_chunk::<HASH_BYTES>()?;
        let head = Self {
            vault: *vault,
            seq,
            hash: *hash,
        };
        (check == head.check()).then_some(head)
    }

    /// Its number in the chain.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether it is the head with this hash.
    #[must_use]
    pub fn names(&self, hash: &HeadHash) -> bool {
        hash.as_bytes()[..HASH_BYTES] == self.hash
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let mut hasher = blake3::Hasher::new_derive_key(labels::PRINTED_HEAD);
        hasher.update(self.vault.as_bytes());
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.hash);
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
        check
    }
}

/// As it is printed.
impl fmt::Display for PrintedHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seq)?;
        let text = BASE32_NOPAD.encode(&[&self.hash[..], &self.check()].concat());
        for (place, character) in text.to_ascii_lowercase().chars().enumerate() {
            if place % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{character}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(seq: u64, hash: [u8; 32]) -> HeadPosition {
        let hash = HeadHash::from_array(hash);
        HeadPosition { seq, hash }
    }

    #[test]
    fn names_a_hash_by_its_first_bytes_and_no_other() {
        let hash = [7; 32];
        let printed = PrintedHead::of(&VaultId::from_array([1; 32]), &head(3, hash));
        assert!(printed.names(&HeadHash::from_array(hash)));
        for place in 0..HASH_BYTES {
            let mut other = hash;
            other[place] ^= 1;
            assert!(!printed.names(&HeadHash::from_array(other)), "{place}");
        }
    }

    /// What a text is but for what a reader ignores.
    fn bare(text: &str) -> String {
        let text = text.trim().to_ascii_lowercase();
        let (number, rest) = text.split_once('-').unwrap();
        let rest: String = rest.split_whitespace().collect();
        format!("{number}-{}", rest.replace('-', ""))
    }

    proptest! {
        /// Whatever somebody types: no panic, and what is read is one that is printed.
        #[test]
        fn any_text_is_a_printed_head_or_none(text in "\\PC{0,140}") {
            let vault = VaultId::from_array([1; 32]);
            if let Some(read) = PrintedHead::parse(&vault, &text) {
                prop_assert_eq!(bare(&text), bare(&read.to_string()));
            }
        }

        /// Likewise of what looks like one: 40 bits are not met by chance.
        #[test]
        fn what_looks_like_a_printed_head_is_none(
            text in "[ +0-9]{0,22}-([a-zA-Z2-7]{4}-?){9,11}",
            vault in any::<[u8; 32]>(),
        ) {
            let vault = VaultId::from_array(vault);
            prop_assert_eq!(PrintedHead::parse(&vault, &text), None);
        }

        #[test]
        fn what_is_printed_is_read_and_no_letter_may_be_another(
            seq in 1_u64..,
            hash in any::<[u8; 32]>(),
            vault in any::<[u8; 32]>(),
            place in any::<prop::sample::Index>(),
            letter in "[a-z2-7]",
        ) {
            let vault = VaultId::from_array(vault);
            let printed = PrintedHead::of(&vault, &head(seq, hash));
            let text = printed.to_string();
            prop_assert_eq!(PrintedHead::parse(&vault, &text), Some(printed));
            prop_assert_eq!(PrintedHead::parse(&vault, &text.to_uppercase()), Some(printed));
            // In the place of a dash, it is one letter more.
            let start = text.find('-').unwrap() + 1;
            let place = start + place.index(text.len() - start);
            let other = [&text[..place], &letter, &text[place + 1..]].concat();
            if other != text {
                prop_assert_eq!(PrintedHead::parse(&vault, &other), None);
            }
        }

        #[test]
        fn white_space_and_dashes_are_no_part_of_it(
            hash in any::<[u8; 32]>(),
            between in prop::collection::vec("[- \t\n]{0,2}", 40),
        ) {
            let vault = VaultId::from_array([1; 32]);
            let printed = PrintedHead::of(&vault, &head(12, hash));
            let text = printed.to_string();
            let (number, letters) = text.split_once('-').unwrap();
            let letters = letters.replace('-', "");
            let spread = letters.chars().zip(between).map(|(c, between)| format!("{c}{between}"));
            let text = format!(" {number}-{}", spread.collect::<String>());
            prop_assert_eq!(PrintedHead::parse(&vault, &text), Some(printed));
        }
    }
}
