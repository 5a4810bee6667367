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
    let mut sealed = sealed.to_vec();
    let length = open_in_place(key, associated, &mut sealed)?.len();
    sealed.copy_within(NONCE_LEN..NONCE_LEN + length, 0);
    sealed.truncate(length);
    Ok(sealed)
}

/// Opens a sealed thing where it stands: its plaintext begins after the nonce.
///
/// Nothing is decrypted that is not authentic.
pub(crate) fn open_in_place<'a>(
    key: &Secret,
    associated: &[u8],
    sealed: &'a mut [u8],
) -> Result<&'a mut [u8], OpenError> {
    let (nonce, rest) = sealed
        .split_first_chunk_mut::<NONCE_LEN>()
        .ok_or(OpenError)?;
    let (text, tag) = rest.split_last_chunk_mut::<TAG_LEN>().ok_or(OpenError)?;
    cipher(key)
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            associated,
            (&mut *text).into(),
            &Tag::from(*tag),
        )
        .map_err(|_| OpenError)?;
    Ok(text)
}

fn cipher(key: &Secret) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.as_bytes().into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use data_encoding::HEXLOWER;
    use rand::rngs::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn sealed_by(rng: &mut ChaCha20Rng) -> Vec<u8> {
        seal(&Secret::from_array([1; 32]), b"here", b"plaintext", rng)
    }

    /// draft-irtf-cfrg-xchacha-03, appendix A.3.1.
    #[test]
    fn agrees_with_the_draft() {
        let hex = |text: &str| HEXLOWER.decode(text.as_bytes()).unwrap();
        let key: Vec<u8> = (0x80..0xa0).collect();
        let key = Secret::from_slice(&key).unwrap();
        let nonce: Vec<u8> = (0x40..0x58).collect();
        let associated = hex("50515253c0c1c2c3c4c5c6c7");
        let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one \
                          tip for the future, sunscreen would be it.";
        let mut sealed = nonce.clone();
        sealed.extend_from_slice(plaintext);
        finish(&key, &associated, &mut sealed, 0);
        let expected = "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb\
                        731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
                        2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                        21f9664c97637da9768812f615c68b13b52e\
                        c0875924c1c7987947deafd8780acf49";
        assert_eq!(sealed, [nonce, hex(expected)].concat());
        assert_eq!(open(&key, &associated, &sealed), Ok(plaintext.to_vec()));
    }

    #[test]
    fn every_nonce_is_another() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let nonces: BTreeSet<_> = (0..1_000)
            .map(|_| sealed_by(&mut rng)[..NONCE_LEN].to_vec())
            .collect();
        assert_eq!(nonces.len(), 1_000);
    }

    #[test]
    fn opens_with_its_key_and_place_only() {
        let sealed = sealed_by(&mut ChaCha20Rng::seed_from_u64(2));
        let key = Secret::from_array([1; 32]);
        assert_eq!(open(&key, b"here", &sealed), Ok(b"plaintext".to_vec()));
        assert_eq!(open(&key, b"there", &sealed), Err(OpenError));
        let other = Secret::from_array([2; 32]);
        assert_eq!(open(&other, b"here", &sealed), Err(OpenError));
        for length in 0..sealed.len() {
            assert_eq!(open(&key, b"here", &sealed[..length]), Err(OpenError));
        }
    }
}
