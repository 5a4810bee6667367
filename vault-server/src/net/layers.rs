//! What stands between HTTP/2 and the service: refusals that tonic would give
//! in its own words, and a bound on how long a request may take.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http_body_util::BodyExt as _;
use tokio::time::timeout;
use tonic::{
    Code, Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};

use super::{Channel, Network, NetworkSeats, Proof};
use crate::service::Refusal;

/// The most bytes of a message: a commit with 8,192 adds and removes and its
/// root, or 1 MiB of a pack.
pub(crate) const MAX_MESSAGE_BYTES: usize = (1 << 20) + (64 << 10);

/// The most bytes of a message to the services beside ours, which take names.
pub(crate) const MAX_BESIDE_BYTES: usize = 4 << 10;

/// The refusal of a message over the limit.
fn message_too_large() -> Refusal {
    Refusal::too_large(format!(
        "A message has more than {MAX_MESSAGE_BYTES} bytes."
    ))
}

/// Answers late requests, and those that tonic could not read, with a
/// [`Refusal`].
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    /// A request is there, and its answer has begun, within this. Uploads go by
    /// their own [`Pace`](crate::service::Pace).
    pub(crate) patience: Duration,
    /// Requests that arrive or are worked on, each with up to one message in
    /// memory, by where they come from.
    pub(crate) under_way: NetworkSeats,
    /// Calls of the services beside ours, until their answers end: anybody may begin
    /// one that lasts, and each may have sent what nobody reads.
    pub(crate) beside: NetworkSeats,
    pub(crate) callers: Callers,
}

/// How it is known where a call comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    /// By who dialled.
    Dialled,
    /// By what the reverse proxy says that dialled. Nobody else is believed: there,
    /// whoever calls could say what he likes.
    Forwarded,
}

impl<S> Layer<S> for Answering {
    type Service = Answers<S>;

    fn layer(&self, inner: S) -> Answers<S> {
        Answers {
            inner,
            patience: self.patience,
            under_way: self.under_way.clone(),
            beside: self.beside.clone(),
            callers: self.callers,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Answers<S> {
    inner: S,
    patience: Duration,
    under_way: NetworkSeats,
    beside: NetworkSeats,
    callers: Callers,
}

impl<S> Service<Request<Body>> for Answers<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path();
        let ours = path.starts_with("/coffre.rpc.v1.Hoster/");
        let lasts = path == "/coffre.rpc.v1.Hoster/PutPack";
        let patience = self.patience;
        let dialled = request.extensions().get::<(Channel, Proof)>().cloned();
        let (mut channel, proof) = dialled.unwrap_or_default();
        if self.callers == Callers::Forwarded {
            channel.network = Network::forwarded(request.headers());
        }
        request.extensions_mut().insert(channel);
        request.extensions_mut().insert(proof);
        let seats = if ours { &self.under_way } else { &self.beside };
        let seat = channel.network.map(|network| seats.take(network));
        if matches!(seat, Some(None)) {
            let refused = Status::from(Refusal::too_many()).into_http();
            return Box::pin(async move { Ok(refused) });
        }
        let answer = self.inner.call(request);
        Box::pin(async move {
            if lasts {
                let _seat = seat;
                return answer.await;
            }
            match timeout(patience, answer).await {
                // Until the answer begins, and of others until it ends.
                Ok(Ok(answer)) if ours => Ok(in_our_words(answer)),
                Ok(Ok(answer)) => Ok(holding(answer, seat)),
                Ok(failed) => failed,
                Err(_) => {
                    let refusal = Refusal::too_slow("The request took too long to arrive.");
                    Ok(Status::from(refusal).into_http())
                }
            }
        })
    }
}

/// The answer, which has the seat until it has ended.
fn holding(answer: Response<Body>, seat: impl Send + 'static) -> Response<Body> {
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &seat;
            frame
        }))
    })
}

fn in_our_words(answer: Response<Body>) -> Response<Body> {
    let status = Status::from_header_map(answer.headers());
    match status.as_ref().and_then(before_the_service) {
        Some(refusal) => Status::from(refusal).into_http(),
        None => answer,
    }
}

/// tonic refuses a message over the limit, and one that it cannot decode, before
/// the service sees it; what the service refuses has details.
pub(crate) fn before_the_service(status: &Status) -> Option<Refusal> {
    match status.code() {
        _ if !status.details().is_empty() => None,
        Code::OutOfRange => Some(message_too_large()),
        Code::Internal | Code::InvalidArgument => Some(Refusal::unreadable()),
        _ => None,
    }
}
