//! What is so after each step, beside what the hoster has.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use vault_client::remote::memory::MemoryHoster;
use vault_client::remote::{CommitOutcome, CommitRequest};
use vault_core::author::{AccountAuthor, HeadAuthor, HeadChange, VaultAuthor, create_vault};
use vault_core::chunk::ChunkKind;
use vault_core::keys::{AccountSecrets, DeviceKeys, RecoveryPhrase, VaultKeys};
use vault_core::pack::PackBuilder;
use vault_core::seal::Compressor;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, PackId, VaultId};
use vault_proto::pack_list::PackList;
use vault_proto::vault_log::{MemberState, Role, VaultKind, VaultLog};
use vault_proto::wire::{Root, SignedEntry};

use super::{Step, assert_written};
use crate::support::{Member, Other, rng};

pub(super) struct Model {
    pub(super) hoster: MemoryHoster,
    pub(super) members: Vec<Owner>,
    pub(super) vaults: Vec<Shared>,
    written: u64,
}

/// A member.
pub(super) struct Owner {
    pub(super) id: AccountId,
    pub(super) devices: Vec<Device>,
    _made: Member,
}

pub(super) struct Device {
    pub(super) keys: DeviceKeys,
    /// One paper is in at any time.
    is_paper: bool,
    pub(super) active: bool,
    /// By vault: the newest epoch whose secret it could ever have.
    pub(super) reach: BTreeMap<VaultId, u64>,
}

/// A vault.
pub(super) struct Shared {
    pub(super) id: VaultId,
    pub(super) items: Vec<Item>,
}

/// Something that was written to a vault.
pub(super) struct Item {
    pub(super) epoch: u64,
    pub(super) pack: PackId,
    pub(super) content: Vec<u8>,
}

/// What came of an attempt to write.
pub(super) enum Written {
    Committed,
    LostRace,
    Refused,
}

impl Model {
    pub(super) fn new(members: usize) -> Self {
        let hoster = MemoryHoster::new();
        let members = (0..members)
            .map(|_| {
                let made = Member::at(&hoster);
                let paper = Device {
                    keys: made.phrase.device_keys(),
                    is_paper: true,
                    active: true,
                    reach: BTreeMap::new(),
                };
                Owner {
                    id: made.account.id(),
                    devices: vec![paper],
                    _made: made,
                }
            })
            .collect();
        Self {
            hoster,
            members,
            vaults: Vec::new(),
            written: 0,
        }
    }

    pub(super) fn take(&mut self, step: Step) {
        let members = self.members.len();
        match step {
            Step::AddDevice { member, by } => self.add_device(member % members, by),
            Step::Recover { member } => self.recover(member % members),
            Step::ReplacePaper { member } => self.replace_paper(member % members),
            Step::RemoveDevice { member, by, which } => {
                self.remove_device(member % members, by, which);
            }
            Step::CreateVault { member } => {
                if self.vaults.len() < 3 {
                    self.create_vault(member % members);
                }
            }
            _ if self.vaults.is_empty() => {}
            Step::Share {
                vault,
                by,
                to,
                role,
            } => {
                let (by, to) = (by % members, to % members);
                self.share(vault % self.vaults.len(), by, to, role);
            }
            Step::ChangeRole {
                vault,
                by,
                of,
                role,
            } => {
                let of = self.members[of % members].id;
                self.entry(vault % self.vaults.len(), by % members, |author, _| {
                    author.change_role(&of, role).ok()
                });
            }
            Step::Unshare { vault, by, whom } => {
                let whom = self.members[whom % members].id;
                self.entry(vault % self.vaults.len(), by % members, |author, _| {
                    author.remove_member(&whom).ok()
                });
            }
            Step::Leave { vault, who } => {
                self.entry(vault % self.vaults.len(), who % members, |author, _| {
                    author.leave().ok()
                });
            }
            Step::Rotate { vault, by } => {
                self.rotate(vault % self.vaults.len(), by % members);
            }
            Step::Write { vault, by } => self.write(vault % self.vaults.len(), by % members),
            Step::Race { vault, one, other } => {
                let vault = vault % self.vaults.len();
                self.race(vault, one % members, other % members);
            }
        }
        self.note_reach();
    }

    pub(super) fn account_logs(&self) -> BTreeMap<AccountId, AccountLog> {
        let members = self.members.iter().enumerate();
        members
            .map(|(number, member)| (member.id, self.active(number, 0).own_log()))
            .collect()
    }

    pub(super) fn vault_log(&self, vault: VaultId) -> VaultLog {
        // Somebody can always look: a vault keeps a manager.
        let mut logs = (0..self.members.len()).filter_map(|member| {
            let listed = self.active(member, 0).remote.list_vaults().unwrap();
            let is_member = listed.iter().any(|(id, _)| *id == vault);
            is_member.then(|| self.active(member, 0).log_of(vault))
        });
        logs.next().unwrap()
    }

    /// One of the member's active devices.
    fn active(&self, member: usize, which: usize) -> Other {
        let owner = &self.members[member];
        let active: Vec<_> = owner
            .devices
            .iter()
            .filter(|device| device.active)
            .collect();
        let keys = &active[which % active.len()].keys;
        Other::new(&self.hoster, owner.id, copy(keys))
    }

    /// That device, whether it is in or not.
    fn device(&self, member: usize, number: usize) -> Other {
        let owner = &self.members[member];
        Other::new(&self.hoster, owner.id, copy(&owner.devices[number].keys))
    }

    /// The number of the paper that is in, the oldest while there are two.
    fn paper(&self, member: usize) -> usize {
        let mut devices = self.members[member].devices.iter();
        let paper = devices.position(|device| device.is_paper && device.active);
        paper.expect("nobody is without paper")
    }

    fn standing(&self, vault: usize, member: usize) -> Option<MemberState> {
        let log = self.vault_log(self.vaults[vault].id);
        log.member(&self.members[member].id)
    }

    fn may_write(&self, vault: usize, member: usize) -> bool {
        self.standing(vault, member)
            .is_some_and(|standing| standing.accepted && standing.role >= Role::Writer)
    }

    fn add_device(&mut self, member: usize, by: usize) {
        let author = self.active(member, by);
        self.add(member, &author, DeviceKeys::generate(&mut rng()), false);
    }

    /// A new computer, brought in by the paper.
    fn recover(&mut self, member: usize) {
        let paper = self.device(member, self.paper(member));
        self.add(member, &paper, DeviceKeys::generate(&mut rng()), false);
    }

    /// The old paper brings a new one in, which puts the old one out.
    fn replace_paper(&mut self, member: usize) {
        let old = self.paper(member);
        let author = self.device(member, old);
        let phrase = RecoveryPhrase::generate(&mut rng());
        self.add(member, &author, phrase.device_keys(), true);
        let new = self.device(member, self.members[member].devices.len() - 1);
        self.put_out(member, &new, old);
    }

    fn add(&mut self, member: usize, author: &Other, keys: DeviceKeys, is_paper: bool) {
        let log = author.own_log();
        let entry = account_author(&log, &author.keys, |writes| {
            let addition = writes
                .draft_addition(keys.public(), "another", &mut rng())
                .unwrap();
            let signature = addition.sign(&keys).unwrap();
            writes.complete_addition(&addition, &signature).unwrap()
        });
        author.remote.append_account_entry(&entry).unwrap();
        // It is sent the newest account key, and with it all before.
        let paper = self.paper(member);
        let reach = self.members[member].devices[paper].reach.clone();
        self.members[member].devices.push(Device {
            keys,
            is_paper,
            active: true,
            reach,
        });
    }

    /// Removes a machine.
    fn remove_device(&mut self, member: usize, by: usize, which: usize) {
        let devices = self.members[member].devices.iter().enumerate();
        let machines: Vec<_> = devices
            .filter(|(_, device)| device.active && !device.is_paper)
            .map(|(number, _)| number)
            .collect();
        let Some(number) = machines.get(which % machines.len().max(1)) else {
            return;
        };
        let gone = self.members[member].devices[*number].keys.id();
        let mut author = self.active(member, by);
        if author.keys.id() == gone {
            author = self.device(member, self.paper(member));
        }
        self.put_out(member, &author, *number);
    }

    /// Removes a device, and records it in every vault, as a client does.
    fn put_out(&mut self, member: usize, author: &Other, number: usize) {
        let gone = self.members[member].devices[number].keys.id();
        let log = author.own_log();
        let entry = account_author(&log, &author.keys, |writes| {
            writes.remove_device(&gone, &mut rng()).unwrap()
        });
        author.remote.append_account_entry(&entry).unwrap();
        self.members[member].devices[number].active = false;
        let thief = self.device(member, number);
        assert!(
            thief.remote.list_vaults().is_err(),
            "a removed device logs in"
        );
        let id = self.members[member].id;
        for vault in 0..self.vaults.len() {
            if self
                .standing(vault, member)
                .is_some_and(|standing| standing.accepted)
            {
                let written = self.entry(vault, member, |author, _| author.refresh(&id).ok());
                assert!(written, "whatever his role");
                assert!(self.vault_log(self.vaults[vault].id).rotation_due());
            }
        }
    }

    fn create_vault(&mut self, member: usize) {
        let device = self.active(member, 0);
        let log = device.own_log();
        let secrets = AccountSecrets::open(&log, &device.keys).unwrap();
        let home = self.hoster.id();
        let made = create_vault(
            VaultKind::Storage,
            home,
            &log,
            &secrets,
            &device.keys,
            &mut rng(),
        );
        let made = made.unwrap();
        device.remote.create_vault(&made.genesis).unwrap();
        self.vaults.push(Shared {
            id: made.log.id(),
            items: Vec::new(),
        });
    }

    fn share(&mut self, vault: usize, by: usize, to: usize, role: Role) {
        let log = self.active(to, 0).own_log();
        let id = self.members[to].id;
        let shared = self.entry_knowing(vault, by, &[log], |author, keys| {
            author.add_member(keys, &id, role, &mut rng()).ok()
        });
        if shared {
            assert!(self.entry(vault, to, |author, _| author.accept().ok()));
        }
    }

    fn rotate(&mut self, vault: usize, by: usize) -> bool {
        self.entry(vault, by, |author, keys| {
            author.rotate(keys, &mut rng()).ok()
        })
    }

    /// Writes an entry if the log lets this member; whether it did.
    fn entry(
        &self,
        vault: usize,
        by: usize,
        write: impl FnOnce(&VaultAuthor<'_>, &VaultKeys) -> Option<SignedEntry>,
    ) -> bool {
        self.entry_knowing(vault, by, &[], write)
    }

    fn entry_knowing(
        &self,
        vault: usize,
        by: usize,
        more: &[AccountLog],
        write: impl FnOnce(&VaultAuthor<'_>, &VaultKeys) -> Option<SignedEntry>,
    ) -> bool {
        if self.standing(vault, by).is_none() {
            return false;
        }
        let (id, device) = (self.vaults[vault].id, self.active(by, 0));
        let mut sight = device.look(id);
        sight
            .accounts
            .extend(more.iter().map(|log| (log.id(), log.clone())));
        let author = VaultAuthor {
            log: &sight.log,
            accounts: &sight.accounts,
            head: sight.seen.newest(),
            account: device.account,
            device: &device.keys,
        };
        match write(&author, &sight.keys) {
            Some(entry) => {
                device.remote.append_vault_entry(&id, &entry).unwrap();
                true
            }
            None => false,
        }
    }

    /// Writes, after a rotation if one is due; a reader is refused.
    fn write(&mut self, vault: usize, by: usize) {
        if self.standing(vault, by).is_none() {
            return;
        }
        let may_write = self.may_write(vault, by);
        let id = self.vaults[vault].id;
        if self.vault_log(id).rotation_due() {
            let draft = self.draft(vault, by);
            assert!(draft.is_none(), "nothing is sealed while a rotation is due");
            if may_write {
                assert!(self.rotate(vault, by));
            }
        }
        let written = match self.draft(vault, by) {
            Some(draft) => self.send(vault, by, draft),
            None => Written::Refused,
        };
        assert_written(&written, may_write);
    }

    /// Two sign for the same place. One is told that it lost, looks again, and
    /// neither's item is lost.
    fn race(&mut self, vault: usize, one: usize, other: usize) {
        let is_due = self.vault_log(self.vaults[vault].id).rotation_due();
        let may = |member| self.standing(vault, member).is_some() && self.may_write(vault, member);
        if is_due || one == other || !may(one) || !may(other) {
            return;
        }
        let drafts = [one, other].map(|member| self.draft(vault, member).unwrap());
        let [first, second] = drafts;
        assert!(matches!(self.send(vault, one, first), Written::Committed));
        assert!(matches!(self.send(vault, other, second), Written::LostRace));
        let again = self.draft(vault, other).unwrap();
        assert!(matches!(self.send(vault, other, again), Written::Committed));
    }

    /// An item, sealed in a pack, and a head that adds it to what stands now.
    fn draft(&mut self, vault: usize, by: usize) -> Option<Draft> {
        self.written += 1;
        let device = self.active(by, 0);
        let sight = device.look(self.vaults[vault].id);
        let content = format!("item {}", self.written).into_bytes();
        let epoch = sight.keys.current_epoch();
        let keys = Arc::new(sight.keys);
        let mut pack = PackBuilder::new(keys.clone(), epoch);
        let id = keys.chunk_id(ChunkKind::FileData, &content);
        let mut compressor = Compressor::default();
        pack.push_chunk(
            ChunkKind::FileData,
            &id,
            &content,
            &mut compressor,
            &mut rng(),
        )
        .unwrap();
        let pack = pack.finish(&mut rng());
        let author = HeadAuthor {
            vault_log: &sight.log,
            accounts: &sight.accounts,
            seen: &sight.seen,
            keys: &keys,
            account: device.account,
            device: &device.keys,
        };
        let adds = PackList::from_unordered(vec![pack.id]).unwrap();
        let change = HeadChange {
            root: &Root {
                minimum_reader: 1,
                minimum_writer: 1,
                pack_count: sight.root.pack_count + 1,
                ..sight.root.clone()
            },
            adds: &adds,
            removes: &PackList::default(),
            reconciled: None,
        };
        let commit = author.commit(change, &mut rng()).ok()?;
        Some(Draft {
            request: CommitRequest {
                head: commit.head.to_bytes().to_vec(),
                root: commit.sealed_root,
                adds: vec![pack.id],
                removes: Vec::new(),
            },
            bytes: pack.bytes.into(),
            item: Item {
                epoch,
                pack: pack.id,
                content,
            },
        })
    }

    fn send(&mut self, vault: usize, by: usize, draft: Draft) -> Written {
        let (id, device) = (self.vaults[vault].id, self.active(by, 0));
        let put = device.remote.put_pack(&id, &draft.item.pack, draft.bytes);
        if put.is_err() {
            return Written::Refused;
        }
        match device.remote.commit_head(&draft.request) {
            Ok(CommitOutcome::Accepted) => {
                self.vaults[vault].items.push(draft.item);
                Written::Committed
            }
            Ok(CommitOutcome::LostRace { .. }) => Written::LostRace,
            Ok(outcome) => panic!("{outcome:?}"),
            Err(_) => Written::Refused,
        }
    }

    /// What every active device of a member can read by now.
    fn note_reach(&mut self) {
        for vault in 0..self.vaults.len() {
            let id = self.vaults[vault].id;
            let log = self.vault_log(id);
            for member in &mut self.members {
                if log.member(&member.id).is_some() {
                    for device in member.devices.iter_mut().filter(|device| device.active) {
                        let reach = device.reach.entry(id).or_default();
                        *reach = (*reach).max(log.epoch().number);
                    }
                }
            }
        }
        for member in &self.members {
            let devices = member.devices.iter();
            let papers = devices.filter(|device| device.is_paper && device.active);
            assert_eq!(papers.count(), 1);
        }
    }
}

/// A head that was signed and not sent.
struct Draft {
    request: CommitRequest,
    bytes: Bytes,
    item: Item,
}

fn account_author<T>(
    log: &AccountLog,
    device: &DeviceKeys,
    write: impl FnOnce(&AccountAuthor<'_>) -> T,
) -> T {
    let secrets = AccountSecrets::open(log, device).unwrap();
    write(&AccountAuthor {
        log,
        secrets: &secrets,
        device,
    })
}

fn copy(keys: &DeviceKeys) -> DeviceKeys {
    DeviceKeys::from_secret_bytes(&keys.to_secret_bytes()[..]).unwrap()
}

impl Other {
    fn log_of(&self, vault: VaultId) -> VaultLog {
        self.look(vault).log
    }
}
