//! A vault with six heads, and with members of every kind.

use crate::head::{
    Head, HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead, VerifiedHead,
};
use crate::testing::{Logs, TestAccount, TestDevice, TestHeads, TestVault, logs_of, signed_head};
use crate::vault_log::{Role, VaultKind, VaultLog};

pub(crate) struct Cast {
    /// Manages. Her laptop was added and removed: entries 2 and 3.
    pub(crate) alice: TestAccount,
    pub(crate) laptop: TestDevice,
    /// Writes.
    pub(crate) bob: TestAccount,
    /// Reads.
    pub(crate) carol: TestAccount,
    /// Invited to write.
    pub(crate) dan: TestAccount,
    /// No member.
    pub(crate) eve: TestAccount,
    pub(crate) logs: Logs,
    /// Three entries before head 1, three after head 3.
    pub(crate) vault: TestVault,
    /// The same, and a seventh entry after head 6 that makes a rotation due.
    pub(crate) due: TestVault,
    /// Heads 1 to 5 by Alice, head 6 by Bob.
    pub(crate) heads: TestHeads,
}

impl Cast {
    pub(crate) fn new() -> Self {
        let mut alice = TestAccount::new("alice");
        let laptop = alice.renew_account_key();
        let [bob, carol, dan, eve] = ["bob", "carol", "dan", "eve"].map(TestAccount::new);
        let logs = logs_of(&[&alice, &bob, &carol, &dan, &eve]);

        let mut vault = TestVault::new(VaultKind::Storage, &alice);
        let mut heads = TestHeads::default();
        vault.join(&alice, &bob, Role::Writer, &logs);
        heads.extend(&vault, &alice, 3);
        vault.head = Some(heads.position_at(3));
        vault.join(&alice, &carol, Role::Reader, &logs);
        vault.append(&alice, TestVault::add(&dan, Role::Writer), &logs);
        heads.extend(&vault, &alice, 2);
        heads.extend(&vault, &bob, 1);

        let mut due = vault.clone();
        due.head = Some(heads.position_at(6));
        due.append(&alice, TestVault::remove(&carol), &logs);
        Self {
            alice,
            laptop,
            bob,
            carol,
            dan,
            eve,
            logs,
            vault,
            due,
            heads,
        }
    }

    /// What a side keeps that has accepted the heads up to `seq`.
    pub(crate) fn seen(&self, seq: u64) -> SeenHeads {
        if seq == 0 {
            return SeenHeads::none();
        }
        let newest = self.heads.at(seq).to_bytes();
        SeenHeads::collect(&newest, |seq| Some(self.heads.at(seq).hash())).unwrap()
    }

    /// Head 7, by this author's machine, changed and then signed.
    pub(crate) fn next(
        &self,
        author: &TestAccount,
        change: impl FnOnce(&mut Head),
    ) -> UnverifiedHead {
        let mut head = self.heads.draft(&self.vault, author);
        change(&mut head);
        signed_head(head, &author.machine)
    }

    /// A head offered as the seventh.
    pub(crate) fn verify_next(
        &self,
        head: UnverifiedHead,
        log: &VaultLog,
    ) -> Result<VerifiedHead, HeadError> {
        head.verify(&HeadContext {
            vault_log: log,
            account_logs: &self.logs,
            previous: PreviousHeads::Next(&self.seen(6)),
        })
    }
}
