//! Directories that the hoster, with a reader who knows every key, has written
//! anew: no head names them.

use prost::Message;
use vault_core::chunk::ChunkKind;
use vault_core::pack::PackBuilder;
use vault_core::seal::Compressor;
use vault_proto::ids::PackId;
use vault_proto::wire::{Node, Timestamp};

use super::scene::Scene;
use crate::engine::{backed_up, newest};
use crate::support::rng;

/// The nodes of a chunk of a directory.
fn nodes_of(mut chunk: &[u8]) -> Vec<Node> {
    let mut nodes = Vec::new();
    while !chunk.is_empty() {
        nodes.push(Node::decode_length_delimited(&mut chunk).unwrap());
    }
    nodes
}

fn place_of(nodes: &[Node], name: &[u8]) -> Option<usize> {
    nodes.iter().position(|node| node.name == name)
}

impl Scene {
    /// Every chunk of a pack, opened.
    fn opened(&self, pack: &PackId) -> Vec<(ChunkKind, Vec<u8>)> {
        let keys = self.vault.keys().unwrap();
        let bytes = self.front().pack(pack);
        let (_, entries) = self.packs().into_iter().find(|(id, _)| id == pack).unwrap();
        let opened = entries.iter().map(|entry| {
            let sealed = &bytes[entry.offset as usize..][..entry.sealed_length as usize];
            let plaintext = keys.open_chunk(1, entry.kind, &entry.id, sealed).unwrap();
            (entry.kind, plaintext)
        });
        opened.collect()
    }

    /// The nodes of the directory in a pack that holds something of this name.
    fn directory_with(&self, pack: &PackId, name: &[u8]) -> Vec<Node> {
        let chunks = self.opened(pack).into_iter();
        let mut trees = chunks
            .filter(|(kind, _)| *kind == ChunkKind::Tree)
            .map(|(_, chunk)| nodes_of(&chunk));
        trees.find(|nodes| place_of(nodes, name).is_some()).unwrap()
    }

    /// The pack with one directory changed, all of it sealed as a writer would.
    fn rewritten(&self, pack: &PackId, name: &[u8], change: impl Fn(&mut Vec<Node>)) -> Vec<u8> {
        let keys = self.vault.keys().unwrap();
        let mut rewritten = PackBuilder::new(keys.clone(), 1);
        let mut compressor = Compressor::default();
        let mut changed = 0;
        for (kind, mut plaintext) in self.opened(pack) {
            if kind == ChunkKind::Tree {
                let mut nodes = nodes_of(&plaintext);
                if place_of(&nodes, name).is_some() {
                    change(&mut nodes);
                    let nodes = nodes.iter().map(Message::encode_length_delimited_to_vec);
                    let altered = nodes.collect::<Vec<_>>().concat();
                    assert_ne!(altered, plaintext);
                    plaintext = altered;
                    changed += 1;
                }
            }
            let id = keys.chunk_id(kind, &plaintext);
            rewritten
                .push_chunk(kind, &id, &plaintext, &mut compressor, &mut rng())
                .unwrap();
        }
        assert_eq!(changed, 1);
        let rewritten = rewritten.finish(&mut rng());
        assert_eq!(rewritten.bytes.len(), self.front().pack(pack).len());
        rewritten.bytes
    }

    fn newest_pack(&self, before: &[PackId]) -> PackId {
        let mut packs = self.packs().into_iter().map(|(pack, _)| pack);
        packs.find(|pack| !before.contains(pack)).unwrap()
    }
}

#[test]
fn a_directory_that_a_reader_has_rewritten_is_refused() {
    let mut scene = Scene::small();
    let pack = scene.newest_pack(&[]);
    type Change = fn(&mut Vec<Node>);
    let changes: [(&[u8], Change); 8] = [
        // Injected.
        (b"letter", |nodes| {
            let mut more = nodes[place_of(nodes, b"letter").unwrap()].clone();
            more.name = b"letter-2".to_vec();
            let at = place_of(nodes, b"letter").unwrap() + 1;
            nodes.insert(at, more);
        }),
        // Removed.
        (b"letter", |nodes| {
            let at = place_of(nodes, b"letter").unwrap();
            nodes.remove(at);
        }),
        // Renamed.
        (b"letter", |nodes| {
            let at = place_of(nodes, b"letter").unwrap();
            nodes[at].name = b"lettre".to_vec();
        }),
        // Names exchanged.
        (b"one", |nodes| {
            let first = nodes[0].name.clone();
            nodes[0].name = std::mem::replace(&mut nodes[1].name, first);
            nodes.reverse();
        }),
        // Moved, from elsewhere into this directory.
        (b"one", |nodes| {
            let mut moved = nodes[0].clone();
            moved.name = b"a-letter".to_vec();
            nodes.insert(0, moved);
        }),
        (b"letter", |nodes| {
            let at = place_of(nodes, b"letter").unwrap();
            nodes[at].mode ^= 0o111;
        }),
        (b"letter", |nodes| {
            let at = place_of(nodes, b"letter").unwrap();
            nodes[at].modified = Some(Timestamp {
                seconds: 1,
                ..Timestamp::default()
            });
        }),
        (b"letter", |nodes| {
            let at = place_of(nodes, b"letter").unwrap();
            nodes[at].size += 1;
        }),
    ];
    for (name, change) in changes {
        let lie = scene.rewritten(&pack, name, change);
        scene.front().lay(&pack, Some(lie));
        scene.assert_all_refused();
        scene.front().behave();
    }
    scene.assert_honest_again();
}

/// The newest directory, in which a directory below is what it was before.
#[test]
fn an_old_directory_in_a_new_one_is_refused() {
    let mut scene = Scene::small();
    let first = scene.newest_pack(&[]);
    let old = scene.directory_with(&first, b"photos");
    let old = old[place_of(&old, b"photos").unwrap()].clone();
    scene.files.write("photos/one", b"taken again");
    backed_up(&mut scene.vault, &scene.files).unwrap();
    scene.snapshot = newest(&scene.vault).unwrap();
    let second = scene.newest_pack(&[first]);
    let lie = scene.rewritten(&second, b"photos", |nodes| {
        let at = place_of(nodes, b"photos").unwrap();
        assert_ne!(nodes[at].content, old.content);
        nodes[at].content.clone_from(&old.content);
    });
    scene.front().lay(&second, Some(lie));
    scene.assert_all_refused();
    scene.assert_honest_again();
}
