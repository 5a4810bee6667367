//! Logs, heads and commits: rolled back, forked, withheld, forged.

use std::sync::{Arc, Mutex};

use prost::Message;
use vault_client::account::{AccountError, VaultSelector};
use vault_client::backup::BackupError;
use vault_client::error::ErrorCode;
use vault_client::remote::{Misbehaviour, RemoteError, SyncRequest};
use vault_client::vault::{Vault, VaultError};
use vault_core::author::AccountAuthor;
use vault_core::keys::{AccountSecrets, DeviceKeys, VaultKeysError};
use vault_proto::account_log::AccountLog;
use vault_proto::head::{Head, HeadError, UnverifiedHead};
use vault_proto::position::{HeadPosition, LogPosition};
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::{Role, VaultLogError};
use vault_proto::wire::{Signature, SignedEntry, VaultEntry, vault_entry::Body};
use vault_rpc::hoster::commit_head_response::Outcome;
use vault_rpc::hoster::{
    Accepted, CommitHeadResponse, LostRace, Reason, SyncVaultRequest, SyncVaultResponse,
};

use super::front::refusal;
use super::scene::{Hostile, Person, Scene, SecondDevice, refused};
use crate::engine::{assert_restores, backed_up, checked, newest};
use crate::support::{Other, commit, forge, plan, put_pack, rng};

macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        let value = $value;
        assert!(matches!(value, $pattern $(if $guard)?), "{value:?}");
    };
}
pub(super) use assert_matches;

impl Scene {
    /// Changes every answer to this vault's refreshes.
    pub(super) fn tamper(&self, mut change: impl FnMut(&mut SyncVaultResponse) + Send + 'static) {
        let vault = self.vault.id().to_vec();
        let tamper = move |asked: &SyncVaultRequest, answer: &mut SyncVaultResponse| {
            if asked.vault == vault {
                change(answer);
            }
        };
        self.hostile.orders().sync_vault.tamper(tamper);
    }

    /// What the hoster answers to whoever asks for everything.
    pub(super) fn whole_answer(&self) -> SyncVaultResponse {
        let answer = Arc::new(Mutex::new(None));
        let kept = answer.clone();
        self.tamper(move |answer| *kept.lock().unwrap() = Some(answer.clone()));
        self.person.paper(&self.hostile).look(self.vault.id());
        self.front().behave();
        answer.lock().unwrap().take().unwrap()
    }

    /// The hoster shows a head that nobody has committed.
    fn show_forged(&self, (head, root): (Vec<u8>, Vec<u8>), newest: u64) {
        self.tamper(move |answer| {
            answer.heads.insert(0, head.clone());
            answer.root.clone_from(&root);
            answer.newest_head_seq = newest;
        });
    }

    /// Shows that head to a device that knows the vault and to one that does
    /// not; both refuse it and stay as they are. Gives the error.
    fn forged(&mut self, other: &Other, change: impl Fn(&mut Head)) -> HeadError {
        let sight = other.look(self.vault.id());
        let forged = forge(&sight, &other.keys, other.account, change);
        self.show_forged(forged, sight.seen.next_links().seq);
        let error = match self.refused() {
            VaultError::Head(error) => error,
            error => panic!("{error}"),
        };
        let fresh = SecondDevice::of(&self.person, &self.hostile);
        fresh.forgets(&self.vault);
        let before = fresh.stored();
        match fresh.account.open_vault(&VaultSelector::Only) {
            Err(AccountError::Vault(VaultError::Head(found))) => assert_eq!(found, error),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("a device without memory believed it"),
        }
        assert_eq!(fresh.stored(), before);
        self.front().behave();
        error
    }

    /// Somebody else, who has joined with that role.
    pub(super) fn joined_by_somebody(&mut self, role: Role) -> Person {
        let somebody = Person::at(&self.hostile);
        let id = somebody.account.id();
        let theirs = somebody.paper(&self.hostile);
        self.person.paper(&self.hostile).append_knowing(
            self.vault.id(),
            &[theirs.own_log()],
            |author, keys| author.add_member(keys, &id, role, &mut rng()).unwrap(),
        );
        theirs.append(self.vault.id(), |author, _| author.accept().unwrap());
        self.vault.refresh().unwrap();
        commit(&mut self.vault);
        somebody
    }
}

#[test]
fn an_older_head_is_told_with_its_date() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    scene.back_up_again();
    let (known, committed) = (
        scene.vault.head().unwrap(),
        scene.vault.root().unwrap().committed,
    );
    // As one who says that nothing is new, and as one who shows it as news.
    for heads in [Vec::new(), old.heads.clone()] {
        let old = old.clone();
        scene.tamper(move |answer| {
            answer.heads.clone_from(&heads);
            answer.root.clone_from(&old.root);
            answer.newest_head_seq = old.newest_head_seq;
        });
        match scene.refused() {
            VaultError::HosterWentBack {
                known: named,
                committed: date,
                got,
            } => {
                assert_eq!((named, got), (known, 1));
                assert_eq!(date.map(|date| date.to_wire()), committed);
            }
            error => panic!("{error}"),
        }
        // Nothing is written on top of it.
        scene.files.write("more", b"and more");
        let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        let error = checked(&mut scene.vault).unwrap_err();
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
        assert_eq!(scene.vault.head(), Some(known));
        std::fs::remove_file(scene.files.path().join("more")).unwrap();
    }
    scene.assert_honest_again();
}

/// The newest head with the root of the one before, in which a snapshot less
/// stands.
#[test]
fn a_hidden_snapshot_is_missed() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    scene.back_up_again();
    scene.tamper(move |answer| answer.root.clone_from(&old.root));
    let error = refused(&second.home, &mut theirs);
    assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
    // Of a head that is known already, too.
    let error = scene.refused();
    assert_matches!(error, VaultError::Head(HeadError::OtherRoot));
    scene.front().behave();
    theirs.refresh().unwrap();
    assert_eq!(theirs.head(), scene.vault.head());
}

/// Each of two devices commits, and each is told that its head was accepted.
/// When they are shown one history again, the fork is proof.
#[test]
fn two_devices_that_were_shown_a_fork_find_out_when_they_meet() {
    let mut scene = Scene::small();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    let accepted = |_: &mut _| {
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    };
    scene.hostile.orders().commit_head.instead(accepted);
    commit(&mut theirs);
    scene.front().behave();
    commit(&mut scene.vault);
    let (one, other) = (scene.vault.head().unwrap(), theirs.head().unwrap());
    assert_eq!(one.seq, other.seq);
    assert_ne!(one.hash, other.hash);
    let error = refused(&second.home, &mut theirs);
    assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
    // Also where the other history is the longer one by now.
    commit(&mut scene.vault);
    commit(&mut scene.vault);
    let error = refused(&second.home, &mut theirs);
    assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
    // The first never learns of it from a hoster that keeps to its story.
    scene.vault.refresh().unwrap();
}

/// They need no hoster for it: one reads out what the other compares.
#[test]
fn a_fork_is_told_by_a_compared_head() {
    let mut scene = Scene::small();
    let second = SecondDevice::of(&scene.person, &scene.hostile);
    let mut theirs = second.vault();
    let accepted = |_: &mut _| {
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    };
    scene.hostile.orders().commit_head.instead(accepted);
    commit(&mut theirs);
    scene.front().behave();
    let read_out = theirs.printed_head().unwrap();
    // The hoster has nothing of that place yet, then another head, then more.
    let before = scene.person.stored();
    let error = scene.vault.confirm(&read_out).unwrap_err();
    assert_matches!(
        &error,
        VaultError::PrintedHeadMissing { printed: 2, got: 1 }
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(scene.person.stored(), before);
    for _ in 0..3 {
        commit(&mut scene.vault);
        let before = scene.person.stored();
        let error = scene.vault.confirm(&read_out).unwrap_err();
        assert_matches!(&error, VaultError::Head(HeadError::Fork { seq: 2 }));
        assert_eq!(scene.person.stored(), before);
    }
    let own = scene.vault.printed_head().unwrap();
    scene.vault.confirm(&own).unwrap();
}

/// Without a memory an old head looks like the newest. A head that was read out
/// to it, or printed, tells.
#[test]
fn an_old_head_shown_to_a_device_without_memory_is_told_by_a_printed_one() {
    let mut scene = Scene::small();
    let old = scene.whole_answer();
    scene.back_up_again();
    let printed = scene.vault.printed_head().unwrap();
    let fresh = SecondDevice::of(&scene.person, &scene.hostile);
    fresh.forgets(&scene.vault);
    let id = scene.vault.id().to_vec();
    scene.hostile.orders().sync_vault.instead(move |asked| {
        let nothing_new = || SyncVaultResponse {
            root: old.root.clone(),
            newest_head_seq: 1,
            ..SyncVaultResponse::default()
        };
        (asked.vault == id).then(|| {
            Ok(match asked.head_seq {
                0 => old.clone(),
                _ => nothing_new(),
            })
        })
    });
    let mut vault = fresh.vault();
    assert_eq!(vault.head().unwrap().seq, 1);
    let before = fresh.stored();
    let error = vault.confirm(&printed).unwrap_err();
    assert_matches!(
        &error,
        VaultError::PrintedHeadMissing { printed: 2, got: 1 }
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(fresh.stored(), before);
    scene.front().behave();
    vault.confirm(&printed).unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

#[test]
fn a_withheld_head_is_told_by_the_log_that_names_it() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    paper.commit(scene.vault.id());
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    let old = scene.vault.head().unwrap().seq;
    scene.tamper(move |answer| {
        answer.heads.clear();
        answer.newest_head_seq = old;
    });
    let error = scene.refused();
    assert_matches!(
        error,
        VaultError::HosterWentBack {
            known: HeadPosition { seq: 2, .. },
            committed: None,
            got: 1
        }
    );
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 2);
}

#[test]
fn a_missing_link_is_missed() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    for _ in 0..2 {
        paper.commit(scene.vault.id());
    }
    type Lie = fn(&mut SyncVaultResponse);
    let lies: [Lie; 4] = [
        |answer| drop(answer.heads.remove(1)),
        |answer| answer.heads.clear(),
        |answer| answer.heads.reverse(),
        |answer| answer.newest_head_seq += 1,
    ];
    for lie in lies {
        scene.tamper(lie);
        assert_matches!(scene.refused(), VaultError::Head(_) | VaultError::Answer(_));
    }
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.head().unwrap().seq, 3);
}

/// Adds a device to the account and removes it again, as the paper. Gives its
/// keys and the log.
fn lost_device(person: &Person, hostile: &Hostile) -> (DeviceKeys, AccountLog) {
    let paper = person.paper(hostile);
    let lost = DeviceKeys::generate(&mut rng());
    let mut log = paper.own_log();
    let secrets = AccountSecrets::open(&log, &paper.keys).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &paper.keys,
    };
    let addition = author
        .draft_addition(lost.public(), "a phone", &mut rng())
        .unwrap();
    let signature = addition.sign(&lost).unwrap();
    let entry = author.complete_addition(&addition, &signature).unwrap();
    paper.remote.append_account_entry(&entry).unwrap();
    log.append(&entry).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &paper.keys,
    };
    let entry = author.remove_device(&lost.id(), &mut rng()).unwrap();
    paper.remote.append_account_entry(&entry).unwrap();
    log.append(&entry).unwrap();
    (lost, log)
}

/// With the hoster's help, against the place in the log at which the device was
/// active still.
#[test]
fn a_stolen_devices_head_is_refused() {
    let mut scene = Scene::small();
    let (lost, log) = lost_device(&scene.person, &scene.hostile);
    let paper = scene.person.paper(&scene.hostile);
    paper.append(scene.vault.id(), |author, _| {
        author.refresh(&paper.account).unwrap()
    });
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.vault.refresh().unwrap();
    let thief = Other {
        keys: lost,
        ..scene.person.paper(&scene.hostile)
    };
    // He cannot log in; what he signs is shown by the hoster. What he needs to
    // know the paper tells here.
    let sight = paper.look(scene.vault.id());
    for (seq, expected) in [
        (3, HeadError::DeviceNotActive(thief.keys.id())),
        (2, HeadError::StalePosition),
    ] {
        let position = LogPosition {
            seq,
            hash: log.hash_at(seq).unwrap(),
        };
        let forged = forge(&sight, &thief.keys, thief.account, |head| {
            head.account_position = position;
        });
        scene.show_forged(forged, 2);
        match scene.refused() {
            VaultError::Head(error) => assert_eq!(error, expected),
            error => panic!("{error}"),
        }
        let fresh = SecondDevice::of(&scene.person, &scene.hostile);
        fresh.forgets(&scene.vault);
        let before = fresh.stored();
        let error = fresh.account.open_vault(&VaultSelector::Only).err();
        assert_matches!(
            error,
            Some(AccountError::Vault(VaultError::Head(ref error))) if *error == expected
        );
        assert_eq!(fresh.stored(), before);
        scene.front().behave();
    }
}

#[test]
fn a_readers_head_is_refused() {
    let mut scene = Scene::small();
    let reader = scene.joined_by_somebody(Role::Reader);
    let reader = reader.paper(&scene.hostile);
    let error = scene.forged(&reader, |_| {});
    assert_eq!(error, HeadError::MayNotWrite);
}

#[test]
fn a_strangers_head_is_refused() {
    let mut scene = Scene::small();
    let stranger = Person::at(&scene.hostile);
    let log = stranger.paper(&scene.hostile).own_log();
    let sight = scene.person.paper(&scene.hostile).look(scene.vault.id());
    let (head, root) = forge(
        &sight,
        &stranger.phrase.device_keys(),
        stranger.account.id(),
        |head| head.account_position = log.position(),
    );
    scene.tamper(move |answer| {
        answer.accounts.push(vault_rpc::hoster::AccountEntries {
            account: log.id().to_vec(),
            entries: log.entries().to_vec(),
        });
        answer.heads.insert(0, head.clone());
        answer.root.clone_from(&root);
        answer.newest_head_seq = 2;
    });
    let error = scene.refused();
    assert_matches!(error, VaultError::Head(HeadError::Stranger));
}

/// Signed for an older place in the vault's log, for another vault, or by one
/// device in the name of another.
#[test]
fn a_head_that_is_signed_for_something_else_is_refused() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    let before = paper.look(scene.vault.id()).log.position();
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.vault.refresh().unwrap();
    commit(&mut scene.vault);
    let error = scene.forged_by_paper(|head| {
        head.vault_position = before;
        head.epoch = 1;
    });
    assert_eq!(error, HeadError::StalePosition);
    let error = scene.forged_by_paper(|head| head.epoch = 1);
    // The head before was of the second epoch already.
    assert_matches!(
        error,
        HeadError::WrongEpoch { .. } | HeadError::StalePosition
    );
    let laptop = scene.vault.device();
    let error = scene.forged_by_paper(|head| head.device = laptop);
    assert_eq!(error, HeadError::BadSignature);

    // A genuine head of that place, in another vault.
    let mut other = scene.person.account.create_vault("other").unwrap();
    for _ in 0..3 {
        commit(&mut other);
    }
    let request = SyncRequest {
        vault: other.id(),
        vault_log_seq: 1,
        head_seq: 2,
        accounts: vec![(paper.account, 1)],
        without_root: false,
        until_head_seq: 0,
    };
    let answer = paper.remote.sync_vault(&request).unwrap();
    scene.show_forged((answer.heads[0].clone(), answer.root), 3);
    assert_matches!(
        scene.refused(),
        VaultError::Head(HeadError::NotThisVault | HeadError::Fork { .. })
    );
}

impl Scene {
    fn forged_by_paper(&mut self, change: impl Fn(&mut Head)) -> HeadError {
        let sight = self.person.paper(&self.hostile).look(self.vault.id());
        let paper = self.person.paper(&self.hostile);
        let forged = forge(&sight, &paper.keys, paper.account, change);
        self.show_forged(forged, sight.seen.next_links().seq);
        let error = match self.refused() {
            VaultError::Head(error) => error,
            error => panic!("{error}"),
        };
        self.front().behave();
        error
    }
}

/// An epoch's secret is committed to in the entry that begins it: a manager
/// cannot give one member another.
#[test]
fn a_manager_who_gives_members_different_secrets_is_found_out() {
    let mut scene = Scene::small();
    let manager = scene.joined_by_somebody(Role::Manager);
    let manager = manager.paper(&scene.hostile);
    let victim = scene.person.account.id();
    manager.append(scene.vault.id(), |author, keys| {
        let [honest, other] = [(); 2].map(|()| author.rotate(keys, &mut rng()).unwrap());
        with_box_of(&honest, &other, victim.as_bytes(), &manager.keys)
    });
    let head = scene.vault.head();
    scene.vault.refresh().unwrap();
    let keys = scene.vault.keys().unwrap();
    let closed = VaultKeysError::WrongCommitment {
        epoch: 2,
        author: manager.keys.id(),
    };
    assert_eq!(keys.closed().collect::<Vec<_>>(), [closed]);
    assert_eq!(keys.check_current(), Err(closed));
    assert_eq!(scene.vault.head(), head);
    // Nothing was sealed under what he was given, and now nothing is any more: the
    // next epoch is everybody's.
    scene.vault.prepare().unwrap();
    let keys = scene.vault.keys().unwrap();
    assert_eq!((keys.current_epoch(), keys.check_current()), (3, Ok(())));
    assert_eq!(keys.closed().count(), 1);
}

/// The first entry with one member's box of the second, signed again.
fn with_box_of(
    one: &SignedEntry,
    other: &SignedEntry,
    member: &[u8],
    device: &DeviceKeys,
) -> SignedEntry {
    let [mut one, other] =
        [one, other].map(|entry| VaultEntry::decode(&entry.payload[..]).unwrap());
    let (Some(Body::Rotate(mine)), Some(Body::Rotate(theirs))) = (&mut one.body, other.body) else {
        panic!("two rotations");
    };
    let (mine, theirs) = (mine.epoch.as_mut().unwrap(), theirs.epoch.unwrap());
    let place = |boxes: &[vault_proto::wire::EpochBox]| {
        let is_his = |found: &vault_proto::wire::EpochBox| {
            found.member.as_ref().is_some_and(|m| m.account == member)
        };
        boxes.iter().position(is_his).unwrap()
    };
    let (at, from) = (place(&mine.boxes), place(&theirs.boxes));
    mine.boxes[at] = theirs.boxes[from].clone();
    let payload = one.encode_to_vec();
    let signature = device.sign(SignLabel::VaultEntry, &payload).to_vec();
    SignedEntry {
        payload,
        signatures: vec![Signature {
            device: device.id().to_vec(),
            signature,
        }],
    }
}

/// The hoster loses a head, or takes it and loses the answer, and the device
/// crashes. The same bytes are sent again if any are; nothing else is ever
/// signed for that place.
#[test]
fn a_lost_acknowledgement_and_a_crash_make_no_second_signature() {
    for is_taken in [false, true] {
        let mut scene = Scene::small();
        let sent = Arc::new(Mutex::new(Vec::new()));
        let requests = sent.clone();
        let mut orders = scene.hostile.orders();
        orders.commit_head.instead(move |asked| {
            requests.lock().unwrap().push(asked.clone());
            // A word that this protocol does not have.
            let nothing = CommitHeadResponse { outcome: None };
            (!is_taken).then_some(Ok(nothing))
        });
        orders.commit_head.tamper(|_, answer| answer.outcome = None);
        drop(orders);
        let planned = plan(&scene.vault, vec![put_pack(&scene.vault)]);
        let (before, head) = (scene.vault.root().unwrap().clone(), scene.vault.head());
        let believed = scene.person.believed();
        let error = scene.vault.commit(planned.clone()).unwrap_err();
        let malformed = RemoteError::Misbehaved(Misbehaviour::Malformed);
        assert_matches!(&error, VaultError::Remote(error) if *error == malformed);
        assert_eq!(
            (scene.vault.root().unwrap(), scene.vault.head()),
            (&before, head)
        );
        assert_eq!(scene.person.believed(), believed);

        let account = scene.person.reopened(&scene.hostile);
        let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
        assert_eq!(vault.head(), head, "not believed without an answer");
        scene.front().behave();
        let requests = sent.clone();
        scene.hostile.orders().commit_head.instead(move |asked| {
            requests.lock().unwrap().push(asked.clone());
            None
        });
        let lock = vault.lock().unwrap();
        vault.refresh().unwrap();
        drop(lock);
        assert_eq!(vault.root().unwrap(), &planned.root);
        assert_eq!(vault.head().unwrap().seq, 2);
        let sent = sent.lock().unwrap();
        assert!(is_taken || sent.len() == 2);
        assert!(sent.iter().all(|request| *request == sent[0]));
        assert_eq!(UnverifiedHead::decode(&sent[0].head).unwrap().seq(), 2);
    }
}

/// Another answer than the truth to a commit: nothing is believed, nothing lost.
#[test]
fn a_race_that_nobody_has_won_is_told() {
    let mut scene = Scene::small();
    let lost = |_: &mut _| {
        let outcome = Outcome::LostRace(LostRace {
            head_seq: 7,
            vault_log_seq: 1,
        });
        Some(Ok(CommitHeadResponse {
            outcome: Some(outcome),
        }))
    };
    scene.hostile.orders().commit_head.instead(lost);
    let (head, believed) = (scene.vault.head(), scene.person.believed());
    let planned = plan(&scene.vault, vec![put_pack(&scene.vault)]);
    let error = scene.vault.commit(planned.clone()).unwrap_err();
    assert_matches!(&error, VaultError::UnfoundedRace);
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    scene.files.write("more", b"and more");
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::Vault(VaultError::UnfoundedRace));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), believed);
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    let snapshot = newest(&scene.vault).unwrap();
    assert_restores(&scene.vault, &snapshot, &scene.files);
}

/// It says that it has taken a head, and keeps none: the next look tells.
#[test]
fn an_accepted_head_that_is_not_shown_is_a_step_back() {
    let mut scene = Scene::small();
    let accepted = |_: &mut _| {
        Some(Ok(CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    };
    scene.hostile.orders().commit_head.instead(accepted);
    commit(&mut scene.vault);
    scene.front().behave();
    let error = scene.refused();
    assert_matches!(error, VaultError::HosterWentBack { got: 1, .. });
}

/// Packs that it says are missing, whatever is sent: the backup ends, and tells.
#[test]
fn packs_that_are_missing_for_ever_end_a_backup() {
    let mut scene = Scene::small();
    let missing = |asked: &mut vault_rpc::hoster::CommitHeadRequest| {
        let packs = asked.adds.clone();
        let outcome = Outcome::Missing(vault_rpc::hoster::MissingPacks { packs });
        Some(Ok(CommitHeadResponse {
            outcome: Some(outcome),
        }))
    };
    scene.hostile.orders().commit_head.instead(missing);
    let (head, believed) = (scene.vault.head(), scene.person.believed());
    scene.files.write("more", b"and more");
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::PacksLost { .. });
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), believed);
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = newest(&scene.vault).unwrap();
    scene.assert_honest_again();
}

#[test]
fn a_hidden_vault_is_told() {
    let mut scene = Scene::small();
    let id = scene.vault.id().to_vec();
    scene.hostile.orders().sync_vault.instead(move |asked| {
        (asked.vault == id).then(|| Err(refusal(Reason::NotFound, "no such vault")))
    });
    assert_matches!(scene.refused(), VaultError::Hidden);
    scene
        .hostile
        .orders()
        .list_vaults
        .tamper(|_, answer| answer.vaults.clear());
    let vaults = scene.person.account.vaults().unwrap();
    let standings: Vec<_> = vaults.iter().map(|vault| vault.standing).collect();
    assert_eq!(standings, [vault_client::account::Standing::Hidden]);
}

#[test]
fn entries_of_a_vaults_log_are_neither_left_out_nor_moved_nor_repeated() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    for _ in 0..3 {
        paper.append(scene.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    type Lie = (fn(&mut SyncVaultResponse), fn(&VaultLogError) -> bool);
    let lies: [Lie; 4] = [
        (
            |answer| drop(answer.vault_entries.remove(0)),
            |error| matches!(error, VaultLogError::Missing { .. }),
        ),
        (
            |answer| answer.vault_entries.swap(0, 1),
            |error| matches!(error, VaultLogError::Missing { .. }),
        ),
        (
            |answer| {
                let first = answer.vault_entries[0].clone();
                answer.vault_entries.insert(0, first);
            },
            |error| matches!(error, VaultLogError::Repeated { .. }),
        ),
        (
            |answer| answer.vault_entries[1].signatures.clear(),
            |error| matches!(error, VaultLogError::Signers),
        ),
    ];
    for (lie, expected) in lies {
        scene.tamper(lie);
        match scene.refused() {
            VaultError::VaultLog(error) => assert!(expected(&error), "{error:?}"),
            error => panic!("{error:?}"),
        }
    }
    scene.front().behave();
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 4);
}

#[test]
fn a_log_that_forks_from_what_was_seen_is_noticed() {
    let mut scene = Scene::small();
    let paper = scene.person.paper(&scene.hostile);
    // An entry that the hoster shows to one device and then forgets.
    let shown = Arc::new(Mutex::new(None));
    let kept = shown.clone();
    scene
        .hostile
        .orders()
        .append_vault_entry
        .instead(move |asked| {
            *kept.lock().unwrap() = asked.entry.clone();
            Some(Ok(vault_rpc::hoster::AppendVaultEntryResponse {}))
        });
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.front().behave();
    let entry = shown.lock().unwrap().take().unwrap();
    scene.tamper(move |answer| answer.vault_entries.push(entry.clone()));
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 2);
    scene.front().behave();
    for _ in 0..2 {
        paper.append(scene.vault.id(), |author, keys| {
            author.rotate(keys, &mut rng()).unwrap()
        });
    }
    let error = scene.refused();
    assert_matches!(error, VaultError::VaultLog(VaultLogError::Fork { .. }));
}

/// Every byte of a head, its root, and every log entry, as a device sees them
/// that has no memory and has to take all from the hoster.
#[test]
fn no_flipped_byte_of_a_record_is_believed() {
    let scene = Scene::small();
    let honest = scene.whole_answer();
    let fresh = SecondDevice::of(&scene.person, &scene.hostile);
    fresh.forgets(&scene.vault);
    let before = fresh.stored();
    let id = scene.vault.id().to_vec();
    let answer = Arc::new(Mutex::new(honest.clone()));
    let shown = answer.clone();
    scene
        .hostile
        .orders()
        .sync_vault
        .instead(move |asked| (asked.vault == id).then(|| Ok(shown.lock().unwrap().clone())));
    let opened = |lie: SyncVaultResponse| {
        *answer.lock().unwrap() = lie;
        fresh.account.open_vault(&VaultSelector::Only)
    };
    let mut places = 0;
    for number in 0.. {
        let mut lie = honest.clone();
        let Some(byte) = bytes_of(&mut lie).nth(number) else {
            break;
        };
        *byte ^= 1 << (number % 8);
        let error = opened(lie).err().expect("a flipped byte was believed");
        assert_eq!(
            error.code(),
            ErrorCode::HosterMisbehaved,
            "{number}: {error}"
        );
        places += 1;
    }
    assert!(places > 8_000, "{places}");
    assert_eq!(fresh.stored(), before);
    let vault: Vault = opened(honest).unwrap();
    assert_eq!(vault.head(), scene.vault.head());
}

/// The bytes of all that is signed or named by what is signed.
fn bytes_of(answer: &mut SyncVaultResponse) -> impl Iterator<Item = &mut u8> {
    let accounts = answer.accounts.iter_mut();
    let entries = accounts.flat_map(|account| &mut account.entries);
    let entries = entries.chain(&mut answer.vault_entries);
    let signed = entries.flat_map(|entry| {
        let signatures = entry.signatures.iter_mut();
        let signatures =
            signatures.flat_map(|made| made.device.iter_mut().chain(&mut made.signature));
        entry.payload.iter_mut().chain(signatures)
    });
    let heads = answer.heads.iter_mut().flatten();
    signed.chain(heads).chain(&mut answer.root)
}
