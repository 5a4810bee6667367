//! Offers: how a member learns that another shares a vault with him.
//!
//! ```text
//! payload = an encoded Offer                      names sender, recipient, vault, entry
//! signed  = SignedOffer { payload, Ed25519(sender's device, "coffre v1 sign offer" ‖ 0 ‖ payload) }
//! header  = 1 (1) ‖ recipient's account id (32) ‖ generation of his account key (u64)
//! sealed  = header ‖ box (1,168) ‖
//!           XChaCha20-Poly1305(key in the box, random nonce, "coffre v1 offer" ‖ header,
//!                              length (u32) ‖ signed ‖ zeros)
//! ```
//!
//! 4,096 bytes, whatever is in it. The hoster that keeps it for its recipient
//! learns for whom it is, and not from whom: the signature is inside. It covers
//! the recipient, so a recipient cannot hand it on as an offer to another.
//!
//! An offer adds nobody to a vault. The entry that it names did, and
//! [`UnverifiedOffer::verify`] asks for it: a vault cannot be planted by who
//! cannot write in its log.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use rand_core::CryptoRng;
use vault_proto::{
    account_log::AccountLog,
    address::{Address, AddressError},
    canonical::{DecodeError, decode_canonical},
    entry::{BOX_BYTES, FieldError},
    ids::{AccountId, DeviceId, HosterId, OfferHash, VaultId},
    invitation::TlsTrust,
    origin::Origin,
    position::{HeadPosition, LogPosition},
    sign::SignLabel,
    vault_log::{Role, VaultLog},
    wire::{self, vault_entry::Body},
};
use zeroize::Zeroizing;

use crate::{
    aead::{self, OpenError},
    boxes::{BoxContext, KemKeyError, KemPublicKey, Purpose, open_box, seal_box},
    keys::{AccountSecrets, DeviceKeys},
    labels,
    secret::Secret,
};

/// Bytes of a sealed offer.
pub const SEALED_OFFER_LEN: usize = 4096;
/// What the text form begins with.
pub const SCHEME: &str = "coffre-offer:";
/// The version of offers, sealed and open.
const VERSION: u8 = 1;
const HEADER_LEN: usize = 1 + 32 + 8;
const PADDED_LEN: usize = SEALED_OFFER_LEN - HEADER_LEN - BOX_BYTES - aead::OVERHEAD;
/// The longest name of a vault, in bytes.
const MAX_VAULT_NAME_LEN: usize = 255;

/// What is wrong with an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Text that is no offer, or a damaged one.
    #[error("not an offer, or a damaged one")]
    Text,
    /// A version that this program does not know.
    #[error("the offer has version {0}; this program knows version 1")]
    Version(u32),
    /// It is for another account.
    #[error("the offer is for account {0}")]
    OtherRecipient(AccountId),
    /// It cannot be opened with the account's keys.
    #[error(transparent)]
    Unopenable(#[from] OpenError),
    /// It opened, and does not decode.
    #[error("the offer is {0}")]
    Decode(#[from] DecodeError),
    /// A field is missing or not what it must be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The recipient's key is none to seal to.
    #[error("the recipient's key: {0}")]
    RecipientKey(#[from] KemKeyError),
    /// The sender's account log is another, or lacks the place that the offer names.
    #[error("the sender's account log does not hold the place that the offer names")]
    SenderLog,
    /// The sender's device was not active at that place, or is not any more.
    #[error("the device that signed the offer does not speak for the sender")]
    SenderDevice,
    /// The signature is not that device's.
    #[error("the offer is not signed by the sender's device")]
    BadSignature,
    /// The vault's log is another's, or has another home.
    #[error("the vault's log is not that of the vault that is offered")]
    OtherVault,
    /// No entry of the vault's log by the sender adds the recipient there, or he never
    /// had that role since.
    #[error("the vault's log does not hold the entry that the offer names")]
    NoEntry,
    /// The recipient is no member any more, or is one again by a later entry.
    #[error("the membership that is offered has ended")]
    Over,
}

/// An offer of membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The vault.
    pub vault: VaultId,
    /// Its home.
    pub hoster: HosterId,
    /// Where that is dialled.
    pub origin: Origin,
    /// How TLS is ended there.
    pub tls: TlsTrust,
    /// What the sender calls it: 1 to 255 bytes without control characters.
    pub vault_name: String,
    /// As what.
    pub role: Role,
    /// Who offers: his account, what he calls himself, and where his account log
    /// is kept.
    pub sender: Address,
    /// The device that signs.
    pub sender_device: DeviceId,
    /// Where the sender's account log stands.
    pub sender_position: LogPosition,
    /// To whom.
    pub recipient: AccountId,
    /// The entry of the vault's log that adds him.
    pub entry: LogPosition,
    /// The newest head that the sender knew.
    pub head: Option<HeadPosition>,
    /// When it was made, in seconds since 1970, by the sender's clock.
    pub created: u64,
}

/// An offer that only its recipient can read.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedOffer(Box<[u8; SEALED_OFFER_LEN]>);

/// An offer that opened. Who made it, and whether there is anything to it, is
/// yet to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnverifiedOffer {
    offer: Offer,
    /// Of the recipient's account key.
    generation: u64,
    payload: Vec<u8>,
    signature: [u8; 64],
}

impl Offer {
    /// Signs it and seals it to the recipient's newest account key.
    ///
    /// # Errors
    /// [`OfferError::OtherRecipient`] if the log is another account's,
    /// [`OfferError::RecipientKey`], or a name that is none.
    pub fn seal(
        &self,
        recipient: &AccountLog,
        device: &DeviceKeys,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SealedOffer, OfferError> {
        if recipient.id() != self.recipient {
            return Err(OfferError::OtherRecipient(self.recipient));
        }
        if device.id() != self.sender_device {
            return Err(OfferError::SenderDevice);
        }
        check_vault_name(&self.vault_name)?;
        let key = recipient.account_key();
        let recipient = KemPublicKey::from_slice(key.kem_key.as_bytes())?;
        let payload = self.to_wire(key.generation).encode_to_vec();
        let signed = wire::SignedOffer {
            signature: device.sign(SignLabel::Offer, &payload).to_vec(),
            payload,
        };
        Ok(seal_padded(
            &signed.encode_to_vec(),
            self.recipient,
            key.generation,
            &recipient,
            rng,
        ))
    }

    pub(crate) fn to_wire(&self, generation: u64) -> wire::Offer {
        let (tls_mode, tls_pin) = self.tls.to_wire();
        wire::Offer {
            version: VERSION.into(),
            vault: self.vault.to_vec(),
            hoster: self.hoster.to_vec(),
            origin: self.origin.to_string(),
            tls_mode: tls_mode.into(),
            tls_pin,
            vault_name: self.vault_name.clone(),
            role: self.role.to_wire().into(),
            sender: self.sender.account().to_vec(),
            sender_name: self.sender.name().to_owned(),
            sender_origin: self.sender.origin().to_string(),
            sender_device: self.sender_device.to_vec(),
            sender_position: Some(self.sender_position.to_wire()),
            recipient: self.recipient.to_vec(),
            generation,
            entry: Some(self.entry.to_wire()),
            head: self.head.as_ref().map(HeadPosition::to_wire),
            created: self.created,
        }
    }

    fn from_wire(offer: wire::Offer) -> Result<Self, OfferError> {
        if offer.version != u32::from(VERSION) {
            return Err(OfferError::Version(offer.version));
        }
        let tls = TlsTrust::from_wire(offer.tls_mode(), &offer.tls_pin)?;
        let role = Role::from_wire(offer.role()).ok_or(FieldError::new("role"))?;
        check_vault_name(&offer.vault_name)?;
        let origin = |text: &str, field| {
            Origin::parse_exact(text).map_err(|_| OfferError::from(FieldError::new(field)))
        };
        let position = |position: &Option<wire::Position>, field| {
            let position = position.as_ref().ok_or(FieldError::new(field))?;
            LogPosition::from_wire(position, field)
        };
        let head = offer.head.as_ref();
        let head = head.map(|head| HeadPosition::from_wire(head, "head"));
        let sender = AccountId::from_array(id(&offer.sender, "sender")?);
        let sender_origin = origin(&offer.sender_origin, "sender_origin")?;
        Ok(Self {
            vault: VaultId::from_array(id(&offer.vault, "vault")?),
            hoster: HosterId::from_array(id(&offer.hoster, "hoster")?),
            origin: origin(&offer.origin, "origin")?,
            tls,
            role,
            sender: Address::new(&offer.sender_name, sender_origin, sender)
                .map_err(|_: AddressError| FieldError::new("sender_name"))?,
            sender_device: DeviceId::from_array(id(&offer.sender_device, "sender_device")?),
            sender_position: position(&offer.sender_position, "sender_position")?,
            recipient: AccountId::from_array(id(&offer.recipient, "recipient")?),
            entry: position(&offer.entry, "entry")?,
            head: head.transpose()?,
            created: offer.created,
            vault_name: offer.vault_name,
        })
    }
}

impl SealedOffer {
    /// Takes exactly [`SEALED_OFFER_LEN`] bytes that begin as an offer does.
    ///
    /// # Errors
    /// [`OfferError::Text`] and [`OfferError::Version`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, OfferError> {
        let bytes: Box<[u8; SEALED_OFFER_LEN]> =
            Box::new(bytes.try_into().map_err(|_| OfferError::Text)?);
        match bytes[0] {
            VERSION => Ok(Self(bytes)),
            other => Err(OfferError::Version(other.into())),
        }
    }

    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// [`OfferError::Text`] and [`OfferError::Version`].
    pub fn parse(text: &str) -> Result<Self, OfferError> {
        let text = text.trim();
        if text.len() > 2 * SEALED_OFFER_LEN {
            return Err(OfferError::Text);
        }
        let encoded = text.strip_prefix(SCHEME).ok_or(OfferError::Text)?;
        let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes());
        Self::from_slice(&bytes.map_err(|_| OfferError::Text)?)
    }

    /// As text, to be handed over by other ways than through a hoster.
    #[must_use]
    pub fn to_text(&self) -> String {
        [SCHEME, &BASE64URL_NOPAD.encode(self.as_bytes())].concat()
    }

    /// As a hoster keeps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SEALED_OFFER_LEN] {
        &self.0
    }

    /// BLAKE3 of its bytes: by which its recipient has it dropped.
    #[must_use]
    pub fn hash(&self) -> OfferHash {
        OfferHash::of(self.as_bytes())
    }

    /// For whom it is.
    #[must_use]
    pub fn recipient(&self) -> AccountId {
        let (id, _) = self.0[1..]
            .split_first_chunk()
            .expect("the header holds an account id");
        AccountId::from_array(*id)
    }

    /// Opens it with its recipient's keys.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub fn open(&self, secrets: &AccountSecrets) -> Result<UnverifiedOffer, OfferError> {
        let recipient = self.recipient();
        if recipient != secrets.account() {
            return Err(OfferError::OtherRecipient(recipient));
        }
        let (header, rest) = self.0.split_at(HEADER_LEN);
        let generation = header.last_chunk().ok_or(OpenError)?;
        let generation = u64::from_le_bytes(*generation);
        let (sealed_key, sealed) = rest.split_at(BOX_BYTES);
        let private = secrets.kem(generation).ok_or(OpenError)?;
        let key = open_box(private, &context(recipient, generation), sealed_key)?;
        let padded = Zeroizing::new(aead::open(&key, &associated(header), sealed)?);
        let (length, rest) = padded.split_first_chunk().ok_or(OpenError)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| OpenError)?;
        let (signed, padding) = rest.split_at_checked(length).ok_or(OpenError)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(OpenError.into());
        }
        let unverified = UnverifiedOffer::decode(signed)?;
        if unverified.offer.recipient != recipient {
            return Err(OfferError::OtherRecipient(unverified.offer.recipient));
        }
        match unverified.generation == generation {
            true => Ok(unverified),
            false => Err(FieldError::new("generation").into()),
        }
    }
}

impl UnverifiedOffer {
    /// Reads what was sealed.
    ///
    /// # Errors
    /// [`OfferError::Decode`], [`OfferError::Version`] and [`OfferError::Field`].
    pub fn decode(signed: &[u8]) -> Result<Self, OfferError> {
        let signed: wire::SignedOffer = decode_canonical(signed, PADDED_LEN)?;
        let offer: wire::Offer = decode_canonical(&signed.payload, PADDED_LEN)?;
        let signature = signed.signature[..].try_into();
        Ok(Self {
            generation: offer.generation,
            offer: Offer::from_wire(offer)?,
            payload: signed.payload,
            signature: signature.map_err(|_| FieldError::new("signature"))?,
        })
    }

    /// What it says, which is not to be believed before it is verified: whose
    /// logs to fetch, and from where.
    #[must_use]
    pub fn claims(&self) -> &Offer {
        &self.offer
    }

    /// Checks who made the offer, against the newest account log of its sender.
    ///
    /// # Errors
    /// [`OfferError::SenderLog`], [`OfferError::SenderDevice`] and
    /// [`OfferError::BadSignature`].
    pub fn verify_sender(&self, sender: &AccountLog) -> Result<(), OfferError> {
        let Offer {
            sender: address,
            sender_device: device,
            sender_position: position,
            ..
        } = &self.offer;
        if sender.id() != address.account() || sender.hash_at(position.seq) != Some(position.hash) {
            return Err(OfferError::SenderLog);
        }
        // A device that was removed since could have made it any time later.
        let newest = sender.position().seq;
        if !sender.is_active_at(device, position.seq) || !sender.is_active_at(device, newest) {
            return Err(OfferError::SenderDevice);
        }
        let record = sender.device(device).ok_or(OfferError::SenderDevice)?;
        let key = record.public.signing_key();
        key.verify(SignLabel::Offer, &self.payload, &self.signature)
            .map_err(|_| OfferError::BadSignature)
    }

    /// Checks who made the offer, and that the vault's log says so too: the
    /// sender added the recipient there, and he has been a member ever since, first or
    /// later in that role.
    ///
    /// # Errors
    /// See [`OfferError`].
    pub fn verify(self, sender: &AccountLog, vault: &VaultLog) -> Result<Offer, OfferError> {
        self.verify_sender(sender)?;
        let offer = self.offer;
        if vault.id() != offer.vault || vault.home() != offer.hoster {
            return Err(OfferError::OtherVault);
        }
        if vault.hash_at(offer.entry.seq) != Some(offer.entry.hash) || !adds(vault, &offer) {
            return Err(OfferError::NoEntry);
        }
        // Who was removed and added again has another offer for that.
        let mut had_role = false;
        for seq in offer.entry.seq..=vault.position().seq {
            let state = vault.role_at(&offer.recipient, seq);
            had_role |= state.ok_or(OfferError::Over)?.role == offer.role;
        }
        match had_role {
            true => Ok(offer),
            false => Err(OfferError::NoEntry),
        }
    }
}

impl fmt::Debug for SealedOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedOffer")
            .field("recipient", &self.recipient())
            .finish_non_exhaustive()
    }
}

/// Whether the entry that the offer names is the sender's and adds the
/// recipient.
fn adds(vault: &VaultLog, offer: &Offer) -> bool {
    let entry = usize::try_from(offer.entry.seq - 1)
        .ok()
        .and_then(|index| vault.entries().get(index))
        .and_then(|entry| wire::VaultEntry::decode(&*entry.payload).ok());
    let Some(wire::VaultEntry {
        author: Some(author),
        body: Some(Body::AddMember(add)),
        ..
    }) = entry
    else {
        return false;
    };
    let added = add.r#box.as_ref().and_then(|added| added.member.as_ref());
    author.account == offer.sender.account().as_bytes()
        && added.is_some_and(|added| added.account == offer.recipient.as_bytes())
}

pub(crate) fn seal_padded(
    signed: &[u8],
    recipient: AccountId,
    generation: u64,
    key: &KemPublicKey,
    rng: &mut (impl CryptoRng + ?Sized),
) -> SealedOffer {
    let mut sealed = Vec::with_capacity(SEALED_OFFER_LEN);
    sealed.push(VERSION);
    sealed.extend_from_slice(recipient.as_bytes());
    sealed.extend_from_slice(&generation.to_le_bytes());
    let associated = associated(&sealed);
    let secret = Secret::generate(rng);
    sealed.extend(seal_box(key, &context(recipient, generation), &secret, rng));
    let mut padded = Zeroizing::new(Vec::with_capacity(PADDED_LEN));
    let length = u32::try_from(signed.len()).expect("an offer is short");
    padded.extend_from_slice(&length.to_le_bytes());
    padded.extend_from_slice(signed);
    assert!(
        padded.len() <= PADDED_LEN,
        "every field of an offer is bounded"
    );
    padded.resize(PADDED_LEN, 0);
    sealed.extend(aead::seal(&secret, &associated, &padded, rng));
    SealedOffer::from_slice(&sealed).expect("its parts add up to its length")
}

/// A box in no entry: it names no sender, and the recipient's log and generation
/// for its place.
fn context(recipient: AccountId, generation: u64) -> BoxContext {
    BoxContext {
        purpose: Purpose::OfferKey,
        sender: DeviceId::from_array([0; 32]),
        log: *recipient.as_bytes(),
        seq: generation,
    }
}

fn associated(header: &[u8]) -> Vec<u8> {
    [labels::OFFER.as_bytes(), header].concat()
}

fn check_vault_name(name: &str) -> Result<(), FieldError> {
    let is_one =
        (1..=MAX_VAULT_NAME_LEN).contains(&name.len()) && !name.chars().any(char::is_control);
    match is_one {
        true => Ok(()),
        false => Err(FieldError::new("vault_name")),
    }
}

fn id(bytes: &[u8], field: &'static str) -> Result<[u8; 32], FieldError> {
    bytes.try_into().map_err(|_| FieldError::new(field))
}
