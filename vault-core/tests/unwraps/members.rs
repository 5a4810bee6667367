//! A member and a vault whose logs can be had with anything sealed in their last entry.

use std::collections::BTreeMap;

use prost::Message;
use rand::rngs::ChaCha20Rng;
use vault_core::{
    author::{AccountAuthor, NamedDevice, VaultAuthor, create_account, create_vault},
    keys::{AccountSecrets, DeviceKeys, RecoveryPhrase},
};
use vault_proto::{
    account_log::AccountLog,
    ids::{AccountId, HosterId},
    sign::SignLabel,
    vault_log::{VaultKind, VaultLog},
    wire::{self, SignedEntry, account_entry, vault_entry},
};

use crate::support::rng;

pub const HOME: HosterId = HosterId::from_array([7; 32]);

/// A member of whom a phone was taken away: his account key has two generations.
pub struct Member {
    pub laptop: DeviceKeys,
    pub paper: DeviceKeys,
    /// Without its last entry.
    before: AccountLog,
    /// That one, by the paper.
    removal: SignedEntry,
    pub log: AccountLog,
    rng: ChaCha20Rng,
}

impl Member {
    pub fn new(seed: u64) -> Self {
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

    pub fn secrets(&self) -> AccountSecrets {
        AccountSecrets::open(&self.log, &self.laptop).unwrap()
    }

    /// The log with a device more, which has no box of the first generation.
    pub fn with_tablet(&self, mut log: AccountLog) -> (AccountLog, DeviceKeys) {
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
    pub fn with(&self, change: impl FnOnce(&mut wire::AccountKey)) -> AccountLog {
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

/// A vault of one member, in its second epoch.
pub struct Rotated {
    pub member: Member,
    pub accounts: BTreeMap<AccountId, AccountLog>,
    before: VaultLog,
    rotation: SignedEntry,
    pub log: VaultLog,
}

impl Rotated {
    pub fn new() -> Self {
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

    pub fn with(&self, change: impl FnOnce(&mut wire::Epoch)) -> VaultLog {
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
