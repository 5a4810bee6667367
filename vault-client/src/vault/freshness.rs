//! Whether what the hoster shows is known to be the newest, and how a member
//! confirms it: by a head that another device of his shows, or that he printed.
//!
//! ```text
//! printed head = SEQ "-" groups of 4 of BASE32(
//!     first 20 bytes of the head's hash ‖ first 5 bytes of
//!     derive_key("coffre v1 printed head", vault ‖ seq (u64) ‖ those 20 bytes))
//! ```

use data_encoding::BASE32_NOPAD;
use vault_core::labels;
use vault_proto::head::{HeadError, UnverifiedHead, skip_seq, verify_path};
use vault_proto::ids::{HeadHash, VaultId};
use vault_proto::position::HeadPosition;

use super::{Vault, VaultError};
use crate::remote::SyncRequest;
use crate::state::StateError;

/// Bytes of a hash that are printed: nobody finds a second head with the same.
const HASH_BYTES: usize = 20;
/// Bytes that tell a slip of the pen, or a head of another vault.
const CHECK_BYTES: usize = 5;
/// Characters between two dashes.
const GROUP: usize = 4;

/// Whether what was seen of an account or a vault is known to be the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// This device has followed it from the beginning, or somebody who did has
    /// confirmed it. A hoster may still hold back what is newer.
    Confirmed,
    /// This device began without a memory, as after a recovery: the hoster may
    /// show an old state.
    Unknown,
}

impl Freshness {
    pub(crate) fn of(is_doubted: bool) -> Self {
        if is_doubted {
            Self::Unknown
        } else {
            Self::Confirmed
        }
    }
}

impl Vault {
    /// Whether what was seen of the vault is known to be the newest.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn freshness(&self) -> Result<Freshness, StateError> {
        let doubted = self.member.state.is_doubted(self.id.as_bytes())?;
        Ok(Freshness::of(doubted))
    }

    /// The newest head that this device has seen, to be printed or read out, and
    /// given to [`Vault::confirm`] elsewhere; `None` while there is none.
    #[must_use]
    pub fn printed_head(&self) -> Option<String> {
        let head = self.head()?;
        let mut bytes = [0; HASH_BYTES];
        bytes.copy_from_slice(&head.hash.as_bytes()[..HASH_BYTES]);
        let check = check_bytes(&self.id, head.seq, &bytes);
        let text = BASE32_NOPAD.encode(&[&bytes[..], &check].concat());
        let mut printed = head.seq.to_string();
        for (place, character) in text.to_ascii_lowercase().chars().enumerate() {
            if place % GROUP == 0 {
                printed.push('-');
            }
            printed.push(character);
        }
        Some(printed)
    }

    /// Confirms that the vault is as new as a head that was printed: the hoster's
    /// newest is that one, or has come after it.
    ///
    /// # Errors
    /// [`VaultError::PrintedHead`] when it is none of this vault's;
    /// [`VaultError::Head`] when the hoster shows an older head, or one of
    /// another chain.
    pub fn confirm(&mut self, printed: &str) -> Result<(), VaultError> {
        let printed = PrintedHead::parse(&self.id, printed).ok_or(VaultError::PrintedHead)?;
        self.refresh()?;
        let fork = VaultError::Head(HeadError::Fork { seq: printed.seq });
        let Some(newest) = self.head().filter(|newest| newest.seq >= printed.seq) else {
            let got = self.head().map_or(0, |newest| newest.seq);
            return Err(VaultError::PrintedHeadMissing {
                printed: printed.seq,
                got,
            });
        };
        if newest.seq == printed.seq {
            if !printed.names(&newest.hash) {
                return Err(fork);
            }
        } else {
            self.verify_ancestor(newest, &printed)?;
        }
        Ok(self.member.state.trust(self.id.as_bytes())?)
    }

    /// Asks for the way from the newest head to the printed one, and verifies it.
    fn verify_ancestor(
        &self,
        newest: HeadPosition,
        printed: &PrintedHead,
    ) -> Result<(), VaultError> {
        let request = SyncRequest {
            vault: self.id,
            vault_log_seq: self.view.vault_log.position().seq,
            head_seq: printed.seq,
            accounts: Vec::new(),
            without_root: true,
            until_head_seq: 0,
        };
        let answer = self.member.remote.sync_vault(&request)?;
        let heads = answer.heads.iter().map(|head| UnverifiedHead::decode(head));
        let mut heads = heads
            .collect::<Result<Vec<_>, _>>()
            .map_err(VaultError::Head)?;
        // Somebody may have committed since: the way leads on from what was
        // verified.
        let known = heads.iter().position(|head| head.position() == newest);
        let fork = VaultError::Head(HeadError::Fork { seq: newest.seq });
        heads.drain(..known.ok_or(fork)?);
        let oldest = heads.last().map(UnverifiedHead::claims);
        let link = oldest.and_then(|oldest| {
            if oldest.seq == printed.seq + 1 {
                oldest.previous
            } else if skip_seq(oldest.seq) == printed.seq {
                oldest.skip
            } else {
                None
            }
        });
        let named = link.filter(|hash| printed.names(hash));
        let seq = printed.seq;
        let hash = named.ok_or(VaultError::Head(HeadError::Fork { seq }))?;
        verify_path(Some(HeadPosition { seq, hash }), &heads).map_err(VaultError::Head)
    }
}

/// A head, as far as it is printed.
struct PrintedHead {
    seq: u64,
    hash: [u8; HASH_BYTES],
}

impl PrintedHead {
    /// Reads it, whatever case and spaces were made of it.
    fn parse(vault: &VaultId, text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > 128 {
            return None;
        }
        let (seq, rest) = text.split_once('-')?;
        let seq: u64 = seq.parse().ok().filter(|seq| *seq > 0)?;
        let letters: String = rest
            .chars()
            .filter(|c| *c != '-' && !c.is_whitespace())
            .map(|c| c.to_ascii_uppercase())
            .collect();
        let bytes = BASE32_NOPAD.decode(letters.as_bytes()).ok()?;
        let (hash, check) = bytes.split_first_chunk::<HASH_BYTES>()?;
        (check == check_bytes(vault, seq, hash)).then_some(Self { seq, hash: *hash })
    }

    fn names(&self, hash: &HeadHash) -> bool {
        hash.as_bytes()[..HASH_BYTES] == self.hash
    }
}

fn check_bytes(vault: &VaultId, seq: u64, hash: &[u8; HASH_BYTES]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new_derive_key(labels::PRINTED_HEAD);
    hasher.update(vault.as_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.update(hash);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}
