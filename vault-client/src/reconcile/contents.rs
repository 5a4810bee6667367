//! What was in a vault before its hoster went back, put to what is in it now.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use vault_core::{
    chunk::ChunkKind,
    index::IndexEntry,
    pack::{FinishedPack, PackBuilder},
    settings::AccountSettings,
};
use vault_proto::{
    ids::PackId,
    wire::{Located, Root},
};

use super::{
    ReconcileError, Reconciled,
    catalog::Listed,
    commit,
    links::{Capsules, StandingLinks},
    newest, root_now, stamped,
};
use crate::{
    contents::{ContentsError, Opened, read_catalog},
    index::{IndexError, PlacedAt, Tail, VaultIndex, located, rewrite_segments},
    platform::Rng,
    remote::{MAX_PACKS_PER_CALL, Presence},
    transfer::{Reader, TransferError, read_alone, seal_alone},
    vault::{CommitPlan, Over, Vault},
};

/// One state of a vault: what its root leads to.
pub(super) struct Part {
    pub(super) root: Root,
    listed: Listed,
    entries: Vec<IndexEntry>,
}

/// What was lost and can be read, and what is there.
pub(super) struct Parts {
    pub(super) opened: Opened,
    /// The newest first.
    pub(super) lost: Vec<Part>,
    pub(super) now: Part,
    /// What the vault's root was where the hoster stood, as far as that is known.
    pub(super) before: Root,
    pub(super) over: Over,
    pub(super) series: Series,
    /// Whether some of what is there cannot be read, and is not among [`Self::now`].
    pub(super) left_out: bool,
}

/// Whose series stays, and with it the names of its snapshots, where two have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    /// That of what is there.
    Standing,
    /// That of what is brought back.
    Lost,
}

/// A chunk that is alone in its pack.
struct Alone {
    pack: FinishedPack,
    located: Located,
}

/// What came of committing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// What is there held all of it already.
    Nothing,
    Done,
    /// Another device was first.
    LostRace,
}

/// Packs that the parts lead to.
#[derive(Default)]
pub(super) struct Packs {
    pub(super) there: BTreeMap<PackId, u32>,
    /// Those of them that a head has removed.
    pub(super) trashed: BTreeSet<PackId>,
    /// Lists of links and settings that are in the trash because something was put in their
    /// place.
    superseded: BTreeSet<PackId>,
    /// Whether something else is missing that the catalog or the index of what is there
    /// stands in. Both are written anew.
    lists_missing: bool,
    pub(super) gone: BTreeSet<PackId>,
    pub(super) uploaded: Vec<PackId>,
}

/// Whether something that was lost is not in the vault, as far as it can be read.
pub(super) fn is_to_be_written(vault: &Vault) -> Result<bool, ReconcileError> {
    let mut unreadable = false;
    let Some(parts) = Parts::read(vault, &mut unreadable)? else {
        return Ok(false);
    };
    let mut packs = Packs::default();
    let links = parts.standing_links(vault, &mut packs, Capsules::Ask)?;
    Ok(parts.lack_something(&packs, &links) || parts.join_settings(vault, &packs)?.is_some())
}

/// Commits a head with what was lost and what is there. True if nothing is left to do,
/// and false if another device was first.
pub(super) fn write(vault: &mut Vault, report: &mut Reconciled) -> Result<bool, ReconcileError> {
    let mut unreadable = false;
    let parts = Parts::read(vault, &mut unreadable)?;
    if unreadable && !vault.is_answered_for()? {
        report.contents_lost = true;
        report.heads_not_brought_back = vault.count_lost_heads()?;
        if parts.is_none() {
            return tell_removal(vault);
        }
    }
    let Some(parts) = parts else {
        return Ok(true);
    };
    let mut packs = parts.find_packs(vault)?;
    let links = parts.standing_links(vault, &mut packs, Capsules::Send)?;
    report.uploaded.extend(&packs.uploaded);
    report.gone = packs.gone.iter().copied().collect();
    report.links_taken_off = links.taken_off;
    Ok(parts.commit(vault, &packs, links)? != Committed::LostRace)
}

/// Commits nothing but that what was lost is to be relied on no more.
fn tell_removal(vault: &mut Vault) -> Result<bool, ReconcileError> {
    let root = root_now(vault, Over::Spoiled)?;
    let removed = root.last_removal_seq;
    if vault.lost_seq()?.is_some_and(|lost| removed > lost) {
        return Ok(true);
    }
    let root = Root {
        last_removal_seq: newest(vault) + 1,
        ..stamped(vault, root)
    };
    commit(vault, plan(Vec::new(), root), Over::Spoiled)
}

fn plan(adds: Vec<PackId>, root: Root) -> CommitPlan {
    CommitPlan {
        adds,
        removes: Vec::new(),
        root,
    }
}

impl Parts {
    /// Reads them; `None` where what is there holds all that can be read of what was
    /// lost, as roots show already. Says in `unreadable` whether something cannot.
    fn read(vault: &Vault, unreadable: &mut bool) -> Result<Option<Self>, ReconcileError> {
        let mut lost = vault.lost_roots()?;
        let before = match &lost[..] {
            [(_, before), .., _] => before.clone(),
            _ => Root::default(),
        };
        let now = &root_now(vault, Over::Spoiled)?;
        lost.retain(|(_, root)| leads_beyond(root, now));
        let Some((_, newest)) = lost.pop() else {
            return Ok(None);
        };
        let directory = vault.directory().map_err(crate::vault::VaultError::from)?;
        let apart = tempfile::tempdir_in(directory).map_err(TransferError::Cache)?;
        let mut parts = Vec::new();
        // This device may have kept its index.
        let opened = match readable(Opened::at(vault, &newest))? {
            Some(opened) => {
                parts.extend(readable(Part::of(newest, &opened.reader, &opened.index))?);
                opened
            }
            None => Opened::at(vault, now)?,
        };
        *unreadable = parts.is_empty();
        for (number, (_, root)) in lost.into_iter().enumerate().rev() {
            let part = Part::apart(vault, root, &opened, &apart.path().join(number.to_string()));
            match readable(part)? {
                Some(part) => parts.push(part),
                None => *unreadable = true,
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let now = Part::apart(vault, now.clone(), &opened, &apart.path().join("now"));
        let now = now.map_err(told)?;
        Ok(Some(Self {
            opened,
            lost: parts,
            now,
            before,
            over: Over::Spoiled,
            series: Series::Standing,
            left_out: false,
        }))
    }

    /// Commits a head that leads to all of them, unless the newest does already.
    pub(super) fn commit(
        &self,
        vault: &mut Vault,
        packs: &Packs,
        links: StandingLinks,
    ) -> Result<Committed, ReconcileError> {
        let joined = self.join_settings(vault, packs)?;
        let is_other = self.left_out || demands_less(vault, &self.now.root);
        if joined.is_none() && !is_other && !self.lack_something(packs, &links) {
            return Ok(Committed::Nothing);
        }
        let (mut adds, root) = self.write(vault, packs, links, joined)?;
        // The first to be added: what the roots on the way name, too.
        let small = root.links.iter().chain(&root.settings);
        let small: BTreeSet<_> = small
            .filter_map(|at| PackId::from_slice(&at.pack).ok())
            .collect();
        adds.sort_by_key(|pack| small.contains(pack));
        while adds.len() > MAX_PACKS_PER_CALL {
            let some = adds.split_off(adds.len() - MAX_PACKS_PER_CALL);
            let same = Root {
                last_removal_seq: newest(vault) + 1,
                links: root.links.clone(),
                settings: root.settings.clone(),
                ..stamped(vault, root_now(vault, self.over)?)
            };
            if !commit(vault, plan(some, same), self.over)? {
                return Ok(Committed::LostRace);
            }
        }
        Ok(match commit(vault, plan(adds, root), self.over)? {
            true => Committed::Done,
            false => Committed::LostRace,
        })
    }

    fn all(&self) -> impl Iterator<Item = &Part> {
        self.lost.iter().rev().chain([&self.now])
    }

    /// Every entry of every part once, the newest last.
    fn entries(&self) -> Vec<IndexEntry> {
        let mut seen = HashSet::new();
        let entries = self.all().flat_map(|part| part.entries.iter().copied());
        entries.filter(|entry| seen.insert(*entry)).collect()
    }

    /// Asks which packs are there, and sends those that this device has kept.
    pub(super) fn find_packs(&self, vault: &Vault) -> Result<Packs, ReconcileError> {
        let mut wanted = BTreeMap::new();
        for part in self.all() {
            wanted.extend(part.packs());
        }
        let mut packs = Packs::default();
        let ids: Vec<_> = wanted.keys().copied().collect();
        for ids in ids.chunks(MAX_PACKS_PER_CALL) {
            let there = self.opened.remote.have_packs(&vault.id(), ids);
            let there = there.map_err(TransferError::from)?;
            for (pack, presence) in ids.iter().zip(there) {
                let size = wanted[pack];
                match presence {
                    Presence::There => {}
                    Presence::Trash => drop(packs.trashed.insert(*pack)),
                    _ => {
                        let Some(bytes) = kept(&self.opened, pack, size) else {
                            packs.gone.insert(*pack);
                            continue;
                        };
                        let put = self.opened.remote.put_pack(&vault.id(), pack, bytes);
                        put.map_err(TransferError::from)?;
                        packs.uploaded.push(*pack);
                    }
                }
                packs.there.insert(*pack, size);
            }
        }
        let lists: Vec<_> = self.now.lists().collect();
        for ids in lists.chunks(MAX_PACKS_PER_CALL) {
            let there = self.opened.remote.have_packs(&vault.id(), ids);
            let there = there.map_err(TransferError::from)?;
            packs.lists_missing |= there.iter().any(|there| *there != Presence::There);
        }
        self.forget_superseded(&mut packs);
        Ok(packs)
    }

    /// Lists of links and settings that something else is chosen for are in the trash for a
    /// reason.
    fn forget_superseded(&self, packs: &mut Packs) {
        let (links, settings) = self.small(packs);
        let chosen = [links, settings].into_iter().flatten();
        let chosen: BTreeSet<_> = chosen
            .filter_map(|at| PackId::from_slice(&at.pack).ok())
            .collect();
        let indexed: BTreeSet<_> = self.all().flat_map(Part::indexed).collect();
        for pack in std::mem::take(&mut packs.trashed) {
            if chosen.contains(&pack) || indexed.contains(&pack) {
                packs.trashed.insert(pack);
            } else {
                packs.there.remove(&pack);
                packs.superseded.insert(pack);
            }
        }
    }

    /// Whether what is there goes on being indexed where the hoster says that it has lost
    /// it: nobody has said that it went back.
    fn trusts_no_loss(&self) -> bool {
        self.series == Series::Lost && self.over == Over::Spoiled
    }

    /// Whether what is there lacks something, or leads to what is gone.
    fn lack_something(&self, packs: &Packs, links: &StandingLinks) -> bool {
        let now: HashSet<_> = self.now.entries.iter().collect();
        let lacks_entries = self.entries().iter().any(|entry| {
            let is_gone = packs.gone.contains(&entry.pack);
            match now.contains(entry) {
                true => is_gone && !self.trusts_no_loss(),
                false => !is_gone,
            }
        });
        let (_, settings) = self.small(packs);
        let mut lost = self.lost.iter();
        lacks_entries
            || !packs.uploaded.is_empty()
            || !packs.trashed.is_empty()
            || packs.lists_missing
            || links.at != self.now.root.links
            || settings != self.now.root.settings
            || !lost.all(|part| self.now.listed.holds(&self.opened.keys, &part.listed))
    }

    /// The settings where they were changed in the vault and in what was lost, if what is
    /// there has not all of it: sealed anew. What cannot be read of what was lost is not
    /// missed, since it is no more.
    fn join_settings(&self, vault: &Vault, packs: &Packs) -> Result<Option<Alone>, ReconcileError> {
        let (_, chosen) = self.small(packs);
        let Some(at) = chosen.filter(|at| self.now.root.settings.as_ref() == Some(at)) else {
            return Ok(None);
        };
        // Whoever knew all that this device had seen has left out what he did on purpose.
        if vault.is_answered_for()? {
            return Ok(None);
        }
        let Some(now) = settings(vault, &at)? else {
            return Ok(None);
        };
        let mut joined = now.clone();
        for at in self
            .lost
            .iter()
            .filter_map(|part| part.root.settings.as_ref())
        {
            let is_gone = PackId::from_slice(&at.pack).is_ok_and(|pack| packs.gone.contains(&pack));
            if is_gone || self.before.settings.as_ref() == Some(at) {
                continue;
            }
            if let Some(lost) = settings(vault, at)? {
                joined = match joined.joined_with(&lost) {
                    Ok(both) => both,
                    Err(_) if self.series == Series::Lost => return Err(ReconcileError::NoRoom),
                    // What is there stays.
                    Err(_) => joined,
                };
            }
        }
        if joined == now {
            return Ok(None);
        }
        let sealed = seal_alone(vault, ChunkKind::Settings, &joined.encode())?;
        Ok(sealed.map(|(pack, located)| Alone { pack, located }))
    }

    /// The list of links and the settings: the newest, unless somebody has changed
    /// them since the hoster went back.
    pub(super) fn small(&self, packs: &Packs) -> (Option<Located>, Option<Located>) {
        let choose = |of: fn(&Root) -> &Option<Located>| {
            let now = of(&self.now.root);
            if now != of(&self.before) && now.is_some() {
                return now.clone();
            }
            let is_there = |at: &Located| {
                PackId::from_slice(&at.pack).is_ok_and(|pack| {
                    // Where a hoster went back, somebody has brought it forward, and then
                    // put something in its place.
                    let in_trash = self.series == Series::Standing && packs.trashed.contains(&pack);
                    let superseded = in_trash || packs.superseded.contains(&pack);
                    !superseded && !packs.gone.contains(&pack)
                })
            };
            match self.lost.first().map(|part| of(&part.root)) {
                // The last link was revoked.
                Some(None) => None,
                Some(Some(at)) if is_there(at) => Some(at.clone()),
                _ => now.clone(),
            }
        };
        (choose(|root| &root.links), choose(|root| &root.settings))
    }

    /// Writes catalog and index, and lists of links and settings that are new; what a head
    /// is to add, and its root.
    fn write(
        &self,
        vault: &Vault,
        packs: &Packs,
        links: StandingLinks,
        joined: Option<Alone>,
    ) -> Result<(Vec<PackId>, Root), ReconcileError> {
        let keys = &self.opened.keys;
        let open = PackBuilder::new(keys.clone(), keys.current_epoch());
        let mut tail = Tail::new(keys.clone(), open, Rng::new(vault.randomness()));
        let catalog = self.write_catalog(&mut tail)?;
        let now: HashSet<_> = self.now.entries.iter().collect();
        let mut entries = self.entries();
        entries.retain(|entry| {
            let stays = self.trusts_no_loss() && now.contains(entry);
            stays || !packs.gone.contains(&entry.pack)
        });
        let segments = rewrite_segments(&mut tail, entries)?;
        let (mut new, places) = tail.finish();

        new.extend(links.new);
        let (_, mut settings) = self.small(packs);
        if let Some(Alone { pack, located }) = joined {
            settings = Some(located);
            new.push(pack);
        }
        let lost = self.lost.first().map_or(&self.now.root, |part| &part.root);
        let now = &self.now.root;
        let mut root = Root {
            minimum_reader: now.minimum_reader.max(lost.minimum_reader),
            minimum_writer: now.minimum_writer.max(lost.minimum_writer),
            last_removal_seq: newest(vault) + 1,
            links: links.at,
            settings,
            pack_count: packs.there.len() as u64,
            pack_bytes: packs.there.values().map(|size| u64::from(*size)).sum(),
            ..stamped(vault, now.clone())
        };
        let mut held = links.held;
        held.extend(self.now.packs().map(|(pack, _)| pack));
        let there = packs.there.keys().copied();
        let is_missing = |pack: &PackId| !held.contains(pack) || packs.trashed.contains(pack);
        let mut adds: Vec<_> = there.filter(is_missing).collect();
        adds.extend(packs.uploaded.iter().filter(|pack| held.contains(pack)));
        for pack in new {
            root.pack_count += 1;
            root.pack_bytes += pack.bytes.len() as u64;
            adds.push(pack.id);
            let kept = self.opened.cache.keep(&pack.id, &pack.bytes);
            kept.map_err(TransferError::Cache)?;
            let put = self
                .opened
                .remote
                .put_pack(&vault.id(), &pack.id, Bytes::from(pack.bytes));
            put.map_err(TransferError::from)?;
        }
        root.segments = segments.resolve(&places).0;
        root.catalog = catalog.map(|at| located(&places, at));
        Ok((adds, root))
    }

    /// What was lost came before what has been committed since; where both have begun a
    /// series of the same name, only one of the two stays.
    fn write_catalog(&self, tail: &mut Tail) -> Result<Option<PlacedAt>, ReconcileError> {
        let (now, lost) = (&self.now.listed, || {
            self.lost.iter().map(|part| &part.listed)
        });
        let clash = lost().any(|lost| now.names_clash(lost));
        let series = match (clash, self.series) {
            (true, Series::Standing) => Some(now.only_series().map_err(told)?),
            _ => None,
        };
        let order: Vec<_> = series.iter().chain(lost()).chain([now]).collect();
        if self.all().all(|part| part.root.catalog.is_none()) {
            return Ok(None);
        }
        let Some((first, rest)) = order.split_first() else {
            return Ok(None);
        };
        let catalog = first.with(rest, &self.opened.keys, tail).map_err(told)?;
        Ok(Some(tail.place(ChunkKind::Catalog, &catalog.encode())?))
    }
}

impl Part {
    pub(super) fn of(
        root: Root,
        reader: &Reader,
        index: &VaultIndex,
    ) -> Result<Self, ContentsError> {
        let listed = Listed::read(read_catalog(&root, reader)?, reader.clone())?;
        let mut entries = Vec::new();
        let all = index.for_each(|entry| {
            entries.push(*entry);
            Ok::<_, IndexError>(())
        });
        all.map_err(TransferError::from)?;
        Ok(Self {
            root,
            listed,
            entries,
        })
    }

    /// Reads a part with an index of its own.
    pub(super) fn apart(
        vault: &Vault,
        root: Root,
        opened: &Opened,
        directory: &Path,
    ) -> Result<Self, ContentsError> {
        let index = VaultIndex::open(directory.to_owned(), None).map_err(TransferError::from)?;
        let index = Arc::new(index);
        let reader = Reader::new(
            vault.id(),
            opened.keys.clone(),
            index.clone(),
            opened.remote.clone(),
            opened.cache.clone(),
        );
        index.follow(&root.segments, &reader)?;
        Self::of(root, &reader, &index)
    }

    /// The packs that it leads to, with their sizes, but for those that hold nothing
    /// but its index.
    fn packs(&self) -> impl Iterator<Item = (PackId, u32)> {
        let entries = self.entries.iter();
        self.small()
            .chain(entries.map(|entry| (entry.pack, entry.pack_size)))
    }

    /// Those of the settings and the list of links.
    fn small(&self) -> impl Iterator<Item = (PackId, u32)> {
        let small = self.root.settings.iter().chain(&self.root.links);
        small.filter_map(|at| Some((PackId::from_slice(&at.pack).ok()?, at.pack_size)))
    }

    /// Those in which its catalog and its index stand.
    fn lists(&self) -> impl Iterator<Item = PackId> {
        let segments = self.root.segments.iter();
        let segments = segments.filter_map(|segment| segment.at.as_ref());
        let lists = segments.chain(&self.root.catalog);
        lists.filter_map(|at| PackId::from_slice(&at.pack).ok())
    }

    /// Those that the index names.
    fn indexed(&self) -> impl Iterator<Item = PackId> {
        self.entries.iter().map(|entry| entry.pack)
    }
}

/// Whether a root may lead to something that `now` does not lead to.
fn leads_beyond(root: &Root, now: &Root) -> bool {
    let mut segments = root.segments.iter();
    root.catalog != now.catalog
        || root.links != now.links
        || root.settings != now.settings
        || !segments.all(|segment| now.segments.contains(segment))
}

/// Whether programs may read and write a vault with this root that may not now.
fn demands_less(vault: &Vault, root: &Root) -> bool {
    vault
        .root()
        .is_ok_and(|now| now.minimum_writer > root.minimum_writer)
}

/// The settings that stand there; `None` of what is gone or malformed.
fn settings(vault: &Vault, at: &Located) -> Result<Option<AccountSettings>, ReconcileError> {
    let read = read_alone(vault, ChunkKind::Settings, at);
    let read = readable(read.map_err(ContentsError::from))?;
    Ok(read.and_then(|bytes| AccountSettings::decode(&bytes).ok()))
}

/// What can be read; `None` of what is gone or malformed.
pub(super) fn readable<T, E: Into<ContentsError>>(
    read: Result<T, E>,
) -> Result<Option<T>, ReconcileError> {
    match read.map_err(Into::into) {
        Ok(read) => Ok(Some(read)),
        Err(ContentsError::Transfer(error)) if !error.is_lasting() => Err(error.into()),
        Err(ContentsError::Output(error)) => Err(TransferError::Cache(error).into()),
        Err(_) => Ok(None),
    }
}

pub(super) fn told(error: ContentsError) -> ReconcileError {
    match error {
        ContentsError::Transfer(error) => error.into(),
        error => ReconcileError::Contents(error),
    }
}

/// The bytes of a pack, if this device has kept it whole.
pub(super) fn kept(opened: &Opened, pack: &PackId, size: u32) -> Option<Bytes> {
    let bytes = opened.cache.read(pack, 0, size)?;
    (PackId::of(&bytes) == *pack).then(|| Bytes::from(bytes))
}
