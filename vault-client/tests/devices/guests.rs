//! A hoster where the account is a guest, and the account's devices: it learns of
//! them from themselves, when they use it.

use vault_client::account::{Account, AccountError, Standing, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::memory::{Call, MemoryHoster, MemoryNetwork};
use vault_client::remote::{Refusal, RefusalReason, RemoteError};
use vault_client::vault::{Upkeep, Vault, VaultError};
use vault_core::keys::RecoveryPhrase;
use vault_proto::ids::VaultId;
use vault_proto::vault_log::Role;

use crate::support::{Machine, Member, Other, commit, line_lost, rng, setup};

/// A member, and a vault of somebody else's, at another hoster, that he may write to.
struct Scene {
    other: MemoryHoster,
    network: MemoryNetwork,
    member: Member,
    vault: VaultId,
}

impl Scene {
    fn new() -> Self {
        let (home, other) = (MemoryHoster::named("home"), MemoryHoster::named("other"));
        let network = MemoryNetwork::new(&[&home, &other]);
        let mut member = Member::at(&home);
        let host = Member::at(&other);
        let vault = host.account.create_vault("theirs").unwrap().id();
        let log = member.paper().own_log();
        let remote = host.account.remote();
        remote.put_account_log(&log.id(), log.entries()).unwrap();
        let guest = member.account.id();
        host.paper().append_knowing(vault, &[log], |author, keys| {
            author
                .add_member(keys, &guest, Role::Writer, &mut rng())
                .unwrap()
        });
        Other::new(&other, guest, member.phrase.device_keys())
            .append(vault, |author, _| author.accept().unwrap());
        member.paper().know_vault(&home, &other, vault, "ours");
        member.account = Account::open(&setup(member.home.path(), network.clone())).unwrap();
        let scene = Self {
            other,
            network,
            member,
            vault,
        };
        assert_eq!(standing(&scene.member.account), Standing::Listed);
        scene
    }

    fn machine(&self) -> Machine {
        Machine::dialling(&self.member, "a phone", self.network.clone())
    }

    /// Whether the other hoster lets a device in.
    fn lets_in(&self, machine: &Machine) -> bool {
        let keys = machine.other(&self.member).keys;
        let there = Other::new(&self.other, self.member.account.id(), keys);
        there.remote.list_vaults().is_ok()
    }

    /// A new computer that has nothing but the words.
    fn recovered(&self, phrase: &RecoveryPhrase) -> (tempfile::TempDir, Account) {
        let home = tempfile::tempdir().unwrap();
        let setup = setup(home.path(), self.network.clone());
        let origin = self.member.hoster.origin();
        let account = Account::recover(&setup, &origin, phrase, "a new computer").unwrap();
        (home, account)
    }

    /// How often a log was brought to the other hoster.
    fn brought(&self) -> usize {
        let calls = self.other.calls().into_iter();
        let bringing = |call: &Call| matches!(call, Call::PutAccountLog(..));
        calls.filter(bringing).count()
    }
}

fn standing(account: &Account) -> Standing {
    let vaults = account.vaults().unwrap();
    assert_eq!(vaults.len(), 1);
    vaults[0].standing
}

fn ours(account: &Account) -> Result<Vault, AccountError> {
    account.open_vault(&VaultSelector::Only)
}

#[test]
fn a_new_device_brings_itself_to_a_hoster_that_nobody_has_told_of_it() {
    let scene = Scene::new();
    let machine = scene.machine();
    machine.account.devices().unwrap();
    assert!(!scene.lets_in(&machine));
    let mut vault = ours(&machine.account).unwrap();
    commit(&mut vault);
    assert_eq!(vault.head().unwrap().seq, 1);
    // It has told all that there is, and does not tell it again.
    scene.other.forget_calls();
    vault.refresh().unwrap();
    assert_eq!(standing(&machine.account), Standing::Listed);
    assert_eq!(scene.brought(), 0);
}

#[test]
fn a_removal_that_a_hoster_was_not_told_of_reaches_it_with_the_next_use() {
    let scene = Scene::new();
    let machine = scene.machine();
    assert_eq!(standing(&machine.account), Standing::Listed);
    let mut vault = ours(&scene.member.account).unwrap();
    commit(&mut vault);

    // It is away, and so is whatever would tell it afterwards.
    let away = MemoryNetwork::new(&[&scene.member.hoster]);
    let setup = setup(scene.member.home.path(), away);
    let cut_off = Account::open(&setup).unwrap();
    let device = machine.account.device();
    let removal = cut_off.remove_device(&device).unwrap();
    let told = removal.guest_logs.unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].origin, scene.other.origin());
    let error = told[0].pushed.as_ref().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    let kept: Vec<_> = removal.vaults.iter().map(|vault| &vault.upkeep).collect();
    assert!(matches!(kept[0], Ok(Upkeep::Rotated)), "{kept:?}");
    assert_eq!(
        kept[1].as_ref().unwrap_err().code(),
        ErrorCode::HosterUnreachable
    );
    assert!(scene.lets_in(&machine));

    // Whoever of the account writes there next tells it, and changes the keys.
    let epoch = vault.keys().unwrap().current_epoch();
    let lock = vault.lock().unwrap();
    vault.prepare().unwrap();
    drop(lock);
    assert!(!scene.lets_in(&machine));
    assert_eq!(vault.keys().unwrap().current_epoch(), epoch + 1);
    commit(&mut vault);
}

#[test]
fn a_removal_repeated_tells_hosters_again() {
    let scene = Scene::new();
    let machine = scene.machine();
    let device = machine.account.device();
    scene.other.fail_after(0, line_lost());
    let told = |removal: vault_client::account::DeviceRemoval| {
        let told = removal.guest_logs.unwrap();
        told.iter()
            .map(|told| told.pushed.is_ok())
            .collect::<Vec<_>>()
    };
    let account = &scene.member.account;
    let removal = account.remove_device(&device).unwrap();
    // A hoster that was not there a moment ago is not waited for again.
    let kept = removal.vaults[1].upkeep.as_ref();
    assert_eq!(kept.unwrap_err().code(), ErrorCode::HosterUnreachable);
    assert_eq!(told(removal), [false]);
    // A hoster that went back has forgotten what it has taken.
    scene.other.forget_calls();
    assert_eq!(told(account.remove_device(&device).unwrap()), [true]);
    assert_eq!(scene.brought(), 1);
}

#[test]
fn a_recovered_device_comes_in_where_it_could_not_be_announced() {
    let scene = Scene::new();
    scene.other.fail_after(0, line_lost());
    let (_home, account) = scene.recovered(&scene.member.phrase);
    assert_eq!(standing(&account), Standing::Listed);
    commit(&mut ours(&account).unwrap());
    assert!(account.push_log().unwrap()[0].pushed.is_ok());
}

/// No hoster elsewhere has seen these words when they are needed.
#[test]
fn new_words_bring_back_what_is_at_other_hosters_too() {
    let scene = Scene::new();
    scene.member.account.forget_phrase().unwrap();
    let words = scene.member.account.add_paper(None).unwrap();
    let (_home, account) = scene.recovered(&words);
    assert_eq!(standing(&account), Standing::Listed);
    commit(&mut ours(&account).unwrap());
}

#[test]
fn what_a_hoster_will_not_take_is_why_it_knows_no_device() {
    let scene = Scene::new();
    let full = || RemoteError::Refused(Refusal::new(RefusalReason::TooLarge, "full"));
    let machine = scene.machine();
    machine.account.devices().unwrap();
    scene.other.fail_after(0, full());
    let error = ours(&machine.account).err().unwrap();
    let AccountError::Vault(VaultError::Remote(RemoteError::Refused(refusal))) = error else {
        panic!("{error}");
    };
    assert_eq!(refusal.reason, RefusalReason::TooLarge);

    // One that it knows works on.
    let mut vault = ours(&scene.member.account).unwrap();
    scene.member.account.devices().unwrap();
    scene.other.fail_after(0, full());
    vault.refresh().unwrap();
    commit(&mut vault);
    // A line that breaks ends it.
    let machine = scene.machine();
    machine.account.devices().unwrap();
    scene.other.fail_after(0, line_lost());
    scene.other.forget_calls();
    let error = ours(&machine.account).err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    assert_eq!(scene.other.calls().len(), 1, "it is not waited for again");
    ours(&machine.account).unwrap();
    assert_eq!(scene.vault, vault.id());
}
