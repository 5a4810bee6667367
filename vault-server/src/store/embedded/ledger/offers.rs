//! Offers.

use vault_proto::ids::AccountId;

use super::EmbeddedLedger;
use crate::{
    clock::UnixTime,
    store::{
        decide,
        embedded::{
            disk::Sync,
            keys::{self, Due},
            rocks::Table,
            rows::Record,
        },
        ledger::{AccountLedger, LedgerError, NewOffer, OfferLedger, OfferOutcome},
        records::{Offer, OfferHash},
    },
};

impl OfferLedger for EmbeddedLedger {
    fn put_offer(&self, new: &NewOffer<'_>) -> Result<OfferOutcome, LedgerError> {
        let _account = self.payers.lock(new.account.as_bytes());
        if self.account(&new.account)?.is_none() {
            return Ok(OfferOutcome::NoSuchAccount);
        }
        let mut there = Vec::new();
        for (_, hash, offer) in self.waiting(&new.account, new.now)? {
            if hash == new.hash {
                return Ok(OfferOutcome::Kept);
            }
            there.push(offer.from);
        }
        if !decide::offer_fits(new, &there, &self.terms) {
            return Ok(OfferOutcome::Full);
        }
        let until = new.now.plus(self.terms.offer);
        let offer = Offer {
            offer: new.offer.to_vec(),
            from: new.from,
        };
        let mut batch = self.rocks.batch();
        let key = keys::of_offer(&new.account, until, &new.hash);
        batch.put_record(Table::Offers, &key, &offer);
        let due = Due::Offer(new.account, new.hash).key(until);
        batch.put(Table::Due, &due, &[]);
        batch.write(Sync::Now)?;
        Ok(OfferOutcome::Kept)
    }

    fn offers(&self, account: &AccountId, now: UnixTime) -> Result<Vec<Offer>, LedgerError> {
        let waiting = self.waiting(account, now)?;
        Ok(waiting.into_iter().map(|(_, _, offer)| offer).collect())
    }

    fn drop_offer(&self, account: &AccountId, hash: &OfferHash) -> Result<(), LedgerError> {
        let _account = self.payers.lock(account.as_bytes());
        let mut batch = self.rocks.batch();
        for (until, found, _) in self.waiting(account, UnixTime::default())? {
            if found == *hash {
                batch.delete(Table::Offers, &keys::of_offer(account, until, hash));
                batch.delete(Table::Due, &Due::Offer(*account, *hash).key(until));
            }
        }
        Ok(batch.write(Sync::Now)?)
    }

    fn drop_due_offers(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError> {
        let mut due = Vec::new();
        self.rocks.visit(Table::Due, &Due::OFFERS, |key, _| {
            match Due::from_key(key) {
                Some((time, Due::Offer(account, hash))) if time <= now && due.len() < limit => {
                    due.push((time, account, hash));
                    Ok::<_, LedgerError>(true)
                }
                _ => Ok(false),
            }
        })?;
        for (time, account, hash) in &due {
            let _account = self.payers.lock(account.as_bytes());
            let mut batch = self.rocks.batch();
            batch.delete(Table::Due, &Due::Offer(*account, *hash).key(*time));
            batch.delete(Table::Offers, &keys::of_offer(account, *time, hash));
            batch.write(Sync::Later)?;
        }
        Ok(due.len() as u64)
    }
}

impl EmbeddedLedger {
    /// Those of an account whose time comes after `now`.
    pub(super) fn waiting(
        &self,
        account: &AccountId,
        now: UnixTime,
    ) -> Result<Vec<(UnixTime, OfferHash, Offer)>, LedgerError> {
        let mut waiting = Vec::new();
        self.rocks
            .visit(Table::Offers, account.as_bytes(), |key, row| {
                let Some((until, hash)) = keys::offer_of(account, key) else {
                    return Ok(false);
                };
                if until > now {
                    waiting.push((until, hash, Offer::from_row((), row)?));
                }
                Ok::<_, LedgerError>(true)
            })?;
        Ok(waiting)
    }
}
