//! A vault with members of every kind.

use crate::account_log::tests::PaperCast;
use crate::ids::HeadHash;
use crate::position::HeadPosition;
use crate::testing::{Logs, TestAccount, TestDevice, TestVault, filler_32, logs_of, signed_vault};
use crate::vault_log::{Role, VaultKind, VaultLogError};
use crate::wire::{self, SignedEntry, vault_entry::Body};

pub(crate) struct Cast {
    /// Made the vault. Her laptop was added and removed; then she renamed her
    /// machine: entries 2, 3, 4.
    pub(crate) alice: TestAccount,
    pub(crate) laptop: TestDevice,
    /// Writes.
    pub(crate) bob: TestAccount,
    /// Bob later on, with a newer account key.
    pub(crate) bob_renewed: TestAccount,
    /// Reads.
    pub(crate) carol: TestAccount,
    /// Invited to write.
    pub(crate) dan: TestAccount,
    /// No member.
    pub(crate) eve: TestAccount,
    pub(crate) logs: Logs,
    /// Six entries, from the fourth on after head 3.
    pub(crate) calm: TestVault,
    /// The same, and a refresh that makes a rotation due.
    pub(crate) due: TestVault,
    /// Alice's account vault.
    pub(crate) account: TestVault,
}

/// A vault of Paula's, who has papers of every standing.
pub(crate) struct MoveCast {
    pub(crate) paula: PaperCast,
    pub(crate) vault: TestVault,
}

impl MoveCast {
    pub(crate) fn new() -> Self {
        let paula = PaperCast::new();
        let vault = TestVault::new(VaultKind::Storage, &paula.account);
        Self { paula, vault }
    }

    /// The vault's next entry, by one of her devices.
    fn moved_by(&self, device: &TestDevice) -> SignedEntry {
        let account = &self.paula.account;
        let entry = self.vault.draft_by(account, device, TestVault::moved());
        signed_vault(&entry, device)
    }

    pub(crate) fn accepted(&self) -> [SignedEntry; 2] {
        [&self.paula.account.paper, &self.paula.rooted].map(|paper| self.moved_by(paper))
    }

    pub(crate) fn refused(&self) -> [(&'static str, SignedEntry, VaultLogError); 3] {
        [
            (
                "a move by a machine",
                self.moved_by(&self.paula.account.machine),
                VaultLogError::PaperNeeded,
            ),
            (
                "a move by a paper of a machine",
                self.moved_by(&self.paula.of_machine),
                VaultLogError::PaperNotRooted,
            ),
            (
                "a move by a paper that a paper of a machine added",
                self.moved_by(&self.paula.of_that),
                VaultLogError::PaperNotRooted,
            ),
        ]
    }
}

pub(crate) fn head_at(seq: u64) -> HeadPosition {
    HeadPosition {
        seq,
        hash: HeadHash::from_array(filler_32(&format!("head {seq}"))),
    }
}

impl Cast {
    pub(crate) fn new() -> Self {
        let mut alice = TestAccount::new("alice");
        let laptop = alice.renew_account_key();
        let [bob, carol, dan, eve] = ["bob", "carol", "dan", "eve"].map(TestAccount::new);
        let logs = logs_of(&[&alice, &bob, &carol, &dan, &eve]);

        let mut calm = TestVault::new(VaultKind::Storage, &alice);
        calm.join(&alice, &bob, Role::Writer, &logs);
        calm.head = Some(head_at(3));
        calm.join(&alice, &carol, Role::Reader, &logs);
        calm.append(&alice, TestVault::add(&dan, Role::Writer), &logs);
        let account = TestVault::new(VaultKind::Account, &alice);

        alice.append(alice.rename(&alice.machine.clone()), &[]);
        let mut bob_renewed = bob.clone();
        bob_renewed.renew_account_key();
        let logs = logs_of(&[&alice, &bob_renewed, &carol, &dan, &eve]);
        let mut due = calm.clone();
        due.append(&alice, TestVault::refresh(&bob_renewed), &logs);
        Self {
            alice,
            laptop,
            bob,
            bob_renewed,
            carol,
            dan,
            eve,
            logs,
            calm,
            due,
            account,
        }
    }

    /// The members of the vault, as their logs are at hand.
    pub(crate) fn members(&self) -> [&TestAccount; 4] {
        [&self.alice, &self.bob_renewed, &self.carol, &self.dan]
    }

    /// The calm log's next entry, by this author's machine.
    pub(crate) fn by(&self, author: &TestAccount, body: Body) -> SignedEntry {
        signed_vault(&self.calm.draft(author, body), &author.machine)
    }

    /// The calm log's next entry, by Alice.
    pub(crate) fn next(&self, body: Body) -> SignedEntry {
        self.by(&self.alice, body)
    }

    /// The next entry of the log where a rotation is due, by Alice.
    pub(crate) fn next_due(&self, body: Body) -> SignedEntry {
        let entry = self.due.draft(&self.alice, body);
        signed_vault(&entry, &self.alice.machine)
    }

    /// A plain entry by Alice, changed and then signed.
    pub(crate) fn plain(&self, change: impl FnOnce(&mut wire::VaultEntry)) -> SignedEntry {
        let body = TestVault::change(&self.carol, Role::Writer);
        let mut entry = self.calm.draft(&self.alice, body);
        change(&mut entry);
        signed_vault(&entry, &self.alice.machine)
    }
}
