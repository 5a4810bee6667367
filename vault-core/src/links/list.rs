//! The list of live links, as the members of a vault see it.

use prost::Message;
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::ids::{AccountId, LinkId, PackId};
use vault_proto::wire;

use super::capsule::is_capsule_size;
use super::{CapsuleKey, LinkSecret, PasswordError, PasswordStretching};
use crate::chunk::ChunkKind;
use crate::snapshot::{SnapshotId, is_absolute};
use crate::timestamp::Timestamp;

/// The longest encoded list, in bytes.
pub const MAX_LINKS_LEN: usize = ChunkKind::Links.max_len();
/// The most links of a vault.
pub const MAX_LINKS: usize = 1_024;

/// The longest path, in bytes.
const MAX_PATH_LEN: usize = 65_535;
/// The longest label, in bytes.
const MAX_LABEL_LEN: usize = 255;

/// What is wrong with a list of links, or with a change to one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinksError {
    /// Not the one encoding of a list.
    #[error("not a list of links: {0}")]
    Encoding(#[from] DecodeError),
    /// A secret, key or id that is not 32 bytes.
    #[error("a secret, key or id that is not 32 bytes")]
    Length,
    /// Links that are repeated or out of order.
    #[error("links that are repeated or out of order")]
    Order,
    /// A capsule of a size that no pack has.
    #[error("a capsule of a size that no pack has")]
    Capsule,
    /// A password that is to be stretched in a way that is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// No time, or one with 10^9 nanoseconds or more.
    #[error("not a time")]
    Time,
    /// Not an absolute path in its shortest form, or over 65,535 bytes.
    #[error("not the path of a link")]
    Path,
    /// A label with control characters or over 255 bytes.
    #[error("not the label of a link")]
    Label,
    /// More than [`MAX_LINKS`], or longer than [`MAX_LINKS_LEN`] when encoded.
    #[error("more than {MAX_LINKS} links, or {MAX_LINKS_LEN} bytes of them")]
    TooMany,
}

/// A live link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What it is worth: with it, the URL can be shown again.
    pub secret: LinkSecret,
    /// What opens its capsule, so that members see what it holds without its
    /// password.
    pub capsule_key: CapsuleKey,
    /// The pack that is its sealed capsule.
    pub capsule: PackId,
    /// Bytes of that pack.
    pub capsule_size: u32,
    /// How its password is stretched, where it has one.
    pub password: Option<PasswordStretching>,
    /// Who made it.
    pub account: AccountId,
    /// When.
    pub created: Timestamp,
    /// Until when, in seconds since 1970; 0 for ever.
    pub expires: u64,
    /// How often it may be downloaded; 0 for any number.
    pub max_downloads: u32,
    /// Of which snapshot it shows a part.
    pub snapshot: SnapshotId,
    /// Which part: an absolute path in its shortest form.
    pub path: Vec<u8>,
    /// For people: at most 255 bytes without control characters; may be empty.
    pub label: String,
}

impl Link {
    /// What the hoster knows it by.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.secret.id()
    }

    fn check(&self) -> Result<(), LinksError> {
        if !is_capsule_size(self.capsule_size as usize) {
            return Err(LinksError::Capsule);
        }
        if self.path.len() > MAX_PATH_LEN || !is_absolute(&self.path) {
            return Err(LinksError::Path);
        }
        if self.label.len() > MAX_LABEL_LEN || self.label.chars().any(char::is_control) {
            return Err(LinksError::Label);
        }
        Ok(())
    }

    fn to_wire(&self) -> wire::Link {
        wire::Link {
            secret: self.secret.to_vec(),
            capsule_key: self.capsule_key.to_vec(),
            capsule: self.capsule.to_vec(),
            capsule_size: self.capsule_size,
            password: self.password.map(PasswordStretching::to_wire),
            account: self.account.to_vec(),
            created: Some(self.created.to_wire()),
            expires: self.expires,
            max_downloads: self.max_downloads,
            snapshot: self.snapshot.as_bytes().to_vec(),
            path: self.path.clone(),
            label: self.label.clone(),
        }
    }

    fn from_wire(message: wire::Link) -> Result<Self, LinksError> {
        let created = message.created.as_ref().and_then(Timestamp::from_wire);
        let password = message.password.as_ref();
        let link = Self {
            secret: LinkSecret::from_slice(&message.secret).ok_or(LinksError::Length)?,
            capsule_key: CapsuleKey::from_slice(&message.capsule_key).ok_or(LinksError::Length)?,
            capsule: PackId::from_slice(&message.capsule).map_err(|_| LinksError::Length)?,
            capsule_size: message.capsule_size,
            password: password.map(PasswordStretching::from_wire).transpose()?,
            account: AccountId::from_slice(&message.account).map_err(|_| LinksError::Length)?,
            created: created.ok_or(LinksError::Time)?,
            expires: message.expires,
            max_downloads: message.max_downloads,
            snapshot: SnapshotId::from_slice(&message.snapshot).ok_or(LinksError::Length)?,
            path: message.path,
            label: message.label,
        };
        link.check()?;
        Ok(link)
    }
}

/// The live links of a vault, ordered by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links(Vec<Link>);

impl Links {
    /// All of them, ordered by id.
    #[must_use]
    pub fn all(&self) -> &[Link] {
        &self.0
    }

    /// The link of that id.
    #[must_use]
    pub fn link(&self, id: &LinkId) -> Option<&Link> {
        self.0.iter().find(|link| link.id() == *id)
    }

    /// Adds a link.
    ///
    /// # Errors
    /// See [`LinksError`]: [`LinksError::Order`] if it is there. Nothing has
    /// changed then.
    pub fn add(&mut self, link: Link) -> Result<(), LinksError> {
        link.check()?;
        let Err(place) = self.0.binary_search_by_key(&link.id(), Link::id) else {
            return Err(LinksError::Order);
        };
        self.0.insert(place, link);
        if self.0.len() > MAX_LINKS || self.to_wire().encoded_len() > MAX_LINKS_LEN {
            self.0.remove(place);
            return Err(LinksError::TooMany);
        }
        Ok(())
    }

    /// Takes a link off the list, if it is on it.
    pub fn remove(&mut self, id: &LinkId) -> Option<Link> {
        let place = self.0.iter().position(|link| link.id() == *id)?;
        Some(self.0.remove(place))
    }

    /// The one encoding of this list.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Decodes and checks what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// See [`LinksError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, LinksError> {
        let message: wire::Links = decode_canonical(bytes, MAX_LINKS_LEN)?;
        if message.links.len() > MAX_LINKS {
            return Err(LinksError::TooMany);
        }
        let links: Vec<_> = message
            .links
            .into_iter()
            .map(Link::from_wire)
            .collect::<Result<_, _>>()?;
        let ids: Vec<_> = links.iter().map(Link::id).collect();
        if !ids.is_sorted_by(|a, b| a < b) {
            return Err(LinksError::Order);
        }
        Ok(Self(links))
    }

    fn to_wire(&self) -> wire::Links {
        wire::Links {
            links: self.0.iter().map(Link::to_wire).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link(secret: u8) -> Link {
        let secret = LinkSecret::from_array([secret; 32]);
        Link {
            capsule_key: secret.capsule_key(None),
            secret,
            capsule: PackId::from_array([2; 32]),
            capsule_size: 16 << 10,
            password: Some(PasswordStretching::cheapest([3; 16])),
            account: AccountId::from_array([4; 32]),
            created: Timestamp::new(1_795_000_000, 1).unwrap(),
            expires: 1_800_000_000,
            max_downloads: 3,
            snapshot: SnapshotId::from_slice(&[5; 32]).unwrap(),
            path: b"/home/ada/photos".to_vec(),
            label: "for Éloïse".to_owned(),
        }
    }

    fn links(count: u8) -> Links {
        let mut links = Links::default();
        for secret in 0..count {
            links.add(link(secret)).unwrap();
        }
        links
    }

    /// What a reader makes of a list of three that was changed.
    #[track_caller]
    fn refused(change: impl FnOnce(&mut Vec<wire::Link>)) -> LinksError {
        let mut message = links(3).to_wire();
        change(&mut message.links);
        Links::decode(&message.encode_to_vec()).unwrap_err()
    }

    #[test]
    fn links_are_added_found_and_removed() {
        let mut list = links(5);
        assert_eq!(Links::decode(&list.encode()), Ok(list.clone()));
        assert_eq!(Links::decode(&[]), Ok(Links::default()));
        assert!(list.all().is_sorted_by(|a, b| a.id() < b.id()));
        assert_eq!(list.link(&link(2).id()), Some(&link(2)));
        assert_eq!(list.add(link(2)), Err(LinksError::Order));
        assert_eq!(list.remove(&link(2).id()), Some(link(2)));
        assert_eq!(list.remove(&link(2).id()), None);
        assert_eq!(list.all().len(), 4);
        let plain = Link {
            password: None,
            expires: 0,
            max_downloads: 0,
            path: b"/".to_vec(),
            label: String::new(),
            ..link(9)
        };
        list.add(plain.clone()).unwrap();
        let read = Links::decode(&list.encode()).unwrap();
        assert_eq!(read.link(&plain.id()), Some(&plain));
    }

    #[test]
    fn every_field_is_checked() {
        use LinksError as E;
        assert_eq!(refused(|l| l.swap(0, 1)), E::Order);
        assert_eq!(refused(|l| l[1] = l[0].clone()), E::Order);
        assert_eq!(refused(|l| l[0].secret.truncate(31)), E::Length);
        assert_eq!(refused(|l| l[0].capsule_key.push(0)), E::Length);
        assert_eq!(refused(|l| l[0].capsule.clear()), E::Length);
        assert_eq!(refused(|l| l[0].account.clear()), E::Length);
        assert_eq!(refused(|l| l[0].snapshot.clear()), E::Length);
        assert_eq!(refused(|l| l[0].capsule_size = 0), E::Capsule);
        assert_eq!(refused(|l| l[0].capsule_size = 17 << 10), E::Capsule);
        assert_eq!(refused(|l| l[0].created = None), E::Time);
        let path = |path: &str| refused(|l| l[0].path = path.into());
        for wrong in ["", "a", "/a/", "/a//b", "/a/../b", "/a\0"] {
            assert_eq!(path(wrong), E::Path, "{wrong:?}");
        }
        let long = format!("/{}", "a/".repeat(32_767)) + "a";
        assert_eq!(path(&long), E::Path);
        assert_eq!(refused(|l| l[0].label = "a\nb".into()), E::Label);
        assert_eq!(refused(|l| l[0].label = "a".repeat(256)), E::Label);
        let cheap = PasswordError::TooCheap;
        let stretched = refused(|l| l[0].password.as_mut().unwrap().passes = 0);
        assert_eq!(stretched, E::Password(cheap));
        let unknown = [links(1).encode().as_slice(), &[0x78, 1]].concat();
        let read = Links::decode(&unknown);
        assert_eq!(read, Err(DecodeError::NotCanonical.into()));
        let mut list = links(1);
        let unlabelled = Link {
            label: "\u{7f}".into(),
            ..link(7)
        };
        assert_eq!(list.add(unlabelled), Err(E::Label));
    }

    #[test]
    fn the_list_is_bounded() {
        let numbered = |number: u32| {
            let mut secret = [0; 32];
            secret[..4].copy_from_slice(&number.to_le_bytes());
            Link {
                secret: LinkSecret::from_array(secret),
                ..link(1)
            }
        };
        let mut list = Links::default();
        for number in 0..MAX_LINKS as u32 {
            list.add(numbered(number)).unwrap();
        }
        let full = list.clone();
        assert_eq!(Links::decode(&full.encode()).as_ref(), Ok(&full));
        let more = list.add(numbered(u32::MAX));
        assert_eq!((more, &list), (Err(LinksError::TooMany), &full));
        let mut message = list.to_wire();
        message.links.push(numbered(u32::MAX).to_wire());
        let read = Links::decode(&message.encode_to_vec());
        assert_eq!(read, Err(LinksError::TooMany));
        let long = |number| Link {
            path: vec![b"/a".as_slice(); 30_000].concat(),
            ..numbered(number)
        };
        let mut list = Links::default();
        let refused = (0..100).find_map(|number| list.add(long(number)).err());
        assert_eq!(refused, Some(LinksError::TooMany));
        assert_eq!(Links::decode(&list.encode()).as_ref(), Ok(&list));
        // To the last byte.
        let length = |list: &Links| list.to_wire().encoded_len();
        let room = MAX_LINKS_LEN - length(&list);
        let sized = |path: usize| Link {
            path: [b"/a".repeat(path / 2), vec![b'a'; path % 2]].concat(),
            ..numbered(u32::MAX)
        };
        let fits = (2..room).rev().find(|path| list.add(sized(*path)).is_ok());
        assert!(fits.is_some());
        assert_eq!(length(&list), MAX_LINKS_LEN);
        assert_eq!(Links::decode(&list.encode()), Ok(list));
    }

    #[test]
    fn a_path_and_a_label_may_be_as_long_as_their_bounds() {
        let longest = Link {
            path: [b"/a".repeat(MAX_PATH_LEN / 2), vec![b'a']].concat(),
            label: "a".repeat(MAX_LABEL_LEN),
            ..link(1)
        };
        let mut list = Links::default();
        list.add(longest).unwrap();
        assert_eq!(list.all()[0].path.len(), MAX_PATH_LEN);
        assert_eq!(Links::decode(&list.encode()), Ok(list));
    }

    proptest! {
        #[test]
        fn no_list_is_too_odd(noise in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(links) = Links::decode(&noise) {
                prop_assert_eq!(links.encode(), noise);
            }
        }
    }
}
