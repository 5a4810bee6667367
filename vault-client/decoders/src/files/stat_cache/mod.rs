#[path = "../../../../src/files/stat_cache/fuzzing.rs"]
mod fuzzing;
#[path = "../../../../src/files/stat_cache/record.rs"]
mod record;

/// A directory as the client's cache keeps it, which a damaged disk may have written.
pub fn cached_directory(bytes: &[u8]) {
    fuzzing::directory(bytes);
}

/// One that a backup wrote.
#[must_use]
pub fn cached_directory_seed() -> Vec<u8> {
    fuzzing::seed()
}
