//! Random bytes from the operating system.

use crate::service::Refusal;

/// 32 random bytes.
pub(crate) fn array() -> Result<[u8; 32], Unavailable> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| Unavailable)?;
    Ok(bytes)
}

/// The operating system gave no randomness.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the operating system gives no random bytes")]
pub(crate) struct Unavailable;

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::internal(&error)
    }
}
