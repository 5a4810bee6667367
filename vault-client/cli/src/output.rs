//! Where results go: standard output for what was asked for, standard error
//! for everything else.

use std::io::{self, BufWriter, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};
use vault_client::files::LeftOut;

use crate::document::LeftOutEntry;
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
    json_lines: bool,
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

/// A sentence, on a line of its own.
#[derive(Serialize)]
struct Remark<'a> {
    command: &'a str,
    /// `note` or `warning`.
    kind: &'a str,
    message: &'a str,
}

/// What was left out, on a line of its own.
#[derive(Serialize)]
struct LeftOutLine<'a> {
    command: &'a str,
    #[serde(flatten)]
    entry: LeftOutEntry,
}

impl<'a, T> Document<'a, T> {
    fn new(name: &str, fields: &'a T) -> Self {
        Self {
            schema: format!("coffre.{name}/1"),
            fields,
        }
    }
}

impl Output {
    pub(crate) fn new(command: &'static str, json: bool, quiet: bool) -> Self {
        Self {
            command,
            json,
            quiet,
            json_lines: false,
        }
    }

    /// Likewise, and whether all that goes to standard error is lines of JSON.
    pub(crate) fn with_json_lines(self, json_lines: bool) -> Self {
        Self { json_lines, ..self }
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
            self.remark("note", text);
        }
    }

    /// What is not as it should be; not even `--quiet` hides it.
    pub(crate) fn warn(&self, text: &str) {
        self.remark("warning", text);
    }

    fn remark(&self, kind: &str, text: &str) {
        if self.json_lines {
            let command = self.command;
            print_line(
                "remark",
                &Remark {
                    command,
                    kind,
                    message: text,
                },
            );
        } else {
            anstream::eprintln!("{text}");
        }
    }

    /// What was left out. A document lists it itself.
    pub(crate) fn left_out(&self, left_out: &[LeftOut]) {
        if self.json {
            return;
        }
        if self.json_lines {
            for entry in LeftOutEntry::all(left_out) {
                let command = self.command;
                print_line("left-out", &LeftOutLine { command, entry });
            }
        } else {
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
            more,
            hint,
            blames_hoster,
        } = failure
        else {
            return;
        };
        let fields = ErrorFields {
            command: self.command,
            code: code.as_str(),
            message: message.english(),
            hint: hint.map(|hint| hint.english),
            exit_code: failure.exit().number(),
        };
        if self.json {
            // Nobody is left to be told.
            let _ = print_document("error", &fields);
        } else if self.json_lines {
            print_line("error", &fields);
        } else {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            match language() {
                Language::English => {
                    let message = message.english();
                    anstream::eprintln!("{red}coffre:{red:#} {message}");
                }
                Language::French => {
                    let message = failure::french(*code, message, *blames_hoster);
                    anstream::eprintln!("{red}coffre :{red:#} {message}");
                }
            }
            if let Some(more) = more {
                anstream::eprintln!("  {more}");
            }
            if let Some(hint) = hint {
                anstream::eprintln!("  {}", hint.shown());
            }
        }
    }
}

fn print_document<T: Serialize>(name: &str, fields: &T) -> io::Result<()> {
    let document = Document::new(name, fields);
    let mut out = BufWriter::new(io::stdout().lock());
    write_json(&mut out, &document)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints a document on one line of standard error.
pub(crate) fn print_line<T: Serialize>(name: &str, fields: &T) {
    let mut line = Vec::new();
    let formatter = Harmless(CompactFormatter);
    let mut serializer = Serializer::with_formatter(&mut line, formatter);
    if Document::new(name, fields)
        .serialize(&mut serializer)
        .is_ok()
    {
        line.push(b'\n');
        // In one piece, so that lines stay whole. Nobody may be listening.
        let _ = io::stderr().write_all(&line);
    }
}

/// Indented JSON, in which everything is escaped that [`show::printable`] escapes:
/// documents are read on terminals, too, and JSON lets through what is beyond
/// U+001F.
fn write_json(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut serializer = Serializer::with_formatter(out, Harmless(PrettyFormatter::new()));
    Ok(value.serialize(&mut serializer)?)
}

struct Harmless<F>(F);

/// What the inner formatter lays out.
macro_rules! laid_out {
    ($($method:ident($($argument:ident: $kind:ty)?);)*) => {$(
        fn $method<W: ?Sized + Write>(
            &mut self,
            writer: &mut W
            $(, $argument: $kind)?
        ) -> io::Result<()> {
            self.0.$method(writer $(, $argument)?)
        }
    )*};
}

impl<F: Formatter> Formatter for Harmless<F> {
    laid_out! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
    }

    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|character| !show::is_harmless(character)) {
            let (before, from) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            let mut characters = from.chars();
            for unit in characters.next().into_iter().flat_map(utf16) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

/// A character as JSON escapes it.
fn utf16(character: char) -> impl Iterator<Item = u16> {
    let mut units = [0; 2];
    let length = character.encode_utf16(&mut units).len();
    units.into_iter().take(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_harmless_on_a_terminal_and_the_same_documents() {
        let text = "\u{1b}]0;x\u{7} \r\n\t\"\\ \u{7f}\u{9b}31m \u{202e}\u{61c}\u{2028} été 日本 🗻";
        let value = serde_json::json!({ "name": text, text: [text, 1, null], "none": [] });
        let mut written = Vec::new();
        write_json(&mut written, &value).unwrap();
        let written = String::from_utf8(written).unwrap();
        let is_laid_out = |character| show::is_harmless(character) || character == '\n';
        assert!(written.chars().all(is_laid_out), "{written:?}");
        assert!(written.contains("\\u009b31m \\u202e"), "{written}");
        assert!(written.contains("été 日本 🗻"), "{written}");
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        assert_eq!(read, value);
        // Otherwise it is laid out as it ever was.
        let plain = serde_json::json!({ "a": [1, { "b": "c" }], "d": {} });
        let mut written = Vec::new();
        write_json(&mut written, &plain).unwrap();
        assert_eq!(written, serde_json::to_vec_pretty(&plain).unwrap());
    }
}
