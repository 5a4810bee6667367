//! An account entry, decoded: every field there and of its length, and no rule
//! of the log checked yet.

use crate::account_log::AccountLogError;
use crate::canonical::decode_canonical;
use crate::device::{DevicePublic, KemKey};
use crate::entry::{
    BOX_BYTES, ENTRY_VERSION, FieldError, MAX_ENTRY_BYTES, MAX_SEALED_NAME_BYTES, WRAPPED_BYTES,
    account_entry_hash, array, exactly, present,
};
use crate::ids::{AccountId, DeviceId, EntryHash, HosterId};
use crate::origin::Origin;
use crate::wire::{self, account_entry::Body as WireBody};

pub(super) struct Payload {
    pub(super) hash: EntryHash,
    /// `None` exactly in a genesis.
    pub(super) account: Option<AccountId>,
    pub(super) seq: u64,
    /// `None` exactly in a genesis.
    pub(super) previous: Option<EntryHash>,
    pub(super) author: DeviceId,
    pub(super) body: Body,
}

pub(super) enum Body {
    Genesis {
        home: HosterId,
        devices: Vec<NewDevice>,
        account_key: AccountKey,
    },
    Add {
        device: NewDevice,
        seed: SeedBox,
    },
    Remove {
        device: DeviceId,
        account_key: AccountKey,
    },
    Rename {
        device: DeviceId,
        sealed_name: Vec<u8>,
    },
    Moved {
        home: HosterId,
        origin: Origin,
    },
}

pub(super) struct NewDevice {
    pub(super) public: DevicePublic,
    pub(super) sealed_name: Vec<u8>,
}

pub(super) struct SeedBox {
    pub(super) device: DeviceId,
    pub(super) sealed: Vec<u8>,
}

pub(super) struct AccountKey {
    pub(super) generation: u64,
    pub(super) kem_key: KemKey,
    pub(super) boxes: Vec<SeedBox>,
    /// `None` exactly in the first generation.
    pub(super) previous_seed: Option<Vec<u8>>,
}

impl Payload {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, AccountLogError> {
        let entry: wire::AccountEntry = decode_canonical(bytes, MAX_ENTRY_BYTES)?;
        if entry.version != ENTRY_VERSION {
            return Err(AccountLogError::Version(entry.version));
        }
        let body = present(entry.body, "body")?;
        let (account, previous) = if matches!(body, WireBody::Genesis(_)) {
            array::<0>(&entry.account, "account")?;
            array::<0>(&entry.previous, "previous")?;
            (None, None)
        } else {
            (
                Some(AccountId::from_array(array(&entry.account, "account")?)),
                Some(EntryHash::from_array(array(&entry.previous, "previous")?)),
            )
        };
        Ok(Self {
            hash: account_entry_hash(bytes),
            account,
            seq: entry.seq,
            previous,
            author: DeviceId::from_array(array(&entry.author, "author")?),
            body: Body::from_wire(body)?,
        })
    }
}

impl Body {
    fn from_wire(body: WireBody) -> Result<Self, AccountLogError> {
        Ok(match body {
            WireBody::Genesis(genesis) => {
                array::<32>(&genesis.salt, "salt")?;
                Self::Genesis {
                    home: HosterId::from_array(array(&genesis.home, "home")?),
                    devices: genesis
                        .devices
                        .into_iter()
                        .map(NewDevice::from_wire)
                        .collect::<Result<_, _>>()?,
                    account_key: AccountKey::from_wire(genesis.account_key)?,
                }
            }
            WireBody::AddDevice(add) => Self::Add {
                device: NewDevice::from_wire(present(add.device, "device")?)?,
                seed: SeedBox::from_wire(present(add.seed, "seed")?)?,
            },
            WireBody::RemoveDevice(remove) => Self::Remove {
                device: DeviceId::from_array(array(&remove.device, "device")?),
                account_key: AccountKey::from_wire(remove.account_key)?,
            },
            WireBody::RenameDevice(rename) => Self::Rename {
                device: DeviceId::from_array(array(&rename.device, "device")?),
                sealed_name: sealed_name(rename.sealed_name)?,
            },
            WireBody::Moved(moved) => Self::Moved {
                home: HosterId::from_array(array(&moved.home, "home")?),
                origin: Origin::parse_exact(&moved.origin)?,
            },
        })
    }
}

impl NewDevice {
    fn from_wire(device: wire::NewDevice) -> Result<Self, AccountLogError> {
        Ok(Self {
            public: DevicePublic::from_wire(&present(device.public, "public")?)?,
            sealed_name: sealed_name(device.sealed_name)?,
        })
    }
}

impl SeedBox {
    fn from_wire(seed: wire::SealedSeed) -> Result<Self, FieldError> {
        Ok(Self {
            device: DeviceId::from_array(array(&seed.device, "seed device")?),
            sealed: exactly(seed.r#box, BOX_BYTES, "seed box")?,
        })
    }
}

impl AccountKey {
    fn from_wire(key: Option<wire::AccountKey>) -> Result<Self, FieldError> {
        let key = present(key, "account_key")?;
        let previous_seed = if key.generation == 1 {
            array::<0>(&key.previous_seed, "previous_seed")?;
            None
        } else {
            Some(exactly(key.previous_seed, WRAPPED_BYTES, "previous_seed")?)
        };
        Ok(Self {
            generation: key.generation,
            kem_key: KemKey::from_slice(&key.kem_key).ok_or(FieldError::new("kem_key"))?,
            boxes: key
                .seeds
                .into_iter()
                .map(SeedBox::from_wire)
                .collect::<Result<_, _>>()?,
            previous_seed,
        })
    }
}

fn sealed_name(bytes: Vec<u8>) -> Result<Vec<u8>, FieldError> {
    if bytes.len() <= MAX_SEALED_NAME_BYTES {
        Ok(bytes)
    } else {
        Err(FieldError::new("sealed_name"))
    }
}
