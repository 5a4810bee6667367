//! `coffre signup`.

use std::io::{self, IsTerminal};

use serde::Serialize;
use vault_client::account::Account;
use vault_proto::invitation::{Invitation, MAX_INVITATION_BYTES};

use crate::args::Signup;
use crate::document::PathText;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::language::{say, words as words_in};
use crate::message::both;
use crate::phrase::{self, PhraseFile};
use crate::session::Context;

/// What every invitation begins with.
const SCHEME: &str = "coffre://";

#[derive(Serialize)]
struct Fields<'a> {
    account: String,
    device: String,
    device_name: String,
    hoster: String,
    hoster_address: String,
    /// Where the recovery phrase was written to,
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase_file: Option<PathText>,
    /// or the phrase itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase: Option<&'a str>,
}

pub(super) fn run(options: &Signup, context: &Context) -> Result<Exit, Failure> {
    if options.invitation == "-" && io::stdin().is_terminal() {
        context
            .output
            .warn(&say!("The invitation:", "L’invitation :"));
    }
    let invitation = invitation(&options.invitation)?;
    let device_name = input::device_name(options.device.as_deref());
    let setup = context.setup()?;
    // Before anything else: a file that cannot be made must not cost the words.
    let file = options
        .phrase_out
        .as_deref()
        .map(PhraseFile::create)
        .transpose()?;
    let (account, phrase) = Account::sign_up(&setup, &invitation, &device_name)?;
    let words = phrase::in_words(&phrase, options.language);

    let mut fields = Fields {
        account: account.id().to_string(),
        device: account.device().to_string(),
        device_name: account.device_name()?,
        hoster: account.hoster().to_string(),
        hoster_address: account.origin().to_string(),
        phrase_file: options.phrase_out.as_deref().map(PathText::of),
        phrase: None,
    };
    let (origin, id) = (account.origin(), &fields.account[..8]);
    let done = say!(
        "signed up at {origin} as {id}",
        "inscrit chez {origin} : {id}"
    );
    match file {
        Some(file) => {
            file.finish(&words)?;
            context.output.summary(&fields, &done)?;
        }
        None => {
            fields.phrase = Some(&words);
            context
                .output
                .result(&fields, |out| phrase::show(out, &words))?;
            if !context.output.is_json() {
                if io::stdin().is_terminal() && io::stderr().is_terminal() {
                    phrase::ask_back(&phrase, &words)?;
                }
                context.output.note(&done);
            }
        }
    }
    // Until here, repeating the command shows the words again.
    account.forget_phrase()?;
    Ok(Exit::Done)
}

/// The invitation on the command line, or the first line of standard input.
fn invitation(argument: &str) -> Result<Invitation, Failure> {
    let is_whole = |url: &str| !url.starts_with(SCHEME) || Invitation::parse(url).is_ok();
    let url = input::pasted(argument, MAX_INVITATION_BYTES, is_whole)?;
    Invitation::parse(&url).map_err(|error| {
        let message = both!(
            "this is no invitation: {error}",
            "ce n’est pas une invitation : {error}";
            error
        );
        Failure::usage(message).with_hint(words_in(
            "an invitation is one line that begins with coffre://; copy all of it",
            "une invitation est une ligne qui commence par coffre:// ; copiez-la en entier",
        ))
    })
}
