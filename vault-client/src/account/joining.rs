//! What pairing and recovery have in common: a device that comes into an account
//! which exists, and begins without a memory.

use std::sync::Arc;

use vault_core::keys::DeviceKeys;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{DeviceId, VaultId};
use vault_proto::vault_log::VaultKind;

use super::{Account, AccountError, Setup, sign_up};
use crate::error::ErrorCode;
use crate::platform::Rng;
use crate::remote::HosterAddress;
use crate::state::{AccountRow, JoiningWay, KeySlot, State};
use crate::vault::{Member, Vault, VaultError};

/// Refuses where there is an account already, or where another way into one was
/// begun. A sign-up that never got anywhere is no account.
pub(super) fn check_free(state: &State, is_pairing: bool) -> Result<(), AccountError> {
    match state.joining()?.map(|row| row.way) {
        Some(JoiningWay::Pairing { signature, .. }) => match (is_pairing, signature) {
            (true, _) | (false, None) => Ok(()),
            // The other device may be about to let this one in.
            (false, Some(_)) => Err(AccountError::PairingUnfinished),
        },
        Some(JoiningWay::Recovery { .. }) if is_pairing => Err(AccountError::RecoveryUnfinished),
        Some(JoiningWay::Recovery { .. }) => Ok(()),
        None => match state.account()? {
            Some(row) if row.invitation.is_none() => Err(AccountError::AccountExists),
            _ => Ok(()),
        },
    }
}

/// The keys of this device: those that were made for what was interrupted, or
/// new ones.
pub(super) fn device_keys(setup: &Setup, rng: &mut Rng) -> Result<Arc<DeviceKeys>, AccountError> {
    // The phrase of a sign-up that got nowhere belongs to no account.
    setup.keys.remove(KeySlot::Phrase)?;
    Ok(Arc::new(sign_up::device_keys(&*setup.keys, rng)?))
}

/// What the device keeps of the account that it comes into.
pub(super) fn row(
    log: &AccountLog,
    vault: VaultId,
    device: DeviceId,
    device_name: &str,
    address: &HosterAddress,
) -> AccountRow {
    AccountRow {
        account: log.id(),
        vault,
        device,
        device_name: device_name.to_owned(),
        hoster: address.hoster,
        origin: address.origin.clone(),
        tls: address.tls,
        invitation: None,
    }
}

/// The hoster that answers must be the one that the account's own log names.
pub(super) fn check_home(log: &AccountLog, address: &HosterAddress) -> Result<(), AccountError> {
    if log.home() == address.hoster {
        Ok(())
    } else {
        Err(AccountError::NotItsHome {
            home: log.home(),
            origin: log.home_origin().cloned(),
        })
    }
}

impl Account {
    /// The account's vault, which is a vault of that kind that this very account
    /// has made: a hoster could list another.
    pub(super) fn open_own_vault(&self) -> Result<Vault, AccountError> {
        let vault = self.open_as_told(self.member.clone(), self.row.vault, None)?;
        let log = vault.log();
        if log.kind() == VaultKind::Account && log.creator() == self.row.account {
            Ok(vault)
        } else {
            Err(AccountError::NoAccountVault)
        }
    }

    /// Opens a vault as this device last saw it. Where another device has told of it,
    /// that is held against what the hoster shows first, and nothing of a vault that is
    /// not the one is stored: it would stand in the way of the one that is.
    pub(super) fn open_as_told(
        &self,
        member: Arc<Member>,
        id: VaultId,
        name: Option<String>,
    ) -> Result<Vault, AccountError> {
        let state = &self.member.state;
        let told = state.told()?.into_iter().find(|told| told.vault == id);
        let Some(told) = told else {
            return Ok(Vault::open(member, id, name)?);
        };
        let mut vault = Vault::open_on_trial(member, id, name)?;
        vault.check_reaches(told.position, told.head)?;
        vault.keep()?;
        state.forget_told(&id)?;
        Ok(vault)
    }

    /// Looks at everything that this device has to know from now on: what it was
    /// told is held against what the hosters show. What a hoster elsewhere cannot
    /// be asked about now is checked when it can.
    pub(super) fn look_around(&self) -> Result<(), AccountError> {
        self.open_own_vault()?.refresh()?;
        self.vaults()?;
        let settings = self.settings()?;
        let state = &self.member.state;
        for told in state.told()? {
            let known = settings.vault(told.vault);
            let Some(known) = known.filter(|known| !known.deleted) else {
                // It was deleted, or left, since the other device last looked.
                state.forget_told(&told.vault)?;
                continue;
            };
            let name = Some(known.name.clone());
            let Err(error) = self.open_at(known.hoster, told.vault, name) else {
                continue;
            };
            let at_home = known.hoster == self.row.hoster;
            match error {
                AccountError::Vault(error) if error.is_not_found() || error.is_put_out() => {
                    if error.is_not_found() && known.shared_by.is_none() {
                        return Err(VaultError::Hidden.into());
                    }
                    // Its managers may have taken it away.
                    state.forget_told(&told.vault)?;
                }
                error if at_home || error.code() == ErrorCode::HosterMisbehaved => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
