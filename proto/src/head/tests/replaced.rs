//! Heads in the place of one that entries pin, by makers whom those put out or not.

use super::Cast;
use crate::head::{HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead, skip_path};
use crate::testing::{Logs, TestDevice, TestVault, logs_of, signed_head};
use crate::vault_log::Role;

/// Head 6 of another chain, which names that of the [`Cast`]; and entries behind that.
pub(crate) struct Replacement {
    pub(crate) name: &'static str,
    pub(crate) head: UnverifiedHead,
    pub(crate) vault: TestVault,
    pub(crate) error: Option<HeadError>,
}

/// One entry more.
type Step = fn(&Cast, &mut TestVault, &Logs);

const ADD: Step = |cast, vault, logs| {
    let add = TestVault::add(&cast.eve, Role::Reader);
    vault.append(&cast.alice, add, logs);
};
const CAROL_LEAVES: Step = |cast, vault, logs| {
    vault.append(&cast.carol, TestVault::leave(), logs);
};
const RECORD: Step = |cast, vault, logs| {
    vault.append(&cast.alice, TestVault::refresh(&cast.bob), logs);
};
const REMOVE: Step = |cast, vault, logs| {
    vault.append(&cast.alice, TestVault::remove(&cast.bob), logs);
};
const DEMOTE: Step = |cast, vault, logs| {
    let demote = TestVault::change(&cast.bob, Role::Reader);
    vault.append(&cast.alice, demote, logs);
};
const LEAVE: Step = |cast, vault, logs| {
    vault.append(&cast.bob, TestVault::leave(), logs);
};

/// A cast in which Bob has had another device, and their logs; and what replaces head 6.
pub(crate) fn replacements() -> (Cast, Vec<Replacement>) {
    let mut cast = Cast::new();
    let thief = TestDevice::machine("bob's laptop");
    let addition = cast.bob.add(&thief);
    cast.bob.append(addition, &[&thief]);
    let before = cast.bob.position();
    let removal = cast.bob.remove(&thief);
    cast.bob.append(removal, &[]);
    cast.logs = logs_of(&[&cast.alice, &cast.bob, &cast.carol, &cast.dan, &cast.eve]);
    let machine = cast.bob.machine.clone();
    let out = Some(HeadError::DeviceNotActive(thief.id()));
    let rows: [(_, &[Step], _, _); 9] = [
        ("by a device that nothing says is out", &[ADD], &thief, None),
        (
            "by a device whose removal is recorded",
            &[RECORD],
            &thief,
            out,
        ),
        (
            "likewise, behind another entry",
            &[ADD, RECORD],
            &thief,
            out,
        ),
        (
            "likewise, before another entry",
            &[RECORD, CAROL_LEAVES],
            &thief,
            out,
        ),
        (
            "by another device of that account",
            &[RECORD],
            &machine,
            None,
        ),
        (
            "by a member who is removed",
            &[ADD, REMOVE],
            &machine,
            Some(HeadError::Stranger),
        ),
        (
            "by one who may only read since",
            &[DEMOTE],
            &machine,
            Some(HeadError::MayNotWrite),
        ),
        ("by one who has left by himself", &[LEAVE], &machine, None),
        (
            "likewise, before another entry",
            &[LEAVE, CAROL_LEAVES],
            &machine,
            None,
        ),
    ];
    let made = rows.into_iter().map(|(name, steps, signer, error)| {
        let mut vault = cast.vault.clone();
        vault.head = Some(cast.heads.position_at(6));
        for step in steps {
            step(&cast, &mut vault, &cast.logs);
        }
        let mut other = cast.heads.clone();
        other.heads.truncate(5);
        let mut head = other.draft(&cast.vault, &cast.bob);
        head.device = signer.id();
        head.account_position = before;
        head.reconciled = Some(cast.heads.at(6).hash());
        Replacement {
            name,
            head: signed_head(head, signer),
            vault,
            error,
        }
    });
    let made = made.collect();
    (cast, made)
}

/// Whom an entry that pins a head puts out does not take that head's place unseen,
/// although he names the entry before it: neither a removed device, nor a removed member,
/// nor one who may only read since. In order the head is either way, or a member could
/// stop a vault for everybody.
#[test]
fn whoever_is_put_out_behind_a_head_does_not_take_its_place() {
    let (cast, replacements) = replacements();
    for case in replacements {
        let mut path = vec![case.head];
        path.extend(cast.heads.take(&skip_path(6, 0)).into_iter().skip(1));
        let path = SeenHeads::none().follow(path).unwrap();
        let verified = path.newest().clone().verify(&HeadContext {
            vault_log: &case.vault.log,
            account_logs: &cast.logs,
            previous: PreviousHeads::Path(&path),
        });
        let verified = verified.unwrap();
        let kept = (verified.head()).check_not_put_out(&case.vault.log, &cast.logs);
        assert_eq!(kept.err(), case.error, "{}", case.name);
    }
    let ordinary = cast.heads.at(6).claims();
    assert_eq!(
        ordinary.check_not_put_out(&cast.due.log, &cast.logs),
        Ok(())
    );
}
