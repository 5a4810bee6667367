//! One connection to a hoster.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::{Channel, Endpoint, Uri};
use tower::service_fn;
use vault_proto::invitation::TlsTrust;
use vault_proto::login::{EXPORTER_BYTES, EXPORTER_LABEL};
use vault_proto::origin::Origin;
use vault_rpc::hoster::hoster_client::HosterClient;

use super::convert::unreachable;
use super::meter::Metered;
use super::{Shared, tls};
use crate::remote::{HosterAddress, Misbehaviour, RemoteError};

/// What is in flight to us on one stream and on all of them: a line of 50 ms
/// carries 80 MB/s a stream.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;
/// The largest piece in which the hoster may send what we read.
const FRAME_BYTES: u32 = 64 << 10;

/// The longest answer without a stream.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The stub that calls are made on.
pub(super) type Client = HosterClient<Channel>;

/// A connection, and what a login on it binds to.
pub(super) struct Connection {
    pub(super) client: Client,
    /// `None` where a reverse proxy ends TLS.
    pub(super) exporter: Option<[u8; EXPORTER_BYTES]>,
}

/// Dials.
pub(super) async fn connect(shared: &Shared) -> Result<Connection, RemoteError> {
    timeout(shared.pace.connect, dial(shared))
        .await
        .unwrap_or_else(|_| Err(unreachable("no connection in time")))
}

async fn dial(shared: &Shared) -> Result<Connection, RemoteError> {
    let HosterAddress { origin, tls, .. } = &shared.address;
    let stream = TcpStream::connect((origin.host(), origin.port()))
        .await
        .map_err(unreachable)?;
    // A small message does not wait for more of them.
    stream.set_nodelay(true).map_err(unreachable)?;
    let stream = Metered::new(stream, shared.meter.clone());
    if is_in_the_clear(&shared.address) {
        let client = speak_http2(origin, "http", stream).await?;
        return Ok(Connection {
            client,
            exporter: None,
        });
    }
    let stream = begin_tls(&shared.address, stream).await?;
    let exporter = if tls.binds_channel() {
        Some(export(&stream)?)
    } else {
        None
    };
    let client = speak_http2(origin, "https", stream).await?;
    Ok(Connection { client, exporter })
}

/// Behind a proxy that is dialled on this very machine there is no line to
/// protect: the hoster's own programs and tests talk to the server directly.
fn is_in_the_clear(address: &HosterAddress) -> bool {
    let host = address.origin.host();
    address.tls == TlsTrust::Proxy && host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

async fn begin_tls<S>(address: &HosterAddress, stream: S) -> Result<TlsStream<S>, RemoteError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = tls::client_config(address.tls).map_err(unreachable)?;
    let name = ServerName::try_from(address.origin.host().to_owned()).map_err(unreachable)?;
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| tls_error(address.tls, &error))
}

fn tls_error(trust: TlsTrust, error: &io::Error) -> RemoteError {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(_)) if matches!(trust, TlsTrust::Pinned(_)) => {
            RemoteError::WrongHosterKey
        }
        Some(rustls::Error::InvalidCertificate(why)) => RemoteError::UntrustedCertificate {
            detail: format!("{why:?}"),
        },
        _ => unreachable(error),
    }
}

/// `TLS-Exporter("EXPORTER-coffre-login-v1", no context, 32)` (RFC 8446, section
/// 7.5).
pub(super) fn export<S>(stream: &TlsStream<S>) -> Result<[u8; EXPORTER_BYTES], RemoteError> {
    let (_, session) = stream.get_ref();
    session
        .export_keying_material([0; EXPORTER_BYTES], EXPORTER_LABEL, None)
        .map_err(|_| RemoteError::Misbehaved(Misbehaviour::Malformed))
}

pub(super) async fn speak_http2<S>(
    origin: &Origin,
    scheme: &str,
    stream: S,
) -> Result<Client, RemoteError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // `http` so that nobody below adds TLS a second time; what goes over the
    // wire as the scheme is the second.
    let uri = |scheme: &str| format!("{scheme}://{origin}").parse::<Uri>();
    let endpoint = Endpoint::from(uri("http").map_err(unreachable)?)
        .origin(uri(scheme).map_err(unreachable)?)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .http2_keep_alive_interval(std::time::Duration::from_secs(20))
        .keep_alive_timeout(std::time::Duration::from_secs(20));
    // Good for one connection: a login holds for the connection that it was
    // made on, so a new one is made above, never silently below.
    let stream = Mutex::new(Some(TokioIo::new(stream)));
    let connector = service_fn(move |_: Uri| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move { stream.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionReset)) }
    });
    let channel = endpoint
        .connect_with_connector(connector)
        .await
        .map_err(unreachable)?;
    Ok(HosterClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES))
}
