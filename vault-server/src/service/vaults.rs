//! Vaults: their logs, and all that is new in one.

use std::{collections::BTreeSet, sync::Arc};

use prost::Message;
use vault_proto::{
    head::{UnverifiedHead, skip_path},
    ids::{AccountId, HosterId, VaultId},
    position::HeadPosition,
    vault_log::{MemberState, Role, VaultLog, VaultLogError},
    wire::{SignedEntry, VaultEntry},
};
use vault_rpc::hoster::{
    AccountEntries, AppendVaultEntryRequest, AppendVaultEntryResponse, CreateVaultRequest,
    CreateVaultResponse, ListVaultsResponse, ListedVault, Reason, SyncVaultRequest,
    SyncVaultResponse,
};

use super::{Caller, Hoster, accounts::check_length, heads::News, refusal::Refusal, request};
use crate::store::{Appended, LinksEnd, NewVault, NewVaultEntry, Urgency, VaultCreation};

/// How many bytes of entries one answer carries, when that is not one entry.
pub(super) const ANSWER_BYTES: usize = 768 << 10;

/// A vault that the caller is a member of.
pub(crate) struct Membership {
    pub(crate) log: Arc<VaultLog>,
    state: MemberState,
}

impl Membership {
    pub(crate) fn is_manager(&self) -> bool {
        self.state.accepted && self.state.role == Role::Manager
    }

    /// # Errors
    /// If the member may not upload and commit.
    pub(crate) fn check_may_write(&self) -> Result<(), Refusal> {
        if !self.state.accepted {
            return Err(Refusal::forbidden(
                "The membership of this vault has to be accepted first.",
            ));
        }
        if self.state.role < Role::Writer {
            return Err(Refusal::forbidden("This vault may be read, not changed."));
        }
        Ok(())
    }
}

impl Hoster {
    /// The vault's log, if the caller is a member; else there is no such vault,
    /// whatever is true.
    pub(crate) fn membership(
        &self,
        caller: Caller,
        vault: &VaultId,
    ) -> Result<Membership, Refusal> {
        let log = self.logs.vault(vault)?;
        let log = log.ok_or_else(Refusal::no_such_vault)?;
        let state = log.member(&caller.account);
        let state = state.ok_or_else(Refusal::no_such_vault)?;
        Ok(Membership { log, state })
    }

    /// As [`membership`](Self::membership), of one who may write, in a vault
    /// whose home is here.
    pub(crate) fn writable(&self, caller: Caller, vault: &VaultId) -> Result<Membership, Refusal> {
        let membership = self.membership(caller, vault)?;
        membership.check_may_write()?;
        if membership.log.home() != self.key.id() {
            return Err(Refusal::moved());
        }
        Ok(membership)
    }

    pub(crate) fn create_vault(
        &self,
        caller: Caller,
        request: CreateVaultRequest,
    ) -> Result<CreateVaultResponse, Refusal> {
        self.check_member(caller, "A guest makes vaults at its home.")?;
        let (entry, genesis) = request::entry(request.genesis)?;
        let log = self.logs.vault_genesis(&entry)?;
        let log = log.map_err(|error| Refusal::invalid(&error))?;
        if log.creator() != caller.account {
            return Err(Refusal::forbidden("The vault was made by another member."));
        }
        if log.home() != self.key.id() {
            return Err(Refusal::forbidden("The vault was made for another hoster."));
        }
        let created = self.ledger.create_vault(&NewVault {
            id: log.id(),
            kind: log.kind().to_wire(),
            creator: caller.account,
            genesis: &genesis,
        })?;
        match created {
            VaultCreation::Created | VaultCreation::Exists => Ok(CreateVaultResponse {}),
            VaultCreation::RecordsFull(fullness) => Err(Refusal::records(fullness)),
            VaultCreation::NoSuchAccount => Err(Refusal::unauthenticated("Log in again.")),
        }
    }

    pub(crate) fn append_vault_entry(
        &self,
        caller: Caller,
        request: AppendVaultEntryRequest,
    ) -> Result<AppendVaultEntryResponse, Refusal> {
        let vault = request::vault(&request.vault)?;
        let (entry, encoded) = request::entry(request.entry)?;
        let membership = self.membership(caller, &vault)?;
        let before = membership.log;
        let mut after = VaultLog::clone(&before);
        match self.logs.append(&mut after, &entry)? {
            Ok(()) => {}
            // Sent again, byte for byte, because the first answer was lost.
            Err(VaultLogError::Repeated { .. }) => return Ok(AppendVaultEntryResponse {}),
            Err(
                VaultLogError::Fork { .. }
                | VaultLogError::Missing { .. }
                | VaultLogError::OlderHead { .. }
                | VaultLogError::HeadFork { .. },
            ) => return Err(Refusal::lost_race()),
            Err(error) => return Err(Refusal::invalid(&error)),
        }
        if before.home() != self.key.id() {
            return Err(Refusal::moved());
        }
        let urgency = urgency(&entry, &before, &after);
        check_length(after.entries(), self.limits.vault_log_bytes, urgency)?;
        let members = |log: &VaultLog| -> BTreeSet<AccountId> {
            log.members().map(|(account, _)| account).collect()
        };
        let before_log = before;
        let (before, now) = (members(&before_log), members(&after));
        let accepted = now
            .iter()
            .find(|account| has_accepted(&after, account) && !has_accepted(&before_log, account));
        let left = before.difference(&now).next().copied();
        let appended = self.ledger.append_vault_entry(&NewVaultEntry {
            vault,
            seq: after.position().seq,
            head: self.current_head(&vault, after.pinned_head())?,
            entry: &encoded,
            joined: now.difference(&before).next().copied(),
            accepted: accepted.copied(),
            left,
            links_end: links_end(&before_log, &after, self.key.id()),
            urgency,
        })?;
        match appended {
            Appended::Appended => {
                if left.is_some() {
                    self.feed.announce(News::Vault(vault));
                }
                Ok(AppendVaultEntryResponse {})
            }
            Appended::LostRace { .. } => Err(Refusal::lost_race()),
            Appended::RecordsFull(fullness) => Err(Refusal::records(fullness)),
            Appended::BoxFull => Err(Refusal::new(
                Reason::BoxFull,
                "As many vaults wait to be accepted by this account, or as many of one member, \
                 as the hoster lets wait.",
            )),
        }
    }

    /// The head that an entry names, as this hoster has it: where the newest head
    /// has taken the place of the one named, because that was lost here, it is
    /// that one.
    fn current_head(
        &self,
        vault: &VaultId,
        named: Option<HeadPosition>,
    ) -> Result<Option<HeadPosition>, Refusal> {
        let Some(named) = named else {
            return Ok(None);
        };
        let Some(held) = self.ledger.head(vault, named.seq)? else {
            return Ok(Some(named));
        };
        let Ok(held) = UnverifiedHead::decode(&held.signed) else {
            return Ok(Some(named));
        };
        let makes_up = held.claims().reconciled == Some(named.hash);
        Ok(Some(if makes_up { held.position() } else { named }))
    }

    pub(crate) fn list_vaults(&self, caller: Caller) -> Result<ListVaultsResponse, Refusal> {
        let mut vaults = Vec::new();
        for id in self.ledger.vaults_of(&caller.account)? {
            if let Some(vault) = self.ledger.vault(&id)? {
                vaults.push(ListedVault {
                    vault: id.to_vec(),
                    kind: vault.kind.into(),
                });
            }
        }
        Ok(ListVaultsResponse { vaults })
    }

    /// What the caller has not verified yet, in the order in which he can:
    /// account entries, then vault entries, then heads and the root. Who was a member
    /// is shown the log up to the entry that put him out, and nothing else: else he could
    /// not tell that from a hoster that hides the vault.
    pub(crate) fn sync_vault(
        &self,
        caller: Caller,
        request: &SyncVaultRequest,
    ) -> Result<SyncVaultResponse, Refusal> {
        let id = request::vault(&request.vault)?;
        let log = self.logs.vault(&id)?.ok_or_else(Refusal::no_such_vault)?;
        let ended = match log.member(&caller.account) {
            Some(_) => None,
            None => {
                let ended = log.membership_ended(&caller.account);
                Some(ended.ok_or_else(Refusal::no_such_vault)?)
            }
        };
        let mut room = Room(ANSWER_BYTES);
        let mut answer = SyncVaultResponse::default();
        for (account, _) in log.known_positions() {
            let known = request
                .accounts
                .iter()
                .find(|known| known.account == account.as_bytes());
            let known = known.map_or(0, |known| known.seq);
            let Some(theirs) = self.logs.account(&account)? else {
                continue;
            };
            let entries = match ended {
                None => theirs.entries(),
                Some(ended) => {
                    let recorded = log.known_position_at(&account, ended);
                    up_to(theirs.entries(), recorded.map_or(0, |at| at.seq))
                }
            };
            let entries = room.take(entries, known, &mut answer.more);
            if !entries.is_empty() {
                answer.accounts.push(AccountEntries {
                    account: account.to_vec(),
                    entries,
                });
            }
        }
        if !answer.more {
            let entries = match ended {
                None => log.entries(),
                Some(ended) => up_to(log.entries(), ended),
            };
            answer.vault_entries = room.take(entries, request.vault_log_seq, &mut answer.more);
        }
        if ended.is_some() {
            return Ok(answer);
        }
        // After the log, so that no head comes with it that the log is too
        // short for; the client asks again should a head have come since.
        let vault = self.ledger.vault(&id)?;
        let vault = vault.ok_or_else(Refusal::no_such_vault)?;
        answer.newest_head_seq = vault.head_seq();
        if vault.log_seq > log.position().seq {
            answer.more = true;
        }
        if answer.more {
            return Ok(answer);
        }
        let newest = match request.until_head_seq {
            0 => vault.head_seq(),
            until => until.min(vault.head_seq()),
        };
        for seq in skip_path(newest, request.head_seq) {
            let head = self.ledger.head(&id, seq)?;
            let head = head.ok_or_else(|| {
                Refusal::internal(&crate::store::LedgerError::Damaged("a head is missing"))
            })?;
            answer.heads.push(head.signed);
        }
        if !request.without_root && newest > 0 {
            answer.root = self.ledger.root(&id, newest)?.unwrap_or_default();
        }
        Ok(answer)
    }
}

/// The first entries of a log.
fn up_to(entries: &[SignedEntry], seq: u64) -> &[SignedEntry] {
    let seq = usize::try_from(seq).unwrap_or(usize::MAX);
    entries.get(..seq).unwrap_or(entries)
}

fn has_accepted(log: &VaultLog, account: &AccountId) -> bool {
    log.member(account).is_some_and(|state| state.accepted)
}

/// A link lives as long as its maker may write, and its vault is here.
fn links_end(before: &VaultLog, after: &VaultLog, here: HosterId) -> LinksEnd {
    if after.home() != here {
        return LinksEnd::All;
    }
    let may_write = |log: &VaultLog, account: &AccountId| {
        let state = log.member(account);
        state.is_some_and(|state| state.accepted && state.role >= Role::Writer)
    };
    let mut accounts = before.members().map(|(account, _)| account);
    // An entry changes one member.
    let lost = accounts.find(|account| may_write(before, account) && !may_write(after, account));
    lost.map_or(LinksEnd::None, LinksEnd::Of)
}

/// As of [an account's](super::accounts): removals and the way out; and up to a
/// limit, what has to follow a removal before anything can be sealed again. Of that
/// there is as much as a member removes devices, in a log that he alone pays for.
fn urgency(entry: &SignedEntry, before: &VaultLog, after: &VaultLog) -> Urgency {
    use vault_proto::wire::vault_entry::Body;
    let body = VaultEntry::decode(&entry.payload[..]).map(|entry| entry.body);
    match body {
        Ok(Some(Body::RemoveMember(_) | Body::Leave(_) | Body::Moved(_))) => Urgency::Removal,
        // A place of a log at which no device was removed can wait.
        Ok(Some(Body::Refresh(_))) if after.rotation_due() => Urgency::CannotWait,
        Ok(Some(Body::Rotate(_))) if before.rotation_due() => Urgency::CannotWait,
        _ => Urgency::Ordinary,
    }
}

/// Bytes that still fit into an answer.
pub(super) struct Room(pub(super) usize);

impl Room {
    /// Entries after `known`, as many as fit; sets `more` if not all did.
    pub(super) fn take(
        &mut self,
        entries: &[SignedEntry],
        known: u64,
        more: &mut bool,
    ) -> Vec<SignedEntry> {
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let mut taken = Vec::new();
        for entry in entries.get(known..).unwrap_or_default() {
            let bytes = prost::Message::encoded_len(entry);
            // One entry always fits into an answer that has none yet.
            if bytes > self.0 && self.0 < ANSWER_BYTES {
                *more = true;
                break;
            }
            self.0 = self.0.saturating_sub(bytes);
            taken.push(entry.clone());
        }
        taken
    }
}
