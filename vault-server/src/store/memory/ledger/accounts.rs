//! Invitations, accounts and tokens.

use std::mem;

use vault_proto::ids::{AccountId, DeviceId};

use super::{MemoryLedger, entries_after};
use crate::{
    clock::UnixTime,
    store::{
        decide,
        ledger::{
            AccountCreation, AccountLedger, Appended, Copied, LedgerError, LogCopy, NewAccount,
            NewAccountEntry,
        },
        records::{Account, Invitation, InvitationHash, Token, TokenHash},
    },
};

impl AccountLedger for MemoryLedger {
    fn add_invitation(
        &self,
        hash: &InvitationHash,
        invitation: &Invitation,
    ) -> Result<(), LedgerError> {
        self.tables().invitations.insert(*hash, invitation.clone());
        Ok(())
    }

    fn open_invitations(
        &self,
        now: UnixTime,
    ) -> Result<Vec<(InvitationHash, Invitation)>, LedgerError> {
        let tables = self.tables();
        let open = tables.invitations.iter();
        let open = open.filter(|(_, invitation)| invitation.is_open(now));
        Ok(open
            .map(|(hash, invitation)| (*hash, invitation.clone()))
            .collect())
    }

    fn drop_invitation(&self, hash: &InvitationHash) -> Result<Option<Invitation>, LedgerError> {
        let mut tables = self.tables();
        let there = tables.invitations.get(hash);
        match there.is_some_and(|invitation| invitation.used_by.is_none()) {
            true => Ok(tables.invitations.remove(hash)),
            false => Ok(None),
        }
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountCreation, LedgerError> {
        let tables = &mut *self.tables();
        let there = tables.accounts.get(&new.id).map(|(account, _)| account);
        let Some(invitation) = tables.invitations.get_mut(&new.invitation) else {
            return Ok(AccountCreation::Unknown);
        };
        let creation = match (invitation.used_by, there) {
            (Some(account), Some(there)) if account == new.id => AccountCreation::Created {
                quota_bytes: there.quota_bytes,
            },
            (Some(_), _) => AccountCreation::Used,
            (None, _) if invitation.expires <= new.now => AccountCreation::Expired,
            (None, Some(_)) => AccountCreation::Exists,
            (None, None) => {
                invitation.used_by = Some(new.id);
                let account = decide::member(new, invitation);
                for device in new.devices {
                    tables.devices.insert(*device, new.id);
                }
                let log = vec![new.genesis.to_vec()];
                tables.accounts.insert(new.id, (account, log));
                AccountCreation::Created {
                    quota_bytes: invitation.quota_bytes,
                }
            }
        };
        Ok(creation)
    }

    fn put_account_log(&self, copy: &LogCopy<'_>) -> Result<Copied, LedgerError> {
        let mut tables = self.tables();
        let there = tables.accounts.get(&copy.account).cloned();
        let sponsor = decide::sponsor(copy, there.as_ref().map(|(account, _)| account));
        let sponsor = tables.accounts.get(&sponsor);
        let mut sponsor = sponsor.map(|(account, _)| account.clone());
        let (account, mut log) = match there {
            Some((account, log)) => (Ok(account), log),
            None => {
                let guest = decide::guest(copy, sponsor.as_mut(), &self.terms);
                (guest, Vec::new())
            }
        };
        let copied = account
            .and_then(|account| decide::copied(copy, account, sponsor.as_mut(), &self.terms));
        let account = match copied {
            Ok(account) => account,
            Err(refused) => return Ok(refused),
        };
        if let Some(changed) = sponsor.filter(|_| account.standing.is_guest())
            && let Some((sponsor, _)) = tables.accounts.get_mut(&changed.id)
        {
            *sponsor = changed;
        }
        let log_seq = account.log_seq;
        log.extend_from_slice(copy.entries);
        tables.accounts.insert(copy.account, (account, log));
        tables.end_links(|link| link.ends_without(&copy.account, copy.removed))?;
        Ok(Copied::Copied { log_seq })
    }

    fn account_of(&self, device: &DeviceId) -> Result<Option<AccountId>, LedgerError> {
        Ok(self.tables().devices.get(device).copied())
    }

    fn account(&self, id: &AccountId) -> Result<Option<Account>, LedgerError> {
        let tables = self.tables();
        Ok(tables.accounts.get(id).map(|(account, _)| account.clone()))
    }

    fn accounts(
        &self,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, LedgerError> {
        let tables = self.tables();
        let later = tables
            .accounts
            .iter()
            .filter(|(id, _)| after.is_none_or(|after| *id > after));
        let accounts = later.take(limit).map(|(_, (account, _))| account.clone());
        Ok(accounts.collect())
    }

    fn set_quota(&self, id: &AccountId, quota_bytes: u64) -> Result<Option<u64>, LedgerError> {
        let mut tables = self.tables();
        let account = tables.accounts.get_mut(id);
        Ok(account.map(|(account, _)| mem::replace(&mut account.quota_bytes, quota_bytes)))
    }

    fn account_entries(
        &self,
        id: &AccountId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        let tables = self.tables();
        let log = tables.accounts.get(id).map_or(&[][..], |(_, log)| log);
        Ok(entries_after(log, after, limit_bytes))
    }

    fn append_account_entry(&self, new: &NewAccountEntry<'_>) -> Result<Appended, LedgerError> {
        let mut tables = self.tables();
        let account = tables.accounts.get_mut(&new.account);
        let (account, log) = account.ok_or(LedgerError::Damaged("no account"))?;
        if new.seq != account.log_seq + 1 {
            return Ok(Appended::LostRace {
                head_seq: 0,
                log_seq: account.log_seq,
            });
        }
        let more_bytes = decide::entry_bytes(new.entry);
        let refused = decide::entry_refused(account, more_bytes, new.urgency, &self.terms);
        if let Some(full) = refused {
            return Ok(Appended::RecordsFull(full));
        }
        account.record_bytes = account.record_bytes.saturating_add(more_bytes);
        account.log_seq = new.seq;
        log.push(new.entry.to_vec());
        if let Some(device) = new.added {
            tables.devices.insert(device, new.account);
        }
        let removed = new.removed.as_slice();
        tables.end_links(|link| link.ends_without(&new.account, removed))?;
        Ok(Appended::Appended)
    }

    fn record_limit(&self, account: &Account) -> u64 {
        decide::record_limit(account, &self.terms)
    }

    fn add_token(&self, hash: &TokenHash, token: &Token) -> Result<(), LedgerError> {
        self.tables().tokens.insert(*hash, *token);
        Ok(())
    }

    fn token(&self, hash: &TokenHash) -> Result<Option<Token>, LedgerError> {
        Ok(self.tables().tokens.get(hash).copied())
    }

    fn drop_expired_tokens(&self, now: UnixTime) -> Result<u64, LedgerError> {
        let tokens = &mut self.tables().tokens;
        let before = tokens.len();
        tokens.retain(|_, token| token.expires > now);
        Ok((before - tokens.len()) as u64)
    }
}
