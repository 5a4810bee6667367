//! So many at a time, for each of whoever it is.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// How many of something each `K` has.
#[derive(Debug)]
pub(crate) struct Seats<K> {
    most: usize,
    taken: Mutex<HashMap<K, usize>>,
}

impl<K: Hash + Eq + Clone> Seats<K> {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            taken: Mutex::default(),
        })
    }

    /// `None` if `who` has as many as may be.
    pub(crate) fn take(self: &Arc<Self>, who: K) -> Option<Seat<K>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(who.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Seat {
            seats: Arc::clone(self),
            who,
        })
    }
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Hash + Eq> {
    seats: Arc<Seats<K>>,
    who: K,
}

impl<K: Hash + Eq> Drop for Seat<K> {
    fn drop(&mut self) {
        let taken = self.seats.taken.lock();
        let mut taken = taken.unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_so_many_and_gets_them_back() {
        let seats = Seats::new(2);
        let first = seats.take("alice").unwrap();
        let _second = seats.take("alice").unwrap();
        assert!(seats.take("alice").is_none());
        let bobs = seats.take("bob").unwrap();
        drop(first);
        let third = seats.take("alice").unwrap();
        assert!(seats.take("alice").is_none());
        drop((third, bobs));
        // Nothing is kept of who has none.
        assert_eq!(seats.taken.lock().unwrap().len(), 1);
    }
}
