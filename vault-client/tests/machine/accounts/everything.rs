//! One sequence that has everything in it.

use vault_proto::vault_log::Role;

use super::{Step, World};

/// One sequence that has everything in it, so that the rest is not passed by
/// chance.
#[test]
fn real_accounts_through_everything_in_turn() {
    let mut world = World::new();
    let (vault, device) = (0, 0);
    for step in [
        Step::Create { member: 0, by: 0 },
        Step::Pair { member: 0, by: 0 },
        Step::BackUp {
            vault,
            by: 0,
            device: 1,
        },
        Step::Share {
            vault,
            by: 0,
            to: 1,
            role: Role::Writer,
        },
        Step::Accept {
            vault,
            who: 1,
            device,
        },
        // At another hoster, where he accepts with his second device.
        Step::Pair { member: 2, by: 0 },
        Step::Share {
            vault,
            by: 0,
            to: 2,
            role: Role::Reader,
        },
        Step::Accept {
            vault,
            who: 2,
            device: 1,
        },
        // Two devices of two members.
        Step::Race {
            vault,
            one: 0,
            other: 2,
        },
        Step::BackUp {
            vault,
            by: 2,
            device,
        },
        // A reader loses a device: the next writer changes the keys.
        Step::Remove {
            member: 2,
            by: 1,
            which: 0,
        },
        Step::BackUp {
            vault,
            by: 1,
            device,
        },
        // A manager loses one: he changes them himself.
        Step::Remove {
            member: 0,
            by: 0,
            which: 1,
        },
        Step::BackUp {
            vault,
            by: 0,
            device,
        },
        Step::Unshare {
            vault,
            by: 0,
            whom: 1,
        },
        Step::BackUp {
            vault,
            by: 1,
            device,
        },
        Step::BackUp {
            vault,
            by: 0,
            device,
        },
        Step::Leave {
            vault,
            who: 2,
            device,
        },
        Step::BackUp {
            vault,
            by: 0,
            device,
        },
        // Back again: all of the past is his, too.
        Step::Share {
            vault,
            by: 0,
            to: 1,
            role: Role::Manager,
        },
        Step::Decline { vault, who: 1 },
        Step::Share {
            vault,
            by: 0,
            to: 1,
            role: Role::Manager,
        },
        Step::Accept {
            vault,
            who: 1,
            device,
        },
        Step::Race {
            vault,
            one: 0,
            other: 1,
        },
        // New computers by paper, before and after another takes its place.
        Step::Recover { member: 0 },
        Step::Replace { member: 0, by: 1 },
        Step::BackUp {
            vault,
            by: 1,
            device,
        },
        Step::Replace { member: 1, by: 0 },
        Step::Recover { member: 1 },
        Step::BackUp {
            vault,
            by: 1,
            device: 1,
        },
        // Of who is no member, too.
        Step::Replace { member: 2, by: 0 },
        Step::Recover { member: 2 },
    ] {
        world.take(step);
    }
    let vault = &world.vaults[0];
    let epochs: Vec<_> = vault.written.iter().map(|written| written.epoch).collect();
    assert_eq!(epochs, [1, 1, 1, 2, 3, 4, 5, 5, 5, 6, 7]);
    let standing: Vec<_> = vault.standing.keys().copied().collect();
    assert_eq!(standing, [0, 1]);
    world.assert_reads();
}

/// Somebody is put out while others write, and while he does.
#[test]
fn whoever_is_put_out_while_somebody_writes_reads_nothing_more() {
    let (vault, device) = (0, 0);
    let race_removal = |writer| Step::RaceRemoval {
        vault,
        member: 0,
        by: 0,
        which: 1,
        writer,
    };
    let race_unshare = |writer| Step::RaceUnshare {
        vault,
        by: 0,
        whom: 1,
        writer,
    };
    // Of the computers that may write, the first ones are the owner's.
    for races in [
        [race_removal(1), race_unshare(1)],
        [race_removal(2), race_unshare(1)],
        [race_unshare(1), race_removal(1)],
        [race_unshare(2), race_removal(1)],
    ] {
        let mut world = World::new();
        for step in [
            Step::Create { member: 0, by: 0 },
            Step::Pair { member: 0, by: 0 },
            Step::Share {
                vault,
                by: 0,
                to: 1,
                role: Role::Writer,
            },
            Step::Accept {
                vault,
                who: 1,
                device,
            },
            Step::BackUp {
                vault,
                by: 1,
                device,
            },
        ] {
            world.take(step);
        }
        for race in races {
            world.take(race);
        }
        world.take(Step::BackUp {
            vault,
            by: 0,
            device,
        });
        let vault = &world.vaults[0];
        assert_eq!(vault.standing.len(), 1);
        assert_eq!(world.members[0].machines().count(), 1);
        assert_eq!(vault.written.last().unwrap().epoch, 3);
        world.assert_reads();
    }
}
