//! Links, and the downloads of them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use vault_proto::ids::{AccountId, LinkId, VaultId};
use vault_proto::vault_log::Role;

use super::books::{Books, no_such_vault, refused};
use crate::remote::{
    BLOCK_BYTES, LinkBlocks, LinkStatus, LinkTicket, MAX_PACKS_PER_CALL, MAX_RANGES_PER_CALL,
    NewLink, OpenedLink, PackRange, RefusalReason, RemoteError,
};

/// How long a download may take.
const TICKET_SECONDS: u64 = 3_600;

#[derive(Clone, Default)]
pub(super) struct Links {
    live: BTreeMap<LinkId, Link>,
    /// Those that are over.
    over: BTreeSet<LinkId>,
    tickets: BTreeMap<[u8; 32], Ticket>,
}

#[derive(Clone)]
struct Link {
    asked: NewLink,
    created: u64,
    downloads: u32,
    account: AccountId,
}

#[derive(Clone)]
struct Ticket {
    link: LinkId,
    expires: u64,
    /// Whether it has read beyond the capsule, which makes it a download.
    counted: bool,
}

impl Link {
    fn has_expired(&self, now: u64) -> bool {
        self.asked.expires.is_some_and(|expires| expires <= now)
    }

    fn is_used_up(&self) -> bool {
        let most = self.asked.max_downloads;
        most.is_some_and(|most| self.downloads >= most.get())
    }

    fn allows(&self, range: &PackRange) -> bool {
        if range.pack == self.asked.capsule {
            return true;
        }
        let packs = &self.asked.packs;
        let Ok(found) = packs.binary_search_by_key(&range.pack, |blocks| blocks.pack) else {
            return false;
        };
        let Some(last) = range.length.checked_sub(1) else {
            return true;
        };
        let Some(last) = range.offset.checked_add(last) else {
            return false;
        };
        let mut blocks = range.offset / BLOCK_BYTES..=last / BLOCK_BYTES;
        blocks.all(|block| names_block(&packs[found], block))
    }
}

fn names_block(blocks: &LinkBlocks, block: u32) -> bool {
    let byte = blocks.blocks.get(block as usize / 8);
    byte.is_some_and(|byte| byte >> (block % 8) & 1 == 1)
}

impl Books {
    pub(super) fn create_link(
        &mut self,
        account: &AccountId,
        asked: &NewLink,
        now: u64,
    ) -> Result<(), RemoteError> {
        self.writable(account, &asked.vault)?;
        if let Some(held) = self.links.live.get(&asked.link) {
            let same = held.asked == *asked && held.account == *account;
            return match same {
                true => Ok(()),
                false => Err(refused(RefusalReason::Forbidden, "another link's id")),
            };
        }
        if self.links.over.contains(&asked.link) {
            return Err(refused(RefusalReason::Forbidden, "another link's id"));
        }
        if asked.packs.len() > MAX_PACKS_PER_CALL {
            return Err(refused(RefusalReason::TooLarge, "too many packs"));
        }
        if !asked.packs.is_sorted_by(|a, b| a.pack < b.pack) {
            return Err(refused(RefusalReason::Malformed, "packs out of order"));
        }
        let shelf = self.any_shelf(&asked.vault).ok_or_else(no_such_vault)?;
        if shelf.committed(&asked.capsule).is_none() {
            return Err(refused(RefusalReason::NotFound, "no such capsule"));
        }
        for blocks in &asked.packs {
            let bytes = shelf
                .committed(&blocks.pack)
                .ok_or_else(|| refused(RefusalReason::NotFound, "no such pack"))?;
            let count = bytes.div_ceil(BLOCK_BYTES as usize);
            let beyond = count..blocks.blocks.len() * 8;
            let mut beyond = beyond.filter_map(|block| u32::try_from(block).ok());
            if blocks.blocks.len() != count.div_ceil(8)
                || beyond.any(|block| names_block(blocks, block))
            {
                return Err(refused(RefusalReason::Malformed, "not that pack's blocks"));
            }
        }
        let link = Link {
            asked: asked.clone(),
            created: now,
            downloads: 0,
            account: *account,
        };
        self.links.live.insert(asked.link, link);
        Ok(())
    }

    pub(super) fn list_links(
        &self,
        account: &AccountId,
        vault: &VaultId,
        now: u64,
    ) -> Result<Vec<LinkStatus>, RemoteError> {
        self.shelf(account, vault)?;
        let links = self.links.live.values();
        Ok(links
            .filter(|link| {
                link.asked.vault == *vault && !link.has_expired(now) && !link.is_used_up()
            })
            .map(|link| LinkStatus {
                link: link.asked.link,
                created: link.created,
                expires: link.asked.expires,
                max_downloads: link.asked.max_downloads,
                downloads: link.downloads,
                account: link.account,
            })
            .collect())
    }

    pub(super) fn revoke_link(
        &mut self,
        account: &AccountId,
        vault: &VaultId,
        link: &LinkId,
    ) -> Result<(), RemoteError> {
        self.writable(account, vault)?;
        let member = self.shelf(account, vault)?.log.member(account);
        let manages = member.is_some_and(|member| member.role >= Role::Manager);
        let Some(held) = self.links.live.get(link) else {
            return Ok(());
        };
        if held.asked.vault != *vault {
            return Ok(());
        }
        if held.account != *account && !manages {
            return Err(refused(RefusalReason::Forbidden, "another member's link"));
        }
        self.links.live.remove(link);
        self.links.over.insert(*link);
        Ok(())
    }

    pub(super) fn open_link(&mut self, link: &LinkId, now: u64) -> Result<OpenedLink, RemoteError> {
        let Some(held) = self.links.live.get(link) else {
            return Err(match self.links.over.contains(link) {
                true => refused(RefusalReason::LinkOver, "the link was revoked"),
                false => refused(RefusalReason::NotFound, "no such link"),
            });
        };
        if held.has_expired(now) {
            return Err(refused(RefusalReason::LinkOver, "the link has expired"));
        }
        if held.is_used_up() {
            return Err(refused(RefusalReason::LinkOver, "the link is used up"));
        }
        let (vault, capsule) = (held.asked.vault, held.asked.capsule);
        let shelf = self.any_shelf(&vault).ok_or_else(no_such_vault)?;
        let size = shelf.committed(&capsule).unwrap_or(0);
        let number = self.links.tickets.len() as u64;
        let ticket = blake3::keyed_hash(link.as_bytes(), &number.to_le_bytes());
        let ticket = *ticket.as_bytes();
        let expires = now.saturating_add(TICKET_SECONDS);
        let link = *link;
        let given = Ticket {
            link,
            expires,
            counted: false,
        };
        self.links.tickets.insert(ticket, given);
        Ok(OpenedLink {
            ticket: LinkTicket::from_array(ticket),
            lifetime_seconds: TICKET_SECONDS,
            capsule,
            capsule_size: u32::try_from(size).expect("a pack is at most 16 MiB"),
        })
    }

    pub(super) fn read_link(
        &mut self,
        ticket: &LinkTicket,
        ranges: &[PackRange],
        now: u64,
    ) -> Result<Vec<Bytes>, RemoteError> {
        if ranges.len() > MAX_RANGES_PER_CALL {
            return Err(refused(RefusalReason::TooLarge, "too many ranges"));
        }
        let number = ticket.as_bytes();
        let held = self.links.tickets.get(number);
        let held = held
            .filter(|held| now < held.expires)
            .ok_or_else(|| refused(RefusalReason::Unauthenticated, "no such ticket"))?;
        let link = self.links.live.get(&held.link);
        let link = link.ok_or_else(|| refused(RefusalReason::LinkOver, "it was revoked"))?;
        if !held.counted && link.is_used_up() {
            return Err(refused(RefusalReason::LinkOver, "the link is used up"));
        }
        if !ranges.iter().all(|range| link.allows(range)) {
            return Err(refused(RefusalReason::Forbidden, "not what the link names"));
        }
        let shelf = self
            .any_shelf(&link.asked.vault)
            .ok_or_else(no_such_vault)?;
        let parts = ranges.iter().map(|range| shelf.read(range));
        let parts = parts.collect::<Result<_, _>>()?;
        let capsule = link.asked.capsule;
        let counts = !held.counted && ranges.iter().any(|range| range.pack != capsule);
        let id = held.link;
        if counts
            && let Some(held) = self.links.tickets.get_mut(number)
            && let Some(link) = self.links.live.get_mut(&id)
        {
            held.counted = true;
            link.downloads += 1;
        }
        Ok(parts)
    }
}
