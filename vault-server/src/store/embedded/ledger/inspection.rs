//! What `inspect` asks.

use prost::Message;
use vault_proto::ids::{AccountId, PackId, VaultId};

use super::EmbeddedLedger;
use crate::{
    clock::UnixTime,
    store::{
        embedded::{
            keys,
            rocks::Table,
            rows::{ChangesRow, Record},
        },
        ledger::{HeadChanges, InspectionLedger, LedgerError, LinkLedger, WaitingOffer},
        records::{Invitation, LinkId, Offer, OfferFrom, OfferHash, Ticket, Token},
    },
};

impl InspectionLedger for EmbeddedLedger {
    fn invitation_of(&self, account: &AccountId) -> Result<Option<Invitation>, LedgerError> {
        let mut found = None;
        self.rocks.visit(Table::Invitations, &[], |_, row| {
            let invitation = Invitation::from_row((), row)?;
            if invitation.used_by == Some(*account) {
                found = Some(invitation);
            }
            Ok::<_, LedgerError>(found.is_none())
        })?;
        Ok(found)
    }

    fn tokens_of(&self, account: &AccountId) -> Result<Vec<Token>, LedgerError> {
        let mut tokens = Vec::new();
        self.rocks.visit(Table::Tokens, &[], |_, row| {
            let token = Token::from_row((), row)?;
            if token.account == *account {
                tokens.push(token);
            }
            Ok::<_, LedgerError>(true)
        })?;
        Ok(tokens)
    }

    fn offers_for(&self, account: &AccountId) -> Result<Vec<WaitingOffer>, LedgerError> {
        let all = self.waiting(account, UnixTime::default())?;
        let offers = all.into_iter();
        let offers = offers.map(|(until, hash, offer)| waiting(*account, until, hash, &offer));
        Ok(offers.collect())
    }

    fn offers_left_by(&self, member: &AccountId) -> Result<Vec<WaitingOffer>, LedgerError> {
        let mut offers = Vec::new();
        self.rocks.visit(Table::Offers, &[], |key, row| {
            let offer = Offer::from_row((), row)?;
            if offer.from == OfferFrom::Member(*member) {
                let key = key.split_first_chunk::<32>().and_then(|(account, _)| {
                    let account = AccountId::from_array(*account);
                    Some((account, keys::offer_of(&account, key)?))
                });
                let (account, (until, hash)) = key.ok_or(LedgerError::Damaged("no offer"))?;
                offers.push(waiting(account, until, hash, &offer));
            }
            Ok::<_, LedgerError>(true)
        })?;
        Ok(offers)
    }

    fn changes(&self, vault: &VaultId, seq: u64) -> Result<Option<HeadChanges>, LedgerError> {
        let key = keys::of_log(vault.as_bytes(), seq);
        let Some(row) = self.rocks.get(Table::Changes, &key)? else {
            return Ok(None);
        };
        let row = ChangesRow::decode(&row[..]);
        let row = row.map_err(|_| LedgerError::Damaged("a row does not decode"))?;
        Ok(Some(HeadChanges {
            adds: packs_of(&row.adds),
            removes: packs_of(&row.removes),
        }))
    }

    fn linked_packs(&self, link: &LinkId) -> Result<Vec<PackId>, LedgerError> {
        let named = self.rocks.get(Table::LinkPacks, &link.0)?;
        Ok(named.map_or_else(Vec::new, |named| packs_of(&named)))
    }

    fn tickets_of(&self, link: &LinkId) -> Result<Vec<Ticket>, LedgerError> {
        let mut hashes = Vec::new();
        self.rocks.visit(Table::LinkTickets, &link.0, |key, _| {
            let hash = keys::link_ticket_of(link, key);
            hashes.extend(hash);
            Ok::<_, LedgerError>(hash.is_some())
        })?;
        let tickets = hashes.iter().map(|hash| self.ticket(hash));
        // One may have gone meanwhile.
        tickets.filter_map(Result::transpose).collect()
    }
}

fn waiting(account: AccountId, until: UnixTime, hash: OfferHash, offer: &Offer) -> WaitingOffer {
    WaitingOffer {
        account,
        from: offer.from,
        hash,
        sealed_bytes: u32::try_from(offer.offer.len()).unwrap_or(u32::MAX),
        until,
    }
}

/// Of ids end to end.
fn packs_of(ids: &[u8]) -> Vec<PackId> {
    let (ids, _) = ids.as_chunks::<32>();
    ids.iter().copied().map(PackId::from_array).collect()
}
