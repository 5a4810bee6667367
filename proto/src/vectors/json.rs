//! JSON that keeps the order it was written in, whatever features others turn
//! on in a JSON library.

use std::fmt::{Debug, Write};

use data_encoding::HEXLOWER;

use crate::wire::SignedEntry;

#[derive(Debug, Clone)]
pub(super) enum Json {
    Number(u64),
    Bool(bool),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn hex(bytes: impl AsRef<[u8]>) -> Self {
        Self::Text(HEXLOWER.encode(bytes.as_ref()))
    }

    pub(super) fn list(items: impl IntoIterator<Item = Json>) -> Self {
        Self::List(items.into_iter().collect())
    }

    /// The name of an error's variant.
    pub(super) fn error(error: &impl Debug) -> Self {
        let shown = format!("{error:?}");
        let end = shown.find(|c: char| !c.is_alphanumeric());
        Self::text(&shown[..end.unwrap_or(shown.len())])
    }

    /// The name of the error's variant; of none, nothing.
    pub(super) fn told<T, E: Debug>(judged: &Result<T, E>) -> Self {
        match judged {
            Ok(_) => Self::text(""),
            Err(error) => Self::error(error),
        }
    }

    pub(super) fn case(name: &str, fields: impl IntoIterator<Item = (&'static str, Json)>) -> Self {
        let named = [("name", Self::text(name))];
        Self::Object(named.into_iter().chain(fields).collect())
    }

    pub(super) fn entry(entry: &SignedEntry) -> Self {
        let signatures = entry.signatures.iter().map(|signature| {
            Self::Object(vec![
                ("device", Self::hex(&signature.device)),
                ("signature", Self::hex(&signature.signature)),
            ])
        });
        Self::Object(vec![
            ("payload", Self::hex(&entry.payload)),
            ("signatures", Self::list(signatures)),
        ])
    }

    pub(super) fn entries(entries: &[SignedEntry]) -> Self {
        Self::list(entries.iter().map(Self::entry))
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text.push('\n');
        text
    }

    fn write(&self, text: &mut String, depth: usize) {
        match self {
            Self::Number(number) => write!(text, "{number}").unwrap(),
            Self::Bool(value) => write!(text, "{value}").unwrap(),
            Self::Text(value) => text.push_str(&serde_json::to_string(value).unwrap()),
            Self::List(items) => {
                Self::write_all(text, depth, "[]", items, |text, item| {
                    item.write(text, depth + 1);
                });
            }
            Self::Object(fields) => {
                Self::write_all(text, depth, "{}", fields, |text, (name, value)| {
                    write!(text, "\"{name}\": ").unwrap();
                    value.write(text, depth + 1);
                });
            }
        }
    }

    fn write_all<T>(
        text: &mut String,
        depth: usize,
        brackets: &str,
        items: &[T],
        write_one: impl Fn(&mut String, &T),
    ) {
        text.push_str(&brackets[..1]);
        for (i, item) in items.iter().enumerate() {
            text.push_str(if i == 0 { "\n" } else { ",\n" });
            text.push_str(&"  ".repeat(depth + 1));
            write_one(text, item);
        }
        if !items.is_empty() {
            text.push('\n');
            text.push_str(&"  ".repeat(depth));
        }
        text.push_str(&brackets[1..]);
    }
}
