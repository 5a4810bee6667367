//! Devices that have come into the account, for `coffre status`: what shows first that
//! somebody has the words.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use vault_client::account::{Account, Device, NewDevices};
use vault_proto::device::DeviceKind;

use super::device::{kind_name, short, shown};
use crate::failure::Failure;
use crate::language::say;
use crate::session::Context;
use crate::show;

#[derive(Serialize)]
pub(super) struct NewDeviceFields {
    id: String,
    name: Option<String>,
    /// `machine` or `paper`.
    kind: &'static str,
    /// The device that added it.
    added_by: Option<String>,
    /// Whether it is out again.
    removed: bool,
}

impl From<&Device> for NewDeviceFields {
    fn from(device: &Device) -> Self {
        Self {
            id: device.id.to_string(),
            name: device.name.clone(),
            kind: kind_name(device.kind),
            added_by: device.added_by.map(|by| by.to_string()),
            removed: device.removed_seq.is_some(),
        }
    }
}

/// Writes which there are, and what to do about one that nobody knows.
pub(super) fn write(found: &NewDevices, out: &mut dyn Write) -> io::Result<()> {
    if found.new.is_empty() {
        return Ok(());
    }
    let title = match found.shown.map(show::unix_seconds) {
        Some(time) => say!("new since {time}:", "nouveau depuis le {time} :"),
        None => say!(
            "new since this device came in:",
            "nouveau depuis que cet appareil est là :"
        ),
    };
    writeln!(out, "{title}")?;
    for device in &found.new {
        let (name, id) = (shown(device), short(device));
        let what = match device.kind {
            DeviceKind::Paper => say!("recovery phrase {name}", "phrase de récupération {name}"),
            _ => name,
        };
        let by = found.all.iter().find(|by| Some(by.id) == device.added_by);
        let by = match by {
            Some(by) if by.kind == DeviceKind::Paper => {
                say!(
                    ", with the recovery phrase",
                    ", avec la phrase de récupération"
                )
            }
            Some(by) => {
                let by = shown(by);
                say!(", added by {by}", ", ajouté par {by}")
            }
            None => String::new(),
        };
        let out_again = match device.removed_seq {
            Some(_) => say!("; removed since", " ; retiré depuis"),
            None => String::new(),
        };
        writeln!(out, "  {what} ({id}){by}{out_again}")?;
    }
    let advice = say!(
        "If that was not you: `coffre device remove ID`, and see what it left behind.\n",
        "Si ce n’était pas vous : `coffre device remove ID`, et voyez ce qu’il a laissé.\n",
    );
    writeln!(out, "{advice}")
}

/// They are new no more, if a member has seen them.
pub(super) fn note(
    found: &NewDevices,
    account: &Account,
    context: &Context,
) -> Result<(), Failure> {
    if context.output.is_json() || !io::stdout().is_terminal() {
        return Ok(());
    }
    Ok(account.devices_were_shown(found)?)
}
