//! `coffre share` and what answers it, and `coffre unshare`.

use std::io::{self, IsTerminal};

use serde::Serialize;
use vault_client::account::{Account, OfferSelector, OfferSummary};
use vault_client::check;
use vault_client::error::ErrorCode;
use vault_client::vault::{Upkeep, Vault};
use vault_core::offer::{SCHEME, SealedOffer};
use vault_proto::ids::AccountId;
use vault_proto::vault_log::Role;

use super::contact::{self, ContactFields};
use super::left_behind;
use crate::args::{RoleArgument, ShareAccept, ShareDecline, ShareWith, Unshare};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::language::{Language, language, say, words};
use crate::message::{Message, both};
use crate::session::{Context, Session, VaultFields};
use crate::show::printable;
use crate::table::Table;

/// The most bytes of an offer as text.
const MAX_OFFER_BYTES: usize = 8_192;

#[derive(Serialize)]
struct ShareFields {
    vault: VaultFields,
    contact: ContactFields,
    role: &'static str,
    /// Whether the other's hoster took the offer.
    delivered: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_error: Option<String>,
    /// The offer as text, to be handed over by other ways.
    offer: String,
}

#[derive(Serialize)]
struct UnshareFields {
    vault: VaultFields,
    account: String,
    /// Whether the keys are changed; else whoever may write does it first.
    rotated: bool,
}

#[derive(Serialize)]
struct OffersFields {
    offers: Vec<OfferFields>,
    /// Offers that cannot be read, by id.
    unreadable: Vec<String>,
}

#[derive(Serialize)]
struct OfferFields {
    id: String,
    vault: String,
    vault_name: String,
    role: &'static str,
    /// The address of whoever says that he sent it.
    sender: String,
    sender_is_contact: bool,
    /// Whether the log of his account says so, too. Only of contacts is that asked
    /// before an offer is accepted.
    checked: bool,
    created: u64,
}

#[derive(Serialize)]
struct AcceptFields {
    vault: VaultFields,
    role: &'static str,
}

#[derive(Serialize)]
struct DeclineFields {
    offer: String,
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Writer => "writer",
        Role::Manager => "manager",
        _ => "unknown",
    }
}

pub(super) fn share(options: &ShareWith, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let address = contact::address(&session.account, &options.address)?;
    let mut vault = session.vault_named(&options.vault)?;
    let role = options.role.map(|role| match role {
        RoleArgument::Reader => Role::Reader,
        RoleArgument::Writer => Role::Writer,
        RoleArgument::Manager => Role::Manager,
    });
    let shared = session.account.share(&mut vault, &address, role)?;
    let fields = ShareFields {
        vault: VaultFields::of(&vault),
        contact: ContactFields::from(&shared.contact),
        role: role_name(shared.role),
        delivered: shared.delivered.is_ok(),
        delivery_error: shared.delivered.as_ref().err().map(ToString::to_string),
        offer: shared.offer.clone(),
    };
    let (vault_name, name) = (fields.vault.shown_name(), printable(address.name()));
    let text = match &shared.delivered {
        Ok(()) => say!(
            "{name} can take {vault_name} up now, with `coffre share accept`, and then reads all that is in it, the past too",
            "{name} peut maintenant accepter {vault_name}, avec `coffre share accept`, et lira alors tout ce qu’il contient, le passé aussi",
        ),
        Err(error) => {
            let error = Message::of(error);
            let error = error.shown();
            let offer = &shared.offer;
            say!(
                "{name}'s hoster did not take the offer ({error}). Hand it over yourself, for `coffre share accept`:\n{offer}",
                "l’hébergeur de {name} n’a pas pris l’offre ({error}). Transmettez-la vous-même, pour `coffre share accept` :\n{offer}",
            )
        }
    };
    let exit = match shared.delivered {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Partly,
    };
    context.output.conclude(&fields, &text, exit)
}

pub(super) fn unshare(options: &Unshare, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let member = contact::account_id(&session.account, &options.address)?;
    let mut vault = session.vault_named(&options.vault)?;
    if !options.yes {
        ask_about_owner(&session, &vault, &member)?;
    }
    let upkeep = session.account.unshare(&mut vault, &member)?;
    let fields = UnshareFields {
        vault: VaultFields::of(&vault),
        account: member.to_string(),
        rotated: upkeep != Upkeep::Due,
    };
    let name = fields.vault.shown_name();
    let text = if fields.rotated {
        say!(
            "{name} is not shared with them any more: its keys are changed. What they could read before, they may have kept.",
            "{name} n’est plus partagé avec cette personne : ses clés sont changées. Ce qu’elle pouvait lire avant, elle l’a peut-être gardé.",
        )
    } else {
        say!(
            "{name} is not shared with them any more. Its keys are changed when somebody who may write opens it; nothing is saved there before.",
            "{name} n’est plus partagé avec cette personne. Ses clés changeront quand quelqu’un qui peut y écrire l’ouvrira ; rien n’y est sauvegardé avant.",
        )
    };
    context.output.summary(&fields, &text)?;
    // Whoever is taken out may have gone before.
    context.output.warn(&match check::count_removed(&vault) {
        Ok(0) => return Ok(Exit::Done),
        Ok(packs) => left_behind::removed_packs(&name, packs),
        Err(error) if error.code() == ErrorCode::Corrupt => left_behind::unreadable(&name),
        Err(error) => {
            let error = Message::of(&error);
            let error = error.shown();
            say!(
                "{name}: it is not known whether all of it is there ({error}); `coffre check` looks",
                "{name} : on ne sait pas si tout y est ({error}) ; `coffre check` le vérifie",
            )
        }
    });
    Ok(Exit::Partly)
}

/// Whoever has made a vault pays for its room, and does not get it back.
fn ask_about_owner(session: &Session, vault: &Vault, member: &AccountId) -> Result<(), Failure> {
    if vault.log().creator() != *member {
        return Ok(());
    }
    let who = session.name_of(member)?;
    let name = VaultFields::of(vault).shown_name();
    let question = say!(
        "{who} has made {name}, and it takes up room of theirs at the hoster. Take them out of it? They lose what is in it.",
        "{who} a créé {name}, qui occupe sa place chez l’hébergeur. L’en retirer ? Cette personne perd ce qu’il contient.",
    );
    let instead = words(
        "--yes goes on without asking",
        "--yes continue sans demander",
    );
    input::agree(&question, instead)
}

pub(super) fn list(context: &Context) -> Result<Exit, Failure> {
    // Contacts whose hosters are away are not waited for.
    let found = context.impatient_session()?.account.checked_offers()?;
    let fields = OffersFields {
        offers: found.offers.iter().map(OfferFields::from).collect(),
        unreadable: found.unreadable.iter().map(ToString::to_string).collect(),
    };
    context.output.result(&fields, |out| {
        if found.offers.is_empty() {
            let none = say!("no offers", "pas d’offre");
            return writeln!(out, "{none}");
        }
        let mut table = Table::new(match language() {
            Language::English => &["OFFER", "VAULT", "ROLE", "FROM", ""],
            Language::French => &["OFFRE", "COFFRE", "RÔLE", "DE", ""],
        });
        for offer in &found.offers {
            let remark = match (&offer.checked, offer.is_contact) {
                (_, false) => say!("no contact of yours", "pas un de vos contacts"),
                (Some(Ok(())), true) => String::new(),
                (_, true) => say!("cannot be checked", "invérifiable"),
            };
            table.row(vec![
                short(offer),
                printable(&offer.vault_name),
                role_name(offer.role).to_owned(),
                printable(&offer.sender.to_string()),
                remark,
            ]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

pub(super) fn accept(options: &ShareAccept, context: &Context) -> Result<Exit, Failure> {
    if options.offer.as_deref() == Some("-") && io::stdin().is_terminal() {
        context.output.warn(&say!("The offer:", "L’offre :"));
    }
    let account = context.session()?.account;
    let selector = match options.offer.as_deref() {
        Some(text) if text == "-" || text.starts_with(SCHEME) => {
            let is_whole =
                |text: &str| !text.starts_with(SCHEME) || SealedOffer::parse(text).is_ok();
            let offer = input::pasted(text, MAX_OFFER_BYTES, is_whole)?;
            OfferSelector::Text(offer.to_string())
        }
        wanted => OfferSelector::Id(select(&account, wanted)?.id),
    };
    let vault = account.accept_offer(&selector, options.name.as_deref())?;
    let role = vault.log().member(&account.id()).map(|state| state.role);
    let fields = AcceptFields {
        vault: VaultFields::of(&vault),
        role: role.map_or("unknown", role_name),
    };
    let name = fields.vault.shown_name();
    context.output.summary(
        &fields,
        &say!(
            "{name} is among your vaults",
            "{name} est parmi vos coffres"
        ),
    )?;
    Ok(Exit::Done)
}

pub(super) fn decline(options: &ShareDecline, context: &Context) -> Result<Exit, Failure> {
    let account = context.session()?.account;
    let offer = select(&account, options.offer.as_deref())?;
    account.decline_offer(&offer.id)?;
    let name = printable(&offer.vault_name);
    context.output.summary(
        &DeclineFields {
            offer: offer.id.to_string(),
        },
        &say!("declined: {name}", "refusé : {name}"),
    )?;
    Ok(Exit::Done)
}

/// The offer whose id begins like this, or of the vault that is called so, or the only
/// one. Of several of one vault, in one name, it is the newest.
fn select(account: &Account, wanted: Option<&str>) -> Result<OfferSummary, Failure> {
    let mut offers = account.offers()?.offers;
    if let Some(wanted) = wanted {
        let prefix = wanted.to_ascii_lowercase();
        offers.retain(|offer| {
            offer.id.to_string().starts_with(&prefix) || offer.vault_name == wanted
        });
    }
    if let Some(newest) = offers.last().cloned() {
        let same = |other: &OfferSummary| {
            (other.vault, other.sender.account()) == (newest.vault, newest.sender.account())
        };
        if offers.iter().all(same) {
            return Ok(newest);
        }
    }
    let hint = words(
        "`coffre share list` shows them",
        "`coffre share list` les montre",
    );
    match offers.len() {
        0 => {
            let message = both!("there is no such offer", "cette offre n’existe pas");
            Err(Failure::usage(message).with_hint(hint))
        }
        several => {
            let message = both!(
                "there are {several} offers: say which",
                "il y a {several} offres : dites laquelle"
            );
            Err(Failure::usage(message).with_hint(hint))
        }
    }
}

fn short(offer: &OfferSummary) -> String {
    offer.id.to_string()[..8].to_owned()
}

impl From<&OfferSummary> for OfferFields {
    fn from(offer: &OfferSummary) -> Self {
        Self {
            id: offer.id.to_string(),
            vault: offer.vault.to_string(),
            vault_name: offer.vault_name.clone(),
            role: role_name(offer.role),
            sender: offer.sender.to_string(),
            sender_is_contact: offer.is_contact,
            checked: matches!(offer.checked, Some(Ok(()))),
            created: offer.created,
        }
    }
}
