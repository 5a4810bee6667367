//! `coffre device pair`, on both sides.

use std::io::{self, IsTerminal};

use serde::Serialize;
use vault_client::account::Account;
use vault_client::account::pairing::{NewDevice, Refusal};
use vault_client::error::ErrorCode;
use vault_core::keys::PhraseLanguage;
use vault_core::pairing::PairingCode;

use super::device::not_told;
use crate::args::Pair;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::interrupt;
use crate::language::{Language, language, say, words};
use crate::message::both;
use crate::qr;
use crate::session::Context;
use crate::show::printable;

/// What every code begins with.
const SCHEME: &str = "coffre-pair:";
/// The most bytes of a code, and of a hoster's address.
const MAX_BYTES: usize = 4_096;

#[derive(Serialize)]
struct NewFields {
    account: String,
    device: String,
    device_name: String,
    hoster: String,
    hoster_address: String,
    words: [&'static str; 6],
}

#[derive(Serialize)]
struct OldFields {
    account: String,
    device: String,
    device_name: String,
    words: [&'static str; 6],
    /// Other hosters that could not be told of the new device yet.
    hosters_not_told: usize,
}

pub(super) fn run(options: &Pair, context: &Context) -> Result<Exit, Failure> {
    if options.what == "-" && io::stdin().is_terminal() {
        context.output.warn(&say!(
            "The line that the new device shows, or where the hoster is:",
            "La ligne que montre le nouvel appareil, ou l’adresse de l’hébergeur :"
        ));
    }
    let is_whole = |text: &str| !text.starts_with(SCHEME) || PairingCode::parse(text).is_ok();
    let what = input::pasted(&options.what, MAX_BYTES, is_whole)?;
    if what.starts_with(SCHEME) {
        let code = PairingCode::parse(&what).map_err(|error| {
            Failure::of(ErrorCode::InvalidArgument, &error).with_hint(words(
                "copy all of the line that the new device shows, or read its picture",
                "copiez toute la ligne que montre le nouvel appareil, ou lisez son image",
            ))
        })?;
        old(&code, options, context)
    } else {
        new(&what, options, context)
    }
}

/// On the device that is to be added.
fn new(hoster: &str, options: &Pair, context: &Context) -> Result<Exit, Failure> {
    let origin = input::hoster(hoster)?;
    let name = input::device_name(options.device.as_deref());
    let setup = context.setup()?;
    let mut device = NewDevice::begin(&setup, &origin, &name)?;
    let cancellation = interrupt::visiting(&context.output)?;
    // The code has to be seen before anything else happens, whatever form the
    // result is wanted in: it goes where remarks go.
    let code = device.code();
    context.output.warn(&say!(
        "On a device that you have already, within ten minutes, run\n\n  coffre device pair -\n\n\
         and give it this line:\n\n  {}\n",
        "Sur un appareil que vous avez déjà, dans les dix minutes, lancez\n\n  coffre device pair -\n\n\
         et donnez-lui cette ligne :\n\n  {}\n",
        code.as_str(),
    ));
    if !context.output.is_json() {
        context.output.text(|out| qr::draw(out, &code))?;
    }
    let check = device.await_words(&cancellation)?;
    context.output.warn(&shown_words(&check));
    let question = say!(
        "Does the other device show the same words?",
        "L’autre appareil montre-t-il les mêmes mots ?"
    );
    if !same(&check, options, &question)? {
        return Err(refuse(device, options)?);
    }
    let account = device.finish(&cancellation)?;
    let fields = NewFields {
        account: account.id().to_string(),
        device: account.device().to_string(),
        device_name: account.device_name()?,
        hoster: account.hoster().to_string(),
        hoster_address: account.origin().to_string(),
        words: check,
    };
    let id = &fields.account[..8];
    context.output.summary(
        &fields,
        &say!(
            "this device belongs to account {id} now",
            "cet appareil appartient désormais au compte {id}"
        ),
    )?;
    Ok(Exit::Done)
}

/// On a device of the account.
fn old(code: &PairingCode, options: &Pair, context: &Context) -> Result<Exit, Failure> {
    let account: Account = context.session()?.account;
    let cancellation = interrupt::cancellation(account.remote(), &context.output)?;
    let list = match language() {
        Language::English => PhraseLanguage::English,
        Language::French => PhraseLanguage::French,
    };
    let pairing = account.pair(code, list, &cancellation)?;
    let check = pairing.words();
    let name = pairing.device_name().to_owned();
    context.output.warn(&shown_words(&check));
    let shown = printable(&name);
    let question = say!(
        "Does {shown} show the same words? It can then read and write everything of yours.",
        "{shown} montre-t-il les mêmes mots ? Il pourra alors lire et écrire tout ce qui est à vous.",
    );
    match same(&check, options, &question) {
        Ok(true) => {}
        Ok(false) => {
            pairing.refuse()?;
            return Err(differ(options));
        }
        Err(failure) => {
            pairing.refuse()?;
            return Err(failure);
        }
    }
    let paired = pairing.confirm(&cancellation)?;
    // Where even the list cannot be read, at least one.
    let not_told = not_told(&paired.guest_logs).len();
    let fields = OldFields {
        account: account.id().to_string(),
        device: paired.device.to_string(),
        device_name: name,
        words: check,
        hosters_not_told: not_told,
    };
    context.output.summary(
        &fields,
        &say!(
            "{shown} is one of your devices now",
            "{shown} est désormais un de vos appareils"
        ),
    )?;
    if not_told > 0 {
        context.output.warn(&say!(
            "{not_told} other hosters could not be told yet; the next command that uses one tells it, on this device or on the new one",
            "{not_told} autres hébergeurs n’ont pas encore pu être prévenus ; la prochaine commande qui en utilise un le préviendra, sur cet appareil ou sur le nouveau",
        ));
        return Ok(Exit::Partly);
    }
    Ok(Exit::Done)
}

fn shown_words(check: &[&str; 6]) -> String {
    format!("\n  {}\n", check.join(" "))
}

/// Whether the words are those that were typed with `--words`, or that somebody
/// says are the same.
fn same(check: &[&str; 6], options: &Pair, question: &str) -> Result<bool, Failure> {
    match options.words.as_deref() {
        Some("-") => {
            let typed = input::secret("-", MAX_BYTES)?;
            Ok(typed.split_whitespace().eq(check.iter().copied()))
        }
        Some(typed) => Ok(typed.split_whitespace().eq(check.iter().copied())),
        None => input::confirm(
            question,
            words(
                "--words 'one two three four five six', as the other device shows them",
                "--words 'un deux trois quatre cinq six', comme l’autre appareil les montre",
            ),
        ),
    }
}

/// Ends it on the new device.
fn refuse(device: NewDevice, options: &Pair) -> Result<Failure, Failure> {
    let failure = differ(options);
    Ok(match device.refuse()? {
        Refusal::Nothing(Ok(())) => failure,
        Refusal::Nothing(Err(_)) => failure.with_hint(words(
            "the other device could not be told: end it there with Ctrl-C; `coffre device pair` here begins again, with another code",
            "l’autre appareil n’a pas pu être prévenu : arrêtez-le avec Ctrl-C ; `coffre device pair` ici recommence, avec un autre code",
        )),
        _ => Failure::new(
            ErrorCode::PairingFailed,
            both!(
                "the words were said to be the same before: the other device may have let this one in",
                "les mots avaient d’abord été dits les mêmes : l’autre appareil a peut-être fait entrer celui-ci"
            ),
        )
        .with_hint(words(
            "`coffre device list` there shows it, and `coffre device remove` takes it out; this device has forgotten its keys",
            "`coffre device list` là-bas le montre, et `coffre device remove` l’enlève ; cet appareil a oublié ses clés",
        )),
    })
}

/// On either side.
fn differ(options: &Pair) -> Failure {
    let message = match options.words {
        Some(_) => both!(
            "the words differ: nothing was paired",
            "les mots diffèrent : rien n’a été appairé"
        ),
        None => both!(
            "you said that the words differ: nothing was paired",
            "vous avez dit que les mots diffèrent : rien n’a été appairé"
        ),
    };
    Failure::new(ErrorCode::PairingFailed, message)
}
