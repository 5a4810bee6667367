//! A device is lost: what it can do no more, and what is done in every vault.

use vault_client::account::{AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::vault::{Upkeep, Vault, VaultError};
use vault_proto::ids::DeviceId;
use vault_proto::vault_log::Role;

use crate::support::{Machine, Member, commit, plan, put_pack, rng};

/// Whether a device can still ask the hoster for anything.
fn is_out(machine: &Machine) -> bool {
    machine.account.vaults().is_err()
}

/// `reader` may read the vault of `owner`.
pub(super) fn share(owner: &Member, vault: &mut Vault, reader: &Member, role: Role) -> Vault {
    let (id, log) = (reader.account.id(), reader.paper().own_log());
    owner
        .paper()
        .append_knowing(vault.id(), &[log], |author, keys| {
            author.add_member(keys, &id, role, &mut rng()).unwrap()
        });
    reader
        .paper()
        .append(vault.id(), |author, _| author.accept().unwrap());
    let known_at = &reader.hoster;
    reader
        .paper()
        .know_vault(known_at, known_at, vault.id(), "shared");
    vault.refresh().unwrap();
    let selector = VaultSelector::Id(vault.id());
    let mut shared = reader.account.open_vault(&selector).unwrap();
    shared.refresh().unwrap();
    shared
}

#[test]
fn a_removed_device_is_out_and_every_vault_has_new_keys() {
    let (member, mut vault) = Member::with_vault();
    let machine = Machine::of(&member, "a phone");
    commit(&mut machine.vault());
    let device = machine.account.device();
    let removal = member.account.remove_device(&device).unwrap();
    assert_eq!(removal.vaults.len(), 2);
    for vault in &removal.vaults {
        assert_eq!(*vault.upkeep.as_ref().unwrap(), Upkeep::Rotated);
    }
    assert_eq!(removal.vaults[0].name, None);
    assert_eq!(removal.vaults[1].name.as_deref(), Some("documents"));
    assert!(is_out(&machine));
    vault.refresh().unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    // Settings and files are written under the new keys.
    commit(&mut vault);
    member.account.create_vault("photos").unwrap();

    let listed = member.account.devices().unwrap();
    let removed: Vec<_> = listed.iter().filter(|d| d.removed_seq.is_some()).collect();
    assert_eq!(removed.len(), 1);
    assert_eq!(
        (removed[0].id, removed[0].name.as_deref()),
        (device, Some("a phone"))
    );
    // Again is nothing more.
    let seq = member.paper().own_log().position().seq;
    let removal = member.account.remove_device(&device).unwrap();
    assert!(
        removal
            .vaults
            .iter()
            .all(|vault| matches!(vault.upkeep, Ok(Upkeep::Nothing)))
    );
    assert_eq!(member.paper().own_log().position().seq, seq);
}

#[test]
fn what_a_removed_device_signs_is_refused_by_all_even_by_who_knows_nothing() {
    let (member, mut vault) = Member::with_vault();
    let machine = Machine::of(&member, "a phone");
    let mut theirs = machine.vault();
    theirs.refresh().unwrap();
    let fresh = Machine::of(&member, "a tablet");
    // A hoster that helps the thief stays where it was.
    let accomplice = member.hoster.fork();
    let device = machine.account.device();
    member.account.remove_device(&device).unwrap();
    vault.refresh().unwrap();

    let thief = crate::support::Other::new(
        &accomplice,
        member.account.id(),
        machine.other(&member).keys,
    );
    thief.commit(vault.id());
    let sight = thief.look(vault.id());
    let forged = sight.seen.newest().unwrap().clone();
    // His head is shown to everybody behind the entries that they know.
    let request = vault_client::remote::SyncRequest {
        vault: vault.id(),
        vault_log_seq: 0,
        head_seq: 0,
        accounts: Vec::new(),
        without_root: false,
        until_head_seq: 0,
    };
    let answer = thief.remote.sync_vault(&request).unwrap();
    let (heads, root) = (answer.heads.clone(), answer.root.clone());
    member.hoster.tamper_with_syncs(move |answer| {
        answer.heads.clone_from(&heads);
        answer.root.clone_from(&root);
        answer.newest_head_seq = forged.seq;
    });
    let before = member.stored();
    let error = vault.refresh().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), before);
    // And to a device that has never seen the vault.
    let selector = VaultSelector::Id(vault.id());
    let opened = fresh.account.open_vault(&selector);
    assert_eq!(opened.err().unwrap().code(), ErrorCode::HosterMisbehaved);
}

#[test]
fn a_device_does_not_remove_itself_and_no_machine_removes_paper() {
    let member = Member::new();
    let own = member.account.device();
    let paper = member.phrase.device_keys().id();
    let before = member.stored();
    let error = member.account.remove_device(&own).unwrap_err();
    assert!(matches!(error, AccountError::ThisDevice), "{error}");
    let error = member.account.remove_device(&paper).unwrap_err();
    assert!(matches!(error, AccountError::PaperNeeded), "{error}");
    let stranger = DeviceId::from_array([7; 32]);
    let error = member.account.remove_device(&stranger).unwrap_err();
    assert!(matches!(error, AccountError::NoSuchDevice), "{error}");
    assert_eq!(member.stored(), before);
}

#[test]
fn a_reader_records_a_removal_and_a_writer_changes_the_keys_before_he_writes() {
    let (owner, mut vault) = Member::with_vault();
    let reader = Member::at(&owner.hoster);
    let mut shared = share(&owner, &mut vault, &reader, Role::Reader);
    let machine = Machine::of(&reader, "a phone");
    let removal = reader
        .account
        .remove_device(&machine.account.device())
        .unwrap();
    let done: Vec<_> = removal
        .vaults
        .iter()
        .map(|v| *v.upkeep.as_ref().unwrap())
        .collect();
    assert_eq!(done, [Upkeep::Rotated, Upkeep::Due]);
    shared.refresh().unwrap();
    assert!(shared.log().rotation_due());
    let lock = shared.lock().unwrap();
    let error = shared.prepare().unwrap_err();
    assert!(matches!(error, VaultError::RotationDue), "{error}");
    assert_eq!(error.code(), ErrorCode::RotationDue);
    drop(lock);

    // Nothing is sealed by whoever has seen it, and does not act.
    vault.refresh().unwrap();
    let planned = plan(&vault, vec![put_pack(&vault)]);
    let error = vault.commit(planned).unwrap_err();
    assert!(matches!(error, VaultError::RotationDue), "{error}");
    let lock = vault.lock().unwrap();
    vault.prepare().unwrap();
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    drop(lock);
    commit(&mut vault);
    shared.refresh().unwrap();
    assert_eq!(shared.root().unwrap(), vault.root().unwrap());
}

#[test]
fn whoever_sees_first_that_another_member_lost_a_device_acts() {
    let (owner, mut vault) = Member::with_vault();
    let writer = Member::at(&owner.hoster);
    let shared = share(&owner, &mut vault, &writer, Role::Writer);
    let machine = Machine::of(&writer, "a phone");
    // The writer is cut off right after the removal.
    let lock = writer
        .account
        .state()
        .home()
        .lock_vault(&shared.id())
        .unwrap();
    let removal = writer
        .account
        .remove_device(&machine.account.device())
        .unwrap();
    assert_eq!(
        removal.vaults[1].upkeep.as_ref().unwrap_err().code(),
        ErrorCode::VaultBusy
    );
    drop(lock);

    let lock = vault.lock().unwrap();
    vault.prepare().unwrap();
    drop(lock);
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    let generation = vault.log().epoch().boxes[&writer.account.id()].generation;
    assert_eq!(generation, 2);
}
