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
}

/// All that is printed when it fails, in French: from the library, from the hoster, from
/// the system and from the program.
#[test]
fn why_it_fails_is_told_in_french() {
    let mut hoster = Hoster::start();
    let nobody = Device::new();
    let fails = |device: &Device, arguments: &[&str], exit: i32, told: &str| {
        let run = in_french(device, arguments);
        assert_eq!((run.exit, &run.stderr[..]), (exit, told), "{run:?}");
    };
    fails(
        &nobody,
        &["snapshots"],
        10,
        "coffre : il n’y a pas encore de compte sur cet appareil\n  \
         inscrivez-vous d’abord : `coffre signup URL` avec l’invitation d’un hébergeur\n",
    );
    let hint = "une invitation est une ligne qui commence par coffre:// ; copiez-la en entier";
    let half = "coffre://localhost:1/invite#CAES";
    fails(
        &nobody,
        &["signup", half],
        2,
        &format!(
            "coffre : ce n’est pas une invitation : l’invitation est abîmée : \
             ce n’est pas un encodage valable\n  {hint}\n"
        ),
    );

    let invitation = hoster.invitation(PLENTY);
    let signs_up = |device: &Device| {
        let words = device.home.path().join("mots");
        let words = words.to_str().unwrap();
        in_french(device, &["signup", &invitation, "--phrase-out", words])
    };
    let device = Device::new();
    assert_eq!(signs_up(&device).exit, 0);
    let run = signs_up(&nobody);
    assert_eq!(
        run.stderr,
        "coffre : l’hébergeur a refusé : L’invitation a déjà été utilisée. \
         Demandez-en une autre à l’hébergeur.\n  demandez-en une autre à l’hébergeur\n",
        "{run:?}"
    );

    device.done(&["vault", "create", "papiers"]);
    fails(
        &device,
        &["ls", "0123456789"],
        2,
        "coffre : il n’y a pas d’instantané « 0123456789 »\n  `coffre snapshots` les liste\n",
    );
    let place = tempfile::tempdir().unwrap();
    let words = place.path().join("mots");
    let check = ["phrase", "check", "--phrase-file", words.to_str().unwrap()];
    let file = words.display();
    fails(
        &device,
        &check,
        1,
        &format!("coffre : {file} : fichier ou répertoire introuvable (erreur système 2)\n"),
    );
    fs::create_dir(&words).unwrap();
    fails(
        &device,
        &check,
        1,
        &format!("coffre : {file} : est un répertoire (erreur système 21)\n"),
    );
    fs::remove_dir(&words).unwrap();
    let hint = "24 mots dans l’ordre du papier, tous anglais ou tous français";
    for (typed, why) in [
        (
            "un deux trois",
            "une phrase de récupération a 24 mots, et non 3",
        ),
        (
            &"abandon ".repeat(24),
            "les mots ne vont pas ensemble : l’un est faux, ou deux sont échangés",
        ),
    ] {
        fs::write(&words, typed).unwrap();
        fails(&device, &check, 12, &format!("coffre : {why}\n  {hint}\n"));
    }

    hoster.stop();
    fails(
        &device,
        &["vault", "list"],
        4,
        "coffre : l’hébergeur est injoignable : connexion refusée (erreur système 111)\n  \
         vérifiez la connexion et réessayez\n",
    );
}

#[test]
fn documents_are_the_same_in_every_locale() {
    let device = Device::new();
    let run = in_french(&device, &["snapshots", "--json"]);
    assert_eq!(run.text(), device.run(&["snapshots", "--json"]).text());
    assert_eq!(run.exit, 10);
    let run = in_french(&device, &["snapshots", "--progress", "json"]);
    let english = device.run(&["snapshots", "--progress", "json"]);
    assert!(run.stderr.starts_with('{'), "{run:?}");
    assert_eq!(run.stderr, english.stderr);
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
