//! Devices, recovery, sharing and links, as members type them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::Value;

use crate::hoster::{Device, Hoster, PLENTY, Run};
use crate::trees::{assert_same, look, plant};

/// A member with a vault and a snapshot in it.
pub(crate) struct Member {
    pub(crate) device: Device,
    pub(crate) tree: PathBuf,
    _place: tempfile::TempDir,
}

impl Member {
    pub(crate) fn new(hoster: &Hoster) -> Self {
        let device = hoster.member();
        device.done(&["vault", "create", "papers"]);
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().canonicalize().unwrap().join("tree");
        plant(&tree);
        device.back_up(&tree);
        Self {
            device,
            tree,
            _place: place,
        }
    }

    pub(crate) fn phrase_file(&self) -> String {
        let path = self.device.home.path().join("phrase");
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn address(&self) -> String {
        text(&self.device.done(&["whoami"]), "address")
    }

    /// Offers the papers to another member, as both give their names for that.
    fn shares_with(&self, other: &Device, role: &str) {
        self.device.done(&["whoami", "--name", "marie"]);
        let theirs = text(&other.done(&["whoami", "--name", "paul"]), "address");
        self.device
            .done(&["share", "papers", &theirs, "--role", role]);
    }

    /// Asserts that a device restores what was saved.
    pub(crate) fn assert_restored_by(&self, device: &Device, more: &[&str]) {
        let target = tempfile::tempdir().unwrap();
        let what = format!("latest:{}", self.tree.display());
        let to = target.path().join("back");
        let mut arguments = vec!["restore", &what, "--to", to.to_str().unwrap()];
        arguments.extend(more);
        device.done(&arguments);
        assert_same(&look(&self.tree), &to);
    }
}

pub(crate) fn text(document: &Value, field: &str) -> String {
    let value = document[field].as_str();
    value
        .unwrap_or_else(|| panic!("{field}: {document:#}"))
        .to_owned()
}

/// Where the hoster is, as members tell it.
pub(crate) fn place(hoster: &Hoster) -> String {
    let invitation = hoster.invitation(PLENTY);
    let (place, _) = invitation.split_once("/invite#").unwrap();
    place.strip_prefix("coffre://").unwrap().to_owned()
}

/// `coffre` in the background, whose remarks are read while it runs.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    remarks: BufReader<std::process::ChildStderr>,
    seen: String,
}

impl Talk {
    fn start(device: &Device, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_coffre"))
            .args(arguments)
            .arg("--json")
            .env_clear()
            .env("COFFRE_HOME", device.home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            remarks: BufReader::new(child.stderr.take().unwrap()),
            seen: String::new(),
            child,
        }
    }

    /// The next line of its remarks that `wanted` likes.
    fn remark(&mut self, wanted: impl Fn(&str) -> bool) -> String {
        loop {
            let mut line = String::new();
            let read = self.remarks.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended: {}", self.seen);
            self.seen.push_str(&line);
            if wanted(line.trim()) {
                return line.trim().to_owned();
            }
        }
    }

    fn say(&mut self, line: &str) {
        let mut input = self.input.take().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    /// The exit code, and the document.
    fn finish(mut self) -> (i32, Value) {
        drop(self.input.take());
        let mut document = Vec::new();
        let mut stdout = self.child.stdout.take().unwrap();
        stdout.read_to_end(&mut document).unwrap();
        let mut rest = String::new();
        self.remarks.read_to_string(&mut rest).unwrap();
        let exit = self.child.wait().unwrap().code().unwrap_or(-1);
        let document = serde_json::from_slice(&document)
            .unwrap_or_else(|error| panic!("{error}: exit {exit}: {}{rest}", self.seen));
        (exit, document)
    }
}

fn is_six_words(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    words.len() == 6
        && words
            .iter()
            .all(|word| word.chars().all(|letter| letter.is_ascii_lowercase()))
}

/// Pairs a new device; the words that each side was told are those that it types.
pub(crate) fn pair(old: &Device, new: &Device, hoster: &str) -> (Value, Value) {
    let mut joining = Talk::start(
        new,
        &[
            "device", "pair", hoster, "--device", "desktop", "--words", "-",
        ],
    );
    let code = joining.remark(|line| line.starts_with("coffre-pair:"));
    let mut adding = Talk::start(old, &["device", "pair", "-", "--words", "-"]);
    // The code, and later the words, on two lines.
    let mut input = adding.input.take().unwrap();
    writeln!(input, "{code}").unwrap();
    let theirs = joining.remark(is_six_words);
    let ours = adding.remark(is_six_words);
    assert_eq!(theirs, ours);
    writeln!(input, "{theirs}").unwrap();
    drop(input);
    joining.say(&ours);
    let (exit, added) = adding.finish();
    assert_eq!(exit, 0, "{added:#}");
    let (exit, joined) = joining.finish();
    assert_eq!(exit, 0, "{joined:#}");
    (added, joined)
}

#[test]
fn what_a_removed_device_could_read_is_said() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    pair(&member.device, &Device::new(), &place(&hoster));
    let run = member.device.run(&["device", "remove", "desktop"]);
    assert_eq!(run.exit, 0, "{run:?}");
    let said = "What lies on it, and what it could read until now, stays readable";
    assert!(run.text().contains(said), "{run:?}");
}

#[test]
fn a_second_device_reads_and_writes_and_is_removed() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let second = Device::new();
    let (added, joined) = pair(&member.device, &second, &place(&hoster));
    assert_eq!(added["schema"], "coffre.device-pair/1");
    assert_eq!(added["device"], joined["device"]);
    assert_eq!(added["words"], joined["words"]);
    member.assert_restored_by(&second, &[]);
    second.back_up(&member.tree);
    member.assert_restored_by(&member.device, &[]);

    let listed = member.device.done(&["device", "list"]);
    let names: Vec<_> = listed["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| {
            (
                device["name"].as_str().unwrap(),
                device["removed_seq"].is_null(),
            )
        })
        .collect();
    assert!(names.contains(&("desktop", true)), "{listed:#}");

    member
        .device
        .done(&["device", "rename", "desktop", "the old one"]);
    let removed = member.device.done(&["device", "remove", "the old one"]);
    let outcomes: Vec<_> = removed["vaults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vault| vault["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["rotated", "rotated"], "{removed:#}");
    for (_, left) in removed["left_behind"].as_object().unwrap() {
        assert_eq!(left.as_array().unwrap().len(), 0, "{removed:#}");
    }
    let (exit, document) = second.json(&["snapshots"]);
    assert_ne!(exit, 0, "{document:#}");
    member.device.back_up(&member.tree);
    member.assert_restored_by(&member.device, &[]);
}

#[test]
fn a_hoster_that_could_not_be_told_of_a_removal_is_named() {
    let (home, mut elsewhere) = (Hoster::start(), Hoster::start());
    let (paul, marie) = (Member::new(&home), Member::new(&elsewhere));
    marie.device.done(&["whoami", "--name", "marie"]);
    paul.device.done(&["whoami", "--name", "paul"]);
    marie
        .device
        .done(&["share", "papers", &paul.address(), "--role", "writer"]);
    paul.device.done(&["share", "accept", "--name", "of marie"]);
    let second = Device::new();
    let (added, _) = pair(&paul.device, &second, &place(&home));
    assert_eq!(added["hosters_not_told"], 0, "{added:#}");
    marie.assert_restored_by(&second, &["--vault", "of marie"]);

    elsewhere.stop();
    let run = paul.device.run(&["device", "remove", "desktop", "--json"]);
    assert_eq!(run.exit, 3, "{run:?}");
    assert!(run.stderr.contains("still lets it in"), "{run:?}");
    let removed: Value = serde_json::from_slice(&run.stdout).unwrap();
    let told = &removed["guest_hosters"][0];
    assert_eq!(told["told"], false, "{removed:#}");
    assert!(told["error"].is_string(), "{removed:#}");
}

#[test]
fn other_words_add_nothing() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let second = Device::new();
    let mut joining = Talk::start(
        &second,
        &["device", "pair", &place(&hoster), "--words", "-"],
    );
    let code = joining.remark(|line| line.starts_with("coffre-pair:"));
    // Not among its arguments, which everybody on that machine sees.
    assert!(
        !joining.seen.contains("pair 'coffre-pair:"),
        "{}",
        joining.seen
    );
    let (exit, refused) = member
        .device
        .json(&["device", "pair", &code, "--words", "a b c d e f"]);
    assert_eq!(exit, 1, "{refused:#}");
    let words = joining.remark(is_six_words);
    joining.say(&words);
    let (exit, refused) = joining.finish();
    assert_eq!(exit, 1, "{refused:#}");
    let listed = member.device.done(&["device", "list"]);
    assert_eq!(listed["devices"].as_array().unwrap().len(), 2, "{listed:#}");
}

#[test]
fn the_words_alone_bring_everything_back() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let place = place(&hoster);
    let new = Device::new();
    let phrase = member.phrase_file();
    let recovered = new.done(&[
        "recover",
        &place,
        "--phrase-file",
        &phrase,
        "--device",
        "new",
    ]);
    assert_eq!(recovered["schema"], "coffre.recover/1");
    assert_eq!(recovered["vaults"][0]["name"], "papers", "{recovered:#}");
    member.assert_restored_by(&new, &[]);

    // It says what it cannot know, until a printed head says so.
    let status = new.done(&["status"]);
    assert_eq!(status["vaults"][0]["freshness"], "unknown", "{status:#}");
    assert_eq!(status["freshness"], "unknown", "{status:#}");
    let run = new.run(&["status"]);
    assert!(run.text().contains("\nfreshness unknown: "), "{run:?}");
    let printed = text(&member.device.done(&["vault", "head", "papers"]), "head");
    new.done(&["vault", "confirm", "papers", &printed]);
    let status = new.done(&["status"]);
    assert_eq!(status["vaults"][0]["freshness"], "confirmed", "{status:#}");
    // The account has one of its own.
    assert_eq!(status["freshness"], "unknown", "{status:#}");
    let (exit, _) = new.json(&["vault", "confirm", &printed]);
    assert_eq!(exit, 2);
    let printed = text(&member.device.done(&["vault", "head"]), "head");
    new.done(&["vault", "confirm", &printed]);
    let status = new.done(&["status"]);
    assert_eq!(status["freshness"], "confirmed", "{status:#}");
    let run = new.run(&["status"]);
    assert!(!run.text().contains("freshness"), "{run:?}");

    let other = Device::new();
    let file = other.home.path().join("words");
    fs::write(&file, format!("{}art", "abandon ".repeat(23))).unwrap();
    let (exit, _) = other.json(&["recover", &place, "--phrase-file", file.to_str().unwrap()]);
    assert_eq!(exit, 12);
}

#[test]
fn a_phrase_is_checked_and_replaced() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let (device, old) = (&member.device, member.phrase_file());
    let checked = device.done(&["phrase", "check", "--phrase-file", &old]);
    assert_eq!(checked["standing"], "rooted");

    let second = device.home.path().join("second");
    let second = second.to_str().unwrap();
    device.done(&["phrase", "new", "--lost", "--phrase-out", second]);
    let checked = device.done(&["phrase", "check", "--phrase-file", second]);
    assert_eq!(checked["standing"], "added");

    let third = device.home.path().join("third");
    let third = third.to_str().unwrap();
    let replaced = device.done(&[
        "phrase",
        "new",
        "--phrase-file",
        &old,
        "--phrase-out",
        third,
    ]);
    assert!(replaced["replaced"].is_string(), "{replaced:#}");
    let checked = device.done(&["phrase", "check", "--phrase-file", third]);
    assert_eq!(checked["standing"], "rooted");
    let (exit, _) = device.json(&["phrase", "check", "--phrase-file", &old]);
    assert_eq!(exit, 12);
    let (exit, _) = Device::new().json(&["recover", &place(&hoster), "--phrase-file", &old]);
    assert_eq!(exit, 12);
}

#[test]
fn a_vault_is_shared_taken_up_and_taken_back() {
    let hoster = Hoster::start();
    let (marie, paul) = (Member::new(&hoster), Member::new(&hoster));
    marie.device.done(&["whoami", "--name", "marie"]);
    paul.device.done(&["whoami", "--name", "paul"]);
    let (his, hers) = (paul.address(), marie.address());
    let without = his.split_once('#').unwrap().0;
    let (exit, refused) = marie.device.json(&["share", "papers", without]);
    assert_eq!(exit, 2, "{refused:#}");
    assert!(text(&refused, "hint").contains("whoami"), "{refused:#}");

    let shared = marie
        .device
        .done(&["share", "papers", &his, "--role", "writer"]);
    assert_eq!(shared["delivered"], true, "{shared:#}");
    // Without a role he stays what he is.
    let again = marie.device.done(&["share", "papers", "paul"]);
    assert_eq!(again["role"], "writer", "{again:#}");
    paul.device
        .done(&["share", "decline", &offer_ids(&paul.device)[0]]);
    let listed = paul.device.done(&["vault", "list"]);
    assert_eq!(listed["vaults"].as_array().unwrap().len(), 1, "{listed:#}");
    let offers = paul.device.done(&["share", "list"]);
    assert_eq!(offers["offers"][0]["vault_name"], "papers", "{offers:#}");
    assert_eq!(
        offers["offers"][0]["checked"], false,
        "she is no contact yet"
    );
    paul.device.done(&["contact", "add", &hers]);
    let offers = paul.device.done(&["share", "list"]);
    assert_eq!(offers["offers"][0]["checked"], true, "{offers:#}");
    // Whoever shares twice, because he is not sure that it has arrived, offers the same.
    marie.device.done(&["share", "papers", "paul"]);
    assert_eq!(offer_ids(&paul.device).len(), 2);
    let (exit, refused) = paul.device.json(&["share", "accept", "photos"]);
    assert_eq!(exit, 2, "{refused:#}");
    let (exit, _) = paul.device.json(&["share", "accept", "papers"]);
    assert_eq!(exit, 1, "he has a vault of that name");
    paul.device.done(&["share", "accept", "--name", "of marie"]);
    marie.assert_restored_by(&paul.device, &["--vault", "of marie"]);
    let tree = paul.tree.to_str().unwrap().to_owned();
    paul.device.done(&["backup", &tree, "--vault", "of marie"]);

    let members = marie.device.done(&["vault", "members", "papers"]);
    let roles: Vec<_> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["role"].as_str().unwrap())
        .collect();
    assert!(
        roles.contains(&"manager") && roles.contains(&"writer"),
        "{members:#}"
    );

    // Both see the same number.
    let one = marie.device.done(&["contact", "verify", "paul", "--same"]);
    let other = paul.device.done(&["contact", "verify", &hers]);
    assert_eq!(one["number"], other["number"]);
    assert_eq!(one["contact"]["verified"], true);

    marie.device.done(&["unshare", "papers", "paul"]);
    let (exit, document) = paul.device.json(&["backup", &tree, "--vault", "of marie"]);
    assert_eq!(exit, 1, "{document:#}");
    assert!(text(&document, "hint").contains("vault delete"));
    marie.device.back_up(&marie.tree);

    // He is told who it was, and keeps the use of what is his.
    let run = paul.device.run(&["vault", "list"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(run.stderr.contains("marie has taken you out of of marie"));
    let (_, listed) = paul.device.json(&["vault", "list"]);
    let vaults = listed["vaults"].as_array().unwrap().iter();
    let standing: Vec<_> = vaults.map(|vault| text(vault, "standing")).collect();
    assert_eq!(standing, ["out", "listed"], "{listed:#}");
    let (exit, status) = paul.device.json(&["status"]);
    assert_eq!(exit, 0, "{status:#}");
    assert_eq!(status["vaults"].as_array().unwrap().len(), 1);
    assert_eq!(status["left_out"][0]["vault"]["name"], "of marie");
    paul.device.done(&["vault", "delete", "of marie", "--yes"]);
    let listed = paul.device.done(&["vault", "list"]);
    assert_eq!(listed["vaults"].as_array().unwrap().len(), 1, "{listed:#}");
    paul.device.back_up(&paul.tree);
}

/// A manager may take out whoever made the vault; he is asked whether he means to.
#[test]
fn whoever_made_a_vault_is_not_taken_out_unasked() {
    let hoster = Hoster::start();
    let (marie, paul) = (Member::new(&hoster), hoster.member());
    marie.shares_with(&paul, "manager");
    paul.done(&["contact", "add", &marie.address()]);
    paul.done(&["share", "accept"]);
    let (exit, refused) = paul.json(&["unshare", "papers", "marie"]);
    assert_eq!(exit, 2, "{refused:#}");
    assert!(text(&refused, "hint").contains("--yes"), "{refused:#}");
    marie.device.back_up(&marie.tree);
    paul.done(&["unshare", "papers", "marie", "--yes"]);
    let run = marie.device.run(&["vault", "list"]);
    assert_eq!(run.exit, 0, "{run:?}");
    assert!(
        run.stderr.contains("has taken you out of papers"),
        "{run:?}"
    );
}

/// Two computers of one name, as many are called alike, belong to two members.
#[test]
fn nobody_goes_on_in_the_series_of_another_member() {
    let hoster = Hoster::start();
    let (marie, paul) = (Member::new(&hoster), hoster.member());
    marie.shares_with(&paul, "writer");
    paul.done(&["share", "accept"]);
    let accented = marie.tree.join("été");
    fs::create_dir(&accented).unwrap();
    fs::write(accented.join("photo"), "a photo").unwrap();
    let tree = accented.to_str().unwrap();
    for _ in 0..2 {
        marie.device.done(&["backup", tree]);
        paul.done(&["backup", tree, "--vault", "papers"]);
    }
    let listed = marie.device.done(&["snapshots"]);
    let snapshots = listed["snapshots"].as_array().unwrap().iter();
    let series: Vec<_> = snapshots.map(|snapshot| text(snapshot, "series")).collect();
    let [_, hers, his, hers_again, his_again] = &series[..] else {
        panic!("{listed:#}");
    };
    assert_eq!([hers, his], [hers_again, his_again]);
    assert_ne!(hers, his);
    assert!(hers.ends_with(tree) && his.ends_with(tree), "{series:?}");
}

fn offer_ids(device: &Device) -> Vec<String> {
    let listed = device.done(&["share", "list"]);
    let offers = listed["offers"].as_array().unwrap().iter();
    offers.map(|offer| text(offer, "id")).collect()
}

/// Whoever has only what others share is asked where his papers go.
#[test]
fn a_backup_goes_into_a_shared_vault_only_if_that_is_named() {
    let hoster = Hoster::start();
    let (marie, paul) = (Member::new(&hoster), hoster.member());
    marie.shares_with(&paul, "writer");
    paul.done(&["share", "accept"]);
    let tree = marie.tree.to_str().unwrap();
    let (exit, refused) = paul.json(&["backup", tree]);
    assert_eq!(exit, 2, "{refused:#}");
    assert!(text(&refused, "message").contains("papers"), "{refused:#}");
    assert!(text(&refused, "hint").contains("--vault"), "{refused:#}");
    paul.done(&["snapshots"]);
    paul.done(&["backup", tree, "--vault", "papers"]);
    // With one of her own, she need not say it.
    marie.device.back_up(&marie.tree);
}

#[test]
fn an_offer_is_declined() {
    let hoster = Hoster::start();
    let (marie, paul) = (Member::new(&hoster), Member::new(&hoster));
    marie.device.done(&["whoami", "--name", "marie"]);
    paul.device.done(&["whoami", "--name", "paul"]);
    marie.device.done(&["share", "papers", &paul.address()]);
    paul.device.done(&["share", "decline"]);
    let offers = paul.device.done(&["share", "list"]);
    assert!(
        offers["offers"].as_array().unwrap().is_empty(),
        "{offers:#}"
    );
}

#[test]
fn a_link_gives_one_folder_and_ends() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let what = format!("latest:{}", member.tree.display());
    let made = member.device.done(&[
        "link",
        "create",
        &what,
        "--expires",
        "1h",
        "--max-downloads",
        "2",
    ]);
    let url = text(&made, "url");
    assert_eq!(made["schema"], "coffre.link-create/1");

    // Without an account.
    let stranger = Device::new();
    let target = tempfile::tempdir().unwrap();
    let to = |name: &str| target.path().join(name).to_str().unwrap().to_owned();
    let get = |name: &str| {
        let mut command = stranger.coffre(&["link", "get", "-", "--to", &to(name), "--json"]);
        Run::of(command.write_stdin(url.clone()))
    };
    let run = get("first");
    assert!(matches!(run.exit, 0 | 3), "{run:?}");
    let there = fs::read_dir(target.path().join("first")).unwrap().count();
    assert!(there > 0);
    assert!(!stranger.home.path().join("state.db").exists());
    let secret = url.split_once('#').unwrap().1;
    assert!(!run.text().contains(secret) && !run.stderr.contains(secret));

    assert!(matches!(get("second").exit, 0 | 3));
    let run = get("third");
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(!target.path().join("third").exists());

    let again = member.device.done(&["link", "create", &what]);
    let id = text(&again, "id");
    let listed = member.device.done(&["link", "list"]);
    assert_eq!(listed["links"].as_array().unwrap().len(), 2, "{listed:#}");
    member.device.done(&["link", "revoke", &id[..8]]);
    let (exit, _) = stranger.json(&["link", "get", &text(&again, "url"), "--to", &to("fourth")]);
    assert_eq!(exit, 1);
}

#[test]
fn a_password_is_needed_besides_the_link() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let what = format!("latest:{}", member.tree.display());
    let mut command = member
        .device
        .coffre(&["link", "create", &what, "--password", "--json"]);
    let run = Run::of(command.write_stdin("open sesame\n"));
    assert_eq!(run.exit, 0, "{run:?}");
    let made: Value = serde_json::from_slice(&run.stdout).unwrap();
    let url = text(&made, "url");
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("to");
    let get = |password: &str| {
        let stranger = Device::new();
        let mut command =
            stranger.coffre(&["link", "get", &url, "--to", to.to_str().unwrap(), "--json"]);
        Run::of(command.write_stdin(format!("{password}\n"))).exit
    };
    assert_eq!(get("open barley"), 12);
    assert!(!to.exists());
    assert!(matches!(get("open sesame"), 0 | 3));
}

#[test]
fn a_vault_is_renamed_and_deleted() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let device = &member.device;
    device.done(&["vault", "rename", "papers", "old papers"]);
    member.assert_restored_by(device, &["--vault", "old papers"]);
    let (exit, _) = device.json(&["vault", "delete", "old papers"]);
    assert_eq!(exit, 2, "nobody is there to be asked");
    device.done(&["vault", "delete", "old papers", "--yes"]);
    let listed = device.done(&["vault", "list"]);
    assert!(
        listed["vaults"].as_array().unwrap().is_empty(),
        "{listed:#}"
    );
    let (exit, _) = device.json(&["snapshots", "--vault", "old papers"]);
    assert_eq!(exit, 10);
}
