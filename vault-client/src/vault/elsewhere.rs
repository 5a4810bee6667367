//! Members who are at home at another hoster than the vault.
//!
//! ```text
//! his home ─▶ his log ─▶ goes on from what the vault's hoster shows? ─▶ put there ─▶ upkeep
//! ```
//!
//! The vault's hoster has a copy of such a log, which grows by what his devices bring.
//! Whoever is invited, and has not taken the vault up, brings nothing: a device that was
//! stolen from him, and is out at his home, is let in by that copy still. So whoever
//! keeps the vault's keys asks his home, where this account knows it.

use vault_core::timestamp::Timestamp;
use vault_proto::account_log::AccountLog;

use super::Vault;
use super::append::agree;
use super::guest::put_log;

/// For how long what the homes have shown will do, in seconds.
const SECONDS: i64 = 3_600;

/// Finds members' logs at their homes.
pub(crate) trait Homes: Send + Sync {
    /// The logs of those whose home is known, and answers; verified. `held` is what is
    /// known of them.
    fn newest_logs(&self, held: &[AccountLog]) -> Vec<AccountLog>;
}

/// What the homes have shown to this handle of a vault.
#[derive(Default)]
pub(super) struct LogsElsewhere {
    asked: Option<Timestamp>,
    logs: Vec<AccountLog>,
}

impl Vault {
    /// `own`, and the logs of members elsewhere that go on from what the vault's hoster
    /// has shown of them; it has them then. A home that is away, and a log that the
    /// vault's hoster will not have, keep nobody from his vault.
    pub(super) fn with_logs_elsewhere(&mut self, own: &AccountLog) -> Vec<AccountLog> {
        let now = self.member.now();
        let since = |asked: Timestamp| now.seconds().saturating_sub(asked.seconds());
        let is_fresh = |asked| (0..SECONDS).contains(&since(asked));
        let is_known = self.elsewhere.asked.is_some_and(is_fresh);
        if !is_known && let Some(logs) = self.logs_elsewhere() {
            let asked = Some(now);
            self.elsewhere = LogsElsewhere { asked, logs };
        }
        let elsewhere = self.elsewhere.logs.iter();
        elsewhere.chain([own]).cloned().collect()
    }

    /// `None` where there is nobody to ask about.
    fn logs_elsewhere(&self) -> Option<Vec<AccountLog>> {
        let homes = self.member.homes.as_ref()?;
        let log = &self.view.vault_log;
        let others = log.members().map(|(member, _)| member);
        let others = others.filter(|member| *member != self.member.account);
        let held: Vec<_> = others
            .filter_map(|member| self.view.accounts.get(&member))
            .filter(|theirs| theirs.home() != log.home())
            .cloned()
            .collect();
        if held.is_empty() {
            return None;
        }
        let mut newer = homes.newest_logs(&held);
        newer.retain(|newest| {
            let held = self.view.accounts.get(&newest.id());
            let goes_on = held.is_some_and(|held| {
                held.position().seq < newest.position().seq && agree(held, newest)
            });
            goes_on && put_log(&*self.member.remote, &newest.id(), newest.entries()).is_ok()
        });
        Some(newer)
    }
}
