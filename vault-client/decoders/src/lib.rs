//! What `vault-client` decodes by itself, in the one shape of `coffre-decoders`.
//!
//! These are the client's own files, compiled once more: with the client would come TLS
//! and SQLite, minutes of C that no fuzzer looks at. They stand in modules of the same
//! names, so that their paths lead to the same things. A file that comes to need more of
//! the client does not compile here.

// The files' tests are the client's.
#![cfg(not(test))]
#![allow(
    dead_code,
    unreachable_pub,
    reason = "the decoders need a part of each file"
)]

#[path = "../../src/error.rs"]
mod error;
mod files;
mod remote;
mod transfer;

pub use files::stat_cache::{cached_directory, cached_directory_seed};
pub use remote::grpc::hoster_answer;
pub use transfer::noted_pack;
