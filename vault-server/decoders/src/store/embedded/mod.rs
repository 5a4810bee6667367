#[path = "../../../../src/store/embedded/fuzzing.rs"]
mod fuzzing;
#[path = "../../../../src/store/embedded/keys.rs"]
mod keys;
#[path = "../../../../src/store/embedded/rows.rs"]
mod rows;

/// A row of the server's ledger, or a key, which a damaged disk may have written.
pub fn ledger_row(bytes: &[u8]) {
    fuzzing::row(bytes);
}
