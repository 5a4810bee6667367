//! The program itself: its commands, its output, its exit codes.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;
use vault_proto::invitation::Invitation;

use crate::support::{Running, ask, program};

#[track_caller]
fn document(output: &Output, schema: &str) -> Value {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], schema);
    document
}

#[test]
fn it_runs_invites_answers_and_stops() {
    let server = Running::start(&[]);
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.data()), 0o700);
    for name in ["hoster.key", "admin.sock", "tls/key.pem", "lock"] {
        assert_eq!(mode(server.data().join(name)), 0o600, "{name}");
    }

    let output = server.ask(&["invite", "--quota", "5GB", "--label", "alice"]);
    assert!(output.status.success());
    let url = String::from_utf8(output.stdout).unwrap();
    assert_eq!(url.lines().count(), 1);
    let invitation = Invitation::parse(&url).unwrap();
    let address = fs::read_to_string(server.data().join("address")).unwrap();
    assert_eq!(invitation.origin.as_str(), address.trim());

    let output = server.ask(&["member", "list", "--json"]);
    let members = document(&output, "coffre-server.member-list/1");
    assert_eq!(members["members"], Value::Array(Vec::new()));
    let stats = document(&server.ask(&["stats", "--json"]), "coffre-server.stats/1");
    assert_eq!(stats["open_invitations"], 1);
    let output = server.ask(&["inspect", "nobody", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    document(&output, "coffre-server.error/1");
    let output = server.ask(&["invitation", "list", "--json"]);
    let listed = document(&output, "coffre-server.invitation-list/1");
    assert_eq!(listed["invitations"][0]["label"], "alice");
    let output = server.ask(&["invite", "--quota", "5GB", "--json"]);
    assert!(output.stderr.is_empty());
    let invited = document(&output, "coffre-server.invite/1");
    Invitation::parse(invited["url"].as_str().unwrap()).unwrap();
    // A label that is taken is taken all the same.
    let output = server.ask(&["invite", "--label", "alice"]);
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("WARNING: another open invitation"), "{said}");
    Invitation::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
    for arguments in [
        &["member", "quota", "nobody", "5GB", "--json"][..],
        &["invitation", "revoke", "nobody", "--json"],
    ] {
        let output = server.ask(arguments);
        assert_eq!(output.status.code(), Some(1));
        document(&output, "coffre-server.error/1");
    }
    for arguments in [&["member", "list"][..], &["invitation", "list"], &["stats"]] {
        assert!(server.ask(arguments).status.success(), "{arguments:?}");
    }
    assert_eq!(server.stop(rustix::process::Signal::TERM), Some(0));
}

#[test]
fn it_stops_at_an_interrupt_too() {
    let server = Running::start(&["--insecure-behind-proxy"]);
    assert_eq!(server.stop(rustix::process::Signal::INT), Some(0));
}

/// The program under these limits on open files.
fn limited(limits: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("{limits} && exec \"$@\"");
    shell
        .args(["-c", &script, "sh"])
        .arg(program().get_program());
    shell
}

#[test]
fn it_opens_as_many_files_as_it_may() {
    let server = Running::start_as(limited("ulimit -Sn 256 && ulimit -Hn 4000"), &[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let numbers: Vec<_> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers, ["4000", "4000"]);
    assert!(!server.said_before().contains("WARNING"));
}

#[test]
fn it_says_when_it_may_open_too_few_files() {
    let server = Running::start_as(limited("ulimit -n 700"), &[]);
    let said = server.said_before();
    assert!(
        said.contains("WARNING") && said.contains("700 files"),
        "{said}"
    );
    assert!(said.contains("1024 connections"), "{said}");
    // Behind a proxy there is a connection for each call.
    let limits = limited("ulimit -n 4000");
    let server = Running::start_as(limits, &["--insecure-behind-proxy"]);
    assert!(server.said_before().contains("16384 connections"));
}

#[test]
fn a_forgotten_unit_is_told() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["invite", "--quota", "5"][..],
        &["member", "quota", "x", "5"],
    ] {
        let output = ask(directory.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains("less than 1 MiB") && said.contains("GiB"),
            "{said}"
        );
    }
}

/// A file is no place for colours.
#[test]
fn what_is_logged_to_no_terminal_has_no_colours() {
    let mut server = Running::start(&["--log", "trace"]);
    assert!(server.ask(&["stats"]).status.success());
    let line = server.says("TRACE");
    assert!(!line.contains('\x1b'), "{line:?}");
}

#[test]
fn an_address_that_is_taken_is_said_once() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let output = ask(directory.path(), &["run", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    let why = format!("coffre-server: cannot listen on {address}: ");
    assert_eq!(said.matches(&why).count(), 1, "{said}");
    assert_eq!(said.matches("Address already in use").count(), 1, "{said}");
}

#[test]
fn two_servers_cannot_share_a_directory() {
    let server = Running::start(&[]);
    let output = server.ask(&["run", "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("another coffre-server is running"), "{said}");
    // The first one goes on.
    assert!(server.ask(&["stats"]).status.success());
}

#[test]
fn without_a_server_the_exit_code_is_four() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["stats"][..],
        &["invite"],
        &["member", "list"],
        &["inspect", "x"],
        &["member", "quota", "x", "5GB"],
        &["invitation", "list"],
        &["invitation", "revoke", "x"],
    ] {
        let output = ask(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("no coffre-server is running"), "{said}");
    }
    let output = ask(directory.path(), &["stats", "--json"]);
    let error = document(&output, "coffre-server.error/1");
    assert_eq!(error["code"], "not_running");
}

#[test]
fn what_makes_no_sense_is_exit_code_two() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in [
        &["frobnicate"][..],
        &["invite", "--quota", "lots"],
        &["invite", "--quota", "5"],
        &["member", "quota", "x", "5"],
        &["member", "quota", "x"],
        &["invitation", "revoke"],
        &["invite", "--expires", "soon"],
        &["run"],
        &["run", "--listen", "nowhere"],
        &["run", "--listen", "127.0.0.1:0", "--tls-cert", "x"],
        &[
            "run",
            "--listen",
            "127.0.0.1:0",
            "--public-address",
            "nohost",
        ],
    ] {
        let output = ask(directory.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    let log = ["run", "--listen", "127.0.0.1:0", "--log", "coffre=loudly"];
    let output = ask(directory.path(), &log);
    assert_eq!(output.status.code(), Some(2), "a bad filter");
    let proxy = ["run", "--listen", "0.0.0.0:0", "--insecure-behind-proxy"];
    let output = ask(directory.path(), &proxy);
    assert_eq!(output.status.code(), Some(2), "plain HTTP/2 off loopback");
}

#[test]
fn wrong_arguments_are_a_document_where_one_was_asked_for() {
    for arguments in [
        &["stats", "--json"][..],
        &["inspect", "--json", "x"],
        &["frobnicate", "--json"],
    ] {
        let output = program().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = document(&output, "coffre-server.error/1");
        assert_eq!(error["code"], "usage");
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(output.stderr.is_empty());
    }
    let output = program().args(["stats"]).output().unwrap();
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    // Help is none.
    let output = program().args(["stats", "--json", "--help"]).output();
    assert_eq!(output.unwrap().status.code(), Some(0));
}

#[test]
fn help_says_what_the_exit_codes_mean() {
    let output = program().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for code in ["0  done", "1  failed", "2  wrong", "4  no server"] {
        assert!(help.contains(code), "{code}");
    }
}

#[test]
fn completions_and_pages_are_made_for_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let output = program().args(["completions", shell]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let script = String::from_utf8(output.stdout).unwrap();
        for words in ["inspect", "public-address", "quota", "revoke"] {
            assert!(script.contains(words), "{words}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let pages = directory.path().join("man");
    let man = program()
        .args(["man", "--to"])
        .arg(&pages)
        .output()
        .unwrap();
    assert!(man.status.success(), "{man:?}");
    for (name, said) in [
        ("coffre-server.1", "Hosts encrypted vaults"),
        ("coffre-server-run.1", "insecure\\-behind\\-proxy"),
        ("coffre-server-member-list.1", "Lists the members"),
        ("coffre-server-member-quota.1", "may store"),
        ("coffre-server-invitation-list.1", "still be used"),
        ("coffre-server-invitation-revoke.1", "Revokes an invitation"),
    ] {
        let page = fs::read_to_string(pages.join(name)).unwrap();
        assert!(page.contains(said), "{name}");
    }
}

/// An idle server is small, with room for another allocator.
#[test]
fn it_idles_under_fifty_megabytes() {
    let server = Running::start(&[]);
    let status = format!("/proc/{}/status", server.id());
    let status = fs::read_to_string(status).unwrap();
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = rss
        .and_then(|rss| rss.trim().strip_suffix(" kB"))
        .unwrap()
        .parse()
        .unwrap();
    assert!(kilobytes < 50_000, "{kilobytes} kB");
}
