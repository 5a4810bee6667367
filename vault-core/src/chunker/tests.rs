use aes::cipher::BlockCipherEncrypt;
use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    universal::{Change, Digest, Lookup},
    *,
};

const KEYS: ChunkerKeys = ChunkerKeys::new(&[1; 32], &[2; 16]);

fn sizes(min: usize, avg: usize, max: usize) -> ChunkSizes {
    ChunkSizes::new(min, avg, max).expect("in order")
}

fn bytes_of(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut xof = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    xof.fill(&mut bytes);
    bytes
}

fn lengths(chunker: &Chunker, mut stream: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while !stream.is_empty() {
        // No more than the contract promises may be needed.
        let cut = chunker.cut(&stream[..stream.len().min(chunker.sizes().max())]);
        lengths.push(cut);
        stream = &stream[cut..];
    }
    lengths
}

fn positions(lengths: &[usize]) -> Vec<usize> {
    let ends = lengths.iter().scan(0, |end, length| {
        *end += length;
        Some(*end)
    });
    ends.collect()
}

/// The definition, position by position: every digest anew, every block alone.
fn is_candidate(chunker: &Chunker, stream: &[u8], position: usize) -> bool {
    let window = stream[position - WINDOW..position].try_into().unwrap();
    let mut block = chunker.secrets.hash.digest(window).to_block().into();
    chunker.secrets.cipher.encrypt_block(&mut block);
    u64::from_le_bytes(block[..8].try_into().unwrap()) < chunker.sizes.threshold()
}

fn naive_cut(chunker: &Chunker, stream: &[u8]) -> usize {
    let end = stream.len().min(chunker.sizes.max());
    (chunker.sizes.min()..end)
        .find(|&position| is_candidate(chunker, stream, position))
        .unwrap_or(end)
}

#[test]
fn cuts_are_where_the_definition_puts_them() {
    let chunker = Chunker::new(&KEYS, sizes(100, 600, 3000));
    let stream = bytes_of(1, 100_000);
    let mut rest = &stream[..];
    while !rest.is_empty() {
        let cut = chunker.cut(rest);
        assert_eq!(cut, naive_cut(&chunker, rest));
        rest = &rest[cut..];
    }
}

#[test]
fn every_length_of_a_search_finds_the_same() {
    let chunker = Chunker::new(&KEYS, sizes(65, 80, 100));
    let stream = bytes_of(2, 1000);
    let all: Vec<_> = (65..1000)
        .filter(|&position| is_candidate(&chunker, &stream, position))
        .collect();
    assert!(all.len() > 30);
    for (from, to) in (0..1000).flat_map(|from| [(from, 1000), (from, from + 300), (0, from)]) {
        let to = to.min(1000);
        let mut found = Vec::new();
        chunker.candidates(&stream[..to], from, &mut found);
        let expected = all.iter().filter(|at| (from..to).contains(at));
        assert!(found.iter().eq(expected), "{from}..{to}");
    }
}

#[test]
fn masks_and_tables_find_the_same() {
    let chunker = Chunker::new(&KEYS, sizes(65, 200, 1000));
    let Secrets { hash, cipher } = &*chunker.secrets;
    let stream = bytes_of(3, 20_000);
    let mut found = [vec![], vec![]];
    let [by_tables, by_masks] = &mut found;
    scan::scan(
        hash.tables(),
        hash,
        cipher,
        chunker.sizes,
        &stream,
        65,
        |at| {
            by_tables.push(at);
            ControlFlow::Continue(())
        },
    );
    scan::scan(
        hash.masks(),
        hash,
        cipher,
        chunker.sizes,
        &stream,
        65,
        |at| {
            by_masks.push(at);
            ControlFlow::Continue(())
        },
    );
    assert!(found[0].len() > 100);
    assert_eq!(found[0], found[1]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn searching_in_pieces_gives_the_cuts_of_one_pass(
        seed: u64,
        period in 1..40_000_usize,
        mut ends in prop::collection::vec(0..40_000_usize, 0..8),
    ) {
        let chunker = Chunker::new(&KEYS, sizes(100, 400, 1500));
        let stream: Vec<_> = bytes_of(seed, period).into_iter().cycle().take(40_000).collect();
        ends.push(stream.len());
        ends.sort_unstable();

        let (mut candidates, mut from) = (Vec::new(), 0);
        for to in ends {
            // Each piece sees no more than the bytes before it that it needs.
            let seen = from - from.min(WINDOW + 1);
            let mut found = Vec::new();
            chunker.candidates(&stream[seen..to], from - seen, &mut found);
            candidates.extend(found.into_iter().map(|at| at + seen));
            from = to;
        }

        let (mut cuts, mut start) = (Vec::new(), 0);
        while start < stream.len() {
            start = chunker.sizes().cut_among(&candidates, start, stream.len());
            cuts.push(start);
        }
        prop_assert_eq!(cuts, positions(&lengths(&chunker, &stream)));
    }

    #[test]
    fn chains_from_anywhere_meet_and_stay_together(seed: u64, start in 1..20_000_usize) {
        let chunker = Chunker::new(&KEYS, sizes(100, 400, 4000));
        let stream = bytes_of(seed, 60_000);
        let true_cuts = positions(&lengths(&chunker, &stream));
        let cuts = positions(&lengths(&chunker, &stream[start..]));
        let cuts: Vec<_> = cuts.into_iter().map(|cut| cut + start).collect();
        let meeting = cuts.iter().position(|cut| true_cuts.contains(cut)).unwrap();
        prop_assert!(meeting < 40);
        prop_assert!(true_cuts.ends_with(&cuts[meeting..]));
    }

    #[test]
    fn lengths_stay_within_bounds(seed: u64, period in 1..5000_usize, len in 0..20_000_usize) {
        let chunker = Chunker::new(&KEYS, sizes(100, 400, 1500));
        let stream: Vec<_> = bytes_of(seed, period).into_iter().cycle().take(len).collect();
        let lengths = lengths(&chunker, &stream);
        prop_assert_eq!(lengths.iter().sum::<usize>(), len);
        prop_assert!(lengths.iter().all(|&length| (1..=1500).contains(&length)));
        if let Some((_, but_last)) = lengths.split_last() {
            prop_assert!(but_last.iter().all(|&length| length >= 100));
        }
    }
}

#[test]
fn a_cut_depends_on_no_byte_after_it() {
    let chunker = Chunker::new(&KEYS, sizes(100, 400, 1500));
    let mut stream = bytes_of(4, 1500);
    let cut = chunker.cut(&stream);
    assert!(cut < 1500, "the seed gives a candidate");
    for len in cut..1500 {
        assert_eq!(chunker.cut(&stream[..len]), cut);
    }
    stream[cut..].fill(0);
    assert_eq!(chunker.cut(&stream), cut);
}

#[test]
fn the_first_bytes_of_a_chunk_are_not_looked_at() {
    let chunker = Chunker::new(&KEYS, ChunkSizes::CATALOG);
    let mut stream = bytes_of(5, 16 << 10);
    let cut = chunker.cut(&stream);
    stream[..(2 << 10) - WINDOW].fill(0);
    assert_eq!(chunker.cut(&stream), cut);
}

#[test]
fn bytes_inserted_at_the_front_change_few_chunks() {
    let chunker = Chunker::new(&KEYS, ChunkSizes::METADATA);
    let stream = bytes_of(6, 8 << 20);
    let after = [b"inserted", &stream[..]].concat();
    let before: std::collections::BTreeSet<_> = positions(&lengths(&chunker, &stream))
        .into_iter()
        .map(|cut| cut + 8)
        .collect();
    let after = positions(&lengths(&chunker, &after));
    let changed = after.iter().filter(|cut| !before.contains(cut)).count();
    assert!(changed <= 12, "{changed} of {} cuts moved", after.len());
    assert!(after.len() > 200);
}

#[test]
fn each_key_cuts_elsewhere() {
    let stream = bytes_of(7, 1 << 20);
    let cuts = |universal_hash_key: u8, cipher_key: u8| {
        let keys = ChunkerKeys::new(&[universal_hash_key; 32], &[cipher_key; 16]);
        let mut candidates = Vec::new();
        Chunker::new(&keys, ChunkSizes::CATALOG).candidates(&stream, 0, &mut candidates);
        assert!(candidates.len() > 50);
        candidates
    };
    let ours = cuts(1, 2);
    for others in [cuts(3, 2), cuts(1, 3)] {
        assert!(others.iter().filter(|at| ours.contains(at)).count() <= 2);
    }
}

/// What a hoster could learn of the boundaries, were they to show: the lengths
/// of a file that it knows and of one that it does not, under keys that it does
/// not know, come from one distribution (Kolmogorov and Smirnov's test at one in
/// a thousand).
#[test]
fn a_known_files_cuts_say_nothing_of_it() {
    const LENGTH: usize = 40_000;
    let text = (0_u32..).flat_map(|n| format!("line {n} of a page known by heart\n").into_bytes());
    let known: Vec<u8> = text.take(LENGTH).collect();
    let unrelated = bytes_of(77, LENGTH);
    let sample = |stream: &[u8], first_key: u64| {
        let mut sample: Vec<usize> = (first_key..first_key + 80)
            .flat_map(|key| {
                let secret = bytes_of(1_000 + key, 48);
                let (hash, cipher) = secret.split_at(32);
                let keys = ChunkerKeys::new(hash.try_into().unwrap(), cipher.try_into().unwrap());
                lengths(&Chunker::new(&keys, sizes(100, 600, 3000)), stream)
            })
            .collect();
        sample.sort_unstable();
        sample
    };
    let (one, other) = (sample(&known, 0), sample(&unrelated, 500));
    assert!(one.len() > 4_000 && other.len() > 4_000);
    let share = |sample: &[usize], length: usize| {
        sample.partition_point(|found| *found <= length) as f64 / sample.len() as f64
    };
    let apart = (100..=3000)
        .map(|length| (share(&one, length) - share(&other, length)).abs())
        .fold(0.0, f64::max);
    let (n, m) = (one.len() as f64, other.len() as f64);
    let bound = 1.95 * ((n + m) / (n * m)).sqrt();
    assert!(apart < bound, "{apart} apart, and {bound} is the bound");
    // The test tells distributions apart that differ.
    let longer: Vec<_> = other.iter().map(|length| length * 11 / 10).collect();
    let apart = (100..=3000)
        .map(|length| (share(&one, length) - share(&longer, length)).abs())
        .fold(0.0, f64::max);
    assert!(apart > bound);
}

#[test]
fn lengths_have_the_distribution_that_is_promised() {
    // The last has the proportions of file data, and enough chunks to count.
    for (sizes, total, share_at_max) in [
        (ChunkSizes::METADATA, 64 << 20, 0.132),
        (ChunkSizes::CATALOG, 16 << 20, 0.132),
        (sizes(1 << 10, 4 << 10, 16 << 10), 16 << 20, 0.007),
    ] {
        let chunker = Chunker::new(&KEYS, sizes);
        let lengths = lengths(&chunker, &bytes_of(8, total));
        let mean = total as f64 / lengths.len() as f64;
        let error = mean / sizes.avg() as f64 - 1.0;
        assert!(error.abs() < 0.04, "{sizes:?}: a mean of {mean}");
        let at_max = lengths
            .iter()
            .filter(|&&length| length == sizes.max())
            .count();
        let share = at_max as f64 / lengths.len() as f64;
        assert!(
            (share - share_at_max).abs() < 0.02,
            "{sizes:?}: {share} at max"
        );
    }
}

#[test]
fn sizes_out_of_order_are_refused() {
    assert!(ChunkSizes::new(65, 66, 67).is_some());
    for (min, avg, max) in [
        (64, 100, 200),
        (100, 100, 200),
        (100, 200, 200),
        (65, 66, 1 << 32),
    ] {
        assert_eq!(ChunkSizes::new(min, avg, max), None);
    }
}

#[test]
fn keys_are_not_printed() {
    let keys = ChunkerKeys::new(&[0xab; 32], &[0xcd; 16]);
    let chunker = Chunker::new(&keys, ChunkSizes::CATALOG);
    assert_eq!(format!("{keys:?}"), "ChunkerKeys(…)");
    assert!(format!("{chunker:?}").starts_with("Chunker { sizes: ChunkSizes { min: 2048,"));
}

/// The characteristic polynomial of the step that [`super`] names, without the
/// term `X^128`.
const POLYNOMIAL: u128 = 1 << 103 | 1 << 77 | 1 << 27 | 1;

#[test]
fn the_step_satisfies_its_polynomial() {
    let step = |digest: Digest| digest.step(Change::default());
    for bit in 0..128 {
        let word = |from| if bit / 64 == from { 1 << (bit % 64) } else { 0 };
        let mut power = Digest {
            a: word(0),
            b: word(1),
        };
        let mut sum = Digest::default();
        for exponent in 0..=128 {
            if exponent == 128 || POLYNOMIAL >> exponent & 1 == 1 {
                sum = Digest {
                    a: sum.a ^ power.a,
                    b: sum.b ^ power.b,
                };
            }
            power = step(power);
        }
        assert_eq!(sum, Digest::default());
    }
}

/// Rabin's test: `P` of degree 128 is irreducible if and only if it divides
/// `X^(2^128) - X` and shares no factor with `X^(2^64) - X`.
#[test]
fn the_polynomial_is_irreducible() {
    let times_x = |f: u128| f << 1 ^ if f >> 127 == 1 { POLYNOMIAL } else { 0 };
    let times = |f: u128, g: u128| {
        (0..128).rev().fold(0, |sum, bit| {
            times_x(sum) ^ if g >> bit & 1 == 1 { f } else { 0 }
        })
    };
    let x = 2_u128;
    let powers: Vec<_> = std::iter::successors(Some(x), |&f| Some(times(f, f)))
        .take(129)
        .collect();
    assert_eq!(powers[128], x);

    // No common factor, since it has an inverse: f^(2^128 - 2) · f = 1.
    let f = powers[64] ^ x;
    let (mut inverse, mut square) = (1, f);
    for _ in 1..128 {
        square = times(square, square);
        inverse = times(inverse, square);
    }
    assert_eq!(times(inverse, f), 1);
}

#[test]
fn a_leaving_byte_takes_back_what_it_added() {
    let chunker = Chunker::new(&KEYS, ChunkSizes::CATALOG);
    let hash = &chunker.secrets.hash;
    let stream = bytes_of(10, 1000);
    let mut rolling = hash.digest(stream[..WINDOW].try_into().unwrap());
    for at in WINDOW..stream.len() {
        rolling = rolling.step(hash.tables().change(stream[at], stream[at - WINDOW]));
        let window = stream[at + 1 - WINDOW..=at].try_into().unwrap();
        assert_eq!(rolling, hash.digest(window));
    }
}

/// The vectors were made by another implementation, in another language. They
/// hold for every backend of the `aes` crate: also under
/// `RUSTFLAGS='--cfg aes_backend="soft"'`.
mod vectors {
    use super::*;

    const FILE: &str = include_str!("../../tests/vectors/chunker.json");

    fn parsed() -> Value {
        serde_json::from_str(FILE).unwrap()
    }

    fn hex(value: &Value) -> Vec<u8> {
        HEX.decode(value.as_str().unwrap().as_bytes()).unwrap()
    }

    fn number(value: &Value) -> usize {
        value.as_u64().unwrap().try_into().unwrap()
    }

    fn keys(file: &Value, case: &Value) -> ChunkerKeys {
        let key = |name| hex(case.get(name).unwrap_or(&file[name]));
        ChunkerKeys::new(
            &key("universal_hash_key").try_into().unwrap(),
            &key("cipher_key").try_into().unwrap(),
        )
    }

    fn class(name: &Value) -> ChunkSizes {
        match name.as_str().unwrap() {
            "file data" => ChunkSizes::FILE_DATA,
            "metadata" => ChunkSizes::METADATA,
            "catalog" => ChunkSizes::CATALOG,
            other => panic!("no sizes are called {other}"),
        }
    }

    fn input(input: &Value) -> Vec<u8> {
        let length = number(&input["length"]);
        match input["kind"].as_str().unwrap() {
            "repeat" => hex(&input["bytes"])
                .into_iter()
                .cycle()
                .take(length)
                .collect(),
            "splitmix64" => split_mix_64(input["seed"].as_u64().unwrap())
                .flat_map(u64::to_le_bytes)
                .take(length)
                .collect(),
            other => panic!("no input is called {other}"),
        }
    }

    fn split_mix_64(mut state: u64) -> impl Iterator<Item = u64> {
        std::iter::repeat_with(move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        })
    }

    #[test]
    fn the_hash_and_the_cipher_are_those_of_the_vectors() {
        let file = parsed();
        let chunker = Chunker::new(&keys(&file, &Value::Null), ChunkSizes::CATALOG);
        let Secrets { hash, cipher } = &*chunker.secrets;
        let expected = &file["hash"];

        let block = |change: Change| {
            Digest {
                a: change.x,
                b: change.y,
            }
            .to_block()
            .to_vec()
        };
        for bit in 0..8 {
            let a = block(hash.tables().change(1 << bit, 0));
            assert_eq!(a, hex(&expected["A"][bit]));
        }
        assert_eq!(
            block(hash.tables().change(0xff, 0)),
            hex(&expected["T_of_ff"])
        );

        let digest = hash.digest(&hex(&expected["window"]).try_into().unwrap());
        assert_eq!(digest.to_block().to_vec(), hex(&expected["digest"]));
        let mut block = digest.to_block().into();
        cipher.encrypt_block(&mut block);
        assert_eq!(block.to_vec(), hex(&expected["encrypted"]));
    }

    #[test]
    fn the_sizes_are_those_of_the_vectors() {
        for (name, expected) in parsed()["sizes"].as_object().unwrap() {
            let sizes = class(&Value::from(name.as_str()));
            assert_eq!(sizes.min(), number(&expected["min"]));
            assert_eq!(sizes.avg(), number(&expected["avg"]));
            assert_eq!(sizes.max(), number(&expected["max"]));
            let threshold = expected["threshold"].as_str().unwrap();
            assert_eq!(format!("{:016x}", sizes.threshold()), threshold);
        }
    }

    #[test]
    fn the_cuts_are_those_of_the_vectors() {
        let file = parsed();
        let cases = file["cases"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let chunker = Chunker::new(&keys(&file, case), class(&case["sizes"]));
            let found = lengths(&chunker, &input(&case["input"]));
            let expected: Vec<_> = case["lengths"]
                .as_array()
                .unwrap()
                .iter()
                .map(number)
                .collect();
            assert_eq!(found, expected, "{}", case["name"]);
        }
    }
}
