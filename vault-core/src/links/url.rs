//! A link, as one URL: `coffre://HOST:PORT/link#BASE64URL`, the fragment an
//! encoded `LinkUrl` without padding.

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::entry::FieldError;
use vault_proto::ids::{HosterId, LinkId, PackId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::{Origin, OriginError};
use vault_proto::wire;
use zeroize::{Zeroize, Zeroizing};

use super::capsule::{Capsule, CapsuleError, is_capsule_size};
use super::{CapsuleKey, LinkSecret, PasswordError, PasswordStretching};
use crate::aead::OpenError;

const SCHEME: &str = "coffre://";
const PATH: &str = "/link#";
/// The most bytes of a link's URL.
pub const MAX_LINK_URL_LEN: usize = 1_024;
/// The version that URLs of links carry.
pub const LINK_URL_VERSION: u32 = 1;

/// All that it takes to open a link, but for a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkUrl {
    /// Where the hoster is dialled.
    pub origin: Origin,
    /// Who the hoster is.
    pub hoster: HosterId,
    /// How TLS is ended there.
    pub tls: TlsTrust,
    /// What the link is worth.
    pub secret: LinkSecret,
    /// The pack that is the sealed capsule: `BLAKE3` of its bytes.
    pub capsule: PackId,
    /// How the password is stretched, where one is needed.
    pub password: Option<PasswordStretching>,
}

/// Why text is not the URL of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkUrlError {
    /// Longer than [`MAX_LINK_URL_LEN`].
    #[error("longer than a link is")]
    TooLong,
    /// Does not begin with `coffre://`.
    #[error("a link begins with coffre://")]
    Scheme,
    /// Has no `/link#` behind the address.
    #[error("the link is cut off or not one: /link# is missing")]
    Path,
    /// The address is none.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// What follows the `#` is not base64url without padding.
    #[error("the link was damaged: what follows the # is not base64url")]
    Base64,
    /// What follows the `#` does not decode.
    #[error("the link was damaged: it is {0}")]
    Decode(#[from] DecodeError),
    /// A version that this program does not know.
    #[error("the link has version {0}; this program knows version 1")]
    Version(u32),
    /// How TLS is ended is missing or contradicts itself.
    #[error(transparent)]
    Tls(#[from] FieldError),
    /// A field that is not 32 bytes.
    #[error("the link's field `{0}` is not 32 bytes")]
    Length(&'static str),
    /// The password is to be stretched in a way that is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// Why a link does not open what the hoster sent as its capsule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenLinkError {
    /// The bytes are not those that the URL names: the hoster, or the way here,
    /// put others in their place.
    #[error("not the capsule that the link names")]
    NotThisCapsule,
    /// The URL says that a password is needed.
    #[error("this link needs a password")]
    PasswordNeeded,
    /// The URL says that no password is needed.
    #[error("this link has no password")]
    NoPassword,
    /// The password cannot be stretched.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The bytes are the right ones, and the password does not open them.
    #[error("the password is wrong")]
    WrongPassword,
    /// The bytes are those that the URL names, and its secret does not open them.
    #[error(transparent)]
    Unopenable(#[from] OpenError),
    /// They open, and are not what this format says, or not for this link.
    #[error(transparent)]
    Malformed(#[from] CapsuleError),
}

impl LinkUrl {
    /// Reads a link's URL; white space around it is ignored.
    ///
    /// # Errors
    /// See [`LinkUrlError`].
    pub fn parse(url: &str) -> Result<Self, LinkUrlError> {
        let url = url.trim();
        if url.len() > MAX_LINK_URL_LEN {
            return Err(LinkUrlError::TooLong);
        }
        let rest = url.strip_prefix(SCHEME).ok_or(LinkUrlError::Scheme)?;
        let (origin, fragment) = rest.split_once(PATH).ok_or(LinkUrlError::Path)?;
        let origin = Origin::parse(origin)?;
        let bytes = BASE64URL_NOPAD
            .decode(fragment.as_bytes())
            .map_err(|_| LinkUrlError::Base64)?;
        let bytes = Zeroizing::new(bytes);
        Self::from_wire(origin, decode_canonical(&bytes, MAX_LINK_URL_LEN)?)
    }

    /// The URL, which is as secret as the link.
    #[must_use]
    pub fn to_url(&self) -> String {
        let (tls_mode, tls_pin) = self.tls.to_wire();
        let mut message = wire::LinkUrl {
            version: LINK_URL_VERSION,
            hoster: self.hoster.to_vec(),
            tls_mode: tls_mode.into(),
            tls_pin,
            secret: self.secret.to_vec(),
            capsule: self.capsule.to_vec(),
            password: self.password.map(PasswordStretching::to_wire),
        };
        let bytes = Zeroizing::new(message.encode_to_vec());
        message.secret.zeroize();
        let fragment = Zeroizing::new(BASE64URL_NOPAD.encode(&bytes));
        format!("{SCHEME}{}{PATH}{}", self.origin, *fragment)
    }

    /// What the hoster knows the link by.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.secret.id()
    }

    /// Opens what the hoster sent as the capsule's pack.
    ///
    /// The hash is checked before a password is stretched: a wrong one is told
    /// from wrong bytes.
    ///
    /// # Errors
    /// See [`OpenLinkError`].
    pub fn open(&self, pack: &[u8], password: Option<&[u8]>) -> Result<Capsule, OpenLinkError> {
        if !is_capsule_size(pack.len()) || PackId::of(pack) != self.capsule {
            return Err(OpenLinkError::NotThisCapsule);
        }
        let opened = Capsule::open(&self.capsule_key(password)?, self.id(), pack);
        opened.map_err(|error| match error {
            OpenLinkError::Unopenable(_) if self.password.is_some() => OpenLinkError::WrongPassword,
            error => error,
        })
    }

    fn capsule_key(&self, password: Option<&[u8]>) -> Result<CapsuleKey, OpenLinkError> {
        match (self.password, password) {
            (None, None) => Ok(self.secret.capsule_key(None)),
            (Some(stretching), Some(password)) => {
                let stretched = stretching.stretch(password)?;
                Ok(self.secret.capsule_key(Some(&stretched)))
            }
            (Some(_), None) => Err(OpenLinkError::PasswordNeeded),
            (None, Some(_)) => Err(OpenLinkError::NoPassword),
        }
    }

    fn from_wire(origin: Origin, mut message: wire::LinkUrl) -> Result<Self, LinkUrlError> {
        if message.version != LINK_URL_VERSION {
            return Err(LinkUrlError::Version(message.version));
        }
        let length = |field| move |_| LinkUrlError::Length(field);
        let secret = Zeroizing::new(std::mem::take(&mut message.secret));
        let password = message.password.as_ref();
        Ok(Self {
            origin,
            hoster: HosterId::from_slice(&message.hoster).map_err(length("hoster"))?,
            tls: TlsTrust::from_wire(message.tls_mode(), &message.tls_pin)?,
            secret: LinkSecret::from_slice(&secret).ok_or(LinkUrlError::Length("secret"))?,
            capsule: PackId::from_slice(&message.capsule).map_err(length("capsule"))?,
            password: password.map(PasswordStretching::from_wire).transpose()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link(tls: TlsTrust, password: Option<PasswordStretching>) -> LinkUrl {
        LinkUrl {
            origin: Origin::parse("coffre.example:8443").unwrap(),
            hoster: HosterId::from_array([1; 32]),
            tls,
            secret: LinkSecret::from_array([2; 32]),
            capsule: PackId::from_array([3; 32]),
            password,
        }
    }

    fn message() -> wire::LinkUrl {
        wire::LinkUrl {
            version: 1,
            hoster: vec![1; 32],
            tls_mode: wire::TlsMode::Pinned.into(),
            tls_pin: vec![7; 32],
            secret: vec![2; 32],
            capsule: vec![3; 32],
            password: None,
        }
    }

    fn url_of(bytes: &[u8]) -> String {
        let fragment = BASE64URL_NOPAD.encode(bytes);
        format!("coffre://coffre.example:8443/link#{fragment}")
    }

    fn parse(change: impl FnOnce(&mut wire::LinkUrl)) -> Result<LinkUrl, LinkUrlError> {
        let mut message = message();
        change(&mut message);
        LinkUrl::parse(&url_of(&message.encode_to_vec()))
    }

    #[test]
    fn is_printed_and_read_back() {
        let password = PasswordStretching::cheapest([9; 16]);
        for tls in [TlsTrust::Pinned([7; 32]), TlsTrust::Public, TlsTrust::Proxy] {
            for password in [None, Some(password)] {
                let link = link(tls, password);
                let url = link.to_url();
                assert!(url.starts_with("coffre://coffre.example:8443/link#"));
                assert_eq!(LinkUrl::parse(&url), Ok(link.clone()));
                assert_eq!(LinkUrl::parse(&format!(" {url}\r\n")), Ok(link));
            }
        }
        let printed = format!("{:?}", link(TlsTrust::Public, None));
        assert!(printed.contains("LinkSecret(…)") && !printed.contains("2, 2"));
    }

    #[test]
    fn every_field_is_checked() {
        assert_eq!(parse(|_| {}), Ok(link(TlsTrust::Pinned([7; 32]), None)));
        assert_eq!(parse(|m| m.version = 2), Err(LinkUrlError::Version(2)));
        let hoster = LinkUrlError::Length("hoster");
        assert_eq!(parse(|m| m.hoster.truncate(31)), Err(hoster));
        let secret = LinkUrlError::Length("secret");
        assert_eq!(parse(|m| m.secret.push(0)), Err(secret));
        let capsule = LinkUrlError::Length("capsule");
        assert_eq!(parse(|m| m.capsule.clear()), Err(capsule));
        let tls = |change: &dyn Fn(&mut wire::LinkUrl)| parse(|m| change(m)).unwrap_err();
        assert!(matches!(tls(&|m| m.tls_mode = 0), LinkUrlError::Tls(_)));
        assert!(matches!(tls(&|m| m.tls_mode = 9), LinkUrlError::Tls(_)));
        assert!(matches!(tls(&|m| m.tls_mode = 2), LinkUrlError::Tls(_)));
        assert!(matches!(tls(&|m| m.tls_pin.clear()), LinkUrlError::Tls(_)));
        let cheap = wire::PasswordStretching {
            memory_kibibytes: 1_024,
            ..PasswordStretching::cheapest([9; 16]).to_wire()
        };
        let refused = parse(|m| m.password = Some(cheap));
        assert_eq!(refused, Err(PasswordError::TooCheap.into()));
        let refused = parse(|m| m.password = Some(wire::PasswordStretching::default()));
        assert_eq!(refused, Err(PasswordError::Algorithm.into()));
    }

    #[test]
    fn what_is_no_link_is_told() {
        let url = link(TlsTrust::Public, None).to_url();
        let read = LinkUrl::parse(&format!("{url}{}", "a".repeat(1_024)));
        assert_eq!(read, Err(LinkUrlError::TooLong));
        let read = LinkUrl::parse(&"a".repeat(MAX_LINK_URL_LEN));
        assert_eq!(read, Err(LinkUrlError::Scheme));
        let read = LinkUrl::parse(&url.replace("coffre:", "https:"));
        assert_eq!(read, Err(LinkUrlError::Scheme));
        let read = LinkUrl::parse(&url.replace("/link#", "/invite#"));
        assert_eq!(read, Err(LinkUrlError::Path));
        let read = LinkUrl::parse(&url.replace(":8443", ""));
        assert_eq!(read, Err(OriginError::NoPort.into()));
        assert_eq!(
            LinkUrl::parse(&format!("{url}=")),
            Err(LinkUrlError::Base64)
        );
        let mut bytes = message().encode_to_vec();
        let cut = LinkUrl::parse(&url_of(&bytes[..bytes.len() - 1]));
        assert_eq!(cut, Err(DecodeError::Malformed.into()));
        bytes.extend([0x78, 1]);
        let unknown = LinkUrl::parse(&url_of(&bytes));
        assert_eq!(unknown, Err(DecodeError::NotCanonical.into()));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,100}") {
            let _ = LinkUrl::parse(&text);
            let _ = LinkUrl::parse(&format!("coffre://a:1/link#{text}"));
        }

        #[test]
        fn a_link_reads_back_as_itself(
            hoster: [u8; 32],
            secret: [u8; 32],
            capsule: [u8; 32],
            pin in proptest::option::of(any::<[u8; 32]>()),
            cost in proptest::option::of((65_536_u32..=524_288, 1_u32..=16, 1_u32..=4, any::<[u8; 16]>())),
        ) {
            let link = LinkUrl {
                origin: Origin::parse("coffre.example:8443").unwrap(),
                hoster: HosterId::from_array(hoster),
                tls: pin.map_or(TlsTrust::Proxy, TlsTrust::Pinned),
                secret: LinkSecret::from_array(secret),
                capsule: PackId::from_array(capsule),
                password: cost.map(|(memory, passes, lanes, salt)| {
                    PasswordStretching::new(memory, passes, lanes, salt).unwrap()
                }),
            };
            prop_assert_eq!(LinkUrl::parse(&link.to_url()), Ok(link));
        }
    }
}
