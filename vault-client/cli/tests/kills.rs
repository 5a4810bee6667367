//! Device and hoster are killed at random moments, over and over: what was
//! acknowledged stays, and the next backup completes.
//!
//! ```text
//! make kills TIMES=200 SEED=1
//! ```
//!
//! The seed decides what is written, who is killed and after which share of a
//! backup's usual time; the machine's load decides where that falls. The hoster
//! is this program in a process of its own, or the program that
//! `COFFRE_SERVER` names.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vault_rpc::admin::InviteRequest;
use vault_server::{Config, Server};

use crate::hoster::{Device, PLENTY, Run};
use crate::trees::noise;

/// Without `COFFRE_KILLS`.
const ROUNDS: u64 = 8;
/// Who is killed in the first rounds, well within a backup: so that each kind of kill
/// meets one, whatever the seed.
const FIRST: [Victim; 2] = [Victim::Device, Victim::Hoster];
/// Every byte is checked after so many rounds, and after the last.
const ROUNDS_BETWEEN_CHECKS: u64 = 20;
/// Long after anything here should have ended.
const PATIENCE: Duration = Duration::from_secs(240);

#[expect(clippy::print_stdout, reason = "the seed repeats a run")]
#[test]
fn what_was_acknowledged_outlives_every_kill() {
    let rounds = setting("COFFRE_KILLS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let seed = setting("COFFRE_SEED").map_or_else(
        || u64::from(std::process::id()),
        |seed| seed.parse().unwrap(),
    );
    // Past the harness, which keeps what a test prints until it has failed, and
    // so for ever if it is killed.
    writeln!(std::io::stderr(), "kills: seed {seed}, {rounds} rounds").unwrap();
    let _told = OnPanic(seed);
    let mut kills = Kills::begin(seed);
    for round in 1..=rounds {
        kills.round(round);
        if round % ROUNDS_BETWEEN_CHECKS == 0 || round == rounds {
            kills.check(round);
        }
    }
    let seen = &kills.seen;
    println!("seed {seed}, {rounds} kills: {seen:?}");
    // Otherwise nothing was shown.
    assert!(seen.device_killed > 0, "no backup was cut off: {seen:?}");
    let fell = seen.hoster_killed_meanwhile;
    assert!(fell > 0, "no kill of the hoster met a backup: {seen:?}");
}

/// Tells the seed where a test fails, beside whatever it says itself.
struct OnPanic(u64);

impl Drop for OnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            let seed = self.0;
            let told = writeln!(std::io::stderr(), "kills: failed with COFFRE_SEED={seed}");
            drop(told);
        }
    }
}

/// The hoster, in a process that can be killed: not a test.
#[expect(clippy::print_stderr, reason = "as the real one says it")]
#[test]
#[ignore = "the hoster of the kill loop, which starts it as a process"]
fn serve() {
    let (Some(data), Some(listen)) = (setting("COFFRE_DATA"), setting("COFFRE_LISTEN")) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config::new(data.into(), listen.parse().unwrap());
    let server = runtime.block_on(Server::start(config)).unwrap();
    eprintln!("listening on {}", server.address());
    // Until who started it is gone.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Who is killed.
#[derive(Debug, Clone, Copy)]
enum Victim {
    Device,
    Hoster,
    /// And once more while it starts.
    HosterTwice,
    Both,
}

/// What the kills met, and how the interrupted backups ended.
#[derive(Debug, Default)]
struct Seen {
    /// The hoster was killed while the device was backing up.
    hoster_killed_meanwhile: u64,
    device_killed: u64,
    done_all_the_same: u64,
    unreachable: u64,
    committed_and_not_told: u64,
}

struct Kills {
    random: Random,
    hoster: KillableHoster,
    device: Device,
    place: TempDir,
    tree: Tree,
    /// What every acknowledged snapshot holds, in their order.
    acknowledged: Vec<(String, Files)>,
    /// How long a backup takes that nobody kills.
    usual: Duration,
    seen: Seen,
}

impl Kills {
    fn begin(seed: u64) -> Self {
        let mut random = Random(seed);
        let hoster = KillableHoster::start(&mut random);
        let device = Device::new();
        let run = Run::of(
            device
                .coffre(&["signup", "-", "--device", "laptop", "--phrase-out"])
                .arg(device.home.path().join("phrase"))
                .write_stdin(hoster.invitation()),
        );
        assert_eq!(run.exit, 0, "{run:?}");
        device.done(&["vault", "create", "papers"]);
        let place = tempfile::tempdir().unwrap();
        let tree = Tree::plant(&place.path().canonicalize().unwrap(), &mut random);
        let mut kills = Self {
            random,
            hoster,
            device,
            place,
            tree,
            acknowledged: Vec::new(),
            usual: Duration::ZERO,
            seen: Seen::default(),
        };
        kills.back_up(0);
        kills.tree.change(&mut kills.random);
        kills.back_up(0);
        kills
    }

    fn round(&mut self, round: u64) {
        self.tree.change(&mut self.random);
        let first = usize::try_from(round - 1).ok().and_then(|at| FIRST.get(at));
        let victim = first
            .copied()
            .unwrap_or_else(|| match self.random.below(8) {
                0..4 => Victim::Device,
                4..6 => Victim::Hoster,
                6 => Victim::HosterTwice,
                _ => Victim::Both,
            });
        // A bit beyond the end, too; every third one late, where commits are.
        let share = match self.random.below(3) {
            _ if first.is_some() => 10 + self.random.below(40),
            0 => 60 + self.random.below(50),
            _ => self.random.below(110),
        };
        let delay = self.usual * u32::try_from(share).unwrap() / 100;
        let what = format!("round {round}, {victim:?} after {delay:?}");

        let mut child = self.start_backup();
        pause(delay);
        if matches!(victim, Victim::Device | Victim::Both) {
            child.kill().unwrap();
        } else if child.try_wait().unwrap().is_none() {
            self.seen.hoster_killed_meanwhile += 1;
        }
        if !matches!(victim, Victim::Device) {
            self.hoster.kill();
            if matches!(victim, Victim::HosterTwice) {
                let moment = Duration::from_millis(self.random.below(60));
                self.hoster.spawn();
                pause(moment);
                self.hoster.kill();
            }
            self.hoster.start_again();
        }
        let output = finish(child, &what);
        self.take_note(&output, &what);
        self.assert_intact(&what);
        self.back_up(round);
        self.restore_one(&what);
    }

    fn start_backup(&self) -> Child {
        Command::new(env!("CARGO_BIN_EXE_coffre"))
            .args(["backup", "--json"])
            .arg(&self.tree.root)
            .env("COFFRE_HOME", self.device.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Whatever was printed before the kill counts.
    fn take_note(&mut self, output: &Output, what: &str) {
        let document = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
        let id = document.as_ref().and_then(|told| told["snapshot"].as_str());
        match (output.status.code(), id) {
            (None | Some(0), Some(id)) => {
                self.seen.done_all_the_same += 1;
                let files = self.tree.files.clone();
                self.acknowledged.push((id.to_owned(), files));
            }
            (None, None) => self.seen.device_killed += 1,
            (Some(4), None) => self.seen.unreachable += 1,
            _ => panic!("{what}: {output:?}"),
        }
    }

    /// Every acknowledged snapshot is listed, in order.
    fn assert_intact(&mut self, what: &str) {
        let document = self.device.done(&["snapshots"]);
        let listed = document["snapshots"].as_array().unwrap();
        let mut rest = listed.iter();
        for (id, _) in &self.acknowledged {
            let found = rest.find(|snapshot| snapshot["id"] == id.as_str());
            let found = found.unwrap_or_else(|| panic!("{what}: {id}: {document:#}"));
            assert_eq!(found["complete"], true, "{what}: {found:#}");
        }
        self.seen.committed_and_not_told = (listed.len() - self.acknowledged.len()) as u64;
    }

    /// A backup that nobody kills.
    fn back_up(&mut self, round: u64) {
        let begun = Instant::now();
        let output = finish(self.start_backup(), "a backup that nobody kills");
        let told = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "round {round}: {output:?}");
        self.usual = begun.elapsed();
        let document: serde_json::Value = serde_json::from_str(&told).unwrap();
        let id = document["snapshot"].as_str().unwrap().to_owned();
        self.acknowledged.push((id, self.tree.files.clone()));
    }

    /// One of the acknowledged snapshots is what the tree was.
    fn restore_one(&mut self, what: &str) {
        let picked = self.random.below(self.acknowledged.len() as u64);
        let (id, files) = &self.acknowledged[usize::try_from(picked).unwrap()];
        let target = self.place.path().join("restored");
        let path = format!("{id}:{}", self.tree.root.display());
        self.device
            .done(&["restore", &path, "--to", target.to_str().unwrap()]);
        let found = all_files(&target);
        let names: Vec<_> = found.keys().collect();
        assert_eq!(names, files.keys().collect::<Vec<_>>(), "{what}: {id}");
        for (name, (seed, length)) in files {
            assert!(found[name] == noise(*seed, *length), "{what}: {id}: {name}");
        }
        fs::remove_dir_all(target).unwrap();
    }

    fn check(&self, round: u64) {
        let run = Run::of(&mut self.device.coffre(&["check", "--read-data"]));
        assert_eq!(run.exit, 0, "after {round} rounds: {run:?}");
    }
}

/// What is in a directory, by name: the noise it is made of.
type Files = BTreeMap<String, (u64, usize)>;

/// A directory that changes from backup to backup.
struct Tree {
    root: PathBuf,
    files: Files,
}

impl Tree {
    fn plant(place: &Path, random: &mut Random) -> Self {
        let root = place.join("tree");
        for directory in ["photos", "letters"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        let mut tree = Self {
            root,
            files: Files::new(),
        };
        for photo in 0..6 {
            tree.write(&format!("photos/{photo}.raw"), 400_000, 2_000_000, random);
        }
        for letter in 0..60 {
            tree.write(&format!("letters/{letter}.txt"), 0, 30_000, random);
        }
        tree
    }

    fn write(&mut self, name: &str, least: u64, more: u64, random: &mut Random) {
        let length = usize::try_from(least + random.below(more)).unwrap();
        let seed = random.next();
        fs::write(self.root.join(name), noise(seed, length)).unwrap();
        self.files.insert(name.to_owned(), (seed, length));
    }

    /// Some megabytes are new, and something is gone.
    fn change(&mut self, random: &mut Random) {
        for _ in 0..3 {
            let photo = random.below(6);
            self.write(&format!("photos/{photo}.raw"), 400_000, 2_000_000, random);
        }
        for _ in 0..10 {
            let name = format!("letters/{}.txt", random.below(80));
            if random.below(4) > 0 {
                self.write(&name, 0, 30_000, random);
            } else if self.files.remove(&name).is_some() {
                fs::remove_file(self.root.join(name)).unwrap();
            }
        }
    }
}

fn all_files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for directory in fs::read_dir(root).unwrap() {
        let directory = directory.unwrap();
        for file in fs::read_dir(directory.path()).unwrap() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.insert(name.to_owned(), fs::read(&path).unwrap());
        }
    }
    files
}

/// A hoster in a process of its own, always at the same address.
struct KillableHoster {
    data: TempDir,
    address: SocketAddr,
    process: Option<Child>,
}

impl KillableHoster {
    fn start(random: &mut Random) -> Self {
        let data = tempfile::tempdir().unwrap();
        // Not among the ports that the system gives to others meanwhile.
        for _ in 0..100 {
            let port = 10_000 + random.below(20_000) + u64::from(std::process::id() % 2_000);
            let address = ([127, 0, 0, 1], u16::try_from(port).unwrap()).into();
            if std::net::TcpListener::bind(address).is_ok() {
                let mut hoster = Self {
                    data,
                    address,
                    process: None,
                };
                hoster.start_again();
                return hoster;
            }
        }
        panic!("no port is free");
    }

    fn spawn(&mut self) -> BufReader<std::process::ChildStderr> {
        let mut command = match setting("COFFRE_SERVER") {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(["run", "--log", "warn", "--data"]);
                command.arg(self.data.path());
                command.args(["--listen", &self.address.to_string()]);
                command
            }
            None => {
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args(["--ignored", "--exact", "--nocapture", "kills::serve"]);
                command
                    .env("COFFRE_DATA", self.data.path())
                    .env("COFFRE_LISTEN", self.address.to_string());
                command
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        self.process = Some(child);
        said
    }

    /// Starts it, and waits until it listens.
    fn start_again(&mut self) {
        let mut said = self.spawn();
        let mut all = String::new();
        while !all
            .lines()
            .last()
            .is_some_and(|line| line.starts_with("listening on "))
        {
            let read = said.read_line(&mut all).unwrap();
            assert_ne!(read, 0, "the hoster does not start: {all}");
        }
        // Whatever else it has to say, so that it never waits to be read.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::stderr()));
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    fn invitation(&self) -> String {
        let request = InviteRequest {
            quota_bytes: PLENTY,
            label: "a member".to_owned(),
            lifetime_seconds: 3_600,
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let answer = runtime.block_on(async {
            let mut admin = vault_server::admin::connect(self.data.path())
                .await
                .unwrap();
            admin.invite(request).await.unwrap()
        });
        answer.into_inner().url
    }
}

impl Drop for KillableHoster {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until a process has ended, but not for ever.
fn finish(child: Child, what: &str) -> Output {
    let id = rustix::process::Pid::from_child(&child);
    let (send, ended) = sync_channel(1);
    let waiting = thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        let _ = send.send(output);
    });
    let output = ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        panic!("{what}: it does not end")
    });
    waiting.join().unwrap();
    output
}

#[expect(
    clippy::disallowed_methods,
    reason = "nothing is awaited: any moment will do"
)]
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
