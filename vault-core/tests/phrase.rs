use vault_core::keys::{DeviceKeys, PhraseError, PhraseLanguage, RecoveryPhrase};

use crate::support::rng;

#[test]
fn both_languages_give_the_same_phrase_again() {
    for seed in 0..50 {
        let phrase = RecoveryPhrase::generate(&mut rng(seed));
        for language in PhraseLanguage::ALL {
            let words = phrase.words(language);
            assert_eq!(words.split(' ').count(), 24);
            assert!(RecoveryPhrase::parse(&words).unwrap() == phrase);
        }
    }
}

#[test]
fn case_accents_and_white_space_do_not_matter() {
    let phrase = (0..)
        .map(|seed| RecoveryPhrase::generate(&mut rng(seed)))
        .find(|phrase| !phrase.words(PhraseLanguage::French).is_ascii())
        .unwrap();
    let words = phrase.words(PhraseLanguage::French);
    let bare: String = words.chars().filter(char::is_ascii).collect();
    let composed = words.replace("e\u{301}", "é").replace("e\u{300}", "è");
    assert_ne!(bare, *words);
    assert_ne!(composed, *words);
    for text in [
        bare,
        composed.to_uppercase(),
        composed,
        words.to_uppercase(),
        format!("\n {}\t", words.replace(' ', "  \n")),
    ] {
        assert!(RecoveryPhrase::parse(&text).unwrap() == phrase, "{text}");
    }
}

#[test]
fn says_what_is_wrong_with_other_words() {
    let phrase = RecoveryPhrase::generate(&mut rng(1));
    for language in PhraseLanguage::ALL {
        let words = phrase.words(language);
        let words: Vec<&str> = words.split(' ').collect();
        let parse = |words: &[&str]| RecoveryPhrase::parse(&words.join(" ")).unwrap_err();

        assert_eq!(parse(&words[..23]), PhraseError::WordCount { words: 23 });
        let mut unknown = words.clone();
        unknown[16] = "kubernetes";
        assert_eq!(parse(&unknown), PhraseError::UnknownWord { position: 17 });
        let mut swapped = words.clone();
        swapped.swap(2, 3);
        assert_eq!(parse(&swapped), PhraseError::Checksum);
    }
    let huge = "abandon ".repeat(1 << 20);
    assert!(RecoveryPhrase::parse(&huge).is_err());
    assert!(RecoveryPhrase::parse("").is_err());
}

#[test]
fn a_phrase_is_a_device() {
    let phrase = RecoveryPhrase::generate(&mut rng(1));
    let device = phrase.device_keys();
    assert!(device.is_paper());
    assert!(!DeviceKeys::generate(&mut rng(1)).is_paper());
    assert_eq!(device.id(), phrase.device_keys().id());
    assert_ne!(
        device.id(),
        RecoveryPhrase::generate(&mut rng(2)).device_keys().id()
    );
    assert_eq!(format!("{phrase:?}"), "RecoveryPhrase(…)");
}
