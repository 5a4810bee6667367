//! Devices that go, and names that they cannot have.

use crate::hoster::{Device, Hoster};
use crate::members::{Member, pair, place, text};

#[test]
fn what_a_removal_left_over_is_done_by_the_same_command() {
    let (home, mut elsewhere) = (Hoster::start(), Hoster::start());
    let (paul, marie) = (Member::new(&home), Member::new(&elsewhere));
    marie.device.done(&["whoami", "--name", "marie"]);
    paul.device.done(&["whoami", "--name", "paul"]);
    marie
        .device
        .done(&["share", "papers", &paul.address(), "--role", "writer"]);
    paul.device.done(&["share", "accept", "--name", "of marie"]);
    let second = Device::new();
    pair(&paul.device, &second, &place(&home));
    marie.assert_restored_by(&second, &["--vault", "of marie"]);

    // It is down meanwhile.
    elsewhere.restarted(|_| {
        let run = paul.device.run(&["device", "remove", "desktop"]);
        assert_eq!(run.exit, 3, "{run:?}");
        assert!(run.stderr.contains("still lets it in"), "{run:?}");
        assert!(!run.text().contains("lets it in no more"), "{run:?}");
        assert!(run.text().contains("not out everywhere yet"), "{run:?}");
    });
    let run = paul.device.run(&["device", "remove", "desktop"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.text().contains("lets it in no more"), "{run:?}");
    // Another device of that name is the one that is meant.
    pair(&paul.device, &Device::new(), &place(&home));
    let removed = paul.device.done(&["device", "remove", "desktop"]);
    let listed = paul.device.done(&["device", "list"]);
    let last = listed["devices"].as_array().unwrap().last().unwrap();
    assert_eq!(last["id"], removed["device"], "{listed:#}");
    assert!(last["removed_seq"].is_number(), "{listed:#}");
    // Two that are out are no longer told apart by it.
    let (exit, refused) = paul.device.json(&["device", "remove", "desktop"]);
    assert_eq!(exit, 2, "{refused:#}");
}

#[test]
fn a_removed_device_is_told_what_it_may_be() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let second = Device::new();
    pair(&member.device, &second, &place(&hoster));
    member.device.done(&["device", "remove", "desktop"]);
    let tree = member.tree.to_str().unwrap();
    for command in [
        &["status"][..],
        &["snapshots"],
        &["backup", tree],
        &["device", "list"],
        &["vault", "create", "more"],
        &["whoami", "--name", "paul"],
        &["check"],
    ] {
        let (exit, refused) = second.json(command);
        assert_eq!(exit, 1, "{command:?}: {refused:#}");
        assert_eq!(
            refused["code"], "device-unknown",
            "{command:?}: {refused:#}"
        );
        let hint = text(&refused, "hint");
        assert!(hint.contains("device list"), "{command:?}: {refused:#}");
    }
}

#[test]
fn paper_is_what_the_words_are_called() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let device = &member.device;
    let (exit, refused) = device.json(&["device", "rename", "laptop", "paper"]);
    assert_eq!(exit, 2, "{refused:#}");
    assert!(text(&refused, "message").contains("paper"), "{refused:#}");
    device.done(&["device", "rename", "paper", "in the drawer"]);
    device.done(&["device", "rename", "in the drawer", "paper"]);

    let phrase = member.phrase_file();
    let remove = ["device", "remove", "paper", "--phrase-file", &phrase];
    let (exit, refused) = device.json(&remove);
    assert_eq!(exit, 2, "{refused:#}");
    let message = text(&refused, "message");
    assert!(message.contains("only recovery phrase"), "{refused:#}");
    assert!(text(&refused, "hint").contains("phrase new"), "{refused:#}");
}
