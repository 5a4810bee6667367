//! Devices and the account log that names them.

use ed25519_dalek::{Signer, SigningKey};
use tonic::Status;
use vault_proto::{
    account_log,
    device::{DeviceKind, DevicePublic, KemKey},
    entry::{BOX_BYTES, UnsignedEntry},
    ids::{DeviceId, HosterId},
    sign::VerifyingKey,
    wire,
};
use vault_rpc::hoster::AppendAccountEntryRequest;

use super::{Member, random};

/// A device's keys.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) signing: SigningKey,
    pub(crate) public: DevicePublic,
}

impl Device {
    pub(crate) fn generate(kind: DeviceKind) -> Self {
        let signing = SigningKey::from_bytes(&random());
        let key = VerifyingKey::from_slice(signing.verifying_key().as_bytes()).unwrap();
        let kem = KemKey::from_slice(&random::<1216>()).unwrap();
        Self {
            signing,
            public: DevicePublic::new(kind, key, kem),
        }
    }

    pub(crate) fn id(&self) -> DeviceId {
        self.public.id()
    }

    pub(crate) fn sign_entry(&self, entry: UnsignedEntry) -> wire::SignedEntry {
        let signature = self.signing.sign(&entry.to_sign()).to_bytes();
        entry.with_signatures([(self.id(), signature)])
    }
}

/// A genesis of one paper device.
pub(crate) fn genesis(device: &Device, home: HosterId) -> wire::SignedEntry {
    let entry = account_log::genesis_entry(
        device.id(),
        wire::AccountGenesis {
            salt: random::<32>().to_vec(),
            home: home.to_vec(),
            devices: vec![wire::NewDevice {
                public: Some(device.public.to_wire()),
                sealed_name: vec![1; 40],
            }],
            account_key: Some(wire::AccountKey {
                generation: 1,
                kem_key: random::<1216>().to_vec(),
                seeds: vec![sealed_seed(&device.id())],
                previous_seed: Vec::new(),
            }),
        },
    );
    device.sign_entry(UnsignedEntry::account(&entry))
}

impl Member {
    /// Adds a machine to the account, and is it.
    pub(crate) async fn add_device(&mut self) -> Self {
        let (device, entry) = self.addition();
        self.append(entry).await.unwrap();
        Self {
            device,
            token: Vec::new(),
            ..self.clone()
        }
    }

    /// A machine, and the entry that adds it.
    pub(crate) fn addition(&self) -> (Device, wire::SignedEntry) {
        let device = Device::generate(DeviceKind::Machine);
        let body = wire::account_entry::Body::AddDevice(wire::AddDevice {
            device: Some(wire::NewDevice {
                public: Some(device.public.to_wire()),
                sealed_name: vec![2; 40],
            }),
            seed: Some(sealed_seed(&device.id())),
        });
        let entry = self.log.next_entry(self.device.id(), body);
        let entry = UnsignedEntry::account(&entry);
        let to_sign = entry.to_sign();
        let signatures = [&self.device, &device]
            .map(|signer| (signer.id(), signer.signing.sign(&to_sign).to_bytes()));
        (device, entry.with_signatures(signatures))
    }

    /// Removes a device of the account, which begins a new account key.
    pub(crate) async fn remove_device(&mut self, device: DeviceId) {
        let entry = self.removal(device);
        self.append(entry).await.unwrap();
    }

    pub(crate) fn removal(&self, device: DeviceId) -> wire::SignedEntry {
        let seq = self.log.position().seq;
        let staying = self
            .log
            .active_devices_at(seq)
            .map(|record| record.public.id());
        let seeds = staying
            .filter(|id| *id != device)
            .map(|id| sealed_seed(&id));
        let body = wire::account_entry::Body::RemoveDevice(wire::RemoveDevice {
            device: device.to_vec(),
            account_key: Some(wire::AccountKey {
                generation: self.log.account_key().generation + 1,
                kem_key: random::<1216>().to_vec(),
                seeds: seeds.collect(),
                previous_seed: random::<72>().to_vec(),
            }),
        });
        let entry = self.log.next_entry(self.device.id(), body);
        self.device.sign_entry(UnsignedEntry::account(&entry))
    }

    /// Appends to the account log, here and at the hoster.
    pub(crate) async fn append(&mut self, entry: wire::SignedEntry) -> Result<(), Status> {
        let mut log = self.log.clone();
        log.append(&entry).unwrap();
        self.send_account_entry(entry).await?;
        self.log = log;
        Ok(())
    }

    pub(crate) async fn send_account_entry(&self, entry: wire::SignedEntry) -> Result<(), Status> {
        let request = self.request(AppendAccountEntryRequest { entry: Some(entry) });
        self.client.clone().append_account_entry(request).await?;
        Ok(())
    }
}

fn sealed_seed(device: &DeviceId) -> wire::SealedSeed {
    wire::SealedSeed {
        device: device.to_vec(),
        r#box: random::<BOX_BYTES>().to_vec(),
    }
}
