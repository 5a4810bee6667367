//! Names of users and groups.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use nix::unistd::{Gid, Group, Uid, User};

use super::handle::lock;

/// Where names of users and groups come from.
pub trait OwnerSource: Send + Sync {
    /// The name of a user.
    fn user_name(&self, uid: u32) -> Option<Vec<u8>>;
    /// The name of a group.
    fn group_name(&self, gid: u32) -> Option<Vec<u8>>;
    /// The number of a user.
    fn user_id(&self, name: &[u8]) -> Option<u32>;
    /// The number of a group.
    fn group_id(&self, name: &[u8]) -> Option<u32>;
}

/// What the system knows: `/etc/passwd`, a directory service.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemOwners;

impl OwnerSource for SystemOwners {
    fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
        Some(user.name.into_bytes())
    }

    fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
        let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten()?;
        Some(group.name.into_bytes())
    }

    fn user_id(&self, name: &[u8]) -> Option<u32> {
        let name = std::str::from_utf8(name).ok()?;
        Some(User::from_name(name).ok().flatten()?.uid.as_raw())
    }

    fn group_id(&self, name: &[u8]) -> Option<u32> {
        let name = std::str::from_utf8(name).ok()?;
        Some(Group::from_name(name).ok().flatten()?.gid.as_raw())
    }
}

/// Names of users and groups, each looked up once: a directory service may
/// take a network round trip to say that it knows nobody.
#[derive(Clone)]
pub struct OwnerNames(Arc<Shared>);

struct Shared {
    source: Box<dyn OwnerSource>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    users: HashMap<u32, Vec<u8>>,
    groups: HashMap<u32, Vec<u8>>,
    user_ids: HashMap<Vec<u8>, Option<u32>>,
    group_ids: HashMap<Vec<u8>, Option<u32>>,
}

impl OwnerNames {
    /// Remembers what `source` says.
    #[must_use]
    pub fn new(source: impl OwnerSource + 'static) -> Self {
        Self(Arc::new(Shared {
            source: Box::new(source),
            known: Mutex::default(),
        }))
    }

    /// The name of a user; empty if there is none.
    #[must_use]
    pub fn user_name(&self, uid: u32) -> Vec<u8> {
        let ask = || self.0.source.user_name(uid).unwrap_or_default();
        let mut known = lock(&self.0.known);
        known.users.entry(uid).or_insert_with(ask).clone()
    }

    /// The name of a group; empty if there is none.
    #[must_use]
    pub fn group_name(&self, gid: u32) -> Vec<u8> {
        let ask = || self.0.source.group_name(gid).unwrap_or_default();
        let mut known = lock(&self.0.known);
        known.groups.entry(gid).or_insert_with(ask).clone()
    }

    /// The number of a user, by name.
    #[must_use]
    pub fn user_id(&self, name: &[u8]) -> Option<u32> {
        let mut known = lock(&self.0.known);
        if let Some(id) = known.user_ids.get(name) {
            return *id;
        }
        let id = self.0.source.user_id(name);
        known.user_ids.insert(name.to_vec(), id);
        id
    }

    /// The number of a group, by name.
    #[must_use]
    pub fn group_id(&self, name: &[u8]) -> Option<u32> {
        let mut known = lock(&self.0.known);
        if let Some(id) = known.group_ids.get(name) {
            return *id;
        }
        let id = self.0.source.group_id(name);
        known.group_ids.insert(name.to_vec(), id);
        id
    }
}

impl Default for OwnerNames {
    fn default() -> Self {
        Self::new(SystemOwners)
    }
}

impl fmt::Debug for OwnerNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerNames").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Counting(Arc<AtomicU32>);

    impl Counting {
        fn count<R>(&self, answer: Option<R>) -> Option<R> {
            self.0.fetch_add(1, Ordering::Relaxed);
            answer
        }
    }

    impl OwnerSource for Counting {
        fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
            self.count((uid == 7).then(|| b"seven".to_vec()))
        }

        fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
            self.count((gid == 8).then(|| b"eight".to_vec()))
        }

        fn user_id(&self, name: &[u8]) -> Option<u32> {
            self.count((name == b"seven").then_some(7))
        }

        fn group_id(&self, name: &[u8]) -> Option<u32> {
            self.count((name == b"eight").then_some(8))
        }
    }

    #[test]
    fn each_is_looked_up_once_also_if_nobody_knows_it() {
        let asked = Arc::new(AtomicU32::new(0));
        let owners = OwnerNames::new(Counting(Arc::clone(&asked)));
        for _ in 0..3 {
            assert_eq!(owners.user_name(7), b"seven");
            assert_eq!(owners.user_name(8), b"");
            assert_eq!(owners.group_name(8), b"eight");
            assert_eq!(owners.group_name(7), b"");
            assert_eq!(owners.user_id(b"seven"), Some(7));
            assert_eq!(owners.user_id(b"eight"), None);
            assert_eq!(owners.group_id(b"eight"), Some(8));
            assert_eq!(owners.group_id(b"seven"), None);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 8);
    }

    #[test]
    fn the_system_knows_root() {
        let owners = OwnerNames::default();
        assert_eq!(
            (owners.user_name(0), owners.group_name(0)),
            (b"root".to_vec(), b"root".to_vec())
        );
        assert_eq!(
            (owners.user_id(b"root"), owners.group_id(b"root")),
            (Some(0), Some(0))
        );
        assert_eq!(owners.user_id(b"\xff"), None);
    }
}
