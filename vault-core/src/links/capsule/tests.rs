use proptest::prelude::*;
use prost::Message;
use rand::rngs::ChaCha20Rng;
use rand_core::SeedableRng;
use vault_proto::device::DeviceKind;
use vault_proto::ids::{HosterId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::sign::SignLabel;
use vault_proto::wire as messages;

use super::*;
use crate::aead;
use crate::chunk::ChunkKind;
use crate::keys::{DeviceKeys, VaultKeys};
use crate::links::{CapsuleKey, LinkSecret, LinkUrl, OpenLinkError, PasswordStretching};
use crate::seal::Compressor;
use crate::secret::Secret;

const SECRET: [u8; 32] = [9; 32];

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn device() -> DeviceKeys {
    DeviceKeys::generate(&mut rng())
}

fn secret() -> LinkSecret {
    LinkSecret::from_array(SECRET)
}

fn key() -> CapsuleKey {
    secret().capsule_key(None)
}

fn named(name: &str) -> Option<NodeName> {
    Some(NodeName::new(name).unwrap())
}

fn node(depth: usize, name: &str, content: SharedContent) -> SharedNode {
    SharedNode {
        depth,
        name: named(name),
        mode: 0o644,
        modified: Timestamp::new(1_700_000_000, 5).unwrap(),
        content,
    }
}

fn file(depth: usize, name: &str, chunks: &[u32], size: u64, holes: &[(u64, u64)]) -> SharedNode {
    let hole = |&(offset, length): &(u64, u64)| Hole { offset, length };
    let content = SharedContent::File {
        chunks: chunks.to_vec(),
        size,
        holes: holes.iter().map(hole).collect(),
    };
    node(depth, name, content)
}

fn symlink(depth: usize, name: &str, target: &str) -> SharedNode {
    let target = target.as_bytes().to_vec();
    node(depth, name, SharedContent::Symlink { target })
}

fn directory(depth: usize, name: &str) -> SharedNode {
    node(depth, name, SharedContent::Directory)
}

fn chunk(pack: u8, offset: u32, sealed_length: u32, length: u32) -> SharedChunk {
    SharedChunk {
        pack: PackId::from_array([pack; 32]),
        pack_size: 1 << 20,
        offset,
        sealed_length,
        length,
        key: ChunkKey::from_array([pack; 32]),
        sealed_hash: [offset as u8; 32],
    }
}

fn fields() -> CapsuleFields {
    CapsuleFields {
        link: secret().id(),
        account: AccountId::from_array([4; 32]),
        created: Timestamp::new(1_795_000_000, 0).unwrap(),
        nodes: vec![
            directory(0, "photos"),
            file(1, "a.jpg", &[0, 1], 300, &[]),
            directory(1, "b"),
            directory(2, "c"),
            symlink(3, "d", "../a.jpg"),
            file(2, "e", &[1], 1_100, &[(0, 500), (600, 500)]),
            file(1, "empty", &[], 0, &[]),
            file(1, "same", &[0, 1, 0], 500, &[]),
        ],
        chunks: vec![chunk(2, 0, 241, 200), chunk(1, 70_000, 141, 100)],
    }
}

fn seal(fields: &CapsuleFields) -> Result<SealedCapsule, SealCapsuleError> {
    let mut compressor = Compressor::default();
    Capsule::seal(fields, &device(), &key(), &mut compressor, &mut rng())
}

fn open(sealed: &[u8]) -> Result<Capsule, OpenLinkError> {
    Capsule::open(&key(), secret().id(), sealed)
}

/// Seals whatever is given as a signed capsule, as whoever has the key can.
fn forge_signed(signed: &[u8]) -> Vec<u8> {
    let frame = Compressor::default().compress(signed);
    let sealed = seal::seal(&key(), secret().id(), &frame, signed.len(), &mut rng());
    sealed.unwrap().bytes
}

fn forge(message: &messages::Capsule) -> Vec<u8> {
    let payload = message.encode_to_vec();
    let signature = device().sign(SignLabel::Capsule, &payload).to_vec();
    forge_signed(&messages::SignedCapsule { payload, signature }.encode_to_vec())
}

/// What a reader makes of a capsule that its maker changed before signing it.
#[track_caller]
fn refused(change: impl FnOnce(&mut messages::Capsule)) -> CapsuleError {
    let mut message = wire::to_wire(&fields(), device().public());
    change(&mut message);
    malformed(open(&forge(&message)))
}

#[track_caller]
fn malformed(opened: Result<Capsule, OpenLinkError>) -> CapsuleError {
    match opened {
        Err(OpenLinkError::Malformed(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn url(capsule: PackId, password: Option<PasswordStretching>) -> LinkUrl {
    LinkUrl {
        origin: Origin::parse("coffre.example:8443").unwrap(),
        hoster: HosterId::from_array([1; 32]),
        tls: TlsTrust::Public,
        secret: secret(),
        capsule,
        password,
    }
}

#[test]
fn a_capsule_opens_as_it_was_sealed() {
    let sealed = seal(&fields()).unwrap();
    assert_eq!(sealed.bytes.len(), 16 << 10);
    let capsule = open(&sealed.bytes).unwrap();
    assert_eq!(*capsule.fields(), fields());
    assert_eq!(capsule.device(), device().public());
    assert_eq!(capsule.root(), &fields().nodes[0]);
    let totals = Totals {
        files: 4,
        directories: 3,
        symlinks: 1,
        bytes: 900,
    };
    assert_eq!(capsule.fields().totals(), totals);
    assert_eq!(url(sealed.id, None).open(&sealed.bytes, None), Ok(capsule));
}

#[test]
fn a_link_shows_a_whole_snapshot_or_one_file() {
    let mut whole = fields();
    whole.nodes[0].name = None;
    let sealed = seal(&whole).unwrap();
    assert_eq!(*open(&sealed.bytes).unwrap().fields(), whole);
    let one = CapsuleFields {
        nodes: vec![file(0, "a.jpg", &[0, 1], 300, &[])],
        ..fields()
    };
    let sealed = seal(&one).unwrap();
    assert_eq!(*open(&sealed.bytes).unwrap().fields(), one);
    let nothing = CapsuleFields {
        nodes: vec![directory(0, "empty")],
        chunks: Vec::new(),
        ..fields()
    };
    let sealed = seal(&nothing).unwrap();
    assert_eq!(*open(&sealed.bytes).unwrap().fields(), nothing);
}

#[test]
fn every_flipped_byte_and_every_other_length_shows() {
    let sealed = seal(&fields()).unwrap();
    let url = url(sealed.id, None);
    for position in 0..sealed.bytes.len() {
        let mut flipped = sealed.bytes.clone();
        flipped[position] ^= 1 << (position % 8);
        assert_eq!(open(&flipped), Err(OpenLinkError::Unopenable(OpenError)));
        if position % 97 == 0 {
            let read = url.open(&flipped, None);
            assert_eq!(read, Err(OpenLinkError::NotThisCapsule));
        }
    }
    for length in [0, 39, 40, 8 << 10, (16 << 10) - 1] {
        let cut = &sealed.bytes[..length];
        assert_eq!(open(cut), Err(OpenLinkError::Unopenable(OpenError)));
        assert_eq!(url.open(cut, None), Err(OpenLinkError::NotThisCapsule));
    }
    let longer = [sealed.bytes.as_slice(), &[0; 16 << 10]].concat();
    assert_eq!(open(&longer), Err(OpenLinkError::Unopenable(OpenError)));
    assert_eq!(url.open(&longer, None), Err(OpenLinkError::NotThisCapsule));
}

#[test]
fn a_capsule_opens_with_its_key_and_for_its_link_only() {
    let sealed = seal(&fields()).unwrap();
    let other = LinkSecret::from_array([8; 32]);
    let unopenable = Err(OpenLinkError::Unopenable(OpenError));
    let opened = Capsule::open(&other.capsule_key(None), secret().id(), &sealed.bytes);
    assert_eq!(opened, unopenable);
    let opened = Capsule::open(&key(), other.id(), &sealed.bytes);
    assert_eq!(opened, unopenable);
    let opened = LinkUrl {
        secret: other,
        ..url(sealed.id, None)
    }
    .open(&sealed.bytes, None);
    assert_eq!(opened, unopenable);
}

#[test]
fn a_password_counts_beside_the_secret() {
    let stretching = PasswordStretching::cheapest([5; 16]);
    let key = secret().capsule_key(Some(&stretching.stretch(b"open sesame").unwrap()));
    let mut compressor = Compressor::default();
    let sealed = Capsule::seal(&fields(), &device(), &key, &mut compressor, &mut rng()).unwrap();
    let url_with = |password| url(sealed.id, password).open(&sealed.bytes, Some(b"open sesame"));
    assert_eq!(*url_with(Some(stretching)).unwrap().fields(), fields());
    let link = url(sealed.id, Some(stretching));
    let wrong = link.open(&sealed.bytes, Some(b"open, sesame"));
    assert_eq!(wrong, Err(OpenLinkError::WrongPassword));
    let none = link.open(&sealed.bytes, None);
    assert_eq!(none, Err(OpenLinkError::PasswordNeeded));
    let other = PasswordStretching::cheapest([6; 16]);
    assert_eq!(url_with(Some(other)), Err(OpenLinkError::WrongPassword));
    // Stripped from the URL.
    assert_eq!(url_with(None), Err(OpenLinkError::NoPassword));
    let stripped = url(sealed.id, None).open(&sealed.bytes, None);
    assert_eq!(stripped, Err(OpenLinkError::Unopenable(OpenError)));
    // The hash is checked before anything is stretched.
    let altered = link.open(&sealed.bytes[1..], Some(b"open sesame"));
    assert_eq!(altered, Err(OpenLinkError::NotThisCapsule));
}

#[test]
fn a_capsule_is_signed_by_the_device_that_it_names_for_its_link() {
    let message = wire::to_wire(&fields(), device().public());
    let payload = message.encode_to_vec();
    let sign = |label, payload: &[u8]| device().sign(label, payload).to_vec();
    let signed = |signature: Vec<u8>| {
        let payload = payload.clone();
        let signed = messages::SignedCapsule { payload, signature }.encode_to_vec();
        open(&forge_signed(&signed))
    };
    assert!(signed(sign(SignLabel::Capsule, &payload)).is_ok());
    let mut later = message.clone();
    later.created.as_mut().unwrap().seconds += 1;
    for wrong in [
        sign(SignLabel::Head, &payload),
        sign(SignLabel::Capsule, &later.encode_to_vec()),
        DeviceKeys::generate(&mut ChaCha20Rng::seed_from_u64(2))
            .sign(SignLabel::Capsule, &payload)
            .to_vec(),
        vec![0; 64],
        vec![0; 63],
        Vec::new(),
    ] {
        assert_eq!(malformed(signed(wrong)), CapsuleError::Signature);
    }
    assert_eq!(refused(|m| m.link = vec![7; 32]), CapsuleError::OtherLink);
    assert_eq!(refused(|m| m.link.clear()), CapsuleError::OtherLink);
}

#[test]
fn every_field_is_checked() {
    use CapsuleError as E;
    assert_eq!(refused(|m| m.version = 2), E::Version(2));
    assert_eq!(refused(|m| m.account.truncate(31)), E::Maker);
    assert_eq!(refused(|m| m.device = None), E::Maker);
    assert_eq!(refused(|m| m.device.as_mut().unwrap().kind = 0), E::Maker);
    assert_eq!(refused(|m| m.created = None), E::Time);
    let late = |time: &mut Option<messages::Timestamp>| {
        time.as_mut().unwrap().nanoseconds = 1_000_000_000;
    };
    assert_eq!(refused(|m| late(&mut m.created)), E::Time);
    assert_eq!(refused(|m| late(&mut m.nodes[3].modified)), E::Time);
    assert_eq!(refused(|m| m.nodes[3].modified = None), E::Time);
    assert_eq!(refused(|m| m.nodes[1].mode = 0o1644), E::Mode);
    assert_eq!(refused(|m| m.nodes[1].mode = 0o4755), E::Mode);
    // Names.
    for name in ["..", ".", "a/b", "/etc", "a\0"] {
        let change = |m: &mut messages::Capsule| m.nodes[1].name = name.into();
        assert_eq!(refused(change), E::Name, "{name:?}");
    }
    assert_eq!(refused(|m| m.nodes[1].name.clear()), E::Name);
    assert_eq!(refused(|m| m.nodes[3].name.clear()), E::Name);
    let nameless = |m: &mut messages::Capsule| {
        m.nodes.swap(0, 7);
        m.nodes.truncate(1);
        m.nodes[0].depth = 0;
        m.nodes[0].name.clear();
    };
    assert_eq!(refused(nameless), E::Name);
    assert_eq!(refused(|m| m.nodes[1].name = b"b".to_vec()), E::Name);
    assert_eq!(refused(|m| m.nodes[1].name = b"z".to_vec()), E::Name);
    assert_eq!(refused(|m| m.nodes.swap(6, 7)), E::Name);
    // Kinds.
    assert_eq!(refused(|m| m.nodes[1].kind = 0), E::Kind);
    assert_eq!(refused(|m| m.nodes[1].kind = 4), E::Kind);
    assert_eq!(refused(|m| m.nodes[1].kind = 7), E::Kind);
    assert_eq!(refused(|m| m.nodes[1].kind = 99), E::Kind);
    assert_eq!(refused(|m| m.nodes[1].kind = 2), E::Kind);
    assert_eq!(refused(|m| m.nodes[1].symlink_target = vec![1]), E::Kind);
    assert_eq!(refused(|m| m.nodes[2].size = 1), E::Kind);
    assert_eq!(refused(|m| m.nodes[4].chunks = vec![0]), E::Kind);
    assert_eq!(refused(|m| m.nodes[4].symlink_target.clear()), E::Target);
    assert_eq!(refused(|m| m.nodes[4].symlink_target = vec![0]), E::Target);
    // Sizes.
    assert_eq!(refused(|m| m.nodes[1].size += 1), E::Holes);
    assert_eq!(refused(|m| m.nodes[1].size -= 1), E::Holes);
    assert_eq!(refused(|m| m.nodes[5].holes[0].length = 0), E::Holes);
    assert_eq!(refused(|m| m.nodes[5].holes.swap(0, 1)), E::Holes);
    assert_eq!(refused(|m| m.nodes[5].size = u64::MAX), E::Holes);
    // Chunks.
    assert_eq!(refused(|m| m.nodes[7].chunks[2] = 2), E::Chunks);
    assert_eq!(refused(|m| m.nodes[7].chunks[2] = u32::MAX), E::Chunks);
    assert_eq!(refused(|m| m.offsets[0] = 1 << 20), E::Chunks);
    assert_eq!(refused(|m| m.offsets[0] = u32::MAX), E::Chunks);
    assert_eq!(refused(|m| m.offsets[0] = (1 << 20) - 56 - 240), E::Chunks);
    assert_eq!(refused(|m| m.sealed_lengths[0] = 40), E::Chunks);
    assert_eq!(refused(|m| m.sealed_lengths[0] = u32::MAX), E::Chunks);
    assert_eq!(refused(|m| m.lengths[0] = 0), E::Chunks);
    assert_eq!(refused(|m| m.lengths[0] = (4 << 20) + 1), E::Chunks);
    // Packs.
    assert_eq!(refused(|m| m.rows[0] = 2), E::Packs);
    assert_eq!(refused(|m| m.rows[0] = 0), E::Packs);
    assert_eq!(refused(|m| m.pack_sizes[0] = 1_000_000), E::Packs);
    assert_eq!(refused(|m| m.pack_sizes[0] = 32 << 20), E::Packs);
    assert_eq!(refused(|m| m.pack_sizes[0] = 8 << 10), E::Packs);
    assert_eq!(refused(|m| m.pack_sizes.truncate(1)), E::Packs);
    assert_eq!(refused(|m| m.packs.truncate(63)), E::Packs);
    assert_eq!(refused(|m| m.packs.fill(3)), E::Packs);
    assert_eq!(refused(|m| m.packs.rotate_left(32)), E::Packs);
    // Columns.
    assert_eq!(refused(|m| m.offsets.truncate(1)), E::Columns);
    assert_eq!(refused(|m| m.sealed_lengths.push(41)), E::Columns);
    assert_eq!(refused(|m| m.lengths.clear()), E::Columns);
    assert_eq!(refused(|m| m.keys.truncate(63)), E::Columns);
    assert_eq!(refused(|m| m.keys.truncate(32)), E::Columns);
    assert_eq!(refused(|m| m.sealed_hashes.push(0)), E::Columns);
    assert_eq!(refused(|m| m.sealed_hashes.clear()), E::Columns);
}

#[test]
fn a_chunk_that_no_file_has_is_refused() {
    let unused = refused(|m| {
        m.nodes[1].chunks = vec![0];
        m.nodes[1].size = 200;
        m.nodes[5].chunks.clear();
        m.nodes[5].size = 500;
        m.nodes[5].holes.truncate(1);
        m.nodes[7].chunks = vec![0];
        m.nodes[7].size = 200;
    });
    assert_eq!(unused, CapsuleError::Chunks);
}

#[test]
fn entries_make_one_tree_that_is_not_too_deep() {
    use CapsuleError as E;
    assert_eq!(refused(|m| m.nodes[0].depth = 1), E::Depth);
    assert_eq!(refused(|m| m.nodes[1].depth = 0), E::Depth);
    assert_eq!(refused(|m| m.nodes[1].depth = 2), E::Depth);
    // In a file, and in a symlink.
    assert_eq!(refused(|m| m.nodes[2].depth = 2), E::Depth);
    assert_eq!(refused(|m| m.nodes[5].depth = 4), E::Depth);
    assert_eq!(refused(|m| m.nodes[5].depth = u32::MAX), E::Depth);
    assert_eq!(refused(|m| m.nodes.clear()), E::Nodes);
    // A file as the root, and more.
    assert_eq!(refused(|m| drop(m.nodes.remove(0))), E::Depth);
    assert_eq!(refused(|m| m.nodes[0].kind = 1), E::Depth);

    let chain = |length: usize| CapsuleFields {
        nodes: (0..length).map(|depth| directory(depth, "d")).collect(),
        chunks: Vec::new(),
        ..fields()
    };
    let sealed = seal(&chain(MAX_DEPTH + 1)).unwrap();
    assert!(open(&sealed.bytes).is_ok());
    let bomb = seal(&chain(MAX_DEPTH + 2));
    assert_eq!(bomb.unwrap_err(), E::Depth.into());
    let message = wire::to_wire(&chain(MAX_DEPTH + 2), device().public());
    assert_eq!(malformed(open(&forge(&message))), E::Depth);
}

#[test]
fn counts_are_bounded_before_memory_is_taken() {
    let mut message = wire::to_wire(&fields(), device().public());
    message.nodes = vec![messages::CapsuleNode::default(); MAX_LINKED_NODES + 1];
    assert_eq!(malformed(open(&forge(&message))), CapsuleError::Nodes);
    let nodes = refused(|m| m.nodes = vec![m.nodes[2].clone(); MAX_LINKED_NODES + 1]);
    assert_eq!(nodes, CapsuleError::Nodes);
    // In one node, and in several.
    let mut message = wire::to_wire(&fields(), device().public());
    let file = message.nodes[5].clone();
    message.nodes[5].holes = vec![messages::Hole::default(); MAX_LINKED_HOLES + 1];
    assert_eq!(
        malformed(open(&forge(&message))),
        CapsuleError::TooManyHoles
    );
    let mut node = file;
    node.holes = vec![messages::Hole::default(); MAX_LINKED_HOLES / 2 + 1];
    message.nodes = vec![node.clone(), node];
    assert_eq!(
        malformed(open(&forge(&message))),
        CapsuleError::TooManyHoles
    );
    let packs = refused(|m| {
        let count = MAX_LINKED_PACKS as u16 + 1;
        let id = |n: u16| [&n.to_be_bytes()[..], &[0; 30]].concat();
        m.packs = (0..count).flat_map(id).collect();
        m.pack_sizes = vec![1 << 20; count.into()];
    });
    assert_eq!(packs, CapsuleError::Packs);
    let chunks = refused(|m| {
        let count = MAX_LINKED_CHUNKS + 1;
        m.rows = vec![0; count];
        m.offsets = vec![0; count];
        m.sealed_lengths = vec![100; count];
        m.lengths = vec![1; count];
        m.keys = vec![0; 32 * count];
        m.sealed_hashes = vec![0; 32 * count];
    });
    assert_eq!(chunks, CapsuleError::Chunks);
}

/// As many of everything as there may be: nodes, chunks, packs and holes.
fn fullest() -> CapsuleFields {
    let count = MAX_LINKED_CHUNKS as u32;
    let chunks = (0..count).map(|number| {
        let mut pack = [0; 32];
        pack[..4].copy_from_slice(&(number % MAX_LINKED_PACKS as u32).to_be_bytes());
        SharedChunk {
            pack: PackId::from_array(pack),
            ..chunk(1, 0, 100, 1)
        }
    });
    // A hole, a byte, a hole, and so on.
    let holes = (0..MAX_LINKED_HOLES as u64).map(|number| (2 * number, 1));
    let holes: Vec<_> = holes.collect();
    let all: Vec<_> = (0..count).collect();
    let mut nodes = vec![directory(0, "all")];
    nodes.push(file(1, "a", &all, 2 * u64::from(count), &holes));
    let names = nodes.len()..MAX_LINKED_NODES;
    nodes.extend(names.map(|number| symlink(1, &format!("b{number:06}"), "a")));
    CapsuleFields {
        nodes,
        chunks: chunks.collect(),
        ..fields()
    }
}

#[test]
fn there_may_be_as_many_as_the_bounds_say_and_no_more() {
    let full = fullest();
    let sealed = seal(&full).unwrap();
    assert!(*open(&sealed.bytes).unwrap().fields() == full);

    let refused = |change: &dyn Fn(&mut CapsuleFields)| {
        let mut more = full.clone();
        change(&mut more);
        seal(&more).unwrap_err()
    };
    let node = refused(&|more| more.nodes.push(symlink(1, "c", "a")));
    assert_eq!(node, CapsuleError::Nodes.into());
    let one = refused(&|more| more.chunks.push(chunk(1, 0, 100, 1)));
    assert_eq!(one, CapsuleError::Chunks.into());
    let pack = refused(&|more| more.chunks[0].pack = PackId::from_array([0xff; 32]));
    assert_eq!(pack, CapsuleError::Packs.into());
    let holes = refused(&|more| {
        more.nodes[2] = file(1, "b", &[0], 2, &[(0, 1)]);
    });
    assert_eq!(holes, CapsuleError::TooManyHoles.into());
    // One pack has one size.
    let mut sizes = fields();
    sizes.chunks[1].pack = sizes.chunks[0].pack;
    sizes.chunks[1].pack_size *= 2;
    assert_eq!(seal(&sizes).unwrap_err(), CapsuleError::Packs.into());
}

/// A capsule as long as one may be, to the byte, and longer by `more`.
fn longest(more: usize) -> CapsuleFields {
    let links = |count: usize, last: usize| {
        let target = |number| if number == count { last } else { 4_000 };
        let link = |number| symlink(1, &format!("{number:05}"), &"a".repeat(target(number)));
        CapsuleFields {
            nodes: std::iter::once(directory(0, "links"))
                .chain((0..=count).map(link))
                .collect(),
            chunks: Vec::new(),
            ..fields()
        }
    };
    let length = |fields: &CapsuleFields| {
        let payload = wire::to_wire(fields, device().public()).encode_to_vec();
        let signature = vec![0; 64];
        messages::SignedCapsule { payload, signature }.encoded_len()
    };
    let each = length(&links(601, 200)) - length(&links(600, 200));
    let rest = MAX_CAPSULE_LEN - length(&links(600, 200));
    let (count, last) = (600 + rest / each, 200 + rest % each + more);
    let longest = links(count, last);
    assert_eq!(length(&longest), MAX_CAPSULE_LEN + more);
    longest
}

#[test]
fn a_capsule_is_no_longer_than_its_bound() {
    let sealed = seal(&longest(0)).unwrap();
    assert!(open(&sealed.bytes).is_ok());
    let length = MAX_CAPSULE_LEN + 1;
    assert_eq!(
        seal(&longest(1)).unwrap_err(),
        SealCapsuleError::TooLarge { length }
    );
}

#[test]
fn what_was_sealed_is_padded_and_compressed_in_one_way() {
    let signed = {
        let payload = wire::to_wire(&fields(), device().public()).encode_to_vec();
        let signature = device().sign(SignLabel::Capsule, &payload).to_vec();
        messages::SignedCapsule { payload, signature }.encode_to_vec()
    };
    let frame = Compressor::default().compress(&signed);
    let padded = |frame_len: usize, signed_len: usize, frame: &[u8]| {
        let mut padded = (frame_len as u32).to_le_bytes().to_vec();
        padded.extend((signed_len as u32).to_le_bytes());
        padded.extend_from_slice(frame);
        padded.resize((16 << 10) - aead::OVERHEAD, 0);
        padded
    };
    let open_padded = |padded: &[u8]| {
        let associated = seal::associated(secret().id());
        open(&aead::seal(&key().0, &associated, padded, &mut rng()))
    };
    let (right, length) = (frame.len(), signed.len());
    assert!(open_padded(&padded(right, length, &frame)).is_ok());
    let mut noisy = padded(right, length, &frame);
    *noisy.last_mut().unwrap() = 1;
    let bomb = Compressor::default().compress(&vec![0; MAX_CAPSULE_LEN + 1]);
    let liar = Compressor::default().compress(&vec![0; 1 << 20]);
    for wrong in [
        noisy,
        padded(right - 1, length, &frame),
        padded(right + 1, length, &frame),
        padded(right, length - 1, &frame),
        padded(right, length + 1, &frame),
        padded(16 << 10, length, &frame),
        padded(u32::MAX as usize, length, &frame),
        padded(right, u32::MAX as usize, &frame),
        padded(bomb.len(), MAX_CAPSULE_LEN + 1, &bomb),
        padded(liar.len(), 1_000, &liar),
        padded(0, 0, &[]),
        padded(8, 8, &[0xff; 8]),
    ] {
        assert_eq!(malformed(open_padded(&wrong)), CapsuleError::Padding);
    }
    let encoding = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut signed = signed.clone();
        change(&mut signed);
        malformed(open(&forge_signed(&signed)))
    };
    assert_eq!(
        encoding(&|signed| signed.extend([0x78, 1])),
        DecodeError::NotCanonical.into()
    );
    assert_eq!(
        encoding(&|signed| signed.truncate(100)),
        DecodeError::Malformed.into()
    );
    let unknown = {
        let mut payload = wire::to_wire(&fields(), device().public()).encode_to_vec();
        payload.extend([0x78, 1]);
        let signature = device().sign(SignLabel::Capsule, &payload).to_vec();
        messages::SignedCapsule { payload, signature }.encode_to_vec()
    };
    let opened = malformed(open(&forge_signed(&unknown)));
    assert_eq!(opened, DecodeError::NotCanonical.into());
}

#[test]
fn what_breaks_a_rule_or_does_not_fit_is_not_sealed() {
    let mut broken = fields();
    broken.nodes[1].mode = 0o4755;
    assert_eq!(seal(&broken).unwrap_err(), CapsuleError::Mode.into());
    // Keys and hashes do not shrink.
    let mut noise = blake3::Hasher::new_derive_key("test noise").finalize_xof();
    let mut fill = || {
        let mut bytes = [0; 32];
        noise.fill(&mut bytes);
        bytes
    };
    let mut noisy = |count: u32| {
        let chunks = (0..count).map(|_| SharedChunk {
            key: ChunkKey::from_array(fill()),
            sealed_hash: fill(),
            ..chunk(1, 0, 100, 1)
        });
        let all: Vec<_> = (0..count).collect();
        CapsuleFields {
            chunks: chunks.collect(),
            nodes: vec![file(0, "large", &all, u64::from(count), &[])],
            ..fields()
        }
    };
    let count = MAX_LINKED_CHUNKS as u32;
    let sealed = seal(&noisy(count * 5 / 8)).unwrap();
    assert_eq!(sealed.bytes.len(), MAX_PACK_LEN);
    let refused = seal(&noisy(count)).unwrap_err();
    assert!(
        matches!(refused, SealCapsuleError::TooLarge { length } if length > MAX_PACK_LEN),
        "{refused}"
    );
}

#[test]
fn blocks_are_those_that_the_chunks_touch() {
    let mut fields = fields();
    fields.chunks = vec![
        // The last byte of block 0, and the first of block 1.
        chunk(1, BLOCK_LEN - 1, 42, 1),
        // Exactly block 3.
        chunk(1, 3 * BLOCK_LEN, BLOCK_LEN, 100),
        // The last block of the pack, up to the trailer.
        chunk(1, (1 << 20) - 100, 44, 1),
        SharedChunk {
            pack_size: 16 << 10,
            ..chunk(2, 0, 41, 1)
        },
    ];
    let blocks = fields.blocks();
    assert_eq!(blocks.len(), 2);
    assert_eq!(blocks[&PackId::from_array([1; 32])], [0b0000_1011, 0x80]);
    assert_eq!(blocks[&PackId::from_array([2; 32])], [1]);
}

#[test]
fn a_shared_chunk_opens_with_its_key_and_hash_alone() {
    let keys = VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32], [3; 32]]);
    let kind = ChunkKind::FileData;
    for plaintext in [vec![7; 5_000], blake3::hash(b"noise").as_bytes().to_vec()] {
        let id = keys.chunk_id(kind, &plaintext);
        let mut sealed = Vec::new();
        let mut compressor = Compressor::default();
        keys.seal_chunk(
            2,
            kind,
            &id,
            &plaintext,
            &mut compressor,
            &mut rng(),
            &mut sealed,
        )
        .unwrap();
        let shared = SharedChunk {
            length: plaintext.len() as u32,
            sealed_length: sealed.len() as u32,
            key: keys.export_chunk_key(2, &id).unwrap(),
            sealed_hash: *blake3::hash(&sealed).as_bytes(),
            ..chunk(1, 0, 0, 0)
        };
        let open =
            |shared: &SharedChunk, sealed: &[u8]| shared.open(sealed, &mut Decompressor::default());
        assert_eq!(open(&shared, &sealed), Ok(plaintext.clone()));
        for position in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[position] ^= 1;
            assert_eq!(open(&shared, &flipped), Err(OpenError));
        }
        assert_eq!(open(&shared, &sealed[1..]), Err(OpenError));
        // Another holder of the key seals what he likes: the hash tells.
        let key = Secret::from_array(*shared.key.as_bytes());
        let other = aead::seal(&key, &[1, kind.to_byte()], b"\0forged", &mut rng());
        assert_eq!(open(&shared, &other), Err(OpenError));
        let wrong = [
            SharedChunk {
                key: keys.export_chunk_key(1, &id).unwrap(),
                ..shared.clone()
            },
            SharedChunk {
                length: shared.length + 1,
                ..shared.clone()
            },
            SharedChunk {
                sealed_length: shared.sealed_length + 1,
                ..shared.clone()
            },
            SharedChunk {
                sealed_hash: [0; 32],
                ..shared.clone()
            },
        ];
        for wrong in wrong {
            assert_eq!(open(&wrong, &sealed), Err(OpenError));
        }
        assert_eq!(format!("{:?}", shared.key), "ChunkKey(…)");
    }
    let id = keys.chunk_id(kind, b"");
    assert_eq!(keys.export_chunk_key(3, &id), Err(OpenError));
    // A tree offered as a file.
    let id = keys.chunk_id(ChunkKind::Tree, b"tree");
    let mut sealed = Vec::new();
    let (mut compressor, mut rng) = (Compressor::default(), rng());
    let (out, kind) = (&mut sealed, ChunkKind::Tree);
    keys.seal_chunk(1, kind, &id, b"tree", &mut compressor, &mut rng, out)
        .unwrap();
    let shared = SharedChunk {
        length: 4,
        sealed_length: sealed.len() as u32,
        key: keys.export_chunk_key(1, &id).unwrap(),
        sealed_hash: *blake3::hash(&sealed).as_bytes(),
        ..chunk(1, 0, 0, 0)
    };
    let opened = shared.open(&sealed, &mut Decompressor::default());
    assert_eq!(opened, Err(OpenError));
}

#[test]
fn nothing_of_the_source_but_names_modes_times_and_bytes() {
    let metadata = fields().nodes[1].metadata();
    assert_eq!((metadata.mode, metadata.uid, metadata.gid), (0o644, 0, 0));
    assert!(metadata.user.is_empty() && metadata.group.is_empty());
    assert!(metadata.xattrs.is_empty());
    assert_eq!(device().public().kind(), DeviceKind::Machine);
}

proptest! {
    #[test]
    fn no_signed_capsule_is_too_odd(noise in proptest::collection::vec(any::<u8>(), 0..300)) {
        let opened = open(&forge_signed(&noise));
        prop_assert!(matches!(opened, Err(OpenLinkError::Malformed(_))));
    }

    #[test]
    fn every_capsule_that_opens_seals_again_alike(
        depths in proptest::collection::vec(0_usize..5, 0..40),
    ) {
        // A tree of directories of any shape, whose names count up.
        let mut nodes = vec![directory(0, "root")];
        for (place, depth) in depths.into_iter().enumerate() {
            let before = nodes.last().unwrap().depth;
            nodes.push(directory(depth.clamp(1, before + 1), &format!("{place:03}")));
        }
        let fields = CapsuleFields { nodes, chunks: Vec::new(), ..fields() };
        let sealed = seal(&fields).unwrap();
        let opened = open(&sealed.bytes).unwrap();
        prop_assert_eq!(opened.fields(), &fields);
    }
}
