//! The same device at a hoster that is not its home.

use tonic::Status;
use vault_proto::wire::SignedEntry;
use vault_rpc::hoster::{PutAccountLogRequest, hoster_client::HosterClient};

use super::Member;
use crate::support::TestServer;

impl Member {
    /// This device as it meets another hoster, not logged in.
    pub(crate) async fn at(&self, server: &TestServer) -> Self {
        // For the address and the pin that are in it.
        let invitation = server.invite(1).await;
        let dialled = server.dial(&invitation).await;
        Self {
            origin: invitation.origin,
            hoster: invitation.hoster,
            client: HosterClient::new(dialled.channel).max_decoding_message_size(8 << 20),
            exporter: dialled.exporter,
            token: Vec::new(),
            ..self.clone()
        }
    }

    /// Brings a log, from entry `from` on.
    pub(crate) async fn bring(&self, other: &Self, from: usize) -> Result<u64, Status> {
        self.bring_entries(other, &other.log.entries()[from - 1..])
            .await
    }

    pub(crate) async fn bring_entries(
        &self,
        other: &Self,
        entries: &[SignedEntry],
    ) -> Result<u64, Status> {
        let request = self.request(PutAccountLogRequest {
            account: other.id().to_vec(),
            entries: entries.to_vec(),
        });
        let answer = self.client.clone().put_account_log(request).await?;
        Ok(answer.into_inner().seq)
    }

    /// Brings this member's own log, from entry `from` on, without a token.
    pub(crate) async fn bring_own(&self, from: usize) -> Result<u64, Status> {
        let request = PutAccountLogRequest {
            account: self.id().to_vec(),
            entries: self.log.entries()[from - 1..].to_vec(),
        };
        let answer = self.client.clone().put_account_log(request).await?;
        Ok(answer.into_inner().seq)
    }
}
