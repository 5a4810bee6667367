//! `coffre vault heads`, `repair` and `undelete`: what a vault held before.

use serde::Serialize;
use vault_client::account::AccountError;
use vault_client::repair::{RepairOptions, Repaired, Unread, repair, repair_account};
use vault_client::vault::{HeadSummary, Held, RootError};

use crate::args::{VaultHeads, VaultRepair, VaultUndelete};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say, words};
use crate::session::{Context, VaultFields};
use crate::show::{self, Count, Noun, Size, counted};
use crate::table::Table;
use crate::{input, interrupt};

#[derive(Serialize)]
struct HeadsFields {
    /// Without a name, the account's own.
    vault: VaultFields,
    heads: Vec<HeadFields>,
}

#[derive(Serialize)]
struct HeadFields {
    head: u64,
    /// Whose device committed it.
    account: String,
    device: String,
    /// What its member calls it; only of this account's.
    device_name: Option<String>,
    /// `readable`: its list of what there is opens. `unreadable`, `not-in-order` where its
    /// maker may not have made it, `put-out` where its maker may have made it after he was
    /// put out, or `dropped` where the hoster keeps no longer what it leads to.
    state: &'static str,
    committed: Option<String>,
    packs: Option<u64>,
    pack_bytes: Option<u64>,
}

#[derive(Serialize)]
struct RepairFields {
    /// Without a name, the account's own.
    vault: VaultFields,
    /// The head whose contents are there again, and the newest one.
    from: u64,
    head: u64,
    nothing_missing: bool,
    /// Whether some of what the vault held cannot be read, and is left out now.
    left_out: bool,
    uploaded_packs: usize,
    gone_packs: Vec<String>,
}

impl HeadFields {
    fn of(summary: &HeadSummary, devices: &[(String, Option<String>)]) -> Self {
        let device = summary.device.to_string();
        let (state, readable) = match summary.held {
            Held::Readable {
                committed,
                packs,
                pack_bytes,
            } => ("readable", Some((committed, packs, pack_bytes))),
            Held::Unreadable(RootError::PutOut) => ("put-out", None),
            Held::NotInOrder => ("not-in-order", None),
            Held::Dropped => ("dropped", None),
            _ => ("unreadable", None),
        };
        let own = devices.iter().find(|(id, _)| *id == device);
        Self {
            head: summary.seq,
            account: summary.account.to_string(),
            device_name: own.and_then(|(_, name)| name.clone()),
            device,
            state,
            committed: readable.and_then(|(at, _, _)| at).map(show::rfc3339),
            packs: readable.map(|(_, packs, _)| packs),
            pack_bytes: readable.map(|(_, _, bytes)| bytes),
        }
    }
}

pub(super) fn heads(options: &VaultHeads, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let (vault, summaries) = match &options.vault {
        Some(name) => {
            let mut vault = session.vault_or_deleted(name)?;
            vault.refresh()?;
            let heads = vault.heads(options.from, options.limit)?;
            (VaultFields::of(&vault), heads)
        }
        None => {
            let heads = session.account.heads(options.from, options.limit)?;
            (VaultFields::of_account(&session.account), heads)
        }
    };
    // What this device knows of the account's own devices.
    let devices = session.account.devices()?.into_iter();
    let devices: Vec<_> = devices
        .map(|device| (device.id.to_string(), device.name))
        .collect();
    let fields = HeadsFields {
        vault,
        heads: summaries
            .iter()
            .map(|summary| HeadFields::of(summary, &devices))
            .collect(),
    };
    let me = session.account.id();
    let mut table = Table::new(match language() {
        Language::English => &["HEAD", "COMMITTED", "BY", "PACKS", "SIZE", ""],
        Language::French => &["TÊTE", "ENREGISTRÉE", "PAR", "PAQUETS", "TAILLE", ""],
    });
    for (summary, head) in summaries.iter().zip(&fields.heads) {
        let by = match &head.device_name {
            Some(name) => show::printable(name),
            None if summary.account == me => head.device[..8].to_owned(),
            // What names are kept in may be what cannot be read.
            None => session
                .name_of(&summary.account)
                .unwrap_or_else(|_| head.account[..8].to_owned()),
        };
        let (committed, packs, bytes) = match summary.held {
            Held::Readable {
                committed,
                packs,
                pack_bytes,
            } => (
                committed.map(show::local_time).unwrap_or_default(),
                Count(packs).to_string(),
                Size(pack_bytes).to_string(),
            ),
            _ => Default::default(),
        };
        table.row(vec![
            head.head.to_string(),
            committed,
            by,
            packs,
            bytes,
            remark(head.state),
        ]);
    }
    context.output.result(&fields, |out| table.write(out))?;
    Ok(Exit::Done)
}

fn remark(state: &str) -> String {
    match state {
        "unreadable" => say!("cannot be read", "illisible"),
        "put-out" => say!(
            "not read: its maker was removed there",
            "non lue : son auteur y a été retiré"
        ),
        "not-in-order" => say!("not in order", "irrégulière"),
        "dropped" => say!("kept no longer", "n’est plus gardée"),
        _ => String::new(),
    }
}

pub(super) fn bring_back(options: &VaultRepair, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let mut named = match &options.vault {
        Some(name) => Some(session.vault_or_deleted(name)?),
        None => None,
    };
    if !options.yes {
        let question = say!(
            "Bring back what was there before, and keep what is there now? Whoever has spoiled it can do so again: take that member or device out first.",
            "Ramener ce qu’il y avait avant, en gardant ce qu’il y a maintenant ? Qui l’a abîmé peut recommencer : retirez d’abord ce membre ou cet appareil.",
        );
        let instead = words(
            "--yes goes on without asking",
            "--yes continue sans demander",
        );
        input::agree(&question, instead)?;
    }
    let repairs = repairs(options.head, options.leave_out);
    let remote = match &named {
        Some(vault) => vault.remote(),
        None => session.account.remote(),
    };
    let cancellation = interrupt::cancellation(remote, &context.output)?;
    let (done, vault) = match &mut named {
        Some(vault) => {
            let done = repair(vault, &repairs, &cancellation)?;
            (done, VaultFields::of(vault))
        }
        None => {
            let done = repair_account(&session.account, &repairs, &cancellation)?;
            (done, VaultFields::of_account(&session.account))
        }
    };
    let name = match &named {
        Some(_) => vault.shown_name(),
        None => say!("the account", "le compte"),
    };
    RepairFields::of(vault, &done).tell(&name, context)
}

fn repairs(head: Option<u64>, leave_out: bool) -> RepairOptions {
    let mut repairs = RepairOptions::new(head);
    if leave_out {
        repairs.unread = Unread::LeaveOut;
    }
    repairs
}

pub(super) fn undelete(options: &VaultUndelete, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let opened = session.account.open_deleted_vault(&options.vault);
    let mut vault = opened.map_err(|error| match error {
        AccountError::Ambiguous(_) => Failure::from(error).with_hint(words(
            "`coffre vault list --deleted` shows their ids: say which",
            "`coffre vault list --deleted` montre leurs id : dites lequel",
        )),
        error => error.into(),
    })?;
    let cancellation = interrupt::cancellation(vault.remote(), &context.output)?;
    let mut repairs = repairs(options.head, options.leave_out);
    // Another device may have saved to it since.
    repairs.before_emptied = true;
    let done = repair(&mut vault, &repairs, &cancellation)?;
    session.account.list_vault_again(&vault.id())?;
    let fields = VaultFields::of(&vault);
    let name = fields.shown_name();
    RepairFields::of(fields, &done).tell(&name, context)
}

impl RepairFields {
    fn of(vault: VaultFields, done: &Repaired) -> Self {
        Self {
            vault,
            from: done.from,
            head: done.head,
            nothing_missing: done.nothing_missing,
            left_out: done.left_out,
            uploaded_packs: done.uploaded.len(),
            gone_packs: done.gone.iter().map(ToString::to_string).collect(),
        }
    }

    fn tell(&self, name: &str, context: &Context) -> Result<Exit, Failure> {
        let from = self.from;
        let told = match self.nothing_missing {
            true => say!(
                "{name}: all that head {from} leads to is there",
                "{name} : tout ce à quoi mène la tête {from} y est",
            ),
            false => say!(
                "{name}: what head {from} leads to is there again",
                "{name} : ce à quoi mène la tête {from} y est de nouveau",
            ),
        };
        context.output.summary(self, &told)?;
        if self.left_out {
            context.output.warn(&say!(
                "{name}: some of what was there cannot be read, and is left out; `coffre vault heads` shows who committed it",
                "{name} : une partie de ce qu’il y avait est illisible, et laissée de côté ; `coffre vault heads` montre qui l’a enregistrée",
            ));
        }
        if self.nothing_missing {
            context.output.note(&say!(
                "`coffre vault heads` shows what was there before; `coffre vault repair --head HEAD` brings it back",
                "`coffre vault heads` montre ce qu’il y avait avant ; `coffre vault repair --head TÊTE` le ramène",
            ));
        }
        if self.gone_packs.is_empty() {
            return Ok(Exit::Done);
        }
        let gone = counted(self.gone_packs.len() as u64, Noun::Pack);
        context.output.warn(&say!(
            "{name}: the hoster does not have: {gone}; the next backup of the same files stores them again, `coffre check` shows which snapshots miss something",
            "{name} : absents chez l’hébergeur : {gone} ; la prochaine sauvegarde des mêmes fichiers les renverra, `coffre check` montre quels instantanés sont incomplets",
        ));
        Ok(Exit::Partly)
    }
}
