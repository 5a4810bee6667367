//! Offers.

use vault_proto::ids::AccountId;

use super::MemoryLedger;
use crate::{
    clock::UnixTime,
    store::{
        decide,
        ledger::{LedgerError, NewOffer, OfferLedger, OfferOutcome},
        records::{Offer, OfferHash},
    },
};

impl OfferLedger for MemoryLedger {
    fn put_offer(&self, new: &NewOffer<'_>) -> Result<OfferOutcome, LedgerError> {
        let mut tables = self.tables();
        if !tables.accounts.contains_key(&new.account) {
            return Ok(OfferOutcome::NoSuchAccount);
        }
        let waiting = tables.offers.iter();
        let waiting =
            waiting.filter(|((account, until, _), _)| *account == new.account && *until > new.now);
        let mut there = Vec::new();
        for ((_, _, hash), offer) in waiting {
            if *hash == new.hash {
                return Ok(OfferOutcome::Kept);
            }
            there.push(offer.from);
        }
        if !decide::offer_fits(new, &there, &self.terms) {
            return Ok(OfferOutcome::Full);
        }
        let key = (new.account, new.now.plus(self.terms.offer), new.hash);
        let offer = Offer {
            offer: new.offer.to_vec(),
            from: new.from,
        };
        tables.offers.insert(key, offer);
        Ok(OfferOutcome::Kept)
    }

    fn offers(&self, account: &AccountId, now: UnixTime) -> Result<Vec<Offer>, LedgerError> {
        let tables = self.tables();
        let waiting = tables.offers.iter();
        let waiting = waiting.filter(|((of, until, _), _)| of == account && *until > now);
        Ok(waiting.map(|(_, offer)| offer.clone()).collect())
    }

    fn drop_offer(&self, account: &AccountId, hash: &OfferHash) -> Result<(), LedgerError> {
        let offers = &mut self.tables().offers;
        offers.retain(|(of, _, found), _| of != account || found != hash);
        Ok(())
    }

    fn drop_due_offers(&self, now: UnixTime, limit: usize) -> Result<u64, LedgerError> {
        let offers = &mut self.tables().offers;
        let due = offers.keys().filter(|(_, until, _)| *until <= now);
        let due: Vec<_> = due.take(limit).copied().collect();
        for key in &due {
            offers.remove(key);
        }
        Ok(due.len() as u64)
    }
}
