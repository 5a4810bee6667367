//! What concerns every entry: its place, its author, the places it names.

use super::{E, Row, field};
use crate::canonical::DecodeError;
use crate::entry::UnsignedEntry;
use crate::sign::{SignLabel, to_sign};
use crate::testing::{TestVault, signed_by, signed_vault};
use crate::vault_log::Role;
use crate::vault_log::tests::cast::{Cast, head_at};
use crate::wire::{self, vault_entry::Body};

pub(super) fn chain_rows(cast: &Cast) -> Vec<Row> {
    let log = &cast.calm.log;
    let damaged = |change: fn(&mut Vec<u8>)| {
        let mut entry = cast.plain(|_| {});
        change(&mut entry.payload);
        entry
    };
    let older = E::OlderHead { known: head_at(3) };
    vec![
        (
            "an entry of version 0",
            cast.plain(|entry| entry.version = 0),
            E::Version(0),
        ),
        (
            "an entry without a body",
            cast.plain(|entry| entry.body = None),
            field("body"),
        ),
        (
            "an entry cut off",
            damaged(|payload| payload.truncate(payload.len() - 1)),
            DecodeError::Malformed.into(),
        ),
        (
            "an entry with an unknown field",
            damaged(|payload| payload.extend([0xf8, 0x07, 0x01])),
            DecodeError::NotCanonical.into(),
        ),
        (
            "an entry of another vault",
            cast.plain(|entry| entry.vault = cast.account.log.id().to_vec()),
            E::OtherVault { expected: log.id() },
        ),
        (
            "the genesis again",
            log.entries()[0].clone(),
            E::Repeated { seq: 1 },
        ),
        (
            "another genesis",
            cast.account.log.entries()[0].clone(),
            E::GenesisAgain,
        ),
        (
            "the last entry again",
            log.entries()[5].clone(),
            E::Repeated { seq: 6 },
        ),
        (
            "another entry in an earlier one's place",
            cast.plain(|entry| entry.seq = 4),
            E::Fork { seq: 4 },
        ),
        (
            "an entry after one that is missing",
            cast.plain(|entry| entry.seq = 8),
            E::Missing {
                expected: 7,
                got: 8,
            },
        ),
        (
            "an entry after another one than the last",
            cast.plain(|entry| entry.previous = vec![1; 32]),
            E::Fork { seq: 6 },
        ),
        (
            "an entry that knows no head",
            cast.plain(|entry| entry.head = None),
            older,
        ),
        (
            "an entry that knows an older head",
            cast.plain(|entry| entry.head = Some(head_at(2).to_wire())),
            older,
        ),
        (
            "an entry that knows another head at the same place",
            cast.plain(|entry| entry.head.as_mut().unwrap().hash = vec![1; 32]),
            E::HeadFork { seq: 3 },
        ),
        (
            "an entry that names head 0",
            cast.plain(|entry| entry.head.as_mut().unwrap().seq = 0),
            field("head"),
        ),
        (
            "an entry with a head's hash of 33 bytes",
            cast.plain(|entry| entry.head.as_mut().unwrap().hash.push(0)),
            field("head"),
        ),
    ]
}

pub(super) fn author_rows(cast: &Cast) -> Vec<Row> {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let plain = TestVault::change(&cast.carol, Role::Writer);
    let draft = cast.calm.draft(alice, plain.clone());
    let by_laptop = |seq| {
        let position = alice.position_at(seq);
        let entry = cast.calm.draft_at(alice, &position, plain.clone());
        let device = cast.laptop.id().to_vec();
        signed_vault(&wire::VaultEntry { device, ..entry }, &cast.laptop)
    };
    let bad = E::BadSignature {
        device: alice.machine.id(),
    };
    vec![
        (
            "an entry by a stranger",
            cast.by(&cast.eve, TestVault::refresh(&cast.bob_renewed)),
            E::Stranger,
        ),
        (
            "a stranger who accepts",
            cast.by(&cast.eve, TestVault::accept()),
            E::Stranger,
        ),
        (
            "an entry by who has not accepted",
            cast.by(&cast.dan, TestVault::refresh(&cast.bob_renewed)),
            E::NotAccepted,
        ),
        (
            "a member who accepts again",
            cast.by(bob, TestVault::accept()),
            E::AlreadyAccepted,
        ),
        (
            "an entry without an author",
            cast.plain(|entry| entry.author = None),
            field("author"),
        ),
        (
            "an entry by another account's device",
            cast.plain(|entry| entry.device = bob.machine.id().to_vec()),
            E::UnknownDevice(bob.machine.id()),
        ),
        (
            "an entry by a device that was removed",
            by_laptop(4),
            E::DeviceNotActive(cast.laptop.id()),
        ),
        (
            "an entry by a removed device at the place where it was active",
            by_laptop(2),
            E::PositionWentBack {
                account: alice.id(),
            },
        ),
        (
            "an entry with a device id of 31 bytes",
            cast.plain(|entry| entry.device.truncate(31)),
            field("device"),
        ),
        (
            "an entry without a signature",
            signed_by(UnsignedEntry::vault(&draft), &[]),
            E::Signers,
        ),
        (
            "an entry with a second signature",
            signed_by(
                UnsignedEntry::vault(&draft),
                &[&alice.machine, &alice.paper],
            ),
            E::Signers,
        ),
        (
            "an entry signed by another active device of its author",
            signed_vault(&draft, &alice.paper),
            E::Signers,
        ),
        (
            "an entry signed as an account entry is",
            {
                let entry = UnsignedEntry::vault(&draft);
                let payload = signed_vault(&draft, &alice.machine).payload;
                let message = to_sign(SignLabel::AccountEntry, &payload);
                entry.with_signatures([(alice.machine.id(), alice.machine.sign(&message))])
            },
            bad,
        ),
    ]
}

pub(super) fn position_rows(cast: &Cast) -> Vec<Row> {
    let alice = &cast.alice;
    let author_at = |change: &dyn Fn(&mut wire::Position)| {
        cast.plain(|entry| {
            change(entry.author.as_mut().unwrap().position.as_mut().unwrap());
        })
    };
    let carol_at = |change: &dyn Fn(&mut wire::Position)| {
        cast.plain(|entry| match &mut entry.body {
            Some(Body::ChangeRole(body)) => {
                change(body.member.as_mut().unwrap().position.as_mut().unwrap());
            }
            _ => unreachable!(),
        })
    };
    let account = cast.carol.id();
    vec![
        (
            "an author at a place that is not at hand",
            author_at(&|position| position.seq = 5),
            E::AccountEntriesMissing {
                account: alice.id(),
                have: 4,
                need: 5,
            },
        ),
        (
            "an author at another entry than his log holds",
            author_at(&|position| position.hash = vec![1; 32]),
            E::PositionMismatch {
                account: alice.id(),
            },
        ),
        (
            "an author at a place before what is recorded",
            {
                let position = alice.position_at(1);
                let body = TestVault::change(&cast.carol, Role::Writer);
                let entry = cast.calm.draft_at(alice, &position, body);
                signed_vault(&entry, &alice.machine)
            },
            E::PositionWentBack {
                account: alice.id(),
            },
        ),
        (
            "an author at place 0",
            author_at(&|position| position.seq = 0),
            field("author"),
        ),
        (
            "a member at a place that is not at hand",
            carol_at(&|position| position.seq = 2),
            E::AccountEntriesMissing {
                account,
                have: 1,
                need: 2,
            },
        ),
        (
            "a member at another entry than his log holds",
            carol_at(&|position| position.hash = vec![1; 32]),
            E::PositionMismatch { account },
        ),
        (
            "a member without a place",
            cast.plain(|entry| match &mut entry.body {
                Some(Body::ChangeRole(body)) => body.member.as_mut().unwrap().position = None,
                _ => unreachable!(),
            }),
            field("member"),
        ),
        (
            "an author who refreshes himself to another place than he signs at",
            {
                let body = TestVault::refresh(alice);
                let position = alice.position_at(3);
                let entry = cast.calm.draft_at(alice, &position, body);
                signed_vault(&entry, &alice.machine)
            },
            E::TwoPositions,
        ),
    ]
}
