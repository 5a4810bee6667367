//! Vaults that get another name, that are deleted, and that a member leaves.

use vault_client::account::{AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::vault::{Upkeep, Vault};
use vault_proto::vault_log::Role;

use super::removal::share;
use crate::support::{Machine, Member, commit, line_lost};

fn names(member: &Member) -> Vec<Option<String>> {
    let vaults = member.account.vaults().unwrap();
    vaults.into_iter().map(|vault| vault.name).collect()
}

fn name(name: &str) -> Vec<Option<String>> {
    vec![Some(name.to_owned())]
}

#[test]
fn a_vault_is_found_under_its_new_name_only() {
    let (member, vault) = Member::with_vault();
    let other = member.account.create_vault("photos").unwrap();
    let taken = member
        .account
        .rename_vault(&vault.id(), "photos")
        .unwrap_err();
    assert!(matches!(taken, AccountError::NameTaken(id) if id == other.id()));
    let none = member
        .account
        .rename_vault(&vault.id(), "a\u{7}b")
        .unwrap_err();
    assert_eq!(none.code(), ErrorCode::InvalidArgument);
    member.account.rename_vault(&vault.id(), "papers").unwrap();
    member.account.rename_vault(&vault.id(), "papers").unwrap();
    let by_name = |name: &str| member.account.open_vault(&VaultSelector::Name(name.into()));
    assert_eq!(by_name("papers").unwrap().id(), vault.id());
    assert!(matches!(
        by_name("documents"),
        Err(AccountError::NoSuchVault)
    ));
    let nobody = vault_proto::ids::VaultId::from_array([7; 32]);
    let none = member.account.rename_vault(&nobody, "x").unwrap_err();
    assert!(matches!(none, AccountError::NoSuchVault), "{none}");
}

#[test]
fn a_deleted_vault_is_empty_and_nowhere_listed() {
    let (member, mut vault) = Member::with_vault();
    commit(&mut vault);
    member.account.create_vault("photos").unwrap();
    member.account.delete_vault(&vault.id()).unwrap();
    assert_eq!(names(&member), name("photos"));
    vault.refresh().unwrap();
    assert_eq!(vault.root().unwrap().pack_count, 0);
    assert!(vault.root().unwrap().catalog.is_none() && vault.root().unwrap().segments.is_empty());
    // Its name is free again.
    member.account.create_vault("documents").unwrap();
}

#[test]
fn a_vault_with_other_members_is_left_and_not_deleted() {
    let (owner, mut vault) = Member::with_vault();
    let only = owner.account.leave_vault(&vault.id()).unwrap_err();
    assert!(matches!(only, AccountError::OnlyMember), "{only}");
    let reader = Member::at(&owner.hoster);
    let shared: Vault = share(&owner, &mut vault, &reader, Role::Reader);
    let others = owner.account.delete_vault(&vault.id()).unwrap_err();
    assert!(matches!(others, AccountError::OthersAreMembers), "{others}");
    let last = owner.account.leave_vault(&vault.id()).unwrap_err();
    assert!(matches!(last, AccountError::LastManager), "{last}");
    assert_eq!(names(&owner), name("documents"));

    // The answer is lost, and the hoster shows nothing to who is out.
    reader.hoster.lose_answer_after(1);
    let lost = reader.account.leave_vault(&shared.id()).unwrap_err();
    assert!(lost.is_transient(), "{lost}");
    reader.account.leave_vault(&shared.id()).unwrap();
    assert!(names(&reader).is_empty());
    // Whoever stays changes the keys before he writes.
    let lock = vault.lock().unwrap();
    vault.prepare().unwrap();
    drop(lock);
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    assert!(vault.log().member(&reader.account.id()).is_none());
    commit(&mut vault);
}

/// What became of leaving is not forgotten before the account's settings know it.
#[test]
fn leaving_may_break_anywhere_and_is_repeated() {
    let run = |broken: Option<(usize, bool)>| {
        let (owner, mut vault) = Member::with_vault();
        let reader = Member::at(&owner.hoster);
        let shared = share(&owner, &mut vault, &reader, Role::Reader);
        let id = shared.id();
        owner.hoster.forget_calls();
        match broken {
            Some((call, true)) => owner.hoster.lose_answer_after(call),
            Some((call, false)) => owner.hoster.fail_after(call, line_lost()),
            None => {}
        }
        // As the program does it: one that others are members of is left.
        let delete = || match reader.account.delete_vault(&id) {
            Err(AccountError::OthersAreMembers) => reader.account.leave_vault(&id),
            deleted => panic!("{deleted:?}"),
        };
        if broken.is_some() {
            let error = reader.account.leave_vault(&id).unwrap_err();
            assert!(error.is_transient(), "{error}");
            // It may have got as far as that nobody knows the vault any more.
            reader.account.vaults().unwrap();
            if !reader.account.known_vaults().unwrap().is_empty() {
                delete().unwrap();
            }
        } else {
            reader.account.leave_vault(&id).unwrap();
        }
        let calls = owner.hoster.calls().len();
        assert!(names(&reader).is_empty());
        vault.refresh().unwrap();
        assert!(vault.log().member(&reader.account.id()).is_none());
        calls
    };
    let calls = run(None);
    assert!(calls >= 6, "{calls}");
    for call in 0..calls {
        run(Some((call, false)));
        run(Some((call, true)));
    }
}

/// What this device has signed is why it believes a hoster that shows nothing: it is
/// kept until the account's settings know.
#[test]
fn leaving_that_arrived_unheard_may_break_again() {
    let (owner, mut vault) = Member::with_vault();
    let reader = Member::at(&owner.hoster);
    let shared = share(&owner, &mut vault, &reader, Role::Reader);
    let leave = || reader.account.leave_vault(&shared.id());
    owner.hoster.lose_answer_after(1);
    assert!(leave().unwrap_err().is_transient());
    let mut broken = 0;
    loop {
        owner.hoster.fail_after(broken, line_lost());
        match leave() {
            Ok(()) => break,
            Err(error) => assert!(error.is_transient(), "{broken}: {error}"),
        }
        broken += 1;
        if reader.account.known_vaults().unwrap().is_empty() {
            break;
        }
    }
    owner.hoster.behave();
    assert!(broken >= 3, "{broken}");
    assert!(names(&reader).is_empty());
}

#[test]
fn whoever_may_only_read_leaves_a_vault_whose_keys_are_to_be_changed() {
    let (owner, mut vault) = Member::with_vault();
    let reader = Member::at(&owner.hoster);
    let shared = share(&owner, &mut vault, &reader, Role::Reader);
    let machine = Machine::of(&reader, "a phone");
    let device = machine.account.device();
    let removal = reader.account.remove_device(&device).unwrap();
    assert!(matches!(removal.vaults[1].upkeep, Ok(Upkeep::Due)));
    let others = reader.account.delete_vault(&shared.id()).unwrap_err();
    assert!(matches!(others, AccountError::OthersAreMembers), "{others}");
    reader.account.leave_vault(&shared.id()).unwrap();
    assert!(names(&reader).is_empty());
}

#[test]
fn a_vault_that_somebody_hides_was_not_left() {
    let (owner, mut vault) = Member::with_vault();
    let reader = Member::at(&owner.hoster);
    let shared = share(&owner, &mut vault, &reader, Role::Reader);
    owner.hoster.hide_vault(&shared.id());
    let error = reader.account.leave_vault(&shared.id()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoVault, "{error}");
    owner.hoster.behave();
    let listed = reader.account.remote().list_vaults().unwrap();
    assert!(listed.iter().any(|(id, _)| *id == shared.id()));
}
