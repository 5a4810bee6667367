//! The end of a backup, or a checkpoint on the way: all packs durable at the
//! hoster, then the catalog and the index, then the head.

use vault_core::{
    catalog::{AddSnapshotError, Catalog, Series},
    chunk::ChunkKind,
    chunker::Chunker,
    index::IndexEntry,
    pack::{FinishedPack, PackBuilder},
    snapshot::{Snapshot, SnapshotFields, SnapshotId},
    stream::AppendError,
    timestamp::Timestamp,
};
use vault_proto::{pack_list::MAX_LISTED_PACKS, wire::Root};

use super::BackupError;
use crate::{
    contents::{Opened, others_write, read_catalog},
    index::{OwnSegment, Tail, entries_of, located, write_segments},
    remote::UNCLAIMED_KEPT,
    transfer::{ChunkWorker, SentPack, TransferError},
    vault::{CommitPlan, CommitResult, Vault, VaultError},
};

/// How often a commit is tried again after another device was first.
const RACES: usize = 16;

/// How many packs a head claims beside those that are written with it: half of
/// what it may. The other half is far more than the index of these takes, and what
/// was still open when the commit began.
pub(super) const PACKS_PER_HEAD: usize = MAX_LISTED_PACKS / 2;

/// What a backup has sent and no head holds yet, and the series it belongs to.
pub(super) struct Committer<'a> {
    pub(super) vault: &'a mut Vault,
    pub(super) opened: Opened,
    pub(super) series: Series,
    pub(super) snapshot_chunker: Chunker,
    pub(super) list_chunker: Chunker,
    /// See [`PACKS_PER_HEAD`].
    pub(super) packs_per_head: usize,
    /// Packs that have arrived, in this run or in one before it.
    pub(super) unclaimed: Vec<SentPack>,
    /// No earlier than this have they arrived, or been found there.
    pub(super) unclaimed_since: Timestamp,
    pub(super) pack_bytes: u64,
    pub(super) filler_bytes: u64,
    pub(super) packs: u64,
    /// The newest removal that the backup knew of when it began: what it
    /// deduplicated against is still there as long as this holds.
    pub(super) last_removal_seq: u64,
}

/// A commit that stands.
pub(super) struct Committed {
    pub(super) snapshot: SnapshotId,
    pub(super) head_seq: u64,
}

/// A head that only has to be signed: all that its root names has arrived.
struct Prepared {
    root: Root,
    /// How many of the unclaimed packs it claims, the first ones.
    claims: usize,
    segments: Vec<OwnSegment>,
}

impl Committer<'_> {
    /// Commits a snapshot of what was stored so far.
    pub(super) fn commit(
        &mut self,
        worker: &mut ChunkWorker,
        fields: SnapshotFields,
    ) -> Result<Committed, BackupError> {
        let keys = self.opened.keys.clone();
        for _ in 0..RACES {
            let fields = SnapshotFields {
                series: self.series.id(),
                ..fields.clone()
            };
            let snapshot = Snapshot::new(fields)?;
            let id = snapshot.id(&|kind, bytes| keys.chunk_id(kind, bytes));
            let head_seq = match self.prepare(worker, &snapshot)? {
                Some(prepared) => self.send(worker, prepared)?,
                None => None,
            };
            match head_seq {
                Some(head_seq) => {
                    return Ok(Committed {
                        snapshot: id,
                        head_seq,
                    });
                }
                None => self.rebase()?,
            }
        }
        Err(BackupError::TooManyRaces)
    }

    /// Signs a head and sends it; its number, unless another device was first.
    fn send(
        &mut self,
        worker: &ChunkWorker,
        prepared: Prepared,
    ) -> Result<Option<u64>, BackupError> {
        let claimed = &self.unclaimed[..prepared.claims];
        let plan = CommitPlan {
            adds: claimed.iter().map(|pack| pack.id).collect(),
            removes: Vec::new(),
            root: prepared.root,
        };
        let committed = match self.vault.commit(plan) {
            // Somebody was removed while the backup ran.
            Err(VaultError::RotationDue) => return Err(BackupError::Overtaken),
            committed => committed?,
        };
        match committed {
            CommitResult::Committed(head) => {
                self.claimed(worker, prepared.claims, prepared.segments)?;
                Ok(Some(head.seq))
            }
            CommitResult::LostRace => Ok(None),
            CommitResult::Missing(packs) => {
                // What arrived is gone: the next run sends it again.
                self.vault
                    .state()
                    .remove_pending_packs(&self.vault.id(), &packs)?;
                let count = packs.len();
                let waited = self.vault.now().seconds() - self.unclaimed_since.seconds();
                let kept = i64::try_from(UNCLAIMED_KEPT.as_secs()).unwrap_or(i64::MAX);
                Err(match waited >= kept {
                    true => BackupError::TookTooLong { count },
                    false => BackupError::PacksLost { count },
                })
            }
        }
    }

    /// Writes all that the root of a snapshot will name, and waits until it has
    /// arrived. None when another device was first meanwhile.
    fn prepare(
        &mut self,
        worker: &mut ChunkWorker,
        snapshot: &Snapshot,
    ) -> Result<Option<Prepared>, BackupError> {
        let catalog = self.catalog_with(worker, snapshot)?.encode();
        let store = worker.store().clone();
        // Files go on being saved during a checkpoint.
        let _held = store.hold();
        self.drain(worker)?;
        // Before the open packs are taken: what they hold must be in this head.
        if !self.claim_surplus(worker)? {
            return Ok(None);
        }
        let (closed, last) = store.assembler().flush();
        for pack in closed {
            store.send(pack)?;
        }
        self.drain(worker)?;
        let finished = snapshot.fields().finished;
        let all = self.unclaimed.len();
        self.write(worker, last, all, Some(&catalog), finished)
            .map(Some)
    }

    fn catalog_with(
        &self,
        worker: &mut ChunkWorker,
        snapshot: &Snapshot,
    ) -> Result<Catalog, BackupError> {
        let mut reader = self.opened.reader.clone();
        let mut catalog = read_catalog(self.vault.root()?, &reader)?;
        if catalog.series_by_id(self.series.id()).is_none() {
            catalog.add_series(self.series.clone())?;
        }
        add_snapshot(
            &catalog,
            snapshot,
            &self.snapshot_chunker,
            &self.list_chunker,
            &mut reader,
            worker,
        )
    }

    /// Commits what is more than one head may claim, in heads of their own. Each has
    /// the index of what it claims, so that nothing is lost if no other follows.
    /// False when another device was first.
    fn claim_surplus(&mut self, worker: &ChunkWorker) -> Result<bool, BackupError> {
        while self.unclaimed.len() > self.packs_per_head {
            let keys = self.opened.keys.clone();
            let epoch = keys.current_epoch();
            let open = PackBuilder::new(keys, epoch);
            let now = self.vault.now();
            let prepared = self.write(worker, open, self.packs_per_head, None, now)?;
            if self.send(worker, prepared)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the index of what `last` holds and of the first `claims` unclaimed
    /// packs, and a catalog if there is a new one; the root that names them.
    fn write(
        &mut self,
        worker: &ChunkWorker,
        last: PackBuilder,
        claims: usize,
        catalog: Option<&[u8]>,
        committed: Timestamp,
    ) -> Result<Prepared, BackupError> {
        let old_root = self.vault.root()?.clone();
        let store = worker.store();
        let mut tail = Tail::new(self.opened.keys.clone(), last, store.rng());
        let catalog_at = catalog
            .map(|catalog| tail.place(ChunkKind::Catalog, catalog))
            .transpose()?;
        let claimed = &self.unclaimed[..claims];
        let known: Vec<IndexEntry> = claimed.iter().flat_map(entries_of).collect();
        let segments = write_segments(
            &mut tail,
            known,
            &old_root.segments,
            &self.opened.index,
            &self.opened.reader,
        )?;
        let (packs, places) = tail.finish();
        let kept = packs
            .iter()
            .map(keep_metadata(&self.opened))
            .collect::<Result<Vec<_>, _>>();
        kept.map_err(TransferError::Cache)?;
        let before = self.unclaimed.len();
        for pack in packs {
            store.send_finished(pack)?;
        }
        self.drain(worker)?;
        // The head claims these, too.
        let tails = self.unclaimed.len() - before;
        self.unclaimed.rotate_right(tails);
        let claims = claims + tails;

        let (segments, own) = segments.resolve(&places);
        let claimed = &self.unclaimed[..claims];
        let added: u64 = claimed.iter().map(|pack| u64::from(pack.size)).sum();
        let root = Root {
            minimum_reader: old_root.minimum_reader.max(1),
            minimum_writer: old_root.minimum_writer.max(1),
            committed: Some(committed.to_wire()),
            catalog: match catalog_at {
                Some(at) => Some(located(&places, at)),
                None => old_root.catalog,
            },
            segments,
            pack_count: old_root.pack_count.saturating_add(claims as u64),
            pack_bytes: old_root.pack_bytes.saturating_add(added),
            ..old_root
        };
        Ok(Prepared {
            root,
            claims,
            segments: own,
        })
    }

    /// Takes what has arrived from the uploads.
    fn drain(&mut self, worker: &ChunkWorker) -> Result<(), TransferError> {
        let outbox = worker
            .store()
            .outbox()
            .ok_or(TransferError::Stopped)?
            .clone();
        for pack in outbox.drain()? {
            self.packs += 1;
            self.pack_bytes += u64::from(pack.size);
            self.filler_bytes += u64::from(pack.filler_bytes);
            // Chunks of packs that no head holds yet may be named already.
            self.opened.index.add_pending(&pack);
            self.unclaimed.push(pack);
        }
        Ok(())
    }

    /// A head holds the first of the unclaimed packs now.
    fn claimed(
        &mut self,
        worker: &ChunkWorker,
        claims: usize,
        segments: Vec<OwnSegment>,
    ) -> Result<(), TransferError> {
        for (at, plaintext) in segments {
            self.opened.index.keep_own(&at, &plaintext)?;
        }
        self.opened
            .index
            .follow(&self.vault.root()?.segments, &self.opened.reader)?;
        self.opened.index.keep_pending(&self.unclaimed[claims..]);
        if self.unclaimed.len() == claims {
            self.unclaimed_since = self.vault.now();
        }
        let claimed: Vec<_> = self.unclaimed.drain(..claims).collect();
        for pack in &claimed {
            worker.store().release(&pack.entries);
        }
        let ids: Vec<_> = claimed.iter().map(|pack| pack.id).collect();
        self.vault
            .state()
            .remove_pending_packs(&self.vault.id(), &ids)?;
        Ok(())
    }

    /// Another device was first: builds on its head.
    fn rebase(&mut self) -> Result<(), BackupError> {
        let root = self.vault.root()?;
        if root.last_removal_seq != self.last_removal_seq
            || self.vault.keys()?.current_epoch() != self.opened.keys.current_epoch()
            || self.vault.log().rotation_due()
            // Until now this device has relied on all that the index says.
            || (others_write(self.vault) && !self.opened.index.is_wary())
        {
            return Err(BackupError::Overtaken);
        }
        self.opened
            .index
            .follow(&root.segments, &self.opened.reader)?;
        let catalog = read_catalog(root, &self.opened.reader)?;
        // Another device may have begun the same series meanwhile.
        if let Some(theirs) = catalog.series_by_name(self.series.name()) {
            if theirs.is_deduplicated() != self.series.is_deduplicated() {
                return Err(BackupError::Overtaken);
            }
            self.series = theirs.clone();
        }
        Ok(())
    }
}

fn add_snapshot(
    catalog: &Catalog,
    snapshot: &Snapshot,
    snapshot_chunker: &Chunker,
    list_chunker: &Chunker,
    reader: &mut crate::transfer::Reader,
    worker: &mut ChunkWorker,
) -> Result<Catalog, BackupError> {
    let added = catalog.add_snapshot(snapshot, snapshot_chunker, list_chunker, reader, worker);
    added.map_err(|error| match error {
        AddSnapshotError::Append(AppendError::Read(error)) => error.into(),
        AddSnapshotError::Append(AppendError::Write(error)) => error.into(),
        _ => BackupError::Series,
    })
}

/// Keeps the commit's last packs on the device: the next commit, and whoever
/// lists snapshots, reads them first of all.
fn keep_metadata(opened: &Opened) -> impl Fn(&FinishedPack) -> std::io::Result<()> + '_ {
    |pack| opened.cache.keep(&pack.id, &pack.bytes)
}

/// What a run that was cut short has left at the hoster, if that still has it.
pub(super) fn adopt_pending(
    vault: &Vault,
    opened: &Opened,
) -> Result<Vec<SentPack>, TransferError> {
    let state = vault.state();
    let noted = state.pending_packs(&vault.id())?;
    if noted.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = noted.iter().map(|pack| pack.pack).collect();
    let there = opened.remote.have_packs(&vault.id(), &ids)?;
    let mut adopted = Vec::new();
    let mut gone = Vec::new();
    for (noted, there) in noted.into_iter().zip(there) {
        let id = noted.pack;
        match SentPack::from_pending(noted) {
            // A pack of an epoch that is over is not added any more.
            Some(pack) if there.is_there() && pack.epoch == opened.keys.current_epoch() => {
                opened.index.add_pending(&pack);
                adopted.push(pack);
            }
            _ => gone.push(id),
        }
    }
    state.remove_pending_packs(&vault.id(), &gone)?;
    Ok(adopted)
}
