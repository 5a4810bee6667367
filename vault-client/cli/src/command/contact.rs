//! `coffre contact add`, `list`, `remove` and `verify`.

use std::io::{self, IsTerminal};

use serde::Serialize;
use vault_client::account::{Account, AccountError, Contact, VaultSelector};
use vault_proto::address::{Address, AddressError};
use vault_proto::ids::AccountId;

use crate::args::{ContactAddress, ContactRemove, ContactVerify};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::language::{Language, language, say, words};
use crate::message::both;
use crate::session::{Context, VaultFields};
use crate::show::printable;
use crate::table::Table;

#[derive(Serialize)]
pub(super) struct ContactFields {
    address: String,
    account: String,
    name: String,
    hoster_address: String,
    /// Whether both have compared their number.
    verified: bool,
}

impl From<&Contact> for ContactFields {
    fn from(contact: &Contact) -> Self {
        Self {
            address: contact.address.to_string(),
            account: contact.address.account().to_string(),
            name: contact.address.name().to_owned(),
            hoster_address: contact.address.origin().to_string(),
            verified: contact.is_verified,
        }
    }
}

#[derive(Serialize)]
struct AddFields {
    contact: ContactFields,
}

#[derive(Serialize)]
struct ListFields {
    contacts: Vec<ContactFields>,
}

#[derive(Serialize)]
struct RemoveFields {
    contact: ContactFields,
    /// What they are a member of all the same.
    member_of: Vec<VaultFields>,
}

#[derive(Serialize)]
struct VerifyFields {
    contact: ContactFields,
    /// Twelve groups of five digits, the same on both sides.
    number: String,
}

pub(super) fn add(options: &ContactAddress, context: &Context) -> Result<Exit, Failure> {
    let address = parse(&options.address)?;
    let account = context.session()?.account;
    let known = account.contacts()?.into_iter();
    let mut known = known.map(|known| known.address);
    let before = known.find(|known| known.account() == address.account());
    let contact = account.add_contact(&address)?;
    let name = printable(contact.address.name());
    if let Some(before) = before.filter(|before| before.name() != contact.address.name()) {
        let before = printable(before.name());
        context.output.warn(&say!(
            "this is {before}, who is called {name} from now on",
            "c’est {before}, qui s’appelle désormais {name}",
        ));
    }
    context.output.summary(
        &AddFields {
            contact: ContactFields::from(&contact),
        },
        &say!(
            "{name} is a contact; `coffre contact verify` compares a number with them",
            "{name} est un contact ; `coffre contact verify` compare un nombre avec cette personne",
        ),
    )?;
    Ok(Exit::Done)
}

pub(super) fn list(context: &Context) -> Result<Exit, Failure> {
    let contacts = context.session()?.account.contacts()?;
    let fields = ListFields {
        contacts: contacts.iter().map(ContactFields::from).collect(),
    };
    context.output.result(&fields, |out| {
        if contacts.is_empty() {
            let none = say!(
                "no contacts yet; `coffre contact add ADDRESS` keeps one",
                "pas encore de contact ; `coffre contact add ADRESSE` en garde un",
            );
            return writeln!(out, "{none}");
        }
        let mut table = Table::new(match language() {
            Language::English => &["CONTACT", "ADDRESS", ""],
            Language::French => &["CONTACT", "ADRESSE", ""],
        });
        for contact in &contacts {
            table.row(vec![
                printable(contact.address.name()),
                printable(&contact.address.to_string()),
                if contact.is_verified {
                    say!("verified", "vérifié")
                } else {
                    String::new()
                },
            ]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

pub(super) fn remove(options: &ContactRemove, context: &Context) -> Result<Exit, Failure> {
    let session = context.session()?;
    let account = &session.account;
    let Some(contact) = contact(account, &options.address)? else {
        return Err(AccountError::NoSuchContact.into());
    };
    let id = contact.address.account();
    let name = printable(contact.address.name());
    let shared = shared_with(account, &id)?;
    if !shared.is_empty() {
        let vaults: Vec<_> = shared.iter().map(VaultFields::shown_name).collect();
        let vaults = vaults.join(", ");
        context.output.warn(&say!(
            "{name} is a member of {vaults}, and stays one: `coffre unshare VAULT {id}` ends that",
            "{name} est membre de {vaults}, et le reste : `coffre unshare COFFRE {id}` y met fin",
        ));
    }
    if !options.yes {
        let question = say!(
            "Forget {name}, and that the key is theirs?",
            "Oublier {name}, et que la clé est la sienne ?"
        );
        let instead = words("--yes forgets them unasked", "--yes oublie sans demander");
        input::agree(&question, instead)?;
    }
    account.remove_contact(&id)?;
    context.output.summary(
        &RemoveFields {
            contact: ContactFields::from(&contact),
            member_of: shared,
        },
        &say!(
            "{name} is no contact any more",
            "{name} n’est plus un contact"
        ),
    )?;
    Ok(Exit::Done)
}

/// The vaults that an account is a member of, too, as this device knows them.
fn shared_with(account: &Account, other: &AccountId) -> Result<Vec<VaultFields>, Failure> {
    let mut shared = Vec::new();
    for (id, _) in account.known_vaults()? {
        // A contact is forgotten whether every vault can be looked at or not.
        let Ok(vault) = account.open_vault(&VaultSelector::Id(id)) else {
            continue;
        };
        if vault.log().member(other).is_some() {
            shared.push(VaultFields::of(&vault));
        }
    }
    Ok(shared)
}

pub(super) fn verify(options: &ContactVerify, context: &Context) -> Result<Exit, Failure> {
    let account = context.session()?.account;
    let contact = match contact(&account, &options.address)? {
        Some(known) => known,
        None => account.add_contact(&parse(&options.address)?)?,
    };
    let id = contact.address.account();
    let number = account.contact_number(&id).to_string();
    let mut fields = VerifyFields {
        contact: ContactFields::from(&contact),
        number,
    };
    let asks = !options.same && !context.output.is_json() && io::stdin().is_terminal();
    if options.same {
        account.set_verified(&id, true)?;
        fields.contact.verified = true;
    }
    let name = printable(contact.address.name());
    context.output.result(&fields, |out| {
        let (first, second) = fields.number.split_at(6 * 6 - 1);
        writeln!(out, "  {first}\n  {}", second.trim_start())
    })?;
    context.output.note(&say!(
        "`coffre contact verify` with your address shows {name} a number, too. Read both aloud to each other, to the end: only if they are the same are you talking to whom this address belongs to.",
        "`coffre contact verify` avec votre adresse montre aussi un nombre à {name}. Lisez-vous les deux à voix haute, jusqu’au bout : ce n’est que s’ils sont les mêmes que cette adresse est celle de la personne à qui vous parlez.",
    ));
    if asks {
        let question = say!(
            "Does {name} see the same number?",
            "{name} voit-il (ou elle) le même nombre ?"
        );
        let is_same = input::confirm(&question, words("--same", "--same"))?;
        account.set_verified(&id, is_same)?;
        if !is_same {
            context.output.warn(&say!(
                "then one of you has a wrong address: ask for it again, by another way",
                "alors l’un de vous a une fausse adresse : redemandez-la, par un autre chemin",
            ));
            return Ok(Exit::Partly);
        }
    }
    Ok(Exit::Done)
}

/// The contact of that name, address or account.
pub(super) fn contact(account: &Account, wanted: &str) -> Result<Option<Contact>, Failure> {
    let contacts = account.contacts()?;
    if let Ok(address) = Address::parse(wanted) {
        let is_it = |contact: &Contact| contact.address.account() == address.account();
        return Ok(contacts.into_iter().find(is_it));
    }
    let mut named: Vec<Contact> = contacts
        .into_iter()
        .filter(|contact| contact.address.name() == wanted)
        .collect();
    if named.len() > 1 {
        let several = named.len();
        let message = both!(
            "{several} contacts are called {wanted:?}",
            "{several} contacts s’appellent « {wanted} »"
        );
        return Err(Failure::usage(message).with_hint(words(
            "say which with the whole address; `coffre contact list` shows them",
            "dites lequel par l’adresse entière ; `coffre contact list` les montre",
        )));
    }
    Ok(named.pop())
}

/// The address that was typed, or that of the contact of this name.
pub(super) fn address(account: &Account, wanted: &str) -> Result<Address, Failure> {
    match contact(account, wanted)? {
        Some(known) if Address::parse(wanted).is_err() => Ok(known.address),
        _ => parse(wanted),
    }
}

/// Whoever is meant, contact or not.
pub(super) fn account_id(account: &Account, wanted: &str) -> Result<AccountId, Failure> {
    let by_id = data_encoding::HEXLOWER_PERMISSIVE.decode(wanted.as_bytes());
    if let Some(id) = by_id.ok().and_then(|id| AccountId::from_slice(&id).ok()) {
        return Ok(id);
    }
    Ok(address(account, wanted)?.account())
}

fn parse(text: &str) -> Result<Address, Failure> {
    Address::parse(text).map_err(|error| {
        let failure = Failure::usage(both!(
            "this is no address: {error}",
            "ce n’est pas une adresse : {error}";
            error
        ));
        match error {
            AddressError::NoFingerprint => failure.with_hint(words(
                "an address without what follows the # can be anybody's; ask for all that `coffre whoami` shows",
                "une adresse sans ce qui suit le # peut être celle de n’importe qui ; demandez tout ce que montre `coffre whoami`",
            )),
            _ => failure.with_hint(words(
                "an address is name@host:port#fingerprint, as `coffre whoami` shows it; or the name of a contact",
                "une adresse est nom@hôte:port#empreinte, comme la montre `coffre whoami` ; ou le nom d’un contact",
            )),
        }
    })
}
