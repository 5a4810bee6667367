//! A vault entry, decoded: every field there and of its length, and no rule of
//! the log checked yet.

use super::{Role, VaultKind, VaultLogError};
use crate::canonical::decode_canonical;
use crate::entry::{
    BOX_BYTES, ENTRY_VERSION, FieldError, MAX_ENTRY_BYTES, WRAPPED_BYTES, array, exactly, present,
    vault_entry_hash,
};
use crate::ids::{AccountId, DeviceId, EntryHash, HosterId, VaultId};
use crate::origin::Origin;
use crate::position::{HeadPosition, LogPosition};
use crate::wire::{self, vault_entry::Body as WireBody};

pub(super) struct Payload {
    pub(super) hash: EntryHash,
    /// `None` exactly in a genesis.
    pub(super) vault: Option<VaultId>,
    pub(super) seq: u64,
    /// `None` exactly in a genesis.
    pub(super) previous: Option<EntryHash>,
    pub(super) author: MemberAt,
    pub(super) device: DeviceId,
    pub(super) head: Option<HeadPosition>,
    pub(super) body: Body,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct MemberAt {
    pub(super) account: AccountId,
    pub(super) position: LogPosition,
}

pub(super) enum Body {
    Genesis {
        kind: VaultKind,
        salt: [u8; 32],
        home: HosterId,
        epoch: Epoch,
    },
    Add {
        role: Role,
        member_box: MemberBox,
    },
    Accept,
    ChangeRole {
        member: MemberAt,
        role: Role,
    },
    Remove {
        member: MemberAt,
    },
    Leave,
    Refresh {
        member: MemberAt,
    },
    Rotate {
        epoch: Epoch,
    },
    Moved {
        home: HosterId,
        origin: Origin,
    },
}

pub(super) struct Epoch {
    pub(super) number: u64,
    pub(super) commitment: [u8; 32],
    pub(super) boxes: Vec<MemberBox>,
    /// `None` exactly in the first.
    pub(super) previous_secret: Option<Vec<u8>>,
}

pub(super) struct MemberBox {
    pub(super) member: MemberAt,
    pub(super) generation: u64,
    pub(super) sealed: Vec<u8>,
}

impl Payload {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, VaultLogError> {
        let entry: wire::VaultEntry = decode_canonical(bytes, MAX_ENTRY_BYTES)?;
        if entry.version != ENTRY_VERSION {
            return Err(VaultLogError::Version(entry.version));
        }
        let body = present(entry.body, "body")?;
        let (vault, previous) = if matches!(body, WireBody::Genesis(_)) {
            array::<0>(&entry.vault, "vault")?;
            array::<0>(&entry.previous, "previous")?;
            if entry.head.is_some() {
                return Err(FieldError::new("head").into());
            }
            (None, None)
        } else {
            (
                Some(VaultId::from_array(array(&entry.vault, "vault")?)),
                Some(EntryHash::from_array(array(&entry.previous, "previous")?)),
            )
        };
        let head = entry
            .head
            .map(|head| HeadPosition::from_wire(&head, "head"))
            .transpose()?;
        Ok(Self {
            hash: vault_entry_hash(bytes),
            vault,
            seq: entry.seq,
            previous,
            author: MemberAt::from_wire(entry.author, "author")?,
            device: DeviceId::from_array(array(&entry.device, "device")?),
            head,
            body: Body::from_wire(body)?,
        })
    }
}

impl Body {
    fn from_wire(body: WireBody) -> Result<Self, VaultLogError> {
        Ok(match body {
            WireBody::Genesis(genesis) => Self::Genesis {
                kind: VaultKind::from_wire(genesis.kind()).ok_or(FieldError::new("kind"))?,
                salt: array(&genesis.salt, "salt")?,
                home: HosterId::from_array(array(&genesis.home, "home")?),
                epoch: Epoch::from_wire(genesis.epoch)?,
            },
            WireBody::AddMember(add) => Self::Add {
                role: Role::from_wire(add.role()).ok_or(FieldError::new("role"))?,
                member_box: MemberBox::from_wire(present(add.r#box, "box")?)?,
            },
            WireBody::Accept(wire::AcceptMembership {}) => Self::Accept,
            WireBody::ChangeRole(change) => Self::ChangeRole {
                role: Role::from_wire(change.role()).ok_or(FieldError::new("role"))?,
                member: MemberAt::from_wire(change.member, "member")?,
            },
            WireBody::RemoveMember(remove) => Self::Remove {
                member: MemberAt::from_wire(remove.member, "member")?,
            },
            WireBody::Leave(wire::LeaveVault {}) => Self::Leave,
            WireBody::Refresh(refresh) => Self::Refresh {
                member: MemberAt::from_wire(refresh.member, "member")?,
            },
            WireBody::Rotate(rotate) => Self::Rotate {
                epoch: Epoch::from_wire(rotate.epoch)?,
            },
            WireBody::Moved(moved) => Self::Moved {
                home: HosterId::from_array(array(&moved.home, "home")?),
                origin: Origin::parse_exact(&moved.origin)?,
            },
        })
    }
}

impl MemberAt {
    fn from_wire(member: Option<wire::MemberRef>, field: &'static str) -> Result<Self, FieldError> {
        let member = present(member, field)?;
        let position = present(member.position, field)?;
        Ok(Self {
            account: AccountId::from_array(array(&member.account, field)?),
            position: LogPosition::from_wire(&position, field)?,
        })
    }
}

impl MemberBox {
    fn from_wire(member_box: wire::EpochBox) -> Result<Self, FieldError> {
        Ok(Self {
            member: MemberAt::from_wire(member_box.member, "box member")?,
            generation: member_box.generation,
            sealed: exactly(member_box.r#box, BOX_BYTES, "box")?,
        })
    }
}

impl Epoch {
    fn from_wire(epoch: Option<wire::Epoch>) -> Result<Self, FieldError> {
        let epoch = present(epoch, "epoch")?;
        let previous_secret = if epoch.number == 1 {
            array::<0>(&epoch.previous_secret, "previous_secret")?;
            None
        } else {
            let wrapped = exactly(epoch.previous_secret, WRAPPED_BYTES, "previous_secret")?;
            Some(wrapped)
        };
        Ok(Self {
            number: epoch.number,
            commitment: array(&epoch.commitment, "commitment")?,
            boxes: epoch
                .boxes
                .into_iter()
                .map(MemberBox::from_wire)
                .collect::<Result<_, _>>()?,
            previous_secret,
        })
    }
}
