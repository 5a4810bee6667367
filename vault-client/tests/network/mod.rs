//! Against a real server, over a real connection.

mod line;
mod login;
mod packs;
mod vaults;
