//! Invitations, and what becomes of the recovery phrase.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::hoster::{Device, Hoster, PLENTY, Run};

/// The numbered words on standard output, in order.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = std::collections::BTreeMap::new();
    let mut parts = text.split_whitespace().peekable();
    while let Some(part) = parts.next() {
        let number = part
            .strip_suffix('.')
            .and_then(|number| number.parse::<u32>().ok());
        if let (Some(number), Some(word)) = (number, parts.peek()) {
            words.insert(number, (*word).to_owned());
        }
    }
    words.into_values().collect()
}

fn sign_up(device: &Device, invitation: &str, more: &[&str]) -> Run {
    Run::of(
        device
            .coffre(&["signup", "-"])
            .args(more)
            .write_stdin(invitation),
    )
}

#[test]
fn the_words_are_printed_once() {
    let hoster = Hoster::start();
    let (device, invitation) = (Device::new(), hoster.invitation(PLENTY));
    let run = sign_up(&device, &invitation, &[]);
    assert_eq!(run.exit, 0, "{run:?}");
    let words = words(run.text());
    assert_eq!(words.len(), 24, "{run:?}");
    assert!(
        words
            .iter()
            .all(|word| !run.stderr.contains(&format!(" {word} "))),
        "{run:?}"
    );

    let again = sign_up(&device, &invitation, &[]);
    assert_eq!(again.exit, 1, "{again:?}");
    assert!(
        again.stdout.is_empty() && again.stderr.contains("already"),
        "{again:?}"
    );
    // Nowhere on the device, either: as the secret that they stand for, or as text.
    assert_phrase_is_forgotten(&device);
    for entry in fs::read_dir(device.home.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = fs::read(&path).unwrap();
            let phrase = words.join(" ");
            let is_there = bytes
                .windows(phrase.len())
                .any(|window| window == phrase.as_bytes());
            assert!(!is_there, "{}", path.display());
        }
    }
}

/// Between signup and the end of the command the device keeps what the words stand
/// for in a file; not after it.
#[track_caller]
fn assert_phrase_is_forgotten(device: &Device) {
    let home = device.home.path();
    assert!(home.join("device.key").exists());
    assert!(!home.join("phrase.key").exists());
}

#[test]
fn french_words_are_french() {
    let hoster = Hoster::start();
    let device = Device::new();
    let run = sign_up(&device, &hoster.invitation(PLENTY), &["--language", "fr"]);
    let words = words(run.text()).join(" ");
    let phrase = as_french(&words);
    assert_eq!(phrase.as_deref(), Some(words.as_str()), "{run:?}");
}

/// The words again, if they are a French phrase.
pub(crate) fn as_french(words: &str) -> Option<String> {
    use vault_core::keys::{PhraseLanguage, RecoveryPhrase};
    let phrase = RecoveryPhrase::parse(words).ok()?;
    Some(phrase.words(PhraseLanguage::French).to_string())
}

#[test]
fn a_phrase_file_is_private_and_keeps_the_words_off_the_outputs() {
    let hoster = Hoster::start();
    let (device, invitation) = (Device::new(), hoster.invitation(PLENTY));
    let path = device.home.path().join("phrase");
    let file = path.to_str().unwrap();
    let run = sign_up(&device, &invitation, &["--json", "--phrase-out", file]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let phrase = fs::read_to_string(&path).unwrap();
    assert_eq!(phrase.split_whitespace().count(), 24);
    let document: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_phrase_is_forgotten(&device);
    assert_eq!(document["schema"], "coffre.signup/1");
    assert_eq!(document["phrase_file"]["path"], file);
    assert!(document.get("phrase").is_none());
    assert!(!run.text().contains(phrase.trim()) && !run.stderr.contains(phrase.trim()));
    let secret = invitation.split_once('#').unwrap().1;
    assert!(!run.text().contains(secret) && !run.stderr.contains(secret));
}

#[test]
fn a_phrase_file_is_never_overwritten() {
    let hoster = Hoster::start();
    let (device, invitation) = (Device::new(), hoster.invitation(PLENTY));
    let path = device.home.path().join("phrase");
    fs::write(&path, "precious").unwrap();
    let file = path.to_str().unwrap();
    let run = sign_up(&device, &invitation, &["--phrase-out", file]);
    assert_eq!(run.exit, 1, "{run:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    // Nothing was made: the invitation is still good.
    let other = Device::new();
    assert_eq!(sign_up(&other, &invitation, &[]).exit, 0);
}

#[test]
fn a_phrase_file_of_a_failed_signup_is_gone() {
    let mut hoster = Hoster::start();
    let (device, invitation) = (Device::new(), hoster.invitation(PLENTY));
    hoster.stop();
    let path = device.home.path().join("phrase");
    let run = sign_up(
        &device,
        &invitation,
        &["--phrase-out", path.to_str().unwrap()],
    );
    assert_eq!(run.exit, 4, "{run:?}");
    assert!(!path.exists());
}

#[test]
fn a_document_holds_the_words_only_without_a_file() {
    let hoster = Hoster::start();
    let device = Device::new();
    let run = sign_up(&device, &hoster.invitation(PLENTY), &["--json"]);
    assert_phrase_is_forgotten(&device);
    let document: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        document["phrase"]
            .as_str()
            .unwrap()
            .split_whitespace()
            .count(),
        24
    );
}

#[test]
fn invitations_that_are_none_are_refused_in_words() {
    let hoster = Hoster::start();
    let invitation = hoster.invitation(PLENTY);
    let cut = &invitation[..invitation.len() - 9];
    for text in [
        "",
        "https://example.org",
        "coffre://127.0.0.1:1/invite#",
        cut,
    ] {
        let device = Device::new();
        let run = sign_up(&device, text, &[]);
        assert_eq!(run.exit, 2, "{text}: {run:?}");
        assert!(
            run.stderr.contains("invitation") && run.stdout.is_empty(),
            "{run:?}"
        );
    }
}

#[test]
fn an_invitation_makes_one_account() {
    let hoster = Hoster::start();
    let invitation = hoster.invitation(PLENTY);
    assert_eq!(sign_up(&Device::new(), &invitation, &[]).exit, 0);
    let run = sign_up(&Device::new(), &invitation, &["--json"]);
    assert_eq!(run.exit, 1, "{run:?}");
    let document: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(document["code"], "invitation-used", "{document:#}");
}

/// Everything of a device's is in one directory: in that of the XDG
/// specification for state, unless another is named.
#[test]
fn state_is_where_the_environment_says() {
    let hoster = Hoster::start();
    let directory = tempfile::tempdir().unwrap();
    let home = directory.path().join("home");
    let elsewhere = directory.path().join("elsewhere");
    let named = directory.path().join("named");
    fs::create_dir(&home).unwrap();
    let (state, named) = (elsewhere.to_str().unwrap(), named.to_str().unwrap());
    for (variables, expected) in [
        (&[][..], home.join(".local/state/coffre")),
        (&[("XDG_STATE_HOME", state)], elsewhere.join("coffre")),
        (
            &[("XDG_STATE_HOME", state), ("COFFRE_HOME", named)],
            named.into(),
        ),
        // One that is not absolute counts for nothing.
        (
            &[("XDG_STATE_HOME", "relative")],
            home.join(".local/state/coffre"),
        ),
    ] {
        let coffre = |arguments: &[&str]| {
            let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_coffre"));
            command
                .env_clear()
                .env("HOME", &home)
                .envs(variables.iter().copied())
                .current_dir(directory.path())
                .args(arguments);
            command
        };
        if !expected.exists() {
            let phrase = directory.path().join("phrase");
            let phrase = phrase.to_str().unwrap();
            coffre(&["signup", "-", "--phrase-out", phrase])
                .write_stdin(hoster.invitation(PLENTY))
                .assert()
                .success();
            fs::remove_file(phrase).unwrap();
        }
        coffre(&["vault", "list"]).assert().success();
        for file in ["state.db", "device.key"] {
            assert!(expected.join(file).exists(), "{file} in {expected:?}");
        }
    }
    let names = |of: &std::path::Path| {
        let entries = fs::read_dir(of)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    };
    assert_eq!(names(&home), [".local"]);
    assert_eq!(names(&elsewhere), ["coffre"]);
    assert_eq!(names(directory.path()), ["elsewhere", "home", "named"]);
}
