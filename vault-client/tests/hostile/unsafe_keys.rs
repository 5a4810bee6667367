//! Keys, signatures and boxes in writings that are none, or of which anybody knows what
//! only one should: taken from nobody, and nothing is sealed to them.

use std::sync::Arc;

use curve25519_dalek::scalar::{Scalar, clamp_integer};
use data_encoding::HEXLOWER;
use ed25519_dalek::Verifier as _;
use prost::Message;
use sha2::{Digest, Sha512};
use vault_client::account::{Account, AccountError, OfferSelector, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::{Credentials, HosterAddress, Misbehaviour, RemoteError};
use vault_client::vault::VaultError;
use vault_core::author::{AuthorError, NamedDevice, create_account};
use vault_core::boxes::KemKeyError;
use vault_core::keys::{DeviceKeys, VaultKeysError};
use vault_core::offer::OfferError;
use vault_core::pairing::{PairingCode, PairingIntroduction, PairingStep};
use vault_proto::account_log::{AccountLog, AccountLogError};
use vault_proto::address::Address;
use vault_proto::device::DevicePublic;
use vault_proto::head::HeadError;
use vault_proto::ids::HosterId;
use vault_proto::invitation::Invitation;
use vault_proto::sign::{SignLabel, to_sign};
use vault_proto::vault_log::{Role, VaultLogError};
use vault_proto::wire::{
    AccountEntry, EpochBox, Signature, SignedEntry, VaultEntry, account_entry, vault_entry,
};
use vault_rpc::hoster::{FetchAccountLogResponse, SyncVaultResponse};

use super::exchanges::pair;
use super::history::assert_matches;
use super::keys::{added, signed_by};
use super::scene::{Person, Scene, SecondDevice};
use crate::support::rng;

/// Bytes of a box before its X25519 share, and of a key before its X25519 half.
const MLKEM_CIPHERTEXT_BYTES: usize = 1_088;
const MLKEM_KEY_BYTES: usize = 1_184;
/// Bytes of an offer before its box: version, recipient, generation.
const OFFER_HEADER_BYTES: usize = 1 + 32 + 8;

/// Points of which every multiple is one of few: order 1, 2, 4 and 8, in both writings of
/// those that have two; and one point that everybody writes otherwise. After
/// <https://cr.yp.to/ecdh.html#validate>.
fn unsafe_shares() -> Vec<[u8; 32]> {
    let near = |low: u8, middle: u8, high: u8| {
        let mut share = [middle; 32];
        (share[0], share[31]) = (low, high);
        share
    };
    let of_order_8 = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];
    let of_order_8 = of_order_8.map(|share| HEXLOWER.decode(share.as_bytes()).unwrap());
    let mut shares = of_order_8.map(|share| share.try_into().unwrap()).to_vec();
    shares.extend([near(0, 0, 0), near(1, 0, 0), near(0, 0, 0x80)]);
    shares.extend([0xec, 0xed, 0xee].map(|low| near(low, 0xff, 0x7f)));
    shares.push(near(0xed + 9, 0xff, 0x7f));
    shares
}

/// A key to seal to, each half of it spoilt in turn, and what is wrong with it.
fn unsafe_keys(key: &[u8]) -> Vec<(Vec<u8>, KemKeyError)> {
    let mut keys = Vec::new();
    for share in unsafe_shares() {
        let spoilt = [&key[..MLKEM_KEY_BYTES], &share].concat();
        keys.push((spoilt, KemKeyError::X25519));
    }
    // Two coefficients of 12 bits, each of which has to be below 3,329.
    for at in [0, 600, 1_149] {
        let mut spoilt = key.to_vec();
        spoilt[at..][..3].fill(0xff);
        keys.push((spoilt, KemKeyError::MlKem));
    }
    keys
}

/// What is no key, or one of which anybody knows the private half: points of order 1,
/// 2, 4 and 8, two of them in a second writing, and lengths that no key has.
fn weak_keys() -> Vec<Vec<u8>> {
    const POINTS: [&str; 9] = [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        // y = p + 1, and y = p.
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        // On no curve of ours.
        "0200000000000000000000000000000000000000000000000000000000000000",
    ];
    let mut keys: Vec<_> = POINTS
        .map(|point| HEXLOWER.decode(point.as_bytes()).unwrap())
        .into();
    keys.extend([Vec::new(), vec![7; 31], vec![7; 33], vec![7; 10_000]]);
    keys
}

/// Whoever is known by a weak key can be anybody, and says so under the id that is
/// the hash of that key: to a device of his, to one that signs up, and to one that
/// has an address alone.
#[test]
fn a_hoster_with_a_weak_key_is_not_talked_to() {
    let scene = Scene::small();
    let malformed = RemoteError::Misbehaved(Misbehaviour::Malformed);
    let before = scene.person.stored();
    let invitation = scene.hostile.hoster.invite(1 << 30);
    let address = HosterAddress {
        origin: invitation.origin.clone(),
        hoster: invitation.hoster,
        tls: invitation.tls,
    };
    let setup = scene.hostile.setup(scene.person.home.path());
    for key in weak_keys() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let hoster = HosterId::from_array(blake3::derive_key("coffre v1 hoster id", &key));
        scene.hostile.orders().hello.tamper(move |_, answer| {
            answer.hoster_key.clone_from(&key);
            // The signature that is good for every message under the first of them.
            answer.signature = [&identity[..], &[0; 32]].concat();
        });
        let credentials = Credentials {
            account: scene.person.account.id(),
            device: Arc::new(scene.person.phrase.device_keys()),
        };
        let weak = HosterAddress {
            hoster,
            ..address.clone()
        };
        let remote = setup.connect.connect(weak, credentials);
        assert_eq!(remote.usage(), Err(malformed.clone()));

        let home = tempfile::tempdir().unwrap();
        let stranger = scene.hostile.setup(home.path());
        let weak = Invitation {
            hoster,
            ..invitation.clone()
        };
        let error = Account::sign_up(&stranger, &weak, "a laptop").err();
        assert_matches!(error, Some(AccountError::Remote(ref error)) if *error == malformed);
        let error = Account::open(&stranger).err().unwrap();
        assert_eq!(error.code(), ErrorCode::NoAccount);

        let found = setup.connect.discover(&address.origin).err();
        assert_eq!(found, Some(malformed.clone()));
        assert_eq!(scene.person.stored(), before);
    }
    // The address itself is right.
    scene.front().behave();
    let (found, _) = setup.connect.discover(&address.origin).unwrap();
    assert_eq!(found.hoster, address.hoster);
}

/// A device with a weak signing key, an encapsulation key of another length, or of a
/// kind that is none, in an entry that is otherwise right.
#[test]
fn a_device_with_weak_or_malformed_keys_is_refused() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    let device = DeviceKeys::generate(&mut rng());
    let log = paper.own_log();
    let genuine = added(&log, &paper.keys, &device);
    type Spoil = Box<dyn Fn(&mut vault_proto::wire::DevicePublic)>;
    let mut spoilt: Vec<Spoil> = vec![
        Box::new(|public| public.kem_key.truncate(1_215)),
        Box::new(|public| public.kem_key.push(0)),
        Box::new(|public| public.kem_key.clear()),
        Box::new(|public| public.kind = 7),
    ];
    for key in weak_keys() {
        // Longer than any entry would be another matter.
        if key.len() < 100 {
            spoilt.push(Box::new(move |public| public.signing_key.clone_from(&key)));
        }
    }
    for spoil in spoilt {
        let mut entry = AccountEntry::decode(&genuine.payload[..]).unwrap();
        let Some(account_entry::Body::AddDevice(add)) = &mut entry.body else {
            panic!("an added device");
        };
        spoil(add.device.as_mut().unwrap().public.as_mut().unwrap());
        let unsigned = SignedEntry {
            payload: entry.encode_to_vec(),
            signatures: Vec::new(),
        };
        let (papers, new) = (paper.keys.id(), device.id());
        let signers: [(&[u8], &DeviceKeys); 2] =
            [(papers.as_bytes(), &paper.keys), (new.as_bytes(), &device)];
        scene.show_account_entries(vec![signed_by(&unsigned, &signers)]);
        assert_matches!(scene.account_log_error(), AccountLogError::Device(_));
    }
    scene.assert_honest_again();
}

/// `S` and the order of the group: the same equation, another signature.
fn with_a_second_s(_: &DeviceKeys, _: SignLabel, _: &[u8], signature: &[u8]) -> Vec<u8> {
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let order = HEXLOWER.decode(order.as_bytes()).unwrap();
    let mut signature = signature.to_vec();
    let mut carry = 0;
    for (byte, addend) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    signature
}

/// What who has the key can sign anything with: `R` is the neutral point, `S` the
/// challenge times the secret. RFC 8032's equation holds, and a verifier that goes by
/// it alone is content.
fn with_a_neutral_r(device: &DeviceKeys, label: SignLabel, payload: &[u8], _: &[u8]) -> Vec<u8> {
    let secret = device.to_secret_bytes();
    let expanded = Sha512::digest(&secret[1..33]);
    let scalar = Scalar::from_bytes_mod_order(clamp_integer(*expanded.first_chunk().unwrap()));
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let (public, message) = (device.public().signing_key(), to_sign(label, payload));
    let hashed = Sha512::new()
        .chain_update(neutral)
        .chain_update(public.as_bytes())
        .chain_update(&message);
    let challenge = Scalar::from_bytes_mod_order_wide(&hashed.finalize().into());
    let signature = [neutral, (challenge * scalar).to_bytes()].concat();
    let lax = ed25519_dalek::VerifyingKey::from_bytes(public.as_bytes()).unwrap();
    let signed = ed25519_dalek::Signature::from_slice(&signature).unwrap();
    #[expect(clippy::disallowed_methods, reason = "shows what is disallowed")]
    let is_taken = lax.verify(&message, &signed).is_ok();
    assert!(is_taken);
    signature
}

type Spelling = fn(&DeviceKeys, SignLabel, &[u8], &[u8]) -> Vec<u8>;

/// The newest entry of the vault's log and of the account's, and the newest head, each
/// with its signature in another writing: by a device that knows the vault, and by one
/// without memory.
#[test]
fn a_signature_in_another_writing_is_refused() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    let id = paper.keys.id();
    paper.append_own(|author| author.rename_device(&id, "words", &mut rng()).unwrap());
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    paper.commit(scene.vault.id());
    type Maul = fn(&mut SyncVaultResponse, &DeviceKeys, Spelling);
    type Expected = fn(&VaultError) -> bool;
    let places: [(Maul, Expected); 3] = [
        (
            |answer, device, spell| {
                let entry = answer.vault_entries.last_mut().unwrap();
                respell(entry, device, SignLabel::VaultEntry, spell);
            },
            |error| {
                let VaultError::VaultLog(error) = error else {
                    return false;
                };
                matches!(error, VaultLogError::BadSignature { .. })
            },
        ),
        (
            |answer, device, spell| {
                let account = &mut answer.accounts[0];
                let entry = account.entries.last_mut().unwrap();
                respell(entry, device, SignLabel::AccountEntry, spell);
            },
            |error| {
                let VaultError::AccountLog { error, .. } = error else {
                    return false;
                };
                matches!(error, AccountLogError::BadSignature { .. })
            },
        ),
        (
            |answer, device, spell| {
                let head = &mut answer.heads[0];
                let signed = head.len() - 64;
                let (payload, signature) = head.split_at(signed);
                let other = spell(device, SignLabel::Head, payload, signature);
                head.splice(signed.., other);
            },
            |error| matches!(error, VaultError::Head(HeadError::BadSignature)),
        ),
    ];
    let spellings: [Spelling; 2] = [with_a_second_s, with_a_neutral_r];
    for (maul, is_it) in places {
        for spell in spellings {
            let keys = scene.person.phrase.device_keys();
            scene.tamper(move |answer| maul(answer, &keys, spell));
            let error = scene.refused();
            assert!(is_it(&error), "{error}");
            let fresh = SecondDevice::of(&scene.person, &scene.hostile);
            fresh.forgets(&scene.vault);
            let before = fresh.stored();
            match fresh.account.open_vault(&VaultSelector::Only).err() {
                Some(AccountError::Vault(error)) => assert!(is_it(&error), "{error}"),
                error => panic!("{error:?}"),
            }
            assert_eq!(fresh.stored(), before);
        }
    }
    scene.front().behave();
    scene.vault.refresh().unwrap();
}

/// The entry with its signature by `device` in another writing.
fn respell(entry: &mut SignedEntry, device: &DeviceKeys, label: SignLabel, spell: Spelling) {
    let [signature] = &mut entry.signatures[..] else {
        panic!("one signature");
    };
    assert_eq!(signature.device, device.id().as_bytes());
    signature.signature = spell(device, label, &entry.payload, &signature.signature);
}

/// A hoster that answers in another writing of its own signature.
#[test]
fn a_hello_in_another_writing_is_refused() {
    let scene = Scene::small();
    let before = scene.person.stored();
    scene.hostile.orders().hello.tamper(|_, answer| {
        let device = DeviceKeys::generate(&mut rng());
        answer.signature = with_a_second_s(&device, SignLabel::Hello, &[], &answer.signature);
    });
    let account = scene.person.reopened(&scene.hostile);
    let error = account.remote().usage().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert!(!error.is_transient());
    assert_eq!(scene.person.stored(), before);
    scene.front().behave();
    account.remote().usage().unwrap();
}

/// A member whose account's key is none, as he has signed it himself: he can be a
/// contact, and is given nothing.
#[test]
fn a_vault_is_shared_with_no_key_that_is_none() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let hoster = scene.hostile.hoster.invite(1 << 30).hoster;
    let origin = scene.hostile.hoster.origin();
    let device = DeviceKeys::generate(&mut rng());
    let named = NamedDevice {
        keys: &device,
        name: "a laptop",
    };
    let genuine = create_account(hoster, named, &[], &mut rng()).unwrap();
    let key = genuine.log.account_key().kem_key.as_bytes().to_vec();
    let keys = unsafe_keys(&key).into_iter();
    let keys = keys.map(|(key, error)| (key, Some(error)));
    for (number, (key, expected)) in keys.chain([(key, None)]).enumerate() {
        let [entry] = genuine.log.entries() else {
            panic!("a genesis");
        };
        let mut genesis = AccountEntry::decode(&entry.payload[..]).unwrap();
        let Some(account_entry::Body::Genesis(body)) = &mut genesis.body else {
            panic!("a genesis");
        };
        body.account_key.as_mut().unwrap().kem_key = key;
        let unsigned = SignedEntry {
            payload: genesis.encode_to_vec(),
            signatures: Vec::new(),
        };
        let entry = signed_by(&unsigned, &[(device.id().as_bytes(), &device)]);
        let id = AccountLog::verify_genesis(&entry).unwrap().id();
        let mut orders = scene.hostile.orders();
        orders.fetch_account_log.instead(move |asked| {
            let answer = FetchAccountLogResponse {
                entries: vec![entry.clone()],
                ..FetchAccountLogResponse::default()
            };
            (asked.account == id.as_bytes()).then_some(Ok(answer))
        });
        drop(orders);
        let name = format!("mallory-{number}");
        let address = Address::new(&name, origin.clone(), id).unwrap();
        scene.person.account.add_contact(&address).unwrap();
        let (before, head) = (scene.person.stored(), scene.vault.head());
        scene.front().forget_seen();
        let account = &scene.person.account;
        let shared = account.share(&mut scene.vault, &address, Role::Reader);
        let calls = scene.front().seen();
        let wrote = ["append_vault_entry", "put_offer", "commit_head"];
        let has_written = calls.iter().any(|seen| wrote.contains(&seen.call));
        let Some(expected) = expected else {
            // With the key as it was, the same way leads to the hoster.
            assert!(has_written);
            continue;
        };
        let error = shared.expect_err("something was sealed to no key");
        let key = AuthorError::RecipientKey(expected);
        assert_matches!(&error, AccountError::Vault(VaultError::Author(found)) if *found == key);
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        assert!(!has_written);
        assert_eq!(scene.person.stored(), before);
        assert_eq!(scene.vault.head(), head);
        assert_eq!(scene.vault.log().members().count(), 1);
    }
}

/// A new device whose key is none, with a code that is right: it is not let in, and
/// learns nothing.
#[test]
fn a_device_whose_key_is_none_is_not_paired() {
    let scene = Scene::small();
    let device = DeviceKeys::generate(&mut rng());
    let believed = scene.person.believed();
    for (kem_key, expected) in unsafe_keys(device.public().kem_key().as_bytes()) {
        let public = DevicePublic::from_wire(&vault_proto::wire::DevicePublic {
            kem_key,
            ..device.public().to_wire()
        });
        let public = public.unwrap();
        let code = PairingCode::generate(&public, &mut rng());
        let introduction = PairingIntroduction {
            public,
            name: "a phone".to_owned(),
        };
        let sealed = code.seal_introduction(&introduction, &mut rng()).unwrap();
        let name = code.box_name(PairingStep::Introduction);
        let remote = scene.person.account.remote();
        remote.put_message(&name, &sealed).unwrap();
        scene.front().forget_seen();
        let error = pair(&scene.person.account, &code).err().unwrap();
        let key = AuthorError::RecipientKey(expected);
        assert_matches!(&error, AccountError::Author(found) if *found == key);
        assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
        let calls = scene.front().seen();
        let wrote = ["append_account_entry", "put_message"];
        assert!(calls.iter().all(|seen| !wrote.contains(&seen.call)));
        assert_eq!(scene.person.believed(), believed);
    }
    assert_eq!(scene.devices(), 2);
}

/// An offer in whose box the X25519 share is one that everybody knows the secret of.
/// (`vault-core` shows such a box refused that would otherwise open.)
#[test]
fn an_offer_with_an_unsafe_share_is_not_opened() {
    let mut scene = Scene::small();
    scene.person.account.set_name("alice").unwrap();
    let bob = Person::at(&scene.hostile);
    bob.account.set_name("bob").unwrap();
    let address = bob.account.address().unwrap();
    for share in unsafe_shares() {
        scene.hostile.orders().put_offer.instead(move |asked| {
            asked.offer[OFFER_HEADER_BYTES + MLKEM_CIPHERTEXT_BYTES..][..32]
                .copy_from_slice(&share);
            None
        });
        let account = &scene.person.account;
        let shared = account.share(&mut scene.vault, &address, Role::Reader);
        shared.unwrap();
        let before = bob.stored();
        let offers = bob.account.offers().unwrap();
        let ([], [unreadable]) = (&offers.offers[..], &offers.unreadable[..]) else {
            panic!("{offers:?}");
        };
        let selector = OfferSelector::Id(*unreadable);
        let error = bob.account.accept_offer(&selector, None).err().unwrap();
        assert_matches!(&error, AccountError::Offer(OfferError::Unopenable(_)));
        assert_eq!(error.code(), ErrorCode::WrongKey, "{error}");
        assert_eq!(bob.stored(), before);
        bob.account.decline_offer(unreadable).unwrap();
    }
    scene.front().behave();
    scene.offer(&bob, Role::Reader);
    assert_eq!(bob.account.offers().unwrap().offers.len(), 1);
}

/// A manager who begins an epoch and seals it to one member with such a share, or with
/// a ciphertext of ML-KEM that is noise: the member is told whose doing it is, reads
/// nothing of that epoch, and begins the next.
#[test]
fn a_box_with_an_unsafe_share_opens_no_epoch() {
    let mut scene = Scene::small();
    let manager = scene.joined_by_somebody(Role::Manager);
    let manager = manager.paper(&scene.hostile);
    let victim = scene.person.account.id();
    let mut spoils = unsafe_shares();
    spoils.truncate(3);
    for (number, share) in spoils.into_iter().enumerate() {
        manager.append(scene.vault.id(), |author, keys| {
            let honest = author.rotate(keys, &mut rng()).unwrap();
            let mut entry = VaultEntry::decode(&honest.payload[..]).unwrap();
            let Some(vault_entry::Body::Rotate(rotation)) = &mut entry.body else {
                panic!("a rotation");
            };
            let mut boxes = rotation.epoch.as_mut().unwrap().boxes.iter_mut();
            let is_his = |found: &&mut EpochBox| {
                found
                    .member
                    .as_ref()
                    .is_some_and(|m| m.account == victim.as_bytes())
            };
            let his = boxes.find(is_his).unwrap();
            his.r#box[MLKEM_CIPHERTEXT_BYTES..][..32].copy_from_slice(&share);
            let payload = entry.encode_to_vec();
            let signature = manager.keys.sign(SignLabel::VaultEntry, &payload);
            SignedEntry {
                payload,
                signatures: vec![Signature {
                    device: manager.keys.id().to_vec(),
                    signature: signature.to_vec(),
                }],
            }
        });
        let head = scene.vault.head();
        scene.vault.refresh().unwrap();
        let keys = scene.vault.keys().unwrap();
        let epoch = keys.current_epoch();
        let closed = VaultKeysError::Unopenable {
            epoch,
            author: manager.keys.id(),
        };
        assert_eq!(keys.check_current(), Err(closed));
        assert_eq!(scene.vault.head(), head);
        scene.vault.prepare().unwrap();
        let keys = scene.vault.keys().unwrap();
        assert_eq!(
            (keys.current_epoch(), keys.check_current()),
            (epoch + 1, Ok(()))
        );
        assert_eq!(keys.closed().count(), number + 1);
    }
}
