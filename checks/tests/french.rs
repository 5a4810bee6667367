//! What the libraries and the hoster say in English, `coffre` says in French.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Whose errors members meet.
const LIBRARIES: [&str; 4] = [
    "proto/src",
    "proto/rpc/src",
    "vault-core/src",
    "vault-client/src",
];
/// Where a hoster says no.
const HOSTER: [&str; 2] = ["vault-server/src/service", "vault-server/src/net"];
/// What these are made with is shown as part of an error.
const MADE_WITH: [&str; 6] = [
    "VaultError::Answer",
    "StateError::Damaged",
    "LinkError::TooLarge",
    "unreachable",
    "=>f.write_str",
    "=>{f.write_str",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The English texts of a catalogue of `coffre`.
fn catalogue(name: &str) -> BTreeSet<String> {
    let path = format!("vault-client/cli/src/french/{name}.txt");
    let text = fs::read_to_string(root().join(path)).unwrap();
    let is_english = |line: &&str| !line.is_empty() && !line.starts_with(['#', ' ']);
    text.lines().filter(is_english).map(str::to_owned).collect()
}

/// A string in a source.
#[derive(Debug)]
struct Literal {
    /// What stands in front of it, without white space.
    before: String,
    text: String,
}

impl Literal {
    /// Whether it is what an error says.
    fn is_error(&self) -> bool {
        self.before.ends_with("#[error(")
    }

    /// Whether it is what stands inside of an error.
    fn is_inside_of_error(&self) -> bool {
        let calls = MADE_WITH.iter().map(|call| format!("{call}("));
        calls.into_iter().any(|call| self.before.ends_with(&call))
    }

    /// Whether it is a sentence, and a hoster's.
    fn is_sentence(&self) -> bool {
        self.text.starts_with(char::is_uppercase) && self.text.ends_with('.')
    }
}

/// The strings of what is no test below these directories.
fn literals_below(directories: &[&str]) -> Vec<Literal> {
    let mut found = Vec::new();
    for directory in directories {
        collect(&root().join(directory), &mut found);
    }
    found
}

fn collect(directory: &Path, found: &mut Vec<Literal>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            collect(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.extend(literals(&fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The strings in a source up to its tests, where it holds them itself.
fn literals(source: &str) -> Vec<Literal> {
    const FAR_ENOUGH: usize = 24;
    const TESTS: &str = "#[cfg(test)]\nmod tests {";
    let source = source.split(TESTS).next().unwrap();
    let mut found = Vec::new();
    let mut before = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(raw) = raw_string(rest) {
            rest = &rest[raw..];
        } else if let Some(character) = character(rest) {
            rest = &rest[character..];
        } else if let Some((text, after)) = rest.strip_prefix('"').and_then(string) {
            let start = before.chars().rev().take(FAR_ENOUGH).collect::<Vec<_>>();
            let before = start.into_iter().rev().collect();
            found.push(Literal { before, text });
            rest = after;
        } else {
            before.extend(Some(first).filter(|first| !first.is_whitespace()));
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The length of `r#"…"#` at the beginning.
fn raw_string(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('r')?;
    let hashes = inside.len() - inside.trim_start_matches('#').len();
    let quoted = inside[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(1 + hashes + 1 + quoted.find(&end)? + end.len())
}

/// The length of `'x'` at the beginning; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let length = match inside.strip_prefix('\\') {
        Some(escaped) => 2 + escaped.get(1..)?.find('\'')?,
        None => inside.chars().next()?.len_utf8(),
    };
    inside[length..].starts_with('\'').then_some(length + 2)
}

/// The text of a string whose first quote is read, and what stands behind its last.
fn string(mut rest: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    loop {
        let at = rest.find(['"', '\\'])?;
        text.push_str(&rest[..at]);
        let escaped = rest[at + 1..].chars().next();
        match (&rest[at..=at], escaped) {
            ("\"", _) => return Some((text, &rest[at + 1..])),
            // The next line goes on with what it says first.
            (_, Some('\n')) => rest = rest[at + 1..].trim_start(),
            (_, Some(escaped)) => {
                text.push(match escaped {
                    'n' => '\n',
                    't' => '\t',
                    other => other,
                });
                rest = &rest[at + 1 + escaped.len_utf8()..];
            }
            (_, None) => return None,
        }
    }
}

/// What of these is not in the catalogue.
fn missing<'a>(said: impl Iterator<Item = &'a Literal>, known: &BTreeSet<String>) -> Vec<&'a str> {
    let texts = said.map(|literal| literal.text.as_str());
    texts.filter(|text| !known.contains(*text)).collect()
}

/// What of the catalogue nobody says.
fn unsaid<'a>(known: &'a BTreeSet<String>, said: &[Literal]) -> Vec<&'a String> {
    let said: BTreeSet<_> = said.iter().map(|literal| &literal.text).collect();
    known.iter().filter(|text| !said.contains(text)).collect()
}

#[test]
fn every_error_of_the_libraries_has_its_french() {
    let known = catalogue("library");
    let literals = literals_below(&LIBRARIES);
    let errors = literals.iter().filter(|literal| literal.is_error());
    assert!(errors.clone().count() > 400, "{}", errors.count());
    assert_eq!(missing(errors, &known), [""; 0]);
    let inside = literals
        .iter()
        .filter(|literal| literal.is_inside_of_error());
    assert!(inside.clone().count() > 60, "{}", inside.count());
    assert_eq!(missing(inside, &known), [""; 0]);
    assert_eq!(unsaid(&known, &literals), [""; 0]);
}

/// An error that is neither transparent nor a string would be seen by nobody.
#[test]
fn every_error_is_a_string_or_transparent() {
    for directory in LIBRARIES {
        let mut sources = Vec::new();
        sources_below(&root().join(directory), &mut sources);
        for source in sources {
            for after in source.split("#[error(").skip(1) {
                let after = after.trim_start();
                assert!(
                    after.starts_with(['"']) || after.starts_with("transparent)"),
                    "{after:.60}"
                );
            }
        }
    }
}

fn sources_below(directory: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources_below(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_sentence_of_the_hoster_has_its_french() {
    let known = catalogue("hoster");
    let literals = literals_below(&HOSTER);
    let sentences = literals.iter().filter(|literal| literal.is_sentence());
    assert!(sentences.clone().count() > 70, "{}", sentences.count());
    assert_eq!(missing(sentences, &known), [""; 0]);
    assert_eq!(unsaid(&known, &literals), [""; 0]);
}

#[test]
fn strings_are_found_as_they_are_written() {
    let source = r##"
        // "no"
        #[error("one {0}")]
        #[error(
            "two \
             words: {}", path.display()
        )]
        let c = ('"', '\'', '\u{22}', 'é');
        fn f<'a>(x: &'a str) { r#"no " "# ; Err(VaultError::Answer("why \"x\"")) }
        #[cfg(test)]
        mod tests { "no" }
    "##;
    let source = source.replace("        ", "");
    let found = literals(&source);
    let texts: Vec<_> = found.iter().map(|found| found.text.as_str()).collect();
    assert_eq!(texts, ["one {0}", "two words: {}", "why \"x\""]);
    assert!(found[0].is_error() && found[1].is_error() && !found[2].is_error());
    assert!(found[2].is_inside_of_error() && !found[0].is_inside_of_error());
    let known = BTreeSet::from(["one {0}".to_owned(), "gone".to_owned()]);
    let errors = found.iter().filter(|literal| literal.is_error());
    assert_eq!(missing(errors, &known), ["two words: {}"]);
    assert_eq!(unsaid(&known, &found), ["gone"]);
}
