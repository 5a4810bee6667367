//! What is left at a hoster for somebody: messages and offers.

use std::collections::BTreeMap;

use vault_proto::ids::{AccountId, MessageName, OfferHash};

use super::books::{Books, refused};
use crate::remote::{MAX_MESSAGE_BYTES, MAX_OFFER_BYTES, MAX_OFFERS, RefusalReason, RemoteError};

/// How long a message is kept.
const MESSAGE_SECONDS: u64 = 15 * 60;

#[derive(Clone, Default)]
pub(super) struct Boxes {
    /// With the time at which they came.
    messages: BTreeMap<MessageName, (Vec<u8>, u64)>,
    /// Oldest first.
    offers: BTreeMap<AccountId, Vec<Vec<u8>>>,
}

impl Books {
    pub(super) fn put_message(
        &mut self,
        name: &MessageName,
        message: &[u8],
        now: u64,
    ) -> Result<(), RemoteError> {
        if message.is_empty() {
            return Err(refused(RefusalReason::Malformed, "no message"));
        }
        if message.len() > MAX_MESSAGE_BYTES {
            return Err(refused(RefusalReason::TooLarge, "the message is too long"));
        }
        match self.message(name, now) {
            Some(held) if held == message => Ok(()),
            Some(_) => Err(refused(RefusalReason::Forbidden, "another stands there")),
            None => {
                self.lay_message(name, message.to_vec(), now);
                Ok(())
            }
        }
    }

    pub(super) fn message(&self, name: &MessageName, now: u64) -> Option<Vec<u8>> {
        let (message, came) = self.boxes.messages.get(name)?;
        (now.saturating_sub(*came) < MESSAGE_SECONDS).then(|| message.clone())
    }

    pub(super) fn messages(&self) -> Vec<(MessageName, Vec<u8>)> {
        let messages = self.boxes.messages.iter();
        messages
            .map(|(name, (message, _))| (*name, message.clone()))
            .collect()
    }

    pub(super) fn lay_message(&mut self, name: &MessageName, message: Vec<u8>, now: u64) {
        self.boxes.messages.insert(*name, (message, now));
    }

    pub(super) fn put_offer(
        &mut self,
        account: &AccountId,
        offer: &[u8],
    ) -> Result<(), RemoteError> {
        if offer.is_empty() {
            return Err(refused(RefusalReason::Malformed, "no offer"));
        }
        if offer.len() > MAX_OFFER_BYTES {
            return Err(refused(RefusalReason::TooLarge, "the offer is too long"));
        }
        let log = self.accounts.get(account);
        if log.is_none_or(|log| log.home() != self.hoster) {
            return Err(refused(RefusalReason::NotFound, "not at home here"));
        }
        let offers = self.boxes.offers.entry(*account).or_default();
        if offers.iter().any(|held| held == offer) {
            return Ok(());
        }
        if offers.len() >= MAX_OFFERS {
            return Err(refused(RefusalReason::BoxFull, "too many offers"));
        }
        offers.push(offer.to_vec());
        Ok(())
    }

    pub(super) fn list_offers(&self, account: &AccountId) -> Vec<Vec<u8>> {
        self.boxes.offers.get(account).cloned().unwrap_or_default()
    }

    pub(super) fn drop_offer(&mut self, account: &AccountId, hash: &OfferHash) {
        if let Some(offers) = self.boxes.offers.get_mut(account) {
            offers.retain(|offer| OfferHash::of(offer) != *hash);
        }
    }
}
