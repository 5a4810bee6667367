//! What a thief has set up with a machine before it was removed: nothing undoes it by
//! itself, and all of it is named.

use vault_client::account::{AccountError, DeviceRemoval, LeftBehind, OfferSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::NewLink;
use vault_client::vault::Vault;
use vault_proto::device::DeviceKind;
use vault_proto::ids::{AccountId, DeviceId, LinkId, VaultId};
use vault_proto::vault_log::Role;

use crate::support::{Machine, Member, commit};

/// A machine that another of the account's has paired.
fn brought_in(member: &Member, by: &Machine, name: &'static str) -> Machine {
    Machine::added_by(&by.other(member), member, name, member.hoster.clone())
}

/// Somebody at the same hoster who has a name.
fn accomplice(member: &Member, name: &str) -> Member {
    let other = Member::at(&member.hoster);
    other.account.set_name(name).unwrap();
    other
}

fn share(by: &Machine, vault: &mut Vault, with: &Member, role: Role) {
    by.account.set_name("owner").unwrap();
    let address = with.account.address().unwrap();
    let shared = by.account.share(vault, &address, role).unwrap();
    let offer = OfferSelector::Text(shared.offer);
    with.account.accept_offer(&offer, None).unwrap();
}

fn remove(member: &Member, machine: &Machine) -> LeftBehind {
    let device = machine.account.device();
    member.account.remove_device(&device).unwrap().left_behind
}

fn devices(left: &LeftBehind) -> Vec<DeviceId> {
    left.devices.iter().map(|device| device.id).collect()
}

fn members(left: &LeftBehind) -> Vec<(VaultId, AccountId, Role)> {
    let members = left.members.iter();
    members
        .map(|member| (member.vault, member.account, member.role))
        .collect()
}

#[test]
fn what_a_thief_has_set_up_is_named_until_it_is_ended() {
    let (member, mut vault) = Member::with_vault();
    member.account.forget_phrase().unwrap();
    let stolen = Machine::of(&member, "a phone");
    let mallory = accomplice(&member, "mallory");
    let mut theirs = stolen.vault();
    theirs.refresh().unwrap();

    let words = stolen.account.add_paper(None).unwrap();
    let hideout = brought_in(&member, &stolen, "a server");
    share(&stolen, &mut theirs, &mallory, Role::Manager);
    let left = remove(&member, &stolen);
    let (paper, server) = (words.device_keys().id(), hideout.account.device());
    assert_eq!(devices(&left), [paper, server]);
    assert_eq!(left.devices[0].kind, DeviceKind::Paper);
    assert!(!left.devices[0].is_rooted);
    assert_eq!(left.devices[1].name.as_deref(), Some("a server"));
    assert_eq!(left.devices[1].added_by, Some(stolen.account.device()));
    let joined = (vault.id(), mallory.account.id(), Role::Manager);
    assert_eq!(members(&left), [joined]);
    let named = &left.members[0];
    assert_eq!(named.vault_name.as_deref(), Some("documents"));
    assert!(named.accepted);
    let address = mallory.account.address().unwrap();
    assert_eq!(named.address, Some(address));
    assert!(left.unseen.is_empty() && !left.is_empty());
    // He is in the epoch that the removal began: that is why he has to be named.
    vault.refresh().unwrap();
    assert!(vault.log().epoch().boxes.contains_key(&joined.1));

    // Each is named until it is ended; the paper by the words of the beginning alone.
    member.account.unshare(&mut vault, &joined.1).unwrap();
    let left = remove(&member, &stolen);
    assert_eq!((devices(&left).len(), members(&left).len()), (2, 0));
    member.account.remove_device(&server).unwrap();
    let error = member.account.remove_device(&paper).unwrap_err();
    assert!(matches!(error, AccountError::PaperNeeded), "{error}");
    assert_eq!(devices(&remove(&member, &stolen)), [paper]);
    let removed = member.account.remove_paper(&paper, &member.phrase);
    assert!(removed.unwrap().left_behind.is_empty());
    assert!(remove(&member, &stolen).is_empty());
}

#[test]
fn what_was_brought_in_by_what_was_brought_in_is_named_too() {
    let (member, mut vault) = Member::with_vault();
    let stolen = Machine::of(&member, "a phone");
    let first = brought_in(&member, &stolen, "a server");
    let second = brought_in(&member, &first, "another");
    let mallory = accomplice(&member, "mallory");
    let mut theirs = second.vault();
    theirs.refresh().unwrap();
    share(&second, &mut theirs, &mallory, Role::Reader);
    let joined = (vault.id(), mallory.account.id(), Role::Reader);

    // That the one in between is out already changes nothing.
    let left = remove(&member, &first);
    assert_eq!(devices(&left), [second.account.device()]);
    assert_eq!(members(&left), [joined]);
    let left = remove(&member, &stolen);
    assert_eq!(devices(&left), [second.account.device()]);
    assert_eq!(members(&left), [joined]);
    // Of those that stand beside it, nothing is said.
    let left = remove(&member, &second);
    assert_eq!((devices(&left).len(), members(&left)), (0, vec![joined]));
    vault.refresh().unwrap();
}

#[test]
fn a_role_that_a_thief_has_given_is_named_and_one_that_was_taken_back_is_not() {
    let (member, mut vault) = Member::with_vault();
    member.account.set_name("owner").unwrap();
    let stolen = Machine::of(&member, "a phone");
    let friend = accomplice(&member, "friend");
    let address = friend.account.address().unwrap();
    let shared = member.account.share(&mut vault, &address, Role::Reader);
    let offer = OfferSelector::Text(shared.unwrap().offer);
    friend.account.accept_offer(&offer, None).unwrap();
    let mut theirs = stolen.vault();
    let id = friend.account.id();
    let promote = stolen.account.change_role(&mut theirs, &id, Role::Manager);
    promote.unwrap();
    let left = remove(&member, &stolen);
    assert_eq!(members(&left), [(vault.id(), id, Role::Manager)]);
    let account = &member.account;
    account.change_role(&mut vault, &id, Role::Reader).unwrap();
    assert!(remove(&member, &stolen).is_empty());
}

#[test]
fn an_ordinary_removal_names_nothing() {
    let (member, mut vault) = Member::with_vault();
    member.account.set_name("owner").unwrap();
    member.account.forget_phrase().unwrap();
    let old = Machine::of(&member, "a phone");
    commit(&mut old.vault());
    // What others have set up, this machine among them, is theirs.
    Machine::of(&member, "a tablet");
    member.account.add_paper(None).unwrap();
    let friend = accomplice(&member, "friend");
    let address = friend.account.address().unwrap();
    let shared = member.account.share(&mut vault, &address, Role::Manager);
    shared.unwrap();
    let left = remove(&member, &old);
    assert!(left.is_empty(), "{left:?}");
    assert!(left.links.is_empty());
}

/// Whoever removes a device may have been brought in by it.
#[test]
fn who_removes_is_trusted_and_so_is_what_he_brought_in() {
    let (member, _vault) = Member::with_vault();
    let laptop = &member.account;
    let keys = member.paper().keys;
    // The laptop has paired a phone, and that a tablet.
    let secret = std::fs::read(member.home.path().join("device.key")).unwrap();
    let own = vault_core::keys::DeviceKeys::from_secret_bytes(&secret).unwrap();
    let own = crate::support::Other::new(&member.hoster, laptop.id(), own);
    let phone = Machine::added_by(&own, &member, "a phone", member.hoster.clone());
    let tablet = brought_in(&member, &phone, "a tablet");
    let other = Machine::added_by(&own, &member, "a desktop", member.hoster.clone());
    let removal = phone.account.remove_device(&laptop.device()).unwrap();
    assert_eq!(devices(&removal.left_behind), [other.account.device()]);
    let all = phone.account.devices().unwrap();
    let found = |id| all.iter().find(|device| device.id == id).unwrap();
    let added_by = |id| found(id).added_by;
    assert_eq!(added_by(keys.id()), None);
    assert_eq!(
        added_by(tablet.account.device()),
        Some(phone.account.device())
    );
}

/// The new words were added by those that they take the place of.
#[test]
fn words_that_are_replaced_leave_the_new_ones_unnamed() {
    let (member, _vault) = Member::with_vault();
    member.account.forget_phrase().unwrap();
    let old = &member.phrase;
    let machine = Machine::of(&member, "a phone");
    let new = member.account.add_paper(Some(old)).unwrap();
    let removal = member.account.remove_paper(&old.device_keys().id(), &new);
    // Whoever had the words may have brought the phone in with them.
    let left = removal.unwrap().left_behind;
    assert_eq!(devices(&left), [machine.account.device()]);
}

#[test]
fn links_are_named_and_those_on_no_list_are_a_reason_to_look() {
    let (member, mut vault) = Member::with_vault();
    let stolen = Machine::of(&member, "a phone");
    commit(&mut vault);
    let capsule = member.hoster.packs(&vault.id())[0];
    let id = LinkId::from_array([7; 32]);
    let link = NewLink {
        vault: vault.id(),
        link: id,
        capsule,
        packs: Vec::new(),
        expires: None,
        max_downloads: None,
    };
    stolen.vault().remote().create_link(&link).unwrap();
    let left = remove(&member, &stolen);
    assert_eq!(left.links.len(), 1);
    assert_eq!((left.links[0].id, left.links[0].is_listed), (id, false));
    assert!(!left.is_empty());
}

#[test]
fn a_vault_that_could_not_be_looked_into_is_named() {
    let (member, vault) = Member::with_vault();
    let stolen = Machine::of(&member, "a phone");
    let lock = member
        .account
        .state()
        .home()
        .lock_vault(&vault.id())
        .unwrap();
    let removal = |member: &Member| -> DeviceRemoval {
        let device = stolen.account.device();
        member.account.remove_device(&device).unwrap()
    };
    let left = removal(&member).left_behind;
    assert_eq!(left.unseen.len(), 1);
    assert_eq!(left.unseen[0].vault, vault.id());
    assert_eq!(left.unseen[0].error.code(), ErrorCode::VaultBusy);
    assert!(!left.is_empty());
    drop(lock);
    assert!(removal(&member).left_behind.is_empty());
}
