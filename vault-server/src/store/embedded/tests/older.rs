//! Links in the directory of a server that did not note with which device each was
//! made.

use ed25519_dalek::{Signer, SigningKey};
use prost::Message;
use vault_proto::{
    account_log::{AccountLog, genesis_entry},
    device::{DeviceKind, DevicePublic, KemKey},
    entry::{BOX_BYTES, UnsignedEntry, WRAPPED_BYTES},
    ids::DeviceId,
    sign::VerifyingKey,
    wire::{self, SignedEntry, account_entry::Body},
};

use super::*;
use crate::store::{
    ledger::{
        Appended, Commit, HeadCommit, HeadLedger, LinkCreation, LinkLedger, NewAccountEntry,
        NewLink, VaultLedger,
    },
    records::{Link, LinkId},
};

/// A device with its secret key.
struct Device {
    secret: SigningKey,
    public: DevicePublic,
}

impl Device {
    fn new(kind: DeviceKind, number: u8) -> Self {
        let secret = SigningKey::from_bytes(&[number; 32]);
        let key = VerifyingKey::from_slice(secret.verifying_key().as_bytes()).unwrap();
        let kem = KemKey::from_slice(&[number; 1216]).unwrap();
        let public = DevicePublic::new(kind, key, kem);
        Self { secret, public }
    }

    fn id(&self) -> DeviceId {
        self.public.id()
    }

    fn wire(&self) -> wire::NewDevice {
        wire::NewDevice {
            public: Some(self.public.to_wire()),
            sealed_name: vec![1; 40],
        }
    }

    fn seed(&self) -> wire::SealedSeed {
        wire::SealedSeed {
            device: self.id().to_vec(),
            r#box: vec![1; BOX_BYTES],
        }
    }
}

fn signed(entry: &wire::AccountEntry, by: &[&Device]) -> SignedEntry {
    let entry = UnsignedEntry::account(entry);
    let to_sign = entry.to_sign();
    let signatures = by
        .iter()
        .map(|device| (device.id(), device.secret.sign(&to_sign).to_bytes()));
    entry.with_signatures(signatures)
}

/// The log of an account with a paper and a machine, which it removes or not.
fn log(number: u8, removes: bool) -> Vec<SignedEntry> {
    let paper = Device::new(DeviceKind::Paper, number);
    let machine = Device::new(DeviceKind::Machine, number + 1);
    let key = |generation: u8, seeds, previous_seed| wire::AccountKey {
        generation: generation.into(),
        kem_key: vec![number + 100 + generation; 1216],
        seeds,
        previous_seed,
    };
    let genesis = wire::AccountGenesis {
        salt: vec![number; 32],
        home: vec![1; 32],
        devices: vec![paper.wire()],
        account_key: Some(key(1, vec![paper.seed()], Vec::new())),
    };
    let genesis = signed(&genesis_entry(paper.id(), genesis), &[&paper]);
    let mut log = AccountLog::verify_genesis(&genesis).unwrap();
    let add = Body::AddDevice(wire::AddDevice {
        device: Some(machine.wire()),
        seed: Some(machine.seed()),
    });
    let add = signed(&log.next_entry(paper.id(), add), &[&paper, &machine]);
    log.append(&add).unwrap();
    if removes {
        let remove = Body::RemoveDevice(wire::RemoveDevice {
            device: machine.id().to_vec(),
            account_key: Some(key(2, vec![paper.seed()], vec![1; WRAPPED_BYTES])),
        });
        let remove = signed(&log.next_entry(paper.id(), remove), &[&paper]);
        log.append(&remove).unwrap();
    }
    log.entries().to_vec()
}

/// An account with this log, or one that does not verify; and a vault of its with a
/// link. Its number is in all names.
fn maker(store: &Embedded, number: u8, log: &[SignedEntry]) -> (AccountId, LinkId) {
    let encoded: Vec<_> = log.iter().map(Message::encode_to_vec).collect();
    let id = match log {
        [genesis, ..] => AccountLog::verify_genesis(genesis).unwrap().id(),
        [] => AccountId::from_array([number; 32]),
    };
    let hash = InvitationHash([number; 32]);
    let invitation = Invitation {
        quota_bytes: QUOTA,
        label: String::new(),
        expires: UnixTime::from_seconds(u64::MAX),
        used_by: None,
    };
    store.ledger.add_invitation(&hash, &invitation).unwrap();
    let account = NewAccount {
        invitation: hash,
        id,
        genesis: encoded.first().map_or(&[1; 10], |genesis| genesis),
        devices: &[],
        now: NOW,
    };
    let created = store.ledger.create_account(&account).unwrap();
    assert!(matches!(created, AccountCreation::Created { .. }));
    for (seq, entry) in (2..).zip(encoded.iter().skip(1)) {
        let entry = NewAccountEntry {
            account: id,
            seq,
            entry,
            added: None,
            removed: None,
            urgency: Urgency::Ordinary,
        };
        let appended = store.ledger.append_account_entry(&entry).unwrap();
        assert_eq!(appended, Appended::Appended);
    }
    let vault = VaultId::from_array([number; 32]);
    let new = NewVault {
        id: vault,
        kind: VaultKind::Storage,
        creator: id,
        genesis: &[1; 10],
    };
    assert_eq!(
        store.ledger.create_vault(&new).unwrap(),
        VaultCreation::Created
    );
    let link = link_of_old(store, vault, id, encoded.len().max(1) as u64);
    (id, link)
}

/// A link with no device in its row.
fn link_of_old(store: &Embedded, vault: VaultId, account: AccountId, seq: u64) -> LinkId {
    let ledger = &store.ledger;
    let pack = PackId::of(b"capsule");
    let blob = Blob {
        vault,
        pack,
        size: 16 << 10,
    };
    let Reserve::Reserved(reservation) = ledger.reserve(&blob, QuotaRoom::Plain, NOW).unwrap()
    else {
        panic!("it is there already");
    };
    ledger.record_pack(reservation, NOW).unwrap();
    let head = HeadCommit {
        vault,
        previous: None,
        head: vault_proto::position::HeadPosition {
            seq: 1,
            hash: vault_proto::ids::HeadHash::from_array([1; 32]),
        },
        log_seq: 1,
        device: DeviceId::from_array([1; 32]),
        signed: &[1; 10],
        root: &[1; 10],
        adds: &[pack],
        removes: &[],
        now: NOW,
    };
    assert_eq!(ledger.commit_head(&head).unwrap(), Commit::Accepted);
    let id = LinkId(*vault.as_bytes());
    let new = NewLink {
        id,
        vault,
        log_seq: 1,
        account,
        device: DeviceId::from_array([1; 32]),
        account_seq: seq,
        capsule: pack,
        packs: &[],
        digest: [1; 32],
        expires: None,
        max_downloads: 0,
        now: NOW,
    };
    assert_eq!(ledger.create_link(&new).unwrap(), LinkCreation::Created);
    let link = ledger.link(&id).unwrap().unwrap();
    let old = Link {
        device: None,
        ..link
    };
    let mut batch = store.blobs.rocks.batch();
    batch.put(Table::Links, &id.0, &old.to_row());
    batch.write(Sync::Now).unwrap();
    id
}

#[test]
fn old_links_that_a_removed_device_may_have_made_end_at_the_first_start() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_in(directory.path());
    let (_, kept) = maker(&store, 40, &log(40, false));
    let (removed, ended) = maker(&store, 50, &log(50, true));
    let (_, unknown) = maker(&store, 60, &[]);
    let records = |store: &Embedded| {
        let account = store.ledger.account(&removed).unwrap().unwrap();
        account.record_bytes
    };
    let before = records(&store);
    let there = |store: &Embedded| {
        [kept, ended, unknown].map(|link| store.ledger.link(&link).unwrap().is_some())
    };
    // Of a directory that is whole, none.
    drop(store);
    let store = open_in(directory.path());
    assert_eq!(there(&store), [true; 3]);
    let mut batch = store.blobs.rocks.batch();
    batch.put(Table::Format, b"indexes", b"1");
    batch.write(Sync::Now).unwrap();
    drop(store);
    let store = open_in(directory.path());
    assert_eq!(there(&store), [true, false, false]);
    assert!(records(&store) < before, "it does not count any more");
}

#[test]
fn an_old_link_ends_with_any_device_of_its_maker() {
    let directory = tempfile::tempdir().unwrap();
    let store = open_in(directory.path());
    let (account, link) = maker(&store, 40, &log(40, false));
    let (_, others) = maker(&store, 50, &log(50, false));
    let removal = NewAccountEntry {
        account,
        seq: 3,
        entry: &[1; 10],
        added: None,
        removed: Some(DeviceId::from_array([99; 32])),
        urgency: Urgency::CannotWait,
    };
    let appended = store.ledger.append_account_entry(&removal).unwrap();
    assert_eq!(appended, Appended::Appended);
    assert_eq!(store.ledger.link(&link).unwrap(), None);
    assert!(store.ledger.link(&others).unwrap().is_some());
}
