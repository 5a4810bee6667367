//! What vaults are for, and what members may do.

use crate::wire;

/// What a vault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VaultKind {
    /// Files.
    Storage,
    /// What the devices of one account agree on; it has one member for ever.
    Account,
}

/// What a member may do. A higher role may do all that a lower one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Reads.
    Reader,
    /// Commits heads and begins epochs.
    Writer,
    /// Adds, changes and removes members, and moves the vault.
    Manager,
}

/// A member at some place of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberState {
    /// What he may do.
    pub role: Role,
    /// Whether he took up the membership that he was offered.
    pub accepted: bool,
}

impl VaultKind {
    pub(in crate::vault_log) fn from_wire(kind: wire::VaultKind) -> Option<Self> {
        match kind {
            wire::VaultKind::Unspecified => None,
            wire::VaultKind::Storage => Some(Self::Storage),
            wire::VaultKind::Account => Some(Self::Account),
        }
    }

    /// As messages carry it.
    #[must_use]
    pub fn to_wire(self) -> wire::VaultKind {
        match self {
            Self::Storage => wire::VaultKind::Storage,
            Self::Account => wire::VaultKind::Account,
        }
    }
}

impl Role {
    /// Reads it from a message; `None` where it stands for nothing.
    #[must_use]
    pub fn from_wire(role: wire::Role) -> Option<Self> {
        match role {
            wire::Role::Unspecified => None,
            wire::Role::Reader => Some(Self::Reader),
            wire::Role::Writer => Some(Self::Writer),
            wire::Role::Manager => Some(Self::Manager),
        }
    }

    /// As messages carry it.
    #[must_use]
    pub fn to_wire(self) -> wire::Role {
        match self {
            Self::Reader => wire::Role::Reader,
            Self::Writer => wire::Role::Writer,
            Self::Manager => wire::Role::Manager,
        }
    }
}
