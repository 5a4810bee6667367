//! Known answers: `tests/vectors/*.json`, for this program and for readers in
//! other languages.
//!
//! Each file says what it holds. A test computes every answer again from the
//! inputs that stand beside it; randomness is an input, too. Released vectors
//! never change. New ones are written by
//!
//! ```sh
//! COFFRE_REGENERATE_VECTORS=1 cargo test -p vault-core vectors
//! ```

mod boxes;
mod chunks;
mod exchange;
mod keys;
mod links;
mod logs;
mod packs;
mod phrases;
mod printed_heads;
mod roots;

use std::{collections::VecDeque, convert::Infallible, fs, path::Path};

use data_encoding::HEXLOWER;
use rand_core::{TryCryptoRng, TryRng};
use serde_json::{Value, json};

/// Checks every case of a file, after writing it anew if that is asked for.
fn run(file: &str, description: &str, generate: fn() -> Vec<Value>, check: fn(&Value)) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/vectors")
        .join(file);
    if regenerate() {
        let contents = json!({
            "description": description,
            "format": "Coffre v1, vault-core/docs/format.md",
            "notation": "bytes are lower-case hexadecimal; `randomness` is what the \
                         random number generator gave, in order",
            "cases": generate(),
        });
        let text = serde_json::to_string_pretty(&contents).unwrap() + "\n";
        fs::write(&path, text).unwrap();
    }
    let contents: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    let cases = contents["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let named = std::panic::AssertUnwindSafe(case);
        let outcome = std::panic::catch_unwind(|| check(&named));
        assert!(outcome.is_ok(), "{file}: {}", text(case, "name"));
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test may be asked to write its vectors"
)]
fn regenerate() -> bool {
    std::env::var_os("COFFRE_REGENERATE_VECTORS").is_some()
}

fn hex(bytes: impl AsRef<[u8]>) -> Value {
    HEXLOWER.encode(bytes.as_ref()).into()
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    case[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text in `{field}`"))
}

fn number(case: &Value, field: &str) -> u64 {
    case[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no number in `{field}`"))
}

fn bytes(case: &Value, field: &str) -> Vec<u8> {
    HEXLOWER.decode(text(case, field).as_bytes()).unwrap()
}

fn array<const N: usize>(case: &Value, field: &str) -> [u8; N] {
    bytes(case, field).try_into().unwrap()
}

fn list<'a>(case: &'a Value, field: &str) -> &'a [Value] {
    case[field]
        .as_array()
        .unwrap_or_else(|| panic!("no list in `{field}`"))
}

/// Whether a case says that it must be refused.
fn refused(case: &Value) -> bool {
    match text(case, "result") {
        "opens" => false,
        "refused" => true,
        other => panic!("a result `{other}`"),
    }
}

/// Randomness that is written down.
struct Replay(VecDeque<u8>);

impl Replay {
    fn new(randomness: &[u8]) -> Self {
        Self(randomness.iter().copied().collect())
    }

    fn of(case: &Value) -> Self {
        Self::new(&bytes(case, "randomness"))
    }

    /// Nothing was left over.
    fn finish(self) {
        assert!(self.0.is_empty(), "randomness that nobody asked for");
    }
}

impl TryRng for Replay {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut word = [0; 4];
        self.try_fill_bytes(&mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut word = [0; 8];
        self.try_fill_bytes(&mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for byte in to {
            *byte = self
                .0
                .pop_front()
                .expect("more randomness than is written down");
        }
        Ok(())
    }
}

impl TryCryptoRng for Replay {}

/// Bytes that look random and are the same for ever.
fn noise(label: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new_derive_key("coffre test vector noise")
        .update(label.as_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

fn noise32(label: &str) -> [u8; 32] {
    noise(label, 32).try_into().unwrap()
}

/// Changes that a negative case makes to bytes that stand elsewhere:
/// `flip` a bit, keep the first `truncate` bytes, `append` one.
fn changed(original: &[u8], change: &Value) -> Vec<u8> {
    let mut bytes = original.to_vec();
    if let Some(bit) = change["flip_bit"].as_u64() {
        bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
    } else if let Some(length) = change["truncate"].as_u64() {
        bytes.truncate(usize::try_from(length).unwrap());
    } else if let Some(byte) = change["append"].as_u64() {
        bytes.push(u8::try_from(byte).unwrap());
    } else {
        panic!("an unknown change: {change}");
    }
    bytes
}

/// A change at the beginning, in the middle and at the end, and of the length.
fn changes(length: usize) -> Vec<Value> {
    vec![
        json!({ "flip_bit": 0 }),
        json!({ "flip_bit": length * 4 + 3 }),
        json!({ "flip_bit": length * 8 - 1 }),
        json!({ "truncate": length - 1 }),
        json!({ "truncate": 0 }),
        json!({ "append": 0 }),
    ]
}
