//! Logs and heads from end to end: one member's devices make them, another's
//! verify and open them.

use std::collections::BTreeMap;

use prost::Message;
use rand::rngs::ChaCha20Rng;
use vault_core::{
    author::{
        AccountAuthor, Addition, AuthorError, HeadAuthor, HeadChange, NamedDevice, VaultAuthor,
        create_account, create_vault, sign_login,
    },
    chunk::ChunkKind,
    keys::{
        AccountSecrets, AccountSecretsError, DeviceKeys, MAX_NAME_LEN, RecoveryPhrase, VaultKeys,
        VaultKeysError,
    },
    root::open_root,
    seal::Compressor,
};
use vault_proto::{
    account_log::{AccountLog, AccountLogError},
    entry::UnsignedEntry,
    head::{HeadError, SeenHeads},
    ids::{AccountId, HeadHash, HosterId},
    login::Login,
    origin::Origin,
    pack_list::PackList,
    sign::SignLabel,
    vault_log::{Role, VaultKind, VaultLog, VaultLogError},
    wire,
};

use crate::support::rng;

const HOME: HosterId = HosterId::from_array([0x40; 32]);

/// A member with a laptop and a paper.
struct Member {
    rng: ChaCha20Rng,
    laptop: DeviceKeys,
    paper: DeviceKeys,
    log: AccountLog,
}

impl Member {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let laptop = DeviceKeys::generate(&mut rng);
        let paper = RecoveryPhrase::generate(&mut rng).device_keys();
        let author = NamedDevice {
            keys: &laptop,
            name: "laptop",
        };
        let other = NamedDevice {
            keys: &paper,
            name: "papier",
        };
        let account = create_account(HOME, author, &[other], &mut rng).unwrap();
        Self {
            rng,
            laptop,
            paper,
            log: account.log,
        }
    }

    fn id(&self) -> AccountId {
        self.log.id()
    }

    fn secrets(&self) -> AccountSecrets {
        AccountSecrets::open(&self.log, &self.laptop).unwrap()
    }

    /// Adds a phone, and removes it again if asked to.
    fn add_phone(&mut self) -> DeviceKeys {
        let phone = DeviceKeys::generate(&mut self.rng);
        let secrets = self.secrets();
        let author = AccountAuthor {
            log: &self.log,
            secrets: &secrets,
            device: &self.laptop,
        };
        let addition = author
            .draft_addition(phone.public(), "téléphone", &mut self.rng)
            .unwrap();
        let signature = addition.sign(&phone).unwrap();
        let entry = author.complete_addition(&addition, &signature).unwrap();
        self.log.append(&entry).unwrap();
        phone
    }

    fn remove(&mut self, device: &DeviceKeys) {
        let secrets = AccountSecrets::open(&self.log, &self.paper).unwrap();
        let author = AccountAuthor {
            log: &self.log,
            secrets: &secrets,
            device: &self.paper,
        };
        let entry = author.remove_device(&device.id(), &mut self.rng).unwrap();
        self.log.append(&entry).unwrap();
    }
}

fn names(log: &AccountLog, secrets: &AccountSecrets) -> Vec<String> {
    let mut names: Vec<_> = log
        .devices()
        .map(|device| secrets.open_name(&device.sealed_name).unwrap())
        .collect();
    names.sort();
    names
}

fn logs(members: &[&Member]) -> BTreeMap<AccountId, AccountLog> {
    members
        .iter()
        .map(|member| (member.id(), member.log.clone()))
        .collect()
}

fn author<'a>(
    log: &'a VaultLog,
    accounts: &'a BTreeMap<AccountId, AccountLog>,
    member: &'a Member,
) -> VaultAuthor<'a> {
    VaultAuthor {
        log,
        accounts,
        head: None,
        account: member.id(),
        device: &member.laptop,
    }
}

fn open(log: &VaultLog, member: &Member) -> Result<VaultKeys, VaultKeysError> {
    VaultKeys::open(log, &member.secrets())
}

#[test]
fn every_device_opens_the_account_and_its_names() {
    let mut member = Member::new(1);
    let phone = member.add_phone();
    for device in [&member.laptop, &member.paper, &phone] {
        let secrets = AccountSecrets::open(&member.log, device).unwrap();
        assert_eq!(secrets.generation(), 1);
        let expected = ["laptop", "papier", "téléphone"];
        assert_eq!(names(&member.log, &secrets), expected);
    }
    let stranger = DeviceKeys::generate(&mut member.rng);
    assert_eq!(
        AccountSecrets::open(&member.log, &stranger).unwrap_err(),
        AccountSecretsError::NotADevice
    );
}

#[test]
fn a_removed_device_opens_no_newer_account_key() {
    let mut member = Member::new(2);
    let phone = member.add_phone();
    let before = AccountSecrets::open(&member.log, &phone).unwrap();
    member.remove(&phone);
    assert_eq!(
        AccountSecrets::open(&member.log, &phone).unwrap_err(),
        AccountSecretsError::NotADevice
    );
    for device in [&member.laptop, &member.paper] {
        let secrets = AccountSecrets::open(&member.log, device).unwrap();
        assert_eq!(secrets.generation(), 2);
        // Sealed under the first generation, the old one.
        assert_eq!(names(&member.log, &secrets).len(), 3);
    }
    let secrets = member.secrets();
    let name = secrets.seal_name("new", &mut member.rng).unwrap();
    assert_eq!(secrets.open_name(&name).unwrap(), "new");
    assert!(before.open_name(&name).is_err());
    // A later device is sent the newest seed only, and opens all.
    let tablet = member.add_phone();
    let secrets = AccountSecrets::open(&member.log, &tablet).unwrap();
    assert_eq!(names(&member.log, &secrets).len(), 4);
}

#[test]
fn only_paper_moves_a_vault() {
    let mut alice = Member::new(6);
    let secrets = alice.secrets();
    let vault = create_vault(
        VaultKind::Storage,
        HOME,
        &alice.log,
        &secrets,
        &alice.laptop,
        &mut alice.rng,
    );
    let accounts = logs(&[&alice]);
    let mut log = vault.unwrap().log;
    let origin = Origin::parse("other.example:443").unwrap();
    let elsewhere = HosterId::from_array([1; 32]);
    let by_laptop = author(&log, &accounts, &alice);
    assert!(matches!(
        by_laptop.moved(elsewhere, &origin),
        Err(AuthorError::VaultLog(VaultLogError::PaperNeeded))
    ));
    let by_paper = VaultAuthor {
        device: &alice.paper,
        ..by_laptop
    };
    assert!(matches!(
        by_paper.moved(HOME, &origin),
        Err(AuthorError::VaultLog(VaultLogError::SameHome))
    ));
    let entry = by_paper.moved(elsewhere, &origin).unwrap();
    log.append(&entry, &accounts).unwrap();
    assert_eq!((log.home(), log.home_origin()), (elsewhere, Some(&origin)));
}

#[test]
fn renamed_moved_and_bounded_names() {
    let mut member = Member::new(3);
    let secrets = member.secrets();
    let author = AccountAuthor {
        log: &member.log,
        secrets: &secrets,
        device: &member.laptop,
    };
    let paper = member.paper.id();
    let longest = "n".repeat(MAX_NAME_LEN);
    let renamed = author
        .rename_device(&paper, &longest, &mut member.rng)
        .unwrap();
    assert!(matches!(
        author.rename_device(&paper, &format!("{longest}n"), &mut member.rng),
        Err(AuthorError::Name(_))
    ));
    // Only paper moves the log, and removes paper.
    let origin = Origin::parse("other.example:443").unwrap();
    let elsewhere = HosterId::from_array([1; 32]);
    assert!(matches!(
        author.moved(elsewhere, &origin),
        Err(AuthorError::AccountLog(AccountLogError::PaperNeeded))
    ));
    let by_paper = AccountAuthor {
        device: &member.paper,
        ..author
    };
    assert!(matches!(
        by_paper.moved(HOME, &origin),
        Err(AuthorError::AccountLog(AccountLogError::SameHome))
    ));
    assert!(by_paper.moved(elsewhere, &origin).is_ok());
    assert!(matches!(
        author.remove_device(&paper, &mut member.rng),
        Err(AuthorError::AccountLog(AccountLogError::PaperNeeded))
    ));
    member.log.append(&renamed).unwrap();
    assert_eq!(
        names(&member.log, &member.secrets()),
        ["laptop".to_owned(), longest]
    );
}

#[test]
fn stale_secrets_and_other_devices_are_refused() {
    let mut member = Member::new(4);
    let phone = member.add_phone();
    let stale = member.secrets();
    member.remove(&phone);
    let author = AccountAuthor {
        log: &member.log,
        secrets: &stale,
        device: &member.laptop,
    };
    let id = member.paper.id();
    assert_eq!(
        author.rename_device(&id, "x", &mut member.rng),
        Err(AuthorError::StaleKeys)
    );
}

#[test]
fn a_new_device_signs_first_and_its_author_last() {
    let mut member = Member::new(4);
    let phone = member.add_phone();
    let secrets = member.secrets();
    let tablet = DeviceKeys::generate(&mut member.rng);
    let by = |device| AccountAuthor {
        log: &member.log,
        secrets: &secrets,
        device,
    };
    let author = by(&member.laptop);
    let mut rng = rng(40);
    let draft = author
        .draft_addition(tablet.public(), "tablet", &mut rng)
        .unwrap();

    // What the tablet is sent is what was drafted, and is for nobody else.
    let sent = Addition::decode(draft.payload(), tablet.public()).unwrap();
    assert_eq!(sent, draft);
    assert_eq!(
        (sent.account(), sent.author()),
        (member.id(), member.laptop.id())
    );
    assert_eq!(sent.previous(), member.log.position());
    assert_eq!(sent.new_device(), tablet.public());
    let wrong = Err(AuthorError::NotForThisDevice);
    assert_eq!(Addition::decode(draft.payload(), phone.public()), wrong);
    assert_eq!(
        sent.sign(&phone).unwrap_err(),
        AuthorError::NotForThisDevice
    );
    for length in 0..draft.payload().len() {
        let cut = Addition::decode(&draft.payload()[..length], tablet.public());
        assert_eq!(cut, wrong, "{length} bytes");
    }
    // Another kind of entry, and one that is a genesis.
    for entry in member.log.entries() {
        assert_eq!(Addition::decode(&entry.payload, tablet.public()), wrong);
    }

    let signature = sent.sign(&tablet).unwrap();
    let entry = author.complete_addition(&draft, &signature).unwrap();
    let mut log = member.log.clone();
    log.append(&entry).unwrap();
    assert_eq!(log.position(), sent.position());

    // Without the tablet's own signature the laptop signs nothing, nor what
    // another device drafted.
    for forged in [[0; 64], sent.sign(&tablet).map(|s| flipped(s, 3)).unwrap()] {
        let refused = author.complete_addition(&draft, &forged);
        assert_eq!(refused, Err(AuthorError::NewDevice));
    }
    let refused = by(&phone).complete_addition(&draft, &signature);
    assert_eq!(refused, Err(AuthorError::NotForThisDevice));
    // The log went on meanwhile.
    let late = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &member.laptop,
    };
    assert!(matches!(
        late.complete_addition(&draft, &signature),
        Err(AuthorError::AccountLog(_))
    ));
}

fn flipped(mut signature: [u8; 64], at: usize) -> [u8; 64] {
    signature[at] ^= 1;
    signature
}

#[test]
fn a_vault_is_shared_rotated_and_left() {
    let mut alice = Member::new(5);
    let mut bob = Member::new(6);
    let secrets = alice.secrets();
    let device = alice.laptop.clone();
    let vault = create_vault(
        VaultKind::Storage,
        HOME,
        &alice.log,
        &secrets,
        &device,
        &mut alice.rng,
    )
    .unwrap();
    let mut log = vault.log;
    let chunk = b"history".as_slice();
    let id = vault.keys.chunk_id(ChunkKind::Tree, chunk);
    let mut sealed = Vec::new();
    vault
        .keys
        .seal_chunk(
            1,
            ChunkKind::Tree,
            &id,
            chunk,
            &mut Compressor::default(),
            &mut alice.rng,
            &mut sealed,
        )
        .unwrap();
    let opens = |keys: &VaultKeys| {
        assert_eq!(
            keys.open_chunk(1, ChunkKind::Tree, &id, &sealed).unwrap(),
            chunk
        );
    };

    // Before he is added, and after.
    assert_eq!(open(&log, &bob).unwrap_err(), VaultKeysError::NotAMember);
    let accounts = logs(&[&alice, &bob]);
    let mut rng = rng(7);
    let (alice_id, bob_id) = (alice.id(), bob.id());
    let add = author(&log, &accounts, &alice)
        .add_member(&vault.keys, &bob_id, Role::Writer, &mut rng)
        .unwrap();
    log.append(&add, &accounts).unwrap();
    opens(&open(&log, &bob).unwrap());
    let accept = author(&log, &accounts, &bob).accept().unwrap();
    log.append(&accept, &accounts).unwrap();
    let refused = author(&log, &accounts, &bob).remove_member(&alice_id);
    assert!(matches!(refused, Err(AuthorError::VaultLog(_))));
    let promote = author(&log, &accounts, &alice)
        .change_role(&bob_id, Role::Manager)
        .unwrap();
    log.append(&promote, &accounts).unwrap();

    // Bob's phone is stolen: he gets a new account key, and the vault an epoch.
    let phone = bob.add_phone();
    bob.remove(&phone);
    let accounts = logs(&[&alice, &bob]);
    let refresh = author(&log, &accounts, &bob).refresh(&bob_id).unwrap();
    log.append(&refresh, &accounts).unwrap();
    assert!(log.rotation_due());
    let rotate = author(&log, &accounts, &bob)
        .rotate(&open(&log, &bob).unwrap(), &mut rng)
        .unwrap();
    log.append(&rotate, &accounts).unwrap();
    for member in [&alice, &bob] {
        let keys = open(&log, member).unwrap();
        assert_eq!(keys.current_epoch(), 2);
        opens(&keys);
    }
    // Keys from before do not do.
    assert_eq!(
        author(&log, &accounts, &alice).rotate(&vault.keys, &mut rng),
        Err(AuthorError::StaleKeys)
    );

    // Bob leaves: the next epoch is not sealed to him.
    let mut later = log.clone();
    let leave = author(&log, &accounts, &bob).leave().unwrap();
    later.append(&leave, &accounts).unwrap();
    let rotate = author(&later, &accounts, &alice)
        .rotate(&open(&later, &alice).unwrap(), &mut rng)
        .unwrap();
    later.append(&rotate, &accounts).unwrap();
    assert_eq!(open(&later, &alice).unwrap().current_epoch(), 3);
    assert_eq!(open(&later, &bob).unwrap_err(), VaultKeysError::NotAMember);
    // An account log that is behind lacks the key.
    let behind = Member::new(6);
    assert_eq!(
        open(&log, &behind).unwrap_err(),
        VaultKeysError::AccountKeyMissing { generation: 2 }
    );
}

#[test]
fn heads_follow_each_other_and_carry_their_roots() {
    let mut alice = Member::new(8);
    let accounts = logs(&[&alice]);
    let secrets = alice.secrets();
    let vault = create_vault(
        VaultKind::Account,
        HOME,
        &alice.log,
        &secrets,
        &alice.laptop,
        &mut alice.rng,
    )
    .unwrap();
    let nothing = PackList::default();
    let mut seen = SeenHeads::none();
    for seq in 1..=9 {
        let author = HeadAuthor {
            vault_log: &vault.log,
            accounts: &accounts,
            seen: &seen,
            keys: &vault.keys,
            account: alice.id(),
            device: &alice.laptop,
        };
        let root = wire::Root {
            minimum_reader: 1,
            minimum_writer: 1,
            pack_count: seq,
            ..Default::default()
        };
        let change = HeadChange {
            root: &root,
            adds: &nothing,
            removes: &nothing,
            reconciled: None,
        };
        let stranger = HeadAuthor {
            device: &DeviceKeys::generate(&mut alice.rng),
            ..author
        };
        assert!(matches!(
            stranger.commit(change, &mut alice.rng),
            Err(AuthorError::Head(HeadError::UnknownDevice(_)))
        ));
        let commit = author.commit(change, &mut alice.rng).unwrap();
        assert_eq!(commit.head.head().seq, seq);
        commit.head.check_root(&commit.sealed_root).unwrap();
        let opened = open_root(&vault.keys, commit.head.head(), &commit.sealed_root).unwrap();
        assert_eq!(opened, root);
        seen = commit.head.seen().clone();
    }
}

/// A head says that it takes the place of another, and an entry names that one:
/// every entry after it does, until the next head.
#[test]
fn an_entry_names_the_head_that_the_one_before_names() {
    let mut alice = Member::new(15);
    let accounts = logs(&[&alice]);
    let secrets = alice.secrets();
    let vault = create_vault(
        VaultKind::Storage,
        HOME,
        &alice.log,
        &secrets,
        &alice.laptop,
        &mut alice.rng,
    )
    .unwrap();
    let mut log = vault.log;
    let (root, nothing) = (wire::Root::default(), PackList::default());
    let lost = HeadHash::from_array([7; 32]);
    let commit = |log: &VaultLog, keys: &VaultKeys, seen: &SeenHeads, reconciled| {
        let author = HeadAuthor {
            vault_log: log,
            accounts: &accounts,
            seen,
            keys,
            account: alice.id(),
            device: &alice.laptop,
        };
        let change = HeadChange {
            root: &root,
            adds: &nothing,
            removes: &nothing,
            reconciled,
        };
        let commit = author.commit(change, &mut rng(16)).unwrap();
        commit.head.seen().clone()
    };
    let seen = commit(&log, &vault.keys, &SeenHeads::none(), Some(lost));
    let rotate = author(&log, &accounts, &alice)
        .rotate(&vault.keys, &mut rng(17))
        .unwrap();
    let mut rotate = wire::VaultEntry::decode(&*rotate.payload).unwrap();
    rotate.head = Some(wire::Position {
        seq: 1,
        hash: lost.to_vec(),
    });
    let signature = alice
        .laptop
        .sign(SignLabel::VaultEntry, &rotate.encode_to_vec());
    let rotate = UnsignedEntry::vault(&rotate).with_signatures([(alice.laptop.id(), signature)]);
    log.append(&rotate, &accounts).unwrap();

    for epoch in [3, 4] {
        let keys = open(&log, &alice).unwrap();
        let author = VaultAuthor {
            head: seen.newest(),
            ..author(&log, &accounts, &alice)
        };
        let rotate = author.rotate(&keys, &mut rng(epoch)).unwrap();
        log.append(&rotate, &accounts).unwrap();
        assert_eq!(log.pinned_head().map(|head| head.hash), Some(lost));
        assert_eq!(log.epoch().number, epoch);
    }
    let keys = open(&log, &alice).unwrap();
    let seen = commit(&log, &keys, &seen, None);
    let author = VaultAuthor {
        head: seen.newest(),
        ..author(&log, &accounts, &alice)
    };
    let rotate = author.rotate(&keys, &mut rng(5)).unwrap();
    log.append(&rotate, &accounts).unwrap();
    assert_eq!(log.pinned_head(), seen.position());
}

#[test]
fn nothing_is_committed_while_a_rotation_is_due() {
    let mut alice = Member::new(9);
    let secrets = alice.secrets();
    let laptop = alice.laptop.clone();
    let vault = create_vault(
        VaultKind::Storage,
        HOME,
        &alice.log,
        &secrets,
        &laptop,
        &mut alice.rng,
    )
    .unwrap();
    let mut log = vault.log;
    let phone = alice.add_phone();
    alice.remove(&phone);
    let accounts = logs(&[&alice]);
    let refresh = author(&log, &accounts, &alice)
        .refresh(&alice.id())
        .unwrap();
    log.append(&refresh, &accounts).unwrap();
    let root = wire::Root::default();
    let head_author = HeadAuthor {
        vault_log: &log,
        accounts: &accounts,
        seen: &SeenHeads::none(),
        keys: &vault.keys,
        account: alice.id(),
        device: &alice.laptop,
    };
    let change = HeadChange {
        root: &root,
        adds: &PackList::default(),
        removes: &PackList::default(),
        reconciled: None,
    };
    assert_eq!(
        head_author.commit(change, &mut alice.rng).unwrap_err(),
        AuthorError::Head(HeadError::RotationDue)
    );
    let bob = Member::new(10);
    let missing = author(&log, &accounts, &alice)
        .add_member(&vault.keys, &bob.id(), Role::Reader, &mut rng(1))
        .unwrap_err();
    assert_eq!(missing, AuthorError::AccountLogMissing(bob.id()));
    let refused = author(&log, &logs(&[&alice, &bob]), &alice).add_member(
        &vault.keys,
        &bob.id(),
        Role::Reader,
        &mut rng(1),
    );
    assert!(
        matches!(
            refused,
            Err(AuthorError::VaultLog(VaultLogError::RotationDue))
        ),
        "{refused:?}"
    );
}

#[test]
fn secrets_and_keys_of_another_account_or_vault_are_refused() {
    let mut alice = Member::new(13);
    let bob = Member::new(14);
    let account_author = AccountAuthor {
        log: &alice.log,
        secrets: &bob.secrets(),
        device: &alice.laptop,
    };
    let refused = account_author.rename_device(&alice.paper.id(), "x", &mut alice.rng);
    assert_eq!(refused, Err(AuthorError::StaleKeys));

    let secrets = alice.secrets();
    let mut vault = || {
        let kind = VaultKind::Storage;
        let device = &alice.laptop;
        create_vault(kind, HOME, &alice.log, &secrets, device, &mut alice.rng).unwrap()
    };
    let (one, other) = (vault(), vault());
    assert_ne!(one.log.id(), other.log.id());
    let accounts = logs(&[&alice]);
    let refused = author(&one.log, &accounts, &alice).rotate(&other.keys, &mut rng(1));
    assert_eq!(refused, Err(AuthorError::StaleKeys));
    // Secrets of another account open nothing.
    let error = VaultKeys::open(&one.log, &bob.secrets()).unwrap_err();
    assert_eq!(error, VaultKeysError::NotAMember);
}

#[test]
fn a_login_is_signed_by_its_device() {
    let member = Member::new(11);
    let login = Login {
        hoster: HOME,
        client_nonce: [1; 32],
        server_nonce: [2; 32],
        time: 3,
        exporter: Some([4; 32]),
        account: member.id(),
        device: member.laptop.id(),
        origin: Origin::parse("coffre.example:443").unwrap(),
    };
    let signature = sign_login(&login, &member.laptop);
    login.verify(&member.log, &signature).unwrap();
    let signature = sign_login(&login, &member.paper);
    assert!(login.verify(&member.log, &signature).is_err());
}

#[test]
fn keys_survive_storage_and_are_not_printed() {
    for device in [Member::new(12).laptop, Member::new(12).paper] {
        let bytes = device.to_secret_bytes();
        assert!(DeviceKeys::from_secret_bytes(&*bytes).unwrap() == device);
        for wrong in [&bytes[1..], &[bytes.as_slice(), &[0]].concat(), &[]] {
            assert!(DeviceKeys::from_secret_bytes(wrong).is_err());
        }
        let mut other = *bytes;
        other[0] = 3;
        assert!(DeviceKeys::from_secret_bytes(&other).is_err());
        other[0] = bytes[0];
        other[64] ^= 1;
        assert!(DeviceKeys::from_secret_bytes(&other).unwrap() != device);
        let printed = format!("{device:?}");
        let secret = format!("{:?}", &bytes[1..5]);
        assert!(printed.contains("DeviceKeys") && !printed.contains(&secret));
    }
}
