//! Links: a subtree of one snapshot, for whoever holds a URL.
//!
//! ```text
//! maker:    snapshot ─▶ Capsule ─▶ seal ─▶ a pack ─▶ hoster      (and its LinkId)
//!                                   ▲ CapsuleKey ◀── LinkSecret, password
//! stranger: LinkUrl ─▶ LinkId ─▶ hoster ─▶ the pack ─▶ LinkUrl::open ─▶ Capsule
//!                                     └──▶ sealed chunks ─▶ SharedChunk::open
//! members:  root ─▶ Links, the list of live ones
//! ```
//!
//! ```text
//! link id     = BLAKE3-derive("coffre v1 link id", secret)
//! capsule key = BLAKE3-derive("coffre v1 link capsule key", secret ‖ stretched)
//! stretched   = Argon2id(password), or nothing without one
//! ```
//!
//! The hoster learns the link's id, which pack is the capsule, and which blocks
//! of which packs a download may read. The secret stands in the URL's fragment
//! and, sealed, in the vault; the password nowhere. Beside the secret, the URL
//! names the capsule by its hash: so neither the hoster nor another holder of the
//! link, nor both together, can put another in its place, and the capsule names
//! each sealed chunk by its hash.

mod capsule;
mod list;
mod password;
mod secret;
mod url;

pub use capsule::{
    BLOCK_LEN, Capsule, CapsuleError, CapsuleFields, MAX_CAPSULE_LEN, MAX_LINKED_CHUNKS,
    MAX_LINKED_HOLES, MAX_LINKED_NODES, MAX_LINKED_PACKS, SealCapsuleError, SealedCapsule,
    SharedChunk, SharedContent, SharedNode, Totals,
};
pub use list::{Link, Links, LinksError, MAX_LINKS, MAX_LINKS_LEN};
pub use password::{
    DEFAULT_MEMORY_KIBIBYTES, DEFAULT_PASSES, MAX_LANES, MAX_MEMORY_KIBIBYTES, MAX_PASSES,
    MAX_PASSWORD_LEN, MIN_MEMORY_KIBIBYTES, PasswordError, PasswordStretching, StretchedPassword,
};
pub use secret::{CapsuleKey, LinkSecret};
pub use url::{LINK_URL_VERSION, LinkUrl, LinkUrlError, MAX_LINK_URL_LEN, OpenLinkError};
