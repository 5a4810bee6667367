//! From a socket to a connection that the gRPC server takes over.
//!
//! tonic could accept connections itself. It would not hand out the output of
//! the TLS exporter, to which logins are bound, nor cut off who connects and
//! says nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

mod accept;
mod layers;
mod network;
mod tls;

pub use accept::Accepting;
pub use tls::{Renewal, Tls, TlsError};

pub(crate) use accept::{Incoming, accept};
pub(crate) use layers::{
    Answering, Callers, MAX_BESIDE_BYTES, MAX_MESSAGE_BYTES, before_the_service,
};
pub(crate) use network::{Network, NetworkSeat, NetworkSeats, Site};
pub(crate) use tls::{Renewable, end_tls};

/// What a connection says of itself, in the extensions of each request; and, where
/// a reverse proxy dialled it, what that says of who dialled there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Channel {
    /// The output of the TLS exporter; `None` where a reverse proxy ends TLS.
    pub(crate) exporter: Option<[u8; 32]>,
    /// Who dialled; `None` where a reverse proxy did that does not say for whom.
    pub(crate) network: Option<Network>,
}

/// Whether whoever is at the other end of a connection has shown that he is let
/// in: by a good token, or the ticket of a link.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proof(Arc<AtomicBool>);

impl Proof {
    pub(crate) fn give(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
