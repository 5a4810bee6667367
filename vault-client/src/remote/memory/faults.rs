//! What a hoster can do wrong.

use std::collections::BTreeSet;

use bytes::Bytes;
use vault_proto::ids::{AccountId, DeviceId, MessageName, PackId, VaultId};

use super::MemoryHoster;
use crate::remote::{CommitOutcome, LogAnswer, RemoteError, SyncAnswer};

type Tamper = Box<dyn FnMut(&mut SyncAnswer) + Send>;
type TamperWithLog = Box<dyn FnMut(&AccountId, &mut LogAnswer) + Send>;

/// The orders to fail and to lie that stand.
#[derive(Default)]
pub(super) struct Faults {
    failing: Option<(usize, RemoteError)>,
    losing_answer: Option<usize>,
    hidden: BTreeSet<VaultId>,
    tamper: Option<Tamper>,
    tamper_with_log: Option<TamperWithLog>,
    commit_answer: Option<CommitOutcome>,
    read_shift: i64,
}

impl MemoryHoster {
    /// After so many calls, one fails before it has any effect.
    pub fn fail_after(&self, calls: usize, error: RemoteError) {
        self.lock().faults.failing = Some((calls, error));
    }

    /// After so many calls that succeed, one takes effect, and its answer is
    /// lost.
    pub fn lose_answer_after(&self, calls: usize) {
        self.lock().faults.losing_answer = Some(calls);
    }

    /// Changes every answer to [`Remote::sync_vault`](super::Remote::sync_vault)
    /// from now on.
    pub fn tamper_with_syncs(&self, tamper: impl FnMut(&mut SyncAnswer) + Send + 'static) {
        self.lock().faults.tamper = Some(Box::new(tamper));
    }

    /// Changes every answer to
    /// [`Visitor::fetch_account_log`](super::Visitor::fetch_account_log) from now
    /// on.
    pub fn tamper_with_logs(
        &self,
        tamper: impl FnMut(&AccountId, &mut LogAnswer) + Send + 'static,
    ) {
        self.lock().faults.tamper_with_log = Some(Box::new(tamper));
    }

    /// Puts another message under a name, whatever stands there.
    pub fn replace_message(&self, name: &MessageName, message: Vec<u8>) {
        let mut inner = self.lock();
        let now = inner.clock.unix_seconds();
        inner.books.lay_message(name, message, now);
    }

    /// The messages that were left, ordered by name.
    #[must_use]
    pub fn messages(&self) -> Vec<(MessageName, Vec<u8>)> {
        self.lock().books.messages()
    }

    /// Says of a device that it belongs to this account.
    pub fn misattribute(&self, device: &DeviceId, account: &AccountId) {
        self.lock().books.misattributed.insert(*device, *account);
    }

    /// Answers every commit with this, and does nothing.
    pub fn answer_commits_with(&self, outcome: CommitOutcome) {
        self.lock().faults.commit_answer = Some(outcome);
    }

    /// Denies that there is such a vault.
    pub fn hide_vault(&self, vault: &VaultId) {
        self.lock().faults.hidden.insert(*vault);
    }

    /// Sends so many bytes more than asked for in each read, or fewer.
    pub fn lengthen_reads(&self, bytes: i64) {
        self.lock().faults.read_shift = bytes;
    }

    /// Takes every order back. What it has done already stays.
    pub fn behave(&self) {
        self.lock().faults = Faults::default();
    }

    /// Goes back to an older head, as a hoster does that restores a backup.
    pub fn roll_back(&self, vault: &VaultId, head_seq: u64) {
        self.lock().books.roll_back(vault, head_seq);
    }

    /// Loses a pack; whether it was there.
    pub fn lose_pack(&self, vault: &VaultId, pack: &PackId) -> bool {
        self.lock().books.take_pack(vault, pack).is_some()
    }

    /// Stores other bytes under a pack's name; whether it was there.
    pub fn replace_pack(&self, vault: &VaultId, pack: &PackId, bytes: Bytes) -> bool {
        let mut inner = self.lock();
        let there = inner.books.take_pack(vault, pack).is_some();
        if there {
            inner.books.lay_pack(vault, pack, bytes);
        }
        there
    }

    /// Stores the bytes of each pack under the other's name; whether both were
    /// there.
    pub fn swap_packs(&self, vault: &VaultId, one: &PackId, other: &PackId) -> bool {
        let mut inner = self.lock();
        let taken = (
            inner.books.take_pack(vault, one),
            inner.books.take_pack(vault, other),
        );
        match taken {
            (Some(first), Some(second)) => {
                inner.books.lay_pack(vault, one, second);
                inner.books.lay_pack(vault, other, first);
                true
            }
            _ => false,
        }
    }
}

impl Faults {
    /// Whether a call that has come is to fail.
    pub(super) fn before(&mut self) -> Result<(), RemoteError> {
        match self.failing.take() {
            Some((0, error)) => Err(error),
            Some((calls, error)) => {
                self.failing = Some((calls - 1, error));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether the answer to a call that has succeeded is lost.
    pub(super) fn after(&mut self) -> Result<(), RemoteError> {
        match self.losing_answer.take() {
            Some(0) => Err(line_lost()),
            Some(calls) => {
                self.losing_answer = Some(calls - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(super) fn hides(&self, vault: &VaultId) -> bool {
        self.hidden.contains(vault)
    }

    pub(super) fn tamper(&mut self, answer: &mut SyncAnswer) {
        if let Some(tamper) = &mut self.tamper {
            tamper(answer);
        }
    }

    pub(super) fn tamper_with_log(&mut self, account: &AccountId, answer: &mut LogAnswer) {
        if let Some(tamper) = &mut self.tamper_with_log {
            tamper(account, answer);
        }
    }

    pub(super) fn commit_answer(&self) -> Option<CommitOutcome> {
        self.commit_answer.clone()
    }

    /// The parts of a read, longer or shorter.
    pub(super) fn reshape(&self, mut parts: Vec<Bytes>) -> Vec<Bytes> {
        match usize::try_from(self.read_shift) {
            Ok(0) => {}
            Ok(more) => parts.push(Bytes::from(vec![0; more])),
            Err(_) => {
                let mut fewer = usize::try_from(self.read_shift.unsigned_abs()).unwrap_or(0);
                while fewer > 0
                    && let Some(mut last) = parts.pop()
                {
                    let cut = fewer.min(last.len());
                    last.truncate(last.len() - cut);
                    fewer -= cut;
                    if !last.is_empty() {
                        parts.push(last);
                    }
                }
            }
        }
        parts
    }
}

pub(super) fn line_lost() -> RemoteError {
    RemoteError::Unreachable {
        detail: "the line was lost".into(),
    }
}
