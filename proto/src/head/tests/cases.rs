//! Heads that break exactly one rule each, offered as head 7 of [`Cast::vault`].

use super::cast::Cast;
use crate::head::{Head, HeadError as E, SignedHead, UnverifiedHead};
use crate::ids::{EntryHash, HeadHash, VaultId};
use crate::position::LogPosition;
use crate::testing::{TestAccount, TestHeads, signed_head};

/// A head that is refused, and why.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) head: UnverifiedHead,
    /// Whether the log is [`Cast::due`] and not [`Cast::vault`].
    pub(crate) due: bool,
    pub(crate) error: E,
}

/// Every case, in the order of the rules.
pub(crate) fn cases(cast: &Cast) -> Vec<Case> {
    let calm = [chain_rows(cast), log_rows(cast), author_rows(cast)];
    let calm = calm.into_iter().flatten().map(|row| (false, row));
    let due = due_rows(cast).into_iter().map(|row| (true, row));
    calm.chain(due)
        .map(|(due, (name, head, error))| Case {
            name,
            head,
            due,
            error,
        })
        .collect()
}

type Row = (&'static str, UnverifiedHead, E);

fn chain_rows(cast: &Cast) -> Vec<Row> {
    let alice = &cast.alice;
    let next = |change: &dyn Fn(&mut Head)| cast.next(alice, change);
    let known = cast.heads.position_at(6);
    let other_hash = Some(HeadHash::from_array([1; 32]));
    // The same heads but for one, by an author who signed twice.
    let fork = |seq: u64| {
        let mut heads = TestHeads::default();
        heads.heads = cast.heads.take(&(1..seq).collect::<Vec<_>>());
        let mut head = cast.heads.at(seq).claims().clone();
        head.root = crate::ids::RootHash::from_array([1; 32]);
        let author = match head.account == alice.id() {
            true => alice,
            false => &cast.bob,
        };
        signed_head(head, &author.machine)
    };
    vec![
        (
            "a head of another vault",
            next(&|head| head.vault = VaultId::from_array([1; 32])),
            E::NotThisVault,
        ),
        (
            "a head of another vault's chain",
            next(&|head| {
                head.vault = VaultId::from_array([1; 32]);
                (head.previous, head.skip) = (other_hash, other_hash);
            }),
            E::NotThisVault,
        ),
        (
            "an older head",
            cast.heads.at(4).clone(),
            E::Older { known, got: 4 },
        ),
        (
            "the newest head again",
            cast.heads.at(6).clone(),
            E::Repeated { seq: 6 },
        ),
        (
            "another head in the newest one's place",
            fork(6),
            E::Fork { seq: 6 },
        ),
        (
            "a head after one that is missing",
            {
                let mut heads = cast.heads.clone();
                heads.extend(&cast.vault, alice, 2);
                heads.at(8).clone()
            },
            E::MissingLink { newer: 8, older: 7 },
        ),
        (
            "a head after another one than the newest",
            next(&|head| (head.previous, head.skip) = (other_hash, other_hash)),
            E::Fork { seq: 6 },
        ),
    ]
}

fn log_rows(cast: &Cast) -> Vec<Row> {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let next = |change: &dyn Fn(&mut Head)| cast.next(alice, change);
    let vault_at = |seq| LogPosition {
        seq,
        hash: cast.vault.log.hash_at(seq).unwrap(),
    };
    let other = EntryHash::from_array([1; 32]);
    vec![
        (
            "a head that knows an entry of the vault log that is not at hand",
            next(&|head| head.vault_position.seq = 7),
            E::VaultEntriesMissing { have: 6, need: 7 },
        ),
        (
            "a head that names another entry than the vault log holds",
            next(&|head| head.vault_position.hash = other),
            E::PositionMismatch,
        ),
        (
            "a head that does not know the newest entries of the vault log",
            next(&|head| head.vault_position = vault_at(5)),
            E::StalePosition,
        ),
        (
            "a head of an epoch that is not",
            next(&|head| head.epoch = 2),
            E::WrongEpoch {
                expected: 1,
                got: 2,
            },
        ),
        (
            "a head that knows an entry of its author's log that is not at hand",
            cast.next(bob, |head| head.account_position.seq = 2),
            E::AccountEntriesMissing {
                account: bob.id(),
                have: 1,
                need: 2,
            },
        ),
        (
            "a head that names another entry than its author's log holds",
            next(&|head| head.account_position.hash = other),
            E::PositionMismatch,
        ),
        (
            "a head at a place of its author's log before what is recorded",
            next(&|head| head.account_position = alice.position_at(2)),
            E::StalePosition,
        ),
    ]
}

fn author_rows(cast: &Cast) -> Vec<Row> {
    let (alice, bob) = (&cast.alice, &cast.bob);
    let by = |author: &TestAccount| cast.next(author, |_| {});
    let by_laptop = |seq| {
        let mut head = cast.heads.draft(&cast.vault, alice);
        head.device = cast.laptop.id();
        head.account_position = alice.position_at(seq);
        signed_head(head, &cast.laptop)
    };
    let forged = |signature| {
        let head = SignedHead::new(cast.heads.draft(&cast.vault, alice), signature);
        UnverifiedHead::decode(&head.to_bytes()).unwrap()
    };
    let draft = cast.heads.draft(&cast.vault, alice);
    vec![
        ("a head by a stranger", by(&cast.eve), E::Stranger),
        ("a head by a reader", by(&cast.carol), E::MayNotWrite),
        (
            "a head by a writer who has not accepted",
            by(&cast.dan),
            E::MayNotWrite,
        ),
        (
            "a head by another account's device",
            cast.next(alice, |head| head.device = bob.machine.id()),
            E::UnknownDevice(bob.machine.id()),
        ),
        (
            "a head by a device that was removed",
            by_laptop(3),
            E::DeviceNotActive(cast.laptop.id()),
        ),
        (
            "a head by a removed device at the place where it was active",
            by_laptop(2),
            E::StalePosition,
        ),
        (
            "a head signed by another active device than it names",
            signed_head(draft.clone(), &alice.paper),
            E::BadSignature,
        ),
        (
            "a head whose author's account is another than its device's",
            cast.next(alice, |head| {
                head.account = bob.id();
                head.account_position = bob.position();
            }),
            E::UnknownDevice(alice.machine.id()),
        ),
        (
            "a head signed without its label",
            forged(alice.machine.sign(&draft.to_signed_bytes())),
            E::BadSignature,
        ),
        (
            "a head without a signature",
            forged([0; 64]),
            E::BadSignature,
        ),
    ]
}

fn due_rows(cast: &Cast) -> Vec<Row> {
    let at = |author: &TestAccount| {
        let head = cast.heads.draft(&cast.due, author);
        signed_head(head, &author.machine)
    };
    vec![
        (
            "a head while a rotation is due",
            at(&cast.alice),
            E::RotationDue,
        ),
        (
            "a head that passes over what made the rotation due",
            cast.next(&cast.alice, |_| {}),
            E::StalePosition,
        ),
        (
            "a head by who is no member any more",
            at(&cast.carol),
            E::Stranger,
        ),
    ]
}
