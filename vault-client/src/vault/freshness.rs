//! Whether what the hoster shows is known to be the newest, and how a member
//! confirms it: by a head that another device of his shows, or that he printed.

use vault_core::printed_head::PrintedHead;
use vault_proto::head::{HeadError, UnverifiedHead, skip_seq, verify_path};
use vault_proto::position::HeadPosition;

use super::{Vault, VaultError};
use crate::remote::SyncRequest;
use crate::state::StateError;

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
        Some(PrintedHead::of(&self.id, &head).to_string())
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
        let fork = VaultError::Head(HeadError::Fork { seq: printed.seq() });
        let Some(newest) = self.head().filter(|newest| newest.seq >= printed.seq()) else {
            let got = self.head().map_or(0, |newest| newest.seq);
            return Err(VaultError::PrintedHeadMissing {
                printed: printed.seq(),
                got,
            });
        };
        if newest.seq == printed.seq() {
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
            without_root: true,
            ..self.view.asks_between(printed.seq(), 0)
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
            if oldest.seq == printed.seq() + 1 {
                oldest.previous
            } else if skip_seq(oldest.seq) == printed.seq() {
                oldest.skip
            } else {
                None
            }
        });
        let named = link.filter(|hash| printed.names(hash));
        let seq = printed.seq();
        let hash = named.ok_or(VaultError::Head(HeadError::Fork { seq }))?;
        verify_path(Some(HeadPosition { seq, hash }), &heads).map_err(VaultError::Head)
    }
}
