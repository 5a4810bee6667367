use std::sync::Arc;

use serde_json::{Value, json};
use vault_proto::ids::{PackId, VaultId};

use super::{
    Replay, array, bytes, changed, changes, hex, list, noise, noise32, number, refused, run,
};
use crate::{
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    pack::{PackBuilder, read_pack_entries},
};

const DESCRIPTION: &str = "Packs. `randomness` is the footer's nonce, the seed of the filler \
    (ChaCha20 under that key, with a nonce of zeros), and the trailer's nonce. The sealed chunks \
    are noise here: listing a pack does not open them. A case with `change` makes that change to \
    the pack of the first case; its hash is computed anew, unless `keeps_id` says otherwise.";

#[test]
fn packs() {
    run("packs.json", DESCRIPTION, generate, check);
}

fn keys_of(case: &Value) -> Arc<VaultKeys> {
    let vault = VaultId::from_array(array(case, "vault"));
    let secrets = [array(case, "epoch_1"), array(case, "epoch_2")];
    Arc::new(VaultKeys::from_epoch_secrets(vault, &secrets))
}

fn build(case: &Value) -> crate::pack::FinishedPack {
    let mut builder = PackBuilder::new(keys_of(case), number(case, "epoch"));
    for chunk in list(case, "chunks") {
        let kind = ChunkKind::from_byte(u8::try_from(number(chunk, "kind")).unwrap()).unwrap();
        let id = ChunkId::from_array(array(chunk, "chunk_id"));
        let offset = builder.push(kind, &id, &bytes(chunk, "sealed")).unwrap();
        assert_eq!(u64::from(offset), number(chunk, "offset"));
    }
    let mut rng = Replay::of(case);
    let pack = builder.finish(&mut rng);
    rng.finish();
    pack
}

fn positive(name: &str, chunks: &[(ChunkKind, usize)]) -> Value {
    let mut offset = 0;
    let chunks: Vec<Value> = chunks
        .iter()
        .map(|(kind, length)| {
            let chunk = json!({
                "kind": kind.to_byte(),
                "chunk_id": hex(noise32(&format!("id {length}"))),
                "offset": offset,
                "sealed": hex(noise("sealed", *length)),
            });
            offset += length;
            chunk
        })
        .collect();
    let mut case = json!({
        "name": name,
        "result": "opens",
        "vault": hex(noise32("vault")),
        "epoch_1": hex(noise32("epoch 1")),
        "epoch_2": hex(noise32("epoch 2")),
        "epoch": 2,
        "chunks": chunks,
        "randomness": hex(noise(name, 24 + 32 + 24)),
    });
    let pack = build(&case);
    let footer = keys_of(&case)
        .open_pack_trailer(2, pack.bytes.len(), pack.bytes.last_chunk().unwrap())
        .unwrap()
        .range();
    case["footer_offset"] = footer.start.into();
    case["footer_length"] = footer.len().into();
    case["filler_bytes"] = pack.filler_bytes.into();
    case["pack_id"] = hex(pack.id.as_bytes());
    case["pack"] = hex(pack.bytes);
    case
}

fn generate() -> Vec<Value> {
    let first = positive(
        "three chunks",
        &[
            (ChunkKind::Tree, 41),
            (ChunkKind::FileData, 300),
            (ChunkKind::Index, 127),
        ],
    );
    let mut cases = vec![first.clone(), positive("no chunks", &[])];
    let length = bytes(&first, "pack").len();
    let footer_bit = number(&first, "footer_offset") * 8;
    let mut with = |name: &str, field: &str, value: Value| {
        let mut case = first.clone();
        // The first case's bytes are not repeated.
        for field in ["chunks", "pack", "pack_id", "randomness"] {
            case.as_object_mut().unwrap().remove(field);
        }
        case["name"] = name.into();
        case["result"] = "refused".into();
        case[field] = value;
        cases.push(case);
    };
    with("another vault", "vault", hex(noise32("another vault")));
    with("another epoch", "epoch", 1.into());
    with("an epoch that is not there", "epoch", 3.into());
    with(
        "footer changed",
        "change",
        json!({ "flip_bit": footer_bit }),
    );
    for change in &changes(length)[2..] {
        with(&format!("changed: {change}"), "change", change.clone());
    }
    let change = json!({ "flip_bit": 0, "keeps_id": true });
    with("a chunk changed, and the hash not", "change", change);
    cases
}

fn check(case: &Value) {
    if !refused(case) {
        let pack = build(case);
        assert_eq!(pack.bytes, bytes(case, "pack"));
        assert_eq!(pack.id.as_bytes(), &array(case, "pack_id"));
        assert_eq!(u64::from(pack.filler_bytes), number(case, "filler_bytes"));
        let keys = keys_of(case);
        let entries = read_pack_entries(&keys, pack.epoch, &pack.id, &pack.bytes).unwrap();
        assert_eq!(entries, pack.entries);
        return;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/packs.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let original = bytes(&file["cases"][0], "pack");
    let change = &case["change"];
    let pack = match change {
        Value::Null => original.clone(),
        change => changed(&original, change),
    };
    let id = match change["keeps_id"].as_bool() {
        Some(true) => PackId::of(&original),
        _ => PackId::of(&pack),
    };
    let read = read_pack_entries(&keys_of(case), number(case, "epoch"), &id, &pack);
    assert!(read.is_err());
}
