//! What a device has set up that was removed, and that its removal does not undo.
//!
//! ```text
//! removed ─▶ devices it added ─▶ devices those added ─▶ …       all that it brought in
//!                 in each vault: members whom one of these added, or gave a role
//! ```
//!
//! None of that has to be bad: a laptop has added the phone that takes its place. But
//! whoever had a stolen one unlocked before him could do all of it, and only the owner
//! knows what he did not do himself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;
use vault_core::settings::AccountSettings;
use vault_proto::account_log::AccountLog;
use vault_proto::address::Address;
use vault_proto::ids::{AccountId, DeviceId, LinkId, VaultId};
use vault_proto::vault_log::{Role, VaultLog};
use vault_proto::wire::{MemberRef, VaultEntry, vault_entry::Body};

use super::log::OwnLog;
use super::{AccountError, Device};
use crate::check;
use crate::error::ErrorCode;
use crate::link;
use crate::vault::Vault;

/// What a device that was removed has set up: it, or one that it had brought in.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LeftBehind {
    /// Devices and recovery phrases that speak for the account.
    pub devices: Vec<Device>,
    /// Members of vaults.
    pub members: Vec<LeftMember>,
    /// Links in the account's name that the hoster still serves. Which device has made
    /// one is not recorded.
    pub links: Vec<LeftLink>,
    /// Vaults of which something is missing, or that one of these has deleted. Hosters keep
    /// what was removed for a while, and [`repair`](crate::repair) brings it back.
    pub damaged: Vec<DamagedVault>,
    /// Where it is not known what there is.
    pub unseen: Vec<UnseenVault>,
}

/// A vault of which something is missing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DamagedVault {
    /// The vault.
    pub vault: VaultId,
    /// What the account calls it; `None` for the account's own.
    pub name: Option<String>,
    /// What is missing.
    pub damage: Damage,
}

/// What is missing of a vault.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Damage {
    /// So many packs that it needs are in the hoster's trash. Which device has had them
    /// removed is not looked for.
    Removed(u64),
    /// What it holds cannot be read, and that is a member's doing.
    Unreadable(Arc<AccountError>),
    /// One of the devices has deleted it.
    Deleted,
}

/// A member of a vault whom such a device added, or gave the role that he has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftMember {
    /// The vault.
    pub vault: VaultId,
    /// What the account calls it.
    pub vault_name: Option<String>,
    /// Who he is.
    pub account: AccountId,
    /// His address as this account knows it; `None` for a stranger.
    pub address: Option<Address>,
    /// What he may do.
    pub role: Role,
    /// Whether he took up the membership.
    pub accepted: bool,
}

/// A link in the account's name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftLink {
    /// The vault.
    pub vault: VaultId,
    /// What the account calls it.
    pub vault_name: Option<String>,
    /// What the hoster knows it by.
    pub id: LinkId,
    /// Whether it is on the vault's list; else nobody knows what it shows.
    pub is_listed: bool,
}

/// A vault that could not be looked into.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct UnseenVault {
    /// The vault.
    pub vault: VaultId,
    /// What the account calls it; `None` for the account's own.
    pub name: Option<String>,
    /// Why.
    pub error: Arc<AccountError>,
}

impl LeftBehind {
    /// Whether there is nothing that the owner has to look at. Links on a vault's list
    /// are no reason by themselves: every device makes some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
            && self.members.is_empty()
            && self.damaged.is_empty()
            && self.unseen.is_empty()
            && self.links.iter().all(|link| link.is_listed)
    }
}

/// The search for it, vault by vault.
pub(super) struct Search {
    account: AccountId,
    brought_in: BTreeSet<DeviceId>,
    found: LeftBehind,
}

impl Search {
    /// Begins with the account's log. `removed` is out; whoever removes it is trusted,
    /// this machine and `by`, and so is what they have brought in.
    pub(super) fn begin(
        own: &OwnLog,
        removed: &DeviceId,
        by: Option<&DeviceId>,
    ) -> Result<Self, AccountError> {
        let (log, secrets) = (own.log(), own.secrets()?);
        let this = own.vault.device();
        let trusted: BTreeSet<_> = by.copied().into_iter().chain([this]).collect();
        let brought_in = brought_in_by(log, removed, &trusted);
        let records = log.devices();
        let mut devices: Vec<_> = records
            .filter(|record| record.removed_seq.is_none())
            .filter(|record| brought_in.contains(&record.public.id()))
            .map(|record| Device::of(record, log, &secrets, this))
            .collect();
        devices.sort_by_key(|device| (device.added_seq, device.id));
        Ok(Self {
            account: log.id(),
            brought_in,
            found: LeftBehind {
                devices,
                ..LeftBehind::default()
            },
        })
    }

    /// Looks into a vault as it is now.
    pub(super) fn look_into(
        &mut self,
        vault: &Vault,
        contacts: Option<&AccountSettings>,
    ) -> Result<(), AccountError> {
        let (log, name) = (vault.log(), vault.name().map(str::to_owned));
        for member in members_by(log, &self.account, &self.brought_in) {
            let Some(now) = log.member(&member) else {
                continue;
            };
            let contact = contacts.and_then(|settings| settings.contact(&member));
            self.found.members.push(LeftMember {
                vault: vault.id(),
                vault_name: name.clone(),
                account: member,
                address: contact.map(|contact| contact.address.clone()),
                role: now.role,
                accepted: now.accepted,
            });
        }
        match check::count_removed(vault) {
            Ok(0) => {}
            Ok(removed) => self.note(vault, Damage::Removed(removed)),
            Err(error) if error.code() == ErrorCode::Corrupt => {
                self.note(vault, Damage::Unreadable(Arc::new(error.into())));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let may_link = log.member(&self.account);
        if name.is_none() || may_link.is_none_or(|now| now.role < Role::Writer) {
            return Ok(());
        }
        let served = vault.remote().list_links(&vault.id())?;
        let mut own = served.iter().filter(|link| link.account == self.account);
        let Some(first) = own.next() else {
            return Ok(());
        };
        let listed = link::read_list(vault)?;
        let links = std::iter::once(first).chain(own).map(|served| LeftLink {
            vault: vault.id(),
            vault_name: name.clone(),
            id: served.link,
            is_listed: listed.link(&served.link).is_some(),
        });
        self.found.links.extend(links);
        Ok(())
    }

    /// Looks at a vault that the account has deleted.
    pub(super) fn look_at_deleted(&mut self, vault: &Vault) {
        let maker = vault.newest_maker();
        if maker.is_some_and(|(_, device)| self.brought_in.contains(&device)) {
            self.note(vault, Damage::Deleted);
        }
    }

    fn note(&mut self, vault: &Vault, damage: Damage) {
        self.found.damaged.push(DamagedVault {
            vault: vault.id(),
            name: vault.name().map(str::to_owned),
            damage,
        });
    }

    /// Notes that a vault could not be looked into.
    pub(super) fn miss(&mut self, vault: VaultId, name: Option<String>, error: Arc<AccountError>) {
        self.found.unseen.push(UnseenVault { vault, name, error });
    }

    pub(super) fn finish(self) -> LeftBehind {
        self.found
    }
}

/// The device itself, those that it has added, those that they have, and so on, without
/// what is trusted. What the account began with, nobody has brought in.
fn brought_in_by(
    log: &AccountLog,
    removed: &DeviceId,
    trusted: &BTreeSet<DeviceId>,
) -> BTreeSet<DeviceId> {
    let mut added: Vec<_> = log
        .devices()
        .filter(|record| record.added_seq > 1)
        .map(|record| (record.added_seq, record.public.id()))
        .filter(|(_, device)| !trusted.contains(device))
        .collect();
    // Whoever adds another came before it.
    added.sort_unstable();
    let mut found = BTreeSet::from([*removed]);
    for (seq, device) in added {
        if log.author_at(seq).is_some_and(|by| found.contains(&by)) {
            found.insert(device);
        }
    }
    found
}

/// Everybody whose last joining, or whose newest role since then, one of the account's
/// `devices` has signed.
fn members_by(
    log: &VaultLog,
    account: &AccountId,
    devices: &BTreeSet<DeviceId>,
) -> BTreeSet<AccountId> {
    /// Whether one of the devices has added a member, and given him his role.
    #[derive(Default)]
    struct ByThem(bool, bool);

    let mut members: BTreeMap<AccountId, ByThem> = BTreeMap::new();
    for (entry, seq) in log.entries().iter().zip(1..) {
        let body = VaultEntry::decode(&*entry.payload)
            .ok()
            .and_then(|e| e.body);
        let (member, is_new) = match &body {
            Some(Body::AddMember(add)) => {
                (add.r#box.as_ref().and_then(|b| b.member.as_ref()), true)
            }
            Some(Body::ChangeRole(change)) => (change.member.as_ref(), false),
            _ => continue,
        };
        let Some(member) = member.and_then(named) else {
            continue;
        };
        let author = log.author_at(seq);
        let is_theirs =
            author.is_some_and(|(by, device)| by == *account && devices.contains(&device));
        let so_far = members.entry(member).or_default();
        if is_new {
            so_far.0 = is_theirs;
        }
        so_far.1 = is_theirs;
    }
    let theirs = members.into_iter().filter(|(_, by)| by.0 || by.1);
    theirs.map(|(member, _)| member).collect()
}

fn named(member: &MemberRef) -> Option<AccountId> {
    AccountId::from_slice(&member.account).ok()
}
