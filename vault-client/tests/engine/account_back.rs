//! The account itself, after its hoster has restored a backup of its own.

use vault_client::account::{Account, Standing, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, Reconciled, reconcile, reconcile_account};
use vault_client::remote::memory::MemoryHoster;
use vault_core::author::AccountAuthor;
use vault_core::keys::AccountSecrets;

use super::lost_entries::Shared;
use super::{Files, assert_whole, backed_up, snapshots};
use crate::support::{Machine, Member, Other, rng, setup};

fn brought_back(account: &Account) -> Reconciled {
    reconcile_account(account, Parted::Refuse, &Cancellation::new())
        .unwrap()
        .0
}

/// The names of the vaults, and what the hoster says of them.
fn vaults(account: &Account) -> Vec<(String, Standing)> {
    let vaults = account.vaults().unwrap().into_iter();
    vaults
        .map(|vault| (vault.name.unwrap(), vault.standing))
        .collect()
}

fn log_length(hoster: &MemoryHoster, member: &Member) -> usize {
    let log = hoster.visitor().fetch_account_log(&member.account.id(), 0);
    log.unwrap().entries.len()
}

#[test]
fn names_devices_and_whole_vaults_come_back() {
    let member = Member::new();
    let first = member.account.create_vault("first").unwrap();
    let old = member.hoster.fork();
    let device = member.account.device();
    member.account.rename_device(&device, "a desk").unwrap();
    member.account.rename_vault(&first.id(), "papers").unwrap();
    let mut photos = member.account.create_vault("photos").unwrap();
    let files = Files::many(1, 4, 30_000);
    backed_up(&mut photos, &files).unwrap();
    let id = photos.id();
    drop((first, photos));

    // Nothing that begins with the account's settings works, and nothing goes back
    // by itself.
    let account = member.reopened_at(&old);
    let stored = member.stored();
    let error = account.vaults().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), stored);

    let report = brought_back(&account);
    assert!(report.from < report.lost, "{report:?}");
    assert_eq!(report.account_entries, 1);
    assert_eq!(report.uploaded.len(), 1, "the newest settings: {report:?}");
    assert!(
        report.gone.is_empty() && !report.contents_lost,
        "{report:?}"
    );
    let devices = account.devices().unwrap();
    let is_desk = |name: &Option<String>| name.as_deref() == Some("a desk");
    assert!(devices.iter().any(|device| is_desk(&device.name)));
    assert_eq!(
        vaults(&account),
        [
            ("papers".to_owned(), Standing::Listed),
            ("photos".to_owned(), Standing::Hidden),
        ]
    );

    // A vault that the hoster never saw is made again, as it was.
    let mut photos = account.open_vault(&VaultSelector::Id(id)).unwrap();
    let report = reconcile(&mut photos, Parted::Refuse, &Cancellation::new()).unwrap();
    assert_eq!((report.from, report.lost), (0, 1));
    assert_eq!(vaults(&account)[1].1, Standing::Listed);
    assert_eq!(snapshots(&photos).len(), 1);
    backed_up(&mut photos, &files).unwrap();
    assert_whole(&mut photos);

    // Once is enough, and the account goes on.
    let report = brought_back(&account);
    assert_eq!((report.from, report.account_entries), (report.lost, 0));
    assert!(report.uploaded.is_empty(), "{report:?}");
    account.create_vault("more").unwrap();
}

#[test]
fn entries_of_the_accounts_log_alone_come_back() {
    let member = Member::new();
    let old = member.hoster.fork();
    let device = member.account.device();
    for name in ["one", "two"] {
        member.account.rename_device(&device, name).unwrap();
    }
    let before = log_length(&member.hoster, &member);
    assert_eq!(log_length(&old, &member), before - 2);
    let account = member.reopened_at(&old);
    let report = brought_back(&account);
    assert_eq!((report.from, report.account_entries), (report.lost, 2));
    assert_eq!(log_length(&old, &member), before);
    account.rename_device(&device, "three").unwrap();
}

/// The hoster knows the device no more, and it has no login to say so with.
#[test]
fn a_device_that_was_added_since_brings_itself_back() {
    let member = Member::new();
    let old = member.hoster.fork();
    let second = Machine::of(&member, "a tablet");
    second.account.vaults().unwrap();
    let account = Account::open(&setup(second.home.path(), old.clone())).unwrap();
    let error = account.vaults().unwrap_err();
    assert_eq!(error.code(), ErrorCode::DeviceUnknown, "{error}");
    let report = brought_back(&account);
    assert_eq!(report.account_entries, 1);
    account.vaults().unwrap();
    // The first finds it done.
    let first = member.reopened_at(&old);
    assert_eq!(brought_back(&first).account_entries, 0);
    assert_eq!(first.devices().unwrap().len(), 3);
}

/// Another entry in the place of a lost one is a fork: nothing changes.
#[test]
fn another_entry_in_the_accounts_log_is_told() {
    let member = Member::new();
    let old = member.hoster.fork();
    let device = member.account.device();
    member.account.rename_device(&device, "a desk").unwrap();
    let paper = Other::new(&old, member.account.id(), member.phrase.device_keys());
    let log = paper.own_log();
    let author = AccountAuthor {
        log: &log,
        secrets: &AccountSecrets::open(&log, &paper.keys).unwrap(),
        device: &paper.keys,
    };
    let entry = author
        .rename_device(&device, "a shelf", &mut rng())
        .unwrap();
    paper.remote.append_account_entry(&entry).unwrap();
    let account = member.reopened_at(&old);
    let stored = member.stored();
    let error = reconcile_account(&account, Parted::Refuse, &Cancellation::new()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(member.stored(), stored);
}

/// What an entry of the vault names is sent before it.
#[test]
fn what_other_members_logs_lack_is_brought_too() {
    let shared = Shared::new();
    let old = shared.owner.hoster.fork();
    let device = shared.writer.account.device();
    shared
        .writer
        .account
        .rename_device(&device, "a desk")
        .unwrap();
    shared.writer.paper().commit(shared.vault.id());
    let mut vault = shared
        .owner
        .reopened()
        .open_vault(&VaultSelector::Only)
        .unwrap();
    vault.refresh().unwrap();
    let head = vault.head();
    drop(vault);
    assert_eq!(
        log_length(&old, &shared.writer) + 1,
        log_length(&shared.owner.hoster, &shared.writer)
    );

    let mut vault = shared.at(&old);
    let report = reconcile(&mut vault, Parted::Refuse, &Cancellation::new()).unwrap();
    assert_eq!(report.account_entries, 1);
    assert_eq!(
        log_length(&old, &shared.writer),
        log_length(&shared.owner.hoster, &shared.writer)
    );
    assert_eq!(vault.head().map(|at| at.seq), head.map(|at| at.seq));
    assert_ne!(vault.head(), head);
}
