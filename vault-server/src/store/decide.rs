//! What a ledger decides, apart from where it reads and writes: pure functions
//! that every adapter shares, so that none counts or compares differently.

use std::collections::BTreeMap;

use vault_proto::ids::{AccountId, PackId};

use super::{
    ledger::{
        Commit, Copied, DownloadCount, HeadCommit, LinkCreation, LinkOpening, LogCopy, NewAccount,
        NewLink, NewOffer, QuotaRoom, Terms, Urgency,
    },
    records::{
        Account, Fullness, HeadRecord, Invitation, Link, OfferFrom, Pack, PackState, Standing,
        Ticket, Usage, Vault,
    },
};
use crate::clock::UnixTime;

/// One pack's step in its life.
pub(super) struct Step {
    pub(super) pack: PackId,
    pub(super) size: u32,
    pub(super) from: PackState,
    pub(super) to: PackState,
}

/// What accepting a head changes.
pub(super) struct CommitPlan {
    pub(super) steps: Vec<Step>,
    pub(super) usage: Usage,
    pub(super) added_bytes: u64,
    pub(super) record_bytes: u64,
}

/// What a row costs beside its value: its key, and the database's share.
const ROW_BYTES: u64 = 128;
/// By how much a prune may exceed the quota.
const PRUNE_BYTES: u64 = 64 << 20;

/// What an entry of a log counts as.
pub(super) fn entry_bytes(entry: &[u8]) -> u64 {
    entry.len() as u64 + ROW_BYTES
}

/// How many record bytes an account may have.
pub(super) fn record_limit(payer: &Account, terms: &Terms) -> u64 {
    terms.record_bytes.saturating_add(payer.quota_bytes / 16)
}

/// Whether `more_bytes` of records are too many.
pub(super) fn records_full(payer: &Account, more_bytes: u64, terms: &Terms) -> Option<Fullness> {
    let quota_bytes = record_limit(payer, terms);
    let used_bytes = payer.record_bytes.saturating_add(more_bytes);
    (used_bytes > quota_bytes).then_some(Fullness {
        quota_bytes,
        used_bytes,
    })
}

/// Whether there is no room for an entry of `more_bytes`.
pub(super) fn entry_refused(
    payer: &Account,
    more_bytes: u64,
    urgency: Urgency,
    terms: &Terms,
) -> Option<Fullness> {
    let full = records_full(payer, more_bytes, terms)?;
    let most = match urgency {
        Urgency::Ordinary => full.quota_bytes,
        Urgency::CannotWait => full.quota_bytes.saturating_mul(2),
        Urgency::Removal => u64::MAX,
    };
    (full.used_bytes > most).then_some(full)
}

/// The account that an invitation becomes.
pub(super) fn member(new: &NewAccount<'_>, invitation: &Invitation) -> Account {
    Account {
        id: new.id,
        standing: Standing::Member,
        label: invitation.label.clone(),
        joined: new.now,
        quota_bytes: invitation.quota_bytes,
        usage: Usage::default(),
        record_bytes: entry_bytes(new.genesis),
        log_seq: 1,
        guests: 0,
        guest_bytes: 0,
    }
}

/// The guest that a log makes which `sponsor` brings, who has one more then.
pub(super) fn guest(
    copy: &LogCopy<'_>,
    sponsor: Option<&mut Account>,
    terms: &Terms,
) -> Result<Account, Copied> {
    let sponsor = sponsor.filter(|sponsor| !sponsor.standing.is_guest());
    let sponsor = sponsor.ok_or(Copied::NotAMember)?;
    if sponsor.guests >= terms.guests {
        return Err(Copied::TooManyGuests);
    }
    sponsor.guests += 1;
    Ok(Account {
        id: copy.account,
        standing: Standing::Guest {
            brought_by: sponsor.id,
        },
        label: String::new(),
        joined: copy.now,
        quota_bytes: 0,
        usage: Usage::default(),
        record_bytes: 0,
        log_seq: 0,
        guests: 0,
        guest_bytes: 0,
    })
}

/// Whose record a copy of a log changes beside the account's own: that of who
/// brought the guest, or brings it now.
pub(super) fn sponsor(copy: &LogCopy<'_>, there: Option<&Account>) -> AccountId {
    match there.map(|account| account.standing) {
        Some(Standing::Guest { brought_by }) => brought_by,
        Some(Standing::Member) | None => copy.brought_by,
    }
}

/// The account with a longer log, or why there is none. What a guest's takes is
/// added to what its sponsor's guests have.
pub(super) fn copied(
    copy: &LogCopy<'_>,
    mut account: Account,
    sponsor: Option<&mut Account>,
    terms: &Terms,
) -> Result<Account, Copied> {
    if copy.after != account.log_seq {
        return Err(Copied::LostRace);
    }
    let more_bytes: u64 = copy.entries.iter().map(|entry| entry_bytes(entry)).sum();
    if account.standing.is_guest() {
        let sponsor = sponsor.ok_or(Copied::NotAMember)?;
        let most = match copy.urgency {
            Urgency::Ordinary => terms.guest_bytes,
            Urgency::CannotWait | Urgency::Removal => terms.guest_bytes.saturating_mul(2),
        };
        let guest_bytes = sponsor.guest_bytes.saturating_add(more_bytes);
        if guest_bytes > most {
            return Err(Copied::GuestsFull(Fullness {
                quota_bytes: most,
                used_bytes: guest_bytes,
            }));
        }
        sponsor.guest_bytes = guest_bytes;
    } else if let Some(full) = entry_refused(&account, more_bytes, copy.urgency, terms) {
        return Err(Copied::RecordsFull(full));
    }
    account.record_bytes = account.record_bytes.saturating_add(more_bytes);
    account.log_seq += copy.entries.len() as u64;
    Ok(account)
}

/// Whether one more vault of `creator` may wait to be accepted by an account for
/// which those of these `creators` wait.
pub(super) fn may_wait(creator: AccountId, creators: &[AccountId], terms: &Terms) -> bool {
    let of_one = creators.iter().filter(|other| **other == creator).count();
    creators.len() < terms.unaccepted && of_one < terms.unaccepted_of_one
}

/// Whether one more offer fits to those that are `there`.
pub(super) fn offer_fits(new: &NewOffer<'_>, there: &[OfferFrom], terms: &Terms) -> bool {
    let of_the_same = there.iter().filter(|from| **from == new.from).count();
    let most = match new.from {
        OfferFrom::Member(_) => terms.offers_of_one,
        OfferFrom::Stranger => terms.offers_of_strangers,
    };
    there.len() < terms.offers && of_the_same < most
}

/// Bytes of a block, which is what a link names.
const BLOCK_BYTES: u32 = 64 << 10;

/// A bit for each block of a pack, all of them set.
fn all_blocks(size: u32) -> Vec<u8> {
    let blocks = size.div_ceil(BLOCK_BYTES);
    let whole = std::iter::repeat_n(0xff, (blocks / 8) as usize);
    let rest = match blocks % 8 {
        0 => None,
        rest => Some((1 << rest) - 1),
    };
    whole.chain(rest).collect()
}

/// Whether these are bits for the blocks of such a pack, at least one of them
/// set and none beyond the last.
fn blocks_fit(blocks: &[u8], size: u32) -> bool {
    let all = all_blocks(size);
    let none_beyond = blocks.iter().zip(&all).all(|(bits, all)| bits & !all == 0);
    blocks.len() == all.len() && none_beyond && blocks.iter().any(|bits| *bits != 0)
}

/// A link, with all blocks that it names.
pub(super) struct LinkPlan {
    pub(super) link: Link,
    /// The capsule among them.
    pub(super) blocks: BTreeMap<PackId, Vec<u8>>,
}

/// The link to be made in a vault that has `there` of them; `records` are those of
/// the capsule and the packs after it, in the order of `new`.
pub(super) fn link(
    new: &NewLink<'_>,
    payer: &Account,
    there: usize,
    records: &[Option<Pack>],
    terms: &Terms,
) -> Result<LinkPlan, LinkCreation> {
    if there >= terms.links {
        return Err(LinkCreation::TooMany);
    }
    let mut plan = LinkPlan {
        link: Link {
            id: new.id,
            vault: new.vault,
            account: new.account,
            device: Some(new.device),
            capsule: new.capsule,
            capsule_size: 0,
            digest: new.digest,
            created: new.now,
            expires: new.expires,
            max_downloads: new.max_downloads,
            downloads: 0,
            tickets: 0,
            until: new.expires,
            record_bytes: 0,
        },
        blocks: BTreeMap::new(),
    };
    let packs = new.packs.iter().map(|(pack, blocks)| (*pack, Some(blocks)));
    let packs = std::iter::once((new.capsule, None)).chain(packs);
    for ((pack, blocks), record) in packs.zip(records) {
        let committed = record.filter(|record| record.state == PackState::Committed);
        let Some(Pack { size, .. }) = committed else {
            return Err(LinkCreation::NotCommitted(pack));
        };
        match blocks {
            Some(blocks) if !blocks_fit(blocks, size) => return Err(LinkCreation::Blocks(pack)),
            // The capsule came first, and has them all.
            Some(blocks) => plan.blocks.entry(pack).or_insert_with(|| blocks.clone()),
            None => {
                plan.link.capsule_size = size;
                plan.blocks.entry(pack).or_insert_with(|| all_blocks(size))
            }
        };
    }
    let named = plan.blocks.values();
    let named: u64 = named
        .map(|blocks| ROW_BYTES + 32 + blocks.len() as u64)
        .sum();
    plan.link.record_bytes = 4 * ROW_BYTES + named;
    match records_full(payer, plan.link.record_bytes, terms) {
        Some(fullness) => Err(LinkCreation::RecordsFull(fullness)),
        None => Ok(plan),
    }
}

/// A ticket to be stored.
pub(super) struct Opened {
    pub(super) ticket: Ticket,
    /// Which of the link's tickets makes room for it.
    pub(super) instead_of: Option<Oldest>,
}

/// The oldest of a link's tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oldest {
    /// Of all.
    OfAll,
    /// Of those that have not counted. Of a link that may be downloaded so often, each
    /// that has is worth one of these.
    Uncounted,
}

/// Makes a ticket of a link, if one more fits.
pub(super) fn open(link: &mut Link, now: UnixTime, terms: &Terms) -> Result<Opened, LinkOpening> {
    if !link.is_open(now) {
        return Err(LinkOpening::Over);
    }
    let full = link.tickets >= terms.tickets;
    if !full {
        link.tickets += 1;
    }
    Ok(Opened {
        ticket: Ticket {
            link: link.id,
            opened: now,
            expires: ticket_end(link, now, terms),
            counted: false,
        },
        instead_of: full.then_some(match link.max_downloads {
            0 => Oldest::OfAll,
            _ => Oldest::Uncounted,
        }),
    })
}

/// When a ticket of the link ends that is made now.
fn ticket_end(link: &Link, now: UnixTime, terms: &Terms) -> UnixTime {
    let last = now.plus(terms.ticket);
    link.expires.map_or(last, |expires| expires.min(last))
}

/// Counts a ticket of a link that reads beyond the capsule for the first time; why
/// not, if it may not.
pub(super) fn count(
    link: &mut Link,
    ticket: &mut Ticket,
    now: UnixTime,
    terms: &Terms,
) -> Result<(), DownloadCount> {
    if ticket.expires <= now {
        return Err(DownloadCount::NoTicket);
    }
    if !link.is_open(now) {
        return Err(DownloadCount::Over);
    }
    ticket.counted = true;
    link.downloads = link.downloads.saturating_add(1);
    if !link.is_open(now) {
        // It was the last one, and nothing is left to do once all that counted are over.
        // Others may have been opened after this one, but none later than now.
        link.until = Some(ticket_end(link, now, terms));
    }
    Ok(())
}

/// What a pack in the trash becomes when its time is over: doomed, or, while a
/// link names it that serves, what waits as long again.
pub(super) fn due(state: PackState, linked: bool, now: UnixTime, terms: &Terms) -> PackState {
    match (state, linked) {
        (PackState::Trash { .. }, true) => PackState::Trash {
            until: now.plus(terms.grace),
        },
        (state, _) => PackState::Doomed {
            due: state.due().unwrap_or(now),
        },
    }
}

impl QuotaRoom {
    fn of(self, payer: &Account) -> u64 {
        match self {
            Self::Plain => payer.quota_bytes,
            Self::WithPrune => payer.quota_bytes.saturating_add(PRUNE_BYTES),
        }
    }
}

/// Whether a head comes where the vault stands; the race lost if not.
pub(super) fn race(commit: &HeadCommit<'_>, vault: &Vault) -> Option<Commit> {
    let follows = commit.previous == vault.head
        && commit.head.seq == vault.head_seq() + 1
        && commit.log_seq == vault.log_seq;
    (!follows).then(|| Commit::LostRace {
        head_seq: vault.head_seq(),
        log_seq: vault.log_seq,
    })
}

/// What accepting a head does to the packs it names, whose records are given in
/// its order; or why it cannot be accepted.
pub(super) fn commit(
    commit: &HeadCommit<'_>,
    payer: &Account,
    reserved_bytes: u64,
    adds: &[Option<Pack>],
    removes: &[Option<Pack>],
    terms: &Terms,
) -> Result<CommitPlan, Commit> {
    let mut plan = CommitPlan {
        steps: Vec::new(),
        usage: payer.usage,
        added_bytes: 0,
        record_bytes: head_bytes(commit),
    };
    let mut missing = Vec::new();
    for (&pack, record) in commit.adds.iter().zip(adds) {
        match record {
            Some(record) if record.is_there() => {
                plan.added_bytes += u64::from(record.size);
                plan.step(pack, record, PackState::Committed);
            }
            _ => missing.push(pack),
        }
    }
    if !missing.is_empty() {
        return Err(Commit::Missing(missing));
    }
    for (&pack, record) in commit.removes.iter().zip(removes) {
        let Some(record) = record else { continue };
        match record.state {
            PackState::Committed => {
                let until = commit.now.plus(terms.grace);
                plan.step(pack, record, PackState::Trash { until });
            }
            // There is nothing to keep for the grace period.
            PackState::Lost => plan.step(pack, record, PackState::Doomed { due: commit.now }),
            PackState::Unclaimed { .. } | PackState::Trash { .. } | PackState::Doomed { .. } => {}
        }
    }
    // A head that neither revives nor removes leaves both sums as they are, so
    // it is accepted however the quota was changed since.
    let removes = plan
        .steps
        .iter()
        .any(|step| !matches!(step.to, PackState::Committed));
    let room = if removes {
        QuotaRoom::WithPrune
    } else {
        QuotaRoom::Plain
    };
    let (before, after) = (&payer.usage, &plan.usage);
    let used_bytes = after.charged_bytes().saturating_add(reserved_bytes);
    if after.charged_bytes() > before.charged_bytes() && used_bytes > room.of(payer) {
        return Err(Commit::OverQuota(Fullness {
            quota_bytes: payer.quota_bytes,
            used_bytes,
        }));
    }
    if after.trash_bytes > before.trash_bytes && after.trash_bytes > payer.quota_bytes {
        return Err(Commit::TrashFull(Fullness {
            quota_bytes: payer.quota_bytes,
            used_bytes: after.trash_bytes,
        }));
    }
    match records_full(payer, plan.record_bytes, terms) {
        Some(fullness) => Err(Commit::RecordsFull(fullness)),
        None => Ok(plan),
    }
}

/// What a head, its root and its lists of packs count as.
fn head_bytes(commit: &HeadCommit<'_>) -> u64 {
    let packs = 32 * (commit.adds.len() + commit.removes.len());
    (commit.signed.len() + commit.root.len() + packs) as u64 + ROW_BYTES
}

impl CommitPlan {
    fn step(&mut self, pack: PackId, record: &Pack, to: PackState) {
        if record.state != to {
            self.usage.shift(record.size, Some(record.state), Some(to));
            self.steps.push(Step {
                pack,
                size: record.size,
                from: record.state,
                to,
            });
        }
    }
}

/// How many bytes an upload must find room for; `None` if it is not needed.
pub(super) fn upload_charge(size: u32, record: Option<&Pack>) -> Option<u64> {
    match record.map(|pack| pack.state) {
        None | Some(PackState::Doomed { .. }) => Some(u64::from(size)),
        // Its bytes count already.
        Some(PackState::Lost) => Some(0),
        Some(PackState::Unclaimed { .. } | PackState::Committed | PackState::Trash { .. }) => None,
    }
}

/// Whether `more_bytes` fit beside what is used and reserved.
pub(super) fn over_quota(
    payer: &Account,
    reserved_bytes: u64,
    more_bytes: u64,
    room: QuotaRoom,
) -> Option<Fullness> {
    let used_bytes = payer.usage.charged_bytes().saturating_add(reserved_bytes);
    (more_bytes > 0 && used_bytes.saturating_add(more_bytes) > room.of(payer)).then_some(Fullness {
        quota_bytes: payer.quota_bytes,
        used_bytes,
    })
}

/// The state of a pack that has just been uploaded.
pub(super) fn uploaded(record: Option<&Pack>, now: UnixTime, terms: &Terms) -> PackState {
    match record.map(|pack| pack.state) {
        Some(PackState::Lost) => PackState::Committed,
        Some(state @ (PackState::Committed | PackState::Trash { .. })) => state,
        None | Some(PackState::Doomed { .. } | PackState::Unclaimed { .. }) => {
            PackState::Unclaimed {
                until: now.plus(terms.lease),
            }
        }
    }
}

/// What a pack becomes whose blob is missing; `None` if it is forgotten.
pub(super) fn without_blob(state: PackState) -> Option<PackState> {
    match state {
        PackState::Committed | PackState::Lost => Some(PackState::Lost),
        PackState::Unclaimed { .. } | PackState::Trash { .. } | PackState::Doomed { .. } => None,
    }
}

/// What is kept of a head that is accepted.
pub(super) fn head_record(commit: &HeadCommit<'_>, plan: &CommitPlan) -> HeadRecord {
    let count = |packs: &[PackId]| u32::try_from(packs.len()).unwrap_or(u32::MAX);
    HeadRecord {
        hash: commit.head.hash,
        signed: commit.signed.to_vec(),
        received: commit.now,
        device: commit.device,
        added_packs: count(commit.adds),
        added_bytes: plan.added_bytes,
        removed_packs: count(commit.removes),
    }
}

/// The renewed lease of an unclaimed pack; `None` if there is nothing to write.
pub(super) fn renewed(state: PackState, now: UnixTime, terms: &Terms) -> Option<PackState> {
    /// Below this, a lease is as good as new: asking for a million packs twice
    /// writes once.
    const NOT_WORTH_WRITING_SECONDS: u64 = 60 * 60;
    let PackState::Unclaimed { until } = state else {
        return None;
    };
    let renewed = now.plus(terms.lease);
    (renewed.seconds() >= until.seconds().saturating_add(NOT_WORTH_WRITING_SECONDS))
        .then_some(PackState::Unclaimed { until: renewed })
}

impl PackState {
    /// When the sweep has to look at the pack.
    pub(super) const fn due(self) -> Option<UnixTime> {
        match self {
            Self::Unclaimed { until } | Self::Trash { until } => Some(until),
            Self::Doomed { due } => Some(due),
            Self::Committed | Self::Lost => None,
        }
    }
}

impl Usage {
    /// Moves a pack's bytes from what one state counts as to another's.
    pub(super) fn shift(&mut self, size: u32, from: Option<PackState>, to: Option<PackState>) {
        let size = u64::from(size);
        if let Some(sum) = from.and_then(|state| self.sum_of(state)) {
            *sum = sum.saturating_sub(size);
        }
        if let Some(sum) = to.and_then(|state| self.sum_of(state)) {
            *sum = sum.saturating_add(size);
        }
    }

    fn sum_of(&mut self, state: PackState) -> Option<&mut u64> {
        match state {
            PackState::Unclaimed { .. } => Some(&mut self.unclaimed_bytes),
            PackState::Committed | PackState::Lost => Some(&mut self.committed_bytes),
            PackState::Trash { .. } => Some(&mut self.trash_bytes),
            PackState::Doomed { .. } => None,
        }
    }
}
