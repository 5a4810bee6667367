//! Accepting connections.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use vault_proto::login::{EXPORTER_BYTES, EXPORTER_LABEL};

use super::{Channel, Network};
use crate::seats::{Seat, Seats};

/// How connections are accepted.
#[derive(Debug, Clone, Copy)]
pub struct Accepting {
    /// The most connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// The most from one network (an IPv4 address, or 64 bits of an IPv6 one);
    /// more are closed at once. Behind a reverse proxy all come from it, and none
    /// is.
    pub connections_of_one: usize,
    /// The TLS handshake is over within this.
    pub handshake: Duration,
    /// A connection from which no byte came for so long is cut off. Devices
    /// answer pings, so theirs never is.
    pub silence: Duration,
}

impl Default for Accepting {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_of_one: 128,
            handshake: Duration::from_secs(15),
            silence: Duration::from_secs(120),
        }
    }
}

/// Connections as they come.
pub(crate) type Incoming = ReceiverStream<io::Result<Connection>>;

/// The connections to `listener`, ready for HTTP/2, until the stream is dropped.
pub(crate) fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    accepting: Accepting,
) -> Incoming {
    let (sender, receiver) = mpsc::channel(16);
    let places = Arc::new(Semaphore::new(accepting.connections));
    let seats = Seats::new(accepting.connections_of_one);
    tokio::spawn(async move {
        loop {
            let place = Arc::clone(&places).acquire_owned();
            let accepted = tokio::select! {
                accepted = async { (place.await, listener.accept().await) } => accepted,
                () = sender.closed() => return,
            };
            let (Ok(place), Ok((socket, peer))) = accepted else {
                // Out of file descriptors, most likely: some will be closed.
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let network = tls.as_ref().map(|_| Network::of(peer.ip()));
            let seat = network.map(|network| seats.take(network));
            if matches!(seat, Some(None)) {
                continue;
            }
            let place = Place {
                _any: place,
                _own: seat.flatten(),
            };
            let (tls, sender) = (tls.clone(), sender.clone());
            tokio::spawn(async move {
                let handshake = Connection::begin(socket, network, tls, place, accepting.silence);
                if let Ok(Ok(connection)) = timeout(accepting.handshake, handshake).await {
                    // Refused only when the server is stopping.
                    let _ = sender.send(Ok(connection)).await;
                }
            });
        }
    });
    ReceiverStream::new(receiver)
}

/// What a connection gives back when it ends.
struct Place {
    _any: OwnedSemaphorePermit,
    _own: Option<Seat<Network>>,
}

/// A connection that is cut off when it is silent for too long.
pub(crate) struct Connection {
    socket: Socket,
    channel: Channel,
    silence: Duration,
    last_read: Instant,
    alarm: Pin<Box<Sleep>>,
    _place: Place,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    async fn begin(
        socket: TcpStream,
        network: Option<Network>,
        tls: Option<TlsAcceptor>,
        place: Place,
        silence: Duration,
    ) -> io::Result<Self> {
        // Small answers go at once; without it a stream of them stalls.
        socket.set_nodelay(true)?;
        let (socket, channel) = match tls {
            None => (Socket::Plain(socket), Channel::default()),
            Some(tls) => {
                let stream = tls.accept(socket).await?;
                let output = [0; EXPORTER_BYTES];
                let (_, session) = stream.get_ref();
                let exporter = session
                    .export_keying_material(output, EXPORTER_LABEL, None)
                    .map_err(io::Error::other)?;
                let exporter = Some(exporter);
                (Socket::Tls(Box::new(stream)), Channel { exporter, network })
            }
        };
        let now = Instant::now();
        Ok(Self {
            socket,
            channel,
            silence,
            last_read: now,
            alarm: Box::pin(sleep_until(now + silence)),
            _place: place,
        })
    }

    /// Ready with an error once it was silent for too long. The alarm is set
    /// anew when it goes off, not at every read.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let until = self.last_read + self.silence;
            if until <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl Connected for Connection {
    type ConnectInfo = Channel;

    fn connect_info(&self) -> Channel {
        self.channel
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        };
        if read.is_ready() {
            self.last_read = Instant::now();
            return read;
        }
        self.poll_silence(context).map(Err)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(context),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(context, slices),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Tls(socket) => socket.is_write_vectored(),
        }
    }
}
