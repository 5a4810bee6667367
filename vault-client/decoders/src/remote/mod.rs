#[path = "../../../src/remote/error.rs"]
mod error;
pub mod grpc;
#[path = "../../../src/remote/limits.rs"]
mod limits;
#[path = "../../../src/remote/types.rs"]
mod types;

pub use error::*;
pub use limits::*;
pub use types::*;
