//! The library from outside: against a hoster in memory that lies, and against
//! a real one.

mod account;
mod commit;
mod refresh;
mod support;
