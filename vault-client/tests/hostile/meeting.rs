//! A hoster that shows two members of a vault different heads, until they meet
//! by sharing: an entry of the vault's log names the head that it follows, and an
//! offer the newest one that its sender knew.

use std::sync::{Arc, Mutex};

use vault_client::account::{AccountError, OfferSelector};
use vault_client::error::ErrorCode;
use vault_client::vault::{Vault, VaultError};
use vault_core::offer::OfferError;
use vault_proto::head::{HeadError, UnverifiedHead};
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::{Role, VaultLogError};
use vault_rpc::hoster::commit_head_response::Outcome;
use vault_rpc::hoster::{Accepted, CommitHeadResponse, SyncVaultRequest, SyncVaultResponse};

use super::history::assert_matches;
use super::scene::{Person, Scene, refused};
use crate::support::commit;

/// Heads that a hoster shows to one member and not to the others.
#[derive(Clone, Default)]
pub(super) struct Branch {
    /// Oldest first, each with its sealed root.
    pub(super) heads: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Branch {
    /// What one is shown who asks, in the place of what is so.
    pub(super) fn put_into(&self, asked: &SyncVaultRequest, answer: &mut SyncVaultResponse) {
        let seq = |head: &[u8]| UnverifiedHead::decode(head).unwrap().seq();
        let heads = self.heads.iter().rev().map(|(head, _)| head.clone());
        let until = match asked.until_head_seq {
            0 => u64::MAX,
            until => until,
        };
        let heads = heads.filter(|head| seq(head) > asked.head_seq && seq(head) <= until);
        answer.heads = heads.collect();
        let (newest, root) = self.heads.last().unwrap();
        answer.newest_head_seq = seq(newest);
        answer.root = match asked.without_root {
            true => Vec::new(),
            false => root.clone(),
        };
    }
}

impl Scene {
    /// The owner has a name from now on, and so has somebody else; the vault is
    /// shared with him, he has taken it up, and its first head is what both know.
    fn shared_with(&mut self, name: &str) -> (Person, Vault) {
        self.person.account.set_name("alice").unwrap();
        let other = self.named(name);
        let offer = self.offer(&other, Role::Manager);
        let offer = OfferSelector::Text(offer);
        let vault = other.account.accept_offer(&offer, None).unwrap();
        self.vault.refresh().unwrap();
        assert_eq!(vault.head(), self.vault.head());
        (other, vault)
    }

    pub(super) fn named(&self, name: &str) -> Person {
        let person = Person::at(&self.hostile);
        person.account.set_name(name).unwrap();
        person
    }

    /// The owner shares, or offers anew what he has shared already.
    pub(super) fn offer(&mut self, with: &Person, role: Role) -> String {
        let address = with.account.address().unwrap();
        let account = &self.person.account;
        let shared = account.share(&mut self.vault, &address, role).unwrap();
        shared.offer
    }

    /// So many heads by a member who is told that they are accepted. Nobody else
    /// learns of them.
    pub(super) fn branch(&self, vault: &mut Vault, heads: usize) -> Branch {
        let kept = Arc::new(Mutex::new(Branch::default()));
        let branch = kept.clone();
        self.hostile.orders().commit_head.instead(move |asked| {
            let head = (asked.head.clone(), asked.root.clone());
            kept.lock().unwrap().heads.push(head);
            Some(Ok(CommitHeadResponse {
                outcome: Some(Outcome::Accepted(Accepted {})),
            }))
        });
        for _ in 0..heads {
            commit(vault);
        }
        self.front().behave();
        let branch = branch.lock().unwrap().clone();
        assert_eq!(branch.heads.len(), heads);
        branch
    }

    /// From now on whoever asks is shown this branch. Entries of the log are all
    /// there: without them the branch would be a log that somebody has cut off.
    pub(super) fn show(&self, branch: &Branch) {
        let (vault, branch) = (self.vault.id().to_vec(), branch.clone());
        let lie = move |asked: &SyncVaultRequest, answer: &mut SyncVaultResponse| {
            if asked.vault == vault {
                branch.put_into(asked, answer);
            }
        };
        self.hostile.orders().sync_vault.tamper(lie);
    }
}

/// An offer that is not taken up since what the hoster shows is not what its sender
/// knew: the error, after which nothing of the device's has moved.
#[track_caller]
fn not_taken_up(person: &Person, offer: &str) -> AccountError {
    let (before, known) = (person.stored(), person.account.known_vaults().unwrap());
    let offer = OfferSelector::Text(offer.to_owned());
    let error = match person.account.accept_offer(&offer, None) {
        Err(error) => error,
        Ok(_) => panic!("the offer of a vault that was forked was taken up"),
    };
    assert!(!error.is_transient(), "{error}");
    assert_eq!(person.stored(), before, "{error}");
    assert_eq!(person.account.known_vaults().unwrap(), known);
    error
}

#[track_caller]
fn vault_error(error: AccountError) -> VaultError {
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    match error {
        AccountError::Vault(error) => error,
        error => panic!("{error}"),
    }
}

/// From head 3, which somebody knew, to head 2.
#[track_caller]
pub(super) fn assert_went_back(error: VaultError) {
    assert_matches!(
        error,
        VaultError::HosterWentBack {
            known: HeadPosition { seq: 3, .. },
            got: 2,
            ..
        }
    );
}

/// One of the two shares the vault further. The entry that does so reaches the
/// other, whichever of the branches is the longer one.
#[test]
fn a_fork_is_told_by_the_entry_of_a_further_share() {
    for (ours, theirs) in [(1, 1), (2, 1), (1, 2)] {
        let mut scene = Scene::small();
        let (bob, mut of_bob) = scene.shared_with("bob");
        let branch = scene.branch(&mut of_bob, theirs);
        for _ in 0..ours {
            commit(&mut scene.vault);
        }
        // The hoster keeps to its story, and both are content.
        scene.show(&branch);
        of_bob.refresh().unwrap();
        scene.front().behave();
        scene.vault.refresh().unwrap();

        let carol = scene.named("carol");
        scene.offer(&carol, Role::Reader);
        scene.show(&branch);
        let error = refused(&bob.home, &mut of_bob);
        match (ours, theirs) {
            (1, 1) => {
                assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
            }
            (2, 1) => assert_went_back(error),
            _ => {
                assert_matches!(
                    error,
                    VaultError::VaultLog(VaultLogError::OlderHead {
                        known: HeadPosition { seq: 3, .. }
                    })
                );
            }
        }
        // Nor does it help to show the truth by now.
        scene.front().behave();
        refused(&bob.home, &mut of_bob);
        // And the entry was not taken in: whoever asks him is told of two members.
        assert_eq!(of_bob.log().members().count(), 2);
    }
}

/// The owner offers the vault anew to a member who is on another branch. No entry
/// has been written since they parted: only the offer tells.
#[test]
fn a_fork_is_told_by_an_offer_between_the_two() {
    for (ours, theirs) in [(1, 1), (2, 1), (1, 2)] {
        let mut scene = Scene::small();
        let (bob, mut of_bob) = scene.shared_with("bob");
        let branch = scene.branch(&mut of_bob, theirs);
        for _ in 0..ours {
            commit(&mut scene.vault);
        }
        let offer = scene.offer(&bob, Role::Manager);
        assert_eq!(scene.vault.log().position(), of_bob.log().position());
        scene.show(&branch);
        of_bob.refresh().unwrap();
        let error = vault_error(not_taken_up(&bob, &offer));
        match (ours, theirs) {
            (2, 1) => assert_went_back(error),
            _ => {
                assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
            }
        }
    }
}

/// Nothing is known to a new member but the offer: a branch of which its sender
/// does not know is not taken for the vault, and none of it is kept.
#[test]
fn a_fork_is_told_by_the_offer_to_a_new_member() {
    let mut scene = Scene::small();
    let (_bob, mut of_bob) = scene.shared_with("bob");
    let carol = scene.named("carol");
    // Of the time before the two parted, so that the log names a head of both.
    scene.offer(&carol, Role::Reader);
    of_bob.refresh().unwrap();
    let short = scene.branch(&mut of_bob, 1);
    let mut long = scene.branch(&mut of_bob, 1);
    long.heads.splice(0..0, short.heads.clone());
    commit(&mut scene.vault);
    let offer = scene.offer(&carol, Role::Reader);
    for branch in [&short, &long] {
        scene.show(branch);
        let error = vault_error(not_taken_up(&carol, &offer));
        assert_matches!(error, VaultError::Head(HeadError::Fork { seq: 2 }));
        scene.front().behave();
    }

    // The newest withheld is no fork, and is told all the same.
    let newest = scene.branch_of_the_hoster();
    commit(&mut scene.vault);
    let newer = scene.offer(&carol, Role::Reader);
    scene.show(&newest);
    assert_went_back(vault_error(not_taken_up(&carol, &newer)));
    // With the truth the same offer is good: nothing of the lies was kept.
    scene.front().behave();
    let offer = OfferSelector::Text(newer);
    let of_carol = carol.account.accept_offer(&offer, None).unwrap();
    assert_eq!(of_carol.head(), scene.vault.head());
}

impl Scene {
    /// The newest head as it is, as a branch by itself.
    pub(super) fn branch_of_the_hoster(&self) -> Branch {
        let answer = self.whole_answer();
        Branch {
            heads: vec![(answer.heads[0].clone(), answer.root)],
        }
    }
}

/// An offer names how far its sender's log had come: an entry there that the hoster
/// withholds, one that removes a device perhaps, is missed.
#[test]
fn a_senders_log_that_is_cut_off_is_told_by_the_offer() {
    let mut scene = Scene::small();
    let (_bob, _) = scene.shared_with("bob");
    let carol = scene.named("carol");
    let laptop = scene.person.account.device();
    let account = &scene.person.account;
    account.rename_device(&laptop, "the old one").unwrap();
    let offer = scene.offer(&carol, Role::Reader);
    let alice = scene.person.account.id().to_vec();
    let cut = move |asked: &vault_rpc::hoster::FetchAccountLogRequest,
                    answer: &mut vault_rpc::hoster::FetchAccountLogResponse| {
        if asked.account == alice {
            answer.entries.pop();
        }
    };
    scene.hostile.orders().fetch_account_log.tamper(cut);
    let error = not_taken_up(&carol, &offer);
    assert_matches!(error, AccountError::Offer(OfferError::SenderLog));
    scene.front().behave();
    let offer = OfferSelector::Text(offer);
    carol.account.accept_offer(&offer, None).unwrap();
}
