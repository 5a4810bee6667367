//! The tests of vault-core that use nothing but its public surface.
#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod author;
mod pack;
mod phrase;
mod seal;
mod support;
