//! The server as devices meet it: gRPC over real TLS, on a store in a
//! temporary directory, with a small client that signs what it sends.

mod support;

mod login;
mod signup;
mod upload;
mod commit;
mod isolation;
mod removed;
mod moved;
mod accounts;
mod guests;
mod messages;
mod offers;
mod links;
mod words;
mod limits;
mod patience;
mod proxy;
mod behind_nginx;
mod services;
mod sync;
mod durability;
mod crash;
mod full_disk;
mod system_calls;
mod power_cut;
mod admin;
mod certificate;
mod program;
