//! A hoster that mixes up, loses, or rolls back what it was given: exit code 13, and
//! words that say which it was.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::hoster::{Device, Hoster};
use crate::members::{pair, place};
use crate::reconcile::{restore_data, saved_data};
use crate::trees::noise;

/// A member who has saved a file of several packs, and a small one.
struct Saved {
    hoster: Hoster,
    device: Device,
    directory: TempDir,
}

impl Saved {
    fn new() -> Self {
        let hoster = Hoster::start();
        let device = hoster.member();
        device.done(&["vault", "create", "papers"]);
        let directory = tempdir().unwrap();
        // In a small pack of its own.
        fs::write(directory.path().join("letter"), "text").unwrap();
        device.back_up(directory.path());
        // Whole packs, of which the device keeps no copy.
        fs::write(directory.path().join("film"), noise(4, 40_000_000)).unwrap();
        device.back_up(directory.path());
        Self {
            hoster,
            device,
            directory,
        }
    }

    /// The packs that are as large as a pack gets.
    fn whole_packs(&self) -> Vec<PathBuf> {
        let mut packs = self.hoster.pack_files();
        packs.retain(|pack| fs::metadata(pack).unwrap().len() == 16 << 20);
        packs.sort();
        packs
    }

    /// What a check of every byte finds, for which it is the hoster who is to blame.
    fn problems(&self, arguments: &[&str]) -> Vec<Value> {
        let (exit, document) = self.device.json(arguments);
        assert_eq!(exit, 13, "{document:#}");
        let problems = document["problems"].as_array().unwrap().clone();
        assert!(problems.iter().all(|problem| problem["hoster"] == true));
        problems
    }

    /// A restore gives the letter, and nothing of the film.
    fn assert_film_is_lost(&self) {
        let target = tempdir().unwrap();
        let what = format!("latest:{}", self.path().display());
        let arguments = ["restore", &what, "--to", target.path().to_str().unwrap()];
        let (exit, document) = self.device.json(&arguments);
        assert_eq!(exit, 13, "{document:#}");
        assert_eq!(document["lost_by_hoster"], 1, "{document:#}");
        assert_eq!(fs::read(target.path().join("letter")).unwrap(), b"text");
        assert!(!target.path().join("film").exists(), "half a file is there");
    }

    fn path(&self) -> PathBuf {
        self.directory.path().canonicalize().unwrap()
    }

    fn save_more(&self, name: &str) -> Value {
        fs::write(self.path().join(name), name).unwrap();
        self.device.done(&["backup", self.path().to_str().unwrap()])
    }
}

fn id_of(pack: &Path) -> &str {
    pack.file_name().unwrap().to_str().unwrap()
}

/// Every command that asks the hoster ends so, and restores nothing.
fn assert_all_refuse(device: &Device, saved: &Saved, words: &str) {
    let target = tempdir().unwrap();
    let directory = saved.path();
    let commands: [&[&str]; 5] = [
        &["snapshots"],
        &["ls", "latest"],
        &["check"],
        &["backup", directory.to_str().unwrap()],
        &["restore", "latest", "--to", target.path().to_str().unwrap()],
    ];
    for arguments in commands {
        let (exit, document) = device.json(arguments);
        assert_eq!(exit, 13, "{arguments:?}: {document:#}");
        assert_eq!(document["code"], "hoster-misbehaved", "{document:#}");
        let message = document["message"].as_str().unwrap();
        assert!(message.contains(words), "{arguments:?}: {message}");
        let run = device.run(arguments);
        assert_eq!(run.exit, 13, "{run:?}");
        assert!(run.stderr.contains(words), "{run:?}");
    }
    assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
}

#[test]
fn packs_that_changed_places_are_each_altered() {
    let saved = Saved::new();
    let packs = saved.whole_packs();
    let [one, other] = &packs[..] else {
        panic!("two whole packs, and not {packs:?}");
    };
    let beside = one.with_extension("beside");
    let swap = || {
        fs::rename(one, &beside).unwrap();
        fs::rename(other, one).unwrap();
        fs::rename(&beside, other).unwrap();
    };
    swap();
    let problems = saved.problems(&["check", "--read-data"]);
    let found: Vec<_> = problems
        .iter()
        .map(|problem| (problem["kind"].as_str(), problem["pack"].as_str()))
        .collect();
    let altered = |pack| (Some("pack-altered"), Some(id_of(pack)));
    // Where they lie says nothing of the order of their names.
    assert_eq!(found.len(), 2, "{problems:?}");
    assert!(found.contains(&altered(one)) && found.contains(&altered(other)));
    saved.assert_film_is_lost();

    swap();
    saved.device.done(&["check", "--read-data"]);
}

#[test]
fn a_pack_that_is_gone_is_missing() {
    let saved = Saved::new();
    let pack = saved.whole_packs().remove(0);
    fs::remove_file(&pack).unwrap();
    // Found when it is read; after that the hoster itself knows.
    for arguments in [&["check", "--read-data"][..], &["check"]] {
        let problems = saved.problems(arguments);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0]["kind"], "pack-missing", "{problems:?}");
        assert_eq!(problems[0]["pack"], id_of(&pack), "{problems:?}");
    }
    let run = saved.device.run(&["check"]);
    let words = format!("the hoster does not have pack {}", id_of(&pack));
    assert!(run.stderr.contains(&words), "{run:?}");
    saved.assert_film_is_lost();
}

#[test]
fn an_older_copy_of_all_data_is_a_step_back() {
    let mut saved = Saved::new();
    let kept = saved_data(&mut saved.hoster);
    saved.save_more("second");
    restore_data(&mut saved.hoster, &kept);
    let words = "the hoster went back to head 2; head 3 was seen before";
    assert_all_refuse(&saved.device, &saved, words);
}

/// One device has committed to what the hoster has forgotten, another goes on from
/// where it begins again.
#[test]
fn heads_that_are_not_one_chain_are_a_fork() {
    let mut saved = Saved::new();
    let other = Device::new();
    pair(&saved.device, &other, &place(&saved.hoster));
    other.done(&["snapshots"]);
    saved.device.done(&["snapshots"]);
    let kept = saved_data(&mut saved.hoster);
    saved.save_more("second");
    restore_data(&mut saved.hoster, &kept);
    other.back_up(saved.directory.path());
    assert_all_refuse(&saved.device, &saved, "the chain forks");
    other.done(&["check", "--read-data"]);
}
