//! Hello, Login, and what every other call begins with: whose token it is.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use subtle::ConstantTimeEq;
use tonic::{Request, metadata::MetadataMap};
use vault_proto::{
    ids::{AccountId, DeviceId},
    login::{Hello, Login},
    origin::Origin,
};
use vault_rpc::hoster::{HelloRequest, HelloResponse, LoginRequest, LoginResponse, Reason};

use super::{Hoster, refusal::Refusal, request};
use crate::{
    clock::UnixTime,
    net::{Channel, Network, Proof},
    random,
    seats::Seat,
    store::{Standing, Token, TokenHash},
};

/// How long a server nonce waits for its login.
const NONCE_LIFETIME: Duration = Duration::from_secs(60);
/// How far a device's clock may be off.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(10 * 60);
/// How long a token is good for.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Who calls: a device that was active in its account's log a moment ago.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) account: AccountId,
    pub(crate) device: DeviceId,
}

/// Who has his share of what there is so much of for each: a member, or together
/// the guests that one brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Party {
    Member(AccountId),
    GuestsOf(AccountId),
}

impl Party {
    /// Who answers for it.
    pub(super) const fn member(self) -> AccountId {
        match self {
            Self::Member(account) | Self::GuestsOf(account) => account,
        }
    }
}

/// What a call brings besides its message.
pub(crate) struct Envelope {
    token: Option<TokenHash>,
    from: Option<Network>,
    proof: Proof,
}

impl Envelope {
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        Self {
            token: token_hash(request.metadata()),
            from: super::channel(request).network,
            proof: super::proof(request),
        }
    }
}

/// `BLAKE3-derive_key("coffre-server v1 token hash", token)`; `None` if the
/// metadata carries nothing that could be a token.
fn token_hash(metadata: &MetadataMap) -> Option<TokenHash> {
    let text = metadata.get("authorization")?.to_str().ok()?;
    let hex = text.strip_prefix("Bearer ")?;
    let token = data_encoding::HEXLOWER.decode(hex.as_bytes()).ok()?;
    (token.len() == 32).then(|| hash_token(&token))
}

fn hash_token(token: &[u8]) -> TokenHash {
    TokenHash(blake3::derive_key("coffre-server v1 token hash", token))
}

impl Hoster {
    /// Whose token a call carries. Without a good one it is counted as a stranger's.
    pub(crate) fn caller(&self, envelope: &Envelope) -> Result<Caller, Refusal> {
        let caller = match self.token_holder(envelope) {
            Err(refusal)
                if matches!(refusal.reason(), Reason::Unauthenticated | Reason::Removed) =>
            {
                self.counters.stranger(envelope.from)?;
                return Err(refusal);
            }
            found => found?,
        };
        envelope.proof.give();
        self.counters.call(&caller.device)?;
        Ok(caller)
    }

    fn token_holder(&self, envelope: &Envelope) -> Result<Caller, Refusal> {
        let refused = || Refusal::unauthenticated("Log in again.");
        let hash = envelope.token.ok_or_else(refused)?;
        let token = self.ledger.token(&hash)?.ok_or_else(refused)?;
        if token.expires <= self.clock.now() {
            return Err(refused());
        }
        let caller = Caller {
            account: token.account,
            device: token.device,
        };
        self.check_active(caller)?;
        Ok(caller)
    }

    /// Who calls, where a token is welcome and not needed. A token that is there
    /// must be good.
    pub(crate) fn caller_or_stranger(
        &self,
        envelope: &Envelope,
    ) -> Result<Option<Caller>, Refusal> {
        if envelope.token.is_some() {
            return self.caller(envelope).map(Some);
        }
        self.counters.stranger(envelope.from)?;
        Ok(None)
    }

    /// Whose share a caller's is.
    pub(super) fn party(&self, caller: Caller) -> Result<Party, Refusal> {
        let account = self.ledger.account(&caller.account)?;
        let account = account.ok_or_else(|| Refusal::unauthenticated("Log in again."))?;
        Ok(match account.standing {
            Standing::Member => Party::Member(account.id),
            Standing::Guest { brought_by } => Party::GuestsOf(brought_by),
        })
    }

    /// A place for one more watch or read, until it is dropped.
    pub(crate) fn stream_of(&self, caller: Caller) -> Result<Seat<Party>, Refusal> {
        let seat = self.streams.take(self.party(caller)?);
        seat.ok_or_else(Refusal::too_many)
    }

    /// A place for one more upload, until it is dropped.
    pub(super) fn upload_of(&self, caller: Caller) -> Result<Seat<Party>, Refusal> {
        let seat = self.uploads.take(self.party(caller)?);
        seat.ok_or_else(Refusal::too_many)
    }

    /// Whether the device is still one of its account's: a token is worth
    /// nothing from the moment in which its device is removed.
    pub(crate) fn check_active(&self, caller: Caller) -> Result<(), Refusal> {
        self.active_seq(caller).map(drop)
    }

    /// The newest entry of the account's log, by which the device is still one of
    /// its.
    pub(super) fn active_seq(&self, caller: Caller) -> Result<u64, Refusal> {
        let log = self.logs.account(&caller.account)?;
        let log = log.ok_or_else(Refusal::removed_device)?;
        let newest = log.position().seq;
        match log.is_active_at(&caller.device, newest) {
            true => Ok(newest),
            false => Err(Refusal::removed_device()),
        }
    }

    pub(crate) fn hello(
        &self,
        channel: &Channel,
        request: HelloRequest,
    ) -> Result<HelloResponse, Refusal> {
        self.counters.stranger(channel.network)?;
        let client_nonce = request::array(&request.client_nonce, "client_nonce")?;
        let origin = self.own_origin(&request.origin)?;
        let server_nonce = random::array()?;
        let now = self.clock.now();
        let hello = Hello {
            hoster: self.key.id(),
            client_nonce,
            server_nonce,
            time: now.seconds(),
            exporter: channel.exporter,
            origin,
        };
        let greeting = Greeting {
            client_nonce,
            channel: *channel,
            expires: now.plus(NONCE_LIFETIME),
        };
        self.nonces.remember(server_nonce, greeting);
        Ok(HelloResponse {
            hoster_key: self.key.public().to_vec(),
            server_nonce: server_nonce.to_vec(),
            time: hello.time,
            signature: self.key.sign(&hello).to_vec(),
        })
    }

    pub(crate) fn login(
        &self,
        channel: &Channel,
        request: LoginRequest,
    ) -> Result<LoginResponse, Refusal> {
        self.counters.stranger(channel.network)?;
        let client_nonce = request::array(&request.client_nonce, "client_nonce")?;
        let server_nonce = request::array(&request.server_nonce, "server_nonce")?;
        let signature = request::array(&request.signature, "signature")?;
        let account = AccountId::from_array(request::array(&request.account, "account")?);
        let device = DeviceId::from_array(request::array(&request.device, "device")?);
        let origin = self.own_origin(&request.origin)?;
        let now = self.clock.now();

        let greeting = self.nonces.take(&server_nonce, now);
        let fits = greeting.is_some_and(|greeting| {
            let same_nonce: bool = greeting.client_nonce.ct_eq(&client_nonce).into();
            same_nonce && greeting.channel == *channel
        });
        if !fits {
            return Err(Refusal::unauthenticated(
                "This login belongs to no greeting of the last minute. Try again.",
            ));
        }
        let theirs = UnixTime::from_seconds(request.time);
        let skew = now.distance(theirs);
        if skew > CLOCK_TOLERANCE {
            let direction = if theirs < now { "behind" } else { "ahead of" };
            return Err(Refusal::new(
                Reason::ClockSkew,
                format!(
                    "This device's clock is {} minutes {direction} the hoster's. Set it right and \
                     try again.",
                    skew.as_secs() / 60
                ),
            ));
        }
        // One sentence for an unknown account, an unknown device and a wrong
        // signature: who asks learns nothing about who is a member.
        let refused = || {
            Refusal::unauthenticated(
                "This hoster does not know such a device, or the login is not its own.",
            )
        };
        let log = self.logs.account(&account)?.ok_or_else(refused)?;
        let login = Login {
            hoster: self.key.id(),
            client_nonce,
            server_nonce,
            time: request.time,
            exporter: channel.exporter,
            account,
            device,
            origin,
        };
        login.verify(&log, &signature).map_err(|_| refused())?;
        self.counters.login(&device)?;

        let token = random::array()?;
        self.ledger.add_token(
            &hash_token(&token),
            &Token {
                account,
                device,
                expires: now.plus(TOKEN_LIFETIME),
            },
        )?;
        Ok(LoginResponse {
            token: token.to_vec(),
            lifetime_seconds: TOKEN_LIFETIME.as_secs(),
        })
    }

    /// The origin, if it is one of ours: else somebody was told to dial another
    /// hoster, and is being relayed.
    fn own_origin(&self, text: &str) -> Result<Origin, Refusal> {
        let origin = Origin::parse_exact(text)
            .map_err(|_| Refusal::malformed("The address that was dialled is no HOST:PORT."))?;
        if self.origins.is_empty() {
            return Err(Refusal::forbidden(
                "This hoster does not know where it is dialled: it has to be started with \
                 --public-address.",
            ));
        }
        if !self.origins.contains(&origin) {
            return Err(Refusal::forbidden(
                "The address that was dialled is not this hoster's.",
            ));
        }
        Ok(origin)
    }
}

/// What a login must fit to.
#[derive(Debug, Clone, Copy)]
struct Greeting {
    client_nonce: [u8; 32],
    channel: Channel,
    expires: UnixTime,
}

/// Server nonces that wait for their login: each is good for one.
#[derive(Default)]
pub(crate) struct Nonces(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    greetings: HashMap<[u8; 32], Greeting>,
    /// As they came, those whose login came too.
    order: VecDeque<[u8; 32]>,
}

impl Nonces {
    /// About 12 MB. When there are more, the oldest go: else whoever greets a lot
    /// would keep everybody out. A login follows its greeting within a second.
    const MOST: usize = 65_536;

    fn remember(&self, nonce: [u8; 32], greeting: Greeting) {
        let mut waiting = self.waiting();
        if waiting.order.len() >= Self::MOST
            && let Some(oldest) = waiting.order.pop_front()
        {
            waiting.greetings.remove(&oldest);
        }
        waiting.order.push_back(nonce);
        waiting.greetings.insert(nonce, greeting);
    }

    fn take(&self, nonce: &[u8; 32], now: UnixTime) -> Option<Greeting> {
        let greeting = self.waiting().greetings.remove(nonce)?;
        (greeting.expires > now).then_some(greeting)
    }

    /// Forgets the nonces whose minute is over.
    pub(crate) fn sweep(&self, now: UnixTime) {
        let waiting = &mut *self.waiting();
        let Waiting { greetings, order } = waiting;
        greetings.retain(|_, greeting| greeting.expires > now);
        order.retain(|nonce| greetings.contains_key(nonce));
        greetings.shrink_to_fit();
        order.shrink_to_fit();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_seconds(1_800_000_000);

    fn nonce(number: usize) -> [u8; 32] {
        let mut nonce = [0; 32];
        nonce[..8].copy_from_slice(&number.to_be_bytes());
        nonce
    }

    #[test]
    fn the_newest_greetings_are_kept_however_many_there_are() {
        let nonces = Nonces::default();
        let remember = |number| {
            let greeting = Greeting {
                client_nonce: nonce(number),
                channel: Channel::default(),
                expires: NOW.plus(NONCE_LIFETIME),
            };
            nonces.remember(nonce(number), greeting);
        };
        let most = Nonces::MOST;
        (0..most).for_each(remember);
        assert!(nonces.take(&nonce(1), NOW).is_some());
        (most..most + 2).for_each(remember);
        assert!(nonces.take(&nonce(0), NOW).is_none());
        for number in [2, most - 1, most, most + 1] {
            let greeting = nonces.take(&nonce(number), NOW).unwrap();
            assert_eq!(greeting.client_nonce, nonce(number));
            assert!(nonces.take(&nonce(number), NOW).is_none(), "good for one");
        }
        // Neither does whoever goes on to log in fill any memory.
        for number in 0..2 * most {
            remember(number);
            nonces.take(&nonce(number), NOW);
        }
        assert_eq!(nonces.waiting().order.len(), most);
        let over = NOW.plus(NONCE_LIFETIME);
        remember(7);
        assert!(nonces.take(&nonce(7), over).is_none());
        remember(8);
        nonces.sweep(over);
        assert_eq!(nonces.waiting().greetings.len(), 0);
        assert_eq!(nonces.waiting().order.len(), 0);
    }
}
