//! `coffre recover`.

use std::sync::Arc;

use serde::Serialize;
use vault_client::account::Account;

use super::device::{HostersFields, NotTold, not_told};
use crate::args::Recover;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::language::say;
use crate::phrase;
use crate::session::Context;

#[derive(Serialize)]
struct Fields {
    account: String,
    device: String,
    device_name: String,
    hoster: String,
    hoster_address: String,
    vaults: Vec<VaultFields>,
    /// `unknown` until another device or a printed head confirms it.
    freshness: &'static str,
    #[serde(flatten)]
    hosters: HostersFields,
}

#[derive(Serialize)]
struct VaultFields {
    id: String,
    name: Option<String>,
}

pub(super) fn run(options: &Recover, context: &Context) -> Result<Exit, Failure> {
    let origin = input::hoster(&options.hoster)?;
    let device_name = input::device_name(options.device.as_deref());
    let setup = context.setup()?;
    let phrase = phrase::read(
        options.phrase_file.as_deref(),
        &say!("the 24 words", "les 24 mots"),
    )?;
    let account = Account::recover(&setup, &origin, &phrase, &device_name)?;
    let vaults = account.vaults()?;
    let guest_logs = account.push_log().map_err(Arc::new);
    let fields = Fields {
        account: account.id().to_string(),
        device: account.device().to_string(),
        device_name: account.device_name()?,
        hoster: account.hoster().to_string(),
        hoster_address: account.origin().to_string(),
        vaults: vaults
            .iter()
            .map(|vault| VaultFields {
                id: vault.id.to_string(),
                name: vault.name.clone(),
            })
            .collect(),
        freshness: "unknown",
        hosters: HostersFields::from(&guest_logs),
    };
    let (id, count) = (&fields.account[..8], vaults.len());
    context.output.summary(
        &fields,
        &say!(
            "account {id} is back, with {count} vaults\n\
             Its freshness is unknown: this device cannot tell whether what it is shown is the newest.\n\
             Take lost devices out with `coffre device remove`; `coffre device list` shows them.",
            "le compte {id} est de retour, avec {count} coffres\n\
             Sa fraîcheur est inconnue : cet appareil ne peut pas dire si ce qu’on lui montre est le plus récent.\n\
             Retirez les appareils perdus avec `coffre device remove` ; `coffre device list` les montre.",
        ),
    )?;
    let mut exit = Exit::Done;
    for told in not_told(&guest_logs) {
        context.output.warn(&match told {
            NotTold::Hoster(origin, error) => say!(
                "{origin}, where this account is a guest, could not be told of this device ({error}); the next command that uses that hoster tells it",
                "{origin}, où ce compte est invité, n’a pas pu être prévenu de cet appareil ({error}) ; la prochaine commande qui utilise cet hébergeur le préviendra",
            ),
            NotTold::All(error) => say!(
                "other hosters could not be told of this device ({error}); the next command that uses one tells it",
                "les autres hébergeurs n’ont pas pu être prévenus de cet appareil ({error}) ; la prochaine commande qui en utilise un le préviendra",
            ),
        });
        exit = Exit::Partly;
    }
    Ok(exit)
}
