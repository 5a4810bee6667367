//! Names, contents and secrets of two members who do all that members do, in all that
//! reached the hoster: requests with their headers, packs, every file that its server
//! wrote, and all that its threads said. In files and log, also what a hoster has to be
//! told and need not write down: tokens, invitations, and from where members call.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::{Arc, Mutex};
use std::thread;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use prost::Message;
use tempfile::TempDir;
use vault_client::account::pairing::{NewDevice, PairingCode};
use vault_client::account::{Account, OfferSelector, Setup};
use vault_client::link::{GetOptions, LinkOptions, LinkUrl, Password, create, get, list};
use vault_client::platform::{Randomness, SystemRandomness};
use vault_client::progress::Cancellation;
use vault_client::remote::{Credentials, HosterAddress};
use vault_client::state::KeySlot;
use vault_client::vault::Vault;
use vault_core::chunk::ChunkKind;
use vault_core::keys::{DeviceKeys, PhraseLanguage, RecoveryPhrase};
use vault_core::labels;
use vault_core::pack::read_pack_entries;
use vault_core::pairing::PairingStep;
use vault_proto::ids::VaultId;
use vault_proto::vault_log::Role;
use vault_proto::wire;
use vault_server::Tls;

use super::fragment::{Log, Pieces};
use super::front::Seen;
use super::leakage::collect;
use super::scene::Hostile;
use crate::engine::{Files, assert_restores, assert_whole, backed_up, newest, noise, silent};
use crate::support::Other;
use crate::support::hoster::Hoster;

/// In every name, and in no other.
const CANARY: &[u8] = b"canary";

/// Where all call from, as the reverse proxy says.
const ADDRESS: &str = "203.0.113.77";

/// Randomness, and all that it gave.
#[derive(Default)]
struct Drawn(Mutex<Vec<Vec<u8>>>);

impl Randomness for Drawn {
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandomness.fill(bytes);
        self.0.lock().unwrap().push(bytes.to_vec());
    }
}

impl Drawn {
    /// The one of all secrets that this is true of.
    fn secret(&self, is_it: impl Fn(&[u8; 32]) -> bool) -> Option<[u8; 32]> {
        let drawn = self.0.lock().unwrap();
        let secrets = drawn.iter().filter_map(|bytes| bytes[..].try_into().ok());
        secrets.into_iter().find(|secret| is_it(secret))
    }
}

/// A member whose every random byte is kept.
struct Member {
    home: TempDir,
    setup: Setup,
    drawn: Arc<Drawn>,
    address: HosterAddress,
    /// Of the invitation.
    invited_with: [u8; 32],
    account: Account,
    phrase: RecoveryPhrase,
}

impl Member {
    fn new(hostile: &Hostile, name: &str, device: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let drawn = Arc::new(Drawn::default());
        let mut setup = hostile.setup(home.path());
        setup.randomness = drawn.clone();
        let invitation = hostile.hoster.invite(1 << 30);
        let (account, phrase) = Account::sign_up(&setup, &invitation, device).unwrap();
        account.set_name(name).unwrap();
        let address = HosterAddress {
            origin: invitation.origin,
            hoster: invitation.hoster,
            tls: invitation.tls,
        };
        Self {
            home,
            setup,
            drawn,
            address,
            invited_with: *invitation.secret.as_bytes(),
            account,
            phrase,
        }
    }

    fn device_keys(setup: &Setup) -> DeviceKeys {
        let secret = setup.keys.load(KeySlot::Device).unwrap().unwrap();
        DeviceKeys::from_secret_bytes(&secret).unwrap()
    }

    /// The paper, which can look at everything.
    fn paper(&self) -> Other {
        let keys = self.phrase.device_keys();
        let credentials = Credentials {
            account: self.account.id(),
            device: Arc::new(self.phrase.device_keys()),
        };
        Other {
            account: self.account.id(),
            keys,
            remote: self
                .setup
                .connect
                .connect(self.address.clone(), credentials),
        }
    }

    /// A device that is brought in, and taken out again.
    fn pair_and_remove(&self, hostile: &Hostile, device: &str, secrets: &mut Secrets) {
        let home = tempfile::tempdir().unwrap();
        let setup = hostile.setup(home.path());
        let go_on = Cancellation::new();
        let mut new = NewDevice::begin(&setup, &self.address.origin, device).unwrap();
        secrets.add_pairing(&new.code());
        let code = PairingCode::parse(&new.code()).unwrap();
        let english = PhraseLanguage::English;
        let old = self.account.pair(&code, english, &go_on).unwrap();
        assert_eq!(new.await_words(&go_on).unwrap(), old.words());
        let id = thread::scope(|scope| {
            let new = scope.spawn(|| new.finish(&Cancellation::new()).unwrap().device());
            old.confirm(&go_on).unwrap();
            new.join().unwrap()
        });
        secrets.add_device(&Self::device_keys(&setup));
        self.account.remove_device(&id).unwrap();
    }
}

/// What nobody but members may ever see.
#[derive(Default)]
struct Secrets {
    pieces: Pieces,
    count: usize,
}

impl Secrets {
    fn add(&mut self, secret: &[u8]) {
        self.pieces.add_secret(secret);
        self.count += 1;
    }

    fn add_device(&mut self, keys: &DeviceKeys) {
        let secret = keys.to_secret_bytes();
        self.add(&secret[1..33]);
        self.add(&secret[33..]);
    }

    /// All 24, in each language that they are written down in.
    fn add_words(&mut self, phrase: &RecoveryPhrase) {
        for language in [PhraseLanguage::English, PhraseLanguage::French] {
            self.pieces.add(phrase.words(language).as_bytes());
            self.count += 1;
        }
    }

    fn add_pairing(&mut self, code: &str) {
        let encoded = code.strip_prefix("coffre-pair:").unwrap();
        let message = BASE64URL_NOPAD.decode(encoded.as_bytes()).unwrap();
        let secret = wire::PairingCode::decode(&message[..]).unwrap().secret;
        self.add(&secret);
        for step in PairingStep::ALL {
            self.add(&blake3::derive_key(labels::pairing_key(step), &secret));
        }
    }

    /// The seeds of an account's key, by generation, and what is derived from them.
    fn add_account(&mut self, member: &Member) -> usize {
        let log = member.paper().own_log();
        for record in log.account_keys() {
            let is_it = |seed: &[u8; 32]| {
                let keys = DeviceKeys::from_secret_bytes(&[&[1][..], &[1; 32], seed].concat());
                keys.unwrap().kem_key().as_bytes() == record.kem_key.as_bytes()
            };
            let seed = member.drawn.secret(is_it).unwrap();
            self.add(&seed);
            for label in [labels::DEVICE_NAME_KEY, labels::ACCOUNT_WRAP_KEY] {
                self.add(&blake3::derive_key(label, &seed));
            }
        }
        log.account_keys().len()
    }

    /// The secrets of a vault's epochs, likewise; who began each is one of these.
    fn add_vault(&mut self, members: &[&Member], vault: VaultId) -> usize {
        let log = members[0].paper().look(vault).log;
        let kinds = ChunkKind::ALL.map(labels::chunk_id_key);
        let others = [
            labels::EPOCH_WRAP_KEY,
            labels::CHUNK_SEALING_KEY,
            labels::PACK_FOOTER_KEY,
            labels::ROOT_SEALING_KEY,
            labels::FILE_DATA_CHUNKER_HASH_KEY,
            labels::FILE_DATA_CHUNKER_CIPHER_KEY,
            labels::METADATA_CHUNKER_HASH_KEY,
            labels::METADATA_CHUNKER_CIPHER_KEY,
        ];
        for epoch in log.epochs() {
            let is_it = |secret: &[u8; 32]| {
                blake3::derive_key(labels::EPOCH_COMMITMENT, secret) == epoch.commitment
            };
            let mut drawn = members.iter().map(|member| &member.drawn);
            let secret = drawn.find_map(|drawn| drawn.secret(is_it)).unwrap();
            self.add(&secret);
            for label in kinds.iter().chain(&others) {
                self.add(&blake3::derive_key(label, &secret));
            }
        }
        log.epochs().len()
    }

    /// The ids of a vault's chunks.
    fn add_chunks(&mut self, hostile: &Hostile, vault: &Vault) -> usize {
        let keys = vault.keys().unwrap();
        let before = self.count;
        for (id, bytes) in hostile.front.packs() {
            let opened = (1..=keys.current_epoch())
                .find_map(|epoch| read_pack_entries(&keys, epoch, &id, &bytes).ok());
            for entry in opened.into_iter().flatten() {
                self.add(entry.id.as_bytes());
            }
        }
        self.count - before
    }

    fn assert_not_in(&self, place: &str, bytes: &[u8]) {
        assert!(!self.pieces.are_in(bytes), "a secret in {place}");
        assert!(!names_in(bytes), "a name in {place}");
    }
}

fn names_in(bytes: &[u8]) -> bool {
    let mut windows = bytes.windows(CANARY.len());
    windows.any(|window| window.eq_ignore_ascii_case(CANARY))
}

fn address_in(bytes: &[u8]) -> bool {
    let mut windows = bytes.windows(ADDRESS.len());
    windows.any(|window| window == ADDRESS.as_bytes())
}

/// What the hoster has to be told, and no file and no log of its may say: tokens, and
/// the secrets of invitations.
fn told(hostile: &Hostile, members: &[&Member]) -> Pieces {
    let mut pieces = Pieces::default();
    for member in members {
        pieces.add_secret(&member.invited_with);
    }
    let seen = hostile.front.seen();
    for headers in seen.iter().map(|seen| &seen.headers) {
        let text = String::from_utf8_lossy(headers);
        let mut lines = text.lines();
        let token = lines.find_map(|line| line.strip_prefix("authorization: Bearer "));
        if let Some(token) = token {
            pieces.add_secret(&HEXLOWER.decode(token.as_bytes()).unwrap());
        }
    }
    let are_in_any =
        |part: fn(&Seen) -> &Vec<u8>| seen.iter().any(|seen| pieces.are_in(part(seen)));
    assert!(are_in_any(|seen| &seen.asked), "no invitation was used");
    assert!(are_in_any(|seen| &seen.headers), "nobody has logged in");
    pieces
}

/// A link to the member's files, which somebody follows and a member lists.
fn life_of_a_link(hostile: &Hostile, vault: &mut Vault, files: &Files) -> LinkUrl {
    let address = HosterAddress {
        origin: hostile.hoster.origin(),
        hoster: hostile.hoster.key().public().signing_key().hoster_id(),
        tls: vault_proto::invitation::TlsTrust::Proxy,
    };
    let snapshot = newest(vault).unwrap();
    let password = Password::new("canary, the password of a link".to_owned());
    let options = LinkOptions {
        password: Some(password.clone()),
        label: "canary: a label".to_owned(),
        ..LinkOptions::default()
    };
    let path = files.path().join("canary-directory");
    let path = path.as_os_str().as_bytes();
    let go_on = Cancellation::new();
    let made = create(
        vault,
        &address,
        &snapshot,
        path,
        &options,
        &silent(),
        &go_on,
    );
    let url = made.unwrap().url;
    let (nowhere, saved) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let setup = hostile.setup(nowhere.path());
    let options = GetOptions::default();
    let connect = &*setup.connect;
    let got = get(
        connect,
        &url,
        Some(&password),
        saved.path(),
        &options,
        &silent(),
        &go_on,
    );
    assert_eq!(got.unwrap().files, 1);
    assert_eq!(list(vault, &address).unwrap().links.len(), 1);
    url
}

#[test]
fn nothing_that_reached_the_hoster_holds_a_canary() {
    let log = Log::default();
    let hostile = Hostile::before(Hoster::start_on(log.runtime(), Tls::BehindProxy));
    hostile.front.say_who_calls(ADDRESS);
    let alice = Member::new(&hostile, "canary-alice", "canary's laptop");
    let bob = Member::new(&hostile, "canary-bob", "canary's tablet");
    let files = Files::new(&[
        (
            "canary-directory/canary-file",
            b"canary-content ".repeat(300),
        ),
        ("canary-letter", noise(1, 3_000)),
    ]);
    let mut vault = alice.account.create_vault("canary-documents").unwrap();
    backed_up(&mut vault, &files).unwrap();

    // A contact, who is compared, and shared with.
    let address = bob.account.address().unwrap();
    alice.account.add_contact(&address).unwrap();
    alice.account.set_verified(&bob.account.id(), true).unwrap();
    alice
        .account
        .share(&mut vault, &address, Role::Writer)
        .unwrap();
    let offer = bob.account.offers().unwrap().offers.remove(0).id;
    let offer = OfferSelector::Id(offer);
    let mut theirs = bob.account.accept_offer(&offer, None).unwrap();
    files.write("canary-from-bob", &noise(2, 3_000));
    backed_up(&mut theirs, &files).unwrap();

    let url = life_of_a_link(&hostile, &mut theirs, &files);
    let mut secrets = Secrets {
        pieces: Pieces::of(&url),
        count: 1,
    };
    // A device comes and goes, and every key with it.
    alice.pair_and_remove(&hostile, "canary's phone", &mut secrets);
    vault.refresh().unwrap();
    files.write("canary-after", &noise(3, 3_000));
    backed_up(&mut vault, &files).unwrap();
    assert_restores(&vault, &newest(&vault).unwrap(), &files);
    assert_whole(&mut vault);

    for member in [&alice, &bob] {
        secrets.add_device(&Member::device_keys(&member.setup));
        secrets.add_device(&member.phrase.device_keys());
        secrets.add_words(&member.phrase);
        assert!(member.home.path().join("device.key").exists());
    }
    assert_eq!(secrets.add_account(&alice), 2);
    assert_eq!(secrets.add_account(&bob), 1);
    let members = [&alice, &bob];
    for (id, _) in alice.account.remote().list_vaults().unwrap() {
        assert_eq!(secrets.add_vault(&members, id), 2);
    }
    assert!(secrets.add_chunks(&hostile, &vault) > 15);
    for number in 1..=3 {
        secrets.pieces.add(&noise(number, 3_000));
    }
    let told = told(&hostile, &members);
    secrets.assert_nowhere(&hostile, &log, &vault, &told);
}

impl Secrets {
    /// Nothing of them in whatever reached the hoster; and each search finds what is
    /// there.
    fn assert_nowhere(&self, hostile: &Hostile, log: &Log, vault: &Vault, told: &Pieces) {
        assert!(self.count > 80, "{}", self.count);
        let id = vault.id();
        let is_named = |bytes: &[u8]| bytes.windows(32).any(|at| at == id.as_bytes());
        let seen = hostile.front.seen();
        for call in [
            "put_offer",
            "list_offers",
            "drop_offer",
            "fetch_account_log",
            "put_message",
            "await_message",
            "create_link",
            "open_link",
            "read_link",
            "list_links",
            "read_packs",
        ] {
            assert!(seen.iter().any(|seen| seen.call == call), "{call}");
        }
        for seen in &seen {
            self.assert_not_in(seen.call, &seen.asked);
            self.assert_not_in(seen.call, &seen.headers);
        }
        assert!(seen.iter().any(|seen| is_named(&seen.asked)));
        assert!(seen.iter().any(|seen| !seen.headers.is_empty()));
        for pack in hostile.front.packs().values() {
            self.assert_not_in("a pack", pack);
        }
        let mut files = Vec::new();
        collect(hostile.hoster.data.path(), &mut files);
        for bytes in &files {
            self.assert_not_in("a file", bytes);
            assert!(!told.are_in(bytes), "a token or an invitation in a file");
            assert!(!address_in(bytes), "who called, in a file");
        }
        assert!(files.iter().any(|bytes| is_named(bytes)));

        let said = log.bytes();
        self.assert_not_in("the log", &said);
        assert!(!told.are_in(&said), "a token or an invitation in the log");
        assert!(!address_in(&said), "who called, in the log");
        let lines = said.split(|byte| *byte == b'\n').count();
        assert!(lines > 1_000, "{lines}");
        let words = async { tracing::trace!("Canary at {ADDRESS}: what no server should say") };
        let words = hostile.hoster.tokio().spawn(words);
        hostile.hoster.tokio().block_on(words).unwrap();
        let said = &log.bytes()[said.len()..];
        assert!(names_in(said) && address_in(said));
    }
}
