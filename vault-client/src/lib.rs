//! A member's devices: accounts, vaults, and the way to the hoster.
//!
//! ```text
//! platform ─▶ remote ─▶ state ─▶ vault ─▶ account ─▶ backup · restore · check
//! clock,      the       what     one      who we     what moves files
//! randomness  hoster    we know  vault    are        (and `files`), `link`
//! ```
//!
//! The library never prints, never reads the environment and never exits.
//! Handles are owned, `Send + Sync + 'static`, and dropping one is safe
//! anywhere; errors carry an [`error::ErrorCode`] that stays stable and no
//! localised text.

pub mod error;
pub mod files;
pub mod platform;
pub mod remote;
pub mod state;
pub mod vault;
pub mod account;

mod index;
pub mod progress;
mod transfer;

pub mod backup;
pub mod check;
pub mod contents;
pub mod reconcile;
pub mod repair;
pub mod restore;
pub mod link;
