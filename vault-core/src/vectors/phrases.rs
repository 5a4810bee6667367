use serde_json::{Value, json};

use super::{array, bytes, hex, noise32, run, text};
use crate::{
    keys::{PhraseLanguage, RecoveryPhrase},
    labels,
    secret::Secret,
};

const DESCRIPTION: &str = "Recovery phrases: 32 bytes of entropy, the 24 words in both languages, \
    the seeds derived from it, and the paper device of those seeds. Cases with `why` hold words \
    that are no phrase.";

#[test]
fn phrases() {
    run("phrases.json", DESCRIPTION, generate, check);
}

fn generate() -> Vec<Value> {
    let mut cases = Vec::new();
    for (name, entropy) in [
        ("zeros", [0; 32]),
        ("ones", [0xff; 32]),
        ("one", noise32("phrase one")),
        ("two", noise32("phrase two")),
        ("three", noise32("phrase three")),
    ] {
        let phrase = RecoveryPhrase::from_entropy(entropy);
        let secret = Secret::from_array(entropy);
        let device = phrase.device_keys();
        cases.push(json!({
            "name": name,
            "entropy": hex(entropy),
            "english": *phrase.words(PhraseLanguage::English),
            "french": *phrase.words(PhraseLanguage::French),
            "signing_seed": hex(secret.derive(labels::PAPER_SIGNING_KEY).as_bytes()),
            "kem_seed": hex(secret.derive(labels::PAPER_KEM_KEY).as_bytes()),
            "signing_key": hex(device.public().signing_key().as_bytes()),
            "kem_key": hex(device.public().kem_key().as_bytes()),
            "device_id": hex(device.id().as_bytes()),
        }));
    }
    let zeros = "abandon ".repeat(23);
    for (why, words) in [
        ("23 words", zeros.trim_end().to_owned()),
        ("wrong checksum", format!("{zeros}abandon")),
        ("a word that is in no list", format!("{zeros}coffres")),
        (
            "words of both lists",
            format!("{}art abaisser", "abandon ".repeat(22)),
        ),
        (
            "12 words, a phrase of another kind",
            format!("{}about", "abandon ".repeat(11)),
        ),
        ("nothing", String::new()),
    ] {
        cases.push(json!({ "name": why, "why": why, "words": words }));
    }
    cases
}

fn check(case: &Value) {
    if case["why"].is_string() {
        assert!(RecoveryPhrase::parse(text(case, "words")).is_err());
        return;
    }
    let phrase = RecoveryPhrase::from_entropy(array(case, "entropy"));
    for (language, field) in [
        (PhraseLanguage::English, "english"),
        (PhraseLanguage::French, "french"),
    ] {
        let words = text(case, field);
        assert_eq!(*phrase.words(language), words);
        assert!(RecoveryPhrase::parse(words).unwrap() == phrase);
    }
    let device = phrase.device_keys();
    let public = device.public();
    assert!(device.is_paper());
    assert_eq!(public.signing_key().as_bytes(), &array(case, "signing_key"));
    assert_eq!(
        public.kem_key().as_bytes().as_slice(),
        bytes(case, "kem_key")
    );
    assert_eq!(device.id().as_bytes(), &array(case, "device_id"));
    let kept = device.to_secret_bytes();
    assert_eq!(kept[1..33], bytes(case, "signing_seed"));
    assert_eq!(kept[33..], bytes(case, "kem_seed"));
}

/// From BIP39's own vectors, <https://github.com/trezor/python-mnemonic>.
#[test]
fn agrees_with_bip39() {
    let words = |entropy| RecoveryPhrase::from_entropy(entropy).words(PhraseLanguage::English);
    assert_eq!(*words([0; 32]), format!("{}art", "abandon ".repeat(23)));
    assert_eq!(*words([0xff; 32]), format!("{}vote", "zoo ".repeat(23)));
    assert_eq!(
        *words([0x7f; 32]),
        "legal winner thank year wave sausage worth useful legal winner thank year wave sausage \
         worth useful legal winner thank year wave sausage worth title"
    );
}
