//! A member who may only read, when a hoster has gone back.

use vault_client::error::ErrorCode;
use vault_client::remote::CommitRequest;
use vault_client::remote::memory::MemoryHoster;
use vault_client::vault::Vault;
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::Role;

use super::lost_entries::Shared;
use super::second_device::{reconciled, rotated};
use crate::support::{Other, forge, stored};

/// An owner who may only read by now, and a manager.
struct Demoted {
    shared: Shared,
    old: MemoryHoster,
}

impl Demoted {
    fn new() -> Self {
        let mut shared = Shared::new();
        let (id, owner) = (shared.vault.id(), shared.owner.account.id());
        let manager = shared.writer.account.id();
        shared.owner.paper().append(id, |author, _| {
            author.change_role(&manager, Role::Manager).unwrap()
        });
        shared.writer.paper().append(id, |author, _| {
            author.change_role(&owner, Role::Reader).unwrap()
        });
        shared.vault.refresh().unwrap();
        let old = shared.owner.hoster.fork();
        Self { shared, old }
    }

    fn manager(&self, hoster: &MemoryHoster) -> Other {
        let keys = self.shared.writer.phrase.device_keys();
        Other::new(hoster, self.shared.writer.account.id(), keys)
    }

    /// The manager makes a head in the place of that one.
    fn replace(&self, lost: HeadPosition) {
        let manager = self.manager(&self.old);
        let sight = manager.look(self.shared.vault.id());
        let (head, root) = forge(&sight, &manager.keys, manager.account, |head| {
            head.reconciled = Some(lost.hash);
        });
        let commit = CommitRequest {
            head,
            root,
            adds: Vec::new(),
            removes: Vec::new(),
        };
        manager.remote.commit_head(&commit).unwrap();
    }

    fn stored(&self) -> Vec<String> {
        stored(self.shared.owner.home.path())
    }

    fn assert_refused(&self, vault: &mut Vault) {
        let stored = self.stored();
        let error = reconciled(vault).unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotAllowed, "{error}");
        assert_eq!(self.stored(), stored);
    }
}

#[test]
fn who_may_only_read_follows_and_goes_back_with_nobody() {
    let mut demoted = Demoted::new();
    let id = demoted.shared.vault.id();
    demoted.manager(&demoted.shared.owner.hoster).commit(id);
    demoted.shared.vault.refresh().unwrap();
    let lost = demoted.shared.vault.head().unwrap();
    let mut vault = demoted.shared.at(&demoted.old);
    demoted.assert_refused(&mut vault);

    demoted.replace(lost);
    let report = reconciled(&mut vault).unwrap();
    // What its head led to is not there, and it cannot put it there.
    assert!(report.taken_over && report.under_way, "{report:?}");
    let newest = demoted.manager(&demoted.old).look(id).seen.position();
    assert_eq!(vault.head(), newest);
    assert!(!reconciled(&mut vault).unwrap().under_way);
}

#[test]
fn who_may_only_read_does_not_go_back_behind_an_entry() {
    let mut demoted = Demoted::new();
    let id = demoted.shared.vault.id();
    let manager = demoted.manager(&demoted.shared.owner.hoster);
    manager.commit(id);
    rotated(&manager, &demoted.shared.vault);
    demoted.shared.vault.refresh().unwrap();
    demoted.replace(demoted.shared.vault.head().unwrap());
    let mut vault = demoted.shared.at(&demoted.old);
    demoted.assert_refused(&mut vault);
}
