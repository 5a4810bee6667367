//! Members whose devices sign what a fuzzer writes: else no entry of a log would
//! come past its signatures. Always the same, so that saved inputs stay good.

use std::{collections::BTreeMap, sync::LazyLock};

use rand::rngs::ChaCha20Rng;
use rand_core::SeedableRng;
use vault_core::{
    author::{NamedDevice, create_account},
    keys::{AccountSecrets, DeviceKeys, RecoveryPhrase},
};
use vault_proto::{
    account_log::AccountLog,
    ids::{AccountId, HosterId},
};

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
