//! Bringing back what a vault held at an earlier head.
//!
//! ```text
//! 1 … n     n+1 …   a member, or who stole his device, commits a root that nobody can
//!                   read, or one that leads to nothing, or deletes the vault
//! repair    ▸ m     one more head, that leads to what n leads to, and to what m−1 does
//! ```
//!
//! Hosters keep packs that a head removes, and roots of heads that have a successor, for
//! a grace period. Nothing that the vault holds now is taken away by it, but for what a
//! member has made unreadable: snapshots, and where chunks are, are those of both. Links
//! are those of now, so that none comes back that was revoked.

use vault_core::{author::AuthorError, root::check_writer};
use vault_proto::{head::HeadError, ids::PackId, wire::Root};

use crate::{
    account::Account,
    error::ErrorCode,
    progress::Cancellation,
    reconcile::{Beside, BroughtBack, ReconcileError, bring_back, leads_to_nothing},
    transfer::TransferError,
    vault::{Over, PastRoot, Upkeep, Vault, VaultError},
};

/// How often a commit is tried again after another device was first.
const RACES: usize = 16;

/// How many heads are looked at for one that can be gone back to.
const MAX_LOOKS: u64 = 1_000;

/// What is done where others may be able to read what this device cannot: a newer program
/// has written it, its keys are closed to this device, or the hoster has lost some of it;
/// and where there is no room for what is there beside what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unread {
    /// Nothing is brought back.
    Refuse,
    /// It is left out: a member says so.
    LeaveOut,
}

/// What is to be brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairOptions {
    /// The number of the head whose contents are. Without it, those of the newest that
    /// leads to something and can be read.
    pub head: Option<u64>,
    /// [`Unread::Refuse`] unless something else is said.
    pub unread: Unread,
    /// Whether it is to be from before the vault was last emptied, if it was: what has been
    /// saved since stays beside it.
    pub before_emptied: bool,
}

impl RepairOptions {
    /// Those of a member who says nothing more.
    #[must_use]
    pub fn new(head: Option<u64>) -> Self {
        Self {
            head,
            unread: Unread::Refuse,
            before_emptied: false,
        }
    }

    fn over(&self) -> Over {
        match self.unread {
            Unread::Refuse => Over::Spoiled,
            Unread::LeaveOut => Over::Any,
        }
    }
}

/// What was brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// The head whose contents are in the vault again.
    pub from: u64,
    /// The newest head now.
    pub head: u64,
    /// Whether all of it was there already: nothing was committed.
    pub nothing_missing: bool,
    /// Whether some of what the vault held cannot be read, and is left out now.
    pub left_out: bool,
    /// Packs that were uploaded again.
    pub uploaded: Vec<PackId>,
    /// Packs that neither the hoster nor this device has. Files in them are stored again
    /// by the next backup of whoever still has them.
    pub gone: Vec<PackId>,
}

/// Why nothing was brought back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RepairError {
    /// No head that was looked at leads to anything that can be read.
    #[error("none of the last {looked_at} heads leads to anything that can be read")]
    NothingReadable {
        /// How many that were.
        looked_at: u64,
    },
    /// What that head leads to cannot be read.
    #[error("what head {seq} leads to cannot be read")]
    Unreadable {
        /// Its number.
        seq: u64,
    },
    /// The hoster does not keep what that head leads to any longer.
    #[error("the hoster does not keep any longer what head {seq} leads to")]
    Dropped {
        /// Its number.
        seq: u64,
    },
    /// What that head leads to does not fit beside what is there.
    #[error("there is no room for what head {seq} leads to beside what is there now")]
    NoRoom {
        /// Its number.
        seq: u64,
    },
    /// As of a vault that is brought forward.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Likewise.
    #[error(transparent)]
    Reconcile(#[from] ReconcileError),
}

impl RepairError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NothingReadable { .. }
            | Self::NoRoom { .. }
            | Self::Unreadable { .. }
            | Self::Dropped { .. } => ErrorCode::Corrupt,
            Self::Vault(error) => error.code(),
            Self::Reconcile(error) => error.code(),
        }
    }

    /// Whether the same may succeed later, with nothing changed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Vault(error) => error.is_transient(),
            Self::Reconcile(error) => error.is_transient(),
            _ => false,
        }
    }
}

/// Brings back what a vault held at an earlier head, and the packs of it that a head has
/// removed.
///
/// # Errors
/// See [`RepairError`]. Nothing has changed then, or heads were committed that add packs
/// which the next try finds: it goes on from there.
pub fn repair(
    vault: &mut Vault,
    options: &RepairOptions,
    cancellation: &Cancellation,
) -> Result<Repaired, RepairError> {
    let _lock = vault.lock()?;
    vault.refresh()?;
    if vault.lost_seq()?.is_some() {
        return Err(VaultError::BeingBroughtForward.into());
    }
    if !vault.may_write() {
        return Err(VaultError::from(AuthorError::Head(HeadError::MayNotWrite)).into());
    }
    if options.unread == Unread::Refuse {
        check_unread(vault)?;
    }
    let Some(newest) = vault.head().map(|newest| newest.seq) else {
        return Ok(Repaired {
            nothing_missing: true,
            ..Repaired::default()
        });
    };
    if let Some(seq) = options.head {
        let earlier = match vault.past_head(seq)?.root {
            PastRoot::Readable(root) => *root,
            PastRoot::Unreadable(_) | PastRoot::NotInOrder => {
                return Err(RepairError::Unreadable { seq });
            }
            PastRoot::Dropped => return Err(RepairError::Dropped { seq }),
        };
        check_writer(&earlier).map_err(VaultError::from)?;
        let repaired = bring_back_from(vault, seq, earlier, options, cancellation)?;
        return repaired.ok_or(RepairError::Unreadable { seq });
    }
    let oldest = newest.saturating_sub(MAX_LOOKS) + 1;
    let mut was_emptied = false;
    let mut since = Vec::new();
    for seq in (oldest..=newest).rev() {
        stop_if(cancellation)?;
        let earlier = match vault.past_head(seq)?.root {
            PastRoot::Readable(root) if leads_to_nothing(&root) => {
                was_emptied = true;
                continue;
            }
            PastRoot::Readable(root) if check_writer(&root).is_ok() => *root,
            // Those before it are older.
            PastRoot::Dropped => break,
            _ => continue,
        };
        if options.before_emptied && !was_emptied {
            since.push((seq, earlier));
            continue;
        }
        if let Some(done) = bring_back_from(vault, seq, earlier, options, cancellation)? {
            return Ok(done);
        }
    }
    // It was not emptied, as far as can be seen.
    for (seq, earlier) in since {
        if let Some(done) = bring_back_from(vault, seq, earlier, options, cancellation)? {
            return Ok(done);
        }
    }
    let looked_at = newest - oldest + 1;
    Err(RepairError::NothingReadable { looked_at })
}

/// Likewise what the account's devices agree on: names of vaults, contacts, pins.
///
/// # Errors
/// As [`repair`].
pub fn repair_account(
    account: &Account,
    options: &RepairOptions,
    cancellation: &Cancellation,
) -> Result<Repaired, RepairError> {
    repair(&mut account.account_vault()?, options, cancellation)
}

/// Refuses to leave out what others may be able to read.
fn check_unread(vault: &Vault) -> Result<(), VaultError> {
    match vault.root() {
        Ok(now) => Ok(check_writer(now)?),
        Err(error) if Over::Spoiled.passes(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Brings back what the root of head `seq` leads to; `None` where that cannot be read, and
/// is a member's doing.
fn bring_back_from(
    vault: &mut Vault,
    seq: u64,
    earlier: Root,
    options: &RepairOptions,
    cancellation: &Cancellation,
) -> Result<Option<Repaired>, RepairError> {
    let mut beside = Beside::Everything;
    for _ in 0..RACES {
        stop_if(cancellation)?;
        if vault.keep_up()? == Upkeep::Due {
            return Err(VaultError::RotationDue.into());
        }
        vault.keys()?.check_current().map_err(VaultError::from)?;
        match bring_back(vault, earlier.clone(), options.over(), beside)? {
            BroughtBack::Done {
                nothing_missing,
                left_out,
                uploaded,
                gone,
            } => {
                return Ok(Some(Repaired {
                    from: seq,
                    head: vault.head().map_or(0, |newest| newest.seq),
                    nothing_missing,
                    left_out,
                    uploaded,
                    gone,
                }));
            }
            BroughtBack::Unreadable => return Ok(None),
            BroughtBack::NoRoom if beside == Beside::Nothing => {
                return Err(ReconcileError::NoRoom.into());
            }
            BroughtBack::NoRoom if options.unread == Unread::LeaveOut => {
                beside = Beside::Nothing;
            }
            BroughtBack::NoRoom => return Err(RepairError::NoRoom { seq }),
            BroughtBack::LostRace => {}
        }
    }
    Err(ReconcileError::Overtaken.into())
}

fn stop_if(cancellation: &Cancellation) -> Result<(), RepairError> {
    match cancellation.is_cancelled() {
        true => Err(ReconcileError::Transfer(TransferError::Cancelled).into()),
        false => Ok(()),
    }
}
