//! Where calls come from, and so many at a time for each place.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use tonic::codegen::http::HeaderMap;

use crate::seats::{Seat, Seats};

/// What is counted as one place that connections come from: an IPv4 address, or
/// the first 64 bits of an IPv6 address, within which anyone has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network(IpAddr);

/// The first 48 bits of an IPv6 address: a line at home has 256 networks of these,
/// or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Site(Ipv6Addr);

impl Site {
    /// How many times as much as a network a site has. Some providers give one to
    /// many lines.
    pub(crate) const NETWORKS: u32 = 4;
}

impl Network {
    pub(crate) fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => first_bits(address, 64).into(),
            address => address,
        })
    }

    /// What a reverse proxy says in the header `x-real-ip`: once, or it is nothing.
    pub(crate) fn forwarded(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("x-real-ip").iter();
        let (only, None) = (values.next()?, values.next()) else {
            return None;
        };
        let address = only.to_str().ok()?.parse().ok()?;
        Some(Self::of(address))
    }

    /// `None` for an IPv4 address, of which nobody has many.
    pub(crate) fn site(self) -> Option<Site> {
        match self.0 {
            IpAddr::V6(address) => Some(Site(first_bits(address, 48))),
            IpAddr::V4(_) => None,
        }
    }
}

fn first_bits(address: Ipv6Addr, bits: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> bits))
}

/// How many of something each network has, and each site.
#[derive(Debug, Clone)]
pub(crate) struct NetworkSeats {
    networks: Arc<Seats<Network>>,
    sites: Arc<Seats<Site>>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct NetworkSeat {
    _network: Seat<Network>,
    _site: Option<Seat<Site>>,
}

impl NetworkSeats {
    /// So many for a network.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            networks: Seats::new(most),
            sites: Seats::new(most.saturating_mul(Site::NETWORKS as usize)),
        }
    }

    /// `None` if the network, or its site, has as many as may be.
    pub(crate) fn take(&self, network: Network) -> Option<NetworkSeat> {
        let site = match network.site() {
            Some(site) => Some(self.sites.take(site)?),
            None => None,
        };
        Some(NetworkSeat {
            _network: self.networks.take(network)?,
            _site: site,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::of(text.parse().unwrap())
    }

    #[test]
    fn an_address_is_told_from_another_as_far_as_its_owner_cannot_choose() {
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        let site = |text| network(text).site();
        assert_eq!(site("192.0.2.1"), None);
        assert_eq!(site("::ffff:192.0.2.1"), None);
        assert_eq!(site("2001:db8::1"), site("2001:db8:0:ffff::1"));
        assert_ne!(site("2001:db8::1"), site("2001:db8:1::1"));
    }

    #[test]
    fn a_proxy_names_one_address_or_none() {
        let forwarded = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-real-ip", value.parse().unwrap());
            }
            Network::forwarded(&headers)
        };
        assert_eq!(forwarded(&["192.0.2.1"]), Some(network("192.0.2.1")));
        assert_eq!(forwarded(&["2001:db8::1"]), Some(network("2001:db8::2")));
        assert_eq!(forwarded(&[]), None);
        for values in [
            &["192.0.2.1", "192.0.2.2"][..],
            &[""],
            &["a"],
            &["::1, ::2"],
        ] {
            assert_eq!(forwarded(values), None, "{values:?}");
        }
    }

    #[test]
    fn a_site_has_more_than_its_networks_and_not_all_that_they_have() {
        let seats = NetworkSeats::new(2);
        let take = |number: u32| seats.take(network(&format!("2001:db8:0:{number}::1")));
        let mut taken: Vec<_> = (0..4)
            .flat_map(|number| [take(number), take(number)])
            .collect();
        assert!(taken.iter().all(Option::is_some));
        assert!(take(9).is_none());
        assert!(seats.take(network("2001:db8:1::1")).is_some());
        taken.pop();
        // Who is refused by his network holds nothing of his site's.
        assert!(take(0).is_none());
        assert!(take(9).is_some());

        // An IPv4 address has no neighbours.
        let four = (1..=40).map(|number| seats.take(network(&format!("192.0.2.{number}"))));
        assert!(four.collect::<Vec<_>>().iter().all(Option::is_some));
    }
}
