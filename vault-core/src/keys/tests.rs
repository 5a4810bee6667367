//! Logs whose public half is in order, and whose sealed half a member wrote who
//! does as he likes.

mod closed;

use std::collections::BTreeMap;

use prost::Message;
use rand::rngs::ChaCha20Rng;
use rand_core::SeedableRng;
use vault_proto::{
    account_log::{AccountLog, AccountLogs},
    entry::UnsignedEntry,
    ids::HosterId,
    sign::SignLabel,
    vault_log::{VaultKind, VaultLog},
    wire::{self, SignedEntry, account_entry, vault_entry},
};

use super::{
    account::{seed_box_context, wrap_seed},
    vault::{epoch_box_context, wrap_secret},
    *,
};
use crate::{
    author::{AccountAuthor, NamedDevice, NewAccount, VaultAuthor, create_account, create_vault},
    boxes::seal_box,
    secret::Secret,
};

const HOME: HosterId = HosterId::from_array([4; 32]);
const WRONG: [u8; 32] = [0xbb; 32];

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

struct Scene {
    laptop: DeviceKeys,
    phone: DeviceKeys,
    account: NewAccount,
}

impl Scene {
    fn new() -> Self {
        Self::of(1)
    }

    fn of(seed: u64) -> Self {
        let mut rng = rng(seed);
        let laptop = DeviceKeys::generate(&mut rng);
        let phone = DeviceKeys::generate(&mut rng);
        let [author, other] = [&laptop, &phone].map(|keys| NamedDevice { keys, name: "" });
        let account = create_account(HOME, author, &[other], &mut rng).unwrap();
        Self {
            laptop,
            phone,
            account,
        }
    }

    /// The genesis, changed and signed again.
    fn genesis(&self, change: impl FnOnce(&mut wire::AccountGenesis)) -> AccountLog {
        let mut entry = decode(&self.account.genesis);
        let Some(account_entry::Body::Genesis(genesis)) = &mut entry.body else {
            unreachable!()
        };
        change(genesis);
        let mut signers = [&self.laptop, &self.phone];
        signers.sort_by_key(|device| device.id());
        AccountLog::verify_genesis(&sign_account(&entry, &signers)).unwrap()
    }

    /// The entry that removes the phone, changed and signed again.
    fn removal(&self, change: impl FnOnce(&mut wire::AccountKey)) -> AccountLog {
        self.removal_after(&self.account.log, change)
    }

    fn removal_after(
        &self,
        log: &AccountLog,
        change: impl FnOnce(&mut wire::AccountKey),
    ) -> AccountLog {
        let author = AccountAuthor {
            log,
            secrets: &AccountSecrets::open(log, &self.laptop).unwrap(),
            device: &self.laptop,
        };
        let entry = author.remove_device(&self.phone.id(), &mut rng(2)).unwrap();
        let mut entry = decode(&entry);
        let Some(account_entry::Body::RemoveDevice(removal)) = &mut entry.body else {
            unreachable!()
        };
        change(removal.account_key.as_mut().unwrap());
        let mut log = log.clone();
        log.append(&sign_account(&entry, &[&self.laptop])).unwrap();
        log
    }

    /// The genesis with noise in the laptop's box.
    fn deaf_genesis(&self) -> AccountLog {
        let laptop = self.laptop.id().to_vec();
        self.genesis(|genesis| {
            let seeds = &mut genesis.account_key.as_mut().unwrap().seeds;
            let own = seeds.iter_mut().find(|seed| seed.device == laptop);
            flip(&mut own.unwrap().r#box);
        })
    }

    /// What stays closed to the laptop.
    fn closed(&self, log: &AccountLog) -> Vec<AccountSecretsError> {
        let secrets = AccountSecrets::open(log, &self.laptop).unwrap();
        secrets.closed().collect()
    }

    fn unopenable(&self, generation: u64) -> AccountSecretsError {
        let author = self.laptop.id();
        AccountSecretsError::Unopenable { generation, author }
    }

    fn wrong_key(&self, generation: u64) -> AccountSecretsError {
        let author = self.laptop.id();
        AccountSecretsError::WrongKey { generation, author }
    }

    /// A vault whose genesis and first rotation are changed and signed again.
    fn vault(
        &self,
        change_genesis: impl FnOnce(&mut wire::Epoch),
        change_rotation: impl FnOnce(&mut wire::Epoch),
    ) -> VaultLog {
        let (accounts, device) = (&self.account.log, &self.laptop);
        let secrets = &self.account.secrets;
        let kind = VaultKind::Storage;
        let vault = create_vault(kind, HOME, accounts, secrets, device, &mut rng(3)).unwrap();
        let mut entry = wire::VaultEntry::decode(&*vault.genesis.payload).unwrap();
        let Some(vault_entry::Body::Genesis(genesis)) = &mut entry.body else {
            unreachable!()
        };
        change_genesis(genesis.epoch.as_mut().unwrap());
        let mut log = VaultLog::verify_genesis(&sign_vault(&entry, device), accounts).unwrap();

        let author = VaultAuthor {
            log: &log,
            accounts,
            head: None,
            account: accounts.id(),
            device,
        };
        let first = *vault.keys.current_secret().unwrap().as_bytes();
        let keys = VaultKeys::from_epoch_secrets(log.id(), &[first]);
        let rotation = author.rotate(&keys, &mut rng(4)).unwrap();
        let mut entry = wire::VaultEntry::decode(&*rotation.payload).unwrap();
        let Some(vault_entry::Body::Rotate(rotate)) = &mut entry.body else {
            unreachable!()
        };
        change_rotation(rotate.epoch.as_mut().unwrap());
        log.append(&sign_vault(&entry, device), accounts).unwrap();
        log
    }

    fn open_vault(&self, log: &VaultLog) -> Result<VaultKeys, VaultKeysError> {
        VaultKeys::open(log, &self.account.secrets)
    }

    /// Why epochs stay closed: the first as an error, others in the list.
    fn closed_epochs(&self, log: &VaultLog) -> Vec<VaultKeysError> {
        match self.open_vault(log) {
            Ok(keys) => keys.closed().collect(),
            Err(error) => vec![error],
        }
    }

    fn unopenable_epoch(&self, epoch: u64) -> VaultKeysError {
        let author = self.laptop.id();
        VaultKeysError::Unopenable { epoch, author }
    }

    fn wrong_commitment(&self, epoch: u64) -> VaultKeysError {
        let author = self.laptop.id();
        VaultKeysError::WrongCommitment { epoch, author }
    }
}

fn decode(entry: &SignedEntry) -> wire::AccountEntry {
    wire::AccountEntry::decode(&*entry.payload).unwrap()
}

fn sign_account(entry: &wire::AccountEntry, signers: &[&DeviceKeys]) -> SignedEntry {
    let payload = entry.encode_to_vec();
    let signatures = signers
        .iter()
        .map(|device| (device.id(), device.sign(SignLabel::AccountEntry, &payload)));
    UnsignedEntry::account(entry).with_signatures(signatures)
}

fn sign_vault(entry: &wire::VaultEntry, device: &DeviceKeys) -> SignedEntry {
    let signature = device.sign(SignLabel::VaultEntry, &entry.encode_to_vec());
    UnsignedEntry::vault(entry).with_signatures([(device.id(), signature)])
}

fn flip(bytes: &mut [u8]) {
    bytes[bytes.len() / 2] ^= 1;
}

#[test]
fn an_account_seed_must_open() {
    let scene = Scene::new();
    let log = scene.deaf_genesis();
    assert_eq!(scene.closed(&log), [scene.unopenable(1)]);
    let secrets = AccountSecrets::open(&log, &scene.laptop).unwrap();
    assert_eq!(secrets.newest().unwrap_err(), scene.unopenable(1));
    assert!(secrets.kem(1).is_none());
    // With the wrapped seed and without.
    assert_eq!(scene.closed(&scene.removal(|_| {})), []);
    let log = scene.removal_after(&log, |key| flip(&mut key.previous_seed));
    assert_eq!(scene.closed(&log), [scene.unopenable(1)]);
}

#[test]
fn a_box_is_opened_at_its_own_place_only() {
    let scene = Scene::new();
    // The two devices' boxes change places.
    let log = scene.genesis(|genesis| {
        let seeds = &mut genesis.account_key.as_mut().unwrap().seeds;
        let first = seeds[0].r#box.clone();
        seeds[0].r#box = seeds[1].r#box.clone();
        seeds[1].r#box = first;
    });
    assert_eq!(scene.closed(&log), [scene.unopenable(1)]);
    // The genesis's box stands in a later entry.
    let log = scene.removal(|key| {
        let genesis = decode(&scene.account.genesis);
        let Some(account_entry::Body::Genesis(genesis)) = genesis.body else {
            unreachable!()
        };
        let seeds = genesis.account_key.unwrap().seeds;
        let laptop = scene.laptop.id().to_vec();
        let own = seeds.iter().find(|seed| seed.device == laptop).unwrap();
        key.seeds[0].r#box = own.r#box.clone();
    });
    assert_eq!(scene.closed(&log), [scene.unopenable(2)]);
}

#[test]
fn an_account_seed_must_be_that_of_the_public_key() {
    let scene = Scene::new();
    let wrong = Secret::from_array(WRONG);
    let laptop = &scene.laptop;
    // One device is given another seed than the rest.
    let log = scene.genesis(|genesis| {
        let context = seed_box_context(laptop.id(), None, 1);
        for seed in &mut genesis.account_key.as_mut().unwrap().seeds {
            if seed.device == laptop.id().to_vec() {
                seed.r#box = seal_box(laptop.kem_key(), &context, &wrong, &mut rng(5));
            }
        }
    });
    assert_eq!(scene.closed(&log), [scene.wrong_key(1)]);
    let phone = AccountSecrets::open(&log, &scene.phone).unwrap();
    assert_eq!(phone.closed().count(), 0);
    // The seed before is replaced by another; no box of its own helps.
    let deaf = scene.deaf_genesis();
    let honest = scene.removal_after(&deaf, |_| {});
    let secrets = AccountSecrets::open(&honest, laptop).unwrap();
    let seed = secrets.newest().unwrap().seed();
    let log = scene.removal_after(&deaf, |key| {
        key.previous_seed = wrap_seed(seed, 2, &wrong, &mut rng(6));
    });
    assert_eq!(scene.closed(&log), [scene.unopenable(1)]);
}

#[test]
fn an_epoch_secret_must_open() {
    let scene = Scene::new();
    let log = scene.vault(|_| {}, |_| {});
    let keys = scene.open_vault(&log).unwrap();
    assert_eq!((keys.current_epoch(), keys.closed().count()), (2, 0));
    let log = scene.vault(|_| {}, |epoch| flip(&mut epoch.boxes[0].r#box));
    assert_eq!(scene.closed_epochs(&log), [scene.unopenable_epoch(2)]);
    let keys = scene.open_vault(&log).unwrap();
    assert_eq!(keys.check_current(), Err(scene.unopenable_epoch(2)));
    assert_eq!([1, 2].map(|epoch| keys.has_epoch(epoch)), [true, false]);
    // His own box of the first epoch does where the wrapped secret does not.
    let log = scene.vault(|_| {}, |epoch| flip(&mut epoch.previous_secret));
    assert_eq!(scene.closed_epochs(&log), []);
    let flip_first = |epoch: &mut wire::Epoch| flip(&mut epoch.boxes[0].r#box);
    assert_eq!(scene.closed_epochs(&scene.vault(flip_first, |_| {})), []);
    let log = scene.vault(flip_first, |epoch| flip(&mut epoch.previous_secret));
    assert_eq!(scene.closed_epochs(&log), [scene.unopenable_epoch(1)]);
    // The genesis's box stands in the rotation.
    let mut first = Vec::new();
    scene.vault(|epoch| first.clone_from(&epoch.boxes[0].r#box), |_| {});
    let log = scene.vault(|_| {}, |epoch| epoch.boxes[0].r#box = first);
    assert_eq!(scene.closed_epochs(&log), [scene.unopenable_epoch(2)]);
}

#[test]
fn an_epoch_secret_must_be_the_one_committed_to() {
    let scene = Scene::new();
    let wrong = Secret::from_array(WRONG);
    for epoch in [1, 2] {
        let change = |number: u64| {
            move |record: &mut wire::Epoch| {
                if number == epoch {
                    flip(&mut record.commitment);
                }
            }
        };
        let log = scene.vault(change(1), change(2));
        assert_eq!(scene.closed_epochs(&log), [scene.wrong_commitment(epoch)]);
    }
    // The box of one member holds another secret.
    let vault_id = scene.vault(|_| {}, |_| {}).id();
    let log = scene.vault(
        |_| {},
        |epoch| {
            let context = epoch_box_context(scene.laptop.id(), Some(vault_id), 2);
            let key = scene.account.secrets.newest().unwrap().public();
            epoch.boxes[0].r#box = seal_box(key, &context, &wrong, &mut rng(7));
        },
    );
    assert_eq!(scene.closed_epochs(&log), [scene.wrong_commitment(2)]);
}

#[test]
fn a_wrapped_secret_belongs_to_its_vault_and_epoch() {
    let scene = Scene::new();
    let wrong = Secret::from_array(WRONG);
    // Without a box that opens, the wrapped secret is the only way.
    let deaf = |epoch: &mut wire::Epoch| flip(&mut epoch.boxes[0].r#box);
    let honest = scene.vault(deaf, |_| {});
    let keys = scene.open_vault(&honest).unwrap();
    let [first, secret] = [1, 2].map(|epoch| keys.epoch(epoch).unwrap().secret.clone());
    for (salt, number, wrapped) in [
        ([0; 32], 2, &first),
        (*honest.salt(), 3, &first),
        (*honest.salt(), 2, &wrong),
    ] {
        let wrapped = wrap_secret(&secret, &salt, number, wrapped, &mut rng(9));
        let log = scene.vault(deaf, |epoch| epoch.previous_secret = wrapped);
        assert_eq!(scene.closed_epochs(&log), [scene.unopenable_epoch(1)]);
    }
}

#[test]
fn names_open_in_their_generation_only() {
    let scene = Scene::new();
    let log = scene.removal(|_| {});
    let secrets = AccountSecrets::open(&log, &scene.laptop).unwrap();
    let sealed = secrets.seal_name("grenier", &mut rng(11)).unwrap();
    assert_eq!(secrets.open_name(&sealed).unwrap(), "grenier");
    for generation in [0_u64, 1, 3, u64::MAX] {
        let mut other = sealed.clone();
        other[..8].copy_from_slice(&generation.to_le_bytes());
        assert!(secrets.open_name(&other).is_err());
    }
    for position in 0..sealed.len() {
        let mut flipped = sealed.clone();
        flipped[position] ^= 1;
        assert!(secrets.open_name(&flipped).is_err());
        assert!(secrets.open_name(&sealed[..position]).is_err());
    }
}

#[test]
fn epochs_count_from_one() {
    let vault = vault_proto::ids::VaultId::from_array([1; 32]);
    let keys = VaultKeys::from_epoch_secrets(vault, &[[1; 32], [2; 32]]);
    assert_eq!(keys.current_epoch(), 2);
    let known = [0, 1, 2, 3, u64::MAX].map(|epoch| keys.has_epoch(epoch));
    assert_eq!(known, [false, true, true, false, false]);
    // What names and cuts comes from the first epoch, whatever follows.
    let alone = VaultKeys::from_epoch_secrets(vault, &[[1; 32]]);
    for kind in crate::chunk::ChunkKind::ALL {
        assert_eq!(alone.chunk_id(kind, b"x"), keys.chunk_id(kind, b"x"));
    }
    let hash = |keys: &VaultKeys| *keys.file_chunker().universal_hash();
    assert_eq!(hash(&alone), hash(&keys));
    assert_ne!(hash(&keys), *keys.metadata_chunker().universal_hash());
    assert_ne!(
        keys.file_chunker().cipher(),
        keys.metadata_chunker().cipher()
    );
}
