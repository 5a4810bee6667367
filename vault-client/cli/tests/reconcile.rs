//! A hoster that restored a backup of its own, and a member with two computers.

use std::fs;
use std::path::Path;

use tempfile::{TempDir, tempdir};

use crate::hoster::{Device, Hoster};
use crate::members::{pair, place, text};
use crate::trees::noise;

struct Saved {
    directory: TempDir,
    files: u64,
}

impl Saved {
    fn new() -> Self {
        Self {
            directory: tempdir().unwrap(),
            files: 0,
        }
    }

    fn by(&mut self, device: &Device) {
        self.files += 1;
        let path = self.directory.path().join(format!("file-{}", self.files));
        fs::write(path, noise(self.files, 50_000)).unwrap();
        device.back_up(self.directory.path());
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let to = to.join(entry.file_name());
        if kind.is_dir() {
            copy(&entry.path(), &to);
        } else if kind.is_file() {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What the hoster has, as it is while it does not run.
pub(crate) fn saved_data(hoster: &mut Hoster) -> TempDir {
    let kept = tempdir().unwrap();
    hoster.restarted(|data| copy(data, kept.path()));
    kept
}

pub(crate) fn restore_data(hoster: &mut Hoster, kept: &TempDir) {
    hoster.restarted(|data| {
        for entry in fs::read_dir(data).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        copy(kept.path(), data);
    });
}

fn snapshots(device: &Device) -> usize {
    let document = device.done(&["snapshots"]);
    document["snapshots"].as_array().unwrap().len()
}

#[test]
fn both_computers_bring_a_vault_forward_one_after_the_other() {
    let mut hoster = Hoster::start();
    let (first, second) = (hoster.member(), Device::new());
    first.done(&["vault", "create", "papers"]);
    pair(&first, &second, &place(&hoster));
    let (mut ours, mut theirs) = (Saved::new(), Saved::new());
    ours.by(&first);
    theirs.by(&second);
    snapshots(&first);
    let kept = saved_data(&mut hoster);
    ours.by(&first);
    snapshots(&second);
    theirs.by(&second);
    ours.by(&first);
    theirs.by(&second);
    assert_eq!(snapshots(&second), 6);
    restore_data(&mut hoster, &kept);

    let reconcile = ["vault", "reconcile", "papers", "--yes"];
    let (_, done) = first.json(&reconcile);
    assert_eq!(done["schema"], "coffre.vault-reconcile/1", "{done:#}");
    assert_eq!((&done["from"], &done["lost"]), (&2.into(), &5.into()));
    for field in ["taken_over", "under_way", "refreshed", "contents_lost"] {
        assert_eq!(done[field], false, "{field}: {done:#}");
    }
    assert_eq!(done["heads_not_brought_back"], 0, "{done:#}");

    let run = second.run(&["backup", theirs.directory.path().to_str().unwrap()]);
    assert_eq!(run.exit, 13, "{run:?}");
    assert!(run.stderr.contains("coffre vault reconcile"), "{run:?}");
    let (_, done) = second.json(&reconcile);
    assert_eq!(done["taken_over"], true, "{done:#}");
    assert_eq!(done["lost"], 6, "{done:#}");
    assert_eq!(done["contents_lost"], false, "{done:#}");
    let run = second.run(&reconcile);
    assert!(
        run.exit == 0 && run.text().contains("nothing to do"),
        "{run:?}"
    );

    ours.by(&first);
    theirs.by(&second);
    assert_eq!(snapshots(&first), 8);
    assert_eq!(snapshots(&second), 8);
    first.done(&["check", "--read-data=100%"]);
    // And one that is merely behind is told so.
    let (exit, done) = first.json(&reconcile);
    assert_eq!(exit, 0, "{done:#}");
    theirs.by(&second);
    let (exit, done) = first.json(&reconcile);
    assert_eq!((exit, &done["refreshed"]), (0, &true.into()), "{done:#}");
}

/// The names of the vaults that a device lists.
fn names(device: &Device) -> Vec<String> {
    let document = device.done(&["vault", "list"]);
    let vaults = document["vaults"].as_array().unwrap();
    vaults.iter().map(|vault| text(vault, "name")).collect()
}

/// What the account's devices agree on was lost, devices and whole vaults included: a
/// computer that the hoster does not know any more brings all of it back.
#[test]
fn the_account_is_brought_forward_with_all_its_vaults() {
    let mut hoster = Hoster::start();
    let (first, thief, third) = (hoster.member(), Device::new(), Device::new());
    first.done(&["vault", "create", "papers"]);
    let (added, _) = pair(&first, &thief, &place(&hoster));
    let mut papers = Saved::new();
    papers.by(&first);
    let kept = saved_data(&mut hoster);

    pair(&first, &third, &place(&hoster));
    first.done(&["device", "remove", &text(&added, "device")]);
    first.done(&["vault", "rename", "papers", "documents"]);
    first.done(&["vault", "create", "photos"]);
    let photos = tempdir().unwrap();
    fs::write(photos.path().join("photo"), noise(77, 200_000)).unwrap();
    let photos = photos.path().to_str().unwrap();
    first.done(&["backup", photos, "--vault", "photos"]);
    assert_eq!(names(&third), ["documents", "photos"]);
    third.done(&["snapshots", "--vault", "photos"]);
    third.done(&["snapshots", "--vault", "documents"]);
    restore_data(&mut hoster, &kept);

    let run = first.run(&["vault", "list"]);
    assert_eq!(run.exit, 13, "{run:?}");
    assert!(run.stderr.contains("coffre vault reconcile"), "{run:?}");
    assert!(run.stderr.contains("the hoster shows head "), "{run:?}");
    let run = third.run(&["vault", "list"]);
    assert_ne!(run.exit, 0, "{run:?}");

    let reconcile = ["vault", "reconcile", "--yes"];
    let (exit, done) = third.json(&reconcile);
    assert_eq!(exit, 0, "{done:#}");
    assert_eq!(done["account"]["account_entries"], 2, "{done:#}");
    assert_eq!(done["account"]["uploaded_packs"], 1, "{done:#}");
    assert_eq!(done["left_out"].as_array().unwrap().len(), 0, "{done:#}");
    let vaults = done["vaults"].as_array().unwrap();
    let brought = vaults.iter().map(|done| text(&done["vault"], "name"));
    assert_eq!(brought.collect::<Vec<_>>(), ["documents", "photos"]);
    assert_eq!(vaults[1]["from"], 0, "{done:#}");
    // So little that it stood in one pack with its names, which this computer has kept.
    assert_eq!(vaults[1]["uploaded_packs"], 1, "{done:#}");

    let (exit, done) = first.json(&reconcile);
    assert_eq!(exit, 0, "{done:#}");
    assert_eq!(done["account"]["taken_over"], true, "{done:#}");
    for device in [&first, &third] {
        assert_eq!(names(device), ["documents", "photos"]);
    }
    let run = thief.run(&["vault", "list"]);
    assert_ne!(run.exit, 0, "a removed device is out again: {run:?}");
    first.done(&["backup", photos, "--vault", "photos"]);
    first.done(&["check", "--read-data=100%", "--vault", "photos"]);
    let run = first.run(&reconcile);
    assert!(
        run.exit == 0 && run.text().matches("nothing to do").count() == 3,
        "{run:?}"
    );
}

/// The second computer saves before anybody has brought the vault forward, as one does
/// that saves every night.
#[test]
fn what_was_saved_to_a_restored_backup_is_joined() {
    let mut hoster = Hoster::start();
    let (first, second) = (hoster.member(), Device::new());
    first.done(&["vault", "create", "papers"]);
    pair(&first, &second, &place(&hoster));
    let (mut ours, mut theirs) = (Saved::new(), Saved::new());
    ours.by(&first);
    theirs.by(&second);
    let kept = saved_data(&mut hoster);
    ours.by(&first);
    ours.by(&first);
    restore_data(&mut hoster, &kept);
    theirs.by(&second);

    // What the one says is what the next is for.
    for (arguments, next) in [
        (
            &["backup", ours.directory.path().to_str().unwrap()][..],
            "coffre vault reconcile",
        ),
        (
            &["vault", "reconcile", "papers", "--yes"],
            "coffre vault reconcile NAME --join",
        ),
    ] {
        let run = first.run(arguments);
        assert_eq!(run.exit, 13, "{run:?}");
        assert!(run.stderr.contains(next), "{run:?}");
    }
    let join = ["vault", "reconcile", "papers", "--join", "--yes"];
    let (exit, done) = first.json(&join);
    assert_eq!((exit, &done["joined"]), (0, &true.into()), "{done:#}");
    assert_eq!((&done["from"], &done["lost"]), (&3.into(), &4.into()));
    assert_eq!(snapshots(&first), 5);
    assert_eq!(snapshots(&second), 5);
    ours.by(&first);
    theirs.by(&second);
    assert_eq!(snapshots(&first), 7);
    first.done(&["check", "--read-data=100%"]);
}
