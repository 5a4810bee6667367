//! The hosters of an account: its home, and others where it is a guest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use vault_core::settings::{AccountSettings, SettingsError};
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{HosterId, VaultId};
use vault_proto::origin::Origin;

use super::{Account, AccountError, settings};
use crate::remote::{Connect, Credentials, HosterAddress, Remote};
use crate::vault::{Member, Vault};

/// The lines to hosters that are not the home; clones share them.
#[derive(Clone)]
pub(super) struct Elsewhere {
    connect: Arc<dyn Connect>,
    members: Arc<Mutex<BTreeMap<HosterId, Line>>>,
}

/// A hoster as it is dialled, and the member there.
type Line = (HosterAddress, Arc<Member>);

impl Elsewhere {
    pub(super) fn new(connect: Arc<dyn Connect>) -> Self {
        Self {
            connect,
            members: Arc::default(),
        }
    }
}

/// A hoster whose copy of the account's log was to be brought up to date.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GuestLog {
    /// The hoster.
    pub hoster: HosterId,
    /// Where it is dialled.
    pub origin: Origin,
    /// Why it has not the newest entries, if it has not.
    pub pushed: Result<(), Arc<AccountError>>,
}

impl Account {
    /// The way to any hoster.
    #[must_use]
    pub fn connect(&self) -> Arc<dyn Connect> {
        self.elsewhere.connect.clone()
    }

    /// The line to a hoster of the account's.
    ///
    /// # Errors
    /// [`AccountError::UnknownHoster`] if the settings do not name it, and the
    /// others.
    pub fn remote_at(&self, hoster: HosterId) -> Result<Arc<dyn Remote>, AccountError> {
        Ok(self.member_at(hoster)?.remote.clone())
    }

    /// The member, with the line to that hoster. Asks nobody where this device
    /// knows the way.
    pub(crate) fn member_at(&self, hoster: HosterId) -> Result<Arc<Member>, AccountError> {
        if hoster == self.row.hoster {
            return Ok(self.member.clone());
        }
        let state = &self.member.state;
        let address = match state.hoster(&hoster)? {
            Some(address) => address,
            // Another device may have met it.
            None => {
                self.settings()?;
                let known = state.hoster(&hoster)?;
                known.ok_or(AccountError::UnknownHoster(hoster))?
            }
        };
        let members = self.elsewhere.members.lock();
        let mut members = members.unwrap_or_else(PoisonError::into_inner);
        if let Some((known, member)) = members.get(&hoster)
            && *known == address
        {
            return Ok(member.clone());
        }
        let member = self.guest_at(address.clone());
        members.insert(hoster, (address, member.clone()));
        Ok(member)
    }

    /// The member with a new line to a hoster that is not the home.
    pub(super) fn guest_at(&self, address: HosterAddress) -> Arc<Member> {
        let connect = &self.elsewhere.connect;
        let credentials = Credentials {
            account: self.row.account,
            device: self.member.device.clone(),
        };
        Arc::new(Member {
            visitor: connect.visit(address.clone()),
            guest_at: Some(address.hoster),
            remote: connect.connect(address, credentials),
            ..Member::clone(&self.member)
        })
    }

    /// Opens a vault at its hoster, as this device last saw it.
    pub(crate) fn open_at(
        &self,
        hoster: HosterId,
        id: VaultId,
        name: Option<String>,
    ) -> Result<Vault, AccountError> {
        self.open_as_told(self.member_at(hoster)?, id, name)
    }

    /// The settings as they are now; notes where the hosters are.
    pub(crate) fn settings(&self) -> Result<AccountSettings, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        let settings = settings::read(&vault)?;
        self.note_hosters(&settings)?;
        Ok(settings)
    }

    /// Changes the settings in one commit, and gives them.
    pub(crate) fn change_settings(
        &self,
        change: impl Fn(&mut AccountSettings) -> Result<(), SettingsError>,
    ) -> Result<AccountSettings, AccountError> {
        let settings = settings::change(&mut self.account_vault()?, change)?;
        self.note_hosters(&settings)?;
        Ok(settings)
    }

    pub(super) fn note_hosters(&self, settings: &AccountSettings) -> Result<(), AccountError> {
        let hosters = addresses(settings);
        let state = &self.member.state;
        let mut known = hosters.iter();
        let are_known = known.try_fold(true, |all, hoster| {
            Ok::<_, AccountError>(all && state.hoster(&hoster.hoster)?.as_ref() == Some(hoster))
        })?;
        if !are_known {
            state.set_hosters(&hosters)?;
        }
        Ok(())
    }

    /// Brings the copies of the account's log up to date that other hosters have
    /// where it is a guest: all of it, whatever they have taken before. A hoster that
    /// is left out is told when this device, or another one, next uses it.
    ///
    /// # Errors
    /// [`AccountError`], when it is not known which hosters there are; what a
    /// hoster says is in the answer.
    pub fn push_log(&self) -> Result<Vec<GuestLog>, AccountError> {
        let settings = self.settings()?;
        let account_vault = self.account_vault()?;
        let log = account_vault.own_log();
        let push = |at: HosterAddress| {
            let pushed = self
                .member_at(at.hoster)
                .and_then(|member| Ok(member.bring_log(log)?));
            GuestLog {
                hoster: at.hoster,
                origin: at.origin,
                pushed: pushed.map_err(Arc::new),
            }
        };
        let elsewhere = self.addresses_elsewhere(&settings);
        Ok(elsewhere.into_iter().map(push).collect())
    }

    /// Likewise after a removal, and where a vault waits that was offered: its hoster
    /// has a copy of the log since then. What an offer says of that is believed of
    /// contacts only, and only if it is one of them who has signed it: a stranger's
    /// could lead anywhere.
    pub(super) fn push_removal(&self) -> Result<Vec<GuestLog>, AccountError> {
        let mut told = self.push_log()?;
        let account_vault = self.account_vault()?;
        for offer in self.checked_offers()?.offers {
            let HosterAddress { hoster, origin, .. } = offer.home.clone();
            let is_told = told.iter().any(|told| told.hoster == hoster);
            let Some(checked) = offer.checked.filter(|_| !is_told) else {
                continue;
            };
            let pushed = match checked {
                _ if hoster == self.row.hoster => continue,
                // Anybody can leave one in a contact's name.
                Err(error) if !error.is_transient() => continue,
                checked => checked.and_then(|()| {
                    self.bring_log_to(offer.home, account_vault.own_log())
                        .map_err(Arc::new)
                }),
            };
            told.push(GuestLog {
                hoster,
                origin,
                pushed,
            });
        }
        Ok(told)
    }

    /// Brings the log to a hoster that the settings do not name.
    fn bring_log_to(&self, at: HosterAddress, log: &AccountLog) -> Result<(), AccountError> {
        match self.guest_at(at).bring_log(log) {
            // Then no device of the account is let in there.
            Err(error) if error.is_not_found() => Ok(()),
            brought => Ok(brought?),
        }
    }

    /// The hosters that are not the home.
    pub(super) fn addresses_elsewhere(&self, settings: &AccountSettings) -> Vec<HosterAddress> {
        let mut all = addresses(settings);
        all.retain(|address| address.hoster != self.row.hoster);
        all
    }
}

fn addresses(settings: &AccountSettings) -> Vec<HosterAddress> {
    let known = settings.hosters().iter();
    known
        .filter_map(|known| {
            Some(HosterAddress {
                // Settings bound its length and no more.
                origin: Origin::parse(&known.origin).ok()?,
                hoster: known.hoster,
                tls: known.tls,
            })
        })
        .collect()
}
