//! Chains of heads.

use crate::head::{Head, SignedHead, UnverifiedHead, skip_seq};
use crate::ids::{HeadHash, RootHash};
use crate::pack_list::PackList;
use crate::position::HeadPosition;
use crate::testing::{TestAccount, TestDevice, TestVault, filler_32};

/// A chain of heads of one vault, all by one account's machine.
#[derive(Clone, Default)]
pub(crate) struct TestHeads {
    /// Head 1 first.
    pub(crate) heads: Vec<UnverifiedHead>,
}

impl TestHeads {
    /// The next head, at the newest places of both logs.
    pub(crate) fn draft(&self, vault: &TestVault, author: &TestAccount) -> Head {
        let seq = self.heads.len() as u64 + 1;
        Head {
            vault: vault.log.id(),
            seq,
            previous: self.hash_at(seq - 1),
            skip: self.hash_at(skip_seq(seq)),
            vault_position: vault.log.position(),
            account: author.id(),
            device: author.machine.id(),
            account_position: author.position(),
            epoch: vault.log.epoch().number,
            root: RootHash::from_array(filler_32(&format!("root {seq}"))),
            adds: PackList::default().hash(),
            removes: PackList::default().hash(),
            reconciled: None,
        }
    }

    /// Puts `count` more heads on the chain.
    pub(crate) fn extend(&mut self, vault: &TestVault, author: &TestAccount, count: u64) {
        for _ in 0..count {
            let head = self.draft(vault, author);
            self.heads.push(signed_head(head, &author.machine));
        }
    }

    /// Puts heads on the chain without signing them: for the hash path alone.
    pub(crate) fn extend_unsigned(&mut self, vault: &TestVault, author: &TestAccount, count: u64) {
        for _ in 0..count {
            let head = SignedHead::new(self.draft(vault, author), [0; 64]);
            self.heads
                .push(UnverifiedHead::decode(&head.to_bytes()).unwrap());
        }
    }

    pub(crate) fn at(&self, seq: u64) -> &UnverifiedHead {
        &self.heads[usize::try_from(seq).unwrap() - 1]
    }

    pub(crate) fn position_at(&self, seq: u64) -> HeadPosition {
        self.at(seq).position()
    }

    pub(crate) fn take(&self, seqs: &[u64]) -> Vec<UnverifiedHead> {
        seqs.iter().map(|seq| self.at(*seq).clone()).collect()
    }

    fn hash_at(&self, seq: u64) -> Option<HeadHash> {
        (seq > 0).then(|| self.at(seq).hash())
    }
}

/// The head with this device's signature.
pub(crate) fn signed_head(head: Head, signer: &TestDevice) -> UnverifiedHead {
    let signature = signer.sign(&head.to_sign());
    let head = SignedHead::new(head, signature);
    UnverifiedHead::decode(&head.to_bytes()).unwrap()
}
