//! What is opened with a key: of each kind one, the parts that it is made of, and how it is
//! refused.

use vault_core::{
    aead::OpenError,
    author::{HeadAuthor, HeadChange},
    chunk::ChunkKind,
    keys::{AccountSecrets, AccountSecretsError, DeviceKeys, VaultKeys, VaultKeysError},
    links::{Capsule, CapsuleFields, LinkSecret, OpenLinkError, SharedContent, SharedNode},
    offer::{Offer, OfferError, SealedOffer},
    pack::{PackBuilder, PackError, TRAILER_LEN, read_pack_entries},
    pairing::{PairingCode, PairingEnd, PairingError, PairingIntroduction},
    root::{OpenRootError, open_root},
    seal::{Compressor, Decompressor},
    timestamp::Timestamp,
};
use vault_proto::{
    address::Address,
    head::{Head, SeenHeads},
    ids::{AccountId, PackId, RootHash, VaultId},
    invitation::TlsTrust,
    origin::Origin,
    pack_list::PackList,
    vault_log::Role,
    wire,
};

use super::{
    Question, Sealed,
    members::{HOME, Member, Rotated},
    parts::{BOX_LEN, Part, of_an_aead},
};
use crate::support::{random_bytes, rng, text, vault_keys};

pub fn box_with_an_account_seed(question: &impl Question) {
    let member = Member::new(1);
    let laptop = member.laptop.id().to_vec();
    let sealed = &member.log.account_key().boxes[&member.laptop.id()].sealed;
    assert_eq!(sealed.len(), BOX_LEN);
    let error = AccountSecretsError::Unopenable {
        generation: 2,
        author: member.paper.id(),
    };
    let put = |sealed: &[u8]| {
        member.with(|key| {
            let mut seeds = key.seeds.iter_mut();
            let seed = seeds.find(|seed| seed.device == laptop).unwrap();
            seed.r#box = sealed.to_vec();
        })
    };
    let sealed = Sealed::new("box with an account seed", sealed, error);
    sealed.ask_of_a_box(question, 0, put, |log| {
        AccountSecrets::open(log, &member.laptop)?.check_newest()
    });
}

/// By a device that has no box of that generation.
pub fn wrapped_account_seed(question: &impl Question) {
    let member = Member::new(2);
    let sealed = member.log.account_key().previous_seed.as_ref().unwrap();
    let error = AccountSecretsError::Unopenable {
        generation: 1,
        author: member.paper.id(),
    };
    let put = |sealed: &[u8]| {
        let log = member.with(|key| key.previous_seed = sealed.to_vec());
        member.with_tablet(log)
    };
    let sealed = Sealed::new("wrapped account seed", &sealed[..], error);
    sealed.ask(question, &of_an_aead(0..72), put, |(log, tablet)| {
        let secrets = AccountSecrets::open(log, tablet)?;
        secrets.closed().next().map_or(Ok(()), Err)
    });
}

pub fn box_with_an_epoch_secret(question: &impl Question) {
    let vault = Rotated::new();
    let account = vault.member.log.id();
    let secrets = vault.member.secrets();
    let sealed = &vault.log.epoch().boxes[&account].sealed.sealed;
    let error = VaultKeysError::Unopenable {
        epoch: 2,
        author: vault.member.laptop.id(),
    };
    let put = |sealed: &[u8]| vault.with(|epoch| epoch.boxes[0].r#box = sealed.to_vec());
    let sealed = Sealed::new("box with an epoch secret", sealed, error);
    sealed.ask_of_a_box(question, 0, put, |log| {
        VaultKeys::open(log, &secrets)?.check_current()
    });
}

pub fn wrapped_epoch_secret(question: &impl Question) {
    let vault = Rotated::new();
    let secrets = vault.member.secrets();
    let sealed = vault.log.epoch().previous_secret.as_ref().unwrap();
    let error = VaultKeysError::NoWayBack {
        epoch: 2,
        author: vault.member.laptop.id(),
    };
    let put = |sealed: &[u8]| vault.with(|epoch| epoch.previous_secret = sealed.to_vec());
    let sealed = Sealed::new("wrapped epoch secret", &sealed[..], error);
    sealed.ask(question, &of_an_aead(0..72), put, |log| {
        VaultKeys::open(log, &secrets)?.check_current()
    });
}

pub fn chunk(question: &impl Question) {
    let keys = vault_keys();
    for (name, kind, plaintext) in [
        ("chunk, compressed", ChunkKind::Tree, text(2_000)),
        ("chunk, raw", ChunkKind::FileData, random_bytes(1, 4_096)),
        ("chunk, empty", ChunkKind::FileData, Vec::new()),
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
        let parts = of_an_aead(0..sealed.len());
        Sealed::new(name, &sealed, OpenError).ask(question, &parts, <[u8]>::to_vec, |sealed| {
            keys.open_chunk(2, kind, &id, sealed)
        });
        // With the key alone, as through a link: for what came, not what was stored.
        let key = keys.export_chunk_key(2, &id).unwrap();
        let put = |sealed: &[u8]| (*blake3::hash(sealed).as_bytes(), sealed.to_vec());
        let name = format!("{name}, by its key");
        Sealed::new(&name, &sealed, OpenError).ask(question, &parts, put, |(hash, sealed)| {
            key.open_chunk(kind, hash, sealed, &mut Decompressor::default())
        });
    }
}

/// The pack's name fits, as it does for who has made it.
pub fn pack_footer_and_trailer(question: &impl Question) {
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
    let put = |pack: &[u8]| (PackId::of(pack), pack.to_vec());
    for (name, bytes) in [
        ("pack footer", footer.start as usize..footer.end as usize),
        // Without it, nobody knows where the footer is.
        ("pack trailer", trailer..pack.len()),
    ] {
        let sealed = Sealed::new(name, &pack, PackError::Unopenable(OpenError));
        sealed.ask(question, &of_an_aead(bytes), put, |(id, pack)| {
            read_pack_entries(&keys, 2, id, pack)
        });
    }
}

/// The head names it, as only a member could have made it do.
pub fn root(question: &impl Question) {
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
    let put = |sealed: &[u8]| {
        let head = Head {
            root: RootHash::of(sealed),
            ..head.clone()
        };
        (head, sealed.to_vec())
    };
    let parts = of_an_aead(0..sealed.len());
    let sealed = Sealed::new("root", &sealed, OpenRootError::Unopenable(OpenError));
    sealed.ask(question, &parts, put, |(head, sealed)| {
        open_root(&keys, head, sealed)
    });
}

pub fn device_name(question: &impl Question) {
    let secrets = Member::new(5).secrets();
    let sealed = secrets.seal_name("téléphone", &mut rng(5)).unwrap();
    let open = |sealed: &Vec<u8>| secrets.open_name(sealed);
    let parts = of_an_aead(8..sealed.len());
    Sealed::new("device name", &sealed, OpenError).ask(question, &parts, <[u8]>::to_vec, open);
    let generation = [Part::new("generation", 0..8)];
    let sealed = Sealed::new("device name, of no generation", &sealed, OpenError);
    sealed.ask(question, &generation, <[u8]>::to_vec, open);
}

/// What names version and recipient is read by everybody, and told.
pub fn offer(question: &impl Question) {
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
    let sealed = sealed.as_bytes();
    let secrets = recipient.secrets();
    let error = OfferError::Unopenable(OpenError);
    let put = |sealed: &[u8]| SealedOffer::from_slice(sealed).unwrap();
    let open = |offer: &SealedOffer| offer.open(&secrets);
    let body = 41 + BOX_LEN;
    let parts = of_an_aead(body..sealed.len());
    Sealed::new("offer", sealed, error).ask(question, &parts, put, open);
    Sealed::new("offer, its box", sealed, error).ask_of_a_box(question, 41, put, open);
    let generation = [Part::new("generation", 33..41)];
    let sealed = Sealed::new("offer, of no generation", sealed, error);
    sealed.ask(question, &generation, put, open);
}

pub fn capsule(question: &impl Question) {
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
    );
    let sealed = sealed.unwrap().bytes;
    let parts = of_an_aead(0..sealed.len());
    let sealed = Sealed::new("capsule", &sealed, OpenLinkError::Unopenable(OpenError));
    sealed.ask(question, &parts, <[u8]>::to_vec, |sealed| {
        Capsule::open(&key, secret.id(), sealed)
    });
}

pub fn message_of_a_pairing(question: &impl Question) {
    let new = DeviceKeys::generate(&mut rng(10));
    let code = PairingCode::generate(new.public(), &mut rng(11));
    let introduction = PairingIntroduction {
        public: new.public().clone(),
        name: "téléphone".to_owned(),
    };
    let error = PairingError::Unopenable(OpenError);
    let sealed = code.seal_introduction(&introduction, &mut rng(12)).unwrap();
    let parts = of_an_aead(0..sealed.len());
    let sealed = Sealed::new("introduction of a pairing", &sealed, error);
    sealed.ask(question, &parts, <[u8]>::to_vec, |sealed| {
        code.open_introduction(sealed)
    });
    let sealed = code.seal_signature(&[9; 64], &mut rng(13));
    let sealed = Sealed::new("signature of a pairing", &sealed, error);
    sealed.ask(question, &parts, <[u8]>::to_vec, |sealed| {
        code.open_signature(sealed)
    });
    let sealed = code.seal_end(PairingEnd::Done, &mut rng(14));
    let sealed = Sealed::new("end of a pairing", &sealed, error);
    sealed.ask(question, &parts, <[u8]>::to_vec, |sealed| {
        code.open_end(sealed)
    });
}
