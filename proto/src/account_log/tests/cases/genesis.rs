//! What a log cannot begin with.

use super::{Case, Cast, E, field, named};
use crate::device::{DeviceKind, DevicePublic};
use crate::testing::{TestDevice, filler, in_order, signed_account};

pub(super) fn genesis_cases(cast: &Cast) -> Vec<Case> {
    let (machine, paper) = (&cast.account.machine, &cast.account.paper);
    let listed = in_order(&[machine, paper]);
    let first = listed[0].id();
    let seventeen: Vec<_> = (0..17)
        .map(|i| TestDevice::machine(&i.to_string()))
        .collect();
    let seventeen: Vec<_> = seventeen.iter().collect();
    // Devices of their own but for one key, which is the machine's.
    let (mut signer_twin, mut kem_twin) = (machine.clone(), paper.clone());
    let kem_key = paper.public.kem_key().clone();
    signer_twin.public =
        DevicePublic::new(DeviceKind::Paper, *machine.public.signing_key(), kem_key);
    let kem_key = machine.public.kem_key().clone();
    kem_twin.public = DevicePublic::new(DeviceKind::Paper, *paper.public.signing_key(), kem_key);
    let with_twin = |twin: &TestDevice| {
        let devices = in_order(&[machine, twin]);
        let entry = signed_account(&cast.genesis_of(&devices, |_, _| {}), &devices);
        (entry, E::KeyReused(devices[1].id()))
    };
    let (one_signing_key, signing_key_reused) = with_twin(&signer_twin);
    let (one_kem_key, kem_key_reused) = with_twin(&kem_twin);
    let cases = [
        (
            "a genesis without a salt",
            cast.genesis(|_, genesis| genesis.salt.clear()),
            field("salt"),
        ),
        (
            "a genesis with a home of 31 bytes",
            cast.genesis(|_, genesis| genesis.home.truncate(31)),
            field("home"),
        ),
        (
            "a genesis that names an account",
            cast.genesis(|entry, _| entry.account = vec![1; 32]),
            field("account"),
        ),
        (
            "a genesis that names a predecessor",
            cast.genesis(|entry, _| entry.previous = vec![1; 32]),
            field("previous"),
        ),
        (
            "a genesis with number 2",
            cast.genesis(|entry, _| entry.seq = 2),
            E::Missing {
                expected: 1,
                got: 2,
            },
        ),
        (
            "a log that begins with another entry",
            cast.log()[1].clone(),
            E::NotGenesis,
        ),
        (
            "a genesis without devices",
            signed_account(&cast.genesis_of(&[], |_, _| {}), &[]),
            E::GenesisDevices(0),
        ),
        (
            "a genesis with 17 devices",
            signed_account(
                &cast.genesis_of(&seventeen, |_, _| {}),
                &in_order(&seventeen),
            ),
            E::GenesisDevices(17),
        ),
        (
            "a genesis with devices out of order",
            cast.genesis(|_, genesis| genesis.devices.reverse()),
            E::DeviceOrder,
        ),
        (
            "a genesis with a device twice",
            cast.genesis(|_, genesis| {
                genesis.devices[1] = genesis.devices[0].clone();
            }),
            E::DeviceOrder,
        ),
        (
            "a genesis with one signing key for two devices",
            one_signing_key,
            signing_key_reused,
        ),
        (
            "a genesis with one key-encapsulation key for two devices",
            one_kem_key,
            kem_key_reused,
        ),
        (
            "a genesis whose author it does not list",
            cast.genesis(|entry, _| entry.author = cast.tablet.id().to_vec()),
            E::AuthorNotActive,
        ),
        (
            "a genesis with generation 2 of the account key",
            cast.genesis(|_, genesis| {
                let key = genesis.account_key.as_mut().unwrap();
                key.generation = 2;
                key.previous_seed = filler("seed", 72);
            }),
            E::Generation {
                expected: 1,
                got: 2,
            },
        ),
        (
            "a genesis with a seed before the first",
            cast.genesis(|_, genesis| {
                genesis.account_key.as_mut().unwrap().previous_seed = filler("seed", 72);
            }),
            field("previous_seed"),
        ),
        (
            "a genesis without an account key",
            cast.genesis(|_, genesis| genesis.account_key = None),
            field("account_key"),
        ),
        (
            "a genesis whose account key lacks a box",
            cast.genesis(|_, genesis| {
                genesis.account_key.as_mut().unwrap().seeds.pop();
            }),
            E::Boxes,
        ),
        (
            "a genesis that one of its devices did not sign",
            signed_account(&cast.genesis_of(&[machine, paper], |_, _| {}), &listed[..1]),
            E::Signers,
        ),
        (
            "a genesis signed in another order than it lists",
            signed_account(
                &cast.genesis_of(&[machine, paper], |_, _| {}),
                &[listed[1], listed[0]],
            ),
            E::Signers,
        ),
        (
            "a genesis with a signature of another device's",
            {
                let entry = cast.genesis_of(&[machine, paper], |_, _| {});
                let mut entry = signed_account(&entry, &listed);
                entry.signatures[0].signature = entry.signatures[1].signature.clone();
                entry
            },
            E::BadSignature { device: first },
        ),
    ];
    named(0, cases)
}
