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

use super::{Channel, Network, NetworkSeat, NetworkSeats, Proof};

/// How connections are accepted.
#[derive(Debug, Clone, Copy)]
pub struct Accepting {
    /// The most connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// The same behind a reverse proxy, which makes one for each call.
    pub connections_of_proxy: usize,
    /// The most from one network (an IPv4 address, or 64 bits of an IPv6 one), and four
    /// times as many from one site (48 bits); more are closed at once. Behind a
    /// reverse proxy all come from it, and none is.
    pub connections_of_one: usize,
    /// The TLS handshake is over within this.
    pub handshake: Duration,
    /// A connection from which no byte came for so long is cut off. Devices
    /// answer pings, so theirs never is.
    pub silence: Duration,
    /// How often the other end of a quiet connection is asked whether it is there.
    pub ping: Duration,
    /// A connection on which nobody has shown that he is let in (by a good token, or
    /// the ticket of a link) is cut off after this. Behind a reverse proxy none is.
    pub unproven: Duration,
}

impl Default for Accepting {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_of_proxy: 16_384,
            connections_of_one: 128,
            handshake: Duration::from_secs(15),
            silence: Duration::from_secs(120),
            ping: Duration::from_secs(30),
            unproven: Duration::from_secs(5 * 60),
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
    let places = Arc::new(Semaphore::new(match &tls {
        Some(_) => accepting.connections,
        None => accepting.connections_of_proxy,
    }));
    let seats = NetworkSeats::new(accepting.connections_of_one);
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
                let handshake = Connection::begin(socket, network, tls, place, accepting);
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
    _own: Option<NetworkSeat>,
}

/// A connection that is cut off when it is silent for too long, or used for too
/// long by nobody who is let in.
pub(crate) struct Connection {
    socket: Socket,
    channel: Channel,
    proof: Proof,
    /// When the proof is overdue.
    proof_due: Option<Instant>,
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
        accepting: Accepting,
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
        let mut connection = Self {
            socket,
            channel,
            proof: Proof::default(),
            proof_due: network.map(|_| now + accepting.unproven),
            silence: accepting.silence,
            last_read: now,
            alarm: Box::pin(sleep_until(now)),
            _place: place,
        };
        let end = connection.end();
        connection.alarm.as_mut().reset(end);
        Ok(connection)
    }

    /// When it is cut off, should nothing happen.
    fn end(&self) -> Instant {
        let silent = self.last_read + self.silence;
        let due = self.proof_due.filter(|_| !self.proof.is_given());
        due.map_or(silent, |due| due.min(silent))
    }

    /// Ready with an error once it is cut off. The alarm is set anew when it goes
    /// off, not at every read.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        while self.alarm.as_mut().poll(context).is_ready() {
            let end = self.end();
            if end <= Instant::now() {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.alarm.as_mut().reset(end);
        }
        Poll::Pending
    }
}

impl Connected for Connection {
    type ConnectInfo = (Channel, Proof);

    fn connect_info(&self) -> (Channel, Proof) {
        (self.channel, self.proof.clone())
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
            // Also of one that is never silent.
            return match self.end() > self.last_read {
                true => read,
                false => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            };
        }
        self.poll_end(context).map(Err)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Nagle's algorithm and delayed acknowledgements would keep the second of two
    /// small answers for 40 ms.
    #[tokio::test]
    async fn small_answers_go_at_once() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap());
        let (_dialled, accepted) = tokio::join!(dialled, listener.accept());
        let (socket, _) = accepted.unwrap();
        assert!(!socket.nodelay().unwrap(), "the kernel's default");
        let place = Place {
            _any: Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap(),
            _own: None,
        };
        let begun = Connection::begin(socket, None, None, place, Accepting::default());
        let Socket::Plain(socket) = begun.await.unwrap().socket else {
            panic!("there is no TLS");
        };
        assert!(socket.nodelay().unwrap());
    }
}
