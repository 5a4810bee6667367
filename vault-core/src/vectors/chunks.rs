use serde_json::{Value, json};
use vault_proto::ids::VaultId;

use super::{
    Replay, array, bytes, changed, changes, hex, list, noise, noise32, number, refused, run,
};
use crate::{
    aead,
    chunk::{ChunkId, ChunkKind},
    keys::VaultKeys,
    seal::{Compressor, associated},
};

const DESCRIPTION: &str = "Sealed chunks: of every kind, with both codecs. `body` is what is \
    encrypted. Compressed bodies were made by one version of zstd; others compress differently, \
    and open all the same.";

#[test]
fn chunks() {
    run("chunks.json", DESCRIPTION, generate, check);
}

fn kind_of(case: &Value) -> ChunkKind {
    ChunkKind::from_byte(u8::try_from(number(case, "kind")).unwrap()).unwrap()
}

fn keys_of(case: &Value) -> VaultKeys {
    let secrets: Vec<[u8; 32]> = list(case, "epoch_secrets")
        .iter()
        .map(|secret| {
            let secret = json!({ "secret": secret });
            array(&secret, "secret")
        })
        .collect();
    VaultKeys::from_epoch_secrets(VaultId::from_array([0; 32]), &secrets)
}

fn positive(name: &str, epoch: u64, kind: ChunkKind, plaintext: &[u8]) -> Value {
    let mut case = json!({
        "name": name,
        "result": "opens",
        "epoch_secrets": [hex(noise32("epoch 1")), hex(noise32("epoch 2"))],
        "epoch": epoch,
        "kind": kind.to_byte(),
        "plaintext": hex(plaintext),
        "randomness": hex(noise(name, aead::NONCE_LEN)),
    });
    let keys = keys_of(&case);
    let id = keys.chunk_id(kind, plaintext);
    let mut sealed = Vec::new();
    let (mut zstd, mut rng) = (Compressor::default(), Replay::of(&case));
    keys.seal_chunk(
        epoch,
        kind,
        &id,
        plaintext,
        &mut zstd,
        &mut rng,
        &mut sealed,
    )
    .unwrap();
    let key = keys.chunk_key(epoch, &id).unwrap();
    let body = aead::open(&key, &associated(kind), &sealed).unwrap();
    case["chunk_id"] = hex(id.as_bytes());
    case["chunk_key"] = hex(key.as_bytes());
    case["associated"] = hex(associated(kind));
    case["body"] = hex(body);
    case["sealed"] = hex(sealed);
    case
}

fn generate() -> Vec<Value> {
    let noise_chunk = noise("chunk", 200);
    let text_chunk = b"Veni, vidi, vici. ".repeat(30);
    let mut cases = vec![
        positive("empty", 1, ChunkKind::FileData, b""),
        positive("raw", 1, ChunkKind::FileData, &noise_chunk),
        positive("compressed", 1, ChunkKind::FileData, &text_chunk),
        positive("of the second epoch", 2, ChunkKind::FileData, &noise_chunk),
    ];
    for kind in ChunkKind::ALL {
        cases.push(positive(&format!("of kind {kind:?}"), 2, kind, b"contents"));
    }

    let right = cases[2].clone();
    let with = |name: &str, fields: &[(&str, Value)]| {
        let mut case = right.clone();
        case["name"] = name.into();
        case["result"] = "refused".into();
        for (field, value) in fields {
            case[*field] = value.clone();
        }
        case
    };
    cases.push(with("another kind", &[("kind", 2.into())]));
    cases.push(with("another epoch", &[("epoch", 2.into())]));
    cases.push(with("an epoch that is not there", &[("epoch", 0.into())]));
    cases.push(with("another id", &[("chunk_id", hex(noise32("id")))]));
    let sealed = bytes(&right, "sealed");
    for change in changes(sealed.len()) {
        let fields = [("sealed", hex(changed(&sealed, &change)))];
        cases.push(with(&format!("changed: {change}"), &fields));
    }

    // Bodies that nobody should seal, each under the right key of some id.
    let keys = keys_of(&right);
    let kind = ChunkKind::FileData;
    let mut forge = |name: &str, kind: ChunkKind, plaintext: &[u8], body: &[u8]| {
        let id = keys.chunk_id(kind, plaintext);
        let key = keys.chunk_key(1, &id).unwrap();
        let mut rng = Replay::new(&noise(name, aead::NONCE_LEN));
        let sealed = aead::seal(&key, &associated(kind), body, &mut rng);
        let fields = [
            ("kind", kind.to_byte().into()),
            ("chunk_id", hex(id.as_bytes())),
            ("body", hex(body)),
            ("sealed", hex(sealed)),
        ];
        cases.push(with(name, &fields));
    };
    let frame = zstd::bulk::compress(&text_chunk, 3).unwrap();
    let body = |length: usize, frame: &[u8]| {
        let length = u32::try_from(length).unwrap();
        [&[1], length.to_le_bytes().as_slice(), frame].concat()
    };
    let length = text_chunk.len();
    forge(
        "planted under the id of another",
        kind,
        b"another",
        &[&[0], text_chunk.as_slice()].concat(),
    );
    forge("no body", kind, b"", &[]);
    forge(
        "an unknown codec",
        kind,
        &noise_chunk,
        &[&[2], noise_chunk.as_slice()].concat(),
    );
    forge(
        "a length that is too small",
        kind,
        &text_chunk,
        &body(length - 1, &frame),
    );
    forge(
        "a length that is too large",
        kind,
        &text_chunk,
        &body(length + 1, &frame),
    );
    forge(
        "a frame and a byte",
        kind,
        &text_chunk,
        &body(length, &[frame.as_slice(), &[0]].concat()),
    );
    let long = vec![0; ChunkKind::Tree.max_len() + 1];
    let bomb = zstd::bulk::compress(&long, 3).unwrap();
    forge(
        "a frame over the bound of its kind",
        ChunkKind::Tree,
        &long,
        &body(long.len(), &bomb),
    );
    cases
}

fn check(case: &Value) {
    let (keys, kind, epoch) = (keys_of(case), kind_of(case), number(case, "epoch"));
    let id = ChunkId::from_array(array(case, "chunk_id"));
    let sealed = bytes(case, "sealed");
    let opened = keys.open_chunk(epoch, kind, &id, &sealed);
    assert_eq!(opened.is_err(), refused(case));
    let Ok(plaintext) = opened else { return };
    assert_eq!(plaintext, bytes(case, "plaintext"));
    assert_eq!(keys.chunk_id(kind, &plaintext), id);
    let key = keys.chunk_key(epoch, &id).unwrap();
    assert_eq!(key.as_bytes(), &array(case, "chunk_key"));
    assert_eq!(associated(kind), array(case, "associated"));
    let mut rng = Replay::of(case);
    let body = bytes(case, "body");
    assert_eq!(aead::seal(&key, &associated(kind), &body, &mut rng), sealed);
    rng.finish();
}
