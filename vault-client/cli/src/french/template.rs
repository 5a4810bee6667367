//! Texts with places that are filled in.
//!
//! An English one is written as `#[error("…")]` has it; it finds what a message was
//! filled in with. A French one takes that, in an order of its own.

use std::collections::BTreeMap;
use std::mem;

/// What stands in the places of a text, by their names.
pub(super) type Filled<'text> = BTreeMap<&'text str, &'text str>;

/// An English text with places.
#[derive(Debug)]
pub(super) struct English {
    /// What stands before the first place.
    begins: String,
    /// Each place, and what stands between it and the next or the end.
    places: Vec<(Place, String)>,
}

/// A French text with places.
#[derive(Debug)]
pub(super) struct French {
    begins: String,
    places: Vec<(Place, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// That of the argument, or its number.
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Taken as it stands.
    Plain,
    /// `{name:?}`: in quotes, with those inside escaped.
    Quoted,
    /// `{~name}`: a message itself.
    Message,
}

impl English {
    /// `None` for a text whose places could not be told apart.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (begins, places) = parse(text)?;
        let between = places.iter().rev().skip(1);
        let is_apart = between.clone().all(|(_, literal)| !literal.is_empty());
        let is_english = places.iter().all(|(place, _)| place.kind != Kind::Message);
        (is_apart && is_english).then_some(Self { begins, places })
    }

    /// How many letters stand outside of the places.
    pub(super) fn letters(&self) -> usize {
        let literals = self.places.iter().map(|(_, literal)| literal);
        let characters = literals.chain([&self.begins]).flat_map(|text| text.chars());
        characters.filter(|letter| letter.is_alphabetic()).count()
    }

    /// What the places of this text are filled in with in `text`. It is read once, from
    /// its beginning; from its end where it begins with a place: that is as a rule a
    /// path, in which anything may stand.
    pub(super) fn filled<'text>(&'text self, text: &'text str) -> Option<Filled<'text>> {
        let mut rest = text.strip_prefix(self.begins.as_str())?;
        let Some(((last, ends), places)) = self.places.split_last() else {
            return rest.is_empty().then(Filled::new);
        };
        rest = rest.strip_suffix(ends.as_str())?;
        let mut filled = Filled::new();
        if self.begins.is_empty() {
            let mut place = last;
            for (before, literal) in places.iter().rev() {
                let (start, end) = rest.rsplit_once(literal.as_str())?;
                place.fill(end, &mut filled)?;
                (place, rest) = (before, start);
            }
            place.fill(rest, &mut filled)?;
        } else {
            for (place, literal) in places {
                let (start, end) = match place.kind {
                    Kind::Quoted => rest.split_at(quoted(rest)?),
                    _ => rest.split_at(rest.find(literal.as_str())?),
                };
                place.fill(start, &mut filled)?;
                rest = end.strip_prefix(literal.as_str())?;
            }
            last.fill(rest, &mut filled)?;
        }
        Some(filled)
    }
}

impl Place {
    fn fill<'text>(&'text self, with: &'text str, filled: &mut Filled<'text>) -> Option<()> {
        let with = match self.kind {
            Kind::Quoted if quoted(with)? == with.len() => &with[1..with.len() - 1],
            Kind::Quoted => return None,
            _ => with,
        };
        filled.insert(&self.name, with);
        Some(())
    }
}

/// Where what is quoted at the beginning of a text ends.
fn quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    for (at, character) in text.strip_prefix('"')?.char_indices() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some(at + 2),
            _ => {}
        }
    }
    None
}

impl French {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (begins, places) = parse(text)?;
        Some(Self { begins, places })
    }

    /// The text, with messages as `translated` has them.
    pub(super) fn with(&self, filled: &Filled<'_>, translated: impl Fn(&str) -> String) -> String {
        let mut text = self.begins.clone();
        for (place, literal) in &self.places {
            let with = filled.get(place.name.as_str()).copied().unwrap_or_default();
            match place.kind {
                Kind::Message => text.push_str(&translated(with)),
                Kind::Plain | Kind::Quoted => text.push_str(with),
            }
            text.push_str(literal);
        }
        text
    }

    /// What messages it is filled in with.
    pub(super) fn messages<'text>(&self, filled: &Filled<'text>) -> Vec<&'text str> {
        let places = self.places.iter().map(|(place, _)| place);
        let messages = places.filter(|place| place.kind == Kind::Message);
        messages
            .filter_map(|place| filled.get(place.name.as_str()).copied())
            .collect()
    }
}

/// What stands before the first place, and each place with what stands after it.
fn parse(text: &str) -> Option<(String, Vec<(Place, String)>)> {
    let mut begins = None;
    let mut places: Vec<(Place, String)> = Vec::new();
    let mut literal = String::new();
    let mut unnamed = 0;
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(brace) = ["{{", "}}"].iter().find(|brace| rest.starts_with(**brace)) {
            literal.push_str(&brace[1..]);
            rest = &rest[2..];
            continue;
        }
        let (inside, after) = rest.strip_prefix('{')?.split_once('}')?;
        finish(mem::take(&mut literal), &mut begins, &mut places);
        places.push((Place::parse(inside, &mut unnamed)?, String::new()));
        rest = after;
    }
    literal.push_str(rest);
    finish(literal, &mut begins, &mut places);
    Some((begins?, places))
}

fn finish(literal: String, begins: &mut Option<String>, places: &mut [(Place, String)]) {
    match places.last_mut() {
        Some((_, after)) => *after = literal,
        None => *begins = Some(literal),
    }
}

impl Place {
    /// `unnamed` counts places without a name, as `format!` does.
    fn parse(inside: &str, unnamed: &mut usize) -> Option<Self> {
        let (name, format) = inside.split_once(':').unwrap_or((inside, ""));
        let (name, kind) = match (name.strip_prefix('~'), format) {
            (Some(name), "") => (name, Kind::Message),
            (Some(_), _) => return None,
            (None, "?") => (name, Kind::Quoted),
            (None, _) => (name, Kind::Plain),
        };
        let name = if name.is_empty() {
            *unnamed += 1;
            (*unnamed - 1).to_string()
        } else {
            name.to_owned()
        };
        Some(Self { name, kind })
    }
}

#[cfg(test)]
pub(super) mod names {
    use super::{English, French, Place};

    fn of(places: &[(Place, String)]) -> Vec<&str> {
        let names = places.iter().map(|(place, _)| place.name.as_str());
        let mut names: Vec<_> = names.filter(|name| *name != "_").collect();
        names.sort_unstable();
        names
    }

    /// The names of the places of both; `_` is left out on purpose.
    pub(in crate::french) fn of_both<'a>(
        english: &'a English,
        french: &'a French,
    ) -> [Vec<&'a str>; 2] {
        [of(&english.places), of(&french.places)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, text: &str) -> Option<Vec<String>> {
        let template = English::parse(template).unwrap();
        let filled = template.filled(text)?;
        Some(filled.into_values().map(str::to_owned).collect())
    }

    #[track_caller]
    fn is_filled(template: &str, text: &str, with: &[&str]) {
        assert_eq!(filled(template, text).unwrap(), with, "{text}");
    }

    #[test]
    fn places_are_found() {
        is_filled("no account", "no account", &[]);
        is_filled("head {0} is {}", "head 3 is gone", &["gone"]);
        is_filled("head {got} of {known}.", "head 3 of 4.", &["3", "4"]);
        is_filled("{a} and {b}", "x and y and z", &["x and y", "z"]);
        is_filled("of {a} and {b}", "of x and y and z", &["x", "y and z"]);
        is_filled("{}: {reason}", "/a: b: gone", &["/a: b", "gone"]);
        is_filled("missing '{{' {0}", "missing '{' here", &["here"]);
        for (template, text) in [
            ("no account", "no account yet"),
            ("head {0}.", "head 3"),
            ("a {0} b {1} c", "a b c"),
            ("a{0}a", "a"),
        ] {
            assert_eq!(filled(template, text), None, "{template} {text}");
        }
    }

    #[test]
    fn what_is_quoted_ends_where_its_quotes_do() {
        is_filled(
            "pattern {0:?}: {1}",
            r#"pattern "a\": b": c"#,
            &[r#"a\": b"#, "c"],
        );
        is_filled("{0:?} is no file", r#""a" is no file"#, &["a"]);
        is_filled("no {0:?}", r#"no """#, &[""]);
        is_filled("no {0:?}", r#"no "é\\""#, &[r"é\\"]);
        for text in ["no a", "no \"", "no \"a", r#"no "a\""#, r#"no "a" b"#] {
            assert_eq!(filled("no {0:?}", text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["{", "}", "a {0", "a } b", "{0}{1}", "{~0}"] {
            assert!(English::parse(text).is_none(), "{text}");
        }
        assert!(French::parse("{1}{~0}").is_some());
        assert!(French::parse("{~0:?}").is_none());
    }

    #[test]
    fn french_has_an_order_of_its_own() {
        let french = French::parse("{b} avant {~a}, {{}}").unwrap();
        let english = English::parse("{a} after {b}").unwrap();
        let filled = english.filled("one after two").unwrap();
        assert_eq!(french.messages(&filled), ["one"]);
        assert_eq!(french.with(&filled, str::to_uppercase), "two avant ONE, {}");
    }
}
