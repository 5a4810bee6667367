//! The number that two members compare to know that they mean each other.
//!
//! ```text
//! stream  = BLAKE3-derive_key("coffre v1 contact number", smaller id ‖ larger id), 96 bytes
//! group i = u64 at 8 i, little-endian, modulo 100,000                      i = 0 … 11
//! ```
//!
//! Sixty decimal digits, the same on both sides: about 199 bits. A group is a
//! 64-bit number reduced, so that no digit is drawn again; the most likely group
//! is more likely than the least by one part in 10^14.

use std::fmt;

use vault_proto::ids::AccountId;

use crate::labels;

/// Groups of five digits.
const GROUPS: usize = 12;

/// Sixty digits, to be read aloud or held side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContactNumber([u32; GROUPS]);

impl ContactNumber {
    /// The number of two accounts, whichever comes first.
    ///
    /// An account id is the hash of the account's genesis: two members who each
    /// see the same number have each the other's log and no one else's.
    #[must_use]
    pub fn of(one: &AccountId, other: &AccountId) -> Self {
        let (smaller, larger) = if one <= other {
            (one, other)
        } else {
            (other, one)
        };
        let mut stream = [0; 8 * GROUPS];
        blake3::Hasher::new_derive_key(labels::CONTACT_NUMBER)
            .update(smaller.as_bytes())
            .update(larger.as_bytes())
            .finalize_xof()
            .fill(&mut stream);
        let mut groups = [0; GROUPS];
        for (group, bytes) in groups.iter_mut().zip(stream.as_chunks::<8>().0) {
            let reduced = u64::from_le_bytes(*bytes) % 100_000;
            *group = u32::try_from(reduced).expect("below 100,000");
        }
        Self(groups)
    }

    /// The groups, each from 0 to 99,999.
    #[must_use]
    pub fn groups(&self) -> &[u32; GROUPS] {
        &self.0
    }
}

/// Twelve groups of five digits, with single spaces between them.
impl fmt::Display for ContactNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, group) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn account(n: u8) -> AccountId {
        AccountId::from_array([n; 32])
    }

    #[test]
    fn is_the_same_on_both_sides_and_another_for_others() {
        let number = ContactNumber::of(&account(1), &account(2));
        assert_eq!(number, ContactNumber::of(&account(2), &account(1)));
        let text = number.to_string();
        let groups: Vec<_> = text.split(' ').collect();
        assert_eq!(groups.len(), 12);
        let is_group = |group: &&str| group.len() == 5 && group.bytes().all(|b| b.is_ascii_digit());
        assert!(groups.iter().all(is_group), "{text}");

        let numbers: BTreeSet<_> = (0..64)
            .flat_map(|a| (a..64).map(move |b| ContactNumber::of(&account(a), &account(b)).0))
            .collect();
        assert_eq!(numbers.len(), 64 * 65 / 2);
    }
}
