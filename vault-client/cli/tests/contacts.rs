//! Contacts: who is who.

use crate::hoster::{Device, Hoster};
use crate::members::{Member, text};

fn address(device: &Device, name: &str) -> String {
    text(&device.done(&["whoami", "--name", name]), "address")
}

/// The same name and place, in front of another's key.
fn forged(name_of: &str, key_of: &str) -> String {
    let (name, _) = name_of.split_once('#').unwrap();
    let (_, key) = key_of.split_once('#').unwrap();
    format!("{name}#{key}")
}

#[test]
fn nobody_takes_the_name_of_a_contact() {
    let hoster = Hoster::start();
    let [marie, bob, carole] = [0; 3].map(|_| hoster.member());
    let (his, hers) = (address(&bob, "bob"), address(&carole, "carole"));
    let second = forged(&his, &hers);
    for is_known in [false, true] {
        marie.done(&["contact", "add", &his]);
        if is_known {
            marie.done(&["contact", "add", &hers]);
        }
        let before = marie.done(&["contact", "list"]);
        let (exit, refused) = marie.json(&["contact", "add", &second]);
        assert_eq!(exit, 2, "{refused:#}");
        let message = text(&refused, "message");
        for whole in [&his, &second] {
            assert!(message.contains(whole.as_str()), "{refused:#}");
        }
        assert_eq!(marie.done(&["contact", "list"]), before);
    }
    // Whoever is another's contact no more makes room for it.
    marie.done(&["contact", "remove", "bob", "--yes"]);
    let run = marie.run(&["contact", "add", &second]);
    assert!(
        run.exit == 0 && run.stderr.contains("this is carole, who is called bob"),
        "{run:?}"
    );
}

#[test]
fn a_contact_is_forgotten_and_stays_a_member() {
    let hoster = Hoster::start();
    let marie = Member::new(&hoster);
    let paul = hoster.member();
    let his = address(&paul, "paul");
    address(&marie.device, "marie");
    marie.device.done(&["share", "papers", &his]);
    let run = marie.device.run(&["contact", "remove", "paul"]);
    assert!(run.exit == 2 && run.stderr.contains("--yes"), "{run:?}");
    let run = marie.device.run(&["contact", "remove", "paul", "--yes"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.stderr.contains("is a member of papers"), "{run:?}");
    let listed = marie.device.done(&["contact", "list"]);
    assert_eq!(listed["contacts"].as_array().unwrap().len(), 0);
    // What it says ends it.
    let at = run.stderr.find("unshare VAULT ").unwrap();
    let account = &run.stderr[at + "unshare VAULT ".len()..][..64];
    marie.device.done(&["unshare", "papers", account]);
    let (exit, _) = marie.device.json(&["contact", "remove", "paul", "--yes"]);
    assert_eq!(exit, 2);
}

#[test]
fn quiet_shows_the_address_and_nothing_else() {
    let hoster = Hoster::start();
    let marie = hoster.member();
    let hers = address(&marie, "marie");
    let run = marie.run(&["whoami", "-q"]);
    assert_eq!((run.text().trim_end(), &*run.stderr), (&*hers, ""));
}

#[test]
fn a_number_is_asked_about_and_not_told() {
    let hoster = Hoster::start();
    let (marie, paul) = (hoster.member(), hoster.member());
    let his = address(&paul, "paul");
    let run = marie.run(&["contact", "verify", &his]);
    assert!(
        run.exit == 0 && !run.stderr.contains("paul sees the same number"),
        "{run:?}"
    );
    assert!(run.stderr.contains("only if they are the same"), "{run:?}");
    marie.done(&["contact", "verify", "paul", "--same"]);
    let run = marie.run(&["contact", "list"]);
    assert!(run.text().contains("verified"), "{run:?}");
}
