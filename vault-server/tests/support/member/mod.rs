//! A member with one device, who signs what he sends. Secrets are random bytes:
//! the server cannot tell.

mod devices;
mod guests;
mod login;
mod packs;
mod vaults;

use std::collections::BTreeMap;

use tonic::transport::Channel;
use vault_proto::{
    account_log::AccountLog,
    device::DeviceKind,
    ids::{AccountId, HosterId},
    invitation::Invitation,
    origin::Origin,
};
use vault_rpc::hoster::hoster_client::HosterClient;

pub(crate) use devices::{Device, genesis};
pub(crate) use packs::{Packed, header, pack, part, sorted};
pub(crate) use vaults::VaultOf;

use super::{Dialled, TestServer};

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A member as the test drives him.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) device: Device,
    pub(crate) log: AccountLog,
    pub(crate) origin: Origin,
    pub(crate) hoster: HosterId,
    pub(crate) client: HosterClient<Channel>,
    pub(crate) exporter: Option<[u8; 32]>,
    pub(crate) token: Vec<u8>,
}

impl Member {
    /// A member who has not said anything yet.
    pub(crate) fn new(server_dialled: Dialled, invitation: &Invitation) -> Self {
        let device = Device::generate(DeviceKind::Paper);
        let genesis = genesis(&device, invitation.hoster);
        Self {
            log: AccountLog::verify_genesis(&genesis).unwrap(),
            device,
            origin: invitation.origin.clone(),
            hoster: invitation.hoster,
            client: HosterClient::new(server_dialled.channel).max_decoding_message_size(8 << 20),
            exporter: server_dialled.exporter,
            token: Vec::new(),
        }
    }

    pub(crate) async fn sign_up(server: &TestServer, invitation: &Invitation) -> Self {
        let dialled = server.dial(invitation).await;
        let mut member = Self::new(dialled, invitation);
        member.create_account(invitation).await.unwrap();
        member.log_in().await;
        member
    }

    pub(crate) fn id(&self) -> AccountId {
        self.log.id()
    }
}

/// The logs of some members, to verify with.
pub(crate) fn logs<'a>(
    members: impl IntoIterator<Item = &'a Member>,
) -> BTreeMap<AccountId, AccountLog> {
    let logs = members
        .into_iter()
        .map(|member| (member.id(), member.log.clone()));
    logs.collect()
}
