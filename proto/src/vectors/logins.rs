//! What the halves of a login are held against: G1 and G2.

use super::json::Json;
use crate::ids::AccountId;
use crate::login::{Hello, Login};
use crate::origin::Origin;
use crate::sign::{SignLabel, to_sign};
use crate::testing::{TestAccount, TestDevice, filler_32, hoster};

pub(super) fn contexts() -> Json {
    let mut account = TestAccount::new("alice");
    let removed = account.renew_account_key();
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Halves of logins, and what is said of them (nothing of one that is believed): \
                 `hellos` by G1, of whoever has `key`; `logins` by G2, of devices of the account \
                 whose log is `log`. The fields are what the one who verifies sent and sees \
                 himself, an empty exporter for a channel that is not bound; the signature is what \
                 came.",
            ),
        ),
        ("hellos", Json::list(hellos())),
        ("log", Json::entries(account.log.entries())),
        ("logins", Json::list(logins(&account, &removed))),
    ])
}

fn hello(dialled: &TestDevice) -> Hello {
    Hello {
        hoster: dialled.public.signing_key().hoster_id(),
        client_nonce: filler_32("client"),
        server_nonce: filler_32("server"),
        time: 1_800_000_000,
        exporter: Some(filler_32("exporter")),
        origin: Origin::parse("coffre.example:443").unwrap(),
    }
}

type ChangeHello = fn(&mut Hello);

fn hellos() -> Vec<Json> {
    let (dialled, other) = (TestDevice::machine("hoster"), TestDevice::machine("other"));
    let right = hello(&dialled).to_sign();
    let as_login = to_sign(SignLabel::Login, &hello(&dialled).to_payload());
    let unbound = Hello {
        exporter: None,
        ..hello(&dialled)
    };
    let unbound = unbound.to_sign();
    let no_change: ChangeHello = |_| {};
    let changes: [(&str, ChangeHello); 7] = [
        ("all as it was", no_change),
        ("another client nonce", |hello| hello.client_nonce[0] ^= 1),
        ("another server nonce", |hello| hello.server_nonce[0] ^= 1),
        ("another time", |hello| hello.time += 1),
        ("another channel", |hello| hello.exporter = Some([0; 32])),
        ("no channel", |hello| hello.exporter = None),
        ("another origin", |hello| {
            hello.origin = Origin::parse("other.example:443").unwrap();
        }),
    ];
    let changed = changes.map(|(name, change)| (name, &dialled, right.clone(), change));
    let signed: [(&str, &TestDevice, Vec<u8>, ChangeHello); 6] = [
        ("bound by neither", &dialled, unbound.clone(), |hello| {
            hello.exporter = None;
        }),
        ("bound by one of them", &dialled, unbound, no_change),
        ("another hoster's key", &other, right, no_change),
        (
            "another hoster, who says that he is",
            &other,
            hello(&other).to_sign(),
            no_change,
        ),
        ("signed as a login", &dialled, as_login, no_change),
        ("nothing signed", &dialled, Vec::new(), no_change),
    ];
    let all = changed.into_iter().chain(signed);
    let judged = all.map(|(name, signer, signed, change)| {
        let mut hello = hello(&dialled);
        change(&mut hello);
        judged_hello(name, &hello, signer, &signer.sign(&signed))
    });
    judged.collect()
}

fn judged_hello(name: &str, hello: &Hello, signer: &TestDevice, signature: &[u8; 64]) -> Json {
    let key = signer.public.signing_key();
    let judged = hello.verify(key, signature);
    let fields = [
        ("key", Json::hex(key.as_bytes())),
        ("hoster", Json::hex(hello.hoster.as_bytes())),
        ("client_nonce", Json::hex(hello.client_nonce)),
        ("server_nonce", Json::hex(hello.server_nonce)),
        ("time", Json::Number(hello.time)),
        ("exporter", channel(hello.exporter.as_ref())),
        ("origin", Json::text(hello.origin.as_str())),
        ("signature", Json::hex(signature)),
        ("error", Json::told(&judged)),
    ];
    Json::case(name, fields)
}

fn channel(exporter: Option<&[u8; 32]>) -> Json {
    Json::hex(exporter.map_or(&[][..], |bytes| bytes))
}

type ChangeLogin = fn(&mut Login);

fn logins(account: &TestAccount, removed: &TestDevice) -> Vec<Json> {
    let hello = hello(&TestDevice::machine("hoster"));
    let login = |device: &TestDevice| Login {
        hoster: hello.hoster,
        client_nonce: hello.client_nonce,
        server_nonce: hello.server_nonce,
        time: hello.time + 1,
        exporter: hello.exporter,
        account: account.id(),
        device: device.id(),
        origin: hello.origin.clone(),
    };
    let (machine, paper) = (&account.machine, &account.paper);
    let unknown = TestDevice::machine("unknown");
    let no_change: ChangeLogin = |_| {};
    let signed = [
        ("all as it was", machine, machine),
        ("the paper", paper, paper),
        ("a removed device", removed, removed),
        ("a device of nobody", &unknown, &unknown),
        ("signed by another device", machine, paper),
    ];
    let signed = signed.map(|(name, device, signer)| (name, device, signer, no_change));
    let changes: [(&str, ChangeLogin); 8] = [
        ("another account", |login| {
            login.account = AccountId::from_array(filler_32("account"));
        }),
        ("at another hoster", |login| {
            login.hoster = hoster("elsewhere");
        }),
        ("another client nonce", |login| login.client_nonce[0] ^= 1),
        ("another server nonce", |login| login.server_nonce[0] ^= 1),
        ("another time", |login| login.time += 1),
        ("another channel", |login| login.exporter = Some([0; 32])),
        ("no channel", |login| login.exporter = None),
        ("another origin", |login| {
            login.origin = Origin::parse("coffre.example:444").unwrap();
        }),
    ];
    let changed = changes.map(|(name, change)| (name, machine, machine, change));
    let all = signed.into_iter().chain(changed);
    let judged = all.map(|(name, device, signer, change)| {
        let mut login = login(device);
        let signature = signer.sign(&login.to_sign());
        change(&mut login);
        judged_login(name, &login, account, &signature)
    });
    let mut judged: Vec<_> = judged.collect();
    let as_hello = to_sign(SignLabel::Hello, &login(machine).to_payload());
    let signature = machine.sign(&as_hello);
    judged.push(judged_login(
        "signed as a hello",
        &login(machine),
        account,
        &signature,
    ));
    judged
}

fn judged_login(name: &str, login: &Login, account: &TestAccount, signature: &[u8; 64]) -> Json {
    let judged = login.verify(&account.log, signature);
    let fields = [
        ("hoster", Json::hex(login.hoster.as_bytes())),
        ("account", Json::hex(login.account.as_bytes())),
        ("device", Json::hex(login.device.as_bytes())),
        ("client_nonce", Json::hex(login.client_nonce)),
        ("server_nonce", Json::hex(login.server_nonce)),
        ("time", Json::Number(login.time)),
        ("exporter", channel(login.exporter.as_ref())),
        ("origin", Json::text(login.origin.as_str())),
        ("signature", Json::hex(signature)),
        ("error", Json::told(&judged)),
    ];
    Json::case(name, fields)
}
