//! Writing to logs: one signature a place, whatever breaks.

use rusqlite::Connection;
use vault_client::account::{AccountError, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::{Refusal, RefusalReason, RemoteError};
use vault_client::vault::{CommitResult, Upkeep, Vault, VaultError};
use vault_proto::ids::VaultId;
use vault_proto::wire::SignedEntry;

use crate::engine::{Files, backed_up, snapshots};
use crate::support::{Machine, Member, commit, line_lost, plan, put_pack};

/// What the device has signed for a log and not seen accepted.
fn signed(member: &Member) -> Vec<Vec<u8>> {
    let database = Connection::open(member.home.path().join("state.db")).unwrap();
    let mut rows = database.prepare("SELECT entry FROM signed_entry").unwrap();
    let rows = rows.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn payload(encoded: &[u8]) -> Vec<u8> {
    <SignedEntry as prost::Message>::decode(encoded)
        .unwrap()
        .payload
}

/// The payload of an entry of the account's log, as the hoster has it.
fn standing(member: &Member, seq: usize) -> Vec<u8> {
    member.paper().own_log().entries()[seq - 1].payload.clone()
}

fn reopened(member: &Member, vault: &Vault) -> Vault {
    let selector = VaultSelector::Id(vault.id());
    member.reopened().open_vault(&selector).unwrap()
}

fn prepare(vault: &mut Vault) -> Result<(), VaultError> {
    let _lock = vault.lock()?;
    vault.prepare()
}

/// A member whose second device is gone, and a vault that does not know yet.
fn behind() -> (Member, Vault) {
    let (member, vault) = Member::with_vault();
    let machine = Machine::of(&member, "a phone");
    let device = machine.account.device();
    let id = vault.id();
    // All vaults are busy, so that nothing is done there.
    let locks: Vec<_> = [id, account_vault(&member)]
        .iter()
        .map(|vault| member.account.state().home().lock_vault(vault).unwrap())
        .collect();
    let removal = member.account.remove_device(&device).unwrap();
    let busy = |code| code == ErrorCode::VaultBusy;
    assert_eq!(removal.vaults.len(), 2);
    for vault in removal.vaults {
        assert!(busy(vault.upkeep.unwrap_err().code()));
    }
    drop(locks);
    (member, vault)
}

fn account_vault(member: &Member) -> VaultId {
    let database = Connection::open(member.home.path().join("state.db")).unwrap();
    let id: Vec<u8> = database
        .query_row("SELECT vault FROM account", [], |row| row.get(0))
        .unwrap();
    VaultId::from_slice(&id).unwrap()
}

#[test]
fn a_new_name_is_shown_and_begins_no_new_series() {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let files = Files::new(&[("one", b"one".to_vec())]);
    backed_up(&mut vault, &files).unwrap();
    let device = member.account.device();
    member.account.rename_device(&device, "a desk").unwrap();
    assert_eq!(member.account.device_name().unwrap(), "a desk");
    assert_eq!(member.reopened().device_name().unwrap(), "a desk");
    files.write("two", b"two");
    backed_up(&mut vault, &files).unwrap();
    let saved = snapshots(&vault);
    let names = saved
        .iter()
        .map(|saved| &*saved.snapshot.fields().device_name);
    assert_eq!(names.collect::<Vec<_>>(), ["a laptop", "a desk"]);
    assert_eq!(saved[0].series, saved[1].series);

    // By another device, once this one has asked.
    let machine = Machine::of(&member, "a phone");
    machine.account.rename_device(&device, "a table").unwrap();
    member.account.devices().unwrap();
    assert_eq!(member.account.device_name().unwrap(), "a table");
    assert_eq!(machine.account.device_name().unwrap(), "a phone");
}

#[test]
fn an_account_entry_is_sent_byte_for_byte_until_it_stands() {
    let member = Member::new();
    let device = member.account.device();
    // Synced, signed, and then the line breaks, again and again.
    for _ in 0..3 {
        member.hoster.fail_after(1, line_lost());
        let error = member.account.rename_device(&device, "a desk").unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    let held = signed(&member);
    assert_eq!(held.len(), 1);
    // This time it arrives, and the answer does not.
    member.hoster.lose_answer_after(1);
    member.account.rename_device(&device, "a desk").unwrap_err();
    assert_eq!(signed(&member), held);

    // Another process, much later, and with something else in mind.
    let account = member.reopened();
    account.rename_device(&device, "a chair").unwrap();
    assert_eq!(signed(&member), Vec::<Vec<u8>>::new());
    assert_eq!(standing(&member, 2), payload(&held[0]));
    assert_eq!(member.paper().own_log().position().seq, 3);
    let named = account.devices().unwrap().into_iter();
    let mut named = named.filter(|found| found.is_this);
    assert_eq!(named.next().unwrap().name.as_deref(), Some("a chair"));
}

#[test]
fn the_same_again_does_nothing_more_once_it_has_arrived() {
    let member = Member::new();
    let device = member.account.device();
    member.hoster.lose_answer_after(1);
    member.account.rename_device(&device, "a desk").unwrap_err();
    member.reopened().rename_device(&device, "a desk").unwrap();
    assert_eq!(member.paper().own_log().position().seq, 2);
}

#[test]
fn another_device_that_was_first_takes_the_place() {
    let member = Member::new();
    let device = member.account.device();
    member.hoster.fail_after(1, line_lost());
    member.account.rename_device(&device, "a desk").unwrap_err();
    let held = signed(&member);
    let _phone = Machine::of(&member, "a phone");
    member.account.rename_device(&device, "a desk").unwrap();
    assert_eq!(signed(&member), Vec::<Vec<u8>>::new());
    assert_ne!(standing(&member, 2), payload(&held[0]));
    assert_eq!(member.paper().own_log().position().seq, 3);
}

#[test]
fn an_account_entry_that_is_refused_for_good_is_replaced() {
    let member = Member::new();
    let device = member.account.device();
    let full = RemoteError::Refused(Refusal::new(RefusalReason::QuotaExceeded, "full"));
    member.hoster.fail_after(1, full.clone());
    let error = member.account.rename_device(&device, "a desk").unwrap_err();
    assert_eq!(error.code(), ErrorCode::QuotaExceeded);
    let held = signed(&member);
    // It is sent once more, and only then another one is signed.
    member.hoster.fail_after(1, full);
    member.account.rename_device(&device, "a chair").unwrap();
    assert_ne!(standing(&member, 2), payload(&held[0]));
    assert_eq!(member.paper().own_log().position().seq, 2);
}

#[test]
fn a_race_that_nobody_has_won_is_told() {
    let member = Member::new();
    let device = member.account.device();
    let lost = RemoteError::Refused(Refusal::new(RefusalReason::LostRace, "another was first"));
    member.hoster.fail_after(1, lost);
    let error = member.account.rename_device(&device, "a desk").unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
}

#[test]
fn a_vault_entry_is_sent_byte_for_byte_until_it_stands() {
    let (member, mut vault) = behind();
    // Refreshed, refreshed under the lock, signed; later sent at once.
    for calls in [2, 1, 1] {
        member.hoster.fail_after(calls, line_lost());
        let error = prepare(&mut vault).unwrap_err();
        assert!(error.is_transient(), "{error}");
    }
    let held = signed(&member);
    assert_eq!(held.len(), 1);
    member.hoster.lose_answer_after(1);
    prepare(&mut vault).unwrap_err();
    assert_eq!(signed(&member), held);
    assert_eq!(vault.keys().unwrap().current_epoch(), 1, "not believed yet");

    let sight = member.paper().look(vault.id());
    assert_eq!(sight.log.epoch().number, 2);
    let newest = sight.log.entries().last().unwrap();
    assert_eq!(newest.payload, payload(&held[0]));
    let mut vault = reopened(&member, &vault);
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    assert_eq!(signed(&member), Vec::<Vec<u8>>::new());
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    assert_eq!(vault.keep_up().unwrap(), Upkeep::Nothing);
}

#[test]
fn a_head_that_was_first_makes_a_new_entry_of_it() {
    let (member, mut vault) = behind();
    let lock = vault.lock().unwrap();
    member.hoster.fail_after(1, line_lost());
    vault.keep_up().unwrap_err();
    let held = signed(&member);
    // The other device has not heard of the removal.
    member.paper().commit(vault.id());
    assert_eq!(vault.keep_up().unwrap(), Upkeep::Rotated);
    let newest = vault.log().entries().last().unwrap();
    assert_ne!(newest.payload, payload(&held[0]));
    assert_eq!(vault.log().pinned_head(), vault.head());
    assert_eq!(signed(&member), Vec::<Vec<u8>>::new());
    drop(lock);
    commit(&mut vault);
}

#[test]
fn a_plan_that_an_entry_of_its_own_overtakes_is_made_anew() {
    let (member, mut vault) = behind();
    let lock = vault.lock().unwrap();
    member.hoster.lose_answer_after(1);
    vault.keep_up().unwrap_err();
    // The rotation stands, and this handle does not know it yet.
    let planned = plan(&vault, vec![put_pack(&vault)]);
    let result = vault.commit(planned).unwrap();
    assert_eq!(result, CommitResult::LostRace);
    assert_eq!(vault.keys().unwrap().current_epoch(), 2);
    drop(lock);
    commit(&mut vault);
}

#[test]
fn names_of_devices_cannot_write_to_the_terminal() {
    let member = Member::new();
    let device = member.account.device();
    for name in ["", "a\u{1b}[2Jdesk", "two\nlines"] {
        let error = member.account.rename_device(&device, name).unwrap_err();
        assert!(matches!(error, AccountError::DeviceName), "{error}");
    }
    let long = "x".repeat(1_000);
    let error = member.account.rename_device(&device, &long).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidArgument, "{error}");
}
