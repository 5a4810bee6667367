//! Committing: one signature a place, whatever breaks.

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_client::remote::{CommitOutcome, CommitRequest, Refusal, RefusalReason, RemoteError};
use vault_client::state::PendingPack;
use vault_client::vault::{CommitResult, Vault, VaultError};
use vault_proto::head::UnverifiedHead;
use vault_proto::ids::PackId;
use vault_proto::vault_log::Role;

use crate::support::{Member, commit, line_lost, pack, plan, put_pack, rng};

/// The commits to a vault that its hoster was sent.
fn sent(hoster: &MemoryHoster, vault: &Vault) -> Vec<CommitRequest> {
    let commits = hoster.calls().into_iter().filter_map(|call| match call {
        Call::CommitHead(request) => Some(request),
        _ => None,
    });
    let of_vault = |sent: &CommitRequest| head_of(sent).claims().vault == vault.id();
    commits.filter(of_vault).collect()
}

fn head_of(request: &CommitRequest) -> UnverifiedHead {
    UnverifiedHead::decode(&request.head).unwrap()
}

fn reopened(member: &Member) -> Vault {
    member.reopened().open_vault(&VaultSelector::Only).unwrap()
}

#[test]
fn what_is_committed_is_there_for_every_handle() {
    let (member, mut vault) = Member::with_vault();
    for seq in 2..20 {
        commit(&mut vault);
        assert_eq!(vault.head().unwrap().seq, seq);
        let other = reopened(&member);
        assert_eq!(
            (other.head(), other.root().unwrap()),
            (vault.head(), vault.root().unwrap())
        );
    }
    // And for a device that sees it all for the first time.
    let sight = member.paper().look(vault.id());
    assert_eq!(sight.seen.position(), vault.head());
    assert_eq!(&sight.root, vault.root().unwrap());
}

#[test]
fn an_unchanged_backup_costs_three_calls_besides_the_login() {
    let (member, _) = Member::with_vault();
    member.hoster.forget_calls();
    let mut vault = reopened(&member);
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    commit(&mut vault);
    assert_eq!(member.hoster.calls().len(), 3);
}

#[test]
fn a_lost_answer_is_found_out_by_sending_the_same_again() {
    let (member, mut vault) = Member::with_vault();
    let adds = vec![put_pack(&vault)];
    let planned = plan(&vault, adds);
    member.hoster.lose_answer_after(0);
    let error = vault.commit(planned.clone()).unwrap_err();
    assert!(error.is_transient());
    drop(vault);

    // Another process, much later.
    let mut vault = reopened(&member);
    assert_eq!(
        vault.head().unwrap().seq,
        1,
        "not believed without an answer"
    );
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    assert_eq!(vault.head().unwrap().seq, 2);
    assert_eq!(vault.root().unwrap(), &planned.root);
    commit(&mut vault);
    assert_eq!(vault.head().unwrap().seq, 3);
}

#[test]
fn what_was_signed_is_sent_byte_for_byte_until_it_is_accepted() {
    let (member, mut vault) = Member::with_vault();
    let adds = vec![put_pack(&vault)];
    let planned = plan(&vault, adds);
    for _ in 0..3 {
        member.hoster.fail_after(0, line_lost());
        vault.commit(planned.clone()).unwrap_err();
    }
    drop(vault);
    let mut vault = reopened(&member);
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    assert_eq!(vault.head().unwrap().seq, 2);
    let commits = sent(&member.hoster, &vault);
    let of_second: Vec<_> = commits
        .iter()
        .filter(|sent| head_of(sent).seq() == 2)
        .collect();
    assert_eq!(of_second.len(), 4);
    assert!(of_second.iter().all(|sent| *sent == of_second[0]));
}

#[test]
fn the_same_plan_again_is_the_same_head() {
    let (member, mut vault) = Member::with_vault();
    let adds = vec![put_pack(&vault)];
    let planned = plan(&vault, adds);
    member.hoster.fail_after(0, line_lost());
    vault.commit(planned.clone()).unwrap_err();
    let result = vault.commit(planned).unwrap();
    assert_eq!(result, CommitResult::Committed(vault.head().unwrap()));
    let commits = sent(&member.hoster, &vault);
    let [.., one, other] = &commits[..] else {
        panic!()
    };
    assert_eq!(one, other);
}

#[test]
fn another_plan_waits_for_what_was_signed_before() {
    let (member, mut vault) = Member::with_vault();
    let first = plan(&vault, vec![put_pack(&vault)]);
    member.hoster.fail_after(0, line_lost());
    vault.commit(first.clone()).unwrap_err();
    let second = plan(&vault, vec![put_pack(&vault)]);
    assert_eq!(vault.commit(second).unwrap(), CommitResult::LostRace);
    assert_eq!(vault.root().unwrap(), &first.root);
    commit(&mut vault);
    assert_eq!(vault.head().unwrap().seq, 3);
}

#[test]
fn missing_packs_are_named_and_the_head_waits_for_them() {
    let (member, mut vault) = Member::with_vault();
    let (id, bytes) = pack(&vault);
    let planned = plan(&vault, vec![put_pack(&vault), id]);
    for _ in 0..2 {
        let result = vault.commit(planned.clone()).unwrap();
        assert_eq!(result, CommitResult::Missing(vec![id]));
    }
    vault.remote().put_pack(&vault.id(), &id, bytes).unwrap();
    let result = vault.commit(planned).unwrap();
    assert_eq!(result, CommitResult::Committed(vault.head().unwrap()));
    let commits = sent(&member.hoster, &vault);
    assert_eq!(
        commits[commits.len() - 3..].iter().collect::<Vec<_>>(),
        [commits.last().unwrap(); 3]
    );
}

#[test]
fn a_head_that_takes_anothers_place_names_it() {
    let (member, mut vault) = Member::with_vault();
    let gone = PackId::from_array([7; 32]);
    let lost = plan(&vault, vec![gone]);
    assert_eq!(
        vault.commit(lost).unwrap(),
        CommitResult::Missing(vec![gone])
    );
    drop(vault);
    let mut vault = reopened(&member);
    commit(&mut vault);
    assert_eq!(vault.head().unwrap().seq, 2);
    let commits = sent(&member.hoster, &vault);
    let first = commits
        .iter()
        .find(|sent| head_of(sent).seq() == 2)
        .unwrap();
    let last = head_of(commits.last().unwrap());
    assert_eq!(last.claims().reconciled, Some(head_of(first).hash()));
    // Later ones replace nothing.
    commit(&mut vault);
    let last = sent(&member.hoster, &vault).pop().unwrap();
    assert_eq!(head_of(&last).claims().reconciled, None);
}

#[test]
fn what_the_hoster_refuses_for_good_is_replaced() {
    let (member, mut vault) = Member::with_vault();
    let planned = plan(&vault, vec![put_pack(&vault)]);
    let full = RemoteError::Refused(Refusal::new(RefusalReason::QuotaExceeded, "full"));
    for _ in 0..2 {
        member.hoster.fail_after(0, full.clone());
        let error = vault.commit(planned.clone()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::QuotaExceeded);
    }
    // The first is refused again, the second takes its place.
    let smaller = plan(&vault, Vec::new());
    member.hoster.fail_after(0, full);
    let result = vault.commit(smaller).unwrap();
    assert_eq!(result, CommitResult::Committed(vault.head().unwrap()));
    let commits = sent(&member.hoster, &vault);
    let [.., refused, replacing] = &commits[..] else {
        panic!()
    };
    let replaced = head_of(replacing).claims().reconciled;
    assert_eq!(replaced, Some(head_of(refused).hash()));
}

#[test]
fn a_lost_race_shows_the_winner() {
    let (member, mut vault) = Member::with_vault();
    let paper = member.paper();
    for _ in 0..3 {
        paper.commit(vault.id());
        let planned = plan(&vault, vec![put_pack(&vault)]);
        assert_eq!(vault.commit(planned).unwrap(), CommitResult::LostRace);
        assert_eq!(vault.head(), paper.look(vault.id()).seen.position());
        commit(&mut vault);
        // A head of its own stands in the lost one's place: nothing to replace.
        let last = sent(&member.hoster, &vault).pop().unwrap();
        assert_eq!(head_of(&last).claims().reconciled, None);
    }
}

#[test]
fn a_log_entry_that_came_first_is_a_lost_race_too() {
    let (member, mut vault) = Member::with_vault();
    let planned = plan(&vault, vec![put_pack(&vault)]);
    let entry = member.paper().append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    assert_eq!(vault.commit(planned).unwrap(), CommitResult::LostRace);
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    assert_eq!(vault.log().entries().last(), Some(&entry));
    let lost = sent(&member.hoster, &vault).pop().unwrap();
    commit(&mut vault);
    // The lost one can never be accepted, and no head stands in its place.
    let replacing = sent(&member.hoster, &vault).pop().unwrap();
    let replaced = head_of(&replacing).claims().reconciled;
    assert_eq!(replaced, Some(head_of(&lost).hash()));
}

#[test]
fn a_race_that_nobody_won_is_the_hosters_doing() {
    let (member, mut vault) = Member::with_vault();
    let planned = plan(&vault, vec![put_pack(&vault)]);
    member.hoster.answer_commits_with(CommitOutcome::LostRace {
        head_seq: 2,
        vault_log_seq: 1,
    });
    let error = vault.commit(planned).unwrap_err();
    assert!(matches!(error, VaultError::UnfoundedRace));
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    assert_eq!(vault.head().unwrap().seq, 1);
}

#[test]
fn an_accepted_commit_that_is_not_shown_is_a_step_back() {
    let (member, mut vault) = Member::with_vault();
    let planned = plan(&vault, vec![put_pack(&vault)]);
    member.hoster.answer_commits_with(CommitOutcome::Accepted);
    vault.commit(planned).unwrap();
    let before = member.stored();
    let error = vault.refresh().unwrap_err();
    assert!(
        matches!(error, VaultError::HosterWentBack { got: 1, .. }),
        "{error}"
    );
    assert_eq!(member.stored(), before);
}

#[test]
fn nothing_is_signed_on_a_state_that_another_handle_has_left() {
    let (member, mut vault) = Member::with_vault();
    let mut other = reopened(&member);
    commit(&mut other);
    let planned = plan(&vault, vec![put_pack(&vault)]);
    let before = sent(&member.hoster, &vault).len();
    assert_eq!(vault.commit(planned).unwrap(), CommitResult::LostRace);
    assert_eq!(sent(&member.hoster, &vault).len(), before);
    assert_eq!(vault.head(), other.head());
    commit(&mut vault);
}

#[test]
fn one_handle_writes_at_a_time() {
    let (member, mut vault) = Member::with_vault();
    let mut other = reopened(&member);
    let lock = vault.lock().unwrap();
    let planned = plan(&other, Vec::new());
    let error = other.commit(planned.clone()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::VaultBusy);
    assert!(error.is_transient());
    // Who only reads does not wait.
    other.refresh().unwrap();
    commit(&mut vault);
    drop(lock);
    assert!(other.commit(planned).is_ok());
}

#[test]
fn packs_that_a_head_has_claimed_are_on_their_way_no_longer() {
    let (member, mut vault) = Member::with_vault();
    let note = |pack| PendingPack {
        pack,
        epoch: 1,
        size: 16_384,
        entries: Vec::new(),
        uploaded: true,
    };
    let (claimed, waiting) = (put_pack(&vault), put_pack(&vault));
    let state = vault.state();
    state.add_pending_pack(&vault.id(), &note(claimed)).unwrap();
    state.add_pending_pack(&vault.id(), &note(waiting)).unwrap();
    member.hoster.lose_answer_after(0);
    vault.commit(plan(&vault, vec![claimed])).unwrap_err();
    assert_eq!(state.pending_packs(&vault.id()).unwrap().len(), 2);
    let mut vault = reopened(&member);
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    let left = state.pending_packs(&vault.id()).unwrap();
    assert_eq!(left, [note(waiting)]);
}

#[test]
fn a_commit_that_others_built_upon_has_claimed_its_packs() {
    for accepted in [true, false] {
        let (member, mut vault) = Member::with_vault();
        let note = |pack| PendingPack {
            pack,
            epoch: 1,
            size: 16_384,
            entries: Vec::new(),
            uploaded: true,
        };
        let id = put_pack(&vault);
        let state = vault.state();
        state.add_pending_pack(&vault.id(), &note(id)).unwrap();
        if accepted {
            member.hoster.lose_answer_after(0);
        } else {
            member.hoster.fail_after(0, line_lost());
        }
        vault.commit(plan(&vault, vec![id])).unwrap_err();
        for _ in 0..3 {
            member.paper().commit(vault.id());
        }
        // Somebody looks without the lock, and then a writer comes.
        let mut vault = reopened(&member);
        vault.refresh().unwrap();
        assert_eq!(state.pending_packs(&vault.id()).unwrap().len(), 1);
        let _lock = vault.lock().unwrap();
        vault.refresh().unwrap();
        let left = state.pending_packs(&vault.id()).unwrap().len();
        assert_eq!(left, usize::from(!accepted));
        commit(&mut vault);
        let last = sent(&member.hoster, &vault).pop().unwrap();
        assert_eq!(head_of(&last).claims().reconciled, None);
    }
}

#[test]
fn a_pack_twice_is_the_callers_mistake() {
    let (member, mut vault) = Member::with_vault();
    let id = put_pack(&vault);
    let before = member.stored();
    let error = vault.commit(plan(&vault, vec![id, id])).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument);
    assert_eq!(member.stored(), before);
}

#[test]
fn nothing_is_sealed_while_a_rotation_is_due() {
    let (member, mut vault) = Member::with_vault();
    let guest = Member::at(&member.hoster);
    let paper = member.paper();
    let guest_log = guest.paper().own_log();
    paper.append_knowing(vault.id(), &[guest_log], |author, keys| {
        author
            .add_member(keys, &guest.account.id(), Role::Reader, &mut rng())
            .unwrap()
    });
    vault.refresh().unwrap();
    commit(&mut vault);
    paper.append(vault.id(), |author, _| {
        author.remove_member(&guest.account.id()).unwrap()
    });
    vault.refresh().unwrap();
    let id = put_pack(&vault);
    let before = member.stored();
    let error = vault.commit(plan(&vault, vec![id])).unwrap_err();
    assert!(matches!(error, VaultError::RotationDue), "{error}");
    assert_eq!(member.stored(), before);
    paper.append(vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    vault.refresh().unwrap();
    commit(&mut vault);
}
