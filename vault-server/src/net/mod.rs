//! From a socket to a connection that the gRPC server takes over.
//!
//! tonic could accept connections itself. It would not hand out the output of
//! the TLS exporter, to which logins are bound, nor cut off who connects and
//! says nothing.

use std::net::{IpAddr, Ipv6Addr};

mod accept;
mod layers;
mod tls;

pub use accept::Accepting;
pub use tls::{Renewal, Tls, TlsError};

pub(crate) use accept::{Incoming, accept};
pub(crate) use layers::{Answering, MAX_MESSAGE_BYTES, before_the_service};
pub(crate) use tls::{Renewable, end_tls};

/// What a connection says of itself, in the extensions of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Channel {
    /// The output of the TLS exporter; `None` where a reverse proxy ends TLS.
    pub(crate) exporter: Option<[u8; 32]>,
    /// Who dialled; `None` where a reverse proxy did.
    pub(crate) network: Option<Network>,
}

/// What is counted as one place that connections come from: an IPv4 address, or
/// the first 64 bits of an IPv6 address, within which anyone has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
            }
            address => address,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_another_as_far_as_its_owner_cannot_choose() {
        let network = |text: &str| Network::of(text.parse().unwrap());
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
    }
}
