//! A machine is stolen, unlocked, and its thief is quicker than its owner.

use serde_json::Value;

use crate::hoster::{Device, Hoster};
use crate::members::{Member, pair, place, text};

#[test]
fn what_a_thief_has_set_up_is_named_with_what_ends_it() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let stolen = Device::new();
    pair(&member.device, &stolen, &place(&hoster));
    let mallory = hoster.member();
    let his = text(&mallory.done(&["whoami", "--name", "mallory"]), "address");

    let words = stolen.home.path().join("words");
    let words = words.to_str().unwrap();
    stolen.done(&["phrase", "new", "--lost", "--phrase-out", words]);
    stolen.done(&["whoami", "--name", "marie"]);
    stolen.done(&["share", "papers", &his, "--role", "manager"]);

    let run = member
        .device
        .run(&["device", "remove", "desktop", "--json"]);
    assert_eq!(run.exit, 3, "{run:?}");
    let removed: Value = serde_json::from_slice(&run.stdout).unwrap();
    let left = &removed["left_behind"];
    assert_eq!(left["devices"][0]["kind"], "paper", "{removed:#}");
    assert_eq!(left["members"][0]["role"], "manager", "{removed:#}");
    assert_eq!(left["members"][0]["vault"]["name"], "papers");
    assert_eq!(left["members"][0]["address"], his);
    let paper = text(&left["devices"][0], "id");
    let account = text(&left["members"][0], "account");
    let says = |what: &str| assert!(run.stderr.contains(what), "{what}: {run:?}");
    says(&format!("coffre device remove {}", &paper[..8]));
    says(&format!("coffre unshare 'papers' {account}"));

    // What it says is what helps.
    member.device.done(&["unshare", "papers", &account]);
    let phrase = member.phrase_file();
    let (exit, refused) =
        member
            .device
            .json(&["device", "remove", &paper[..8], "--phrase-file", words]);
    assert_eq!(exit, 2, "his own words remove none: {refused:#}");
    member
        .device
        .done(&["device", "remove", &paper[..8], "--phrase-file", &phrase]);
    let gone = text(&removed, "device");
    member.device.done(&["device", "remove", &gone[..8]]);
    let (exit, _) = Device::new().json(&["recover", &place(&hoster), "--phrase-file", words]);
    assert_eq!(exit, 12);
}

/// What he has deleted is named, and comes back.
#[test]
fn what_a_thief_has_deleted_is_named_with_what_brings_it_back() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let stolen = Device::new();
    pair(&member.device, &stolen, &place(&hoster));
    stolen.done(&["vault", "delete", "papers", "--yes"]);
    let run = member
        .device
        .run(&["device", "remove", "desktop", "--json"]);
    assert_eq!(run.exit, 3, "{run:?}");
    let removed: Value = serde_json::from_slice(&run.stdout).unwrap();
    let damaged = &removed["left_behind"]["damaged_vaults"];
    assert_eq!(damaged.as_array().unwrap().len(), 1, "{removed:#}");
    assert_eq!(damaged[0]["damage"], "deleted", "{removed:#}");
    assert!(
        run.stderr.contains("coffre vault undelete 'papers'"),
        "{run:?}"
    );
    member.device.done(&["vault", "undelete", "papers"]);
    member.assert_restored_by(&member.device, &[]);
    // Once it is there again, nothing is missing.
    let gone = text(&removed, "device");
    let removed = member.device.done(&["device", "remove", &gone[..8]]);
    assert_eq!(
        removed["left_behind"]["damaged_vaults"],
        Value::Array(Vec::new())
    );
}
