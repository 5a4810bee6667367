//! What a removed device had set up, for `coffre device remove` and `phrase new`.

use std::collections::BTreeMap;

use serde::Serialize;
use vault_client::account::{
    Damage, DamagedVault, Device, LeftBehind, LeftLink, LeftMember, UnseenVault,
};
use vault_proto::device::DeviceKind;
use vault_proto::ids::VaultId;

use super::device::{kind_name, short, shown};
use super::share::role_name;
use crate::exit::Exit;
use crate::language::say;
use crate::message::Message;
use crate::session::{Context, VaultFields};
use crate::show::{Noun, counted, printable};

/// What the removed device had set up, it or what it had brought in.
#[derive(Default, Serialize)]
pub(super) struct LeftBehindFields {
    /// Devices and phrases that are still in.
    devices: Vec<DeviceFields>,
    /// Members whom it added, or gave their role.
    members: Vec<MemberFields>,
    /// Links of this account that are live; which device made one is not recorded.
    links: Vec<LinkFields>,
    /// Vaults of which something is missing.
    damaged_vaults: Vec<DamagedFields>,
    /// Vaults that could not be looked into.
    unseen_vaults: Vec<UnseenFields>,
}

#[derive(Serialize)]
struct DamagedFields {
    /// Without a name, the account's own.
    vault: VaultFields,
    /// `packs-removed`, `unreadable` or `deleted`.
    damage: &'static str,
    /// Packs that it needs and that were removed.
    packs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct DeviceFields {
    id: String,
    name: Option<String>,
    /// `machine` or `paper`.
    kind: &'static str,
}

#[derive(Serialize)]
struct MemberFields {
    vault: VaultFields,
    account: String,
    /// As this account knows it; none of a stranger.
    address: Option<String>,
    role: &'static str,
    accepted: bool,
}

#[derive(Serialize)]
struct LinkFields {
    vault: VaultFields,
    id: String,
    /// Whether it is on the vault's list.
    listed: bool,
}

#[derive(Serialize)]
struct UnseenFields {
    vault: VaultFields,
    error: String,
}

impl From<&LeftBehind> for LeftBehindFields {
    fn from(left: &LeftBehind) -> Self {
        Self {
            devices: left.devices.iter().map(DeviceFields::from).collect(),
            members: left.members.iter().map(MemberFields::from).collect(),
            links: left.links.iter().map(LinkFields::from).collect(),
            damaged_vaults: left.damaged.iter().map(DamagedFields::from).collect(),
            unseen_vaults: left.unseen.iter().map(UnseenFields::from).collect(),
        }
    }
}

impl From<&Device> for DeviceFields {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.to_string(),
            name: device.name.clone(),
            kind: kind_name(device.kind),
        }
    }
}

impl From<&LeftMember> for MemberFields {
    fn from(member: &LeftMember) -> Self {
        Self {
            vault: vault(&member.vault, member.vault_name.as_ref()),
            account: member.account.to_string(),
            address: member.address.as_ref().map(ToString::to_string),
            role: role_name(member.role),
            accepted: member.accepted,
        }
    }
}

impl From<&LeftLink> for LinkFields {
    fn from(link: &LeftLink) -> Self {
        Self {
            vault: vault(&link.vault, link.vault_name.as_ref()),
            id: link.id.to_string(),
            listed: link.is_listed,
        }
    }
}

impl From<&DamagedVault> for DamagedFields {
    fn from(damaged: &DamagedVault) -> Self {
        let (damage, packs, error) = match &damaged.damage {
            Damage::Removed(packs) => ("packs-removed", Some(*packs), None),
            Damage::Unreadable(error) => ("unreadable", None, Some(error.to_string())),
            Damage::Deleted => ("deleted", None, None),
            _ => ("unknown", None, None),
        };
        Self {
            vault: vault(&damaged.vault, damaged.name.as_ref()),
            damage,
            packs,
            error,
        }
    }
}

impl From<&UnseenVault> for UnseenFields {
    fn from(unseen: &UnseenVault) -> Self {
        Self {
            vault: vault(&unseen.vault, unseen.name.as_ref()),
            error: unseen.error.to_string(),
        }
    }
}

fn vault(id: &VaultId, name: Option<&String>) -> VaultFields {
    VaultFields {
        id: id.to_string(),
        name: name.cloned(),
    }
}

/// Tells what the owner has to look at, and what ends it.
pub(super) fn tell(left: &LeftBehind, context: &Context) -> Exit {
    left.devices
        .iter()
        .for_each(|device| tell_device(device, context));
    left.members
        .iter()
        .for_each(|member| tell_member(member, context));
    tell_links(&left.links, context);
    left.damaged
        .iter()
        .for_each(|damaged| tell_damage(damaged, context));
    for unseen in &left.unseen {
        let name = match &unseen.name {
            Some(name) => printable(name),
            None => say!("the account's own vault", "le coffre du compte"),
        };
        let error = Message::of(&unseen.error);
        let error = error.shown();
        context.output.warn(&say!(
            "{name}: it is not known whom it let in there ({error}); run this again",
            "{name} : on ne sait pas qui il y a fait entrer ({error}) ; relancez la commande",
        ));
    }
    if left.is_empty() {
        Exit::Done
    } else {
        Exit::Partly
    }
}

fn tell_device(device: &Device, context: &Context) {
    let (name, id) = (shown(device), short(device));
    context.output.warn(&match device.kind {
        DeviceKind::Paper => say!(
            "it had added the recovery phrase {name} ({id}), which still brings everything back; if that was not you: `coffre device remove {id}`, with the words that you wrote down at first",
            "il avait ajouté la phrase de récupération {name} ({id}), qui ramène toujours tout ; si ce n’était pas vous : `coffre device remove {id}`, avec les mots que vous avez notés au début",
        ),
        _ => say!(
            "it had brought {name} ({id}) in, which still reads and writes everything; if that was not you: `coffre device remove {id}`",
            "il avait fait entrer {name} ({id}), qui lit et écrit toujours tout ; si ce n’était pas vous : `coffre device remove {id}`",
        ),
    });
}

fn tell_member(member: &LeftMember, context: &Context) {
    let vault = vault(&member.vault, member.vault_name.as_ref()).shown_name();
    let (account, role) = (member.account, role_name(member.role));
    let who = match &member.address {
        Some(address) => printable(address.name()),
        None => account.to_string()[..8].to_owned(),
    };
    context.output.warn(&say!(
        "it had made {who} a {role} of {vault}; if that was not you: `coffre unshare '{vault}' {account}`",
        "il avait fait de {who} un membre de {vault} ({role}) ; si ce n’était pas vous : `coffre unshare '{vault}' {account}`",
    ));
}

fn tell_damage(damaged: &DamagedVault, context: &Context) {
    let Some(name) = damaged.name.as_deref().map(printable) else {
        context.output.warn(&say!(
            "what your account holds (names of vaults, contacts) is not whole: `coffre vault repair` brings back what was there before",
            "ce que contient votre compte (noms des coffres, contacts) n’est pas entier : `coffre vault repair` ramène ce qu’il y avait avant",
        ));
        return;
    };
    context.output.warn(&match &damaged.damage {
        Damage::Removed(packs) => removed_packs(&name, *packs),
        Damage::Deleted => say!(
            "it had deleted {name}; if that was not you: `coffre vault undelete '{name}'` brings it back",
            "il avait supprimé {name} ; si ce n’était pas vous : `coffre vault undelete '{name}'` le ramène",
        ),
        _ => unreadable(&name),
    });
}

/// What is said of a vault that a member has made unreadable.
pub(super) fn unreadable(name: &str) -> String {
    say!(
        "{name} cannot be read any more; `coffre vault repair '{name}'` brings back what was there before",
        "{name} n’est plus lisible ; `coffre vault repair '{name}'` ramène ce qu’il y avait avant",
    )
}

/// What is said where packs that a vault needs were removed.
pub(super) fn removed_packs(name: &str, packs: u64) -> String {
    let packs = counted(packs, Noun::Pack);
    say!(
        "{name}: removed, and needed: {packs}. The hoster keeps them for some weeks; `coffre vault repair '{name}'` takes them back",
        "{name} : retirés, et nécessaires : {packs}. L’hébergeur les garde quelques semaines ; `coffre vault repair '{name}'` les reprend",
    )
}

fn tell_links(links: &[LeftLink], context: &Context) {
    let mut listed: BTreeMap<VaultId, (String, u64)> = BTreeMap::new();
    for link in links {
        let name = vault(&link.vault, link.vault_name.as_ref()).shown_name();
        if link.is_listed {
            listed.entry(link.vault).or_insert((name, 0)).1 += 1;
            continue;
        }
        let id = &link.id.to_string()[..8];
        context.output.warn(&say!(
            "{name}: the hoster serves link {id} in your name, which is not on the vault's list; `coffre link revoke {id} --vault '{name}'` ends it",
            "{name} : l’hébergeur sert en votre nom le lien {id}, qui n’est pas dans la liste du coffre ; `coffre link revoke {id} --vault '{name}'` y met fin",
        ));
    }
    for (name, count) in listed.values() {
        context.output.note(&say!(
            "{name}: links of yours that are live: {count}. Which device made one is not recorded; `coffre link list --vault '{name}'` shows them",
            "{name} : liens de vous encore actifs : {count}. L’appareil qui a fait un lien n’est pas noté ; `coffre link list --vault '{name}'` les montre",
        ));
    }
}
