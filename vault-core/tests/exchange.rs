//! Pairings and offers, from one side to the other.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rand::rngs::ChaCha20Rng;
use rand_core::SeedableRng;
use vault_core::author::{
    AccountAuthor, NamedDevice, NewVault, VaultAuthor, create_account, create_vault,
};
use vault_core::keys::{AccountSecrets, DeviceKeys, PhraseLanguage, RecoveryPhrase, VaultKeys};
use vault_core::offer::{Offer, OfferError, SEALED_OFFER_LEN, SealedOffer};
use vault_core::pairing::{
    PairingCode, PairingEnd, PairingError, PairingIntroduction, PairingProposal, PairingStep,
    SeenVault, check_words,
};
use vault_proto::account_log::AccountLog;
use vault_proto::address::Address;
use vault_proto::ids::{AccountId, EntryHash, HeadHash, HosterId, VaultId};
use vault_proto::invitation::TlsTrust;
use vault_proto::origin::Origin;
use vault_proto::position::{HeadPosition, LogPosition};
use vault_proto::vault_log::{Role, VaultKind, VaultLog};
use vault_proto::wire::SignedEntry;

const HOME: HosterId = HosterId::from_array([7; 32]);

/// A member with a laptop and a paper.
struct Member {
    laptop: DeviceKeys,
    paper: DeviceKeys,
    log: AccountLog,
    rng: ChaCha20Rng,
}

impl Member {
    fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let laptop = DeviceKeys::generate(&mut rng);
        let paper = RecoveryPhrase::generate(&mut rng).device_keys();
        let named = |keys, name| NamedDevice { keys, name };
        let others = [named(&paper, "paper")];
        let account = create_account(HOME, named(&laptop, "laptop"), &others, &mut rng).unwrap();
        Self {
            laptop,
            paper,
            log: account.log,
            rng,
        }
    }

    fn id(&self) -> AccountId {
        self.log.id()
    }

    fn secrets(&self) -> AccountSecrets {
        AccountSecrets::open(&self.log, &self.laptop).unwrap()
    }

    fn address(&self, name: &str) -> Address {
        Address::new(name, origin(), self.id()).unwrap()
    }

    /// Adds a phone with the paper, which then removes it.
    fn lose_a_phone(&mut self) -> DeviceKeys {
        let phone = DeviceKeys::generate(&mut self.rng);
        let secrets = AccountSecrets::open(&self.log, &self.paper).unwrap();
        let by_paper = |log: &AccountLog, rng: &mut ChaCha20Rng, add: bool| -> SignedEntry {
            let author = AccountAuthor {
                log,
                secrets: &secrets,
                device: &self.paper,
            };
            if !add {
                return author.remove_device(&phone.id(), rng).unwrap();
            }
            let draft = author.draft_addition(phone.public(), "phone", rng).unwrap();
            let signature = draft.sign(&phone).unwrap();
            author.complete_addition(&draft, &signature).unwrap()
        };
        for add in [true, false] {
            let entry = by_paper(&self.log, &mut self.rng, add);
            self.log.append(&entry).unwrap();
        }
        phone
    }
}

fn origin() -> Origin {
    Origin::parse("coffre.example:8443").unwrap()
}

// -------------------------------------------------------------------- pairing

/// A new device at a member's side, up to its proposal.
struct Pairing {
    member: Member,
    new: DeviceKeys,
    code: PairingCode,
    proposal: PairingProposal,
    rng: ChaCha20Rng,
}

impl Pairing {
    fn new() -> Self {
        let member = Member::new(1);
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let new = DeviceKeys::generate(&mut rng);
        let code = PairingCode::generate(new.public(), &mut rng);
        let secrets = member.secrets();
        let author = AccountAuthor {
            log: &member.log,
            secrets: &secrets,
            device: &member.laptop,
        };
        let addition = author.draft_addition(new.public(), "téléphone", &mut rng);
        let proposal = PairingProposal {
            addition: addition.unwrap(),
            hoster: HOME,
            origin: origin(),
            tls: TlsTrust::Pinned([5; 32]),
            account_vault: VaultId::from_array([1; 32]),
            seen: vec![seen(1, None), seen(2, Some(9))],
            words: PhraseLanguage::French,
        };
        Self {
            member,
            new,
            code,
            proposal,
            rng,
        }
    }

    fn introduction(&self) -> PairingIntroduction {
        PairingIntroduction {
            public: self.new.public().clone(),
            name: "téléphone".to_owned(),
        }
    }

    /// Every step as it is sent.
    fn sealed(&mut self) -> [Vec<u8>; 4] {
        let introduction = self.introduction();
        let (code, rng) = (&self.code, &mut self.rng);
        [
            code.seal_introduction(&introduction, rng).unwrap(),
            code.seal_proposal(&self.proposal, rng).unwrap(),
            code.seal_signature(&[9; 64], rng),
            code.seal_end(PairingEnd::Done, rng),
        ]
    }

    fn opens(&self, code: &PairingCode, step: PairingStep, sealed: &[u8]) -> bool {
        match step {
            PairingStep::Introduction => code.open_introduction(sealed).is_ok(),
            PairingStep::Proposal => code.open_proposal(self.new.public(), sealed).is_ok(),
            PairingStep::Signature => code.open_signature(sealed).is_ok(),
            PairingStep::End => code.open_end(sealed).is_ok(),
        }
    }
}

fn seen(n: u8, head: Option<u64>) -> SeenVault {
    SeenVault {
        vault: VaultId::from_array([n; 32]),
        hoster: HOME,
        position: LogPosition {
            seq: 3,
            hash: EntryHash::from_array([n; 32]),
        },
        head: head.map(|seq| HeadPosition {
            seq,
            hash: HeadHash::from_array([n; 32]),
        }),
    }
}

#[test]
fn a_device_is_paired() {
    let Pairing {
        mut member,
        new,
        code,
        proposal,
        mut rng,
    } = Pairing::new();
    let old = PairingCode::parse(&code.to_text()).unwrap();
    assert_eq!(old, code);

    let introduction = PairingIntroduction {
        public: new.public().clone(),
        name: "téléphone".to_owned(),
    };
    let sealed = code.seal_introduction(&introduction, &mut rng).unwrap();
    assert_eq!(old.open_introduction(&sealed), Ok(introduction));

    let sealed = old.seal_proposal(&proposal, &mut rng).unwrap();
    let received = code.open_proposal(new.public(), &sealed).unwrap();
    assert_eq!(received, proposal);
    assert_eq!(received.check_words(), proposal.check_words());
    assert!(!received.is_held_by(&member.log));

    let signature = received.addition.sign(&new).unwrap();
    let refusal = code.seal_refusal(&mut rng);
    assert_eq!(old.open_signature(&refusal), Err(PairingError::Refused));
    let sealed = code.seal_signature(&signature, &mut rng);
    assert_eq!(refusal.len(), sealed.len(), "the hoster tells them apart");
    let signature = old.open_signature(&sealed).unwrap();
    let secrets = member.secrets();
    let author = AccountAuthor {
        log: &member.log,
        secrets: &secrets,
        device: &member.laptop,
    };
    let entry = author
        .complete_addition(&proposal.addition, &signature)
        .unwrap();
    member.log.append(&entry).unwrap();
    for end in [PairingEnd::Done, PairingEnd::Refused] {
        let sealed = old.seal_end(end, &mut rng);
        assert_eq!(code.open_end(&sealed), Ok(end));
    }

    assert!(received.is_held_by(&member.log));
    assert!(!received.is_held_by(&Member::new(3).log));
    AccountSecrets::open(&member.log, &new).unwrap();
}

#[test]
fn each_step_has_its_box_its_key_and_its_length() {
    let mut pairing = Pairing::new();
    let sealed = pairing.sealed();
    let boxes: Vec<_> = PairingStep::ALL
        .iter()
        .map(|step| pairing.code.box_name(*step))
        .collect();
    for (i, step) in PairingStep::ALL.into_iter().enumerate() {
        assert_eq!(sealed[i].len(), step.sealed_len());
        assert_eq!(boxes.iter().filter(|name| **name == boxes[i]).count(), 1);
        for (j, other) in sealed.iter().enumerate() {
            let opens = pairing.opens(&pairing.code, step, other);
            assert_eq!(opens, i == j, "step {j} opened as {i}");
        }
        // Another pairing of the same device.
        let other = PairingCode::generate(pairing.new.public(), &mut pairing.rng);
        assert_ne!(other.box_name(step), boxes[i]);
        assert!(!pairing.opens(&other, step, &sealed[i]));
    }
}

#[test]
fn no_byte_of_a_message_can_change() {
    let mut pairing = Pairing::new();
    let sealed = pairing.sealed();
    for (step, sealed) in PairingStep::ALL.into_iter().zip(&sealed) {
        let stride = sealed.len() / 512;
        for at in (0..sealed.len()).step_by(stride).chain([sealed.len() - 1]) {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(!pairing.opens(&pairing.code, step, &flipped), "byte {at}");
            assert!(!pairing.opens(&pairing.code, step, &sealed[..at]));
        }
        let longer = [&sealed[..], &[0]].concat();
        assert!(!pairing.opens(&pairing.code, step, &longer));
    }
}

#[test]
fn only_the_device_that_showed_the_code_is_introduced() {
    let mut pairing = Pairing::new();
    let other = DeviceKeys::generate(&mut pairing.rng);
    let mut introduction = pairing.introduction();
    introduction.public = other.public().clone();
    let (code, rng) = (&pairing.code, &mut pairing.rng);
    let refused = code.seal_introduction(&introduction, rng);
    assert_eq!(refused, Err(PairingError::OtherDevice));
    // Whoever read the code off the screen seals another device under its secret.
    let seen = code_with_device(code, &other);
    let sealed = seen.seal_introduction(&introduction, rng).unwrap();
    assert!(seen.open_introduction(&sealed).is_ok());
    assert_eq!(
        code.open_introduction(&sealed),
        Err(PairingError::OtherDevice)
    );

    for bad in ["a\nb".to_owned(), "x".repeat(465)] {
        let mut introduction = pairing.introduction();
        introduction.name = bad;
        let refused = pairing
            .code
            .seal_introduction(&introduction, &mut pairing.rng);
        assert!(matches!(refused, Err(PairingError::Field(_))));
    }
}

/// The same secret, with the id of another device.
fn code_with_device(code: &PairingCode, device: &DeviceKeys) -> PairingCode {
    use data_encoding::BASE64URL_NOPAD;
    let text = code.to_text();
    let (scheme, encoded) = text.split_at(text.find(':').unwrap() + 1);
    let mut bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).unwrap();
    let id = bytes.len() - 32;
    bytes[id..].copy_from_slice(device.id().as_bytes());
    PairingCode::parse(&format!("{scheme}{}", BASE64URL_NOPAD.encode(&bytes))).unwrap()
}

#[test]
fn a_device_takes_no_proposal_but_its_own() {
    let mut pairing = Pairing::new();
    let other = DeviceKeys::generate(&mut pairing.rng);
    let (code, rng) = (&pairing.code, &mut pairing.rng);
    let seen = code_with_device(code, &other);
    let refused = seen.seal_proposal(&pairing.proposal, rng);
    assert_eq!(refused, Err(PairingError::OtherDevice));
    let sealed = code.seal_proposal(&pairing.proposal, rng).unwrap();
    let refused = code.open_proposal(other.public(), &sealed);
    assert!(matches!(refused, Err(PairingError::Proposal(_))));

    let mut many = pairing.proposal.clone();
    many.seen = vec![seen_vault(2), seen_vault(1)];
    let refused = code.seal_proposal(&many, rng);
    assert!(matches!(refused, Err(PairingError::Field(_))));
    many.seen = (0..=256).map(seen_vault).collect();
    let refused = code.seal_proposal(&many, rng);
    assert!(matches!(refused, Err(PairingError::Field(_))));
    many.seen.pop();
    let sealed = code.seal_proposal(&many, rng).unwrap();
    assert_eq!(code.open_proposal(pairing.new.public(), &sealed), Ok(many));
}

fn seen_vault(n: u16) -> SeenVault {
    let mut id = [0xff; 32];
    id[..2].copy_from_slice(&n.to_be_bytes());
    SeenVault {
        vault: VaultId::from_array(id),
        ..seen(1, Some(u64::MAX))
    }
}

#[test]
fn words_are_of_the_entry_the_account_and_the_list() {
    let (entry, account) = (
        EntryHash::from_array([1; 32]),
        AccountId::from_array([2; 32]),
    );
    let words = |entry: EntryHash, account: AccountId| {
        check_words(&entry, &account, PhraseLanguage::English)
    };
    let right = words(entry, account);
    assert_eq!(right, words(entry, account));
    assert_ne!(right, words(EntryHash::from_array([3; 32]), account));
    assert_ne!(right, words(entry, AccountId::from_array([1; 32])));
    assert_ne!(right, check_words(&entry, &account, PhraseLanguage::French));
}

#[test]
fn codes_are_read_whole_or_not_at_all() {
    let pairing = Pairing::new();
    let text = pairing.code.to_text();
    let again = PairingCode::parse(&format!(" {}\n", *text));
    assert_eq!(again.as_ref(), Ok(&pairing.code));
    assert!(!format!("{:?}", pairing.code).contains("ecret"));
    assert_eq!(pairing.code.device(), pairing.new.id());
    for length in 0..text.len() {
        assert!(PairingCode::parse(&text[..length]).is_err());
    }
    for bad in ["", "coffre-pair:AA", "coffre:AAAA", &"x".repeat(300)] {
        assert_eq!(PairingCode::parse(bad), Err(PairingError::Code), "{bad}");
    }
    let later = text.replace("coffre-pair:CAES", "coffre-pair:CAIS");
    assert_eq!(PairingCode::parse(&later), Err(PairingError::Version(2)));
}

proptest! {
    #[test]
    fn no_code_panics(text in "(coffre-pair:)?[A-Za-z0-9_-]{0,120}") {
        let _ = PairingCode::parse(&text);
        let _ = SealedOffer::parse(&text);
    }
}

// --------------------------------------------------------------------- offers

/// Alice shares a vault with Bob.
struct Sharing {
    alice: Member,
    bob: Member,
    vault: VaultLog,
    offer: Offer,
}

type Logs = BTreeMap<AccountId, AccountLog>;

impl Sharing {
    fn new() -> Self {
        let (mut alice, bob) = (Member::new(11), Member::new(12));
        let secrets = alice.secrets();
        let NewVault {
            log: mut vault,
            keys,
            ..
        } = create_vault(
            VaultKind::Storage,
            HOME,
            &alice.log,
            &secrets,
            &alice.laptop,
            &mut alice.rng,
        )
        .unwrap();
        let logs: Logs = [(alice.id(), alice.log.clone()), (bob.id(), bob.log.clone())].into();
        let entry = VaultAuthor {
            log: &vault,
            accounts: &logs,
            head: None,
            account: alice.id(),
            device: &alice.laptop,
        }
        .add_member(&keys, &bob.id(), Role::Writer, &mut alice.rng)
        .unwrap();
        vault.append(&entry, &logs).unwrap();
        let offer = Offer {
            vault: vault.id(),
            hoster: HOME,
            origin: origin(),
            tls: TlsTrust::Public,
            vault_name: "été".to_owned(),
            role: Role::Writer,
            sender: alice.address("alice"),
            sender_device: alice.laptop.id(),
            sender_position: alice.log.position(),
            recipient: bob.id(),
            entry: vault.position(),
            head: Some(HeadPosition {
                seq: 4,
                hash: HeadHash::from_array([4; 32]),
            }),
            created: 1_800_000_000,
        };
        Self {
            alice,
            bob,
            vault,
            offer,
        }
    }

    fn sealed(&mut self) -> SealedOffer {
        let offer = self.offer.clone();
        offer
            .seal(&self.bob.log, &self.alice.laptop, &mut self.alice.rng)
            .unwrap()
    }

    /// What Bob makes of this offer.
    fn verdict(&mut self, offer: Offer) -> Result<Offer, OfferError> {
        let sealed = offer.seal(&self.bob.log, &self.alice.laptop, &mut self.alice.rng)?;
        let opened = sealed.open(&self.bob.secrets())?;
        opened.verify(&self.alice.log, &self.vault)
    }

    fn append(&mut self, write: impl FnOnce(&VaultAuthor<'_>) -> SignedEntry, by_bob: bool) {
        let logs: Logs = [&self.alice, &self.bob]
            .map(|member| (member.id(), member.log.clone()))
            .into();
        let member = if by_bob { &self.bob } else { &self.alice };
        let author = VaultAuthor {
            log: &self.vault,
            accounts: &logs,
            head: None,
            account: member.id(),
            device: &member.laptop,
        };
        let entry = write(&author);
        self.vault.append(&entry, &logs).unwrap();
    }
}

#[test]
fn an_offer_is_sealed_opened_and_verified() {
    let mut sharing = Sharing::new();
    let sealed = sharing.sealed();
    assert_eq!(sealed.recipient(), sharing.bob.id());
    let sealed = SealedOffer::parse(&format!("{}\n", sealed.to_text())).unwrap();
    let opened = sealed.open(&sharing.bob.secrets()).unwrap();
    assert_eq!(opened.claims(), &sharing.offer);
    opened.verify_sender(&sharing.alice.log).unwrap();
    let verified = opened.verify(&sharing.alice.log, &sharing.vault);
    assert_eq!(verified, Ok(sharing.offer.clone()));

    // Nothing of it is in the clear but for whom it is.
    let sent = sealed.as_bytes();
    for part in [
        "été".as_bytes(),
        b"alice",
        b"coffre.example",
        sharing.alice.id().as_bytes(),
        sharing.alice.laptop.id().as_bytes(),
        sharing.vault.id().as_bytes(),
    ] {
        assert!(!sent.windows(part.len()).any(|window| window == part));
    }
}

#[test]
fn an_offer_is_for_one_account() {
    let mut sharing = Sharing::new();
    let sealed = sharing.sealed();
    let refused = sealed.open(&sharing.alice.secrets());
    assert_eq!(refused, Err(OfferError::OtherRecipient(sharing.bob.id())));
    let refused = sharing.offer.seal(
        &sharing.alice.log,
        &sharing.alice.laptop,
        &mut sharing.bob.rng,
    );
    assert_eq!(refused, Err(OfferError::OtherRecipient(sharing.bob.id())));
    // It opens after the recipient's account key was renewed, and what is made
    // then is sealed to the new one.
    sharing.bob.lose_a_phone();
    assert!(sealed.open(&sharing.bob.secrets()).is_ok());
    let later = sharing.sealed();
    assert_eq!(later.as_bytes()[33..41], 2_u64.to_le_bytes());
    assert!(later.open(&sharing.bob.secrets()).is_ok());
}

#[test]
fn no_byte_of_an_offer_can_change() {
    let mut sharing = Sharing::new();
    let sealed = sharing.sealed();
    let secrets = sharing.bob.secrets();
    for at in (0..SEALED_OFFER_LEN).step_by(3) {
        let mut flipped = *sealed.as_bytes();
        flipped[at] ^= 1 << (at % 8);
        let opened = SealedOffer::from_slice(&flipped).and_then(|offer| offer.open(&secrets));
        assert!(opened.is_err(), "byte {at}");
        let cut = SealedOffer::from_slice(&sealed.as_bytes()[..at]);
        assert_eq!(cut, Err(OfferError::Text));
    }
    let text = sealed.to_text();
    for length in (0..text.len()).step_by(7) {
        assert!(SealedOffer::parse(&text[..length]).is_err());
    }
    assert_eq!(SealedOffer::parse(&"x".repeat(9000)), Err(OfferError::Text));
}

#[test]
fn an_offer_says_what_the_vaults_log_says() {
    let mut sharing = Sharing::new();
    let right = sharing.offer.clone();
    let wrong = |change: &dyn Fn(&mut Offer)| {
        let mut offer = right.clone();
        change(&mut offer);
        offer
    };
    for (offer, error) in [
        (wrong(&|o| o.role = Role::Manager), OfferError::NoEntry),
        (wrong(&|o| o.entry.seq = 1), OfferError::NoEntry),
        (wrong(&|o| o.entry.seq = 3), OfferError::NoEntry),
        (
            wrong(&|o| o.entry.hash = EntryHash::from_array([1; 32])),
            OfferError::NoEntry,
        ),
        (
            wrong(&|o| o.vault = VaultId::from_array([1; 32])),
            OfferError::OtherVault,
        ),
        (
            wrong(&|o| o.hoster = HosterId::from_array([1; 32])),
            OfferError::OtherVault,
        ),
        (wrong(&|o| o.sender_position.seq = 2), OfferError::SenderLog),
        (
            wrong(&|o| o.sender_position.hash = EntryHash::from_array([1; 32])),
            OfferError::SenderLog,
        ),
    ] {
        assert_eq!(sharing.verdict(offer), Err(error));
    }
    // The genesis, by the sender, adds nobody.
    let genesis = LogPosition {
        seq: 1,
        hash: sharing.vault.hash_at(1).unwrap(),
    };
    let offer = wrong(&|o| o.entry = genesis);
    assert_eq!(sharing.verdict(offer), Err(OfferError::NoEntry));
    for name in [String::new(), "a\nb".to_owned(), "x".repeat(256)] {
        let refused = sharing.verdict(wrong(&|o| o.vault_name.clone_from(&name)));
        assert!(matches!(refused, Err(OfferError::Field(_))));
    }
    assert!(sharing.verdict(right).is_ok());
}

#[test]
fn an_offer_may_be_of_a_role_that_was_given_since() {
    let mut sharing = Sharing::new();
    let (bob, first) = (sharing.bob.id(), sharing.offer.clone());
    let of = |role| Offer {
        role,
        ..first.clone()
    };
    assert_eq!(sharing.verdict(of(Role::Manager)), Err(OfferError::NoEntry));
    let change = |author: &VaultAuthor<'_>| author.change_role(&bob, Role::Manager).unwrap();
    sharing.append(change, false);
    assert!(sharing.verdict(of(Role::Manager)).is_ok());
    // That of the role before is as good as it was.
    assert!(sharing.verdict(first.clone()).is_ok());
    assert_eq!(sharing.verdict(of(Role::Reader)), Err(OfferError::NoEntry));
}

#[test]
fn an_offer_ends_with_the_membership() {
    let mut sharing = Sharing::new();
    let (bob, offer) = (sharing.bob.id(), sharing.offer.clone());
    sharing.append(|author| author.accept().unwrap(), true);
    assert!(sharing.verdict(offer.clone()).is_ok());
    sharing.append(|author| author.remove_member(&bob).unwrap(), false);
    assert_eq!(sharing.verdict(offer.clone()), Err(OfferError::Over));

    // Nor does it come back to life with another one.
    let secrets = sharing.alice.secrets();
    let mut rng = ChaCha20Rng::seed_from_u64(14);
    let keys = VaultKeys::open(&sharing.vault, &secrets).unwrap();
    sharing.append(|author| author.rotate(&keys, &mut rng).unwrap(), false);
    let keys = VaultKeys::open(&sharing.vault, &secrets).unwrap();
    let role = Role::Writer;
    sharing.append(
        |author| author.add_member(&keys, &bob, role, &mut rng).unwrap(),
        false,
    );
    let again = Offer {
        entry: sharing.vault.position(),
        ..offer.clone()
    };
    assert_eq!(sharing.verdict(offer), Err(OfferError::Over));
    assert!(sharing.verdict(again).is_ok());
}

#[test]
fn an_offer_by_a_stranger_or_a_removed_device_is_refused() {
    let mut sharing = Sharing::new();
    // Mallory offers what is not his to offer.
    let mut mallory = Member::new(13);
    let mut offer = sharing.offer.clone();
    offer.sender = mallory.address("mallory");
    offer.sender_device = mallory.laptop.id();
    offer.sender_position = mallory.log.position();
    let sealed = offer.seal(&sharing.bob.log, &mallory.laptop, &mut mallory.rng);
    let opened = sealed.unwrap().open(&sharing.bob.secrets()).unwrap();
    opened.verify_sender(&mallory.log).unwrap();
    let refused = opened.clone().verify(&mallory.log, &sharing.vault);
    assert_eq!(refused, Err(OfferError::NoEntry));
    let refused = opened.verify(&sharing.alice.log, &sharing.vault);
    assert_eq!(refused, Err(OfferError::SenderLog));

    // In Alice's name, with a device that is not hers.
    let mut offer = sharing.offer.clone();
    offer.sender_device = mallory.laptop.id();
    let refused = sharing
        .offer
        .seal(&sharing.bob.log, &mallory.laptop, &mut mallory.rng);
    assert_eq!(refused, Err(OfferError::SenderDevice));
    let sealed = offer.seal(&sharing.bob.log, &mallory.laptop, &mut mallory.rng);
    let opened = sealed.unwrap().open(&sharing.bob.secrets()).unwrap();
    let refused = opened.verify(&sharing.alice.log, &sharing.vault);
    assert_eq!(refused, Err(OfferError::SenderDevice));

    // With a phone that she lost, at the place where it was hers.
    let phone = sharing.alice.lose_a_phone();
    let mut offer = sharing.offer.clone();
    offer.sender_device = phone.id();
    offer.sender_position = LogPosition {
        seq: 2,
        hash: sharing.alice.log.hash_at(2).unwrap(),
    };
    let sealed = offer.seal(&sharing.bob.log, &phone, &mut mallory.rng);
    let opened = sealed.unwrap().open(&sharing.bob.secrets()).unwrap();
    let refused = opened.verify(&sharing.alice.log, &sharing.vault);
    assert_eq!(refused, Err(OfferError::SenderDevice));
}
