//! Vault logs.

use std::collections::BTreeMap;

use crate::account_log::AccountLog;
use crate::entry::UnsignedEntry;
use crate::ids::AccountId;
use crate::position::{HeadPosition, LogPosition};
use crate::testing::{TestAccount, TestDevice, a_box, a_wrapped_secret, filler, hoster, signed_by};
use crate::vault_log::{Role, VaultKind, VaultLog, genesis_entry, member_ref};
use crate::wire::{self, SignedEntry, vault_entry::Body};

pub(crate) type Logs = BTreeMap<AccountId, AccountLog>;

/// A vault's log with the accounts around it.
#[derive(Clone)]
pub(crate) struct TestVault {
    pub(crate) log: VaultLog,
    /// What [`TestVault::draft`] names as the newest head.
    pub(crate) head: Option<HeadPosition>,
}

impl TestVault {
    pub(crate) fn new(kind: VaultKind, creator: &TestAccount) -> Self {
        let entry = Self::genesis(kind, creator);
        let entry = signed_vault(&entry, &creator.machine);
        let log = VaultLog::verify_genesis(&entry, &creator.log).unwrap();
        Self { log, head: None }
    }

    pub(crate) fn genesis(kind: VaultKind, creator: &TestAccount) -> wire::VaultEntry {
        let genesis = wire::VaultGenesis {
            salt: filler(&format!("{} vault salt", creator.name), 32),
            kind: kind.to_wire().into(),
            home: hoster("home").to_vec(),
            epoch: Some(Self::epoch(1, &[creator])),
        };
        let device = creator.machine.id();
        genesis_entry(&creator.id(), &creator.position(), &device, genesis)
    }

    /// An epoch for these members, in the order of their ids.
    pub(crate) fn epoch(number: u64, members: &[&TestAccount]) -> wire::Epoch {
        let mut members = members.to_vec();
        members.sort_by_key(|member| member.id());
        let seed = format!("epoch {number}");
        wire::Epoch {
            number,
            commitment: filler(&seed, 32),
            boxes: members.into_iter().map(Self::epoch_box).collect(),
            previous_secret: match number {
                1 => Vec::new(),
                _ => a_wrapped_secret(&seed),
            },
        }
    }

    /// A box at the newest place of the member's log.
    pub(crate) fn epoch_box(member: &TestAccount) -> wire::EpochBox {
        wire::EpochBox {
            member: Some(Self::refer(member)),
            generation: member.log.account_key().generation,
            r#box: a_box(&format!("epoch secret for {}", member.name)),
        }
    }

    pub(crate) fn refer(member: &TestAccount) -> wire::MemberRef {
        member_ref(&member.id(), &member.position())
    }

    pub(crate) fn add(member: &TestAccount, role: Role) -> Body {
        Body::AddMember(wire::AddMember {
            role: role.to_wire().into(),
            r#box: Some(Self::epoch_box(member)),
        })
    }

    pub(crate) fn accept() -> Body {
        Body::Accept(wire::AcceptMembership {})
    }

    pub(crate) fn leave() -> Body {
        Body::Leave(wire::LeaveVault {})
    }

    pub(crate) fn change(member: &TestAccount, role: Role) -> Body {
        Body::ChangeRole(wire::ChangeRole {
            member: Some(Self::refer(member)),
            role: role.to_wire().into(),
        })
    }

    pub(crate) fn remove(member: &TestAccount) -> Body {
        Body::RemoveMember(wire::RemoveMember {
            member: Some(Self::refer(member)),
        })
    }

    pub(crate) fn refresh(member: &TestAccount) -> Body {
        Body::Refresh(wire::RefreshMember {
            member: Some(Self::refer(member)),
        })
    }

    /// The next epoch, for these members.
    pub(crate) fn rotate(&self, members: &[&TestAccount]) -> Body {
        Body::Rotate(wire::RotateEpoch {
            epoch: Some(Self::epoch(self.log.epoch().number + 1, members)),
        })
    }

    pub(crate) fn moved() -> Body {
        Body::Moved(wire::VaultMoved {
            home: hoster("elsewhere").to_vec(),
            origin: "elsewhere.example:443".to_owned(),
        })
    }

    /// The next entry, by the author's machine at the newest place of his log.
    pub(crate) fn draft(&self, author: &TestAccount, body: Body) -> wire::VaultEntry {
        self.draft_at(author, &author.position(), body)
    }

    pub(crate) fn draft_at(
        &self,
        author: &TestAccount,
        position: &LogPosition,
        body: Body,
    ) -> wire::VaultEntry {
        let device = author.machine.id();
        self.log
            .next_entry(&author.id(), position, &device, self.head, body)
    }

    /// The next entry, by another of the author's devices.
    pub(crate) fn draft_by(
        &self,
        author: &TestAccount,
        device: &TestDevice,
        body: Body,
    ) -> wire::VaultEntry {
        let (position, device) = (author.position(), device.id());
        self.log
            .next_entry(&author.id(), &position, &device, self.head, body)
    }

    /// Appends an entry by the author's paper.
    pub(crate) fn append_by_paper(&mut self, author: &TestAccount, body: Body, logs: &Logs) {
        let entry = self.draft_by(author, &author.paper, body);
        let entry = signed_vault(&entry, &author.paper);
        self.log.append(&entry, logs).unwrap();
    }

    /// Appends an entry by the author's machine.
    pub(crate) fn append(&mut self, author: &TestAccount, body: Body, logs: &Logs) {
        let entry = signed_vault(&self.draft(author, body), &author.machine);
        self.log.append(&entry, logs).unwrap();
    }

    /// Adds a member, who accepts.
    pub(crate) fn join(
        &mut self,
        manager: &TestAccount,
        member: &TestAccount,
        role: Role,
        logs: &Logs,
    ) {
        self.append(manager, Self::add(member, role), logs);
        self.append(member, Self::accept(), logs);
    }
}

/// The logs of these accounts.
pub(crate) fn logs_of(accounts: &[&TestAccount]) -> Logs {
    accounts
        .iter()
        .map(|account| (account.id(), account.log.clone()))
        .collect()
}

/// The entry, signed by this device.
pub(crate) fn signed_vault(entry: &wire::VaultEntry, signer: &TestDevice) -> SignedEntry {
    signed_by(UnsignedEntry::vault(entry), &[signer])
}
