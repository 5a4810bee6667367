//! What each kind of entry may not do.

use super::{E, Row, field};
use crate::origin::OriginError;
use crate::testing::{TestAccount, TestVault, a_box, hoster, signed_vault};
use crate::vault_log::tests::cast::Cast;
use crate::vault_log::{Role, member_ref};
use crate::wire::{self, vault_entry::Body};

pub(super) fn role_rows(cast: &Cast) -> Vec<Row> {
    let (bob, carol) = (&cast.bob, &cast.carol);
    let members = cast.members();
    let rotate = cast.calm.rotate(&members);
    vec![
        (
            "a writer who adds a member",
            cast.by(bob, TestVault::add(&cast.eve, Role::Reader)),
            E::NotAllowed,
        ),
        (
            "a writer who changes a role",
            cast.by(bob, TestVault::change(carol, Role::Writer)),
            E::NotAllowed,
        ),
        (
            "a writer who removes a member",
            cast.by(bob, TestVault::remove(carol)),
            E::NotAllowed,
        ),
        (
            "a writer who moves the vault",
            cast.by(bob, TestVault::moved()),
            E::NotAllowed,
        ),
        (
            "a reader who begins an epoch",
            cast.by(carol, rotate),
            E::NotAllowed,
        ),
        (
            "a reader who adds a member",
            cast.by(carol, TestVault::add(&cast.eve, Role::Reader)),
            E::NotAllowed,
        ),
    ]
}

pub(super) fn member_rows(cast: &Cast) -> Vec<Row> {
    let (alice, bob, eve) = (&cast.alice, &cast.bob, &cast.eve);
    let add = |change: &dyn Fn(&mut wire::AddMember)| {
        let Body::AddMember(mut add) = TestVault::add(eve, Role::Reader) else {
            unreachable!()
        };
        change(&mut add);
        cast.next(Body::AddMember(add))
    };
    let stranger = E::NotAMember(eve.id());
    vec![
        (
            "a new member who is one already",
            cast.next(TestVault::add(bob, Role::Reader)),
            E::AlreadyMember(bob.id()),
        ),
        (
            "a new member who is invited already",
            cast.next(TestVault::add(&cast.dan, Role::Reader)),
            E::AlreadyMember(cast.dan.id()),
        ),
        (
            "a new member without a role",
            add(&|add| add.role = 0),
            field("role"),
        ),
        (
            "a new member with an unknown role",
            add(&|add| add.role = 4),
            field("role"),
        ),
        (
            "a new member without a box",
            add(&|add| add.r#box = None),
            field("box"),
        ),
        (
            "a new member with a box of 1,169 bytes",
            add(&|add| add.r#box.as_mut().unwrap().r#box.push(0)),
            field("box"),
        ),
        (
            "a new member with a box for another generation of his key",
            add(&|add| add.r#box.as_mut().unwrap().generation = 2),
            E::Generation {
                account: eve.id(),
                expected: 1,
                got: 2,
            },
        ),
        (
            "a new role for who is no member",
            cast.next(TestVault::change(eve, Role::Writer)),
            stranger,
        ),
        (
            "a role that the member has already",
            cast.next(TestVault::change(bob, Role::Writer)),
            E::SameRole,
        ),
        (
            "the only manager made a reader",
            cast.next(TestVault::change(alice, Role::Reader)),
            E::LastManager,
        ),
        (
            "the removal of who is no member",
            cast.next(TestVault::remove(eve)),
            stranger,
        ),
        (
            "the removal of the only manager",
            cast.next(TestVault::remove(alice)),
            E::LastManager,
        ),
        (
            "the only manager leaves",
            cast.next(TestVault::leave()),
            E::LastManager,
        ),
        (
            "a refresh of who is no member",
            cast.next(TestVault::refresh(eve)),
            stranger,
        ),
        (
            "a refresh to what is recorded",
            cast.next(TestVault::refresh(bob)),
            E::NothingNewer,
        ),
    ]
}

pub(super) fn rotate_rows(cast: &Cast) -> Vec<Row> {
    let members = cast.members();
    let rotate = |change: &dyn Fn(&mut wire::Epoch)| {
        let mut epoch = TestVault::epoch(2, &members);
        change(&mut epoch);
        cast.next(Body::Rotate(wire::RotateEpoch { epoch: Some(epoch) }))
    };
    let box_of = |epoch: &mut wire::Epoch, member: &TestAccount| {
        let id = member.id();
        let mut boxes = epoch.boxes.iter();
        let at = boxes.position(|b| b.member.as_ref().unwrap().account == id.as_bytes());
        at.unwrap()
    };
    vec![
        (
            "an epoch that skips a number",
            rotate(&|epoch| epoch.number = 3),
            E::EpochNumber {
                expected: 2,
                got: 3,
            },
        ),
        (
            "the first epoch again",
            rotate(&|epoch| *epoch = TestVault::epoch(1, &members)),
            E::EpochNumber {
                expected: 2,
                got: 1,
            },
        ),
        (
            "an epoch without a commitment",
            rotate(&|epoch| epoch.commitment.clear()),
            field("commitment"),
        ),
        (
            "an epoch with the commitment of the one before",
            rotate(&|epoch| epoch.commitment = cast.calm.log.epoch().commitment.to_vec()),
            E::CommitmentReused,
        ),
        (
            "an epoch without the secret before",
            rotate(&|epoch| epoch.previous_secret.clear()),
            field("previous_secret"),
        ),
        (
            "an epoch without a box for who is invited",
            rotate(&|epoch| {
                let at = box_of(epoch, &cast.dan);
                epoch.boxes.remove(at);
            }),
            E::Boxes,
        ),
        (
            "an epoch with a box for a stranger",
            {
                let mut members = members.to_vec();
                members.push(&cast.eve);
                cast.next(cast.calm.rotate(&members))
            },
            E::Boxes,
        ),
        (
            "an epoch with boxes out of order",
            rotate(&|epoch| epoch.boxes.reverse()),
            E::Boxes,
        ),
        (
            "an epoch with a box for an earlier account key",
            rotate(&|epoch| {
                let at = box_of(epoch, &cast.bob_renewed);
                epoch.boxes[at].generation = 1;
            }),
            E::Generation {
                account: cast.bob.id(),
                expected: 2,
                got: 1,
            },
        ),
        (
            "an epoch with its author's box at another place than he signs at",
            rotate(&|epoch| {
                let at = box_of(epoch, &cast.alice);
                let before = cast.alice.position_at(3);
                epoch.boxes[at].member = Some(member_ref(&cast.alice.id(), &before));
            }),
            E::TwoPositions,
        ),
        (
            "an epoch with a box of 1,167 bytes",
            rotate(&|epoch| epoch.boxes[1].r#box = a_box("short")[1..].to_vec()),
            field("box"),
        ),
        (
            "a rotation without an epoch",
            cast.next(Body::Rotate(wire::RotateEpoch { epoch: None })),
            field("epoch"),
        ),
    ]
}

pub(super) fn move_rows(cast: &Cast) -> Vec<Row> {
    let (alice, paper) = (&cast.alice, &cast.alice.paper);
    let moved = |home: &str, origin: &str| {
        let body = Body::Moved(wire::VaultMoved {
            home: hoster(home).to_vec(),
            origin: origin.to_owned(),
        });
        signed_vault(&cast.calm.draft_by(alice, paper, body), paper)
    };
    vec![
        (
            "a move by a machine",
            cast.next(TestVault::moved()),
            E::PaperNeeded,
        ),
        (
            "a move by a writer's paper",
            signed_vault(
                &cast
                    .calm
                    .draft_by(&cast.bob, &cast.bob.paper, TestVault::moved()),
                &cast.bob.paper,
            ),
            E::NotAllowed,
        ),
        (
            "a move to where the vault is",
            moved("home", "home.example:443"),
            E::SameHome,
        ),
        (
            "a move to no address",
            moved("elsewhere", ""),
            OriginError::NoPort.into(),
        ),
        (
            "a move to an address with a second spelling",
            moved("elsewhere", "[0:0::1]:443"),
            OriginError::Spelling.into(),
        ),
    ]
}

pub(super) fn due_rows(cast: &Cast) -> Vec<Row> {
    let bob = &cast.bob_renewed;
    let went_back = E::PositionWentBack { account: bob.id() };
    let behind = cast.members().map(|member| match member.id() == bob.id() {
        true => &cast.bob,
        false => member,
    });
    vec![
        (
            "a new member while a rotation is due",
            cast.next_due(TestVault::add(&cast.eve, Role::Reader)),
            E::RotationDue,
        ),
        (
            "an epoch with a box at a place before what is recorded",
            cast.next_due(cast.due.rotate(&behind)),
            went_back,
        ),
        (
            "a refresh to a place before what is recorded",
            cast.next_due(TestVault::refresh(&cast.bob)),
            went_back,
        ),
        (
            "a refresh to what is recorded, again",
            cast.next_due(TestVault::refresh(bob)),
            E::NothingNewer,
        ),
        (
            "a new role for a member at a place before what is recorded",
            cast.next_due(TestVault::change(&cast.bob, Role::Reader)),
            went_back,
        ),
        (
            "the removal of a member at a place before what is recorded",
            cast.next_due(TestVault::remove(&cast.bob)),
            went_back,
        ),
    ]
}

pub(super) fn account_rows(cast: &Cast) -> Vec<Row> {
    let alice = &cast.alice;
    let refused = |name, body| {
        let entry = cast.account.draft(alice, body);
        let entry = signed_vault(&entry, &alice.machine);
        (name, entry, E::NotInAccountVault)
    };
    vec![
        refused(
            "a new member of an account vault",
            TestVault::add(&cast.bob, Role::Reader),
        ),
        refused(
            "another role in an account vault",
            TestVault::change(alice, Role::Reader),
        ),
        refused("a removal in an account vault", TestVault::remove(alice)),
        refused("the owner of an account vault leaves", TestVault::leave()),
        refused("an account vault that moves", TestVault::moved()),
    ]
}
