//! Links: a file or a directory of a snapshot, for whoever holds a URL.
//!
//! ```text
//! create: snapshot ─▶ plan (tree, places of chunks) ─▶ read and hash the chunks
//!         ─▶ capsule, a pack ─▶ head with the vault's list ─▶ CreateLink
//! get:    URL ─▶ OpenLink ─▶ capsule ─▶ ranges of packs ─▶ check, open, write
//! ```
//!
//! The secret of a link is in its URL and, sealed, in the vault. No call to a
//! hoster carries it.

mod create;
mod error;
mod get;
mod list;
mod plan;
mod stored;

use std::fmt;

use zeroize::Zeroizing;

pub(crate) use stored::read as read_list;

pub use create::{CreatedLink, LinkOptions, create};
pub use error::{GetError, LinkError};
pub use get::{GetOptions, GetReport, LinkContents, LinkDownload, get};
pub use list::{LinkList, LinkState, LinkSummary, list, revoke};
pub use vault_core::links::{LinkUrl, LinkUrlError, Totals};

/// The password of a link. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes what a person typed.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}
