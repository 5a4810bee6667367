//! The rules of an account log: each check gives the change to make, or why not.

use std::collections::BTreeMap;

use super::payload::{AccountKey, Body, NewDevice, Payload, SeedBox};
use super::{
    AccountKeyRecord, AccountLog, AccountLogError, DeviceRecord, MAX_ACTIVE_DEVICES,
    MAX_DEVICES_BY_MACHINES, MAX_GENESIS_DEVICES,
};
use crate::device::{DeviceKind, DevicePublic};
use crate::entry::{SealedBox, verify_signatures};
use crate::ids::{DeviceId, EntryHash, HosterId};
use crate::origin::Origin;
use crate::sign::{SignLabel, VerifyingKey};
use crate::wire::SignedEntry;

pub(super) struct Genesis {
    pub(super) hash: EntryHash,
    pub(super) home: HosterId,
    pub(super) devices: BTreeMap<DeviceId, DeviceRecord>,
    pub(super) account_key: AccountKeyRecord,
}

pub(super) enum Change {
    Add {
        record: Box<DeviceRecord>,
        seed: SealedBox,
    },
    Remove {
        device: DeviceId,
        account_key: AccountKeyRecord,
    },
    Rename {
        device: DeviceId,
        sealed_name: Vec<u8>,
    },
    Moved {
        home: HosterId,
        origin: Origin,
    },
}

pub(super) fn check_genesis(
    payload: Payload,
    entry: &SignedEntry,
) -> Result<Genesis, AccountLogError> {
    let Body::Genesis {
        home,
        devices,
        account_key,
    } = payload.body
    else {
        return Err(AccountLogError::NotGenesis);
    };
    if payload.seq != 1 {
        return Err(AccountLogError::Missing {
            expected: 1,
            got: payload.seq,
        });
    }
    if !(1..=MAX_GENESIS_DEVICES).contains(&devices.len()) {
        return Err(AccountLogError::GenesisDevices(devices.len()));
    }
    if !devices.is_sorted_by(|a, b| a.public.id() < b.public.id()) {
        return Err(AccountLogError::DeviceOrder);
    }
    let mut records = BTreeMap::new();
    for device in devices {
        check_keys_are_new(&records, &device.public)?;
        records.insert(device.public.id(), into_record(device, 1, true));
    }
    if !records.contains_key(&payload.author) {
        return Err(AccountLogError::AuthorNotActive);
    }
    let boxes_for: Vec<DeviceId> = records.keys().copied().collect();
    let account_key = check_account_key(account_key, 1, &boxes_for, payload.author, payload.seq)?;
    let signers: Vec<_> = records
        .values()
        .map(|record| signer(&record.public))
        .collect();
    verify_signatures(SignLabel::AccountEntry, entry, &signers)?;
    Ok(Genesis {
        hash: payload.hash,
        home,
        devices: records,
        account_key,
    })
}

pub(super) fn check_next(
    log: &AccountLog,
    payload: Payload,
    entry: &SignedEntry,
) -> Result<Change, AccountLogError> {
    check_place(log, &payload)?;
    let author = log
        .active_device(&payload.author)
        .ok_or(AccountLogError::AuthorNotActive)?;
    let mut signers = vec![signer(&author.public)];
    let seq = payload.seq;
    let change = match payload.body {
        Body::Genesis { .. } => return Err(AccountLogError::GenesisAgain),
        Body::Add { device, seed } => check_add(log, device, seed, author, seq)?,
        Body::Remove {
            device,
            account_key,
        } => check_remove(log, device, account_key, author, seq)?,
        Body::Rename {
            device,
            sealed_name,
        } => {
            log.active_device(&device)
                .ok_or(AccountLogError::DeviceNotActive(device))?;
            Change::Rename {
                device,
                sealed_name,
            }
        }
        Body::Moved { home, origin } => {
            check_rooted(author)?;
            if home == log.home {
                return Err(AccountLogError::SameHome);
            }
            Change::Moved { home, origin }
        }
    };
    if let Change::Add { record, .. } = &change {
        signers.push(signer(&record.public));
    }
    verify_signatures(SignLabel::AccountEntry, entry, &signers)?;
    Ok(change)
}

/// The entry is of this log, the next one, and follows the last one.
fn check_place(log: &AccountLog, payload: &Payload) -> Result<(), AccountLogError> {
    let last = log.position();
    let (Some(account), Some(previous)) = (payload.account, payload.previous) else {
        return Err(match payload.hash == log.hashes[0] {
            true => AccountLogError::Repeated { seq: 1 },
            false => AccountLogError::GenesisAgain,
        });
    };
    if account != log.id {
        return Err(AccountLogError::OtherAccount { expected: log.id });
    }
    if payload.seq > last.seq + 1 || payload.seq == 0 {
        return Err(AccountLogError::Missing {
            expected: last.seq + 1,
            got: payload.seq,
        });
    }
    if payload.seq <= last.seq {
        let seq = payload.seq;
        return Err(match log.hash_at(seq) == Some(payload.hash) {
            true => AccountLogError::Repeated { seq },
            false => AccountLogError::Fork { seq },
        });
    }
    if previous != last.hash {
        return Err(AccountLogError::Fork { seq: last.seq });
    }
    Ok(())
}

fn check_add(
    log: &AccountLog,
    device: NewDevice,
    seed: SeedBox,
    author: &DeviceRecord,
    seq: u64,
) -> Result<Change, AccountLogError> {
    check_keys_are_new(&log.devices, &device.public)?;
    let most = if author.is_rooted {
        MAX_ACTIVE_DEVICES
    } else {
        MAX_DEVICES_BY_MACHINES
    };
    if log.active_devices().count() >= most {
        return Err(AccountLogError::TooManyDevices);
    }
    if seed.device != device.public.id() {
        return Err(AccountLogError::Boxes);
    }
    Ok(Change::Add {
        record: Box::new(into_record(device, seq, author.is_rooted)),
        seed: into_box(seed, author.public.id(), seq),
    })
}

fn check_remove(
    log: &AccountLog,
    device: DeviceId,
    account_key: AccountKey,
    author: &DeviceRecord,
    seq: u64,
) -> Result<Change, AccountLogError> {
    let author_id = author.public.id();
    let removed = log
        .active_device(&device)
        .ok_or(AccountLogError::DeviceNotActive(device))?;
    if device == author_id {
        return Err(AccountLogError::RemovesItself);
    }
    if removed.public.kind() == DeviceKind::Paper {
        check_rooted(author)?;
    }
    let remaining: Vec<DeviceId> = log
        .active_devices()
        .map(|record| record.public.id())
        .filter(|id| *id != device)
        .collect();
    let generation = log.account_key().generation + 1;
    if log
        .keys
        .iter()
        .any(|key| key.kem_key == account_key.kem_key)
    {
        return Err(AccountLogError::AccountKeyReused);
    }
    Ok(Change::Remove {
        device,
        account_key: check_account_key(account_key, generation, &remaining, author_id, seq)?,
    })
}

/// The author is a paper that no machine brought in: whoever has one of an
/// owner's machines is not the owner.
fn check_rooted(author: &DeviceRecord) -> Result<(), AccountLogError> {
    if author.is_rooted {
        return Ok(());
    }
    Err(match author.public.kind() {
        DeviceKind::Paper => AccountLogError::PaperNotRooted,
        DeviceKind::Machine => AccountLogError::PaperNeeded,
    })
}

/// The key is of this generation and sealed to exactly these devices, in order.
fn check_account_key(
    key: AccountKey,
    generation: u64,
    devices: &[DeviceId],
    author: DeviceId,
    seq: u64,
) -> Result<AccountKeyRecord, AccountLogError> {
    if key.generation != generation {
        return Err(AccountLogError::Generation {
            expected: generation,
            got: key.generation,
        });
    }
    if !key.boxes.iter().map(|seed| &seed.device).eq(devices) {
        return Err(AccountLogError::Boxes);
    }
    Ok(AccountKeyRecord {
        generation,
        kem_key: key.kem_key,
        boxes: key
            .boxes
            .into_iter()
            .map(|seed| (seed.device, into_box(seed, author, seq)))
            .collect(),
        previous_seed: key.previous_seed,
        since_seq: seq,
    })
}

/// Neither the device nor one of its keys was ever in the log: a signature and
/// a box then belong to one device for good.
fn check_keys_are_new(
    records: &BTreeMap<DeviceId, DeviceRecord>,
    public: &DevicePublic,
) -> Result<(), AccountLogError> {
    if records.contains_key(&public.id()) {
        return Err(AccountLogError::DeviceReused(public.id()));
    }
    let reused = records.values().any(|record| {
        record.public.signing_key() == public.signing_key()
            || record.public.kem_key() == public.kem_key()
    });
    if reused {
        return Err(AccountLogError::KeyReused(public.id()));
    }
    Ok(())
}

fn signer(public: &DevicePublic) -> (DeviceId, &VerifyingKey) {
    (public.id(), public.signing_key())
}

/// Only papers are rooted, and only if what brings them is.
fn into_record(device: NewDevice, added_seq: u64, by_root: bool) -> DeviceRecord {
    DeviceRecord {
        is_rooted: by_root && device.public.kind() == DeviceKind::Paper,
        public: device.public,
        added_seq,
        removed_seq: None,
        sealed_name: device.sealed_name,
    }
}

fn into_box(seed: SeedBox, sender: DeviceId, entry_seq: u64) -> SealedBox {
    SealedBox {
        sender,
        entry_seq,
        sealed: seed.sealed,
    }
}
