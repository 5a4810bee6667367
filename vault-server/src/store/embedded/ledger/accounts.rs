//! Invitations, accounts and tokens.

use std::mem;

use vault_proto::ids::{AccountId, DeviceId};

use super::{Changed, EmbeddedLedger};
use crate::{
    clock::UnixTime,
    store::{
        decide,
        embedded::{disk::Sync, keys, rocks::Table, rows::Record},
        ledger::{
            AccountCreation, AccountLedger, Appended, Copied, LedgerError, LogCopy, NewAccount,
            NewAccountEntry,
        },
        records::{Account, Invitation, InvitationHash, Token, TokenHash},
    },
};

impl AccountLedger for EmbeddedLedger {
    fn add_invitation(
        &self,
        hash: &InvitationHash,
        invitation: &Invitation,
    ) -> Result<(), LedgerError> {
        let mut batch = self.rocks.batch();
        batch.put_record(Table::Invitations, &hash.0, invitation);
        Ok(batch.write(Sync::Now)?)
    }

    fn open_invitations(
        &self,
        now: UnixTime,
    ) -> Result<Vec<(InvitationHash, Invitation)>, LedgerError> {
        let mut open = Vec::new();
        self.rocks.visit(Table::Invitations, &[], |key, row| {
            let invitation = Invitation::from_row((), row)?;
            if invitation.is_open(now) {
                let hash = key.try_into();
                let hash = hash.map_err(|_| LedgerError::Damaged("a key is no invitation"))?;
                open.push((InvitationHash(hash), invitation));
            }
            Ok::<_, LedgerError>(true)
        })?;
        Ok(open)
    }

    fn drop_invitation(&self, hash: &InvitationHash) -> Result<Option<Invitation>, LedgerError> {
        // Else one that becomes an account meanwhile would be forgotten as its own.
        let _invitation = self.invitations.lock(&hash.0);
        let there = self.record::<Invitation>(Table::Invitations, &hash.0, ())?;
        let Some(invitation) = there.filter(|invitation| invitation.used_by.is_none()) else {
            return Ok(None);
        };
        let mut batch = self.rocks.batch();
        batch.delete(Table::Invitations, &hash.0);
        batch.write(Sync::Now)?;
        Ok(Some(invitation))
    }

    fn create_account(&self, new: &NewAccount<'_>) -> Result<AccountCreation, LedgerError> {
        let NewAccount {
            invitation: InvitationHash(hash),
            id,
            now,
            ..
        } = new;
        let _invitation = self.invitations.lock(hash);
        let _account = self.payers.lock(id.as_bytes());
        let Some(mut invitation) = self.record::<Invitation>(Table::Invitations, hash, ())? else {
            return Ok(AccountCreation::Unknown);
        };
        match (invitation.used_by, self.account(id)?) {
            (Some(account), Some(there)) if account == *id => {
                return Ok(AccountCreation::Created {
                    quota_bytes: there.quota_bytes,
                });
            }
            (Some(_), _) => return Ok(AccountCreation::Used),
            (None, _) if invitation.expires <= *now => return Ok(AccountCreation::Expired),
            (None, Some(_)) => return Ok(AccountCreation::Exists),
            (None, None) => {}
        }
        invitation.used_by = Some(*id);
        let mut batch = self.rocks.batch();
        batch.put_record(Table::Invitations, hash, &invitation);
        batch.put_account(&decide::member(new, &invitation));
        for device in new.devices {
            batch.put(Table::Devices, device.as_bytes(), id.as_bytes());
        }
        batch.put(
            Table::AccountLog,
            &keys::of_log(id.as_bytes(), 1),
            new.genesis,
        );
        batch.write(Sync::Now)?;
        Ok(AccountCreation::Created {
            quota_bytes: invitation.quota_bytes,
        })
    }

    fn put_account_log(&self, copy: &LogCopy<'_>) -> Result<Copied, LedgerError> {
        let id = &copy.account;
        // Who brought a guest never changes: the lock can be chosen by what was read
        // before it was held. For one that came in between, this copy is too late.
        let sponsor = decide::sponsor(copy, self.account(id)?.as_ref());
        let (vaults, _locks) = match copy.removed {
            [] => {
                let both = [id.as_bytes(), sponsor.as_bytes()];
                (Vec::new(), self.payers.lock_all(both))
            }
            _ => self.lock_vaults_of(id, &sponsor)?,
        };
        let mut sponsor = self.account(&sponsor)?;
        let account = match self.account(id)? {
            Some(account) => Ok(account),
            None => decide::guest(copy, sponsor.as_mut(), &self.terms),
        };
        let copied = account
            .and_then(|account| decide::copied(copy, account, sponsor.as_mut(), &self.terms));
        let account = match copied {
            Ok(account) => account,
            Err(refused) => return Ok(refused),
        };
        let log_seq = account.log_seq;
        let mut changed = Changed::default();
        changed.note(sponsor.filter(|_| account.standing.is_guest()));
        changed.note(Some(account));
        let mut batch = self.rocks.batch();
        let _ended =
            self.end_links_of_devices(&mut batch, &vaults, &mut changed, id, copy.removed)?;
        batch.put_changed(&changed);
        for (seq, entry) in (copy.after + 1..).zip(copy.entries) {
            batch.put(Table::AccountLog, &keys::of_log(id.as_bytes(), seq), entry);
        }
        batch.write(Sync::Now)?;
        Ok(Copied::Copied { log_seq })
    }

    fn account_of(&self, device: &DeviceId) -> Result<Option<AccountId>, LedgerError> {
        let row = self.rocks.get(Table::Devices, device.as_bytes())?;
        let account = row.map(|row| AccountId::from_slice(&row)).transpose();
        account.map_err(|_| LedgerError::Damaged("a device of no account"))
    }

    fn account(&self, id: &AccountId) -> Result<Option<Account>, LedgerError> {
        self.record(Table::Accounts, id.as_bytes(), *id)
    }

    fn accounts(
        &self,
        after: Option<&AccountId>,
        limit: usize,
    ) -> Result<Vec<Account>, LedgerError> {
        let mut accounts = Vec::new();
        let from = after.map_or(&[][..], |after| after.as_bytes());
        self.rocks.visit(Table::Accounts, from, |key, row| {
            let id = AccountId::from_slice(key)
                .map_err(|_| LedgerError::Damaged("a key is no account id"))?;
            if Some(&id) != after && accounts.len() < limit {
                accounts.push(Account::from_row(id, row)?);
            }
            Ok::<_, LedgerError>(accounts.len() < limit)
        })?;
        Ok(accounts)
    }

    fn set_quota(&self, id: &AccountId, quota_bytes: u64) -> Result<Option<u64>, LedgerError> {
        let _account = self.payers.lock(id.as_bytes());
        let Some(mut account) = self.account(id)? else {
            return Ok(None);
        };
        let old = mem::replace(&mut account.quota_bytes, quota_bytes);
        let mut batch = self.rocks.batch();
        batch.put_account(&account);
        batch.write(Sync::Now)?;
        Ok(Some(old))
    }

    fn account_entries(
        &self,
        id: &AccountId,
        after: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Vec<u8>>, LedgerError> {
        self.entries(Table::AccountLog, id.as_bytes(), after, limit_bytes)
    }

    fn append_account_entry(&self, new: &NewAccountEntry<'_>) -> Result<Appended, LedgerError> {
        let NewAccountEntry {
            account: id,
            seq,
            entry,
            added,
            removed,
            urgency,
        } = new;
        let (vaults, _locks) = match removed {
            None => (Vec::new(), vec![self.payers.lock(id.as_bytes())]),
            // Others may pay for the vaults that it made links to.
            Some(_) => self.lock_vaults_of(id, id)?,
        };
        let mut changed = Changed::default();
        let account = changed.account(self, id)?;
        if *seq != account.log_seq + 1 {
            return Ok(Appended::LostRace {
                head_seq: 0,
                log_seq: account.log_seq,
            });
        }
        if let Some(full) = self.add_records(account, entry, *urgency) {
            return Ok(Appended::RecordsFull(full));
        }
        account.log_seq = *seq;
        let mut batch = self.rocks.batch();
        let _ended =
            self.end_links_of_devices(&mut batch, &vaults, &mut changed, id, removed.as_slice())?;
        batch.put_changed(&changed);
        batch.put(Table::AccountLog, &keys::of_log(id.as_bytes(), *seq), entry);
        if let Some(device) = added {
            batch.put(Table::Devices, device.as_bytes(), id.as_bytes());
        }
        batch.write(Sync::Now)?;
        Ok(Appended::Appended)
    }

    fn record_limit(&self, account: &Account) -> u64 {
        decide::record_limit(account, &self.terms)
    }

    fn add_token(&self, hash: &TokenHash, token: &Token) -> Result<(), LedgerError> {
        let mut batch = self.rocks.batch();
        batch.put_record(Table::Tokens, &hash.0, token);
        Ok(batch.write(Sync::Later)?)
    }

    fn token(&self, hash: &TokenHash) -> Result<Option<Token>, LedgerError> {
        self.record(Table::Tokens, &hash.0, ())
    }

    fn drop_expired_tokens(&self, now: UnixTime) -> Result<u64, LedgerError> {
        let mut batch = self.rocks.batch();
        let mut dropped = 0;
        self.rocks.visit(Table::Tokens, &[], |key, row| {
            if Token::from_row((), row)?.expires <= now {
                batch.delete(Table::Tokens, key);
                dropped += 1;
            }
            Ok::<_, LedgerError>(true)
        })?;
        batch.write(Sync::Later)?;
        Ok(dropped)
    }
}
