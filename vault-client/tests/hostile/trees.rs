//! Directories that the hoster, with a reader who knows every key, has written anew:
//! no head names them.
//!
//! A reader's directory is sealed under the key of the genuine one, is as long, and
//! stands in its place: tag and body are right. Two things refuse it. Whatever comes
//! over the line is a whole pack, and has to have its hash. What is kept on the
//! device is only opened, since nobody but the device should write there: so these
//! tests put the same bytes there too, where the chunk's id alone refuses them. The
//! genuine directory sealed again, put there in the same way, is read.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::HEXLOWER;
use prost::Message;
use vault_client::check::Problem;
use vault_client::contents::ContentsError;
use vault_client::error::ErrorCode;
use vault_client::platform::{Randomness, Rng};
use vault_client::restore::RestoreError;
use vault_core::chunk::{ChunkId, ChunkKind};
use vault_core::labels;
use vault_core::pack::PackEntry;
use vault_core::seal::{Compressor, Decompressor, MAX_SEALED_OVERHEAD};
use vault_proto::ids::PackId;
use vault_proto::wire::{Node, Timestamp};

use super::scene::{Restored, Scene};
use crate::engine::{Files, backed_up, content_of, forget_cache, newest, noise};
use crate::support::rng;

/// Every random byte while the epoch is begun that the reader knows.
const KNOWN: u8 = 0x6b;

pub(super) struct Known;

impl Randomness for Known {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(KNOWN);
    }
}

/// A vault of one pack in which the newest `photos` stands, and a newer one that
/// holds all that leads there: root, catalog, index, and the directories above.
struct Forest {
    scene: Scene,
    pack: PackId,
    tree: PackEntry,
    /// What `photos` holds, and what it held in the first snapshot.
    newest: Vec<Node>,
    oldest: Vec<Node>,
    /// The file beside `photos`.
    letter: Node,
}

impl Forest {
    fn new() -> Self {
        let files = Files::new(&[
            ("letter", noise(1, 3_000)),
            ("photos/one", noise(2, 2_000)),
            ("photos/two", b"two ".repeat(500)),
        ]);
        // What a lie can be made shorter by; it compresses, and a lie does not.
        let target = HEXLOWER.encode(&noise(3, 1_000));
        symlink(target, files.path().join("photos/pad")).unwrap();
        let mut scene = Scene::of(files);
        let (first, _) = scene.packs().remove(0);
        let (_, oldest) = scene.directory_with(&first, 1, b"one");
        scene
            .person
            .paper(&scene.hostile)
            .append(scene.vault.id(), |author, keys| {
                author.rotate(keys, &mut Rng::new(Arc::new(Known))).unwrap()
            });
        scene.vault.refresh().unwrap();
        scene.files.write("photos/one", b"taken again");
        backed_up(&mut scene.vault, &scene.files).unwrap();
        let packs = scene.packs().into_iter().map(|(pack, _)| pack);
        let pack = packs.filter(|pack| *pack != first).max().unwrap();
        let (tree, newest) = scene.directory_with(&pack, 2, b"one");
        let (_, above) = scene.directory_with(&pack, 2, b"letter");
        let letter = above[place_of(&above, b"letter").unwrap()].clone();
        scene.back_up_again();
        Self {
            scene,
            pack,
            tree,
            newest,
            oldest,
            letter,
        }
    }

    /// The pack with another sealed chunk in the place of the directory's.
    fn with(&self, sealed: &[u8]) -> Vec<u8> {
        let mut bytes = self.scene.front().pack(&self.pack).to_vec();
        let place = &mut bytes[self.tree.offset as usize..][..self.tree.sealed_length as usize];
        assert_ne!(place, sealed);
        place.copy_from_slice(sealed);
        bytes
    }

    /// With the directory itself, sealed again.
    fn resealed(&self) -> Vec<u8> {
        let keys = self.scene.vault.keys().unwrap();
        let plaintext = encoded(&self.newest);
        let mut sealed = Vec::new();
        keys.seal_chunk(
            2,
            ChunkKind::Tree,
            &self.tree.id,
            &plaintext,
            &mut Compressor::default(),
            &mut rng(),
            &mut sealed,
        )
        .unwrap();
        self.with(&sealed)
    }

    /// With a directory that holds these nodes, as a reader can seal it.
    fn rewritten(&self, nodes: &[Node]) -> Vec<u8> {
        let length = self.tree.sealed_length as usize - MAX_SEALED_OVERHEAD;
        let plaintext = of_length(nodes, length);
        let sealed = sealed_by_a_reader(ChunkKind::Tree, &self.tree.id, &plaintext);
        // It opens for who asks for no id; it is not the one that was asked for.
        let keys = self.scene.vault.keys().unwrap();
        let key = keys.export_chunk_key(2, &self.tree.id).unwrap();
        let hash = *blake3::hash(&sealed).as_bytes();
        let opened = key.open_chunk(
            ChunkKind::Tree,
            &hash,
            &sealed,
            &mut Decompressor::default(),
        );
        assert_eq!(opened.unwrap(), plaintext);
        assert!(
            keys.open_chunk(2, ChunkKind::Tree, &self.tree.id, &sealed)
                .is_err()
        );
        self.with(&sealed)
    }

    /// A hoster that shows a pack with that directory in it: over the line, and to a
    /// device in whose cache the same bytes stand.
    fn assert_refused(&mut self, lie: Vec<u8>) {
        self.scene.front().lay(&self.pack, Some(lie.clone()));
        self.assert_altered(self.scene.restore());
        let problems = self.scene.check().unwrap().problems;
        assert!(problems.contains(&Problem::PackAltered(self.pack)));
        // The walk has come to the directory, and no further.
        let after = [self.scene.files.path().to_str().unwrap(), "/photos"].concat();
        let is_it = |problem: &Problem| match problem {
            Problem::TreeUnreadable {
                after: at, altered, ..
            } => *altered && *at == after.as_bytes(),
            _ => false,
        };
        assert!(problems.iter().any(is_it), "{problems:?}");

        self.assert_altered(self.restore_with_cached(&lie));
        self.scene.front().behave();
        // From an honest hoster it is fetched again.
        let Restored { result, written } = self.restore_with_cached(&lie);
        assert_eq!(result.unwrap().left_out, []);
        assert_eq!(written, content_of(self.scene.files.path()));
    }

    fn assert_altered(&self, Restored { result, written }: Restored) {
        let error = result.expect_err("a directory that no head names was restored");
        let of_a_chunk = matches!(&error, RestoreError::Contents(ContentsError::Transfer(_)));
        assert!(of_a_chunk, "{error:?}");
        assert_eq!(error.code(), ErrorCode::HosterMisbehaved);
        assert_eq!(written.len(), 0);
    }

    fn restore_with_cached(&self, pack: &[u8]) -> Restored {
        forget_cache(&self.scene.vault);
        let cache = self.scene.vault.directory().unwrap().join("packs");
        let path = cache.join(self.pack.to_string());
        let plant = || {
            fs::create_dir_all(&cache).unwrap();
            fs::write(&path, pack).unwrap();
        };
        // It stays where it was believed.
        let pull = || {
            if fs::read(&path).is_ok_and(|bytes| bytes == pack) {
                fs::remove_file(&path).unwrap();
            }
        };
        self.scene.restore_between(plant, pull)
    }
}

impl Scene {
    /// The directory in a pack that holds something of this name.
    fn directory_with(&self, pack: &PackId, epoch: u64, name: &[u8]) -> (PackEntry, Vec<Node>) {
        let keys = self.vault.keys().unwrap();
        let bytes = self.front().pack(pack);
        let (_, entries) = self.packs().into_iter().find(|(id, _)| id == pack).unwrap();
        let trees = entries.iter().filter(|entry| entry.kind == ChunkKind::Tree);
        let mut opened = trees.map(|entry| {
            let sealed = &bytes[entry.offset as usize..][..entry.sealed_length as usize];
            let plaintext = keys.open_chunk(epoch, entry.kind, &entry.id, sealed);
            (*entry, nodes_of(&plaintext.unwrap()))
        });
        let holds = |nodes: &[Node]| place_of(nodes, name).is_some();
        opened.find(|(_, nodes)| holds(nodes)).unwrap()
    }
}

/// The nodes of a chunk of a directory.
fn nodes_of(mut chunk: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while !chunk.is_empty() {
        nodes.push(Node::decode_length_delimited(&mut chunk).unwrap());
    }
    nodes
}

fn encoded(nodes: &[Node]) -> Vec<u8> {
    let nodes = nodes.iter().map(Message::encode_length_delimited_to_vec);
    nodes.collect::<Vec<_>>().concat()
}

fn place_of(nodes: &[Node], name: &[u8]) -> Option<usize> {
    nodes.iter().position(|node| node.name == name)
}

/// A directory of that length: the symlink in it leads less far.
fn of_length(nodes: &[Node], length: usize) -> Vec<u8> {
    let pad = place_of(nodes, b"pad").unwrap();
    let target = nodes[pad].symlink_target.clone();
    // A length of one byte more may make what stands before it longer by another.
    for uid in [0, 200] {
        for kept in 1..=target.len() {
            let mut nodes = nodes.to_vec();
            nodes[pad].uid = uid;
            nodes[pad].symlink_target.truncate(kept);
            let plaintext = encoded(&nodes);
            if plaintext.len() == length {
                return plaintext;
            }
        }
    }
    panic!("no directory of {length} bytes");
}

/// Sealed in the epoch that was begun so, under the key of the chunk `id`, whatever it is.
pub(super) fn sealed_by_a_reader(kind: ChunkKind, id: &ChunkId, plaintext: &[u8]) -> Vec<u8> {
    body_sealed_by_a_reader(kind, id, [&[0], plaintext].concat())
}

/// Likewise, with whatever stands for a codec and what it makes of the plaintext.
pub(super) fn body_sealed_by_a_reader(kind: ChunkKind, id: &ChunkId, mut body: Vec<u8>) -> Vec<u8> {
    let root = blake3::derive_key(labels::CHUNK_SEALING_KEY, &[KNOWN; 32]);
    let key = *blake3::keyed_hash(&root, id.as_bytes()).as_bytes();
    let nonce = [9; 24];
    let tag = XChaCha20Poly1305::new(&key.into())
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &[1, kind.to_byte()],
            body.as_mut_slice().into(),
        )
        .unwrap();
    let mut sealed = [&nonce[..], &body].concat();
    sealed.extend_from_slice(&tag);
    sealed
}

/// What is done to the nodes of `photos`: `one`, `pad` and `two`, in that order.
type Change = fn(&mut Vec<Node>, &Node);

const CHANGES: [Change; 9] = [
    // Injected.
    |nodes, _| {
        let mut more = nodes[0].clone();
        more.name = b"one-2".to_vec();
        nodes.insert(1, more);
    },
    // Removed.
    |nodes, _| drop(nodes.pop()),
    // Renamed.
    |nodes, _| nodes[2].name = b"zwei".to_vec(),
    // Names exchanged.
    |nodes, _| {
        let first = nodes[0].name.clone();
        nodes[0].name = std::mem::replace(&mut nodes[2].name, first);
        nodes.swap(0, 2);
    },
    // Moved here from elsewhere.
    |nodes, letter| nodes.insert(0, letter.clone()),
    // The content of one under the name of the other, all else as it was.
    |nodes, _| {
        let (content, size) = (nodes[0].content.clone(), nodes[0].size);
        nodes[0].content = std::mem::replace(&mut nodes[2].content, content);
        nodes[0].size = std::mem::replace(&mut nodes[2].size, size);
    },
    |nodes, _| nodes[0].mode ^= 0o111,
    |nodes, _| {
        nodes[0].modified = Some(Timestamp {
            seconds: 1,
            ..Timestamp::default()
        });
    },
    |nodes, _| nodes[0].size += 1,
];

#[test]
fn a_directory_that_a_reader_has_rewritten_is_refused() {
    let mut forest = Forest::new();
    let names: Vec<_> = forest.newest.iter().map(|node| &node.name[..]).collect();
    assert_eq!(names, [&b"one"[..], b"pad", b"two"]);
    for change in CHANGES {
        let mut nodes = forest.newest.clone();
        change(&mut nodes, &forest.letter);
        assert_ne!(nodes, forest.newest);
        let lie = forest.rewritten(&nodes);
        forest.assert_refused(lie);
    }
    forest.scene.assert_honest_again();
}

/// The newest directory that leads to `photos`, in which that is what it was before.
#[test]
fn an_old_directory_in_a_new_one_is_refused() {
    let mut forest = Forest::new();
    let old = forest.oldest.clone();
    let one = place_of(&old, b"one").unwrap();
    assert_ne!(old[one].content, forest.newest[one].content);
    let lie = forest.rewritten(&old);
    forest.assert_refused(lie);
    forest.scene.assert_honest_again();
}

/// What the two above rest on: that a directory in a pack's place is read at all. Sealed
/// again and otherwise untouched it is not what the pack's id names, so that nothing
/// comes of it over the line; where no hash is asked for, it is what was asked for.
#[test]
fn the_same_directory_sealed_again_is_refused_for_its_packs_hash_alone() {
    let mut forest = Forest::new();
    let resealed = forest.resealed();
    let Restored { result, written } = forest.restore_with_cached(&resealed);
    assert_eq!(result.unwrap().left_out, []);
    assert_eq!(written, content_of(forest.scene.files.path()));
    // And from there it was: the hoster has nothing to send.
    forest.scene.front().lay(&forest.pack, None);
    let Restored { result, written } = forest.restore_with_cached(&resealed);
    assert_eq!(result.unwrap().left_out, []);
    assert_eq!(written, content_of(forest.scene.files.path()));
    forest.scene.front().behave();

    forest.scene.front().lay(&forest.pack, Some(resealed));
    forest.assert_altered(forest.scene.restore());
    forest.scene.assert_honest_again();
}

/// A directory is read from the pack that the index names, and the newest snapshot.
#[test]
fn the_forest_is_as_these_tests_need_it() {
    let forest = Forest::new();
    assert_eq!(
        newest(&forest.scene.vault).unwrap().id,
        forest.scene.snapshot.id
    );
    let packs = forest.scene.packs();
    assert_eq!(packs.len(), 3);
    let root = forest.scene.vault.root().unwrap();
    let segments = root
        .segments
        .iter()
        .filter_map(|segment| segment.at.as_ref());
    let named = segments.chain(&root.catalog);
    assert!(
        named
            .map(|at| &at.pack)
            .all(|pack| pack != forest.pack.as_bytes())
    );
}
