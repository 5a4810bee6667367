//! The hoster's own commands, over a Unix socket in the data directory.
//!
//! Who may open the socket owns the data directory anyway, so nobody logs in.

mod client;
mod find;
mod inspect;
mod invitations;
mod socket;

use std::{sync::Arc, time::Instant};

use tonic::{Request, Response, Status};
use vault_proto::{account_log::AccountLog, invitation::TlsTrust};
use vault_rpc::admin::{
    self as rpc, InspectMemberRequest, InspectMemberResponse, InviteRequest, InviteResponse,
    ListInvitationsRequest, ListInvitationsResponse, ListMembersRequest, ListMembersResponse,
    Member, RevokeInvitationRequest, RevokeInvitationResponse, SetQuotaRequest, SetQuotaResponse,
    StatsRequest, StatsResponse,
};

pub use client::{ClientError, connect};
pub(crate) use socket::{Socket, listen};

use crate::{
    service::Hoster,
    store::{Account, Standing},
};

/// How many accounts are read at a time.
const PAGE: usize = 256;

/// The admin service.
pub(crate) struct Admin {
    pub(crate) hoster: Arc<Hoster>,
    pub(crate) trust: TlsTrust,
    pub(crate) started: Instant,
}

impl Admin {
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Hoster) -> Result<T, Status> + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let hoster = Arc::clone(&self.hoster);
        let done = tokio::task::spawn_blocking(move || work(&hoster)).await;
        done.map_err(|error| Status::internal(error.to_string()))?
            .map(Response::new)
    }
}

#[tonic::async_trait]
impl rpc::admin_server::Admin for Admin {
    async fn invite(
        &self,
        request: Request<InviteRequest>,
    ) -> Result<Response<InviteResponse>, Status> {
        let (request, trust) = (request.into_inner(), self.trust);
        self.blocking(move |hoster| invitations::invite(hoster, trust, request))
            .await
    }

    async fn list_invitations(
        &self,
        _request: Request<ListInvitationsRequest>,
    ) -> Result<Response<ListInvitationsResponse>, Status> {
        self.blocking(invitations::list).await
    }

    async fn revoke_invitation(
        &self,
        request: Request<RevokeInvitationRequest>,
    ) -> Result<Response<RevokeInvitationResponse>, Status> {
        let wanted = request.into_inner().invitation;
        self.blocking(move |hoster| invitations::revoke(hoster, &wanted))
            .await
    }

    async fn list_members(
        &self,
        _request: Request<ListMembersRequest>,
    ) -> Result<Response<ListMembersResponse>, Status> {
        let list = |hoster: &Hoster| {
            let accounts = accounts(hoster)?;
            let members = accounts.iter().map(|account| member(hoster, account));
            Ok(ListMembersResponse {
                members: members.collect::<Result<_, _>>()?,
            })
        };
        self.blocking(list).await
    }

    async fn set_quota(
        &self,
        request: Request<SetQuotaRequest>,
    ) -> Result<Response<SetQuotaResponse>, Status> {
        let request = request.into_inner();
        self.blocking(move |hoster| set_quota(hoster, &request))
            .await
    }

    async fn inspect_member(
        &self,
        request: Request<InspectMemberRequest>,
    ) -> Result<Response<InspectMemberResponse>, Status> {
        let wanted = request.into_inner().member;
        self.blocking(move |hoster| inspect::inspect(hoster, &wanted))
            .await
    }

    async fn stats(
        &self,
        _request: Request<StatsRequest>,
    ) -> Result<Response<StatsResponse>, Status> {
        let uptime_seconds = self.started.elapsed().as_secs();
        self.blocking(move |hoster| {
            let stats = hoster.ledger.stats(hoster.clock.now()).map_err(broken)?;
            let room = hoster.packs.room().map_err(broken)?;
            Ok(StatsResponse {
                members: stats.accounts,
                vaults: stats.vaults,
                packs: stats.packs,
                committed_bytes: stats.usage.committed_bytes,
                unclaimed_bytes: stats.usage.unclaimed_bytes,
                trash_bytes: stats.usage.trash_bytes,
                disk_free_bytes: room.free_bytes,
                disk_total_bytes: room.total_bytes,
                open_invitations: stats.open_invitations,
                uptime_seconds,
                version: env!("CARGO_PKG_VERSION").into(),
                hoster_id: hoster.key.id().to_string(),
                guests: stats.guests,
            })
        })
        .await
    }
}

fn set_quota(hoster: &Hoster, request: &SetQuotaRequest) -> Result<SetQuotaResponse, Status> {
    let all = accounts(hoster)?;
    let account = find::find_member(&all, &request.member)?;
    if account.standing.is_guest() {
        return Err(Status::failed_precondition(
            "a guest stores nothing of its own here: who made a vault pays for what is in it",
        ));
    }
    let gone = || Status::internal("an account is gone");
    let set = hoster.ledger.set_quota(&account.id, request.quota_bytes);
    let old_quota_bytes = set.map_err(broken)?.ok_or_else(gone)?;
    let changed = hoster.ledger.account(&account.id).map_err(broken)?;
    Ok(SetQuotaResponse {
        member: Some(member(hoster, &changed.ok_or_else(gone)?)?),
        old_quota_bytes,
    })
}

/// All accounts, ordered by id.
fn accounts(hoster: &Hoster) -> Result<Vec<Account>, Status> {
    let mut accounts: Vec<Account> = Vec::new();
    loop {
        let last = accounts.last().map(|account| account.id);
        let page = hoster
            .ledger
            .accounts(last.as_ref(), PAGE)
            .map_err(broken)?;
        let full = page.len() == PAGE;
        accounts.extend(page);
        if !full {
            return Ok(accounts);
        }
    }
}

fn member(hoster: &Hoster, account: &Account) -> Result<Member, Status> {
    let log = account_log(hoster, account)?;
    let vaults = hoster.ledger.vaults_of(&account.id).map_err(broken)?;
    let devices = log.active_devices_at(log.position().seq).count();
    let now = hoster.clock.now();
    let offers = hoster.ledger.offers(&account.id, now).map_err(broken)?;
    Ok(Member {
        account: account.id.to_vec(),
        label: account.label.clone(),
        joined: account.joined.seconds(),
        quota_bytes: account.quota_bytes,
        committed_bytes: account.usage.committed_bytes,
        unclaimed_bytes: account.usage.unclaimed_bytes,
        trash_bytes: account.usage.trash_bytes,
        vaults: u32::try_from(vaults.len()).unwrap_or(u32::MAX),
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        brought_by: match account.standing {
            Standing::Member => Vec::new(),
            Standing::Guest { brought_by } => brought_by.to_vec(),
        },
        guests: account.guests,
        record_bytes: account.record_bytes,
        record_limit_bytes: hoster.ledger.record_limit(account),
        offers: u32::try_from(offers.len()).unwrap_or(u32::MAX),
    })
}

fn account_log(hoster: &Hoster, account: &Account) -> Result<Arc<AccountLog>, Status> {
    let log = hoster.logs.account(&account.id)?;
    log.ok_or_else(|| Status::internal("an account without a log"))
}

/// The hoster's own commands are told what is wrong.
fn broken(error: impl std::error::Error) -> Status {
    Status::internal(error.to_string())
}
