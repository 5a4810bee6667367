#[path = "../../../src/files/stat.rs"]
pub mod stat;
pub mod stat_cache;
