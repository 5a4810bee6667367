//! The way from a newest head back to one that is known, along previous and
//! skip hashes, and what a side keeps so that it can link and verify the next.
//!
//! The head at `n` links to `n - 1` and to `n - lowbit(n)`. Between two heads
//! that are `2^k` apart or less, the way is at most `k (k + 1) / 2 + 1` heads
//! long: after 100,000 missed heads, about 80 and at most 154.

use std::collections::BTreeMap;

use super::{Head, HeadError, UnverifiedHead};
use crate::ids::HeadHash;
use crate::position::HeadPosition;

/// Where the skip hash of head `seq` points: `seq` without its lowest set bit.
/// 0 stands for no head.
#[must_use]
pub const fn skip_seq(seq: u64) -> u64 {
    seq & seq.wrapping_sub(1)
}

/// The heads to send to who knows head `known` (0 for none) so that he can
/// verify that head `newest` extends it: from `newest` downwards, `known` itself
/// left out. Empty if there is nothing newer.
///
/// At `n` the way goes to `n - lowbit(n)` unless that is before `known`, else to
/// `n - 1`.
#[must_use]
pub fn skip_path(newest: u64, known: u64) -> Vec<u64> {
    let mut path = Vec::new();
    let mut seq = newest;
    while seq > known {
        path.push(seq);
        let skip = skip_seq(seq);
        seq = if skip >= known { skip } else { seq - 1 };
    }
    path
}

/// Checks that the first of `newest_first` extends `known`: each head links to
/// the one after it by its previous or its skip hash, and the last one to
/// `known`; without `known`, to the beginning.
///
/// Hashes only: who made the heads, and whether he was allowed to, is not
/// looked at. Costs one comparison a head. An empty path proves nothing new and
/// is no error.
///
/// # Errors
/// [`HeadError::Older`], [`HeadError::Fork`], [`HeadError::MissingLink`], or
/// [`HeadError::NotThisVault`] where heads of two vaults are mixed.
pub fn verify_path(
    known: Option<HeadPosition>,
    newest_first: &[UnverifiedHead],
) -> Result<(), HeadError> {
    let [newest, ..] = newest_first else {
        return Ok(());
    };
    if let Some(known) = known {
        if newest.seq() < known.seq {
            let got = newest.seq();
            return Err(HeadError::Older { known, got });
        }
        if newest.position() == known && newest_first.len() == 1 {
            return Ok(());
        }
        if newest.seq() == known.seq {
            return Err(HeadError::Fork { seq: known.seq });
        }
    }
    for pair in newest_first.windows(2) {
        let [newer, older] = pair else { continue };
        if newer.head.vault != older.head.vault {
            return Err(HeadError::NotThisVault);
        }
        check_link(&newer.head, Some(older.position()))?;
    }
    newest_first
        .last()
        .map_or(Ok(()), |oldest| check_link(&oldest.head, known))
}

/// Checks that `newer` links to `older`; to no head before it where `None`.
fn check_link(newer: &Head, older: Option<HeadPosition>) -> Result<(), HeadError> {
    let seq = older.map_or(0, |older| older.seq);
    let missing = HeadError::MissingLink {
        newer: newer.seq,
        older: seq,
    };
    let link = if seq.checked_add(1) == Some(newer.seq) {
        newer.previous
    } else if seq == skip_seq(newer.seq) {
        newer.skip
    } else {
        return Err(missing);
    };
    if link != older.map(|older| older.hash) {
        return Err(HeadError::Fork { seq });
    }
    Ok(())
}

/// What a side keeps of a vault's heads: the newest that it accepted, and the
/// hashes that links of later heads can point at (one for each bit set in its
/// sequence number, at most 64).
///
/// Only a [`VerifiedHead`](super::VerifiedHead) brings it forward.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenHeads {
    newest: Option<Head>,
    /// The newest head, then where skip hashes lead from it, down to before 0.
    chain: Vec<HeadPosition>,
}

/// The links of the head after the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadLinks {
    /// Its sequence number.
    pub seq: u64,
    /// The head before it.
    pub previous: Option<HeadHash>,
    /// The head at [`skip_seq`] of `seq`.
    pub skip: Option<HeadHash>,
}

/// A path whose links were verified, down to what was seen before. Who made its
/// newest head is not verified yet.
#[derive(Debug, Clone)]
pub struct HeadPath {
    /// Newest first, never empty.
    pub(super) heads: Vec<UnverifiedHead>,
    /// The newest head that was seen before.
    pub(super) base: Option<Head>,
    pub(super) seen: SeenHeads,
}

impl SeenHeads {
    /// Nothing was seen: any chain from its beginning will do, and whether it
    /// is the newest is not known.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What a side stored of [`SeenHeads::newest`] and [`SeenHeads::skips`].
    ///
    /// The bytes are one's own and are not verified again, but they must fit
    /// together.
    ///
    /// # Errors
    /// As for decoding, and [`HeadError::Links`] where the hashes are not as
    /// many as the head's sequence number asks for, or not the head's own.
    pub fn restore(newest: &[u8], skips: &[HeadHash]) -> Result<Self, HeadError> {
        let newest = UnverifiedHead::decode(newest)?;
        let mut chain = vec![newest.position()];
        let mut seq = skip_seq(newest.seq());
        for hash in skips {
            if seq == 0 {
                return Err(HeadError::Links);
            }
            chain.push(HeadPosition { seq, hash: *hash });
            seq = skip_seq(seq);
        }
        if seq != 0 || newest.head.skip != skips.first().copied() {
            return Err(HeadError::Links);
        }
        Ok(Self {
            newest: Some(newest.head),
            chain,
        })
    }

    /// Takes hashes from a store that has them all: `hash_at` is asked for each
    /// place that later links can point at.
    ///
    /// # Errors
    /// As [`SeenHeads::restore`], and [`HeadError::MissingLink`] where `hash_at`
    /// gives none.
    pub fn collect(
        newest: &[u8],
        mut hash_at: impl FnMut(u64) -> Option<HeadHash>,
    ) -> Result<Self, HeadError> {
        let newer = UnverifiedHead::decode(newest)?.seq();
        let mut skips = Vec::new();
        let mut seq = skip_seq(newer);
        while seq > 0 {
            skips.push(hash_at(seq).ok_or(HeadError::MissingLink { newer, older: seq })?);
            seq = skip_seq(seq);
        }
        Self::restore(newest, &skips)
    }

    /// The newest head that was accepted.
    #[must_use]
    pub fn newest(&self) -> Option<&Head> {
        self.newest.as_ref()
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Option<HeadPosition> {
        self.chain.first().copied()
    }

    /// The hashes where skip links lead from the newest head, for
    /// [`SeenHeads::restore`].
    #[must_use]
    pub fn skips(&self) -> Vec<HeadHash> {
        self.chain.iter().skip(1).map(|at| at.hash).collect()
    }

    /// The links of the next head.
    #[must_use]
    pub fn next_links(&self) -> HeadLinks {
        let newest = self.position();
        // A chain of 2^64 heads cannot be.
        let seq = newest.map_or(0, |at| at.seq).saturating_add(1);
        HeadLinks {
            seq,
            previous: newest.map(|at| at.hash),
            skip: self.hash_at(skip_seq(seq)),
        }
    }

    /// Verifies that the first of `newest_first` extends what was seen, and that
    /// on the way no head names older places in the logs than one before it.
    ///
    /// The heads are those of [`skip_path`], or more of the chain.
    ///
    /// # Errors
    /// As [`verify_path`], and [`HeadError::StalePosition`]; for an empty path
    /// or the known head alone, [`HeadError::Repeated`] with what is known.
    pub fn follow(&self, newest_first: Vec<UnverifiedHead>) -> Result<HeadPath, HeadError> {
        let known = self.position();
        verify_path(known, &newest_first)?;
        let Some(newest) = newest_first
            .first()
            .filter(|head| Some(head.position()) != known)
        else {
            let seq = known.map_or(0, |known| known.seq);
            return Err(HeadError::Repeated { seq });
        };
        if self
            .newest
            .as_ref()
            .is_some_and(|seen| seen.vault != newest.head.vault)
        {
            return Err(HeadError::NotThisVault);
        }
        let olders = newest_first.iter().skip(1).map(|head| &head.head);
        for (newer, older) in newest_first.iter().zip(olders.chain(self.newest.as_ref())) {
            check_positions_follow(&newer.head, older)?;
        }
        let seen = self.advance(&newest_first, newest)?;
        Ok(HeadPath {
            heads: newest_first,
            base: self.newest.clone(),
            seen,
        })
    }

    /// What has been seen once `newest` is accepted. Checks the links that the
    /// path did not take, as far as they go to heads that are known.
    fn advance(
        &self,
        newest_first: &[UnverifiedHead],
        newest: &UnverifiedHead,
    ) -> Result<Self, HeadError> {
        let kept = self.chain.iter().map(|at| (at.seq, at.hash));
        let path = newest_first.iter().map(|head| (head.seq(), head.hash()));
        let hashes: BTreeMap<u64, HeadHash> = kept.chain(path).collect();
        for head in newest_first {
            let seq = skip_seq(head.seq());
            if hashes.contains_key(&seq) && hashes.get(&seq) != head.head.skip.as_ref() {
                return Err(HeadError::Fork { seq });
            }
        }
        let mut chain = vec![newest.position()];
        let mut seq = skip_seq(newest.seq());
        while seq > 0 {
            // No link goes across `seq` without ending there: the path holds
            // this head, or it was kept from before.
            let hash = *hashes.get(&seq).ok_or(HeadError::MissingLink {
                newer: newest.seq(),
                older: seq,
            })?;
            chain.push(HeadPosition { seq, hash });
            seq = skip_seq(seq);
        }
        Ok(Self {
            newest: Some(newest.head.clone()),
            chain,
        })
    }

    /// A hash that was kept.
    fn hash_at(&self, seq: u64) -> Option<HeadHash> {
        self.chain.iter().find(|at| at.seq == seq).map(|at| at.hash)
    }
}

impl HeadPath {
    /// The newest head of the path, to be verified.
    #[must_use]
    pub fn newest(&self) -> &UnverifiedHead {
        &self.heads[0]
    }

    /// Every head of the path, newest first.
    #[must_use]
    pub fn heads(&self) -> &[UnverifiedHead] {
        &self.heads
    }
}

/// Whoever made `newer` knew what the maker of `older` did.
fn check_positions_follow(newer: &Head, older: &Head) -> Result<(), HeadError> {
    let same_author = newer.account == older.account;
    if newer.vault_position.seq < older.vault_position.seq
        || newer.epoch < older.epoch
        || (same_author && newer.account_position.seq < older.account_position.seq)
    {
        return Err(HeadError::StalePosition);
    }
    Ok(())
}
