//! The same with the library itself: accounts on devices that pair with each
//! other or are recovered from paper, papers that are replaced, offers that are sent
//! and answered, backups of files, two at once, and while somebody is put out.
//!
//! Beside the program, the test keeps who is a member of what, and with what
//! rights. After every step the vaults' logs have to say the same. After the last
//! one each device that is in restores what was saved, each one that is not is told
//! so, and what an attacker opens with its keys, all that the hosters have and
//! every prefix of every log ends where its member or it was removed.

mod everything;
mod expected;
mod steps;

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;
use vault_client::account::{Account, AccountError, VaultSelector};
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_client::vault::Vault;
use vault_core::keys::{DeviceKeys, RecoveryPhrase};
use vault_core::snapshot::SnapshotId;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, DeviceId, OfferHash, VaultId};
use vault_proto::vault_log::{Role, VaultLog};
use vault_proto::wire::SignedEntry;

use super::cases;
use crate::engine::Files;
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
    /// All computers may be gone: the paper is enough.
    Recover {
        member: usize,
    },
    /// Another paper in the place of the one that there is.
    Replace {
        member: usize,
        by: usize,
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
    /// A computer is removed while one that may write does, be it that very one.
    RaceRemoval {
        vault: usize,
        member: usize,
        by: usize,
        which: usize,
        writer: usize,
    },
    /// A member is taken out while a computer writes, be it one of his.
    RaceUnshare {
        vault: usize,
        by: usize,
        whom: usize,
        writer: usize,
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
        1 => n().prop_map(|member| Step::Recover { member }),
        1 => (n(), n()).prop_map(|(member, by)| Step::Replace { member, by }),
        1 => (n(), n()).prop_map(|(member, by)| Step::Create { member, by }),
        5 => (n(), n(), n(), role())
            .prop_map(|(vault, by, to, role)| Step::Share { vault, by, to, role }),
        5 => (n(), n(), n()).prop_map(|(vault, who, device)| Step::Accept { vault, who, device }),
        1 => (n(), n()).prop_map(|(vault, who)| Step::Decline { vault, who }),
        2 => (n(), n(), n()).prop_map(|(vault, by, whom)| Step::Unshare { vault, by, whom }),
        1 => (n(), n(), n()).prop_map(|(vault, who, device)| Step::Leave { vault, who, device }),
        4 => (n(), n(), n()).prop_map(|(vault, by, device)| Step::BackUp { vault, by, device }),
        3 => (n(), n(), n()).prop_map(|(vault, one, other)| Step::Race { vault, one, other }),
        2 => (n(), n(), n(), n(), n()).prop_map(|(vault, member, by, which, writer)| {
            Step::RaceRemoval { vault, member, by, which, writer }
        }),
        2 => (n(), n(), n(), n())
            .prop_map(|(vault, by, whom, writer)| Step::RaceUnshare { vault, by, whom, writer }),
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
    devices: Vec<Device>,
}

struct Device {
    keys: DeviceKeys,
    kind: Kind,
    is_active: bool,
    /// By vault: the newest epoch whose secret it could ever have.
    reach: BTreeMap<VaultId, u64>,
}

enum Kind {
    /// One of them is in at any time.
    Paper(RecoveryPhrase),
    Machine(Box<Machine>),
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

    fn open(&self, vault: usize, account: &Account) -> Result<Vault, AccountError> {
        account.open_vault(&VaultSelector::Id(self.vaults[vault].id))
    }

    fn may(&self, vault: usize, member: usize, role: Role) -> bool {
        let standing = self.vaults[vault].standing.get(&member);
        standing.is_some_and(|now| now.accepted && now.role >= role)
    }

    /// The vault's log, as the paper of a member who has it is shown it.
    fn log(&self, vault: &Shared) -> VaultLog {
        let mut standing = vault.standing.iter();
        let manages = |(_, now): &(&usize, &Standing)| now.accepted && now.role == Role::Manager;
        let (member, _) = standing.find(manages).unwrap();
        let owner = &self.members[*member];
        let (paper, _) = owner.paper();
        Other::new(&vault.hoster, owner.id, copy(&paper.keys))
            .look(vault.id)
            .log
    }

    fn account_logs(&self) -> BTreeMap<AccountId, AccountLog> {
        let members = self.members.iter();
        members.map(|member| (member.id, member.log())).collect()
    }
}

impl Owner {
    fn new(name: &str, network: &MemoryNetwork, home: &MemoryHoster) -> Self {
        let place = tempfile::tempdir().unwrap();
        let setup = setup(place.path(), network.clone());
        let (account, phrase) = Account::sign_up(&setup, &home.invite(), "a laptop").unwrap();
        account.set_name(name).unwrap();
        let paper = Device::paper(phrase, BTreeMap::new());
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
        let is_in = |(_, device): &(usize, &Device)| {
            device.is_active && matches!(device.kind, Kind::Machine(_))
        };
        devices.filter(is_in).map(|(number, _)| number)
    }

    fn papers(&self) -> impl Iterator<Item = (&Device, &RecoveryPhrase)> {
        self.devices.iter().filter_map(|device| match &device.kind {
            Kind::Paper(phrase) => Some((device, phrase)),
            Kind::Machine(_) => None,
        })
    }

    /// The paper that is in.
    fn paper(&self) -> (&Device, &RecoveryPhrase) {
        let mut papers = self.papers().filter(|(paper, _)| paper.is_active);
        let paper = papers.next().expect("nobody is without paper");
        assert!(papers.next().is_none(), "two papers");
        paper
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
            kind: Kind::Machine(Box::new(Machine {
                _home: home,
                account,
            })),
            is_active: true,
            reach,
        }
    }

    fn paper(phrase: RecoveryPhrase, reach: BTreeMap<VaultId, u64>) -> Self {
        Self {
            keys: phrase.device_keys(),
            kind: Kind::Paper(phrase),
            is_active: true,
            reach,
        }
    }

    fn account(&self) -> &Account {
        match &self.kind {
            Kind::Machine(machine) => &machine.account,
            Kind::Paper(_) => panic!("a paper runs no program"),
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

fn copy(keys: &DeviceKeys) -> DeviceKeys {
    DeviceKeys::from_secret_bytes(&keys.to_secret_bytes()[..]).unwrap()
}
