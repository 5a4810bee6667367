//! Every decoder of bytes from outside, in one shape: bytes in, nothing out,
//! no panic whatever the bytes are. What decodes must encode to the same bytes.
//!
//! The fuzz targets call these, and so does a test with the saved corpora.

use std::{convert::Infallible, hint::black_box};

use prost::Message;
use vault_core::{
    catalog::Catalog,
    chunk::{ChunkId, ChunkKind, ChunkSource},
    index::{OwnPack, Segment, sorted},
    keys::{RecoveryPhrase, VaultKeys},
    pack::{MAX_PACK_LEN, read_pack_entries},
    settings::AccountSettings,
    snapshot::Snapshot,
    stream::StreamRef,
    tree::{Node, Step, Walk},
};
use vault_proto::{
    account_log::AccountLog,
    canonical::decode_canonical,
    head::UnverifiedHead,
    ids::{PackId, VaultId},
    invitation::Invitation,
    origin::Origin,
    wire,
};

/// A decoder and its name, which is also the name of its fuzz target and corpus.
pub type Decoder = (&'static str, fn(&[u8]));

/// All decoders.
pub const DECODERS: &[Decoder] = &[
    ("account_entry", account_entry),
    ("catalog", catalog),
    ("chunk", chunk),
    ("directory", directory),
    ("head", head),
    ("invitation", invitation),
    ("node", node),
    ("pack", pack),
    ("phrase", phrase),
    ("segment", segment),
    ("settings", settings),
    ("snapshot", snapshot),
    ("sorted_segment", sorted_segment),
    ("stream", stream),
    ("vault_entry", vault_entry),
];

/// A genesis of an account log, then entries that follow it, each preceded by
/// its length as a varint.
pub fn account_entry(bytes: &[u8]) {
    let mut rest = bytes;
    let Some(genesis) = next_entry(&mut rest) else {
        return;
    };
    let Ok(mut log) = AccountLog::verify_genesis(&genesis) else {
        return;
    };
    while let Some(entry) = next_entry(&mut rest) {
        let before = log.position();
        if log.append(&entry).is_err() {
            assert_eq!(log.position(), before, "a refused entry changes nothing");
        }
    }
}

/// The payload of an entry of a vault log. Verifying one takes account logs,
/// which no fuzzer signs.
pub fn vault_entry(bytes: &[u8]) {
    if let Ok(entry) = decode_canonical::<wire::VaultEntry>(bytes, 256 << 10) {
        assert_eq!(entry.encode_to_vec(), bytes);
    }
}

/// A signed head.
pub fn head(bytes: &[u8]) {
    if let Ok(head) = UnverifiedHead::decode(bytes) {
        assert_eq!(head.to_bytes().as_slice(), bytes);
    }
}

/// An invitation's URL, or an origin.
pub fn invitation(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        black_box(Invitation::parse(text).is_ok());
        black_box(Origin::parse(text).is_ok());
    }
}

/// A pack of the vault that [`keys`] opens.
pub fn pack(bytes: &[u8]) {
    if bytes.len() <= MAX_PACK_LEN {
        black_box(read_pack_entries(&keys(), 1, &PackId::of(bytes), bytes).is_ok());
    }
}

/// A sealed chunk: the kind, the id, the sealed bytes.
pub fn chunk(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else {
        return;
    };
    let Some((id, sealed)) = rest.split_first_chunk() else {
        return;
    };
    if let Some(kind) = ChunkKind::from_byte(*kind) {
        black_box(
            keys()
                .open_chunk(1, kind, &ChunkId::from_array(*id), sealed)
                .is_ok(),
        );
    }
}

/// An encoded stream.
pub fn stream(bytes: &[u8]) {
    let Ok(wire) = decode_canonical::<wire::Stream>(bytes, 64 << 10) else {
        return;
    };
    if let Ok(stream) = StreamRef::from_wire(&wire) {
        assert_eq!(stream.to_wire(), wire);
    }
}

/// One node of a directory.
pub fn node(bytes: &[u8]) {
    if let Ok(node) = Node::decode(bytes) {
        assert_eq!(node.encode(), bytes);
    }
}

/// A tree whose every chunk holds these bytes, whatever its id: the worst that
/// a source could do.
pub fn directory(bytes: &[u8]) {
    struct Same<'a>(&'a [u8]);
    impl ChunkSource for Same<'_> {
        type Error = Infallible;
        fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, Infallible> {
            Ok(self.0.to_vec())
        }
    }
    let Ok(length) = u32::try_from(bytes.len()) else {
        return;
    };
    let wire = wire::Stream {
        length: u64::from(length),
        depth: 0,
        chunk_ids: vec![1; 32],
        lengths: vec![length],
    };
    let Ok(tree) = StreamRef::from_wire(&wire) else {
        return;
    };
    let mut walk = Walk::new(&tree);
    // A walk's time is not bounded by itself: a tree may hold itself.
    for _ in 0..10_000 {
        match walk.next(&mut Same(bytes)) {
            Ok(Some(Step::Node(node))) => assert_eq!(Some(node.name()), walk.path().last()),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => break,
        }
    }
}

/// An encoded snapshot.
pub fn snapshot(bytes: &[u8]) {
    if let Ok(snapshot) = Snapshot::decode(bytes) {
        assert_eq!(snapshot.encode(), bytes);
    }
}

/// An encoded catalog.
pub fn catalog(bytes: &[u8]) {
    if let Ok(catalog) = Catalog::decode(bytes) {
        assert_eq!(catalog.encode(), bytes);
    }
}

/// The settings of an account.
pub fn settings(bytes: &[u8]) {
    if let Ok(settings) = AccountSettings::decode(bytes) {
        assert_eq!(settings.encode(), bytes);
    }
}

/// An index segment, and the local file that is made of it.
pub fn segment(bytes: &[u8]) {
    let own = OwnPack {
        pack: PackId::from_array([7; 32]),
        epoch: 1,
        size: 16 << 20,
    };
    let Ok(segment) = Segment::decode(bytes, own) else {
        return;
    };
    for entry in segment.iter() {
        assert_eq!(segment.find(&entry.id), Some(entry));
    }
    sorted_segment(&sorted::encode(&segment, &[1; 32]));
}

/// The local file of an index segment.
pub fn sorted_segment(bytes: &[u8]) {
    let read_at = |at: u64, buffer: &mut [u8]| {
        let start = usize::try_from(at).map_err(drop)?;
        let end = start.checked_add(buffer.len()).ok_or(())?;
        buffer.copy_from_slice(bytes.get(start..end).ok_or(())?);
        Ok::<_, ()>(())
    };
    let Ok(opened) = sorted::SortedSegment::open(bytes.len() as u64, read_at) else {
        return;
    };
    black_box(opened.find(&ChunkId::from_array([3; 32]), read_at).is_ok());
    black_box(opened.read_all(read_at).is_ok());
}

/// A recovery phrase.
pub fn phrase(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        black_box(RecoveryPhrase::parse(text).is_ok());
    }
}

fn keys() -> VaultKeys {
    VaultKeys::from_epoch_secrets(VaultId::from_array([1; 32]), &[[2; 32]])
}

fn next_entry(rest: &mut &[u8]) -> Option<wire::SignedEntry> {
    wire::SignedEntry::decode_length_delimited(&mut *rest).ok()
}
