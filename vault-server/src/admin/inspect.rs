//! What the data directory holds about one member.

use std::collections::BTreeMap;

use tonic::Status;
use vault_proto::{
    account_log::DeviceRecord,
    device::DeviceKind,
    ids::{PackId, VaultId},
    vault_log::{Role, VaultKind},
};
use vault_rpc::admin::{
    InspectMemberResponse, InspectedDevice, InspectedHead, InspectedInvitation, InspectedLink,
    InspectedLinkPack, InspectedMembership, InspectedOffer, InspectedPack, InspectedSizeClass,
    InspectedTicket, InspectedToken, InspectedVault,
};

use super::{account_log, accounts, broken, find::find_member, member};
use crate::{
    clock::UnixTime,
    service::Hoster,
    store::{Account, Invitation, Link, OfferFrom, Pack, PackState, Standing, Token, WaitingOffer},
};

/// The most that is shown of each list; beside it stands how long it is.
const SHOWN_VAULTS: usize = 256;
/// See [`SHOWN_VAULTS`].
const SHOWN_HEADS: usize = 100;
/// See [`SHOWN_VAULTS`].
const SHOWN_LINKS: usize = 64;
/// See [`SHOWN_VAULTS`].
const SHOWN_PACKS: usize = 256;
/// Tokens, and offers that were left. See [`SHOWN_VAULTS`].
const SHOWN_OTHERS: usize = 256;
/// Packs of a head, and packs and tickets of a link. See [`SHOWN_VAULTS`].
const SHOWN_OF_EACH: usize = 16;

pub(super) fn inspect(hoster: &Hoster, wanted: &str) -> Result<InspectMemberResponse, Status> {
    let all = accounts(hoster)?;
    let account = find_member(&all, wanted)?;
    let log = account_log(hoster, account)?;
    let ledger = &hoster.ledger;
    let invitation = ledger.invitation_of(&account.id).map_err(broken)?;
    let mut tokens = ledger.tokens_of(&account.id).map_err(broken)?;
    tokens.sort_by_key(|token| std::cmp::Reverse(token.expires));
    let brought_by = Standing::Guest {
        brought_by: account.id,
    };
    let guests = all.iter().filter(|other| other.standing == brought_by);
    let offers = ledger.offers_for(&account.id).map_err(broken)?;
    let offers_left = ledger.offers_left_by(&account.id).map_err(broken)?;
    let vaults = ledger.vaults_of(&account.id).map_err(broken)?;
    let shown = vaults.iter().take(SHOWN_VAULTS);
    let shown = shown.map(|vault| inspect_vault(hoster, account, vault));
    Ok(InspectMemberResponse {
        member: Some(member(hoster, account)?),
        devices: log.devices().map(device).collect(),
        vaults: shown.collect::<Result<_, _>>()?,
        vault_count: vaults.len() as u64,
        log_entries: account.log_seq,
        invitation: invitation.map(used),
        token_count: tokens.len() as u64,
        tokens: tokens.iter().take(SHOWN_OTHERS).map(token).collect(),
        guests: guests.map(|guest| guest.id.to_vec()).collect(),
        offers: offers.iter().map(offer).collect(),
        offers_left_count: offers_left.len() as u64,
        offers_left: offers_left.iter().take(SHOWN_OTHERS).map(offer).collect(),
    })
}

fn device(device: &DeviceRecord) -> InspectedDevice {
    let public = device.public.to_wire();
    InspectedDevice {
        device: device.public.id().to_vec(),
        kind: match device.public.kind() {
            DeviceKind::Machine => "machine".into(),
            DeviceKind::Paper => "paper".into(),
            _ => "unknown".into(),
        },
        added_seq: device.added_seq,
        removed_seq: device.removed_seq.unwrap_or_default(),
        signing_key: public.signing_key,
        kem_key: public.kem_key,
        sealed_name_bytes: length(&device.sealed_name),
    }
}

fn used(invitation: Invitation) -> InspectedInvitation {
    InspectedInvitation {
        quota_bytes: invitation.quota_bytes,
        label: invitation.label,
        expires: invitation.expires.seconds(),
    }
}

fn token(token: &Token) -> InspectedToken {
    InspectedToken {
        device: token.device.to_vec(),
        expires: token.expires.seconds(),
    }
}

fn offer(offer: &WaitingOffer) -> InspectedOffer {
    InspectedOffer {
        account: offer.account.to_vec(),
        from: match offer.from {
            OfferFrom::Member(account) => account.to_vec(),
            OfferFrom::Stranger => Vec::new(),
        },
        hash: offer.hash.0.to_vec(),
        sealed_bytes: offer.sealed_bytes,
        until: offer.until.seconds(),
    }
}

fn inspect_vault(
    hoster: &Hoster,
    account: &Account,
    id: &VaultId,
) -> Result<InspectedVault, Status> {
    let gone = || Status::internal("a vault without a log");
    let log = hoster.logs.vault(id)?.ok_or_else(gone)?;
    let vault = hoster.ledger.vault(id).map_err(broken)?.ok_or_else(gone)?;
    let packs = PacksOf::read(hoster, id)?;
    let links = hoster.ledger.links_of(id).map_err(broken)?;
    let shown = links.iter().take(SHOWN_LINKS);
    let shown = shown.map(|link| inspect_link(hoster, link));
    let members = log.members().map(|(account, state)| InspectedMembership {
        account: account.to_vec(),
        role: role_name(Some(state.role)),
        accepted: state.accepted,
    });
    Ok(InspectedVault {
        link_count: links.len() as u64,
        links: shown.collect::<Result<_, _>>()?,
        vault: id.to_vec(),
        kind: match log.kind() {
            VaultKind::Storage => "storage".into(),
            VaultKind::Account => "account".into(),
            _ => "unknown".into(),
        },
        role: role_name(log.member(&account.id).map(|state| state.role)),
        epoch: log.epoch().number,
        log_entries: vault.log_seq,
        head_seq: vault.head_seq(),
        size_classes: packs.size_classes(),
        heads: inspect_heads(hoster, id, vault.head_seq())?,
        creator: vault.creator.to_vec(),
        members: members.collect(),
        pack_count: packs.count,
        packs: packs.shown(),
    })
}

fn role_name(role: Option<Role>) -> String {
    match role {
        Some(Role::Manager) => "manager".into(),
        Some(Role::Writer) => "writer".into(),
        Some(Role::Reader) => "reader".into(),
        _ => "none".into(),
    }
}

/// A vault's packs, without more of them in memory than are shown.
#[derive(Default)]
struct PacksOf {
    count: u64,
    classes: BTreeMap<u32, u64>,
    committed: Vec<InspectedPack>,
    others: Vec<InspectedPack>,
}

impl PacksOf {
    fn read(hoster: &Hoster, vault: &VaultId) -> Result<Self, Status> {
        let mut packs = Self::default();
        let visited = hoster.ledger.visit_packs(Some(vault), &mut |_, id, pack| {
            packs.add(id, pack);
            Ok(())
        });
        visited.map_err(broken)?;
        Ok(packs)
    }

    fn add(&mut self, id: &PackId, pack: &Pack) {
        self.count += 1;
        *self.classes.entry(pack.size).or_default() += 1;
        let (state, until) = match pack.state {
            PackState::Unclaimed { until } => ("unclaimed", until),
            PackState::Committed => ("committed", UnixTime::default()),
            PackState::Trash { until } => ("trash", until),
            PackState::Doomed { due } => ("doomed", due),
            PackState::Lost => ("lost", UnixTime::default()),
        };
        let list = match pack.state {
            PackState::Committed => &mut self.committed,
            _ => &mut self.others,
        };
        if list.len() < SHOWN_PACKS {
            list.push(InspectedPack {
                pack: id.to_vec(),
                size: pack.size,
                state: state.into(),
                until: until.seconds(),
            });
        }
    }

    fn size_classes(&self) -> Vec<InspectedSizeClass> {
        let classes = self.classes.iter();
        let classes = classes.map(|(&size, &packs)| InspectedSizeClass { size, packs });
        classes.collect()
    }

    fn shown(self) -> Vec<InspectedPack> {
        let all = self.others.into_iter().chain(self.committed);
        all.take(SHOWN_PACKS).collect()
    }
}

fn inspect_heads(
    hoster: &Hoster,
    vault: &VaultId,
    newest: u64,
) -> Result<Vec<InspectedHead>, Status> {
    let ledger = &hoster.ledger;
    let mut heads = Vec::new();
    for seq in (1..=newest).rev().take(SHOWN_HEADS) {
        let Some(head) = ledger.head(vault, seq).map_err(broken)? else {
            continue;
        };
        let changes = ledger.changes(vault, seq).map_err(broken)?;
        let changes = changes.unwrap_or_default();
        let root = ledger.root(vault, seq).map_err(broken)?;
        heads.push(InspectedHead {
            seq,
            received: head.received.seconds(),
            device: head.device.to_vec(),
            added_packs: head.added_packs,
            added_bytes: head.added_bytes,
            removed_packs: head.removed_packs,
            hash: head.hash.to_vec(),
            adds: first_ids(&changes.adds),
            removes: first_ids(&changes.removes),
            root_bytes: length(&root.unwrap_or_default()),
        });
    }
    Ok(heads)
}

fn inspect_link(hoster: &Hoster, link: &Link) -> Result<InspectedLink, Status> {
    let ledger = &hoster.ledger;
    let packs = ledger.linked_packs(&link.id).map_err(broken)?;
    let first = &packs[..packs.len().min(SHOWN_OF_EACH)];
    let blocks = ledger.link_blocks(link, first).map_err(broken)?;
    let named = first.iter().zip(blocks);
    let named = named.map(|(pack, blocks)| InspectedLinkPack {
        pack: pack.to_vec(),
        blocks: blocks.unwrap_or_default(),
    });
    let tickets = ledger.tickets_of(&link.id).map_err(broken)?;
    let newest = tickets.iter().rev().take(SHOWN_OF_EACH);
    let newest = newest.map(|ticket| InspectedTicket {
        opened: ticket.opened.seconds(),
        expires: ticket.expires.seconds(),
        counted: ticket.counted,
    });
    Ok(InspectedLink {
        link: link.id.0.to_vec(),
        account: link.account.to_vec(),
        created: link.created.seconds(),
        expires: link.expires.map_or(0, UnixTime::seconds),
        max_downloads: link.max_downloads,
        downloads: link.downloads,
        device: link.device.map_or_else(Vec::new, |device| device.to_vec()),
        serves: link.serves(hoster.clock.now()),
        capsule: link.capsule.to_vec(),
        packs: named.collect(),
        pack_count: packs.len() as u64,
        tickets: newest.collect(),
        ticket_count: tickets.len() as u64,
        record_bytes: link.record_bytes,
    })
}

fn first_ids(packs: &[PackId]) -> Vec<Vec<u8>> {
    let first = packs.iter().take(SHOWN_OF_EACH);
    first.map(|pack| pack.to_vec()).collect()
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
