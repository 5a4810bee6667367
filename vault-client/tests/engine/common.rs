//! A vault with another writer, who puts into the index what he likes.

use std::sync::Arc;

use bytes::Bytes;
use vault_client::check::Problem;
use vault_client::remote::memory::{Call, MemoryHoster};
use vault_client::vault::Vault;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::index::{IndexEntry, MAX_SEGMENTS, SegmentBuilder};
use vault_core::keys::VaultKeys;
use vault_core::pack::{FinishedPack, PackBuilder, read_pack_entries};
use vault_core::seal::Compressor;
use vault_proto::ids::PackId;
use vault_proto::vault_log::Role;
use vault_proto::wire::{Root, SegmentRef};

use super::forger::{located, size};
use super::{Files, assert_restores, backed_up, snapshots};
use crate::support::{Machine, Member, Other, rng};

/// A member's vault, and another member who writes to it.
struct Common {
    owner: Member,
    vault: Vault,
    writer: Member,
}

impl Common {
    fn new() -> Self {
        let owner = Member::new();
        let mut vault = owner.account.create_vault("family").unwrap();
        let writer = Member::at(&owner.hoster);
        let log = writer.paper().own_log();
        let id = writer.account.id();
        owner
            .paper()
            .append_knowing(vault.id(), &[log], |author, keys| {
                author
                    .add_member(keys, &id, Role::Writer, &mut rng())
                    .unwrap()
            });
        writer
            .paper()
            .append(vault.id(), |author, _| author.accept().unwrap());
        vault.refresh().unwrap();
        Self {
            owner,
            vault,
            writer,
        }
    }

    fn keys(&self) -> Arc<VaultKeys> {
        self.vault.keys().unwrap()
    }

    fn id_of(&self, content: &[u8]) -> ChunkId {
        self.keys().chunk_id(ChunkKind::FileData, content)
    }

    /// Where the owner's devices have sealed a chunk, the oldest place first.
    fn places_of(&self, id: ChunkId) -> Vec<IndexEntry> {
        let (keys, vault) = (self.keys(), self.vault.id());
        let puts = self.owner.hoster.calls().into_iter();
        let packs = puts.filter_map(|call| match call {
            Call::PutPack(pack) => Some(pack),
            _ => None,
        });
        let mut places = Vec::new();
        for pack in packs {
            let Some(bytes) = self.owner.hoster.pack(&vault, &pack) else {
                continue;
            };
            let entries = read_pack_entries(&keys, 1, &pack, &bytes).unwrap_or_default();
            let found = entries.iter().filter(|entry| entry.id == id);
            places.extend(found.map(|entry| IndexEntry {
                id,
                kind: entry.kind,
                pack,
                epoch: 1,
                pack_size: u32::try_from(bytes.len()).unwrap(),
                offset: entry.offset,
                sealed_length: entry.sealed_length,
            }));
        }
        places
    }

    fn garbage(&self) -> FinishedPack {
        garbage(&self.keys())
    }

    /// The other writer commits an index that says that a chunk is where it is
    /// not: in a pack of his, or in `pack`.
    fn plant(&mut self, id: ChunkId, pack: Option<(PackId, u32)>) {
        let garbage = self.garbage();
        let (pack, pack_size) = pack.unwrap_or((garbage.id, size(&garbage)));
        let entry = IndexEntry {
            id,
            kind: ChunkKind::FileData,
            pack,
            epoch: 1,
            pack_size,
            offset: 0,
            sealed_length: garbage.entries[0].sealed_length,
        };
        self.plant_all(garbage, &[entry]);
    }

    fn plant_all(&mut self, garbage: FinishedPack, entries: &[IndexEntry]) {
        plant(&self.writer.paper(), &self.vault, garbage, entries);
        self.vault.refresh().unwrap();
    }

    /// The other writer commits as many segments as a root has room for, and says
    /// in each that a chunk is somewhere else in a pack of his.
    fn besiege(&mut self, id: ChunkId) {
        let garbage = self.garbage();
        let entries = (0..110).map(|number| IndexEntry {
            id,
            kind: ChunkKind::FileData,
            pack: garbage.id,
            epoch: 1,
            pack_size: size(&garbage),
            offset: number,
            sealed_length: 100,
        });
        let entries: Vec<_> = entries.collect();
        self.plant_all(garbage, &entries);
        assert!(self.segments() > MAX_SEGMENTS);
    }

    fn segments(&self) -> usize {
        self.vault.root().unwrap().segments.len()
    }

    /// The owner stores small files, one in each commit.
    fn commit_little(&mut self, commits: u64) {
        for number in 0..commits {
            let little = Files::new(&[("little", super::noise(900 + number, 5_000))]);
            backed_up(&mut self.vault, &little).unwrap();
        }
    }
}

/// A pack with a chunk that nobody wants.
pub(crate) fn garbage(keys: &Arc<VaultKeys>) -> FinishedPack {
    let mut garbage = PackBuilder::new(keys.clone(), 1);
    let (kind, content) = (ChunkKind::FileData, b"garbage");
    let id = keys.chunk_id(kind, content);
    let mut compressor = Compressor::default();
    garbage
        .push_chunk(kind, &id, content, &mut compressor, &mut rng())
        .unwrap();
    garbage.finish(&mut rng())
}

/// A writer of the vault commits a pack and segments of the index, each of one of the
/// entries.
pub(crate) fn plant(writer: &Other, vault: &Vault, garbage: FinishedPack, entries: &[IndexEntry]) {
    let keys = vault.keys().unwrap();
    let mut compressor = Compressor::default();
    let mut map = PackBuilder::new(keys.clone(), 1);
    for entry in entries {
        let mut segment = SegmentBuilder::new();
        segment.add(entry).unwrap();
        let encoded = segment.encode();
        let id = keys.chunk_id(ChunkKind::Index, &encoded);
        map.push_chunk(ChunkKind::Index, &id, &encoded, &mut compressor, &mut rng())
            .unwrap();
    }
    let map = map.finish(&mut rng());

    let vault = vault.id();
    let before = writer.look(vault).root;
    let mut root = Root {
        minimum_reader: 1,
        minimum_writer: 1,
        pack_count: before.pack_count + 2,
        ..before
    };
    let segments = (0..entries.len()).map(|number| SegmentRef {
        at: Some(located(&map, number)),
        entries: 1,
    });
    root.segments.extend(segments);
    let adds = [map.id, garbage.id];
    for pack in [map, garbage] {
        writer
            .remote
            .put_pack(&vault, &pack.id, Bytes::from(pack.bytes))
            .unwrap();
    }
    writer.commit_change(vault, &root, &adds, &[]);
}

#[test]
fn a_device_relies_on_no_chunk_that_another_member_has_indexed() {
    let mut common = Common::new();
    let content = super::noise(1, 100_000);
    common.plant(common.id_of(&content), None);
    let files = Files::new(&[("foreseen", content)]);
    let report = backed_up(&mut common.vault, &files).unwrap();
    assert!(report.new_bytes >= 100_000, "{report:?}");
    let newest = snapshots(&common.vault).pop().unwrap();
    assert_restores(&common.vault, &newest, &files);
}

#[test]
fn a_place_in_a_pack_of_its_own_does_not_deceive_a_device() {
    let mut common = Common::new();
    let before = Files::new(&[("before", super::noise(1, 100_000))]);
    backed_up(&mut common.vault, &before).unwrap();
    let mut puts = common
        .owner
        .hoster
        .calls()
        .into_iter()
        .filter_map(|call| match call {
            Call::PutPack(pack) => Some(pack),
            _ => None,
        });
    let vault = common.vault.id();
    let large = |pack: &PackId| {
        common
            .owner
            .hoster
            .pack(&vault, pack)
            .is_some_and(|p| p.len() > 65_536)
    };
    let own = puts.rfind(large).unwrap();
    let length = common.owner.hoster.pack(&vault, &own).unwrap().len();

    let content = super::noise(2, 100_000);
    let size = u32::try_from(length).unwrap();
    common.plant(common.id_of(&content), Some((own, size)));
    let files = Files::new(&[("foreseen", content)]);
    let report = backed_up(&mut common.vault, &files).unwrap();
    assert!(report.new_bytes >= 100_000, "{report:?}");
    let newest = snapshots(&common.vault).pop().unwrap();
    assert_restores(&common.vault, &newest, &files);
}

/// How often packs were read since, and the longest range.
fn reads(hoster: &MemoryHoster) -> (usize, u32) {
    let ranges = hoster.calls().into_iter().filter_map(|call| match call {
        Call::ReadPacks(ranges) => Some(ranges),
        _ => None,
    });
    let lengths: Vec<_> = ranges.flatten().map(|range| range.length).collect();
    (lengths.len(), lengths.into_iter().max().unwrap_or(0))
}

/// The other writer says of a pack that it has a size which it has not, for every
/// chunk that is there.
#[test]
fn a_wrong_size_of_a_pack_is_found_out_once() {
    let mut common = Common::new();
    let contents: Vec<_> = (1..=8).map(|seed| super::noise(seed, 20_000)).collect();
    let named: Vec<_> = (1..=8).map(|number| format!("file {number}")).collect();
    let files = named.iter().map(|name| &name[..]).zip(contents.clone());
    let files = Files::new(&files.collect::<Vec<_>>());
    backed_up(&mut common.vault, &files).unwrap();
    let snapshot = snapshots(&common.vault).pop().unwrap();
    // Half as long as he says, and nothing that opens.
    let bytes = Bytes::from(super::noise(9, 1 << 20));
    let pack = PackId::of(&bytes);
    let writer = common.writer.paper();
    let id = common.vault.id();
    writer.remote.put_pack(&id, &pack, bytes).unwrap();
    for content in &contents {
        common.plant(common.id_of(content), Some((pack, 2 << 20)));
    }
    super::forget_cache(&common.vault);
    let hoster = common.owner.hoster.clone();
    hoster.forget_calls();
    assert_restores(&common.vault, &snapshot, &files);
    // Eight segments of the other's, eight ranges of chunks, and one look for each size.
    let (count, _) = reads(&hoster);
    assert!(count < 32, "{count}");
}

#[test]
fn sizes_that_no_pack_has_are_not_made_room_for() {
    let mut common = Common::new();
    let files = Files::new(&[("ours", super::noise(1, 100_000))]);
    backed_up(&mut common.vault, &files).unwrap();
    let writer = common.writer.paper();
    let root = writer.look(common.vault.id()).root;
    let catalog = root.catalog.clone().unwrap();
    // Something that this version does not read, in a pack that is not indexed.
    let pack = crate::support::put_pack(&common.vault);
    let root = Root {
        settings: Some(vault_proto::wire::Located {
            pack: pack.to_vec(),
            pack_size: u32::MAX,
            ..catalog
        }),
        ..root
    };
    writer.commit_change(common.vault.id(), &root, &[pack], &[]);
    let hoster = common.owner.hoster.clone();
    hoster.forget_calls();
    let report = super::checked(&mut common.vault).unwrap();
    assert_eq!(report.problems, [Problem::PackMalformed(pack)]);
    let (_, longest) = reads(&hoster);
    assert!(longest <= 16 << 20, "{longest}");
}

/// What roots and trees count is what members' devices have written there.
#[test]
fn numbers_that_another_member_made_up_stop_no_backup() {
    let mut common = Common::new();
    let writer = common.writer.paper();
    let root = Root {
        minimum_reader: 1,
        minimum_writer: 1,
        pack_count: u64::MAX,
        pack_bytes: u64::MAX,
        ..Root::default()
    };
    writer.commit_change(common.vault.id(), &root, &[], &[]);
    common.vault.refresh().unwrap();
    let files = Files::new(&[("ours", super::noise(1, 100_000))]);
    backed_up(&mut common.vault, &files).unwrap();
    assert_eq!(common.vault.root().unwrap().pack_bytes, u64::MAX);
    let newest = snapshots(&common.vault).pop().unwrap();
    assert_restores(&common.vault, &newest, &files);
}

#[test]
fn a_device_relies_on_what_it_has_stored_itself() {
    let mut common = Common::new();
    let content = super::noise(1, 100_000);
    let files = Files::new(&[("first", content.clone())]);
    backed_up(&mut common.vault, &files).unwrap();
    let again = Files::new(&[("second", content)]);
    let report = backed_up(&mut common.vault, &again).unwrap();
    assert!(report.new_bytes < 50_000, "{report:?}");
    let newest = snapshots(&common.vault).pop().unwrap();
    assert_restores(&common.vault, &newest, &again);
}

/// The other writer indexes garbage under the id of a chunk that is there
/// already: every reader finds the place behind it.
#[test]
fn what_another_member_indexes_in_front_of_a_chunk_hides_nothing() {
    let mut common = Common::new();
    let content = super::noise(1, 100_000);
    let files = Files::new(&[("ours", content.clone())]);
    backed_up(&mut common.vault, &files).unwrap();
    let snapshot = snapshots(&common.vault).pop().unwrap();
    // Less than the shortest chunk: the file is one.
    common.plant(common.id_of(&content), None);
    super::forget_cache(&common.vault);
    assert_restores(&common.vault, &snapshot, &files);
    // Nor does it blame the hoster, who has lost nothing.
    let target = tempfile::tempdir().unwrap();
    let path = files.path();
    let report = super::restored(&common.vault, &snapshot, path, target.path());
    assert_eq!(report.unwrap().missed_packs, 0);
    let contents = vault_client::contents::Contents::open(&common.vault).unwrap();
    let mut read = Vec::new();
    let path = files.path().join("ours");
    let path = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str());
    contents
        .read_file(&snapshot.snapshot, path, &mut read)
        .unwrap();
    assert_eq!(read, content);
    // The check says so, and whose fault it is.
    let report = super::checked(&mut common.vault).unwrap();
    assert!(!report.problems.is_empty());
    assert!(
        report
            .problems
            .iter()
            .all(|problem| !problem.is_the_hosters())
    );
}

/// Two chunks are said to begin at one place, or one in the other: a restore looks for
/// each elsewhere, and leaves out no file without saying so.
#[test]
fn what_another_member_indexes_in_a_chunk_takes_no_file_away() {
    let mut common = Common::new();
    let contents = [super::noise(1, 100_000), super::noise(2, 110_000)];
    let files = Files::new(&[]);
    for (number, content) in contents.iter().enumerate() {
        files.write(&number.to_string(), content);
    }
    backed_up(&mut common.vault, &files).unwrap();
    let snapshot = snapshots(&common.vault).pop().unwrap();
    let hoster = common.owner.hoster.clone();
    let vault = common.vault.id();
    let packs = hoster.packs(&vault).into_iter();
    let sized = packs.map(|pack| (pack, hoster.pack(&vault, &pack).unwrap().len()));
    let (pack, length) = sized.max_by_key(|(_, length)| *length).unwrap();
    // One of them does begin there.
    for content in &contents {
        let size = u32::try_from(length).unwrap();
        common.plant(common.id_of(content), Some((pack, size)));
        super::forget_cache(&common.vault);
        assert_restores(&common.vault, &snapshot, &files);
    }
    // As one who knows the pack by another size says it.
    common.plant(common.id_of(&contents[0]), Some((pack, 16 << 20)));
    super::forget_cache(&common.vault);
    assert_restores(&common.vault, &snapshot, &files);
}

/// What another member can say of a chunk.
#[derive(Debug, Clone, Copy)]
enum Lie {
    Pack,
    Kind,
    /// It is where another chunk of the same file's directory is.
    Offset,
}

/// Merging keeps what every segment says: the chunk is found, wherever the segments
/// went, and the device goes on knowing that it has stored it.
#[test]
fn no_merge_hides_a_chunk_behind_what_another_member_has_indexed() {
    for is_foreseen in [true, false] {
        for lie in [Lie::Pack, Lie::Kind, Lie::Offset] {
            let mut common = Common::new();
            let (beside, content) = (super::noise(1, 90_000), super::noise(2, 100_000));
            let files = [("beside", beside.clone()), ("ours", content.clone())];
            let ours = Files::new(&files);
            let id = common.id_of(&content);
            if is_foreseen {
                let before = Files::new(&files[..1]);
                backed_up(&mut common.vault, &before).unwrap();
                lied(&mut common, id, &beside, lie);
            }
            backed_up(&mut common.vault, &ours).unwrap();
            if !is_foreseen {
                lied(&mut common, id, &beside, lie);
            }
            let planted = common.vault.root().unwrap().segments.clone();
            common.commit_little(8);
            // All of them were merged, but for a second place of one chunk.
            assert!(common.segments() <= 2, "{}", common.segments());
            let root = common.vault.root().unwrap();
            assert!(planted.iter().all(|before| !root.segments.contains(before)));

            // A file that did not change is taken over without a look at the index.
            let report = backed_up(&mut common.vault, &ours).unwrap();
            assert!(report.new_bytes < 50_000, "{report:?}");
            // And one that is new is not stored again.
            let again = Files::new(&files);
            let report = backed_up(&mut common.vault, &again).unwrap();
            assert!(report.new_bytes < 50_000, "{report:?}");

            super::forget_cache(&common.vault);
            let snapshots = snapshots(&common.vault);
            let first = usize::from(is_foreseen);
            assert_restores(&common.vault, &snapshots[first], &ours);
            assert_restores(&common.vault, snapshots.last().unwrap(), &again);
            let report = super::checked(&mut common.vault).unwrap();
            assert!(!report.problems.is_empty(), "{lie:?}");
            let problems = report.problems.iter();
            assert!(problems.clone().all(|problem| !problem.is_the_hosters()));
        }
    }
}

/// The other writer says something of a chunk. The owner has stored `beside`.
fn lied(common: &mut Common, id: ChunkId, beside: &[u8], lie: Lie) {
    let beside = common.places_of(common.id_of(beside))[0];
    let garbage = common.garbage();
    let entry = match lie {
        Lie::Pack => IndexEntry {
            id,
            pack: garbage.id,
            pack_size: size(&garbage),
            offset: 0,
            sealed_length: garbage.entries[0].sealed_length,
            ..beside
        },
        Lie::Kind => IndexEntry {
            id,
            kind: ChunkKind::Tree,
            sealed_length: 1_000,
            ..beside
        },
        Lie::Offset => IndexEntry { id, ..beside },
    };
    common.plant_all(garbage, &[entry]);
}

/// Each device relies on its own place of a chunk; both stay in the index.
#[test]
fn what_two_devices_have_stored_stays_stored_for_both() {
    let mut common = Common::new();
    let desktop = Machine::of(&common.owner, "a desktop");
    let mut theirs = desktop.vault();
    let content = super::noise(1, 100_000);
    let stored = Files::new(&[("stored", content.clone())]);
    for vault in [&mut common.vault, &mut theirs] {
        let report = backed_up(vault, &stored).unwrap();
        assert!(report.new_bytes >= 100_000, "{report:?}");
    }
    for number in 0..4 {
        let little = Files::new(&[("little", super::noise(900 + number, 5_000))]);
        backed_up(&mut common.vault, &little).unwrap();
        backed_up(&mut theirs, &little).unwrap();
    }
    assert!(theirs.root().unwrap().segments.len() <= 2);
    let again = Files::new(&[("again", content)]);
    for vault in [&mut common.vault, &mut theirs] {
        let report = backed_up(vault, &again).unwrap();
        assert!(report.new_bytes < 50_000, "{report:?}");
    }
}

#[test]
fn very_many_places_of_a_chunk_are_fewer_once_a_device_knows_the_right_one() {
    let content = super::noise(1, 100_000);
    let files = Files::new(&[("ours", content.clone())]);
    // Whoever has stored it knows at once.
    let mut common = Common::new();
    backed_up(&mut common.vault, &files).unwrap();
    let snapshot = snapshots(&common.vault).pop().unwrap();
    common.besiege(common.id_of(&content));
    common.commit_little(1);
    assert!(common.segments() <= MAX_SEGMENTS, "{}", common.segments());
    super::forget_cache(&common.vault);
    assert_restores(&common.vault, &snapshot, &files);

    // So does whoever stores it now.
    let mut common = Common::new();
    common.besiege(common.id_of(&content));
    backed_up(&mut common.vault, &files).unwrap();
    assert!(common.segments() <= MAX_SEGMENTS, "{}", common.segments());
    let snapshot = snapshots(&common.vault).pop().unwrap();
    super::forget_cache(&common.vault);
    assert_restores(&common.vault, &snapshot, &files);

    // Another device opens a few of them in each commit, until it has found it.
    let mut common = Common::new();
    let desktop = Machine::of(&common.owner, "a desktop");
    let mut theirs = desktop.vault();
    backed_up(&mut theirs, &files).unwrap();
    common.vault.refresh().unwrap();
    let snapshot = snapshots(&theirs).pop().unwrap();
    common.besiege(common.id_of(&content));
    let before = common.segments();
    let mut commits = 0;
    while common.segments() > MAX_SEGMENTS {
        common.commit_little(1);
        assert!(common.segments() <= before);
        commits += 1;
        assert!(commits < 150, "a seventh of the places in each");
    }
    super::forget_cache(&common.vault);
    assert_restores(&common.vault, &snapshot, &files);
}

/// No place is dropped of a chunk that is at none of them; commits go on.
#[test]
fn very_many_places_of_a_chunk_that_is_nowhere_stop_nobody() {
    let mut common = Common::new();
    common.commit_little(1);
    common.besiege(common.id_of(b"nowhere"));
    let before = common.segments();
    let files = Files::new(&[("ours", super::noise(1, 100_000))]);
    let reads = |common: &Common| {
        let calls = common.owner.hoster.calls().into_iter();
        calls
            .filter(|call| matches!(call, Call::ReadPacks(_)))
            .count()
    };
    for number in 0..5 {
        files.write(&format!("more-{number}"), &super::noise(number, 20_000));
        let before_it = reads(&common);
        backed_up(&mut common.vault, &files).unwrap();
        assert!(common.segments() <= before, "{}", common.segments());
        // It looks at some of the places, and not at all of them.
        let read = reads(&common) - before_it;
        assert!((16..=20).contains(&read), "{read} calls");
    }
    let newest = snapshots(&common.vault).pop().unwrap();
    super::forget_cache(&common.vault);
    assert_restores(&common.vault, &newest, &files);
}
