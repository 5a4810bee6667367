//! What has come a long way: a code, a link, an invitation, the words.

use std::fs;

use crate::hoster::{Device, Hoster, PLENTY, Run};
use crate::members::{Member, place, text};

/// As a mail may quote it.
pub(crate) fn wrapped(url: &str) -> String {
    let letters: Vec<_> = url.chars().collect();
    let lines: Vec<String> = letters
        .chunks(30)
        .map(|line| line.iter().collect())
        .collect();
    format!("<{}>\n", lines.join("\n  "))
}

#[test]
fn an_invitation_and_a_link_are_read_off_a_mail() {
    let hoster = Hoster::start();
    let device = Device::new();
    let invitation = wrapped(&hoster.invitation(PLENTY));
    let words = device.home.path().join("words");
    let words = words.to_str().unwrap();
    let run = Run::of(
        device
            .coffre(&["signup", "-", "--phrase-out", words])
            .write_stdin(invitation),
    );
    assert_eq!(run.exit, 0, "{run:?}");

    let member = Member::new(&hoster);
    let path = format!("latest:{}", member.tree.join("script.sh").display());
    let link = member.device.done(&["link", "create", &path]);
    let url = text(&link, "url");
    let target = tempfile::tempdir().unwrap();
    for (at, argument) in ["-", &format!(" « {url} » ")].into_iter().enumerate() {
        let to = target.path().join(at.to_string());
        let run = Run::of(
            device
                .coffre(&["link", "get", argument, "--to", to.to_str().unwrap()])
                .write_stdin(wrapped(&url)),
        );
        assert_eq!(run.exit, 0, "{run:?}");
    }
    // One that lacks something is none, however long it is waited for.
    let half = &wrapped(&url)[..60];
    let run = Run::of(
        device
            .coffre(&["link", "get", "-", "--to", "nowhere"])
            .write_stdin(half),
    );
    assert!(run.exit == 2 && run.stderr.contains("no link"), "{run:?}");
}

#[test]
fn a_code_is_read_off_a_mail() {
    // Where nobody has an account: that it is read is all.
    let device = Device::new();
    let code = "coffre-pair:CAESIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBGiACAgICAg\
                ICAgICAgICAgICAgICAgICAgICAgICAgICAg";
    let pair = |argument: &str, typed: &str| {
        let mut command = device.coffre(&["device", "pair", argument]);
        Run::of(command.write_stdin(typed)).exit
    };
    assert_eq!(pair(code, ""), 10);
    assert_eq!(pair(&wrapped(code), ""), 10);
    assert_eq!(pair("-", &wrapped(code)), 10);
    assert_eq!(pair("-", &wrapped(code)[..60]), 2, "a damaged one");
}

#[test]
fn the_words_are_read_with_their_numbers() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let phrase = member.phrase_file();
    let words = fs::read_to_string(&phrase).unwrap();
    let numbered: Vec<_> = words
        .split_whitespace()
        .enumerate()
        .map(|(at, word)| format!("{} {word}", at + 1))
        .collect();
    for between in [" ", "\n"] {
        fs::write(&phrase, numbered.join(between)).unwrap();
        let check = ["phrase", "check", "--phrase-file", &phrase];
        member.device.done(&check);
    }
    let new = Device::new();
    let recover = ["recover", &place(&hoster), "--phrase-file", &phrase];
    new.done(&recover);
}
