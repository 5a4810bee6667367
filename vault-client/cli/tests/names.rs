//! What others call things: files, series, vaults, devices. On a terminal, in a
//! pipe and in a document, none of it is anything but text.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;
use vault_client::account::{Account, Setup};
use vault_client::platform::{Rng, SystemRandomness};
use vault_core::author::AccountAuthor;
use vault_core::keys::{AccountSecrets, DeviceKeys};
use vault_proto::account_log::AccountLog;

use crate::hoster::{Device, Hoster, PLENTY, Run};
use crate::terminal::screen;

/// Names that files can have: they set the title, ring, go up and erase, ask the
/// terminal for an answer, colour (with C1 controls, as bytes and as characters),
/// and turn the direction of text.
const NAMES: [&[u8]; 6] = [
    b"title \x1b]0;owned\x07",
    b"gone \r\x1b[1A\x1b[2Kanother",
    b"asks \x1b[6n\x1b[c",
    b"bytes \x9b31m\x9d0;owned\x9c",
    b"characters \xc2\x9b31m\xc2\x9d0;owned\xc2\x9c\x7f",
    b"photo\xe2\x80\xaegpj.exe\xd8\x9c\xe2\x80\xa8",
];

/// How they are shown.
const SHOWN: [&str; 6] = [
    "title \\x1b]0;owned\\x07",
    "gone \\x0d\\x1b[1A\\x1b[2Kanother",
    "asks \\x1b[6n\\x1b[c",
    "bytes \\x9b31m\\x9d0;owned\\x9c",
    "characters \\u{9b}31m\\u{9d}0;owned\\u{9c}\\x7f",
    "photo\\u{202e}gpj.exe\\u{61c}\\u{2028}",
];

/// What is left to who names vaults and series, since names with control characters
/// are no names there.
const TURNED: &str = "papers\u{202e}sreppa\u{2066}\u{61c}\u{2028}";
const TURNED_SHOWN: &str = "papers\\u{202e}sreppa\\u{2066}\\u{61c}\\u{2028}";

/// What a name would do that has control characters all the same.
const TITLE: &str = "title \u{1b}]0;owned\u{7}\r";
const TITLE_SHOWN: &str = "title \\x1b]0;owned\\x07\\x0d";

/// Parts that the program itself never writes to a terminal.
const FOREIGN: [&[u8]; 5] = [b"\x1b]", b"\x07", b"\x1b[2Kanother", b"\x1b[6n", b"\x1b[c"];

/// Whether a character does nothing but stand where it is written.
fn is_text(character: char) -> bool {
    let turns = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !character.is_control() && !turns
}

/// Lines of text, and nothing else.
#[track_caller]
fn text(bytes: &[u8]) -> String {
    let shown = || bytes.escape_ascii().to_string();
    let text = std::str::from_utf8(bytes).unwrap_or_else(|_| panic!("{}", shown()));
    let is_text = |character| is_text(character) || character == '\n';
    assert!(text.chars().all(is_text), "{}", shown());
    text.to_owned()
}

/// Lines of text, once what the program itself draws with is taken away: colours,
/// and the erasing of its own bar.
#[track_caller]
fn drawn_text(bytes: &[u8]) -> String {
    for foreign in FOREIGN {
        let is_there = bytes.windows(foreign.len()).any(|window| window == foreign);
        assert!(!is_there, "{}", bytes.escape_ascii());
    }
    let mut plain = Vec::new();
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'\r' => {}
            0x1b => {
                assert_eq!(rest.next(), Some(b'['), "{}", bytes.escape_ascii());
                let _drawing = rest.find(u8::is_ascii_alphabetic);
            }
            other => plain.push(other),
        }
    }
    text(&plain)
}

fn arguments<S: AsRef<OsStr>>(arguments: &[S]) -> Vec<OsString> {
    arguments
        .iter()
        .map(|one| one.as_ref().to_owned())
        .collect()
}

/// Runs it on a terminal, in a pipe, and for a document: what is seen on the
/// terminal, and the document.
#[track_caller]
fn seen<S: AsRef<OsStr>>(device: &Device, command: &[S]) -> (String, Value) {
    let seen = drawn_text(&screen(device, command, ""));
    let run = Run::of(&mut device.coffre(command));
    text(&run.stdout);
    text(run.stderr.as_bytes());
    let run = Run::of(device.coffre(command).arg("--json"));
    text(&run.stdout);
    text(run.stderr.as_bytes());
    let document = serde_json::from_slice(&run.stdout).unwrap_or(Value::Null);
    (seen, document)
}

#[track_caller]
fn assert_in(seen: &str, shown: &[&str]) {
    for shown in shown {
        assert!(seen.contains(shown), "{shown:?} in {seen}");
    }
}

/// A file of every name, one more directory, and what no restore makes unasked.
fn plant(tree: &Path) {
    let at = |name: &[u8]| tree.join(OsStr::from_bytes(name));
    fs::create_dir_all(tree).unwrap();
    for name in NAMES {
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at(TITLE.as_bytes())).unwrap();
    symlink(OsStr::from_bytes(NAMES[3]), at(b"a link")).unwrap();
    let fifo = at(&[&b"fifo "[..], NAMES[1]].concat());
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

/// Two members, and a vault that the first has shared with the second: its name,
/// its series and all that is in it are his.
struct Gift {
    _hoster: Hoster,
    mallory: Device,
    paul: Device,
    place: tempfile::TempDir,
    snapshots: [String; 2],
}

impl Gift {
    fn new() -> Self {
        let hoster = Hoster::start();
        let (mallory, paul) = (hoster.member(), hoster.member());
        mallory.done(&["whoami", "--name", "mallory"]);
        paul.done(&["whoami", "--name", "paul"]);
        mallory.done(&["vault", "create", TURNED]);
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().canonicalize().unwrap().join("tree");
        plant(&tree);
        let back_up = || {
            let tree = tree.to_str().unwrap();
            let made = mallory.done(&["backup", tree, "--series", TURNED]);
            made["snapshot"].as_str().unwrap().to_owned()
        };
        let first = back_up();
        fs::write(tree.join(OsStr::from_bytes(NAMES[0])), "changed").unwrap();
        fs::remove_file(tree.join(OsStr::from_bytes(NAMES[1]))).unwrap();
        let second = back_up();
        Self {
            _hoster: hoster,
            mallory,
            paul,
            place,
            snapshots: [first, second],
        }
    }

    fn tree(&self) -> PathBuf {
        self.place.path().canonicalize().unwrap().join("tree")
    }

    fn share(&self) {
        let whoami = self.paul.done(&["whoami"]);
        let address = whoami["address"].as_str().unwrap();
        let command = ["share", TURNED, address, "--role", "manager"];
        let (seen, _) = seen(&self.mallory, &command);
        assert_in(&seen, &[TURNED_SHOWN]);
    }

    /// A snapshot, and a path in its tree.
    fn at(&self, snapshot: &str, name: &[u8]) -> OsString {
        let mut what = OsString::from(format!("{snapshot}:"));
        what.push(self.tree().join(OsStr::from_bytes(name)));
        what
    }
}

#[test]
fn a_vault_that_somebody_else_has_named_and_filled_writes_to_no_terminal() {
    let gift = Gift::new();
    gift.share();
    let paul = &gift.paul;
    let (seen_offer, offers) = seen(paul, &["share", "list"]);
    assert_in(&seen_offer, &[TURNED_SHOWN]);
    assert_eq!(offers["offers"][0]["vault_name"], TURNED);
    let offer = offers["offers"][0]["id"].as_str().unwrap();
    let taken = drawn_text(&screen(paul, &["share", "accept", offer], ""));
    assert_in(&taken, &[TURNED_SHOWN]);

    let [first, second] = &gift.snapshots;
    for command in [
        &["vault", "list"][..],
        &["stats"],
        &["status"],
        &["snapshots"],
    ] {
        let (seen, document) = seen(paul, command);
        assert_in(&seen, &[TURNED_SHOWN]);
        assert!(document.to_string().contains(TURNED), "{document}");
    }
    let (_, members) = seen(paul, &["vault", "members", TURNED]);
    assert_eq!(members["vault"]["name"], TURNED);
    seen(paul, &["contact", "list"]);

    let (listed, document) = seen(paul, &["ls", "-l", "-R", first]);
    assert_in(&listed, &SHOWN);
    assert_in(&listed, &[TITLE_SHOWN, &format!("-> {}", SHOWN[3])]);
    let entries = document["entries"].as_array().unwrap();
    let is_listed = |name: &[u8]| {
        entries.iter().any(|entry| {
            let path = entry["path"].as_str().unwrap();
            path.ends_with(&*String::from_utf8_lossy(name))
        })
    };
    assert!(NAMES.into_iter().all(is_listed), "{document:#}");
    let (found, _) = seen(paul, &["find", "*"]);
    assert_in(&found, &SHOWN);
    let (changed, _) = seen(paul, &["diff", first, second]);
    assert_in(&changed, &[SHOWN[0], SHOWN[1]]);
    seen(paul, &["check", "--read-data"]);

    let what = gift.at(second, NAMES[2]);
    let link = arguments(&[OsStr::new("link"), OsStr::new("create"), &what]);
    let (_, made) = seen(paul, &link);
    assert!(made["url"].is_string(), "{made:#}");
    let (links, _) = seen(paul, &["link", "list"]);
    assert_in(&links, &[SHOWN[2]]);
}

#[test]
fn what_is_said_of_a_file_is_text_whatever_it_is_called() {
    let gift = Gift::new();
    // Whoever runs these has chosen none of the names.
    let device = &gift.mallory;
    let target = gift.place.path().join("target");
    let what = OsString::from(format!("latest:{}", gift.tree().display()));
    let restore = arguments(&[
        OsStr::new("restore"),
        &what,
        OsStr::new("--to"),
        target.as_os_str(),
    ]);
    let (restored, document) = seen(device, &restore);
    assert_in(&restored, &[&format!("fifo {}", SHOWN[1])]);
    let left_out = document["left_out_entries"].as_array().unwrap();
    let is_special = |entry: &Value| entry["reason"] == "special-file";
    assert!(left_out.iter().any(is_special), "{document:#}");

    let missing = gift.place.path().join(OsStr::from_bytes(NAMES[1]));
    let backup = arguments(&[
        OsStr::new("backup"),
        target.as_os_str(),
        missing.as_os_str(),
    ]);
    let (saved, _) = seen(device, &backup);
    assert_in(&saved, &[&format!("{}: ", SHOWN[1])]);
    // And nothing there at all.
    let backup = arguments(&[OsStr::new("backup"), missing.as_os_str()]);
    let (refused, _) = seen(device, &backup);
    assert_in(&refused, &["gone \\x0d\\x1b[1A", "no such file"]);

    let all = NAMES.join(&b' ');
    let (name, at) = (OsStr::from_bytes(&all), gift.at("latest", &all));
    let option = [&b"--"[..], &all].concat();
    for command in [
        &[OsStr::new("ls"), &at][..],
        &[OsStr::new("cat"), &at],
        &[OsStr::new("snapshots"), OsStr::new("--series"), name],
        &[OsStr::new("stats"), OsStr::new("--vault"), name],
        &[OsStr::new("device"), OsStr::new("remove"), name],
        &[OsStr::new("contact"), OsStr::new("add"), name],
        &[OsStr::new("link"), OsStr::new("revoke"), name],
        // What a shell has filled in for a star.
        &[OsStr::new("ls"), name],
        &[OsStr::new("vault"), name],
        &[name],
        &[OsStr::from_bytes(&option)],
    ] {
        let (seen, _) = seen(device, command);
        assert!(!seen.is_empty(), "{command:?}");
    }
}

#[test]
fn a_question_shows_what_it_is_about_as_text() {
    let gift = Gift::new();
    let asked = screen(&gift.mallory, &["vault", "delete", TURNED], "n\r");
    let asked = drawn_text(&asked);
    assert_in(&asked, &[&format!("Delete {TURNED_SHOWN}")]);
    let listed = gift.mallory.done(&["vault", "list"]);
    assert_eq!(listed["vaults"][0]["name"], TURNED);
}

#[test]
fn names_with_control_characters_are_refused_where_they_are_given() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().to_str().unwrap();
    let invitation = hoster.invitation(PLENTY);
    let new = Device::new();
    for (device, command) in [
        (&device, &["vault", "create", TITLE][..]),
        (&device, &["vault", "rename", "papers", TITLE]),
        (&device, &["device", "rename", "laptop", TITLE]),
        (&device, &["whoami", "--name", TITLE]),
        (&device, &["whoami", "--name", TURNED]),
        (&device, &["backup", tree, "--series", TITLE]),
        (&new, &["signup", &invitation, "--device", TITLE]),
    ] {
        let (shown, document) = seen(device, command);
        assert_eq!(document["exit_code"], 2, "{document:#}");
        assert!(shown.contains("coffre:"), "{shown}");
    }
}

/// Names the device as one does that asks nobody: the hoster cannot read it.
fn name(device: &Device, name: &str) {
    let setup = Setup::new(device.home.path()).unwrap();
    let account = Account::open(&setup).unwrap();
    let secret = fs::read(device.home.path().join("device.key")).unwrap();
    let keys = DeviceKeys::from_secret_bytes(&secret).unwrap();
    let remote = account.remote();
    let answer = remote.fetch_account_log(&account.id(), 0).unwrap();
    let (genesis, rest) = answer.entries.split_first().unwrap();
    let mut log = AccountLog::verify_genesis(genesis).unwrap();
    for entry in rest {
        log.append(entry).unwrap();
    }
    let secrets = AccountSecrets::open(&log, &keys).unwrap();
    let author = AccountAuthor {
        log: &log,
        secrets: &secrets,
        device: &keys,
    };
    let mut rng = Rng::new(Arc::new(SystemRandomness));
    let entry = author.rename_device(&keys.id(), name, &mut rng).unwrap();
    remote.append_account_entry(&entry).unwrap();
}

/// A device of the account, stolen perhaps, has given itself a name that no program
/// of ours would have let through.
#[test]
fn a_device_that_has_named_itself_writes_to_no_terminal() {
    let hoster = Hoster::start();
    let device = hoster.member();
    name(&device, TITLE);
    let (listed, document) = seen(&device, &["device", "list"]);
    assert_in(&listed, &[TITLE_SHOWN]);
    let devices = document["devices"].as_array().unwrap();
    assert!(devices.iter().any(|listed| listed["name"] == TITLE));
    let (renamed, _) = seen(&device, &["device", "rename", TITLE, "laptop"]);
    assert_in(&renamed, &[&format!("{TITLE_SHOWN} is called laptop")]);
}
