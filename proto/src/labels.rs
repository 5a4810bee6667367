//! Every label of this crate's hashes and signatures, so that no two uses share
//! one. Those of secret derivations stand in vault-core.
//!
//! A hash is `BLAKE3-derive_key(context = label, key material = bytes)`, 32
//! bytes long. A signature covers `label || 0x00 || payload`.

/// Of a `DevicePublic`'s encoding: the device id.
pub const DEVICE_ID: &str = "coffre v1 device id";
/// Of a hoster's 32-byte Ed25519 key: the hoster id.
pub const HOSTER_ID: &str = "coffre v1 hoster id";
/// Of an account entry's payload: its hash; of the genesis, the account id.
pub const ACCOUNT_ENTRY: &str = "coffre v1 account entry";
/// Of a vault entry's payload: its hash; of the genesis, the vault id.
pub const VAULT_ENTRY: &str = "coffre v1 vault entry";
/// Of a head's first 392 bytes: its hash.
pub const HEAD: &str = "coffre v1 head";
/// Of a sealed root.
pub const SEALED_ROOT: &str = "coffre v1 sealed root";
/// Of a list of packs, as its ids end to end in ascending order.
pub const PACK_LIST: &str = "coffre v1 pack list";

/// Signs an account entry.
pub const SIGN_ACCOUNT_ENTRY: &str = "coffre v1 sign account entry";
/// Signs a vault entry.
pub const SIGN_VAULT_ENTRY: &str = "coffre v1 sign vault entry";
/// Signs a head.
pub const SIGN_HEAD: &str = "coffre v1 sign head";
/// Signs a hoster's half of a login.
pub const SIGN_HELLO: &str = "coffre v1 sign hello";
/// Signs an offer of membership.
pub const SIGN_OFFER: &str = "coffre v1 sign offer";
/// Signs a device's half of a login.
pub const SIGN_LOGIN: &str = "coffre v1 sign login";
/// Signs a link's capsule.
pub const SIGN_CAPSULE: &str = "coffre v1 sign capsule";

/// `BLAKE3-derive_key(label, parts end to end)`.
pub(crate) fn hash(label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key(label);
    for part in parts {
        hasher.update(part);
    }
    *hasher.finalize().as_bytes()
}
