//! Vaults that several have, and who they are.

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Whoami {
    /// Changes the name in front of the address; it is no key, only a help
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Share {
    #[command(subcommand)]
    pub(crate) command: Option<ShareCommand>,
    #[command(flatten)]
    pub(crate) with: Option<ShareWith>,
}

impl Share {
    pub(super) fn name(&self) -> &'static str {
        match &self.command {
            None => "share",
            Some(ShareCommand::List) => "share-list",
            Some(ShareCommand::Accept(_)) => "share-accept",
            Some(ShareCommand::Decline(_)) => "share-decline",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ShareWith {
    /// The vault, by its name or id
    #[arg(value_name = "NAME")]
    pub(crate) vault: String,
    /// With whom: the address that `coffre whoami` shows them, or the name of a
    /// contact
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// What they may do; without it whoever is new is a reader, and whoever is in
    /// stays what they are
    #[arg(long, value_name = "ROLE")]
    pub(crate) role: Option<RoleArgument>,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArgument {
    /// Read everything, the past too
    Reader,
    /// And back up into it
    Writer,
    /// And say who is in it
    Manager,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShareCommand {
    /// Lists the vaults that others offer
    List,
    /// Takes up an offer
    Accept(ShareAccept),
    /// Declines an offer
    Decline(ShareDecline),
}

#[derive(Debug, Args)]
pub(crate) struct ShareAccept {
    /// The offer: the beginning of its id, or what its vault is called, or the
    /// coffre-offer: text itself, or - to read that from standard input; not needed
    /// while there is only one
    #[arg(value_name = "OFFER")]
    pub(crate) offer: Option<String>,
    /// What to call the vault here; without it, as whoever offers it calls it
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ShareDecline {
    /// The offer, by the beginning of its id or by what its vault is called; not needed
    /// while there is only one
    #[arg(value_name = "OFFER")]
    pub(crate) offer: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Unshare {
    /// The vault, by its name or id
    #[arg(value_name = "NAME")]
    pub(crate) vault: String,
    /// Who is out: an address, or the name of a contact
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// Does not ask, not even where the vault is theirs
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ContactCommand {
    /// Keeps an address, and the key it stands for
    Add(ContactAddress),
    /// Lists the contacts
    List,
    /// Forgets a contact
    ///
    /// It takes nothing away from them: `coffre unshare` does.
    Remove(ContactRemove),
    /// Shows a number that both can read aloud to each other
    Verify(ContactVerify),
}

impl ContactCommand {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Add(_) => "contact-add",
            Self::List => "contact-list",
            Self::Remove(_) => "contact-remove",
            Self::Verify(_) => "contact-verify",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ContactAddress {
    /// name@host:port#fingerprint, as `coffre whoami` shows it to its owner
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
}

#[derive(Debug, Args)]
pub(crate) struct ContactRemove {
    /// An address, or the name of a contact
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// Does not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ContactVerify {
    /// An address, or the name of a contact
    #[arg(value_name = "ADDRESS")]
    pub(crate) address: String,
    /// Notes that the numbers were the same, instead of asking
    #[arg(long)]
    pub(crate) same: bool,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::args::Cli;

    #[test]
    fn sharing_and_answering_share_a_name() {
        let parsed = |words: &[&str]| {
            let words = ["coffre", "share"].iter().chain(words);
            Cli::try_parse_from(words).map(|cli| cli.command.name())
        };
        assert_eq!(
            parsed(&["photos", "a@b:1#c", "--role", "writer"]).unwrap(),
            "share"
        );
        assert_eq!(parsed(&["accept"]).unwrap(), "share-accept");
        assert_eq!(
            parsed(&["accept", "1a2b", "--name", "x"]).unwrap(),
            "share-accept"
        );
        assert_eq!(parsed(&["list"]).unwrap(), "share-list");
        assert!(parsed(&[]).is_err());
        assert!(parsed(&["photos"]).is_err());
    }
}
