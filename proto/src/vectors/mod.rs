//! Known answers, for every implementation of the format: what must be accepted
//! and what it means, and what must be refused and why.
//!
//! `COFFRE_WRITE_VECTORS=1 cargo test -p vault-proto vectors` writes the files
//! anew; otherwise they are compared byte for byte. Vectors that were released
//! never change: new ones go into files of their own.

mod contexts;
mod heads;
mod json;
mod limits;
mod logins;
mod logs;
mod plain;
mod replaced;
mod spellings;

use std::path::PathBuf;

use json::Json;

fn check(name: &str, vectors: &Json) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(name);
    let text = vectors.to_text();
    #[expect(clippy::disallowed_methods, reason = "tests have no arguments")]
    let write = std::env::var_os("COFFRE_WRITE_VECTORS").is_some();
    if write {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == text,
        "{} is not what this code makes",
        path.display()
    );
}

#[test]
fn vectors_of_ids() {
    check("ids.json", &plain::ids());
}

#[test]
fn vectors_of_signatures() {
    check("signatures.json", &plain::signatures());
}

#[test]
fn vectors_of_logins() {
    check("logins.json", &plain::logins());
}

#[test]
fn vectors_of_invitations() {
    check("invitations.json", &plain::invitations());
}

#[test]
fn vectors_of_addresses() {
    check("addresses.json", &plain::addresses());
}

#[test]
fn vectors_of_account_logs() {
    check("account_logs.json", &logs::account_logs());
}

#[test]
fn vectors_of_vault_logs() {
    check("vault_logs.json", &logs::vault_logs());
}

#[test]
fn vectors_of_heads() {
    check("heads.json", &heads::heads());
}

#[test]
fn vectors_of_login_contexts() {
    check("login_contexts.json", &logins::contexts());
}

#[test]
fn vectors_of_head_contexts() {
    check("head_contexts.json", &contexts::heads());
}

#[test]
fn vectors_of_spellings() {
    check("spellings.json", &spellings::spellings());
}

#[test]
fn vectors_of_limits() {
    check("limits.json", &limits::limits());
}

#[test]
fn vectors_of_replaced_heads() {
    check("replaced_heads.json", &replaced::heads());
}
