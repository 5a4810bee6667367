//! What only a member may see: bytes in, bytes out. No network, no file
//! system, no clock, no executor; randomness is passed in.
//!
//! ```text
//! words, device ── keys ──▶ VaultKeys
//!                               │
//! plaintext ── chunker ──▶ chunk ── seal ──▶ sealed chunk ── pack ──▶ pack
//! ```

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

#[cfg(test)]
mod vectors;
