//! Accounts: from an invitation to a log that grows.

use vault_proto::account_log::{AccountLog, AccountLogError};
use vault_rpc::hoster::{
    AppendAccountEntryRequest, AppendAccountEntryResponse, CreateAccountRequest,
    CreateAccountResponse, Reason, UsageResponse,
};

use super::{Caller, Hoster, refusal::Refusal, request};
use crate::store::{AccountCreation, Appended, InvitationHash, NewAccount};

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
        request: CreateAccountRequest,
    ) -> Result<CreateAccountResponse, Refusal> {
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
        let log = self.logs.account(&caller.account)?;
        let mut log = log.map_or_else(
            || Err(Refusal::unauthenticated("Log in again.")),
            |log| Ok(AccountLog::clone(&log)),
        )?;
        let home = log.home();
        match log.append(&entry) {
            Ok(()) => {}
            // Sent again, byte for byte, because the first answer was lost.
            Err(AccountLogError::Repeated { .. }) => return Ok(AppendAccountEntryResponse {}),
            Err(AccountLogError::Fork { .. } | AccountLogError::Missing { .. }) => {
                return Err(Refusal::lost_race());
            }
            Err(error) => return Err(Refusal::invalid(&error)),
        }
        if home != self.key.id() {
            return Err(Refusal::moved());
        }
        let seq = log.position().seq;
        let appended = self
            .ledger
            .append_account_entry(&caller.account, seq, &encoded)?;
        match appended {
            Appended::Appended => Ok(AppendAccountEntryResponse {}),
            Appended::LostRace { .. } => Err(Refusal::lost_race()),
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
        })
    }
}
