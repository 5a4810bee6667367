//! Places in logs and in chains of heads. Sequence numbers count from 1.

use crate::entry::FieldError;
use crate::ids::{EntryHash, HeadHash};
use crate::wire;

/// A place in an account log or in a vault log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogPosition {
    /// Which entry; at least 1.
    pub seq: u64,
    /// The entry's hash.
    pub hash: EntryHash,
}

/// A place in a vault's chain of heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HeadPosition {
    /// Which head; at least 1.
    pub seq: u64,
    /// The head's hash.
    pub hash: HeadHash,
}

impl LogPosition {
    /// As messages carry it.
    #[must_use]
    pub fn to_wire(&self) -> wire::Position {
        wire::Position {
            seq: self.seq,
            hash: self.hash.to_vec(),
        }
    }

    /// Reads it from a message; `field` names it in the error.
    ///
    /// # Errors
    /// If the hash is not 32 bytes or `seq` is 0.
    pub fn from_wire(position: &wire::Position, field: &'static str) -> Result<Self, FieldError> {
        match EntryHash::from_slice(&position.hash) {
            Ok(hash) if position.seq > 0 => Ok(Self {
                seq: position.seq,
                hash,
            }),
            _ => Err(FieldError::new(field)),
        }
    }
}

impl HeadPosition {
    /// As messages carry it.
    #[must_use]
    pub fn to_wire(&self) -> wire::Position {
        wire::Position {
            seq: self.seq,
            hash: self.hash.to_vec(),
        }
    }

    /// Reads it from a message; `field` names it in the error.
    ///
    /// # Errors
    /// If the hash is not 32 bytes or `seq` is 0.
    pub fn from_wire(position: &wire::Position, field: &'static str) -> Result<Self, FieldError> {
        match HeadHash::from_slice(&position.hash) {
            Ok(hash) if position.seq > 0 => Ok(Self {
                seq: position.seq,
                hash,
            }),
            _ => Err(FieldError::new(field)),
        }
    }
}
