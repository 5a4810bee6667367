//! Who made a head, and whether he was allowed to.

use super::{
    Head, HeadError, HeadPath, SEALED_ROOT_BYTES, SIGNED_HEAD_BYTES, SeenHeads, UnverifiedHead,
};
use crate::account_log::AccountLogs;
use crate::ids::{HeadHash, RootHash};
use crate::pack_list::PackList;
use crate::position::HeadPosition;
use crate::sign::SignLabel;
use crate::vault_log::{Role, VaultLog};

/// What a head is verified against. All of it is taken as true.
#[derive(Clone, Copy)]
pub struct HeadContext<'a> {
    /// The vault's log, as long as it is known.
    pub vault_log: &'a VaultLog,
    /// The members' logs, as long as they are known.
    pub account_logs: &'a dyn AccountLogs,
    /// What the head must extend.
    pub previous: PreviousHeads<'a>,
}

/// What a head must extend.
#[derive(Debug, Clone, Copy)]
pub enum PreviousHeads<'a> {
    /// The head comes right after the newest that this side has seen: a commit.
    Next(&'a SeenHeads),
    /// The head is the newest of a path that leads to what this side has seen.
    Path(&'a HeadPath),
}

/// A head that extends what was seen, made by a device that was allowed to.
#[derive(Debug, Clone)]
pub struct VerifiedHead {
    head: UnverifiedHead,
    seen: SeenHeads,
}

impl UnverifiedHead {
    /// Verifies everything about the head but what it points at.
    ///
    /// # Errors
    /// See [`HeadError`]; whoever gets one changes nothing.
    pub fn verify(self, context: &HeadContext<'_>) -> Result<VerifiedHead, HeadError> {
        if self.head.vault != context.vault_log.id() {
            return Err(HeadError::NotThisVault);
        }
        let path = match context.previous {
            PreviousHeads::Next(seen) => &self.clone().into_next_of(seen)?,
            PreviousHeads::Path(path) if path.newest() == &self => path,
            PreviousHeads::Path(_) => return Err(HeadError::NotOfThisPath),
        };
        check_pins(path, context.vault_log)?;
        let seen = path.seen.clone();
        self.verify_author(context.vault_log, context.account_logs)?;
        Ok(VerifiedHead { head: self, seen })
    }

    /// Verifies the maker of a head whose place in the chain is shown by other
    /// means, as when attribution is shown: that he was allowed to make it, and
    /// did. It says nothing about whether the head is the newest, or one of the
    /// chain at all.
    ///
    /// # Errors
    /// Those of [`HeadError`] that concern positions, membership, device and
    /// signature.
    pub fn verify_author(
        &self,
        vault_log: &VaultLog,
        account_logs: &dyn AccountLogs,
    ) -> Result<(), HeadError> {
        if self.head.vault != vault_log.id() {
            return Err(HeadError::NotThisVault);
        }
        check_vault_position(&self.head, vault_log)?;
        check_may_write(&self.head, vault_log)?;
        self.check_device(vault_log, account_logs)
    }

    /// The path of one head that comes right after what was seen. All that its
    /// links can point at was kept, so following it checks both.
    fn into_next_of(self, seen: &SeenHeads) -> Result<HeadPath, HeadError> {
        let next = seen.next_links().seq;
        if self.head.seq > next {
            return Err(HeadError::MissingLink {
                newer: self.head.seq,
                older: next,
            });
        }
        seen.follow(vec![self])
    }

    /// The device was active at the place that the head names in its author's
    /// log, that place is not behind what the vault log recorded, and it signed.
    fn check_device(
        &self,
        vault_log: &VaultLog,
        account_logs: &dyn AccountLogs,
    ) -> Result<(), HeadError> {
        let head = &self.head;
        let account = head.account;
        let log = account_logs
            .account_log(&account)
            .ok_or(HeadError::AccountLogMissing { account })?;
        let need = head.account_position.seq;
        let have = log.position().seq;
        match log.hash_at(need) {
            None => {
                return Err(HeadError::AccountEntriesMissing {
                    account,
                    have,
                    need,
                });
            }
            Some(hash) if hash != head.account_position.hash => {
                return Err(HeadError::PositionMismatch);
            }
            Some(_) => {}
        }
        let recorded = vault_log.known_position_at(&account, head.vault_position.seq);
        if recorded.is_some_and(|recorded| need < recorded.seq) {
            return Err(HeadError::StalePosition);
        }
        let device = log
            .device(&head.device)
            .ok_or(HeadError::UnknownDevice(head.device))?;
        if !device.is_active_at(need) {
            return Err(HeadError::DeviceNotActive(head.device));
        }
        device
            .public
            .signing_key()
            .verify(SignLabel::Head, &head.to_signed_bytes(), &self.signature)
            .map_err(|_| HeadError::BadSignature)
    }
}

impl Head {
    /// Checks that whoever took the place of a head that entries of the vault log name
    /// is not out by any of them, but for one of his own account's. This is of a head
    /// that was verified, and of what it points at: the logs can be relied on either way.
    ///
    /// A head names the entry before those, since that is what the hoster had when it was
    /// made (H7): whom one of them puts out could sign one in their place for ever.
    ///
    /// # Errors
    /// [`HeadError::Stranger`], [`HeadError::MayNotWrite`] and
    /// [`HeadError::DeviceNotActive`].
    pub fn check_not_put_out(
        &self,
        vault_log: &VaultLog,
        account_logs: &dyn AccountLogs,
    ) -> Result<(), HeadError> {
        let pinned = vault_log.pinned_hash_at(self.seq);
        if pinned.is_none_or(|pinned| pinned == self.hash()) {
            return Ok(());
        }
        let first = vault_log.earliest_position_for_head(self.seq) + 1;
        let last = vault_log.earliest_position_for_head(self.seq.saturating_add(1));
        let is_own = |at| {
            vault_log
                .author_at(at)
                .is_some_and(|(by, _)| by == self.account)
        };
        for at in (first..=last).filter(|at| !is_own(*at)) {
            // Whoever was out before has gone by himself, and could have committed it
            // before he went.
            if check_role(self, vault_log, at - 1).is_ok() {
                check_role(self, vault_log, at)?;
            }
        }
        let log = account_logs.account_log(&self.account);
        let removed = log.and_then(|log| log.device(&self.device)?.removed_seq);
        let recorded = vault_log.known_position_at(&self.account, last);
        match (recorded, removed) {
            (Some(recorded), Some(removed)) if removed <= recorded.seq => {
                Err(HeadError::DeviceNotActive(self.device))
            }
            _ => Ok(()),
        }
    }
}

impl VerifiedHead {
    /// What it says.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head.head
    }

    /// Its hash.
    #[must_use]
    pub fn hash(&self) -> HeadHash {
        self.head.hash()
    }

    /// Where it stands in the chain.
    #[must_use]
    pub fn position(&self) -> HeadPosition {
        self.head.position()
    }

    /// The 456 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; SIGNED_HEAD_BYTES] {
        self.head.to_bytes()
    }

    /// What this side has seen, now that the head is accepted.
    #[must_use]
    pub fn seen(&self) -> &SeenHeads {
        &self.seen
    }

    /// Checks that these bytes are the sealed root that the head names.
    ///
    /// # Errors
    /// [`HeadError::OtherRoot`].
    pub fn check_root(&self, sealed_root: &[u8]) -> Result<(), HeadError> {
        if SEALED_ROOT_BYTES.contains(&sealed_root.len())
            && RootHash::of(sealed_root) == self.head().root
        {
            Ok(())
        } else {
            Err(HeadError::OtherRoot)
        }
    }

    /// Checks that these are the packs that the head adds and takes away.
    ///
    /// # Errors
    /// [`HeadError::OtherPacks`].
    pub fn check_packs(&self, adds: &PackList, removes: &PackList) -> Result<(), HeadError> {
        if adds.hash() == self.head().adds && removes.hash() == self.head().removes {
            Ok(())
        } else {
            Err(HeadError::OtherPacks)
        }
    }
}

/// The chain, from the head that was known before on, agrees with the heads that
/// entries of the vault log name, or makes up for them, and is not older than the
/// newest of them.
fn check_pins(path: &HeadPath, vault_log: &VaultLog) -> Result<(), HeadError> {
    let Some(known) = vault_log.pinned_head() else {
        return Ok(());
    };
    let got = path.newest().seq();
    if got < known.seq {
        return Err(HeadError::Older { known, got });
    }
    // The log may have learned meanwhile what was pinned where the known head is.
    for head in path.heads().iter().map(|head| &head.head).chain(&path.base) {
        let pinned = vault_log.pinned_hash_at(head.seq);
        if pinned.is_some_and(|lost| lost != head.hash() && head.reconciled != Some(lost)) {
            return Err(HeadError::Fork { seq: head.seq });
        }
    }
    Ok(())
}

/// The head names an entry of this log: none older than the newest that was
/// made before the head, and none that was made after it.
fn check_vault_position(head: &Head, vault_log: &VaultLog) -> Result<(), HeadError> {
    let need = head.vault_position.seq;
    match vault_log.hash_at(need) {
        None => {
            return Err(HeadError::VaultEntriesMissing {
                have: vault_log.position().seq,
                need,
            });
        }
        Some(hash) if hash != head.vault_position.hash => return Err(HeadError::PositionMismatch),
        Some(_) => {}
    }
    if need < vault_log.earliest_position_for_head(head.seq) {
        return Err(HeadError::StalePosition);
    }
    if need > vault_log.earliest_position_for_head(head.seq) {
        return Err(HeadError::PositionAhead);
    }
    Ok(())
}

fn check_may_write(head: &Head, vault_log: &VaultLog) -> Result<(), HeadError> {
    let at = head.vault_position.seq;
    check_role(head, vault_log, at)?;
    if vault_log.rotation_due_at(at) {
        return Err(HeadError::RotationDue);
    }
    let expected = vault_log.epoch_at(at).map_or(0, |epoch| epoch.number);
    if head.epoch != expected {
        let got = head.epoch;
        return Err(HeadError::WrongEpoch { expected, got });
    }
    Ok(())
}

/// At entry `at`, the author is a member who may write.
fn check_role(head: &Head, vault_log: &VaultLog, at: u64) -> Result<(), HeadError> {
    let member = vault_log
        .role_at(&head.account, at)
        .ok_or(HeadError::Stranger)?;
    if !member.accepted || member.role < Role::Writer {
        return Err(HeadError::MayNotWrite);
    }
    Ok(())
}
