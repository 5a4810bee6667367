//! What each kind of entry may not do.

use super::{Case, Cast, E, field, named};
use crate::device::{DeviceError, DeviceKind, DevicePublic};
use crate::entry::FieldError;
use crate::origin::OriginError;
use crate::sign::KeyError;
use crate::testing::{TestDevice, a_box, filler, signed_account};
use crate::wire::{self, account_entry::Body};

pub(super) fn add_cases(cast: &Cast) -> Vec<Case> {
    let account = &cast.account;
    let (machine, phone, laptop, tablet) =
        (&account.machine, &cast.phone, &cast.laptop, &cast.tablet);
    let draft = account.draft(account.add(tablet));
    let public = |add: &mut wire::AddDevice, change: fn(&mut wire::DevicePublic)| {
        change(add.device.as_mut().unwrap().public.as_mut().unwrap());
    };
    // A device with a secret of its own and another's public key.
    let with_key_of = |change: &dyn Fn(&mut TestDevice)| {
        let mut device = tablet.clone();
        change(&mut device);
        let body = account.add(&device);
        (device.id(), cast.next(body, &[&device], |_| {}))
    };
    let (same_signer, signing_key_reused) = with_key_of(&|device| {
        let key = *phone.public.signing_key();
        *device = phone.clone();
        device.public =
            DevicePublic::new(DeviceKind::Machine, key, tablet.public.kem_key().clone());
    });
    let (same_kem, kem_key_reused) = with_key_of(&|device| {
        device.public = DevicePublic::new(
            DeviceKind::Machine,
            *tablet.public.signing_key(),
            laptop.public.kem_key().clone(),
        );
    });
    let all = [
        (
            "a new device that did not sign",
            signed_account(&draft, &[machine]),
            E::Signers,
        ),
        (
            "a new device that signed before the author",
            signed_account(&draft, &[tablet, machine]),
            E::Signers,
        ),
        (
            "a new device whose signature does not fit",
            {
                let mut entry = signed_account(&draft, &[machine, tablet]);
                entry.signatures[1].signature = entry.signatures[0].signature.clone();
                entry
            },
            E::BadSignature {
                device: tablet.id(),
            },
        ),
        (
            "a device that is active already",
            cast.next(account.add(phone), &[phone], |_| {}),
            E::DeviceReused(phone.id()),
        ),
        (
            "a device that was removed",
            cast.next(account.add(laptop), &[laptop], |_| {}),
            E::DeviceReused(laptop.id()),
        ),
        (
            "a new device with the signing key of another",
            signing_key_reused,
            E::KeyReused(same_signer),
        ),
        (
            "a new device with the key-encapsulation key of one that was removed",
            kem_key_reused,
            E::KeyReused(same_kem),
        ),
        (
            "a new device with the box of another",
            cast.add(|add| add.seed.as_mut().unwrap().device = phone.id().to_vec()),
            E::Boxes,
        ),
        (
            "a new device without a box",
            cast.add(|add| add.seed = None),
            field("seed"),
        ),
        (
            "a new device with a box one byte too long",
            cast.add(|add| add.seed.as_mut().unwrap().r#box.push(0)),
            field("seed box"),
        ),
        (
            "a new device that is missing",
            cast.add(|add| add.device = None),
            field("device"),
        ),
        (
            "a new device without keys",
            cast.add(|add| add.device.as_mut().unwrap().public = None),
            field("public"),
        ),
        (
            "a new device of no kind",
            cast.add(|add| public(add, |public| public.kind = 0)),
            DeviceError::Field(FieldError::new("device kind")).into(),
        ),
        (
            "a new device of an unknown kind",
            cast.add(|add| public(add, |public| public.kind = 3)),
            DeviceError::Field(FieldError::new("device kind")).into(),
        ),
        (
            "a new device with a key-encapsulation key of 1,215 bytes",
            cast.add(|add| public(add, |public| public.kem_key.truncate(1215))),
            DeviceError::Field(FieldError::new("device kem_key")).into(),
        ),
        (
            "a new device with a signing key of 33 bytes",
            cast.add(|add| public(add, |public| public.signing_key.push(0))),
            DeviceError::SigningKey(KeyError::Length(33)).into(),
        ),
        (
            "a new device with a signing key of small order",
            cast.add(|add| public(add, |public| public.signing_key = vec![0; 32])),
            DeviceError::SigningKey(KeyError::SmallOrder).into(),
        ),
        (
            "a new device with a name of 513 bytes",
            cast.add(|add| add.device.as_mut().unwrap().sealed_name = filler("name", 513)),
            field("sealed_name"),
        ),
    ];
    named(4, all)
}

pub(super) fn remove_cases(cast: &Cast) -> Vec<Case> {
    let account = &cast.account;
    fn key(remove: &mut wire::RemoveDevice) -> &mut wire::AccountKey {
        remove.account_key.as_mut().unwrap()
    }
    let all = [
        (
            "the removal of a device that never was in the log",
            cast.remove(|remove| remove.device = cast.tablet.id().to_vec()),
            E::DeviceNotActive(cast.tablet.id()),
        ),
        (
            "the removal of a device that was removed",
            cast.remove(|remove| remove.device = cast.laptop.id().to_vec()),
            E::DeviceNotActive(cast.laptop.id()),
        ),
        (
            "a device that removes itself",
            cast.next(account.remove(&account.machine), &[], |_| {}),
            E::RemovesItself,
        ),
        (
            "a paper removed by a machine",
            cast.next(account.remove(&account.paper), &[], |_| {}),
            E::PaperNeeded,
        ),
        (
            "a paper that removes itself",
            signed_account(
                &account.paper_draft(account.remove(&account.paper)),
                &[&account.paper],
            ),
            E::RemovesItself,
        ),
        (
            "a removal without a new account key",
            cast.remove(|remove| remove.account_key = None),
            field("account_key"),
        ),
        (
            "a removal that skips a generation",
            cast.remove(|remove| key(remove).generation = 4),
            E::Generation {
                expected: 3,
                got: 4,
            },
        ),
        (
            "a removal that keeps the generation",
            cast.remove(|remove| key(remove).generation = 2),
            E::Generation {
                expected: 3,
                got: 2,
            },
        ),
        (
            "a removal with the account key of an earlier generation",
            cast.remove(|remove| {
                let first = account.log.account_keys()[0].kem_key.as_bytes();
                key(remove).kem_key = first.to_vec();
            }),
            E::AccountKeyReused,
        ),
        (
            "a removal with an account key of 1,217 bytes",
            cast.remove(|remove| key(remove).kem_key.push(0)),
            field("kem_key"),
        ),
        (
            "a removal without the seed before",
            cast.remove(|remove| key(remove).previous_seed.clear()),
            field("previous_seed"),
        ),
        (
            "a removal that seals the new account key to the removed device",
            cast.remove(|remove| {
                let seeds = &mut key(remove).seeds;
                seeds.push(wire::SealedSeed {
                    device: cast.phone.id().to_vec(),
                    r#box: a_box("phone"),
                });
                seeds.sort_by(|a, b| a.device.cmp(&b.device));
            }),
            E::Boxes,
        ),
        (
            "a removal that leaves a device without the new account key",
            cast.remove(|remove| {
                key(remove).seeds.remove(0);
            }),
            E::Boxes,
        ),
        (
            "a removal with boxes out of order",
            cast.remove(|remove| key(remove).seeds.reverse()),
            E::Boxes,
        ),
        (
            "a removal with a box of 1,167 bytes",
            cast.remove(|remove| {
                key(remove).seeds[0].r#box.pop();
            }),
            field("seed box"),
        ),
    ];
    named(4, all)
}

pub(super) fn other_cases(cast: &Cast) -> Vec<Case> {
    let account = &cast.account;
    let all = [
        (
            "the renaming of a device that was removed",
            cast.next(account.rename(&cast.laptop), &[], |_| {}),
            E::DeviceNotActive(cast.laptop.id()),
        ),
        (
            "a name of 513 bytes",
            cast.rename(|entry| match &mut entry.body {
                Some(Body::RenameDevice(rename)) => rename.sealed_name = filler("name", 513),
                _ => unreachable!(),
            }),
            field("sealed_name"),
        ),
        (
            "a move by a machine",
            cast.next(account.moved(), &[], |_| {}),
            E::PaperNeeded,
        ),
        (
            "a move to where the log is",
            cast.moved("home", "home.example:443"),
            E::SameHome,
        ),
        (
            "a move without a port",
            cast.moved("elsewhere", "elsewhere.example"),
            OriginError::NoPort.into(),
        ),
        (
            "a move to an address in upper case",
            cast.moved("elsewhere", "Elsewhere.example:443"),
            OriginError::Spelling.into(),
        ),
    ];
    named(4, all)
}
