//! An invitation to a hoster, as one URL:
//! `coffre://HOST:PORT/invite#BASE64URL`, the fragment an encoded `Invitation`
//! without padding.
//!
//! It carries what a device must know before it dials: the hoster's id, and how
//! TLS is ended there. The secret is good for one account.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::canonical::{DecodeError, decode_canonical};
use crate::entry::{FieldError, array};
use crate::ids::HosterId;
use crate::origin::{Origin, OriginError};
use crate::wire;

const SCHEME: &str = "coffre://";
const PATH: &str = "/invite#";
/// The most bytes of an invitation's URL.
pub const MAX_INVITATION_BYTES: usize = 1024;
/// The version that invitations carry.
pub const INVITATION_VERSION: u32 = 1;

/// How TLS is ended at a hoster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsTrust {
    /// `coffre-server` ends it with the key whose SubjectPublicKeyInfo has this
    /// SHA-256; certificates around it may change.
    Pinned([u8; 32]),
    /// `coffre-server` ends it with a certificate of a public authority.
    Public,
    /// A reverse proxy ends it.
    Proxy,
}

impl TlsTrust {
    /// Whether logins are bound to the channel: the two ends of TLS are the two
    /// ends of the login.
    #[must_use]
    pub fn binds_channel(self) -> bool {
        !matches!(self, Self::Proxy)
    }

    /// As messages carry it: the mode, and the pin where there is one.
    #[must_use]
    pub fn to_wire(self) -> (wire::TlsMode, Vec<u8>) {
        match self {
            Self::Pinned(pin) => (wire::TlsMode::Pinned, pin.to_vec()),
            Self::Public => (wire::TlsMode::Public, Vec::new()),
            Self::Proxy => (wire::TlsMode::Proxy, Vec::new()),
        }
    }

    /// Reads it from a message.
    ///
    /// # Errors
    /// If the mode is none, or the pin is not 32 bytes where it is pinned and
    /// empty elsewhere.
    pub fn from_wire(mode: wire::TlsMode, pin: &[u8]) -> Result<Self, FieldError> {
        let tls = match mode {
            wire::TlsMode::Pinned => return Ok(Self::Pinned(array(pin, "tls_pin")?)),
            wire::TlsMode::Public => Self::Public,
            wire::TlsMode::Proxy => Self::Proxy,
            wire::TlsMode::Unspecified => return Err(FieldError::new("tls_mode")),
        };
        array::<0>(pin, "tls_pin")?;
        Ok(tls)
    }
}

/// What an invitation is worth: 32 random bytes, good for one account.
#[derive(Clone)]
pub struct InvitationSecret([u8; 32]);

/// An invitation to a hoster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Where the hoster is dialled.
    pub origin: Origin,
    /// Who the hoster is.
    pub hoster: HosterId,
    /// How TLS is ended there.
    pub tls: TlsTrust,
    /// What is handed in for an account.
    pub secret: InvitationSecret,
    /// Until when, in seconds since 1970.
    pub expires: u64,
}

/// Why text is no invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// Longer than [`MAX_INVITATION_BYTES`].
    #[error("longer than an invitation is")]
    TooLong,
    /// Does not begin with `coffre://`.
    #[error("an invitation begins with coffre://")]
    Scheme,
    /// Has no `/invite#` behind the address.
    #[error("the invitation is cut off or not one: /invite# is missing")]
    Path,
    /// The address is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// What follows the `#` is not base64url without padding.
    #[error("the invitation was damaged: what follows the # is not base64url")]
    Base64,
    /// What follows the `#` does not decode.
    #[error("the invitation was damaged: it is {0}")]
    Decode(#[from] DecodeError),
    /// A version that this program does not know.
    #[error("the invitation has version {0}; this program knows version 1")]
    Version(u32),
    /// A field is missing or not of its length.
    #[error(transparent)]
    Field(#[from] FieldError),
}

impl Invitation {
    /// Reads an invitation's URL; white space around it is ignored.
    ///
    /// # Errors
    /// See [`InvitationError`].
    pub fn parse(url: &str) -> Result<Self, InvitationError> {
        let url = url.trim();
        if url.len() > MAX_INVITATION_BYTES {
            return Err(InvitationError::TooLong);
        }
        let rest = url.strip_prefix(SCHEME).ok_or(InvitationError::Scheme)?;
        let (origin, fragment) = rest.split_once(PATH).ok_or(InvitationError::Path)?;
        let origin = Origin::parse(origin)?;
        let bytes = BASE64URL_NOPAD
            .decode(fragment.as_bytes())
            .map_err(|_| InvitationError::Base64)?;
        Self::from_wire(origin, decode_canonical(&bytes, MAX_INVITATION_BYTES)?)
    }

    /// The URL, which is as secret as the invitation.
    #[must_use]
    pub fn to_url(&self) -> String {
        let (tls_mode, tls_pin) = self.tls.to_wire();
        let message = wire::Invitation {
            version: INVITATION_VERSION,
            hoster: self.hoster.to_vec(),
            tls_mode: tls_mode.into(),
            tls_pin,
            secret: self.secret.0.to_vec(),
            expires: self.expires,
        };
        let fragment = BASE64URL_NOPAD.encode(&message.encode_to_vec());
        format!("{SCHEME}{}{PATH}{fragment}", self.origin)
    }

    fn from_wire(origin: Origin, message: wire::Invitation) -> Result<Self, InvitationError> {
        if message.version != INVITATION_VERSION {
            return Err(InvitationError::Version(message.version));
        }
        let tls = TlsTrust::from_wire(message.tls_mode(), &message.tls_pin)?;
        Ok(Self {
            origin,
            hoster: HosterId::from_array(array(&message.hoster, "hoster")?),
            tls,
            secret: InvitationSecret::from_array(array(&message.secret, "secret")?),
            expires: message.expires,
        })
    }
}

impl InvitationSecret {
    /// Takes 32 bytes, which must be random.
    #[must_use]
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for InvitationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationSecret(…)")
    }
}

impl PartialEq for InvitationSecret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for InvitationSecret {}

impl Drop for InvitationSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{filler_32, hoster};

    fn invitation(tls: TlsTrust) -> Invitation {
        Invitation {
            origin: Origin::parse("coffre.example:8443").unwrap(),
            hoster: hoster("inviting"),
            tls,
            secret: InvitationSecret::from_array(filler_32("invitation")),
            expires: 1_800_000_000,
        }
    }

    fn message() -> wire::Invitation {
        wire::Invitation {
            version: 1,
            hoster: hoster("inviting").to_vec(),
            tls_mode: wire::TlsMode::Pinned.into(),
            tls_pin: vec![7; 32],
            secret: filler_32("invitation").to_vec(),
            expires: 1_800_000_000,
        }
    }

    fn url_of(bytes: &[u8]) -> String {
        let fragment = BASE64URL_NOPAD.encode(bytes);
        format!("coffre://coffre.example:8443/invite#{fragment}")
    }

    #[test]
    fn is_printed_and_read_back() {
        for tls in [TlsTrust::Pinned([7; 32]), TlsTrust::Public, TlsTrust::Proxy] {
            let invitation = invitation(tls);
            let url = invitation.to_url();
            assert!(url.starts_with("coffre://coffre.example:8443/invite#"));
            assert_eq!(Invitation::parse(&url), Ok(invitation.clone()));
            assert_eq!(Invitation::parse(&format!(" {url}\r\n")), Ok(invitation));
        }
        assert!(TlsTrust::Public.binds_channel() && !TlsTrust::Proxy.binds_channel());
    }

    #[test]
    fn shows_no_secret_when_debugged() {
        let shown = format!("{:?}", invitation(TlsTrust::Public));
        assert!(shown.contains("InvitationSecret(…)"), "{shown}");
    }

    #[test]
    fn refuses_what_is_none() {
        let good = invitation(TlsTrust::Public).to_url();
        let fragment = good.split_once('#').unwrap().1;
        let at = |origin: &str| format!("coffre://{origin}/invite#{fragment}");
        let encoded = message().encode_to_vec();
        for (url, error) in [
            (
                good.replace("coffre://", "https://"),
                InvitationError::Scheme,
            ),
            (String::new(), InvitationError::Scheme),
            (good.replace("/invite", ""), InvitationError::Path),
            (good.replace('#', "?"), InvitationError::Path),
            (at("coffre.example"), OriginError::NoPort.into()),
            (at(""), OriginError::NoPort.into()),
            (at("coffre.example:0"), OriginError::Port.into()),
            (at("a b:1"), OriginError::Host.into()),
            (good.clone() + "=", InvitationError::Base64),
            (good.clone() + "+", InvitationError::Base64),
            (good.replace('#', "# "), InvitationError::Base64),
            ("x".repeat(1025), InvitationError::TooLong),
            (url_of(&encoded[1..]), DecodeError::Malformed.into()),
            (
                url_of(&[&encoded[..], &[0x38, 1]].concat()),
                DecodeError::NotCanonical.into(),
            ),
            (url_of(b""), InvitationError::Version(0)),
        ] {
            assert_eq!(Invitation::parse(&url), Err(error), "{url}");
        }
    }

    #[test]
    fn refuses_fields_that_are_not_what_they_must_be() {
        type Change = fn(&mut wire::Invitation);
        let field = |name| InvitationError::Field(FieldError::new(name));
        let changes: [(Change, InvitationError); 9] = [
            (|m| m.version = 2, InvitationError::Version(2)),
            (|m| m.hoster.truncate(31), field("hoster")),
            (|m| m.secret.push(0), field("secret")),
            (|m| m.secret.clear(), field("secret")),
            (|m| m.tls_mode = 0, field("tls_mode")),
            (|m| m.tls_mode = 4, field("tls_mode")),
            (|m| m.tls_pin.clear(), field("tls_pin")),
            (|m| m.tls_mode = 2, field("tls_pin")),
            (|m| m.tls_mode = 3, field("tls_pin")),
        ];
        for (change, error) in changes {
            let mut message = message();
            change(&mut message);
            let url = url_of(&message.encode_to_vec());
            assert_eq!(Invitation::parse(&url), Err(error), "{message:?}");
        }
    }

    #[test]
    fn a_character_that_is_cut_off_or_changed_is_noticed_or_means_another() {
        let url = invitation(TlsTrust::Pinned([7; 32])).to_url();
        for length in 0..url.len() {
            assert!(Invitation::parse(&url[..length]).is_err(), "{length}");
        }
        // A URL has no check sum; but no two fragments mean the same.
        let fragment = url.find('#').unwrap() + 1;
        for at in fragment..url.len() {
            let mut changed = url.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            if let Ok(other) = Invitation::parse(&changed) {
                assert_eq!(other.to_url(), changed);
                assert_ne!(other, Invitation::parse(&url).unwrap());
            }
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "(coffre://)?.{0,20}(:[0-9]{1,6})?(/invite#)?[A-Za-z0-9_-]{0,90}") {
            let _ = Invitation::parse(&text);
        }
    }
}
