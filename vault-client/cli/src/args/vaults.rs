//! Vaults as such.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Makes a vault
    Create(VaultCreate),
    /// Lists the vaults
    List,
    /// Lists who is in a vault
    Members(NamedVault),
    /// Gives a vault another name, for this account
    Rename(VaultRename),
    /// Deletes a vault, or leaves one that others shared
    Delete(VaultDelete),
    /// Brings vaults forward again after their hoster restored an old backup
    Reconcile(VaultReconcile),
    /// Prints where a vault, or the account itself, stands; to be kept or compared
    Head(VaultHead),
    /// Compares a vault, or the account itself, with what `vault head` printed, here or
    /// elsewhere
    Confirm(VaultConfirm),
}

impl VaultCommand {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "vault-create",
            Self::List => "vault-list",
            Self::Members(_) => "vault-members",
            Self::Rename(_) => "vault-rename",
            Self::Delete(_) => "vault-delete",
            Self::Reconcile(_) => "vault-reconcile",
            Self::Head(_) => "vault-head",
            Self::Confirm(_) => "vault-confirm",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct VaultCreate {
    /// What to call it; the hoster does not learn the name
    pub(crate) name: String,
}

/// A vault that has to be named.
#[derive(Debug, Args)]
pub(crate) struct NamedVault {
    /// The vault, by its name or id
    #[arg(value_name = "NAME")]
    pub(crate) vault: String,
}

#[derive(Debug, Args)]
pub(crate) struct VaultRename {
    /// The vault, by its name or id
    #[arg(value_name = "NAME")]
    pub(crate) vault: String,
    /// What to call it from now on
    #[arg(value_name = "NEW-NAME")]
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct VaultDelete {
    /// The vault, by its name or id
    #[arg(value_name = "NAME")]
    pub(crate) vault: String,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VaultReconcile {
    /// The vault, by its name or id; without it, all of them. The account itself comes
    /// first either way: its devices, and which vaults there are
    #[arg(value_name = "NAME")]
    pub(crate) vault: Option<String>,
    /// Also where a device has saved to the old backup that was restored, so that the
    /// hoster has another history than this device: keeps what both lead to
    #[arg(long)]
    pub(crate) join: bool,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VaultHead {
    /// The vault, by its name or id; without it, the account itself: its devices, and
    /// which vaults there are
    #[arg(value_name = "NAME")]
    pub(crate) vault: Option<String>,
}

#[derive(Debug, Args)]
#[command(allow_missing_positional = true)]
pub(crate) struct VaultConfirm {
    /// The vault, by its name or id; without it, the account itself
    #[arg(value_name = "NAME")]
    pub(crate) vault: Option<String>,
    /// What `coffre vault head` printed, with the same NAME or without one
    #[arg(value_name = "HEAD")]
    pub(crate) head: String,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::VaultCommand;
    use crate::args::{Cli, Command};

    #[test]
    fn a_head_is_of_a_vault_or_of_the_account() {
        let parsed = |words: &[&str]| {
            let words = ["coffre", "vault", "confirm"].iter().chain(words);
            let command = Cli::try_parse_from(words).ok()?.command;
            let Command::Vault(VaultCommand::Confirm(confirm)) = command else {
                panic!("another command")
            };
            Some((confirm.vault, confirm.head))
        };
        let of_vault = (Some("papers".to_owned()), "7-abcd".to_owned());
        assert_eq!(parsed(&["papers", "7-abcd"]), Some(of_vault));
        assert_eq!(parsed(&["7-abcd"]), Some((None, "7-abcd".to_owned())));
        assert_eq!(parsed(&[]), None);
    }
}
