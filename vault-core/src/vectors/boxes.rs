use serde_json::{Value, json};
use vault_proto::{device::KEM_KEY_BYTES, entry::BOX_BYTES, ids::DeviceId};

use super::{
    Replay, array, bytes, changed, changes, hex, noise, noise32, number, refused, run, text,
};
use crate::{
    boxes::{
        BoxContext, KemPrivateKey, KemPublicKey, Purpose, open_box, seal_box,
        tests::{seal_with_enc, unsafe_shares},
    },
    secret::Secret,
};

const DESCRIPTION: &str = "Boxes: HPKE (RFC 9180) in base mode with X-Wing (0x647a), HKDF-SHA256 \
    and ChaCha20-Poly1305, without associated data. `recipient_seed` is the raw X-Wing private \
    key. `randomness` is what encapsulation takes: 32 bytes for ML-KEM, then the X25519 secret. \
    Cases with `kem_key` alone hold public keys that must be refused.";

#[test]
fn boxes() {
    run("boxes.json", DESCRIPTION, generate, check);
}

fn positive(name: &str, context: BoxContext) -> Value {
    let recipient = KemPrivateKey::from_seed(Secret::from_array(noise32("recipient")));
    let randomness = noise(name, 64);
    let secret = Secret::from_array(noise32("boxed secret"));
    let mut rng = Replay::new(&randomness);
    let sealed = seal_box(recipient.public(), &context, &secret, &mut rng);
    json!({
        "name": name,
        "result": "opens",
        "recipient_seed": hex(recipient.seed().as_bytes()),
        "recipient_key": hex(recipient.public().as_bytes()),
        "recipient_key_hash": hex(recipient.public().hash()),
        "purpose": context.purpose.label(),
        "sender": hex(context.sender.as_bytes()),
        "log": hex(context.log),
        "seq": context.seq,
        "info": hex(context.info(recipient.public())),
        "secret": hex(secret.as_bytes()),
        "randomness": hex(randomness),
        "box": hex(sealed),
    })
}

fn generate() -> Vec<Value> {
    let genesis = BoxContext {
        purpose: Purpose::AccountKeySeed,
        sender: DeviceId::from_array(noise32("sender")),
        log: [0; 32],
        seq: 1,
    };
    let later = BoxContext {
        purpose: Purpose::EpochSecret,
        log: noise32("vault"),
        seq: 0x0102_0304,
        ..genesis
    };
    let first = positive("account key seed in a genesis", genesis);
    let second = positive("epoch secret in a later entry", later);
    let mut cases = vec![first.clone(), second.clone()];

    let with = |field: &str, value: Value| {
        let mut case = second.clone();
        case["name"] = format!("another {field}").into();
        case["result"] = "refused".into();
        case[field] = value;
        case
    };
    cases.push(with("purpose", "account key seed".into()));
    cases.push(with("sender", hex(noise32("another sender"))));
    cases.push(with("log", hex([0; 32])));
    cases.push(with("seq", 0x0102_0305.into()));
    cases.push(with("recipient_seed", hex(noise32("another recipient"))));
    cases.push(with("box", first["box"].clone()));
    for change in changes(BOX_BYTES) {
        let mut case = with("box", hex(changed(&bytes(&second, "box"), &change)));
        case["name"] = format!("box changed: {change}").into();
        cases.push(case);
    }
    let recipient = KemPrivateKey::from_seed(Secret::from_array(array(&second, "recipient_seed")));
    for share in unsafe_shares() {
        let mut enc: [u8; 1_120] = *bytes(&second, "box").first_chunk().unwrap();
        enc[1_088..].copy_from_slice(&share);
        let secret = array(&second, "secret");
        let sealed = seal_with_enc(&recipient, &later, &secret, &enc);
        let mut case = with("box", hex(sealed));
        case["name"] = "correctly sealed, with an X25519 share that is unsafe".into();
        cases.push(case);
    }
    let key = *recipient.public().as_bytes();
    let mut bad_key = |name: &str, key: &[u8]| {
        cases.push(json!({ "name": name, "result": "refused", "kem_key": hex(key) }));
    };
    for share in unsafe_shares() {
        let mut key = key;
        key[1_184..].copy_from_slice(&share);
        bad_key("a key whose X25519 half is unsafe", &key);
    }
    let mut out_of_range = key;
    out_of_range[..3].fill(0xff);
    bad_key("a key whose ML-KEM half is out of range", &out_of_range);
    bad_key("a key that is too short", &key[..KEM_KEY_BYTES - 1]);
    cases
}

fn check(case: &Value) {
    if case["kem_key"].is_string() {
        assert!(refused(case));
        assert!(KemPublicKey::from_slice(&bytes(case, "kem_key")).is_err());
        return;
    }
    let recipient = KemPrivateKey::from_seed(Secret::from_array(array(case, "recipient_seed")));
    let context = BoxContext {
        purpose: match text(case, "purpose") {
            "account key seed" => Purpose::AccountKeySeed,
            "epoch secret" => Purpose::EpochSecret,
            other => panic!("a purpose `{other}`"),
        },
        sender: DeviceId::from_array(array(case, "sender")),
        log: array(case, "log"),
        seq: number(case, "seq"),
    };
    let sealed = bytes(case, "box");
    let opened = open_box(&recipient, &context, &sealed);
    assert_eq!(opened.is_err(), refused(case));
    let Ok(secret) = opened else { return };
    assert_eq!(secret.as_bytes(), &array(case, "secret"));
    let public = recipient.public();
    assert_eq!(public.as_bytes().as_slice(), bytes(case, "recipient_key"));
    assert_eq!(public.hash(), array(case, "recipient_key_hash"));
    assert_eq!(context.info(public), bytes(case, "info"));
    let mut rng = Replay::of(case);
    assert_eq!(seal_box(public, &context, &secret, &mut rng), sealed);
    rng.finish();
}
