//! Whether what a hoster shows is the newest, and who can tell.

use rusqlite::Connection;
use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::vault::{Freshness, Vault, VaultError};

use crate::support::{Machine, Member, commit};

/// What a recovery does: nothing is known of how new this is.
fn doubt(machine: &Machine, vault: &Vault) {
    let database = Connection::open(machine.home.path().join("state.db")).unwrap();
    let doubt = "INSERT INTO doubted (log, own_head) SELECT account, NULL FROM account
                 UNION SELECT vault, NULL FROM account UNION SELECT ?1, NULL";
    database.execute(doubt, [vault.id().as_bytes()]).unwrap();
}

#[test]
fn a_head_of_a_device_that_remembers_ends_the_doubt_and_no_other_does() {
    let (member, mut vault) = Member::with_vault();
    let recovered = Machine::of(&member, "a new laptop");
    let younger = Machine::of(&member, "a phone");
    let mut theirs = recovered.vault();
    assert_eq!(theirs.freshness().unwrap(), Freshness::Confirmed);
    doubt(&recovered, &theirs);
    assert_eq!(theirs.freshness().unwrap(), Freshness::Unknown);
    assert_eq!(recovered.account.freshness().unwrap(), Freshness::Unknown);

    let unknown = |vault: &mut Vault| {
        vault.refresh().unwrap();
        assert_eq!(vault.freshness().unwrap(), Freshness::Unknown);
    };
    // A head that does not build on one of this device's says nothing.
    vault.refresh().unwrap();
    commit(&mut vault);
    unknown(&mut theirs);
    commit(&mut theirs);
    unknown(&mut theirs);
    // Nor does one of who began later, or of paper.
    let mut phone = younger.vault();
    phone.refresh().unwrap();
    commit(&mut phone);
    unknown(&mut theirs);
    member.paper().commit(vault.id());
    unknown(&mut theirs);

    vault.refresh().unwrap();
    commit(&mut vault);
    theirs.refresh().unwrap();
    assert_eq!(theirs.freshness().unwrap(), Freshness::Confirmed);
    // Of the account nothing was heard yet.
    assert_eq!(recovered.account.freshness().unwrap(), Freshness::Unknown);
    recovered.account.create_vault("photos").unwrap();
    member.account.create_vault("mail").unwrap();
    recovered.account.vaults().unwrap();
    assert_eq!(recovered.account.freshness().unwrap(), Freshness::Confirmed);
}

#[test]
fn a_printed_head_confirms_itself_and_what_comes_after() {
    let (member, mut vault) = Member::with_vault();
    let printed: Vec<_> = (0..40)
        .map(|_| {
            commit(&mut vault);
            vault.printed_head().unwrap()
        })
        .collect();
    let recovered = Machine::of(&member, "a new laptop");
    let mut theirs = recovered.vault();
    for printed in &printed {
        doubt(&recovered, &theirs);
        let spelled = format!("  {} ", printed.to_ascii_uppercase());
        theirs.confirm(&spelled).unwrap();
        assert_eq!(theirs.freshness().unwrap(), Freshness::Confirmed);
        let database = Connection::open(recovered.home.path().join("state.db")).unwrap();
        database.execute("DELETE FROM doubted", []).unwrap();
    }
}

#[test]
fn a_printed_head_of_the_account_confirms_the_account() {
    let (member, vault) = Member::with_vault();
    let printed = member.account.printed_head().unwrap().unwrap();
    member.account.create_vault("photos").unwrap();
    let newer = member.account.printed_head().unwrap().unwrap();
    assert_ne!(newer, printed);
    for printed in [&printed, &newer] {
        let recovered = Machine::of(&member, "a new laptop");
        let mut theirs = recovered
            .account
            .open_vault(&VaultSelector::Id(vault.id()))
            .unwrap();
        doubt(&recovered, &theirs);
        // A vault's says nothing of the account, nor the account's of a vault.
        let of_vault = vault.printed_head().unwrap();
        recovered.account.confirm(&of_vault).unwrap_err();
        theirs.confirm(printed).unwrap_err();
        theirs.confirm(&of_vault).unwrap();
        assert_eq!(recovered.account.freshness().unwrap(), Freshness::Unknown);
        recovered.account.confirm(printed).unwrap();
        assert_eq!(recovered.account.freshness().unwrap(), Freshness::Confirmed);
    }
    // A hoster that went back is told.
    let account_vault = member.account.own_vault();
    member.hoster.roll_back(&account_vault, 1);
    let recovered = Machine::of(&member, "a new laptop");
    doubt(&recovered, &vault);
    let error = recovered.account.confirm(&newer).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(recovered.account.freshness().unwrap(), Freshness::Unknown);
}

#[test]
fn what_is_no_printed_head_confirms_nothing() {
    let (member, mut vault) = Member::with_vault();
    commit(&mut vault);
    let printed = vault.printed_head().unwrap();
    let other = member.account.create_vault("photos").unwrap();
    assert_eq!(other.printed_head(), None);
    doubt_here(&member, &vault);
    let mut wrong = vec![String::new(), "x".repeat(10_000), "2".into(), "0-".into()];
    for place in 0..printed.len() {
        let mut letters: Vec<_> = printed.chars().collect();
        letters[place] = if letters[place] == 'a' { 'b' } else { 'a' };
        wrong.push(letters.into_iter().collect());
    }
    for wrong in wrong {
        match vault.confirm(&wrong) {
            Err(error @ VaultError::PrintedHead) => {
                assert_eq!(error.code(), ErrorCode::InvalidArgument);
            }
            Ok(()) => panic!("{wrong} passes for {printed}"),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(vault.freshness().unwrap(), Freshness::Unknown);
    }
}

#[test]
fn a_hoster_that_shows_less_or_another_story_is_told() {
    let (member, mut vault) = Member::with_vault();
    commit(&mut vault);
    commit(&mut vault);
    let printed = vault.printed_head().unwrap();
    member.hoster.roll_back(&vault.id(), 1);
    let fresh = Machine::of(&member, "a tablet");
    let mut theirs = fresh.vault();
    doubt(&fresh, &theirs);
    let error = theirs.confirm(&printed).unwrap_err();
    assert!(
        matches!(error, VaultError::PrintedHeadMissing { printed: 3, got: 1 }),
        "{error}"
    );
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    // And now others at the same places, and behind.
    for _ in 0..4 {
        member.paper().commit(vault.id());
        let error = match theirs.confirm(&printed) {
            Err(VaultError::PrintedHeadMissing { .. }) => continue,
            other => other.unwrap_err(),
        };
        assert!(matches!(error, VaultError::Head(_)), "{error}");
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
    }
    assert_eq!(theirs.freshness().unwrap(), Freshness::Unknown);
}

fn doubt_here(member: &Member, vault: &Vault) {
    let database = Connection::open(member.home.path().join("state.db")).unwrap();
    let doubt = "INSERT INTO doubted (log, own_head) VALUES (?1, NULL)";
    database.execute(doubt, [vault.id().as_bytes()]).unwrap();
}
