//! Secrets that are not among the arguments, which everybody on a machine sees.

use serde_json::Value;
use tempfile::tempdir;

use crate::hoster::{Device, Hoster, Run};
use crate::members::{Member, place, text};
use crate::pasted::wrapped;

/// Runs it with `--json` and these lines on standard input; it went well.
fn given(device: &Device, arguments: &[&str], lines: &str) -> Value {
    let mut command = device.coffre(arguments);
    let run = Run::of(command.arg("--json").write_stdin(lines.to_owned()));
    assert_eq!(run.exit, 0, "{arguments:?}: {run:?}");
    serde_json::from_slice(&run.stdout).unwrap()
}

#[test]
fn where_to_recover_is_read_from_standard_input() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let phrase = member.phrase_file();
    let place = place(&hoster);
    for told in [place.clone(), format!("coffre://{place}/invite#x")] {
        let new = Device::new();
        let recovered = given(&new, &["recover", "-", "--phrase-file", &phrase], &told);
        assert_eq!(recovered["hoster_address"], place);
    }
}

#[test]
fn an_offer_is_taken_up_as_text() {
    let hoster = Hoster::start();
    let marie = Member::new(&hoster);
    marie.device.done(&["whoami", "--name", "marie"]);
    for (by_argument, name) in [(true, "paul"), (false, "pauline")] {
        let device = hoster.member();
        let address = text(&device.done(&["whoami", "--name", name]), "address");
        let shared = marie.device.done(&["share", "papers", &address]);
        let offer = text(&shared, "offer");
        device.done(&["share", "decline"]);
        let accepted = if by_argument {
            device.done(&["share", "accept", &offer])
        } else {
            // Longer than a line that is typed can be: a terminal takes 4,095 bytes.
            given(&device, &["share", "accept", "-"], &wrapped(&offer))
        };
        assert_eq!(accepted["role"], "reader", "{accepted:#}");
        marie.assert_restored_by(&device, &[]);
    }
}

/// Both on standard input, the link first.
#[test]
fn a_link_and_its_password_are_two_lines() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let what = format!("latest:{}", member.tree.join("script.sh").display());
    let made = given(
        &member.device,
        &["link", "create", &what, "--password"],
        "open sesame\n",
    );
    let target = tempdir().unwrap();
    let to = target.path().join("to");
    let lines = format!("{}\nopen sesame\n", text(&made, "url"));
    let arguments = ["link", "get", "-", "--to", to.to_str().unwrap()];
    given(&Device::new(), &arguments, &lines);
    assert!(to.join("script.sh").exists());
}
