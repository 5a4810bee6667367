//! What only a member may see: bytes in, bytes out. No network, no file
//! system, no clock, no executor; randomness is passed in.
//!
//! ```text
//! words, device ── keys ──▶ VaultKeys, which open and seal all below
//!
//! file ──── chunker ────────────▶ chunks ─┐
//! directory ── tree ──▶ stream ─▶ chunks ─┼─ seal ──▶ pack ──▶ hoster
//! snapshots, catalog ─▶ stream ─▶ chunks ─┘            │ what is where
//!                                                      ▼
//!                                  hoster ◀── author ◀── root ◀── index
//! ```
//!
//! A link hands a subtree of a snapshot, with the keys of its chunks, to whoever
//! holds a URL (`links`).
//!
//! Reading goes the same way back: a verified head names the root, the root the
//! index and the catalog, the catalog the snapshots, and so on down to bytes.
//! Every byte layout is drawn in `docs/format.md`.

pub mod labels;
pub mod chunker;
mod secret;
pub mod aead;
pub mod boxes;
pub mod keys;

pub mod chunk;
pub mod timestamp;

pub mod seal;
pub mod pack;

pub mod stream;
pub mod tree;
pub mod snapshot;
pub mod catalog;
pub mod settings;

pub mod index;

pub mod root;
pub mod author;
pub mod links;

pub mod contact;
pub mod printed_head;
pub mod offer;
pub mod pairing;

#[cfg(test)]
mod vectors;
