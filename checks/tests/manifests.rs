//! What the manifests of our own crates say.

use serde_json::Value;

use crate::metadata::{self, list, text};

/// The names of `package`'s dependencies that any release of a library would
/// satisfy. Paths between our own crates need no version.
fn wildcards(package: &Value) -> Vec<String> {
    list(&package["dependencies"])
        .filter(|dep| dep["req"] == "*" && dep["path"].is_null())
        .map(|dep| text(&dep["name"]))
        .collect()
}

fn our_packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    list(&metadata["packages"]).filter(|package| package["source"].is_null())
}

#[test]
fn every_library_is_asked_for_by_version() {
    let metadata = metadata::of_workspace();
    assert!(our_packages(&metadata).count() >= 8);
    for package in our_packages(&metadata) {
        assert_eq!(wildcards(package), [""; 0], "in {}", package["name"]);
    }
}

#[test]
fn a_wildcard_is_seen() {
    let package = serde_json::json!({"dependencies": [
        {"name": "any", "req": "*"},
        {"name": "ours", "req": "*", "path": "/ours"},
        {"name": "some", "req": "^1"},
    ]});
    assert_eq!(wildcards(&package), ["any"]);
}
