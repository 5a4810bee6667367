//! From a socket to a connection that the gRPC server takes over.
//!
//! tonic could accept connections itself. It would not hand out the output of
//! the TLS exporter, to which logins are bound, nor cut off who connects and
//! says nothing.

mod accept;
mod layers;
mod tls;

pub use accept::Accepting;
pub use tls::{Renewal, Tls, TlsError};

pub(crate) use accept::{Incoming, accept};
pub(crate) use layers::{Answering, MAX_MESSAGE_BYTES, message_too_large};
pub(crate) use tls::{Renewable, end_tls};

/// What a connection says of itself, in the extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Channel {
    /// The output of the TLS exporter; `None` where a reverse proxy ends TLS.
    pub(crate) exporter: Option<[u8; 32]>,
}
