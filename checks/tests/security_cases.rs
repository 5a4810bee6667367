//! `docs/security-cases.md` names tests, and each of them is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where a name without its crate is looked for, and what the others mean.
const CRATES: [(&str, &str); 4] = [
    ("vault-core", "vault-core"),
    ("vault-proto", "proto"),
    ("vault-server", "vault-server"),
    ("coffre", "vault-client/cli"),
];
const HERE: &str = "vault-client/tests";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What the document names: the directory of a crate, modules, and a test.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    directory: &'static str,
    modules: Vec<String>,
    test: String,
}

/// The names in the third column of a row. One without modules is in those of the one
/// before it.
fn named_in(row: &str) -> Result<Vec<Named>, String> {
    let column = row.split(" | ").nth(2).unwrap_or_default();
    let mut named: Vec<Named> = Vec::new();
    for quoted in column.split('`').skip(1).step_by(2) {
        let (directory, path) = match quoted.split_once(": ") {
            Some((name, path)) => {
                let known = CRATES.iter().find(|(known, _)| *known == name);
                (known.ok_or(format!("no crate {name}"))?.1, path)
            }
            None => (HERE, quoted),
        };
        let mut modules: Vec<_> = path.split("::").map(str::to_owned).collect();
        let test = modules.pop().unwrap_or_default();
        let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        if !test.chars().all(is_name) || !test.contains('_') {
            return Err(format!("`{quoted}` names no test"));
        }
        let mut directory = directory;
        if modules.is_empty()
            && let Some(before) = named.last()
        {
            directory = before.directory;
            modules.clone_from(&before.modules);
        }
        named.push(Named {
            directory,
            modules,
            test,
        });
    }
    Ok(named)
}

/// Every test of the workspace by its name, and the files that hold one.
fn tests() -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for directory in ["proto", "vault-core", "vault-server", "vault-client"] {
        collect(directory, &mut found);
    }
    found
}

fn collect(directory: &str, found: &mut BTreeMap<String, Vec<String>>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{directory}/{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&path, found);
        } else if path.ends_with(".rs") {
            for test in tests_of(&fs::read_to_string(entry.path()).unwrap()) {
                found.entry(test).or_default().push(path.clone());
            }
        }
    }
}

/// The functions after `#[test]`, or an attribute of it.
fn tests_of(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut is_test = false;
    for line in text.lines().map(str::trim) {
        if line == "#[test]" || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ")
            && is_test
        {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.push(name.to_owned());
            is_test = false;
        }
    }
    found
}

/// Whether a file of that crate is the last of these modules, or holds it.
fn is_in(file: &str, named: &Named) -> bool {
    let Some(rest) = file.strip_prefix(named.directory) else {
        return false;
    };
    let rest = rest.trim_end_matches(".rs");
    let parts: Vec<_> = rest.split('/').filter(|part| !part.is_empty()).collect();
    // `tests` may be a module in the file itself, and `hostile` goes without saying.
    let named = named.modules.iter().filter(|module| *module != "tests");
    let mut parts = parts.into_iter();
    let mut missing = named.skip_while(|module| parts.any(|part| part == module.as_str()));
    match (missing.next(), missing.next()) {
        (None, _) => true,
        // It may stand inside the file of the one before it.
        (Some(module), None) => {
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            text.contains(&format!("mod {module} {{"))
        }
        _ => false,
    }
}

#[test]
fn every_test_that_the_security_cases_name_is_there() {
    let document = fs::read_to_string(root().join("docs/security-cases.md")).unwrap();
    let tests = tests();
    let mut count = 0;
    let mut missing = Vec::new();
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let rows = rows.filter(|line| line.matches(" | ").count() == 3);
    for row in rows.filter(|row| !row.starts_with("| case |")) {
        let named = named_in(row).unwrap_or_else(|why| panic!("{why}: {row}"));
        let is_open = row.ends_with("open** |");
        assert!(!named.is_empty() || is_open, "no test: {row}");
        for named in named {
            count += 1;
            let files = tests.get(&named.test);
            if !files.is_some_and(|files| files.iter().any(|file| is_in(file, &named))) {
                missing.push((named, files.cloned()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 100, "{count}");
}

#[test]
fn a_row_names_tests_and_their_modules() {
    let named = |directory, modules: &[&str], test: &str| Named {
        directory,
        modules: modules.iter().map(|&module| module.to_owned()).collect(),
        test: test.to_owned(),
    };
    let row = "| a case | C | `a::b::it_is_so`, `it_is_so_too`; more `coffre: c::it_is` | shown |";
    let expected = [
        named(HERE, &["a", "b"], "it_is_so"),
        named(HERE, &["a", "b"], "it_is_so_too"),
        named("vault-client/cli", &["c"], "it_is"),
    ];
    assert_eq!(named_in(row).unwrap(), expected);
    assert!(named_in("| a case | C | all of `vault-core: merging` | shown |").is_err());
    assert!(named_in("| a case | C | `nobody: a::it_is_so` | shown |").is_err());
    let text = "#[test]\nfn one() {}\nfn none() {}\n    #[test]\n    fn two(\n";
    assert_eq!(tests_of(text), ["one", "two"]);
    assert!(is_in(
        "vault-client/tests/engine/hostile.rs",
        &named(HERE, &["engine", "hostile"], "x")
    ));
    assert!(!is_in(
        "vault-client/tests/engine/lies.rs",
        &named(HERE, &["engine", "hostile"], "x")
    ));
    assert!(!is_in(
        "vault-core/src/seal.rs",
        &named(HERE, &["seal"], "x")
    ));
}
