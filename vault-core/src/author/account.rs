//! Entries of account logs.

use prost::Message;
use rand_core::CryptoRng;
use vault_proto::{
    account_log::{AccountLog, AccountLogError, genesis_entry},
    canonical::decode_canonical,
    device::DevicePublic,
    entry::{
        BOX_BYTES, ENTRY_VERSION, MAX_ENTRY_BYTES, UnsignedEntry, WRAPPED_BYTES, account_entry_hash,
    },
    ids::{AccountId, DeviceId, HosterId},
    origin::Origin,
    position::LogPosition,
    sign::{BadSignature, SIGNATURE_BYTES, SignLabel},
    wire::{self, SignedEntry, account_entry::Body},
};

use super::{AuthorError, noise};
use crate::{
    boxes::{KemPrivateKey, KemPublicKey, seal_box},
    keys::{
        AccountSecrets, DeviceKeys,
        account::{seal_name, seed_box_context, wrap_seed},
    },
    secret::Secret,
};

/// A device of a new account.
#[derive(Debug, Clone, Copy)]
pub struct NamedDevice<'a> {
    /// Its keys.
    pub keys: &'a DeviceKeys,
    /// What its owner calls it.
    pub name: &'a str,
}

/// An account that was just made.
#[derive(Debug)]
pub struct NewAccount {
    /// The genesis, to be stored before it is sent.
    pub genesis: SignedEntry,
    /// The log, with the genesis in it.
    pub log: AccountLog,
    /// The account's secrets.
    pub secrets: AccountSecrets,
}

/// Makes an account of at least one device, the author, and others: a paper
/// device above all.
///
/// # Errors
/// A name is too long, or there are too many devices.
pub fn create_account(
    home: HosterId,
    author: NamedDevice<'_>,
    others: &[NamedDevice<'_>],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<NewAccount, AuthorError> {
    let mut devices = vec![author];
    devices.extend_from_slice(others);
    devices.sort_by_key(|device| device.keys.id());

    let salt = Secret::generate(rng);
    let key = KemPrivateKey::from_seed(Secret::generate(rng));
    let mut named = Vec::with_capacity(devices.len());
    for device in &devices {
        named.push(wire::NewDevice {
            public: Some(device.keys.public().to_wire()),
            sealed_name: seal_name(key.seed(), 1, device.name, rng)?,
        });
    }
    let recipients = devices.iter().map(|device| device.keys.public());
    let context = EntryContext {
        sender: author.keys.id(),
        account: None,
        seq: 1,
    };
    let genesis = wire::AccountGenesis {
        salt: salt.as_bytes().to_vec(),
        home: home.to_vec(),
        devices: named,
        account_key: Some(wire::AccountKey {
            generation: 1,
            kem_key: key.public().as_bytes().to_vec(),
            seeds: context.seal_seeds(&key, recipients, rng),
            previous_seed: Vec::new(),
        }),
    };
    let entry = genesis_entry(author.keys.id(), genesis);
    let genesis = sign(&entry, devices.iter().map(|device| device.keys));
    let log = AccountLog::verify_genesis(&genesis)?;
    let secrets = AccountSecrets::open(&log, author.keys)?;
    Ok(NewAccount {
        genesis,
        log,
        secrets,
    })
}

/// Writes entries of an account log, for one of its devices.
///
/// Every entry it gives would be accepted by the log as it stands; it is yet to
/// be stored, sent and appended.
#[derive(Debug, Clone, Copy)]
pub struct AccountAuthor<'a> {
    /// The log up to its newest entry.
    pub log: &'a AccountLog,
    /// The account's secrets, opened from that log.
    pub secrets: &'a AccountSecrets,
    /// The device that signs.
    pub device: &'a DeviceKeys,
}

impl AccountAuthor<'_> {
    /// Drafts the entry that adds a device; nobody has signed it yet.
    ///
    /// The new device signs first ([`Addition::sign`]) and this one last
    /// ([`Self::complete_addition`]): this one signs once, and what it signed is
    /// whole and can be sent.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn draft_addition(
        &self,
        new: &DevicePublic,
        name: &str,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Addition, AuthorError> {
        self.check_secrets()?;
        let sealed_name = self.secrets.seal_name(name, rng)?;
        let key = self.secrets.newest()?;
        let recipient = KemPublicKey::from_slice(new.kem_key().as_bytes())?;
        let seed = self.context().seal_seed(key, new.id(), &recipient, rng);
        let body = Body::AddDevice(wire::AddDevice {
            device: Some(wire::NewDevice {
                public: Some(new.to_wire()),
                sealed_name,
            }),
            seed: Some(seed),
        });
        let entry = self.log.next_entry(self.device.id(), body);
        let addition = Addition::decode(&entry.encode_to_vec(), new)?;
        // All but the signatures that are missing.
        match self.log.verify_next(&addition.with_signatures(&[])) {
            Err(AccountLogError::Signers) => Ok(addition),
            Err(error) => Err(error.into()),
            Ok(()) => unreachable!("two devices have to sign"),
        }
    }

    /// Signs a draft of this device's, which the new device has signed.
    ///
    /// # Errors
    /// See [`AuthorError`]: [`AuthorError::NewDevice`] where the new device's
    /// signature does not fit, and the log's own error where it went on
    /// meanwhile. Nothing is signed then.
    pub fn complete_addition(
        &self,
        addition: &Addition,
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<SignedEntry, AuthorError> {
        self.check_secrets()?;
        match self.log.verify_next(&addition.with_signatures(&[])) {
            Err(AccountLogError::Signers) if addition.author == self.device.id() => {}
            Err(AccountLogError::Signers) | Ok(()) => return Err(AuthorError::NotForThisDevice),
            Err(error) => return Err(error.into()),
        }
        let label = SignLabel::AccountEntry;
        let key = addition.new.signing_key();
        key.verify(label, &addition.payload, signature)
            .map_err(|BadSignature| AuthorError::NewDevice)?;
        let entry = addition.with_signatures(&[
            (self.device.id(), self.device.sign(label, &addition.payload)),
            (addition.new.id(), *signature),
        ]);
        self.log.verify_next(&entry)?;
        Ok(entry)
    }

    /// Removes a device and begins a new generation of the account key.
    ///
    /// Nothing that another device has written keeps it from being removed: a key that is
    /// closed to this device, or that leads no further back, is left out, and a device
    /// whose own key nothing can be sealed to gets noise.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn remove_device(
        &self,
        device: &DeviceId,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SignedEntry, AuthorError> {
        self.check_secrets()?;
        let generation = self.secrets.generation() + 1;
        let key = KemPrivateKey::from_seed(Secret::generate(rng));
        let previous_seed = match self.secrets.to_wrap() {
            Some(earlier) => wrap_seed(key.seed(), generation, earlier, rng),
            None => noise(WRAPPED_BYTES, rng),
        };
        let remaining = self
            .log
            .active_devices_at(self.log.position().seq)
            .map(|record| &record.public)
            .filter(|public| public.id() != *device);
        let account_key = wire::AccountKey {
            generation,
            kem_key: key.public().as_bytes().to_vec(),
            seeds: self.context().seal_seeds(&key, remaining, rng),
            previous_seed,
        };
        self.finish(Body::RemoveDevice(wire::RemoveDevice {
            device: device.to_vec(),
            account_key: Some(account_key),
        }))
    }

    /// Gives a device another name.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn rename_device(
        &self,
        device: &DeviceId,
        name: &str,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SignedEntry, AuthorError> {
        self.check_secrets()?;
        self.finish(Body::RenameDevice(wire::RenameDevice {
            device: device.to_vec(),
            sealed_name: self.secrets.seal_name(name, rng)?,
        }))
    }

    /// Closes the log at its home; it goes on at another hoster.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn moved(&self, home: HosterId, origin: &Origin) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::Moved(wire::AccountMoved {
            home: home.to_vec(),
            origin: origin.as_str().to_owned(),
        }))
    }

    fn finish(&self, body: Body) -> Result<SignedEntry, AuthorError> {
        let entry = sign(&self.log.next_entry(self.device.id(), body), [self.device]);
        self.log.clone().append(&entry)?;
        Ok(entry)
    }

    fn context(&self) -> EntryContext {
        EntryContext {
            sender: self.device.id(),
            account: Some(self.log.id()),
            seq: self.log.position().seq + 1,
        }
    }

    fn check_secrets(&self) -> Result<(), AuthorError> {
        let newest = self.log.account_key().generation;
        if self.secrets.account() == self.log.id() && self.secrets.generation() == newest {
            Ok(())
        } else {
            Err(AuthorError::StaleKeys)
        }
    }
}

/// An entry that adds one device, as its author drafted it and the new device
/// signs it first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    payload: Vec<u8>,
    account: AccountId,
    author: DeviceId,
    previous: LogPosition,
    position: LogPosition,
    new: DevicePublic,
}

impl Addition {
    /// Reads a draft, which must add this very device to an account.
    ///
    /// The log is not at hand: who signs a draft learns only afterwards whether
    /// its author spoke for the account. So the two compare words first.
    ///
    /// # Errors
    /// [`AuthorError::NotForThisDevice`], whatever is wrong.
    pub fn decode(payload: &[u8], new: &DevicePublic) -> Result<Self, AuthorError> {
        let wrong = AuthorError::NotForThisDevice;
        let entry: wire::AccountEntry =
            decode_canonical(payload, MAX_ENTRY_BYTES).map_err(|_| wrong)?;
        let added = match &entry.body {
            Some(Body::AddDevice(add)) => add.device.as_ref().and_then(|new| new.public.as_ref()),
            _ => None,
        };
        if entry.version != ENTRY_VERSION || added != Some(&new.to_wire()) {
            return Err(wrong);
        }
        let previous = wire::Position {
            seq: entry.seq.checked_sub(1).ok_or(wrong)?,
            hash: entry.previous,
        };
        Ok(Self {
            account: AccountId::from_slice(&entry.account).map_err(|_| wrong)?,
            author: DeviceId::from_slice(&entry.author).map_err(|_| wrong)?,
            previous: LogPosition::from_wire(&previous, "previous").map_err(|_| wrong)?,
            position: LogPosition {
                seq: entry.seq,
                hash: account_entry_hash(payload),
            },
            payload: payload.to_vec(),
            new: new.clone(),
        })
    }

    /// The encoded entry, which both devices sign.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The account that the device is added to.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.account
    }

    /// The device that drafted it.
    #[must_use]
    pub fn author(&self) -> DeviceId {
        self.author
    }

    /// The newest entry of the log that its author knew.
    #[must_use]
    pub fn previous(&self) -> LogPosition {
        self.previous
    }

    /// Where the entry will stand.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// The device that is added.
    #[must_use]
    pub fn new_device(&self) -> &DevicePublic {
        &self.new
    }

    /// The new device's signature, before the author's.
    ///
    /// # Errors
    /// [`AuthorError::NotForThisDevice`] if another device is added.
    pub fn sign(&self, new: &DeviceKeys) -> Result<[u8; SIGNATURE_BYTES], AuthorError> {
        if *new.public() != self.new {
            return Err(AuthorError::NotForThisDevice);
        }
        Ok(new.sign(SignLabel::AccountEntry, &self.payload))
    }

    fn with_signatures(&self, signatures: &[(DeviceId, [u8; SIGNATURE_BYTES])]) -> SignedEntry {
        SignedEntry {
            payload: self.payload.clone(),
            signatures: signatures
                .iter()
                .map(|(device, signature)| wire::Signature {
                    device: device.to_vec(),
                    signature: signature.to_vec(),
                })
                .collect(),
        }
    }
}

/// Where an entry stands, for the boxes in it.
#[derive(Clone, Copy)]
struct EntryContext {
    sender: DeviceId,
    account: Option<AccountId>,
    seq: u64,
}

impl EntryContext {
    fn seal_seed(
        self,
        key: &KemPrivateKey,
        device: DeviceId,
        recipient: &KemPublicKey,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> wire::SealedSeed {
        let context = seed_box_context(self.sender, self.account, self.seq);
        wire::SealedSeed {
            device: device.to_vec(),
            r#box: seal_box(recipient, &context, key.seed(), rng),
        }
    }

    /// One box a device; noise for one whose key is none.
    fn seal_seeds<'a>(
        self,
        key: &KemPrivateKey,
        devices: impl Iterator<Item = &'a DevicePublic>,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<wire::SealedSeed> {
        devices
            .map(
                |device| match KemPublicKey::from_slice(device.kem_key().as_bytes()) {
                    Ok(recipient) => self.seal_seed(key, device.id(), &recipient, rng),
                    Err(_) => wire::SealedSeed {
                        device: device.id().to_vec(),
                        r#box: noise(BOX_BYTES, rng),
                    },
                },
            )
            .collect()
    }
}

fn sign<'a>(
    entry: &wire::AccountEntry,
    signers: impl IntoIterator<Item = &'a DeviceKeys>,
) -> SignedEntry {
    let payload = entry.encode_to_vec();
    let signatures: Vec<_> = signers
        .into_iter()
        .map(|device| {
            let signature = device.sign(SignLabel::AccountEntry, &payload);
            (device.id(), signature)
        })
        .collect();
    UnsignedEntry::account(entry).with_signatures(signatures)
}
