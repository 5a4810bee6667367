//! The two rooms (`ARCHITECTURE.md`): what a hoster runs has no type that
//! could hold a member's key, and what holds the keys touches nothing outside.

use crate::graph::Graph;
use crate::metadata;

/// Crates that bring a network, an executor, a file system or a database.
/// `vault-core` is bytes in, bytes out.
const OUTSIDE: &[&str] = &[
    // executors and sockets
    "tokio",
    "tokio-rustls",
    "tokio-stream",
    "async-io",
    "async-std",
    "smol",
    "polling",
    "mio",
    "socket2",
    "rustls",
    "aws-lc-rs",
    // protocols
    "tonic",
    "tower",
    "hyper",
    "hyper-util",
    "h2",
    "http",
    "vault-rpc",
    // file systems
    "rustix",
    "nix",
    "tempfile",
    "walkdir",
    "ignore",
    "filetime",
    "xattr",
    "memmap2",
    "notify",
    "etcetera",
    // databases
    "rusqlite",
    "libsqlite3-sys",
    "rocksdb",
    "librocksdb-sys",
    // the other room
    "vault-client",
    "vault-server",
];

#[track_caller]
fn assert_unreachable(from: &str, forbidden: impl Fn(&str) -> bool) {
    if let Some(way) = Graph::from_metadata(&metadata::of_workspace()).way(from, forbidden) {
        panic!(
            "{from} must not reach {}: {}",
            way[way.len() - 1],
            way.join(" -> ")
        );
    }
}

#[test]
fn the_server_has_no_type_that_could_hold_a_key() {
    assert_unreachable("vault-server", |name| {
        name == "vault-core" || name == "vault-client"
    });
}

#[test]
fn what_both_sides_see_knows_neither_side() {
    let sides = ["vault-core", "vault-client", "vault-server"];
    assert_unreachable("vault-proto", |name| sides.contains(&name));
    assert_unreachable("vault-rpc", |name| sides.contains(&name));
}

#[test]
fn the_core_reaches_no_network_no_file_system_and_no_executor() {
    assert_unreachable("vault-core", |name| OUTSIDE.contains(&name));
}

/// The walk over the real graph finds what is known to be there: without this,
/// a change in what cargo prints could make the tests above pass on nothing.
#[test]
fn what_is_known_to_be_reachable_is_reached() {
    let graph = Graph::from_metadata(&metadata::of_workspace());
    for (from, to) in [
        ("vault-client", "vault-core"),
        ("vault-core", "vault-proto"),
        ("vault-server", "vault-proto"),
        ("vault-server", "tokio"),
        ("vault-server", "librocksdb-sys"),
    ] {
        assert!(
            graph.way(from, |name| name == to).is_some(),
            "{from} should reach {to}"
        );
    }
}
