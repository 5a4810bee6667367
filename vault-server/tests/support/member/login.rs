//! Signing up and logging in.

use ed25519_dalek::Signer;
use tonic::{Request, Status};
use vault_proto::{
    invitation::Invitation,
    login::{Hello, Login},
    sign::VerifyingKey,
};
use vault_rpc::hoster::{
    CreateAccountRequest, HelloRequest, HelloResponse, LoginRequest, LoginResponse,
    hoster_client::HosterClient,
};

use super::{Member, random};
use crate::support::Dialled;

impl Member {
    pub(crate) async fn create_account(&mut self, invitation: &Invitation) -> Result<u64, Status> {
        let request = CreateAccountRequest {
            invitation: invitation.secret.as_bytes().to_vec(),
            genesis: Some(self.log.entries()[0].clone()),
        };
        let answer = self.client.create_account(request).await?;
        Ok(answer.into_inner().quota_bytes)
    }

    /// Dials again, as after a restart of the server.
    pub(crate) fn reconnect(&mut self, dialled: Dialled) {
        self.client = HosterClient::new(dialled.channel).max_decoding_message_size(8 << 20);
        self.exporter = dialled.exporter;
    }

    /// The hoster's half, verified.
    pub(crate) async fn hello(&mut self) -> Result<([u8; 32], HelloResponse), Status> {
        let client_nonce = random();
        let request = HelloRequest {
            client_nonce: client_nonce.to_vec(),
            origin: self.origin.to_string(),
        };
        let answer = self.client.hello(request).await?.into_inner();
        let hello = Hello {
            hoster: self.hoster,
            client_nonce,
            server_nonce: answer.server_nonce[..].try_into().unwrap(),
            time: answer.time,
            exporter: self.exporter,
            origin: self.origin.clone(),
        };
        let key = VerifyingKey::from_slice(&answer.hoster_key).unwrap();
        hello
            .verify(&key, answer.signature[..].try_into().unwrap())
            .unwrap();
        Ok((client_nonce, answer))
    }

    /// A login as this member would sign it.
    pub(crate) fn login(&self, client_nonce: [u8; 32], hello: &HelloResponse) -> Login {
        Login {
            hoster: self.hoster,
            client_nonce,
            server_nonce: hello.server_nonce[..].try_into().unwrap(),
            time: hello.time,
            exporter: self.exporter,
            account: self.id(),
            device: self.device.id(),
            origin: self.origin.clone(),
        }
    }

    pub(crate) fn sign_login(&self, login: &Login) -> LoginRequest {
        LoginRequest {
            client_nonce: login.client_nonce.to_vec(),
            server_nonce: login.server_nonce.to_vec(),
            origin: login.origin.to_string(),
            account: login.account.to_vec(),
            device: login.device.to_vec(),
            time: login.time,
            signature: self
                .device
                .signing
                .sign(&login.to_sign())
                .to_bytes()
                .to_vec(),
        }
    }

    pub(crate) async fn try_log_in(&mut self) -> Result<LoginResponse, Status> {
        let (nonce, hello) = self.hello().await?;
        let request = self.sign_login(&self.login(nonce, &hello));
        Ok(self.client.login(request).await?.into_inner())
    }

    pub(crate) async fn log_in(&mut self) {
        self.token = self.try_log_in().await.unwrap().token;
    }

    /// A request with this member's token.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let hex: String = self
            .token
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let value = format!("Bearer {hex}").parse().unwrap();
        request.metadata_mut().insert("authorization", value);
        request
    }
}
