//! Heads: the signed, hash-chained pointers to a vault's current state.
//!
//! ```text
//! bytes ─ decode ─▶ UnverifiedHead ─┬─ SeenHeads::follow ─▶ HeadPath ─┐
//!                                   └────────────── verify ◀──────────┴─▶ VerifiedHead
//! ```
//!
//! A head is 392 bytes and a signature; its layout is drawn in
//! vault-core/docs/format.md, "Heads". What it points at, the sealed root and
//! the lists of packs, comes beside it and is checked against it with
//! [`VerifiedHead::check_root`] and [`VerifiedHead::check_packs`].

mod entry;
mod error;
mod layout;
mod path;
mod verify;

#[cfg(test)]
pub(crate) mod tests;

pub use entry::{head_for_entry, is_head_for_entry};
pub use error::HeadError;
pub use layout::{Head, SignedHead, UnverifiedHead};
pub use path::{HeadLinks, HeadPath, SeenHeads, skip_path, skip_seq, verify_path};
pub use verify::{HeadContext, PreviousHeads, VerifiedHead};

/// Bytes of a head that are signed and hashed.
pub const HEAD_BYTES: usize = 392;
/// Bytes of a head with its signature.
pub const SIGNED_HEAD_BYTES: usize = 456;
/// Bytes of a sealed root: one of these, exactly.
pub const SEALED_ROOT_BYTES: [usize; 2] = [4096, 16_384];
