//! A member's address: `NAME@HOST:PORT#FINGERPRINT`.
//!
//! The fingerprint is the whole account id, which is the hash of the account
//! log's genesis. So an address proves itself: no hoster can hand out another
//! log for it, not even at first contact. The name and the host are where to
//! look and what to call him, and prove nothing.
//!
//! ```text
//! fingerprint = bech32m("coffre", account id)      BIP-350: 65 characters, lower case
//! ```
//!
//! A fingerprint with up to four wrong characters is always told, whatever they
//! are, and any other with all but one chance in 2^30.

use std::fmt;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

use crate::ids::AccountId;
use crate::origin::{Origin, OriginError};

/// The most characters of a name.
pub const MAX_NAME_CHARS: usize = 64;
/// The most bytes of an address: names may have four bytes a character.
pub const MAX_ADDRESS_BYTES: usize = 1024;
/// Before the `1` of every fingerprint.
const PREFIX: Hrp = Hrp::parse_unchecked("coffre");

/// Who a member is and where his account log is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    name: String,
    origin: Origin,
    account: AccountId,
}

/// Text that is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Longer than [`MAX_ADDRESS_BYTES`].
    #[error("longer than an address is")]
    TooLong,
    /// No `@`.
    #[error("an address is NAME@HOST:PORT#FINGERPRINT, and the @ is missing")]
    NoName,
    /// Empty, over 64 characters, or with a character that names may not have.
    #[error("a name has 1 to {MAX_NAME_CHARS} visible characters, and no space, @, # or :")]
    Name,
    /// Where the hoster is dialled is no origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Nothing behind the host: such an address would be whoever the hoster says.
    #[error("the address has no fingerprint; ask for what `coffre whoami` prints there")]
    NoFingerprint,
    /// Not a fingerprint, or a mistyped one.
    #[error("the fingerprint was mistyped or cut off")]
    Fingerprint,
    /// Right, but not in the one spelling that stored addresses have.
    #[error("the address is not in its one spelling")]
    Spelling,
}

impl Address {
    /// An address of these parts.
    ///
    /// # Errors
    /// [`AddressError::Name`].
    pub fn new(name: &str, origin: Origin, account: AccountId) -> Result<Self, AddressError> {
        if !is_name(name) {
            return Err(AddressError::Name);
        }
        Ok(Self {
            name: name.to_owned(),
            origin,
            account,
        })
    }

    /// Reads an address; white space around it is ignored, and so is the case of
    /// all but the name.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        if text.len() > MAX_ADDRESS_BYTES {
            return Err(AddressError::TooLong);
        }
        let (name, rest) = text.split_once('@').ok_or(AddressError::NoName)?;
        if !is_name(name) {
            return Err(AddressError::Name);
        }
        let (origin, fingerprint) = rest.split_once('#').unwrap_or((rest, ""));
        let origin = Origin::parse(origin)?;
        if fingerprint.is_empty() {
            return Err(AddressError::NoFingerprint);
        }
        let account = parse_fingerprint(fingerprint).ok_or(AddressError::Fingerprint)?;
        Self::new(name, origin, account)
    }

    /// Reads an address in the one spelling that [`fmt::Display`] gives.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse_exact(text: &str) -> Result<Self, AddressError> {
        let address = Self::parse(text)?;
        if address.to_string() == text {
            Ok(address)
        } else {
            Err(AddressError::Spelling)
        }
    }

    /// What the member is called. Whoever made the address chose it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the home of his account log is dialled.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Who he is.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The part behind the `#`.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.account)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}#{}", self.name, self.origin, self.fingerprint())
    }
}

impl std::str::FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text)
    }
}

/// Whether a member may be called that: 1 to 64 visible characters, none of them
/// white space, a control or formatting character, `@`, `#` or `:`.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |c: char| {
        !c.is_whitespace() && !c.is_control() && !is_invisible(c) && !matches!(c, '@' | '#' | ':')
    };
    (1..=MAX_NAME_CHARS).contains(&text.chars().take(MAX_NAME_CHARS + 1).count())
        && text.chars().all(allowed)
}

/// An account id as people read and type it.
#[must_use]
pub fn fingerprint(account: &AccountId) -> String {
    bech32::encode::<Bech32m>(PREFIX, account.as_bytes())
        .expect("32 bytes are within the length that bech32 knows")
}

/// Reads a fingerprint, in lower or in upper case; `None` where a character is
/// wrong.
#[must_use]
pub fn parse_fingerprint(text: &str) -> Option<AccountId> {
    let checked = CheckedHrpstring::new::<Bech32m>(text).ok()?;
    if checked.hrp() != PREFIX {
        return None;
    }
    let bytes: Vec<u8> = checked.byte_iter().take(33).collect();
    let account = AccountId::from_slice(&bytes).ok()?;
    // The bits that are left over are zeros: one fingerprint an account.
    (fingerprint(&account) == text.to_ascii_lowercase()).then_some(account)
}

/// Characters that take no room or turn the direction of what stands beside
/// them, with which two names could look alike (Unicode category Cf, and what is
/// blank besides).
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::filler_32;

    fn account() -> AccountId {
        AccountId::from_array(filler_32("account"))
    }

    fn address() -> Address {
        Address::new(
            "zoé",
            Origin::parse("coffre.example:8443").unwrap(),
            account(),
        )
        .unwrap()
    }

    #[test]
    fn is_printed_and_read_back() {
        let address = address();
        let text = address.to_string();
        assert!(
            text.starts_with("zoé@coffre.example:8443#coffre1"),
            "{text}"
        );
        assert_eq!(address.fingerprint().len(), 65);
        assert_eq!(Address::parse(&text), Ok(address.clone()));
        assert_eq!(Address::parse_exact(&text), Ok(address.clone()));
        let fingerprint = address.fingerprint().to_uppercase();
        for other in [
            format!(" {text}\r\n"),
            format!("zoé@Coffre.example:8443#{}", address.fingerprint()),
            format!("zoé@coffre.example:8443#{fingerprint}"),
        ] {
            assert_eq!(Address::parse(&other), Ok(address.clone()), "{other}");
            assert_eq!(Address::parse_exact(&other), Err(AddressError::Spelling));
        }
    }

    #[test]
    fn refuses_what_is_none() {
        let fingerprint = fingerprint(&account());
        let of = |name: &str| format!("{name}@coffre.example:8443#{fingerprint}");
        let behind = |text: &str| format!("zoé@coffre.example:8443{text}");
        let classic = bech32::encode::<bech32::Bech32>(PREFIX, account().as_bytes()).unwrap();
        let other_prefix =
            bech32::encode::<Bech32m>(Hrp::parse_unchecked("coffra"), account().as_bytes());
        let short = bech32::encode::<Bech32m>(PREFIX, &account().as_bytes()[..31]).unwrap();
        let long = bech32::encode::<Bech32m>(PREFIX, &[7; 33]).unwrap();
        for (text, error) in [
            (String::new(), AddressError::NoName),
            (fingerprint.clone(), AddressError::NoName),
            (
                format!("coffre.example:8443#{fingerprint}"),
                AddressError::NoName,
            ),
            (of(""), AddressError::Name),
            (of("a b"), AddressError::Name),
            (of("a:b"), AddressError::Name),
            (of("a#b"), AddressError::Name),
            (of("a\u{7}b"), AddressError::Name),
            (of("a\u{202e}b"), AddressError::Name),
            (of("a\u{200b}b"), AddressError::Name),
            (of("a\u{a0}b"), AddressError::Name),
            (of(&"é".repeat(65)), AddressError::Name),
            (of("a@b"), OriginError::Host.into()),
            (
                format!("zoé@coffre.example#{fingerprint}"),
                OriginError::NoPort.into(),
            ),
            (behind(""), AddressError::NoFingerprint),
            (behind("#"), AddressError::NoFingerprint),
            (behind("#coffre1"), AddressError::Fingerprint),
            (behind(&format!("#{classic}")), AddressError::Fingerprint),
            (
                behind(&format!("#{}", other_prefix.unwrap())),
                AddressError::Fingerprint,
            ),
            (behind(&format!("#{short}")), AddressError::Fingerprint),
            (behind(&format!("#{long}")), AddressError::Fingerprint),
            (
                behind(&format!("#C{}", &fingerprint[1..])),
                AddressError::Fingerprint,
            ),
            (
                behind(&format!("#{fingerprint}#")),
                AddressError::Fingerprint,
            ),
            ("é".repeat(513), AddressError::TooLong),
        ] {
            assert_eq!(Address::parse(&text), Err(error), "{text}");
        }
        assert!(Address::parse(&of(&"\u{1f512}".repeat(64))).is_ok());
        assert_eq!(
            Address::new("", address().origin, account()),
            Err(AddressError::Name)
        );
    }

    #[test]
    fn every_character_of_a_fingerprint_counts() {
        let right = fingerprint(&account());
        for length in 0..right.len() {
            assert_eq!(parse_fingerprint(&right[..length]), None);
        }
        for at in 0..right.len() {
            for wrong in "qpzry9x8gf2tvdw0s3jn54khce6mua7l1bio".chars() {
                let changed = format!("{}{wrong}{}", &right[..at], &right[at + 1..]);
                let read = parse_fingerprint(&changed);
                assert_eq!(read.is_some(), changed == right, "{changed}");
            }
            if let Some((a, b)) = right.split_at_checked(at + 1)
                && let Some(next) = b.chars().next()
            {
                let (a, last) = a.split_at(at);
                let swapped = format!("{a}{next}{last}{}", &b[1..]);
                assert_eq!(parse_fingerprint(&swapped).is_some(), swapped == right);
            }
        }
    }

    /// The four bits that 52 characters have over 32 bytes.
    #[test]
    fn an_account_has_one_fingerprint() {
        use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
        let fes: Vec<_> = account()
            .as_bytes()
            .iter()
            .copied()
            .bytes_to_fes()
            .collect();
        let (last, front) = fes.split_last().unwrap();
        for bits in 0..16 {
            let last = bech32::Fe32::try_from(last.to_u8() | bits).unwrap();
            let text: String = front
                .iter()
                .copied()
                .chain([last])
                .with_checksum::<Bech32m>(&PREFIX)
                .chars()
                .collect();
            let expected = (bits == 0).then(account);
            assert_eq!(parse_fingerprint(&text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(id in any::<[u8; 32]>(), name in "[^\\s@#:\\p{C}\\p{Z}\\p{M}]{1,64}", port in 1_u16..) {
            let origin = Origin::parse(&format!("h.example:{port}")).unwrap();
            if let Ok(address) = Address::new(&name, origin, AccountId::from_array(id)) {
                prop_assert_eq!(Address::parse_exact(&address.to_string()), Ok(address));
            }
        }

        #[test]
        fn never_panics(text in "\\PC{0,20}@?.{0,20}(:[0-9]{1,6})?#?(coffre1)?[a-z0-9]{0,70}") {
            let _ = Address::parse(&text);
            let _ = parse_fingerprint(&text);
        }
    }
}
