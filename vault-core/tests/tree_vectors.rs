//! Known answers for streams, nodes, directories, snapshots, catalogs,
//! settings and segments: `tests/vectors/*.json`, each of which says what it
//! holds.
//!
//! `COFFRE_REGENERATE_VECTORS=1 cargo test -p vault-core --test main no_file_of_vectors`
//! writes files that are not there. Those that are never change.

mod catalogs;
mod directories;
mod links;
mod nodes;
mod segments;
mod settings;
mod snapshots;
mod streams;

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use prost::Message;
use serde_json::{Value, json};

/// What a decoder made of a vector: the value, or the error's name.
type Described = Result<Value, String>;

/// One file of vectors.
struct File {
    name: &'static str,
    /// What a reader in another language must know to use it.
    about: &'static str,
    describe: fn(&[u8], &Value) -> Described,
    make: fn() -> Vec<Vector>,
}

struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    given: Value,
}

fn vector(name: &'static str, bytes: Vec<u8>) -> Vector {
    let given = Value::Null;
    Vector { name, bytes, given }
}

const FILES: [File; 8] = [
    streams::FILE,
    nodes::FILE,
    directories::FILE,
    snapshots::FILE,
    catalogs::FILE,
    settings::FILE,
    links::FILE,
    segments::FILE,
];

fn path_of(file: &File) -> PathBuf {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    PathBuf::from(directory).join(format!("{}.json", file.name))
}

fn check(name: &str) {
    let file = FILES.iter().find(|file| file.name == name).unwrap();
    let text = std::fs::read_to_string(path_of(file)).unwrap();
    let vectors: Value = serde_json::from_str(&text).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert!(vectors.iter().any(|vector| vector.get("value").is_some()));
    assert!(vectors.iter().any(|vector| vector.get("refused").is_some()));
    for vector in vectors {
        let described = (file.describe)(&unhex(&vector["bytes"]), &vector["given"]);
        let expected = match vector.get("refused") {
            Some(error) => Err(error.as_str().unwrap().to_owned()),
            None => Ok(vector["value"].clone()),
        };
        assert_eq!(described, expected, "{}: {}", file.name, vector["name"]);
    }
}

#[test]
fn streams_are_as_in_the_vectors() {
    check("stream");
}

#[test]
fn nodes_are_as_in_the_vectors() {
    check("node");
}

#[test]
fn directories_are_as_in_the_vectors() {
    check("directory");
}

#[test]
fn snapshots_are_as_in_the_vectors() {
    check("snapshot");
}

#[test]
fn catalogs_are_as_in_the_vectors() {
    check("catalog");
}

#[test]
fn settings_are_as_in_the_vectors() {
    check("settings");
}

#[test]
fn lists_of_links_are_as_in_the_vectors() {
    check("links");
}

#[test]
fn segments_are_as_in_the_vectors() {
    check("segment");
}

#[test]
fn no_file_of_vectors_is_missing() {
    #[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
    let writes = std::env::var_os("COFFRE_REGENERATE_VECTORS").is_some();
    for file in FILES.iter().filter(|file| !path_of(file).exists()) {
        assert!(writes, "{} is missing", path_of(file).display());
        let vectors: Vec<_> = (file.make)()
            .into_iter()
            .map(|vector| {
                let mut json = json!({ "name": vector.name, "bytes": hex(&vector.bytes) });
                if !vector.given.is_null() {
                    json["given"] = vector.given.clone();
                }
                match (file.describe)(&vector.bytes, &vector.given) {
                    Ok(value) => json["value"] = value,
                    Err(error) => json["refused"] = error.into(),
                }
                json
            })
            .collect();
        let json = json!({ "about": file.about, "vectors": vectors });
        let text = serde_json::to_string_pretty(&json).unwrap() + "\n";
        std::fs::create_dir_all(path_of(file).parent().unwrap()).unwrap();
        std::fs::write(path_of(file), text).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn unhex(value: &Value) -> Vec<u8> {
    HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

/// An error's name, without what it carries.
fn refused(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

/// The encoding of `message`, changed.
fn changed<M: Message + Default>(bytes: &[u8], change: impl FnOnce(&mut M)) -> Vec<u8> {
    let mut message = M::decode(bytes).unwrap();
    change(&mut message);
    message.encode_to_vec()
}

fn with(bytes: &[u8], more: &[u8]) -> Vec<u8> {
    [bytes, more].concat()
}
