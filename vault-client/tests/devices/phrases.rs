//! Recovery phrases: proved, replaced, and removed.

use vault_client::account::{AccountError, PaperStanding};
use vault_client::error::ErrorCode;
use vault_client::vault::Upkeep;
use vault_core::keys::RecoveryPhrase;

use crate::support::{Member, commit, line_lost, rng};

#[test]
fn a_phrase_is_proved_without_leaving_the_device() {
    let member = Member::new();
    let standing = |phrase: &RecoveryPhrase| member.account.check_phrase(phrase).unwrap();
    assert_eq!(standing(&member.phrase), PaperStanding::Rooted);
    let stranger = RecoveryPhrase::generate(&mut rng());
    assert_eq!(standing(&stranger), PaperStanding::Unknown);
}

#[test]
fn old_words_bring_new_ones_that_replace_them() {
    let (member, mut vault) = Member::with_vault();
    let old = &member.phrase;
    let new = member.account.add_paper(Some(old)).unwrap();
    assert_ne!(&new, old);
    assert_eq!(
        member.account.check_phrase(&new).unwrap(),
        PaperStanding::Rooted
    );
    let id = old.device_keys().id();
    let removal = member.account.remove_paper(&id, &new).unwrap();
    assert!(
        removal
            .vaults
            .iter()
            .all(|vault| matches!(vault.upkeep, Ok(Upkeep::Rotated)))
    );
    assert_eq!(
        member.account.check_phrase(old).unwrap(),
        PaperStanding::Removed
    );
    assert_eq!(
        member.account.check_phrase(&new).unwrap(),
        PaperStanding::Rooted
    );
    vault.refresh().unwrap();
    commit(&mut vault);
    // The old one is good for nothing any more.
    member.account.forget_phrase().unwrap();
    let error = member.account.add_paper(Some(old)).unwrap_err();
    assert!(matches!(error, AccountError::WrongPhrase), "{error}");
    assert_eq!(error.code(), ErrorCode::WrongKey);
}

#[test]
fn without_the_old_words_a_second_phrase_recovers_and_removes_nothing() {
    let member = Member::new();
    member.account.forget_phrase().unwrap();
    let second = member.account.add_paper(None).unwrap();
    assert_eq!(
        member.account.check_phrase(&second).unwrap(),
        PaperStanding::Added
    );
    let old = member.phrase.device_keys().id();
    let error = member.account.remove_paper(&old, &second).unwrap_err();
    assert!(matches!(error, AccountError::PaperNeeded), "{error}");
    // The first removes the second.
    let id = second.device_keys().id();
    member.account.remove_paper(&id, &member.phrase).unwrap();
    assert_eq!(
        member.account.check_phrase(&second).unwrap(),
        PaperStanding::Removed
    );
    let stranger = RecoveryPhrase::generate(&mut rng());
    let error = member.account.remove_paper(&old, &stranger).unwrap_err();
    assert!(matches!(error, AccountError::WrongPhrase), "{error}");
}

#[test]
fn a_phrase_that_nobody_confirmed_is_given_again() {
    let member = Member::new();
    // That of the sign-up is still there.
    assert_eq!(member.account.add_paper(None).unwrap(), member.phrase);
    member.account.forget_phrase().unwrap();
    let seq = member.paper().own_log().position().seq;
    member.hoster.lose_answer_after(1);
    member.account.add_paper(None).unwrap_err();
    member.hoster.fail_after(0, line_lost());
    member.account.add_paper(None).unwrap_err();
    let phrase = member.account.add_paper(None).unwrap();
    assert_eq!(member.account.add_paper(None).unwrap(), phrase);
    assert_eq!(member.paper().own_log().position().seq, seq + 1);
    member.account.forget_phrase().unwrap();
    assert_ne!(member.account.add_paper(None).unwrap(), phrase);
}
