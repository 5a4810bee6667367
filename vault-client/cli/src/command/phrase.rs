//! `coffre phrase new` and `coffre phrase check`.

use std::io::{self, IsTerminal};
use std::path::Path;

use serde::Serialize;
use vault_client::account::PaperStanding;
use vault_client::error::ErrorCode;

use super::device::{self, HostersFields, UpkeepFields};
use super::left_behind::LeftBehindFields;
use crate::args::{PhraseCheck, PhraseNew};
use crate::document::PathText;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::{say, words as words_in};
use crate::message::{Message, both};
use crate::phrase::{self, PhraseFile};
use crate::session::Context;

#[derive(Serialize)]
struct NewFields {
    device: String,
    /// The phrase that this one took the place of,
    replaced: Option<String>,
    /// whether other hosters know that it is out,
    #[serde(flatten)]
    hosters: HostersFields,
    /// what was done in each vault because it is,
    vaults: Vec<UpkeepFields>,
    /// and what devices had set up that it had brought in.
    left_behind: LeftBehindFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    phrase_file: Option<PathText>,
}

#[derive(Serialize)]
struct CheckFields {
    device: String,
    /// `rooted`: recovers the account, and can remove other phrases. `added`:
    /// recovers the account.
    standing: &'static str,
}

pub(super) fn new(options: &PhraseNew, context: &Context) -> Result<Exit, Failure> {
    if context.output.is_json() && options.phrase_out.is_none() {
        // The old words are worth nothing before the document is printed, and nobody
        // may be there to read it.
        return Err(Failure::usage(both!(
            "with --json, --phrase-out FILE says where the new words go",
            "avec --json, --phrase-out FICHIER dit où vont les nouveaux mots"
        )));
    }
    let account = context.session()?.account;
    let old = if options.lost {
        None
    } else {
        let old = phrase::read(
            options.phrase_file.as_deref().map(Path::new),
            &say!("the old words", "les anciens mots"),
        )?;
        Some(old)
    };
    // Before anything else: a file that cannot be made must not cost the words.
    let file = options
        .phrase_out
        .as_deref()
        .map(PhraseFile::create)
        .transpose()?;
    let new = account.add_paper(old.as_ref())?;
    let words = phrase::in_words(&new, options.language);
    let mut fields = NewFields {
        device: new.device_keys().id().to_string(),
        replaced: old.as_ref().map(|old| old.device_keys().id().to_string()),
        hosters: HostersFields::default(),
        vaults: Vec::new(),
        left_behind: LeftBehindFields::default(),
        phrase_file: options.phrase_out.as_deref().map(PathText::of),
    };
    // The new words are on paper before the old ones are worth nothing.
    match file {
        Some(file) => file.finish(&words)?,
        None => {
            context.output.text(|out| phrase::show(out, &words))?;
            if io::stdin().is_terminal() && io::stderr().is_terminal() {
                phrase::ask_back(&new, &words)?;
            }
        }
    }
    let removal = match &old {
        Some(old) => Some(account.remove_paper(&old.device_keys().id(), &new)?),
        None => None,
    };
    account.forget_phrase()?;
    if let Some(removal) = &removal {
        fields.hosters = HostersFields::from(&removal.guest_logs);
        fields.vaults = removal.vaults.iter().map(UpkeepFields::from).collect();
        fields.left_behind = LeftBehindFields::from(&removal.left_behind);
    }
    let text = match &removal {
        Some(_) => say!(
            "the old words are worth nothing any more",
            "les anciens mots ne valent plus rien"
        ),
        None => say!(
            "the old words, wherever they are, still bring everything back: this device alone cannot end them",
            "les anciens mots, où qu’ils soient, ramènent toujours tout : cet appareil seul ne peut pas y mettre fin"
        ),
    };
    if context.output.is_json() {
        context.output.summary(&fields, &text)?;
    } else {
        context.output.note(&text);
    }
    Ok(removal.map_or(Exit::Done, |removal| device::after(&removal, context)))
}

pub(super) fn check(options: &PhraseCheck, context: &Context) -> Result<Exit, Failure> {
    let account = context.session()?.account;
    let phrase = phrase::read(
        options.phrase_file.as_deref().map(Path::new),
        &say!("the words", "les mots"),
    )?;
    let wrong = |message: Message| Failure::new(ErrorCode::WrongKey, message);
    let (standing, text) = match account.check_phrase(&phrase)? {
        PaperStanding::Rooted => (
            "rooted",
            say!(
                "the words are right: they bring this account back",
                "les mots sont justes : ils ramènent ce compte"
            ),
        ),
        PaperStanding::Added => (
            "added",
            say!(
                "the words are right: they bring this account back, but cannot end other phrases",
                "les mots sont justes : ils ramènent ce compte, mais ne peuvent pas mettre fin à d’autres phrases"
            ),
        ),
        PaperStanding::Removed => {
            let message = both!(
                "these words were replaced, and are worth nothing any more",
                "ces mots ont été remplacés, et ne valent plus rien"
            );
            return Err(wrong(message).with_hint(words_in(
                "find the newer paper, or make new words: `coffre phrase new --lost`",
                "cherchez le papier plus récent, ou faites de nouveaux mots : `coffre phrase new --lost`",
            )));
        }
        _ => {
            return Err(wrong(both!(
                "these are the words of another account, or of none",
                "ces mots sont ceux d’un autre compte, ou d’aucun"
            )));
        }
    };
    context.output.summary(
        &CheckFields {
            device: phrase.device_keys().id().to_string(),
            standing,
        },
        &text,
    )?;
    Ok(Exit::Done)
}
