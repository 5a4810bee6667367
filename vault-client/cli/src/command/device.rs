//! `coffre device list`, `rename` and `remove`.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use vault_client::account::{AccountError, Device, DeviceRemoval, GuestLog, VaultUpkeep};
use vault_client::vault::Upkeep;
use vault_proto::device::DeviceKind;

use super::left_behind::{self, LeftBehindFields};
use crate::args::{DeviceRemove, DeviceRename};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say, words};
use crate::message::{Message, both};
use crate::phrase;
use crate::session::Context;
use crate::show::printable;
use crate::table::Table;

#[derive(Serialize)]
struct ListFields {
    devices: Vec<DeviceFields>,
}

#[derive(Serialize)]
struct DeviceFields {
    id: String,
    name: Option<String>,
    /// `machine` or `paper`.
    kind: &'static str,
    /// Entries of the account's log.
    added_seq: u64,
    /// The device that added it; none of those that the account began with.
    added_by: Option<String>,
    removed_seq: Option<u64>,
    this_device: bool,
}

impl From<&Device> for DeviceFields {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.to_string(),
            name: device.name.clone(),
            kind: kind_name(device.kind),
            added_seq: device.added_seq,
            added_by: device.added_by.map(|by| by.to_string()),
            removed_seq: device.removed_seq,
            this_device: device.is_this,
        }
    }
}

pub(super) fn kind_name(kind: DeviceKind) -> &'static str {
    match kind {
        DeviceKind::Paper => "paper",
        _ => "machine",
    }
}

#[derive(Serialize)]
struct RenameFields {
    device: String,
    name: String,
}

#[derive(Serialize)]
struct RemoveFields {
    device: String,
    name: Option<String>,
    #[serde(flatten)]
    hosters: HostersFields,
    vaults: Vec<UpkeepFields>,
    /// What it had set up before; the removal does not undo it.
    left_behind: LeftBehindFields,
}

/// The hosters besides the home, where the account is a guest.
#[derive(Default, Serialize)]
pub(super) struct HostersFields {
    guest_hosters: Vec<GuestFields>,
    /// Why it is not known which there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    guest_hosters_error: Option<String>,
}

#[derive(Serialize)]
struct GuestFields {
    hoster: String,
    hoster_address: String,
    /// Whether it knows all devices as they are now.
    told: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&Result<Vec<GuestLog>, Arc<AccountError>>> for HostersFields {
    fn from(guest_logs: &Result<Vec<GuestLog>, Arc<AccountError>>) -> Self {
        match guest_logs {
            Ok(all) => Self {
                guest_hosters: all.iter().map(GuestFields::from).collect(),
                guest_hosters_error: None,
            },
            Err(error) => Self {
                guest_hosters: Vec::new(),
                guest_hosters_error: Some(error.to_string()),
            },
        }
    }
}

impl From<&GuestLog> for GuestFields {
    fn from(guest: &GuestLog) -> Self {
        Self {
            hoster: guest.hoster.to_string(),
            hoster_address: guest.origin.to_string(),
            told: guest.pushed.is_ok(),
            error: guest.pushed.as_ref().err().map(ToString::to_string),
        }
    }
}

/// What was done in one vault.
#[derive(Serialize)]
pub(super) struct UpkeepFields {
    id: String,
    /// None for the account's own.
    name: Option<String>,
    /// `rotated`, `nothing`, `due` (somebody who may write has to open the vault
    /// first) or `failed` (done by whoever opens it next).
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<&VaultUpkeep> for UpkeepFields {
    fn from(kept: &VaultUpkeep) -> Self {
        Self {
            id: kept.vault.to_string(),
            name: kept.name.clone(),
            outcome: match &kept.upkeep {
                Ok(Upkeep::Rotated) => "rotated",
                Ok(Upkeep::Due) => "due",
                Ok(_) => "nothing",
                Err(_) => "failed",
            },
            error: kept.upkeep.as_ref().err().map(ToString::to_string),
        }
    }
}

pub(super) fn list(context: &Context) -> Result<Exit, Failure> {
    let devices = context.session()?.account.devices()?;
    let fields = ListFields {
        devices: devices.iter().map(DeviceFields::from).collect(),
    };
    context.output.result(&fields, |out| {
        let mut table = Table::new(match language() {
            Language::English => &["DEVICE", "ID", "ADDED BY", "", ""],
            Language::French => &["APPAREIL", "ID", "AJOUTÉ PAR", "", ""],
        });
        for device in &devices {
            let kind = match device.kind {
                DeviceKind::Paper => say!("recovery phrase", "phrase de récupération"),
                _ => String::new(),
            };
            let remark = if device.removed_seq.is_some() {
                say!("removed", "retiré")
            } else if device.is_this {
                say!("this device", "cet appareil")
            } else {
                String::new()
            };
            let by = device.added_by;
            let by = by.and_then(|by| devices.iter().find(|device| device.id == by));
            let by = by.map(shown).unwrap_or_default();
            table.row(vec![shown(device), short(device), by, kind, remark]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

pub(super) fn rename(options: &DeviceRename, context: &Context) -> Result<Exit, Failure> {
    let account = context.session()?.account;
    let device = select(&account.devices()?, &options.device, Removed::ById)?;
    account.rename_device(&device.id, &options.name)?;
    let (before, after) = (shown(&device), printable(&options.name));
    context.output.summary(
        &RenameFields {
            device: device.id.to_string(),
            name: options.name.clone(),
        },
        &say!(
            "{before} is called {after} now",
            "{before} s’appelle désormais {after}"
        ),
    )?;
    Ok(Exit::Done)
}

pub(super) fn remove(options: &DeviceRemove, context: &Context) -> Result<Exit, Failure> {
    let account = context.session()?.account;
    let devices = account.devices()?;
    let device = select(&devices, &options.device, Removed::ByName)?;
    let removal = if device.kind == DeviceKind::Paper {
        if device.removed_seq.is_none() && is_only_paper(&devices) {
            let message = both!(
                "this is the only recovery phrase of the account",
                "c’est la seule phrase de récupération du compte"
            );
            return Err(Failure::usage(message).with_hint(words(
                "`coffre phrase new` makes another one, and takes this one out",
                "`coffre phrase new` en fait une autre, et retire celle-ci",
            )));
        }
        let by = phrase::read(
            options.phrase_file.as_deref().map(Path::new),
            &say!(
                "the words of another recovery phrase",
                "les mots d’une autre phrase de récupération"
            ),
        )?;
        if by.device_keys().id() == device.id {
            let message = both!(
                "these are the words of the phrase that is to be removed",
                "ces mots sont ceux de la phrase à retirer"
            );
            return Err(Failure::usage(message).with_hint(words(
                "the words of another phrase remove it; `coffre phrase new` makes one, and takes the old one out",
                "les mots d’une autre phrase la retirent ; `coffre phrase new` en fait une, et retire l’ancienne",
            )));
        }
        account.remove_paper(&device.id, &by)?
    } else {
        account.remove_device(&device.id)?
    };
    let fields = RemoveFields {
        device: device.id.to_string(),
        name: device.name.clone(),
        hosters: HostersFields::from(&removal.guest_logs),
        vaults: removal.vaults.iter().map(UpkeepFields::from).collect(),
        left_behind: LeftBehindFields::from(&removal.left_behind),
    };
    let name = shown(&device);
    let text = if not_told(&removal.guest_logs).is_empty() {
        say!(
            "{name} is out: the hoster lets it in no more, and what is saved from now on it cannot open.\n\
             What lies on it, and what it could read until now, stays readable to whoever has it.",
            "{name} est dehors : l’hébergeur ne le laisse plus entrer, et il ne pourra pas ouvrir ce qui \
             sera sauvegardé désormais.\n\
             Ce qui s’y trouve, et ce qu’il pouvait lire jusqu’ici, reste lisible pour qui l’a en main.",
        )
    } else {
        say!(
            "{name} is out of the account, but not out everywhere yet. What lies on it, and what it \
             could read until now, stays readable to whoever has it.",
            "{name} n’est plus du compte, mais n’est pas encore dehors partout. Ce qui s’y trouve, et ce \
             qu’il pouvait lire jusqu’ici, reste lisible pour qui l’a en main.",
        )
    };
    context.output.summary(&fields, &text)?;
    Ok(after(&removal, context))
}

/// Tells of hosters that still let in what was removed, of vaults whose keys are not
/// changed yet, and of what was set up before.
pub(super) fn after(removal: &DeviceRemoval, context: &Context) -> Exit {
    let mut exit = left_behind::tell(&removal.left_behind, context);
    for told in not_told(&removal.guest_logs) {
        context.output.warn(&match told {
            NotTold::Hoster(origin, error) => say!(
                "{origin}, where this account is a guest, could not be told ({error}) and still lets it in; the next command that uses that hoster tells it",
                "{origin}, où ce compte est invité, n’a pas pu être prévenu ({error}) et le laisse encore entrer ; la prochaine commande qui utilise cet hébergeur le préviendra",
            ),
            NotTold::All(error) => say!(
                "other hosters could not be told ({error}), and still let it in where this account is a guest; run this again",
                "les autres hébergeurs n’ont pas pu être prévenus ({error}), et le laissent encore entrer là où ce compte est invité ; relancez la commande",
            ),
        });
        exit = Exit::Partly;
    }
    for kept in &removal.vaults {
        let name = match &kept.name {
            Some(name) => printable(name),
            None => say!("the account's own vault", "le coffre du compte"),
        };
        match &kept.upkeep {
            Ok(Upkeep::Due) => {
                context.output.warn(&say!(
                    "{name}: its keys are changed when somebody who may write opens it; nothing is saved there before",
                    "{name} : ses clés changeront quand quelqu’un qui peut y écrire l’ouvrira ; rien n’y est sauvegardé avant",
                ));
            }
            Ok(_) => {}
            Err(error) => {
                let error = Message::of(error);
                let error = error.shown();
                context.output.warn(&say!(
                    "{name}: its keys are not changed yet ({error}); the next command that writes does it first",
                    "{name} : ses clés ne sont pas encore changées ({error}) ; la prochaine écriture le fera d’abord",
                ));
                exit = Exit::Partly;
            }
        }
    }
    exit
}

/// Who could not be told that a device is in, or out, and why.
pub(super) enum NotTold {
    /// A hoster, by where it is dialled.
    Hoster(String, String),
    /// Whoever there is.
    All(String),
}

pub(super) fn not_told(guest_logs: &Result<Vec<GuestLog>, Arc<AccountError>>) -> Vec<NotTold> {
    let shown = |error: &AccountError| Message::of(error).shown().into_owned();
    match guest_logs {
        Ok(all) => {
            let hoster = |told: &GuestLog| {
                let error = told.pushed.as_ref().err()?;
                Some(NotTold::Hoster(told.origin.to_string(), shown(error)))
            };
            all.iter().filter_map(hoster).collect()
        }
        Err(error) => vec![NotTold::All(shown(error))],
    }
}

fn is_only_paper(devices: &[Device]) -> bool {
    let is_paper =
        |device: &&Device| device.kind == DeviceKind::Paper && device.removed_seq.is_none();
    devices.iter().filter(is_paper).count() == 1
}

/// How a removed device is selected.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Removed {
    /// By its id only.
    ById,
    /// By its name too, where no active one has it: whatever is left to do about it.
    ByName,
}

/// The active device of that name, or whose id begins like this.
fn select(devices: &[Device], wanted: &str, removed: Removed) -> Result<Device, Failure> {
    let is_called = |device: &&Device| device.name.as_deref() == Some(wanted);
    let by_name = |device: &&Device| device.removed_seq.is_none() && is_called(device);
    let prefix = wanted.to_ascii_lowercase();
    let by_id = |device: &&Device| prefix.len() >= 4 && device.id.to_string().starts_with(&prefix);
    let mut found: Vec<&Device> = devices.iter().filter(by_name).collect();
    if found.is_empty() {
        found = devices.iter().filter(by_id).collect();
    }
    if found.is_empty() && removed == Removed::ByName {
        found = devices.iter().filter(is_called).collect();
    }
    let hint = words(
        "`coffre device list` shows them; the beginning of an id names one for sure",
        "`coffre device list` les montre ; le début d’un identifiant en désigne un sûrement",
    );
    match found[..] {
        [only] => Ok(only.clone()),
        [] => {
            let message = both!("no device {wanted:?}", "pas d’appareil « {wanted} »");
            Err(Failure::usage(message).with_hint(hint))
        }
        _ => {
            let message = both!(
                "more than one device {wanted:?}",
                "plusieurs appareils « {wanted} »"
            );
            Err(Failure::usage(message).with_hint(hint))
        }
    }
}

pub(super) fn shown(device: &Device) -> String {
    match &device.name {
        Some(name) => printable(name),
        None => short(device),
    }
}

pub(super) fn short(device: &Device) -> String {
    device.id.to_string()[..8].to_owned()
}
