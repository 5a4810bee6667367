//! How much one device, or one network address, may ask for.

use std::{hash::Hash, num::NonZeroU32, time::Duration};

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use vault_proto::ids::DeviceId;

use super::refusal::Refusal;
use crate::{
    net::{Network, Site},
    store::LinkId,
};

/// So many at once, and one more as often.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// How many at once.
    pub burst: NonZeroU32,
    /// How often one more; never zero.
    pub every: Duration,
}

impl Rate {
    /// What a site has, where this is for each network.
    fn of_a_site(self) -> Self {
        let networks = NonZeroU32::new(Site::NETWORKS).unwrap_or(NonZeroU32::MIN);
        Self {
            burst: self.burst.saturating_mul(networks),
            every: self.every / Site::NETWORKS,
        }
    }
}

/// What is refused as too many.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// Calls of a device that has logged in.
    pub calls: Rate,
    /// Logins of a device that proved who it is.
    pub logins: Rate,
    /// Calls without a good token from one network, whoever it is: an IPv4 address,
    /// or the first 64 bits of an IPv6 address. A site (48 bits) has four times as
    /// many. Behind a reverse proxy it is the proxy that says who calls; where it
    /// does not, they cannot be told apart.
    pub strangers: Rate,
    /// Downloads of one link that one network begins, or one site.
    pub openings: Rate,
}

impl Default for Rates {
    /// 4,000 calls and 200 a second, 200 logins and one every two seconds, 600
    /// of strangers and 10 a second, 256 openings of a link and one every five minutes.
    fn default() -> Self {
        let rate = |burst, every| Rate {
            burst: NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN),
            every: Duration::from_millis(every),
        };
        Self {
            calls: rate(4000, 5),
            logins: rate(200, 2000),
            strangers: rate(600, 100),
            openings: rate(256, 300_000),
        }
    }
}

/// Counts, in memory alone.
pub(crate) struct Counters {
    calls: DefaultKeyedRateLimiter<DeviceId>,
    logins: DefaultKeyedRateLimiter<DeviceId>,
    strangers: DefaultKeyedRateLimiter<Network>,
    strange_sites: DefaultKeyedRateLimiter<Site>,
    openings: DefaultKeyedRateLimiter<(LinkId, Network)>,
    openings_of_sites: DefaultKeyedRateLimiter<(LinkId, Site)>,
}

impl Counters {
    pub(super) fn new(rates: &Rates) -> Self {
        Self {
            calls: limiter(rates.calls),
            logins: limiter(rates.logins),
            strangers: limiter(rates.strangers),
            strange_sites: limiter(rates.strangers.of_a_site()),
            openings: limiter(rates.openings),
            openings_of_sites: limiter(rates.openings),
        }
    }

    /// A call of this device, whose token was good.
    pub(super) fn call(&self, device: &DeviceId) -> Result<(), Refusal> {
        count(&self.calls, device)
    }

    /// A login of this device, whose signature was good: nobody can use up
    /// another's.
    pub(super) fn login(&self, device: &DeviceId) -> Result<(), Refusal> {
        count(&self.logins, device)
    }

    /// A call of somebody who has proved nothing.
    pub(super) fn stranger(&self, from: Option<Network>) -> Result<(), Refusal> {
        let Some(from) = from else {
            return Ok(());
        };
        count(&self.strangers, &from)?;
        let site = from.site();
        site.map_or(Ok(()), |site| count(&self.strange_sites, &site))
    }

    /// A download of a link that is begun.
    pub(super) fn opening(&self, link: LinkId, from: Option<Network>) -> Result<(), Refusal> {
        match from.map(|from| (from, from.site())) {
            None => Ok(()),
            Some((_, Some(site))) => count(&self.openings_of_sites, &(link, site)),
            Some((network, None)) => count(&self.openings, &(link, network)),
        }
    }

    /// Forgets who was quiet for long enough.
    pub(crate) fn sweep(&self) {
        for limiter in [&self.calls, &self.logins] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        self.strangers.retain_recent();
        self.strangers.shrink_to_fit();
        self.strange_sites.retain_recent();
        self.strange_sites.shrink_to_fit();
        self.openings.retain_recent();
        self.openings.shrink_to_fit();
        self.openings_of_sites.retain_recent();
        self.openings_of_sites.shrink_to_fit();
    }
}

fn limiter<K: Hash + Eq + Clone>(rate: Rate) -> DefaultKeyedRateLimiter<K> {
    // A period of zero would be no limit; the shortest there is comes closest.
    let every = rate.every.max(Duration::from_nanos(1));
    let quota = Quota::with_period(every).unwrap_or_else(|| Quota::per_second(rate.burst));
    RateLimiter::keyed(quota.allow_burst(rate.burst))
}

fn count<K: Hash + Eq + Clone>(
    limiter: &DefaultKeyedRateLimiter<K>,
    key: &K,
) -> Result<(), Refusal> {
    limiter.check_key(key).map_err(|_| Refusal::too_many())
}
