//! Streams: what was written is read, whatever a source says.

use proptest::prelude::*;
use vault_core::chunk::{ChunkId, ChunkKind, ChunkSink, ChunkSource};
use vault_core::stream::{
    ChunkRef, Cut, MAX_DEPTH, MAX_INLINE, ReadError, StreamBuilder, StreamChunks, StreamError,
    StreamReader, StreamRef, StreamWriter, append,
};
use vault_proto::wire;

use crate::memory::{Memory, MemoryError, SmallChunks, chunk_id, read_stream, write_small};
use crate::support::random_bytes;

const KIND: ChunkKind = ChunkKind::Tree;

#[test]
fn deep_streams_are_needed_for_these_tests() {
    let depth = |length| write_small(KIND, &random_bytes(1, length), &Memory::new()).depth();
    assert_eq!(depth(0), 0);
    assert_eq!(depth(300), 0);
    assert_eq!(depth(1_500), 1);
    assert_eq!(depth(80_000), MAX_DEPTH);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reads_what_was_written(
        seed: u64,
        length in 0_usize..60_000,
        piece in 1_usize..2_000,
    ) {
        let bytes = random_bytes(seed, length);
        let memory = Memory::new();
        let mut writer = StreamWriter::new(KIND, SmallChunks::BYTES, SmallChunks::LISTS);
        for piece in bytes.chunks(piece) {
            writer.write(piece, &mut memory.clone()).unwrap();
        }
        prop_assert_eq!(writer.length(), length as u64);
        let stream = writer.finish(&mut memory.clone()).unwrap();
        prop_assert_eq!(stream.length(), length as u64);
        prop_assert_eq!(&stream, &write_small(KIND, &bytes, &memory));
        prop_assert_eq!(StreamRef::from_wire(&stream.to_wire()), Ok(stream.clone()));
        prop_assert_eq!(read_stream(KIND, &stream, &memory), bytes);
    }

    #[test]
    fn a_builder_that_settles_names_the_same_stream(seed: u64, length in 0_usize..60_000) {
        let bytes = random_bytes(seed, length);
        let memory = Memory::new();
        let written = write_small(KIND, &bytes, &memory);
        let mut chunks = StreamChunks::new(&written);
        let mut at_once = StreamBuilder::new(SmallChunks::LISTS);
        let mut settled = StreamBuilder::new(SmallChunks::LISTS);
        while let Some(chunk) = chunks.next(&mut memory.clone()).unwrap() {
            at_once.push(chunk);
            settled.push(chunk);
            settled.settle(&mut memory.clone()).unwrap();
        }
        prop_assert_eq!(&at_once.finish(&mut memory.clone()).unwrap(), &written);
        prop_assert_eq!(&settled.finish(&mut memory.clone()).unwrap(), &written);
    }

    #[test]
    fn appending_is_writing_at_once(
        seed: u64,
        length in 0_usize..60_000,
        tails in prop::collection::vec(0_usize..600, 1..5),
    ) {
        let mut bytes = random_bytes(seed, length);
        let memory = Memory::new();
        let mut stream = write_small(KIND, &bytes, &memory);
        for (n, tail) in tails.into_iter().enumerate() {
            let tail = random_bytes(seed.wrapping_add(n as u64 + 1), tail);
            bytes.extend(&tail);
            memory.take_reads();
            let (bytes_chunker, list_chunker) = (SmallChunks::BYTES, SmallChunks::LISTS);
            let (mut source, mut sink) = (memory.clone(), memory.clone());
            stream =
                append(&stream, KIND, bytes_chunker, list_chunker, &tail, &mut source, &mut sink)
                    .unwrap();
            // The last chunk, and of each list the last, or two where a record
            // lies across them, and a short one whole.
            prop_assert!(memory.take_reads() <= 1 + 2 * MAX_DEPTH + MAX_INLINE);
            prop_assert_eq!(&stream, &write_small(KIND, &bytes, &memory));
        }
    }

    #[test]
    fn skipping_leaves_the_rest(seed: u64, length in 0_usize..60_000, offset in 0_u64..70_000) {
        let bytes = random_bytes(seed, length);
        let memory = Memory::new();
        let stream = write_small(KIND, &bytes, &memory);
        let mut reader = StreamReader::new(KIND, &stream);
        reader.skip_to(offset, &mut memory.clone()).unwrap();
        let start = offset.min(length as u64);
        prop_assert_eq!(reader.position(), start);
        let mut rest = Vec::new();
        while let Some(more) = reader.next(&mut memory.clone()).unwrap() {
            prop_assert!(!more.is_empty());
            rest.extend(more);
            prop_assert_eq!(reader.position(), start + rest.len() as u64);
        }
        prop_assert_eq!(&rest[..], &bytes[start as usize..]);
        // Going back does not happen.
        reader.skip_to(0, &mut memory.clone()).unwrap();
        prop_assert_eq!(reader.position(), length as u64);
    }

    #[test]
    fn a_source_that_fails_now_and_then_loses_nothing(seed: u64, length in 0_usize..20_000) {
        let bytes = random_bytes(seed, length);
        let memory = Memory::new();
        let stream = write_small(KIND, &bytes, &memory);
        memory.make_flaky();
        let mut reader = StreamReader::new(KIND, &stream);
        let mut read = Vec::new();
        loop {
            match reader.next(&mut memory.clone()) {
                Ok(Some(more)) => read.extend(more),
                Ok(None) => break,
                Err(ReadError::Source(MemoryError::Flaky)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        prop_assert_eq!(read, bytes);
    }

    #[test]
    fn any_description_is_refused_or_kept(
        length: u64,
        depth in 0_u32..7,
        ids in 0_usize..20,
        lengths in prop::collection::vec(0_u32..5_000_000, 0..20),
    ) {
        let stream = wire::Stream { length, depth, chunk_ids: vec![7; ids * 32], lengths };
        if let Ok(valid) = StreamRef::from_wire(&stream) {
            prop_assert_eq!(valid.to_wire(), stream);
        }
    }

    /// A source that says whatever it likes: the reader refuses it, or comes to
    /// exactly the end.
    #[test]
    fn whatever_a_source_says_the_lengths_hold(
        depth in 1_u32..=4,
        lists in 9_usize..=16,
        off_by in -72_i64..=72,
        is_exact: bool,
        lies_once_in in 2_u64..2_000,
        state: u64,
    ) {
        let exact = 72 * (lists << depth) as u64;
        let stream = wire::Stream {
            length: if is_exact { exact } else { exact.wrapping_add_signed(off_by) },
            depth,
            chunk_ids: vec![7; lists * 32],
            lengths: vec![72; lists],
        };
        let stream = StreamRef::from_wire(&stream).unwrap();
        let mut chunks = StreamChunks::new(&stream);
        let mut source = Liar { state, lies_once_in };
        let end = loop {
            match chunks.next(&mut source) {
                Ok(Some(_)) => prop_assert!(chunks.position() <= stream.length()),
                Ok(None) => break Ok(()),
                Err(ReadError::Stream(error)) => break Err(error),
                Err(_) => unreachable!("this source never fails"),
            }
        };
        match end {
            Ok(()) => prop_assert_eq!(chunks.position(), stream.length()),
            Err(error) => {
                prop_assert_eq!(chunks.next(&mut source), Err(ReadError::Stream(error)));
            }
        }
    }
}

/// Gives lists of two records of the length 72, so that any depth has an end,
/// and now and then something else.
struct Liar {
    state: u64,
    lies_once_in: u64,
}

impl ChunkSource for Liar {
    type Error = ();

    fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, ()> {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut list = records([72; 2]);
        if (self.state >> 32).is_multiple_of(self.lies_once_in) {
            let at = (self.state >> 20) as usize % 80;
            match list.get_mut(at) {
                Some(byte) => *byte ^= self.state as u8,
                None => list.truncate(at - 40),
            }
        }
        Ok(list)
    }
}

#[test]
fn empty_is_a_stream_of_nothing() {
    let memory = Memory::new();
    let written = write_small(KIND, b"", &memory);
    assert_eq!(written, StreamRef::EMPTY);
    assert_eq!(written.to_wire(), wire::Stream::default());
    assert_eq!(read_stream(KIND, &written, &memory), b"");
    let (mut source, mut sink) = (memory.clone(), memory.clone());
    let (chunker, lists) = (SmallChunks::BYTES, SmallChunks::LISTS);
    let appended = append(&written, KIND, chunker, lists, b"", &mut source, &mut sink);
    assert_eq!(appended, Ok(StreamRef::EMPTY));
    assert_eq!(memory.take_writes(), 0);
}

#[test]
fn a_chunk_more_than_fits_in_line_makes_a_list() {
    for (chunks, depth) in [(MAX_INLINE, 0), (MAX_INLINE + 1, 1)] {
        let mut builder = StreamBuilder::new(SmallChunks::LISTS);
        for _ in 0..chunks {
            builder.push(ChunkRef {
                id: ChunkId::from_array([3; 32]),
                length: 5,
            });
        }
        assert_eq!(builder.length(), 5 * chunks as u64);
        let stream = builder.finish(&mut Memory::new()).unwrap();
        assert_eq!(stream.depth(), depth);
        assert_eq!(stream.length(), 5 * chunks as u64);
    }
}

/// A stream described as `described`, changed.
fn described(change: impl FnOnce(&mut wire::Stream)) -> Result<StreamRef, StreamError> {
    let mut stream = wire::Stream {
        length: 30,
        depth: 0,
        chunk_ids: vec![1; 64],
        lengths: vec![10, 20],
    };
    change(&mut stream);
    StreamRef::from_wire(&stream)
}

/// The same of a stream with one list of 17 chunks.
fn listed(change: impl FnOnce(&mut wire::Stream)) -> Result<StreamRef, StreamError> {
    described(|stream| {
        *stream = wire::Stream {
            length: 17,
            depth: 1,
            chunk_ids: vec![1; 32],
            lengths: vec![17 * 36],
        };
        change(stream);
    })
}

#[test]
fn descriptions_that_lie_are_refused() {
    assert!(described(|_| {}).is_ok());
    assert!(listed(|_| {}).is_ok());

    let refused = |result: Result<_, _>| result.unwrap_err();
    use StreamError::{
        ChunkLength, Columns, Length, ListEnd, NeedlessList, TooDeep, TooManyInline,
    };
    assert_eq!(refused(described(|s| s.length = 31)), Length);
    assert_eq!(refused(described(|s| s.length = 0)), Length);
    assert_eq!(refused(described(|s| s.lengths = vec![30, 0])), ChunkLength);
    assert_eq!(
        refused(described(|s| s.lengths[0] = (4 << 20) + 1)),
        ChunkLength
    );
    assert_eq!(refused(described(|s| s.chunk_ids.truncate(63))), Columns);
    assert_eq!(refused(described(|s| s.chunk_ids.push(1))), Columns);
    assert_eq!(refused(described(|s| s.chunk_ids.extend([1; 32]))), Columns);
    assert_eq!(refused(described(|s| s.depth = 5)), TooDeep);
    assert_eq!(refused(described(|s| s.depth = u32::MAX)), TooDeep);
    let seventeen = described(|s| {
        *s = wire::Stream {
            length: 17,
            depth: 0,
            chunk_ids: vec![1; 17 * 32],
            lengths: vec![1; 17],
        };
    });
    assert_eq!(refused(seventeen), TooManyInline);

    assert_eq!(refused(listed(|s| s.length = 16)), Length);
    assert_eq!(refused(listed(|s| s.length = 17 * (4 << 20) + 1)), Length);
    assert!(listed(|s| s.length = 17 * (4 << 20)).is_ok());
    assert_eq!(refused(listed(|s| s.lengths = vec![17 * 36 - 1])), ListEnd);
    assert_eq!(refused(listed(|s| s.lengths = vec![16 * 36])), NeedlessList);
    assert_eq!(
        refused(listed(|s| s.lengths = vec![(64 << 10) + 1])),
        ChunkLength
    );
    let empty_list = |s: &mut wire::Stream| {
        s.chunk_ids.clear();
        s.lengths.clear();
    };
    assert_eq!(refused(listed(empty_list)), NeedlessList);
    assert_eq!(refused(listed(|s| s.length = u64::MAX)), Length);
    let longest = |length| {
        listed(|s| {
            *s = wire::Stream {
                length,
                depth: 4,
                chunk_ids: vec![1; 16 * 32],
                lengths: vec![36 << 10; 16],
            };
        })
    };
    assert!(longest(i64::MAX as u64).is_ok());
    assert_eq!(refused(longest(1 << 63)), Length);
}

/// Reads to the end of a stream with one list, which is `list`.
fn read_listed(length: u64, list: &[u8]) -> Result<u64, ReadError<MemoryError>> {
    let memory = Memory::new();
    let id = chunk_id(ChunkKind::StreamList, list);
    memory.plant(ChunkKind::StreamList, id, list);
    let stream = StreamRef::from_wire(&wire::Stream {
        length,
        depth: 1,
        chunk_ids: id.as_bytes().to_vec(),
        lengths: vec![list.len() as u32],
    })?;
    let mut chunks = StreamChunks::new(&stream);
    while chunks.next(&mut memory.clone())?.is_some() {}
    assert_eq!(chunks.next(&mut memory.clone())?, None);
    Ok(chunks.position())
}

fn records(lengths: impl IntoIterator<Item = u32>) -> Vec<u8> {
    lengths
        .into_iter()
        .flat_map(|length| [&[5; 32][..], &length.to_le_bytes()].concat())
        .collect()
}

#[test]
fn lists_that_lie_are_refused() {
    assert_eq!(read_listed(34, &records([2; 17])), Ok(34));
    let refused = |length, list: &[u8]| match read_listed(length, list) {
        Err(ReadError::Stream(error)) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(33, &records([2; 17])), StreamError::Length);
    assert_eq!(refused(35, &records([2; 17])), StreamError::Length);
    assert_eq!(refused(34, &records([0; 17])), StreamError::ChunkLength);
    assert_eq!(
        refused(17 << 22, &records([1 + (4 << 20); 17])),
        StreamError::ChunkLength
    );
}

#[test]
fn lists_of_lists_that_lie_are_refused() {
    // Depth 2: an inner list of `records`, named by 17 of its pieces.
    let read = |inner: &[u8], pieces: usize, length: u64| {
        let memory = Memory::new();
        let mut outer = Vec::new();
        for piece in inner.chunks(inner.len().div_ceil(pieces)) {
            let id = chunk_id(ChunkKind::StreamList, piece);
            memory.plant(ChunkKind::StreamList, id, piece);
            outer.extend(id.as_bytes());
            outer.extend((piece.len() as u32).to_le_bytes());
        }
        let id = chunk_id(ChunkKind::StreamList, &outer);
        memory.plant(ChunkKind::StreamList, id, &outer);
        let stream = StreamRef::from_wire(&wire::Stream {
            length,
            depth: 2,
            chunk_ids: id.as_bytes().to_vec(),
            lengths: vec![outer.len() as u32],
        })?;
        let mut chunks = StreamChunks::new(&stream);
        while chunks.next(&mut memory.clone())?.is_some() {}
        Ok::<_, ReadError<MemoryError>>(chunks.position())
    };
    assert_eq!(read(&records([2; 40]), 17, 80), Ok(80));
    let refused = |error| Err(ReadError::Stream(error));
    // A list that ends inside a record, and one that was not needed.
    assert_eq!(
        read(&records([2; 40])[..40 * 36 - 5], 17, 80),
        refused(StreamError::ListEnd)
    );
    assert_eq!(
        read(&records([5; 16]), 18, 80),
        refused(StreamError::NeedlessList)
    );
    // A list chunk longer than one may be.
    let mut long = records([2; 40]);
    long.extend(records([2; 2_000]));
    assert_eq!(read(&long, 1, 4_080), refused(StreamError::NeedlessList));
}

#[test]
fn a_list_chunk_beyond_its_bound_is_refused_before_it_is_read() {
    let memory = Memory::new();
    let outer = records(std::iter::once((64 << 10) + 1).chain([36; 16]));
    let id = chunk_id(ChunkKind::StreamList, &outer);
    memory.plant(ChunkKind::StreamList, id, &outer);
    let stream = StreamRef::from_wire(&wire::Stream {
        length: 5_000,
        depth: 2,
        chunk_ids: id.as_bytes().to_vec(),
        lengths: vec![outer.len() as u32],
    })
    .unwrap();
    let error = StreamChunks::new(&stream).next(&mut memory.clone());
    assert_eq!(error, Err(ReadError::Stream(StreamError::ChunkLength)));
    assert_eq!(memory.take_reads(), 1);
}

#[test]
fn chunks_that_are_not_as_named_are_refused() {
    let memory = Memory::new();
    let id = memory.clone().write_chunk(KIND, b"seven b").unwrap();
    let read = |length: u32, kind| {
        let stream = StreamRef::from_wire(&wire::Stream {
            length: length.into(),
            depth: 0,
            chunk_ids: id.as_bytes().to_vec(),
            lengths: vec![length],
        })?;
        StreamReader::new(kind, &stream).next(&mut memory.clone())
    };
    assert_eq!(read(7, KIND), Ok(Some(b"seven b".to_vec())));
    for length in [6, 8] {
        let error = Err(ReadError::Stream(StreamError::WrongChunk));
        assert_eq!(read(length, KIND), error);
    }
    // As long as file data may be, but not a directory's chunk.
    let error = Err(ReadError::Stream(StreamError::ChunkLength));
    assert_eq!(read((64 << 10) + 1, KIND), error);
    // A chunk of one kind is none of another.
    let error = Err(ReadError::Source(MemoryError::Missing));
    assert_eq!(read(7, ChunkKind::Snapshot), error);
}

#[test]
fn appending_to_a_stream_that_lies_fails() {
    let memory = Memory::new();
    let list = records([2; 17]);
    let id = chunk_id(ChunkKind::StreamList, &list);
    memory.plant(ChunkKind::StreamList, id, &list);
    let last = ChunkId::from_array([5; 32]);
    memory.plant(KIND, last, b"ab");
    let append_to = |length, kind: ChunkKind| {
        let stream = StreamRef::from_wire(&wire::Stream {
            length,
            depth: 1,
            chunk_ids: id.as_bytes().to_vec(),
            lengths: vec![list.len() as u32],
        })
        .unwrap();
        let (mut source, mut sink) = (memory.clone(), memory.clone());
        let (chunker, lists) = (SmallChunks::BYTES, SmallChunks::LISTS);
        append(&stream, kind, chunker, lists, b"c", &mut source, &mut sink).map(|s| s.length())
    };
    assert_eq!(append_to(34, KIND), Ok(35));
    assert!(append_to(34, ChunkKind::Snapshot).is_err());
    // The last chunk is longer than the stream.
    memory.plant(KIND, last, &[0; 2]);
    let long = records(std::iter::repeat_n(1, 16).chain([60_000]));
    memory.plant(ChunkKind::StreamList, id, &long);
    memory.plant(KIND, last, &vec![0; 60_000]);
    assert!(append_to(34, KIND).is_err());
}

#[test]
fn appending_to_a_stream_that_no_chunker_made_does_not_panic() {
    struct Endless;
    impl ChunkSource for Endless {
        type Error = MemoryError;

        fn read_chunk(&mut self, _: ChunkKind, _: &ChunkId) -> Result<Vec<u8>, MemoryError> {
            Ok(records([720; 20]))
        }
    }
    let stream = StreamRef::from_wire(&wire::Stream {
        length: 1 << 30,
        depth: 4,
        chunk_ids: vec![7; 16 * 32],
        lengths: vec![720; 16],
    })
    .unwrap();
    let mut sink = Memory::new();
    let (chunker, lists) = (SmallChunks::BYTES, SmallChunks::LISTS);
    let appended = append(&stream, KIND, chunker, lists, b"c", &mut Endless, &mut sink);
    let error = ReadError::Stream(StreamError::TooDeep);
    assert_eq!(appended, Err(error.into()));
}

#[test]
#[should_panic(expected = "a list's chunks")]
fn a_list_chunker_that_is_too_coarse_is_a_mistake() {
    let chunker = SmallChunks {
        max: (64 << 10) + 1,
        ..SmallChunks::LISTS
    };
    let _ = StreamBuilder::new(chunker);
}

#[test]
#[should_panic(expected = "fit the kind")]
fn a_chunker_that_is_too_coarse_is_a_mistake() {
    struct Coarse;
    impl Cut for Coarse {
        fn cut(&self, buf: &[u8]) -> usize {
            buf.len()
        }
        fn max_len(&self) -> usize {
            1 << 20
        }
    }
    let _ = StreamWriter::new(KIND, &Coarse as &dyn Cut, &SmallChunks::LISTS as &dyn Cut);
}
