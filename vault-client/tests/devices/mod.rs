//! Several devices of one member, and what becomes of vaults when one goes.

mod freshness;
mod guests;
mod invited;
mod leaving;
mod left_behind;
mod log;
mod pairing;
mod phrases;
mod recovery;
mod removal;
pub(crate) mod shut_out;
