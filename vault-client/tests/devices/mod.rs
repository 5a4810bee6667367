//! Several devices of one member, and what becomes of vaults when one goes.

mod log;
mod pairing;
mod recovery;
mod removal;
