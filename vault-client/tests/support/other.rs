//! Another device, made of the core alone: it verifies nothing that it does
//! not need, and signs what it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;

use vault_client::remote::memory::MemoryHoster;
use vault_client::remote::{CommitOutcome, CommitRequest, Remote, SyncRequest};
use vault_core::author::{AccountAuthor, HeadAuthor, HeadChange, VaultAuthor};
use vault_core::keys::{AccountSecrets, DeviceKeys, VaultKeys};
use vault_core::root::{open_root, seal_root};
use vault_proto::account_log::AccountLog;
use vault_proto::head::{Head, SeenHeads, SignedHead, UnverifiedHead};
use vault_proto::ids::{AccountId, DeviceId, PackId, RootHash, VaultId};
use vault_proto::pack_list::PackList;
use vault_proto::sign::SignLabel;
use vault_proto::vault_log::VaultLog;
use vault_proto::wire::{Root, SignedEntry};

/// Another device of a member.
pub(crate) struct Other {
    pub(crate) account: AccountId,
    pub(crate) keys: DeviceKeys,
    pub(crate) remote: Arc<dyn Remote>,
}

/// A vault as it is at the hoster.
pub(crate) struct Sight {
    pub(crate) accounts: BTreeMap<AccountId, AccountLog>,
    pub(crate) log: VaultLog,
    pub(crate) seen: SeenHeads,
    pub(crate) keys: VaultKeys,
    pub(crate) root: Root,
}

pub(crate) fn rng() -> vault_client::platform::Rng {
    vault_client::platform::Rng::new(Arc::new(vault_client::platform::SystemRandomness))
}

impl Other {
    pub(crate) fn new(hoster: &MemoryHoster, account: AccountId, keys: DeviceKeys) -> Self {
        let remote = hoster.remote(account, &keys);
        Self {
            account,
            keys,
            remote,
        }
    }

    /// The log of this device's account, as the hoster has it.
    pub(crate) fn own_log(&self) -> AccountLog {
        let vaults = self.remote.list_vaults().unwrap();
        let (vault, _) = vaults.first().unwrap();
        self.look(*vault).accounts.remove(&self.account).unwrap()
    }

    /// Adds a device to the account; gives its log.
    pub(crate) fn add_device(&self, new: &DeviceKeys, name: &str) -> AccountLog {
        self.append_own(|author| {
            let addition = author.draft_addition(new.public(), name, &mut rng());
            let addition = addition.unwrap();
            let signature = addition.sign(new).unwrap();
            author.complete_addition(&addition, &signature).unwrap()
        })
    }

    /// Removes one; gives the account's log.
    pub(crate) fn remove_device(&self, device: &DeviceId) -> AccountLog {
        self.append_own(|author| author.remove_device(device, &mut rng()).unwrap())
    }

    /// Adds a device and removes it again; gives its keys and the account's log. The
    /// hoster and everybody who asks it know.
    pub(crate) fn lose_device(&self) -> (DeviceKeys, AccountLog) {
        let lost = DeviceKeys::generate(&mut rng());
        self.add_device(&lost, "a phone");
        let log = self.remove_device(&lost.id());
        (lost, log)
    }

    /// Appends an entry to the account's log; gives the log.
    pub(crate) fn append_own(
        &self,
        make: impl FnOnce(&AccountAuthor<'_>) -> SignedEntry,
    ) -> AccountLog {
        let mut log = self.own_log();
        let secrets = AccountSecrets::open(&log, &self.keys).unwrap();
        let entry = make(&AccountAuthor {
            log: &log,
            secrets: &secrets,
            device: &self.keys,
        });
        self.remote.append_account_entry(&entry).unwrap();
        log.append(&entry).unwrap();
        log
    }

    pub(crate) fn look(&self, vault: VaultId) -> Sight {
        let request = SyncRequest {
            vault,
            vault_log_seq: 0,
            head_seq: 0,
            accounts: Vec::new(),
            without_root: false,
            until_head_seq: 0,
        };
        let answer = self.remote.sync_vault(&request).unwrap();
        let accounts: BTreeMap<_, _> = answer
            .accounts
            .iter()
            .map(|(id, entries)| (*id, account_log(entries)))
            .collect();
        let (genesis, rest) = answer.vault_entries.split_first().unwrap();
        let mut log = VaultLog::verify_genesis(genesis, &accounts).unwrap();
        for entry in rest {
            log.append(entry, &accounts).unwrap();
        }
        let secrets = AccountSecrets::open(&accounts[&self.account], &self.keys).unwrap();
        let keys = VaultKeys::open(&log, &secrets).unwrap();
        let heads = answer.heads.iter();
        let heads: Vec<_> = heads
            .map(|head| UnverifiedHead::decode(head).unwrap())
            .collect();
        let seen = if let Some(newest) = heads.first() {
            let hash_at = |seq| Some(heads.iter().find(|head| head.seq() == seq)?.hash());
            SeenHeads::collect(&newest.to_bytes(), hash_at).unwrap()
        } else {
            SeenHeads::none()
        };
        let root = match seen.newest() {
            Some(head) => open_root(&keys, head, &answer.root).unwrap(),
            None => Root::default(),
        };
        Sight {
            accounts,
            log,
            seen,
            keys,
            root,
        }
    }

    /// Commits a head that adds nothing; it must succeed.
    pub(crate) fn commit(&self, vault: VaultId) {
        let root = self.look(vault).root;
        self.commit_change(vault, &root, &[], &[]);
    }

    /// Commits a head with that root; it must succeed.
    pub(crate) fn commit_change(
        &self,
        vault: VaultId,
        root: &Root,
        adds: &[PackId],
        removes: &[PackId],
    ) {
        let sight = self.look(vault);
        let author = HeadAuthor {
            vault_log: &sight.log,
            accounts: &sight.accounts,
            seen: &sight.seen,
            keys: &sight.keys,
            account: self.account,
            device: &self.keys,
        };
        let adds = PackList::from_unordered(adds.to_vec()).unwrap();
        let removes = PackList::from_unordered(removes.to_vec()).unwrap();
        let change = HeadChange {
            root,
            adds: &adds,
            removes: &removes,
            reconciled: None,
        };
        let commit = author.commit(change, &mut rng()).unwrap();
        let request = CommitRequest {
            head: commit.head.to_bytes().to_vec(),
            root: commit.sealed_root,
            adds: adds.packs().to_vec(),
            removes: removes.packs().to_vec(),
        };
        let outcome = self.remote.commit_head(&request).unwrap();
        assert_eq!(outcome, CommitOutcome::Accepted);
    }

    /// Appends an entry to a vault's log; it must succeed.
    pub(crate) fn append(
        &self,
        vault: VaultId,
        write: impl FnOnce(&VaultAuthor<'_>, &VaultKeys) -> SignedEntry,
    ) -> SignedEntry {
        self.append_knowing(vault, &[], write)
    }

    /// Likewise, with the logs of accounts that the vault does not know yet.
    pub(crate) fn append_knowing(
        &self,
        vault: VaultId,
        more: &[AccountLog],
        write: impl FnOnce(&VaultAuthor<'_>, &VaultKeys) -> SignedEntry,
    ) -> SignedEntry {
        let mut sight = self.look(vault);
        let more = more.iter().map(|log| (log.id(), log.clone()));
        sight.accounts.extend(more);
        let author = VaultAuthor {
            log: &sight.log,
            accounts: &sight.accounts,
            head: sight.seen.newest(),
            account: self.account,
            device: &self.keys,
        };
        let entry = write(&author, &sight.keys);
        self.remote.append_vault_entry(&vault, &entry).unwrap();
        entry
    }
}

/// Signs the head after the newest of `sight`, changed, and seals a root for
/// it. Nobody has checked it.
pub(crate) fn forge(
    sight: &Sight,
    device: &DeviceKeys,
    account: AccountId,
    change: impl FnOnce(&mut Head),
) -> (Vec<u8>, Vec<u8>) {
    let links = sight.seen.next_links();
    let none = PackList::from_unordered(Vec::<PackId>::new()).unwrap();
    let mut head = Head {
        vault: sight.log.id(),
        seq: links.seq,
        previous: links.previous,
        skip: links.skip,
        vault_position: sight.log.position(),
        account,
        device: device.id(),
        account_position: sight
            .accounts
            .get(&account)
            .map_or(sight.log.position(), AccountLog::position),
        epoch: sight.log.epoch().number,
        root: RootHash::from_array([0; 32]),
        adds: none.hash(),
        removes: none.hash(),
        reconciled: None,
    };
    change(&mut head);
    let root = Root {
        minimum_reader: 1,
        minimum_writer: 1,
        ..Root::default()
    };
    let sealed = seal_root(&sight.keys, &head, &root, &mut rng()).unwrap();
    head.root = RootHash::of(&sealed);
    let signature = device.sign(SignLabel::Head, &head.to_signed_bytes());
    (SignedHead::new(head, signature).to_bytes().to_vec(), sealed)
}

fn account_log(entries: &[SignedEntry]) -> AccountLog {
    let (genesis, rest) = entries.split_first().unwrap();
    let mut log = AccountLog::verify_genesis(genesis).unwrap();
    for entry in rest {
        log.append(entry).unwrap();
    }
    log
}
