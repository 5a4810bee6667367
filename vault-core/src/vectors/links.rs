use prost::Message;
use serde_json::{Value, json};
use vault_proto::{
    ids::{AccountId, HosterId, PackId},
    invitation::TlsTrust,
    origin::Origin,
    sign::SignLabel,
    wire,
};

use super::{Replay, array, bytes, changed, changes, hex, noise, noise32, refused, run, text};
use crate::{
    aead,
    keys::DeviceKeys,
    labels,
    links::{
        Capsule, CapsuleFields, LinkSecret, LinkUrl, MIN_MEMORY_KIBIBYTES, PasswordStretching,
        SharedChunk, SharedContent, SharedNode,
    },
    seal::{ChunkKey, Compressor},
    timestamp::Timestamp,
    tree::{Hole, NodeName},
};

const URLS: &str = "URLs of links. `link_id` and, without a password, `capsule_key` follow from \
    `secret`; with one, from `password` as the fragment says that it is stretched.";

const CAPSULES: &str = "Sealed capsules: `payload` is an encoded Capsule, `signed` the encoded \
    SignedCapsule by the device with the Ed25519 seed `device_seed`, `padded` what is sealed. \
    `url` names the capsule by its hash. Where `change` stands, `sealed` is that of the case \
    named by `of`, changed so. Frames were made by one version of zstd; others compress \
    differently, and open all the same.";

#[test]
fn link_urls() {
    run("link_urls.json", URLS, generate_urls, check_url);
}

#[test]
fn capsules() {
    run("capsules.json", CAPSULES, generate_capsules, check_capsule);
}

fn secret() -> LinkSecret {
    LinkSecret::from_array(noise32("link secret"))
}

fn link(tls: TlsTrust, password: Option<PasswordStretching>) -> LinkUrl {
    LinkUrl {
        origin: Origin::parse("coffre.example:8443").unwrap(),
        hoster: HosterId::from_array(noise32("hoster")),
        tls,
        secret: secret(),
        capsule: PackId::from_array(noise32("capsule")),
        password,
    }
}

fn stretching() -> PasswordStretching {
    let salt = noise("salt", 16).try_into().unwrap();
    PasswordStretching::new(MIN_MEMORY_KIBIBYTES, 2, 1, salt).unwrap()
}

const PASSWORD: &str = "une porte à deux clés";

fn generate_urls() -> Vec<Value> {
    let pinned = TlsTrust::Pinned(noise32("pin"));
    let mut cases = Vec::new();
    for (name, tls, password) in [
        ("a pinned key", pinned, None),
        ("a public certificate", TlsTrust::Public, None),
        ("a reverse proxy", TlsTrust::Proxy, None),
        ("with a password", pinned, Some(stretching())),
    ] {
        let link = link(tls, password);
        let stretched = password.map(|how| how.stretch(PASSWORD.as_bytes()).unwrap());
        let mut case = json!({
            "name": name,
            "result": "opens",
            "url": link.to_url(),
            "secret": hex(noise32("link secret")),
            "hoster": hex(noise32("hoster")),
            "capsule": hex(noise32("capsule")),
            "link_id": hex(link.id().as_bytes()),
            "capsule_key": hex(link.secret.capsule_key(stretched.as_ref()).to_vec()),
        });
        if let Some(stretched) = stretched {
            case["password"] = PASSWORD.into();
            case["stretched"] = hex(stretched.as_bytes());
        }
        cases.push(case);
    }

    let good = wire::LinkUrl {
        version: 1,
        hoster: noise("hoster", 32),
        tls_mode: wire::TlsMode::Public.into(),
        tls_pin: Vec::new(),
        secret: noise("link secret", 32),
        capsule: noise("capsule", 32),
        password: Some(stretching().to_wire()),
    };
    let mut refuse = |name: &str, url: String| {
        cases.push(json!({ "name": name, "result": "refused", "url": url }));
    };
    let url_of = |bytes: &[u8]| {
        let fragment = data_encoding::BASE64URL_NOPAD.encode(bytes);
        format!("coffre://coffre.example:8443/link#{fragment}")
    };
    let mut change = |name: &str, change: &dyn Fn(&mut wire::LinkUrl)| {
        let mut message = good.clone();
        change(&mut message);
        refuse(name, url_of(&message.encode_to_vec()));
    };
    change("another version", &|m| m.version = 2);
    change("a short hoster", &|m| m.hoster.truncate(31));
    change("no way to end TLS", &|m| m.tls_mode = 0);
    change("a pin of a public certificate", &|m| {
        m.tls_pin = noise("pin", 32)
    });
    change("a long secret", &|m| m.secret.push(0));
    change("no capsule", &|m| m.capsule.clear());
    let mut password = |name: &str, with: &dyn Fn(&mut wire::PasswordStretching)| {
        change(name, &|m| with(m.password.as_mut().unwrap()));
    };
    password("no algorithm", &|p| p.algorithm = 0);
    password("another algorithm", &|p| p.algorithm = 2);
    password("another version of Argon2", &|p| p.version = 0x10);
    password("too little memory", &|p| p.memory_kibibytes = 65_535);
    password("too much memory", &|p| p.memory_kibibytes = 524_289);
    password("no passes", &|p| p.passes = 0);
    password("too many passes", &|p| p.passes = 17);
    password("no lanes", &|p| p.lanes = 0);
    password("too many lanes", &|p| p.lanes = 5);
    password("a short salt", &|p| p.salt.truncate(15));
    let encoded = good.encode_to_vec();
    let right = url_of(&encoded);
    refuse(
        "an unknown field",
        url_of(&[&encoded[..], &[0x78, 1]].concat()),
    );
    refuse("cut off", url_of(&encoded[..encoded.len() - 1]));
    refuse("padded base64", format!("{right}="));
    refuse("an invitation", right.replace("/link#", "/invite#"));
    refuse("another scheme", right.replace("coffre:", "https:"));
    refuse("no port", right.replace(":8443", ""));
    refuse("too long", format!("{right}{}", "A".repeat(1_024)));
    cases
}

fn check_url(case: &Value) {
    let parsed = LinkUrl::parse(text(case, "url"));
    assert_eq!(parsed.is_err(), refused(case), "{parsed:?}");
    let Ok(link) = parsed else { return };
    assert_eq!(link.to_url(), text(case, "url"));
    assert_eq!(link.secret, LinkSecret::from_array(array(case, "secret")));
    assert_eq!(link.hoster.as_bytes(), &array(case, "hoster"));
    assert_eq!(link.capsule.as_bytes(), &array(case, "capsule"));
    assert_eq!(link.id().as_bytes(), &array(case, "link_id"));
    let stretched = link.password.map(|how| {
        let stretched = how.stretch(text(case, "password").as_bytes()).unwrap();
        assert_eq!(stretched.as_bytes(), &array(case, "stretched"));
        stretched
    });
    let key = link.secret.capsule_key(stretched.as_ref());
    assert_eq!(key.to_vec(), bytes(case, "capsule_key"));
}

fn device_of(case: &Value) -> DeviceKeys {
    let kept = [&[1], &bytes(case, "device_seed")[..], &noise("kem", 32)].concat();
    DeviceKeys::from_secret_bytes(&kept).unwrap()
}

fn fields() -> CapsuleFields {
    let chunk = |pack: &str, offset, length: u32| SharedChunk {
        pack: PackId::from_array(noise32(pack)),
        pack_size: 1 << 20,
        offset,
        sealed_length: length + 41,
        length,
        key: ChunkKey::from_array(noise32(&format!("key {pack} {offset}"))),
        sealed_hash: noise32(&format!("hash {pack} {offset}")),
    };
    let node = |depth, name: &str, mode, content| SharedNode {
        depth,
        name: (!name.is_empty()).then(|| NodeName::new(name).unwrap()),
        mode,
        modified: Timestamp::new(1_700_000_000, 5).unwrap(),
        content,
    };
    let file = |chunks: &[u32], size, holes: &[(u64, u64)]| SharedContent::File {
        chunks: chunks.to_vec(),
        size,
        holes: holes
            .iter()
            .map(|&(offset, length)| Hole { offset, length })
            .collect(),
    };
    CapsuleFields {
        link: secret().id(),
        account: AccountId::from_array(noise32("account")),
        created: Timestamp::new(1_795_000_000, 0).unwrap(),
        nodes: vec![
            node(0, "photos", 0o755, SharedContent::Directory),
            node(1, "a.jpg", 0o644, file(&[0, 1], 3_000, &[])),
            node(1, "b", 0o700, SharedContent::Directory),
            node(2, "sparse", 0o600, file(&[1], 11_000, &[(500, 10_000)])),
            node(
                2,
                "to a",
                0o777,
                SharedContent::Symlink {
                    target: b"../a.jpg".to_vec(),
                },
            ),
            node(1, "empty", 0o444, file(&[], 0, &[])),
        ],
        chunks: vec![chunk("pack 2", 0, 2_000), chunk("pack 1", 70_000, 1_000)],
    }
}

/// A capsule sealed by hand, whatever it holds.
fn capsule_case(name: &str, result: &str, payload: &[u8], password: bool) -> Value {
    let stretching = password.then(stretching);
    let stretched = stretching.map(|how| how.stretch(PASSWORD.as_bytes()).unwrap());
    let key = secret().capsule_key(stretched.as_ref());
    let device = device_of(&json!({ "device_seed": hex(noise32("device")) }));
    let signature = device.sign(SignLabel::Capsule, payload).to_vec();
    let signed = wire::SignedCapsule {
        payload: payload.to_vec(),
        signature,
    }
    .encode_to_vec();
    let frame = Compressor::default().compress(&signed);
    let mut padded = Vec::new();
    for length in [frame.len(), signed.len()] {
        padded.extend(u32::try_from(length).unwrap().to_le_bytes());
    }
    padded.extend(frame);
    padded.resize((16 << 10) - aead::OVERHEAD, 0);
    let associated = [labels::LINK_CAPSULE.as_bytes(), secret().id().as_bytes()].concat();
    let randomness = noise(name, aead::NONCE_LEN);
    let sealed = aead::seal(&key.0, &associated, &padded, &mut Replay::new(&randomness));
    let url = LinkUrl {
        capsule: PackId::of(&sealed),
        ..link(TlsTrust::Public, stretching)
    };
    let mut case = json!({
        "name": name,
        "result": result,
        "url": url.to_url(),
        "device_seed": hex(noise32("device")),
        "capsule_key": hex(key.to_vec()),
        "associated": hex(associated),
        "payload": hex(payload),
        "signed": hex(signed),
        "randomness": hex(randomness),
        "sealed": hex(sealed),
    });
    if password {
        case["password"] = PASSWORD.into();
    }
    case
}

fn generate_capsules() -> Vec<Value> {
    let payload_of = |fields: &CapsuleFields| {
        let device = device_of(&json!({ "device_seed": hex(noise32("device")) }));
        let mut rng = Replay::new(&noise("", aead::NONCE_LEN));
        let key = secret().capsule_key(None);
        let sealed =
            Capsule::seal(fields, &device, &key, &mut Compressor::default(), &mut rng).unwrap();
        let padded = aead::open(
            &key.0,
            &[labels::LINK_CAPSULE.as_bytes(), fields.link.as_bytes()].concat(),
            &sealed.bytes,
        )
        .unwrap();
        let frame_len = u32::from_le_bytes(*padded.first_chunk().unwrap()) as usize;
        let signed_len = u32::from_le_bytes(*padded[4..].first_chunk().unwrap()) as usize;
        let mut signed = Vec::with_capacity(signed_len);
        zstd::bulk::Decompressor::new()
            .unwrap()
            .decompress_to_buffer(&padded[8..8 + frame_len], &mut signed)
            .unwrap();
        wire::SignedCapsule::decode(signed.as_slice())
            .unwrap()
            .payload
    };
    let payload = payload_of(&fields());
    let whole = {
        let mut fields = fields();
        fields.nodes[0].name = None;
        payload_of(&fields)
    };
    let first = capsule_case("a directory", "opens", &payload, false);
    let mut cases = vec![
        first.clone(),
        capsule_case("a whole snapshot", "opens", &whole, false),
        capsule_case("with a password", "opens", &payload, true),
    ];

    let mut change = |name: &str, change: &dyn Fn(&mut wire::Capsule)| {
        let mut message = wire::Capsule::decode(payload.as_slice()).unwrap();
        change(&mut message);
        cases.push(capsule_case(
            name,
            "refused",
            &message.encode_to_vec(),
            false,
        ));
    };
    change("another link's", &|m| m.link = noise("link", 32));
    change("signed by another device", &|m| {
        let other = device_of(&json!({ "device_seed": hex(noise32("other device")) }));
        m.device = Some(other.public().to_wire());
    });
    change("a name that leads out", &|m| {
        m.nodes[1].name = b"..".to_vec()
    });
    change("a path for a name", &|m| m.nodes[1].name = b"/etc".to_vec());
    change("a name twice", &|m| m.nodes[1].name = b"b".to_vec());
    change("an entry in a file", &|m| m.nodes[2].depth = 2);
    change("a set-user-id bit", &|m| m.nodes[1].mode = 0o4755);
    change("a device node", &|m| m.nodes[5].kind = 6);
    change("a size that is none", &|m| m.nodes[1].size += 1);
    change("a chunk that is not there", &|m| m.nodes[1].chunks[1] = 2);
    change("a chunk beyond its pack", &|m| m.offsets[0] = 1 << 20);
    change("columns of two lengths", &|m| m.keys.truncate(32));
    change("a pack that is not used", &|m| m.rows.fill(0));

    let sealed = bytes(&first, "sealed");
    for change in changes(sealed.len()) {
        cases.push(json!({
            "name": format!("changed: {change}"),
            "result": "refused",
            "url": first["url"],
            "of": first["name"],
            "change": change,
        }));
    }
    let mut wrong = cases[2].clone();
    wrong["name"] = "a wrong password".into();
    wrong["result"] = "refused".into();
    wrong["password"] = "une porte".into();
    cases.push(wrong);
    cases
}

fn check_capsule(case: &Value) {
    let url = LinkUrl::parse(text(case, "url")).unwrap();
    let sealed = match case["change"].is_null() {
        true => bytes(case, "sealed"),
        false => changed(&first_sealed(text(case, "of")), &case["change"]),
    };
    let password = case["password"].as_str().map(str::as_bytes);
    let opened = url.open(&sealed, password);
    assert_eq!(opened.is_err(), refused(case), "{opened:?}");
    if opened.is_err() {
        return;
    }
    let stretched = url
        .password
        .map(|how| how.stretch(password.unwrap()).unwrap());
    let key = url.secret.capsule_key(stretched.as_ref());
    assert_eq!(key.to_vec(), bytes(case, "capsule_key"));
    let padded = aead::open(&key.0, &bytes(case, "associated"), &sealed).unwrap();
    let mut rng = Replay::of(case);
    let again = aead::seal(&key.0, &bytes(case, "associated"), &padded, &mut rng);
    assert_eq!(again, sealed);
    rng.finish();
    let payload = bytes(case, "payload");
    let signature = device_of(case).sign(SignLabel::Capsule, &payload).to_vec();
    let signed = wire::SignedCapsule { payload, signature }.encode_to_vec();
    assert_eq!(signed, bytes(case, "signed"));
}

fn first_sealed(name: &str) -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/capsules.json");
    let contents: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = contents["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| text(case, "name") == name);
    bytes(case.unwrap(), "sealed")
}
