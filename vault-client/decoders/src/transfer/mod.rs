#[path = "../../../src/transfer/fuzzing.rs"]
mod fuzzing;
#[path = "../../../src/transfer/noted.rs"]
mod noted;

/// What a pack holds, as the client's state notes it: four bytes of its size, and the note.
pub fn noted_pack(bytes: &[u8]) {
    fuzzing::noted_pack(bytes);
}
