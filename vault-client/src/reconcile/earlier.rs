//! What a vault held at an earlier head, put to what is in it now.
//!
//! As after a hoster went back, but that nothing was lost: what is there is a vault's own
//! history, of which a member may have spoiled the end.

use vault_core::{
    author::AuthorError, chunk::ChunkKind, links::Links, root::SealRootError,
    settings::AccountSettings,
};
use vault_proto::{
    ids::PackId,
    wire::{Located, Root},
};

use super::{
    ReconcileError,
    contents::{Committed, Part, Parts, Series, readable, told},
    links::Capsules,
    root_now,
};
use crate::{
    contents::{ContentsError, Opened},
    error::ErrorCode,
    transfer::{TransferError, read_alone},
    vault::{Over, Vault, VaultError, empty_root},
};

/// What an earlier state is put beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// What is there.
    Everything,
    /// Nothing: there is no room for both.
    Nothing,
}

/// What came of bringing back what an earlier root leads to.
pub(crate) enum BroughtBack {
    /// It stands.
    Done {
        /// Whether all of it was there.
        nothing_missing: bool,
        /// Whether what was there cannot be read, and is left out.
        left_out: bool,
        uploaded: Vec<PackId>,
        gone: Vec<PackId>,
    },
    /// What it leads to cannot be read: a member's doing, or, over anything, for good.
    Unreadable,
    /// There is no room for it beside what is there.
    NoRoom,
    /// Another device was first.
    LostRace,
}

/// Commits a head that leads to what an earlier root of the vault leads to, and to what is
/// there.
pub(crate) fn bring_back(
    vault: &mut Vault,
    earlier: Root,
    over: Over,
    beside: Beside,
) -> Result<BroughtBack, ReconcileError> {
    let Some(parts) = Parts::with_earlier(vault, earlier, over, beside)? else {
        return Ok(BroughtBack::Unreadable);
    };
    let mut packs = parts.find_packs(vault)?;
    let links = parts.standing_links(vault, &mut packs, Capsules::Send)?;
    let nothing_missing = match parts.commit(vault, &packs, links) {
        Ok(Committed::LostRace) => return Ok(BroughtBack::LostRace),
        Ok(committed) => committed == Committed::Nothing,
        Err(error) if has_no_room(&error) => return Ok(BroughtBack::NoRoom),
        Err(error) => return Err(error),
    };
    Ok(BroughtBack::Done {
        nothing_missing,
        left_out: parts.left_out,
        uploaded: packs.uploaded,
        gone: packs.gone.into_iter().collect(),
    })
}

/// Whether two states, each of which can be read, do not fit into one.
fn has_no_room(error: &ReconcileError) -> bool {
    match error {
        ReconcileError::NoRoom | ReconcileError::Contents(ContentsError::Catalog(_)) => true,
        ReconcileError::Vault(VaultError::Author(AuthorError::Root(error))) => {
            matches!(error, SealRootError::TooLong { .. })
        }
        _ => false,
    }
}

/// Whether nothing is in a vault with this root.
pub(crate) fn leads_to_nothing(root: &Root) -> bool {
    root.catalog.is_none() && root.settings.is_none()
}

impl Parts {
    /// What an earlier root leads to, and what is there; `None` where the former cannot be
    /// read, and that is a member's doing, or, over anything, is so for good. What is there
    /// counts for nothing as far as the same holds of it.
    pub(super) fn with_earlier(
        vault: &Vault,
        earlier: Root,
        over: Over,
        beside: Beside,
    ) -> Result<Option<Self>, ReconcileError> {
        let mut now = root_now(vault, over)?;
        let mut left_out = vault.root().is_err() || beside == Beside::Nothing;
        let directory = vault.directory().map_err(VaultError::from)?;
        let apart = tempfile::tempdir_in(directory).map_err(TransferError::Cache)?;
        let Some(opened) = unspoiled(Opened::at(vault, &earlier), over)? else {
            return Ok(None);
        };
        let part = Part::of(earlier, &opened.reader, &opened.index);
        let Some(mut earlier) = unspoiled(part, over)? else {
            return Ok(None);
        };
        if !are_settings(vault, &earlier.root.settings, over)? {
            return Ok(None);
        }
        if beside == Beside::Nothing || !are_settings(vault, &now.settings, over)? {
            left_out = true;
            now.settings = None;
        }
        let links_stand = is_list_of_links(&opened, &now.links, over)?;
        if !links_stand {
            left_out = true;
            now.links = None;
        }
        if links_stand && vault.root().is_ok() {
            // None comes back that was revoked since.
            earlier.root.links.clone_from(&now.links);
        } else if !is_list_of_links(&opened, &earlier.root.links, Over::Any)? {
            earlier.root.links = None;
        }
        let nothing = Root {
            links: now.links.clone(),
            settings: now.settings.clone(),
            ..empty_root()
        };
        if beside == Beside::Nothing {
            now = nothing.clone();
        }
        let read = Part::apart(vault, now, &opened, &apart.path().join("now"));
        let now = match unspoiled(read, over)? {
            Some(now) => now,
            None => {
                left_out = true;
                let directory = apart.path().join("nothing");
                Part::apart(vault, nothing, &opened, &directory).map_err(told)?
            }
        };
        Ok(Some(Self {
            opened,
            lost: vec![earlier],
            now,
            before: Root::default(),
            over,
            series: Series::Lost,
            left_out,
        }))
    }
}

/// Whether settings stand there, or none are named; as [`unspoiled`] what cannot be read.
fn are_settings(vault: &Vault, at: &Option<Located>, over: Over) -> Result<bool, ReconcileError> {
    let Some(at) = at else { return Ok(true) };
    let read = read_alone(vault, ChunkKind::Settings, at);
    let read = unspoiled(read.map_err(ContentsError::from), over)?;
    Ok(read.is_some_and(|bytes| AccountSettings::decode(&bytes).is_ok()))
}

/// Likewise a list of links.
fn is_list_of_links(
    opened: &Opened,
    at: &Option<Located>,
    over: Over,
) -> Result<bool, ReconcileError> {
    let Some(at) = at else { return Ok(true) };
    let read = unspoiled(opened.reader.read_located(ChunkKind::Links, at), over)?;
    Ok(read.is_some_and(|bytes| Links::decode(&bytes).is_ok()))
}

/// What can be read; `None` where a member has spoiled it, and, over anything, where it
/// cannot be read for good. What a hoster withholds is not taken for spoiled: it could
/// have an older state put in the place of the newest.
fn unspoiled<T, E: Into<ContentsError>>(
    read: Result<T, E>,
    over: Over,
) -> Result<Option<T>, ReconcileError> {
    match read.map_err(Into::into) {
        Err(error) if over == Over::Spoiled && error.code() != ErrorCode::Corrupt => {
            Err(told(error))
        }
        read => readable(read),
    }
}
