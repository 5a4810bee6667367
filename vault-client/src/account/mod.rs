//! A member's account, on one of his devices.
//!
//! ```text
//! invitation ────────▶ sign_up ─┐
//! code, other device ─▶ pairing ─┼▶ Account ─┬─ create_vault ─▶ Vault
//! recovery phrase ───▶ recover ─┘           ├─ vaults
//!                                            └─ open_vault ───▶ Vault
//! ```
//!
//! What the devices of one account agree on (which vaults there are, and what
//! they are called) is in its *account vault*, a small vault of its own.

mod contacts;
mod devices;
mod error;
mod fetch_log;
mod hosters;
mod homes;
mod joining;
mod leaving;
mod left_behind;
mod log;
mod paper;
pub mod pairing;
mod recover;
mod settings;
mod share;
mod sign_up;
mod vaults;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vault_core::keys::DeviceKeys;
use vault_proto::ids::{AccountId, DeviceId, HosterId, VaultId};
use vault_proto::origin::Origin;

pub use devices::{Device, DeviceRemoval, NewDevices, VaultUpkeep};
pub use error::AccountError;
pub(crate) use fetch_log::fetch_log;
use hosters::Elsewhere;
pub use hosters::GuestLog;
pub use left_behind::{Damage, DamagedVault, LeftBehind, LeftLink, LeftMember, UnseenVault};
pub use paper::PaperStanding;
pub use share::{MemberSummary, OfferSelector, OfferSummary, Offers, Shared};
pub use vault_core::settings::Contact;
pub use vaults::{Standing, VaultSelector, VaultSummary};

use crate::platform::{Clock, Randomness, SystemClock, SystemRandomness};
use crate::remote::grpc::{GrpcConnect, Runtime};
use crate::remote::{Connect, Credentials, HosterAddress, Remote};
use crate::state::{AccountRow, FileKeyStore, JoiningWay, KeySlot, KeyStore, State};
use crate::vault::{Freshness, HeadSummary, Member, Vault, VaultError, replay_account};

/// What an account runs on.
#[derive(Clone)]
pub struct Setup {
    /// The directory of the device's state; made when it is not there.
    pub home: PathBuf,
    /// Where secrets are kept.
    pub keys: Arc<dyn KeyStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub randomness: Arc<dyn Randomness>,
    /// The way to hosters.
    pub connect: Arc<dyn Connect>,
}

impl Setup {
    /// Secrets in files under `home`, the system's clock and randomness, and
    /// hosters over the network.
    ///
    /// # Errors
    /// When the system gives no thread for the network.
    pub fn new(home: &Path) -> io::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let randomness: Arc<dyn Randomness> = Arc::new(SystemRandomness);
        let connect = GrpcConnect::new(clock.clone(), randomness.clone(), Runtime::new()?);
        Ok(Self {
            home: home.to_owned(),
            keys: Arc::new(FileKeyStore::new(home)),
            clock,
            randomness,
            connect: Arc::new(connect),
        })
    }
}

/// An account on this device.
#[derive(Clone)]
pub struct Account {
    member: Arc<Member>,
    row: AccountRow,
    keys: Arc<dyn KeyStore>,
    elsewhere: Elsewhere,
}

impl Account {
    /// Opens the account of this device, without asking anybody.
    ///
    /// # Errors
    /// [`AccountError::NoAccount`]; [`AccountError::SignUpUnfinished`],
    /// [`AccountError::PairingUnfinished`] or
    /// [`AccountError::RecoveryUnfinished`] when that was interrupted: repeat it.
    pub fn open(setup: &Setup) -> Result<Self, AccountError> {
        let state = Arc::new(State::open(&setup.home)?);
        match state.joining()?.map(|row| row.way) {
            None => {}
            Some(JoiningWay::Pairing { .. }) => return Err(AccountError::PairingUnfinished),
            Some(JoiningWay::Recovery { .. }) => return Err(AccountError::RecoveryUnfinished),
        }
        let row = state.account()?.ok_or(AccountError::NoAccount)?;
        if row.invitation.is_some() {
            return Err(AccountError::SignUpUnfinished);
        }
        Self::assemble(setup, state, row)
    }

    fn assemble(setup: &Setup, state: Arc<State>, row: AccountRow) -> Result<Self, AccountError> {
        let secret = setup
            .keys
            .load(KeySlot::Device)?
            .ok_or(AccountError::DeviceKeyMissing)?;
        let device = DeviceKeys::from_secret_bytes(&secret)?;
        if device.id() != row.device {
            return Err(AccountError::OtherDeviceKey);
        }
        let device = Arc::new(device);
        let address = HosterAddress {
            origin: row.origin.clone(),
            hoster: row.hoster,
            tls: row.tls,
        };
        let credentials = Credentials {
            account: row.account,
            device: device.clone(),
        };
        let member = Member {
            account: row.account,
            device,
            first_device_name: row.device_name.clone(),
            state,
            visitor: setup.connect.visit(address.clone()),
            remote: setup.connect.connect(address, credentials),
            guest_at: None,
            homes: None,
            clock: setup.clock.clone(),
            randomness: setup.randomness.clone(),
        };
        let assembled = Self {
            member: Arc::new(member),
            row,
            keys: setup.keys.clone(),
            elsewhere: Elsewhere::new(setup.connect.clone()),
        };
        Ok(assembled.asking_homes())
    }

    /// The account's id.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.row.account
    }

    /// The vault of what its devices agree on.
    #[must_use]
    pub fn own_vault(&self) -> VaultId {
        self.row.vault
    }

    /// This device.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.row.device
    }

    /// What its owner calls it, as far as this device has seen. Asks nobody.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn device_name(&self) -> Result<String, AccountError> {
        let entries = self.member.state.log_entries(self.row.account.as_bytes())?;
        Ok(self
            .member
            .device_name_in(replay_account(&entries).as_ref()))
    }

    /// The hoster.
    #[must_use]
    pub fn hoster(&self) -> HosterId {
        self.row.hoster
    }

    /// Where the hoster is dialled.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.row.origin
    }

    /// The line to the hoster, which all vaults there share with this handle.
    #[must_use]
    pub fn remote(&self) -> Arc<dyn Remote> {
        self.member.remote.clone()
    }

    /// The device's state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.member.state.clone()
    }

    /// Whether what was seen of the account is known to be the newest: its
    /// devices, and which vaults there are.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn freshness(&self) -> Result<Freshness, AccountError> {
        let state = &self.member.state;
        let log = state.is_doubted(self.row.account.as_bytes())?;
        let vault = state.is_doubted(self.row.vault.as_bytes())?;
        Ok(Freshness::of(log || vault))
    }

    /// The newest head of the account's own vault that this device has seen, which
    /// stands for the account's devices and for which vaults there are; to be given to
    /// [`Account::confirm`] elsewhere. `None` while there is none.
    ///
    /// # Errors
    /// [`AccountError`].
    pub fn printed_head(&self) -> Result<Option<String>, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        Ok(vault.printed_head())
    }

    /// Heads of the account's own vault, as [`Vault::heads`] gives them.
    ///
    /// # Errors
    /// As [`Vault::heads`].
    pub fn heads(&self, from: Option<u64>, count: usize) -> Result<Vec<HeadSummary>, AccountError> {
        let mut vault = self.account_vault()?;
        vault.refresh()?;
        Ok(vault.heads(from, count)?)
    }

    /// Confirms that the account, its devices and which vaults there are, is as new as
    /// a head that [`Account::printed_head`] gave.
    ///
    /// # Errors
    /// As [`Vault::confirm`].
    pub fn confirm(&self, printed: &str) -> Result<(), AccountError> {
        self.account_vault()?.confirm(printed)?;
        // Whoever made that head named the place of the account's log, and only
        // devices of the account make any.
        Ok(self.member.state.trust(self.row.account.as_bytes())?)
    }

    /// The member has written the recovery phrase down: this device forgets it.
    ///
    /// # Errors
    /// [`AccountError::State`].
    pub fn forget_phrase(&self) -> Result<(), AccountError> {
        Ok(self.keys.remove(KeySlot::Phrase)?)
    }

    /// The vault of what its devices agree on, as this device last saw it.
    pub(crate) fn account_vault(&self) -> Result<Vault, VaultError> {
        Vault::open(self.member.clone(), self.row.vault, None)
    }
}
