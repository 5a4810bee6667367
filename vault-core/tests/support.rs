//! What the tests share.

use std::sync::Arc;

use rand::rngs::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use vault_core::keys::VaultKeys;
use vault_proto::ids::VaultId;

/// Randomness that repeats.
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub fn random_bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng(seed).fill_bytes(&mut bytes);
    bytes
}

/// Text that compresses.
pub fn text(length: usize) -> Vec<u8> {
    (0_u32..)
        .flat_map(|n| format!("line {n} of a text\n").into_bytes())
        .take(length)
        .collect()
}

/// A vault with epochs 1, 2 and 3.
pub fn vault_keys() -> Arc<VaultKeys> {
    vault_keys_of([7; 32])
}

/// The same epoch secrets in another vault.
pub fn vault_keys_of(vault: [u8; 32]) -> Arc<VaultKeys> {
    let secrets = [[11; 32], [12; 32], [13; 32]];
    Arc::new(VaultKeys::from_epoch_secrets(
        VaultId::from_array(vault),
        &secrets,
    ))
}
