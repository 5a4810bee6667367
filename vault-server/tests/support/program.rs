//! The program in a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

use tempfile::TempDir;

pub(crate) fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_coffre-server"))
}

/// A server in its own process.
pub(crate) struct Running {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    said_before: String,
    directory: TempDir,
}

impl Running {
    pub(crate) fn start(more: &[&str]) -> Self {
        Self::start_as(program(), more)
    }

    /// With a command that runs the program, and with more arguments for it.
    pub(crate) fn start_as(mut command: Command, more: &[&str]) -> Self {
        // A path longer than the kernel lets a socket have.
        let directory = tempfile::tempdir().unwrap();
        let data = data(&directory);
        let mut child = command
            .args(["run", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut said_before) = (String::new(), String::new());
        while !line.starts_with("listening on ") {
            said_before.push_str(&line);
            line.clear();
            assert_ne!(said.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let address = fs::read_to_string(data.join("address")).unwrap();
        assert_eq!(line, format!("listening on {address}"));
        Self {
            child,
            said,
            said_before,
            directory,
        }
    }

    /// What it said before it listened.
    pub(crate) fn said_before(&self) -> &str {
        &self.said_before
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Reads what it says until a line holds these words, and returns that line.
    pub(crate) fn says(&mut self, words: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "it ended");
            if line.contains(words) {
                return line;
            }
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = fs::read_to_string(self.data().join("address")).unwrap();
        address.trim().parse().unwrap()
    }

    pub(crate) fn send(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Ends a server that was started through another program, and waits for
    /// that to end too.
    pub(crate) fn stop_under(mut self) {
        for child in self.children() {
            rustix::process::kill_process(child, rustix::process::Signal::TERM).unwrap();
        }
        self.child.wait().unwrap();
    }

    fn children(&self) -> Vec<rustix::process::Pid> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        let children = children.unwrap_or_default();
        let ids = children.split_whitespace().map(|id| id.parse().unwrap());
        ids.filter_map(rustix::process::Pid::from_raw).collect()
    }

    pub(crate) fn data(&self) -> PathBuf {
        data(&self.directory)
    }

    pub(crate) fn ask(&self, arguments: &[&str]) -> Output {
        ask(&self.data(), arguments)
    }

    /// Its exit code after a signal.
    pub(crate) fn stop(mut self, signal: rustix::process::Signal) -> Option<i32> {
        self.send(signal);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.said, &mut rest).unwrap();
        assert!(rest.contains("stopping"), "{rest}");
        let code = self.child.wait().unwrap().code();
        assert!(!self.data().join("address").exists());
        assert!(!self.data().join("admin.sock").exists());
        code
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.children() {
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn data(directory: &TempDir) -> PathBuf {
    let long = "a-directory-with-quite-a-long-name/".repeat(4);
    directory.path().join(long).join("data")
}

pub(crate) fn ask(data: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    command.args(arguments).arg("--data").arg(data);
    command.output().unwrap()
}
