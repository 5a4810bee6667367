//! Logs, heads and commits: rolled back, forked, withheld, forged.

mod commits;
mod forged;
mod heads;
mod logs;

use std::sync::{Arc, Mutex};

use vault_client::account::{AccountError, VaultSelector};
use vault_client::vault::VaultError;
use vault_proto::head::{Head, HeadError};
use vault_proto::vault_log::Role;
use vault_rpc::hoster::{SyncVaultRequest, SyncVaultResponse};

use super::scene::{Person, Scene, SecondDevice};
use crate::support::{Other, commit, forge, rng};

macro_rules! assert_matches {
    ($value:expr, $pattern:pat $(if $guard:expr)?) => {
        let value = $value;
        assert!(matches!(value, $pattern $(if $guard)?), "{value:?}");
    };
}
pub(super) use assert_matches;

impl Scene {
    /// Changes every answer to this vault's refreshes.
    pub(super) fn tamper(&self, mut change: impl FnMut(&mut SyncVaultResponse) + Send + 'static) {
        let vault = self.vault.id().to_vec();
        let tamper = move |asked: &SyncVaultRequest, answer: &mut SyncVaultResponse| {
            if asked.vault == vault {
                change(answer);
            }
        };
        self.hostile.orders().sync_vault.tamper(tamper);
    }

    /// What the hoster answers to whoever asks for everything.
    pub(super) fn whole_answer(&self) -> SyncVaultResponse {
        let answer = Arc::new(Mutex::new(None));
        let kept = answer.clone();
        self.tamper(move |answer| *kept.lock().unwrap() = Some(answer.clone()));
        self.person.paper(&self.hostile).look(self.vault.id());
        self.front().behave();
        answer.lock().unwrap().take().unwrap()
    }

    /// The hoster shows a head that nobody has committed.
    fn show_forged(&self, (head, root): (Vec<u8>, Vec<u8>), newest: u64) {
        self.tamper(move |answer| {
            answer.heads.insert(0, head.clone());
            answer.root.clone_from(&root);
            answer.newest_head_seq = newest;
        });
    }

    /// Shows that head to a device that knows the vault and to one that does
    /// not; both refuse it and stay as they are. Gives the error.
    fn forged(&mut self, other: &Other, change: impl Fn(&mut Head)) -> HeadError {
        let sight = other.look(self.vault.id());
        let forged = forge(&sight, &other.keys, other.account, change);
        self.show_forged(forged, sight.seen.next_links().seq);
        let error = match self.refused() {
            VaultError::Head(error) => error,
            error => panic!("{error}"),
        };
        let fresh = SecondDevice::of(&self.person, &self.hostile);
        fresh.forgets(&self.vault);
        let before = fresh.stored();
        match fresh.account.open_vault(&VaultSelector::Only) {
            Err(AccountError::Vault(VaultError::Head(found))) => assert_eq!(found, error),
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("a device without memory believed it"),
        }
        assert_eq!(fresh.stored(), before);
        self.front().behave();
        error
    }

    /// Somebody else, who has joined with that role.
    pub(super) fn joined_by_somebody(&mut self, role: Role) -> Person {
        let somebody = Person::at(&self.hostile);
        let id = somebody.account.id();
        let theirs = somebody.paper(&self.hostile);
        self.person.paper(&self.hostile).append_knowing(
            self.vault.id(),
            &[theirs.own_log()],
            |author, keys| author.add_member(keys, &id, role, &mut rng()).unwrap(),
        );
        theirs.append(self.vault.id(), |author, _| author.accept().unwrap());
        self.vault.refresh().unwrap();
        commit(&mut self.vault);
        somebody
    }
}
