//! Entries of vault logs.

use prost::Message;
use rand_core::CryptoRng;
use vault_proto::{
    account_log::{AccountLog, AccountLogs},
    entry::{BOX_BYTES, UnsignedEntry, WRAPPED_BYTES},
    head::{Head, head_for_entry},
    ids::{AccountId, DeviceId, HosterId, VaultId},
    origin::Origin,
    sign::SignLabel,
    vault_log::{Role, VaultKind, VaultLog, genesis_entry, member_ref},
    wire::{self, SignedEntry, vault_entry::Body},
};

use super::{AuthorError, noise};
use crate::{
    boxes::{KemKeyError, KemPublicKey, seal_box},
    keys::{
        AccountSecrets, DeviceKeys, VaultKeys,
        vault::{commitment, epoch_box_context, wrap_secret},
    },
    secret::Secret,
};

/// A vault that was just made.
#[derive(Debug)]
pub struct NewVault {
    /// The genesis, to be stored before it is sent.
    pub genesis: SignedEntry,
    /// The log, with the genesis in it.
    pub log: VaultLog,
    /// The vault's keys.
    pub keys: VaultKeys,
}

/// Makes a vault, whose only member and manager is the account.
///
/// # Errors
/// See [`AuthorError`].
pub fn create_vault(
    kind: VaultKind,
    home: HosterId,
    account_log: &AccountLog,
    secrets: &AccountSecrets,
    device: &DeviceKeys,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<NewVault, AuthorError> {
    let salt = Secret::generate(rng);
    let secret = Secret::generate(rng);
    let context = EntryContext {
        sender: device.id(),
        vault: None,
        seq: 1,
    };
    let genesis = wire::VaultGenesis {
        salt: salt.as_bytes().to_vec(),
        kind: kind.to_wire().into(),
        home: home.to_vec(),
        epoch: Some(wire::Epoch {
            number: 1,
            commitment: commitment(&secret).to_vec(),
            boxes: vec![context.seal_secret(&secret, account_log, rng)?],
            previous_secret: Vec::new(),
        }),
    };
    let position = account_log.position();
    let entry = genesis_entry(&account_log.id(), &position, &device.id(), genesis);
    let genesis = sign(&entry, device);
    let log = VaultLog::verify_genesis(&genesis, account_log)?;
    let keys = VaultKeys::open(&log, secrets)?;
    Ok(NewVault { genesis, log, keys })
}

/// Writes entries of a vault log, for one device of a member.
///
/// Every entry it gives would be accepted by the log as it stands; it is yet to
/// be stored, sent and appended.
#[derive(Clone, Copy)]
pub struct VaultAuthor<'a> {
    /// The log up to its newest entry.
    pub log: &'a VaultLog,
    /// The members' logs, each up to its newest entry.
    pub accounts: &'a dyn AccountLogs,
    /// The newest head; `None` while there is none.
    pub head: Option<&'a Head>,
    /// The member.
    pub account: AccountId,
    /// The device that signs.
    pub device: &'a DeviceKeys,
}

impl VaultAuthor<'_> {
    /// Offers membership to an account, which then reads all history.
    ///
    /// # Errors
    /// See [`AuthorError`]: [`AuthorError::VaultKeys`] too where the newest epoch does not
    /// lead back to the first, since he could name no chunk: begin another one before.
    pub fn add_member(
        &self,
        keys: &VaultKeys,
        member: &AccountId,
        role: Role,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SignedEntry, AuthorError> {
        self.check_keys(keys)?;
        keys.check_current()?;
        let log = self.account_log(member)?;
        let sealed = self
            .context()
            .seal_secret(keys.current_secret()?, log, rng)?;
        self.finish(Body::AddMember(wire::AddMember {
            role: role.to_wire().into(),
            r#box: Some(sealed),
        }))
    }

    /// Takes up the membership that the author was offered.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn accept(&self) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::Accept(wire::AcceptMembership {}))
    }

    /// Gives a member another role.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn change_role(&self, member: &AccountId, role: Role) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::ChangeRole(wire::ChangeRole {
            member: Some(self.member_ref(member)?),
            role: role.to_wire().into(),
        }))
    }

    /// Removes a member. A rotation is due then.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn remove_member(&self, member: &AccountId) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::RemoveMember(wire::RemoveMember {
            member: Some(self.member_ref(member)?),
        }))
    }

    /// Ends the author's own membership. A rotation is due then.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn leave(&self) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::Leave(wire::LeaveVault {}))
    }

    /// Records how far a member's account log is known. A rotation is due then
    /// if he has a newer account key.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn refresh(&self, member: &AccountId) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::Refresh(wire::RefreshMember {
            member: Some(self.member_ref(member)?),
        }))
    }

    /// Begins an epoch, whose secret is sealed to the newest key of each member.
    ///
    /// Nothing that another member has written stands in its way: `keys` is `None`
    /// where they are closed to this account ([`VaultKeysError::is_closed`]), and an epoch
    /// that is closed, or leads no further back, is left out; a member whose key nothing
    /// can be sealed to gets noise.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn rotate<'k>(
        &self,
        keys: impl Into<Option<&'k VaultKeys>>,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<SignedEntry, AuthorError> {
        let keys = keys.into();
        if let Some(keys) = keys {
            self.check_keys(keys)?;
        }
        let number = self.log.epoch().number + 1;
        let secret = Secret::generate(rng);
        let mut boxes = Vec::new();
        for (member, _) in self.log.members() {
            let log = self.account_log(&member)?;
            boxes.push(self.context().seal_secret_or_noise(&secret, log, rng));
        }
        let previous_secret = match keys.and_then(VaultKeys::to_wrap) {
            Some(earlier) => wrap_secret(&secret, self.log.salt(), number, earlier, rng),
            None => noise(WRAPPED_BYTES, rng),
        };
        self.finish(Body::Rotate(wire::RotateEpoch {
            epoch: Some(wire::Epoch {
                number,
                commitment: commitment(&secret).to_vec(),
                boxes,
                previous_secret,
            }),
        }))
    }

    /// Closes the vault at its home; it goes on at another hoster.
    ///
    /// # Errors
    /// See [`AuthorError`].
    pub fn moved(&self, home: HosterId, origin: &Origin) -> Result<SignedEntry, AuthorError> {
        self.finish(Body::Moved(wire::VaultMoved {
            home: home.to_vec(),
            origin: origin.as_str().to_owned(),
        }))
    }

    fn finish(&self, body: Body) -> Result<SignedEntry, AuthorError> {
        let position = self.account_log(&self.account)?.position();
        let device = self.device.id();
        let head = head_for_entry(self.log, self.head);
        let entry = self
            .log
            .next_entry(&self.account, &position, &device, head, body);
        let entry = sign(&entry, self.device);
        self.log.clone().append(&entry, self.accounts)?;
        Ok(entry)
    }

    fn context(&self) -> EntryContext {
        EntryContext {
            sender: self.device.id(),
            vault: Some(self.log.id()),
            seq: self.log.position().seq + 1,
        }
    }

    fn account_log(&self, account: &AccountId) -> Result<&AccountLog, AuthorError> {
        self.accounts
            .account_log(account)
            .ok_or(AuthorError::AccountLogMissing(*account))
    }

    fn member_ref(&self, account: &AccountId) -> Result<wire::MemberRef, AuthorError> {
        Ok(member_ref(account, &self.account_log(account)?.position()))
    }

    fn check_keys(&self, keys: &VaultKeys) -> Result<(), AuthorError> {
        let newest = self.log.epoch().number;
        if keys.vault_id() == self.log.id() && keys.current_epoch() == newest {
            Ok(())
        } else {
            Err(AuthorError::StaleKeys)
        }
    }
}

/// Where an entry stands, for the boxes in it.
#[derive(Clone, Copy)]
struct EntryContext {
    sender: DeviceId,
    vault: Option<VaultId>,
    seq: u64,
}

impl EntryContext {
    fn seal_secret(
        self,
        secret: &Secret,
        member: &AccountLog,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<wire::EpochBox, KemKeyError> {
        let key = &member.account_key().kem_key;
        let recipient = KemPublicKey::from_slice(key.as_bytes())?;
        let context = epoch_box_context(self.sender, self.vault, self.seq);
        Ok(epoch_box(
            member,
            seal_box(&recipient, &context, secret, rng),
        ))
    }

    fn seal_secret_or_noise(
        self,
        secret: &Secret,
        member: &AccountLog,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> wire::EpochBox {
        self.seal_secret(secret, member, rng)
            .unwrap_or_else(|_| epoch_box(member, noise(BOX_BYTES, rng)))
    }
}

fn epoch_box(member: &AccountLog, sealed: Vec<u8>) -> wire::EpochBox {
    wire::EpochBox {
        member: Some(member_ref(&member.id(), &member.position())),
        generation: member.account_key().generation,
        r#box: sealed,
    }
}

fn sign(entry: &wire::VaultEntry, device: &DeviceKeys) -> SignedEntry {
    let signature = device.sign(SignLabel::VaultEntry, &entry.encode_to_vec());
    UnsignedEntry::vault(entry).with_signatures([(device.id(), signature)])
}
