//! What `inspect` asks.

use vault_proto::ids::{AccountId, PackId, VaultId};

use super::{MemoryLedger, Tables};
use crate::store::{
    ledger::{HeadChanges, InspectionLedger, LedgerError, WaitingOffer},
    records::{Invitation, LinkId, OfferFrom, Ticket, Token},
};

impl InspectionLedger for MemoryLedger {
    fn invitation_of(&self, account: &AccountId) -> Result<Option<Invitation>, LedgerError> {
        let tables = self.tables();
        let mut invitations = tables.invitations.values();
        let found = invitations.find(|invitation| invitation.used_by == Some(*account));
        Ok(found.cloned())
    }

    fn tokens_of(&self, account: &AccountId) -> Result<Vec<Token>, LedgerError> {
        let tables = self.tables();
        let tokens = tables.tokens.values();
        Ok(tokens
            .filter(|token| token.account == *account)
            .copied()
            .collect())
    }

    fn offers_for(&self, account: &AccountId) -> Result<Vec<WaitingOffer>, LedgerError> {
        let mut offers = self.tables().waiting();
        offers.retain(|offer| offer.account == *account);
        Ok(offers)
    }

    fn offers_left_by(&self, member: &AccountId) -> Result<Vec<WaitingOffer>, LedgerError> {
        let mut offers = self.tables().waiting();
        offers.retain(|offer| offer.from == OfferFrom::Member(*member));
        Ok(offers)
    }

    fn changes(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadChanges>, LedgerError> {
        Ok(self.tables().changes.get(&(*vault, seq)).cloned())
    }

    fn linked_packs(&self, link: &LinkId) -> Result<Vec<PackId>, LedgerError> {
        let tables = self.tables();
        let blocks = tables.link_blocks.keys();
        let named = blocks.filter(|(_, _, id)| id == link);
        Ok(named.map(|(_, pack, _)| *pack).collect())
    }

    fn tickets_of(&self, link: &LinkId) -> Result<Vec<Ticket>, LedgerError> {
        let tables = self.tables();
        let tickets = tables.tickets.iter();
        let mut of_link: Vec<_> = tickets.filter(|(_, ticket)| ticket.link == *link).collect();
        of_link.sort_by_key(|(hash, ticket)| (ticket.opened, **hash));
        Ok(of_link.into_iter().map(|(_, ticket)| *ticket).collect())
    }
}

impl Tables {
    fn waiting(&self) -> Vec<WaitingOffer> {
        let offers = self.offers.iter();
        let offers = offers.map(|((account, until, hash), offer)| WaitingOffer {
            account: *account,
            from: offer.from,
            hash: *hash,
            sealed_bytes: u32::try_from(offer.offer.len()).unwrap_or(u32::MAX),
            until: *until,
        });
        offers.collect()
    }
}
