//! Hello, Login, and what every other call begins with: whose token it is.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
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
    net::Channel,
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
}

impl Envelope {
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        Self {
            token: token_hash(request.metadata()),
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
    /// Whose token a call carries.
    pub(crate) fn caller(&self, envelope: &Envelope) -> Result<Caller, Refusal> {
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
        self.counters.call(&caller.device)?;
        Ok(caller)
    }

    /// Who calls, where a token is welcome and not needed. A token that is there
    /// must be good.
    pub(crate) fn caller_or_stranger(
        &self,
        envelope: &Envelope,
        channel: &Channel,
    ) -> Result<Option<Caller>, Refusal> {
        if envelope.token.is_some() {
            return self.caller(envelope).map(Some);
        }
        self.counters.stranger(channel.network)?;
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
        let log = self.logs.account(&caller.account)?;
        let active = log.is_some_and(|log| log.is_active_at(&caller.device, log.position().seq));
        if active {
            Ok(())
        } else {
            Err(Refusal::removed_device())
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
        self.nonces.remember(server_nonce, greeting, now)?;
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
pub(crate) struct Nonces(Mutex<HashMap<[u8; 32], Greeting>>);

impl Nonces {
    /// As many logins may begin within a minute; about 10 MB.
    const MOST: usize = 65_536;

    fn remember(&self, nonce: [u8; 32], greeting: Greeting, now: UnixTime) -> Result<(), Refusal> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= Self::MOST {
            waiting.retain(|_, greeting| greeting.expires > now);
        }
        if waiting.len() >= Self::MOST {
            return Err(Refusal::too_slow(
                "Too many logins at once. Try again in a minute.",
            ));
        }
        waiting.insert(nonce, greeting);
        Ok(())
    }

    fn take(&self, nonce: &[u8; 32], now: UnixTime) -> Option<Greeting> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let greeting = waiting.remove(nonce)?;
        (greeting.expires > now).then_some(greeting)
    }

    /// Forgets the nonces whose minute is over.
    pub(crate) fn sweep(&self, now: UnixTime) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, greeting| greeting.expires > now);
        waiting.shrink_to_fit();
    }
}
