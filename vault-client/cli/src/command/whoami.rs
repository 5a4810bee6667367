//! `coffre whoami`.

use serde::Serialize;

use crate::args::Whoami;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::say;
use crate::qr;
use crate::session::Context;
use crate::show::printable;

#[derive(Serialize)]
struct Fields {
    /// To be given to others.
    address: String,
    name: String,
    account: String,
    hoster: String,
    hoster_address: String,
    device: String,
    device_name: String,
}

pub(super) fn run(options: &Whoami, context: &Context) -> Result<Exit, Failure> {
    let account = context.session()?.account;
    if let Some(name) = &options.name {
        account.set_name(name)?;
    }
    let address = account.address()?;
    let fields = Fields {
        address: address.to_string(),
        name: address.name().to_owned(),
        account: account.id().to_string(),
        hoster: account.hoster().to_string(),
        hoster_address: account.origin().to_string(),
        device: account.device().to_string(),
        device_name: account.device_name()?,
    };
    context.output.result(&fields, |out| {
        writeln!(out, "{}", printable(&fields.address))?;
        qr::draw(out, &fields.address)
    })?;
    context.output.note(&say!(
        "Give the whole of it to whoever wants to share with you: what follows the # is your key.",
        "À donner en entier à qui veut partager avec vous : ce qui suit le # est votre clé.",
    ));
    Ok(Exit::Done)
}
