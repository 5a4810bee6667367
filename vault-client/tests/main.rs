//! The library from outside: against a hoster in memory that lies, and against
//! a real one over a line that breaks.

mod account;
mod commit;
mod devices;
mod engine;
mod hostile;
mod links;
mod machine;
mod network;
mod refresh;
mod remote;
mod sharing;
mod support;
