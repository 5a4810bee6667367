//! A hoster that shows something else than what was seen: whether it went back, or
//! has been brought forward again by another device.
//!
//! ```text
//! hoster  1 … m ▸ m+1' … n' ▸ n+1     a device has reconciled
//! seen    1 … m … n                   n' names n: it has taken its place
//! ```
//!
//! What the hoster shows is verified from nothing. Where it has gone back, its newest
//! head must be one that this device has seen. Where it has not, one of its heads must
//! name, as the one whose place it takes, a head that this device has seen on the way
//! to its newest; that head's maker must have been allowed to write, and the newest
//! must come after it. Its logs must begin with what this device has of them, but for
//! entries that can be sent again. Anything else is a fork: nothing changes, unless its
//! member says that the two are to be joined, because somebody has saved to what was
//! restored before it was brought forward.

use vault_proto::account_log::AccountLog;
use vault_proto::head::{HeadError, UnverifiedHead, is_head_for_entry, verify_path};
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::{Role, VaultLog};

use super::append::{agree, named_head};
use super::guest::bring_back;
use super::view::View;
use super::{Vault, VaultError, fetch};
use crate::remote::SyncRequest;
use crate::state::{Advanced, Progress, TurnTo};

/// The most heads that are asked for one by one, in search of one that has taken the
/// place of a head that was seen.
const MAX_LOOKS: usize = 1_000;

/// What a hoster shows, beside what was seen.
pub(crate) enum Shown {
    /// The same.
    Same,
    /// More of it.
    Ahead,
    /// What was seen was lost there.
    Lost(Box<Turn>),
}

/// The verified state of a hoster that has lost what was seen.
pub(crate) struct Turn {
    view: View,
    progress: Progress,
    /// The newest head that is known to stand in both chains; 0 for none.
    common: u64,
    /// The newest head of the hoster's that is one that was seen, or has taken the
    /// place of one.
    stands: u64,
    how: How,
}

/// How what a hoster shows comes from what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It is an earlier state of it.
    Earlier,
    /// Another device has brought it forward, or begun to.
    Replaced,
    /// It parts from it, and is joined.
    Joined,
}

/// What is to be done with a history that parts from what this device has seen, and
/// that no device has brought forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parted {
    /// It is a fork.
    Refuse,
    /// What it leads to, and what was seen, are put together: a member has saved to an
    /// old backup that the hoster restored. For whoever has asked the hoster.
    Join,
}

impl Turn {
    /// Whether another device has brought the vault forward, or begun to.
    pub(crate) fn is_replaced(&self) -> bool {
        self.how == How::Replaced
    }

    /// Whether it parts from what was seen.
    pub(crate) fn is_joined(&self) -> bool {
        self.how == How::Joined
    }

    /// Whether the hoster has all entries that `vault` has of its log.
    pub(crate) fn has_entries_of(&self, vault: &Vault) -> bool {
        self.view.vault_log.position().seq >= vault.view.vault_log.position().seq
    }
}

impl Vault {
    /// What the hoster shows, verified from nothing.
    ///
    /// # Errors
    /// [`VaultError::Head`] and [`VaultError::LogFork`] when it shows another story;
    /// [`VaultError::CannotReconcile`] and [`VaultError::NotBroughtBack`] when this
    /// device has not seen enough to tell; [`VaultError::EntriesLeftBehind`]; and the
    /// others. Of heads that part, none of these where they are to be joined. Nothing
    /// has changed then, nor otherwise.
    pub(crate) fn look(&self, parted: Parted) -> Result<Shown, VaultError> {
        let (theirs, progress) = fetch::from_nothing(&self.member, &self.id)?;
        for (account, log) in &theirs.accounts {
            if self
                .view
                .accounts
                .get(account)
                .is_some_and(|held| !agree(held, log))
            {
                return Err(VaultError::LogFork);
            }
        }
        let (have, got) = (self.view.place(), theirs.place());
        let logs_agree = begins_alike(&self.view.vault_log, &theirs.vault_log);
        if logs_agree && have == got {
            return Ok(Shown::Same);
        }
        if logs_agree && got.1 >= have.1 && self.is_extended_by(&theirs)? {
            return Ok(Shown::Ahead);
        }
        let (shown, is_seen) = match got.0 {
            Some(shown) => (shown.seq, self.seen_hash(shown.seq)? == Some(shown.hash)),
            None => (0, true),
        };
        let (common, stands, how) = if is_seen && logs_agree && got.1 <= have.1 {
            (shown, shown, How::Earlier)
        } else {
            let common = self.newest_common(&progress.links)?;
            let replaced = self.newest_replaced(&theirs, common, logs_agree);
            let (stands, how) = match replaced {
                Err(error) if parted == Parted::Join && is_parted(&error) => (common, How::Joined),
                stands => (stands?, How::Replaced),
            };
            self.check_entries(&theirs)?;
            (common, stands, how)
        };
        Ok(Shown::Lost(Box::new(Turn {
            view: theirs,
            progress,
            common,
            stands,
            how,
        })))
    }

    /// Turns to what the hoster shows, keeping what was lost apart.
    pub(crate) fn turn_to(&mut self, turn: Turn) -> Result<(), VaultError> {
        let Some(from) = self.head() else {
            return Err(VaultError::CannotReconcile);
        };
        let Turn {
            mut view,
            progress,
            common,
            stands,
            ..
        } = turn;
        let entries = view.vault_log.position().seq;
        let turned = self.member.state.turn_to(&TurnTo {
            vault: self.id,
            from,
            to: progress.head.as_ref(),
            common,
            stands,
            entries,
            logs: &progress.entries,
            accounts: &progress.accounts,
            links: &progress.links,
        })?;
        match turned {
            Advanced::Done => {}
            Advanced::Stale => return Err(VaultError::Overtaken),
            Advanced::Contradiction => return Err(VaultError::LogFork),
        }
        // What this device knows of accounts it goes on knowing.
        for (account, log) in &self.view.accounts {
            let theirs = view.accounts.get(account).map(AccountLog::position);
            if theirs.is_none_or(|theirs| theirs.seq < log.position().seq) {
                view.accounts.insert(*account, log.clone());
            }
        }
        self.view = view;
        Ok(())
    }

    /// Brings the hoster what it has lost of the logs that its answers are verified
    /// against, and that entries sent again name: the own account's, first of all, since
    /// it may not know this device any more; the other members', as far as it will have
    /// them; and the vault's genesis, where this account has made the vault. Gives the
    /// number of entries of accounts' logs.
    pub(crate) fn bring_logs_back(&self) -> Result<u64, VaultError> {
        let own = self.member.account;
        let mut entries = self.member.bring_own_log_back()?;
        for (account, log) in self.view.accounts.iter().filter(|(id, _)| **id != own) {
            match bring_back(&*self.member.remote, account, log.entries()) {
                Ok(brought) => entries += brought,
                Err(error) if error.is_transient() => return Err(error),
                // An entry that names what is missing will be refused, and say so.
                Err(_) => {}
            }
        }
        let genesis = self.log().entries().first();
        if let Some(genesis) = genesis.filter(|_| self.log().creator() == own) {
            self.member.remote.create_vault(genesis)?;
        }
        Ok(entries)
    }

    /// Whether this member may commit.
    pub(crate) fn may_write(&self) -> bool {
        let member = self.log().member(&self.account());
        member.is_some_and(|member| member.accepted && member.role >= Role::Writer)
    }

    /// Whether another device has made the head in the place of the newest that was
    /// lost, and says so: then that device answers for what it led to.
    pub(crate) fn is_answered_for(&self) -> Result<bool, VaultError> {
        let Some(lost) = self.lost_seq()? else {
            return Ok(false);
        };
        let hash = self.member.state.lost_head(&self.id, lost)?;
        if hash.is_none() || self.head().is_none_or(|newest| newest.seq < lost) {
            return Ok(false);
        }
        let head = self.head_at(&self.view, lost)?;
        self.check_comes_after(&self.view, head.position())?;
        Ok(head.claims().reconciled == hash && head.claims().device != self.device())
    }

    /// Whether the newest head of `theirs` is the newest that was seen, or comes after
    /// it.
    fn is_extended_by(&self, theirs: &View) -> Result<bool, VaultError> {
        let (Some(known), shown) = (self.head(), theirs.seen.position()) else {
            return Ok(true);
        };
        if shown.is_none_or(|shown| shown.seq < known.seq) {
            return Ok(false);
        }
        match self.check_comes_after(theirs, known) {
            Ok(()) => Ok(true),
            Err(VaultError::Head(HeadError::Fork { .. })) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The newest of these heads, of the hoster's chain, that this device has seen.
    fn newest_common(&self, theirs: &[HeadPosition]) -> Result<u64, VaultError> {
        let mut common = 0;
        for at in theirs {
            if at.seq > common && self.seen_hash(at.seq)? == Some(at.hash) {
                common = at.seq;
            }
        }
        Ok(common)
    }

    /// The place of the newest head of the hoster's that has taken the place of one
    /// that this device has seen, verified.
    ///
    /// The hashes that a log's entries name are no help: what has taken the place of
    /// one of those may have been this device's own chain for long.
    fn newest_replaced(
        &self,
        theirs: &View,
        common: u64,
        logs_agree: bool,
    ) -> Result<u64, VaultError> {
        let newest = |view: &View| view.seen.position().map_or(0, |at| at.seq);
        let (known, shown) = (newest(&self.view), newest(theirs));
        let mut looks = 0;
        let mut fork = None;
        for seq in (common + 1..=known.min(shown)).rev() {
            let Some(seen) = self.seen_hash(seq)? else {
                continue;
            };
            if looks == MAX_LOOKS {
                break;
            }
            looks += 1;
            let head = self.head_at(theirs, seq)?;
            if head.hash() == seen {
                break;
            }
            if head.claims().reconciled == Some(seen) {
                head.verify_author(&theirs.vault_log, &theirs.accounts)
                    .map_err(VaultError::Head)?;
                self.check_comes_after(theirs, head.position())?;
                return Ok(seq);
            }
            fork.get_or_insert(seq);
        }
        let path = self.heads_between(theirs, common, shown)?;
        let names_others = path.iter().any(|head| head.claims().reconciled.is_some());
        Err(match fork {
            Some(_) if names_others => VaultError::NotBroughtBack { known },
            Some(seq) => VaultError::Head(HeadError::Fork { seq }),
            None if !logs_agree || shown == common => VaultError::LogFork,
            None if shown > known => VaultError::Head(HeadError::Fork { seq: known }),
            None => VaultError::CannotReconcile,
        })
    }

    /// Checks that the hoster has all entries of this device's, or that those which it
    /// has not may stand behind its own.
    fn check_entries(&self, theirs: &View) -> Result<(), VaultError> {
        let (ours, log) = (&self.view.vault_log, &theirs.vault_log);
        let missing = (1..=ours.position().seq).find(|seq| ours.hash_at(*seq) != log.hash_at(*seq));
        let Some(first) = missing else { return Ok(()) };
        let left_behind = VaultError::EntriesLeftBehind { first };
        if log.hash_at(first).is_some() {
            return Err(left_behind);
        }
        let index = usize::try_from(first - 1).unwrap_or(usize::MAX);
        let Some(entry) = ours.entries().get(index) else {
            return Err(left_behind);
        };
        let named = named_head(entry)?;
        let newest = theirs.seen.newest();
        let comes = named.map(|named| named.seq) > newest.map(|newest| newest.seq);
        if comes || is_head_for_entry(log, newest, named) {
            Ok(())
        } else {
            Err(left_behind)
        }
    }

    /// Asks for the hoster's head of that number.
    fn head_at(&self, theirs: &View, seq: u64) -> Result<UnverifiedHead, VaultError> {
        let mut heads = self.heads_between(theirs, seq - 1, seq)?;
        match heads.pop() {
            Some(head) if head.seq() == seq && heads.is_empty() => Ok(head),
            _ => Err(VaultError::Answer("not the head that was asked for")),
        }
    }

    /// Checks that the newest head of `theirs` is this one, or comes after it.
    pub(super) fn check_comes_after(
        &self,
        theirs: &View,
        at: HeadPosition,
    ) -> Result<(), VaultError> {
        let fork = VaultError::Head(HeadError::Fork { seq: at.seq });
        let Some(newest) = theirs.seen.position().filter(|newest| newest.seq >= at.seq) else {
            return Err(fork);
        };
        if newest.seq == at.seq {
            return (newest == at).then_some(()).ok_or(fork);
        }
        let path = self.heads_between(theirs, at.seq, newest.seq)?;
        if path.first().map(UnverifiedHead::position) != Some(newest) {
            return Err(VaultError::Answer("a path that does not begin at the head"));
        }
        verify_path(Some(at), &path).map_err(VaultError::Head)
    }

    /// The way from the hoster's head `newest` to the one after `known`, not verified.
    fn heads_between(
        &self,
        theirs: &View,
        known: u64,
        newest: u64,
    ) -> Result<Vec<UnverifiedHead>, VaultError> {
        let answer = self.member.remote.sync_vault(&SyncRequest {
            without_root: true,
            ..theirs.asks_between(known, newest)
        })?;
        let heads = answer.heads.iter().map(|head| UnverifiedHead::decode(head));
        heads.collect::<Result<_, _>>().map_err(VaultError::Head)
    }
}

/// Whether heads part from what was seen, and it is known of no log that it does.
fn is_parted(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Head(HeadError::Fork { .. })
            | VaultError::NotBroughtBack { .. }
            | VaultError::CannotReconcile
    )
}

/// Whether one of two logs begins with the other.
fn begins_alike(one: &VaultLog, other: &VaultLog) -> bool {
    let common = one.position().seq.min(other.position().seq);
    one.hash_at(common) == other.hash_at(common)
}
