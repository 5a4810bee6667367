//! The words that both devices show.
//!
//! ```text
//! digest = BLAKE3-derive_key("coffre v1 pairing words", entry hash ‖ account id)
//! word i = list[bits 11 i … 11 i + 10 of digest, the first bit the highest]     i = 0 … 5
//! ```
//!
//! Sixty-six bits of a BIP39 list. Whoever wants two entries with the same words
//! has to find them while two devices wait for ten minutes, and needs the code's
//! secret before he can try.

use vault_proto::ids::{AccountId, EntryHash};

use crate::{keys::PhraseLanguage, labels};

/// Bits that name a word of a list of 2,048.
const WORD_BITS: usize = 11;

/// Six words of the entry that adds a device and of the account.
#[must_use]
pub fn check_words(
    entry: &EntryHash,
    account: &AccountId,
    language: PhraseLanguage,
) -> [&'static str; 6] {
    let digest = blake3::Hasher::new_derive_key(labels::PAIRING_WORDS)
        .update(entry.as_bytes())
        .update(account.as_bytes())
        .finalize();
    let bit = |at: usize| usize::from(digest.as_bytes()[at / 8] >> (7 - at % 8) & 1);
    let list = language.word_list();
    std::array::from_fn(|word| {
        let first = word * WORD_BITS;
        let index = (first..first + WORD_BITS).fold(0, |index, at| index << 1 | bit(at));
        list[index]
    })
}
