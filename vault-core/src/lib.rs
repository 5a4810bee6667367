//! What only a member may see.

#![allow(dead_code, reason = "until the logs open boxes")]

pub mod aead;
pub mod boxes;
pub mod keys;
pub mod labels;
mod secret;

pub mod chunk;
pub mod timestamp;

pub mod pack;
pub mod seal;

pub mod stream;
pub mod tree;
