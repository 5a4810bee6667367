//! What the program asks of the kernel before it acknowledges a head: that
//! RocksDB's log is fsynced is RocksDB's doing, and is seen nowhere else.

use std::{collections::HashMap, fs, path::Path, process::Command};

use vault_proto::{ids::PackId, invitation::Invitation, pack_list::PackList};

use crate::support::{Member, Running, dial, not_tested, pack, program, sorted};

const KIB: usize = 1 << 10;

/// A call that was over, in the order in which they were.
struct Call {
    name: String,
    arguments: String,
}

/// Puts the two halves of a call together that others came between.
fn calls(recorded: &str) -> Vec<Call> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut calls = Vec::new();
    for line in recorded.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        let rest = rest.trim_start();
        let whole = if let Some(beginning) = rest.strip_suffix(" <unfinished ...>") {
            begun.insert(thread, beginning);
            continue;
        } else if rest.starts_with("<... ") {
            // The rest is the result, and of a write nothing more.
            let result = rest.split_once("resumed>").map_or("", |(_, result)| result);
            match begun.remove(thread) {
                Some(beginning) => format!("{beginning}{result}"),
                None => rest.to_owned(),
            }
        } else {
            rest.to_owned()
        };
        if let Some((name, arguments)) = whole.split_once('(') {
            calls.push(Call {
                name: name.into(),
                arguments: arguments.into(),
            });
        }
    }
    calls
}

/// Whether all was on the disk when the head was acknowledged; if so, which calls
/// this rests on, and what each was for.
fn check(calls: &[Call], files: &[PackId]) -> Result<Vec<(usize, String)>, String> {
    let synced = |call: &Call| matches!(&call.name[..], "fsync" | "fdatasync");
    // `accepted {}` as the only message of the answer.
    let answered = calls.iter().rposition(|call| {
        call.arguments.contains("TCP") && call.arguments.contains(r"\0\0\0\0\2\n\0")
    });
    let answered = answered.ok_or("the answer is missing")?;
    let calls = &calls[..=answered];
    let last = |what: &str, wanted: &dyn Fn(&Call) -> bool| {
        let found = calls.iter().rposition(wanted);
        found.ok_or_else(|| format!("{what} is missing"))
    };
    let ledger = last("the sync of the ledger's log", &|call| {
        synced(call) && call.arguments.contains("/ledger/") && call.arguments.contains(".log>")
    })?;
    // The last that was written is the commit.
    let written = last("a write to the ledger's log", &|call| {
        call.name.contains("write")
            && call.arguments.contains("/ledger/")
            && call.arguments.contains(".log>")
    })?;
    if written > ledger {
        return Err("the ledger's log was not synced after its last write".into());
    }
    let mut rests_on = vec![(ledger, "the sync of the ledger's log".to_owned())];
    for pack in files {
        let name = pack.to_string();
        let renamed = last("a rename", &|call| {
            // One that failed, for want of a directory, gave no name.
            call.name.starts_with("rename")
                && call.arguments.contains(&name)
                && !call.arguments.contains("= -1 ")
        })?;
        let from = calls[renamed].arguments.split('"').nth(1);
        let from = from.ok_or("a rename without a name")?;
        let file = last("the fsync of a pack", &|call| {
            synced(call) && call.arguments.contains(&format!("{from}>"))
        })?;
        let directory = format!("/{}/{}>", &name[..2], &name[2..4]);
        let directory = last("the fsync of a directory", &|call| {
            synced(call) && call.arguments.contains(&directory)
        })?;
        if !(file < renamed && renamed < directory && directory < ledger) {
            return Err(format!(
                "pack {name}: fsync {file}, rename {renamed}, directory {directory}, ledger \
                 {ledger}"
            ));
        }
        rests_on.push((file, format!("the fsync of {name}")));
        rests_on.push((renamed, format!("the rename of {name}")));
        rests_on.push((directory, format!("the fsync of the directory of {name}")));
    }
    Ok(rests_on)
}

/// Whether processes may be traced here; not in every container.
fn can_trace(record: &Path) -> Result<(), String> {
    let mut strace = Command::new("strace");
    strace.arg("-o").arg(record).arg("true");
    match strace.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn the_kernel_was_asked_to_sync_all_before_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let record = directory.path().join("calls");
    if let Err(error) = can_trace(&record) {
        return not_tested(&format!(
            "that the ledger's log is fsynced: strace does not work here ({error})"
        ));
    }
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-yy", "-s", "600", "-o"])
        .arg(&record)
        .arg("-e")
        .arg("trace=fsync,fdatasync,rename,renameat,renameat2,write,pwrite64,writev,sendto,sendmsg")
        .arg(program().get_program());
    // In the clear, so that the answer can be told from the rest.
    let server = Running::start_as(
        strace,
        &["--insecure-behind-proxy", "--public-address", "localhost:1"],
    );
    let url = String::from_utf8(server.ask(&["invite"]).stdout).unwrap();
    let invitation = Invitation::parse(&url).unwrap();
    let dialled = dial(server.address(), None).await.unwrap();
    let mut member = Member::new(dialled, &invitation);
    member.create_account(&invitation).await.unwrap();
    member.log_in().await;
    let mut vault = member.create_vault().await;
    let packs = [pack(16 * KIB), pack(128 * KIB), pack(2048 * KIB)];
    for pack in &packs {
        member.put(vault.id(), pack).await.unwrap();
    }
    let adds = sorted(&packs);
    member.commit(&mut vault, &adds, &PackList::default()).await;
    server.stop_under();

    let mut calls = calls(&fs::read_to_string(&record).unwrap());
    let files: Vec<_> = packs[1..].iter().map(|pack| pack.id).collect();
    let rests_on = check(&calls, &files).unwrap();
    assert_eq!(rests_on.len(), 1 + 3 * files.len());
    // The check sees each of these calls that is missing, or comes after the answer.
    for (at, what) in rests_on {
        let call = calls.remove(at);
        assert!(check(&calls, &files).is_err(), "without {what}");
        calls.push(call);
        assert!(check(&calls, &files).is_err(), "with {what} at the end");
        let call = calls.pop().unwrap();
        calls.insert(at, call);
    }
    check(&calls, &files).unwrap();
}
