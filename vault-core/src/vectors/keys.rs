use serde_json::{Value, json};
use vault_proto::ids::VaultId;

use super::{array, bytes, hex, list, noise32, number, run, text};
use crate::{
    chunk::ChunkKind,
    chunker::ChunkerKeys,
    keys::{VaultKeys, vault::commitment},
    labels,
    secret::Secret,
};

const DESCRIPTION: &str = "What is derived from a vault's epoch secrets: once from the first \
    epoch's, and again from each one. Every value is BLAKE3-derive_key(label, secret).";

#[test]
fn keys() {
    run("keys.json", DESCRIPTION, generate, check);
}

fn generate() -> Vec<Value> {
    let secrets = [noise32("epoch 1"), noise32("epoch 2")];
    let first = Secret::from_array(secrets[0]);
    let kinds = ChunkKind::ALL.map(|kind| {
        let label = labels::chunk_id_key(kind);
        json!({
            "kind": kind.to_byte(),
            "label": label,
            "key": hex(first.derive(label).as_bytes()),
            "id_of_abc": hex(first.derive(label).keyed_hash(b"abc")),
        })
    });
    let epochs = secrets.map(|secret| {
        let secret = Secret::from_array(secret);
        let key = |label| hex(secret.derive(label).as_bytes());
        json!({
            "secret": hex(secret.as_bytes()),
            "commitment": key(labels::EPOCH_COMMITMENT),
            "wrap_key": key(labels::EPOCH_WRAP_KEY),
            "chunk_sealing_key": key(labels::CHUNK_SEALING_KEY),
            "pack_footer_key": key(labels::PACK_FOOTER_KEY),
            "root_sealing_key": key(labels::ROOT_SEALING_KEY),
        })
    });
    let chunker = |hash, cipher| {
        json!({
            "universal_hash": hex(first.derive(hash).as_bytes()),
            "cipher": hex(&first.derive(cipher).as_bytes()[..16]),
        })
    };
    vec![json!({
        "name": "a vault of two epochs",
        "epochs": epochs,
        "chunk_id_keys": kinds,
        "file_chunker": chunker(
            labels::FILE_DATA_CHUNKER_HASH_KEY,
            labels::FILE_DATA_CHUNKER_CIPHER_KEY,
        ),
        "metadata_chunker": chunker(
            labels::METADATA_CHUNKER_HASH_KEY,
            labels::METADATA_CHUNKER_CIPHER_KEY,
        ),
    })]
}

fn check(case: &Value) {
    let secrets: Vec<[u8; 32]> = list(case, "epochs")
        .iter()
        .map(|epoch| array(epoch, "secret"))
        .collect();
    let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([0; 32]), &secrets);
    for (epoch, number) in list(case, "epochs").iter().zip(1..) {
        let derived = keys.epoch(number).unwrap();
        assert_eq!(commitment(&derived.secret), array(epoch, "commitment"));
        let wrap = derived.secret.derive(labels::EPOCH_WRAP_KEY);
        for (key, field) in [
            (&wrap, "wrap_key"),
            (&derived.chunk, "chunk_sealing_key"),
            (&derived.footer, "pack_footer_key"),
            (&derived.root, "root_sealing_key"),
        ] {
            assert_eq!(key.as_bytes(), &array(epoch, field), "{field}");
        }
    }
    for kind in list(case, "chunk_id_keys") {
        let byte = u8::try_from(number(kind, "kind")).unwrap();
        let id = keys.chunk_id(ChunkKind::from_byte(byte).unwrap(), b"abc");
        assert_eq!(id.as_bytes(), &array(kind, "id_of_abc"));
        let key = Secret::from_array(secrets[0]).derive(text(kind, "label"));
        assert_eq!(key.as_bytes(), &array(kind, "key"));
    }
    let same = |keys: &ChunkerKeys, stored: &Value| {
        assert_eq!(
            keys.universal_hash().as_slice(),
            bytes(stored, "universal_hash")
        );
        assert_eq!(keys.cipher().as_slice(), bytes(stored, "cipher"));
    };
    same(keys.file_chunker(), &case["file_chunker"]);
    same(keys.metadata_chunker(), &case["metadata_chunker"]);
}
