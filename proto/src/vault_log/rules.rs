//! The rules of a vault log: each check gives the change to make, or why not.

use super::payload::{Body, Epoch, MemberAt, MemberBox, Payload};
use super::{
    EpochBoxRecord, EpochRecord, MAX_MEMBERS, MemberState, Role, VaultKind, VaultLog, VaultLogError,
};
use crate::account_log::{AccountLog, AccountLogs};
use crate::device::DeviceKind;
use crate::entry::{SealedBox, verify_signatures};
use crate::ids::{AccountId, DeviceId, EntryHash, HosterId};
use crate::origin::Origin;
use crate::sign::SignLabel;
use crate::wire::SignedEntry;

pub(super) struct Genesis {
    pub(super) hash: EntryHash,
    pub(super) kind: VaultKind,
    pub(super) salt: [u8; 32],
    pub(super) creator: MemberAt,
    pub(super) home: HosterId,
    pub(super) epoch: EpochRecord,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    /// Places of account logs that the entry records.
    pub(super) positions: Vec<MemberAt>,
    pub(super) member: Option<(AccountId, Option<MemberState>)>,
    pub(super) new_box: Option<(AccountId, EpochBoxRecord)>,
    pub(super) epoch: Option<EpochRecord>,
    pub(super) moved: Option<(HosterId, Origin)>,
    pub(super) rotation_due: bool,
}

pub(super) fn check_genesis(
    payload: Payload,
    entry: &SignedEntry,
    account_logs: &dyn AccountLogs,
) -> Result<Genesis, VaultLogError> {
    let Body::Genesis {
        kind,
        salt,
        home,
        epoch,
    } = payload.body
    else {
        return Err(VaultLogError::NotGenesis);
    };
    if payload.seq != 1 {
        return Err(VaultLogError::Missing {
            expected: 1,
            got: payload.seq,
        });
    }
    let creator = payload.author;
    let log = account_log_at(account_logs, &creator)?;
    if epoch.number != 1 {
        return Err(VaultLogError::EpochNumber {
            expected: 1,
            got: epoch.number,
        });
    }
    if !epoch
        .boxes
        .iter()
        .map(|b| b.member.account)
        .eq([creator.account])
    {
        return Err(VaultLogError::Boxes);
    }
    for member_box in &epoch.boxes {
        if member_box.member.position != creator.position {
            return Err(VaultLogError::TwoPositions);
        }
        check_generation(account_logs, member_box)?;
    }
    check_signature(log, creator, payload.device, entry)?;
    Ok(Genesis {
        hash: payload.hash,
        kind,
        salt,
        creator,
        home,
        epoch: into_record(epoch, payload.device, 1),
    })
}

pub(super) fn check_next(
    log: &VaultLog,
    payload: Payload,
    entry: &SignedEntry,
    account_logs: &dyn AccountLogs,
) -> Result<Change, VaultLogError> {
    check_place(log, &payload)?;
    check_head(log, &payload)?;
    let author = check_author(log, &payload)?;
    let rules = Rules {
        log,
        account_logs,
        author: payload.author,
        device: payload.device,
        seq: payload.seq,
    };
    let author_log = rules.check_position(&payload.author)?;
    check_signature(author_log, payload.author, payload.device, entry)?;

    let due = log.rotation_due() || rules.is_outdated(&payload.author)?;
    let mut change = rules.check_body(payload.body, author, due)?;
    change.positions.push(payload.author);
    Ok(change)
}

/// The entry is of this log, the next one, and follows the last one.
fn check_place(log: &VaultLog, payload: &Payload) -> Result<(), VaultLogError> {
    let last = log.position();
    let (Some(vault), Some(previous)) = (payload.vault, payload.previous) else {
        return Err(match log.hash_at(1) == Some(payload.hash) {
            true => VaultLogError::Repeated { seq: 1 },
            false => VaultLogError::GenesisAgain,
        });
    };
    if vault != log.id {
        return Err(VaultLogError::OtherVault { expected: log.id });
    }
    if payload.seq > last.seq + 1 || payload.seq == 0 {
        return Err(VaultLogError::Missing {
            expected: last.seq + 1,
            got: payload.seq,
        });
    }
    if payload.seq <= last.seq {
        let seq = payload.seq;
        return Err(match log.hash_at(seq) == Some(payload.hash) {
            true => VaultLogError::Repeated { seq },
            false => VaultLogError::Fork { seq },
        });
    }
    if previous != last.hash {
        return Err(VaultLogError::Fork { seq: last.seq });
    }
    Ok(())
}

/// The entry's author knew the head that the entry before names.
fn check_head(log: &VaultLog, payload: &Payload) -> Result<(), VaultLogError> {
    let Some(known) = log.pinned_head() else {
        return Ok(());
    };
    match payload.head {
        Some(head) if head.seq > known.seq || head == known => Ok(()),
        Some(head) if head.seq == known.seq => Err(VaultLogError::HeadFork { seq: head.seq }),
        _ => Err(VaultLogError::OlderHead { known }),
    }
}

/// The author is a member, and has accepted unless that is what he does.
fn check_author(log: &VaultLog, payload: &Payload) -> Result<MemberState, VaultLogError> {
    let author = log
        .member(&payload.author.account)
        .ok_or(VaultLogError::Stranger)?;
    match (&payload.body, author.accepted) {
        (Body::Accept, true) => Err(VaultLogError::AlreadyAccepted),
        (Body::Accept, false) | (_, true) => Ok(author),
        (_, false) => Err(VaultLogError::NotAccepted),
    }
}

/// The device was active at that place of its account's log, and signed.
fn check_signature(
    log: &AccountLog,
    author: MemberAt,
    device: DeviceId,
    entry: &SignedEntry,
) -> Result<(), VaultLogError> {
    let record = log
        .device(&device)
        .ok_or(VaultLogError::UnknownDevice(device))?;
    if !record.is_active_at(author.position.seq) {
        return Err(VaultLogError::DeviceNotActive(device));
    }
    let signer = (device, record.public.signing_key());
    Ok(verify_signatures(SignLabel::VaultEntry, entry, &[signer])?)
}

/// The log of an account, which holds the entry that is named.
fn account_log_at<'a>(
    account_logs: &'a dyn AccountLogs,
    member: &MemberAt,
) -> Result<&'a AccountLog, VaultLogError> {
    let account = member.account;
    let log = account_logs
        .account_log(&account)
        .ok_or(VaultLogError::AccountLogMissing { account })?;
    match log.hash_at(member.position.seq) {
        None => Err(VaultLogError::AccountEntriesMissing {
            account,
            have: log.position().seq,
            need: member.position.seq,
        }),
        Some(hash) if hash != member.position.hash => {
            Err(VaultLogError::PositionMismatch { account })
        }
        Some(_) => Ok(log),
    }
}

/// The box is sealed to the account key that was newest at the place it names.
fn check_generation(
    account_logs: &dyn AccountLogs,
    member_box: &MemberBox,
) -> Result<(), VaultLogError> {
    let expected = generation_at(account_logs, &member_box.member)?;
    if member_box.generation != expected {
        return Err(VaultLogError::Generation {
            account: member_box.member.account,
            expected,
            got: member_box.generation,
        });
    }
    Ok(())
}

/// The newest generation of an account's key at a place of its log.
fn generation_at(account_logs: &dyn AccountLogs, member: &MemberAt) -> Result<u64, VaultLogError> {
    let log = account_log_at(account_logs, member)?;
    let key = log.account_key_at(member.position.seq);
    Ok(key.map_or(0, |key| key.generation))
}

/// What the rules of one entry refer to.
struct Rules<'a> {
    log: &'a VaultLog,
    account_logs: &'a dyn AccountLogs,
    author: MemberAt,
    device: DeviceId,
    seq: u64,
}

impl Rules<'_> {
    /// `due` says whether a rotation is due before the entry's body.
    fn check_body(
        &self,
        body: Body,
        author: MemberState,
        due: bool,
    ) -> Result<Change, VaultLogError> {
        if self.log.kind == VaultKind::Account
            && !matches!(body, Body::Refresh { .. } | Body::Rotate { .. })
        {
            return Err(VaultLogError::NotInAccountVault);
        }
        let needed = match &body {
            Body::Add { .. } | Body::ChangeRole { .. } | Body::Remove { .. } => Role::Manager,
            Body::Moved { .. } => Role::Manager,
            Body::Rotate { .. } => Role::Writer,
            _ => Role::Reader,
        };
        if author.role < needed {
            return Err(VaultLogError::NotAllowed);
        }
        match body {
            // It names no log, and so has no place in this one.
            Body::Genesis { .. } => Err(VaultLogError::GenesisAgain),
            Body::Add { role, member_box } => self.check_add(role, member_box, due),
            Body::Accept => Ok(self.becomes(Some(accepted(author.role)), due)),
            Body::ChangeRole { member, role } => self.check_change_role(&member, role, due),
            Body::Remove { member } => self.check_remove(&member),
            Body::Leave => {
                self.check_managers_without(&self.author.account)?;
                Ok(self.becomes(None, true))
            }
            Body::Refresh { member } => self.check_refresh(&member, due),
            Body::Rotate { epoch } => self.check_rotate(epoch),
            Body::Moved { home, origin } => self.check_moved(home, origin, due),
        }
    }

    /// A change of the author's own membership.
    fn becomes(&self, state: Option<MemberState>, rotation_due: bool) -> Change {
        Change {
            member: Some((self.author.account, state)),
            rotation_due,
            ..Change::default()
        }
    }

    fn check_add(
        &self,
        role: Role,
        member_box: MemberBox,
        due: bool,
    ) -> Result<Change, VaultLogError> {
        let member = member_box.member;
        if self.log.member(&member.account).is_some() {
            return Err(VaultLogError::AlreadyMember(member.account));
        }
        if self.log.members().count() >= MAX_MEMBERS {
            return Err(VaultLogError::TooManyMembers);
        }
        if due {
            return Err(VaultLogError::RotationDue);
        }
        self.check_position(&member)?;
        check_generation(self.account_logs, &member_box)?;
        let state = MemberState {
            role,
            accepted: false,
        };
        let sealed = into_box_record(member_box, self.device, self.seq);
        Ok(Change {
            positions: vec![member],
            member: Some((member.account, Some(state))),
            new_box: Some((member.account, sealed)),
            ..Change::default()
        })
    }

    fn check_change_role(
        &self,
        member: &MemberAt,
        role: Role,
        due: bool,
    ) -> Result<Change, VaultLogError> {
        let state = self.check_member(member)?;
        if state.role == role {
            return Err(VaultLogError::SameRole);
        }
        // Says nothing of who is no manager: the author is one.
        self.check_managers_without(&member.account)?;
        let state = MemberState { role, ..state };
        Ok(Change {
            positions: vec![*member],
            member: Some((member.account, Some(state))),
            rotation_due: due || self.is_outdated(member)?,
            ..Change::default()
        })
    }

    fn check_remove(&self, member: &MemberAt) -> Result<Change, VaultLogError> {
        self.check_member(member)?;
        self.check_managers_without(&member.account)?;
        Ok(Change {
            positions: vec![*member],
            member: Some((member.account, None)),
            rotation_due: true,
            ..Change::default()
        })
    }

    fn check_refresh(&self, member: &MemberAt, due: bool) -> Result<Change, VaultLogError> {
        self.check_member(member)?;
        if self.log.known_position(&member.account) == Some(member.position) {
            return Err(VaultLogError::NothingNewer);
        }
        Ok(Change {
            positions: vec![*member],
            rotation_due: due || self.is_outdated(member)?,
            ..Change::default()
        })
    }

    fn check_rotate(&self, epoch: Epoch) -> Result<Change, VaultLogError> {
        let expected = self.log.epoch().number + 1;
        if epoch.number != expected {
            let got = epoch.number;
            return Err(VaultLogError::EpochNumber { expected, got });
        }
        let members = self.log.members().map(|(account, _)| account);
        if !epoch.boxes.iter().map(|b| b.member.account).eq(members) {
            return Err(VaultLogError::Boxes);
        }
        for member_box in &epoch.boxes {
            self.check_position(&member_box.member)?;
            check_generation(self.account_logs, member_box)?;
        }
        let mut epochs = self.log.epochs.iter();
        if epochs.any(|earlier| earlier.commitment == epoch.commitment) {
            return Err(VaultLogError::CommitmentReused);
        }
        Ok(Change {
            positions: epoch.boxes.iter().map(|b| b.member).collect(),
            epoch: Some(into_record(epoch, self.device, self.seq)),
            ..Change::default()
        })
    }

    fn check_moved(
        &self,
        home: HosterId,
        origin: Origin,
        due: bool,
    ) -> Result<Change, VaultLogError> {
        let author = account_log_at(self.account_logs, &self.author)?
            .device(&self.device)
            .ok_or(VaultLogError::UnknownDevice(self.device))?;
        // Where a vault has gone nobody can be kept from it any more: whoever
        // has one of a manager's machines does not send it away.
        if !author.is_rooted {
            return Err(match author.public.kind() {
                DeviceKind::Paper => VaultLogError::PaperNotRooted,
                DeviceKind::Machine => VaultLogError::PaperNeeded,
            });
        }
        if home == self.log.home {
            return Err(VaultLogError::SameHome);
        }
        Ok(Change {
            moved: Some((home, origin)),
            rotation_due: due,
            ..Change::default()
        })
    }

    /// The account is a member, named at a place that may be recorded.
    fn check_member(&self, member: &MemberAt) -> Result<MemberState, VaultLogError> {
        let state = self
            .log
            .member(&member.account)
            .ok_or(VaultLogError::NotAMember(member.account))?;
        self.check_position(member)?;
        Ok(state)
    }

    /// The place is in the account's log, not before what is recorded, and the
    /// author's own is one throughout the entry: signed where it is recorded.
    fn check_position(&self, member: &MemberAt) -> Result<&AccountLog, VaultLogError> {
        let account = member.account;
        let log = account_log_at(self.account_logs, member)?;
        let recorded = self.log.known_position(&account);
        if recorded.is_some_and(|recorded| member.position.seq < recorded.seq) {
            return Err(VaultLogError::PositionWentBack { account });
        }
        if account == self.author.account && member.position != self.author.position {
            return Err(VaultLogError::TwoPositions);
        }
        Ok(log)
    }

    /// Whether a member has a newer account key at that place than his box of
    /// the current epoch is sealed to: a device that was removed can open it.
    fn is_outdated(&self, member: &MemberAt) -> Result<bool, VaultLogError> {
        let newest = generation_at(self.account_logs, member)?;
        let sealed_to = self.log.epoch().boxes.get(&member.account);
        Ok(sealed_to.is_none_or(|sealed_to| sealed_to.generation < newest))
    }

    /// Someone else manages the vault and has accepted to.
    fn check_managers_without(&self, account: &AccountId) -> Result<(), VaultLogError> {
        let another = self.log.members().any(|(other, state)| {
            other != *account && state.accepted && state.role == Role::Manager
        });
        if another {
            Ok(())
        } else {
            Err(VaultLogError::LastManager)
        }
    }
}

fn accepted(role: Role) -> MemberState {
    MemberState {
        role,
        accepted: true,
    }
}

fn into_record(epoch: Epoch, sender: DeviceId, seq: u64) -> EpochRecord {
    EpochRecord {
        number: epoch.number,
        commitment: epoch.commitment,
        boxes: epoch
            .boxes
            .into_iter()
            .map(|b| (b.member.account, into_box_record(b, sender, seq)))
            .collect(),
        previous_secret: epoch.previous_secret,
        since_seq: seq,
    }
}

fn into_box_record(member_box: MemberBox, sender: DeviceId, entry_seq: u64) -> EpochBoxRecord {
    EpochBoxRecord {
        position: member_box.member.position,
        generation: member_box.generation,
        sealed: SealedBox {
            sender,
            entry_seq,
            sealed: member_box.sealed,
        },
    }
}
