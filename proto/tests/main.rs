//! What others of this format see of the crate: its public interface alone.

mod contexts;
mod vectors;
