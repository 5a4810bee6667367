//! A hoster in this process, and devices that are directories.

use std::fmt;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vault_rpc::admin::InviteRequest;
use vault_server::{Config, Server};

pub(crate) const PLENTY: u64 = 1 << 40;

/// A running server with its data.
pub(crate) struct Hoster {
    runtime: Runtime,
    server: Option<Server>,
    data: TempDir,
}

impl Hoster {
    pub(crate) fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub(crate) fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(&std::env::temp_dir(), change)
    }

    /// With its data in a new directory there.
    pub(crate) fn start_in(parent: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let runtime = Runtime::new().unwrap();
        let data = tempfile::tempdir_in(parent).unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut config = Config::new(data.path().to_owned(), listen);
        change(&mut config);
        let server = runtime.block_on(Server::start(config)).unwrap();
        Self {
            runtime,
            server: Some(server),
            data,
        }
    }

    pub(crate) fn invitation(&self, quota_bytes: u64) -> String {
        let request = InviteRequest {
            quota_bytes,
            label: "a member".to_owned(),
            lifetime_seconds: 3_600,
        };
        let answer = self.runtime.block_on(async {
            let mut client = vault_server::admin::connect(self.data.path())
                .await
                .unwrap();
            client.invite(request).await.unwrap()
        });
        answer.into_inner().url
    }

    /// A new member's only device.
    pub(crate) fn member(&self) -> Device {
        self.member_with_quota(PLENTY)
    }

    pub(crate) fn member_with_quota(&self, quota_bytes: u64) -> Device {
        let device = Device::new();
        let phrase = device.home.path().join("phrase");
        let invitation = self.invitation(quota_bytes);
        device
            .coffre(&["signup", "-", "--device", "laptop", "--phrase-out"])
            .arg(&phrase)
            .write_stdin(invitation)
            .assert()
            .success();
        device
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().address()
    }

    pub(crate) fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.stop());
        }
    }

    /// Stops the server, does something to its data, and starts it again where it was.
    pub(crate) fn restarted(&mut self, change: impl FnOnce(&Path)) {
        let listen = self.address();
        self.stop();
        change(self.data.path());
        let config = Config::new(self.data.path().to_owned(), listen);
        let server = self.runtime.block_on(Server::start(config)).unwrap();
        self.server = Some(server);
    }

    /// The packs that are files, not rows.
    pub(crate) fn pack_files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.data.path().join("blobs")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let entry = entry.unwrap();
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    directories.push(entry.path());
                } else {
                    found.push(entry.path());
                }
            }
        }
        found
    }
}

/// Says that a test cannot be made on this machine, and why: past the harness,
/// which would keep it to itself. Where CI runs as root, everything can be made.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
pub(crate) fn not_tested(why: &str) {
    let is_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !(is_ci && rustix::process::geteuid().is_root()),
        "not tested: {why}"
    );
    let told = writeln!(std::io::stderr(), "not tested: {why}");
    told.unwrap();
}

/// All state of a device, and a way to run `coffre` on it.
pub(crate) struct Device {
    pub(crate) home: TempDir,
}

/// What a run of `coffre` came to.
pub(crate) struct Run {
    pub(crate) exit: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// Ready to run, with nothing of this process's environment.
    pub(crate) fn coffre<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffre"));
        command
            .env_clear()
            .env("COFFRE_HOME", self.home.path())
            .env("TZ", "UTC")
            .timeout(Duration::from_secs(120))
            .args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.coffre(arguments))
    }

    /// Runs it with `--json`: the exit code, and the one document.
    pub(crate) fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let run = Run::of(self.coffre(arguments).arg("--json"));
        let document =
            serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
        (run.exit, document)
    }

    /// Likewise, and it went well.
    pub(crate) fn done(&self, arguments: &[&str]) -> Value {
        let (exit, document) = self.json(arguments);
        assert_eq!(exit, 0, "{arguments:?}: {document:#}");
        document
    }

    /// Backs a directory up; the snapshot's id.
    pub(crate) fn back_up(&self, directory: &Path) -> String {
        let document = self.done(&["backup", directory.to_str().unwrap()]);
        document["snapshot"].as_str().unwrap().to_owned()
    }
}

impl Run {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            exit: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        write!(f, "exit {}\n{stdout}\n{}", self.exit, self.stderr)
    }
}
