//! The homes of contacts, for whoever keeps the keys of a vault that they are in.

use std::sync::Arc;

use vault_proto::account_log::AccountLog;

use super::Account;
use super::hosters::Elsewhere;
use crate::vault::{Homes, Member};

impl Account {
    /// The same account, whose vaults ask contacts' homes for their logs.
    pub(super) fn asking_homes(self) -> Self {
        let elsewhere = Elsewhere::new(self.connect());
        let homes = ContactHomes(Self {
            elsewhere,
            ..self.clone()
        });
        let member = Member {
            homes: Some(Arc::new(homes)),
            ..Member::clone(&self.member)
        };
        Self {
            member: Arc::new(member),
            ..self
        }
    }
}

/// The account without homes: what it reads to find them needs none.
struct ContactHomes(Account);

impl Homes for ContactHomes {
    /// Strangers are not looked for: their address is not known.
    fn newest_logs(&self, held: &[AccountLog]) -> Vec<AccountLog> {
        let Ok(settings) = self.0.settings() else {
            return Vec::new();
        };
        let newest = held.iter().filter_map(|held| {
            let contact = settings.contact(&held.id())?;
            let found = self.0.find_member(&contact.address, Some(contact));
            Some(found.ok()?.log)
        });
        newest.collect()
    }
}
