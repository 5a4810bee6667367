//! Account logs.

use crate::account_log::{AccountLog, genesis_entry};
use crate::entry::UnsignedEntry;
use crate::ids::{AccountId, DeviceId};
use crate::position::LogPosition;
use crate::testing::{TestDevice, a_box, a_wrapped_secret, filler, hoster};
use crate::wire::{self, SignedEntry, account_entry::Body};

/// An account with the secret keys of its devices.
#[derive(Clone)]
pub(crate) struct TestAccount {
    pub(crate) name: String,
    pub(crate) machine: TestDevice,
    pub(crate) paper: TestDevice,
    pub(crate) log: AccountLog,
}

impl TestAccount {
    /// A machine and a paper, which the machine put into the genesis.
    pub(crate) fn new(name: &str) -> Self {
        let machine = TestDevice::machine(&format!("{name} machine"));
        let paper = TestDevice::paper(&format!("{name} paper"));
        let devices = [&machine, &paper];
        let entry = genesis_entry(machine.id(), Self::genesis(name, &devices));
        let log = AccountLog::verify_genesis(&signed_account(&entry, &in_order(&devices)));
        Self {
            name: name.to_owned(),
            machine,
            paper,
            log: log.unwrap(),
        }
    }

    /// A genesis of these devices, in the order of their ids.
    pub(crate) fn genesis(name: &str, devices: &[&TestDevice]) -> wire::AccountGenesis {
        let devices = in_order(devices);
        wire::AccountGenesis {
            salt: filler(&format!("{name} salt"), 32),
            home: hoster("home").to_vec(),
            devices: devices.iter().map(|device| new_device(device)).collect(),
            account_key: Some(account_key(name, 1, devices.iter().map(|d| d.id()))),
        }
    }

    pub(crate) fn id(&self) -> AccountId {
        self.log.id()
    }

    pub(crate) fn position(&self) -> LogPosition {
        self.log.position()
    }

    pub(crate) fn position_at(&self, seq: u64) -> LogPosition {
        let hash = self.log.hash_at(seq).unwrap();
        LogPosition { seq, hash }
    }

    /// The next entry, by the machine.
    pub(crate) fn draft(&self, body: Body) -> wire::AccountEntry {
        self.log.next_entry(self.machine.id(), body)
    }

    /// The next entry, by the paper.
    pub(crate) fn paper_draft(&self, body: Body) -> wire::AccountEntry {
        self.log.next_entry(self.paper.id(), body)
    }

    pub(crate) fn add(&self, device: &TestDevice) -> Body {
        Body::AddDevice(wire::AddDevice {
            device: Some(new_device(device)),
            seed: Some(seed_box(device.id())),
        })
    }

    /// Removes a device, with the next account key for those that remain.
    pub(crate) fn remove(&self, device: &TestDevice) -> Body {
        let seq = self.position().seq;
        let remaining = self
            .log
            .active_devices_at(seq)
            .map(|record| record.public.id())
            .filter(|id| *id != device.id());
        let generation = self.log.account_key().generation + 1;
        Body::RemoveDevice(wire::RemoveDevice {
            device: device.id().to_vec(),
            account_key: Some(account_key(&self.name, generation, remaining)),
        })
    }

    pub(crate) fn rename(&self, device: &TestDevice) -> Body {
        Body::RenameDevice(wire::RenameDevice {
            device: device.id().to_vec(),
            sealed_name: filler("another name", 90),
        })
    }

    pub(crate) fn moved(&self) -> Body {
        Body::Moved(wire::AccountMoved {
            home: hoster("elsewhere").to_vec(),
            origin: "elsewhere.example:443".to_owned(),
        })
    }

    /// Appends an entry of the machine's; `with` signs after it.
    pub(crate) fn append(&mut self, body: Body, with: &[&TestDevice]) {
        let entry = self.draft(body);
        let signers = [&[&self.machine], with].concat();
        self.log.append(&signed_account(&entry, &signers)).unwrap();
    }

    /// Appends an entry of the paper's.
    pub(crate) fn append_by_paper(&mut self, body: Body) {
        let entry = signed_account(&self.paper_draft(body), &[&self.paper]);
        self.log.append(&entry).unwrap();
    }

    /// A device is added and removed again: the account key has a new generation.
    pub(crate) fn renew_account_key(&mut self) -> TestDevice {
        let seq = self.position().seq;
        let device = TestDevice::machine(&format!("{} machine after {seq}", self.name));
        self.append(self.add(&device), &[&device]);
        self.append(self.remove(&device), &[]);
        device
    }
}

/// The entry, signed by these devices in this order.
pub(crate) fn signed_account(entry: &wire::AccountEntry, signers: &[&TestDevice]) -> SignedEntry {
    signed_by(UnsignedEntry::account(entry), signers)
}

pub(crate) fn signed_by(entry: UnsignedEntry, signers: &[&TestDevice]) -> SignedEntry {
    let message = entry.to_sign();
    let signatures = signers
        .iter()
        .map(|device| (device.id(), device.sign(&message)));
    entry.with_signatures(signatures)
}

pub(crate) fn in_order<'a>(devices: &[&'a TestDevice]) -> Vec<&'a TestDevice> {
    let mut devices = devices.to_vec();
    devices.sort_by_key(|device| device.id());
    devices
}

fn new_device(device: &TestDevice) -> wire::NewDevice {
    wire::NewDevice {
        public: Some(device.public.to_wire()),
        sealed_name: filler(&format!("name {}", device.id()), 72),
    }
}

fn account_key(
    name: &str,
    generation: u64,
    devices: impl Iterator<Item = DeviceId>,
) -> wire::AccountKey {
    let seed = format!("{name} account key {generation}");
    wire::AccountKey {
        generation,
        kem_key: filler(&seed, 1216),
        seeds: devices.map(seed_box).collect(),
        previous_seed: match generation {
            1 => Vec::new(),
            _ => a_wrapped_secret(&seed),
        },
    }
}

fn seed_box(device: DeviceId) -> wire::SealedSeed {
    wire::SealedSeed {
        device: device.to_vec(),
        r#box: a_box(&device.to_string()),
    }
}
