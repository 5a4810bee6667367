//! What a pack holds, as the device's state notes it: the pack's footer, which the pack
//! itself has sealed.

use prost::Message;
use vault_core::{
    chunk::{ChunkId, ChunkKind},
    pack::PackEntry,
};
use vault_proto::wire::PackFooter;

pub(super) fn encode(entries: &[PackEntry]) -> Vec<u8> {
    let mut footer = PackFooter::default();
    for entry in entries {
        footer.kinds.push(entry.kind.to_byte());
        footer.chunk_ids.extend_from_slice(entry.id.as_bytes());
        footer.sealed_lengths.push(entry.sealed_length);
    }
    footer.encode_to_vec()
}

/// What [`encode`] made of the entries of a pack of `size` bytes, one after the other from
/// its beginning; `None` if it is anything else.
pub(super) fn decode(noted: &[u8], size: u32) -> Option<Vec<PackEntry>> {
    let footer = PackFooter::decode(noted).ok()?;
    let (ids, rest) = footer.chunk_ids.as_chunks::<32>();
    let count = footer.kinds.len();
    if ids.len() != count || !rest.is_empty() || footer.sealed_lengths.len() != count {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    let mut offset = 0_u32;
    for ((kind, id), sealed_length) in footer.kinds.iter().zip(ids).zip(footer.sealed_lengths) {
        entries.push(PackEntry {
            kind: ChunkKind::from_byte(*kind)?,
            id: ChunkId::from_slice(id)?,
            offset,
            sealed_length,
        });
        offset = offset.checked_add(sealed_length)?;
    }
    (offset <= size).then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> PackFooter {
        PackFooter {
            kinds: vec![ChunkKind::FileData.to_byte(); 2],
            chunk_ids: [[1; 32], [2; 32]].concat(),
            sealed_lengths: vec![100, 28],
        }
    }

    #[test]
    fn what_was_noted_is_read() {
        let noted = footer().encode_to_vec();
        let entries = decode(&noted, 128).unwrap();
        let places = entries
            .iter()
            .map(|entry| (entry.offset, entry.sealed_length));
        assert_eq!(places.collect::<Vec<_>>(), [(0, 100), (100, 28)]);
        assert_eq!(encode(&entries), noted);
        assert_eq!(decode(&[], 0), Some(Vec::new()));
    }

    #[test]
    fn what_is_not_of_one_length_or_longer_than_the_pack_is_refused() {
        type Change = fn(&mut PackFooter);
        let changes: [Change; 7] = [
            |footer| footer.kinds.push(ChunkKind::FileData.to_byte()),
            |footer| footer.kinds.truncate(1),
            |footer| footer.kinds[1] = 0xff,
            |footer| footer.chunk_ids.push(0),
            |footer| footer.chunk_ids.extend([3; 32]),
            |footer| footer.sealed_lengths.push(0),
            |footer| footer.sealed_lengths[1] = u32::MAX,
        ];
        for change in changes {
            let mut footer = footer();
            change(&mut footer);
            assert_eq!(decode(&footer.encode_to_vec(), 128), None, "{footer:?}");
        }
        assert_eq!(decode(&footer().encode_to_vec(), 127), None);
        assert_eq!(decode(&[0xff], 128), None);
    }
}
