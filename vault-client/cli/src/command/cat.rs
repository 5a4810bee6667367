//! `coffre cat`.

use std::io::{self, Write};

use data_encoding::BASE64;
use serde::Serialize;
use vault_core::tree::NodeContent;

use crate::args::Cat;
use crate::document::PathText;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::language::words;
use crate::message::both;
use crate::session::Context;

/// A JSON document is made in memory: larger files do not go into one.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;

#[derive(Serialize)]
struct Fields {
    snapshot: String,
    #[serde(flatten)]
    path: PathText,
    size: usize,
    /// The bytes in base64.
    content: String,
}

pub(super) fn run(options: &Cat, context: &Context) -> Result<Exit, Failure> {
    let Some(path) = options.what.path.as_deref() else {
        return Err(Failure::usage(both!(
            "say which file: SNAPSHOT:/path/of/the/file",
            "dites quel fichier : INSTANTANÉ:/chemin/du/fichier"
        )));
    };
    let (_vault, contents) = context.session()?.contents(&options.which.vault)?;
    let series = options.which.series.as_deref();
    let named = contents.snapshot(options.what.snapshot.as_str(), series)?;
    if !context.output.is_json() {
        // Not through anything that would look for escape sequences in it.
        let mut out = io::BufWriter::with_capacity(256 << 10, io::stdout().lock());
        contents.read_file(&named.snapshot, path, &mut out)?;
        out.flush().map_err(Failure::output)?;
        return Ok(Exit::Done);
    }
    if let Some(node) = contents.node(&named.snapshot, path)?
        && let NodeContent::File { size, .. } = node.content()
        && *size > MAX_DOCUMENT_BYTES
    {
        let message = both!(
            "the file is too large for a JSON document",
            "le fichier est trop grand pour un document JSON"
        );
        return Err(Failure::usage(message).with_hint(words(
            "without --json it is printed as it is",
            "sans --json il est affiché tel quel",
        )));
    }
    let mut bytes = Vec::new();
    contents.read_file(&named.snapshot, path, &mut bytes)?;
    let fields = Fields {
        snapshot: named.id.to_string(),
        path: PathText::new(path),
        size: bytes.len(),
        content: BASE64.encode(&bytes),
    };
    context.output.result(&fields, |_| Ok(()))?;
    Ok(Exit::Done)
}
