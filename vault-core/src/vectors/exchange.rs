use prost::Message;
use rand_core::SeedableRng;
use serde_json::{Value, json};
use vault_proto::{
    account_log::AccountLog,
    address::Address,
    device::DevicePublic,
    ids::{AccountId, EntryHash, HeadHash, HosterId, VaultId},
    invitation::TlsTrust,
    origin::Origin,
    position::{HeadPosition, LogPosition},
    sign::SignLabel,
    vault_log::{Role, VaultKind, VaultLog},
    wire::{self, SignedEntry},
};

use super::{
    Replay, array, bytes, changed, changes, hex, list, noise, noise32, number, refused, run, text,
};
use crate::{
    aead,
    author::{AccountAuthor, NamedDevice, NewVault, VaultAuthor, create_account, create_vault},
    boxes::KemPublicKey,
    contact::ContactNumber,
    keys::{AccountSecrets, DeviceKeys, PhraseLanguage},
    labels,
    offer::{Offer, SealedOffer, seal_padded},
    pairing::{
        PairingCode, PairingEnd, PairingError, PairingIntroduction, PairingProposal, PairingStep,
        SeenVault, check_words,
    },
    secret::Secret,
};

const PAIRINGS: &str = "The four messages of a pairing. `message` is what is padded and sealed \
    under `key`; the nonce is the randomness. A proposal is opened by the device `public`, an \
    encoded DevicePublic, whose id is the code's. Cases with `words` hold check words.";

const OFFERS: &str = "Offers of membership. `recipient` is the recipient's device as in logs.json; \
    entries are encoded SignedEntry messages; `signed` is what is padded and sealed. `randomness` \
    is the offer's key, then what the box takes, then the nonce.";

const CONTACTS: &str = "The numbers that the members of two accounts compare.";

#[test]
fn pairings() {
    run("pairing.json", PAIRINGS, generate_pairings, check_pairing);
}

#[test]
fn offers() {
    run("offers.json", OFFERS, generate_offers, check_offer);
}

#[test]
fn contacts() {
    run("contacts.json", CONTACTS, generate_contacts, check_contact);
}

fn device(kind: u8, label: &str) -> DeviceKeys {
    DeviceKeys::from_secret_bytes(&[&[kind], &*noise(label, 64)].concat()).unwrap()
}

// -------------------------------------------------------------------- contacts

fn generate_contacts() -> Vec<Value> {
    let ids = [[0; 32], noise32("one account"), [0xff; 32]];
    [(0, 1), (1, 2), (0, 2), (1, 1)]
        .map(|(a, b)| {
            let number = ContactNumber::of(
                &AccountId::from_array(ids[a]),
                &AccountId::from_array(ids[b]),
            );
            json!({
                "name": format!("accounts {a} and {b}"),
                "result": "opens",
                "accounts": [hex(ids[a]), hex(ids[b])],
                "number": number.to_string(),
            })
        })
        .to_vec()
}

fn check_contact(case: &Value) {
    let id = |at: usize| {
        let case = json!({ "id": list(case, "accounts")[at] });
        AccountId::from_array(array(&case, "id"))
    };
    for (one, other) in [(id(0), id(1)), (id(1), id(0))] {
        let number = ContactNumber::of(&one, &other);
        assert_eq!(number.to_string(), text(case, "number"));
    }
}

// ------------------------------------------------------------------- pairings

fn step(case: &Value) -> PairingStep {
    PairingStep::ALL[usize::try_from(number(case, "step")).unwrap() - 1]
}

fn proposal(new: &DeviceKeys) -> PairingProposal {
    let mut rng = rand::rngs::ChaCha20Rng::from_seed(noise32("pairing"));
    let old = device(1, "old device");
    let home = HosterId::from_array(noise32("hoster"));
    let author = NamedDevice {
        keys: &old,
        name: "old device",
    };
    let account = create_account(home, author, &[], &mut rng).unwrap();
    let addition = AccountAuthor {
        log: &account.log,
        secrets: &account.secrets,
        device: &old,
    }
    .draft_addition(new.public(), "new device", &mut rng)
    .unwrap();
    let seen = |n: u8, head| SeenVault {
        vault: VaultId::from_array([n; 32]),
        hoster: home,
        position: LogPosition {
            seq: u64::from(n),
            hash: EntryHash::from_array([n; 32]),
        },
        head,
    };
    let head = HeadPosition {
        seq: 3,
        hash: HeadHash::from_array(noise32("head")),
    };
    PairingProposal {
        addition,
        hoster: home,
        origin: Origin::parse("coffre.example:8443").unwrap(),
        tls: TlsTrust::Pinned(noise32("pin")),
        account_vault: VaultId::from_array([1; 32]),
        seen: vec![seen(1, Some(head)), seen(2, None)],
        words: PhraseLanguage::French,
    }
}

fn generate_pairings() -> Vec<Value> {
    let new = device(1, "new device");
    let mut code_randomness = Replay::new(&noise32("pairing secret"));
    let code = PairingCode::generate(new.public(), &mut code_randomness);
    let introduction = wire::PairingIntroduction {
        public: Some(new.public().to_wire()),
        name: "téléphone".to_owned(),
    };
    let proposal = proposal(&new);
    let sealed = code.seal_proposal(&proposal, &mut Replay::new(&noise("p", aead::NONCE_LEN)));
    let proposed = code.open::<wire::PairingProposal>(PairingStep::Proposal, &sealed.unwrap());
    let signature = proposal.addition.sign(&new).unwrap();
    let case = |name: &str, step: PairingStep, message: &[u8]| {
        let randomness = noise(name, aead::NONCE_LEN);
        let mut padded = u32::try_from(message.len()).unwrap().to_le_bytes().to_vec();
        padded.extend_from_slice(message);
        padded.resize(step.sealed_len() - aead::OVERHEAD, 0);
        let secret = Secret::from_array(noise32("pairing secret"));
        let key = secret.derive(labels::pairing_key(step));
        let at = PairingStep::ALL
            .iter()
            .position(|other| *other == step)
            .unwrap()
            + 1;
        let associated = [b"coffre v1 pairing".as_slice(), &[at as u8]].concat();
        let mut rng = Replay::new(&randomness);
        let sealed = aead::seal(&key, &associated, &padded, &mut rng);
        // The padding is zeros; the whole would be 64 KiB of hexadecimal.
        json!({
            "name": name,
            "result": "opens",
            "code": *code.to_text(),
            "public": hex(new.public().to_wire().encode_to_vec()),
            "step": at,
            "box": hex(code.box_name(step).as_bytes()),
            "key": hex(key.as_bytes()),
            "message": hex(message),
            "randomness": hex(randomness),
            "sealed_hash": hex(blake3::hash(&sealed).as_bytes()),
        })
    };
    let end = |outcome| wire::PairingEnd { outcome }.encode_to_vec();
    let proposed = proposed.unwrap();
    let signed = |signature: Vec<u8>| wire::PairingSignature { signature }.encode_to_vec();
    let mut cases = vec![
        case(
            "an introduction",
            PairingStep::Introduction,
            &introduction.encode_to_vec(),
        ),
        case(
            "a proposal",
            PairingStep::Proposal,
            &proposed.encode_to_vec(),
        ),
        case(
            "a signature",
            PairingStep::Signature,
            &signed(signature.to_vec()),
        ),
        case("done", PairingStep::End, &end(1)),
        case("refused", PairingStep::End, &end(2)),
    ];
    let mut bad = |name: &str, step, message: &[u8]| {
        let mut case = case(name, step, message);
        case["result"] = "refused".into();
        cases.push(case);
    };
    let introduced = |change: &dyn Fn(&mut wire::PairingIntroduction)| {
        let mut message = introduction.clone();
        change(&mut message);
        message.encode_to_vec()
    };
    let other = device(1, "another device");
    let first = PairingStep::Introduction;
    bad(
        "another device than the code's",
        first,
        &introduced(&|m| m.public = Some(other.public().to_wire())),
    );
    bad("no device", first, &introduced(&|m| m.public = None));
    bad(
        "a name with a control character",
        first,
        &introduced(&|m| m.name = "a\nb".to_owned()),
    );
    bad(
        "a name of 465 bytes",
        first,
        &introduced(&|m| m.name = "x".repeat(465)),
    );
    bad(
        "a message that is cut off",
        first,
        &introduced(&|_| {})[..99],
    );
    let proposing = |change: &dyn Fn(&mut wire::PairingProposal)| {
        let mut message = proposed.clone();
        change(&mut message);
        message.encode_to_vec()
    };
    let account_entry = |change: &dyn Fn(&mut wire::AccountEntry)| {
        let mut entry = wire::AccountEntry::decode(&*proposed.payload).unwrap();
        change(&mut entry);
        proposing(&|m| m.payload = entry.encode_to_vec())
    };
    let second = PairingStep::Proposal;
    bad("no entry", second, &proposing(&|m| m.payload.clear()));
    bad(
        "an entry that adds another device",
        second,
        &account_entry(&|entry| {
            if let Some(wire::account_entry::Body::AddDevice(add)) = &mut entry.body {
                add.device.as_mut().unwrap().public = Some(other.public().to_wire());
            }
        }),
    );
    bad(
        "an entry that removes a device",
        second,
        &account_entry(&|entry| {
            let device = new.id().to_vec();
            let remove = wire::RemoveDevice {
                device,
                account_key: None,
            };
            entry.body = Some(wire::account_entry::Body::RemoveDevice(remove));
        }),
    );
    bad(
        "an entry of version 2",
        second,
        &account_entry(&|entry| entry.version = 2),
    );
    bad(
        "an entry at 1",
        second,
        &account_entry(&|entry| entry.seq = 1),
    );
    bad(
        "a hoster of 31 bytes",
        second,
        &proposing(&|m| m.hoster.truncate(31)),
    );
    bad(
        "an origin in another spelling",
        second,
        &proposing(&|m| m.origin = "Coffre.example:8443".to_owned()),
    );
    bad(
        "a pin that is not pinned",
        second,
        &proposing(&|m| m.tls_mode = 2),
    );
    bad(
        "no account vault",
        second,
        &proposing(&|m| m.account_vault.clear()),
    );
    bad(
        "vaults out of order",
        second,
        &proposing(&|m| m.seen.reverse()),
    );
    bad(
        "a vault without a place",
        second,
        &proposing(&|m| m.seen[0].position = None),
    );
    bad("no list of words", second, &proposing(&|m| m.words = 0));
    bad(
        "a signature of 63 bytes",
        PairingStep::Signature,
        &signed(vec![1; 63]),
    );
    bad("no outcome", PairingStep::End, &end(0));
    bad("an unknown outcome", PairingStep::End, &end(3));

    for (name, entry, account) in [
        ("words", noise32("entry"), noise32("account")),
        ("other words", [0; 32], [0xff; 32]),
    ] {
        let words = |language| {
            let (entry, account) = (EntryHash::from_array(entry), AccountId::from_array(account));
            check_words(&entry, &account, language)
        };
        cases.push(json!({
            "name": name,
            "result": "opens",
            "entry": hex(entry),
            "account": hex(account),
            "words": { "english": words(PhraseLanguage::English), "french": words(PhraseLanguage::French) },
        }));
    }
    cases
}

fn check_pairing(case: &Value) {
    if case["words"].is_object() {
        let entry = EntryHash::from_array(array(case, "entry"));
        let account = AccountId::from_array(array(case, "account"));
        for (language, name) in [
            (PhraseLanguage::English, "english"),
            (PhraseLanguage::French, "french"),
        ] {
            let words = check_words(&entry, &account, language);
            assert_eq!(json!(words), case["words"][name]);
        }
        return;
    }
    let code = PairingCode::parse(text(case, "code")).unwrap();
    assert_eq!(*code.to_text(), text(case, "code"));
    let step = step(case);
    assert_eq!(code.box_name(step).as_bytes(), &array(case, "box"));
    let message = bytes(case, "message");
    let mut padded = u32::try_from(message.len()).unwrap().to_le_bytes().to_vec();
    padded.extend_from_slice(&message);
    padded.resize(step.sealed_len() - aead::OVERHEAD, 0);
    let key = Secret::from_array(array(case, "key"));
    let associated = [labels::PAIRING.as_bytes(), &[number(case, "step") as u8]].concat();
    let mut rng = Replay::of(case);
    let sealed = aead::seal(&key, &associated, &padded, &mut rng);
    rng.finish();
    assert_eq!(
        blake3::hash(&sealed).as_bytes(),
        &array(case, "sealed_hash")
    );

    let public = wire::DevicePublic::decode(&*bytes(case, "public")).unwrap();
    let public = DevicePublic::from_wire(&public).unwrap();
    // What opens is sealed to the same bytes again.
    let rng = &mut Replay::of(case);
    let again: Result<Vec<u8>, PairingError> = match step {
        PairingStep::Introduction => code
            .open_introduction(&sealed)
            .and_then(|opened: PairingIntroduction| code.seal_introduction(&opened, rng)),
        PairingStep::Proposal => code
            .open_proposal(&public, &sealed)
            .and_then(|opened| code.seal_proposal(&opened, rng)),
        PairingStep::Signature => code
            .open_signature(&sealed)
            .map(|opened| code.seal_signature(&opened, rng)),
        PairingStep::End => code
            .open_end(&sealed)
            .map(|opened: PairingEnd| code.seal_end(opened, rng)),
    };
    assert_eq!(again.is_err(), refused(case), "{again:?}");
    if let Ok(again) = again {
        assert!(again == sealed);
    }
}

// --------------------------------------------------------------------- offers

fn encode(entries: &[SignedEntry]) -> Vec<Value> {
    let encoded = entries.iter().map(|entry| hex(entry.encode_to_vec()));
    encoded.collect()
}

fn decode(case: &Value, field: &str) -> Vec<SignedEntry> {
    let entries = list(case, field).iter().map(|entry| {
        let entry = json!({ "entry": entry });
        SignedEntry::decode(&*bytes(&entry, "entry")).unwrap()
    });
    entries.collect()
}

fn account_log(case: &Value, field: &str) -> AccountLog {
    let entries = decode(case, field);
    let mut log = AccountLog::verify_genesis(&entries[0]).unwrap();
    for entry in &entries[1..] {
        log.append(entry).unwrap();
    }
    log
}

fn generate_offers() -> Vec<Value> {
    let mut rng = rand::rngs::ChaCha20Rng::from_seed(noise32("offers"));
    let rng = &mut rng;
    let home = HosterId::from_array(noise32("hoster"));
    let mut account = |label: &str| {
        let keys = device(1, label);
        let author = NamedDevice {
            keys: &keys,
            name: "laptop",
        };
        let account = create_account(home, author, &[], rng).unwrap();
        (keys, account)
    };
    let (alice, of_alice) = account("alice");
    let (bob, of_bob) = account("bob");
    let logs = std::collections::BTreeMap::from([
        (of_alice.log.id(), of_alice.log.clone()),
        (of_bob.log.id(), of_bob.log.clone()),
    ]);
    let NewVault {
        log: mut vault,
        keys,
        ..
    } = create_vault(
        VaultKind::Storage,
        home,
        &of_alice.log,
        &of_alice.secrets,
        &alice,
        rng,
    )
    .unwrap();
    let entry = VaultAuthor {
        log: &vault,
        accounts: &logs,
        head: None,
        account: of_alice.log.id(),
        device: &alice,
    }
    .add_member(&keys, &of_bob.log.id(), Role::Reader, rng)
    .unwrap();
    vault.append(&entry, &logs).unwrap();

    let origin = Origin::parse("coffre.example:8443").unwrap();
    let offer = Offer {
        vault: vault.id(),
        hoster: home,
        origin: origin.clone(),
        tls: TlsTrust::Pinned(noise32("pin")),
        vault_name: "été".to_owned(),
        role: Role::Reader,
        sender: Address::new("alice", origin, of_alice.log.id()).unwrap(),
        sender_device: alice.id(),
        sender_position: of_alice.log.position(),
        recipient: of_bob.log.id(),
        entry: vault.position(),
        head: Some(HeadPosition {
            seq: 3,
            hash: HeadHash::from_array(noise32("head")),
        }),
        created: 1_800_000_000,
    };
    let message = offer.to_wire(1);
    let key = of_bob.log.account_key();
    let recipient = KemPublicKey::from_slice(key.kem_key.as_bytes()).unwrap();
    let case = |name: &str, signed: &[u8]| {
        let randomness = noise(name, 32 + 64 + aead::NONCE_LEN);
        let mut replay = Replay::new(&randomness);
        let sealed = seal_padded(signed, of_bob.log.id(), 1, &recipient, &mut replay);
        replay.finish();
        json!({
            "name": name,
            "result": "opens",
            "recipient": hex(*bob.to_secret_bytes()),
            "recipient_entries": encode(of_bob.log.entries()),
            "sender_entries": encode(of_alice.log.entries()),
            "vault_entries": encode(vault.entries()),
            "signed": hex(signed),
            "randomness": hex(randomness),
            "sealed": hex(sealed.as_bytes()),
            "text": sealed.to_text(),
        })
    };
    let sign = |message: &wire::Offer, by: &DeviceKeys| {
        let payload = message.encode_to_vec();
        let signature = by.sign(SignLabel::Offer, &payload).to_vec();
        wire::SignedOffer { payload, signature }.encode_to_vec()
    };
    let right = case("an offer", &sign(&message, &alice));
    let mut cases = vec![right.clone()];
    let with = |change: &dyn Fn(&mut wire::Offer)| {
        let mut message = message.clone();
        change(&mut message);
        sign(&message, &alice)
    };
    let mut bad = |name: &str, signed: Vec<u8>| {
        let mut case = case(name, &signed);
        case["result"] = "refused".into();
        cases.push(case);
    };
    bad("signed by another device", sign(&message, &bob));
    bad("signed under another label", {
        let payload = message.encode_to_vec();
        let signature = alice.sign(SignLabel::VaultEntry, &payload).to_vec();
        wire::SignedOffer { payload, signature }.encode_to_vec()
    });
    bad(
        "for another recipient",
        with(&|m| m.recipient = m.sender.clone()),
    );
    bad("for another generation", with(&|m| m.generation = 2));
    bad("of version 2", with(&|m| m.version = 2));
    bad("of another role", with(&|m| m.role = 2));
    bad("of no role", with(&|m| m.role = 0));
    bad("of another vault", with(&|m| m.vault = noise("vault", 32)));
    bad(
        "at another hoster",
        with(&|m| m.hoster = noise("elsewhere", 32)),
    );
    bad("a vault without a name", with(&|m| m.vault_name.clear()));
    bad(
        "an origin in another spelling",
        with(&|m| m.origin.make_ascii_uppercase()),
    );
    bad(
        "a sender whose name is none",
        with(&|m| m.sender_name = "a b".to_owned()),
    );
    bad("the genesis for its entry", {
        let hash = vault.hash_at(1).unwrap().to_vec();
        with(&|m| {
            m.entry = Some(wire::Position {
                seq: 1,
                hash: hash.clone(),
            })
        })
    });
    bad("no entry", with(&|m| m.entry = None));
    bad("a head at 0", with(&|m| m.head.as_mut().unwrap().seq = 0));
    bad("another sender", with(&|m| m.sender = m.recipient.clone()));
    bad("cut off", sign(&message, &alice)[..200].to_vec());
    let sealed = bytes(&right, "sealed");
    for change in changes(sealed.len()) {
        let mut case = json!({ "name": format!("changed: {change}"), "result": "refused" });
        for field in [
            "recipient",
            "recipient_entries",
            "sender_entries",
            "vault_entries",
        ] {
            case[field] = right[field].clone();
        }
        case["sealed"] = hex(changed(&sealed, &change));
        cases.push(case);
    }
    cases
}

fn check_offer(case: &Value) {
    let log = account_log(case, "recipient_entries");
    let sender = account_log(case, "sender_entries");
    let keys = DeviceKeys::from_secret_bytes(&bytes(case, "recipient")).unwrap();
    let secrets = AccountSecrets::open(&log, &keys).unwrap();
    let logs = std::collections::BTreeMap::from([(log.id(), log), (sender.id(), sender.clone())]);
    let entries = decode(case, "vault_entries");
    let mut vault = VaultLog::verify_genesis(&entries[0], &logs).unwrap();
    for entry in &entries[1..] {
        vault.append(entry, &logs).unwrap();
    }
    let sealed = SealedOffer::from_slice(&bytes(case, "sealed"));
    let verified = sealed
        .clone()
        .and_then(|sealed| sealed.open(&secrets))
        .and_then(|opened| opened.verify(&sender, &vault));
    assert_eq!(verified.is_err(), refused(case), "{verified:?}");
    let Ok(offer) = verified else { return };
    assert_eq!(sealed.unwrap().to_text(), text(case, "text"));
    let signed = wire::SignedOffer::decode(&*bytes(case, "signed")).unwrap();
    assert_eq!(offer.to_wire(1).encode_to_vec(), signed.payload);
    let log = &logs[&offer.recipient];
    let mut rng = Replay::of(case);
    let again = offer.seal(log, &device(1, "alice"), &mut rng).unwrap();
    rng.finish();
    assert_eq!(again.as_bytes().as_slice(), bytes(case, "sealed"));
}
