//! Vaults as such.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Makes a vault
    Create(VaultCreate),
    /// Lists the vaults
    List(VaultList),
    /// Lists who is in a vault
    Members(NamedVault),
    /// Gives a vault another name, for this account
    Rename(VaultRename),
    /// Deletes a vault, or leaves one that others shared
    Delete(VaultDelete),
    /// Brings vaults forward again after their hoster restored an old backup
    Reconcile(VaultReconcile),
    /// Lists the heads of a vault, or of the account itself, and what it held at each
    Heads(VaultHeads),
    /// Brings back what a vault, or the account itself, held at an earlier head, after a
    /// member or a stolen device has spoiled it
    Repair(VaultRepair),
    /// Brings a deleted vault back, while the hoster keeps what was in it
    Undelete(VaultUndelete),
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
            Self::List(_) => "vault-list",
            Self::Members(_) => "vault-members",
            Self::Rename(_) => "vault-rename",
            Self::Delete(_) => "vault-delete",
            Self::Reconcile(_) => "vault-reconcile",
            Self::Heads(_) => "vault-heads",
            Self::Repair(_) => "vault-repair",
            Self::Undelete(_) => "vault-undelete",
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

#[derive(Debug, Args)]
pub(crate) struct VaultList {
    /// Those that were deleted instead, which `coffre vault undelete` may bring back
    #[arg(long)]
    pub(crate) deleted: bool,
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
pub(crate) struct VaultHeads {
    /// The vault, by its name or id; without it, the account itself
    #[arg(value_name = "NAME")]
    pub(crate) vault: Option<String>,
    /// How many, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,
    /// From this number down
    #[arg(long, value_name = "HEAD")]
    pub(crate) from: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct VaultRepair {
    /// The vault, by its name or id; without it, the account itself
    #[arg(value_name = "NAME")]
    pub(crate) vault: Option<String>,
    /// Which head, as `coffre vault heads` numbers them; without it the newest that leads
    /// to something and can be read
    #[arg(long, value_name = "HEAD")]
    pub(crate) head: Option<u64>,
    /// Also where another device may be able to read what this one cannot: it says that it
    /// needs a newer coffre, its keys are closed to this device, or the hoster has lost
    /// some of it. What cannot be read is left out
    #[arg(long)]
    pub(crate) leave_out: bool,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VaultUndelete {
    /// The vault, by the name that it had, or its id
    #[arg(value_name = "NAME")]
    pub(crate) vault: String,
    /// What it held at this head, as `coffre vault heads` numbers them; without it, before
    /// it was deleted
    #[arg(long, value_name = "HEAD")]
    pub(crate) head: Option<u64>,
    /// As of `coffre vault repair`
    #[arg(long)]
    pub(crate) leave_out: bool,
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
