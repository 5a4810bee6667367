//! The settings of an account vault: what the devices of one account agree on.

use prost::Message;
use vault_proto::canonical::{DecodeError, decode_canonical};
use vault_proto::ids::{HosterId, VaultId};
use vault_proto::wire;

use crate::chunk::ChunkKind;

/// The longest encoded settings, in bytes.
pub const MAX_SETTINGS_LEN: usize = ChunkKind::Settings.max_len();

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
}

/// What the devices of one account agree on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccountSettings {
    hosters: Vec<KnownHoster>,
    vaults: Vec<KnownVault>,
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
                origin: known.origin,
            })
        });
        let vaults = wire.vaults.into_iter().map(|known| {
            Ok(KnownVault {
                vault: VaultId::from_slice(&known.vault).map_err(|_| SettingsError::Ids)?,
                hoster: hoster_id(&known.hoster)?,
                name: known.name,
                deleted: known.deleted,
            })
        });
        Self {
            hosters: hosters.collect::<Result<_, SettingsError>>()?,
            vaults: vaults.collect::<Result<_, SettingsError>>()?,
        }
        .check()
    }

    fn check(self) -> Result<Self, SettingsError> {
        if !self.hosters.is_sorted_by(|a, b| a.hoster < b.hoster)
            || !self.vaults.is_sorted_by(|a, b| a.vault < b.vault)
        {
            return Err(SettingsError::Ids);
        }
        let is_origin = |origin: &str| {
            (1..=MAX_ORIGIN_LEN).contains(&origin.len())
                && origin.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !self.hosters.iter().all(|known| is_origin(&known.origin)) {
            return Err(SettingsError::Origin);
        }
        let is_name = |name: &str| {
            (1..=MAX_NAME_LEN).contains(&name.len()) && !name.chars().any(char::is_control)
        };
        if !self.vaults.iter().all(|known| is_name(&known.name)) {
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
                .map(|known| wire::KnownHoster {
                    hoster: known.hoster.to_vec(),
                    origin: known.origin.clone(),
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
                })
                .collect(),
        }
    }
}
