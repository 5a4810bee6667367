//! The links of a vault: what its members know of them, and what the hoster says.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use vault_core::links::{Link, LinkUrl};
use vault_core::snapshot::SnapshotId;
use vault_core::timestamp::Timestamp;
use vault_proto::ids::{AccountId, LinkId};

use super::{LinkError, stored};
use crate::remote::{HosterAddress, LinkStatus};
use crate::vault::Vault;

/// What the hoster says of a link on the vault's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkState {
    /// It serves it.
    Live,
    /// It serves it, but not until when or as often as its maker said.
    Differs,
    /// It does not serve it: the link has expired, was used up or revoked, or
    /// the hoster was never told of it.
    Over,
}

/// A link of a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkSummary {
    /// What the hoster knows it by.
    pub id: LinkId,
    /// All that it takes to open it, but for the password.
    pub url: LinkUrl,
    /// For people; may be empty.
    pub label: String,
    /// Of which snapshot it shows a part.
    pub snapshot: SnapshotId,
    /// Which part.
    pub path: Vec<u8>,
    /// Who made it.
    pub account: AccountId,
    /// When.
    pub created: Timestamp,
    /// Until when, in seconds since 1970; `None` for ever.
    pub expires: Option<u64>,
    /// How often it may be downloaded; `None` for any number.
    pub max_downloads: Option<NonZeroU32>,
    /// Whether a password is needed.
    pub has_password: bool,
    /// What the hoster says of it.
    pub state: LinkState,
    /// How often it was downloaded, as the hoster says; `None` if it does not.
    pub downloads: Option<u32>,
}

/// The links of a vault.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkList {
    /// Those on the vault's list, the newest last.
    pub links: Vec<LinkSummary>,
    /// Those that the hoster serves and that are not on the list: nobody knows
    /// what they show.
    pub unlisted: Vec<LinkStatus>,
}

/// The links of a vault that `hoster` keeps.
///
/// # Errors
/// See [`LinkError`].
pub fn list(vault: &mut Vault, hoster: &HosterAddress) -> Result<LinkList, LinkError> {
    vault.refresh()?;
    let listed = stored::read(vault)?;
    let served = vault.remote().list_links(&vault.id())?;
    let mut served: BTreeMap<LinkId, LinkStatus> =
        served.into_iter().map(|link| (link.link, link)).collect();
    let mut links: Vec<_> = listed
        .all()
        .iter()
        .map(|link| summary(link, hoster, served.remove(&link.id())))
        .collect();
    links.sort_by_key(|link| (link.created, link.id));
    Ok(LinkList {
        links,
        unlisted: served.into_values().collect(),
    })
}

/// Revokes a link: first at the hoster, then in the vault's list.
///
/// # Errors
/// See [`LinkError`]: [`LinkError::NoLink`] if neither knows it.
pub fn revoke(vault: &mut Vault, link: &LinkId) -> Result<(), LinkError> {
    vault.refresh()?;
    let is_listed = stored::read(vault)?.link(link).is_some();
    let remote = vault.remote();
    if !is_listed {
        let served = remote.list_links(&vault.id())?;
        if served.iter().all(|status| status.link != *link) {
            return Err(LinkError::NoLink);
        }
    }
    remote.revoke_link(&vault.id(), link)?;
    stored::change(vault, |_, links| {
        links.remove(link);
        Ok(())
    })
}

fn summary(link: &Link, hoster: &HosterAddress, served: Option<LinkStatus>) -> LinkSummary {
    let expires = (link.expires != 0).then_some(link.expires);
    let max_downloads = NonZeroU32::new(link.max_downloads);
    let state = match &served {
        None => LinkState::Over,
        Some(status) if (status.expires, status.max_downloads) == (expires, max_downloads) => {
            LinkState::Live
        }
        Some(_) => LinkState::Differs,
    };
    LinkSummary {
        id: link.id(),
        url: LinkUrl {
            origin: hoster.origin.clone(),
            hoster: hoster.hoster,
            tls: hoster.tls,
            secret: link.secret.clone(),
            capsule: link.capsule,
            password: link.password,
        },
        label: link.label.clone(),
        snapshot: link.snapshot,
        path: link.path.clone(),
        account: link.account,
        created: link.created,
        expires,
        max_downloads,
        has_password: link.password.is_some(),
        state,
        downloads: served.map(|status| status.downloads),
    }
}
