//! What is told of a failure, in both languages.
//!
//! Programs are always told the English, people what their locale asks for. A sentence
//! of this program is made in both, by [`both!`]; an error of the libraries has only
//! English, and its French is [looked up](crate::french).

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;

use serde::{Serialize, Serializer};

use crate::french;
use crate::language::{Language, language};
use crate::show::printable;

/// A text without control characters. Documents have the English.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    english: String,
    /// Where it was not said along with the English, it is looked up.
    french: Option<String>,
}

impl Message {
    /// What an error says.
    pub(crate) fn of(error: &(impl Error + ?Sized)) -> Self {
        Self::from_english(&error.to_string())
    }

    /// What somebody else has said in English.
    pub(crate) fn from_english(text: &str) -> Self {
        Self {
            english: printable(text),
            french: None,
        }
    }

    /// What [`both!`] makes.
    pub(crate) fn in_both(english: &str, french: &str) -> Self {
        Self {
            english: printable(english),
            french: Some(printable(french)),
        }
    }

    pub(crate) fn english(&self) -> &str {
        &self.english
    }

    /// `None` where nobody has said it in French.
    pub(crate) fn french(&self) -> Option<Cow<'_, str>> {
        match &self.french {
            Some(french) => Some(Cow::Borrowed(french)),
            None => french::of(&self.english).map(Cow::Owned),
        }
    }

    /// In the language of the member; in English where there is no French.
    pub(crate) fn shown(&self) -> Cow<'_, str> {
        let french = match language() {
            Language::English => None,
            Language::French => self.french(),
        };
        french.unwrap_or(Cow::Borrowed(&self.english))
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.english)
    }
}

/// The French of what has only English, or that.
pub(crate) fn in_french(error: &impl Display) -> String {
    let english = error.to_string();
    french::of(&english).unwrap_or(english)
}

/// A [`Message`] as of `format!`, in English and in French. What stands behind the
/// semicolon are errors: the French has them in French.
macro_rules! both {
    ($english:literal, $french:literal $(; $($error:ident),+)? $(,)?) => {
        $crate::message::Message::in_both(
            &format!($english),
            &{
                $($(let $error = $crate::message::in_french(&$error);)+)?
                format!($french)
            },
        )
    };
}
pub(crate) use both;

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn programs_have_the_english() {
        let error = io::Error::from(io::ErrorKind::TimedOut);
        let name = "a\u{1b}b";
        let message = both!("no {name}: {error}", "pas de {name} : {error}"; error);
        assert_eq!(message.english(), "no a\\x1bb: timed out");
        assert_eq!(message.french().unwrap(), "pas de a\\x1bb : délai dépassé");
        let document = serde_json::to_string(&message).unwrap();
        assert_eq!(document, r#""no a\\x1bb: timed out""#);
        // The tests' locale is English.
        assert_eq!(message.shown(), message.english());
    }

    #[test]
    fn what_an_error_says_is_looked_up() {
        let message = Message::of(&io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(message.french().unwrap(), "délai dépassé");
        assert_eq!(Message::from_english("xyzzy").french(), None);
    }

    #[test]
    fn messages_cannot_move_the_cursor() {
        let message = Message::from_english("the key store: a\u{1b}[2Jb\nc");
        assert_eq!(message.english(), "the key store: a\\x1b[2Jb\\x0ac");
        let french = message.french().unwrap();
        assert_eq!(french, "le trousseau de clés : a\\x1b[2Jb\\x0ac");
    }
}
