//! `coffre-server`: the hoster's program. `run` serves; the other commands ask
//! the server that runs on the same data directory.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a program"
)]

mod ask;
mod exit;
mod generate;
mod quantity;
mod report;
mod run;
mod time;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use vault_proto::origin::Origin;

use self::{
    quantity::{Lifetime, Quota},
    run::Filter,
};

/// Hosts encrypted vaults that it cannot read.
#[derive(Debug, Parser)]
#[command(name = "coffre-server", version, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until it gets SIGTERM or SIGINT.
    ///
    /// The files of --tls-cert and --tls-key are read again every ten minutes
    /// and at a SIGHUP; connections go on meanwhile.
    Run(RunOptions),
    /// Invites a member: prints one coffre:// URL, alone, on standard output.
    ///
    /// The URL is worth an account; send it as you would a key.
    Invite(InviteOptions),
    /// Invitations that nobody has used yet.
    #[command(subcommand)]
    Invitation(InvitationCommand),
    /// Members.
    #[command(subcommand)]
    Member(MemberCommand),
    /// Shows what the data directory holds about a member.
    ///
    /// With --json all of it, but for sealed bytes, hashes of secrets, and lists that
    /// are cut: beside those stands how long they are.
    Inspect(InspectOptions),
    /// Counts members, vaults, packs and bytes.
    Stats(AskOptions),
    /// Prints a completion script for a shell.
    Completions(CompletionsOptions),
    /// Writes the manual pages.
    Man(ManOptions),
}

#[derive(Debug, Args)]
struct CompletionsOptions {
    /// Which shell.
    shell: Shell,
}

#[derive(Debug, Args)]
struct ManOptions {
    /// The directory to write into; made if it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

#[derive(Debug, Args)]
struct RunOptions {
    /// The data directory; made at the first start.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where to listen. Port 0 picks a free one, which DIR/address then names.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Where members dial, as invitations name it; needed when listening on
    /// every address. Given again, further addresses at which logins are taken.
    #[arg(long, value_name = "HOST:PORT")]
    public_address: Vec<Origin>,
    /// A certificate chain of a public authority, in PEM. Without one, the
    /// server makes its own key, and invitations pin it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Serves plain HTTP/2, on a loopback address only, to a reverse proxy on
    /// this machine that ends TLS and says in the header X-Real-IP who calls.
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"])]
    insecure_behind_proxy: bool,
    /// What to log, as `tracing` filters it: a level, or `target=level` pairs.
    #[arg(
        long,
        value_name = "FILTER",
        env = "COFFRE_LOG",
        default_value = "info"
    )]
    log: Filter,
    /// Whatever it is, nothing that is logged has colours (no-color.org).
    #[arg(long, hide = true, env = "NO_COLOR", default_value = "")]
    no_color: OsString,
}

#[derive(Debug, Args)]
struct InviteOptions {
    /// The data directory of the running server.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// How much the member may store: GB is 10^9 bytes, GiB 2^30.
    #[arg(long, value_name = "SIZE", default_value = "5GB")]
    quota: Quota,
    /// What to recognise the member by; no one else sees it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    label: String,
    /// How long the invitation is good for: a number and s, m, h, d or w.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires: Lifetime,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// Lists the members.
    List(AskOptions),
    /// Changes how much a member may store, at once.
    ///
    /// Less than is stored already is allowed: nothing is deleted, and nothing more can be
    /// uploaded. Uploads under way that do not fit any more are refused.
    Quota(QuotaOptions),
}

#[derive(Debug, Subcommand)]
enum InvitationCommand {
    /// Lists the invitations that can still be used, without what makes them worth an
    /// account.
    List(AskOptions),
    /// Revokes an invitation: nobody becomes a member with it any more.
    Revoke(RevokeOptions),
}

#[derive(Debug, Args)]
struct QuotaOptions {
    /// The member's label, or the first digits of the account id.
    member: String,
    /// How much the member may store: GB is 10^9 bytes, GiB 2^30.
    #[arg(value_name = "SIZE")]
    quota: Quota,
    #[command(flatten)]
    ask: AskOptions,
}

#[derive(Debug, Args)]
struct RevokeOptions {
    /// The invitation's label, or the first digits of its id.
    #[arg(value_name = "ID|LABEL")]
    invitation: String,
    #[command(flatten)]
    ask: AskOptions,
}

#[derive(Debug, Args)]
struct InspectOptions {
    /// The member's label, or the first digits of the account id.
    member: String,
    #[command(flatten)]
    ask: AskOptions,
}

#[derive(Debug, Args)]
struct AskOptions {
    /// The data directory of the running server.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Clone, Copy, Args)]
struct Output {
    /// Prints one JSON document instead, errors too.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match cli.command {
        Command::Run(options) => run::run(options),
        Command::Completions(options) => generate::completions(&options),
        Command::Man(options) => generate::man(&options),
        command => ask::ask(command),
    }
}

/// What clap has to say: help, a version, or why the arguments make no sense.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Whoever closed the pipe has seen enough.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let mut arguments = std::env::args_os().skip(1);
    let text = error.to_string();
    let message = text.strip_prefix("error: ").unwrap_or(&text);
    match arguments.any(|argument| argument == "--json") {
        true => ask::print_error("usage", message.trim_end()),
        // Standard error may be closed; the code says it, too.
        false => drop(error.print()),
    }
    ExitCode::from(exit::USAGE)
}
