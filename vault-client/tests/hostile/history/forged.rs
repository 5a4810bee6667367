//! Heads that somebody has signed who may not, or for something else.

use vault_client::account::{AccountError, VaultSelector};
use vault_client::remote::SyncRequest;
use vault_client::vault::VaultError;
use vault_proto::head::{Head, HeadError};
use vault_proto::position::LogPosition;
use vault_proto::vault_log::Role;

use super::assert_matches;
use crate::hostile::scene::{Person, Scene, SecondDevice};
use crate::support::{Other, commit, forge, rng};

/// With the hoster's help, against the place in the log at which the device was
/// active still.
#[test]
fn a_stolen_devices_head_is_refused() {
    let mut scene = Scene::small();
    let (lost, log) = scene.person.paper(&scene.hostile).lose_device();
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
