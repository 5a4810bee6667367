//! Pairing: how a device of a member brings in a new one.
//!
//! ```text
//!   new device                       hoster                        old device
//!   shows the code  ─────────── read off the screen ──────────▶  has the code
//!   introduction    ─────────▶  box 1  ───────────────────────▶  who it is
//!   shows the words ◀─────────  box 2  ◀───────────────────────  proposal; shows the words
//!   signature       ─────────▶  box 3  ───────────────────────▶  signs last, when its
//!   is a device     ◀─────────  box 4  ◀───────────────────────  member confirmed: end
//! ```
//!
//! The code holds a secret of 256 bits and the hash of the new device's keys; no
//! hoster sees it. Each step has a box and a key of its own, derived from it:
//!
//! ```text
//! box  = BLAKE3-derive_key("coffre v1 pairing box" STEP, secret)
//! key  = BLAKE3-derive_key("coffre v1 pairing key" STEP, secret)
//! sent = XChaCha20-Poly1305(key, random nonce, "coffre v1 pairing" ‖ step (1),
//!                           length (u32) ‖ message ‖ zeros)
//! ```
//!
//! 65,536 bytes for a proposal and 4,096 for the others, whatever is in them.
//! Whoever saw the code can read along, and can propose an account of his own to
//! the new device; he cannot put another device in its place. Both show words
//! made of the entry and the account, which a member compares before anything is
//! signed that counts.

mod messages;
mod words;

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use rand_core::CryptoRng;
use vault_proto::{
    canonical::{DecodeError, decode_canonical},
    device::DevicePublic,
    entry::FieldError,
    ids::{DeviceId, MessageName},
    wire,
};
use zeroize::Zeroizing;

use crate::{
    aead::{self, OpenError},
    author::AuthorError,
    labels,
    secret::Secret,
};

pub use messages::{MAX_SEEN_VAULTS, PairingEnd, PairingIntroduction, PairingProposal, SeenVault};
pub use words::check_words;

/// Before the code itself.
const SCHEME: &str = "coffre-pair:";
/// The most characters of a code; as they are made, a code has 106.
const MAX_CODE_LEN: usize = 256;
/// The version that codes carry.
const CODE_VERSION: u32 = 1;
/// How long a code is good for, in seconds.
pub const CODE_SECONDS: u64 = 600;

/// One of the four messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingStep {
    /// From the new device: its keys and name.
    Introduction,
    /// From the old device: the entry that would add it.
    Proposal,
    /// From the new device: its signature.
    Signature,
    /// From the old device: how it ended.
    End,
}

impl PairingStep {
    /// Every step, in order.
    pub const ALL: [Self; 4] = [
        Self::Introduction,
        Self::Proposal,
        Self::Signature,
        Self::End,
    ];

    const fn number(self) -> u8 {
        match self {
            Self::Introduction => 1,
            Self::Proposal => 2,
            Self::Signature => 3,
            Self::End => 4,
        }
    }

    /// Bytes of the message as it is sent.
    #[must_use]
    pub const fn sealed_len(self) -> usize {
        match self {
            Self::Proposal => 64 << 10,
            Self::Introduction | Self::Signature | Self::End => 4 << 10,
        }
    }

    /// Bytes that the message itself may have.
    const fn room(self) -> usize {
        self.sealed_len() - aead::OVERHEAD - 4
    }
}

/// What is wrong with a code, or with a message of a pairing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairingError {
    /// Text that does not begin with `coffre-pair:`, or that was damaged.
    #[error("not a pairing code, or a damaged one")]
    Code,
    /// A code of a version that this program does not know.
    #[error("the pairing code has version {0}; this program knows version 1")]
    Version(u32),
    /// A message that this code does not open.
    #[error(transparent)]
    Unopenable(#[from] OpenError),
    /// A message that opened, and does not decode.
    #[error("a message of the pairing is {0}")]
    Decode(#[from] DecodeError),
    /// A message with a field that is missing or not what it must be.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// The device that introduced itself is not the one that showed the code.
    #[error("the device is not the one that showed the code")]
    OtherDevice,
    /// The new device's member refuses.
    #[error("the new device refused the pairing")]
    Refused,
    /// What is proposed is not the entry that adds this device.
    #[error("what was proposed is not to add this device")]
    Proposal(#[from] AuthorError),
    /// More than a message has room for.
    #[error("more than a message of a pairing has room for")]
    TooLong,
}

/// What the new device shows and the old one reads: 32 random bytes, and which
/// device it is. Good once.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode {
    secret: Secret,
    device: DeviceId,
}

impl PairingCode {
    /// Makes the code of a new device.
    #[must_use]
    pub fn generate(device: &DevicePublic, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self {
            secret: Secret::generate(rng),
            device: device.id(),
        }
    }

    /// Reads a code; white space around it is ignored.
    ///
    /// # Errors
    /// [`PairingError::Code`] and [`PairingError::Version`].
    pub fn parse(text: &str) -> Result<Self, PairingError> {
        let text = text.trim();
        if text.len() > MAX_CODE_LEN {
            return Err(PairingError::Code);
        }
        let encoded = text.strip_prefix(SCHEME).ok_or(PairingError::Code)?;
        let bytes = BASE64URL_NOPAD
            .decode(encoded.as_bytes())
            .map_err(|_| PairingError::Code)?;
        let bytes = Zeroizing::new(bytes);
        let code: wire::PairingCode =
            decode_canonical(&bytes, MAX_CODE_LEN).map_err(|_| PairingError::Code)?;
        let secret = Zeroizing::new(code.secret);
        if code.version != CODE_VERSION {
            return Err(PairingError::Version(code.version));
        }
        Ok(Self {
            secret: Secret::from_slice(&secret).ok_or(PairingError::Code)?,
            device: DeviceId::from_slice(&code.device).map_err(|_| PairingError::Code)?,
        })
    }

    /// The code as text, which is as secret as the code.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let code = wire::PairingCode {
            version: CODE_VERSION,
            secret: self.secret.as_bytes().to_vec(),
            device: self.device.to_vec(),
        };
        let bytes = Zeroizing::new(code.encode_to_vec());
        drop(Zeroizing::new(code.secret));
        let encoded = Zeroizing::new(BASE64URL_NOPAD.encode(&bytes));
        Zeroizing::new([SCHEME, encoded.as_str()].concat())
    }

    /// The device that shows it.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// The name under which a hoster relays a message.
    #[must_use]
    pub fn box_name(&self, step: PairingStep) -> MessageName {
        let name = self.secret.derive(labels::pairing_box(step));
        MessageName::from_array(*name.as_bytes())
    }

    /// Seals a message of `step`, padded.
    fn seal(
        &self,
        step: PairingStep,
        message: &impl Message,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, PairingError> {
        let length = message.encoded_len();
        if length > step.room() {
            return Err(PairingError::TooLong);
        }
        let mut padded = Zeroizing::new(Vec::with_capacity(4 + step.room()));
        let count = u32::try_from(length).expect("at most 64 KiB");
        padded.extend_from_slice(&count.to_le_bytes());
        padded.extend_from_slice(&message.encode_to_vec());
        padded.resize(4 + step.room(), 0);
        let key = self.secret.derive(labels::pairing_key(step));
        Ok(aead::seal(&key, &associated(step), &padded, rng))
    }

    pub(crate) fn open<M: Message + Default>(
        &self,
        step: PairingStep,
        sealed: &[u8],
    ) -> Result<M, PairingError> {
        if sealed.len() != step.sealed_len() {
            return Err(OpenError.into());
        }
        let key = self.secret.derive(labels::pairing_key(step));
        let padded = Zeroizing::new(aead::open(&key, &associated(step), sealed)?);
        let (length, rest) = padded.split_first_chunk().ok_or(OpenError)?;
        let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| OpenError)?;
        let (message, padding) = rest.split_at_checked(length).ok_or(OpenError)?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(OpenError.into());
        }
        Ok(decode_canonical(message, step.room())?)
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingCode")
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

fn associated(step: PairingStep) -> Vec<u8> {
    [labels::PAIRING.as_bytes(), &[step.number()]].concat()
}
