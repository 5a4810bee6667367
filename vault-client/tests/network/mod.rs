//! Against a real server, over a real connection.

mod backups;
mod downgrade;
mod line;
mod links;
mod login;
mod packs;
mod vaults;
mod visitor;
