//! The list of links that is to stand, and the capsules without which none of them can
//! be told what it shows.

use std::collections::BTreeSet;

use vault_core::{
    chunk::ChunkKind,
    links::{Link, Links},
    pack::FinishedPack,
};
use vault_proto::{
    ids::{LinkId, PackId},
    wire::Located,
};

use super::{
    ReconcileError, Reconciled,
    contents::{Packs, Parts, kept, readable},
};
use crate::{
    link::{self, LinkError},
    remote::{LinkStatus, MAX_PACKS_PER_CALL, Presence},
    transfer::{TransferError, seal_alone},
    vault::Vault,
};

/// What the root is to say of links.
#[derive(Default)]
pub(super) struct StandingLinks {
    pub(super) at: Option<Located>,
    /// The list, where it had to be sealed anew.
    pub(super) new: Option<FinishedPack>,
    /// Capsules that are in the vault already.
    pub(super) held: BTreeSet<PackId>,
    /// Links that were lost and are not on it.
    pub(super) taken_off: u64,
}

/// Whether capsules that this device has kept are sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Capsules {
    Send,
    Ask,
}

impl Parts {
    /// The list that is to stand, without the links whose capsules nobody has. Capsules
    /// are packs of the vault, and are counted with the others.
    pub(super) fn standing_links(
        &self,
        vault: &Vault,
        packs: &mut Packs,
        capsules: Capsules,
    ) -> Result<StandingLinks, ReconcileError> {
        let now = self.read_links(self.now.root.links.as_ref())?;
        let mut standing = StandingLinks {
            at: self.small(packs).0,
            held: now.all().iter().map(|link| link.capsule).collect(),
            ..StandingLinks::default()
        };
        let chosen = self.read_links(standing.at.as_ref())?;
        // What is in the vault and not on the list that stands is in it all the same.
        let mut all: Vec<&Link> = chosen.all().iter().collect();
        all.extend(only_in(&now, &chosen));
        let mut gone = BTreeSet::new();
        for links in all.chunks(MAX_PACKS_PER_CALL) {
            let ids: Vec<_> = links.iter().map(|link| link.capsule).collect();
            let there = self.opened.remote.have_packs(&vault.id(), &ids);
            for (link, there) in links.iter().zip(there.map_err(TransferError::from)?) {
                let is_chosen = chosen.link(&link.id()).is_some();
                let may_send = is_chosen && capsules == Capsules::Send;
                if there == Presence::Trash {
                    packs.trashed.insert(link.capsule);
                }
                if there.is_there() || may_send && self.send_capsule(vault, link, packs)? {
                    packs.there.insert(link.capsule, link.capsule_size);
                } else {
                    gone.insert(link.id());
                }
            }
        }
        let mut left = chosen.clone();
        gone.iter().for_each(|link| drop(left.remove(link)));
        standing.taken_off = self.count_taken_off(vault, &chosen, &left)?;
        if left == chosen {
            return Ok(standing);
        }
        standing.at = match left.all() {
            [] => None,
            _ if left == now => self.now.root.links.clone(),
            _ => {
                let sealed = seal_alone(vault, ChunkKind::Links, &left.encode())?;
                sealed.map(|(pack, located)| {
                    standing.new = Some(pack);
                    located
                })
            }
        };
        Ok(standing)
    }

    fn send_capsule(
        &self,
        vault: &Vault,
        link: &Link,
        packs: &mut Packs,
    ) -> Result<bool, ReconcileError> {
        let Some(bytes) = kept(&self.opened, &link.capsule, link.capsule_size) else {
            return Ok(false);
        };
        let put = self
            .opened
            .remote
            .put_pack(&vault.id(), &link.capsule, bytes);
        put.map_err(TransferError::from)?;
        packs.uploaded.push(link.capsule);
        Ok(true)
    }

    /// How many links are not on the list that is left: of the one that was chosen, and of
    /// the newest that was lost, where nobody has taken them off who knew of them.
    fn count_taken_off(
        &self,
        vault: &Vault,
        chosen: &Links,
        left: &Links,
    ) -> Result<u64, ReconcileError> {
        let mut taken_off: BTreeSet<LinkId> = only_in(chosen, left).map(Link::id).collect();
        let lost = self.lost.first().and_then(|part| part.root.links.as_ref());
        let lost = self.read_links(lost)?;
        if only_in(&lost, left).next().is_some() {
            let before = self.read_links(self.before.links.as_ref())?;
            let made_since = only_in(&lost, &before).map(Link::id);
            taken_off.extend(made_since.filter(|link| left.link(link).is_none()));
        }
        if taken_off.is_empty() || vault.is_answered_for()? {
            return Ok(0);
        }
        Ok(taken_off.len() as u64)
    }

    /// The list that stands there; an empty one where it is gone or malformed.
    fn read_links(&self, at: Option<&Located>) -> Result<Links, ReconcileError> {
        let Some(at) = at else {
            return Ok(Links::default());
        };
        let read = readable(self.opened.reader.read_located(ChunkKind::Links, at))?;
        let links = read.and_then(|bytes| Links::decode(&bytes).ok());
        Ok(links.unwrap_or_default())
    }
}

fn only_in<'a>(one: &'a Links, other: &'a Links) -> impl Iterator<Item = &'a Link> {
    let links = one.all().iter();
    links.filter(|link| other.link(&link.id()).is_none())
}

/// Asks which links the hoster serves. It is not told again of those that it does not
/// know: they may have been revoked, used up, or be a removed device's.
pub(super) fn count_served(vault: &Vault, report: &mut Reconciled) -> Result<(), ReconcileError> {
    let listed = match link::read_list(vault) {
        Ok(listed) => listed,
        Err(LinkError::Transfer(error)) if !error.is_lasting() => return Err(error.into()),
        // What is wrong with it is for those to tell who need it.
        Err(_) => return Ok(()),
    };
    let served = match vault.remote().list_links(&vault.id()) {
        Ok(served) => served,
        Err(error) if error.is_transient() => return Err(TransferError::from(error).into()),
        Err(_) => return Ok(()),
    };
    let ids: BTreeSet<_> = served
        .iter()
        .map(|status: &LinkStatus| status.link)
        .collect();
    let now = u64::try_from(vault.now().seconds()).unwrap_or(0);
    let live = listed.all().iter();
    let live = live.filter(|link| link.expires == 0 || link.expires > now);
    report.links_not_served = live.filter(|link| !ids.contains(&link.id())).count() as u64;
    let unlisted = ids.iter().filter(|link| listed.link(link).is_none());
    report.links_unlisted = unlisted.count() as u64;
    Ok(())
}
