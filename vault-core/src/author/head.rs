//! Heads and their roots.

use rand_core::CryptoRng;
use vault_proto::{
    account_log::AccountLogs,
    head::{Head, HeadContext, PreviousHeads, SeenHeads, SignedHead, UnverifiedHead, VerifiedHead},
    ids::{AccountId, HeadHash, RootHash},
    pack_list::PackList,
    position::LogPosition,
    sign::SignLabel,
    vault_log::VaultLog,
    wire::Root,
};

use super::AuthorError;
use crate::{
    keys::{DeviceKeys, VaultKeys},
    root::seal_root,
};

/// Writes the next head of a vault, for one device of a member.
#[derive(Clone, Copy)]
pub struct HeadAuthor<'a> {
    /// The vault's log up to its newest entry.
    pub vault_log: &'a VaultLog,
    /// The members' logs; the author's own up to its newest entry.
    pub accounts: &'a dyn AccountLogs,
    /// The newest head, which the new one follows.
    pub seen: &'a SeenHeads,
    /// The vault's keys.
    pub keys: &'a VaultKeys,
    /// The member.
    pub account: AccountId,
    /// The device that signs.
    pub device: &'a DeviceKeys,
}

/// What a head changes.
#[derive(Debug, Clone, Copy)]
pub struct HeadChange<'a> {
    /// The state after it.
    pub root: &'a Root,
    /// The packs that it adds, all of them sealed in the current epoch.
    pub adds: &'a PackList,
    /// The packs that it takes away.
    pub removes: &'a PackList,
    /// The head that the hoster lost, when this one makes up for it.
    pub reconciled: Option<HeadHash>,
}

/// A head and its root, to be stored before they are sent.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The head.
    pub head: VerifiedHead,
    /// Its sealed root.
    pub sealed_root: Vec<u8>,
}

impl HeadAuthor<'_> {
    /// Seals the root, and signs the head that names it.
    ///
    /// # Errors
    /// See [`AuthorError`]: [`AuthorError::Head`] where the device may not
    /// write, or a rotation is due.
    pub fn commit(
        &self,
        change: HeadChange<'_>,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Commit, AuthorError> {
        let mut head = self.draft(change)?;
        let sealed_root = seal_root(self.keys, &head, change.root, rng)?;
        head.root = RootHash::of(&sealed_root);
        let signature = self.device.sign(SignLabel::Head, &head.to_signed_bytes());
        let signed = SignedHead::new(head, signature).to_bytes();
        let head = UnverifiedHead::decode(&signed)?.verify(&HeadContext {
            vault_log: self.vault_log,
            account_logs: self.accounts,
            previous: PreviousHeads::Next(self.seen),
        })?;
        Ok(Commit { head, sealed_root })
    }

    /// The head, but for the root's hash.
    fn draft(&self, change: HeadChange<'_>) -> Result<Head, AuthorError> {
        let account_position = self
            .accounts
            .account_log(&self.account)
            .ok_or(AuthorError::AccountLogMissing(self.account))?
            .position();
        let links = self.seen.next_links();
        let log = self.vault_log;
        let seq = log.earliest_position_for_head(links.seq);
        let known = "a genesis names no head, so it comes before every head";
        let hash = log.hash_at(seq).expect(known);
        let epoch = log.epoch_at(seq).expect(known);
        Ok(Head {
            vault: log.id(),
            seq: links.seq,
            previous: links.previous,
            skip: links.skip,
            vault_position: LogPosition { seq, hash },
            account: self.account,
            device: self.device.id(),
            account_position,
            epoch: epoch.number,
            root: RootHash::from_array([0; 32]),
            adds: change.adds.hash(),
            removes: change.removes.hash(),
            reconciled: change.reconciled,
        })
    }
}
