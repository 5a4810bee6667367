//! What every command begins with: where the state is, whose account, which
//! vault.

use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::HEXLOWER_PERMISSIVE;
use etcetera::BaseStrategy;
use serde::Serialize;
use vault_client::account::{Account, AccountError, Setup, VaultSelector};
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::remote::grpc::{GrpcConnect, Pace, Retry, Runtime};
use vault_client::vault::Vault;
use vault_proto::ids::{AccountId, VaultId};

use crate::args::{Global, ProgressMode, WhichVault};
use crate::failure::Failure;
use crate::language::{Words, words};
use crate::output::Output;
use crate::progress::Showing;
use crate::show;

const THREADS: Words = words("threads", "fils d’exécution");

/// What every command is given.
pub(crate) struct Context {
    pub(crate) output: Output,
    command: &'static str,
    home: Option<PathBuf>,
    progress: ProgressMode,
}

impl Context {
    pub(crate) fn new(global: Global, command: &'static str, output: Output) -> Self {
        Self {
            output,
            command,
            home: global.home,
            progress: global.progress,
        }
    }

    /// Shows progress until it is dropped; `verb` is what happens to packs.
    pub(crate) fn progress(&self, verb: Words) -> Showing {
        Showing::start(self.progress, self.output.is_quiet(), self.command, verb)
    }

    /// The directory that holds this device's state.
    pub(crate) fn home(&self) -> Result<PathBuf, Failure> {
        if let Some(home) = &self.home {
            return Ok(home.clone());
        }
        let strategy = etcetera::base_strategy::Xdg::new().map_err(|error| {
            Failure::of(ErrorCode::LocalState, &error).with_hint(words(
                "say where to keep state: --home DIR or COFFRE_HOME",
                "dites où garder l’état : --home DIR ou COFFRE_HOME",
            ))
        })?;
        let state = strategy.state_dir().unwrap_or_else(|| strategy.data_dir());
        Ok(state.join("coffre"))
    }

    /// What an account runs on.
    pub(crate) fn setup(&self) -> Result<Setup, Failure> {
        Setup::new(&self.home()?).map_err(|error| Failure::io(THREADS, &error))
    }

    /// The account on this device.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        Ok(Session {
            account: Account::open(&self.setup()?)?,
        })
    }

    /// Likewise, for what can do without an answer: each hoster is tried once.
    pub(crate) fn impatient_session(&self) -> Result<Session, Failure> {
        let mut setup = self.setup()?;
        let runtime = Runtime::new().map_err(|error| Failure::io(THREADS, &error))?;
        let once = Retry {
            attempts: 1,
            ..Retry::default()
        };
        let connect = GrpcConnect::new(setup.clock.clone(), setup.randomness.clone(), runtime);
        setup.connect = Arc::new(connect.with_patience(Pace::default(), once));
        Ok(Session {
            account: Account::open(&setup)?,
        })
    }
}

/// An account, opened.
pub(crate) struct Session {
    pub(crate) account: Account,
}

/// A vault in a document.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct VaultFields {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
}

impl VaultFields {
    pub(crate) fn of(vault: &Vault) -> Self {
        Self {
            id: vault.id().to_string(),
            name: vault.name().map(str::to_owned),
        }
    }

    /// Of the account's own vault.
    pub(crate) fn of_account(account: &Account) -> Self {
        Self {
            id: account.own_vault().to_string(),
            name: None,
        }
    }

    /// The name, or the id of a vault without one.
    pub(crate) fn shown_name(&self) -> String {
        match &self.name {
            Some(name) => show::printable(name),
            None => self.id.clone(),
        }
    }
}

impl Session {
    /// Opens the vault that was asked for, or the only one.
    pub(crate) fn vault(&self, which: &WhichVault) -> Result<Vault, Failure> {
        match &which.vault {
            Some(name) => self.vault_named(name),
            None => Ok(self.account.open_vault(&VaultSelector::Only)?),
        }
    }

    /// Likewise, to save something there: a vault that somebody else shares has to be
    /// named.
    pub(crate) fn vault_to_save_in(&self, which: &WhichVault) -> Result<Vault, Failure> {
        match &which.vault {
            Some(name) => self.vault_named(name),
            None => Ok(self.account.open_vault(&VaultSelector::OnlyOwn)?),
        }
    }

    /// Opens the vault of that name or id.
    pub(crate) fn vault_named(&self, name: &str) -> Result<Vault, Failure> {
        // An id first: one that this device knows is found without the hoster.
        if let Some(id) = parse_id(name) {
            match self.account.open_vault(&VaultSelector::Id(id)) {
                Err(AccountError::NoSuchVault) => {}
                found => return Ok(found?),
            }
        }
        Ok(self
            .account
            .open_vault(&VaultSelector::Name(name.to_owned()))?)
    }

    /// Likewise one that was deleted, where there is no other of that name.
    pub(crate) fn vault_or_deleted(&self, name: &str) -> Result<Vault, Failure> {
        match self.vault_named(name) {
            Err(failure) if failure.code() == Some(ErrorCode::NoVault) => {
                match self.account.open_deleted_vault(name) {
                    Err(AccountError::NoSuchVault | AccountError::NotDeleted) => Err(failure),
                    deleted => Ok(deleted?),
                }
            }
            found => found,
        }
    }

    /// What a member is called here: by a contact's name, or else by the beginning of his
    /// account's id.
    pub(crate) fn name_of(&self, account: &AccountId) -> Result<String, Failure> {
        let contacts = self.account.contacts()?.into_iter();
        let mut named = contacts.filter(|contact| contact.address.account() == *account);
        Ok(match named.next() {
            Some(contact) => show::printable(contact.address.name()),
            None => account.to_string()[..8].to_owned(),
        })
    }

    /// Opens a vault, brings it up to date, and reads its catalog.
    pub(crate) fn contents(&self, which: &WhichVault) -> Result<(Vault, Contents), Failure> {
        let mut vault = self.vault(which)?;
        vault.refresh()?;
        let contents = Contents::open(&vault)?;
        Ok((vault, contents))
    }
}

fn parse_id(text: &str) -> Option<VaultId> {
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
    VaultId::from_slice(&bytes).ok()
}
