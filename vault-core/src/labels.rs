//! Every label that separates one use of a secret from another.
//!
//! All of them begin with `coffre v1`, none is the beginning of another that
//! is used with the same function, and none is ever used twice: a test holds
//! the list together. The labels of the public structures (entry hashes,
//! signatures, heads) stand in `vault_proto::labels`.

use crate::chunk::ChunkKind;
use crate::pairing::PairingStep;

// Contexts of BLAKE3 `derive_key`.

/// Entropy of a recovery phrase to an Ed25519 seed.
pub const PAPER_SIGNING_KEY: &str = "coffre v1 paper signing key";
/// Entropy of a recovery phrase to an X-Wing private key.
pub const PAPER_KEM_KEY: &str = "coffre v1 paper kem key";
/// An X-Wing public key to the hash that stands for it in a box.
pub const KEM_KEY_HASH: &str = "coffre v1 kem key hash";

/// An account seed to the key under which device names are sealed.
pub const DEVICE_NAME_KEY: &str = "coffre v1 device name key";
/// An account seed to the key under which the seed before it is wrapped.
pub const ACCOUNT_WRAP_KEY: &str = "coffre v1 account wrap key";

/// An epoch secret to its commitment.
pub const EPOCH_COMMITMENT: &str = "coffre v1 epoch commitment";
/// An epoch secret to the key under which the secret before it is wrapped.
pub const EPOCH_WRAP_KEY: &str = "coffre v1 epoch wrap key";
/// An epoch secret to the root of the keys of its chunks.
pub const CHUNK_SEALING_KEY: &str = "coffre v1 chunk sealing key";
/// An epoch secret to the key of its packs' footers and trailers.
pub const PACK_FOOTER_KEY: &str = "coffre v1 pack footer key";
/// An epoch secret to the key of its roots.
pub const ROOT_SEALING_KEY: &str = "coffre v1 root sealing key";

/// The first epoch's secret to the universal hash that cuts files.
pub const FILE_DATA_CHUNKER_HASH_KEY: &str = "coffre v1 file data chunker universal hash key";
/// The first epoch's secret to the cipher that cuts files.
pub const FILE_DATA_CHUNKER_CIPHER_KEY: &str = "coffre v1 file data chunker cipher key";
/// The first epoch's secret to the universal hash that cuts metadata.
pub const METADATA_CHUNKER_HASH_KEY: &str = "coffre v1 metadata chunker universal hash key";
/// The first epoch's secret to the cipher that cuts metadata.
pub const METADATA_CHUNKER_CIPHER_KEY: &str = "coffre v1 metadata chunker cipher key";

/// The first epoch's secret to the key of the ids of one kind of chunk.
#[must_use]
pub const fn chunk_id_key(kind: ChunkKind) -> &'static str {
    match kind {
        ChunkKind::FileData => "coffre v1 chunk id key file data",
        ChunkKind::Tree => "coffre v1 chunk id key tree",
        ChunkKind::StreamList => "coffre v1 chunk id key stream list",
        ChunkKind::Index => "coffre v1 chunk id key index",
        ChunkKind::Catalog => "coffre v1 chunk id key catalog",
        ChunkKind::Snapshot => "coffre v1 chunk id key snapshot",
        ChunkKind::Settings => "coffre v1 chunk id key settings",
        ChunkKind::Links => "coffre v1 chunk id key links",
    }
}

/// A pairing's secret to the name under which a hoster relays one of its messages.
#[must_use]
pub const fn pairing_box(step: PairingStep) -> &'static str {
    match step {
        PairingStep::Introduction => "coffre v1 pairing box introduction",
        PairingStep::Proposal => "coffre v1 pairing box proposal",
        PairingStep::Signature => "coffre v1 pairing box signature",
        PairingStep::End => "coffre v1 pairing box end",
    }
}

/// A pairing's secret to the key of one of its messages.
#[must_use]
pub const fn pairing_key(step: PairingStep) -> &'static str {
    match step {
        PairingStep::Introduction => "coffre v1 pairing key introduction",
        PairingStep::Proposal => "coffre v1 pairing key proposal",
        PairingStep::Signature => "coffre v1 pairing key signature",
        PairingStep::End => "coffre v1 pairing key end",
    }
}

/// The entry that adds a device, and the account, to the words that both devices
/// show (nothing secret).
pub const PAIRING_WORDS: &str = "coffre v1 pairing words";
/// Two account ids to the number that their members compare (nothing secret).
pub const CONTACT_NUMBER: &str = "coffre v1 contact number";
/// A link's secret to the id that the hoster knows it by.
pub const LINK_ID: &str = "coffre v1 link id";
/// A link's secret, and its stretched password if it has one, to the key of its
/// capsule.
pub const LINK_CAPSULE_KEY: &str = "coffre v1 link capsule key";

/// A vault, and the number and the beginning of the hash of one of its heads, to what
/// tells a slip of the pen in them (nothing secret).
pub const PRINTED_HEAD: &str = "coffre v1 printed head";

// Beginnings of HPKE's `info` and of associated data.

/// Begins the `info` of every box.
pub const BOX: &str = "coffre v1 box";
/// Purpose of a box that holds the seed of an account key.
pub const ACCOUNT_KEY_SEED: &str = "account key seed";
/// Purpose of a box that holds an epoch secret.
pub const EPOCH_SECRET: &str = "epoch secret";

/// Purpose of a box that holds the key of an offer.
pub const OFFER_KEY: &str = "offer key";

/// Begins the associated data of a message of a pairing.
pub const PAIRING: &str = "coffre v1 pairing";
/// Begins the associated data of an offer.
pub const OFFER: &str = "coffre v1 offer";

/// Associated data of a sealed device name.
pub const DEVICE_NAME: &str = "coffre v1 device name";
/// Begins the associated data of a wrapped account seed.
pub const ACCOUNT_WRAP: &str = "coffre v1 account wrap";
/// Begins the associated data of a wrapped epoch secret.
pub const EPOCH_WRAP: &str = "coffre v1 epoch wrap";
/// In the associated data of a pack's footer.
pub const PACK_FOOTER: &str = "pack footer";
/// In the associated data of a pack's trailer.
pub const PACK_TRAILER: &str = "pack trailer";
/// Begins the associated data of a sealed capsule.
pub const LINK_CAPSULE: &str = "coffre v1 link capsule";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_derivation_label_stands_twice() {
        let mut labels = vec![
            PAPER_SIGNING_KEY,
            PAPER_KEM_KEY,
            KEM_KEY_HASH,
            DEVICE_NAME_KEY,
            ACCOUNT_WRAP_KEY,
            EPOCH_COMMITMENT,
            EPOCH_WRAP_KEY,
            CHUNK_SEALING_KEY,
            PACK_FOOTER_KEY,
            ROOT_SEALING_KEY,
            FILE_DATA_CHUNKER_HASH_KEY,
            FILE_DATA_CHUNKER_CIPHER_KEY,
            METADATA_CHUNKER_HASH_KEY,
            METADATA_CHUNKER_CIPHER_KEY,
            PRINTED_HEAD,
            PAIRING_WORDS,
            CONTACT_NUMBER,
            LINK_ID,
            LINK_CAPSULE_KEY,
        ];
        labels.extend(ChunkKind::ALL.map(chunk_id_key));
        labels.extend(PairingStep::ALL.map(pairing_box));
        labels.extend(PairingStep::ALL.map(pairing_key));
        assert!(labels.iter().all(|label| label.starts_with("coffre v1 ")));
        let distinct: BTreeSet<_> = labels.iter().collect();
        assert_eq!(distinct.len(), labels.len());
    }
}
