//! French where the locale is, and in no document.

use std::fs;

use crate::hoster::{Device, Hoster, PLENTY, Run};
use crate::signup::words;

fn in_french(device: &Device, arguments: &[&str]) -> Run {
    Run::of(device.coffre(arguments).env("LC_ALL", "fr_FR.UTF-8"))
}

#[test]
fn a_french_locale_is_spoken_to_in_french() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papiers"]);
    let run = in_french(&device, &["snapshots"]);
    assert_eq!(run.text(), "pas encore d’instantané\n", "{run:?}");
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap();
    fs::write(tree.join("lettre.txt"), "Cher hébergeur").unwrap();
    let missing = tree.join("absente");
    let paths = [tree.join("lettre.txt"), missing];
    let paths = paths.each_ref().map(|path| path.to_str().unwrap());
    let run = in_french(&device, &["backup", paths[0], paths[1]]);
    assert_eq!(run.exit, 3, "{run:?}");
    assert!(run.text().starts_with("instantané "), "{run:?}");
    assert!(run.text().contains(" : 1 fichier, 15 o ; ") && run.text().ends_with("1 omis\n"));
    assert_eq!(run.stderr, format!("omis : {} : disparu\n", paths[1]));
    let run = in_french(&device, &["snapshots"]);
    assert!(run.text().starts_with("INSTANTANÉ"), "{run:?}");
    for (arguments, text) in [
        (&["status"][..], "DERNIÈRE SAUVEGARDE"),
        (&["stats"], "en 1 série,"),
        (&["check"], "aucun problème"),
        (&["vault", "list"], "COFFRE"),
    ] {
        let run = in_french(&device, arguments);
        assert!(run.exit == 0 && run.text().contains(text), "{run:?}");
    }
    let run = in_french(&device, &["ls", "0123456789"]);
    let begins = "coffre : demande incorrecte (no snapshot";
    assert!(run.stderr.starts_with(begins), "{run:?}");
    assert!(
        run.stderr.contains("`coffre snapshots` les liste"),
        "{run:?}"
    );
}

#[test]
fn documents_are_the_same_in_every_locale() {
    let device = Device::new();
    let run = in_french(&device, &["snapshots", "--json"]);
    assert_eq!(run.text(), device.run(&["snapshots", "--json"]).text());
    assert_eq!(run.exit, 10);
}

#[test]
fn a_language_of_its_own_comes_before_the_locale() {
    let device = Device::new();
    let mut command = device.coffre(&["snapshots"]);
    let run = Run::of(
        command
            .env("LC_ALL", "fr_FR.UTF-8")
            .env("COFFRE_LANG", "en"),
    );
    assert_eq!(run.stderr, device.run(&["snapshots"]).stderr);
}

#[test]
fn the_words_are_in_the_language_of_the_messages() {
    let hoster = Hoster::start();
    let device = Device::new();
    let invitation = hoster.invitation(PLENTY);
    let mut command = device.coffre(&["signup", "-"]);
    let run = Run::of(command.env("LANG", "fr_FR.UTF-8").write_stdin(invitation));
    assert!(
        run.text().starts_with("Votre phrase de récupération :"),
        "{run:?}"
    );
    let words = words(run.text()).join(" ");
    assert_eq!(
        crate::signup::as_french(&words).as_deref(),
        Some(&words[..]),
        "{run:?}"
    );
}
