//! A vault's public log: its members, their roles, and its epochs.
//!
//! ```text
//! genesis ──▶ add ▶ accept · change role · remove · leave · refresh · rotate · moved
//!    └─ its hash is the vault id
//! ```
//!
//! Every entry names where its author's account log stood, so that it is
//! verified against the devices that were active *there*, and the newest head,
//! so that no head made before it can pass for one made after. Places that were
//! recorded never go back. The rules are numbered in vault-core/docs/format.md,
//! "Vault log".

mod error;
mod kinds;
mod payload;
mod rules;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;

pub use error::VaultLogError;
pub use kinds::{MemberState, Role, VaultKind};

use crate::account_log::AccountLogs;
use crate::entry::{ENTRY_VERSION, SealedBox};
use crate::ids::{AccountId, DeviceId, EntryHash, HeadHash, HosterId, VaultId};
use crate::origin::Origin;
use crate::position::{HeadPosition, LogPosition};
use crate::wire::{self, SignedEntry};
use payload::Payload;
use rules::Change;

/// The most members of a vault, invited ones included.
pub const MAX_MEMBERS: usize = 256;

/// A period of the vault under one epoch secret.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EpochRecord {
    /// Counts from 1.
    pub number: u64,
    /// The commitment to the secret: who opens a box compares.
    pub commitment: [u8; 32],
    /// The secret, sealed to each member at the epoch's begin and to those who
    /// came during it.
    pub boxes: BTreeMap<AccountId, EpochBoxRecord>,
    /// The secret of the epoch before, wrapped under this one; none in the first.
    pub previous_secret: Option<Vec<u8>>,
    /// The entry that began it.
    pub since_seq: u64,
}

/// An epoch secret, sealed to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EpochBoxRecord {
    /// The place of the member's account log that the sealer knew.
    pub position: LogPosition,
    /// The generation of the account key that the box is sealed to: the newest
    /// at that place.
    pub generation: u64,
    /// The box.
    pub sealed: SealedBox,
}

/// A verified vault log; it only grows.
#[derive(Debug, Clone, PartialEq)]
pub struct VaultLog {
    id: VaultId,
    kind: VaultKind,
    salt: [u8; 32],
    creator: AccountId,
    home: HosterId,
    home_origin: Option<Origin>,
    entries: Vec<SignedEntry>,
    places: Vec<Place>,
    /// For each account that ever was a member, what he became and when.
    members: BTreeMap<AccountId, Vec<Since<Option<MemberState>>>>,
    /// For each account that entries named, the newest place of its log.
    positions: BTreeMap<AccountId, Vec<Since<LogPosition>>>,
    /// By number; never empty.
    epochs: Vec<EpochRecord>,
}

/// What holds once an entry is appended.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    hash: EntryHash,
    head: Option<HeadPosition>,
    rotation_due: bool,
}

/// An entry that was verified as the next one of a log, and what it changes there.
#[derive(Debug, Clone)]
pub struct NextEntry<'a> {
    entry: &'a SignedEntry,
    /// What it follows; its hash is that of all that came before.
    previous: LogPosition,
    place: Place,
    change: Change,
}

impl NextEntry<'_> {
    /// The entry's number.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.previous.seq + 1
    }

    /// The head that it names.
    #[must_use]
    pub fn head(&self) -> Option<HeadPosition> {
        self.place.head
    }

    /// Whether a rotation is due after it.
    #[must_use]
    pub fn rotation_due(&self) -> bool {
        self.place.rotation_due
    }

    /// Whose membership it changes, and what he is then; `None` in the second
    /// place for no member.
    #[must_use]
    pub fn member(&self) -> Option<(AccountId, Option<MemberState>)> {
        self.change.member
    }

    /// The epoch that it begins.
    #[must_use]
    pub fn epoch(&self) -> Option<&EpochRecord> {
        self.change.epoch.as_ref()
    }

    /// The hoster that it moves the vault to.
    #[must_use]
    pub fn moved_to(&self) -> Option<HosterId> {
        let (home, _) = self.change.moved.as_ref()?;
        Some(*home)
    }
}

/// A value that holds from an entry on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Since<T> {
    seq: u64,
    value: T,
}

impl VaultLog {
    /// Begins a log with its genesis, whose hash is the vault's id.
    ///
    /// Compare [`VaultLog::id`] with the id that was expected: a genesis proves
    /// itself only to who knows the id.
    ///
    /// # Errors
    /// See [`VaultLogError`].
    pub fn verify_genesis(
        entry: &SignedEntry,
        account_logs: &dyn AccountLogs,
    ) -> Result<Self, VaultLogError> {
        let payload = Payload::decode(&entry.payload)?;
        let genesis = rules::check_genesis(payload, entry, account_logs)?;
        let manager = MemberState {
            role: Role::Manager,
            accepted: true,
        };
        let since = |value| vec![Since { seq: 1, value }];
        Ok(Self {
            id: VaultId::from_array(*genesis.hash.as_bytes()),
            kind: genesis.kind,
            salt: genesis.salt,
            creator: genesis.creator.account,
            home: genesis.home,
            home_origin: None,
            entries: vec![entry.clone()],
            places: vec![Place {
                hash: genesis.hash,
                head: None,
                rotation_due: false,
            }],
            members: BTreeMap::from([(genesis.creator.account, since(Some(manager)))]),
            positions: BTreeMap::from([(
                genesis.creator.account,
                vec![Since {
                    seq: 1,
                    value: genesis.creator.position,
                }],
            )]),
            epochs: vec![genesis.epoch],
        })
    }

    /// Verifies `entry` and appends it, or leaves the log as it was.
    ///
    /// A hoster asks besides that [`VaultLog::pinned_head`] is then its newest
    /// head, or the one whose place that takes, else the entry lost a race.
    ///
    /// # Errors
    /// See [`VaultLogError`].
    pub fn append(
        &mut self,
        entry: &SignedEntry,
        account_logs: &dyn AccountLogs,
    ) -> Result<(), VaultLogError> {
        let next = self.verify_next(entry, account_logs)?;
        self.push(next);
        Ok(())
    }

    /// What [`VaultLog::append`] would say to `entry`, at the cost of its checks
    /// alone, and what the entry would change.
    ///
    /// # Errors
    /// See [`VaultLogError`].
    pub fn verify_next<'a>(
        &self,
        entry: &'a SignedEntry,
        account_logs: &dyn AccountLogs,
    ) -> Result<NextEntry<'a>, VaultLogError> {
        let payload = Payload::decode(&entry.payload)?;
        let place = Place {
            hash: payload.hash,
            head: payload.head,
            rotation_due: false,
        };
        let change = rules::check_next(self, payload, entry, account_logs)?;
        Ok(NextEntry {
            entry,
            previous: self.position(),
            place: Place {
                rotation_due: change.rotation_due,
                ..place
            },
            change,
        })
    }

    /// Appends what was verified as the next entry.
    ///
    /// # Panics
    /// If it was verified for another place than the next of this log.
    pub fn push(&mut self, next: NextEntry<'_>) {
        let same = next.previous == self.position();
        assert!(same, "an entry stands where it was verified");
        self.apply(next.place, next.change);
        self.entries.push(next.entry.clone());
    }

    /// The hash of the genesis.
    #[must_use]
    pub fn id(&self) -> VaultId {
        self.id
    }

    /// What the vault is for.
    #[must_use]
    pub fn kind(&self) -> VaultKind {
        self.kind
    }

    /// The genesis's 32 random bytes.
    #[must_use]
    pub fn salt(&self) -> &[u8; 32] {
        &self.salt
    }

    /// The account that made the vault, whose quota it counts against.
    #[must_use]
    pub fn creator(&self) -> AccountId {
        self.creator
    }

    /// The hoster that keeps the vault.
    #[must_use]
    pub fn home(&self) -> HosterId {
        self.home
    }

    /// Where that hoster is dialled, if the vault moved there.
    #[must_use]
    pub fn home_origin(&self) -> Option<&Origin> {
        self.home_origin.as_ref()
    }

    /// The newest entry.
    #[must_use]
    pub fn position(&self) -> LogPosition {
        LogPosition {
            seq: self.places.len() as u64,
            hash: self.last().hash,
        }
    }

    /// The hash of entry `seq`; `None` beyond the newest, and for 0.
    #[must_use]
    pub fn hash_at(&self, seq: u64) -> Option<EntryHash> {
        self.place(seq).map(|place| place.hash)
    }

    /// Who wrote entry `seq`, and with which device; `None` at 0 and beyond the
    /// newest entry.
    #[must_use]
    pub fn author_at(&self, seq: u64) -> Option<(AccountId, DeviceId)> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        let entry = self.entries.get(index)?;
        let payload = Payload::decode(&entry.payload).ok()?;
        Some((payload.author.account, payload.device))
    }

    /// What the account was at entry `seq`; `None` for no member, and at 0 or
    /// beyond the newest entry.
    #[must_use]
    pub fn role_at(&self, account: &AccountId, seq: u64) -> Option<MemberState> {
        self.place(seq)?;
        *value_at(self.members.get(account)?, seq)?
    }

    /// What the account is; `None` for no member.
    #[must_use]
    pub fn member(&self, account: &AccountId) -> Option<MemberState> {
        self.members.get(account)?.last()?.value
    }

    /// The place of the entry that ended an account's membership; `None` where it is a
    /// member, or never was one.
    #[must_use]
    pub fn membership_ended(&self, account: &AccountId) -> Option<u64> {
        let last = self.members.get(account)?.last()?;
        last.value.is_none().then_some(last.seq)
    }

    /// The members, invited ones included, ordered by account id.
    pub fn members(&self) -> impl Iterator<Item = (AccountId, MemberState)> {
        self.members
            .iter()
            .filter_map(|(account, states)| Some((*account, states.last()?.value?)))
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> &EpochRecord {
        self.epochs.last().expect("a genesis begins an epoch")
    }

    /// The epoch that was current at entry `seq`; `None` at 0 and beyond the
    /// newest entry.
    #[must_use]
    pub fn epoch_at(&self, seq: u64) -> Option<&EpochRecord> {
        self.place(seq)?;
        self.epochs
            .iter()
            .rev()
            .find(|epoch| epoch.since_seq <= seq)
    }

    /// Every epoch, oldest first.
    #[must_use]
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.epochs
    }

    /// Whether nothing may be sealed before an epoch begins.
    #[must_use]
    pub fn rotation_due(&self) -> bool {
        self.last().rotation_due
    }

    /// Whether a rotation was due at entry `seq`; true, to be safe, at 0 and
    /// beyond the newest entry.
    #[must_use]
    pub fn rotation_due_at(&self, seq: u64) -> bool {
        self.place(seq).is_none_or(|place| place.rotation_due)
    }

    /// The newest place of an account's log that entries recorded.
    #[must_use]
    pub fn known_position(&self, account: &AccountId) -> Option<LogPosition> {
        Some(self.positions.get(account)?.last()?.value)
    }

    /// The newest place of an account's log that entries up to `seq` recorded.
    #[must_use]
    pub fn known_position_at(&self, account: &AccountId, seq: u64) -> Option<LogPosition> {
        value_at(self.positions.get(account)?, seq).copied()
    }

    /// The account logs that this log refers to, with the newest place of each.
    pub fn known_positions(&self) -> impl Iterator<Item = (AccountId, LogPosition)> {
        self.positions
            .iter()
            .filter_map(|(account, places)| Some((*account, places.last()?.value)))
    }

    /// The newest entry that a head at `head_seq` must know: the last one that
    /// names an older head, or none.
    #[must_use]
    pub fn earliest_position_for_head(&self, head_seq: u64) -> u64 {
        let before = |place: &Place| place.head.map_or(0, |head| head.seq) < head_seq;
        self.places.partition_point(before) as u64
    }

    /// The newest head that an entry names.
    #[must_use]
    pub fn pinned_head(&self) -> Option<HeadPosition> {
        self.last().head
    }

    /// The hash of head `head_seq`, if an entry names that head.
    #[must_use]
    pub fn pinned_hash_at(&self, head_seq: u64) -> Option<HeadHash> {
        let first = self
            .places
            .partition_point(|place| place.head.map_or(0, |head| head.seq) < head_seq);
        let head = self.places.get(first)?.head?;
        (head.seq == head_seq).then_some(head.hash)
    }

    /// The entries as they were signed, the genesis first.
    #[must_use]
    pub fn entries(&self) -> &[SignedEntry] {
        &self.entries
    }

    /// The next entry, for `device` to sign. `head` is what
    /// [`head_for_entry`](crate::head::head_for_entry) gives.
    #[must_use]
    pub fn next_entry(
        &self,
        author: &AccountId,
        author_position: &LogPosition,
        device: &DeviceId,
        head: Option<HeadPosition>,
        body: wire::vault_entry::Body,
    ) -> wire::VaultEntry {
        let last = self.position();
        wire::VaultEntry {
            version: ENTRY_VERSION,
            vault: self.id.to_vec(),
            seq: last.seq + 1,
            previous: last.hash.to_vec(),
            author: Some(member_ref(author, author_position)),
            device: device.to_vec(),
            head: head.as_ref().map(HeadPosition::to_wire),
            body: Some(body),
        }
    }

    fn apply(&mut self, place: Place, change: Change) {
        let seq = self.places.len() as u64 + 1;
        self.places.push(place);
        for member in change.positions {
            let places = self.positions.entry(member.account).or_default();
            if places.last().map(|at| at.value) != Some(member.position) {
                places.push(Since {
                    seq,
                    value: member.position,
                });
            }
        }
        if let Some((account, value)) = change.member {
            let states = self.members.entry(account).or_default();
            states.push(Since { seq, value });
        }
        if let Some((account, sealed)) = change.new_box
            && let Some(epoch) = self.epochs.last_mut()
        {
            epoch.boxes.insert(account, sealed);
        }
        self.epochs.extend(change.epoch);
        if let Some((home, origin)) = change.moved {
            self.home = home;
            self.home_origin = Some(origin);
        }
    }

    fn last(&self) -> &Place {
        self.places.last().expect("a log holds its genesis")
    }

    fn place(&self, seq: u64) -> Option<&Place> {
        let index = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.places.get(index)
    }
}

/// A first entry, for `device` to sign.
#[must_use]
pub fn genesis_entry(
    author: &AccountId,
    author_position: &LogPosition,
    device: &DeviceId,
    genesis: wire::VaultGenesis,
) -> wire::VaultEntry {
    wire::VaultEntry {
        version: ENTRY_VERSION,
        vault: Vec::new(),
        seq: 1,
        previous: Vec::new(),
        author: Some(member_ref(author, author_position)),
        device: device.to_vec(),
        head: None,
        body: Some(wire::vault_entry::Body::Genesis(genesis)),
    }
}

/// An account at a place of its log, as entries name it.
#[must_use]
pub fn member_ref(account: &AccountId, position: &LogPosition) -> wire::MemberRef {
    wire::MemberRef {
        account: account.to_vec(),
        position: Some(position.to_wire()),
    }
}

/// The value that held at `seq`.
fn value_at<T>(values: &[Since<T>], seq: u64) -> Option<&T> {
    let index = values.partition_point(|since| since.seq <= seq);
    values.get(index.checked_sub(1)?).map(|since| &since.value)
}
