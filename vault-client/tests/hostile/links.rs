//! Links whose password is taken off on the way, and whoever asks for more than a link
//! shows.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use data_encoding::BASE64URL_NOPAD;
use prost::Message;
use vault_client::error::ErrorCode;
use vault_client::link::{GetError, GetOptions, LinkOptions, LinkUrl, Password, get};
use vault_client::remote::grpc::Pace;
use vault_client::remote::{
    HosterAddress, LinkTicket, PackRange, RefusalReason, RemoteError, Visitor,
};
use vault_core::links::{OpenLinkError, PasswordError};
use vault_proto::ids::PackId;
use vault_proto::wire;
use vault_rpc::hoster::ReadLinkResponse;

use super::exchanges::{Linked, go_on};
use super::front::pieces;
use super::history::assert_matches;
use super::scene::{Person, Scene};
use crate::engine::{Files, backed_up, content_of, noise, silent};

/// Bytes of what a link names of a pack, or does not.
const BLOCK_BYTES: u32 = 64 << 10;

fn word() -> Password {
    Password::new("open sesame".to_owned())
}

impl Scene {
    /// Who has this URL and perhaps a password gets nothing for it, and nothing of the
    /// maker's device moves.
    #[track_caller]
    fn not_gotten(&self, url: &LinkUrl, password: Option<&Password>) -> GetError {
        let before = self.person.stored();
        let (nowhere, saved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let setup = self.hostile.hoster.setup(nowhere.path(), Pace::default());
        let options = GetOptions::default();
        let got = get(
            &*setup.connect,
            url,
            password,
            saved.path(),
            &options,
            &silent(),
            &go_on(),
        );
        let error = got.expect_err("a link was opened that should not be");
        assert!(!error.is_transient(), "{error}");
        assert_eq!(content_of(saved.path()).len(), 0);
        assert_eq!(self.person.stored(), before);
        error
    }
}

/// From the URL, with the hoster's help or without: a capsule is sealed with the
/// password, and the URL names the one that it is.
#[test]
fn a_link_whose_password_is_stripped_opens_nothing() {
    let mut scene = Scene::of(Files::new(&[("album/one.jpg", noise(1, 50_000))]));
    let with_word = LinkOptions {
        password: Some(word()),
        ..LinkOptions::default()
    };
    let url = scene.link_with("album", &with_word);
    let open = scene.link_with("album", &LinkOptions::default());
    let stripped = LinkUrl {
        password: None,
        ..url.clone()
    };
    // Whoever has no word is not asked for one; the capsule does not open.
    let error = scene.not_gotten(&stripped, None);
    assert_matches!(&error, GetError::Open(OpenLinkError::Unopenable(_)));
    let error = scene.not_gotten(&stripped, Some(&word()));
    assert_matches!(&error, GetError::Open(OpenLinkError::NoPassword));
    // That of the open link to the same, under the other's name.
    let is_another = |scene: &Scene| {
        for (url, word) in [(&stripped, None), (&url, Some(&word()))] {
            let error = scene.not_gotten(url, word);
            assert_matches!(&error, GetError::Open(OpenLinkError::NotThisCapsule));
            assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
        }
    };
    let capsule = scene.front().pack(&open.capsule);
    let size = u32::try_from(capsule.len()).unwrap();
    let mut orders = scene.hostile.orders();
    orders
        .open_link
        .tamper(move |_, answer| answer.capsule_size = size);
    orders.read_link = Some(Box::new(move |_, _| {
        pieces(&capsule, |bytes| ReadLinkResponse { bytes })
    }));
    drop(orders);
    is_another(&scene);
    scene.front().behave();
    // And as if that link had been asked for, with all that leads there.
    let link = open.id().to_vec();
    scene.hostile.orders().open_link.instead(move |asked| {
        asked.link.clone_from(&link);
        None
    });
    is_another(&scene);
    // Whoever takes the password off the URL and names that capsule in it has not its
    // secret.
    let retargeted = LinkUrl {
        capsule: open.capsule,
        ..stripped
    };
    let error = scene.not_gotten(&retargeted, None);
    assert_matches!(&error, GetError::Open(OpenLinkError::Unopenable(_)));
    scene.front().behave();
    let error = scene.not_gotten(&url, None);
    assert_matches!(&error, GetError::Open(OpenLinkError::PasswordNeeded));
}

/// Whoever passes a URL on writes into it how the password is to be stretched: so little
/// that it can be guessed from the sealed capsule, so much that it brings the device
/// down, or with another function. Nobody is asked for anything.
#[test]
fn a_password_is_stretched_neither_less_nor_more_nor_otherwise() {
    let mut scene = Scene::of(Files::new(&[("album/one.jpg", noise(1, 50_000))]));
    let with_word = LinkOptions {
        password: Some(word()),
        ..LinkOptions::default()
    };
    let text = scene.link_with("album", &with_word).to_url();
    let (address, fragment) = text.split_once('#').unwrap();
    let fragment = BASE64URL_NOPAD.decode(fragment.as_bytes()).unwrap();
    let genuine = wire::LinkUrl::decode(&fragment[..]).unwrap();
    type Change = fn(&mut wire::PasswordStretching);
    let too_cheap: [Change; 4] = [
        |password| password.memory_kibibytes = (64 << 10) - 1,
        |password| password.memory_kibibytes = 8,
        |password| password.passes = 0,
        |password| password.lanes = 0,
    ];
    let too_costly: [Change; 4] = [
        |password| password.memory_kibibytes = (512 << 10) + 1,
        |password| password.memory_kibibytes = u32::MAX,
        |password| password.passes = 17,
        |password| password.lanes = 5,
    ];
    let others: [Change; 2] = [
        |password| password.algorithm = 0,
        |password| password.algorithm = 2,
    ];
    let lies = too_cheap
        .map(|change| (change, PasswordError::TooCheap))
        .into_iter();
    let lies = lies.chain(too_costly.map(|change| (change, PasswordError::TooCostly)));
    let lies = lies.chain(others.map(|change| (change, PasswordError::Algorithm)));
    let older: Change = |password| password.version = 0x10;
    let salt: Change = |password| password.salt.truncate(15);
    let lies = lies.chain([
        (older, PasswordError::Version(0x10)),
        (salt, PasswordError::Salt),
    ]);
    scene.front().forget_seen();
    let before = scene.person.stored();
    for (number, (change, expected)) in lies.enumerate() {
        let mut asked = genuine.clone();
        change(asked.password.as_mut().unwrap());
        let fragment = BASE64URL_NOPAD.encode(&asked.encode_to_vec());
        let read = LinkUrl::parse(&format!("{address}#{fragment}"));
        assert_eq!(read.err(), Some(expected.into()), "lie {number}");
    }
    assert!(scene.front().seen().is_empty());
    assert_eq!(scene.person.stored(), before);

    // Within the bounds, and not as the maker did it: another key, that opens nothing.
    let mut other = genuine;
    other.password.as_mut().unwrap().passes = 1;
    let fragment = BASE64URL_NOPAD.encode(&other.encode_to_vec());
    let url = LinkUrl::parse(&format!("{address}#{fragment}")).unwrap();
    let error = scene.not_gotten(&url, Some(&word()));
    assert_matches!(&error, GetError::Open(OpenLinkError::WrongPassword));
}

/// What a ticket gives of a range: bytes, or why not, with none.
fn read(
    visitor: &dyn Visitor,
    ticket: &LinkTicket,
    (pack, offset, length): (PackId, u32, u32),
) -> Result<usize, RefusalReason> {
    let range = PackRange {
        pack,
        offset,
        length,
    };
    let mut bytes = 0;
    let read = visitor.read_link(ticket, &[range], &mut |part| {
        bytes += part.len();
        ControlFlow::Continue(())
    });
    match read {
        Ok(()) => Ok(bytes),
        Err(RemoteError::Refused(refusal)) => {
            assert_eq!(bytes, 0);
            Err(refusal.reason)
        }
        Err(error) => panic!("{error}"),
    }
}

/// A client that has a URL, and with it a ticket, asks the server for all that there is:
/// other blocks of the same packs, other packs of the vault, of the account's own vault
/// and of another member's.
#[test]
fn a_ticket_reads_what_its_link_names_and_nothing_else() {
    let mut linked = Linked::new();
    let scene = &mut linked.scene;
    let told = Arc::new(Mutex::new(None));
    let kept = told.clone();
    scene.hostile.orders().create_link.instead(move |asked| {
        *kept.lock().unwrap() = Some(asked.clone());
        None
    });
    let url = scene.link_with("album/two.txt", &LinkOptions::default());
    scene.front().behave();
    let told = told.lock().unwrap().take().unwrap();
    let somebody = Person::at(&scene.hostile);
    let mut theirs = somebody.account.create_vault("theirs").unwrap();
    backed_up(&mut theirs, &Files::new(&[("secret", noise(5, 100_000))])).unwrap();

    let nowhere = tempfile::tempdir().unwrap();
    let connect = scene.hostile.setup(nowhere.path()).connect;
    let visitor = connect.visit(HosterAddress {
        origin: url.origin.clone(),
        hoster: url.hoster,
        tls: url.tls,
    });
    let ticket = visitor.open_link(&url.id()).unwrap().ticket;
    let before = scene.person.stored();
    let mut counts = [0, 0];
    for (pack, bytes) in scene.front().packs() {
        let size = u32::try_from(bytes.len()).unwrap();
        let named = told
            .packs
            .iter()
            .find(|named| named.pack == pack.as_bytes());
        let is_named = |block: u32| {
            let bit = |blocks: &[u8]| blocks[block as usize / 8] >> (block % 8) & 1 == 1;
            pack == url.capsule || named.is_some_and(|named| bit(&named.blocks))
        };
        let blocks = size.div_ceil(BLOCK_BYTES);
        for block in 0..blocks {
            let offset = block * BLOCK_BYTES;
            let length = BLOCK_BYTES.min(size - offset);
            let expected = match is_named(block) {
                true => Ok(length as usize),
                false => Err(RefusalReason::Forbidden),
            };
            assert_eq!(read(&*visitor, &ticket, (pack, offset, length)), expected);
            // A byte of it, and one that goes into the next.
            let last = (pack, offset + length - 1, 1);
            assert_eq!(read(&*visitor, &ticket, last), expected.map(|_| 1));
            if block + 1 < blocks && is_named(block) != is_named(block + 1) {
                let over = (pack, offset + length - 1, 2);
                let refused = Err(RefusalReason::Forbidden);
                assert_eq!(read(&*visitor, &ticket, over), refused);
            }
            counts[usize::from(is_named(block))] += 1;
        }
        if blocks > 1 && !(0..blocks).all(is_named) {
            let refused = Err(RefusalReason::Forbidden);
            assert_eq!(read(&*visitor, &ticket, (pack, 0, size)), refused);
        }
    }
    let [outside, inside] = counts;
    assert!(outside > 5 && inside >= 2, "{counts:?}");
    // One that nobody has given out.
    let mut made_up = url.clone();
    made_up.secret = vault_core::links::LinkSecret::from_array([7; 32]);
    assert!(visitor.open_link(&made_up.id()).is_err());
    assert_eq!(scene.person.stored(), before);
    linked.assert_honest_again();
}
