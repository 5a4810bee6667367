use prost::Message;
use serde_json::{Value, json};
use vault_proto::{
    head::{HEAD_BYTES, Head},
    ids::{AccountId, DeviceId, EntryHash, HeadHash, PackListHash, RootHash, VaultId},
    position::LogPosition,
    wire::{Located, Root, SegmentRef, Timestamp},
};

use super::{Replay, array, bytes, changed, changes, hex, noise, noise32, refused, run};
use crate::{
    aead,
    keys::VaultKeys,
    root::{open_root, seal_root},
};

const DESCRIPTION: &str = "Sealed roots. `head` is the head's 392 bytes, whose bytes 264 to 296 \
    are the hash of the sealed root; `associated` the same with zeros there; `root` an encoded \
    Root. The vault's epochs have the secrets `epoch_1` and `epoch_2`.";

#[test]
fn roots() {
    run("roots.json", DESCRIPTION, generate, check);
}

fn keys_of(case: &Value) -> VaultKeys {
    let vault = VaultId::from_array(noise32("vault"));
    VaultKeys::from_epoch_secrets(vault, &[array(case, "epoch_1"), array(case, "epoch_2")])
}

fn head() -> Head {
    let at = |label: &str, seq| LogPosition {
        seq,
        hash: EntryHash::from_array(noise32(label)),
    };
    Head {
        vault: VaultId::from_array(noise32("vault")),
        seq: 5,
        previous: Some(HeadHash::from_array(noise32("previous"))),
        skip: Some(HeadHash::from_array(noise32("skip"))),
        vault_position: at("vault entry", 3),
        account: AccountId::from_array(noise32("account")),
        device: DeviceId::from_array(noise32("device")),
        account_position: at("account entry", 4),
        epoch: 2,
        root: RootHash::from_array([0; 32]),
        adds: PackListHash::from_array(noise32("adds")),
        removes: PackListHash::from_array(noise32("removes")),
        reconciled: None,
    }
}

/// Reads the fields by hand: what a root is sealed for need not be a head whose
/// links anybody would follow.
fn decode_head(case: &Value) -> Head {
    let bytes: [u8; HEAD_BYTES] = array(case, "head");
    let word = |at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let hash = |at: usize| -> [u8; 32] { *bytes[at..].first_chunk().unwrap() };
    let link = |at: usize| {
        let hash = hash(at);
        (hash != [0; 32]).then(|| HeadHash::from_array(hash))
    };
    let position = |at: usize| LogPosition {
        seq: word(at),
        hash: EntryHash::from_array(hash(at + 8)),
    };
    let head = Head {
        vault: VaultId::from_array(hash(8)),
        seq: word(40),
        previous: link(48),
        skip: link(80),
        vault_position: position(112),
        account: AccountId::from_array(hash(152)),
        device: DeviceId::from_array(hash(184)),
        account_position: position(216),
        epoch: word(256),
        root: RootHash::from_array(hash(264)),
        adds: PackListHash::from_array(hash(296)),
        removes: PackListHash::from_array(hash(328)),
        reconciled: link(360),
    };
    assert_eq!(head.to_signed_bytes(), bytes);
    head
}

fn case_of(name: &str, result: &str, encoded: &[u8], sealed: &[u8], randomness: &[u8]) -> Value {
    let head = Head {
        root: RootHash::of(sealed),
        ..head()
    };
    json!({
        "name": name,
        "result": result,
        "epoch_1": hex(noise32("epoch 1")),
        "epoch_2": hex(noise32("epoch 2")),
        "head": hex(head.to_signed_bytes()),
        "associated": hex(head.to_root_associated_data()),
        "root": hex(encoded),
        "randomness": hex(randomness),
        "sealed_root": hex(sealed),
    })
}

fn keys() -> VaultKeys {
    keys_of(&case_of("", "", &[], &[], &[]))
}

fn positive(name: &str, root: &Root) -> Value {
    let randomness = noise(name, aead::NONCE_LEN);
    let sealed = seal_root(&keys(), &head(), root, &mut Replay::new(&randomness)).unwrap();
    case_of(name, "opens", &root.encode_to_vec(), &sealed, &randomness)
}

fn root(segments: u32) -> Root {
    let located = |label: &str, offset| Located {
        chunk_id: noise(label, 32),
        pack: noise("pack", 32),
        epoch: 2,
        offset,
        sealed_length: 1_000,
        sealed_hash: noise("sealed hash", 32),
        pack_size: 1 << 20,
    };
    Root {
        minimum_reader: 1,
        minimum_writer: 1,
        committed: Some(Timestamp {
            seconds: 1_795_000_000,
            nanoseconds: 5,
        }),
        catalog: Some(located("catalog", 0)),
        segments: (1..=segments)
            .map(|n| SegmentRef {
                at: Some(located("segment", n * 1_000)),
                entries: n,
            })
            .collect(),
        pack_count: 3,
        pack_bytes: 3 << 20,
        ..Default::default()
    }
}

fn generate() -> Vec<Value> {
    let first = positive("a small root", &root(1));
    let mut cases = vec![
        first.clone(),
        positive("a root of an empty vault", &root(0)),
        positive("a large root", &root(40)),
    ];
    let with = |name: &str, field: &str, value: Value| {
        let mut case = first.clone();
        case["name"] = name.into();
        case["result"] = "refused".into();
        case[field] = value;
        case
    };
    let mut other = bytes(&first, "head");
    other[40] ^= 2;
    cases.push(with("another head's root", "head", hex(other)));
    cases.push(with(
        "another epoch secret",
        "epoch_2",
        hex(noise32("epoch 3")),
    ));
    let sealed = bytes(&first, "sealed_root");
    for change in changes(sealed.len()) {
        let changed = changed(&sealed, &change);
        let name = format!("changed, and the head not: {change}");
        cases.push(with(&name, "sealed_root", hex(&changed)));
    }

    // What nobody should seal, under heads that name it.
    let encoded = root(1).encode_to_vec();
    let padded = |length: usize, encoded: &[u8], total: usize| {
        let mut padded = u32::try_from(length).unwrap().to_le_bytes().to_vec();
        padded.extend_from_slice(encoded);
        padded.resize(total - aead::OVERHEAD, 0);
        padded
    };
    let mut forge = |name: &str, encoded: &[u8], padded: &[u8]| {
        let key = &keys().epoch(2).unwrap().root.clone();
        let randomness = noise(name, aead::NONCE_LEN);
        let associated = head().to_root_associated_data();
        let sealed = aead::seal(key, &associated, padded, &mut Replay::new(&randomness));
        cases.push(case_of(name, "refused", encoded, &sealed, &randomness));
    };
    let length = encoded.len();
    forge(
        "a size that no root has",
        &encoded,
        &padded(length, &encoded, 8_192),
    );
    forge(
        "a length beyond the end",
        &encoded,
        &padded(4_053, &encoded, 4_096),
    );
    let mut noisy = padded(length, &encoded, 4_096);
    *noisy.last_mut().unwrap() = 1;
    forge("padding that is not zeros", &encoded, &noisy);
    let unknown = [encoded.as_slice(), &[0xa0, 0x1f, 1]].concat();
    forge(
        "an unknown field",
        &unknown,
        &padded(unknown.len(), &unknown, 4_096),
    );
    let newer = Root {
        minimum_reader: 2,
        ..root(1)
    };
    let newer = newer.encode_to_vec();
    forge(
        "a newer format",
        &newer,
        &padded(newer.len(), &newer, 4_096),
    );
    cases
}

fn check(case: &Value) {
    let (keys, head) = (keys_of(case), decode_head(case));
    let sealed = bytes(case, "sealed_root");
    let opened = open_root(&keys, &head, &sealed);
    assert_eq!(opened.is_err(), refused(case), "{opened:?}");
    let Ok(root) = opened else { return };
    assert_eq!(root.encode_to_vec(), bytes(case, "root"));
    assert_eq!(head.to_root_associated_data(), array(case, "associated"));
    let mut rng = Replay::of(case);
    assert_eq!(seal_root(&keys, &head, &root, &mut rng).unwrap(), sealed);
    rng.finish();
}
