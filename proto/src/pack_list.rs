//! The packs that a head adds or takes away.

use crate::ids::{PackId, PackListHash};
use crate::labels;

/// The most packs that one head adds, and the most that it takes away.
pub const MAX_LISTED_PACKS: usize = 8192;

/// Packs in strictly ascending order of their ids, at most [`MAX_LISTED_PACKS`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackList(Vec<PackId>);

/// Why bytes or ids are no list of packs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackListError {
    /// Not a multiple of 32 bytes.
    #[error("a list of packs is a multiple of 32 bytes long, not {0}")]
    Length(usize),
    /// More than [`MAX_LISTED_PACKS`].
    #[error("a list of {0} packs is too long")]
    TooMany(usize),
    /// Not in strictly ascending order.
    #[error("the packs are not in strictly ascending order")]
    Order,
}

impl PackList {
    /// Takes packs in any order, each once.
    ///
    /// # Errors
    /// If there are too many, or one twice.
    pub fn from_unordered(mut packs: Vec<PackId>) -> Result<Self, PackListError> {
        packs.sort_unstable();
        Self::from_ordered(packs)
    }

    /// Takes packs in their order.
    ///
    /// # Errors
    /// See [`PackListError`].
    pub fn from_ordered(packs: Vec<PackId>) -> Result<Self, PackListError> {
        if packs.len() > MAX_LISTED_PACKS {
            return Err(PackListError::TooMany(packs.len()));
        }
        if !packs.is_sorted_by(|a, b| a < b) {
            return Err(PackListError::Order);
        }
        Ok(Self(packs))
    }

    /// Reads ids of 32 bytes, end to end, in their order.
    ///
    /// # Errors
    /// See [`PackListError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackListError> {
        let (ids, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(PackListError::Length(bytes.len()));
        }
        if ids.len() > MAX_LISTED_PACKS {
            return Err(PackListError::TooMany(ids.len()));
        }
        Self::from_ordered(ids.iter().copied().map(PackId::from_array).collect())
    }

    /// The ids end to end, as a message carries them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|pack| *pack.as_bytes()).collect()
    }

    /// The packs, in their order.
    #[must_use]
    pub fn packs(&self) -> &[PackId] {
        &self.0
    }

    /// Whether the list names this pack.
    #[must_use]
    pub fn contains(&self, pack: &PackId) -> bool {
        self.0.binary_search(pack).is_ok()
    }

    /// `BLAKE3-derive_key("coffre v1 pack list", ids end to end)`, as heads name it.
    #[must_use]
    pub fn hash(&self) -> PackListHash {
        PackListHash::from_array(labels::hash(labels::PACK_LIST, &[&self.to_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(number: u16) -> PackId {
        PackId::of(&number.to_le_bytes())
    }

    #[test]
    fn is_strictly_ascending_and_bounded() {
        let list = PackList::from_unordered((0..9).map(pack).collect()).unwrap();
        assert_eq!(PackList::from_bytes(&list.to_bytes()), Ok(list.clone()));
        assert!(list.contains(&pack(3)) && !list.contains(&pack(9)));

        let mut swapped = list.packs().to_vec();
        swapped.swap(2, 3);
        assert_eq!(PackList::from_ordered(swapped), Err(PackListError::Order));
        let twice = vec![pack(1), pack(1)];
        assert_eq!(PackList::from_unordered(twice), Err(PackListError::Order));
        let cut = &list.to_bytes()[1..];
        assert_eq!(PackList::from_bytes(cut), Err(PackListError::Length(287)));
        let many: Vec<_> = (0..=MAX_LISTED_PACKS as u16).map(pack).collect();
        let bytes = PackList::from_unordered(many[1..].to_vec())
            .unwrap()
            .to_bytes();
        assert!(PackList::from_bytes(&bytes).is_ok());
        assert_eq!(
            PackList::from_unordered(many),
            Err(PackListError::TooMany(8193))
        );
        assert_eq!(
            PackList::from_bytes(&[bytes, vec![0xff; 32]].concat()),
            Err(PackListError::TooMany(8193))
        );
    }
}
