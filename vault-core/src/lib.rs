//! What only a member may see.

pub mod chunk;
