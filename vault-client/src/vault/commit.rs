//! Committing: one signature a place in the chain.
//!
//! A head is stored before it is sent, and sent byte for byte until it, or
//! another verified one at its place, is accepted. Where it can be accepted no
//! more (its packs are gone, the hoster refuses it, an entry of the vault log
//! came first), the head that takes its place names it as reconciled, so that
//! whoever holds both sees a replacement and not two stories.

use vault_core::author::{HeadAuthor, HeadChange};
use vault_core::root::{check_writer, open_root};
use vault_proto::head::{Head, HeadContext, PreviousHeads, UnverifiedHead, skip_seq};
use vault_proto::ids::{HeadHash, PackId};
use vault_proto::pack_list::PackList;
use vault_proto::position::HeadPosition;
use vault_proto::wire::Root;

use super::append::named_head;
use super::view::View;
use super::{Vault, VaultError};
use crate::remote::{CommitOutcome, CommitRequest, RemoteError};
use crate::state::{Advanced, Progress, StateError, StoredHead, Witness};

/// What the next head is to say.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitPlan {
    /// Packs that are uploaded and belong to the vault from now on; in any
    /// order, each once, all sealed in the current epoch.
    pub adds: Vec<PackId>,
    /// Packs that no longer do; in any order, each once.
    pub removes: Vec<PackId>,
    /// The new root.
    pub root: Root,
}

/// What came of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitResult {
    /// The vault stands at this head now.
    Committed(HeadPosition),
    /// Another device was first, or a commit of this one that was under way.
    /// The vault was refreshed: rebase the root on it and commit again.
    LostRace,
    /// These packs are not there. Upload them and commit the same again, or
    /// commit something else.
    Missing(Vec<PackId>),
}

/// What a head may be made on top of, besides a root that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// One that a member has sealed so that nobody reads it.
    Spoiled,
    /// Any: also one that says that it needs a newer program, or whose keys are closed to
    /// this device. Others may read it; a member says that it is left out.
    Any,
}

impl Over {
    /// Whether a root that is not read for this reason counts for nothing.
    pub(crate) fn passes(self, error: &VaultError) -> bool {
        match error {
            VaultError::Unreadable(root) => self == Self::Any || root.error.is_a_members_doing(),
            VaultError::VaultKeys(error) => self == Self::Any && error.is_closed(),
            _ => false,
        }
    }
}

/// A plan whose lists are in order.
struct Plan {
    adds: PackList,
    removes: PackList,
    root: Root,
}

/// What came of sending a stored commit.
enum Sent {
    /// It stands, and the view with it.
    Accepted(HeadPosition),
    /// Something else does; the view was refreshed.
    Lost,
    Missing(Vec<PackId>),
    /// The hoster will not have it.
    Refused(RemoteError),
}

impl Vault {
    /// Moves the vault's head, under the lock that [`Vault::lock`] gave out or
    /// else one of its own.
    ///
    /// # Errors
    /// [`VaultError`]. After a failed connection it is not known whether the
    /// hoster has accepted the commit: the next refresh or commit under the
    /// lock finds out, by sending it again.
    pub fn commit(&mut self, plan: CommitPlan) -> Result<CommitResult, VaultError> {
        let _lock = self.held()?;
        self.check_entries_stand()?;
        self.root()?;
        self.commit_over(plan, Over::Spoiled)
    }

    /// Likewise, also while entries that the hoster has lost do not stand again: the
    /// heads that they name come first. And where the newest root is not read.
    pub(crate) fn commit_over(
        &mut self,
        plan: CommitPlan,
        over: Over,
    ) -> Result<CommitResult, VaultError> {
        let _lock = self.held()?;
        if self.view.place() != self.member.state.vault_place(&self.id)? {
            // Another handle of this device has moved on: the plan was made on
            // a state that is over, and its place in the chain is taken.
            self.fetch()?;
            return Ok(CommitResult::LostRace);
        }
        let plan = Plan {
            adds: PackList::from_unordered(plan.adds)?,
            removes: PackList::from_unordered(plan.removes)?,
            root: plan.root,
        };
        let before = self.view.place();
        self.settle_entry()?;
        if self.view.place() != before {
            // An entry of this device stands by now: the plan may be of an
            // epoch that is over.
            return Ok(CommitResult::LostRace);
        }
        self.settle_passed()?;
        let mut replaced = None;
        if let Some((head, stored)) = self.stored_commit()? {
            replaced = Some(head.hash());
            if is_next(&self.view, &head) {
                let same = self.is_plan(&head, &stored, &plan);
                match self.send(&head, &stored)? {
                    Sent::Accepted(at) if same => return Ok(CommitResult::Committed(at)),
                    Sent::Accepted(_) | Sent::Lost => return Ok(CommitResult::LostRace),
                    Sent::Missing(packs) if same => return Ok(CommitResult::Missing(packs)),
                    Sent::Refused(error) if same => return Err(error.into()),
                    Sent::Missing(_) | Sent::Refused(_) => {}
                }
            }
        }
        // What a hoster has lost at this place stays named, whoever replaces it.
        let lost = self.lost_at(self.view.seen.next_links().seq)?;
        self.check_may_replace(over)?;
        let (head, request) = self.sign(&plan, lost.or(replaced))?;
        match self.send(&head, &request)? {
            Sent::Accepted(at) => Ok(CommitResult::Committed(at)),
            Sent::Lost => Ok(CommitResult::LostRace),
            Sent::Missing(packs) => Ok(CommitResult::Missing(packs)),
            Sent::Refused(error) => Err(error.into()),
        }
    }

    fn check_may_replace(&self, over: Over) -> Result<(), VaultError> {
        match (self.view.root(), over) {
            (Ok(root), Over::Spoiled) => Ok(check_writer(root)?),
            (Ok(_), Over::Any) => Ok(()),
            // Whoever brings a vault forward again goes on from what was lost.
            (Err(error), _) if over.passes(&error) => Ok(()),
            (Err(error), _) => Err(error),
        }
    }

    /// The head that the hoster has lost at this place. If lost entries name one
    /// there, it is that, which may itself have been replaced since: they stand
    /// again only behind a head that takes its place.
    fn lost_at(&self, place: u64) -> Result<Option<HeadHash>, VaultError> {
        let state = &self.member.state;
        let next = self.view.vault_log.position().seq + 1;
        let entry = state.lost_entry(&self.id, next)?;
        let named = entry.as_ref().map(named_head).transpose()?.flatten();
        match named.filter(|named| named.seq == place) {
            Some(named) => Ok(Some(named.hash)),
            None => Ok(state.lost_head(&self.id, place)?),
        }
    }

    /// Sends again the commit that was signed and not seen accepted, if it still
    /// can be.
    pub(super) fn settle_commit(&mut self) -> Result<(), VaultError> {
        self.settle_passed()?;
        if let Some((head, stored)) = self.stored_commit()?
            && is_next(&self.view, &head)
        {
            // What cannot be accepted any more is replaced by the next commit.
            self.send(&head, &stored)?;
        }
        Ok(())
    }

    /// Finds out what became of a commit whose place in the chain is taken by
    /// now: a hoster says of any head, however old, whether it has accepted it.
    fn settle_passed(&self) -> Result<(), VaultError> {
        let Some((head, stored)) = self.stored_commit()? else {
            return Ok(());
        };
        let newest = self.head();
        if newest.is_none_or(|newest| newest.seq < head.seq()) {
            return Ok(());
        }
        let accepted = newest == Some(head.position())
            || match self.member.remote.commit_head(&stored) {
                Ok(outcome) => outcome == CommitOutcome::Accepted,
                Err(error @ RemoteError::Refused(_)) if !error.is_transient() => false,
                Err(error) => return Err(error.into()),
            };
        let claimed = if accepted { &stored.adds[..] } else { &[] };
        let state = &self.member.state;
        Ok(state.forget_signed_commit(&self.id, claimed)?)
    }

    fn stored_commit(&self) -> Result<Option<(UnverifiedHead, CommitRequest)>, VaultError> {
        let Some((_, stored)) = self.member.state.signed_commit(&self.id)? else {
            return Ok(None);
        };
        let head = UnverifiedHead::decode(&stored.head)
            .map_err(|_| StateError::Damaged("a commit that was signed"))?;
        Ok(Some((head, stored)))
    }

    /// Whether a stored commit is what is planned now.
    fn is_plan(&self, head: &UnverifiedHead, stored: &CommitRequest, plan: &Plan) -> bool {
        let head = head.claims();
        head.adds == plan.adds.hash()
            && head.removes == plan.removes.hash()
            && self.view.keys().is_ok_and(|keys| {
                open_root(keys, head, &stored.root).is_ok_and(|root| root == plan.root)
            })
    }

    /// Makes the next head and stores it.
    fn sign(
        &self,
        plan: &Plan,
        reconciled: Option<HeadHash>,
    ) -> Result<(UnverifiedHead, CommitRequest), VaultError> {
        let author = HeadAuthor {
            vault_log: &self.view.vault_log,
            accounts: &self.view.accounts,
            seen: &self.view.seen,
            keys: self.view.keys()?,
            account: self.member.account,
            device: &self.member.device,
        };
        let change = HeadChange {
            root: &plan.root,
            adds: &plan.adds,
            removes: &plan.removes,
            reconciled,
        };
        let commit = author.commit(change, &mut self.member.rng())?;
        let request = CommitRequest {
            head: commit.head.to_bytes().to_vec(),
            root: commit.sealed_root,
            adds: plan.adds.packs().to_vec(),
            removes: plan.removes.packs().to_vec(),
        };
        let at = commit.head.position();
        let base = self.view.seen.position();
        let stored = self
            .member
            .state
            .set_signed_commit(&self.id, base, at.seq, &request)?;
        if stored != Advanced::Done {
            return Err(VaultError::Overtaken);
        }
        let head = UnverifiedHead::decode(&request.head).map_err(VaultError::Head)?;
        Ok((head, request))
    }

    fn send(&mut self, head: &UnverifiedHead, request: &CommitRequest) -> Result<Sent, VaultError> {
        match self.member.remote.commit_head(request) {
            Ok(CommitOutcome::Accepted) => {
                self.adopt(head, request)?;
                Ok(Sent::Accepted(head.position()))
            }
            Ok(CommitOutcome::LostRace { .. }) => {
                self.fetch()?;
                self.settle_passed()?;
                if self.head() == Some(head.position()) {
                    return Ok(Sent::Accepted(head.position()));
                }
                if is_next(&self.view, head) {
                    return Err(VaultError::UnfoundedRace);
                }
                Ok(Sent::Lost)
            }
            Ok(CommitOutcome::MissingPacks(packs)) => Ok(Sent::Missing(packs)),
            Err(error @ RemoteError::Refused(_)) if !error.is_transient() => {
                Ok(Sent::Refused(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The hoster has accepted a head of ours: it is the newest that was seen.
    fn adopt(&mut self, head: &UnverifiedHead, request: &CommitRequest) -> Result<(), VaultError> {
        let context = HeadContext {
            vault_log: &self.view.vault_log,
            account_logs: &self.view.accounts,
            previous: PreviousHeads::Next(&self.view.seen),
        };
        let verified = head.clone().verify(&context).map_err(VaultError::Head)?;
        let root = open_root(self.view.keys()?, verified.head(), &request.root)
            .map_err(VaultError::Root)?;
        let progress = Progress {
            vault: self.id,
            base: self.view.seen.position(),
            entries: Vec::new(),
            accounts: Vec::new(),
            head: Some(StoredHead {
                signed: request.head.clone(),
                root: request.root.clone(),
                seen: verified.seen().clone(),
            }),
            links: links_of(head.claims()),
            witness: Some(Witness::Own),
            accepted: Some(request.adds.clone()),
        };
        match self.member.state.advance(&progress)? {
            Advanced::Done => {
                self.view.seen = verified.seen().clone();
                self.view.root = Ok(root);
                Ok(())
            }
            // A process that only reads has seen it first, and maybe more.
            Advanced::Stale => {
                self.fetch()?;
                self.settle_passed()
            }
            Advanced::Contradiction => Err(VaultError::LogFork),
        }
    }
}

/// A head, and those that it links to.
pub(super) fn links_of(head: &Head) -> Vec<HeadPosition> {
    let at = |seq, hash: Option<HeadHash>| Some(HeadPosition { seq, hash: hash? });
    let linked = [
        at(head.seq, Some(head.hash())),
        at(head.seq.saturating_sub(1), head.previous),
        at(skip_seq(head.seq), head.skip),
    ];
    linked.into_iter().flatten().collect()
}

/// Whether the head can be accepted on top of what is known.
fn is_next(view: &View, head: &UnverifiedHead) -> bool {
    let head = head.claims();
    let links = view.seen.next_links();
    (head.seq, head.previous) == (links.seq, links.previous)
        && head.vault_position.seq == view.vault_log.earliest_position_for_head(head.seq)
}
