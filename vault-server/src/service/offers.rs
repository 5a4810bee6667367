//! Offers of membership, each left for one account. They are sealed: the hoster
//! learns for whom one is, how long it is, and which of its members left it, or
//! brought the guest who did.

use vault_rpc::hoster::{
    DropOfferRequest, DropOfferResponse, ListOffersResponse, PutOfferRequest, PutOfferResponse,
    Reason,
};

use super::{Caller, Hoster, refusal::Refusal, request};
use crate::store::{NewOffer, OfferFrom, OfferHash, OfferOutcome};

/// The most bytes of an offer.
const MAX_OFFER_BYTES: usize = 16 << 10;

impl Hoster {
    pub(crate) fn put_offer(
        &self,
        caller: Option<Caller>,
        request: &PutOfferRequest,
    ) -> Result<PutOfferResponse, Refusal> {
        let account = request::account(&request.account)?;
        if request.offer.is_empty() {
            return Err(Refusal::malformed("The offer is empty."));
        }
        if request.offer.len() > MAX_OFFER_BYTES {
            return Err(Refusal::too_large(format!(
                "An offer has at most {MAX_OFFER_BYTES} bytes."
            )));
        }
        let log = self.logs.account(&account)?;
        let log = log.ok_or_else(Refusal::no_such_account)?;
        if log.home() != self.key.id() {
            return Err(Refusal::moved());
        }
        let outcome = self.ledger.put_offer(&NewOffer {
            account,
            hash: OfferHash::of(&request.offer),
            offer: &request.offer,
            from: match caller {
                Some(caller) => OfferFrom::Member(self.party(caller)?.member()),
                None => OfferFrom::Stranger,
            },
            now: self.clock.now(),
        })?;
        match outcome {
            OfferOutcome::Kept => Ok(PutOfferResponse {}),
            OfferOutcome::Full => Err(Refusal::new(
                Reason::BoxFull,
                "As many offers wait for this account, or as many of one sender, as the hoster \
                 keeps.",
            )),
            OfferOutcome::NoSuchAccount => Err(Refusal::no_such_account()),
        }
    }

    pub(crate) fn list_offers(&self, caller: Caller) -> Result<ListOffersResponse, Refusal> {
        let offers = self.ledger.offers(&caller.account, self.clock.now())?;
        let offers = offers.into_iter().map(|offer| offer.offer).collect();
        Ok(ListOffersResponse { offers })
    }

    pub(crate) fn drop_offer(
        &self,
        caller: Caller,
        request: &DropOfferRequest,
    ) -> Result<DropOfferResponse, Refusal> {
        let hash = OfferHash(request::array(&request.hash, "hash")?);
        self.ledger.drop_offer(&caller.account, &hash)?;
        Ok(DropOfferResponse {})
    }
}
