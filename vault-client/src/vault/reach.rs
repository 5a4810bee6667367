//! Whether a vault holds what somebody else has seen of it.

use vault_proto::head::{HeadError, UnverifiedHead, verify_path};
use vault_proto::position::{HeadPosition, LogPosition};

use super::fetch::committed;
use super::{Vault, VaultError};
use crate::remote::SyncRequest;

/// How often a hoster may show a newer head than a moment before.
const RACES: usize = 8;

impl Vault {
    /// Checks that the vault, as its hoster shows it, reaches what another device
    /// has seen: that entry stands in its log, and its newest head extends that
    /// head. Fetches what is new, if what is stored does not reach that far.
    ///
    /// # Errors
    /// [`VaultError::LogWentBack`], [`VaultError::LogFork`],
    /// [`VaultError::HosterWentBack`], [`VaultError::Head`], and the others.
    pub(crate) fn check_reaches(
        &mut self,
        position: LogPosition,
        head: Option<HeadPosition>,
    ) -> Result<(), VaultError> {
        let reaches = |vault: &Self| {
            vault.log().position().seq >= position.seq
                && vault.head().map(|at| at.seq) >= head.map(|at| at.seq)
        };
        if !reaches(self) {
            self.refresh()?;
        }
        match self.log().hash_at(position.seq) {
            Some(hash) if hash == position.hash => {}
            Some(_) => return Err(VaultError::LogFork),
            None => {
                return Err(VaultError::LogWentBack {
                    known: position.seq,
                    got: self.log().position().seq,
                });
            }
        }
        head.map_or(Ok(()), |head| self.check_extends(head))
    }

    /// Checks that the newest head is this one, or extends it.
    pub(crate) fn check_extends(&mut self, known: HeadPosition) -> Result<(), VaultError> {
        for _ in 0..RACES {
            let Some(newest) = self.head().filter(|newest| newest.seq >= known.seq) else {
                return Err(VaultError::HosterWentBack {
                    known,
                    committed: None,
                    got: self.head().map_or(0, |newest| newest.seq),
                    shown: committed(&self.view),
                });
            };
            if newest.seq == known.seq {
                let fork = HeadError::Fork { seq: known.seq };
                return (newest == known)
                    .then_some(())
                    .ok_or(VaultError::Head(fork));
            }
            let path = self.path_from(known)?;
            match path.first().map(UnverifiedHead::position) {
                Some(first) if first == newest => {
                    return verify_path(Some(known), &path).map_err(VaultError::Head);
                }
                Some(first) if first.seq > newest.seq => self.refresh()?,
                _ => return Err(VaultError::Answer("a path that does not begin at the head")),
            }
        }
        Err(VaultError::Overtaken)
    }

    fn path_from(&self, known: HeadPosition) -> Result<Vec<UnverifiedHead>, VaultError> {
        let request = SyncRequest {
            without_root: true,
            ..self.view.asks_between(known.seq, 0)
        };
        let heads = self.member.remote.sync_vault(&request)?.heads;
        let heads = heads.iter().map(|head| UnverifiedHead::decode(head));
        heads.collect::<Result<_, _>>().map_err(VaultError::Head)
    }
}
