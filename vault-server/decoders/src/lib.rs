//! What `vault-server` reads from its own disk, in the one shape of `coffre-decoders`.
//!
//! These are the server's own files, compiled once more: with the server would come TLS
//! and RocksDB. They stand in modules of the same names, so that their paths lead to the
//! same things. A file that comes to need more of the server does not compile here.

// The files' tests are the server's.
#![cfg(not(test))]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the decoders need a part of each file"
)]

#[path = "../../src/clock.rs"]
mod clock;
mod store;

pub use store::embedded::ledger_row;
