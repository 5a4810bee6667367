//! The settings of an account vault: what the devices of one account agree on.

use prost::Message;
use vault_proto::address::{Address, AddressError, is_name};
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::entry::FieldError;
use vault_proto::ids::{AccountId, HosterId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::position::LogPosition;
use vault_proto::wire;

use crate::chunk::ChunkKind;

/// The longest encoded settings, in bytes.
pub const MAX_SETTINGS_LEN: usize = ChunkKind::Settings.max_len();

/// The most hosters, the most vaults, and the most contacts, each.
pub const MAX_KNOWN: usize = 1024;

/// The longest name of a vault, in bytes.
const MAX_NAME_LEN: usize = 255;

/// The longest origin, in bytes: a name of 253, a colon and a port.
const MAX_ORIGIN_LEN: usize = 259;

/// What is wrong with settings, or with a change to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not the one encoding of settings.
    #[error("not settings: {0}")]
    Encoding(#[from] DecodeError),
    /// An id that is not 32 bytes, or ids that are repeated or out of order.
    #[error("ids that are not 32 bytes, in ascending order")]
    Ids,
    /// An origin that is empty, over 259 bytes, or not of printable ASCII.
    #[error("not the origin of a hoster")]
    Origin,
    /// A name that is empty, over 255 bytes, or has control characters.
    #[error("not the name of a vault")]
    Name,
    /// How TLS is ended, or the pinned place of a log, is not what it must be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// Something that stands for a member's address is none in its one spelling.
    #[error("the address of a member: {0}")]
    Address(#[from] AddressError),
    /// The member's own name is none that an address may have.
    #[error("not the name of a member")]
    OwnName,
    /// More than [`MAX_KNOWN`] hosters, vaults or contacts.
    #[error("more than {MAX_KNOWN} of one sort")]
    TooMany,
    /// A vault at a hoster that is not listed.
    #[error("a vault at an unknown hoster")]
    UnknownHoster,
    /// Longer than [`MAX_SETTINGS_LEN`] when encoded.
    #[error("settings of more than {MAX_SETTINGS_LEN} bytes")]
    TooLong,
}

/// A hoster that keeps something of this account's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHoster {
    /// The hoster.
    pub hoster: HosterId,
    /// Where it was last reached, `HOST:PORT`: 1 to 259 bytes of printable ASCII.
    pub origin: String,
    /// How TLS is ended there.
    pub tls: TlsTrust,
}

/// A vault that this account is a member of, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownVault {
    /// The vault.
    pub vault: VaultId,
    /// Its home.
    pub hoster: HosterId,
    /// What this account calls it: 1 to 255 bytes without control characters.
    pub name: String,
    /// Whether it was deleted. Its line stays, so that no device brings it back.
    pub deleted: bool,
    /// Who shared it; `None` if it is one's own.
    pub shared_by: Option<Address>,
}

/// A member whose account log was verified, and is held to be his from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// Who he is, what he is called here, and where his log was last found.
    pub address: Address,
    /// The home of his log.
    pub hoster: HosterId,
    /// Whether the two members compared their number.
    pub is_verified: bool,
    /// The newest entry of his log that was verified: what is shown later goes
    /// on from there, or is another log.
    pub position: LogPosition,
}

/// What the devices of one account agree on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountSettings {
    hosters: Vec<KnownHoster>,
    vaults: Vec<KnownVault>,
    name: Option<String>,
    contacts: Vec<Contact>,
}

impl AccountSettings {
    /// The hosters, ordered by id.
    #[must_use]
    pub fn hosters(&self) -> &[KnownHoster] {
        &self.hosters
    }

    /// The hoster of that id.
    #[must_use]
    pub fn hoster(&self, id: HosterId) -> Option<&KnownHoster> {
        self.hosters.iter().find(|known| known.hoster == id)
    }

    /// The vaults, deleted ones too, ordered by id.
    #[must_use]
    pub fn vaults(&self) -> &[KnownVault] {
        &self.vaults
    }

    /// The vault of that id.
    #[must_use]
    pub fn vault(&self, id: VaultId) -> Option<&KnownVault> {
        self.vaults.iter().find(|known| known.vault == id)
    }

    /// What the member calls himself before others.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The contacts, ordered by account id.
    #[must_use]
    pub fn contacts(&self) -> &[Contact] {
        &self.contacts
    }

    /// The contact with that account.
    #[must_use]
    pub fn contact(&self, account: &AccountId) -> Option<&Contact> {
        let place = self.place_of_contact(account).ok()?;
        self.contacts.get(place)
    }

    /// Sets what the member calls himself.
    ///
    /// # Errors
    /// [`SettingsError::OwnName`], or the settings have no room; nothing has
    /// changed then.
    pub fn set_name(&mut self, name: &str) -> Result<(), SettingsError> {
        let mut changed = self.clone();
        changed.name = Some(name.to_owned());
        *self = changed.check()?;
        Ok(())
    }

    /// Adds a contact, or puts it in place of the one with its account.
    ///
    /// # Errors
    /// See [`SettingsError`]; nothing has changed then.
    pub fn set_contact(&mut self, contact: Contact) -> Result<(), SettingsError> {
        let mut changed = self.clone();
        match changed.place_of_contact(&contact.address.account()) {
            Ok(place) => changed.contacts[place] = contact,
            Err(place) => changed.contacts.insert(place, contact),
        }
        *self = changed.check()?;
        Ok(())
    }

    /// Forgets a contact, and what is known of his keys.
    pub fn remove_contact(&mut self, account: &AccountId) {
        self.contacts
            .retain(|known| known.address.account() != *account);
    }

    fn place_of_contact(&self, account: &AccountId) -> Result<usize, usize> {
        self.contacts
            .binary_search_by_key(account, |known| known.address.account())
    }

    /// Adds a hoster, or puts it in place of the one with its id.
    ///
    /// # Errors
    /// See [`SettingsError`]; nothing has changed then.
    pub fn set_hoster(&mut self, hoster: KnownHoster) -> Result<(), SettingsError> {
        let mut changed = self.clone();
        match changed
            .hosters
            .binary_search_by_key(&hoster.hoster, |known| known.hoster)
        {
            Ok(place) => changed.hosters[place] = hoster,
            Err(place) => changed.hosters.insert(place, hoster),
        }
        *self = changed.check()?;
        Ok(())
    }

    /// Adds a vault, or puts it in place of the one with its id.
    ///
    /// # Errors
    /// See [`SettingsError`]; nothing has changed then.
    pub fn set_vault(&mut self, vault: KnownVault) -> Result<(), SettingsError> {
        let mut changed = self.clone();
        match changed
            .vaults
            .binary_search_by_key(&vault.vault, |known| known.vault)
        {
            Ok(place) => changed.vaults[place] = vault,
            Err(place) => changed.vaults.insert(place, vault),
        }
        *self = changed.check()?;
        Ok(())
    }

    /// These with what `other` has besides, as of a history that parts from this one.
    ///
    /// Of what both have these count, but that a vault which is deleted in one of them is
    /// deleted, a contact whose number was compared in one was, and a log is held to
    /// where it was seen to be longest.
    ///
    /// # Errors
    /// See [`SettingsError`]: there is no room for all of it.
    pub fn joined_with(&self, other: &Self) -> Result<Self, SettingsError> {
        let mut joined = self.clone();
        joined.name = self.name.clone().or_else(|| other.name.clone());
        for hoster in &other.hosters {
            if joined.hoster(hoster.hoster).is_none() {
                joined.set_hoster(hoster.clone())?;
            }
        }
        for vault in &other.vaults {
            let mut known = joined.vault(vault.vault).unwrap_or(vault).clone();
            known.deleted |= vault.deleted;
            joined.set_vault(known)?;
        }
        for contact in &other.contacts {
            let known = joined.contact(&contact.address.account());
            let mut known = known.unwrap_or(contact).clone();
            known.is_verified |= contact.is_verified;
            if known.position.seq < contact.position.seq {
                known.position = contact.position;
            }
            joined.set_contact(known)?;
        }
        Ok(joined)
    }

    /// The one encoding of these settings.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.to_wire().encode_to_vec()
    }

    /// Decodes and checks what [`encode`](Self::encode) gave.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, SettingsError> {
        let wire: wire::AccountSettings = decode_canonical(bytes, MAX_SETTINGS_LEN)?;
        let hoster_id = |id: &[u8]| HosterId::from_slice(id).map_err(|_| SettingsError::Ids);
        let hosters = wire.hosters.into_iter().map(|known| {
            Ok(KnownHoster {
                hoster: hoster_id(&known.hoster)?,
                tls: TlsTrust::from_wire(known.tls_mode(), &known.tls_pin)?,
                origin: known.origin,
            })
        });
        let vaults = wire.vaults.into_iter().map(|known| {
            Ok(KnownVault {
                vault: VaultId::from_slice(&known.vault).map_err(|_| SettingsError::Ids)?,
                hoster: hoster_id(&known.hoster)?,
                name: known.name,
                deleted: known.deleted,
                shared_by: match &*known.shared_by {
                    "" => None,
                    address => Some(Address::parse_exact(address)?),
                },
            })
        });
        let contacts = wire.contacts.iter().map(Contact::from_wire);
        Self {
            hosters: hosters.collect::<Result<_, SettingsError>>()?,
            vaults: vaults.collect::<Result<_, SettingsError>>()?,
            name: (!wire.name.is_empty()).then_some(wire.name),
            contacts: contacts.collect::<Result<_, SettingsError>>()?,
        }
        .check()
    }

    fn check(self) -> Result<Self, SettingsError> {
        if !self.hosters.is_sorted_by(|a, b| a.hoster < b.hoster)
            || !self.vaults.is_sorted_by(|a, b| a.vault < b.vault)
            || !self
                .contacts
                .is_sorted_by(|a, b| a.address.account() < b.address.account())
        {
            return Err(SettingsError::Ids);
        }
        let most = self.hosters.len().max(self.vaults.len());
        if most.max(self.contacts.len()) > MAX_KNOWN {
            return Err(SettingsError::TooMany);
        }
        if !self.name.as_deref().is_none_or(is_name) {
            return Err(SettingsError::OwnName);
        }
        let is_origin = |origin: &str| {
            (1..=MAX_ORIGIN_LEN).contains(&origin.len())
                && origin.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !self.hosters.iter().all(|known| is_origin(&known.origin)) {
            return Err(SettingsError::Origin);
        }
        let is_vault_name = |name: &str| {
            (1..=MAX_NAME_LEN).contains(&name.len()) && !name.chars().any(char::is_control)
        };
        if !self.vaults.iter().all(|known| is_vault_name(&known.name)) {
            return Err(SettingsError::Name);
        }
        let is_listed = |id: &HosterId| {
            self.hosters
                .binary_search_by_key(id, |known| known.hoster)
                .is_ok()
        };
        if !self.vaults.iter().all(|known| is_listed(&known.hoster)) {
            return Err(SettingsError::UnknownHoster);
        }
        if self.to_wire().encoded_len() > MAX_SETTINGS_LEN {
            return Err(SettingsError::TooLong);
        }
        Ok(self)
    }

    fn to_wire(&self) -> wire::AccountSettings {
        wire::AccountSettings {
            hosters: self
                .hosters
                .iter()
                .map(|known| {
                    let (tls_mode, tls_pin) = known.tls.to_wire();
                    wire::KnownHoster {
                        hoster: known.hoster.to_vec(),
                        origin: known.origin.clone(),
                        tls_mode: tls_mode.into(),
                        tls_pin,
                    }
                })
                .collect(),
            vaults: self
                .vaults
                .iter()
                .map(|known| wire::KnownVault {
                    vault: known.vault.to_vec(),
                    hoster: known.hoster.to_vec(),
                    name: known.name.clone(),
                    deleted: known.deleted,
                    shared_by: known
                        .shared_by
                        .as_ref()
                        .map(Address::to_string)
                        .unwrap_or_default(),
                })
                .collect(),
            name: self.name.clone().unwrap_or_default(),
            contacts: self.contacts.iter().map(Contact::to_wire).collect(),
        }
    }
}

impl Contact {
    fn from_wire(contact: &wire::Contact) -> Result<Self, SettingsError> {
        let account = AccountId::from_slice(&contact.account).map_err(|_| SettingsError::Ids)?;
        let origin = Origin::parse_exact(&contact.origin).map_err(AddressError::from)?;
        let position = contact.position.as_ref().ok_or(SettingsError::Ids)?;
        Ok(Self {
            address: Address::new(&contact.name, origin, account)?,
            hoster: HosterId::from_slice(&contact.hoster).map_err(|_| SettingsError::Ids)?,
            is_verified: contact.verified,
            position: LogPosition::from_wire(position, "position")?,
        })
    }

    fn to_wire(&self) -> wire::Contact {
        wire::Contact {
            account: self.address.account().to_vec(),
            name: self.address.name().to_owned(),
            origin: self.address.origin().to_string(),
            hoster: self.hoster.to_vec(),
            verified: self.is_verified,
            position: Some(self.position.to_wire()),
        }
    }
}
