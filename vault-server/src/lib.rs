//! What a hoster of Coffre runs.
pub mod clock;
pub mod store;
