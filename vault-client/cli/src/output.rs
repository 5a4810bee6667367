//! Where results go: standard output for what was asked for, standard error
//! for everything else.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use vault_client::files::LeftOut;

use crate::exit::Exit;
use crate::failure::{self, Failure};
use crate::language::{Language, language, say};
use crate::show;

/// Prints for a person or for a program.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    command: &'static str,
    json: bool,
    quiet: bool,
}

/// A JSON document: all that a command has to say.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: String,
    #[serde(flatten)]
    fields: &'a T,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    command: &'a str,
    code: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    exit_code: u8,
}

impl Output {
    pub(crate) fn new(command: &'static str, json: bool, quiet: bool) -> Self {
        Self {
            command,
            json,
            quiet,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The result: a document, or what `text` writes.
    pub(crate) fn result<T: Serialize>(
        &self,
        fields: &T,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        if self.json {
            return print_document(self.command, fields).map_err(Failure::output);
        }
        self.text(text)
    }

    /// What a command did: a document, or a sentence that `--quiet` takes away.
    pub(crate) fn summary<T: Serialize>(&self, fields: &T, text: &str) -> Result<(), Failure> {
        self.result(fields, |out| {
            if self.quiet {
                Ok(())
            } else {
                writeln!(out, "{text}")
            }
        })
    }

    /// Likewise at the end of a command, which ends as it ends whether somebody still
    /// listens or not.
    pub(crate) fn conclude<T: Serialize>(
        &self,
        fields: &T,
        text: &str,
        exit: Exit,
    ) -> Result<Exit, Failure> {
        match self.summary(fields, text) {
            Ok(()) | Err(Failure::PipeClosed) => Ok(exit),
            Err(failure) => Err(failure),
        }
    }

    /// Text for a person, in full or up to an error.
    pub(crate) fn text(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let mut out = BufWriter::new(anstream::stdout().lock());
        write(&mut out)
            .and_then(|()| out.flush())
            .map_err(Failure::output)
    }

    /// A remark.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            anstream::eprintln!("{text}");
        }
    }

    /// What is not as it should be; not even `--quiet` hides it.
    pub(crate) fn warn(&self, text: &str) {
        anstream::eprintln!("{text}");
    }

    /// What was left out. A document lists it itself.
    pub(crate) fn left_out(&self, left_out: &[LeftOut]) {
        if !self.json {
            for entry in left_out {
                let (path, reason) = (show::path(&entry.path), show::reason(entry.reason));
                self.warn(&say!(
                    "left out: {path}: {reason}",
                    "omis : {path} : {reason}"
                ));
            }
        }
    }

    /// Why the command failed. Always the last that is printed.
    pub(crate) fn failure(&self, failure: &Failure) {
        let Failure::Told {
            code,
            message,
            hint,
        } = failure
        else {
            return;
        };
        if self.json {
            let fields = ErrorFields {
                command: self.command,
                code: code.as_str(),
                message,
                hint: hint.map(|hint| hint.english),
                exit_code: failure.exit().number(),
            };
            // Nobody is left to be told.
            let _ = print_document("error", &fields);
        } else {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            match language() {
                Language::English => anstream::eprintln!("{red}coffre:{red:#} {message}"),
                Language::French => {
                    let french = failure::french(*code);
                    anstream::eprintln!("{red}coffre :{red:#} {french} ({message})");
                }
            }
            if let Some(hint) = hint {
                anstream::eprintln!("  {}", hint.shown());
            }
        }
    }
}

fn print_document<T: Serialize>(name: &str, fields: &T) -> io::Result<()> {
    let document = Document {
        schema: format!("coffre.{name}/1"),
        fields,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    serde_json::to_writer_pretty(&mut out, &document)?;
    out.write_all(b"\n")?;
    out.flush()
}
