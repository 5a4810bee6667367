//! What concerns every entry: its encoding, its place, its signatures.

use super::{Case, Cast, E, field, named};
use crate::canonical::DecodeError;
use crate::entry::UnsignedEntry;
use crate::ids::DeviceId;
use crate::sign::{SignLabel, to_sign};
use crate::testing::{TestAccount, signed_account};
use crate::wire::{self, SignedEntry};

pub(super) fn chain_cases(cast: &Cast) -> Vec<Case> {
    let account = &cast.account;
    let mut stranger = TestAccount::new("bob");
    let tablet = &cast.tablet;
    stranger.append(stranger.add(tablet), &[tablet]);
    let all = [
        (
            "an entry of version 2",
            cast.rename(|entry| entry.version = 2),
            E::Version(2),
        ),
        (
            "an entry without a body",
            cast.rename(|entry| entry.body = None),
            field("body"),
        ),
        (
            "an entry cut off",
            damaged(cast.rename(|_| {}), |payload| {
                payload.pop();
            }),
            DecodeError::Malformed.into(),
        ),
        (
            "an entry with an unknown field",
            damaged(cast.rename(|_| {}), |payload| {
                payload.extend([0xf8, 0x07, 0x01]);
            }),
            DecodeError::NotCanonical.into(),
        ),
        (
            "an entry with a field twice",
            damaged(cast.rename(|_| {}), |payload| {
                let version = payload[..2].to_vec();
                payload.splice(..0, version);
            }),
            DecodeError::NotCanonical.into(),
        ),
        (
            "an entry of another account",
            stranger.log.entries()[1].clone(),
            E::OtherAccount {
                expected: account.id(),
            },
        ),
        (
            "an entry whose account has 31 bytes",
            cast.rename(|entry| entry.account.truncate(31)),
            field("account"),
        ),
        (
            "the genesis again",
            cast.log()[0].clone(),
            E::Repeated { seq: 1 },
        ),
        (
            "another genesis",
            stranger.log.entries()[0].clone(),
            E::GenesisAgain,
        ),
        (
            "the last entry again",
            cast.log()[3].clone(),
            E::Repeated { seq: 4 },
        ),
        (
            "another entry in the last one's place",
            cast.rename(|entry| {
                entry.seq = 4;
                entry.previous = account.log.hash_at(3).unwrap().to_vec();
            }),
            E::Fork { seq: 4 },
        ),
        (
            "an entry after one that is missing",
            cast.rename(|entry| entry.seq = 6),
            E::Missing {
                expected: 5,
                got: 6,
            },
        ),
        (
            "an entry with number 0",
            cast.rename(|entry| entry.seq = 0),
            E::Missing {
                expected: 5,
                got: 0,
            },
        ),
        (
            "an entry after another one than the last",
            cast.rename(|entry| entry.previous = vec![1; 32]),
            E::Fork { seq: 4 },
        ),
        (
            "an entry without a predecessor",
            cast.rename(|entry| entry.previous.clear()),
            field("previous"),
        ),
    ];
    let mut cases = named(4, all);
    // The entries of a log in another order: the third where the second is due.
    cases.extend(named(
        1,
        [(
            "an entry before its turn",
            cast.log()[2].clone(),
            E::Missing {
                expected: 2,
                got: 3,
            },
        )],
    ));
    cases
}

pub(super) fn signature_cases(cast: &Cast) -> Vec<Case> {
    let account = &cast.account;
    let machine = &account.machine;
    let rename = account.draft(account.rename(&cast.phone));
    let by = |author: DeviceId| wire::AccountEntry {
        author: author.to_vec(),
        ..rename.clone()
    };
    let resigned = |label| {
        let entry = UnsignedEntry::account(&rename);
        let mut signed = signed_account(&rename, &[]);
        let signature = machine.sign(&to_sign(label, &signed.payload));
        signed = entry.with_signatures([(machine.id(), signature)]);
        signed
    };
    let bad = E::BadSignature {
        device: machine.id(),
    };
    let all = [
        (
            "an entry by a device that never was in the log",
            signed_account(&by(cast.tablet.id()), &[&cast.tablet]),
            E::AuthorNotActive,
        ),
        (
            "an entry by a device that was removed",
            signed_account(&by(cast.laptop.id()), &[&cast.laptop]),
            E::AuthorNotActive,
        ),
        (
            "an entry whose author has 31 bytes",
            cast.rename(|entry| entry.author.truncate(31)),
            field("author"),
        ),
        (
            "an entry without a signature",
            signed_account(&rename, &[]),
            E::Signers,
        ),
        (
            "an entry with another device's signature beside the author's",
            signed_account(&rename, &[machine, &cast.phone]),
            E::Signers,
        ),
        (
            "an entry with its author's signature twice",
            signed_account(&rename, &[machine, machine]),
            E::Signers,
        ),
        (
            "an entry signed by another device than its author",
            signed_account(&rename, &[&cast.phone]),
            E::Signers,
        ),
        (
            "an entry with a signature of 63 bytes",
            {
                let mut entry = signed_account(&rename, &[machine]);
                entry.signatures[0].signature.pop();
                entry
            },
            bad,
        ),
        (
            "an entry with a signature over another payload",
            {
                let other = account.draft(account.rename(machine));
                let mut entry = signed_account(&rename, &[machine]);
                entry.signatures = signed_account(&other, &[machine]).signatures;
                entry
            },
            bad,
        ),
        (
            "an entry signed as a vault entry is",
            resigned(SignLabel::VaultEntry),
            bad,
        ),
    ];
    named(4, all)
}

/// The payload changed after it was signed.
fn damaged(mut entry: SignedEntry, change: impl FnOnce(&mut Vec<u8>)) -> SignedEntry {
    change(&mut entry.payload);
    entry
}
