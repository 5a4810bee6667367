//! What a log cannot begin with.

use super::{E, Row, field};
use crate::testing::{TestVault, signed_vault};
use crate::vault_log::tests::cast::{Cast, head_at};
use crate::vault_log::{VaultKind, member_ref};
use crate::wire::{self, vault_entry::Body};

pub(super) fn genesis_rows(cast: &Cast) -> Vec<Row> {
    let alice = &cast.alice;
    let genesis = |change: &dyn Fn(&mut wire::VaultEntry, &mut wire::VaultGenesis)| {
        let mut entry = TestVault::genesis(VaultKind::Storage, alice);
        let Some(Body::Genesis(mut genesis)) = entry.body.clone() else {
            unreachable!()
        };
        change(&mut entry, &mut genesis);
        entry.body = Some(Body::Genesis(genesis));
        signed_vault(&entry, &alice.machine)
    };
    let epoch = |change: &dyn Fn(&mut wire::Epoch)| {
        genesis(&|_, genesis| change(genesis.epoch.as_mut().unwrap()))
    };
    let first = TestVault::genesis(VaultKind::Storage, alice);
    vec![
        (
            "a genesis with a salt of 31 bytes",
            genesis(&|_, genesis| genesis.salt.truncate(31)),
            field("salt"),
        ),
        (
            "a genesis of no kind",
            genesis(&|_, genesis| genesis.kind = 0),
            field("kind"),
        ),
        (
            "a genesis of an unknown kind",
            genesis(&|_, genesis| genesis.kind = 3),
            field("kind"),
        ),
        (
            "a genesis without a home",
            genesis(&|_, genesis| genesis.home.clear()),
            field("home"),
        ),
        (
            "a genesis that names a vault",
            genesis(&|entry, _| entry.vault = vec![1; 32]),
            field("vault"),
        ),
        (
            "a genesis that names a predecessor",
            genesis(&|entry, _| entry.previous = vec![1; 32]),
            field("previous"),
        ),
        (
            "a genesis that names a head",
            genesis(&|entry, _| entry.head = Some(head_at(1).to_wire())),
            field("head"),
        ),
        (
            "a genesis with number 2",
            genesis(&|entry, _| entry.seq = 2),
            E::Missing {
                expected: 1,
                got: 2,
            },
        ),
        (
            "a log that begins with another entry",
            cast.calm.log.entries()[1].clone(),
            E::NotGenesis,
        ),
        (
            "a genesis without an epoch",
            genesis(&|_, genesis| genesis.epoch = None),
            field("epoch"),
        ),
        (
            "a genesis with epoch 2",
            genesis(&|_, genesis| genesis.epoch = Some(TestVault::epoch(2, &[alice]))),
            E::EpochNumber {
                expected: 1,
                got: 2,
            },
        ),
        (
            "a genesis with a secret before the first",
            epoch(&|epoch| epoch.previous_secret = vec![1; 72]),
            field("previous_secret"),
        ),
        (
            "a genesis with a commitment of 31 bytes",
            epoch(&|epoch| epoch.commitment.truncate(31)),
            field("commitment"),
        ),
        (
            "a genesis without a box",
            epoch(&|epoch| epoch.boxes.clear()),
            E::Boxes,
        ),
        (
            "a genesis with a box for another account",
            epoch(&|epoch| epoch.boxes = vec![TestVault::epoch_box(&cast.bob)]),
            E::Boxes,
        ),
        (
            "a genesis with its author's box twice",
            epoch(&|epoch| epoch.boxes.push(epoch.boxes[0].clone())),
            E::Boxes,
        ),
        (
            "a genesis with a box at another place than its author's",
            epoch(&|epoch| {
                let before = member_ref(&alice.id(), &alice.position_at(3));
                epoch.boxes[0].member = Some(before);
            }),
            E::TwoPositions,
        ),
        (
            "a genesis with a box for an earlier account key",
            epoch(&|epoch| epoch.boxes[0].generation = 1),
            E::Generation {
                account: alice.id(),
                expected: 2,
                got: 1,
            },
        ),
        (
            "a genesis with a box of 1,167 bytes",
            epoch(&|epoch| epoch.boxes[0].r#box.truncate(1167)),
            field("box"),
        ),
        (
            "a genesis with an author's position of 31 bytes",
            genesis(&|entry, _| {
                let author = entry.author.as_mut().unwrap();
                author.position.as_mut().unwrap().hash.truncate(31);
            }),
            field("author"),
        ),
        (
            "a genesis by a device of another account",
            genesis(&|entry, _| entry.device = cast.bob.machine.id().to_vec()),
            E::UnknownDevice(cast.bob.machine.id()),
        ),
        (
            "a genesis by a device that was removed",
            genesis(&|entry, _| entry.device = cast.laptop.id().to_vec()),
            E::DeviceNotActive(cast.laptop.id()),
        ),
        (
            "a genesis signed by another device than it names",
            signed_vault(&first, &alice.paper),
            E::Signers,
        ),
        (
            "a genesis with a signature over something else",
            {
                let mut entry = signed_vault(&first, &alice.machine);
                entry.signatures[0].signature = alice.machine.sign(b"else").to_vec();
                entry
            },
            E::BadSignature {
                device: alice.machine.id(),
            },
        ),
    ]
}
