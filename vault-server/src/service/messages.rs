//! Messages between two who know a secret: kept in memory, for a quarter of an
//! hour, under a name that says nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::broadcast, time::Instant};
use tonic::Status;
use vault_rpc::hoster::{
    AwaitMessageRequest, AwaitMessageResponse, PutMessageRequest, PutMessageResponse,
};

use super::{Hoster, refusal::Refusal, request};
use crate::{
    clock::UnixTime,
    net::{Channel, Network, NetworkSeat, NetworkSeats, Site},
    seats::{Seat, Seats},
};

/// The most bytes of a message.
const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// How long a message is kept.
const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long one call waits for it.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

type Name = [u8; 32];

/// How much the relay keeps, and for how many.
#[derive(Debug, Clone, Copy)]
pub struct Relay {
    /// The most messages,
    pub messages: usize,
    /// and from one network; from a site, four times as many. Where a reverse proxy
    /// does not say who calls there is no telling.
    pub messages_of_one: usize,
    /// The most calls that wait for one,
    pub waits: usize,
    /// and from one network; from a site, four times as many.
    pub waits_of_one: usize,
}

impl Default for Relay {
    /// 512 messages, so 32 MiB at most, 32 of them from one network; and 1,024
    /// waits, 64 of them.
    fn default() -> Self {
        Self {
            messages: 512,
            messages_of_one: 32,
            waits: 1024,
            waits_of_one: 64,
        }
    }
}

struct Message {
    bytes: Vec<u8>,
    from: Option<Network>,
    expires: UnixTime,
}

/// The messages that are there, and who waits for more.
pub(crate) struct Messages {
    limits: Relay,
    kept: Mutex<HashMap<Name, Message>>,
    /// The names of those that come.
    announced: broadcast::Sender<Name>,
    waits: Arc<Seats<()>>,
    waits_of_one: NetworkSeats,
}

impl Messages {
    pub(super) fn new(limits: Relay) -> Self {
        Self {
            limits,
            kept: Mutex::default(),
            announced: broadcast::Sender::new(64),
            waits: Seats::new(limits.waits),
            waits_of_one: NetworkSeats::new(limits.waits_of_one),
        }
    }

    fn put(
        &self,
        name: Name,
        bytes: Vec<u8>,
        from: Option<Network>,
        now: UnixTime,
    ) -> Result<(), Refusal> {
        let mut kept = self.kept();
        kept.retain(|_, message| message.expires > now);
        if let Some(there) = kept.get(&name) {
            return match there.bytes == bytes {
                true => Ok(()),
                false => Err(Refusal::forbidden(
                    "There is another message under this name.",
                )),
            };
        }
        let most = self.limits.messages_of_one;
        let too_many = from.is_some_and(|from| {
            let senders = || kept.values().filter_map(|message| message.from);
            let of_one = senders().filter(|other| *other == from).count();
            let of_site = match from.site() {
                Some(site) => senders().filter(|other| other.site() == Some(site)).count(),
                None => 0,
            };
            of_one >= most || of_site >= most.saturating_mul(Site::NETWORKS as usize)
        });
        if too_many || kept.len() >= self.limits.messages {
            return Err(Refusal::too_many());
        }
        let expires = now.plus(LIFETIME);
        let message = Message {
            bytes,
            from,
            expires,
        };
        kept.insert(name, message);
        drop(kept);
        // That nobody waits is no error.
        let _ = self.announced.send(name);
        Ok(())
    }

    fn find(&self, name: &Name, now: UnixTime) -> Option<Vec<u8>> {
        let kept = self.kept();
        let message = kept.get(name).filter(|message| message.expires > now)?;
        Some(message.bytes.clone())
    }

    /// A place to wait, until it is dropped.
    fn seat(&self, from: Option<Network>) -> Result<(Seat<()>, Option<NetworkSeat>), Refusal> {
        let one = match from {
            Some(from) => {
                let seat = self.waits_of_one.take(from);
                Some(seat.ok_or_else(Refusal::too_many)?)
            }
            None => None,
        };
        let seat = self.waits.take(()).ok_or_else(Refusal::too_many)?;
        Ok((seat, one))
    }

    /// Forgets those whose time is over.
    pub(crate) fn sweep(&self, now: UnixTime) {
        let mut kept = self.kept();
        kept.retain(|_, message| message.expires > now);
        kept.shrink_to_fit();
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Name, Message>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a message. Nothing of this touches the disk.
pub(crate) fn put(
    hoster: &Hoster,
    channel: &Channel,
    request: PutMessageRequest,
) -> Result<PutMessageResponse, Refusal> {
    hoster.counters.stranger(channel.network)?;
    let name = request::array(&request.name, "name")?;
    if request.message.is_empty() {
        return Err(Refusal::malformed("The message is empty."));
    }
    if request.message.len() > MAX_MESSAGE_BYTES {
        return Err(Refusal::too_large(format!(
            "A message has at most {MAX_MESSAGE_BYTES} bytes."
        )));
    }
    let now = hoster.clock.now();
    let messages = &hoster.messages;
    messages.put(name, request.message, channel.network, now)?;
    Ok(PutMessageResponse {})
}

/// Waits for a message, on no thread.
pub(crate) async fn wait(
    hoster: &Hoster,
    channel: &Channel,
    request: AwaitMessageRequest,
) -> Result<AwaitMessageResponse, Status> {
    hoster.counters.stranger(channel.network)?;
    let name: Name = request::array(&request.name, "name")?;
    let _seat = hoster.messages.seat(channel.network)?;
    let wait = Duration::from_millis(request.wait_milliseconds.into());
    let until = Instant::now() + wait.min(LONGEST_WAIT);
    // Before the first look, so that none falls in between.
    let mut announced = hoster.messages.announced.subscribe();
    let mut stopping = hoster.feed.stopping();
    loop {
        let message = hoster.messages.find(&name, hoster.clock.now());
        if let Some(message) = message {
            return Ok(AwaitMessageResponse { message });
        }
        loop {
            tokio::select! {
                came = announced.recv() => match came {
                    Ok(other) if other != name => {}
                    // If too many came, one of them may have been this one.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => break,
                    Err(broadcast::error::RecvError::Closed) => {
                        return Ok(AwaitMessageResponse::default());
                    }
                },
                () = tokio::time::sleep_until(until) => {
                    return Ok(AwaitMessageResponse::default());
                }
                _ = stopping.changed() => return Ok(AwaitMessageResponse::default()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

    fn network(last: u8) -> Option<Network> {
        Some(Network::of([192, 0, 2, last].into()))
    }

    #[test]
    fn the_networks_of_a_site_share_what_four_have() {
        let messages = Messages::new(Relay {
            messages_of_one: 1,
            ..Relay::default()
        });
        let put = |name: u8, from: &str| {
            let from = Some(Network::of(from.parse().unwrap()));
            messages.put([name; 32], vec![name], from, NOW).is_ok()
        };
        for number in 0..4 {
            assert!(put(number, &format!("2001:db8:0:{number}::1")));
        }
        assert!(!put(4, "2001:db8:0:4::1"));
        assert!(put(4, "2001:db8:1::1"));
    }

    #[test]
    fn so_many_are_kept_for_so_long() {
        let messages = Messages::new(Relay {
            messages: 3,
            messages_of_one: 2,
            ..Relay::default()
        });
        let put = |name, from, now| messages.put([name; 32], vec![name], from, now).is_ok();
        assert!(put(1, network(1), NOW) && put(2, network(1), NOW));
        assert!(!put(3, network(1), NOW), "two from one network");
        // What is there needs no room.
        assert!(put(1, network(1), NOW));
        assert!(put(3, network(2), NOW));
        assert!(!put(4, network(3), NOW), "three altogether");
        let later = UnixTime::from_seconds(NOW.seconds() + 899);
        assert_eq!(messages.find(&[1; 32], later), Some(vec![1]));
        assert!(!put(4, network(3), later));
        let over = NOW.plus(LIFETIME);
        assert_eq!(messages.find(&[1; 32], over), None);
        assert!(put(4, network(1), over) && put(5, network(1), over));
        messages.sweep(over.plus(LIFETIME));
        assert_eq!(messages.kept().len(), 0);
    }

    #[test]
    fn behind_a_proxy_all_share_what_there_is() {
        let messages = Messages::new(Relay {
            messages: 3,
            messages_of_one: 1,
            waits: 2,
            waits_of_one: 1,
        });
        let put = |name| messages.put([name; 32], vec![name], None, NOW).is_ok();
        assert!(put(1) && put(2) && put(3) && !put(4));
        let _both = [messages.seat(None).unwrap(), messages.seat(None).unwrap()];
        assert!(messages.seat(None).is_err());
    }

    #[test]
    fn one_network_has_so_many_waits() {
        let messages = Messages::new(Relay {
            waits: 2,
            waits_of_one: 1,
            ..Relay::default()
        });
        let first = messages.seat(network(1)).unwrap();
        assert!(messages.seat(network(1)).is_err());
        let _second = messages.seat(network(2)).unwrap();
        assert!(messages.seat(network(3)).is_err());
        drop(first);
        // Those that were refused hold no place.
        messages.seat(network(3)).unwrap();
        messages.seat(network(1)).unwrap();
    }
}
