//! The list of links in a vault: read, and changed in a commit each.

use bytes::Bytes;
use vault_core::chunk::ChunkKind;
use vault_core::links::{Link, Links, LinksError};
use vault_core::pack::FinishedPack;
use vault_proto::ids::PackId;
use vault_proto::wire::{Located, Root};

use super::LinkError;
use crate::transfer::{TransferError, keep_alone, read_alone, seal_alone};
use crate::vault::{CommitPlan, CommitResult, Vault, VaultError};

/// How often a change is made anew after another device was first.
const RACES: usize = 16;

/// The links as of the vault's root.
pub(crate) fn read(vault: &Vault) -> Result<Links, LinkError> {
    let Some(at) = &vault.root()?.links else {
        return Ok(Links::default());
    };
    let plaintext = read_alone(vault, ChunkKind::Links, at)?;
    Links::decode(&plaintext).map_err(LinkError::ListMalformed)
}

/// Changes the list, under the vault's lock and on its newest state. The pack of
/// each link that is new is to be uploaded by then, and of each that goes is
/// taken away.
pub(super) fn change(
    vault: &mut Vault,
    change: impl Fn(&Vault, &mut Links) -> Result<(), LinkError>,
) -> Result<(), LinkError> {
    let _lock = vault.lock()?;
    vault.prepare()?;
    for _ in 0..RACES {
        let before = read(vault)?;
        let mut after = before.clone();
        change(vault, &mut after)?;
        if after == before {
            return Ok(());
        }
        let difference = Difference::between(&before, &after);
        let list = match after.all() {
            [] => None,
            _ => {
                let sealed = seal_alone(vault, ChunkKind::Links, &after.encode())?;
                Some(sealed.ok_or(LinkError::Links(LinksError::TooMany))?)
            }
        };
        if let Some((pack, _)) = &list {
            keep_alone(vault, &pack.id, &pack.bytes)?;
            let bytes = Bytes::copy_from_slice(&pack.bytes);
            vault.remote().put_pack(&vault.id(), &pack.id, bytes)?;
        }
        let plan = difference.plan(vault.root()?, list, vault.now().to_wire())?;
        match vault.commit(plan) {
            Ok(CommitResult::Committed(_)) => return Ok(()),
            // Another device was first, or one was removed.
            Ok(CommitResult::LostRace) | Err(VaultError::RotationDue) => vault.prepare()?,
            // Of a link that is new, or of the list: uploads are kept for a week.
            Ok(CommitResult::Missing(_)) => return Err(LinkError::Overtaken),
            Err(error) => return Err(error.into()),
        }
    }
    Err(LinkError::Overtaken)
}

/// The packs of capsules, and their bytes, that come and go.
#[derive(Default)]
struct Difference {
    adds: Vec<(PackId, u32)>,
    removes: Vec<(PackId, u32)>,
}

impl Difference {
    fn between(before: &Links, after: &Links) -> Self {
        let only_in = |one: &Links, other: &Links| -> Vec<_> {
            one.all()
                .iter()
                .filter(|link| other.link(&link.id()).is_none())
                .map(|link: &Link| (link.capsule, link.capsule_size))
                .collect()
        };
        Self {
            adds: only_in(after, before),
            removes: only_in(before, after),
        }
    }

    fn plan(
        mut self,
        before: &Root,
        list: Option<(FinishedPack, Located)>,
        committed: vault_proto::wire::Timestamp,
    ) -> Result<CommitPlan, LinkError> {
        if let Some(old) = &before.links {
            let pack = PackId::from_slice(&old.pack).map_err(|_| TransferError::Unknown)?;
            self.removes.push((pack, old.pack_size));
        }
        let links = list.map(|(pack, located)| {
            self.adds.push((pack.id, located.pack_size));
            located
        });
        let bytes = |packs: &[(PackId, u32)]| -> u64 {
            packs.iter().map(|(_, size)| u64::from(*size)).sum()
        };
        // The newest removal stays: no chunk of these packs is ever named again.
        let root = Root {
            minimum_reader: before.minimum_reader.max(1),
            minimum_writer: before.minimum_writer.max(1),
            committed: Some(committed),
            links,
            pack_count: (before.pack_count)
                .saturating_add(self.adds.len() as u64)
                .saturating_sub(self.removes.len() as u64),
            pack_bytes: (before.pack_bytes)
                .saturating_add(bytes(&self.adds))
                .saturating_sub(bytes(&self.removes)),
            ..before.clone()
        };
        let ids = |packs: Vec<(PackId, u32)>| packs.into_iter().map(|(id, _)| id).collect();
        Ok(CommitPlan {
            adds: ids(self.adds),
            removes: ids(self.removes),
            root,
        })
    }
}
