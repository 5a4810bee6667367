//! The calls that anybody may make.

use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use vault_proto::ids::{AccountId, DeviceId, LinkId, MessageName};
use vault_proto::wire::SignedEntry;
use vault_rpc::hoster::{
    AwaitMessageRequest, FetchAccountLogRequest, FindAccountRequest, OpenLinkRequest,
    PutAccountLogRequest, PutMessageRequest, PutOfferRequest, ReadLinkRequest,
};

use super::connection::Client;
use super::session::{Caller, Ready};
use super::{GrpcRemote, GrpcVisitor, Line, convert};
use crate::remote::{
    LinkTicket, LogAnswer, MAX_WAIT, OpenedLink, PackRange, RefusalReason, RemoteError, Traffic,
    Visitor,
};

impl Line {
    async fn find_account(&self, device: &DeviceId) -> Result<Option<AccountId>, RemoteError> {
        let request = FindAccountRequest {
            device: device.to_vec(),
        };
        let answer = self
            .unary(Caller::Anybody, &request, async |mut client, request| {
                client.find_account(request).await
            })
            .await;
        match answer {
            Ok(answer) => convert::account(&answer).map(Some),
            Err(RemoteError::Refused(refusal)) if refusal.reason == RefusalReason::NotFound => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn fetch_account_log(
        &self,
        account: &AccountId,
        known: u64,
    ) -> Result<LogAnswer, RemoteError> {
        let request = FetchAccountLogRequest {
            account: account.to_vec(),
            seq: known,
        };
        let answer = self
            .unary(Caller::Anybody, &request, async |mut client, request| {
                client.fetch_account_log(request).await
            })
            .await?;
        Ok(convert::log_answer(answer))
    }

    async fn put_account_log(
        &self,
        caller: Caller<'_>,
        account: &AccountId,
        entries: &[SignedEntry],
    ) -> Result<u64, RemoteError> {
        let request = PutAccountLogRequest {
            account: account.to_vec(),
            entries: entries.to_vec(),
        };
        let answer = self
            .unary(caller, &request, async |mut client, request| {
                client.put_account_log(request).await
            })
            .await?;
        Ok(answer.seq)
    }

    async fn put_message(&self, name: &MessageName, message: &[u8]) -> Result<(), RemoteError> {
        let request = PutMessageRequest {
            name: name.to_vec(),
            message: message.to_vec(),
        };
        self.unary(Caller::Anybody, &request, async |mut client, request| {
            client.put_message(request).await
        })
        .await?;
        Ok(())
    }

    async fn await_message(
        &self,
        name: &MessageName,
        wait: Duration,
    ) -> Result<Option<Vec<u8>>, RemoteError> {
        let wait = wait.min(MAX_WAIT);
        let request = AwaitMessageRequest {
            name: name.to_vec(),
            wait_milliseconds: u32::try_from(wait.as_millis()).expect("at most MAX_WAIT"),
        };
        let call = async |mut client: Client, request| client.await_message(request).await;
        let answer = self
            .unary_that_waits(Caller::Anybody, wait, &request, call)
            .await?;
        convert::message(answer.message)
    }

    async fn put_offer(
        &self,
        caller: Caller<'_>,
        account: &AccountId,
        offer: &[u8],
    ) -> Result<(), RemoteError> {
        let request = PutOfferRequest {
            account: account.to_vec(),
            offer: offer.to_vec(),
        };
        self.unary(caller, &request, async |mut client, request| {
            client.put_offer(request).await
        })
        .await?;
        Ok(())
    }

    async fn open_link(&self, link: &LinkId) -> Result<OpenedLink, RemoteError> {
        let request = OpenLinkRequest {
            link: link.to_vec(),
        };
        let answer = self
            .unary(Caller::Anybody, &request, async |mut client, request| {
                client.open_link(request).await
            })
            .await?;
        convert::opened_link(&answer)
    }

    async fn read_link(
        &self,
        ticket: &LinkTicket,
        ranges: &[PackRange],
        deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RemoteError> {
        let begin = async |ready: &Ready, ranges| {
            let message = ReadLinkRequest {
                ticket: ticket.as_bytes().to_vec(),
                ranges,
            };
            let request = ready.request(message);
            ready.client().read_link(request).await
        };
        self.read(Caller::Anybody, ranges, &begin, deliver).await
    }
}

/// The same for a device as for anybody, but that it leaves offers and brings logs
/// in its name.
macro_rules! visitor {
    ($remote:ty, $caller:expr) => {
        impl Visitor for $remote {
            fn find_account(&self, device: &DeviceId) -> Result<Option<AccountId>, RemoteError> {
                self.line.run(self.line.find_account(device))
            }

            fn fetch_account_log(
                &self,
                account: &AccountId,
                known: u64,
            ) -> Result<LogAnswer, RemoteError> {
                self.line.run(self.line.fetch_account_log(account, known))
            }

            fn put_account_log(
                &self,
                account: &AccountId,
                entries: &[SignedEntry],
            ) -> Result<u64, RemoteError> {
                let caller = $caller(self);
                self.line
                    .run(self.line.put_account_log(caller, account, entries))
            }

            fn put_message(&self, name: &MessageName, message: &[u8]) -> Result<(), RemoteError> {
                self.line.run(self.line.put_message(name, message))
            }

            fn await_message(
                &self,
                name: &MessageName,
                wait: Duration,
            ) -> Result<Option<Vec<u8>>, RemoteError> {
                self.line.run(self.line.await_message(name, wait))
            }

            fn put_offer(&self, account: &AccountId, offer: &[u8]) -> Result<(), RemoteError> {
                let caller = $caller(self);
                self.line.run(self.line.put_offer(caller, account, offer))
            }

            fn open_link(&self, link: &LinkId) -> Result<OpenedLink, RemoteError> {
                self.line.run(self.line.open_link(link))
            }

            fn read_link(
                &self,
                ticket: &LinkTicket,
                ranges: &[PackRange],
                deliver: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
            ) -> Result<(), RemoteError> {
                self.line.run(self.line.read_link(ticket, ranges, deliver))
            }

            fn interrupt(&self) {
                self.line.interrupt();
            }

            fn traffic(&self) -> Traffic {
                self.line.shared.meter.traffic()
            }
        }
    };
}

visitor!(GrpcVisitor, |_| Caller::Anybody);
visitor!(GrpcRemote, GrpcRemote::caller);
