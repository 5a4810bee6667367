//! The calls without streams, and the stream of news.

use std::ops::ControlFlow;

use tokio::time::timeout;
use vault_proto::ids::{LinkId, OfferHash, PackId, VaultId};
use vault_proto::invitation::InvitationSecret;
use vault_proto::wire::{SignedEntry, VaultKind};
use vault_rpc::hoster::{
    AppendAccountEntryRequest, AppendVaultEntryRequest, CreateAccountRequest, CreateVaultRequest,
    DropOfferRequest, HavePacksRequest, ListLinksRequest, ListOffersRequest, ListVaultsRequest,
    RevokeLinkRequest, UsageRequest, WatchHeadsRequest,
};

use super::session::Caller;
use super::{GrpcRemote, convert};
use crate::remote::{
    CommitOutcome, CommitRequest, HeadNews, LinkStatus, MAX_PACKS_PER_CALL, NewLink, Presence,
    RemoteError, SyncAnswer, SyncRequest, Usage,
};

impl GrpcRemote {
    pub(super) async fn do_create_account(
        &self,
        invitation: &InvitationSecret,
        genesis: &SignedEntry,
    ) -> Result<u64, RemoteError> {
        let request = CreateAccountRequest {
            invitation: invitation.as_bytes().to_vec(),
            genesis: Some(genesis.clone()),
        };
        let answer = self
            .line
            .unary(Caller::Anybody, &request, async |mut client, request| {
                client.create_account(request).await
            })
            .await?;
        Ok(answer.quota_bytes)
    }

    pub(super) async fn do_append_account_entry(
        &self,
        entry: &SignedEntry,
    ) -> Result<(), RemoteError> {
        let request = AppendAccountEntryRequest {
            entry: Some(entry.clone()),
        };
        self.unary(&request, async |mut client, request| {
            client.append_account_entry(request).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn do_create_vault(&self, genesis: &SignedEntry) -> Result<(), RemoteError> {
        let request = CreateVaultRequest {
            genesis: Some(genesis.clone()),
        };
        self.unary(&request, async |mut client, request| {
            client.create_vault(request).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn do_append_vault_entry(
        &self,
        vault: &VaultId,
        entry: &SignedEntry,
    ) -> Result<(), RemoteError> {
        let request = AppendVaultEntryRequest {
            vault: vault.to_vec(),
            entry: Some(entry.clone()),
        };
        self.unary(&request, async |mut client, request| {
            client.append_vault_entry(request).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn do_list_vaults(&self) -> Result<Vec<(VaultId, VaultKind)>, RemoteError> {
        let request = ListVaultsRequest {};
        let answer = self
            .unary(&request, async |mut client, request| {
                client.list_vaults(request).await
            })
            .await?;
        convert::vaults(&answer)
    }

    pub(super) async fn do_sync_vault(
        &self,
        request: &SyncRequest,
    ) -> Result<SyncAnswer, RemoteError> {
        let request = convert::sync_request(request);
        let answer = self
            .unary(&request, async |mut client, request| {
                client.sync_vault(request).await
            })
            .await?;
        convert::sync_answer(answer)
    }

    pub(super) async fn do_have_packs(
        &self,
        vault: &VaultId,
        packs: &[PackId],
    ) -> Result<Vec<Presence>, RemoteError> {
        let mut there = Vec::with_capacity(packs.len());
        for some in packs.chunks(MAX_PACKS_PER_CALL) {
            let request = HavePacksRequest {
                vault: vault.to_vec(),
                packs: convert::concat(some),
            };
            let answer = self
                .unary(&request, async |mut client, request| {
                    client.have_packs(request).await
                })
                .await?;
            there.extend(convert::there(&answer.there, some.len())?);
        }
        Ok(there)
    }

    pub(super) async fn do_commit_head(
        &self,
        request: &CommitRequest,
    ) -> Result<CommitOutcome, RemoteError> {
        let message = convert::commit_request(request);
        let answer = self
            .unary(&message, async |mut client, request| {
                client.commit_head(request).await
            })
            .await?;
        convert::commit_outcome(answer, request)
    }

    pub(super) async fn do_usage(&self) -> Result<Usage, RemoteError> {
        let request = UsageRequest {};
        let answer = self
            .unary(&request, async |mut client, request| {
                client.usage(request).await
            })
            .await?;
        Ok(convert::usage(&answer))
    }

    pub(super) async fn do_list_offers(&self) -> Result<Vec<Vec<u8>>, RemoteError> {
        let request = ListOffersRequest {};
        let answer = self
            .unary(&request, async |mut client, request| {
                client.list_offers(request).await
            })
            .await?;
        convert::offers(answer)
    }

    pub(super) async fn do_drop_offer(&self, offer: &OfferHash) -> Result<(), RemoteError> {
        let request = DropOfferRequest {
            hash: offer.to_vec(),
        };
        self.unary(&request, async |mut client, request| {
            client.drop_offer(request).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn do_create_link(&self, link: &NewLink) -> Result<(), RemoteError> {
        let request = convert::new_link(link);
        self.unary(&request, async |mut client, request| {
            client.create_link(request).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn do_list_links(
        &self,
        vault: &VaultId,
    ) -> Result<Vec<LinkStatus>, RemoteError> {
        let request = ListLinksRequest {
            vault: vault.to_vec(),
        };
        let answer = self
            .unary(&request, async |mut client, request| {
                client.list_links(request).await
            })
            .await?;
        convert::links(&answer)
    }

    pub(super) async fn do_revoke_link(
        &self,
        vault: &VaultId,
        link: &LinkId,
    ) -> Result<(), RemoteError> {
        let request = RevokeLinkRequest {
            vault: vault.to_vec(),
            link: link.to_vec(),
        };
        self.unary(&request, async |mut client, request| {
            client.revoke_link(request).await
        })
        .await?;
        Ok(())
    }

    pub(super) async fn do_watch_heads(
        &self,
        vaults: &[VaultId],
        deliver: &mut dyn FnMut(HeadNews) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let message = WatchHeadsRequest {
            vaults: vaults.iter().map(VaultId::to_vec).collect(),
        };
        let mut news = self
            .unary(&message, async |mut client, request| {
                client.watch_heads(request).await
            })
            .await?;
        loop {
            let message = timeout(self.line.shared.pace.silence, news.message())
                .await
                .map_err(|_| RemoteError::Stalled)?
                .map_err(convert::status_error)?;
            let Some(message) = message else {
                return Err(convert::unreachable("the stream of news ended"));
            };
            if let Some(news) = convert::head_news(&message)?
                && deliver(news).is_break()
            {
                return Ok(());
            }
        }
    }
}
