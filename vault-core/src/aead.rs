//! XChaCha20-Poly1305 with a random nonce in front: the one way in which
//! anything is sealed under a symmetric key.
//!
//! ```text
//! sealed = nonce (24 random bytes) ‖ ciphertext ‖ tag (16)
//! ```

use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};
use rand_core::CryptoRng;

use crate::secret::Secret;

/// Bytes of the nonce.
pub(crate) const NONCE_LEN: usize = 24;
/// Bytes of the tag.
pub(crate) const TAG_LEN: usize = 16;
/// How much longer than its plaintext a sealed thing is.
pub(crate) const OVERHEAD: usize = NONCE_LEN + TAG_LEN;

/// Something sealed that could not be opened.
///
/// Which check failed is not told: wrong key, wrong place, changed bytes and
/// contents that are not what they should be all look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot be opened")]
pub struct OpenError;

/// Seals `plaintext` into a buffer of its own.
pub(crate) fn seal(
    key: &Secret,
    associated: &[u8],
    plaintext: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(plaintext.len() + OVERHEAD);
    begin(&mut sealed, rng);
    sealed.extend_from_slice(plaintext);
    finish(key, associated, &mut sealed, 0);
    sealed
}

/// Appends the nonce of a sealed thing; its plaintext follows, then
/// [`finish`].
pub(crate) fn begin(out: &mut Vec<u8>, rng: &mut (impl CryptoRng + ?Sized)) {
    let mut nonce = [0; NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    out.extend_from_slice(&nonce);
}

/// Encrypts in place what stands after the nonce at `start`, and appends the tag.
pub(crate) fn finish(key: &Secret, associated: &[u8], out: &mut Vec<u8>, start: usize) {
    let (nonce, plaintext) = out[start..]
        .split_first_chunk_mut::<NONCE_LEN>()
        .expect("begin() wrote the nonce");
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(*nonce), associated, plaintext.into())
        .expect("what is sealed here is far below 256 GiB");
    out.extend_from_slice(&tag);
}

/// Opens a sealed thing into a buffer of its own.
pub(crate) fn open(key: &Secret, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(OpenError)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(OpenError)?;
    let mut plaintext = ciphertext.to_vec();
    cipher(key)
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            associated,
            plaintext.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| OpenError)?;
    Ok(plaintext)
}

fn cipher(key: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_bytes().into())
}
