//! What a hoster of Coffre runs: it keeps opaque packs, signed logs and signed
//! heads, checks all that can be checked without a key, and has no type that
//! could hold one.
//!
//! ```text
//! socket ─▶ net ─▶ service ─▶ store
//!           TLS    whose token, member of what,     ledger · packs
//!                  verify signatures (vault-proto)
//! ```
//!
//! An upload: `net` takes the connection and keeps the TLS exporter's output,
//! `service` finds out whose token it is and whether he may write to the vault,
//! [`store::Packs`] reserves room, hashes what streams in, has it written,
//! fsynced and renamed, and only then tells the ledger. A commit: `service`
//! verifies the head against the logs, and the ledger moves the vault to it in
//! one synced batch, if every pack is there and nobody was first.
//!
//! [`Server`] puts it together and is what the program `coffre-server` runs;
//! tests run it in their own process.

pub mod clock;
mod random;
mod seats;
pub mod store;
mod hoster_key;
mod net;
mod service;
pub mod admin;
mod server;

pub use hoster_key::HosterKey;
pub use net::{Accepting, Renewal, Tls, TlsError};
pub use server::{Config, Server, StartError};
pub use service::{Limits, Pace, Rate, Rates, Refusal, Relay};
