//! Sealing and opening capsules.
//!
//! ```text
//! signed  = encoded SignedCapsule: payload, and the device's signature over it
//! padded  = length of the frame (u32) ‖ length of `signed` (u32)
//!         ‖ zstd frame of `signed` ‖ zeros
//! sealed  = XChaCha20-Poly1305(capsule key, random nonce,
//!                              "coffre v1 link capsule" ‖ link id, padded)
//! ```
//!
//! The zeros make it as long as a pack, and the hoster stores it as one.

use prost::Message;
use rand_core::CryptoRng;
use vault_proto::canonical::decode_canonical;
use vault_proto::ids::{LinkId, PackId};
use vault_proto::sign::SignLabel;
use vault_proto::wire::SignedCapsule;

use super::{Capsule, CapsuleError, CapsuleFields, MAX_CAPSULE_LEN, wire};
use crate::aead::{self, OpenError};
use crate::keys::DeviceKeys;
use crate::labels;
use crate::links::{CapsuleKey, OpenLinkError};
use crate::pack::{MAX_PACK_LEN, MIN_PACK_LEN};
use crate::seal::{Compressor, Decompressor};

/// Two lengths before the frame.
const HEADER_LEN: usize = 8;

/// Why a capsule could not be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealCapsuleError {
    /// There is more in it than one pack holds, or than a reader takes.
    #[error("too much for one link: its list of chunks takes {length} bytes")]
    TooLarge {
        /// Bytes of its list, sealed or not.
        length: usize,
    },
    /// What it is made of breaks a rule.
    #[error(transparent)]
    Malformed(#[from] CapsuleError),
}

/// A capsule that is ready to be sent, as a pack.
#[derive(Debug, Clone)]
pub struct SealedCapsule {
    /// `BLAKE3(bytes)`.
    pub id: PackId,
    /// A power of two of them.
    pub bytes: Vec<u8>,
}

/// Whether a sealed capsule can be so long.
pub(in crate::links) fn is_capsule_size(length: usize) -> bool {
    length.is_power_of_two() && (MIN_PACK_LEN..=MAX_PACK_LEN).contains(&length)
}

impl Capsule {
    /// Signs and seals a capsule.
    ///
    /// # Errors
    /// See [`SealCapsuleError`].
    pub fn seal(
        fields: &CapsuleFields,
        device: &DeviceKeys,
        key: &CapsuleKey,
        compressor: &mut Compressor,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SealedCapsule, SealCapsuleError> {
        fields.check()?;
        let payload = wire::to_wire(fields, device.public()).encode_to_vec();
        let signature = device.sign(SignLabel::Capsule, &payload).to_vec();
        let signed = SignedCapsule { payload, signature }.encode_to_vec();
        if signed.len() > MAX_CAPSULE_LEN {
            let length = signed.len();
            return Err(SealCapsuleError::TooLarge { length });
        }
        let frame = compressor.compress(&signed);
        seal(key, fields.link, &frame, signed.len(), rng)
    }

    /// Opens and verifies what [`Capsule::seal`] gave, for a link and with its
    /// key. What is opened so is believed no more than whoever has the key: see
    /// [`LinkUrl::open`](crate::links::LinkUrl::open) for strangers.
    ///
    /// # Errors
    /// [`OpenLinkError::Unopenable`] and [`OpenLinkError::Malformed`].
    pub fn open(key: &CapsuleKey, link: LinkId, sealed: &[u8]) -> Result<Self, OpenLinkError> {
        if !is_capsule_size(sealed.len()) {
            return Err(OpenError.into());
        }
        let padded = aead::open(&key.0, &associated(link), sealed)?;
        Ok(Self::verify(link, &unpad(&padded)?)?)
    }

    fn verify(link: LinkId, signed: &[u8]) -> Result<Self, CapsuleError> {
        let SignedCapsule { payload, signature } = decode_canonical(signed, MAX_CAPSULE_LEN)?;
        let (fields, device) = wire::decode(&payload)?;
        let signature = signature.try_into().map_err(|_| CapsuleError::Signature)?;
        device
            .signing_key()
            .verify(SignLabel::Capsule, &payload, &signature)
            .map_err(|_| CapsuleError::Signature)?;
        if fields.link != link {
            return Err(CapsuleError::OtherLink);
        }
        fields.check()?;
        Ok(Self { fields, device })
    }
}

pub(super) fn seal(
    key: &CapsuleKey,
    link: LinkId,
    frame: &[u8],
    signed_len: usize,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<SealedCapsule, SealCapsuleError> {
    let length = aead::OVERHEAD + HEADER_LEN + frame.len();
    let size = length.next_power_of_two().max(MIN_PACK_LEN);
    if size > MAX_PACK_LEN {
        return Err(SealCapsuleError::TooLarge { length });
    }
    let narrow = |length: usize| u32::try_from(length).expect("at most 32 MiB");
    let mut padded = Vec::with_capacity(size - aead::OVERHEAD);
    padded.extend_from_slice(&narrow(frame.len()).to_le_bytes());
    padded.extend_from_slice(&narrow(signed_len).to_le_bytes());
    padded.extend_from_slice(frame);
    padded.resize(size - aead::OVERHEAD, 0);
    let bytes = aead::seal(&key.0, &associated(link), &padded, rng);
    Ok(SealedCapsule {
        id: PackId::of(&bytes),
        bytes,
    })
}

/// Takes the signed capsule out of what was sealed, within its bound.
fn unpad(padded: &[u8]) -> Result<Vec<u8>, CapsuleError> {
    let (header, rest) = padded
        .split_first_chunk::<HEADER_LEN>()
        .ok_or(CapsuleError::Padding)?;
    let [f0, f1, f2, f3, length @ ..] = *header;
    let narrow = |bytes| usize::try_from(u32::from_le_bytes(bytes));
    let frame_len = narrow([f0, f1, f2, f3]).map_err(|_| CapsuleError::Padding)?;
    let signed_len = narrow(length).map_err(|_| CapsuleError::Padding)?;
    let (frame, zeros) = rest
        .split_at_checked(frame_len)
        .ok_or(CapsuleError::Padding)?;
    if signed_len > MAX_CAPSULE_LEN || zeros.iter().any(|byte| *byte != 0) {
        return Err(CapsuleError::Padding);
    }
    Decompressor::default()
        .decompress(frame, signed_len)
        .map_err(|OpenError| CapsuleError::Padding)
}

pub(super) fn associated(link: LinkId) -> Vec<u8> {
    [labels::LINK_CAPSULE.as_bytes(), link.as_bytes()].concat()
}
