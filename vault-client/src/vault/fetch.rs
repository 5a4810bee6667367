//! Fetching what is new in a vault, and verifying it.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use vault_core::timestamp::Timestamp;
use vault_proto::account_log::AccountLog;
use vault_proto::device::DeviceKind;
use vault_proto::head::{HeadContext, HeadError, PreviousHeads, SeenHeads, UnverifiedHead};
use vault_proto::ids::{AccountId, RootHash, VaultId};
use vault_proto::position::HeadPosition;
use vault_proto::vault_log::{VaultLog, VaultLogError};
use vault_proto::wire::{SignedEntry, VaultEntry};

use super::commit::links_of;
use super::hint::is_replaced;
use super::view::{Place, View};
use super::{Member, VaultError, guest};
use crate::remote::{SyncAnswer, SyncRequest};
use crate::state::{Advanced, NewEntries, Progress, StoredHead, Witness};

/// How often the work is begun anew because another process was faster.
const MAX_OVERTAKEN: usize = 8;

/// The most answers to one refresh,
const MAX_ANSWERS: usize = 256;

/// and the most bytes of entries in them: as many as that at the size in which hosters
/// send them. Accounts that nothing names are among them until the last answer has
/// come, and anybody can make those up.
const MAX_ENTRY_BYTES: usize = 192 << 20;

/// How often an answer may be too early for itself: the hoster reads logs and
/// heads one after the other, and somebody may commit between.
const MAX_TOO_EARLY: usize = 4;

/// The place of a vault that nothing is known of.
const NOWHERE: Place = (None, 0);

/// Fetches what is new since `base`, verifies it, stores it, and only then
/// gives it. Without `base`, or when another process has moved on, begins with
/// what the device has stored.
pub(super) fn refreshed(
    member: &Member,
    vault: &VaultId,
    base: Option<&View>,
) -> Result<View, VaultError> {
    let refused = member.bring_own_log_first()?;
    let mut base = base.cloned();
    for _ in 0..MAX_OVERTAKEN {
        if base.as_ref().map_or(NOWHERE, View::place) != member.state.vault_place(vault)? {
            base = View::load(member, vault)?;
        }
        let (view, progress) = match Fetch::begin(member, vault, base.as_ref()).run() {
            Ok(fetched) => fetched,
            Err(error) => {
                let error = explain(error, member, base.as_ref());
                return Err(guest::explain(error, refused));
            }
        };
        if progress.is_empty() {
            return Ok(view);
        }
        match member.state.advance(&progress)? {
            Advanced::Done => return Ok(view),
            Advanced::Stale => {}
            Advanced::Contradiction => return Err(VaultError::LogFork),
        }
    }
    Err(VaultError::Overtaken)
}

/// Fetches all of a vault and verifies it by itself, whatever was seen of it
/// before; nothing is stored.
pub(super) fn from_nothing(
    member: &Member,
    vault: &VaultId,
) -> Result<(View, Progress), VaultError> {
    Fetch::begin(member, vault, None).run()
}

/// Likewise, of a vault of which nothing was seen before.
pub(super) fn on_trial(member: &Member, vault: &VaultId) -> Result<(View, Progress), VaultError> {
    from_nothing(member, vault).map_err(|error| explain(error, member, None))
}

/// What a view becomes with an entry that the hoster has accepted; nothing is
/// stored yet. `accounts` are the logs that it was made with.
pub(super) fn with_entry(
    member: &Member,
    vault: &VaultId,
    base: &View,
    accounts: BTreeMap<AccountId, AccountLog>,
    entry: &SignedEntry,
) -> Result<(View, Progress), VaultError> {
    let mut vault_log = base.vault_log.clone();
    vault_log
        .append(entry, &accounts)
        .map_err(vault_log_error)?;
    let fetch = Fetch {
        member,
        vault,
        base: Some(base),
        vault_log: Some(vault_log),
        accounts,
    };
    let heads = Heads {
        seen: base.seen.clone(),
        new: None,
        links: Vec::new(),
    };
    fetch.finish(heads, Vec::new())
}

/// Says more of an error where more is known.
fn explain(error: VaultError, member: &Member, base: Option<&View>) -> VaultError {
    match error {
        VaultError::Head(HeadError::Older { known, got }) => {
            let base = base.filter(|base| base.seen.position() == Some(known));
            VaultError::HosterWentBack {
                known,
                committed: base.and_then(committed),
                got,
                shown: base.and_then(|base| date_of_shown(member, base, got)),
            }
        }
        VaultError::Head(HeadError::Fork { seq })
            if base.is_some_and(|base| is_replaced(member, base)) =>
        {
            VaultError::Replaced { seq }
        }
        error if error.is_not_found() => {
            // A vault with other managers may have lost this member.
            let alone = base.is_some_and(|base| {
                let mut members = base.vault_log.members().map(|(account, _)| account);
                members.all(|account| account == member.account)
            });
            if alone { VaultError::Hidden } else { error }
        }
        error => error,
    }
}

/// When the newest head of a view was committed, by its maker's clock.
pub(super) fn committed(view: &View) -> Option<Timestamp> {
    let root = view.root.as_ref().ok()?;
    Timestamp::from_wire(&root.committed?)
}

/// Likewise of the older head that a hoster shows, if all of that verifies: its member is
/// to hold it against what the hoster has told him.
fn date_of_shown(member: &Member, base: &View, got: u64) -> Option<Timestamp> {
    let (shown, _) = from_nothing(member, &base.vault_log.id()).ok()?;
    let newest = shown.seen.position()?;
    committed(&shown).filter(|_| newest.seq == got)
}

/// Bytes of entries that a hoster may still send.
struct Room(usize);

impl Room {
    fn take(&mut self, answer: &SyncAnswer) -> Result<(), VaultError> {
        let accounts = answer.accounts.iter().flat_map(|(_, entries)| entries);
        let entries = accounts.chain(&answer.vault_entries);
        let bytes: usize = entries.map(Message::encoded_len).sum();
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or(VaultError::Answer("more entries than any vault has"))?;
        Ok(())
    }
}

/// What is seen of a vault's heads, and the newest when it is new.
struct Heads {
    seen: SeenHeads,
    new: Option<Vec<u8>>,
    links: Vec<HeadPosition>,
}

/// One refresh under way. Nothing of it is stored yet.
struct Fetch<'a> {
    member: &'a Member,
    vault: &'a VaultId,
    base: Option<&'a View>,
    vault_log: Option<VaultLog>,
    accounts: BTreeMap<AccountId, AccountLog>,
}

impl<'a> Fetch<'a> {
    fn begin(member: &'a Member, vault: &'a VaultId, base: Option<&'a View>) -> Self {
        Self {
            member,
            vault,
            base,
            vault_log: base.map(|base| base.vault_log.clone()),
            accounts: base.map(|base| base.accounts.clone()).unwrap_or_default(),
        }
    }

    fn run(mut self) -> Result<(View, Progress), VaultError> {
        let mut too_early = 0;
        let mut room = Room(MAX_ENTRY_BYTES);
        for _ in 0..MAX_ANSWERS {
            let answer = self.member.remote.sync_vault(&self.request())?;
            room.take(&answer)?;
            let before = self.entry_count();
            self.verify_entries(&answer)?;
            if answer.more {
                // Each answer brings something, so that their number is bounded
                // by what members have signed.
                if self.entry_count() == before {
                    return Err(VaultError::Answer("there is more, and nothing comes"));
                }
                continue;
            }
            if let Some(by) = self.put_out_by() {
                return Err(VaultError::PutOut { by });
            }
            match self.verify_heads(&answer) {
                Err(VaultError::Head(error)) if is_too_early(&error) => {
                    too_early += 1;
                    if too_early == MAX_TOO_EARLY {
                        return Err(VaultError::Head(error));
                    }
                }
                Err(VaultError::Head(HeadError::OtherRoot)) if answer.heads.is_empty() => {
                    return Err(self.tell_fork_from_root()?);
                }
                Err(error) => return Err(error),
                Ok(heads) => return self.finish(heads, answer.root),
            }
        }
        Err(VaultError::Answer("it never ends"))
    }

    fn request(&self) -> SyncRequest {
        SyncRequest {
            vault: *self.vault,
            vault_log_seq: self.vault_log.as_ref().map_or(0, |log| log.position().seq),
            head_seq: self
                .base
                .and_then(|base| base.seen.position())
                .map_or(0, |at| at.seq),
            accounts: self
                .accounts
                .iter()
                .map(|(account, log)| (*account, log.position().seq))
                .collect(),
            without_root: false,
            until_head_seq: 0,
        }
    }

    fn entry_count(&self) -> u64 {
        let accounts = self.accounts.values().map(|log| log.position().seq);
        let vault = self.vault_log.as_ref().map_or(0, |log| log.position().seq);
        vault + accounts.sum::<u64>()
    }

    fn verify_entries(&mut self, answer: &SyncAnswer) -> Result<(), VaultError> {
        for (account, entries) in &answer.accounts {
            self.verify_account(*account, entries)?;
        }
        let seen = self.base.and_then(|base| base.seen.position());
        for entry in &answer.vault_entries {
            let accounts = &self.accounts;
            match &mut self.vault_log {
                Some(log) => {
                    log.append(entry, accounts).map_err(vault_log_error)?;
                    check_follows(log, seen)?;
                }
                None => {
                    let log = VaultLog::verify_genesis(entry, accounts).map_err(vault_log_error)?;
                    if log.id() != *self.vault {
                        return Err(VaultError::WrongGenesis);
                    }
                    self.vault_log = Some(log);
                }
            }
        }
        Ok(())
    }

    fn verify_account(
        &mut self,
        account: AccountId,
        entries: &[SignedEntry],
    ) -> Result<(), VaultError> {
        let failed = |error| VaultError::AccountLog { account, error };
        for entry in entries {
            match self.accounts.get_mut(&account) {
                Some(log) => log.append(entry).map_err(failed)?,
                None => {
                    let log = AccountLog::verify_genesis(entry).map_err(failed)?;
                    if log.id() != account {
                        return Err(VaultError::WrongGenesis);
                    }
                    self.accounts.insert(account, log);
                }
            }
        }
        Ok(())
    }

    /// Who has put this account out, as the log says that was verified.
    fn put_out_by(&self) -> Option<AccountId> {
        let log = self.vault_log.as_ref()?;
        let ended = log.membership_ended(&self.member.account)?;
        let index = usize::try_from(ended.checked_sub(1)?).ok()?;
        let entry = VaultEntry::decode(&log.entries().get(index)?.payload[..]).ok()?;
        AccountId::from_slice(&entry.author?.account).ok()
    }

    /// Verifies the heads against the logs and what was seen.
    fn verify_heads(&self, answer: &SyncAnswer) -> Result<Heads, VaultError> {
        let vault_log = self
            .vault_log
            .as_ref()
            .ok_or(VaultError::Answer("a vault without a log"))?;
        let none = SeenHeads::none();
        let seen = self.base.map_or(&none, |base| &base.seen);
        let heads = if answer.heads.is_empty() {
            check_nothing_new(seen, vault_log, answer.newest_head_seq)?;
            Heads {
                seen: seen.clone(),
                new: None,
                links: Vec::new(),
            }
        } else {
            let heads = answer.heads.iter().map(|head| UnverifiedHead::decode(head));
            let heads = heads
                .collect::<Result<Vec<_>, _>>()
                .map_err(VaultError::Head)?;
            let path = seen.follow(heads).map_err(VaultError::Head)?;
            let newest = path.newest().clone();
            if newest.seq() != answer.newest_head_seq {
                return Err(VaultError::Answer("the newest head is not the newest"));
            }
            let context = HeadContext {
                vault_log,
                account_logs: &self.accounts,
                previous: PreviousHeads::Path(&path),
            };
            let head = newest.verify(&context).map_err(VaultError::Head)?;
            Heads {
                seen: head.seen().clone(),
                new: Some(head.to_bytes().to_vec()),
                links: path
                    .heads()
                    .iter()
                    .flat_map(|head| links_of(head.claims()))
                    .collect(),
            }
        };
        // Of a head that is not new, too: another root would be that of a head
        // that forks from it.
        let named = heads.seen.newest().map(|head| head.root);
        let sent = (!answer.root.is_empty()).then(|| RootHash::of(&answer.root));
        if named == sent {
            Ok(heads)
        } else {
            Err(VaultError::Head(HeadError::OtherRoot))
        }
    }

    /// The hoster says that nothing is new, and yet the root is not the one that
    /// the known head names. Asks for the head at its place: another one there
    /// is a fork.
    fn tell_fork_from_root(&self) -> Result<VaultError, VaultError> {
        let mut request = self.request();
        let known = request.head_seq;
        request.head_seq = known.saturating_sub(1);
        request.without_root = true;
        let answer = self.member.remote.sync_vault(&request)?;
        let theirs = answer
            .heads
            .first()
            .and_then(|head| UnverifiedHead::decode(head).ok())
            .map(|head| head.position());
        let ours = self.base.and_then(|base| base.seen.position());
        let forks = theirs.is_some_and(|theirs| theirs.seq == known && Some(theirs) != ours);
        Ok(VaultError::Head(if forks {
            HeadError::Fork { seq: known }
        } else {
            HeadError::OtherRoot
        }))
    }

    fn finish(self, heads: Heads, sealed_root: Vec<u8>) -> Result<(View, Progress), VaultError> {
        let Heads { seen, new, links } = heads;
        let vault_log = self
            .vault_log
            .ok_or(VaultError::Answer("a vault without a log"))?;
        let mut accounts = self.accounts;
        // Logs that nothing refers to are not kept.
        let named: BTreeSet<_> = vault_log.known_positions().map(|(id, _)| id).collect();
        accounts.retain(|account, _| named.contains(account));

        let base_accounts = self.base.map(|base| &base.accounts);
        let known = |account: &AccountId| {
            base_accounts
                .and_then(|accounts| accounts.get(account))
                .map_or(0, |log| log.position().seq)
        };
        let mut entries: Vec<_> = accounts
            .iter()
            .filter_map(|(id, log)| new_entries(*id.as_bytes(), log.entries(), known(id)))
            .collect();
        let known = self.base.map_or(0, |base| base.vault_log.position().seq);
        entries.extend(new_entries(
            *self.vault.as_bytes(),
            vault_log.entries(),
            known,
        ));

        let base = self.base.and_then(|base| base.seen.position());
        let view = View::open(
            self.member,
            vault_log,
            accounts,
            seen,
            &sealed_root,
            self.base,
        )?;
        let witness = new.is_some().then(|| witness(self.member, &view)).flatten();
        let progress = Progress {
            vault: *self.vault,
            base,
            entries,
            accounts: view.accounts.keys().copied().collect(),
            head: new.map(|signed| StoredHead {
                signed,
                root: sealed_root,
                seen: view.seen.clone(),
            }),
            links,
            witness,
            accepted: None,
        };
        Ok((view, progress))
    }
}

/// What the newest head says of whether it is the newest. A device of the same
/// account that was added after this one may have begun from the same old state,
/// and paper remembers nothing.
fn witness(member: &Member, view: &View) -> Option<Witness> {
    let head = view.seen.newest()?;
    let own = member.device.id();
    if head.device == own {
        return Some(Witness::Own);
    }
    let device = |account, device| view.accounts.get(account)?.device(device);
    let maker = device(&head.account, &head.device)?;
    let own = device(&member.account, &own)?;
    let is_younger = head.account == member.account && maker.added_seq >= own.added_seq;
    Some(if is_younger || maker.public.kind() == DeviceKind::Paper {
        Witness::Nobody
    } else {
        Witness::Another
    })
}

/// An answer without heads fits only where there is nothing newer anywhere.
fn check_nothing_new(
    seen: &SeenHeads,
    vault_log: &VaultLog,
    newest_head_seq: u64,
) -> Result<(), VaultError> {
    let got = newest_head_seq;
    let held = seen.position();
    if let Some(known) = held
        && got < known.seq
    {
        return Err(VaultError::Head(HeadError::Older { known, got }));
    }
    let held_seq = held.map_or(0, |at| at.seq);
    if got > held_seq {
        return Err(VaultError::Head(HeadError::MissingLink {
            newer: got,
            older: held_seq,
        }));
    }
    match vault_log.pinned_head() {
        Some(known) if known.seq > held_seq => {
            Err(VaultError::Head(HeadError::Older { known, got }))
        }
        Some(pinned) if pinned.seq == held_seq && !holds(seen, pinned) => {
            Err(VaultError::Head(HeadError::Fork { seq: held_seq }))
        }
        _ => Ok(()),
    }
}

/// Whether the newest head is that one, or takes its place.
fn holds(seen: &SeenHeads, head: HeadPosition) -> bool {
    let newest = seen.newest();
    newest.is_some_and(|newest| newest.position() == head || newest.replaced() == Some(head))
}

/// An entry that is new to a device follows the head that the device has seen:
/// where it names an older one, that head would be stale, and yet it stands.
fn check_follows(log: &VaultLog, seen: Option<HeadPosition>) -> Result<(), VaultError> {
    match (log.pinned_head(), seen) {
        (_, None) => Ok(()),
        (Some(named), Some(seen)) if named.seq >= seen.seq => Ok(()),
        (_, Some(known)) => Err(vault_log_error(VaultLogError::OlderHead { known })),
    }
}

/// Whether the head knows entries that came after the logs were read.
fn is_too_early(error: &HeadError) -> bool {
    matches!(
        error,
        HeadError::VaultEntriesMissing { .. }
            | HeadError::AccountEntriesMissing { .. }
            | HeadError::AccountLogMissing { .. }
    )
}

fn vault_log_error(error: VaultLogError) -> VaultError {
    VaultError::VaultLog(error)
}

fn new_entries(log: [u8; 32], entries: &[SignedEntry], known: u64) -> Option<NewEntries> {
    let index = usize::try_from(known).ok()?;
    let entries = entries.get(index..).filter(|new| !new.is_empty())?.to_vec();
    Some(NewEntries {
        log,
        first_seq: known + 1,
        entries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_answers_together_have_an_end() {
        let entry = |bytes| SignedEntry {
            payload: vec![0; bytes],
            signatures: Vec::new(),
        };
        let answer = |bytes| SyncAnswer {
            accounts: vec![(AccountId::from_array([1; 32]), vec![entry(bytes)])],
            vault_entries: vec![entry(bytes)],
            ..SyncAnswer::default()
        };
        let mut room = Room(10_000);
        room.take(&answer(2_000)).unwrap();
        room.take(&answer(2_000)).unwrap();
        assert!(matches!(
            room.take(&answer(2_000)),
            Err(VaultError::Answer(_))
        ));
        room.take(&answer(500)).unwrap();
    }
}
