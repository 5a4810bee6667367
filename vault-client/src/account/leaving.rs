//! Vaults that get another name, or that this account has no more.

use std::collections::BTreeSet;

use prost::Message;
use vault_core::author::AuthorError;
use vault_core::settings::KnownVault;
use vault_proto::ids::{PackId, VaultId};
use vault_proto::vault_log::VaultLogError;
use vault_proto::wire::{Located, Root, VaultEntry, vault_entry};

use super::{Account, AccountError, VaultSelector, settings};
use crate::contents::Opened;
use crate::index::IndexError;
use crate::remote::MAX_PACKS_PER_CALL;
use crate::transfer::TransferError;
use crate::vault::{CommitPlan, CommitResult, Vault, VaultError};

/// How often a head is made anew after another device was first.
const RACES: usize = 8;

impl Account {
    /// Calls a vault something else. Only this account sees the name.
    ///
    /// # Errors
    /// [`AccountError::NoSuchVault`], [`AccountError::NameTaken`], and the others.
    pub fn rename_vault(&self, vault: &VaultId, name: &str) -> Result<(), AccountError> {
        let mut account_vault = self.account_vault()?;
        account_vault.refresh()?;
        let settings = settings::read(&account_vault)?;
        let known = settings.vault(*vault).filter(|known| !known.deleted);
        if known.is_none() {
            return Err(AccountError::NoSuchVault);
        }
        let mut others = settings.vaults().iter().filter(|known| !known.deleted);
        if let Some(taken) = others.find(|other| other.name == name && other.vault != *vault) {
            return Err(AccountError::NameTaken(taken.vault));
        }
        self.change_known(vault, |known| name.clone_into(&mut known.name))
    }

    /// Ends this account's membership of a vault that others are members of. They
    /// keep it, and change its keys before they write to it again.
    ///
    /// # Errors
    /// [`AccountError::OnlyMember`] where there is nobody else: delete it;
    /// [`AccountError::LastManager`] where nobody else manages it, and the others.
    /// Repeating the call goes on where it was interrupted.
    pub fn leave_vault(&self, vault: &VaultId) -> Result<(), AccountError> {
        let mut opened = self.open_vault(&VaultSelector::Id(*vault))?;
        if self.is_member(&opened) {
            self.leave(&mut opened)?;
        }
        self.change_known(vault, |known| known.deleted = true)?;
        // Only now: a hoster that shows nothing of the vault is believed because of
        // what this device has signed.
        Ok(self.member.state.forget_signed_entry(vault.as_bytes())?)
    }

    fn leave(&self, opened: &mut Vault) -> Result<(), AccountError> {
        let left = opened.append(&[], |author, _, _| {
            let alone = author.log.members().count() == 1;
            match author.log.member(&author.account) {
                Some(_) if !alone => author.leave().map(Some),
                _ => Ok(None),
            }
        });
        match left {
            Ok(None) if self.is_member(opened) => Err(AccountError::OnlyMember),
            Ok(_) => Ok(()),
            // It arrived, and its answer did not: nothing is shown to who is out.
            Err(error) if error.is_put_out() => Ok(()),
            Err(error) if error.is_not_found() && self.has_left(opened)? => Ok(()),
            Err(VaultError::Author(AuthorError::VaultLog(VaultLogError::LastManager))) => {
                Err(AccountError::LastManager)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a vault that nobody else is a member of. The hoster keeps what was
    /// in it for as long as it keeps what is removed.
    ///
    /// # Errors
    /// [`AccountError::OthersAreMembers`] where somebody else is, or where this account
    /// was leaving it: leave it, or remove them first; and the others. Repeating the
    /// call goes on where it was interrupted.
    pub fn delete_vault(&self, vault: &VaultId) -> Result<(), AccountError> {
        let mut opened = self.open_vault(&VaultSelector::Id(*vault))?;
        {
            let _lock = opened.lock()?;
            match opened.refresh() {
                Err(error) if error.is_put_out() => {
                    return Err(AccountError::OthersAreMembers);
                }
                Err(error) if error.is_not_found() && self.has_left(&opened)? => {
                    return Err(AccountError::OthersAreMembers);
                }
                refreshed => refreshed?,
            }
            // Before the keys are changed: whoever may only read leaves it, too.
            if !self.is_only_member(&opened) {
                return Err(AccountError::OthersAreMembers);
            }
            opened.prepare()?;
            empty(&mut opened)?;
        }
        self.change_known(vault, |known| known.deleted = true)
    }

    /// Changes what the settings say of a vault.
    fn change_known(
        &self,
        vault: &VaultId,
        change: impl Fn(&mut KnownVault),
    ) -> Result<(), AccountError> {
        settings::change(&mut self.account_vault()?, |settings| {
            let Some(mut known) = settings.vault(*vault).cloned() else {
                return Ok(());
            };
            change(&mut known);
            settings.set_vault(known)
        })?;
        self.vaults()?;
        Ok(())
    }

    fn is_member(&self, vault: &Vault) -> bool {
        vault.log().member(&self.row.account).is_some()
    }

    fn is_only_member(&self, vault: &Vault) -> bool {
        let mut members = vault.log().members().map(|(account, _)| account);
        members.all(|account| account == self.row.account) && self.is_member(vault)
    }

    /// Whether this device has signed that the account leaves the vault.
    fn has_left(&self, vault: &Vault) -> Result<bool, AccountError> {
        if !self.is_member(vault) {
            // It stands.
            return Ok(true);
        }
        let signed = self.member.state.signed_entry(vault.id().as_bytes())?;
        let body = signed.and_then(|(_, entry)| VaultEntry::decode(&entry.payload[..]).ok()?.body);
        Ok(matches!(body, Some(vault_entry::Body::Leave(_))))
    }
}

/// Removes every pack of a vault. What leads to the others goes last.
fn empty(vault: &mut Vault) -> Result<(), AccountError> {
    for _ in 0..RACES {
        if vault.head().is_none() {
            return Ok(());
        }
        let (data, named) = packs(vault)?;
        let mut outcome = CommitResult::Committed(vault.head().expect("there is one"));
        for removes in data.chunks(MAX_PACKS_PER_CALL) {
            outcome = remove(vault, removes, vault.root()?.clone())?;
            if !matches!(outcome, CommitResult::Committed(_)) {
                break;
            }
        }
        if matches!(outcome, CommitResult::Committed(_)) {
            let before = vault.root()?;
            let root = Root {
                minimum_reader: before.minimum_reader,
                minimum_writer: before.minimum_writer,
                ..Root::default()
            };
            outcome = remove(vault, &named, root)?;
        }
        match outcome {
            CommitResult::Committed(_) => return Ok(()),
            CommitResult::LostRace | CommitResult::Missing(_) => vault.prepare()?,
        }
    }
    Err(AccountError::Overtaken)
}

fn remove(vault: &mut Vault, packs: &[PackId], root: Root) -> Result<CommitResult, VaultError> {
    let seq = vault.head().map_or(0, |at| at.seq) + 1;
    let removed = packs.len() as u64;
    let root = Root {
        committed: Some(vault.now().to_wire()),
        last_removal_seq: seq,
        pack_count: root.pack_count.saturating_sub(removed),
        ..root
    };
    vault.commit(CommitPlan {
        adds: Vec::new(),
        removes: packs.to_vec(),
        root,
    })
}

/// The packs of a vault that the hoster still has: those that the index knows,
/// and those that the root names itself.
fn packs(vault: &Vault) -> Result<(Vec<PackId>, Vec<PackId>), AccountError> {
    let opened = Opened::open(vault).map_err(AccountError::Transfer)?;
    let root = vault.root()?;
    let segments = root.segments.iter().filter_map(|s| s.at.as_ref());
    let located = segments
        .chain(&root.catalog)
        .chain(&root.links)
        .chain(&root.settings);
    let named = located.map(|at: &Located| PackId::from_slice(&at.pack));
    let named: BTreeSet<_> = named.filter_map(Result::ok).collect();
    let mut data = BTreeSet::new();
    let visited = opened.index.for_each(|entry| {
        if !named.contains(&entry.pack) {
            data.insert(entry.pack);
        }
        Ok::<_, IndexError>(())
    });
    visited
        .map_err(TransferError::from)
        .map_err(AccountError::Transfer)?;
    let there = |packs: BTreeSet<PackId>| -> Result<Vec<PackId>, AccountError> {
        let packs: Vec<_> = packs.into_iter().collect();
        let there = opened.remote.have_packs(&vault.id(), &packs)?;
        let kept = packs.into_iter().zip(there).filter(|(_, there)| *there);
        Ok(kept.map(|(pack, _)| pack).collect())
    };
    Ok((there(data)?, there(named)?))
}
