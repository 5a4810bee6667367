//! Logs of accounts for whoever knows their id, and from whoever brings what is
//! missing of them here.

use std::sync::Arc;

use vault_proto::{
    account_log::{AccountLog, AccountLogError},
    ids::{AccountId, DeviceId},
    wire::SignedEntry,
};
use vault_rpc::hoster::{
    FetchAccountLogRequest, FetchAccountLogResponse, FindAccountRequest, FindAccountResponse,
    PutAccountLogRequest, PutAccountLogResponse, Reason,
};

use super::{
    Caller, Hoster,
    accounts::{check_length, removed_after, urgency},
    heads::News,
    refusal::Refusal,
    request,
    vaults::{ANSWER_BYTES, Room},
};
use crate::{
    net::Channel,
    store::{Copied, LogCopy, Standing, Urgency},
};

/// How often a copy is tried again that another caller came before.
const TRIES: usize = 8;

/// Why a log is not brought here.
const HOME_IS_HERE: &str = "The account's home is here: it begins with an invitation.";

/// A log with entries that are not here yet.
struct Longer {
    log: AccountLog,
    after: u64,
    entries: Vec<Vec<u8>>,
    urgency: Urgency,
}

impl Hoster {
    pub(crate) fn fetch_account_log(
        &self,
        channel: &Channel,
        request: &FetchAccountLogRequest,
    ) -> Result<FetchAccountLogResponse, Refusal> {
        self.counters.stranger(channel.network)?;
        let account = request::account(&request.account)?;
        let log = self.logs.account(&account)?;
        let log = log.ok_or_else(Refusal::no_such_account)?;
        let mut more = false;
        let entries = Room(ANSWER_BYTES).take(log.entries(), request.seq, &mut more);
        Ok(FetchAccountLogResponse { entries, more })
    }

    /// The same words for a device that never was here and for one that was
    /// removed.
    pub(crate) fn find_account(
        &self,
        channel: &Channel,
        request: &FindAccountRequest,
    ) -> Result<FindAccountResponse, Refusal> {
        self.counters.stranger(channel.network)?;
        let device = DeviceId::from_array(request::array(&request.device, "device")?);
        let refused = || Refusal::new(Reason::NotFound, "There is no account of this device here.");
        let account = self.ledger.account_of(&device)?.ok_or_else(refused)?;
        let log = self.logs.account(&account)?.ok_or_else(refused)?;
        if !log.is_active_at(&device, log.position().seq) {
            return Err(refused());
        }
        Ok(FindAccountResponse {
            account: account.to_vec(),
        })
    }

    /// Without a caller, only of an account that is known here already: a device
    /// that this log is too short for cannot log in to bring the rest of it. Where the
    /// home is here, that is after a backup was restored.
    pub(crate) fn put_account_log(
        &self,
        caller: Option<Caller>,
        request: PutAccountLogRequest,
    ) -> Result<PutAccountLogResponse, Refusal> {
        let account = request::account(&request.account)?;
        if caller.is_none() {
            // Before anything is verified for a stranger.
            let known = self.ledger.account(&account)?;
            known.ok_or_else(Refusal::no_such_account)?;
        }
        let entries = request.entries.into_iter();
        let entries = entries.map(|entry| request::entry(Some(entry)));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        if self.is_at_home(&account)? {
            return self.bring_home(&account, &entries);
        }
        for _ in 0..TRIES {
            let here = self.logs.account(&account)?;
            let longer = longer(here.as_deref(), &entries)?;
            if longer.log.id() != account {
                return Err(Refusal::malformed("The entries are another account's."));
            }
            if longer.entries.is_empty() {
                return Ok(PutAccountLogResponse { seq: longer.after });
            }
            let home = here.as_ref().map_or(longer.log.home(), |log| log.home());
            self.check_copied(caller, &longer, home == self.key.id())?;
            // Nobody is shut out of anything by an account that is new here.
            let urgency = match here {
                Some(_) => longer.urgency,
                None => Urgency::Ordinary,
            };
            if urgency == Urgency::Ordinary && self.packs.is_low()? {
                return Err(Refusal::disk_full());
            }
            let copied = self.ledger.put_account_log(&LogCopy {
                account,
                after: longer.after,
                entries: &longer.entries,
                removed: &removed_after(&longer.log, longer.after).collect::<Vec<_>>(),
                // One that is here is brought by nobody, and no guest brings himself.
                brought_by: caller.map_or(account, |caller| caller.account),
                urgency,
                now: self.clock.now(),
            })?;
            return match copied {
                Copied::Copied { log_seq } => {
                    // A device may be out.
                    self.feed.announce(News::Account(account));
                    Ok(PutAccountLogResponse { seq: log_seq })
                }
                Copied::LostRace => continue,
                Copied::NotAMember => Err(Refusal::forbidden(
                    "Only members of this hoster bring accounts that are new here.",
                )),
                Copied::TooManyGuests => Err(Refusal::too_large(
                    "This account has brought as many guests as a member may.",
                )),
                Copied::GuestsFull(fullness) => Err(Refusal::guests(fullness)),
                Copied::RecordsFull(fullness) => Err(Refusal::records(fullness)),
            };
        }
        Err(Refusal::lost_race())
    }

    /// Whether the account is a member, and its log is continued here.
    fn is_at_home(&self, account: &AccountId) -> Result<bool, Refusal> {
        let known = self.ledger.account(account)?;
        let is_member = known.is_some_and(|known| known.standing == Standing::Member);
        let log = self.logs.account(account)?;
        Ok(is_member && log.is_some_and(|log| log.home() == self.key.id()))
    }

    /// Appends what is missing here, each entry as if its device had sent it: this
    /// hoster has put them in this order before, and has lost them since.
    fn bring_home(
        &self,
        account: &AccountId,
        entries: &[(SignedEntry, Vec<u8>)],
    ) -> Result<PutAccountLogResponse, Refusal> {
        let log = self.logs.account(account)?;
        let mut log = log.ok_or_else(Refusal::no_such_account)?;
        if !entries.is_empty() {
            let log = Arc::make_mut(&mut log);
            for (entry, encoded) in entries {
                self.append_entry(log, entry, encoded)?;
            }
        }
        let seq = log.position().seq;
        Ok(PutAccountLogResponse { seq })
    }

    /// Whether the log is one that grows elsewhere, and not too long.
    fn check_copied(
        &self,
        caller: Option<Caller>,
        longer: &Longer,
        home_is_here: bool,
    ) -> Result<(), Refusal> {
        let account = self.ledger.account(&longer.log.id())?;
        let standing = account.map(|account| account.standing);
        if home_is_here && !standing.is_some_and(Standing::is_guest) {
            return Err(Refusal::forbidden(HOME_IS_HERE));
        }
        if standing.is_none() {
            self.check_member(
                caller.ok_or_else(Refusal::no_such_account)?,
                "Only members of this hoster bring accounts that are new here.",
            )?;
        }
        // Unlike an entry that is appended here, a removal comes with all that
        // went before it at its home; so there is an end to that too.
        let most = self.limits.account_log_bytes;
        check_length(longer.log.entries(), most, longer.urgency)
    }
}

/// What is here, continued by those entries that are new.
fn longer(
    here: Option<&AccountLog>,
    entries: &[(SignedEntry, Vec<u8>)],
) -> Result<Longer, Refusal> {
    let mut entries = entries.iter();
    let mut new = Vec::new();
    let mut log = match here {
        Some(log) => log.clone(),
        None => {
            let first = entries.next();
            let (genesis, encoded) = first.ok_or_else(Refusal::no_such_account)?;
            new.push((genesis, encoded));
            AccountLog::verify_genesis(genesis).map_err(|error| match error {
                // It begins in the middle.
                AccountLogError::NotGenesis => Refusal::no_such_account(),
                error => Refusal::invalid(&error),
            })?
        }
    };
    for (entry, encoded) in entries {
        match log.append(entry) {
            Ok(()) => new.push((entry, encoded)),
            Err(AccountLogError::Repeated { .. }) => {}
            Err(AccountLogError::Missing { .. }) => return Err(Refusal::lost_race()),
            Err(error) => return Err(Refusal::invalid(&error)),
        }
    }
    let cannot_wait = new
        .iter()
        .any(|(entry, _)| urgency(entry) == Urgency::Removal);
    Ok(Longer {
        log,
        after: here.map_or(0, |log| log.position().seq),
        entries: new.iter().map(|(_, encoded)| encoded.to_vec()).collect(),
        urgency: match cannot_wait {
            true => Urgency::CannotWait,
            false => Urgency::Ordinary,
        },
    })
}
