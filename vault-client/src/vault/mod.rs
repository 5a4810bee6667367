//! One vault: its verified state, and how it moves on.
//!
//! ```text
//! refresh: SyncVault ─▶ verify logs ─▶ verify heads ─▶ open root ─▶ persist
//! commit:  seal root ─▶ sign head ─▶ persist ─▶ CommitHead ─▶ persist
//! append:  sign entry ─▶ persist ─▶ AppendVaultEntry ─▶ persist
//! ```
//!
//! Whatever the hoster sends is verified against what this device has seen
//! before, and is stored only when all of it is: an error leaves vault and
//! state as they were.

mod append;
mod behind;
mod commit;
mod elsewhere;
mod error;
mod fetch;
mod freshness;
mod guest;
mod hint;
mod member;
mod past;
mod reach;
mod turn;
mod upkeep;
mod view;

use std::path::PathBuf;
use std::sync::{Arc, Weak};

use vault_core::keys::{DeviceKeys, VaultKeys};
use vault_core::timestamp::Timestamp;
use vault_proto::account_log::AccountLog;
use vault_proto::ids::{AccountId, DeviceId, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::VaultLog;
use vault_proto::wire::Root;

pub(crate) use commit::Over;
pub use commit::{CommitPlan, CommitResult};
pub(crate) use elsewhere::Homes;
use elsewhere::LogsElsewhere;
pub use error::VaultError;
pub use freshness::Freshness;
pub(crate) use guest::put_log;
pub(crate) use member::Member;
pub(crate) use past::PastRoot;
pub use past::{HeadSummary, Held};
pub use turn::Parted;
pub(crate) use turn::Shown;
pub use upkeep::Upkeep;
use view::View;
pub use view::{RootError, UnreadableRoot};
pub(crate) use view::{empty_root, replay_account};

use crate::platform::Randomness;
use crate::remote::Remote;
use crate::state::{self, Advanced, Progress, State, StateError};

/// A vault as this device has verified it.
///
/// What it shows changes only with [`Vault::refresh`] and [`Vault::commit`].
pub struct Vault {
    member: Arc<Member>,
    id: VaultId,
    name: Option<String>,
    view: View,
    /// What of a vault that is on trial is to be stored once it has passed.
    trial: Option<Progress>,
    /// What members' homes have shown.
    elsewhere: LogsElsewhere,
    /// Alive while a lock that [`Vault::lock`] gave out is.
    lock: Weak<state::VaultLock>,
}

/// The right to write to a vault; ends when it is dropped, or with its process
/// however that dies.
#[derive(Debug)]
pub struct VaultLock(#[expect(dead_code, reason = "held, not used")] Arc<state::VaultLock>);

impl Vault {
    /// Opens a vault as this device last saw it; one that it has never seen is
    /// fetched and verified first.
    pub(crate) fn open(
        member: Arc<Member>,
        id: VaultId,
        name: Option<String>,
    ) -> Result<Self, VaultError> {
        let view = match View::load(&member, &id)? {
            Some(view) => view,
            None => fetch::refreshed(&member, &id, None)?,
        };
        Ok(Self::showing(member, id, name, view, None))
    }

    /// Opens a vault that somebody else has told of. One that this device has never
    /// seen is on trial: it is fetched and verified, and nothing of it is stored
    /// before [`Vault::keep`], so that what the other has seen of it can be compared
    /// first.
    pub(crate) fn open_on_trial(
        member: Arc<Member>,
        id: VaultId,
        name: Option<String>,
    ) -> Result<Self, VaultError> {
        let (view, trial) = match View::load(&member, &id)? {
            Some(view) => (view, None),
            None => {
                // The vault's hoster may have the log as it was when the vault was
                // offered, and not know this device.
                let refused = member.bring_own_log_first()?;
                let (view, progress) = fetch::on_trial(&member, &id)
                    .map_err(|error| guest::explain(error, refused))?;
                (view, Some(progress))
            }
        };
        Ok(Self::showing(member, id, name, view, trial))
    }

    fn showing(
        member: Arc<Member>,
        id: VaultId,
        name: Option<String>,
        view: View,
        trial: Option<Progress>,
    ) -> Self {
        Self {
            member,
            id,
            name,
            view,
            trial,
            elsewhere: LogsElsewhere::default(),
            lock: Weak::new(),
        }
    }

    /// Whether nothing of it is stored yet.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Stores what was on trial.
    pub(crate) fn keep(&mut self) -> Result<(), VaultError> {
        let Some(progress) = self.trial.take() else {
            return Ok(());
        };
        match self.member.state.advance(&progress)? {
            Advanced::Done => Ok(()),
            // Another process has met the vault, and may have been shown another one.
            Advanced::Stale => Err(VaultError::Overtaken),
            Advanced::Contradiction => Err(VaultError::LogFork),
        }
    }

    /// The vault's id.
    #[must_use]
    pub fn id(&self) -> VaultId {
        self.id
    }

    /// What the account calls it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Where the vault stands; `None` while nothing was committed to it.
    #[must_use]
    pub fn head(&self) -> Option<HeadPosition> {
        self.view.seen.position()
    }

    /// The state that the head signs for; an empty one while there is none.
    ///
    /// # Errors
    /// [`VaultError::Unreadable`], or [`VaultError::VaultKeys`] where it is the keys
    /// that are closed: another member has written noise.
    pub fn root(&self) -> Result<&Root, VaultError> {
        self.view.root()
    }

    /// The keys of all epochs.
    ///
    /// # Errors
    /// [`VaultError::VaultKeys`] where no epoch opens: another member has written
    /// noise.
    pub fn keys(&self) -> Result<Arc<VaultKeys>, VaultError> {
        Ok(self.view.keys()?.clone())
    }

    /// The members, their roles and the epochs.
    #[must_use]
    pub fn log(&self) -> &VaultLog {
        &self.view.vault_log
    }

    /// The log of the account that this handle writes for.
    pub(crate) fn own_log(&self) -> &AccountLog {
        let known = "a view is opened with the secrets of this log";
        self.view.accounts.get(&self.member.account).expect(known)
    }

    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// The hoster.
    #[must_use]
    pub fn remote(&self) -> Arc<dyn Remote> {
        self.member.remote.clone()
    }

    /// The device's state.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.member.state.clone()
    }

    /// Where this device may keep what belongs to the vault; made when it is
    /// not there.
    ///
    /// # Errors
    /// [`StateError::File`].
    pub fn directory(&self) -> Result<PathBuf, StateError> {
        self.member.state.home().vault_directory(&self.id)
    }

    /// The account that this handle writes for.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.member.account
    }

    /// The device that this handle signs with.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        self.member.device.id()
    }

    /// The keys of that device.
    pub(crate) fn device_keys(&self) -> &DeviceKeys {
        &self.member.device
    }

    /// What its owner calls it, as of the account's log here.
    #[must_use]
    pub fn device_name(&self) -> String {
        self.member.device_name_in(Some(self.own_log()))
    }

    /// What it was called when it came into the account; another name does not change
    /// that.
    #[must_use]
    pub fn first_device_name(&self) -> &str {
        &self.member.first_device_name
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.member.now()
    }

    /// Random bytes.
    #[must_use]
    pub fn random<const N: usize>(&self) -> [u8; N] {
        self.member.rng().array()
    }

    /// Where random bytes come from.
    #[must_use]
    pub fn randomness(&self) -> Arc<dyn Randomness> {
        self.member.randomness.clone()
    }

    /// Keeps other processes, and other handles of this one, from writing to
    /// the vault.
    ///
    /// # Errors
    /// [`StateError::VaultBusy`] when somebody else does.
    pub fn lock(&mut self) -> Result<VaultLock, VaultError> {
        let lock = Arc::new(self.member.state.home().lock_vault(&self.id)?);
        self.lock = Arc::downgrade(&lock);
        Ok(VaultLock(lock))
    }

    /// Fetches what is new, and verifies it. Under the [lock](Self::lock) it
    /// also sends again what this device has signed and not seen accepted.
    ///
    /// # Errors
    /// [`VaultError`]. Without the lock nothing has changed then; under it, what is
    /// new may have been taken in, and some of what was signed may stand by now.
    pub fn refresh(&mut self) -> Result<(), VaultError> {
        self.fetch()?;
        if self.lock.strong_count() > 0 {
            self.settle()?;
        }
        Ok(())
    }

    /// Sends again what was signed and not seen accepted.
    fn settle(&mut self) -> Result<(), VaultError> {
        self.settle_commit()?;
        self.settle_entry()
    }

    fn fetch(&mut self) -> Result<(), VaultError> {
        if self.trial.is_some() {
            let (view, progress) = fetch::on_trial(&self.member, &self.id)?;
            (self.view, self.trial) = (view, Some(progress));
            return Ok(());
        }
        self.view = fetch::refreshed(&self.member, &self.id, Some(&self.view))?;
        Ok(())
    }

    /// The lock that the caller holds already, or one for the length of a call.
    fn held(&mut self) -> Result<VaultLock, VaultError> {
        match self.lock.upgrade() {
            Some(lock) => Ok(VaultLock(lock)),
            None => self.lock(),
        }
    }
}
