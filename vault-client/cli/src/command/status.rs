//! `coffre status`.

use std::collections::BTreeMap;

use serde::Serialize;
use vault_client::account::VaultSelector;
use vault_client::contents::{Contents, NamedSnapshot};
use vault_client::error::ErrorCode;
use vault_client::platform::{Clock, SystemClock};
use vault_client::vault::{Freshness, Vault};
use vault_core::timestamp::Timestamp;
use vault_proto::ids::VaultId;

use super::new_devices::{self, NewDeviceFields};
use super::stats::UsageFields;
use crate::args::Status;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{Language, language, say};
use crate::message::Message;
use crate::session::{Context, Session, VaultFields};
use crate::show::{self, Size};
use crate::table::Table;

#[derive(Serialize)]
struct Fields {
    account: String,
    device: String,
    device_name: String,
    hoster: String,
    hoster_address: String,
    /// Whether the rest is what the hoster says now, or what this device saw
    /// last.
    hoster_reachable: bool,
    usage: Option<UsageFields>,
    /// `unknown` after a recovery, until another device or a printed head of the
    /// account itself confirms what was seen of it.
    freshness: &'static str,
    /// That have come in since a member was last shown them here, on a terminal.
    new_devices: Vec<NewDeviceFields>,
    vaults: Vec<VaultStatus>,
    /// Those of which nothing can be said, and why.
    left_out: Vec<LeftOutFields>,
}

#[derive(Serialize)]
struct LeftOutFields {
    vault: VaultFields,
    code: &'static str,
    message: Message,
}

#[derive(Serialize)]
struct VaultStatus {
    #[serde(flatten)]
    vault: VaultFields,
    head: u64,
    /// `unknown` after a recovery, until another device or a printed head confirms
    /// it.
    freshness: &'static str,
    /// When the newest head was made.
    committed: Option<String>,
    #[serde(skip)]
    committed_age_seconds: Option<u64>,
    /// Each with its newest complete snapshot, by their names; none while the
    /// hoster is away and this device has not read them before.
    series: Vec<SeriesStatus>,
}

#[derive(Serialize)]
struct SeriesStatus {
    name: String,
    snapshot: String,
    finished: String,
    age_seconds: u64,
    left_out: u64,
}

pub(super) fn run(options: &Status, context: &Context) -> Result<Exit, Failure> {
    let session = context.impatient_session()?;
    let mut reachable = true;
    let usage = reached(
        &mut reachable,
        session.account.remote().usage().map_err(Failure::from),
    )?;
    let (mut vaults, mut left_out, mut worst) = (Vec::new(), Vec::new(), None);
    let selected = selected(options, &session, &mut reachable)?;
    let is_one = options.vault.vault.is_some();
    for (fields, selector) in selected {
        let vault = session.account.open_vault(&selector);
        // One that was never seen cannot be told of while the hoster is away.
        let status = match reached(&mut reachable, vault.map_err(Failure::from)) {
            Ok(None) => continue,
            Ok(Some(vault)) => vault_status(vault, &mut reachable),
            Err(failure) => Err(failure),
        };
        match status {
            Ok(status) => vaults.push(status),
            // One that cannot be looked at says nothing of the others.
            Err(Failure::Told { code, message, .. }) if !is_one => {
                worst = worst.or((code != ErrorCode::NotAllowed).then(|| Exit::of(code)));
                left_out.push(LeftOutFields {
                    vault: fields,
                    code: code.as_str(),
                    message,
                });
            }
            Err(failure) => return Err(failure),
        }
    }
    let account = &session.account;
    let new_devices = account.new_devices()?;
    let fields = Fields {
        account: account.id().to_string(),
        device: account.device().to_string(),
        device_name: account.device_name()?,
        hoster: account.hoster().to_string(),
        hoster_address: account.origin().to_string(),
        hoster_reachable: reachable,
        usage: usage.map(UsageFields::from),
        freshness: freshness_name(account.freshness()?),
        new_devices: new_devices.new.iter().map(NewDeviceFields::from).collect(),
        vaults,
        left_out,
    };
    context.output.result(&fields, |out| {
        let away = if fields.hoster_reachable {
            String::new()
        } else {
            say!(" (cannot be reached)", " (injoignable)")
        };
        let account = &fields.account[..8];
        let device = show::printable(&fields.device_name);
        let hoster = &fields.hoster_address;
        let text = say!(
            "account  {account}\ndevice   {device}\nhoster   {hoster}{away}",
            "compte     {account}\nappareil   {device}\nhébergeur  {hoster}{away}",
        );
        writeln!(out, "{text}")?;
        if let Some(usage) = &fields.usage {
            let (used, quota) = (Size(usage.used_bytes()), Size(usage.quota_bytes));
            let text = say!(
                "used     {used} of {quota}",
                "occupé     {used} sur {quota}",
            );
            writeln!(out, "{text}")?;
        }
        writeln!(out)?;
        new_devices::write(&new_devices, out)?;
        if is_unknown(fields.freshness)
            || fields.vaults.iter().any(|vault| is_unknown(vault.freshness))
        {
            let text = say!(
                "freshness unknown: this device was recovered, and cannot tell whether what the\n\
                 hoster shows is the newest. Another device confirms it, or a printed head:\n\
                 `coffre vault confirm`.\n",
                "fraîcheur inconnue : cet appareil a été récupéré, et ne peut pas dire si ce que\n\
                 montre l’hébergeur est le plus récent. Un autre appareil le confirme, ou une tête\n\
                 imprimée : `coffre vault confirm`.\n",
            );
            writeln!(out, "{text}")?;
        }
        if fields.vaults.is_empty() && fields.left_out.is_empty() {
            return writeln!(out, "{}", super::vault::none_yet());
        }
        table(&fields.vaults).write(out)
    })?;
    new_devices::note(&new_devices, account, context)?;
    for left_out in &fields.left_out {
        let name = left_out.vault.shown_name();
        context
            .output
            .warn(&say!("{name}: {}", "{name} : {}", left_out.message.shown()));
    }
    Ok(match (worst, reachable) {
        (Some(exit), _) => exit,
        (None, true) => Exit::Done,
        (None, false) => Exit::Unreachable,
    })
}

/// The vault that was asked for, or all of them.
fn selected(
    options: &Status,
    session: &Session,
    reachable: &mut bool,
) -> Result<Vec<(VaultFields, VaultSelector)>, Failure> {
    if options.vault.vault.is_some() {
        let vault = session.vault(&options.vault)?;
        let selector = VaultSelector::Id(vault.id());
        return Ok(vec![(VaultFields::of(&vault), selector)]);
    }
    if *reachable {
        // Other devices may have made some.
        reached(reachable, session.account.vaults().map_err(Failure::from))?;
    }
    let known = session.account.known_vaults()?.into_iter();
    let fields = |id: VaultId, name| VaultFields {
        id: id.to_string(),
        name,
    };
    Ok(known
        .map(|(id, name)| (fields(id, name), VaultSelector::Id(id)))
        .collect())
}

/// Goes on without what needs the hoster when it is away.
fn reached<T>(reachable: &mut bool, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Failure::Told {
            code: ErrorCode::HosterUnreachable,
            ..
        }) => {
            *reachable = false;
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn vault_status(mut vault: Vault, reachable: &mut bool) -> Result<VaultStatus, Failure> {
    if *reachable {
        reached(reachable, vault.refresh().map_err(Failure::from))?;
    }
    let contents = Contents::open(&vault).and_then(|contents| contents.snapshots(None));
    let snapshots = reached(reachable, contents.map_err(Failure::from))?.unwrap_or_default();
    let mut newest: BTreeMap<&str, &NamedSnapshot> = BTreeMap::new();
    for named in snapshots
        .iter()
        .filter(|named| named.snapshot.is_complete())
    {
        newest.insert(&named.series, named);
    }
    // A root that cannot be read has failed above, with the contents.
    let committed = vault.root().ok().and_then(|root| root.committed.as_ref());
    let committed = committed.and_then(Timestamp::from_wire);
    Ok(VaultStatus {
        head: vault.head().map_or(0, |head| head.seq),
        freshness: freshness_name(
            vault
                .freshness()
                .map_err(vault_client::vault::VaultError::from)?,
        ),
        committed: committed.map(show::rfc3339),
        committed_age_seconds: committed.map(age_seconds),
        series: newest.into_values().map(series_status).collect(),
        vault: VaultFields::of(&vault),
    })
}

fn freshness_name(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Confirmed => "confirmed",
        Freshness::Unknown => "unknown",
    }
}

fn is_unknown(name: &str) -> bool {
    name == freshness_name(Freshness::Unknown)
}

fn series_status(named: &NamedSnapshot) -> SeriesStatus {
    let fields = named.snapshot.fields();
    SeriesStatus {
        name: named.series.clone(),
        snapshot: named.id.to_string(),
        finished: show::rfc3339(fields.finished),
        age_seconds: age_seconds(fields.finished),
        left_out: fields.left_out,
    }
}

fn age_seconds(time: Timestamp) -> u64 {
    let time = u64::try_from(time.seconds()).unwrap_or(0);
    SystemClock.unix_seconds().saturating_sub(time)
}

fn table(vaults: &[VaultStatus]) -> Table {
    let mut table = Table::new(match language() {
        Language::English => &["VAULT", "LAST BACKUP", "SNAPSHOT", "SERIES", ""],
        Language::French => &["COFFRE", "DERNIÈRE SAUVEGARDE", "INSTANTANÉ", "SÉRIE", ""],
    });
    for status in vaults {
        let name = status.vault.shown_name();
        if status.series.is_empty() {
            let age = status.committed_age_seconds.map(show::age);
            table.row(vec![
                name.clone(),
                age.unwrap_or_else(|| say!("never", "jamais")),
            ]);
        }
        for series in &status.series {
            table.row(vec![
                name.clone(),
                show::age(series.age_seconds),
                series.snapshot[..8].to_owned(),
                show::printable(&series.name),
                match is_unknown(status.freshness) {
                    true => say!("(freshness unknown)", "(fraîcheur inconnue)"),
                    false => String::new(),
                },
            ]);
        }
    }
    table
}
