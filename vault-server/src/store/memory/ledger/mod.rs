//! The ledger in maps.

mod accounts;
mod heads;
mod inspection;
mod links;
mod offers;
mod packs;
mod vaults;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use vault_proto::ids::{AccountId, DeviceId, PackId, VaultId};

use crate::{
    clock::UnixTime,
    store::{
        ledger::{HeadChanges, Ledger, LedgerError, Reservation, Terms},
        records::{
            Account, HeadRecord, Invitation, InvitationHash, LedgerStats, Link, LinkId, Offer,
            OfferHash, Pack, PackState, Ticket, TicketHash, Token, TokenHash, Usage, Vault,
        },
    },
};

/// A ledger in maps, under one lock.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    terms: Terms,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    invitations: BTreeMap<InvitationHash, Invitation>,
    accounts: BTreeMap<AccountId, (Account, Vec<Vec<u8>>)>,
    devices: BTreeMap<DeviceId, AccountId>,
    tokens: BTreeMap<TokenHash, Token>,
    vaults: BTreeMap<VaultId, (Vault, Vec<Vec<u8>>)>,
    /// And whether the membership was accepted.
    members: BTreeMap<(AccountId, VaultId), bool>,
    packs: BTreeMap<(VaultId, PackId), Pack>,
    heads: BTreeMap<(VaultId, u64), HeadRecord>,
    changes: BTreeMap<(VaultId, u64), HeadChanges>,
    /// Each with the time it may be dropped at.
    roots: BTreeMap<(VaultId, u64), (Vec<u8>, Option<UnixTime>)>,
    /// By account, the time at which each is dropped, and hash.
    offers: BTreeMap<(AccountId, UnixTime, OfferHash), Offer>,
    links: BTreeMap<LinkId, Link>,
    link_blocks: BTreeMap<(VaultId, PackId, LinkId), Vec<u8>>,
    tickets: BTreeMap<TicketHash, Ticket>,
    reserved: BTreeMap<AccountId, u64>,
}

impl MemoryLedger {
    /// An empty ledger.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        Self {
            terms,
            tables: Mutex::default(),
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn reserved(&self, account: &AccountId) -> u64 {
        self.reserved.get(account).copied().unwrap_or_default()
    }

    fn packs(&self, vault: &VaultId, packs: &[PackId]) -> Vec<Option<Pack>> {
        let records = packs.iter().map(|pack| self.packs.get(&(*vault, *pack)));
        records.map(Option::<&_>::copied).collect()
    }

    fn payer(&mut self, vault: &VaultId) -> Result<&mut Account, LedgerError> {
        let (vault, _) = self
            .vaults
            .get(vault)
            .ok_or(LedgerError::Damaged("no vault"))?;
        let account = self.accounts.get_mut(&vault.creator);
        let (account, _) = account.ok_or(LedgerError::Damaged("no creator"))?;
        Ok(account)
    }

    fn set_pack(
        &mut self,
        vault: &VaultId,
        pack: &PackId,
        size: u32,
        to: Option<PackState>,
    ) -> Result<(), LedgerError> {
        let key = (*vault, *pack);
        let from = self.packs.get(&key).map(|pack| pack.state);
        self.payer(vault)?.usage.shift(size, from, to);
        match to {
            Some(state) => self.packs.insert(key, Pack { size, state }),
            None => self.packs.remove(&key),
        };
        Ok(())
    }

    fn give_back(&mut self, reservation: &Reservation) {
        if let Some(reserved) = self.reserved.get_mut(&reservation.payer) {
            *reserved = reserved.saturating_sub(reservation.charged_bytes);
        }
    }
}

fn entries_after(entries: &[Vec<u8>], after: u64, limit_bytes: usize) -> Vec<Vec<u8>> {
    let mut total = 0;
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    let rest = entries.get(after..).unwrap_or_default();
    rest.iter()
        .take_while(|entry| {
            let first = total == 0;
            total += entry.len();
            first || total <= limit_bytes
        })
        .cloned()
        .collect()
}

impl Ledger for MemoryLedger {
    fn stats(&self, now: UnixTime) -> Result<LedgerStats, LedgerError> {
        let tables = self.tables();
        let guests = tables.accounts.values();
        let guests = guests.filter(|(account, _)| account.standing.is_guest());
        let guests = guests.count() as u64;
        let mut stats = LedgerStats {
            accounts: tables.accounts.len() as u64 - guests,
            guests,
            vaults: tables.vaults.len() as u64,
            packs: tables.packs.len() as u64,
            usage: Usage::default(),
            open_invitations: 0,
        };
        for (account, _) in tables.accounts.values() {
            stats.usage.add(&account.usage);
        }
        let invitations = tables.invitations.values();
        let open = invitations.filter(|invitation| invitation.is_open(now));
        stats.open_invitations = open.count() as u64;
        Ok(stats)
    }
}
