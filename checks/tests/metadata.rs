//! What cargo says about this workspace.

use std::process::Command;

use serde_json::Value;

/// The document that `cargo metadata --format-version 1` prints for this
/// workspace, as this machine builds it.
///
/// # Panics
///
/// If cargo fails, or prints what is no metadata. `Cargo.lock` must be up to
/// date.
pub(crate) fn of_workspace() -> Value {
    // One platform only: for all of them, cargo would first download what
    // other systems need and this one never builds.
    let rustc = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    let version = String::from_utf8(rustc.stdout).expect("rustc prints UTF-8");
    let host = version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("rustc -vV names its host");

    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", host, "--manifest-path", manifest])
        .output()
        .expect("cargo runs");
    assert!(
        metadata.status.success(),
        "cargo metadata failed:\n{}",
        String::from_utf8_lossy(&metadata.stderr)
    );
    serde_json::from_slice(&metadata.stdout).expect("metadata is JSON")
}

/// # Panics
///
/// If `value` is no list: a document with holes would pass every check.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("metadata has this list").iter()
}

/// # Panics
///
/// As [`list`].
pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("metadata has this text").to_owned()
}
