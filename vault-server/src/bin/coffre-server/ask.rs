//! The commands that ask a running server.

use std::{io::Write, path::PathBuf, process::ExitCode};

use serde_json::{Value, json};
use vault_rpc::admin::{
    InspectMemberRequest, InviteRequest, ListInvitationsRequest, ListMembersRequest,
    RevokeInvitationRequest, SetQuotaRequest, StatsRequest,
};
use vault_server::admin::{ClientError, connect};

use crate::{Command, InvitationCommand, MemberCommand, Output, exit, report};

/// What a command prints: for a person, or for a program.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) text: String,
    pub(crate) document: Value,
    /// On standard error, for whoever reads that.
    pub(crate) warnings: Vec<&'static str>,
}

struct Failure {
    code: &'static str,
    message: String,
    exit: u8,
}

pub(crate) fn ask(command: Command) -> ExitCode {
    let output = match &command {
        Command::Invite(options) => options.output,
        Command::Inspect(options) => options.ask.output,
        Command::Member(MemberCommand::Quota(options)) => options.ask.output,
        Command::Invitation(InvitationCommand::Revoke(options)) => options.ask.output,
        Command::Member(MemberCommand::List(options))
        | Command::Invitation(InvitationCommand::List(options))
        | Command::Stats(options) => options.output,
        Command::Run(_) | Command::Completions(_) | Command::Man(_) => Output { json: false },
    };
    match answer(command) {
        Ok(Report {
            text,
            document,
            warnings,
        }) => {
            for warning in warnings {
                eprintln!("coffre-server: WARNING: {warning}");
            }
            let text = if output.json {
                format!("{document:#}\n")
            } else {
                text
            };
            // Whoever closed the pipe has seen enough.
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(Failure {
            code,
            message,
            exit,
        }) => {
            match output.json {
                true => print_error(code, &message),
                false => eprintln!("coffre-server: {message}"),
            }
            ExitCode::from(exit)
        }
    }
}

/// An error as a document.
pub(crate) fn print_error(code: &str, message: &str) {
    let document = json!({
        "schema": "coffre-server.error/1", "code": code, "message": message,
    });
    // Whoever closed the pipe has seen enough; the exit code says it, too.
    let _ = writeln!(std::io::stdout(), "{document:#}");
}

fn answer(command: Command) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    runtime.block_on(async {
        match command {
            Command::Invite(options) => {
                let request = InviteRequest {
                    quota_bytes: options.quota.0,
                    label: options.label,
                    lifetime_seconds: options.expires.0,
                };
                let answer = client(options.data).await?.invite(request).await?;
                Ok(report::invitation(answer.into_inner()))
            }
            Command::Member(MemberCommand::List(options)) => {
                let mut client = client(options.data).await?;
                let answer = client.list_members(ListMembersRequest {}).await?;
                Ok(report::members(answer.into_inner()))
            }
            Command::Member(MemberCommand::Quota(options)) => {
                let request = SetQuotaRequest {
                    member: options.member,
                    quota_bytes: options.quota.0,
                };
                let mut client = client(options.ask.data).await?;
                let answer = client.set_quota(request).await?;
                Ok(report::quota(answer.into_inner()))
            }
            Command::Invitation(InvitationCommand::List(options)) => {
                let mut client = client(options.data).await?;
                let answer = client.list_invitations(ListInvitationsRequest {}).await?;
                Ok(report::invitations(answer.into_inner()))
            }
            Command::Invitation(InvitationCommand::Revoke(options)) => {
                let request = RevokeInvitationRequest {
                    invitation: options.invitation,
                };
                let mut client = client(options.ask.data).await?;
                let answer = client.revoke_invitation(request).await?;
                Ok(report::revoked(answer.into_inner()))
            }
            Command::Inspect(options) => {
                let request = InspectMemberRequest {
                    member: options.member,
                };
                let mut client = client(options.ask.data).await?;
                let answer = client.inspect_member(request).await?;
                Ok(report::member(answer.into_inner()))
            }
            Command::Stats(options) => {
                let mut client = client(options.data).await?;
                let answer = client.stats(StatsRequest {}).await?;
                Ok(report::stats(answer.into_inner()))
            }
            Command::Run(_) | Command::Completions(_) | Command::Man(_) => {
                Err(failed("this is no question to a server".into()))
            }
        }
    })
}

type Client = vault_rpc::admin::admin_client::AdminClient<tonic::transport::Channel>;

async fn client(data: PathBuf) -> Result<Client, Failure> {
    /// A member with a thousand vaults of a hundred heads.
    const MAX_ANSWER_BYTES: usize = 256 << 20;
    let client = connect(&data).await.map_err(|error| match error {
        ClientError::NotRunning => Failure {
            code: "not_running",
            message: format!(
                "{error}; start it with: coffre-server run --data {} --listen ADDR:PORT",
                data.display()
            ),
            exit: exit::NOT_RUNNING,
        },
        error => failed(error.to_string()),
    })?;
    Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
}

fn failed(message: String) -> Failure {
    Failure {
        code: "failed",
        message,
        exit: 1,
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        failed(status.message().to_owned())
    }
}
