//! The same with the library itself: accounts on devices that pair with each
//! other, offers that are sent and answered, backups of files, two at once.
//!
//! Beside the program, the test keeps who is a member of what, and with what
//! rights. After every step the vaults' logs have to say the same. After the last
//! one each device that is in restores what was saved, each one that is not is told
//! so, and what an attacker opens with its keys, all that the hosters have and
//! every prefix of every log ends where its member or it was removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;

use proptest::prelude::*;
use tempfile::TempDir;
use vault_client::account::pairing::{NewDevice, PairingCode};
use vault_client::account::{Account, AccountError, OfferSelector, VaultSelector};
use vault_client::backup::back_up;
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::progress::Cancellation;
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_client::vault::{Upkeep, Vault};
use vault_core::keys::{DeviceKeys, PhraseLanguage, VaultKeys};
use vault_core::offer::SealedOffer;
use vault_core::pack::read_pack_entries;
use vault_core::snapshot::SnapshotId;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, DeviceId, OfferHash, PackId, VaultId};
use vault_proto::vault_log::{Role, VaultLog};
use vault_proto::wire::SignedEntry;

use super::{cases, reached, vault_prefixes};
use crate::engine::{Files, content_of, noise, restored, silent, snapshots};
use crate::support::{Other, setup};

/// Machines of a member, and vaults, at most.
const MAX_MACHINES: usize = 3;
const MAX_VAULTS: usize = 2;

/// Something that a member does, with one of his devices. Numbers pick among what
/// there is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pair {
        member: usize,
        by: usize,
    },
    Remove {
        member: usize,
        by: usize,
        which: usize,
    },
    Create {
        member: usize,
        by: usize,
    },
    Share {
        vault: usize,
        by: usize,
        to: usize,
        role: Role,
    },
    Accept {
        vault: usize,
        who: usize,
        device: usize,
    },
    Decline {
        vault: usize,
        who: usize,
    },
    Unshare {
        vault: usize,
        by: usize,
        whom: usize,
    },
    Leave {
        vault: usize,
        who: usize,
        device: usize,
    },
    BackUp {
        vault: usize,
        by: usize,
        device: usize,
    },
    /// Two devices that may write, of one member or of two, at the same time.
    Race {
        vault: usize,
        one: usize,
        other: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 0..6_usize;
    let role = || {
        prop_oneof![
            1 => Just(Role::Reader),
            3 => Just(Role::Writer),
            2 => Just(Role::Manager)
        ]
    };
    prop_oneof![
        3 => (n(), n()).prop_map(|(member, by)| Step::Pair { member, by }),
        2 => (n(), n(), n()).prop_map(|(member, by, which)| Step::Remove { member, by, which }),
        1 => (n(), n()).prop_map(|(member, by)| Step::Create { member, by }),
        5 => (n(), n(), n(), role())
            .prop_map(|(vault, by, to, role)| Step::Share { vault, by, to, role }),
        5 => (n(), n(), n()).prop_map(|(vault, who, device)| Step::Accept { vault, who, device }),
        1 => (n(), n()).prop_map(|(vault, who)| Step::Decline { vault, who }),
        2 => (n(), n(), n()).prop_map(|(vault, by, whom)| Step::Unshare { vault, by, whom }),
        1 => (n(), n(), n()).prop_map(|(vault, who, device)| Step::Leave { vault, who, device }),
        4 => (n(), n(), n()).prop_map(|(vault, by, device)| Step::BackUp { vault, by, device }),
        3 => (n(), n(), n()).prop_map(|(vault, one, other)| Step::Race { vault, one, other }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: cases(6),
        max_shrink_iters: 60,
        ..ProptestConfig::default()
    })]

    #[test]
    fn real_accounts_read_what_their_members_may_and_nobody_else_can(
        steps in prop::collection::vec(step(), 4..18),
    ) {
        let mut world = World::new();
        world.take(Step::Create { member: 0, by: 0 });
        for step in steps {
            world.take(step);
        }
        world.assert_reads();
    }
}

/// One sequence that has everything in it, so that the rest is not passed by
/// chance.
#[test]
fn real_accounts_through_everything_in_turn() {
    let mut world = World::new();
    let (vault, device) = (0, 0);
    for step in [
        Step::Create { member: 0, by: 0 },
        Step::Pair { member: 0, by: 0 },
        Step::BackUp {
            vault,
            by: 0,
            device: 1,
        },
        Step::Share {
            vault,
            by: 0,
            to: 1,
            role: Role::Writer,
        },
        Step::Accept {
            vault,
            who: 1,
            device,
        },
        // At another hoster, where he accepts with his second device.
        Step::Pair { member: 2, by: 0 },
        Step::Share {
            vault,
            by: 0,
            to: 2,
            role: Role::Reader,
        },
        Step::Accept {
            vault,
            who: 2,
            device: 1,
        },
        // Two devices of two members.
        Step::Race {
            vault,
            one: 0,
            other: 2,
        },
        Step::BackUp {
            vault,
            by: 2,
            device,
        },
        // A reader loses a device: the next writer changes the keys.
        Step::Remove {
            member: 2,
            by: 1,
            which: 0,
        },
        Step::BackUp {
            vault,
            by: 1,
            device,
        },
        // A manager loses one: he changes them himself.
        Step::Remove {
            member: 0,
            by: 0,
            which: 1,
        },
        Step::BackUp {
            vault,
            by: 0,
            device,
        },
        Step::Unshare {
            vault,
            by: 0,
            whom: 1,
        },
        Step::BackUp {
            vault,
            by: 1,
            device,
        },
        Step::BackUp {
            vault,
            by: 0,
            device,
        },
        Step::Leave {
            vault,
            who: 2,
            device,
        },
        Step::BackUp {
            vault,
            by: 0,
            device,
        },
        // Back again: all of the past is his, too.
        Step::Share {
            vault,
            by: 0,
            to: 1,
            role: Role::Manager,
        },
        Step::Decline { vault, who: 1 },
        Step::Share {
            vault,
            by: 0,
            to: 1,
            role: Role::Manager,
        },
        Step::Accept {
            vault,
            who: 1,
            device,
        },
        Step::Race {
            vault,
            one: 0,
            other: 1,
        },
    ] {
        world.take(step);
    }
    let vault = &world.vaults[0];
    let epochs: Vec<_> = vault.written.iter().map(|written| written.epoch).collect();
    assert_eq!(epochs, [1, 1, 1, 2, 3, 4, 5, 5, 5]);
    let standing: Vec<_> = vault.standing.keys().copied().collect();
    assert_eq!(standing, [0, 1]);
    world.assert_reads();
}

struct World {
    network: MemoryNetwork,
    members: Vec<Owner>,
    vaults: Vec<Shared>,
    /// Numbers what is written.
    writes: u64,
}

/// A member.
struct Owner {
    id: AccountId,
    home: MemoryHoster,
    /// Paper first, which is never removed and never used here.
    devices: Vec<Device>,
}

struct Device {
    keys: DeviceKeys,
    /// None for paper.
    machine: Option<Machine>,
    is_active: bool,
    /// By vault: the newest epoch whose secret it could ever have.
    reach: BTreeMap<VaultId, u64>,
}

struct Machine {
    _home: TempDir,
    account: Account,
}

/// A vault, and what should be so of it.
struct Shared {
    id: VaultId,
    name: String,
    hoster: MemoryHoster,
    standing: BTreeMap<usize, Standing>,
    written: Vec<Written>,
}

struct Standing {
    role: Role,
    accepted: bool,
    /// Who made him a member; the creator himself.
    by: usize,
    /// The offers that wait for him since then, and the devices that signed them.
    offers: BTreeMap<OfferHash, DeviceId>,
}

/// A backup that came to its end.
struct Written {
    snapshot: SnapshotId,
    epoch: u64,
    files: Files,
}

impl World {
    /// Two members at one hoster, and a third at another.
    fn new() -> Self {
        let (here, there) = (MemoryHoster::named("here"), MemoryHoster::named("there"));
        let network = MemoryNetwork::new(&[&here, &there]);
        let places = [("alice", &here), ("bob", &here), ("carol", &there)];
        let members = places.map(|(name, home)| Owner::new(name, &network, home));
        // All know each other: about strangers' homes nobody is asked.
        for one in &members {
            for other in members.iter().filter(|other| other.id != one.id) {
                let address = other.account(0).address().unwrap();
                one.account(0).add_contact(&address).unwrap();
            }
        }
        Self {
            network,
            members: members.into(),
            vaults: Vec::new(),
            writes: 0,
        }
    }

    fn take(&mut self, step: Step) {
        let (members, vaults) = (self.members.len(), self.vaults.len().max(1));
        match step {
            Step::Pair { member, by } => self.pair(member % members, by),
            Step::Remove { member, by, which } => self.remove(member % members, by, which),
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
        let reach = owner.devices[0].reach.clone();
        let device = Device::machine(home, new.unwrap(), reach);
        self.members[member].devices.push(device);
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
        // In every vault that he has taken up, whatever his role, there is
        // something to be done, and it is.
        for vault in &self.vaults {
            let Some(now) = vault.standing.get(&member).filter(|now| now.accepted) else {
                continue;
            };
            let mut kept = removal.vaults.iter();
            let kept = kept.find(|kept| kept.vault == vault.id).unwrap();
            let expected = match now.role {
                Role::Reader => Upkeep::Due,
                _ => Upkeep::Rotated,
            };
            assert_eq!(*kept.upkeep.as_ref().unwrap(), expected);
        }
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

    /// Neither's work is lost.
    fn race(&mut self, vault: usize, one: usize, other: usize) {
        let members = 0..self.members.len();
        let writers = members.filter(|member| self.may(vault, *member, Role::Writer));
        let writers: Vec<&Account> = writers
            .flat_map(|member| {
                let owner = &self.members[member];
                owner
                    .machines()
                    .map(move |device| owner.devices[device].account())
            })
            .collect();
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

    /// What was written is out of the reach of every device that was out.
    fn note(&mut self, vault: usize, snapshot: SnapshotId, epoch: u64, files: Files) {
        let shared = &mut self.vaults[vault];
        for (number, member) in self.members.iter().enumerate() {
            let is_in = shared.standing.contains_key(&number);
            for device in &member.devices {
                if !(is_in && device.is_active) {
                    let reach = device.reach.get(&shared.id).copied().unwrap_or(0);
                    assert!(reach < epoch, "sealed for who was out: {reach} and {epoch}");
                }
            }
        }
        shared.written.push(Written {
            snapshot,
            epoch,
            files,
        });
    }

    fn open(&self, vault: usize, account: &Account) -> Result<Vault, AccountError> {
        account.open_vault(&VaultSelector::Id(self.vaults[vault].id))
    }

    fn may(&self, vault: usize, member: usize, role: Role) -> bool {
        let standing = self.vaults[vault].standing.get(&member);
        standing.is_some_and(|now| now.accepted && now.role >= role)
    }

    /// The logs say what this test says; notes what every device can read by now.
    fn assert_standing(&mut self) {
        for vault in &self.vaults {
            let log = self.log(vault);
            let expected: BTreeMap<_, _> = vault
                .standing
                .iter()
                .map(|(member, now)| (self.members[*member].id, (now.role, now.accepted)))
                .collect();
            let found: BTreeMap<_, _> = log
                .members()
                .map(|(id, now)| (id, (now.role, now.accepted)))
                .collect();
            assert_eq!(found, expected, "{}", vault.name);
            for member in vault.standing.keys() {
                let devices = self.members[*member].devices.iter_mut();
                for device in devices.filter(|device| device.is_active) {
                    let reach = device.reach.entry(vault.id).or_default();
                    *reach = (*reach).max(log.epoch().number);
                }
            }
        }
    }

    /// The vault's log, as the paper of a member who has it is shown it.
    fn log(&self, vault: &Shared) -> VaultLog {
        let mut standing = vault.standing.iter();
        let manages = |(_, now): &(&usize, &Standing)| now.accepted && now.role == Role::Manager;
        let (member, _) = standing.find(manages).unwrap();
        let owner = &self.members[*member];
        let paper = copy(&owner.devices[0].keys);
        Other::new(&vault.hoster, owner.id, paper)
            .look(vault.id)
            .log
    }

    fn account_logs(&self) -> BTreeMap<AccountId, AccountLog> {
        let members = self.members.iter();
        members.map(|member| (member.id, member.log())).collect()
    }

    fn assert_reads(&self) {
        let accounts = self.account_logs();
        for (number, vault) in self.vaults.iter().enumerate() {
            let prefixes = vault_prefixes(&self.log(vault), &accounts);
            let mut reaches = Vec::new();
            for (owner, member) in self.members.iter().enumerate() {
                let is_in = self.may(number, owner, Role::Reader);
                for device in &member.devices {
                    match &device.machine {
                        Some(machine) if device.is_active && is_in => {
                            self.assert_reads_all(number, &machine.account);
                        }
                        // Who is invited may look; whether he can find it is no matter.
                        Some(_) if device.is_active && vault.standing.contains_key(&owner) => {}
                        Some(machine) => assert_reads_nothing_new(vault, device, machine),
                        None => {}
                    }
                    let keys = reached(&accounts[&member.id], &prefixes, &device.keys);
                    let reach = device.reach.get(&vault.id).copied().unwrap_or(0);
                    let epoch = keys.as_ref().map_or(0, VaultKeys::current_epoch);
                    assert_eq!(epoch, reach, "{} of {owner}", device.keys.id());
                    reaches.extend(keys.map(|keys| (device.keys.id(), keys)));
                }
            }
            assert_packs_are_of_their_epochs(vault, &reaches);
        }
    }

    /// A device that is in sees every snapshot, and restores the newest to the
    /// byte.
    fn assert_reads_all(&self, vault: usize, account: &Account) {
        let mut opened = self.open(vault, account).unwrap();
        opened.refresh().unwrap();
        let written = &self.vaults[vault].written;
        let found = snapshots(&opened);
        let ids: BTreeSet<_> = found.iter().map(|named| named.id).collect();
        let expected: BTreeSet<_> = written.iter().map(|written| written.snapshot).collect();
        assert_eq!(ids, expected);
        let Some(newest) = written.last() else {
            return;
        };
        let named = found.iter().find(|named| named.id == newest.snapshot);
        let target = tempfile::tempdir().unwrap();
        let path = newest.files.path();
        let report = restored(&opened, named.unwrap(), path, target.path()).unwrap();
        assert_eq!(report.left_out, []);
        assert_eq!(content_of(target.path()), content_of(path));
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

/// A device that is out is told so, and of what was saved since it shows nothing.
fn assert_reads_nothing_new(vault: &Shared, device: &Device, machine: &Machine) {
    if !device.is_active {
        assert_refused(machine.account.vaults().unwrap_err().code());
    }
    let mut opened = match machine.account.open_vault(&VaultSelector::Id(vault.id)) {
        Ok(opened) => opened,
        Err(error) => return assert_refused(error.code()),
    };
    assert_refused(opened.refresh().unwrap_err().code());
    let reach = device.reach.get(&vault.id).copied().unwrap_or(0);
    match Contents::open(&opened).and_then(|contents| contents.snapshots(None)) {
        Ok(found) => {
            let is_new = |written: &&Written| written.epoch > reach;
            for new in vault.written.iter().filter(is_new) {
                assert!(found.iter().all(|named| named.id != new.snapshot));
            }
        }
        Err(error) => assert_refused(error.code()),
    }
}

/// Every pack opens with the keys of its own epoch and of those after it, whoever
/// has them, and with no others.
fn assert_packs_are_of_their_epochs(vault: &Shared, reaches: &[(DeviceId, VaultKeys)]) {
    let keys = reaches.iter().map(|(_, keys)| keys);
    let all = keys.max_by_key(|keys| keys.current_epoch()).unwrap();
    let opens = |keys: &VaultKeys, epoch, pack: &PackId| {
        let bytes = vault.hoster.pack(&vault.id, pack).unwrap();
        read_pack_entries(keys, epoch, pack, &bytes).is_ok()
    };
    let packs = vault.hoster.packs(&vault.id);
    assert!(packs.len() >= vault.written.len());
    for pack in &packs {
        let epochs = 1..=all.current_epoch();
        let epoch = epochs.clone().find(|epoch| opens(all, *epoch, pack));
        let epoch = epoch.expect("a pack that no member can open");
        for (device, keys) in reaches {
            let is_open = epochs.clone().any(|epoch| opens(keys, epoch, pack));
            assert_eq!(is_open, epoch <= keys.current_epoch(), "{device}");
        }
    }
}

fn log_of(entries: &[SignedEntry]) -> AccountLog {
    let (genesis, rest) = entries.split_first().unwrap();
    let mut log = AccountLog::verify_genesis(genesis).unwrap();
    for entry in rest {
        log.append(entry).unwrap();
    }
    log
}

/// What somebody is told who may not: that it is not for him, or not there.
#[track_caller]
fn assert_refused(code: ErrorCode) {
    assert!(
        matches!(
            code,
            ErrorCode::NotAllowed
                | ErrorCode::NoVault
                | ErrorCode::HosterRefused
                | ErrorCode::RotationDue
                | ErrorCode::InvalidArgument
        ),
        "{code:?}"
    );
}

fn is_active(members: &[Owner], id: &DeviceId) -> bool {
    let mut devices = members.iter().flat_map(|member| &member.devices);
    devices.any(|device| device.is_active && device.keys.id() == *id)
}

impl Owner {
    fn new(name: &str, network: &MemoryNetwork, home: &MemoryHoster) -> Self {
        let place = tempfile::tempdir().unwrap();
        let setup = setup(place.path(), network.clone());
        let (account, phrase) = Account::sign_up(&setup, &home.invite(), "a laptop").unwrap();
        account.set_name(name).unwrap();
        let paper = Device {
            keys: phrase.device_keys(),
            machine: None,
            is_active: true,
            reach: BTreeMap::new(),
        };
        let id = account.id();
        Self {
            id,
            home: home.clone(),
            devices: vec![paper, Device::machine(place, account, BTreeMap::new())],
        }
    }

    /// The machines that are in; there always is one.
    fn machines(&self) -> impl Iterator<Item = usize> {
        let devices = self.devices.iter().enumerate();
        let is_in = |(_, device): &(usize, &Device)| device.is_active && device.machine.is_some();
        devices.filter(is_in).map(|(number, _)| number)
    }

    fn account(&self, which: usize) -> &Account {
        let machines: Vec<_> = self.machines().collect();
        self.devices[machines[which % machines.len()]].account()
    }

    /// His log, as its home shows it.
    fn log(&self) -> AccountLog {
        let answer = self.home.visitor().fetch_account_log(&self.id, 0);
        log_of(&answer.unwrap().entries)
    }
}

impl Device {
    fn machine(home: TempDir, account: Account, reach: BTreeMap<VaultId, u64>) -> Self {
        let secret = fs::read(home.path().join("device.key")).unwrap();
        Self {
            keys: DeviceKeys::from_secret_bytes(&secret).unwrap(),
            machine: Some(Machine {
                _home: home,
                account,
            }),
            is_active: true,
            reach,
        }
    }

    fn account(&self) -> &Account {
        &self.machine.as_ref().expect("no paper").account
    }
}

/// A few files that nobody else has, and one that everybody has.
fn files(writer: u64, number: u64) -> Files {
    let seed = 10 * number + writer;
    Files::new(&[
        ("letter", noise(seed, 2_000)),
        ("shared/by all", noise(0, 3_000)),
    ])
}

fn copy(keys: &DeviceKeys) -> DeviceKeys {
    DeviceKeys::from_secret_bytes(&keys.to_secret_bytes()[..]).unwrap()
}
