pub mod embedded;
mod ledger;
#[path = "../../../src/store/records.rs"]
mod records;
