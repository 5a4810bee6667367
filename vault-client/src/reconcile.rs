//! Bringing a vault forward again whose hoster has gone back.
//!
//! ```text
//! hoster     1 … m                       it restored a backup of its own
//! device     1 … m … n                   it has seen more
//! reconcile  1 … m ▸ m+1' … n' ▸ n+1     each names the lost one of its number
//! ```
//!
//! Never by itself: a hoster that went back looks like one that hides what is
//! newer. What the hoster shows must be what this device has seen to come before
//! the newest head; anything else is a fork, and refused.
//!
//! Lost entries are sent again as they were signed, each at the head that it
//! names. Packs that the device still has are uploaded again. What is gone is
//! left out of the index, so that the next backup of the same files stores it
//! anew and older snapshots are whole again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use vault_core::{chunk::ChunkKind, pack::PackBuilder};
use vault_proto::{
    ids::PackId,
    wire::{Located, Root},
};

use crate::{
    contents::{ContentsError, Opened, read_catalog},
    error::ErrorCode,
    index::{IndexError, Tail, VaultIndex, located, rewrite_segments},
    platform::Rng,
    progress::Cancellation,
    remote::MAX_PACKS_PER_CALL,
    transfer::TransferError,
    vault::{CommitPlan, CommitResult, Vault, VaultError},
};

/// What was brought back, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciled {
    /// The hoster's newest head; 0 for none.
    pub from: u64,
    /// The newest head that it had lost. The vault stands behind it now; the same
    /// as [`Self::from`] when the hoster was not behind.
    pub lost: u64,
    /// Entries of the vault's log that were sent again.
    pub entries: u64,
    /// Packs that were uploaded again.
    pub uploaded: Vec<PackId>,
    /// Packs that neither the hoster nor this device has. Files in them are
    /// stored again by the next backup of whoever still has them.
    pub gone: Vec<PackId>,
    /// Whether the list of what was in the vault is gone itself: it is again what
    /// it was at [`Self::from`].
    pub contents_lost: bool,
}

/// Why a vault could not be brought forward.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Packs or the index.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// Somebody else commits. Repeating the call goes on where it was.
    #[error("other devices keep committing; try again later")]
    Overtaken,
}

impl ReconcileError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Vault(error) => error.code(),
            Self::Transfer(error) => error.code(),
            Self::Overtaken => ErrorCode::VaultBusy,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
            Self::Overtaken => true,
        }
    }
}

/// Brings a vault forward again after its hoster went back.
///
/// # Errors
/// See [`ReconcileError`]. Where the hoster does not show an earlier state of
/// what this device has seen, nothing has changed. After any other error, repeat
/// the call: it goes on where it was.
pub fn reconcile(
    vault: &mut Vault,
    cancellation: &Cancellation,
) -> Result<Reconciled, ReconcileError> {
    let _lock = vault.lock()?;
    let mut report = Reconciled::default();
    let Some(lost) = begin(vault)? else {
        report.from = vault.head().map_or(0, |at| at.seq);
        report.lost = report.from;
        return Ok(report);
    };
    report.from = vault.head().map_or(0, |at| at.seq);
    report.lost = lost;
    loop {
        if cancellation.is_cancelled() {
            return Err(TransferError::Cancelled.into());
        }
        if vault.resend_entry()? {
            report.entries += 1;
        } else if vault.head().map_or(0, |at| at.seq) < lost {
            let root = stamped(vault, vault.root()?.clone());
            commit(vault, Vec::new(), root)?;
        } else if vault.lacks_entries()? {
            return Err(VaultError::CannotReconcile.into());
        } else {
            break;
        }
    }
    if vault.head().map_or(0, |at| at.seq) == lost {
        bring_back(vault, &mut report)?;
    } else if vault.root()?.last_removal_seq <= lost {
        // Somebody has gone on from the older state: what he has stored since is
        // not thrown away for what was before.
        report.contents_lost = true;
    }
    vault.forget_lost()?;
    Ok(report)
}

/// Goes back with the hoster, or on with what was begun; the number of the newest
/// head that was lost.
fn begin(vault: &mut Vault) -> Result<Option<u64>, VaultError> {
    if let Some(begun) = vault.lost_seq()? {
        vault.refresh()?;
        return Ok(Some(begun));
    }
    let Some(behind) = vault.look_behind()? else {
        return Ok(None);
    };
    vault.rewind(behind)?;
    vault.lost_seq()
}

/// Commits a head behind those that were lost, with what they led to.
fn bring_back(vault: &mut Vault, report: &mut Reconciled) -> Result<(), ReconcileError> {
    let Some(lost) = vault.lost_root()? else {
        return Ok(());
    };
    let opened = match Opened::at(vault, &lost) {
        Ok(opened) => Some(opened),
        // The index itself is gone.
        Err(error) if error.is_lasting() => None,
        Err(error) => return Err(error.into()),
    };
    let opened = match opened {
        Some(opened) => catalog_of(&lost, &opened)?.map(|catalog| (opened, catalog)),
        None => None,
    };
    let Some((opened, catalog)) = opened else {
        report.contents_lost = true;
        let root = Root {
            last_removal_seq: vault.head().map_or(0, |at| at.seq) + 1,
            ..stamped(vault, vault.root()?.clone())
        };
        commit(vault, Vec::new(), root)?;
        return Ok(());
    };
    let wanted = packs_of(&lost, &opened.index)?;
    let held = committed_packs(vault, &opened)?;
    let ids: Vec<_> = wanted.keys().copied().collect();
    let there = opened.remote.have_packs(&vault.id(), &ids);
    let there = there.map_err(TransferError::from)?;
    let mut adds = Vec::new();
    let mut gone = BTreeSet::new();
    for (pack, there) in ids.into_iter().zip(there) {
        if !there {
            match kept(&opened, &pack, wanted[&pack]) {
                Some(bytes) => {
                    let put = opened.remote.put_pack(&vault.id(), &pack, bytes);
                    put.map_err(TransferError::from)?;
                    report.uploaded.push(pack);
                }
                None => {
                    gone.insert(pack);
                    continue;
                }
            }
        }
        if !held.contains(&pack) {
            adds.push(pack);
        }
    }
    report.gone = gone.iter().copied().collect();
    let root = rebuild(vault, &opened, &lost, catalog, &wanted, &gone, &mut adds)?;
    while adds.len() > MAX_PACKS_PER_CALL {
        let some = adds.split_off(adds.len() - MAX_PACKS_PER_CALL);
        let same = stamped(vault, vault.root()?.clone());
        commit(vault, some, same)?;
    }
    commit(vault, adds, root)?;
    Ok(())
}

/// The root that was lost, with an index of what there is.
fn rebuild(
    vault: &Vault,
    opened: &Opened,
    lost: &Root,
    catalog: Vec<u8>,
    wanted: &BTreeMap<PackId, u32>,
    gone: &BTreeSet<PackId>,
    adds: &mut Vec<PackId>,
) -> Result<Root, ReconcileError> {
    let before = vault.root()?;
    let still = |at: &Option<Located>, or: &Option<Located>| {
        let is_gone =
            |at: &Located| PackId::from_slice(&at.pack).is_ok_and(|id| gone.contains(&id));
        match at {
            Some(at) if is_gone(at) => or.clone(),
            at => at.clone(),
        }
    };
    let mut root = Root {
        settings: still(&lost.settings, &before.settings),
        links: still(&lost.links, &before.links),
        ..stamped(vault, lost.clone())
    };
    root.last_removal_seq = vault.head().map_or(0, |at| at.seq) + 1;
    let there = wanted.iter().filter(|(pack, _)| !gone.contains(pack));
    root.pack_count = 0;
    root.pack_bytes = 0;
    for (_, size) in there {
        root.pack_count += 1;
        root.pack_bytes += u64::from(*size);
    }
    if lost.catalog.is_none() && lost.segments.is_empty() {
        return Ok(root);
    }
    let mut entries = Vec::new();
    let collected = opened.index.for_each(|entry| {
        if !gone.contains(&entry.pack) {
            entries.push(*entry);
        }
        Ok::<_, IndexError>(())
    });
    collected.map_err(TransferError::from)?;
    let keys = vault.keys()?;
    let open = PackBuilder::new(keys.clone(), keys.current_epoch());
    let mut tail = Tail::new(keys, open, Rng::new(vault.randomness()));
    let catalog_at = tail.place(ChunkKind::Catalog, &catalog)?;
    let segments = rewrite_segments(&mut tail, entries)?;
    let (packs, places) = tail.finish();
    for pack in packs {
        root.pack_count += 1;
        root.pack_bytes += pack.bytes.len() as u64;
        adds.push(pack.id);
        let kept = opened.cache.keep(&pack.id, &pack.bytes);
        kept.map_err(TransferError::Cache)?;
        let put = opened
            .remote
            .put_pack(&vault.id(), &pack.id, Bytes::from(pack.bytes));
        put.map_err(TransferError::from)?;
    }
    root.segments = segments.resolve(&places).0;
    root.catalog = Some(located(&places, catalog_at));
    Ok(root)
}

fn commit(vault: &mut Vault, adds: Vec<PackId>, root: Root) -> Result<(), ReconcileError> {
    let plan = CommitPlan {
        adds,
        removes: Vec::new(),
        root,
    };
    match vault.commit(plan)? {
        CommitResult::Committed(_) => Ok(()),
        CommitResult::LostRace | CommitResult::Missing(_) => Err(ReconcileError::Overtaken),
    }
}

fn stamped(vault: &Vault, root: Root) -> Root {
    Root {
        committed: Some(vault.now().to_wire()),
        ..root
    }
}

/// The encoded catalog that was lost; none if it is gone.
fn catalog_of(root: &Root, opened: &Opened) -> Result<Option<Vec<u8>>, TransferError> {
    match read_catalog(root, &opened.reader) {
        Ok(catalog) => Ok(Some(catalog.encode())),
        Err(ContentsError::Transfer(error)) if !error.is_lasting() => Err(error),
        Err(_) => Ok(None),
    }
}

/// The packs that a root leads to, with their sizes, but for those that hold
/// nothing but its index.
fn packs_of(root: &Root, index: &VaultIndex) -> Result<BTreeMap<PackId, u32>, TransferError> {
    let mut packs = BTreeMap::new();
    for at in root.settings.iter().chain(&root.links) {
        let id = PackId::from_slice(&at.pack).map_err(|_| TransferError::Unknown)?;
        packs.insert(id, at.pack_size);
    }
    index.for_each(|entry| {
        packs.insert(entry.pack, entry.pack_size);
        Ok::<_, IndexError>(())
    })?;
    Ok(packs)
}

/// The packs that the hoster's newest head leads to: they are claimed already.
fn committed_packs(vault: &Vault, opened: &Opened) -> Result<BTreeSet<PackId>, TransferError> {
    let apart = tempfile::tempdir_in(vault.directory()?).map_err(TransferError::Cache)?;
    let index = VaultIndex::open(apart.path().to_owned(), None)?;
    index.follow(&vault.root()?.segments, &opened.reader)?;
    Ok(packs_of(vault.root()?, &index)?.into_keys().collect())
}

/// The bytes of a pack, if this device has kept it whole.
fn kept(opened: &Opened, pack: &PackId, size: u32) -> Option<Bytes> {
    let bytes = opened.cache.read(pack, 0, size)?;
    (PackId::of(&bytes) == *pack).then(|| Bytes::from(bytes))
}
