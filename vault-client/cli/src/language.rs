//! French or English, as the member's locale says.
//!
//! Every sentence stands where it is used, in both: `say!("{n} new", "{n} de
//! nouveau")`. The compiler sees that both are there and use what exists.
//! Documents in JSON are never translated. What may go into one, and what is an error's,
//! is a [`Message`](crate::message::Message).

use std::sync::OnceLock;

/// A language that this program speaks to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    French,
}

/// Chosen once, before anything is said.
static LANGUAGE: OnceLock<Language> = OnceLock::new();

/// The language of this process; English until [`choose`] is called.
pub(crate) fn language() -> Language {
    LANGUAGE.get().copied().unwrap_or(Language::English)
}

/// Takes the language from the environment: `COFFRE_LANG`, or else the locale
/// of messages.
#[expect(
    clippy::disallowed_methods,
    reason = "a locale is in these variables, and in no option"
)]
pub(crate) fn choose() {
    let variables = ["COFFRE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"];
    let chosen = of(variables.map(|name| std::env::var(name).ok()));
    // Whoever was first has chosen the same.
    let _ = LANGUAGE.set(chosen);
}

/// The first that is set and not empty decides, as POSIX has it.
fn of(values: [Option<String>; 4]) -> Language {
    let mut values = values.into_iter().flatten();
    let value = values.find(|value| !value.is_empty()).unwrap_or_default();
    // fr, fr_FR.UTF-8, fr@euro: what stands before the first that is no letter.
    let end = value.find(|letter: char| !letter.is_ascii_alphabetic());
    let name = &value[..end.unwrap_or(value.len())];
    if name.eq_ignore_ascii_case("fr") || name.eq_ignore_ascii_case("french") {
        Language::French
    } else {
        Language::English
    }
}

/// Words in both languages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) english: &'static str,
    pub(crate) french: &'static str,
}

impl Words {
    pub(crate) fn shown(&self) -> &'static str {
        match language() {
            Language::English => self.english,
            Language::French => self.french,
        }
    }
}

/// Words in English and French.
pub(crate) const fn words(english: &'static str, french: &'static str) -> Words {
    Words { english, french }
}

/// A `String` as of `format!`, from the English or the French.
macro_rules! say {
    ($english:literal, $french:literal $(, $argument:expr)* $(,)?) => {
        match $crate::language::language() {
            $crate::language::Language::English => format!($english $(, $argument)*),
            $crate::language::Language::French => format!($french $(, $argument)*),
        }
    };
}
pub(crate) use say;

#[cfg(test)]
mod tests {
    use super::*;

    fn of_these(values: [&str; 4]) -> Language {
        of(values.map(|value| Some(value.to_owned())))
    }

    #[test]
    fn the_first_that_says_something_decides() {
        assert_eq!(of([None, None, None, None]), Language::English);
        assert_eq!(of_these(["", "", "", "fr_FR.UTF-8"]), Language::French);
        assert_eq!(of_these(["", "C", "", "fr_FR.UTF-8"]), Language::English);
        assert_eq!(of_these(["fr", "C", "", "de_DE"]), Language::French);
        assert_eq!(
            of_these(["en", "fr_FR", "fr_FR", "fr_FR"]),
            Language::English
        );
    }

    #[test]
    fn french_is_spoken_in_several_countries() {
        for name in ["fr", "FR", "fr_CA", "fr_BE.UTF-8", "fr@euro", "french"] {
            assert_eq!(of_these(["", name, "", ""]), Language::French, "{name}");
        }
        for name in ["fro", "fra_x", "de_DE", "C.UTF-8", "POSIX", "é"] {
            assert_eq!(of_these(["", name, "", ""]), Language::English, "{name}");
        }
    }
}
