//! Arguments, help, and what is made from them.

use std::fs;

use tempfile::tempdir;

use crate::hoster::Device;

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let device = Device::new();
    for arguments in [
        &[][..],
        &["no-such-command"],
        &["backup"],
        &["restore", "latest"],
        &["ls", "not hex"],
        &["check", "--read-data=0%"],
        &["backup", "/x", "--compression", "99"],
        &["backup", "/x", "--exclude", "[z-a]"],
        &["backup", "/x", "--exclude-file", "/no/such/file"],
        &["cat", "latest:relative"],
    ] {
        let run = device.run(arguments);
        assert_eq!(run.exit, 2, "{arguments:?}: {run:?}");
        assert!(
            run.stdout.is_empty() && !run.stderr.is_empty(),
            "{arguments:?}: {run:?}"
        );
    }
}

#[test]
fn they_are_refused_in_json_too() {
    let device = Device::new();
    for arguments in [
        &["restore", "latest"][..],
        &["no-such-command"],
        &["ls", "not hex"],
    ] {
        let (exit, document) = device.json(arguments);
        assert_eq!(
            (exit, &document["exit_code"]),
            (2, &2.into()),
            "{document:#}"
        );
        assert_eq!(document["schema"], "coffre.error/1");
        assert_eq!(document["code"], "invalid-argument");
        assert!(
            !document["message"].as_str().unwrap().contains('\n'),
            "{document:#}"
        );
    }
}

#[test]
fn the_help_lists_the_exit_codes() {
    let run = Device::new().run(&["--help"]);
    assert_eq!(run.exit, 0);
    for line in [
        "  3  partly done",
        "  6  another process",
        " 13  the hoster",
        "130  cancelled",
    ] {
        assert!(run.text().contains(line), "{line}: {run:?}");
    }
}

#[test]
fn completions_and_pages_are_made_for_every_command() {
    let device = Device::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = device.run(&["completions", shell]);
        assert!(
            run.exit == 0 && run.text().contains("one-file-system"),
            "{shell}: {run:?}"
        );
    }
    let directory = tempdir().unwrap();
    let document = device.done(&["man", "--to", directory.path().to_str().unwrap()]);
    let files = document["files"].as_array().unwrap();
    for name in ["coffre.1", "coffre-backup.1", "coffre-vault-create.1"] {
        assert!(files.contains(&name.into()), "{document:#}");
        let page = fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{name}");
    }
    let main = fs::read_to_string(directory.path().join("coffre.1")).unwrap();
    assert!(main.contains("cancelled"), "{main}");
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let device = Device::new();
    let script = format!(
        "'{}' completions bash | head -c 10; echo \" ${{PIPESTATUS[0]}}\"",
        env!("CARGO_BIN_EXE_coffre")
    );
    let mut command = std::process::Command::new("bash");
    command
        .args(["-c", &script])
        .env("COFFRE_HOME", device.home.path());
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.ends_with(" 0\n") && output.stderr.is_empty(),
        "{text:?} {:?}",
        output.stderr
    );
}
