//! The program itself, against a server in this process.

mod arguments;
mod documents;
mod exits;
mod french;
mod full;
mod hoster;
mod kills;
mod members;
mod names;
mod odd_files;
mod reading;
mod round_trip;
mod signup;
mod terminal;
mod trees;
