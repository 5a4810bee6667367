//! Members whose devices sign what a fuzzer writes: else no entry of a log would
//! come past its signatures. Always the same, so that saved inputs stay good.

use std::{collections::BTreeMap, sync::LazyLock};

use rand::rngs::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use vault_core::{
    author::{HeadAuthor, HeadChange, NamedDevice, VaultAuthor, create_account, create_vault},
    keys::{AccountSecrets, DeviceKeys, RecoveryPhrase, VaultKeys},
    labels,
    offer::{Offer, SEALED_OFFER_LEN, SealedOffer},
};
use vault_proto::{
    account_log::AccountLog,
    address::Address,
    entry::BOX_BYTES,
    head::{SIGNED_HEAD_BYTES, SeenHeads},
    ids::{AccountId, HosterId},
    invitation::TlsTrust,
    origin::Origin,
    pack_list::PackList,
    position::LogPosition,
    vault_log::{Role, VaultKind, VaultLog},
    wire,
};

use crate::sealed;

/// Where everybody has an account.
pub const HOME: HosterId = HosterId::from_array([0x40; 32]);

/// Two members.
pub static CAST: LazyLock<Cast> = LazyLock::new(|| {
    let members = [1, 2].map(Member::new);
    let logs = members
        .iter()
        .map(|member| (member.log.id(), member.log.clone()));
    Cast {
        logs: logs.collect(),
        members,
    }
});

/// See [`CAST`].
pub struct Cast {
    /// Everybody.
    pub members: [Member; 2],
    /// Their logs.
    pub logs: BTreeMap<AccountId, AccountLog>,
}

/// A member with a laptop, and a phone that is in no log.
pub struct Member {
    /// The only device.
    pub laptop: DeviceKeys,
    /// May be added.
    pub phone: DeviceKeys,
    /// In no log either; a log of the fuzzer's own may begin with it.
    pub paper: DeviceKeys,
    /// The account's log, of one entry.
    pub log: AccountLog,
    /// Opened by the laptop.
    pub secrets: AccountSecrets,
}

impl Cast {
    /// The keys of the device with this id.
    #[must_use]
    pub fn device(&self, id: &[u8]) -> Option<&DeviceKeys> {
        let members = self.members.iter();
        let devices = members.flat_map(|m| [&m.laptop, &m.phone, &m.paper]);
        devices.into_iter().find(|keys| keys.id().as_bytes() == id)
    }
}

impl Member {
    fn new(seed: u64) -> Self {
        // The paper has a randomness of its own: inputs that were saved before it
        // came stay good.
        let paper = RecoveryPhrase::generate(&mut rng(seed + 100)).device_keys();
        let mut rng = rng(seed);
        let laptop = DeviceKeys::generate(&mut rng);
        let phone = DeviceKeys::generate(&mut rng);
        let author = NamedDevice {
            keys: &laptop,
            name: "laptop",
        };
        let account = create_account(HOME, author, &[], &mut rng).expect("a short name");
        let secrets = AccountSecrets::open(&account.log, &laptop).expect("his own");
        Self {
            laptop,
            phone,
            paper,
            log: account.log,
            secrets,
        }
    }
}

/// Randomness that repeats.
#[must_use]
pub fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

/// A vault of the two, in its second epoch.
pub static VAULT: LazyLock<CastVault> = LazyLock::new(CastVault::new);

/// See [`VAULT`].
pub struct CastVault {
    /// Of three entries.
    pub log: VaultLog,
    /// Three of them, the newest first.
    pub heads: Vec<[u8; SIGNED_HEAD_BYTES]>,
}

/// The root of each of [`VAULT`]'s heads.
#[must_use]
pub fn root() -> wire::Root {
    wire::Root {
        minimum_reader: 1,
        minimum_writer: 1,
        committed: Some(wire::Timestamp::default()),
        ..wire::Root::default()
    }
}

impl CastVault {
    fn new() -> Self {
        let [owner, other] = &CAST.members;
        let mut rng = rng(7);
        let made = create_vault(
            VaultKind::Storage,
            HOME,
            &owner.log,
            &owner.secrets,
            &owner.laptop,
            &mut rng,
        )
        .expect("his own vault");
        let mut log = made.log;
        let append = |log: &mut VaultLog, write: &mut dyn FnMut(&VaultAuthor<'_>) -> _| {
            let author = VaultAuthor {
                log: &log.clone(),
                accounts: &CAST.logs,
                head: None,
                account: owner.log.id(),
                device: &owner.laptop,
            };
            let entry: wire::SignedEntry = write(&author);
            log.append(&entry, &CAST.logs).expect("a manager's entry");
        };
        append(&mut log, &mut |author| {
            author
                .add_member(&made.keys, &other.log.id(), Role::Writer, &mut rng)
                .expect("nobody yet")
        });
        append(&mut log, &mut |author| {
            author.rotate(&made.keys, &mut rng).expect("any time")
        });
        let keys = VaultKeys::open(&log, &owner.secrets).expect("his own");
        let heads = heads(&log, &keys, owner, &mut rng);
        Self { log, heads }
    }
}

fn heads(
    log: &VaultLog,
    keys: &VaultKeys,
    owner: &Member,
    rng: &mut ChaCha20Rng,
) -> Vec<[u8; SIGNED_HEAD_BYTES]> {
    let mut seen = SeenHeads::none();
    let mut heads = Vec::new();
    let (root, nothing) = (root(), PackList::default());
    for _ in 0..3 {
        let author = HeadAuthor {
            vault_log: log,
            accounts: &CAST.logs,
            seen: &seen,
            keys,
            account: owner.log.id(),
            device: &owner.laptop,
        };
        let change = HeadChange {
            root: &root,
            adds: &nothing,
            removes: &nothing,
            reconciled: None,
        };
        let commit = author.commit(change, rng).expect("a writer");
        heads.insert(0, commit.head.to_bytes());
        seen = commit.head.seen().clone();
    }
    heads
}

/// The offer of [`VAULT`] to its second member.
pub static OFFER: LazyLock<CastOffer> = LazyLock::new(CastOffer::new);

/// See [`OFFER`].
pub struct CastOffer {
    /// As it is sealed: version, recipient, generation and box, without what is sealed
    /// under the key in the box.
    pub header_and_box: Vec<u8>,
    /// The key in the box.
    pub key: [u8; 32],
    /// What is sealed under it, but for the padding.
    pub signed: Vec<u8>,
}

impl CastOffer {
    fn new() -> Self {
        let ([sender, recipient], vault) = (&CAST.members, &VAULT.log);
        let origin = Origin::parse("coffre.example:443").expect("an origin");
        let entry = vault.hash_at(2).expect("three entries");
        let offer = Offer {
            vault: vault.id(),
            hoster: HOME,
            origin: origin.clone(),
            tls: TlsTrust::Public,
            vault_name: "documents".to_owned(),
            role: Role::Writer,
            sender: Address::new("alice", origin, sender.log.id()).expect("a name"),
            sender_device: sender.laptop.id(),
            sender_position: sender.log.position(),
            recipient: recipient.log.id(),
            entry: LogPosition {
                seq: 2,
                hash: entry,
            },
            head: None,
            created: 1_800_000_000,
        };
        let sealed = offer.seal(&recipient.log, &sender.laptop, &mut rng(20));
        let sealed = sealed.expect("every field is as it should be");
        // The first that sealing draws: else it does not open.
        let mut key = [0; 32];
        rng(20).fill_bytes(&mut key);
        let (header_and_box, rest) = sealed.as_bytes().split_at(HEADER_LEN + BOX_BYTES);
        let padded = sealed::open(&key, &offer_place(header_and_box), rest);
        let (length, rest) = padded.split_first_chunk().expect("a length");
        let signed = &rest[..u32::from_le_bytes(*length) as usize];
        Self {
            header_and_box: header_and_box.to_vec(),
            key,
            signed: signed.to_vec(),
        }
    }

    /// The offer as its sender could have sealed it with something else in it; `None` where
    /// that does not fit.
    #[must_use]
    pub fn with(&self, signed: &[u8]) -> Option<SealedOffer> {
        let room = SEALED_OFFER_LEN - self.header_and_box.len() - 40;
        let mut padded = u32::try_from(signed.len()).ok()?.to_le_bytes().to_vec();
        padded.extend_from_slice(signed);
        if padded.len() > room {
            return None;
        }
        padded.resize(room, 0);
        let place = offer_place(&self.header_and_box);
        let sealed = sealed::seal(&self.key, &place, &padded);
        SealedOffer::from_slice(&[&self.header_and_box, &sealed[..]].concat()).ok()
    }
}

/// Bytes of a sealed offer before its box.
const HEADER_LEN: usize = 1 + 32 + 8;

fn offer_place(header_and_box: &[u8]) -> Vec<u8> {
    [labels::OFFER.as_bytes(), &header_and_box[..HEADER_LEN]].concat()
}
