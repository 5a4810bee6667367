//! Packs and what is in them: altered, exchanged, lost, forged.

use std::collections::BTreeSet;
use std::fs;

use prost::Message;
use vault_client::account::Account;
use vault_client::backup::BackupError;
use vault_client::check::Problem;
use vault_client::error::ErrorCode;
use vault_client::remote::Presence;
use vault_core::chunk::ChunkKind;
use vault_core::index::{IndexEntry, SegmentBuilder};
use vault_core::keys::VaultKeys;
use vault_core::pack::{PackBuilder, PackEntry, TRAILER_LEN};
use vault_core::seal::Compressor;
use vault_proto::ids::PackId;
use vault_proto::wire::Node;
use vault_rpc::hoster::{Accepted, commit_head_response::Outcome};

use super::history::assert_matches;
use super::scene::{Person, Scene};
use crate::engine::{Files, backed_up, noise};
use crate::support::{pack, rng};

impl Scene {
    /// The pack that holds everything.
    fn only_pack(&self) -> (PackId, Vec<PackEntry>) {
        let mut packs = self.packs();
        assert_eq!(packs.len(), 1);
        packs.remove(0)
    }

    /// A pack of files' data alone, and one of metadata.
    fn data_and_metadata(&self) -> (PackId, Vec<PackEntry>, PackId) {
        let is_data = |entries: &[PackEntry]| {
            let mut kinds = entries.iter().map(|entry| entry.kind);
            kinds.all(|kind| kind == ChunkKind::FileData)
        };
        let (data, metadata): (Vec<_>, Vec<_>) = self
            .packs()
            .into_iter()
            .partition(|(_, entries)| is_data(entries));
        let (pack, entries) = data
            .into_iter()
            .max_by_key(|(_, entries)| entries.len())
            .unwrap();
        (pack, entries, metadata[0].0)
    }

    /// A hoster that keeps `lie` under the name of a pack that holds metadata:
    /// nothing comes of a restore.
    fn assert_lie_about_metadata_refused(&mut self, pack: &PackId, lie: Option<Vec<u8>>) {
        self.front().lay(pack, lie);
        self.assert_all_refused();
        self.assert_honest_again();
    }

    /// Likewise of a pack of data: its files are left out, all of them.
    fn assert_lie_about_data_costs(&mut self, pack: &PackId, lie: Option<Vec<u8>>, files: usize) {
        let problem = match lie {
            Some(_) => Problem::PackAltered(*pack),
            None => Problem::PackMissing(*pack),
        };
        self.front().lay(pack, lie);
        self.assert_restores_all_but(files);
        assert_eq!(self.check().unwrap().problems, [problem]);
        self.assert_honest_again();
    }
}

#[test]
fn no_flipped_byte_of_a_pack_is_believed() {
    let mut scene = Scene::small();
    let (pack, entries) = scene.only_pack();
    let bytes = scene.front().pack(&pack).to_vec();
    let ends = entries
        .iter()
        .map(|entry| (entry.offset + entry.sealed_length - 1) as usize);
    let mut positions: BTreeSet<_> = ends.collect();
    positions.extend(entries.iter().map(|entry| entry.offset as usize));
    positions.extend((0..bytes.len()).step_by(397));
    positions.extend((bytes.len() - TRAILER_LEN..bytes.len()).step_by(5));
    for position in positions {
        let mut flipped = bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        scene.front().lay(&pack, Some(flipped));
        scene.assert_all_refused();
    }
    scene.assert_honest_again();
}

#[test]
fn a_flipped_byte_of_a_files_data_costs_that_file() {
    let mut scene = Scene::large();
    let (pack, entries, _) = scene.data_and_metadata();
    let mut bytes = scene.front().pack(&pack).to_vec();
    bytes[entries[entries.len() / 2].offset as usize + 1_000] ^= 1;
    scene.assert_lie_about_data_costs(&pack, Some(bytes), 1);
}

#[test]
fn two_packs_that_changed_places_are_noticed() {
    let mut scene = Scene::small();
    scene.back_up_again();
    let packs = scene.packs();
    let [(one, _), (other, _)] = &packs[..] else {
        panic!("two backups in a pack each, and not {packs:?}");
    };
    let bytes = [one, other].map(|pack| scene.front().pack(pack).to_vec());
    let [first, second] = bytes;
    scene.front().lay(one, Some(second));
    scene.front().lay(other, Some(first));
    scene.assert_all_refused();
    scene.assert_honest_again();
}

#[test]
fn an_old_pack_under_a_new_id_is_noticed() {
    let mut scene = Scene::small();
    let (old, _) = scene.only_pack();
    scene.back_up_again();
    let packs = scene.packs();
    let (new, _) = packs.iter().find(|(pack, _)| *pack != old).unwrap();
    let lie = scene.front().pack(&old).to_vec();
    scene.assert_lie_about_metadata_refused(new, Some(lie));
}

#[test]
fn another_vaults_pack_is_noticed() {
    let mut scene = Scene::small();
    let (pack, _) = scene.only_pack();
    let before: BTreeSet<_> = scene.front().packs().into_keys().collect();
    let mut other = scene.person.account.create_vault("other").unwrap();
    backed_up(&mut other, &scene.files).unwrap();
    let length = scene.front().pack(&pack).len();
    let theirs = scene
        .front()
        .packs()
        .into_iter()
        .filter(|(id, bytes)| !before.contains(id) && bytes.len() == length);
    let lies: Vec<_> = theirs.map(|(_, bytes)| bytes.to_vec()).collect();
    assert!(!lies.is_empty());
    for lie in lies {
        scene.assert_lie_about_metadata_refused(&pack, Some(lie));
    }
}

#[test]
fn another_epochs_pack_is_noticed() {
    let mut scene = Scene::small();
    let (before, _) = scene.only_pack();
    let paper = scene.person.paper(&scene.hostile);
    paper.append(scene.vault.id(), |author, keys| {
        author.rotate(keys, &mut rng()).unwrap()
    });
    scene.vault.refresh().unwrap();
    assert_eq!(scene.vault.keys().unwrap().current_epoch(), 2);
    scene.back_up_again();
    let packs = scene.packs();
    let (after, _) = packs.iter().find(|(pack, _)| *pack != before).unwrap();
    for (pack, lie) in [(&before, after), (after, &before)] {
        let lie = scene.front().pack(lie).to_vec();
        scene.assert_lie_about_metadata_refused(pack, Some(lie));
    }
}

#[test]
fn a_pack_of_another_kind_is_noticed() {
    let mut scene = Scene::large();
    let (data, entries, metadata) = scene.data_and_metadata();
    let lie = scene.front().pack(&data).to_vec();
    scene.assert_lie_about_metadata_refused(&metadata, Some(lie));
    let lie = scene.front().pack(&metadata).to_vec();
    scene.front().lay(&data, Some(lie));
    let restored = scene.restore();
    // Shorter than what was asked for: no chunk of that pack is written.
    match restored.result {
        Ok(report) => assert!(report.lost_by_hoster >= entries.len() as u64),
        Err(error) => assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}"),
    }
    assert_eq!(
        scene.check().unwrap().problems,
        [Problem::PackAltered(data)]
    );
    scene.assert_honest_again();
}

#[test]
fn a_dropped_pack_is_missed() {
    let mut scene = Scene::large();
    let (data, entries, metadata) = scene.data_and_metadata();
    scene.assert_lie_about_data_costs(&data, None, entries.len());
    scene.assert_lie_about_metadata_refused(&metadata, None);
}

#[test]
fn a_truncated_pack_is_noticed() {
    let mut scene = Scene::small();
    let (pack, _) = scene.only_pack();
    let bytes = scene.front().pack(&pack);
    for length in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        scene.assert_lie_about_metadata_refused(&pack, Some(bytes[..length].to_vec()));
    }
}

/// Bytes after the end of a pack are never asked for; bytes after those that
/// were asked for end the call.
#[test]
fn bytes_appended_to_a_pack_are_noticed() {
    let mut scene = Scene::small();
    for more in [1, 100_000] {
        scene.hostile.orders().read_packs = Some(Box::new(move |_, bytes| {
            let longer = [&bytes[..], &vec![7; more]].concat();
            super::front::pieces(&longer.into(), |bytes| {
                vault_rpc::hoster::ReadPacksResponse { bytes }
            })
        }));
        scene.assert_all_refused();
        scene.assert_honest_again();
    }
}

#[test]
fn chunks_that_changed_places_in_a_pack_are_noticed() {
    let mut scene = Scene::large();
    let (pack, entries, _) = scene.data_and_metadata();
    let bytes = scene.front().pack(&pack);
    let slice = |entry: &PackEntry| {
        let start = entry.offset as usize;
        &bytes[start..start + entry.sealed_length as usize]
    };
    assert_eq!(entries[0].sealed_length, entries[1].sealed_length);
    let (first, second) = (slice(&entries[0]), slice(&entries[1]));
    let rest = &bytes[first.len() + second.len()..];
    assert_eq!(entries[0].offset, 0);
    let swapped = [second, first, rest].concat();
    scene.assert_lie_about_data_costs(&pack, Some(swapped), 2);
}

/// A file whose bytes are a directory's: the same plaintext twice, sealed once
/// as each. Neither opens where the other stands.
#[test]
fn a_chunk_of_one_kind_is_not_taken_for_another() {
    let mut scene = Scene::small();
    let keys = scene.vault.keys().unwrap();
    let (pack, entries) = scene.only_pack();
    let bytes = scene.front().pack(&pack);
    let tree = entries
        .iter()
        .filter(|entry| entry.kind == ChunkKind::Tree)
        .max_by_key(|entry| entry.sealed_length)
        .unwrap();
    let sealed = &bytes[tree.offset as usize..][..tree.sealed_length as usize];
    let plaintext = keys
        .open_chunk(1, ChunkKind::Tree, &tree.id, sealed)
        .unwrap();
    Node::decode_length_delimited(&plaintext[..]).unwrap();

    scene.files.write("looks like a directory", &plaintext);
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = crate::engine::newest(&scene.vault).unwrap();
    let id = keys.chunk_id(ChunkKind::FileData, &plaintext);
    assert_ne!(id, tree.id);
    let (other, entries) = scene
        .packs()
        .into_iter()
        .find(|(other, _)| *other != pack)
        .unwrap();
    let file = entries.iter().find(|entry| entry.id == id).unwrap();
    // The hoster, who was told which is which, puts each in the other's place;
    // where lengths differ, as much as there is room for.
    let (one, two) = (bytes, scene.front().pack(&other));
    let mut lies = [one.to_vec(), two.to_vec()];
    let room = tree.sealed_length.min(file.sealed_length) as usize;
    let (tree_at, file_at) = (tree.offset as usize, file.offset as usize);
    lies[0][tree_at..][..room].copy_from_slice(&two[file_at..][..room]);
    lies[1][file_at..][..room].copy_from_slice(&one[tree_at..][..room]);
    let [first, second] = lies;
    scene.front().lay(&pack, Some(first));
    scene.assert_all_refused();
    scene.front().behave();
    scene.front().lay(&other, Some(second));
    scene.assert_all_refused();
    scene.assert_honest_again();
    // Nor does either open as the other, whoever says so: under its own id, which is all
    // that its key is of, it is the kind that refuses.
    let sealed = [
        (
            ChunkKind::Tree,
            tree.id,
            &one[tree_at..][..tree.sealed_length as usize],
        ),
        (
            ChunkKind::FileData,
            id,
            &two[file_at..][..file.sealed_length as usize],
        ),
    ];
    for (own, id, sealed) in sealed {
        for kind in [ChunkKind::Tree, ChunkKind::FileData] {
            let opened = keys.open_chunk(1, kind, &id, sealed);
            assert_eq!(opened.ok(), (kind == own).then(|| plaintext.clone()));
        }
    }
}

/// A reader knows every key, and with the hoster's help can put a pack of his
/// own making in another's place. Only a head can make it count.
#[test]
fn an_index_that_a_reader_has_forged_is_refused() {
    let mut scene = Scene::small();
    let keys = scene.vault.keys().unwrap();
    let (pack, entries) = scene.only_pack();
    let bytes = scene.front().pack(&pack);
    let mut forged = PackBuilder::new(keys.clone(), 1);
    let mut compressor = Compressor::default();
    for entry in &entries {
        let sealed = &bytes[entry.offset as usize..][..entry.sealed_length as usize];
        let plaintext = keys.open_chunk(1, entry.kind, &entry.id, sealed).unwrap();
        // An index that knows one chunk of his.
        let plaintext = match entry.kind {
            ChunkKind::Index => forged_index(&keys, &pack, bytes.len()),
            _ => plaintext,
        };
        let id = keys.chunk_id(entry.kind, &plaintext);
        forged
            .push_chunk(entry.kind, &id, &plaintext, &mut compressor, &mut rng())
            .unwrap();
    }
    let forged = forged.finish(&mut rng());
    assert_eq!(forged.bytes.len(), bytes.len());
    scene.assert_lie_about_metadata_refused(&pack, Some(forged.bytes));
}

fn forged_index(keys: &VaultKeys, pack: &PackId, pack_bytes: usize) -> Vec<u8> {
    let mut segment = SegmentBuilder::new();
    let entry = IndexEntry {
        id: keys.chunk_id(ChunkKind::FileData, b"planted"),
        kind: ChunkKind::FileData,
        pack: *pack,
        epoch: 1,
        pack_size: u32::try_from(pack_bytes).unwrap(),
        offset: 0,
        sealed_length: 100,
    };
    segment.add(&entry).unwrap();
    segment.encode()
}

/// What a hoster swallows is not what it was sent: told at the commit, where
/// the device can still send it again.
#[test]
fn an_upload_that_was_acknowledged_and_discarded_is_told() {
    let mut scene = Scene::small();
    let head = scene.vault.head();
    scene
        .hostile
        .orders()
        .put_pack
        .instead(|_| Some(Ok(vault_rpc::hoster::PutPackResponse { was_there: false })));
    scene.files.write("new", &noise(99, 3_000));
    let before = scene.person.believed();
    let error = backed_up(&mut scene.vault, &scene.files).unwrap_err();
    assert_matches!(&error, BackupError::PacksLost { count: 1 });
    assert_eq!(error.code(), ErrorCode::HosterMisbehaved, "{error}");
    assert_eq!(scene.vault.head(), head);
    assert_eq!(scene.person.believed(), before);
    scene.front().behave();
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = crate::engine::newest(&scene.vault).unwrap();
    scene.assert_honest_again();
}

/// It claims at the commit that all is there, too: then the first check knows.
#[test]
fn a_hoster_that_claims_a_pack_it_has_not_is_found_out_by_a_check() {
    let mut scene = Scene::large();
    let (pack, entries, _) = scene.data_and_metadata();
    scene.front().lay(&pack, None);
    // It says so even when asked, and has nothing to send.
    let all = |asked: &vault_rpc::hoster::HavePacksRequest,
               answer: &mut vault_rpc::hoster::HavePacksResponse| {
        answer.there = vec![1; asked.packs.len() / 32];
    };
    scene.hostile.orders().have_packs.tamper(all);
    assert_eq!(
        scene.check().unwrap().problems,
        [Problem::PackMissing(pack)]
    );
    scene.assert_restores_all_but(entries.len());
    scene.assert_honest_again();
}

/// Two machines that a device was cloned to seal the same files: no nonce comes
/// twice, since none comes from the state.
#[test]
fn a_cloned_device_repeats_no_nonce() {
    let scene = Scene::small();
    let clone = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(scene.person.home.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), clone.path().join(entry.file_name())).unwrap();
        }
    }
    // The same new file on both, so that both seal the same chunks.
    scene.files.write("new", &noise(77, 3_000));
    let vault_of = |account: &Account| {
        account
            .open_vault(&vault_client::account::VaultSelector::Only)
            .unwrap()
    };
    let mut first = vault_of(&scene.person.reopened(&scene.hostile));
    let account = Account::open(&scene.hostile.setup(clone.path())).unwrap();
    let mut second = vault_of(&account);
    // The hoster hides from each what the other has stored, so that nothing is
    // deduplicated.
    scene.hostile.orders().commit_head.instead(|_| {
        Some(Ok(vault_rpc::hoster::CommitHeadResponse {
            outcome: Some(Outcome::Accepted(Accepted {})),
        }))
    });
    backed_up(&mut first, &scene.files).unwrap();
    scene.front().behave();
    backed_up(&mut second, &scene.files).unwrap();
    let mut nonces = BTreeSet::new();
    let mut sealed = 0;
    for (pack, entries) in scene.packs() {
        let bytes = scene.front().pack(&pack);
        let footer = entries
            .last()
            .map(|entry| (entry.offset + entry.sealed_length) as usize);
        let starts = entries.iter().map(|entry| entry.offset as usize);
        for start in starts.chain(footer).chain([bytes.len() - TRAILER_LEN]) {
            nonces.insert(bytes[start..start + 24].to_vec());
            sealed += 1;
        }
    }
    assert!(sealed > 15, "{sealed}");
    let id = first
        .keys()
        .unwrap()
        .chunk_id(ChunkKind::FileData, &noise(77, 3_000));
    let packs = scene.packs().into_iter();
    let twice = packs.filter(|(_, entries)| entries.iter().any(|entry| entry.id == id));
    assert_eq!(twice.count(), 2, "both have sealed it");
    assert_eq!(nonces.len(), sealed);
}

/// Nothing that a hoster says of packs is remembered as a device's own.
#[test]
fn a_stranger_finds_no_pack_of_another_vault() {
    let scene = Scene::small();
    let stranger = Person::at(&scene.hostile);
    let theirs = stranger.account.create_vault("theirs").unwrap();
    let (pack_id, _) = scene.only_pack();
    let there = theirs.remote().have_packs(&theirs.id(), &[pack_id]);
    assert_eq!(there, Ok(vec![Presence::Absent]));
    let (mine, remote) = (scene.vault.id(), theirs.remote());
    let before = (scene.person.stored(), stranger.stored());
    let error = remote.have_packs(&mine, &[pack_id]).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoVault, "{error}");
    let (id, bytes) = pack(&theirs);
    let error = remote.put_pack(&mine, &id, bytes).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NoVault, "{error}");
    assert_eq!(
        scene.vault.remote().have_packs(&mine, &[id]),
        Ok(vec![Presence::Absent])
    );
    assert_eq!((scene.person.stored(), stranger.stored()), before);
}

/// An empty file is a file without chunks, and an empty directory a directory
/// without nodes: neither has a sealed chunk that could be offered as the other.
#[test]
fn an_empty_file_and_an_empty_directory_share_no_chunk() {
    let files = Files::new(&[("file", Vec::new())]);
    fs::create_dir(files.path().join("directory")).unwrap();
    let mut scene = Scene::of(files);
    let (_, entries) = scene.only_pack();
    let keys = scene.vault.keys().unwrap();
    let empty = [ChunkKind::FileData, ChunkKind::Tree].map(|kind| keys.chunk_id(kind, b""));
    assert_ne!(empty[0], empty[1]);
    assert!(!entries.iter().any(|entry| empty.contains(&entry.id)));
    scene.assert_honest_again();
}
