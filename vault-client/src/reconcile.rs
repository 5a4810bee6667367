//! Bringing a vault forward again whose hoster has gone back.
//!
//! ```text
//! hoster     1 … m                       it restored a backup of its own
//! device     1 … m … n                   it has seen more
//! reconcile  1 … m ▸ m+1' … n' ▸ n+1     each names the lost one of its number
//! ```
//!
//! Never by itself: a hoster that went back looks like one that hides what is
//! newer. What the hoster shows must be what this device has seen to come before
//! the newest head, or be what another device has brought forward, which it says in
//! a head that names one that this device has seen; anything else is a fork, and
//! refused. Where a device has saved to what was restored before anybody brought it
//! forward, no head says so, and it looks like a fork: a member who knows better joins
//! the two ([`Parted::Join`]), as far as no entry of the log is lost by it.
//!
//! Lost entries are sent again as they were signed, each at the head that it
//! names. What was in the vault is then put to what is in it now, whoever has
//! committed that meanwhile: snapshots, and packs that the device still has. What is
//! gone is left out of the index, so that the next backup of the same files stores
//! it anew and older snapshots are whole again. Links whose capsules are gone are taken
//! off the list.
//!
//! Each device does all of it, and finds nothing left to do where another one was
//! first; so any of them goes on where one was interrupted.

mod catalog;
mod contents;
mod earlier;
mod links;

use vault_core::{author::AuthorError, root::FORMAT_VERSION};
use vault_proto::{head::HeadError, ids::PackId, wire::Root};

use crate::{
    account::Account,
    contents::ContentsError,
    error::ErrorCode,
    progress::Cancellation,
    transfer::TransferError,
    vault::{CommitPlan, CommitResult, Over, Shown, Upkeep, Vault, VaultError, empty_root},
};

pub(crate) use earlier::{Beside, BroughtBack, bring_back, leads_to_nothing};

pub use crate::vault::Parted;

/// How often a commit is tried again after another device was first.
const RACES: usize = 16;

/// What came of one step.
#[derive(PartialEq, Eq)]
enum Step {
    /// There is nothing left to do.
    Done,
    Taken,
    /// Another device was first.
    LostRace,
}

/// What was brought back, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconciled {
    /// The hoster's newest head; 0 for none.
    pub from: u64,
    /// The newest head that it had lost, as far as this device knows. The vault
    /// stands there or behind it now; the same as [`Self::from`] when nothing was
    /// lost.
    pub lost: u64,
    /// Whether nothing was lost, and the hoster had more: that was fetched.
    pub refreshed: bool,
    /// Whether another device had brought the vault forward, or begun to, and this
    /// one has followed it.
    pub taken_over: bool,
    /// Whether the hoster's history parted from what this device had seen, and the two
    /// were joined.
    pub joined: bool,
    /// Whether somebody who may write has to go on with it: this device has
    /// followed, and may not.
    pub under_way: bool,
    /// Entries of the vault's log that were sent again.
    pub entries: u64,
    /// Entries of members' own logs that were sent again.
    pub account_entries: u64,
    /// Packs that were uploaded again.
    pub uploaded: Vec<PackId>,
    /// Packs that neither the hoster nor this device has. Files in them are
    /// stored again by the next backup of whoever still has them.
    pub gone: Vec<PackId>,
    /// Whether the list of what was in the vault is gone itself: it is again what
    /// it was at [`Self::from`].
    pub contents_lost: bool,
    /// How many heads that this device had seen were lost with that list.
    pub heads_not_brought_back: u64,
    /// Links that were lost, and are not on the vault's list: nobody has their capsules,
    /// or the list was changed meanwhile.
    pub links_taken_off: u64,
    /// Links on the vault's list that the hoster does not serve any more, though they
    /// have not expired. It is not told of them again: it cannot be known which of them
    /// were revoked, or used up. They can be revoked, and made again.
    pub links_not_served: u64,
    /// Links that the hoster serves and that are not on the list: they may have been
    /// revoked, before it went back.
    pub links_unlisted: u64,
}

/// Why a vault could not be brought forward.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReconcileError {
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Packs or the index.
    #[error(transparent)]
    Transfer(#[from] TransferError),
    /// What a member's device has put into the vault is malformed.
    #[error(transparent)]
    Contents(#[from] ContentsError),
    /// What was there and what is there now do not fit into one vault.
    #[error("there is no room for both what was in the vault and what is in it now")]
    NoRoom,
    /// Somebody else commits. Repeating the call goes on where it was.
    #[error("other devices keep committing; try again later")]
    Overtaken,
}

impl ReconcileError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Vault(error) => error.code(),
            Self::Transfer(error) => error.code(),
            Self::Contents(error) => error.code(),
            Self::NoRoom => ErrorCode::Corrupt,
            Self::Overtaken => ErrorCode::VaultBusy,
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Transfer(error) => error.is_transient(),
            Self::Contents(error) => error.is_transient(),
            Self::NoRoom => false,
            Self::Overtaken => true,
        }
    }
}

/// Brings a vault forward again after its hoster went back, or follows a device that
/// has.
///
/// # Errors
/// See [`ReconcileError`]. Where the hoster shows neither an earlier state of what
/// this device has seen nor one that says it takes the place of that, and the two are
/// not to be joined, nothing has changed. After any other error, repeat the call: it
/// goes on where it was.
pub fn reconcile(
    vault: &mut Vault,
    parted: Parted,
    cancellation: &Cancellation,
) -> Result<Reconciled, ReconcileError> {
    let _lock = vault.lock()?;
    let mut report = Reconciled::default();
    begin(vault, parted, &mut report)?;
    report.from = newest(vault);
    let Some(lost) = vault.lost_seq()? else {
        report.lost = report.from;
        return Ok(report);
    };
    report.refreshed = false;
    report.lost = lost;
    let mut races = 0;
    loop {
        if cancellation.is_cancelled() {
            return Err(TransferError::Cancelled.into());
        }
        match step(vault, lost, &mut report)? {
            Step::Done => break,
            Step::Taken => {}
            Step::LostRace if races == RACES => return Err(ReconcileError::Overtaken),
            Step::LostRace => races += 1,
        }
    }
    links::count_served(vault, &mut report)?;
    vault.forget_lost()?;
    vault.pass_pinned_place()?;
    Ok(report)
}

/// Likewise the account itself: its log, and the vault of what its devices agree on.
/// It comes before vaults, which the hoster may not let this device see otherwise. Gives
/// the number of that vault's newest head, too.
///
/// # Errors
/// As [`reconcile`].
pub fn reconcile_account(
    account: &Account,
    parted: Parted,
    cancellation: &Cancellation,
) -> Result<(Reconciled, u64), ReconcileError> {
    let mut vault = account.account_vault()?;
    let done = reconcile(&mut vault, parted, cancellation)?;
    Ok((done, newest(&vault)))
}

/// Turns to what the hoster shows, where it has lost something; or fetches what it has
/// more.
fn begin(vault: &mut Vault, parted: Parted, report: &mut Reconciled) -> Result<(), VaultError> {
    report.account_entries = vault.bring_logs_back()?;
    match vault.look(parted)? {
        Shown::Same if vault.lost_seq()?.is_none() => {}
        // Under the lock, what this device has signed for it is sent again.
        Shown::Same => vault.refresh()?,
        Shown::Ahead => {
            vault.refresh()?;
            report.refreshed = true;
        }
        Shown::Lost(turn) => {
            let goes_on = turn.is_replaced() || turn.is_joined();
            let may_follow = goes_on && turn.has_entries_of(vault);
            if !vault.may_write() && !may_follow {
                return Err(AuthorError::Head(HeadError::MayNotWrite).into());
            }
            report.taken_over = turn.is_replaced();
            report.joined = turn.is_joined();
            vault.turn_to(*turn)?;
        }
    }
    Ok(())
}

/// Takes the next step.
fn step(vault: &mut Vault, lost: u64, report: &mut Reconciled) -> Result<Step, ReconcileError> {
    if vault.resend_entry()? {
        report.entries += 1;
        return Ok(Step::Taken);
    }
    let lacks_entries = vault.lacks_entries()?;
    if lacks_entries && (newest(vault) >= lost || !vault.may_write()) {
        let first = vault.log().position().seq + 1;
        return Err(VaultError::EntriesLeftBehind { first }.into());
    }
    if !vault.may_write() {
        report.under_way = newest(vault) < lost || contents::is_to_be_written(vault)?;
        return Ok(Step::Done);
    }
    // Nothing is committed before it. Where entries are missing, it is the next of them,
    // and was sent again.
    if !lacks_entries && vault.log().rotation_due() && vault.keep_up()? == Upkeep::Due {
        return Err(VaultError::RotationDue.into());
    }
    if newest(vault) < lost {
        let plan = CommitPlan {
            adds: Vec::new(),
            removes: Vec::new(),
            root: stamped(vault, root_now(vault, Over::Spoiled)?),
        };
        return Ok(match commit(vault, plan, Over::Spoiled)? {
            true => Step::Taken,
            false => Step::LostRace,
        });
    }
    Ok(match contents::write(vault, report)? {
        true => Step::Done,
        false => Step::LostRace,
    })
}

/// Commits; true if it stands, and false if another device was first.
fn commit(vault: &mut Vault, plan: CommitPlan, over: Over) -> Result<bool, ReconcileError> {
    match vault.commit_over(plan, over)? {
        CommitResult::Committed(_) => Ok(true),
        CommitResult::LostRace => Ok(false),
        CommitResult::Missing(_) => Err(ReconcileError::Overtaken),
    }
}

/// What is there to go on from. Nothing, where a member has committed what does not open,
/// or was put out behind it: what was lost is put in its place. Over a root that needs a
/// newer program, what of it can be read, for this one.
fn root_now(vault: &Vault, over: Over) -> Result<Root, VaultError> {
    match (vault.root(), over) {
        (Err(error), _) if over.passes(&error) => Ok(empty_root()),
        (Ok(root), Over::Any) => Ok(Root {
            minimum_reader: FORMAT_VERSION,
            minimum_writer: FORMAT_VERSION,
            ..root.clone()
        }),
        (root, _) => root.cloned(),
    }
}

fn newest(vault: &Vault) -> u64 {
    vault.head().map_or(0, |at| at.seq)
}

fn stamped(vault: &Vault, root: Root) -> Root {
    Root {
        committed: Some(vault.now().to_wire()),
        ..root
    }
}
