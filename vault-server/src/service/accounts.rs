//! Accounts: from an invitation to a log that grows.

use prost::Message;
use vault_proto::{
    account_log::{AccountLog, AccountLogError},
    ids::DeviceId,
    wire::{AccountEntry, SignedEntry},
};
use vault_rpc::hoster::{
    AppendAccountEntryRequest, AppendAccountEntryResponse, CreateAccountRequest,
    CreateAccountResponse, Reason, UsageResponse,
};

use super::{Caller, Hoster, heads::News, refusal::Refusal, request};
use crate::{
    net::Channel,
    store::{
        AccountCreation, Appended, InvitationHash, LedgerError, NewAccount, NewAccountEntry,
        Standing, Urgency,
    },
};

/// `BLAKE3-derive_key("coffre-server v1 invitation hash", secret)`
pub(crate) fn hash_invitation(secret: &[u8; 32]) -> InvitationHash {
    InvitationHash(blake3::derive_key(
        "coffre-server v1 invitation hash",
        secret,
    ))
}

impl Hoster {
    pub(crate) fn create_account(
        &self,
        channel: &Channel,
        request: CreateAccountRequest,
    ) -> Result<CreateAccountResponse, Refusal> {
        self.counters.stranger(channel.network)?;
        let secret = request::array(&request.invitation, "invitation")?;
        let (entry, genesis) = request::entry(request.genesis)?;
        let log = AccountLog::verify_genesis(&entry).map_err(|error| Refusal::invalid(&error))?;
        if log.home() != self.key.id() {
            return Err(Refusal::forbidden(
                "The account was made for another hoster.",
            ));
        }
        let created = self.ledger.create_account(&NewAccount {
            invitation: hash_invitation(&secret),
            id: log.id(),
            genesis: &genesis,
            devices: &added(&log).collect::<Vec<_>>(),
            now: self.clock.now(),
        })?;
        let (reason, message) = match created {
            AccountCreation::Created { quota_bytes } => {
                return Ok(CreateAccountResponse { quota_bytes });
            }
            AccountCreation::Unknown => (
                Reason::InvitationUnknown,
                "This hoster made no such invitation. Check that it was copied whole.",
            ),
            AccountCreation::Expired => (
                Reason::InvitationExpired,
                "The invitation has expired. Ask the hoster for a new one.",
            ),
            AccountCreation::Used => (
                Reason::InvitationUsed,
                "The invitation was used already. Ask the hoster for another one.",
            ),
            AccountCreation::Exists => (
                Reason::Forbidden,
                "The account is there already, from another invitation.",
            ),
        };
        Err(Refusal::new(reason, message))
    }

    pub(crate) fn append_account_entry(
        &self,
        caller: Caller,
        request: AppendAccountEntryRequest,
    ) -> Result<AppendAccountEntryResponse, Refusal> {
        let (entry, encoded) = request::entry(request.entry)?;
        self.check_member(
            caller,
            "A guest's log grows at its home, and is brought here from there.",
        )?;
        let log = self.logs.account(&caller.account)?;
        let log = log.ok_or_else(|| Refusal::unauthenticated("Log in again."))?;
        self.append_entry(&mut AccountLog::clone(&log), &entry, &encoded)?;
        Ok(AppendAccountEntryResponse {})
    }

    /// Appends to the log of an account whose home is here, in the ledger and in `log`,
    /// which is what the ledger has. An entry that stands there already succeeds.
    pub(super) fn append_entry(
        &self,
        log: &mut AccountLog,
        entry: &SignedEntry,
        encoded: &[u8],
    ) -> Result<(), Refusal> {
        let account = log.id();
        let home = log.home();
        match log.append(entry) {
            Ok(()) => {}
            // Sent again, byte for byte, because the first answer was lost.
            Err(AccountLogError::Repeated { .. }) => return Ok(()),
            Err(AccountLogError::Fork { .. } | AccountLogError::Missing { .. }) => {
                return Err(Refusal::lost_race());
            }
            Err(error) => return Err(Refusal::invalid(&error)),
        }
        if home != self.key.id() {
            return Err(Refusal::moved());
        }
        let urgency = urgency(entry);
        check_length(log.entries(), self.limits.account_log_bytes, urgency)?;
        let appended = self.ledger.append_account_entry(&NewAccountEntry {
            account,
            seq: log.position().seq,
            entry: encoded,
            added: added(log).next(),
            removed: removed_after(log, log.position().seq - 1).next(),
            urgency,
        })?;
        match appended {
            Appended::Appended => {
                // A device may be out.
                self.feed.announce(News::Account(account));
                Ok(())
            }
            Appended::LostRace { .. } => Err(Refusal::lost_race()),
            Appended::RecordsFull(fullness) => Err(Refusal::records(fullness)),
            // An account's own log adds nobody to a vault.
            Appended::BoxFull => Err(Refusal::internal(&LedgerError::Damaged(
                "an entry of an account adds a member",
            ))),
        }
    }

    /// # Errors
    /// Says `otherwise` to a guest.
    pub(super) fn check_member(&self, caller: Caller, otherwise: &str) -> Result<(), Refusal> {
        let account = self.ledger.account(&caller.account)?;
        let account = account.ok_or_else(|| Refusal::unauthenticated("Log in again."))?;
        match account.standing {
            Standing::Member => Ok(()),
            Standing::Guest { .. } => Err(Refusal::forbidden(otherwise)),
        }
    }

    pub(crate) fn usage(&self, caller: Caller) -> Result<UsageResponse, Refusal> {
        let account = self.ledger.account(&caller.account)?;
        let account = account.ok_or_else(|| Refusal::unauthenticated("Log in again."))?;
        Ok(UsageResponse {
            quota_bytes: account.quota_bytes,
            committed_bytes: account.usage.committed_bytes,
            unclaimed_bytes: account.usage.unclaimed_bytes,
            trash_bytes: account.usage.trash_bytes,
            record_bytes: account.record_bytes,
            record_limit_bytes: self.ledger.record_limit(&account),
        })
    }
}

/// The devices that the newest entry brought.
pub(super) fn added(log: &AccountLog) -> impl Iterator<Item = DeviceId> {
    let seq = log.position().seq;
    let new = log.devices().filter(move |device| device.added_seq == seq);
    new.map(|device| device.public.id())
}

/// The devices that entries after this one removed.
pub(super) fn removed_after(log: &AccountLog, seq: u64) -> impl Iterator<Item = DeviceId> {
    let devices = log.devices();
    let removed = devices.filter(move |device| device.removed_seq.is_some_and(|at| at > seq));
    removed.map(|device| device.public.id())
}

/// What takes somebody's access away, or the log elsewhere, is taken in any case.
/// There are no more of these than ordinary entries that came before them.
pub(super) fn urgency(entry: &SignedEntry) -> Urgency {
    use vault_proto::wire::account_entry::Body;
    // It was verified a moment ago, so it decodes.
    let body = AccountEntry::decode(&entry.payload[..]).map(|entry| entry.body);
    match body {
        Ok(Some(Body::RemoveDevice(_) | Body::Moved(_))) => Urgency::Removal,
        _ => Urgency::Ordinary,
    }
}

/// # Errors
/// If the log is longer than it may be.
pub(super) fn check_length(
    entries: &[SignedEntry],
    limit_bytes: usize,
    urgency: Urgency,
) -> Result<(), Refusal> {
    let most = match urgency {
        Urgency::Ordinary => limit_bytes,
        Urgency::CannotWait => limit_bytes.saturating_mul(2),
        Urgency::Removal => return Ok(()),
    };
    let bytes: usize = entries.iter().map(Message::encoded_len).sum();
    match bytes > most {
        true => Err(Refusal::log_full(limit_bytes)),
        false => Ok(()),
    }
}
