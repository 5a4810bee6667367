//! Vaults that are brought back, as members type it.

use serde_json::{Value, json};
use vault_client::account::{Account, Setup, VaultSelector};
use vault_client::vault::CommitPlan;
use vault_proto::ids::PackId;
use vault_proto::wire::Root;

use crate::hoster::{Device, Hoster, Run};
use crate::members::Member;

fn heads(document: &Value) -> Vec<u64> {
    let heads = document["heads"].as_array().unwrap().iter();
    heads.map(|head| head["head"].as_u64().unwrap()).collect()
}

#[test]
fn a_vault_that_was_deleted_comes_back() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let device = &member.device;
    let run = device.run(&["vault", "delete", "papers", "--yes"]);
    let told = String::from_utf8(run.stdout).unwrap();
    assert!(told.contains("coffre vault undelete"), "{told}");
    let (exit, _) = device.json(&["snapshots"]);
    assert_eq!(exit, 10);

    // What it held can be looked at all the same.
    let document = device.done(&["vault", "heads", "papers"]);
    assert!(heads(&document).len() > 1, "{document:#}");

    let document = device.done(&["vault", "undelete", "papers"]);
    assert_eq!(document["vault"]["name"], "papers");
    assert_eq!(document["from"], 1);
    assert_eq!(document["gone_packs"], json!([]));
    member.assert_restored_by(device, &[]);
    let document = device.done(&["check", "--read-data"]);
    assert_eq!(document["problems"], json!([]));
    device.back_up(&member.tree);
}

#[test]
fn what_a_vault_held_before_is_listed_and_brought_back() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let device = &member.device;
    device.back_up(&member.tree);
    let document = device.done(&["vault", "heads", "papers"]);
    assert_eq!(heads(&document), [2, 1]);
    let newest = &document["heads"][0];
    assert_eq!(newest["device_name"], "laptop");
    assert_eq!(newest["state"], "readable");
    assert!(newest["committed"].as_str().unwrap().ends_with('Z'));
    assert!(newest["pack_bytes"].as_u64().unwrap() > 0);
    let some = |more: &[&str]| {
        let arguments: Vec<_> = ["vault", "heads", "papers"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        heads(&device.done(&arguments))
    };
    assert_eq!(some(&["--limit", "1"]), [2]);
    assert_eq!(some(&["--from", "1"]), [1]);
    assert_eq!(some(&["--from", "99"]), [2, 1]);
    let run = device.run(&["vault", "heads"]);
    assert_eq!(run.exit, 0, "{run:?}");
    let table = String::from_utf8(run.stdout).unwrap();
    assert!(
        table.starts_with("HEAD") && table.contains("laptop"),
        "{table}"
    );

    // There is nothing to repair, and nobody who says what he misses.
    let document = device.done(&["vault", "repair", "papers", "--yes"]);
    assert_eq!(
        (&document["from"], &document["nothing_missing"]),
        (&json!(2), &json!(true))
    );
    let repair = |head| device.json(&["vault", "repair", "papers", "--yes", "--head", head]);
    let (exit, document) = repair("1");
    assert_eq!((exit, &document["nothing_missing"]), (0, &json!(true)));
    let (exit, document) = repair("7");
    assert_eq!((exit, &document["code"]), (2, &json!("invalid-argument")));
    // Without --yes it asks, and there is nobody to answer.
    let (exit, _) = device.json(&["vault", "repair", "papers", "--head", "1"]);
    assert_eq!(exit, 2);
    assert_eq!(some(&[]), [2, 1]);
}

/// Nothing of it is paid for any longer, and nobody is shown anything of it.
#[test]
fn links_end_with_their_vault() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let device = &member.device;
    let used = || {
        device.done(&["stats"])["usage"]["committed_bytes"]
            .as_u64()
            .unwrap()
    };
    let file = format!("latest:{}", member.tree.join("photo.raw").display());
    let link = device.done(&["link", "create", &file]);
    let url = link["url"].as_str().unwrap().to_owned();
    let id = link["vault"]["id"].as_str().unwrap();
    device.done(&["vault", "create", "photos"]);
    device.done(&["vault", "delete", "papers", "--yes"]);
    // What the account itself has; the other vault is empty.
    let account = &device.done(&["vault", "heads"])["heads"][0]["pack_bytes"];
    assert_eq!(Some(used()), account.as_u64());
    let target = tempfile::tempdir().unwrap();
    let to = target.path().join("to");
    let mut get = Device::new().coffre(&["link", "get", "-", "--to"]);
    let run = Run::of(get.arg(&to).write_stdin(url));
    assert_eq!(run.exit, 1, "{run:?}");
    assert!(!to.exists());
    // One of that name was deleted before: which is meant is to be said.
    device.done(&["vault", "create", "papers"]);
    device.done(&["vault", "delete", "papers", "--yes"]);
    let (exit, document) = device.json(&["vault", "undelete", "papers"]);
    assert_eq!((exit, &document["code"]), (2, &json!("ambiguous-vault")));
    assert!(
        document["hint"]
            .as_str()
            .unwrap()
            .contains("list --deleted")
    );
    let document = device.done(&["vault", "list", "--deleted"]);
    let ids = document["vaults"].as_array().unwrap().iter();
    let ids: Vec<_> = ids
        .map(|vault| vault["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(ids.len(), 2);
    let (there, empty) = if ids[0] == id {
        (&ids[0], &ids[1])
    } else {
        (&ids[1], &ids[0])
    };
    device.done(&["vault", "undelete", there]);
    // Its name is taken now.
    let (exit, document) = device.json(&["vault", "undelete", empty]);
    assert_eq!((exit, &document["code"]), (1, &json!("vault-exists")));
    let document = device.done(&["link", "list", "--vault", "papers"]);
    assert_eq!(
        (&document["links"], &document["unlisted"]),
        (&json!([]), &json!([]))
    );
    // It is there, and not to be brought back once more.
    let (exit, document) = device.json(&["vault", "undelete", "papers"]);
    assert_eq!((exit, &document["code"]), (1, &json!("vault-exists")));
}

/// Who takes him out learns of it, in the one document and the words beside it.
#[test]
fn what_a_member_has_spoiled_is_told_when_he_is_taken_out() {
    let hoster = Hoster::start();
    let member = Member::new(&hoster);
    let marie = &member.device;
    marie.done(&["whoami", "--name", "marie"]);
    let says = |what: &str, spoil: fn(&mut Root) -> Vec<PackId>| {
        let paul = hoster.member();
        let whoami = paul.done(&["whoami", "--name", what]);
        let address = whoami["address"].as_str().unwrap();
        marie.done(&["share", "papers", address, "--role", "writer"]);
        paul.done(&["share", "accept"]);
        let account = Account::open(&Setup::new(paul.home.path()).unwrap()).unwrap();
        let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
        vault.refresh().unwrap();
        let mut root = vault.root().unwrap().clone();
        let removes = spoil(&mut root);
        let plan = CommitPlan {
            adds: Vec::new(),
            removes,
            root,
        };
        vault.commit(plan).unwrap();
        let (exit, document) = marie.json(&["unshare", "papers", what]);
        assert_eq!(
            (exit, &document["rotated"]),
            (3, &json!(true)),
            "{document:#}"
        );
        let run = marie.run(&["vault", "repair", "papers", "--yes"]);
        assert_eq!(run.exit, 0, "{run:?}");
        member.assert_restored_by(marie, &[]);
    };
    says("remover", |root| {
        let catalog = root.catalog.as_ref().unwrap();
        vec![PackId::from_slice(&catalog.pack).unwrap()]
    });
    says("spoiler", |root| {
        root.catalog.as_mut().unwrap().sealed_hash = vec![7; 32];
        Vec::new()
    });
}
