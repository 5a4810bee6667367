//! What this device has stored itself in a vault that others write to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use vault_core::{chunk::ChunkId, index::IndexEntry};
use vault_proto::ids::{PackId, VaultId};

use super::entries_of;
use crate::{
    state::{State, StateError},
    transfer::SentPack,
};

/// Packs of which the entries are kept in memory: a file's chunks lie in few.
const KEPT_PACKS: usize = 64;

/// Says which entries of the index this device can vouch for.
///
/// Another writer can put anything into the index under an id that he foresees,
/// even a place in a pack that is not his. So it is not enough to know whose a
/// pack is: the entry must be one that this device made when it sealed the pack.
pub(crate) struct OwnPacks {
    state: Arc<State>,
    vault: VaultId,
    kept: Mutex<HashMap<PackId, Arc<Entries>>>,
}

type Entries = HashMap<ChunkId, IndexEntry>;

impl OwnPacks {
    /// Those that the device has sealed in the vault since it knows of others
    /// who write to it.
    pub(crate) fn open(state: Arc<State>, vault: VaultId) -> Result<Self, StateError> {
        state.keep_own_packs(&vault)?;
        Ok(Self {
            state,
            vault,
            kept: Mutex::default(),
        })
    }

    /// Whether this device has sealed the chunk just there.
    pub(super) fn hold(&self, entry: &IndexEntry) -> Result<bool, StateError> {
        Ok(self.entries(&entry.pack)?.get(&entry.id) == Some(entry))
    }

    fn entries(&self, pack: &PackId) -> Result<Arc<Entries>, StateError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entries) = kept.get(pack) {
            return Ok(entries.clone());
        }
        let noted = self.state.own_pack(&self.vault, pack)?;
        let sealed = noted.and_then(SentPack::from_pending);
        let entries: Entries = sealed
            .iter()
            .flat_map(entries_of)
            .map(|entry| (entry.id, entry))
            .collect();
        let entries = Arc::new(entries);
        if kept.len() == KEPT_PACKS {
            kept.clear();
        }
        kept.insert(*pack, entries.clone());
        Ok(entries)
    }
}
