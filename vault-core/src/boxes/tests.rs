use chacha20poly1305::{
    ChaCha20Poly1305 as Cipher, KeyInit,
    aead::{Aead, Payload},
};
use hkdf::Hkdf;
use rand::rngs::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use sha2::Sha256;
use vault_proto::entry::BOX_BYTES;
use x_wing::{DecapsulationKey, kem::Decapsulate};

use super::*;

const SECRET: [u8; 32] = [0x5e; 32];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn recipient(seed: u64) -> KemPrivateKey {
    KemPrivateKey::from_seed(Secret::generate(&mut rng(seed)))
}

fn context() -> BoxContext {
    BoxContext {
        purpose: Purpose::EpochSecret,
        sender: DeviceId::from_array([1; 32]),
        log: [2; 32],
        seq: 3,
    }
}

fn a_box(recipient: &KemPrivateKey) -> Vec<u8> {
    let secret = Secret::from_array(SECRET);
    seal_box(recipient.public(), &context(), &secret, &mut rng(9))
}

fn opens(recipient: &KemPrivateKey, context: &BoxContext, sealed: &[u8]) -> bool {
    match open_box(recipient, context, sealed) {
        Ok(secret) => {
            assert_eq!(secret.as_bytes(), &SECRET);
            true
        }
        Err(OpenError) => false,
    }
}

#[test]
fn a_box_opens_for_its_recipient_only() {
    let sealed = a_box(&recipient(1));
    assert_eq!(sealed.len(), BOX_BYTES);
    assert!(opens(&recipient(1), &context(), &sealed));
    assert!(!opens(&recipient(2), &context(), &sealed));
}

#[test]
fn a_box_opens_in_its_place_only() {
    let recipient = recipient(1);
    let sealed = a_box(&recipient);
    let right = context();
    for wrong in [
        BoxContext {
            purpose: Purpose::AccountKeySeed,
            ..right
        },
        BoxContext {
            sender: DeviceId::from_array([9; 32]),
            ..right
        },
        BoxContext {
            log: [0; 32],
            ..right
        },
        BoxContext { seq: 4, ..right },
    ] {
        assert!(!opens(&recipient, &wrong, &sealed), "{wrong:?}");
    }
}

#[test]
fn every_flip_truncation_and_extension_is_refused() {
    let recipient = recipient(1);
    let sealed = a_box(&recipient);
    for position in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[position] ^= 1 << (position % 8);
        assert!(!opens(&recipient, &context(), &flipped), "byte {position}");
        assert!(!opens(&recipient, &context(), &sealed[..position]));
    }
    let mut longer = sealed;
    longer.push(0);
    assert!(!opens(&recipient, &context(), &longer));
}

/// RFC 9180, section 5.1, by hand: what a sender does who is free in the choice
/// of `enc`. It needs the recipient's key here, as X-Wing's ML-KEM half would
/// otherwise have to be encapsulated by hand as well.
pub(crate) fn seal_with_enc(
    recipient: &KemPrivateKey,
    context: &BoxContext,
    secret: &[u8; 32],
    enc: &[u8; ENC_LEN],
) -> Vec<u8> {
    let decapsulation = DecapsulationKey::from(*recipient.seed().as_bytes());
    let shared = decapsulation.decapsulate(enc.into());

    let suite = [b"HPKE".as_slice(), &[0x64, 0x7a, 0, 1, 0, 3]].concat();
    let extract = |salt: &[u8], label: &[u8], ikm: &[u8]| {
        let ikm = [b"HPKE-v1", suite.as_slice(), label, ikm].concat();
        Hkdf::<Sha256>::extract(Some(salt), &ikm).0.to_vec()
    };
    let expand = |prk: &[u8], label: &[u8], context: &[u8], length: u8| {
        let info = [&[0, length], b"HPKE-v1".as_slice(), &suite, label, context].concat();
        let mut out = vec![0; length.into()];
        let hkdf = Hkdf::<Sha256>::from_prk(prk).unwrap();
        hkdf.expand(&info, &mut out).unwrap();
        out
    };
    let info = context.info(recipient.public());
    let schedule = [
        vec![0],
        extract(b"", b"psk_id_hash", b""),
        extract(b"", b"info_hash", &info),
    ]
    .concat();
    let prk = extract(&shared, b"secret", b"");
    let key = expand(&prk, b"key", &schedule, 32);
    let nonce = expand(&prk, b"base_nonce", &schedule, 12);
    let nonce: [u8; 12] = nonce.try_into().unwrap();
    let ciphertext = Cipher::new_from_slice(&key)
        .unwrap()
        .encrypt(&nonce.into(), Payload::from(secret.as_slice()))
        .unwrap();
    [enc.as_slice(), &ciphertext].concat()
}

/// The u coordinates whose points have order 1, 2, 4 or 8, on the curve or on
/// its twist, as <https://cr.yp.to/ecdh.html#validate> lists them; the last
/// four are second encodings of the first ones.
pub(crate) fn unsafe_shares() -> Vec<[u8; 32]> {
    let small = |n: u8| {
        let mut share = [0; 32];
        share[0] = n;
        share
    };
    let near_prime = |low: u8, high: u8| {
        let mut share = [0xff; 32];
        (share[0], share[31]) = (low, high);
        share
    };
    let order_8 = "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800\
                   5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157";
    let order_8 = data_encoding::HEXLOWER.decode(order_8.as_bytes()).unwrap();
    let mut shares: Vec<[u8; 32]> = order_8.as_chunks().0.to_vec();
    shares.extend([small(0), small(1), near_prime(0xec, 0x7f)]);
    let again: Vec<_> = shares
        .iter()
        .map(|share| {
            let mut share = *share;
            share[31] |= 0x80;
            share
        })
        .collect();
    shares.extend(again);
    shares.extend([near_prime(0xed, 0x7f), near_prime(0xee, 0x7f)]);
    shares.extend([near_prime(0xed, 0xff), near_prime(0xee, 0xff)]);
    // Canonical encodings are one per point: 9 and 9 + p are the same base point.
    shares.push(near_prime(0xed + 9, 0x7f));
    shares
}

#[test]
fn a_box_with_an_unsafe_share_is_refused_though_it_would_open() {
    let recipient = recipient(1);
    let mut enc: [u8; ENC_LEN] = *a_box(&recipient).first_chunk().unwrap();
    assert!(opens(
        &recipient,
        &context(),
        &seal_with_enc(&recipient, &context(), &SECRET, &enc)
    ));
    for share in unsafe_shares() {
        enc[ENC_LEN - 32..].copy_from_slice(&share);
        let sealed = seal_with_enc(&recipient, &context(), &SECRET, &enc);
        assert!(!opens(&recipient, &context(), &sealed), "{share:02x?}");
    }
}

#[test]
fn a_key_with_an_unsafe_share_is_none() {
    let mut key = *recipient(1).public().as_bytes();
    assert!(KemPublicKey::from_slice(&key).is_ok());
    for share in unsafe_shares() {
        key[KEM_KEY_BYTES - 32..].copy_from_slice(&share);
        let refused = KemPublicKey::from_slice(&key).unwrap_err();
        assert_eq!(refused, KemKeyError::X25519);
    }
}

#[test]
fn a_key_whose_ml_kem_half_is_out_of_range_is_none() {
    let key = *recipient(1).public().as_bytes();
    for length in [0, KEM_KEY_BYTES - 1, KEM_KEY_BYTES + 1] {
        let key = vec![1; length];
        let refused = KemPublicKey::from_slice(&key).unwrap_err();
        assert_eq!(refused, KemKeyError::Length { length });
    }
    for at in [0, 600, 1_149] {
        let mut key = key;
        // Two coefficients of 12 bits, each to be below 3,329.
        key[at / 3 * 3..][..3].fill(0xff);
        let refused = KemPublicKey::from_slice(&key).unwrap_err();
        assert_eq!(refused, KemKeyError::MlKem);
    }
}

#[test]
fn random_boxes_never_open() {
    let recipient = recipient(1);
    let mut rng = rng(2);
    for _ in 0..200 {
        let mut sealed = vec![0; BOX_BYTES];
        rng.fill_bytes(&mut sealed);
        assert!(!opens(&recipient, &context(), &sealed));
    }
}
