//! Links and tickets.

use std::sync::MutexGuard;

use vault_proto::ids::{AccountId, DeviceId, PackId, VaultId};

use super::{Changed, EmbeddedLedger, Locked, concatenated};
use crate::{
    clock::UnixTime,
    store::{
        decide::{self, Oldest},
        embedded::{
            disk::Sync,
            keys::{self, Due},
            rocks::{Batch, Table},
            rows::Record,
        },
        ledger::{
            AccountLedger, DownloadCount, LedgerError, LinkCreation, LinkLedger, LinkOpening,
            NewLink, PackLedger,
        },
        records::{Account, Link, LinkId, Ticket, TicketHash, Vault},
    },
};

/// What stands in [`Table::LinkTickets`] beside a ticket that has not counted; beside one
/// that has, nothing does.
const UNCOUNTED: &[u8] = &[1];

/// Links that a batch ends. Held until it is written: else a download that is
/// counted meanwhile would bring one back.
#[must_use]
pub(super) struct EndedLinks<'a> {
    links: Vec<Link>,
    _names: Vec<MutexGuard<'a, ()>>,
}

impl EndedLinks<'_> {
    /// Takes what they counted as off what who paid for them has.
    fn give_back(&self, payer: &mut Account) {
        for link in &self.links {
            payer.record_bytes = payer.record_bytes.saturating_sub(link.record_bytes);
        }
    }
}

impl LinkLedger for EmbeddedLedger {
    fn create_link(&self, new: &NewLink<'_>) -> Result<LinkCreation, LedgerError> {
        let Some(locked) = self.lock_with(&new.vault, &[new.account])? else {
            return Ok(LinkCreation::NoSuchVault);
        };
        let Locked {
            vault,
            mut payer,
            _guard,
        } = locked;
        // Names of links are of all vaults, and so of all payers.
        let _name = self.links.lock(&new.id.0);
        if let Some(there) = self.link(&new.id)? {
            let same = there.vault == new.vault && there.digest == new.digest;
            return Ok(match same {
                true => LinkCreation::Created,
                false => LinkCreation::Exists,
            });
        }
        let maker = self.account(&new.account)?;
        let account_seq = maker.map_or(0, |account| account.log_seq);
        if vault.log_seq != new.log_seq || account_seq != new.account_seq {
            return Ok(LinkCreation::LostRace);
        }
        let mut packs = vec![new.capsule];
        packs.extend(new.packs.iter().map(|(pack, _)| *pack));
        let records = self.packs(&vault.id, &packs)?;
        let there = self.link_ids(&vault.id)?.len();
        let plan = match decide::link(new, &payer, there, &records, &self.terms) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };
        payer.record_bytes = payer.record_bytes.saturating_add(plan.link.record_bytes);
        let mut batch = self.rocks.batch();
        batch.put_account(&payer);
        batch.put_link(&plan.link, None);
        batch.put(
            Table::VaultLinks,
            &keys::of_vault_link(&vault.id, &new.id),
            &[],
        );
        let named: Vec<_> = plan.blocks.keys().copied().collect();
        batch.put(Table::LinkPacks, &new.id.0, &concatenated(&named));
        for (pack, blocks) in &plan.blocks {
            let key = keys::of_linked_pack(&vault.id, pack, &new.id);
            batch.put(Table::LinkBlocks, &key, blocks);
        }
        batch.write(Sync::Now)?;
        Ok(LinkCreation::Created)
    }

    fn link(&self, id: &LinkId) -> Result<Option<Link>, LedgerError> {
        self.record(Table::Links, &id.0, *id)
    }

    fn links_of(&self, vault: &VaultId) -> Result<Vec<Link>, LedgerError> {
        let ids = self.link_ids(vault)?;
        let links = ids.iter().map(|id| self.link(id));
        links.filter_map(Result::transpose).collect()
    }

    fn link_blocks(
        &self,
        link: &Link,
        packs: &[PackId],
    ) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
        let keys: Vec<_> = packs
            .iter()
            .map(|pack| keys::of_linked_pack(&link.vault, pack, &link.id))
            .collect();
        let rows = self.rocks.get_all(Table::LinkBlocks, &keys)?;
        let blocks = rows.into_iter().map(|row| row.map(|row| row.to_vec()));
        Ok(blocks.collect())
    }

    fn open_link(
        &self,
        id: &LinkId,
        ticket: &TicketHash,
        now: UnixTime,
    ) -> Result<LinkOpening, LedgerError> {
        let _name = self.links.lock(&id.0);
        let Some(mut link) = self.link(id)? else {
            return Ok(LinkOpening::Over);
        };
        let opened = match decide::open(&mut link, now, &self.terms) {
            Ok(opened) => opened,
            Err(refused) => return Ok(refused),
        };
        let mut batch = self.rocks.batch();
        if let Some(oldest) = opened.instead_of {
            let Some((oldest, key)) = self.oldest_ticket(id, oldest)? else {
                // All have counted, or are from before it was noted which those are.
                return Ok(LinkOpening::TooMany);
            };
            batch.delete(Table::Tickets, &oldest.0);
            batch.delete(Table::LinkTickets, &key);
        }
        let opened = opened.ticket;
        batch.put_record(Table::Links, &id.0, &link);
        batch.put_ticket(ticket, &opened);
        // It has counted for nothing: with a power cut it may go.
        batch.write(Sync::Later)?;
        Ok(LinkOpening::Opened(Box::new(link), opened))
    }

    fn count_download(
        &self,
        hash: &TicketHash,
        now: UnixTime,
    ) -> Result<DownloadCount, LedgerError> {
        // Of which link a ticket is never changes: the lock can be chosen by what was
        // read before it was held.
        let id = match self.ticket(hash)? {
            None => return Ok(DownloadCount::NoTicket),
            Some(ticket) if ticket.counted => return Ok(DownloadCount::Counted),
            Some(ticket) => ticket.link,
        };
        let _name = self.links.lock(&id.0);
        let Some(mut ticket) = self.ticket(hash)? else {
            return Ok(DownloadCount::NoTicket);
        };
        if ticket.counted {
            return Ok(DownloadCount::Counted);
        }
        let Some(mut link) = self.link(&id)? else {
            return Ok(DownloadCount::Over);
        };
        let before = link.until;
        if let Err(refused) = decide::count(&mut link, &mut ticket, now, &self.terms) {
            return Ok(refused);
        }
        let mut batch = self.rocks.batch();
        batch.put_link(&link, before);
        batch.put_ticket(hash, &ticket);
        // A count that nobody looks at may go back with a power cut.
        batch.write(match link.max_downloads {
            0 => Sync::Later,
            _ => Sync::Now,
        })?;
        Ok(DownloadCount::Counted)
    }

    fn ticket(&self, hash: &TicketHash) -> Result<Option<Ticket>, LedgerError> {
        self.record(Table::Tickets, &hash.0, ())
    }

    fn drop_link(&self, id: &LinkId) -> Result<(), LedgerError> {
        let Some(link) = self.link(id)? else {
            return Ok(());
        };
        self.drop_links(&link.vault, |link| link.id == *id)?;
        Ok(())
    }

    fn drop_due_links(&self, now: UnixTime) -> Result<u64, LedgerError> {
        let mut due = Vec::new();
        self.rocks
            .visit(Table::Due, &Due::LINKS, |key, _| match Due::from_key(key) {
                Some((time, Due::Link(link))) if time <= now => {
                    due.push(link);
                    Ok::<_, LedgerError>(true)
                }
                _ => Ok(false),
            })?;
        let mut dropped = 0;
        for id in &due {
            if let Some(link) = self.link(id)? {
                let over = |link: &Link| link.id == *id && !link.serves(now);
                dropped += self.drop_links(&link.vault, over)?;
            }
        }
        self.drop_expired_tickets_of_links(now)?;
        Ok(dropped)
    }
}

impl EmbeddedLedger {
    fn link_ids(&self, vault: &VaultId) -> Result<Vec<LinkId>, LedgerError> {
        let mut ids = Vec::new();
        let of = vault.as_bytes();
        self.rocks.visit(Table::VaultLinks, of, |key, _| {
            let link = keys::link_of(of, key);
            ids.extend(link);
            Ok::<_, LedgerError>(link.is_some())
        })?;
        Ok(ids)
    }

    /// Adds to `batch` that those links of a vault are no more, and takes them
    /// off what the payer has. The vault is locked.
    pub(super) fn end_links(
        &self,
        batch: &mut Batch<'_>,
        vault: &VaultId,
        payer: &mut Account,
        which: impl Fn(&Link) -> bool,
    ) -> Result<EndedLinks<'_>, LedgerError> {
        let mut links = self.links_of(vault)?;
        links.retain(&which);
        let ended = self.end_these(batch, &links, which)?;
        ended.give_back(payer);
        Ok(ended)
    }

    /// Adds to `batch` that the links which an account made with these devices are
    /// no more, in all `vaults` of its, and takes them off what who pays for each
    /// has. All of them are locked.
    pub(super) fn end_links_of_devices(
        &self,
        batch: &mut Batch<'_>,
        vaults: &[Vault],
        changed: &mut Changed,
        account: &AccountId,
        removed: &[DeviceId],
    ) -> Result<EndedLinks<'_>, LedgerError> {
        let which = |link: &Link| link.ends_without(account, removed);
        let mut links = Vec::new();
        for vault in vaults {
            let of_vault = self.links_of(&vault.id)?;
            links.extend(of_vault.into_iter().filter(which));
        }
        let ended = self.end_these(batch, &links, which)?;
        for link in &ended.links {
            let vault = vaults.iter().find(|vault| vault.id == link.vault);
            let vault = vault.ok_or(LedgerError::Damaged("a link of another vault"))?;
            let payer = changed.account(self, &vault.creator)?;
            payer.record_bytes = payer.record_bytes.saturating_sub(link.record_bytes);
        }
        Ok(ended)
    }

    fn end_these(
        &self,
        batch: &mut Batch<'_>,
        links: &[Link],
        which: impl Fn(&Link) -> bool,
    ) -> Result<EndedLinks<'_>, LedgerError> {
        let names = self.links.lock_all(links.iter().map(|link| &link.id.0));
        let mut ended = Vec::new();
        for id in links.iter().map(|link| link.id) {
            let Some(link) = self.link(&id)?.filter(&which) else {
                continue;
            };
            let vault = &link.vault;
            let named = self.rocks.get(Table::LinkPacks, &id.0)?;
            let named = named.map_or_else(Vec::new, |named| named.to_vec());
            for pack in named.as_chunks::<32>().0 {
                let pack = PackId::from_array(*pack);
                let key = keys::of_linked_pack(vault, &pack, &id);
                batch.delete(Table::LinkBlocks, &key);
            }
            batch.delete(Table::LinkPacks, &id.0);
            batch.delete(Table::VaultLinks, &keys::of_vault_link(vault, &id));
            batch.delete(Table::Links, &id.0);
            if let Some(until) = link.until {
                batch.delete(Table::Due, &Due::Link(id).key(until));
            }
            ended.push(link);
        }
        Ok(EndedLinks {
            links: ended,
            _names: names,
        })
    }

    pub(super) fn drop_links(
        &self,
        vault: &VaultId,
        which: impl Fn(&Link) -> bool,
    ) -> Result<u64, LedgerError> {
        let Some(locked) = self.lock(vault)? else {
            return Ok(0);
        };
        let Locked {
            mut payer, _guard, ..
        } = locked;
        let mut batch = self.rocks.batch();
        let ended = self.end_links(&mut batch, vault, &mut payer, which)?;
        if !ended.links.is_empty() {
            batch.put_account(&payer);
            batch.write(Sync::Now)?;
        }
        Ok(ended.links.len() as u64)
    }

    fn drop_expired_tickets_of_links(&self, now: UnixTime) -> Result<(), LedgerError> {
        let mut over = Vec::new();
        self.rocks.visit(Table::Tickets, &[], |key, row| {
            let ticket = Ticket::from_row((), row)?;
            if ticket.expires <= now {
                let hash = key.try_into();
                let hash = hash.map_err(|_| LedgerError::Damaged("a key is no ticket"))?;
                over.push((TicketHash(hash), ticket));
            }
            Ok::<_, LedgerError>(true)
        })?;
        for (hash, ticket) in over {
            let _name = self.links.lock(&ticket.link.0);
            // A newer one may have taken its place.
            if self.ticket(&hash)?.is_none() {
                continue;
            }
            let mut batch = self.rocks.batch();
            batch.delete(Table::Tickets, &hash.0);
            batch.delete(Table::LinkTickets, &keys::of_link_ticket(&ticket, &hash));
            if let Some(mut link) = self.link(&ticket.link)? {
                link.tickets = link.tickets.saturating_sub(1);
                batch.put_record(Table::Links, &link.id.0, &link);
            }
            batch.write(Sync::Later)?;
        }
        Ok(())
    }

    /// The first of a link's tickets, with the key of that in the order of time.
    fn oldest_ticket(
        &self,
        link: &LinkId,
        which: Oldest,
    ) -> Result<Option<(TicketHash, Vec<u8>)>, LedgerError> {
        let mut oldest = None;
        self.rocks.visit(Table::LinkTickets, &link.0, |key, row| {
            let Some(hash) = keys::link_ticket_of(link, key) else {
                return Ok(false);
            };
            let may_go = which == Oldest::OfAll || row == UNCOUNTED;
            oldest = may_go.then(|| (hash, key.to_vec()));
            Ok::<_, LedgerError>(!may_go)
        })?;
        Ok(oldest)
    }

    /// Whether a link that serves names a pack.
    pub(super) fn is_linked(
        &self,
        vault: &VaultId,
        pack: &PackId,
        now: UnixTime,
    ) -> Result<bool, LedgerError> {
        let of = keys::of_pack(vault, pack);
        let mut links = Vec::new();
        self.rocks.visit(Table::LinkBlocks, &of, |key, _| {
            let link = keys::link_of(&of, key);
            links.extend(link);
            Ok::<_, LedgerError>(link.is_some())
        })?;
        for link in links {
            if self.link(&link)?.is_some_and(|link| link.serves(now)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Batch<'_> {
    /// Puts a ticket, with its place in the order of time.
    fn put_ticket(&mut self, hash: &TicketHash, ticket: &Ticket) {
        self.put_record(Table::Tickets, &hash.0, ticket);
        let key = keys::of_link_ticket(ticket, hash);
        self.put(
            Table::LinkTickets,
            &key,
            match ticket.counted {
                true => &[],
                false => UNCOUNTED,
            },
        );
    }

    /// Puts a link that was due at `before`, with what the sweep goes by.
    fn put_link(&mut self, link: &Link, before: Option<UnixTime>) {
        let due = Due::Link(link.id);
        if let Some(before) = before.filter(|_| before != link.until) {
            self.delete(Table::Due, &due.key(before));
        }
        if let Some(until) = link.until {
            self.put(Table::Due, &due.key(until), &[]);
        }
        self.put_record(Table::Links, &link.id.0, link);
    }
}
