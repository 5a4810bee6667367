//! Logs whose public half is in order, and whose sealed half a member wrote who
//! does as he likes.

use prost::Message;
use rand::rngs::ChaCha20Rng;
use rand_core::SeedableRng;
use vault_proto::{
    account_log::AccountLog,
    entry::UnsignedEntry,
    ids::HosterId,
    sign::SignLabel,
    vault_log::{VaultKind, VaultLog},
    wire::{self, SignedEntry, account_entry, vault_entry},
};

use super::{
    account::{seed_box_context, wrap_seed},
    vault::{commitment, epoch_box_context, wrap_secret},
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
        let mut rng = rng(1);
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
        let author = AccountAuthor {
            log: &self.account.log,
            secrets: &self.account.secrets,
            device: &self.laptop,
        };
        let entry = author.remove_device(&self.phone.id(), &mut rng(2)).unwrap();
        let mut entry = decode(&entry);
        let Some(account_entry::Body::RemoveDevice(removal)) = &mut entry.body else {
            unreachable!()
        };
        change(removal.account_key.as_mut().unwrap());
        let mut log = self.account.log.clone();
        log.append(&sign_account(&entry, &[&self.laptop])).unwrap();
        log
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
        let keys = VaultKeys::derive(log.id(), vec![vault.keys.current_secret().clone()]);
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
    let log = scene.genesis(|genesis| {
        for seed in &mut genesis.account_key.as_mut().unwrap().seeds {
            flip(&mut seed.r#box);
        }
    });
    assert_eq!(
        AccountSecrets::open(&log, &scene.laptop).unwrap_err(),
        AccountSecretsError::Unopenable { generation: 1 }
    );
    let log = scene.removal(|key| flip(&mut key.previous_seed));
    assert_eq!(
        AccountSecrets::open(&log, &scene.laptop).unwrap_err(),
        AccountSecretsError::Unopenable { generation: 1 }
    );
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
    // The genesis's box stands in a later entry.
    let later = scene.removal(|key| {
        let genesis = decode(&scene.account.genesis);
        let Some(account_entry::Body::Genesis(genesis)) = genesis.body else {
            unreachable!()
        };
        let seeds = genesis.account_key.unwrap().seeds;
        let laptop = scene.laptop.id().to_vec();
        let own = seeds.iter().find(|seed| seed.device == laptop).unwrap();
        key.seeds[0].r#box = own.r#box.clone();
    });
    for (log, generation) in [(log, 1), (later, 2)] {
        assert_eq!(
            AccountSecrets::open(&log, &scene.laptop).unwrap_err(),
            AccountSecretsError::Unopenable { generation }
        );
    }
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
    assert_eq!(
        AccountSecrets::open(&log, laptop).unwrap_err(),
        AccountSecretsError::WrongKey { generation: 1 }
    );
    assert!(AccountSecrets::open(&log, &scene.phone).is_ok());
    // The seed before is replaced by another.
    let honest = scene.removal(|_| {});
    let secrets = AccountSecrets::open(&honest, laptop).unwrap();
    let log = scene.removal(|key| {
        key.previous_seed = wrap_seed(secrets.newest().seed(), 2, &wrong, &mut rng(6));
    });
    assert_eq!(
        AccountSecrets::open(&log, laptop).unwrap_err(),
        AccountSecretsError::WrongKey { generation: 1 }
    );
}

#[test]
fn an_epoch_secret_must_open() {
    let scene = Scene::new();
    let log = scene.vault(|_| {}, |_| {});
    assert_eq!(scene.open_vault(&log).unwrap().current_epoch(), 2);
    let log = scene.vault(|_| {}, |epoch| flip(&mut epoch.boxes[0].r#box));
    assert_eq!(
        scene.open_vault(&log).unwrap_err(),
        VaultKeysError::Unopenable { epoch: 2 }
    );
    let log = scene.vault(|_| {}, |epoch| flip(&mut epoch.previous_secret));
    assert_eq!(
        scene.open_vault(&log).unwrap_err(),
        VaultKeysError::Unopenable { epoch: 1 }
    );
    // The genesis's box stands in the rotation.
    let mut first = Vec::new();
    scene.vault(|epoch| first.clone_from(&epoch.boxes[0].r#box), |_| {});
    let log = scene.vault(|_| {}, |epoch| epoch.boxes[0].r#box = first);
    assert_eq!(
        scene.open_vault(&log).unwrap_err(),
        VaultKeysError::Unopenable { epoch: 2 }
    );
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
        let error = scene.open_vault(&log).unwrap_err();
        assert_eq!(error, VaultKeysError::WrongCommitment { epoch });
    }
    // The box of one member holds another secret.
    let vault_id = scene.vault(|_| {}, |_| {}).id();
    let log = scene.vault(
        |_| {},
        |epoch| {
            let context = epoch_box_context(scene.laptop.id(), Some(vault_id), 2);
            let key = scene.account.secrets.newest().public();
            epoch.boxes[0].r#box = seal_box(key, &context, &wrong, &mut rng(7));
        },
    );
    assert_eq!(
        scene.open_vault(&log).unwrap_err(),
        VaultKeysError::WrongCommitment { epoch: 2 }
    );
    // The secret before is replaced by another.
    let honest = scene.vault(|_| {}, |_| {});
    let keys = scene.open_vault(&honest).unwrap();
    let secret = keys.current_secret();
    let log = scene.vault(
        |_| {},
        |epoch| {
            assert_eq!(epoch.commitment, commitment(secret));
            epoch.previous_secret = wrap_secret(secret, honest.salt(), 2, &wrong, &mut rng(8));
        },
    );
    assert_eq!(
        scene.open_vault(&log).unwrap_err(),
        VaultKeysError::WrongCommitment { epoch: 1 }
    );
}

#[test]
fn a_wrapped_secret_belongs_to_its_vault_and_epoch() {
    let scene = Scene::new();
    let honest = scene.vault(|_| {}, |_| {});
    let keys = scene.open_vault(&honest).unwrap();
    let (secret, first) = (keys.current_secret(), keys.epoch(1).unwrap().secret.clone());
    for (salt, number) in [([0; 32], 2), (*honest.salt(), 3)] {
        let wrapped = wrap_secret(secret, &salt, number, &first, &mut rng(9));
        let log = scene.vault(|_| {}, |epoch| epoch.previous_secret = wrapped);
        assert_eq!(
            scene.open_vault(&log).unwrap_err(),
            VaultKeysError::Unopenable { epoch: 1 }
        );
    }
    let honest = scene.removal(|_| {});
    let secrets = AccountSecrets::open(&honest, &scene.laptop).unwrap();
    let [first, second] = [1, 2].map(|generation| secrets.kem(generation).unwrap().seed());
    let wrapped = wrap_seed(second, 3, first, &mut rng(10));
    let log = scene.removal(|key| key.previous_seed = wrapped);
    assert_eq!(
        AccountSecrets::open(&log, &scene.laptop).unwrap_err(),
        AccountSecretsError::Unopenable { generation: 1 }
    );
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
