//! Checking a vault: that every snapshot leads to chunks that the index knows
//! in packs that the hoster has, and, when asked, that every byte is the one
//! that was stored.

mod followed;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use vault_core::{
    chunk::ChunkKind,
    index::IndexEntry,
    pack::{MAX_PACK_LEN, read_pack_entries},
    seal::Decompressor,
    snapshot::SnapshotId,
    stream::{StreamChunks, StreamRef},
    timestamp::Timestamp,
    tree::{NodeContent, Step, Walk},
};
use vault_proto::{
    ids::{PackId, VaultId},
    wire::Located,
};

use self::followed::{Followed, Lost, name_of};
use crate::{
    contents::{Contents, ContentsError, NamedSnapshot},
    error::ErrorCode,
    link::{self, LinkError},
    progress::{Cancellation, Meter, ProgressListener, count, reporting},
    remote::{Misbehaviour, PackRange, Presence, RemoteError},
    transfer::{TransferError, unreadable_range},
    vault::{Vault, VaultError},
};

/// Packs that are read at once.
const READERS: usize = 2;

/// How much of the packs to read.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ReadData {
    /// Only that they are there.
    Nothing,
    /// This share of them, from above 0 to 1, picked at random: each pack is
    /// as likely as any other, whatever its size.
    Share(f64),
    /// Every byte.
    Everything,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Problem {
    /// The hoster does not have a pack that a head claims.
    PackMissing(PackId),
    /// A head has removed a pack that is needed all the same: a member's device has said
    /// so. It is there until the hoster's grace period is over, and [`repair`] takes it
    /// back.
    ///
    /// [`repair`]: crate::repair::repair
    PackRemoved(PackId),
    /// The hoster has other bytes than those that the pack's id names.
    PackAltered(PackId),
    /// A pack is what its id names, and does not open, or does not hold what
    /// the index says: a member's device has written it so.
    PackMalformed(PackId),
    /// A directory of a snapshot, or the list of a file's chunks, cannot be read. Told
    /// once, however many snapshots share it.
    TreeUnreadable {
        /// The id of the first of them.
        snapshot: String,
        /// The path of the last node that could be read.
        after: Vec<u8>,
        /// Why.
        reason: String,
        /// Whether the hoster has sent something else than what was stored.
        altered: bool,
    },
    /// A file of a snapshot has a chunk that the index does not know. Told once, however
    /// many snapshots share it.
    ChunkUnknown {
        /// The id of the first of them.
        snapshot: String,
        /// The file.
        path: Vec<u8>,
    },
}

impl Problem {
    /// Whether it is the hoster who did not keep what it was given.
    #[must_use]
    pub fn is_the_hosters(&self) -> bool {
        match self {
            Self::PackMissing(_) | Self::PackAltered(_) => true,
            Self::TreeUnreadable { altered, .. } => *altered,
            Self::PackRemoved(_) | Self::PackMalformed(_) | Self::ChunkUnknown { .. } => false,
        }
    }
}

/// A snapshot that this device cannot restore whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrokenSnapshot {
    /// Its id.
    pub id: SnapshotId,
    /// The name of its series.
    pub series: String,
    /// When it was begun.
    pub started: Timestamp,
    /// Files in it of which not all can be read.
    pub files: u64,
    /// Directories in it that cannot be read to their end: what else is in them is not
    /// known.
    pub directories: u64,
}

/// What a check found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CheckReport {
    /// Snapshots that were followed.
    pub snapshots: u64,
    /// Files and directories in them, each counted once however many snapshots
    /// share it.
    pub nodes: u64,
    /// Chunks that the index knows.
    pub chunks: u64,
    /// Packs that it knows.
    pub packs: u64,
    /// Packs that were read to the last byte.
    pub read_packs: u64,
    /// Their bytes.
    pub read_bytes: u64,
    /// What is wrong; empty if nothing is.
    pub problems: Vec<Problem>,
    /// Snapshots that are not whole, the oldest first: what they share and what is wrong
    /// with it is among [`Self::problems`] once.
    pub broken: Vec<BrokenSnapshot>,
}

/// Why a check could not be made to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The vault could not be brought up to date.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The index or the catalog could not be read.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// A call to the hoster failed.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

impl CheckError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Vault(error) => error.code(),
            Self::Contents(error) => error.code(),
            Self::Transfer(error) => error.code(),
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Contents(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
        }
    }
}

/// Checks a vault.
///
/// # Errors
/// See [`CheckError`]. What is wrong with the vault is no error: it is in
/// [`CheckReport::problems`].
pub fn check(
    vault: &mut Vault,
    read_data: ReadData,
    listener: &Arc<dyn ProgressListener>,
    cancellation: &Cancellation,
) -> Result<CheckReport, CheckError> {
    vault.refresh()?;
    let contents = Contents::open(vault)?;
    let meter = Meter::default();
    reporting(&meter, listener, || {
        let mut check = Check {
            vault,
            contents: &contents,
            meter: &meter,
            cancellation,
            report: CheckReport::default(),
            packs: BTreeMap::new(),
            missing: HashSet::new(),
            doubtful: HashSet::new(),
        };
        check.packs()?;
        check.read(read_data)?;
        check.snapshots()?;
        check.report.problems.sort();
        check.report.problems.dedup();
        Ok(check.report)
    })
}

/// How many packs that a vault needs, as it was last refreshed, are in the hoster's trash: a
/// member's device has had them removed. One call for 8,192 packs, besides what of the
/// index this device does not have.
///
/// # Errors
/// See [`CheckError`].
pub fn count_removed(vault: &Vault) -> Result<u64, CheckError> {
    let contents = Contents::open(vault)?;
    let mut check = Check {
        vault,
        contents: &contents,
        meter: &Meter::default(),
        cancellation: &Cancellation::new(),
        report: CheckReport::default(),
        packs: BTreeMap::new(),
        missing: HashSet::new(),
        doubtful: HashSet::new(),
    };
    check.packs()?;
    let problems = check.report.problems.iter();
    let removed = problems.filter(|problem| matches!(problem, Problem::PackRemoved(_)));
    Ok(removed.count() as u64)
}

struct Check<'a> {
    vault: &'a Vault,
    contents: &'a Contents,
    meter: &'a Meter,
    cancellation: &'a Cancellation,
    report: CheckReport,
    packs: BTreeMap<PackId, Pack>,
    /// Packs that the hoster does not have.
    missing: HashSet<PackId>,
    /// Those that are not what they should be: some of their chunks may be.
    doubtful: HashSet<PackId>,
}

/// A pack, as index and root know it.
#[derive(Clone, Copy)]
struct Pack {
    epoch: u64,
    size: u32,
    /// Entries of the index that place a chunk in it.
    indexed: u64,
    /// Whether it is the sealed capsule of a link, which holds no chunk.
    is_capsule: bool,
}

impl Check<'_> {
    /// Collects the packs, and asks whether they are there.
    fn packs(&mut self) -> Result<(), CheckError> {
        let mut indexed = 0;
        let packs = &mut self.packs;
        self.contents.opened().index.for_each(|entry| {
            indexed += 1;
            let pack = Pack {
                epoch: entry.epoch,
                size: entry.pack_size,
                indexed: 0,
                is_capsule: false,
            };
            packs.entry(entry.pack).or_insert(pack).indexed += 1;
            Ok::<_, TransferError>(())
        })?;
        self.report.chunks = indexed;
        let root = self.vault.root()?;
        let segments = root
            .segments
            .iter()
            .filter_map(|segment| segment.at.as_ref());
        let named: Vec<&Located> = segments
            .chain(&root.catalog)
            .chain(&root.links)
            .chain(&root.settings)
            .collect();
        for at in named {
            let id = PackId::from_slice(&at.pack).map_err(|_| TransferError::Unknown)?;
            let pack = Pack {
                epoch: at.epoch,
                size: at.pack_size,
                indexed: 0,
                is_capsule: false,
            };
            self.packs.entry(id).or_insert(pack);
        }
        self.capsules()?;
        self.report.packs = self.packs.len() as u64;
        let ids: Vec<_> = self.packs.keys().copied().collect();
        let there = self
            .contents
            .opened()
            .remote
            .have_packs(&self.vault.id(), &ids);
        for (id, there) in ids.iter().zip(there.map_err(TransferError::from)?) {
            match there {
                Presence::There => {}
                Presence::Trash => self.report.problems.push(Problem::PackRemoved(*id)),
                _ => {
                    self.report.problems.push(Problem::PackMissing(*id));
                    self.packs.remove(id);
                }
            }
        }
        Ok(())
    }

    /// Collects the packs that are capsules of links.
    fn capsules(&mut self) -> Result<(), CheckError> {
        let listed = match link::read_list(self.vault) {
            Ok(listed) => listed,
            Err(LinkError::Transfer(error)) if !error.is_lasting() => return Err(error.into()),
            // Which of the packs are capsules is not known then. What is wrong with
            // the list's own pack is.
            Err(error) => {
                let at = self.vault.root()?.links.as_ref();
                let id = at.and_then(|at| PackId::from_slice(&at.pack).ok());
                let missing = RemoteError::Misbehaved(Misbehaviour::PackMissing);
                let problem = |id| match &error {
                    LinkError::Transfer(TransferError::Remote(error)) if *error == missing => {
                        Problem::PackMissing(id)
                    }
                    error if error.code() == ErrorCode::HosterMisbehaved => {
                        Problem::PackAltered(id)
                    }
                    _ => Problem::PackMalformed(id),
                };
                self.report.problems.extend(id.map(problem));
                return Ok(());
            }
        };
        for link in listed.all() {
            let pack = Pack {
                epoch: 0,
                size: link.capsule_size,
                indexed: 0,
                is_capsule: true,
            };
            self.packs.insert(link.capsule, pack);
        }
        Ok(())
    }

    /// Follows every snapshot down to its chunks. What several share is
    /// followed once.
    fn snapshots(&mut self) -> Result<(), CheckError> {
        for problem in &self.report.problems {
            match problem {
                Problem::PackMissing(id) => self.missing.insert(*id),
                Problem::PackAltered(id) | Problem::PackMalformed(id) => self.doubtful.insert(*id),
                _ => false,
            };
        }
        let mut followed = Followed::default();
        for named in self.contents.snapshots(None)? {
            self.report.snapshots += 1;
            let lost = self.tree(&named, &mut followed)?;
            if lost != Lost::default() {
                self.report.broken.push(BrokenSnapshot {
                    id: named.id,
                    series: named.series,
                    started: named.snapshot.fields().started,
                    files: lost.files,
                    directories: lost.directories,
                });
            }
        }
        Ok(())
    }

    fn tree(&mut self, named: &NamedSnapshot, followed: &mut Followed) -> Result<Lost, CheckError> {
        let root = name_of(ChunkKind::Tree, named.snapshot.tree());
        if !followed.begin(root) {
            return Ok(followed.lost(&root));
        }
        let opened = self.contents.opened();
        let mut source = opened.reader.clone();
        let mut walk = Walk::new(named.snapshot.tree());
        loop {
            self.stop_if_cancelled()?;
            let node = match walk.next(&mut source) {
                Ok(Some(Step::Node(node))) => node,
                Ok(Some(Step::Leave(_))) => {
                    followed.end();
                    continue;
                }
                Ok(None) => {
                    followed.end();
                    return Ok(followed.lost(&root));
                }
                Err(error) => {
                    let problem = unreadable(named, &walk, error.into())?;
                    self.report.problems.push(problem);
                    followed.add(Lost::DIRECTORY);
                    followed.end();
                    if walk.give_up() {
                        continue;
                    }
                    return Ok(followed.lost(&root));
                }
            };
            match node.content() {
                NodeContent::Directory { content } => {
                    let name = name_of(ChunkKind::Tree, content);
                    if !followed.begin(name) {
                        followed.add(followed.lost(&name));
                        walk.skip();
                        continue;
                    }
                }
                NodeContent::File { content, .. } => {
                    let name = name_of(ChunkKind::FileData, content);
                    if followed.seen.insert(name) && !self.is_whole(named, &walk, content)? {
                        followed.broken.insert(name, Lost::FILE);
                    }
                    followed.add(followed.lost(&name));
                }
                _ => {}
            }
            self.report.nodes += 1;
            count(&self.meter.files, 1);
        }
    }

    /// Looks for every chunk of the file that the walk has come to.
    fn is_whole(
        &mut self,
        named: &NamedSnapshot,
        walk: &Walk,
        content: &StreamRef,
    ) -> Result<bool, CheckError> {
        let opened = self.contents.opened();
        let mut source = opened.reader.clone();
        let mut chunks = StreamChunks::new(content);
        loop {
            let problem = match chunks.next(&mut source) {
                Ok(None) => return Ok(true),
                Ok(Some(chunk)) => {
                    let entry = opened.index.lookup(ChunkKind::FileData, &chunk.id);
                    match entry.map_err(TransferError::from)? {
                        // The pack that has lost it is told already.
                        Some(entry) if self.is_lost(&entry)? => return Ok(false),
                        Some(_) => continue,
                        None => Problem::ChunkUnknown {
                            snapshot: named.id.to_string(),
                            path: path_of(walk),
                        },
                    }
                }
                Err(error) => unreadable(named, walk, error.into())?,
            };
            self.report.problems.push(problem);
            return Ok(false);
        }
    }

    /// Whether a chunk that the index places in a pack with which something is wrong is
    /// not to be had there, nor anywhere else.
    fn is_lost(&self, entry: &IndexEntry) -> Result<bool, TransferError> {
        let is_missing = self.missing.contains(&entry.pack);
        if !is_missing && !self.doubtful.contains(&entry.pack) {
            return Ok(false);
        }
        let opened = self.contents.opened();
        if !is_missing && opened.reader.opens(entry)? {
            return Ok(false);
        }
        let is_kept = |at: &IndexEntry| {
            let kept = opened.cache.read(&at.pack, at.offset, at.sealed_length);
            kept.is_some()
        };
        // Nothing is asked for that is known not to be there.
        let places = opened.index.places(entry.kind, &entry.id)?;
        let mut places = places.iter();
        if places.all(|at| self.missing.contains(&at.pack) && !is_kept(at)) {
            return Ok(true);
        }
        match opened.reader.read(entry.kind, &entry.id) {
            Ok(_) => Ok(false),
            Err(error) if error.is_lasting() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Reads packs whole, on a few threads.
    fn read(&mut self, read_data: ReadData) -> Result<(), CheckError> {
        let picked = self.pick(read_data);
        let bytes: u64 = picked.iter().map(|(_, pack)| u64::from(pack.size)).sum();
        count(&self.meter.total_bytes, bytes);
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let vault = self.vault.id();
        let this = &*self;
        let results: Vec<Result<(), TransferError>> = std::thread::scope(|scope| {
            let read_some = || {
                while let Some((id, pack)) = picked.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let problem = this.read_pack(&vault, id, *pack)?;
                    count(&this.meter.bytes, u64::from(pack.size));
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(problem);
                }
                Ok(())
            };
            let threads: Vec<_> = (0..READERS).map(|_| scope.spawn(read_some)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or(Err(TransferError::Stopped))
            };
            threads.into_iter().map(join).collect()
        });
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        self.report.read_packs = picked.len() as u64;
        self.report.read_bytes = bytes;
        self.report
            .problems
            .extend(found.into_inner().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    fn pick(&self, read_data: ReadData) -> Vec<(PackId, Pack)> {
        let all = self.packs.iter().map(|(id, pack)| (*id, *pack));
        match read_data {
            ReadData::Nothing => Vec::new(),
            ReadData::Everything => all.collect(),
            ReadData::Share(share) => {
                // Which packs are audited is nothing that the hoster may foresee.
                let mut all: Vec<_> = all.map(|pack| (self.vault.random::<8>(), pack)).collect();
                all.sort_by_key(|(order, _)| *order);
                let wanted = (all.len() as f64 * share.clamp(0.0, 1.0)).ceil();
                all.into_iter()
                    .take(wanted as usize)
                    .map(|(_, pack)| pack)
                    .collect()
            }
        }
    }

    fn read_pack(
        &self,
        vault: &VaultId,
        id: &PackId,
        pack: Pack,
    ) -> Result<Option<Problem>, TransferError> {
        if self.cancellation.is_cancelled() {
            return Err(TransferError::Cancelled);
        }
        let opened = self.contents.opened();
        let mut bytes = Vec::new();
        let range = PackRange {
            pack: *id,
            offset: 0,
            length: pack.size,
        };
        // The root is a member's, and may say any length.
        let read = if pack.size as usize > MAX_PACK_LEN {
            Err(TransferError::Altered)
        } else {
            bytes.reserve_exact(pack.size as usize);
            let read = opened.remote.read_packs(vault, &[range], &mut |part| {
                bytes.extend_from_slice(&part);
                std::ops::ControlFlow::Continue(())
            });
            read.map_err(unreadable_range)
        };
        match read {
            Ok(()) => {}
            Err(TransferError::Remote(RemoteError::Misbehaved(Misbehaviour::PackMissing))) => {
                return Ok(Some(Problem::PackMissing(*id)));
            }
            // Not that long.
            Err(TransferError::Altered) => bytes.clear(),
            Err(TransferError::Remote(RemoteError::Misbehaved(_))) => {
                return Ok(Some(Problem::PackAltered(*id)));
            }
            Err(error) => return Err(error),
        }
        let malformed = Ok(Some(Problem::PackMalformed(*id)));
        if PackId::of(&bytes) != *id {
            return match opened.reader.has_another_size(id, pack.size) {
                Ok(true) => malformed,
                Err(error) if !error.is_lasting() => Err(error),
                _ => Ok(Some(Problem::PackAltered(*id))),
            };
        }
        if pack.is_capsule {
            return Ok(None);
        }
        let Ok(entries) = read_pack_entries(&opened.keys, pack.epoch, id, &bytes) else {
            return malformed;
        };
        let mut indexed = 0;
        let mut decompressor = Decompressor::default();
        for entry in entries {
            let sealed = &bytes[entry.offset as usize..][..entry.sealed_length as usize];
            let place = IndexEntry {
                id: entry.id,
                kind: entry.kind,
                pack: *id,
                epoch: pack.epoch,
                pack_size: pack.size,
                offset: entry.offset,
                sealed_length: entry.sealed_length,
            };
            let sealed = sealed.to_vec();
            let plaintext = opened.reader.open(&place, sealed, &mut decompressor);
            if plaintext.is_err() {
                return malformed;
            }
            indexed += opened.index.count_places(&place)?;
        }
        // Every place in this pack that the index knows is one of those just read.
        if indexed < pack.indexed {
            malformed
        } else {
            Ok(None)
        }
    }

    fn stop_if_cancelled(&self) -> Result<(), TransferError> {
        if self.cancellation.is_cancelled() {
            Err(TransferError::Cancelled)
        } else {
            Ok(())
        }
    }
}

/// What is wrong with a tree that the walk could not go on in; the error itself
/// when it is of the line or of this device, and not of what was stored.
fn unreadable(
    named: &NamedSnapshot,
    walk: &Walk,
    error: ContentsError,
) -> Result<Problem, CheckError> {
    let altered = match error.code() {
        ErrorCode::HosterMisbehaved => true,
        ErrorCode::Corrupt => false,
        _ => return Err(error.into()),
    };
    Ok(Problem::TreeUnreadable {
        snapshot: named.id.to_string(),
        after: path_of(walk),
        reason: error.to_string(),
        altered,
    })
}

fn path_of(walk: &Walk) -> Vec<u8> {
    let mut path = Vec::new();
    for name in walk.path() {
        path.push(b'/');
        path.extend_from_slice(name.as_bytes());
    }
    path
}
