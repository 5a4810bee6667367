//! Vaults that get another name, or that this account has no more.

use std::collections::BTreeMap;

use prost::Message;
use vault_core::author::AuthorError;
use vault_core::settings::KnownVault;
use vault_proto::ids::{PackId, VaultId};
use vault_proto::vault_log::VaultLogError;
use vault_proto::wire::{Located, Root, VaultEntry, vault_entry};

use super::{Account, AccountError, Standing, VaultSelector, VaultSummary, settings};
use crate::contents::Opened;
use crate::index::IndexError;
use crate::link::{self, LinkError};
use crate::remote::{MAX_PACKS_PER_CALL, Presence};
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

    /// Deletes a vault that nobody else is a member of, and ends its links. The hoster
    /// keeps what was in it for as long as it keeps what is removed.
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
            // Only now: none can be made any more.
            for link in opened.remote().list_links(vault)? {
                opened.remote().revoke_link(vault, &link.link)?;
            }
        }
        self.change_known(vault, |known| known.deleted = true)
    }

    /// The vaults that this account has deleted, or left, with the names that they had.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn deleted_vaults(&self) -> Result<Vec<VaultSummary>, AccountError> {
        let settings = self.settings()?;
        let deleted = settings.vaults().iter().filter(|known| known.deleted);
        let summaries = deleted.map(|known| VaultSummary {
            id: known.vault,
            name: Some(known.name.clone()),
            hoster: known.hoster,
            standing: Standing::Deleted,
        });
        Ok(summaries.collect())
    }

    /// Opens a vault that this account has deleted, or left, by the name that it had or
    /// its id: what it held can be [brought back](crate::repair::repair) as long as the
    /// hoster keeps it.
    ///
    /// # Errors
    /// [`AccountError::NoSuchVault`], [`AccountError::NotDeleted`] where only a vault that
    /// is there has that name, [`AccountError::Ambiguous`] where several deleted
    /// ones had that name, [`AccountError::NameTaken`] where another vault has it now, and
    /// the others.
    pub fn open_deleted_vault(&self, name: &str) -> Result<Vault, AccountError> {
        let settings = self.settings()?;
        let (mut deleted, listed): (Vec<_>, Vec<_>) =
            settings.vaults().iter().partition(|known| known.deleted);
        deleted.retain(|known| known.name == name || known.vault.to_string() == name);
        let found = match &deleted[..] {
            [found] => *found,
            [] if listed.iter().any(|known| known.name == name) => {
                return Err(AccountError::NotDeleted);
            }
            [] => return Err(AccountError::NoSuchVault),
            several => return Err(AccountError::Ambiguous(several.len())),
        };
        let taken = listed.iter().find(|known| known.name == found.name);
        if let Some(taken) = taken {
            return Err(AccountError::NameTaken(taken.vault));
        }
        self.open_at(found.hoster, found.vault, Some(found.name.clone()))
    }

    /// Lists a vault again that was deleted.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn list_vault_again(&self, vault: &VaultId) -> Result<(), AccountError> {
        self.change_known(vault, |known| known.deleted = false)
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
        let [data, named] = packs(vault)?;
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

fn remove(
    vault: &mut Vault,
    packs: &[(PackId, u32)],
    root: Root,
) -> Result<CommitResult, VaultError> {
    let seq = vault.head().map_or(0, |at| at.seq) + 1;
    let removed: u64 = packs.iter().map(|(_, size)| u64::from(*size)).sum();
    let root = Root {
        committed: Some(vault.now().to_wire()),
        last_removal_seq: seq,
        pack_count: root.pack_count.saturating_sub(packs.len() as u64),
        pack_bytes: root.pack_bytes.saturating_sub(removed),
        ..root
    };
    vault.commit(CommitPlan {
        adds: Vec::new(),
        removes: packs.iter().map(|(pack, _)| *pack).collect(),
        root,
    })
}

/// The packs of a vault that the hoster still has, with their sizes: those that the index
/// knows and capsules of links, and those that the root names itself.
fn packs(vault: &Vault) -> Result<[Vec<(PackId, u32)>; 2], AccountError> {
    let opened = Opened::open(vault).map_err(AccountError::Transfer)?;
    let root = vault.root()?;
    let segments = root.segments.iter().filter_map(|s| s.at.as_ref());
    let located = segments
        .chain(&root.catalog)
        .chain(&root.links)
        .chain(&root.settings);
    let named =
        located.map(|at: &Located| Some((PackId::from_slice(&at.pack).ok()?, at.pack_size)));
    let named: BTreeMap<_, _> = named.flatten().collect();
    let mut data = BTreeMap::new();
    let visited = opened.index.for_each(|entry| {
        data.insert(entry.pack, entry.pack_size);
        Ok::<_, IndexError>(())
    });
    visited
        .map_err(TransferError::from)
        .map_err(AccountError::Transfer)?;
    match link::read_list(vault) {
        Ok(links) => {
            let capsules = links.all().iter();
            data.extend(capsules.map(|link| (link.capsule, link.capsule_size)));
        }
        Err(LinkError::Transfer(error)) if !error.is_lasting() => {
            return Err(AccountError::Transfer(error));
        }
        // Nobody knows any more which packs those are.
        Err(_) => {}
    }
    data.retain(|pack, _| !named.contains_key(pack));
    let there = |packs: BTreeMap<PackId, u32>| -> Result<Vec<_>, AccountError> {
        let ids: Vec<_> = packs.keys().copied().collect();
        let there = opened.remote.have_packs(&vault.id(), &ids)?;
        let kept = packs
            .into_iter()
            .zip(there)
            .filter(|(_, there)| *there == Presence::There);
        Ok(kept.map(|(pack, _)| pack).collect())
    };
    Ok([there(data)?, there(named)?])
}
