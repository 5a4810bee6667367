//! Accounts, vaults and heads for this crate's tests, made from fixed seeds:
//! the same calls give the same bytes, which the vectors rely on.

mod accounts;
mod heads;
mod vaults;

use ed25519_dalek::{Signer, SigningKey};

pub(crate) use accounts::{TestAccount, in_order, signed_account, signed_by};
pub(crate) use heads::{TestHeads, signed_head};
pub(crate) use vaults::{Logs, TestVault, logs_of, signed_vault};

use crate::device::{DeviceKind, DevicePublic, KemKey};
use crate::entry::{BOX_BYTES, WRAPPED_BYTES};
use crate::ids::{DeviceId, HosterId};
use crate::sign::VerifyingKey;

/// `count` bytes that look random and depend on `seed` alone.
pub(crate) fn filler(seed: &str, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    blake3::Hasher::new_derive_key("coffre test filler")
        .update(seed.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

pub(crate) fn filler_32(seed: &str) -> [u8; 32] {
    filler(seed, 32).try_into().unwrap()
}

/// Something of a box's length. Nobody in this crate opens one.
pub(crate) fn a_box(seed: &str) -> Vec<u8> {
    filler(&format!("box {seed}"), BOX_BYTES)
}

pub(crate) fn a_wrapped_secret(seed: &str) -> Vec<u8> {
    filler(&format!("wrapped {seed}"), WRAPPED_BYTES)
}

pub(crate) fn hoster(seed: &str) -> HosterId {
    HosterId::from_array(filler_32(&format!("hoster {seed}")))
}

/// A device with its secret key.
#[derive(Clone)]
pub(crate) struct TestDevice {
    pub(crate) secret: SigningKey,
    pub(crate) public: DevicePublic,
}

impl TestDevice {
    pub(crate) fn machine(seed: &str) -> Self {
        Self::new(DeviceKind::Machine, seed)
    }

    pub(crate) fn paper(seed: &str) -> Self {
        Self::new(DeviceKind::Paper, seed)
    }

    fn new(kind: DeviceKind, seed: &str) -> Self {
        let secret = SigningKey::from_bytes(&filler_32(&format!("signing {seed}")));
        let kem = KemKey::from_slice(&filler(&format!("kem {seed}"), 1216)).unwrap();
        let key = VerifyingKey::from_slice(secret.verifying_key().as_bytes()).unwrap();
        Self {
            public: DevicePublic::new(kind, key, kem),
            secret,
        }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.public.id()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}
