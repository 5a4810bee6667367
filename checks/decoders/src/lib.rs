//! Every decoder of bytes from outside, in one shape: bytes in, nothing out,
//! no panic whatever the bytes are. What decodes must encode to the same bytes.
//!
//! The fuzz targets call these, and so does a test with the saved corpora.

pub mod cast;
mod public;
mod secret;

use vault_core::keys::VaultKeys;
use vault_proto::ids::VaultId;

pub use coffre_client_decoders::{cached_directory, hoster_answer, noted_pack};
pub use coffre_server_decoders::ledger_row;
pub use public::{
    account_entry, address, head, head_path, invitation, login, pack_list, vault_entry,
};
pub use secret::{
    capsule, catalog, chunk, device_keys, device_name, directory, kem_key, link_url, links, node,
    offer, pack, pairing, phrase, printed_head, root, segment, settings, snapshot, sorted_segment,
    stream,
};

/// A decoder and its name, which is also the name of its fuzz target and corpus.
pub type Decoder = (&'static str, fn(&[u8]));

/// All decoders.
pub const DECODERS: &[Decoder] = &[
    ("account_entry", account_entry),
    ("address", address),
    ("cached_directory", cached_directory),
    ("capsule", capsule),
    ("catalog", catalog),
    ("chunk", chunk),
    ("device_keys", device_keys),
    ("device_name", device_name),
    ("directory", directory),
    ("head", head),
    ("head_path", head_path),
    ("hoster_answer", hoster_answer),
    ("invitation", invitation),
    ("kem_key", kem_key),
    ("ledger_row", ledger_row),
    ("link_url", link_url),
    ("links", links),
    ("login", login),
    ("node", node),
    ("noted_pack", noted_pack),
    ("offer", offer),
    ("pack", pack),
    ("pack_list", pack_list),
    ("pairing", pairing),
    ("phrase", phrase),
    ("printed_head", printed_head),
    ("root", root),
    ("segment", segment),
    ("settings", settings),
    ("snapshot", snapshot),
    ("sorted_segment", sorted_segment),
    ("stream", stream),
    ("vault_entry", vault_entry),
];

const VAULT_ID: VaultId = VaultId::from_array([1; 32]);
const EPOCH_SECRET: [u8; 32] = [2; 32];

fn keys() -> VaultKeys {
    VaultKeys::from_epoch_secrets(VAULT_ID, &[EPOCH_SECRET])
}

/// Sealing as `vault-core/docs/format.md` says it: so a fuzzer gets past the
/// tags, to what only members can write.
pub(crate) mod sealed {
    use chacha20poly1305::{AeadInOut, KeyInit, Tag, XChaCha20Poly1305, XNonce};

    pub(crate) fn derived(label: &str) -> [u8; 32] {
        blake3::derive_key(label, &super::EPOCH_SECRET)
    }

    /// Under a nonce of zeros: what is sealed here is nobody's secret.
    pub(crate) fn seal(key: &[u8; 32], associated: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let nonce = [0; 24];
        let mut sealed = [&nonce, plaintext].concat();
        let tag = XChaCha20Poly1305::new(key.into())
            .encrypt_inout_detached(&XNonce::from(nonce), associated, (&mut sealed[24..]).into())
            .expect("an input of a fuzzer is short");
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// What was sealed by whoever it was.
    pub(crate) fn open(key: &[u8; 32], associated: &[u8], sealed: &[u8]) -> Vec<u8> {
        let (nonce, rest) = sealed.split_first_chunk().expect("a nonce");
        let (text, tag) = rest.split_last_chunk().expect("a tag");
        let mut text = text.to_vec();
        let nonce = XNonce::from(*nonce);
        XChaCha20Poly1305::new(key.into())
            .decrypt_inout_detached(
                &nonce,
                associated,
                text.as_mut_slice().into(),
                &Tag::from(*tag),
            )
            .expect("the key under which it was sealed");
        text
    }
}
