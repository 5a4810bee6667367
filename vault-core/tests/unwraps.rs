//! Everything that is opened with a key, with each byte of it altered in turn: one error,
//! whichever byte it is, so that nobody learns from it how far it got.

use std::{collections::BTreeMap, fmt::Debug, ops::Range};

use prost::Message;
use rand::rngs::ChaCha20Rng;
use vault_core::{
    aead::OpenError,
    author::{
        AccountAuthor, HeadAuthor, HeadChange, NamedDevice, VaultAuthor, create_account,
        create_vault,
    },
    chunk::ChunkKind,
    keys::{
        AccountSecrets, AccountSecretsError, DeviceKeys, RecoveryPhrase, VaultKeys, VaultKeysError,
    },
    links::{Capsule, CapsuleFields, LinkSecret, OpenLinkError, SharedContent, SharedNode},
    offer::{Offer, OfferError, SealedOffer},
    pack::{PackBuilder, PackError, TRAILER_LEN, read_pack_entries},
    pairing::{PairingCode, PairingEnd, PairingError, PairingIntroduction},
    root::{OpenRootError, open_root},
    seal::{Compressor, Decompressor},
    timestamp::Timestamp,
};
use vault_proto::{
    account_log::AccountLog,
    address::Address,
    head::{Head, SeenHeads},
    ids::{AccountId, HosterId, PackId, RootHash, VaultId},
    invitation::TlsTrust,
    origin::Origin,
    pack_list::PackList,
    sign::SignLabel,
    vault_log::{Role, VaultKind, VaultLog},
    wire::{self, SignedEntry, account_entry, vault_entry},
};

use crate::support::{random_bytes, rng, text, vault_keys};

const HOME: HosterId = HosterId::from_array([7; 32]);

/// Opens `sealed`, then with one bit of each of these bytes altered.
#[track_caller]
fn assert_one_error<T, E: Debug + PartialEq>(
    sealed: &[u8],
    bytes: Range<usize>,
    error: &E,
    open: impl Fn(&[u8]) -> Result<T, E>,
) {
    assert!(open(sealed).is_ok());
    // All near both ends, and many in between.
    let (start, end) = (bytes.start + 100, bytes.end.saturating_sub(100));
    let places = bytes.filter(|place| *place < start || *place >= end || place % 13 == 0);
    for place in places {
        let mut altered = sealed.to_vec();
        altered[place] ^= 1 << (place % 8);
        let found = open(&altered).err();
        assert_eq!(found.as_ref(), Some(error), "byte {place}");
    }
}

/// A member of whom a phone was taken away: his account key has two generations.
struct Member {
    laptop: DeviceKeys,
    paper: DeviceKeys,
    /// Without its last entry.
    before: AccountLog,
    /// That one, by the paper.
    removal: SignedEntry,
    log: AccountLog,
    rng: ChaCha20Rng,
}

impl Member {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let laptop = DeviceKeys::generate(&mut rng);
        let phone = DeviceKeys::generate(&mut rng);
        let paper = RecoveryPhrase::generate(&mut rng).device_keys();
        let named = |keys, name| NamedDevice { keys, name };
        let others = [named(&paper, "paper"), named(&phone, "phone")];
        let account = create_account(HOME, named(&laptop, "laptop"), &others, &mut rng).unwrap();
        let author = AccountAuthor {
            log: &account.log,
            secrets: &AccountSecrets::open(&account.log, &paper).unwrap(),
            device: &paper,
        };
        let removal = author.remove_device(&phone.id(), &mut rng).unwrap();
        let mut log = account.log.clone();
        log.append(&removal).unwrap();
        Self {
            laptop,
            paper,
            before: account.log,
            removal,
            log,
            rng,
        }
    }

    fn secrets(&self) -> AccountSecrets {
        AccountSecrets::open(&self.log, &self.laptop).unwrap()
    }

    /// The log with a device more, which has no box of the first generation.
    fn with_tablet(&self, mut log: AccountLog) -> (AccountLog, DeviceKeys) {
        let mut rng = rng(99);
        let tablet = DeviceKeys::generate(&mut rng);
        let author = AccountAuthor {
            log: &log,
            secrets: &AccountSecrets::open(&log, &self.laptop).unwrap(),
            device: &self.laptop,
        };
        let addition = author.draft_addition(tablet.public(), "tablet", &mut rng);
        let addition = addition.unwrap();
        let signature = addition.sign(&tablet).unwrap();
        let entry = author.complete_addition(&addition, &signature).unwrap();
        log.append(&entry).unwrap();
        (log, tablet)
    }

    /// The log with its last entry changed, and signed again by its author.
    fn with(&self, change: impl FnOnce(&mut wire::AccountKey)) -> AccountLog {
        let mut entry = wire::AccountEntry::decode(&self.removal.payload[..]).unwrap();
        let Some(account_entry::Body::RemoveDevice(removal)) = &mut entry.body else {
            panic!("a removal");
        };
        change(removal.account_key.as_mut().unwrap());
        let mut log = self.before.clone();
        let payload = entry.encode_to_vec();
        log.append(&signed(payload, SignLabel::AccountEntry, &self.paper))
            .unwrap();
        log
    }
}

fn signed(payload: Vec<u8>, label: SignLabel, device: &DeviceKeys) -> SignedEntry {
    let signature = wire::Signature {
        device: device.id().to_vec(),
        signature: device.sign(label, &payload).to_vec(),
    };
    SignedEntry {
        payload,
        signatures: vec![signature],
    }
}

#[test]
fn of_a_box_with_an_account_seed() {
    let member = Member::new(1);
    let laptop = member.laptop.id().to_vec();
    let sealed = member.log.account_key().boxes[&member.laptop.id()]
        .sealed
        .to_vec();
    assert_eq!(sealed.len(), 1_168);
    let author = member.paper.id();
    let error = AccountSecretsError::Unopenable {
        generation: 2,
        author,
    };
    assert_one_error(&sealed, 0..sealed.len(), &error, |sealed| {
        let log = member.with(|key| {
            let mut seeds = key.seeds.iter_mut();
            let seed = seeds.find(|seed| seed.device == laptop).unwrap();
            seed.r#box = sealed.to_vec();
        });
        AccountSecrets::open(&log, &member.laptop)?.check_newest()
    });
}

#[test]
fn of_a_wrapped_account_seed() {
    let member = Member::new(2);
    let sealed = member.log.account_key().previous_seed.clone().unwrap();
    let author = member.paper.id();
    let error = AccountSecretsError::Unopenable {
        generation: 1,
        author,
    };
    assert_one_error(&sealed[..], 0..sealed.len(), &error, |sealed| {
        let log = member.with(|key| key.previous_seed = sealed.to_vec());
        let (log, tablet) = member.with_tablet(log);
        let secrets = AccountSecrets::open(&log, &tablet)?;
        secrets.closed().next().map_or(Ok(()), Err)
    });
}

/// A vault of one member, in its second epoch.
struct Rotated {
    member: Member,
    accounts: BTreeMap<AccountId, AccountLog>,
    before: VaultLog,
    rotation: SignedEntry,
    log: VaultLog,
}

impl Rotated {
    fn new() -> Self {
        let mut member = Member::new(3);
        let secrets = member.secrets();
        let made = create_vault(
            VaultKind::Storage,
            HOME,
            &member.log,
            &secrets,
            &member.laptop,
            &mut member.rng,
        )
        .unwrap();
        let accounts = BTreeMap::from([(member.log.id(), member.log.clone())]);
        let author = VaultAuthor {
            log: &made.log,
            accounts: &accounts,
            head: None,
            account: member.log.id(),
            device: &member.laptop,
        };
        let rotation = author.rotate(&made.keys, &mut member.rng).unwrap();
        let mut log = made.log.clone();
        log.append(&rotation, &accounts).unwrap();
        Self {
            member,
            accounts,
            before: made.log,
            rotation,
            log,
        }
    }

    fn with(&self, change: impl FnOnce(&mut wire::Epoch)) -> VaultLog {
        let mut entry = wire::VaultEntry::decode(&self.rotation.payload[..]).unwrap();
        let Some(vault_entry::Body::Rotate(rotation)) = &mut entry.body else {
            panic!("a rotation");
        };
        change(rotation.epoch.as_mut().unwrap());
        let entry = signed(
            entry.encode_to_vec(),
            SignLabel::VaultEntry,
            &self.member.laptop,
        );
        let mut log = self.before.clone();
        log.append(&entry, &self.accounts).unwrap();
        log
    }
}

#[test]
fn of_a_box_with_an_epoch_secret() {
    let vault = Rotated::new();
    let account = vault.member.log.id();
    let sealed = vault.log.epoch().boxes[&account].sealed.sealed.to_vec();
    let secrets = vault.member.secrets();
    let author = vault.member.laptop.id();
    let error = VaultKeysError::Unopenable { epoch: 2, author };
    assert_one_error(&sealed, 0..sealed.len(), &error, |sealed| {
        let log = vault.with(|epoch| epoch.boxes[0].r#box = sealed.to_vec());
        VaultKeys::open(&log, &secrets)?.check_current()
    });
}

#[test]
fn of_a_wrapped_epoch_secret() {
    let vault = Rotated::new();
    let sealed = vault.log.epoch().previous_secret.clone().unwrap();
    let secrets = vault.member.secrets();
    let author = vault.member.laptop.id();
    let error = VaultKeysError::NoWayBack { epoch: 2, author };
    assert_one_error(&sealed[..], 0..sealed.len(), &error, |sealed| {
        let log = vault.with(|epoch| epoch.previous_secret = sealed.to_vec());
        VaultKeys::open(&log, &secrets)?.check_current()
    });
}

#[test]
fn of_a_chunk() {
    let keys = vault_keys();
    for (kind, plaintext) in [
        (ChunkKind::Tree, text(2_000)),
        (ChunkKind::FileData, random_bytes(1, 2_000)),
        (ChunkKind::FileData, Vec::new()),
    ] {
        let id = keys.chunk_id(kind, &plaintext);
        let mut sealed = Vec::new();
        let mut compressor = Compressor::default();
        keys.seal_chunk(
            2,
            kind,
            &id,
            &plaintext,
            &mut compressor,
            &mut rng(1),
            &mut sealed,
        )
        .unwrap();
        assert_one_error(&sealed, 0..sealed.len(), &OpenError, |sealed| {
            keys.open_chunk(2, kind, &id, sealed)
        });
        // With the key alone, as through a link: for what came, not what was stored.
        let key = keys.export_chunk_key(2, &id).unwrap();
        assert_one_error(&sealed, 0..sealed.len(), &OpenError, |sealed| {
            let hash = *blake3::hash(sealed).as_bytes();
            key.open_chunk(kind, &hash, sealed, &mut Decompressor::default())
        });
    }
}

/// The pack's name fits, as it does for who has made it.
#[test]
fn of_a_pack_footer_and_trailer() {
    let keys = vault_keys();
    let mut builder = PackBuilder::new(keys.clone(), 2);
    let id = keys.chunk_id(ChunkKind::Tree, &text(900));
    builder
        .push_chunk(
            ChunkKind::Tree,
            &id,
            &text(900),
            &mut Compressor::default(),
            &mut rng(2),
        )
        .unwrap();
    let pack = builder.finish(&mut rng(3)).bytes;
    let trailer = pack.len() - TRAILER_LEN;
    let located = keys.open_pack_trailer(2, pack.len(), pack[trailer..].try_into().unwrap());
    let footer = located.unwrap().range();
    let error = PackError::Unopenable(OpenError);
    for bytes in [
        footer.start as usize..footer.end as usize,
        trailer..pack.len(),
    ] {
        assert_one_error(&pack, bytes, &error, |pack| {
            read_pack_entries(&keys, 2, &PackId::of(pack), pack)
        });
    }
}

/// The head names it, as only a member could have made it do.
#[test]
fn of_a_root() {
    let vault = Rotated::new();
    let keys = VaultKeys::open(&vault.log, &vault.member.secrets()).unwrap();
    let (seen, nothing) = (SeenHeads::none(), PackList::default());
    let author = HeadAuthor {
        vault_log: &vault.log,
        accounts: &vault.accounts,
        seen: &seen,
        keys: &keys,
        account: vault.member.log.id(),
        device: &vault.member.laptop,
    };
    let root = wire::Root {
        minimum_reader: 1,
        minimum_writer: 1,
        committed: Some(wire::Timestamp::default()),
        ..wire::Root::default()
    };
    let change = HeadChange {
        root: &root,
        adds: &nothing,
        removes: &nothing,
        reconciled: None,
    };
    let commit = author.commit(change, &mut rng(4)).unwrap();
    let (head, sealed) = (commit.head.head().clone(), commit.sealed_root);
    let error = OpenRootError::Unopenable(OpenError);
    assert_one_error(&sealed, 0..sealed.len(), &error, |sealed| {
        let head = Head {
            root: RootHash::of(sealed),
            ..head.clone()
        };
        open_root(&keys, &head, sealed)
    });
}

#[test]
fn of_a_device_name() {
    let secrets = Member::new(5).secrets();
    let sealed = secrets.seal_name("téléphone", &mut rng(5)).unwrap();
    assert_one_error(&sealed, 0..sealed.len(), &OpenError, |sealed| {
        secrets.open_name(sealed)
    });
}

/// What names version and recipient is read by everybody, and told.
#[test]
fn of_an_offer() {
    let (sender, recipient) = (Member::new(6), Member::new(7));
    let origin = Origin::parse("coffre.example:8443").unwrap();
    let offer = Offer {
        vault: VaultId::from_array([1; 32]),
        hoster: HOME,
        origin: origin.clone(),
        tls: TlsTrust::Public,
        vault_name: "documents".to_owned(),
        role: Role::Writer,
        sender: Address::new("alice", origin, sender.log.id()).unwrap(),
        sender_device: sender.laptop.id(),
        sender_position: sender.log.position(),
        recipient: recipient.log.id(),
        entry: sender.log.position(),
        head: None,
        created: 1,
    };
    let sealed = offer
        .seal(&recipient.log, &sender.laptop, &mut rng(6))
        .unwrap();
    let sealed = sealed.as_bytes().to_vec();
    let secrets = recipient.secrets();
    let error = OfferError::Unopenable(OpenError);
    assert_one_error(&sealed, 33..sealed.len(), &error, |sealed| {
        SealedOffer::from_slice(sealed).unwrap().open(&secrets)
    });
}

#[test]
fn of_a_capsule() {
    let secret = LinkSecret::from_array([9; 32]);
    let device = DeviceKeys::generate(&mut rng(8));
    let fields = CapsuleFields {
        link: secret.id(),
        account: AccountId::from_array([1; 32]),
        created: Timestamp::new(1, 0).unwrap(),
        nodes: vec![SharedNode {
            depth: 0,
            name: None,
            mode: 0o755,
            modified: Timestamp::new(1, 0).unwrap(),
            content: SharedContent::Directory,
        }],
        chunks: Vec::new(),
    };
    let key = secret.capsule_key(None);
    let sealed = Capsule::seal(
        &fields,
        &device,
        &key,
        &mut Compressor::default(),
        &mut rng(9),
    )
    .unwrap();
    let error = OpenLinkError::Unopenable(OpenError);
    assert_one_error(&sealed.bytes, 0..sealed.bytes.len(), &error, |sealed| {
        Capsule::open(&key, secret.id(), sealed)
    });
}

#[test]
fn of_a_message_of_a_pairing() {
    let new = DeviceKeys::generate(&mut rng(10));
    let code = PairingCode::generate(new.public(), &mut rng(11));
    let introduction = PairingIntroduction {
        public: new.public().clone(),
        name: "téléphone".to_owned(),
    };
    let sealed = code.seal_introduction(&introduction, &mut rng(12)).unwrap();
    let error = PairingError::Unopenable(OpenError);
    assert_one_error(&sealed, 0..sealed.len(), &error, |sealed| {
        code.open_introduction(sealed)
    });
    let sealed = code.seal_signature(&[9; 64], &mut rng(13));
    assert_one_error(&sealed, 0..sealed.len(), &error, |sealed| {
        code.open_signature(sealed)
    });
    let sealed = code.seal_end(PairingEnd::Done, &mut rng(14));
    assert_one_error(&sealed, 0..sealed.len(), &error, |sealed| {
        code.open_end(sealed)
    });
}

/// What callgrind counts, each call apart.
#[inline(never)]
fn measured(opens: &dyn Fn() -> bool) -> bool {
    opens()
}

/// Whether an opening takes as long whichever byte is not as it was: asserted is only what
/// comes of it. How long it takes is counted under callgrind, with `--toggle-collect` and
/// `--dump-after` of [`measured`]; prints what is counted, in order.
#[test]
#[expect(clippy::print_stdout, reason = "says what the counts are of")]
fn what_it_takes_to_refuse() {
    let keys = vault_keys();
    let plaintext = random_bytes(1, 4_096);
    let id = keys.chunk_id(ChunkKind::FileData, &plaintext);
    let mut sealed = Vec::new();
    keys.seal_chunk(
        2,
        ChunkKind::FileData,
        &id,
        &plaintext,
        &mut Compressor::default(),
        &mut rng(1),
        &mut sealed,
    )
    .unwrap();
    for place in [
        0,
        0,
        23,
        24,
        2_000,
        sealed.len() - 17,
        sealed.len() - 16,
        sealed.len() - 1,
    ] {
        let mut altered = sealed.clone();
        altered[place] ^= 0x10;
        println!("counted: chunk, byte {place} of {}", sealed.len());
        let opens = || {
            keys.open_chunk(2, ChunkKind::FileData, &id, &altered)
                .is_ok()
        };
        assert!(!measured(&opens));
    }

    let member = Member::new(1);
    let laptop = member.laptop.id().to_vec();
    // 1,088 bytes of ML-KEM, 32 of X25519, 32 of the secret, 16 of the tag.
    let places = [
        0, 0, 1, 500, 1_087, 1_088, 1_119, 1_120, 1_151, 1_152, 1_167,
    ];
    let spelled_otherwise = [(1_119, 0x80)];
    for (place, bits) in places
        .map(|place| (place, 0x10))
        .into_iter()
        .chain(spelled_otherwise)
    {
        let log = member.with(|key| {
            let mut seeds = key.seeds.iter_mut();
            let seed = seeds.find(|seed| seed.device == laptop).unwrap();
            seed.r#box[place] ^= bits;
        });
        println!("counted: box, byte {place} of 1168, bits {bits:#x}");
        let opens = || {
            let secrets = AccountSecrets::open(&log, &member.laptop);
            secrets.is_ok_and(|secrets| secrets.check_newest().is_ok())
        };
        assert!(!measured(&opens));
    }
    for place in [0, 0, 23, 24, 55, 56, 71] {
        let log = member.with(|key| key.previous_seed[place] ^= 0x10);
        println!("counted: wrapped seed, byte {place} of 72");
        // The laptop has a box of that generation, which is opened instead.
        let opens = || AccountSecrets::open(&log, &member.laptop).is_ok();
        assert!(measured(&opens));
    }
}
