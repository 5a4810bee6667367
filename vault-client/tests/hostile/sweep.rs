//! Backups that take longer than a hoster keeps what nobody has committed, at a server
//! that sweeps as it should.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost::Message;
use tonic::Status;
use vault_client::backup::BackupError;
use vault_client::error::ErrorCode;
use vault_proto::ids::PackId;
use vault_rpc::hoster::commit_head_response::Outcome;
use vault_rpc::hoster::{CommitHeadRequest, ReadPacksRequest};

use super::history::assert_matches;
use super::scene::Scene;
use crate::engine::{backed_up, newest, noise};

/// The server keeps what nobody has committed for seven days.
const LONGER: Duration = Duration::from_secs(8 * 24 * 60 * 60);

impl Scene {
    /// More than two packs hold.
    fn write_much(&self) {
        for number in 0..150 {
            let content = noise(7_000 + number, 250_000);
            self.files.write(&format!("much/{number}"), &content);
        }
    }

    /// Those of these that the server has.
    fn held(&self, packs: &BTreeSet<PackId>) -> BTreeSet<PackId> {
        let packs: Vec<_> = packs.iter().copied().collect();
        let remote = self.vault.remote();
        let there = remote.have_packs(&self.vault.id(), &packs).unwrap();
        let held = packs.into_iter().zip(there);
        held.filter(|(_, there)| there.is_there())
            .map(|(id, _)| id)
            .collect()
    }

    /// All that ever was sent.
    fn sent(&self) -> BTreeSet<PackId> {
        self.front().packs().into_keys().collect()
    }

    /// Packs that these calls have read.
    fn read_packs(&self) -> BTreeSet<PackId> {
        let calls = self.front().seen().into_iter();
        let reads = calls.filter(|seen| seen.call == "read_packs");
        let reads = reads.map(|seen| ReadPacksRequest::decode(&seen.asked[..]).unwrap());
        let packs = reads.flat_map(|read| read.ranges);
        let packs = packs.map(|range| PackId::from_slice(&range.pack).unwrap());
        packs.collect()
    }

    /// A backup goes through, all that it leads to is there, and nothing of what was
    /// swept has to do with it.
    fn assert_goes_on_without(&mut self, swept: &BTreeSet<PackId>) {
        self.front().forget_seen();
        let committed = Arc::new(Mutex::new(BTreeSet::new()));
        let kept = committed.clone();
        self.hostile
            .orders()
            .commit_head
            .tamper(move |asked, answer| {
                if let Some(Outcome::Accepted(_)) = answer.outcome {
                    kept.lock().unwrap().extend(packs_of(asked));
                }
            });
        backed_up(&mut self.vault, &self.files).unwrap();
        self.snapshot = newest(&self.vault).unwrap();
        self.assert_honest_again();
        for used in [committed.lock().unwrap().clone(), self.read_packs()] {
            assert!(used.len() >= 3, "{used:?}");
            assert!(used.is_disjoint(swept));
        }
        assert!(self.held(swept).is_empty());
        let mut stored = self.person.stored().into_iter();
        assert!(!stored.any(|line| line.starts_with("pending_pack: ")));
    }
}

/// The packs that a commit adds.
fn packs_of(commit: &CommitHeadRequest) -> impl Iterator<Item = PackId> {
    let packs = commit.adds.chunks_exact(32);
    packs.map(|pack| PackId::from_slice(pack).unwrap())
}

/// Interrupted, and taken up again when nothing is left of what had arrived.
#[test]
fn a_backup_that_is_taken_up_after_the_sweep_sends_all_of_it_again() {
    let mut scene = Scene::small();
    let before = scene.sent();
    scene.write_much();
    let mut taken = 0;
    scene.hostile.orders().put_pack.instead(move |_| {
        taken += 1;
        (taken > 1).then(|| Err(Status::unavailable("the line was lost")))
    });
    let head = scene.vault.head();
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(scene.vault.head(), head);
    scene.front().behave();
    let sent = scene.sent();
    let arrived = scene.held(&sent.difference(&before).copied().collect());
    assert_eq!(arrived.len(), 1);
    let stored = scene.person.stored();
    let counts_on_them = |line: &String| line.starts_with("pending_pack: ");
    assert!(stored.iter().any(counts_on_them));

    scene.hostile.hoster.clock.forward(LONGER);
    assert_eq!(scene.hostile.hoster.sweeper()().packs, 1);
    scene.assert_goes_on_without(&arrived);
}

/// All has arrived, and is gone when the head comes that was to commit it: the server
/// does not take it, and the next backup is whole.
#[test]
fn a_commit_that_comes_after_the_sweep_is_none() {
    let mut scene = Scene::small();
    scene.write_much();
    let (clock, sweep) = (
        scene.hostile.hoster.clock.clone(),
        scene.hostile.hoster.sweeper(),
    );
    let swept = Arc::new(Mutex::new(BTreeSet::new()));
    let kept = swept.clone();
    scene.hostile.orders().commit_head.instead(move |asked| {
        let mut kept = kept.lock().unwrap();
        if kept.is_empty() {
            kept.extend(packs_of(asked));
            clock.forward(LONGER);
            assert_eq!(sweep().packs, kept.len() as u64);
        }
        None
    });
    let (head, believed) = (scene.vault.head(), scene.person.believed());
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    // The hoster has done what it says it does.
    assert_matches!(&error, BackupError::TookTooLong { .. });
    assert_eq!(error.code(), ErrorCode::HosterRefused, "{error}");
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), believed);
    scene.front().behave();
    let swept = swept.lock().unwrap().clone();
    assert!(swept.len() >= 3, "{swept:?}");
    assert!(scene.held(&swept).is_empty());
    scene.assert_goes_on_without(&swept);
}
