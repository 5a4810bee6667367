//! The tests of vault-core that use nothing but its public surface.
#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod author;
mod catalogs;
mod exchange;
mod memory;
mod merging;
mod nodes;
mod pack;
mod phrase;
mod plans;
mod real_sizes;
mod seal;
mod segments;
mod settings;
mod streams;
mod support;
mod tree_vectors;
mod trees;
mod unwraps;
