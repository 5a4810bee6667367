//! What a restore asks of the kernel before it says that it is done: a machine that
//! loses its power afterwards must have all of it, and only a crash would show.

use std::fs;
use std::process::Command;

use crate::hoster::{Hoster, Run, not_tested};
use crate::trees::plant;

/// The calls that returned well, in the order in which they did: each with its name
/// and arguments on a line, without the halves of those that others came between.
fn calls(recorded: &str) -> Vec<String> {
    let mut begun = std::collections::HashMap::new();
    let mut calls = Vec::new();
    for line in recorded.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        let call = if let Some(beginning) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, beginning);
            continue;
        } else if let Some((_, result)) = rest.split_once("resumed>") {
            let beginning = begun.remove(thread).unwrap_or_default();
            format!("{beginning}{result}")
        } else {
            rest.to_owned()
        };
        if call.ends_with("= 0") {
            calls.push(call);
        }
    }
    calls
}

/// Whether all was on the disk before the mark went that says that a restore is under
/// way, and the target itself after it; if so, the calls that this rests on.
fn check(calls: &[String], target: &str) -> Result<[usize; 3], String> {
    let last = |what: &str, wanted: &dyn Fn(&String) -> bool| {
        let found = calls.iter().rposition(wanted);
        found.ok_or_else(|| format!("{what} is missing"))
    };
    let of_target = |call: &String| call.contains(&format!("<{target}>"));
    let finished = last("the end of a file", &|call| {
        call.starts_with("fchmod") && call.contains(&format!("<{target}/"))
    })?;
    let synced = last("syncfs", &|call| {
        call.starts_with("syncfs") && of_target(call)
    })?;
    let unmarked = last("the removal of the mark", &|call| {
        call.starts_with("unlinkat") && call.contains("\".coffre-restore\"")
    })?;
    let ended = last("the fsync of the target", &|call| {
        call.starts_with("fsync") && of_target(call)
    })?;
    if finished < synced && synced < unmarked && unmarked < ended {
        return Ok([synced, unmarked, ended]);
    }
    Err(format!(
        "files until {finished}, syncfs {synced}, the mark {unmarked}, the end {ended}"
    ))
}

#[test]
fn a_restore_is_on_the_disk_before_it_is_done() {
    let hoster = Hoster::start();
    let device = hoster.member();
    device.done(&["vault", "create", "papers"]);
    let place = tempfile::tempdir().unwrap();
    let (tree, record) = (place.path().join("tree"), place.path().join("calls"));
    plant(&tree);
    device.back_up(&tree);
    let traced = Command::new("strace")
        .arg("-o")
        .arg(&record)
        .arg("true")
        .output();
    if !traced.is_ok_and(|output| output.status.success()) {
        return not_tested("that a restore is synced: strace does not work here");
    }
    let target = place.path().canonicalize().unwrap().join("restored");
    let mut strace = assert_cmd::Command::new("strace");
    strace.args(["-f", "-y", "-s", "200", "-o"]).arg(&record);
    strace.args(["-e", "trace=syncfs,fsync,unlinkat,fchmod"]);
    strace.arg(env!("CARGO_BIN_EXE_coffre"));
    strace.args(["restore", "latest", "--to"]).arg(&target);
    let run = Run::of(strace.env("COFFRE_HOME", device.home.path()));
    assert_eq!(run.exit, 0, "{run:?}");

    let mut calls = calls(&fs::read_to_string(&record).unwrap());
    let target = target.to_str().unwrap();
    let rests_on = check(&calls, target).unwrap();
    // The check sees each of these calls that is missing.
    for at in rests_on {
        let call = calls.remove(at);
        assert!(check(&calls, target).is_err(), "without {call}");
        calls.insert(at, call);
    }
    check(&calls, target).unwrap();
}
