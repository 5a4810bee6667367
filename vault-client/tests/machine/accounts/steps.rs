//! What members do, and what comes of it at once.

use std::collections::BTreeMap;
use std::thread;

use tempfile::TempDir;
use vault_client::account::pairing::{NewDevice, PairingCode};
use vault_client::account::{Account, AccountError, OfferSelector, PaperStanding, VaultSelector};
use vault_client::backup::back_up;
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::vault::{Freshness, Upkeep};
use vault_core::keys::{PhraseLanguage, RecoveryPhrase};
use vault_core::offer::SealedOffer;
use vault_core::snapshot::SnapshotId;
use vault_proto::ids::{DeviceId, VaultId};
use vault_proto::vault_log::Role;

use super::expected::{assert_refused, assert_refused_at_home};
use super::{Device, Kind, MAX_MACHINES, MAX_VAULTS, Owner, Shared, Standing, Step, World};
use crate::engine::{Files, noise, silent};
use crate::support::setup;

impl World {
    pub(super) fn take(&mut self, step: Step) {
        let (members, vaults) = (self.members.len(), self.vaults.len().max(1));
        match step {
            Step::Pair { member, by } => self.pair(member % members, by),
            Step::Remove { member, by, which } => self.remove(member % members, by, which),
            Step::Recover { member } => self.recover(member % members),
            Step::Replace { member, by } => self.replace(member % members, by),
            Step::Create { member, by } => self.create(member % members, by),
            _ if self.vaults.is_empty() => {}
            Step::Share {
                vault,
                by,
                to,
                role,
            } => self.share(vault % vaults, by % members, to % members, role),
            Step::Accept { vault, who, device } => {
                self.accept(vault % vaults, who % members, device);
            }
            Step::Decline { vault, who } => self.decline(vault % vaults, who % members),
            Step::Unshare { vault, by, whom } => {
                self.unshare(vault % vaults, by % members, whom % members);
            }
            Step::Leave { vault, who, device } => {
                self.leave(vault % vaults, who % members, device);
            }
            Step::BackUp { vault, by, device } => {
                self.back_up(vault % vaults, by % members, device);
            }
            Step::Race { vault, one, other } => self.race(vault % vaults, one, other),
            Step::RaceRemoval {
                vault,
                member,
                by,
                which,
                writer,
            } => self.race_removal(vault % vaults, member % members, (by, which), writer),
            Step::RaceUnshare {
                vault,
                by,
                whom,
                writer,
            } => self.race_unshare(vault % vaults, by % members, whom % members, writer),
        }
        self.assert_standing();
    }

    fn pair(&mut self, member: usize, by: usize) {
        let owner = &self.members[member];
        if owner.machines().count() == MAX_MACHINES {
            return;
        }
        let (home, go_on) = (tempfile::tempdir().unwrap(), Cancellation::new());
        let setup = setup(home.path(), self.network.clone());
        let mut new = NewDevice::begin(&setup, &owner.home.origin(), "another").unwrap();
        let code = PairingCode::parse(&new.code()).unwrap();
        let account = owner.account(by);
        let old = account
            .pair(&code, PhraseLanguage::English, &go_on)
            .unwrap();
        assert_eq!(new.await_words(&go_on).unwrap(), old.words());
        let (new, old) = thread::scope(|scope| {
            let new = scope.spawn(|| new.finish(&Cancellation::new()));
            let old = old.confirm(&go_on);
            (new.join().unwrap(), old)
        });
        old.unwrap();
        // It is sent the newest account key, and with it all before.
        let (paper, _) = owner.paper();
        let device = Device::machine(home, new.unwrap(), paper.reach.clone());
        self.members[member].devices.push(device);
    }

    /// On a new computer. Papers that were replaced open nothing there.
    fn recover(&mut self, member: usize) {
        let owner = &self.members[member];
        for (paper, phrase) in owner.papers().filter(|(paper, _)| !paper.is_active) {
            let (_home, error) = self.recovered(member, phrase);
            let error = error.err().expect("an old paper brought the account back");
            assert!(matches!(error, AccountError::UnknownPhrase), "{error}");
            assert_refused_at_home(owner, &paper.keys);
        }
        if owner.machines().count() == MAX_MACHINES {
            return;
        }
        let (paper, phrase) = owner.paper();
        let (home, account) = self.recovered(member, phrase);
        let account = account.unwrap();
        // It has the words alone, and the hoster could show it what is old.
        assert_eq!(account.freshness().unwrap(), Freshness::Unknown);
        // What it reads, and no more, is what the paper could.
        let device = Device::machine(home, account, paper.reach.clone());
        self.members[member].devices.push(device);
    }

    fn recovered(
        &self,
        member: usize,
        phrase: &RecoveryPhrase,
    ) -> (TempDir, Result<Account, AccountError>) {
        let home = tempfile::tempdir().unwrap();
        let setup = setup(home.path(), self.network.clone());
        let origin = self.members[member].home.origin();
        let account = Account::recover(&setup, &origin, phrase, "a new computer");
        (home, account)
    }

    /// As `phrase new` does it, with the old words at hand.
    fn replace(&mut self, member: usize, by: usize) {
        let owner = &self.members[member];
        let account = owner.account(by);
        let (old, old_phrase) = owner.paper();
        let phrase = account.add_paper(Some(old_phrase)).unwrap();
        let removal = account.remove_paper(&old.keys.id(), &phrase).unwrap();
        self.assert_kept_up(member, &removal);
        account.forget_phrase().unwrap();
        let standing = [old_phrase, &phrase].map(|phrase| account.check_phrase(phrase).unwrap());
        assert_eq!(standing, [PaperStanding::Removed, PaperStanding::Rooted]);
        let error = account.add_paper(Some(old_phrase)).unwrap_err();
        assert!(matches!(error, AccountError::WrongPhrase), "{error}");
        assert_refused_at_home(owner, &old.keys);
        let new = Device::paper(phrase, old.reach.clone());
        let papers = self.members[member].devices.iter_mut();
        let mut papers = papers.filter(|device| matches!(device.kind, Kind::Paper(_)));
        let old = papers.find(|paper| paper.is_active);
        old.expect("it was there before").is_active = false;
        self.members[member].devices.push(new);
    }

    fn remove(&mut self, member: usize, by: usize, which: usize) {
        let owner = &self.members[member];
        let machines: Vec<_> = owner.machines().collect();
        let (by, gone) = (by % machines.len(), which % machines.len());
        if by == gone {
            return;
        }
        let (by, gone) = (machines[by], machines[gone]);
        let device = owner.devices[gone].keys.id();
        let removal = owner.devices[by].account().remove_device(&device).unwrap();
        self.assert_kept_up(member, &removal);
        self.members[member].devices[gone].is_active = false;
    }

    fn create(&mut self, member: usize, by: usize) {
        let number = self.vaults.len();
        if number == MAX_VAULTS {
            return;
        }
        let owner = &self.members[member];
        let name = format!("vault {number}");
        let vault = owner.account(by).create_vault(&name).unwrap();
        let standing = Standing {
            role: Role::Manager,
            accepted: true,
            by: member,
            offers: BTreeMap::new(),
        };
        self.vaults.push(Shared {
            id: vault.id(),
            name,
            hoster: owner.home.clone(),
            standing: BTreeMap::from([(member, standing)]),
            written: Vec::new(),
        });
    }

    fn share(&mut self, vault: usize, by: usize, to: usize, role: Role) {
        if by == to {
            return;
        }
        let address = self.members[to].account(0).address().unwrap();
        let account = self.members[by].account(0);
        let shared = self
            .open(vault, account)
            .and_then(|mut vault| account.share(&mut vault, &address, role));
        let is_manager = self.may(vault, by, Role::Manager);
        let standing = &mut self.vaults[vault].standing;
        if is_manager {
            let now = standing.entry(to).or_insert(Standing {
                role,
                accepted: false,
                by,
                offers: BTreeMap::new(),
            });
            // Whoever is a member already has the other role from now on, if it is the
            // same who shares.
            if now.by == by {
                now.role = role;
            }
        }
        // He may be offered it by the one who has made him a member.
        let now = standing.get_mut(&to).filter(|now| now.by == by);
        match shared {
            Ok(shared) => {
                shared.delivered.unwrap();
                let now = now.expect("an offer of what is another's to give");
                let offer = SealedOffer::parse(&shared.offer).unwrap().hash();
                now.offers.insert(offer, account.device());
            }
            Err(error) => {
                assert!(!(is_manager && now.is_some()), "{error}");
                assert_refused(error.code());
            }
        }
    }

    fn accept(&mut self, vault: usize, who: usize, device: usize) {
        let account = self.members[who].account(device);
        let shared = &mut self.vaults[vault];
        let offers = account.offers().unwrap().offers.into_iter();
        for offer in offers.filter(|offer| offer.vault == shared.id) {
            let id = OfferSelector::Id(offer.id);
            let accepted = account.accept_offer(&id, Some(&shared.name));
            // Old ones are worth nothing, and those that a device has signed which
            // is out by now.
            let now = shared.standing.get_mut(&who);
            let signed_by = now.as_ref().and_then(|now| now.offers.get(&offer.id));
            let is_good = signed_by.is_some_and(|device| is_active(&self.members, device));
            match (accepted, now) {
                (Ok(_), Some(now)) if is_good => {
                    now.accepted = true;
                    now.offers.remove(&offer.id);
                    return;
                }
                (Ok(_), _) => panic!("an offer was taken up that was worth nothing"),
                (Err(error), _) => {
                    assert!(!is_good, "{error}");
                    assert_refused(error.code());
                }
            }
        }
    }

    fn decline(&mut self, vault: usize, who: usize) {
        let account = self.members[who].account(0);
        let id = self.vaults[vault].id;
        for offer in account.offers().unwrap().offers {
            if offer.vault == id {
                account.decline_offer(&offer.id).unwrap();
            }
        }
        if let Some(now) = self.vaults[vault].standing.get_mut(&who) {
            now.offers.clear();
        }
    }

    fn unshare(&mut self, vault: usize, by: usize, whom: usize) {
        let is_member = self.vaults[vault].standing.contains_key(&whom);
        if by == whom || !is_member {
            return;
        }
        let account = self.members[by].account(0);
        let member = self.members[whom].id;
        let unshared = self
            .open(vault, account)
            .and_then(|mut vault| account.unshare(&mut vault, &member));
        if self.may(vault, by, Role::Manager) {
            assert_eq!(unshared.unwrap(), Upkeep::Rotated);
            self.vaults[vault].standing.remove(&whom);
        } else {
            assert_refused(unshared.unwrap_err().code());
        }
    }

    fn leave(&mut self, vault: usize, who: usize, device: usize) {
        let account = self.members[who].account(device);
        let left = account.leave_vault(&self.vaults[vault].id);
        let standing = &self.vaults[vault].standing;
        let manages = |(other, now): (&usize, &Standing)| {
            *other != who && now.accepted && now.role == Role::Manager
        };
        let may_leave = self.may(vault, who, Role::Reader) && standing.iter().any(manages);
        if may_leave {
            left.unwrap();
            self.vaults[vault].standing.remove(&who);
        } else {
            assert_refused(left.unwrap_err().code());
        }
    }

    fn back_up(&mut self, vault: usize, by: usize, device: usize) {
        self.writes += 1;
        let files = files(0, self.writes);
        let saved = saved(
            &self.vaults[vault].id,
            self.members[by].account(device),
            &files,
        );
        if self.may(vault, by, Role::Writer) {
            let (snapshot, epoch) = saved.unwrap();
            self.note(vault, snapshot, epoch, files);
        } else {
            assert_refused(saved.unwrap_err());
        }
    }

    /// The computers that may write to a vault.
    fn writers(&self, vault: usize) -> Vec<&Account> {
        let members = 0..self.members.len();
        let writers = members.filter(|member| self.may(vault, *member, Role::Writer));
        let writers = writers.flat_map(|member| {
            let owner = &self.members[member];
            let machines = owner.machines();
            machines.map(move |device| owner.devices[device].account())
        });
        writers.collect()
    }

    /// What is saved by one device while another does something: what came of both. It
    /// stands, or the device was told that it may not.
    fn saved_beside<T: Send>(
        &self,
        vault: usize,
        writer: &Account,
        work: impl FnOnce() -> T + Send,
    ) -> (T, Result<(SnapshotId, u64, Files), ErrorCode>) {
        let files = files(0, self.writes);
        let id = self.vaults[vault].id;
        let (done, saved) = thread::scope(|scope| {
            let saving = scope.spawn(|| saved(&id, writer, &files));
            (work(), saving.join().unwrap())
        });
        (
            done,
            saved.map(|(snapshot, epoch)| (snapshot, epoch, files)),
        )
    }

    /// What is saved stands, and all others can read it; who was removed meanwhile may
    /// have been too late, and nobody else.
    fn race_removal(
        &mut self,
        vault: usize,
        member: usize,
        (by, which): (usize, usize),
        writer: usize,
    ) {
        let owner = &self.members[member];
        let machines: Vec<_> = owner.machines().collect();
        let (by, gone) = (by % machines.len(), which % machines.len());
        let writers = self.writers(vault);
        let writer = writers[writer % writers.len()];
        let (by, gone) = (machines[by], machines[gone]);
        let account = owner.devices[by].account();
        let device = owner.devices[gone].keys.id();
        // A rotation that is due already may come before the removal, or with it.
        let is_due = self.log(&self.vaults[vault]).rotation_due();
        if by == gone || account.device() == writer.device() || is_due {
            return;
        }
        let (removal, saved) =
            self.saved_beside(vault, writer, || account.remove_device(&device).unwrap());
        for kept in &removal.vaults {
            kept.upkeep.as_ref().unwrap();
        }
        let may_be_late = writer.device() == device;
        self.note_beside(vault, saved, may_be_late);
        self.members[member].devices[gone].is_active = false;
    }

    /// Likewise, of the computers of who is taken out.
    fn race_unshare(&mut self, vault: usize, by: usize, whom: usize, writer: usize) {
        let is_member = self.vaults[vault].standing.contains_key(&whom);
        let writers = self.writers(vault);
        let writer = writers[writer % writers.len()];
        let account = self.members[by].account(0);
        let is_due = self.log(&self.vaults[vault]).rotation_due();
        let may = is_member && by != whom && self.may(vault, by, Role::Manager);
        if !may || account.device() == writer.device() || is_due {
            return;
        }
        let member = self.members[whom].id;
        let (unshared, saved) = self.saved_beside(vault, writer, || {
            let mut vault = self.open(vault, account)?;
            account.unshare(&mut vault, &member)
        });
        // The writer may have changed the keys first.
        let unshared = unshared.unwrap();
        assert!(matches!(unshared, Upkeep::Rotated | Upkeep::Nothing));
        let may_be_late = writer.id() == member;
        self.note_beside(vault, saved, may_be_late);
        self.vaults[vault].standing.remove(&whom);
    }

    fn note_beside(
        &mut self,
        vault: usize,
        saved: Result<(SnapshotId, u64, Files), ErrorCode>,
        may_be_late: bool,
    ) {
        self.writes += 1;
        match saved {
            Ok((snapshot, epoch, files)) => self.note(vault, snapshot, epoch, files),
            Err(code) => {
                assert!(may_be_late, "{code:?}");
                assert_refused(code);
            }
        }
    }

    /// Neither's work is lost.
    fn race(&mut self, vault: usize, one: usize, other: usize) {
        let writers = self.writers(vault);
        let (one, other) = (one % writers.len(), other % writers.len());
        if one == other {
            return;
        }
        let work = [(writers[one], 1), (writers[other], 2)];
        let work = work.map(|(account, writer)| (account, files(writer, self.writes)));
        let id = self.vaults[vault].id;
        let saved = thread::scope(|scope| {
            let running = work.map(|(account, files)| {
                scope.spawn(move || {
                    let (snapshot, epoch) = saved(&id, account, &files).unwrap();
                    (snapshot, epoch, files)
                })
            });
            running.map(|running| running.join().unwrap())
        });
        self.writes += 1;
        for (snapshot, epoch, files) in saved {
            self.note(vault, snapshot, epoch, files);
        }
    }
}

/// A backup as a member makes it, again where others were in the way: the snapshot,
/// and the epoch that it was sealed in.
fn saved(
    vault: &VaultId,
    account: &Account,
    files: &Files,
) -> Result<(SnapshotId, u64), ErrorCode> {
    let vault = account.open_vault(&VaultSelector::Id(*vault));
    let mut vault = vault.map_err(|error| error.code())?;
    let mut options = files.options();
    options.series = Some("everything".into());
    loop {
        match back_up(&mut vault, &options, &silent(), &Cancellation::new()) {
            Ok(report) => {
                return Ok((
                    report.snapshot.unwrap(),
                    vault.keys().unwrap().current_epoch(),
                ));
            }
            Err(error) if error.is_transient() => {}
            Err(error) => return Err(error.code()),
        }
    }
}

fn is_active(members: &[Owner], id: &DeviceId) -> bool {
    let mut devices = members.iter().flat_map(|member| &member.devices);
    devices.any(|device| device.is_active && device.keys.id() == *id)
}

/// A few files that nobody else has, and one that everybody has.
fn files(writer: u64, number: u64) -> Files {
    let seed = 10 * number + writer;
    Files::new(&[
        ("letter", noise(seed, 2_000)),
        ("shared/by all", noise(0, 3_000)),
    ])
}
