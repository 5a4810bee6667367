//! A pack as the device's state notes it, whatever the disk gives back: for the properties
//! below, and for the fuzz target `noted_pack`.

use super::noted;

/// The size of a pack, then the note of what is in it.
pub(super) fn noted_pack(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let size = u32::from_le_bytes(*size);
    let Some(entries) = noted::decode(bytes, size) else {
        return;
    };
    let mut end = 0;
    for entry in &entries {
        assert_eq!(entry.offset, end);
        end += entry.sealed_length;
    }
    assert!(end <= size);
    assert_eq!(noted::decode(&noted::encode(&entries), size), Some(entries));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vault_core::{
        chunk::{ChunkId, ChunkKind},
        pack::PackEntry,
    };

    use super::*;

    fn note() -> Vec<u8> {
        let entry = |offset, sealed_length| PackEntry {
            kind: ChunkKind::Tree,
            id: ChunkId::from_slice(&[3; 32]).unwrap(),
            offset,
            sealed_length,
        };
        let note = noted::encode(&[entry(0, 100), entry(100, 28)]);
        [&128_u32.to_le_bytes(), &note[..]].concat()
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            noted_pack(&bytes);
        }

        #[test]
        fn no_change_is_too_odd(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)) {
            let mut note = note();
            for (at, byte) in changes {
                let at = at.index(note.len());
                note[at] = byte;
            }
            noted_pack(&note);
        }
    }
}
