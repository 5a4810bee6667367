//! What the four messages say.

use rand_core::CryptoRng;
use vault_proto::{
    account_log::AccountLog,
    device::{DeviceError, DevicePublic},
    entry::FieldError,
    ids::{HosterId, VaultId},
    invitation::TlsTrust,
    origin::Origin,
    position::{HeadPosition, LogPosition},
    sign::SIGNATURE_BYTES,
    wire,
};

use super::{PairingCode, PairingError, PairingStep};
use crate::{
    author::Addition,
    keys::{PhraseLanguage, account::MAX_NAME_LEN},
    pairing::words::check_words,
};

/// The most vaults that a proposal lists: what else a device remembers, the new
/// one takes as it finds it.
pub const MAX_SEEN_VAULTS: usize = 256;

/// What stands in the place of a signature when the new device's member refuses. No
/// key verifies it: its first half is a point of small order.
const REFUSAL: [u8; SIGNATURE_BYTES] = [0; SIGNATURE_BYTES];

/// The first message: who the new device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingIntroduction {
    /// Its keys.
    pub public: DevicePublic,
    /// What it is called: at most [`MAX_NAME_LEN`] bytes without control
    /// characters.
    pub name: String,
}

/// The second message: what the old device is about to sign, and what it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairingProposal {
    /// The entry that would add the new device. The one before it is the newest
    /// that the old device knows.
    pub addition: Addition,
    /// The home of the account.
    pub hoster: HosterId,
    /// Where it is dialled.
    pub origin: Origin,
    /// How TLS is ended there.
    pub tls: TlsTrust,
    /// The account vault.
    pub account_vault: VaultId,
    /// What was last seen of each vault, ordered by vault; at most
    /// [`MAX_SEEN_VAULTS`].
    pub seen: Vec<SeenVault>,
    /// The list that both devices take their words from.
    pub words: PhraseLanguage,
}

/// What a device has last seen of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenVault {
    /// The vault.
    pub vault: VaultId,
    /// Its home.
    pub hoster: HosterId,
    /// The newest entry of its log.
    pub position: LogPosition,
    /// Its newest head; `None` while there is none.
    pub head: Option<HeadPosition>,
}

/// The fourth message: how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairingEnd {
    /// The entry is in the log.
    Done,
    /// The member refused, or the entry cannot be added.
    Refused,
}

impl PairingProposal {
    /// The six words that both devices show.
    #[must_use]
    pub fn check_words(&self) -> [&'static str; 6] {
        let entry = self.addition.position().hash;
        check_words(&entry, &self.addition.account(), self.words)
    }

    /// Whether a log that a hoster shows holds what was seen and the entry that
    /// was signed: the account's own, at the places that the proposal names.
    #[must_use]
    pub fn is_held_by(&self, log: &AccountLog) -> bool {
        let holds = |at: LogPosition| log.hash_at(at.seq) == Some(at.hash);
        log.id() == self.addition.account()
            && holds(self.addition.previous())
            && holds(self.addition.position())
    }
}

impl PairingCode {
    /// Seals the new device's introduction.
    ///
    /// # Errors
    /// [`PairingError::OtherDevice`] if the code is another device's;
    /// [`PairingError::Field`] if the name is none.
    pub fn seal_introduction(
        &self,
        introduction: &PairingIntroduction,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, PairingError> {
        self.check_introduction(introduction)?;
        let message = wire::PairingIntroduction {
            public: Some(introduction.public.to_wire()),
            name: introduction.name.clone(),
        };
        self.seal(PairingStep::Introduction, &message, rng)
    }

    /// Opens the new device's introduction. The hash of its keys is the code's.
    ///
    /// # Errors
    /// See [`PairingError`].
    pub fn open_introduction(&self, sealed: &[u8]) -> Result<PairingIntroduction, PairingError> {
        let message: wire::PairingIntroduction = self.open(PairingStep::Introduction, sealed)?;
        let public = message.public.ok_or(FieldError::new("public"))?;
        let public = DevicePublic::from_wire(&public).map_err(|error| match error {
            DeviceError::Field(field) => field,
            _ => FieldError::new("signing_key"),
        })?;
        let introduction = PairingIntroduction {
            public,
            name: message.name,
        };
        self.check_introduction(&introduction)?;
        Ok(introduction)
    }

    fn check_introduction(&self, introduction: &PairingIntroduction) -> Result<(), PairingError> {
        if introduction.public.id() != self.device {
            return Err(PairingError::OtherDevice);
        }
        let name = &introduction.name;
        if name.len() > MAX_NAME_LEN || name.chars().any(char::is_control) {
            return Err(FieldError::new("name").into());
        }
        Ok(())
    }

    /// Seals the old device's proposal.
    ///
    /// # Errors
    /// [`PairingError::OtherDevice`] if it adds another device than the code's;
    /// [`PairingError::Field`] if what was seen is not in order;
    /// [`PairingError::TooLong`].
    pub fn seal_proposal(
        &self,
        proposal: &PairingProposal,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Vec<u8>, PairingError> {
        if proposal.addition.new_device().id() != self.device {
            return Err(PairingError::OtherDevice);
        }
        check_seen(&proposal.seen)?;
        let (tls_mode, tls_pin) = proposal.tls.to_wire();
        let words = match proposal.words {
            PhraseLanguage::English => wire::WordList::English,
            PhraseLanguage::French => wire::WordList::French,
        };
        let message = wire::PairingProposal {
            payload: proposal.addition.payload().to_vec(),
            hoster: proposal.hoster.to_vec(),
            origin: proposal.origin.to_string(),
            tls_mode: tls_mode.into(),
            tls_pin,
            account_vault: proposal.account_vault.to_vec(),
            seen: proposal
                .seen
                .iter()
                .copied()
                .map(SeenVault::to_wire)
                .collect(),
            words: words.into(),
        };
        self.seal(PairingStep::Proposal, &message, rng)
    }

    /// Opens the old device's proposal, for the device that showed the code.
    ///
    /// # Errors
    /// See [`PairingError`]: [`PairingError::Proposal`] where it would not add
    /// this very device.
    pub fn open_proposal(
        &self,
        new: &DevicePublic,
        sealed: &[u8],
    ) -> Result<PairingProposal, PairingError> {
        let message: wire::PairingProposal = self.open(PairingStep::Proposal, sealed)?;
        let seen = message.seen.iter().map(SeenVault::from_wire);
        let seen = seen.collect::<Result<Vec<_>, FieldError>>()?;
        check_seen(&seen)?;
        let id = |bytes: &[u8], field| bytes.try_into().map_err(|_| FieldError::new(field));
        Ok(PairingProposal {
            hoster: HosterId::from_array(id(&message.hoster, "hoster")?),
            tls: TlsTrust::from_wire(message.tls_mode(), &message.tls_pin)?,
            words: match message.words() {
                wire::WordList::English => PhraseLanguage::English,
                wire::WordList::French => PhraseLanguage::French,
                wire::WordList::Unspecified => return Err(FieldError::new("words").into()),
            },
            origin: Origin::parse_exact(&message.origin).map_err(|_| FieldError::new("origin"))?,
            account_vault: VaultId::from_array(id(&message.account_vault, "account_vault")?),
            addition: Addition::decode(&message.payload, new)?,
            seen,
        })
    }

    /// Seals the new device's signature of the entry.
    #[must_use]
    pub fn seal_signature(
        &self,
        signature: &[u8; SIGNATURE_BYTES],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Vec<u8> {
        let message = wire::PairingSignature {
            signature: signature.to_vec(),
        };
        self.seal(PairingStep::Signature, &message, rng)
            .expect("a signature is short")
    }

    /// Seals, in the place of a signature, that the new device's member refuses.
    #[must_use]
    pub fn seal_refusal(&self, rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
        self.seal_signature(&REFUSAL, rng)
    }

    /// Opens the new device's signature; whether it fits is for
    /// [`crate::author::AccountAuthor::complete_addition`] to say.
    ///
    /// # Errors
    /// [`PairingError::Refused`] if there is none, and the others.
    pub fn open_signature(&self, sealed: &[u8]) -> Result<[u8; SIGNATURE_BYTES], PairingError> {
        let message: wire::PairingSignature = self.open(PairingStep::Signature, sealed)?;
        let signature = message.signature[..].try_into();
        match signature.map_err(|_| FieldError::new("signature"))? {
            REFUSAL => Err(PairingError::Refused),
            signature => Ok(signature),
        }
    }

    /// Seals how it ended.
    #[must_use]
    pub fn seal_end(&self, end: PairingEnd, rng: &mut (impl CryptoRng + ?Sized)) -> Vec<u8> {
        let outcome = match end {
            PairingEnd::Done => wire::PairingOutcome::Done,
            PairingEnd::Refused => wire::PairingOutcome::Refused,
        };
        let message = wire::PairingEnd {
            outcome: outcome.into(),
        };
        self.seal(PairingStep::End, &message, rng)
            .expect("a number is short")
    }

    /// Opens how it ended.
    ///
    /// # Errors
    /// See [`PairingError`].
    pub fn open_end(&self, sealed: &[u8]) -> Result<PairingEnd, PairingError> {
        let message: wire::PairingEnd = self.open(PairingStep::End, sealed)?;
        match message.outcome() {
            wire::PairingOutcome::Done => Ok(PairingEnd::Done),
            wire::PairingOutcome::Refused => Ok(PairingEnd::Refused),
            wire::PairingOutcome::Unspecified => Err(FieldError::new("outcome").into()),
        }
    }
}

impl SeenVault {
    fn to_wire(self) -> wire::SeenVault {
        wire::SeenVault {
            vault: self.vault.to_vec(),
            hoster: self.hoster.to_vec(),
            position: Some(self.position.to_wire()),
            head: self.head.as_ref().map(HeadPosition::to_wire),
        }
    }

    fn from_wire(seen: &wire::SeenVault) -> Result<Self, FieldError> {
        let id = |bytes: &[u8], field| bytes.try_into().map_err(|_| FieldError::new(field));
        let position = seen.position.as_ref().ok_or(FieldError::new("position"))?;
        let head = seen.head.as_ref();
        let head = head.map(|head| HeadPosition::from_wire(head, "head"));
        Ok(Self {
            vault: VaultId::from_array(id(&seen.vault, "vault")?),
            hoster: HosterId::from_array(id(&seen.hoster, "hoster")?),
            position: LogPosition::from_wire(position, "position")?,
            head: head.transpose()?,
        })
    }
}

fn check_seen(seen: &[SeenVault]) -> Result<(), FieldError> {
    let in_order = seen.is_sorted_by(|a, b| a.vault < b.vault);
    match in_order && seen.len() <= MAX_SEEN_VAULTS {
        true => Ok(()),
        false => Err(FieldError::new("seen")),
    }
}
