//! The connection and the login that calls share, and trying again when either
//! is lost.

use std::sync::Arc;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use vault_rpc::hoster::hoster_client::HosterClient;

use super::connection::{Connection, connect};
use super::convert::{Token, status_error};
use super::login::{hello, login};
use super::{GrpcRemote, Line, Pace, Shared};
use crate::remote::{Credentials, RefusalReason, RemoteError};

/// What stands at the moment.
#[derive(Default)]
pub(super) struct Session {
    connection: Option<Arc<Connection>>,
    /// Whether the hoster has proved who it is on this connection.
    greeted: bool,
    /// Outlives connections.
    token: Option<Token>,
}

/// Whether a call says who calls.
#[derive(Clone, Copy)]
pub(super) enum Caller<'a> {
    /// A device that logs in.
    Device(&'a Credentials),
    /// Whoever: he holds an invitation, a link, or nothing. The hoster has to
    /// prove itself first.
    Anybody,
}

/// A connection that a call can be made on.
pub(super) struct Ready {
    connection: Arc<Connection>,
    token: Option<Token>,
}

impl Ready {
    pub(super) fn client(&self) -> HosterClient<Channel> {
        self.connection.client.clone()
    }

    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        request
    }
}

impl Session {
    async fn ready(&mut self, shared: &Shared, caller: Caller<'_>) -> Result<Ready, RemoteError> {
        let connection = match &self.connection {
            Some(connection) => connection.clone(),
            None => {
                let connection = Arc::new(connect(shared).await?);
                self.connection = Some(connection.clone());
                self.greeted = false;
                connection
            }
        };
        let login_as = match caller {
            Caller::Device(credentials) if self.token.is_none() => Some(credentials),
            Caller::Device(_) | Caller::Anybody => None,
        };
        let wants_greeting = matches!(caller, Caller::Anybody) && !self.greeted;
        if login_as.is_some() || wants_greeting {
            // A nonce of the hoster's is good for one login: both halves anew.
            let nonces = hello(shared, &connection).await?;
            self.greeted = true;
            if let Some(credentials) = login_as {
                self.token = Some(login(shared, credentials, &connection, &nonces).await?);
            }
        }
        let token = match caller {
            Caller::Device(_) => self.token.clone(),
            Caller::Anybody => None,
        };
        Ok(Ready { connection, token })
    }

    /// Forgets a connection that broke, unless another has replaced it.
    fn forget_connection(&mut self, broken: &Arc<Connection>) {
        if self
            .connection
            .as_ref()
            .is_some_and(|held| Arc::ptr_eq(held, broken))
        {
            self.connection = None;
        }
    }

    /// Forgets a token that was refused, unless another has replaced it.
    fn forget_token(&mut self, refused: &Token) {
        if self.token.as_ref() == Some(refused) {
            self.token = None;
        }
    }
}

impl GrpcRemote {
    /// A call of this device without streams.
    pub(super) async fn unary<Q: Clone, A>(
        &self,
        message: &Q,
        call: impl AsyncFn(HosterClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, RemoteError> {
        self.line.unary(self.caller(), message, call).await
    }

    pub(super) fn caller(&self) -> Caller<'_> {
        Caller::Device(&self.credentials)
    }
}

impl Line {
    /// A call without streams.
    pub(super) async fn unary<Q: Clone, A>(
        &self,
        caller: Caller<'_>,
        message: &Q,
        call: impl AsyncFn(HosterClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, RemoteError> {
        self.unary_that_waits(caller, Duration::ZERO, message, call)
            .await
    }

    /// A call without streams whose answer the hoster may hold back for a while.
    pub(super) async fn unary_that_waits<Q: Clone, A>(
        &self,
        caller: Caller<'_>,
        wait: Duration,
        message: &Q,
        call: impl AsyncFn(HosterClient<Channel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, RemoteError> {
        let pace = Pace {
            answer: self.shared.pace.answer.saturating_add(wait),
            ..self.shared.pace
        };
        self.attempts(caller, async |ready| {
            let answer = async {
                call(ready.client(), ready.request(message.clone()))
                    .await
                    .map_err(status_error)
            };
            Ok(pace.answered(answer).await?.into_inner())
        })
        .await
    }

    /// Makes a call on a connection that stands, with a login where it needs
    /// one, and again when the connection was lost or the login is too old.
    pub(super) async fn attempts<T>(
        &self,
        caller: Caller<'_>,
        mut call: impl AsyncFnMut(&Ready) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let mut attempt = 0;
        let mut logged_in_again = false;
        loop {
            attempt += 1;
            let error = match self.attempt(caller, &mut call).await {
                Ok(done) => return Ok(done),
                Err(Attempted { error, token }) => match (&error, token) {
                    (RemoteError::Refused(refusal), Some(token))
                        if refusal.reason == RefusalReason::Unauthenticated && !logged_in_again =>
                    {
                        logged_in_again = true;
                        self.session.lock().await.forget_token(&token);
                        continue;
                    }
                    _ => error,
                },
            };
            let again = matches!(error, RemoteError::Unreachable { .. });
            if !again || attempt >= self.shared.retry.attempts {
                return Err(error);
            }
            let pause = self.shared.retry.pause(attempt, &*self.shared.randomness);
            tokio::time::sleep(pause).await;
        }
    }

    async fn attempt<T>(
        &self,
        caller: Caller<'_>,
        call: &mut impl AsyncFnMut(&Ready) -> Result<T, RemoteError>,
    ) -> Result<T, Attempted> {
        let mut session = self.session.lock().await;
        let ready = match session.ready(&self.shared, caller).await {
            Ok(ready) => ready,
            Err(error) => {
                if is_line_lost(&error) {
                    session.connection = None;
                }
                return Err(Attempted { error, token: None });
            }
        };
        drop(session);
        self.shared.meter.count_rpc();
        match call(&ready).await {
            Ok(done) => Ok(done),
            Err(error) => {
                if is_line_lost(&error) {
                    let mut session = self.session.lock().await;
                    session.forget_connection(&ready.connection);
                }
                Err(Attempted {
                    error,
                    token: ready.token,
                })
            }
        }
    }
}

/// A failed attempt, and the token that it used.
struct Attempted {
    error: RemoteError,
    token: Option<Token>,
}

/// Whether the next attempt needs another connection.
fn is_line_lost(error: &RemoteError) -> bool {
    matches!(
        error,
        RemoteError::Unreachable { .. } | RemoteError::Stalled | RemoteError::WrongHosterKey
    )
}
