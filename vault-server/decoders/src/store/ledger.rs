#[path = "../../../src/store/ledger/error.rs"]
mod error;

pub use error::LedgerError;
