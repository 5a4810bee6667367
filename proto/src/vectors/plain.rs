//! Ids, signatures, logins, invitations and addresses.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use prost::Message;

use super::json::Json;
use crate::address::{Address, fingerprint};
use crate::ids::{AccountId, PackId, RootHash};
use crate::invitation::{Invitation, InvitationSecret, TlsTrust};
use crate::login::{Hello, Login};
use crate::origin::Origin;
use crate::pack_list::PackList;
use crate::sign::{SignLabel, VerifyingKey, to_sign};
use crate::testing::{TestAccount, TestDevice, filler, filler_32};
use crate::wire;

pub(super) fn ids() -> Json {
    let devices = [TestDevice::machine("one"), TestDevice::paper("two")];
    let devices = devices.iter().map(|device| {
        Json::Object(vec![
            (
                "device_public",
                Json::hex(device.public.to_wire().encode_to_vec()),
            ),
            ("id", Json::hex(device.id().as_bytes())),
        ])
    });
    let key = *TestDevice::machine("hoster").public.signing_key();
    let packs = [b"one".to_vec(), Vec::new(), filler("pack", 2000)];
    let pack_ids: Vec<_> = packs.iter().map(|pack| PackId::of(pack)).collect();
    let ordered = PackList::from_unordered(pack_ids.clone()).unwrap();
    let mut unordered = ordered.packs().to_vec();
    unordered.swap(0, 1);
    let join = |ids: &[PackId]| ids.iter().flat_map(|id| *id.as_bytes()).collect::<Vec<_>>();
    let lists = [PackList::default(), ordered.clone()].map(|list| {
        Json::Object(vec![
            ("ids", Json::hex(list.to_bytes())),
            ("hash", Json::hex(list.hash().as_bytes())),
        ])
    });
    let refused_lists = [
        ("not in order", join(&unordered)),
        ("one twice", join(&[pack_ids[0], pack_ids[0]])),
        ("31 bytes", vec![1; 31]),
    ]
    .map(|(name, ids)| {
        let error = PackList::from_bytes(&ids).unwrap_err();
        Json::Object(vec![
            ("name", Json::text(name)),
            ("ids", Json::hex(&ids)),
            ("error", Json::error(&error)),
        ])
    });
    let root = filler("sealed root", 4096);
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Ids and hashes that need no key. device_public is an encoded DevicePublic; a pack \
                 id is plain BLAKE3; everything else is BLAKE3 derive_key under the label of \
                 format.md.",
            ),
        ),
        ("devices", Json::list(devices)),
        (
            "hosters",
            Json::list([Json::Object(vec![
                ("key", Json::hex(key.as_bytes())),
                ("id", Json::hex(key.hoster_id().as_bytes())),
            ])]),
        ),
        (
            "packs",
            Json::list(packs.iter().zip(&pack_ids).map(|(pack, id)| {
                Json::Object(vec![
                    ("pack", Json::hex(pack)),
                    ("id", Json::hex(id.as_bytes())),
                ])
            })),
        ),
        (
            "sealed_roots",
            Json::list([Json::Object(vec![
                ("sealed_root", Json::hex(&root)),
                ("hash", Json::hex(RootHash::of(&root).as_bytes())),
            ])]),
        ),
        ("pack_lists", Json::list(lists)),
        ("refused_pack_lists", Json::list(refused_lists)),
    ])
}

pub(super) fn signatures() -> Json {
    let device = TestDevice::machine("one");
    let key = Json::hex(device.public.signing_key().as_bytes());
    let label_name = |label: SignLabel| Json::text(label.as_str());
    let good = SignLabel::ALL.map(|label| {
        let payload = b"a payload";
        let message = to_sign(label, payload);
        Json::Object(vec![
            ("seed", Json::hex(device.secret.to_bytes())),
            ("key", key.clone()),
            ("label", label_name(label)),
            ("payload", Json::hex(payload)),
            ("message", Json::hex(&message)),
            ("signature", Json::hex(device.sign(&message))),
        ])
    });
    let fits = device.sign(&to_sign(SignLabel::Head, b"payload"));
    let mut unreduced = fits;
    let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    unreduced[32..]
        .iter_mut()
        .zip(order)
        .fold(0, |carry, (byte, addend)| {
            let sum = u16::from(*byte) + u16::from(addend) + carry;
            *byte = (sum & 0xff) as u8;
            sum >> 8
        });
    let small = hex(
        "010000000000000000000000000000000000000000000000000000000000000016070be6bd7f8a74820fb7c4\
         bea4941676005d4aa969a665492c649cf5f55d0b",
    );
    let small_key = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
    let refused = [
        (
            "under another label",
            key.clone(),
            SignLabel::Login,
            fits.to_vec(),
        ),
        ("S not reduced", key, SignLabel::Head, unreduced.to_vec()),
        (
            "R of small order",
            Json::text(small_key),
            SignLabel::Head,
            small,
        ),
    ]
    .map(|(name, key, label, signature)| {
        Json::Object(vec![
            ("name", Json::text(name)),
            ("key", key),
            ("label", label_name(label)),
            ("payload", Json::hex(b"payload")),
            ("signature", Json::hex(signature)),
        ])
    });
    let refused_keys = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0200000000000000000000000000000000000000000000000000000000000000",
        "00",
    ]
    .map(|text| {
        let error = VerifyingKey::from_slice(&hex(text)).unwrap_err();
        Json::Object(vec![
            ("key", Json::text(text)),
            ("error", Json::error(&error)),
        ])
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Ed25519 signatures over label || 00 || payload, by the key whose 32-byte seed is \
                 given. The refused ones fit RFC 8032's equation or another label, and are refused \
                 all the same.",
            ),
        ),
        ("signatures", Json::list(good)),
        ("refused_signatures", Json::list(refused)),
        ("refused_keys", Json::list(refused_keys)),
    ])
}

pub(super) fn logins() -> Json {
    let hoster = TestDevice::machine("hoster");
    let account = TestAccount::new("alice");
    let cases = [
        ("coffre.example:443", Some(filler_32("exporter"))),
        ("[2001:db8::1]:8443", None),
    ];
    let cases = cases.map(|(origin, exporter)| {
        let hello = Hello {
            hoster: hoster.public.signing_key().hoster_id(),
            client_nonce: filler_32("client"),
            server_nonce: filler_32("server"),
            time: 1_800_000_000,
            exporter,
            origin: Origin::parse(origin).unwrap(),
        };
        let login = Login {
            hoster: hello.hoster,
            client_nonce: hello.client_nonce,
            server_nonce: hello.server_nonce,
            time: hello.time + 1,
            exporter,
            account: account.id(),
            device: account.machine.id(),
            origin: hello.origin.clone(),
        };
        Json::Object(vec![
            ("hoster_seed", Json::hex(hoster.secret.to_bytes())),
            (
                "hoster_key",
                Json::hex(hoster.public.signing_key().as_bytes()),
            ),
            ("hoster", Json::hex(hello.hoster.as_bytes())),
            ("client_nonce", Json::hex(hello.client_nonce)),
            ("server_nonce", Json::hex(hello.server_nonce)),
            (
                "exporter",
                Json::hex(exporter.as_ref().map_or(&[][..], |bytes| bytes)),
            ),
            ("origin", Json::text(origin)),
            ("hello_time", Json::Number(hello.time)),
            ("hello_payload", Json::hex(hello.to_payload())),
            ("hello_signature", Json::hex(hoster.sign(&hello.to_sign()))),
            ("device_seed", Json::hex(account.machine.secret.to_bytes())),
            ("account", Json::hex(login.account.as_bytes())),
            ("device", Json::hex(login.device.as_bytes())),
            ("login_time", Json::Number(login.time)),
            ("login_payload", Json::hex(login.to_payload())),
            (
                "login_signature",
                Json::hex(account.machine.sign(&login.to_sign())),
            ),
        ])
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Both halves of a login. An empty exporter stands for a channel that is not bound. \
                 genesis is the account's log.",
            ),
        ),
        ("genesis", Json::entry(&account.log.entries()[0])),
        ("logins", Json::list(cases)),
    ])
}

pub(super) fn invitations() -> Json {
    let invitation = |origin: &str, tls| Invitation {
        origin: Origin::parse(origin).unwrap(),
        hoster: crate::testing::hoster("inviting"),
        tls,
        secret: InvitationSecret::from_array(filler_32("invitation")),
        expires: 1_800_000_000,
    };
    let good = [
        (
            "PINNED",
            invitation("coffre.example:8443", TlsTrust::Pinned([7; 32])),
        ),
        ("PUBLIC", invitation("192.0.2.7:443", TlsTrust::Public)),
        ("PROXY", invitation("[2001:db8::1]:443", TlsTrust::Proxy)),
    ]
    .map(|(mode, invitation)| {
        let pin = match invitation.tls {
            TlsTrust::Pinned(pin) => pin.to_vec(),
            _ => Vec::new(),
        };
        Json::Object(vec![
            ("url", Json::text(invitation.to_url())),
            ("origin", Json::text(invitation.origin.as_str())),
            ("hoster", Json::hex(invitation.hoster.as_bytes())),
            ("tls_mode", Json::text(mode)),
            ("tls_pin", Json::hex(pin)),
            ("secret", Json::hex(invitation.secret.as_bytes())),
            ("expires", Json::Number(invitation.expires)),
        ])
    });
    let message = |change: fn(&mut wire::Invitation)| {
        let mut message = wire::Invitation {
            version: 1,
            hoster: filler("hoster", 32),
            tls_mode: wire::TlsMode::Pinned.into(),
            tls_pin: vec![7; 32],
            secret: filler("invitation", 32),
            expires: 1_800_000_000,
        };
        change(&mut message);
        message.encode_to_vec()
    };
    let url = |origin: &str, bytes: &[u8]| {
        let fragment = BASE64URL_NOPAD.encode(bytes);
        format!("coffre://{origin}/invite#{fragment}")
    };
    let plain = message(|_| {});
    let here = |bytes: &[u8]| url("coffre.example:443", bytes);
    let refused = [
        (
            "another scheme",
            here(&plain).replace("coffre://", "https://"),
        ),
        ("another path", here(&plain).replace("/invite", "/login")),
        ("without a fragment", here(&plain).replace('#', "/")),
        ("without a port", url("coffre.example", &plain)),
        ("port 0", url("coffre.example:0", &plain)),
        ("a host with a space", url("coffre example:443", &plain)),
        ("padded base64", here(&plain) + "="),
        ("base64 with + and /", here(&plain) + "+/"),
        ("an unknown field", here(&[&plain[..], &[0x38, 1]].concat())),
        ("cut off", here(&plain[..plain.len() - 1])),
        ("version 2", here(&message(|m| m.version = 2))),
        (
            "a hoster of 31 bytes",
            here(&message(|m| m.hoster.truncate(31))),
        ),
        ("a secret of 33 bytes", here(&message(|m| m.secret.push(0)))),
        (
            "pinned without a pin",
            here(&message(|m| m.tls_pin.clear())),
        ),
        (
            "a pin that is not pinned",
            here(&message(|m| m.tls_mode = 2)),
        ),
        ("no mode of TLS", here(&message(|m| m.tls_mode = 0))),
        ("an unknown mode of TLS", here(&message(|m| m.tls_mode = 4))),
        ("too long", here(&[0; 1000])),
    ]
    .map(|(name, url)| {
        let error = Invitation::parse(&url).unwrap_err();
        Json::Object(vec![
            ("name", Json::text(name)),
            ("url", Json::text(url)),
            ("error", Json::error(&error)),
        ])
    });
    Json::Object(vec![
        ("about", Json::text("Invitations, and text that is none.")),
        ("invitations", Json::list(good)),
        ("refused", Json::list(refused)),
    ])
}

pub(super) fn addresses() -> Json {
    let account = AccountId::from_array(filler_32("account"));
    let right = fingerprint(&account);
    let spelled = |text: &str| {
        let address = Address::parse(text).unwrap();
        Json::Object(vec![
            ("text", Json::text(text)),
            ("address", Json::text(address.to_string())),
            ("name", Json::text(address.name())),
            ("origin", Json::text(address.origin().as_str())),
            ("account", Json::hex(address.account().as_bytes())),
        ])
    };
    let good = [
        format!("alice@coffre.example:443#{right}"),
        format!("Zoé.D-2@[2001:DB8::0:1]:8443#{}", right.to_uppercase()),
        format!(
            "\u{1f512}@192.0.2.7:1#{}",
            fingerprint(&AccountId::from_array([0; 32]))
        ),
    ]
    .map(|text| spelled(&text));
    let at = |rest: &str| format!("alice@coffre.example:443{rest}");
    let wrong = |from: &str, to: &str| at(&format!("#{}", right.replacen(from, to, 1)));
    let last = right.char_indices().next_back().unwrap().0;
    let refused = [
        ("without a name", format!("coffre.example:443#{right}")),
        ("an empty name", format!("@coffre.example:443#{right}")),
        (
            "a name with a space",
            format!("al ice@coffre.example:443#{right}"),
        ),
        (
            "a name that is written backwards",
            format!("al\u{202e}ice@coffre.example:443#{right}"),
        ),
        (
            "a name of 65 characters",
            format!("{}@coffre.example:443#{right}", "a".repeat(65)),
        ),
        ("without a port", format!("alice@coffre.example#{right}")),
        ("without a fingerprint", at("")),
        ("an empty fingerprint", at("#")),
        ("another prefix", wrong("coffre1", "coffra1")),
        ("a fingerprint cut off", at(&format!("#{}", &right[..last]))),
        (
            "a fingerprint in both cases",
            at(&format!("#C{}", &right[1..])),
        ),
        (
            "bech32 instead of bech32m",
            at(&format!(
                "#{}",
                bech32::encode::<bech32::Bech32>(
                    bech32::Hrp::parse_unchecked("coffre"),
                    account.as_bytes()
                )
                .unwrap()
            )),
        ),
        ("an account of 31 bytes", {
            let hrp = bech32::Hrp::parse_unchecked("coffre");
            at(&format!(
                "#{}",
                bech32::encode::<bech32::Bech32m>(hrp, &account.as_bytes()[..31]).unwrap()
            ))
        }),
    ]
    .map(|(name, text)| {
        let error = Address::parse(&text).unwrap_err();
        Json::Object(vec![
            ("name", Json::text(name)),
            ("text", Json::text(text)),
            ("error", Json::error(&error)),
        ])
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Addresses as people may type them, with their one spelling in `address`; and text \
                 that is none.",
            ),
        ),
        ("addresses", Json::list(good)),
        ("refused", Json::list(refused)),
    ])
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}
