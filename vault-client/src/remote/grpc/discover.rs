//! Who answers at an address of which nothing else is known.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use vault_proto::invitation::TlsTrust;
use vault_proto::login::EXPORTER_BYTES;
use vault_proto::origin::Origin;

use super::connection::{Client, export, speak_http2};
use super::convert::unreachable;
use super::greeting::Greeting;
use super::login::greet;
use super::meter::{Meter, Metered};
use super::tls::{AnyKey, client_config_for};
use super::{GrpcConnect, Pace};
use crate::remote::{HosterAddress, RemoteError};

/// Dials, and learns who answers and how to know him again.
pub(super) async fn discover(
    connect: &GrpcConnect,
    origin: &Origin,
) -> Result<HosterAddress, RemoteError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        match ask(connect, origin).await {
            Err(RemoteError::Unreachable { .. }) if attempt < connect.retry.attempts => {
                let pause = connect.retry.pause(attempt, &*connect.randomness);
                tokio::time::sleep(pause).await;
            }
            done => return done,
        }
    }
}

async fn ask(connect: &GrpcConnect, origin: &Origin) -> Result<HosterAddress, RemoteError> {
    let found = within(&connect.pace, dial(origin)).await;
    let found = match found {
        Err(RemoteError::Unreachable { .. }) if is_this_machine(origin) => {
            // Behind a proxy that is dialled on this very machine there may be no
            // TLS, and there is no line to protect.
            within(&connect.pace, dial_in_the_clear(origin)).await?
        }
        found => found?,
    };
    let greeting = greet(found.client, origin, &*connect.randomness, &connect.pace).await?;
    let tls = trust(&greeting, &found.channel)?;
    Ok(HosterAddress {
        origin: origin.clone(),
        hoster: greeting.hoster(),
        tls,
    })
}

/// How to know the hoster's channel again.
fn trust(greeting: &Greeting, channel: &DiscoveredChannel) -> Result<TlsTrust, RemoteError> {
    let hoster = greeting.hoster();
    let (exporter, pin, vouched) = match channel {
        DiscoveredChannel::Clear if greeting.is_from(&hoster, None) => return Ok(TlsTrust::Proxy),
        DiscoveredChannel::Clear => return Err(RemoteError::WrongHosterKey),
        DiscoveredChannel::Tls {
            exporter,
            pin,
            vouched,
        } => (*exporter, *pin, vouched),
    };
    // Bound to this channel, the hoster's own signature vouches for it. Where
    // somebody vouches for the certificate it is not pinned: its key may change
    // when it is renewed.
    if exporter.is_some() && greeting.is_from(&hoster, exporter) {
        return Ok(match vouched {
            Ok(()) => TlsTrust::Public,
            Err(_) => TlsTrust::Pinned(pin),
        });
    }
    if !greeting.is_from(&hoster, None) {
        return Err(RemoteError::WrongHosterKey);
    }
    match vouched {
        Ok(()) => Ok(TlsTrust::Proxy),
        Err(why) => Err(RemoteError::UntrustedCertificate {
            detail: why.clone(),
        }),
    }
}

/// A connection to somebody.
struct Discovered {
    client: Client,
    channel: DiscoveredChannel,
}

enum DiscoveredChannel {
    Clear,
    Tls {
        /// `None` below TLS 1.3, whose exporter alone binds without conditions.
        exporter: Option<[u8; EXPORTER_BYTES]>,
        /// `SHA-256(SubjectPublicKeyInfo)`.
        pin: [u8; 32],
        /// Whether somebody whom this system trusts vouches for the certificate;
        /// else why not.
        vouched: Result<(), String>,
    },
}

async fn within<T>(
    pace: &Pace,
    dial: impl Future<Output = Result<T, RemoteError>>,
) -> Result<T, RemoteError> {
    timeout(pace.connect, dial)
        .await
        .unwrap_or_else(|_| Err(unreachable("no connection in time")))
}

async fn dial(origin: &Origin) -> Result<Discovered, RemoteError> {
    let stream = open(origin).await.map_err(unreachable)?;
    let verifier = Arc::new(AnyKey::new());
    let config = client_config_for(verifier.clone()).map_err(unreachable)?;
    let name = ServerName::try_from(origin.host().to_owned()).map_err(unreachable)?;
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(unreachable)?;
    let is_tls13 = stream.get_ref().1.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3);
    let exporter = is_tls13.then(|| export(&stream)).transpose()?;
    let seen = verifier
        .seen()
        .ok_or_else(|| unreachable("no certificate"))?;
    let client = speak_http2(origin, "https", stream).await?;
    Ok(Discovered {
        client,
        channel: DiscoveredChannel::Tls {
            exporter,
            pin: seen.pin,
            vouched: seen.vouched,
        },
    })
}

async fn dial_in_the_clear(origin: &Origin) -> Result<Discovered, RemoteError> {
    let stream = open(origin).await.map_err(unreachable)?;
    let client = speak_http2(origin, "http", stream).await?;
    Ok(Discovered {
        client,
        channel: DiscoveredChannel::Clear,
    })
}

async fn open(origin: &Origin) -> io::Result<Metered<TcpStream>> {
    let stream = TcpStream::connect((origin.host(), origin.port())).await?;
    stream.set_nodelay(true)?;
    Ok(Metered::new(stream, Arc::new(Meter::default())))
}

fn is_this_machine(origin: &Origin) -> bool {
    let host = origin.host();
    host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
