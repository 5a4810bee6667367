//! Exit codes, and errors in words and in JSON.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use tempfile::tempdir;

use crate::hoster::{Device, Hoster, not_tested};
use crate::kills::pause;
use crate::trees::noise;

fn assert_error(device: &Device, arguments: &[&str], exit: i32, code: &str) {
    let (found, document) = device.json(arguments);
    assert_eq!(found, exit, "{arguments:?}: {document:#}");
    assert_eq!(document["schema"], "coffre.error/1", "{document:#}");
    assert_eq!(document["code"], code, "{document:#}");
    assert_eq!(document["exit_code"], exit, "{document:#}");
    let message = document["message"].as_str().unwrap();
    assert!(!message.is_empty(), "{document:#}");
    // In words, the same.
    let run = device.run(arguments);
    assert_eq!(run.exit, exit, "{run:?}");
    assert!(
        run.stderr.contains(message) && run.stdout.is_empty(),
        "{run:?}"
    );
}

#[test]
fn without_an_account_there_is_no_vault() {
    let device = Device::new();
    for arguments in [
        &["snapshots"][..],
        &["status"],
        &["backup", "/etc/hostname"],
        &["stats"],
    ] {
        assert_error(&device, arguments, 10, "no-account");
    }
}

#[test]
fn without_a_vault_there_is_none() {
    let hoster = Hoster::start();
    let device = hoster.member();
    assert_error(&device, &["snapshots"], 10, "no-vault");
    device.done(&["vault", "create", "one"]);
    assert_error(&device, &["snapshots", "--vault", "two"], 10, "no-vault");
    assert_error(&device, &["vault", "create", "one"], 1, "vault-exists");
}

#[test]
fn with_two_vaults_one_must_be_named() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "one"]);
    let created = device.done(&["vault", "create", "two"]);
    assert_error(&device, &["snapshots"], 2, "ambiguous-vault");
    device.done(&["snapshots", "--vault", "one"]);
    let id = created["vault"]["id"].as_str().unwrap();
    let snapshots = device.done(&["snapshots", "--vault", id]);
    assert_eq!(snapshots["vault"]["name"], "two");
    let list = device.done(&["vault", "list"]);
    let names: Vec<_> = list["vaults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["name"])
        .collect();
    assert_eq!(names, ["one", "two"]);
}

#[test]
fn a_hoster_that_is_away_cannot_be_reached() {
    let mut hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("file"), "text").unwrap();
    let snapshot = device.back_up(directory.path());
    device.done(&["status"]);
    hoster.stop();
    assert_error(
        &device,
        &["backup", "/etc/hostname"],
        4,
        "hoster-unreachable",
    );
    // What this device saw last is still told.
    let (exit, status) = device.json(&["status"]);
    assert_eq!(
        (exit, &status["hoster_reachable"]),
        (4, &false.into()),
        "{status:#}"
    );
    let vault = &status["vaults"][0];
    assert_eq!(vault["name"], "papers", "{status:#}");
    assert!(vault["committed"].is_string(), "{status:#}");
    assert_eq!(vault["series"][0]["snapshot"], snapshot, "{status:#}");
    let run = device.run(&["status"]);
    assert!(run.text().contains("(cannot be reached)") && run.text().contains("just now"));
}

#[test]
fn what_is_left_out_makes_it_partly() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "text").unwrap();
    let missing = directory.path().join("missing\x07");
    let arguments = ["backup", file.to_str().unwrap(), missing.to_str().unwrap()];
    let (exit, document) = device.json(&arguments);
    assert_eq!(
        (exit, &document["left_out"]),
        (3, &1.into()),
        "{document:#}"
    );
    let entry = &document["left_out_entries"][0];
    assert!(
        entry["path"].as_str().unwrap().ends_with("/missing\u{7}"),
        "{document:#}"
    );
    assert_eq!(entry["reason"], "vanished", "{document:#}");
    let run = device.run(&arguments);
    assert_eq!(run.exit, 3, "{run:?}");
    assert!(
        run.stderr.contains("left out: ") && run.stderr.contains("/missing\\x07: "),
        "{run:?}"
    );
    assert!(run.text().ends_with("; 1 left out\n"), "{run:?}");
    device.done(&[
        "cat",
        &format!("latest:{}", file.canonicalize().unwrap().display()),
    ]);
}

/// Every line of standard error, with `--progress json`.
fn json_lines(stderr: &str) -> Vec<serde_json::Value> {
    let lines = stderr.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

#[test]
fn with_progress_in_json_all_that_is_said_is_lines_of_json() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "text").unwrap();
    let missing = directory.path().join("missing\u{9b}2J");
    let (file, missing) = (file.to_str().unwrap(), missing.to_str().unwrap());
    let run = device.run(&["backup", file, missing, "--progress", "json"]);
    assert_eq!(run.exit, 3, "{run:?}");
    assert!(!run.stderr.contains('\u{9b}'), "{run:?}");
    let told = json_lines(&run.stderr);
    assert!(told.iter().all(|line| line["command"] == "backup"));
    let left_out = told
        .iter()
        .find(|line| line["schema"] == "coffre.left-out/1");
    let left_out = left_out.unwrap_or_else(|| panic!("{run:?}"));
    assert!(
        left_out["path"]
            .as_str()
            .unwrap()
            .ends_with("/missing\u{9b}2J")
    );
    assert_eq!(left_out["reason"], "vanished");
    assert!(left_out["message"].is_string(), "{left_out}");

    // Why it failed, too, where no document says it.
    let run = device.run(&["backup", missing, "--progress", "json"]);
    assert_eq!(run.exit, 2, "{run:?}");
    let told = json_lines(&run.stderr);
    let error = told.last().unwrap();
    assert_eq!(
        (&error["schema"], &error["code"]),
        (&"coffre.error/1".into(), &"invalid-argument".into())
    );
    assert!(run.stdout.is_empty(), "{run:?}");
}

#[test]
fn a_quota_that_is_used_up_is_said_so() {
    let hoster = Hoster::start();
    let device = hoster.member_with_quota(1_000_000);
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("file"), noise(3, 4_000_000)).unwrap();
    let path = directory.path().to_str().unwrap();
    assert_error(&device, &["backup", path], 5, "quota-exceeded");
}

#[test]
fn one_backup_a_vault_at_a_time() {
    let hoster = Hoster::start();
    let device = hoster.member();
    let created = device.done(&["vault", "create", "papers"]);
    let directory = device
        .home
        .path()
        .join("vaults")
        .join(created["vault"]["id"].as_str().unwrap());
    fs::create_dir_all(&directory).unwrap();
    let lock = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    assert_error(&device, &["backup", "/etc/hostname"], 6, "vault-busy");
    lock.unlock().unwrap();
    device.done(&["backup", "/etc/hostname"]);
}

#[test]
fn a_hoster_that_loses_or_alters_packs_has_misbehaved() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    // More than a pack, so that the device keeps no copy of what it is in.
    fs::write(directory.path().join("file"), noise(4, 20_000_000)).unwrap();
    fs::write(directory.path().join("small"), "text").unwrap();
    device.back_up(directory.path());
    let size = |pack: &std::path::PathBuf| fs::metadata(pack).unwrap().len();
    let packs = hoster.pack_files();
    let pack = packs.into_iter().max_by_key(size).expect("a large pack");
    let bytes = fs::read(&pack).unwrap();

    let mut altered = bytes.clone();
    altered[1_000] ^= 1;
    fs::write(&pack, altered).unwrap();
    let (exit, document) = device.json(&["check", "--read-data"]);
    assert_eq!(exit, 13, "{document:#}");
    let problem = &document["problems"][0];
    assert_eq!(
        (&problem["kind"], &problem["hoster"]),
        (&"pack-altered".into(), &true.into())
    );
    let broken = &document["broken_snapshots"];
    assert_eq!(broken.as_array().unwrap().len(), 1, "{document:#}");
    assert_eq!(
        (&broken[0]["files"], &broken[0]["directories"]),
        (&1.into(), &0.into())
    );
    let target = directory.path().join("restored");
    let to = target.to_str().unwrap();
    let (exit, document) = device.json(&["restore", "latest", "--to", to]);
    assert_eq!(exit, 13, "{document:#}");
    assert_eq!(document["lost_by_hoster"], 1, "{document:#}");
    let reason = &document["left_out_entries"][0]["reason"];
    assert_eq!(reason, "lost-by-hoster", "{document:#}");
    let below = target.join(
        directory
            .path()
            .canonicalize()
            .unwrap()
            .strip_prefix("/")
            .unwrap(),
    );
    assert!(!below.join("file").exists(), "half a file is left behind");
    assert_eq!(fs::read(below.join("small")).unwrap(), b"text");
    // In words, each problem has its line.
    let run = device.run(&["check", "--read-data"]);
    assert!(
        run.stderr.contains("altered pack") && run.text().contains("1 problem\n"),
        "{run:?}"
    );
    assert!(
        run.stderr.contains(" cannot be restored whole: 1 file\n")
            && run.text().contains("; 1 of 1 snapshots cannot"),
        "{run:?}"
    );

    fs::write(&pack, bytes).unwrap();
    device.done(&["check", "--read-data"]);
}

#[test]
fn a_key_of_another_device_is_the_wrong_one() {
    let hoster = Hoster::start();
    let (device, other) = (hoster.member(), hoster.member());
    let key = fs::read(other.home.path().join("device.key")).unwrap();
    fs::write(device.home.path().join("device.key"), key).unwrap();
    assert_error(&device, &["snapshots"], 12, "wrong-key");
}

#[test]
fn an_interrupted_backup_is_cancelled_and_goes_on_the_next_time() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    for file in 0..40 {
        fs::write(
            directory.path().join(format!("{file}")),
            noise(100 + file, 4_000_000),
        )
        .unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_coffre"));
    command
        .args(["backup", "--json", "--progress", "json", path])
        .env("COFFRE_HOME", device.home.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    // As soon as it is under way.
    let begun = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| !line.contains(r#""bytes":0"#));
    assert!(begun.is_some());
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let told: Vec<String> = lines.map(Result::unwrap).collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{told:?}");
    let told = json_lines(&told.join("\n"));
    let of_schema = |schema| told.iter().filter(move |line| line["schema"] == schema);
    let remark = of_schema("coffre.remark/1").next().unwrap();
    assert_eq!(
        (&remark["command"], &remark["kind"]),
        (&"backup".into(), &"warning".into())
    );
    assert!(remark["message"].as_str().unwrap().starts_with("stopping"));
    assert_eq!(of_schema("coffre.progress/1").count(), told.len() - 1);
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["code"], "cancelled", "{document:#}");
    device.back_up(directory.path());
    device.done(&["check", "--read-data"]);
}

#[test]
fn what_cannot_be_saved_whole_is_told_by_every_backup() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    // Where attributes may be larger than a node.
    let directory = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "text").unwrap();
    for attribute in 0..4 {
        let name = format!("user.{attribute}");
        if let Err(error) = xattr::set(&file, name, &[1; 60_000]) {
            not_tested(&format!("/dev/shm takes no large attributes: {error}"));
            return;
        }
    }
    // By the last, its time of change is old enough to be relied on.
    for _ in 0..4 {
        let (exit, document) = device.json(&["backup", directory.path().to_str().unwrap()]);
        assert_eq!(exit, 3, "{document:#}");
        let entry = &document["left_out_entries"][0];
        assert_eq!(entry["reason"], "attributes-too-large", "{document:#}");
    }
}

#[test]
fn of_nothing_there_is_no_snapshot() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let (exit, document) = device.json(&["ls", "latest"]);
    assert_eq!((exit, &document["code"]), (2, &"invalid-argument".into()));
    let message = document["message"].as_str().unwrap();
    assert_eq!(message, "there is no complete snapshot yet");
    let place = tempdir().unwrap();
    let missing = place.path().join("missing");
    let missing = missing.to_str().unwrap();
    assert_error(&device, &["backup", missing], 2, "invalid-argument");
    let snapshots = device.done(&["snapshots"]);
    assert_eq!(snapshots["snapshots"].as_array().unwrap().len(), 0);
}

#[test]
fn the_beginning_of_several_ids_names_none_of_them() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    // More snapshots than there are digits.
    let ids: Vec<String> = (0..17)
        .map(|_| device.back_up(std::path::Path::new("/etc/hostname")))
        .collect();
    let first = |id: &String| id[..1].to_owned();
    let is_shared = |id: &&String| ids.iter().filter(|other| first(other) == first(id)).count() > 1;
    let shared = ids.iter().find(is_shared).unwrap();
    assert_error(&device, &["ls", &first(shared)], 2, "invalid-argument");
    let run = device.run(&["ls", &first(shared)]);
    assert!(run.stderr.contains("more than one snapshot"), "{run:?}");
    let run = device.run(&["ls", &shared.to_uppercase()]);
    assert_eq!(run.exit, 0, "{run:?}");
}

/// What a hoster has, in bytes, beside small packs.
fn arrived_bytes(hoster: &Hoster) -> u64 {
    let packs = hoster.pack_files();
    let incoming = packs
        .iter()
        .filter(|path| !path.to_string_lossy().contains("incoming"));
    incoming
        .map(|path| fs::metadata(path).map_or(0, |pack| pack.len()))
        .sum()
}

/// Killed, not asked to stop.
#[test]
fn what_arrived_before_a_kill_is_not_sent_again() {
    const FILES: u64 = 24;
    const LENGTH: u64 = 4_000_000;
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let directory = tempdir().unwrap();
    for file in 0..FILES {
        let content = noise(200 + file, LENGTH as usize);
        fs::write(directory.path().join(file.to_string()), content).unwrap();
    }
    let path = directory.path().to_str().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_coffre"));
    let child = command.args(["backup", "--quiet", path]);
    let child = child.env("COFFRE_HOME", device.home.path()).spawn();
    let mut child = child.unwrap();
    while arrived_bytes(&hoster) < 3 << 24 {
        assert!(child.try_wait().unwrap().is_none(), "all of it was faster");
        pause(std::time::Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let document = device.done(&["backup", path]);
    assert_eq!(document["files"], FILES);
    // What had arrived is in the packs that there are now; one more holds what was sent
    // and not noted, and one what was left of each kind.
    let all = arrived_bytes(&hoster);
    assert!(all < FILES * LENGTH + (2 << 24), "{all}: {document:#}");
    let sent = document["uploaded_bytes"].as_u64().unwrap();
    assert!(sent < FILES * LENGTH, "{document:#}");
    device.done(&["check", "--read-data"]);
}
