//! Looking into a vault without restoring.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::LazyLock;

use data_encoding::BASE64;

use crate::hoster::{Device, Hoster, Run};
use crate::trees::plant;

/// One member with two snapshots, for all tests here: they only read.
struct Library {
    _hoster: Hoster,
    device: Device,
    tree: PathBuf,
    snapshots: [String; 2],
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempfile::tempdir().unwrap().keep();
    let tree = place.canonicalize().unwrap().join("tree");
    plant(&tree);
    let first = device.back_up(&tree);
    fs::write(
        tree.join("documents/letter.txt"),
        "Dear hoster, another one.",
    )
    .unwrap();
    fs::remove_file(tree.join("link")).unwrap();
    fs::create_dir(tree.join("new")).unwrap();
    fs::write(tree.join("new/file"), "new").unwrap();
    let second = device.back_up(&tree);
    Library {
        _hoster: hoster,
        device,
        tree,
        snapshots: [first, second],
    }
});

/// `latest:` and a path in the tree, bytes and all.
fn at(path: &[u8]) -> OsString {
    let mut text = OsString::from("latest:");
    text.push(LIBRARY.tree.join(OsStr::from_bytes(path)));
    text
}

#[test]
fn a_listing_shows_names_harmlessly() {
    let library = &*LIBRARY;
    let tree = library.tree.display();
    let run = Run::of(&mut library.device.coffre(&[OsStr::new("ls"), &at(b"")]));
    // The slash that `join` leaves at the end does no harm.
    assert_eq!(run.exit, 0, "{run:?}");
    let expected = [
        "broken link",
        "caf\\xe9",
        "documents/",
        "new/",
        "photo.raw",
        "script.sh",
        "sparse",
        "two\\x0alines \\x1b[2J",
    ];
    let expected: String = expected.map(|name| format!("{tree}/{name}\n")).concat();
    assert_eq!(run.text(), expected);
}

#[test]
fn a_long_listing_shows_what_there_is_to_know() {
    let library = &*LIBRARY;
    let [first, _] = &library.snapshots;
    let what = format!("{}:{}", &first[..8], library.tree.display());
    let run = library.device.run(&["ls", "-l", "-R", &what]);
    let line = |name: &str| {
        let end = format!("/{name}");
        let found = run.text().lines().find(|line| line.ends_with(&end));
        found
            .unwrap_or_else(|| panic!("{name}: {run:?}"))
            .to_owned()
    };
    assert!(line("script.sh").starts_with("-rwxr-x--x "), "{run:?}");
    assert!(
        line("script.sh").contains(" 10 2009-02-13 23:31 "),
        "{run:?}"
    );
    assert!(line("documents/empty/").starts_with('d'), "{run:?}");
    assert!(
        run.text().contains("/link -> documents/letter.txt\n"),
        "{run:?}"
    );
}

#[test]
fn a_listing_in_json_loses_no_byte() {
    let library = &*LIBRARY;
    let document =
        library
            .device
            .done(&["ls", "-R", &format!("latest:{}", library.tree.display())]);
    assert_eq!(document["schema"], "coffre.ls/1");
    let entries = document["entries"].as_array().unwrap();
    let entry = |end: &str| {
        let found = entries
            .iter()
            .find(|entry| entry["path"].as_str().unwrap().ends_with(end));
        found.unwrap_or_else(|| panic!("{end}: {document:#}"))
    };
    let latin = entry("/caf\u{fffd}");
    assert!(
        latin["path_bytes"]
            .as_str()
            .unwrap()
            .ends_with("2f636166e9"),
        "{latin}"
    );
    assert!(entry("two\nlines \u{1b}[2J").get("path_bytes").is_none());
    assert_eq!(entry("/script.sh")["mode"], "0751");
    assert_eq!(
        entry("/script.sh")["modified"],
        "2009-02-13T23:31:30.123456789Z"
    );
    assert_eq!(entry("/sparse")["size"], 5 << 20);
    assert_eq!(entry("/broken link")["target"]["path"], "/nowhere/at all");
    assert_eq!(
        entry("/photo.raw")["hard_link"],
        entry("/same photo.raw")["hard_link"]
    );
    assert!(entry("/photo.raw")["hard_link"].is_string());
}

#[test]
fn a_file_is_printed_byte_for_byte() {
    let library = &*LIBRARY;
    for name in [
        &b"photo.raw"[..],
        b"caf\xe9",
        b"two\nlines \x1b[2J",
        b"sparse",
    ] {
        let run = Run::of(&mut library.device.coffre(&[OsStr::new("cat"), &at(name)]));
        assert_eq!((run.exit, run.stderr.as_str()), (0, ""));
        let expected = fs::read(library.tree.join(OsStr::from_bytes(name))).unwrap();
        assert!(run.stdout == expected, "{name:?}");
    }
    let run = Run::of(
        library
            .device
            .coffre(&[OsStr::new("cat"), &at(b"caf\xe9")])
            .arg("--json"),
    );
    let document: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(document["schema"], "coffre.cat/1");
    assert_eq!(document["content"], BASE64.encode(b"latin 1"));
}

#[test]
fn a_difference_names_what_changed() {
    let library = &*LIBRARY;
    let [first, second] = &library.snapshots;
    let tree = library.tree.display();
    let run = library.device.run(&["diff", &first[..8], "latest"]);
    let expected = format!(
        "M {tree}/documents/letter.txt  (content, time)\n\
         - {tree}/link\n\
         + {tree}/new/\n\
         + {tree}/new/file\n"
    );
    assert_eq!((run.exit, run.text()), (0, expected.as_str()), "{run:?}");
    assert_eq!(run.stderr, "2 added, 1 removed, 1 modified\n");

    let document = library.device.done(&["diff", first, second]);
    let counts = ["added", "removed", "modified"].map(|name| document[name].as_u64().unwrap());
    assert_eq!(counts, [2, 1, 1]);
    let changes = document["changes"].as_array().unwrap();
    let letter = changes
        .iter()
        .find(|change| change["kind"] == "file")
        .unwrap();
    assert_eq!(letter["aspects"], serde_json::json!(["content", "time"]));
    assert_ne!(letter["before"]["size"], letter["after"]["size"]);
    let run = library.device.run(&["diff", "latest", "latest"]);
    assert_eq!((run.exit, run.text()), (0, ""));
}

#[test]
fn finding_tells_versions_apart() {
    let library = &*LIBRARY;
    let [first, second] = &library.snapshots;
    let document = library.device.done(&["find", "letter.*"]);
    let matches = document["matches"].as_array().unwrap();
    assert_eq!(matches.len(), 1, "{document:#}");
    let versions = matches[0]["versions"].as_array().unwrap();
    let ranges: Vec<_> = versions
        .iter()
        .map(|version| [&version["first_snapshot"], &version["last_snapshot"]])
        .collect();
    assert_eq!(
        ranges,
        [[&first[..], &first[..]], [&second[..], &second[..]]]
    );

    let gone = library.device.done(&["find", "link"]);
    assert_eq!(
        gone["matches"][0]["versions"][0]["last_snapshot"],
        first.as_str()
    );
    let kept = library.device.done(&["find", "photo.raw"]);
    assert_eq!(
        kept["matches"][0]["versions"][0]["snapshots"], 2,
        "{kept:#}"
    );
    let run = library.device.run(&["find", "**/new/*"]);
    let lines: Vec<&str> = run.text().lines().collect();
    assert_eq!(lines.len(), 2, "{run:?}");
    assert_eq!(lines[0], format!("{}/new/file", library.tree.display()));
    assert!(lines[1].contains(&second[..8]) && lines[1].ends_with("(in 1 snapshot)"));
    let run = library.device.run(&["find", "no such name"]);
    assert_eq!((run.exit, run.text()), (0, ""));
}

#[test]
fn what_is_not_there_is_said_so() {
    let device = &LIBRARY.device;
    for (arguments, words) in [
        (&["ls", "0123456789"][..], "no snapshot"),
        (&["cat", "latest:/no/such/file"], "nothing at"),
        (&["cat", "latest:/"], "not a file"),
        (&["cat", "latest"], "SNAPSHOT:/path"),
        (&["snapshots", "--series", "none"], "no series"),
        (
            &["restore", "latest:relative", "--to", "/tmp/x"],
            "begins with a slash",
        ),
    ] {
        let run = device.run(arguments);
        assert_eq!(run.exit, 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(words), "{arguments:?}: {run:?}");
    }
}

#[test]
fn snapshots_are_listed_oldest_first() {
    let library = &*LIBRARY;
    let run = library.device.run(&["snapshots"]);
    let ids: Vec<&str> = run.text().lines().skip(1).map(|line| &line[..8]).collect();
    let [first, second] = &library.snapshots;
    assert_eq!(ids, [&first[..8], &second[..8]], "{run:?}");
    assert!(
        run.text()
            .contains(&format!("laptop:{}", library.tree.display())),
        "{run:?}"
    );
}

#[test]
fn status_and_stats_add_up() {
    let library = &*LIBRARY;
    let status = library.device.done(&["status"]);
    assert_eq!(status["hoster_reachable"], true);
    assert_eq!(status["device_name"], "laptop");
    let vault = &status["vaults"][0];
    assert_eq!(vault["name"], "papers");
    assert_eq!(
        vault["series"][0]["snapshot"],
        library.snapshots[1].as_str()
    );
    assert!(vault["series"][0]["age_seconds"].as_u64().unwrap() < 600);
    let stats = library.device.done(&["stats"]);
    assert_eq!(
        (&stats["snapshots"], &stats["series"]),
        (&2.into(), &1.into())
    );
    assert!(stats["pack_bytes"].as_u64() <= stats["usage"]["committed_bytes"].as_u64());
    assert!(stats["packs"].as_u64().unwrap() > 0, "{stats:#}");
    let text = library.device.run(&["status"]);
    assert!(text.text().contains("papers  just now"), "{text:?}");
}
