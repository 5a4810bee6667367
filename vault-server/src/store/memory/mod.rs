//! Both ports in memory: for tests, and to show what the ports mean in the
//! fewest lines.

mod blobs;
mod ledger;

pub use blobs::MemoryBlobs;
pub use ledger::MemoryLedger;
