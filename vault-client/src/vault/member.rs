//! Who uses a vault, and with what.

use std::sync::Arc;

use vault_core::keys::{AccountSecrets, DeviceKeys};
use vault_core::timestamp::Timestamp;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, HosterId};

use super::elsewhere::Homes;
use crate::platform::{Clock, Randomness, Rng};
use crate::remote::{Remote, Visitor};
use crate::state::State;

/// A member on one of his devices, with the line to one hoster.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) account: AccountId,
    pub(crate) device: Arc<DeviceKeys>,
    /// What the device was called when it came into the account.
    pub(crate) first_device_name: String,
    pub(crate) state: Arc<State>,
    pub(crate) remote: Arc<dyn Remote>,
    /// The line to it that takes no login.
    pub(crate) visitor: Arc<dyn Visitor>,
    /// That hoster, where it is not the account's home.
    pub(crate) guest_at: Option<HosterId>,
    /// Where other members are looked for; nowhere while an account is only looked at.
    pub(crate) homes: Option<Arc<dyn Homes>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) randomness: Arc<dyn Randomness>,
}

impl Member {
    pub(crate) fn rng(&self) -> Rng {
        Rng::new(self.randomness.clone())
    }

    /// What the device is called as of its account's log, or was at first where that
    /// does not tell.
    pub(crate) fn device_name_in(&self, log: Option<&AccountLog>) -> String {
        let told = log.and_then(|log| {
            let secrets = AccountSecrets::open(log, &self.device).ok()?;
            let record = log.device(&self.device.id())?;
            secrets.open_name(&record.sealed_name).ok()
        });
        told.unwrap_or_else(|| self.first_device_name.clone())
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = self.clock.unix_nanoseconds();
        let seconds = now.div_euclid(1_000_000_000);
        let nanoseconds = now.rem_euclid(1_000_000_000);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let nanoseconds = u32::try_from(nanoseconds).expect("below 10^9");
        Timestamp::new(seconds, nanoseconds).expect("below 10^9")
    }
}
