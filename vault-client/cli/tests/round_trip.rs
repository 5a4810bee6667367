//! Backups, and the way back.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tempfile::tempdir;

use crate::hoster::{Device, Hoster, Run};
use crate::trees::{assert_same, look, noise, plant};

/// A member with a vault, and a planted directory.
fn ready() -> (Hoster, Device, tempfile::TempDir, PathBuf) {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempdir().unwrap();
    // Snapshots keep paths as they really are.
    let tree = place.path().canonicalize().unwrap().join("tree");
    plant(&tree);
    (hoster, device, place, tree)
}

/// Bytes of a file of several chunks.
const LONG: usize = 14_000_000;

fn restore(device: &Device, snapshot: &str, tree: &Path, target: &Path, more: &[&str]) -> Run {
    let what = format!("{snapshot}:{}", tree.display());
    let mut command = device.coffre(&["restore", &what, "--to"]);
    Run::of(command.arg(target).arg("--json").args(more))
}

#[test]
fn every_snapshot_comes_back_as_it_was() {
    let (_hoster, device, place, tree) = ready();
    let path = tree.to_str().unwrap();
    // Long enough to be cut where it was again after what is put in front, wherever this
    // vault cuts: a chunk has at most 4 MiB.
    fs::write(tree.join("photo.raw"), noise(1, LONG)).unwrap();
    let first = device.done(&["backup", path]);
    let at_first = look(&tree);
    assert_eq!(first["files"], 8, "{first:#}");
    assert_eq!(first["left_out"], 0);
    assert_eq!(first["left_out_entries"].as_array().unwrap().len(), 0);
    assert!(
        first["new_bytes"].as_u64().unwrap() > 3_000_000,
        "{first:#}"
    );
    assert!(
        first["uploaded_bytes"].as_u64().unwrap() > 3_000_000,
        "{first:#}"
    );
    assert!(first["rpcs"].as_u64().unwrap() > 0 && first["seconds"].as_f64().unwrap() > 0.0);

    // Nothing changed, and it is a snapshot all the same.
    let second = device.done(&["backup", path]);
    assert_ne!(second["snapshot"], first["snapshot"]);
    assert_eq!(
        (&second["files"], &second["bytes"]),
        (&first["files"], &first["bytes"])
    );
    assert!(second["new_bytes"].as_u64().unwrap() < 20_000, "{second:#}");
    assert!(
        second["uploaded_bytes"].as_u64().unwrap() < 100_000,
        "{second:#}"
    );

    // Bytes in front of a file, a renaming, a deletion, something new.
    let mut photo = b"inserted".to_vec();
    photo.extend(noise(1, LONG));
    fs::write(tree.join("photo.raw"), photo).unwrap();
    fs::rename(tree.join("documents"), tree.join("papers")).unwrap();
    fs::remove_file(tree.join("script.sh")).unwrap();
    fs::write(tree.join("new"), noise(2, 50_000)).unwrap();
    fs::set_permissions(tree.join("sparse"), fs::Permissions::from_mode(0o600)).unwrap();
    let at_third = look(&tree);
    let third = device.done(&["backup", path]);
    let new = third["new_bytes"].as_u64().unwrap();
    assert!((50_000..LONG as u64 * 3 / 4).contains(&new), "{third:#}");

    let id = |document: &serde_json::Value| document["snapshot"].as_str().unwrap().to_owned();
    for (snapshot, expected) in [
        (id(&first), &at_first),
        (id(&second), &at_first),
        ("latest".to_owned(), &at_third),
    ] {
        let target = place.path().join(format!("restored {snapshot}"));
        let run = restore(&device, &snapshot, &tree, &target, &["--verify"]);
        assert_eq!(run.exit, 0, "{run:?}");
        assert_same(expected, &target);
    }
    let sparse = fs::metadata(place.path().join("restored latest/sparse")).unwrap();
    assert!(
        sparse.len() == 5 << 20 && sparse.blocks() < 100,
        "{} blocks",
        sparse.blocks()
    );

    let checked = device.done(&["check", "--read-data"]);
    assert_eq!(checked["snapshots"], 3);
    assert_eq!(checked["read_packs"], checked["packs"]);
    assert_eq!(checked["problems"].as_array().unwrap().len(), 0);
    let checked = device.done(&["check", "--read-data=10%"]);
    assert!(
        checked["read_packs"].as_u64() < checked["packs"].as_u64(),
        "{checked:#}"
    );
}

#[test]
fn without_a_path_a_restore_keeps_whole_paths() {
    let (_hoster, device, place, tree) = ready();
    device.back_up(&tree);
    let expected = look(&tree);
    let target = place.path().join("all");
    let run = Run::of(device.coffre(&["restore", "latest", "--to"]).arg(&target));
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.text().starts_with("snapshot ") && run.text().contains("restored 8 files"));
    assert_same(&expected, &target.join(tree.strip_prefix("/").unwrap()));
}

#[test]
fn what_is_there_is_kept_or_replaced_as_asked() {
    let (_hoster, device, place, tree) = ready();
    device.back_up(&tree);
    let letter = fs::read(tree.join("documents/letter.txt")).unwrap();
    let target = place.path().join("target");
    let mine = target.join("documents/letter.txt");
    fs::create_dir_all(mine.parent().unwrap()).unwrap();
    fs::write(&mine, "mine").unwrap();

    let run = restore(&device, "latest", &tree, &target, &[]);
    assert_eq!(fs::read(&mine).unwrap(), b"mine", "{run:?}");
    let run = restore(
        &device,
        "latest",
        &tree,
        &target,
        &["--overwrite", "changed"],
    );
    assert_eq!(run.exit, 0, "{run:?}");
    assert_eq!(fs::read(&mine).unwrap(), letter);
    assert_same(&look(&tree), &target);
}

#[test]
fn always_replaces_what_only_looks_the_same() {
    let (_hoster, device, place, tree) = ready();
    device.back_up(&tree);
    let target = place.path().join("target");
    let overwrite = |when| restore(&device, "latest", &tree, &target, &["--overwrite", when]);
    assert_eq!(overwrite("never").exit, 0);
    let letter = fs::read(tree.join("documents/letter.txt")).unwrap();
    let mine = target.join("documents/letter.txt");
    let modified = fs::metadata(&mine).unwrap().modified().unwrap();
    let same_length = vec![b'x'; letter.len()];
    fs::write(&mine, &same_length).unwrap();
    let file = fs::File::options().write(true).open(&mine).unwrap();
    file.set_modified(modified).unwrap();
    let run = overwrite("changed");
    assert_eq!(fs::read(&mine).unwrap(), same_length, "{run:?}");
    let run = overwrite("always");
    assert_eq!(run.exit, 0, "{run:?}");
    assert_eq!(fs::read(&mine).unwrap(), letter);
    assert_same(&look(&tree), &target);
}

#[test]
fn without_deduplication_all_that_is_read_is_sent() {
    let (_hoster, device, _place, tree) = ready();
    let path = tree.to_str().unwrap();
    device.back_up(&tree);
    let sent = |arguments: &[&str]| {
        let document = device.done(arguments);
        document["uploaded_bytes"].as_u64().unwrap()
    };
    // Of another series nothing is sent again, where nothing is said.
    assert!(sent(&["backup", path, "--series", "other"]) < 100_000);
    let apart = ["backup", path, "--series", "apart", "--no-deduplication"];
    assert!(sent(&apart) > 3_000_000);
    // It stays so, with and without saying it; what has not changed is not read.
    assert!(sent(&apart) < 100_000);
    fs::copy(tree.join("photo.raw"), tree.join("copy.raw")).unwrap();
    assert!(sent(&apart[..4]) > 3_000_000);
    device.done(&["check", "--read-data"]);

    let (exit, document) = device.json(&["backup", path, "--no-deduplication"]);
    assert_eq!(
        (exit, &document["code"]),
        (2, &"invalid-argument".into()),
        "{document:#}"
    );
    let hint = document["hint"].as_str().unwrap();
    assert!(hint.contains("--series"), "{document:#}");
}

#[test]
fn a_dry_run_stores_nothing() {
    let (_hoster, device, _place, tree) = ready();
    let path = tree.to_str().unwrap();
    let dry = device.done(&["backup", "--dry-run", path]);
    assert!(
        dry["snapshot"].is_null() && dry["dry_run"] == true,
        "{dry:#}"
    );
    assert_eq!(
        (&dry["files"], &dry["uploaded_bytes"]),
        (&8.into(), &0.into())
    );
    assert!(dry["new_bytes"].as_u64().unwrap() > 3_000_000, "{dry:#}");
    let snapshots = device.done(&["snapshots"]);
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 0);
}

#[test]
fn patterns_leave_out() {
    let (_hoster, device, place, tree) = ready();
    let patterns = place.path().join("patterns");
    fs::write(&patterns, "# a comment\n\nempty/\n").unwrap();
    let path = tree.to_str().unwrap();
    let mut arguments = vec!["backup", path, "--exclude", "*.raw"];
    arguments.extend(["--exclude-file", patterns.to_str().unwrap()]);
    let document = device.done(&arguments);
    assert_eq!(
        (&document["files"], &document["left_out"]),
        (&6.into(), &0.into())
    );
    let listed = device.run(&["ls", "-R", &format!("latest:{path}")]);
    for name in ["photo.raw", "/empty/"] {
        assert!(!listed.text().contains(name), "{name}: {listed:?}");
    }
}

#[test]
fn series_are_kept_apart() {
    let (_hoster, device, _place, tree) = ready();
    let path = tree.to_str().unwrap();
    device.done(&["backup", path, "--series", "all of it"]);
    let documents = format!("{path}/documents");
    device.done(&["backup", &documents, "--series", "documents"]);
    device.done(&["backup", &documents]);
    let snapshots = device.done(&["snapshots"]);
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 3);
    assert_eq!(
        snapshots["snapshots"][2]["series"],
        format!("laptop:{documents}")
    );
    let of_one = device.done(&["snapshots", "--series", "all of it"]);
    assert_eq!(of_one["snapshots"].as_array().unwrap().len(), 1);
    assert_eq!(of_one["snapshots"][0]["paths"][0]["path"], path);
    // `latest` is of the series, where one is named.
    let photo = format!("latest:{path}/photo.raw");
    assert_eq!(device.run(&["cat", &photo]).exit, 2);
    let run = device.run(&["cat", &photo, "--series", "all of it"]);
    assert_eq!(run.stdout, fs::read(tree.join("photo.raw")).unwrap());
}

#[test]
fn a_summary_is_one_sentence() {
    let (_hoster, device, _place, tree) = ready();
    let run = device.run(&["backup", tree.to_str().unwrap()]);
    assert_eq!(run.exit, 0, "{run:?}");
    let pattern = [
        "snapshot ",
        ": 8 files, ",
        " new, ",
        " uploaded in ",
        " pack; ",
        " s\n",
    ];
    let mut rest = run.text();
    for part in pattern {
        let at = rest
            .find(part)
            .unwrap_or_else(|| panic!("{part:?}: {run:?}"));
        rest = &rest[at + part.len()..];
    }
    assert!(rest.is_empty() && run.stderr.is_empty(), "{run:?}");
    let run = device.run(&["--quiet", "backup", tree.to_str().unwrap()]);
    assert!(run.stdout.is_empty() && run.stderr.is_empty(), "{run:?}");
}

#[test]
fn progress_is_lines_of_json_where_asked_for() {
    let (_hoster, device, place, tree) = ready();
    let target = place.path().join("restored");
    let downloaded = place.path().join("downloaded");
    let [tree, target, downloaded] =
        [&tree, &target, &downloaded].map(|path| path.to_str().unwrap());
    let last = |arguments: &[&str]| {
        let run = device.run(&[&["--progress", "json"], arguments].concat());
        // A link shows no hard links and no attributes.
        let is_link = arguments[0] == "link";
        assert!(run.exit == 0 || is_link && run.exit == 3, "{run:?}");
        let lines = run.stderr.lines();
        let lines: Vec<serde_json::Value> = lines
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &serde_json::Value| line["schema"] == "coffre.progress/1")
            .collect();
        let last = lines.last().unwrap_or_else(|| panic!("{run:?}")).clone();
        (last["command"].clone(), last["files"].clone())
    };
    assert_eq!(last(&["backup", tree]), ("backup".into(), 8.into()));
    let restored = last(&["restore", "latest", "--to", target]);
    assert_eq!(restored, ("restore".into(), 8.into()));
    assert_eq!(last(&["check", "--read-data"]).0, "check");
    let created = device.done(&["link", "create", &format!("latest:{tree}")]);
    let url = created["url"].as_str().unwrap();
    let got = last(&["link", "get", url, "--to", downloaded]);
    assert_eq!(got.0, "link-get");
}
