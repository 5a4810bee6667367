//! The program itself, against a server in this process.

mod arguments;
mod behind_nginx;
mod contacts;
mod devices;
mod documents;
mod exits;
mod french;
mod full;
mod hoster;
mod kills;
mod members;
mod misbehaving;
mod names;
#[expect(dead_code, reason = "the server's tests ask more of it")]
#[path = "../../../vault-server/tests/support/nginx.rs"]
mod nginx;
mod odd_files;
mod pasted;
mod reading;
mod reconcile;
mod repair;
mod round_trip;
mod secrets;
mod signup;
mod stolen;
mod system_calls;
mod terminal;
mod trees;
