//! Links and tickets.

use vault_proto::ids::{PackId, VaultId};

use super::{MemoryLedger, Tables};
use crate::{
    clock::UnixTime,
    store::{
        decide::{self, Oldest},
        ledger::{DownloadCount, LedgerError, LinkCreation, LinkLedger, LinkOpening, NewLink},
        records::{Link, LinkId, Ticket, TicketHash},
    },
};

impl LinkLedger for MemoryLedger {
    fn create_link(&self, new: &NewLink<'_>) -> Result<LinkCreation, LedgerError> {
        let mut tables = self.tables();
        let Some((vault, _)) = tables.vaults.get(&new.vault) else {
            return Ok(LinkCreation::NoSuchVault);
        };
        if let Some(there) = tables.links.get(&new.id) {
            let same = there.vault == new.vault && there.digest == new.digest;
            return Ok(match same {
                true => LinkCreation::Created,
                false => LinkCreation::Exists,
            });
        }
        let maker = tables.accounts.get(&new.account);
        let account_seq = maker.map_or(0, |(account, _)| account.log_seq);
        if vault.log_seq != new.log_seq || account_seq != new.account_seq {
            return Ok(LinkCreation::LostRace);
        }
        let mut packs = vec![new.capsule];
        packs.extend(new.packs.iter().map(|(pack, _)| *pack));
        let records = tables.packs(&new.vault, &packs);
        let links = tables.links.values();
        let there = links.filter(|link| link.vault == new.vault).count();
        let payer = tables.payer(&new.vault)?;
        let plan = match decide::link(new, payer, there, &records, &self.terms) {
            Ok(plan) => plan,
            Err(refused) => return Ok(refused),
        };
        payer.record_bytes = payer.record_bytes.saturating_add(plan.link.record_bytes);
        for (pack, blocks) in plan.blocks {
            let key = (new.vault, pack, new.id);
            tables.link_blocks.insert(key, blocks);
        }
        tables.links.insert(new.id, plan.link);
        Ok(LinkCreation::Created)
    }

    fn link(&self, id: &LinkId) -> Result<Option<Link>, LedgerError> {
        Ok(self.tables().links.get(id).cloned())
    }

    fn links_of(&self, vault: &VaultId) -> Result<Vec<Link>, LedgerError> {
        let tables = self.tables();
        let links = tables.links.values();
        Ok(links.filter(|link| link.vault == *vault).cloned().collect())
    }

    fn link_blocks(
        &self,
        link: &Link,
        packs: &[PackId],
    ) -> Result<Vec<Option<Vec<u8>>>, LedgerError> {
        let tables = self.tables();
        let blocks = |pack: &PackId| tables.link_blocks.get(&(link.vault, *pack, link.id));
        Ok(packs.iter().map(|pack| blocks(pack).cloned()).collect())
    }

    fn open_link(
        &self,
        id: &LinkId,
        ticket: &TicketHash,
        now: UnixTime,
    ) -> Result<LinkOpening, LedgerError> {
        let mut tables = self.tables();
        let Tables { links, tickets, .. } = &mut *tables;
        let Some(link) = links.get_mut(id) else {
            return Ok(LinkOpening::Over);
        };
        let opened = match decide::open(link, now, &self.terms) {
            Ok(opened) => opened,
            Err(refused) => return Ok(refused),
        };
        if let Some(oldest) = opened.instead_of {
            let may_go = |ticket: &Ticket| oldest == Oldest::OfAll || !ticket.counted;
            let of_link = tickets.iter();
            let of_link = of_link.filter(|(_, ticket)| ticket.link == *id && may_go(ticket));
            let oldest = of_link.min_by_key(|(hash, ticket)| (ticket.opened, **hash));
            let Some(oldest) = oldest.map(|(hash, _)| *hash) else {
                return Ok(LinkOpening::TooMany);
            };
            tickets.remove(&oldest);
        }
        tickets.insert(*ticket, opened.ticket);
        Ok(LinkOpening::Opened(Box::new(link.clone()), opened.ticket))
    }

    fn count_download(
        &self,
        ticket: &TicketHash,
        now: UnixTime,
    ) -> Result<DownloadCount, LedgerError> {
        let mut tables = self.tables();
        let Tables { links, tickets, .. } = &mut *tables;
        let Some(ticket) = tickets.get_mut(ticket) else {
            return Ok(DownloadCount::NoTicket);
        };
        if ticket.counted {
            return Ok(DownloadCount::Counted);
        }
        let Some(link) = links.get_mut(&ticket.link) else {
            return Ok(DownloadCount::Over);
        };
        let counted = decide::count(link, ticket, now, &self.terms);
        Ok(counted.err().unwrap_or(DownloadCount::Counted))
    }

    fn ticket(&self, hash: &TicketHash) -> Result<Option<Ticket>, LedgerError> {
        Ok(self.tables().tickets.get(hash).copied())
    }

    fn drop_link(&self, id: &LinkId) -> Result<(), LedgerError> {
        self.tables().end_links(|link| link.id == *id)?;
        Ok(())
    }

    fn drop_due_links(&self, now: UnixTime) -> Result<u64, LedgerError> {
        let mut tables = self.tables();
        let dropped = tables.end_links(|link| !link.serves(now))?;
        let Tables { links, tickets, .. } = &mut *tables;
        tickets.retain(|_, ticket| {
            let over = ticket.expires <= now;
            if let Some(link) = links.get_mut(&ticket.link).filter(|_| over) {
                link.tickets = link.tickets.saturating_sub(1);
            }
            !over
        });
        Ok(dropped)
    }
}

impl Tables {
    /// Those links are no more, nor do they count.
    pub(super) fn end_links(&mut self, which: impl Fn(&Link) -> bool) -> Result<u64, LedgerError> {
        let ended = self.links.extract_if(.., |_, link| which(link));
        let ended: Vec<_> = ended.map(|(_, link)| link).collect();
        for link in &ended {
            self.link_blocks.retain(|(_, _, id), _| *id != link.id);
            let payer = self.payer(&link.vault)?;
            payer.record_bytes = payer.record_bytes.saturating_sub(link.record_bytes);
        }
        Ok(ended.len() as u64)
    }

    /// Whether a link that serves names a pack.
    pub(super) fn is_linked(&self, vault: &VaultId, pack: &PackId, now: UnixTime) -> bool {
        let ends = [[0; 32], [0xff; 32]].map(|end| (*vault, *pack, LinkId(end)));
        let naming = self.link_blocks.range(ends[0]..=ends[1]);
        let mut links = naming.filter_map(|((_, _, link), _)| self.links.get(link));
        links.any(|link| link.serves(now))
    }
}
