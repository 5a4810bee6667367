//! A server, and members to bother it.

mod clock;
mod descriptors;
mod dial;
mod disk;
mod member;
#[expect(dead_code, reason = "the tests of `coffre` ask more of it")]
mod nginx;
mod program;
mod raw;
mod server;
mod slow;

pub(crate) use clock::TestClock;
pub(crate) use descriptors::{field_paths, methods};
pub(crate) use dial::{Dialled, dial, dial_tls};
pub(crate) use disk::{Done, WatchedDisk};
pub(crate) use member::{
    Device, Member, Packed, VaultOf, genesis, header, logs, pack, part, random, sorted,
};
pub(crate) use nginx::{Nginx, substitute};
pub(crate) use program::{Running, ask, program};
pub(crate) use raw::{call, talk_until_closed};
pub(crate) use server::TestServer;
pub(crate) use slow::slow_upload;

use std::io::Write;

use prost::Message;
use tonic::Status;
use vault_rpc::hoster::{Reason, Refusal};

/// Says past the harness, which would keep it to itself, what cannot be tested on
/// this machine and why. Where CI runs as root, everything can be.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
pub(crate) fn not_tested(what: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let is_root = rustix::process::geteuid().is_root();
    assert!(!(is_ci && is_root), "NOT TESTED: {what}");
    let _ = writeln!(std::io::stderr(), "NOT TESTED: {what}");
}

/// The refusal that a status carries.
#[track_caller]
pub(crate) fn refusal(status: &Status) -> Refusal {
    let refusal = Refusal::decode(status.details()).unwrap();
    assert_ne!(refusal.reason, 0, "a refusal without a reason: {status:?}");
    assert_eq!(refusal.message, status.message());
    assert!(
        refusal.message.ends_with('.') && !refusal.message.contains(char::is_control),
        "no sentence for a person: {:?}",
        refusal.message
    );
    refusal
}

/// Asserts that the answer is a refusal for this reason.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, reason: Reason) {
    let status = answer.expect_err("refused");
    assert_eq!(refusal(&status).reason(), reason, "{status:?}");
}
