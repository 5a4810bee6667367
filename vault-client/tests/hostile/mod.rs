//! A hoster who attacks, against the real library over the real protocol.
//!
//! ```text
//! library ── gRPC over TCP ──▶ Front (lies when told to) ── gRPC ──▶ coffre-server
//! ```
//!
//! One test a case; `docs/security-cases.md` lists them. Each asserts the typed
//! error, that nothing wrong is written, and that nothing of the device's state
//! has moved. TLS is ended before the front, as by a reverse proxy: what a
//! hoster sends through it is the same, and `network::login` shows who is
//! talked to at all.

mod canaries;
mod downgrade;
mod exchanges;
mod fragment;
mod front;
mod history;
mod keys;
mod leakage;
mod links;
mod meeting;
mod members;
mod objects;
mod pairing;
mod repair;
mod scene;
mod skin;
mod sweep;
mod trees;
mod unsafe_keys;
mod untrue;
