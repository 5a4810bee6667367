//! Pairing: two devices of a member, and a hoster that relays four messages
//! which it cannot read ([`vault_core::pairing`]).
//!
//! ```text
//! new:  NewDevice::begin ─▶ code ──────┐ read off the screen
//! old:             Account::pair ◀─────┘─▶ words · confirm
//! new:  await_words ─▶ words · finish ─▶ Account
//! ```
//!
//! Both sides may be interrupted anywhere: what is made is stored before it is
//! sent, and calling again goes on from there.

mod new;
mod old;

use std::time::Duration;

use vault_core::pairing::PairingStep;
pub use vault_core::pairing::{PairingCode, PairingError};
use vault_proto::ids::MessageName;

pub use new::{NewDevice, Refusal};
pub use old::{Paired, Pairing};

use super::AccountError;
use crate::platform::Clock;
use crate::progress::Cancellation;
use crate::remote::{RemoteError, Visitor};

/// How long a wait goes on before it is looked whether it was cancelled.
const WAIT: Duration = Duration::from_secs(2);

/// Waits for messages.
struct Wait<'a> {
    relay: &'a dyn Visitor,
    code: &'a PairingCode,
    clock: &'a dyn Clock,
    /// Seconds since 1970.
    until: u64,
    cancel: &'a Cancellation,
}

impl Wait<'_> {
    fn for_message(&self, step: PairingStep) -> Result<Vec<u8>, AccountError> {
        let box_name = name(self.code, step);
        loop {
            if self.cancel.is_cancelled() {
                return Err(RemoteError::Cancelled.into());
            }
            let is_over = self.clock.unix_seconds() >= self.until;
            // Once more when it is over: what was left in time counts, except for
            // a proposal, which is good for nothing then.
            let wait = if is_over { Duration::ZERO } else { WAIT };
            if is_over && step == PairingStep::Proposal {
                return Err(AccountError::PairingOver);
            }
            match self.relay.await_message(&box_name, wait)? {
                Some(message) => return Ok(message),
                None if is_over => return Err(AccountError::PairingOver),
                None => {}
            }
        }
    }
}

fn name(code: &PairingCode, step: PairingStep) -> MessageName {
    code.box_name(step)
}
