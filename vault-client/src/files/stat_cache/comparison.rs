//! A directory as it is beside the one that the cache holds.

use super::record::CachedDirectory;
use crate::files::directory::Listing;

/// What of a listing is unchanged.
#[derive(Debug)]
pub struct Comparison {
    /// For each entry of the listing, the place of its unchanged entry in the
    /// cache.
    pub unchanged: Vec<Option<u32>>,
    /// Whether names and entries are all the same: then the directory's stream
    /// is, too, if those of the directories in it are.
    pub is_same: bool,
}

impl CachedDirectory {
    /// Finds what is unchanged, in one pass.
    #[must_use]
    pub fn compare(&self, listing: &Listing) -> Comparison {
        let mut unchanged = Vec::with_capacity(listing.len());
        let mut at = 0;
        for entry in listing.iter() {
            while self
                .entry(at)
                .is_some_and(|cached| cached.name < entry.name)
            {
                at += 1;
            }
            let cached = self.entry(at).filter(|cached| cached.name == entry.name);
            let is_unchanged = cached.is_some_and(|cached| cached.is_unchanged(&entry.stat));
            unchanged.push(is_unchanged.then_some(at as u32));
        }
        let is_same = self.iter().len() == listing.len()
            && unchanged.iter().all(Option::is_some)
            && listing.problems().is_empty();
        Comparison { unchanged, is_same }
    }
}
