//! The vaults of an account.

use std::collections::BTreeMap;

use vault_core::author::create_vault;
use vault_core::keys::AccountSecrets;
use vault_core::settings::{AccountSettings, KnownVault};
use vault_proto::ids::{AccountId, HosterId, VaultId};
use vault_proto::vault_log::VaultKind as Kind;
use vault_proto::wire::{SignedEntry, VaultKind};

use super::{Account, AccountError, settings};
use crate::remote::{Remote, RemoteError};
use crate::state::{NewEntries, StateError, VaultRow};
use crate::vault::{Vault, VaultError};

/// A vault of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSummary {
    /// Its id.
    pub id: VaultId,
    /// What the account calls it.
    pub name: Option<String>,
    /// The hoster that keeps it.
    pub hoster: HosterId,
    /// What the hoster says of it.
    pub standing: Standing,
}

/// What the hoster says of a vault that the account knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// It is there.
    Listed,
    /// This account is not a member any more: that one has ended it, or the account
    /// itself.
    PutOut(AccountId),
    /// The hoster does not list it, and others could have put this account out: it does
    /// not show the entry that did.
    Gone,
    /// The hoster does not list it, although nobody else could have taken it away.
    Hidden,
    /// Another hoster keeps it, who could not be asked.
    Elsewhere,
    /// This account has deleted it, or left it.
    Deleted,
}

/// Which vault is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VaultSelector {
    /// The only one there is.
    Only,
    /// The only one there is, which this account has made: where something is saved
    /// that nobody has said the place of.
    OnlyOwn,
    /// The one of that name.
    Name(String),
    /// The one of that id.
    Id(VaultId),
}

impl Account {
    /// Makes a vault for files, and names it. One whose making was interrupted
    /// is finished by the next call with its name.
    ///
    /// # Errors
    /// [`AccountError::NameTaken`], and the others.
    pub fn create_vault(&self, name: &str) -> Result<Vault, AccountError> {
        let state = &self.member.state;
        let _lock = state.home().lock_account()?;
        let mut account_vault = self.account_vault()?;
        account_vault.refresh()?;
        let settings = settings::read(&account_vault)?;
        let begun = state.vaults()?.into_iter();
        let mut begun = begun.filter(|row| row.creating && row.name.as_deref() == Some(name));
        let (row, genesis) = match begun.next() {
            Some(row) => {
                let genesis = state.log_entries(row.id.as_bytes())?.into_iter().next();
                let damaged = StateError::Damaged("a vault without its genesis");
                (row, genesis.ok_or(damaged)?)
            }
            None => {
                // Refused before anything is made, name or all.
                let nobody = VaultId::from_array([0; 32]);
                name_vault(&mut settings.clone(), nobody, self.row.hoster, name)?;
                if let Some(taken) = named(&settings, name) {
                    return Err(AccountError::NameTaken(taken));
                }
                self.begin_vault(&account_vault, name)?
            }
        };
        self.member.remote.create_vault(&genesis)?;
        let settings =
            self.change_settings(|settings| name_vault(settings, row.id, row.hoster, name))?;
        let row = VaultRow {
            creating: false,
            ..row
        };
        let mut known = rows(&settings);
        known.retain(|known| known.id != row.id);
        known.push(row.clone());
        state.set_vaults(&known)?;
        Ok(Vault::open(self.member.clone(), row.id, row.name)?)
    }

    /// Makes a vault and stores it; nothing is sent yet.
    fn begin_vault(
        &self,
        account_vault: &Vault,
        name: &str,
    ) -> Result<(VaultRow, SignedEntry), AccountError> {
        let log = account_vault.own_log();
        let secrets = AccountSecrets::open(log, &self.member.device)?;
        let made = create_vault(
            Kind::Storage,
            self.row.hoster,
            log,
            &secrets,
            &self.member.device,
            &mut self.member.rng(),
        )?;
        let row = VaultRow {
            id: made.log.id(),
            kind: VaultKind::Storage,
            hoster: self.row.hoster,
            name: Some(name.to_owned()),
            creating: true,
        };
        let genesis = NewEntries {
            log: *row.id.as_bytes(),
            first_seq: 1,
            entries: vec![made.genesis.clone()],
        };
        let state = &self.member.state;
        state.begin_vault(&row, &self.row.account, genesis)?;
        Ok((row, made.genesis))
    }

    /// The vaults for files, ordered by name: those that the account knows,
    /// compared with those that their hosters list. What a hoster lists besides
    /// is not shown: it could plant a vault.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn vaults(&self) -> Result<Vec<VaultSummary>, AccountError> {
        let settings = self.settings()?;
        let mut listings = BTreeMap::from([(self.row.hoster, Some(listed(&*self.member.remote)?))]);
        let rows = rows(&settings);
        for row in &rows {
            listings.entry(row.hoster).or_insert_with(|| {
                let member = self.member_at(row.hoster).ok()?;
                match member.bring_own_log() {
                    // It may list them all the same.
                    Err(error) if error.is_transient() => None,
                    _ => listed(&*member.remote).ok(),
                }
            });
        }
        self.member.state.set_vaults(&rows)?;
        let mut summaries: Vec<_> = rows
            .into_iter()
            .map(|row| VaultSummary {
                standing: match listings.get(&row.hoster).and_then(Option::as_ref) {
                    None => Standing::Elsewhere,
                    Some(listed) if listed.contains(&row.id) => Standing::Listed,
                    Some(_) => self.standing_of_unlisted(&row, settings.vault(row.id)),
                },
                id: row.id,
                name: row.name,
                hoster: row.hoster,
            })
            .collect();
        summaries.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(summaries)
    }

    /// Why a vault is not listed, as far as its hoster proves it.
    fn standing_of_unlisted(&self, row: &VaultRow, known: Option<&KnownVault>) -> Standing {
        let is_own = known.is_some_and(|known| known.shared_by.is_none());
        let error = match self.open_at(row.hoster, row.id, row.name.clone()) {
            Ok(mut vault) => match vault.refresh() {
                Ok(()) => return Standing::Listed,
                Err(error) => error,
            },
            // This device has never seen it.
            Err(AccountError::Vault(error)) if error.is_not_found() && is_own => {
                return Standing::Hidden;
            }
            Err(AccountError::Vault(error)) => error,
            Err(_) => return Standing::Gone,
        };
        match error {
            VaultError::PutOut { by } => Standing::PutOut(by),
            VaultError::Hidden => Standing::Hidden,
            _ => Standing::Gone,
        }
    }

    /// The vaults for files as this device last knew them, without asking
    /// anybody: id and name, ordered by name.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn known_vaults(&self) -> Result<Vec<(VaultId, Option<String>)>, AccountError> {
        let rows = self.member.state.vaults()?.into_iter();
        let storage = rows.filter(|row| row.kind == VaultKind::Storage && !row.creating);
        Ok(storage.map(|row| (row.id, row.name)).collect())
    }

    /// Opens a vault as this device last saw it, without asking anybody if the
    /// device knows which one is meant.
    ///
    /// # Errors
    /// [`AccountError::NoVault`], [`AccountError::NoSuchVault`],
    /// [`AccountError::Ambiguous`], [`AccountError::OnlyShared`], and the others.
    pub fn open_vault(&self, selector: &VaultSelector) -> Result<Vault, AccountError> {
        let row = match self.select(selector)? {
            Some(row) => row,
            // Another device may have made it.
            None => {
                self.vaults()?;
                self.select(selector)?.ok_or(match selector {
                    VaultSelector::Only | VaultSelector::OnlyOwn => AccountError::NoVault,
                    _ => AccountError::NoSuchVault,
                })?
            }
        };
        let vault = self.open_at(row.hoster, row.id, row.name)?;
        if *selector == VaultSelector::OnlyOwn && !self.has_made(&vault) {
            let name = vault.name().unwrap_or_default();
            return Err(AccountError::OnlyShared(name.to_owned()));
        }
        Ok(vault)
    }

    /// Whether this account has made the vault, and has been in it ever since: else
    /// another shares it with this one.
    fn has_made(&self, vault: &Vault) -> bool {
        let (log, account) = (vault.log(), &self.row.account);
        let mut entries = 1..=log.position().seq;
        entries.all(|seq| log.role_at(account, seq).is_some())
    }

    fn select(&self, selector: &VaultSelector) -> Result<Option<VaultRow>, AccountError> {
        let mut rows = self.member.state.vaults()?;
        rows.retain(|row| {
            !row.creating
                && match selector {
                    VaultSelector::Only | VaultSelector::OnlyOwn => true,
                    VaultSelector::Name(name) => row.name.as_ref() == Some(name),
                    VaultSelector::Id(id) => row.id == *id,
                }
        });
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            several => Err(AccountError::Ambiguous(several)),
        }
    }
}

/// Every vault for files that the settings know, but for deleted ones.
pub(super) fn rows(settings: &AccountSettings) -> Vec<VaultRow> {
    let known = settings.vaults().iter().filter(|known| !known.deleted);
    known
        .map(|known| VaultRow {
            id: known.vault,
            kind: VaultKind::Storage,
            hoster: known.hoster,
            name: Some(known.name.clone()),
            creating: false,
        })
        .collect()
}

/// The vaults for files that a hoster lists.
fn listed(remote: &dyn Remote) -> Result<Vec<VaultId>, RemoteError> {
    let listed = remote.list_vaults()?.into_iter();
    Ok(listed
        .filter(|(_, kind)| *kind == VaultKind::Storage)
        .map(|(vault, _)| vault)
        .collect())
}

/// The vault that has this name.
fn named(settings: &AccountSettings, name: &str) -> Option<VaultId> {
    let mut vaults = settings.vaults().iter();
    let found = vaults.find(|known| !known.deleted && known.name == name)?;
    Some(found.vault)
}

fn name_vault(
    settings: &mut AccountSettings,
    vault: VaultId,
    hoster: HosterId,
    name: &str,
) -> Result<(), vault_core::settings::SettingsError> {
    settings.set_vault(KnownVault {
        vault,
        hoster,
        name: name.to_owned(),
        deleted: false,
        shared_by: None,
    })
}
