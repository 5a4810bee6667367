//! From an invitation to an account.
//!
//! Everything that is made is stored before it is sent, and every step may be
//! repeated: a sign-up that was interrupted anywhere, an answer lost or the
//! process killed, is finished by calling it again with the same invitation.

use std::sync::Arc;

use vault_core::author::{NamedDevice, create_account, create_vault};
use vault_core::keys::{DeviceKeys, PhraseLanguage, RecoveryPhrase};
use vault_core::settings::KnownHoster;
use vault_proto::invitation::Invitation;
use vault_proto::vault_log::VaultKind;
use vault_proto::wire::SignedEntry;
use zeroize::Zeroizing;

use super::devices::check_name;
use super::{Account, AccountError, Setup};
use crate::platform::Rng;
use crate::state::{AccountRow, JoiningWay, KeySlot, KeyStore, NewEntries, State, StateError};

/// What the paper device is called in the account log.
pub(super) const PAPER_NAME: &str = "paper";

impl Account {
    /// Makes an account of this device and a recovery phrase, and its account
    /// vault with the settings in it.
    ///
    /// The phrase stays in the key store until [`Account::forget_phrase`]: as
    /// long as the member has not confirmed that he has it on paper, repeating
    /// the sign-up gives it again.
    ///
    /// # Errors
    /// [`AccountError`]. After [`AccountError::AccountExists`] nothing has
    /// changed; after any other, repeat the call.
    pub fn sign_up(
        setup: &Setup,
        invitation: &Invitation,
        device_name: &str,
    ) -> Result<(Self, RecoveryPhrase), AccountError> {
        check_name(device_name)?;
        let state = Arc::new(State::open(&setup.home)?);
        let _lock = state.home().lock_account()?;
        match state.joining()?.map(|row| row.way) {
            // Nobody has let this device into an account yet.
            Some(JoiningWay::Pairing {
                signature: None, ..
            }) => state.forget_joining()?,
            Some(JoiningWay::Pairing { .. }) => return Err(AccountError::PairingUnfinished),
            Some(JoiningWay::Recovery { .. }) => return Err(AccountError::RecoveryUnfinished),
            None => {}
        }
        let row = match state.account()? {
            Some(row) if row.invitation.is_none() => {
                let phrase = load_phrase(&*setup.keys)?.ok_or(AccountError::AccountExists)?;
                return Ok((Self::assemble(setup, state, row)?, phrase));
            }
            Some(row) if row.hoster == invitation.hoster && are_held(&*setup.keys, &row)? => {
                // The same account, maybe under another invitation.
                let row = AccountRow {
                    origin: invitation.origin.clone(),
                    tls: invitation.tls,
                    invitation: Some(invitation.secret.clone()),
                    ..row
                };
                state.set_account(&row)?;
                row
            }
            // What was begun at another hoster is nothing there without a vault, and
            // a pairing or a recovery that was begun since has given its keys up.
            _ => begin(setup, &state, invitation, device_name)?,
        };
        let phrase = load_phrase(&*setup.keys)?.ok_or(AccountError::DeviceKeyMissing)?;
        let account = Self::assemble(setup, state, row)?;
        account.finish_sign_up(invitation)?;
        Ok((account, phrase))
    }

    fn finish_sign_up(&self, invitation: &Invitation) -> Result<(), AccountError> {
        let state = &self.member.state;
        let account_genesis = genesis(state, self.row.account.as_bytes())?;
        let vault_genesis = genesis(state, self.row.vault.as_bytes())?;
        let remote = &self.member.remote;
        remote.create_account(&invitation.secret, &account_genesis)?;
        remote.create_vault(&vault_genesis)?;
        let hoster = KnownHoster {
            hoster: invitation.hoster,
            origin: invitation.origin.to_string(),
            tls: invitation.tls,
        };
        self.change_settings(|settings| settings.set_hoster(hoster.clone()))?;
        state.forget_invitation()?;
        Ok(())
    }
}

/// Makes the account and stores it; nothing is sent yet.
fn begin(
    setup: &Setup,
    state: &State,
    invitation: &Invitation,
    device_name: &str,
) -> Result<AccountRow, AccountError> {
    let mut rng = Rng::new(setup.randomness.clone());
    let device = device_keys(&*setup.keys, &mut rng)?;
    let phrase = store_phrase(&*setup.keys, &mut rng)?;
    let author = NamedDevice {
        keys: &device,
        name: device_name,
    };
    let paper = NamedDevice {
        keys: &phrase.device_keys(),
        name: PAPER_NAME,
    };
    let account = create_account(invitation.hoster, author, &[paper], &mut rng)?;
    let vault = create_vault(
        VaultKind::Account,
        invitation.hoster,
        &account.log,
        &account.secrets,
        &device,
        &mut rng,
    )?;
    let row = AccountRow {
        account: account.log.id(),
        vault: vault.log.id(),
        device: device.id(),
        device_name: device_name.to_owned(),
        hoster: invitation.hoster,
        origin: invitation.origin.clone(),
        tls: invitation.tls,
        invitation: Some(invitation.secret.clone()),
    };
    let first = |log, entry| NewEntries {
        log,
        first_seq: 1,
        entries: vec![entry],
    };
    let genesis = [
        first(*row.account.as_bytes(), account.genesis),
        first(*row.vault.as_bytes(), vault.genesis),
    ];
    state.begin_account(&row, genesis)?;
    Ok(row)
}

/// Whether the keys of a sign-up that was interrupted are still here.
fn are_held(keys: &dyn KeyStore, row: &AccountRow) -> Result<bool, AccountError> {
    let device = match keys.load(KeySlot::Device)? {
        Some(secret) => Some(DeviceKeys::from_secret_bytes(&secret)?.id()),
        None => None,
    };
    Ok(device == Some(row.device) && load_phrase(keys)?.is_some())
}

fn genesis(state: &State, log: &[u8; 32]) -> Result<SignedEntry, StateError> {
    let mut entries = state.log_entries(log)?.into_iter();
    entries
        .next()
        .ok_or(StateError::Damaged("an account without its genesis"))
}

/// The device's keys: those of a sign-up that was interrupted, or new ones.
pub(super) fn device_keys(keys: &dyn KeyStore, rng: &mut Rng) -> Result<DeviceKeys, AccountError> {
    if let Some(secret) = keys.load(KeySlot::Device)? {
        return Ok(DeviceKeys::from_secret_bytes(&secret)?);
    }
    let device = DeviceKeys::generate(rng);
    keys.store_new(KeySlot::Device, &device.to_secret_bytes()[..])?;
    Ok(device)
}

/// The phrase, likewise.
pub(super) fn store_phrase(
    keys: &dyn KeyStore,
    rng: &mut Rng,
) -> Result<RecoveryPhrase, AccountError> {
    if let Some(phrase) = load_phrase(keys)? {
        return Ok(phrase);
    }
    let phrase = RecoveryPhrase::generate(rng);
    let words = phrase.words(PhraseLanguage::English);
    keys.store_new(KeySlot::Phrase, words.as_bytes())?;
    Ok(phrase)
}

pub(super) fn load_phrase(keys: &dyn KeyStore) -> Result<Option<RecoveryPhrase>, AccountError> {
    let Some(words) = keys.load(KeySlot::Phrase)? else {
        return Ok(None);
    };
    let words = String::from_utf8(words.to_vec())
        .map(Zeroizing::new)
        .map_err(|_| StateError::Damaged("a recovery phrase"))?;
    Ok(Some(RecoveryPhrase::parse(&words)?))
}
