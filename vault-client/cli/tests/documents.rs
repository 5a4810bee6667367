//! What `--json` promises: one document with a schema, and fields that stay.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::hoster::{Device, Hoster, PLENTY, Run};
use crate::members::{pair, place, text};

/// Every command's document: at least these fields, and each a JSON value of that
/// kind: s(tring), n(umber), b(ool), a(rray), o(bject).
const FIELDS: &[(&str, &str)] = &[
    (
        "backup",
        "snapshot:s vault:o series:s dry_run:b files:n directories:n others:n bytes:n \
         new_bytes:n uploaded_bytes:n filler_bytes:n packs:n rpcs:n sent_bytes:n \
         received_bytes:n seconds:n left_out:n left_out_entries:a",
    ),
    ("cat", "snapshot:s path:s size:n content:s"),
    (
        "check",
        "vault:o snapshots:n nodes:n chunks:n packs:n read_packs:n read_bytes:n problems:a \
         broken_snapshots:a",
    ),
    ("completions", "shell:s script:s"),
    ("contact-add", "contact:o"),
    ("contact-list", "contacts:a"),
    ("contact-remove", "contact:o member_of:a"),
    ("contact-verify", "contact:o number:s"),
    ("device-list", "devices:a"),
    ("device-pair", "account:s device:s device_name:s words:a"),
    (
        "device-remove",
        "device:s name:s guest_hosters:a vaults:a left_behind:o",
    ),
    ("device-rename", "device:s name:s"),
    (
        "diff",
        "before:s after:s added:n removed:n modified:n changes:a",
    ),
    ("error", "command:s code:s message:s exit_code:n"),
    ("find", "pattern:s matches:a"),
    (
        "link-create",
        "vault:o url:s id:s snapshot:s path:s files:n bytes:n expires:s password:b rpcs:n \
         sent_bytes:n received_bytes:n seconds:n left_out:n left_out_entries:a",
    ),
    (
        "link-get",
        "target:s files:n bytes:n directories:n symlinks:n kept:n lost_by_hoster:n maker:s \
         created:s rpcs:n sent_bytes:n received_bytes:n seconds:n left_out:n \
         left_out_entries:a",
    ),
    ("link-list", "vault:o links:a unlisted:a"),
    ("link-revoke", "id:s"),
    ("ls", "snapshot:s path:s entries:a"),
    ("man", "path:s files:a"),
    ("phrase-check", "device:s standing:s"),
    (
        "phrase-new",
        "device:s guest_hosters:a vaults:a left_behind:o phrase_file:o",
    ),
    (
        "recover",
        "account:s device:s device_name:s hoster:s hoster_address:s vaults:a freshness:s \
         guest_hosters:a",
    ),
    (
        "restore",
        "snapshot:s series:s path:s target:s files:n bytes:n directories:n others:n kept:n \
         verified:n dropped_privileges:n lost_by_hoster:n rpcs:n sent_bytes:n \
         received_bytes:n seconds:n left_out:n left_out_entries:a",
    ),
    ("share", "vault:o contact:o role:s delivered:b offer:s"),
    ("share-accept", "vault:o role:s"),
    ("share-decline", "offer:s"),
    ("share-list", "offers:a unreadable:a"),
    (
        "signup",
        "account:s device:s device_name:s hoster:s hoster_address:s phrase_file:o",
    ),
    ("snapshots", "vault:o snapshots:a"),
    (
        "stats",
        "vault:o head:n epoch:n series:n snapshots:n snapshot_bytes:n latest:o packs:n \
         pack_bytes:n usage:o",
    ),
    (
        "status",
        "account:s device:s device_name:s hoster:s hoster_address:s hoster_reachable:b \
         usage:o freshness:s new_devices:a vaults:a",
    ),
    ("unshare", "vault:o account:s rotated:b"),
    ("vault-confirm", "vault:o head:s"),
    ("vault-create", "vault:o"),
    ("vault-delete", "vault:o left:b"),
    ("vault-head", "vault:o head:s"),
    ("vault-heads", "vault:o heads:a"),
    ("vault-list", "vaults:a"),
    ("vault-members", "vault:o rotation_due:b members:a"),
    (
        "vault-reconcile",
        "vault:o from:n lost:n head:n entries:n uploaded_packs:n gone_packs:a contents_lost:b \
         links_taken_off:n links_not_served:n links_unlisted:n",
    ),
    ("vault-rename", "vault:o"),
    (
        "vault-repair",
        "vault:o from:n head:n nothing_missing:b left_out:b uploaded_packs:n gone_packs:a",
    ),
    (
        "vault-undelete",
        "vault:o from:n head:n nothing_missing:b left_out:b uploaded_packs:n gone_packs:a",
    ),
    (
        "whoami",
        "address:s name:s account:s hoster:s hoster_address:s device:s device_name:s",
    ),
];

/// The commands whose documents were looked at.
#[derive(Default)]
struct Seen(BTreeSet<String>);

impl Seen {
    /// Looks at what a command came to, which went well.
    fn done(&mut self, device: &Device, arguments: &[&str]) -> Value {
        let document = device.done(arguments);
        self.look_at(&document);
        document
    }

    fn look_at(&mut self, document: &Value) {
        let schema = document["schema"].as_str().unwrap();
        let name = schema.strip_prefix("coffre.").unwrap();
        let name = name.strip_suffix("/1").unwrap();
        let known = FIELDS.iter().find(|(command, _)| *command == name);
        let (_, fields) = known.unwrap_or_else(|| panic!("no fields of {name}"));
        for field in fields.split_whitespace() {
            let (field, kind) = field.split_once(':').unwrap();
            let value = &document[field];
            let is_kind = match kind {
                "s" => value.is_string(),
                "n" => value.is_number(),
                "b" => value.is_boolean(),
                "a" => value.is_array(),
                _ => value.is_object(),
            };
            assert!(is_kind, "{field} of {schema}: {document:#}");
        }
        self.0.insert(name.to_owned());
    }

    fn sign_up(&mut self, hoster: &Hoster) -> Device {
        let device = Device::new();
        let phrase = phrase(&device);
        let arguments = ["signup", "-", "--device", "laptop", "--phrase-out", &phrase];
        let mut command = device.coffre(&arguments);
        let run = Run::of(command.arg("--json").write_stdin(hoster.invitation(PLENTY)));
        assert_eq!(run.exit, 0, "{run:?}");
        self.look_at(&serde_json::from_slice(&run.stdout).unwrap());
        device
    }

    fn about_files(&mut self, device: &Device, directory: &TempDir) {
        fs::write(directory.path().join("file"), "text").unwrap();
        let path = directory.path().to_str().unwrap();
        let file = directory.path().canonicalize().unwrap().join("file");
        let file = format!("latest:{}", file.display());
        let target = directory.path().join("target");
        for arguments in [
            &["vault", "create", "papers"][..],
            &["vault", "list"],
            &["backup", path],
            &["snapshots"],
            &["ls", "latest", "-R"],
            &["diff", "latest", "latest"],
            &["cat", &file],
            &["find", "file"],
            &["restore", "latest", "--to", target.to_str().unwrap()],
            &["check", "--read-data"],
            &["status"],
            &["stats"],
            &["completions", "bash"],
        ] {
            self.done(device, arguments);
        }
        let (_, error) = device.json(&["ls", "0123456789abcdef"]);
        self.look_at(&error);
        assert_eq!(error["command"], "ls");

        let url = text(&self.done(device, &["link", "create", &file]), "url");
        let target = directory.path().join("linked");
        let target = target.to_str().unwrap();
        self.done(device, &["link", "get", &url, "--to", target]);
        let listed = self.done(device, &["link", "list"]);
        let link = text(&listed["links"][0], "id");
        self.done(device, &["link", "revoke", &link]);
    }

    fn about_devices(&mut self, device: &Device, hoster: &Hoster) {
        let second = Device::new();
        let (added, joined) = pair(device, &second, &place(hoster));
        self.look_at(&added);
        self.look_at(&joined);
        self.done(device, &["device", "list"]);
        self.done(device, &["device", "rename", "desktop", "old"]);
        self.done(device, &["device", "remove", "old"]);
        let (old, new) = (phrase(device), format!("{}.new", phrase(device)));
        self.done(device, &["phrase", "check", "--phrase-file", &old]);
        let arguments = ["phrase", "new", "--phrase-file", &old, "--phrase-out", &new];
        self.done(device, &arguments);
        let arguments = ["recover", &place(hoster), "--phrase-file", &new];
        self.done(&Device::new(), &arguments);
    }

    fn about_others(&mut self, device: &Device, other: &Device) {
        let address = text(&self.done(other, &["whoami", "--name", "paul"]), "address");
        self.done(device, &["whoami", "--name", "marie"]);
        self.done(device, &["contact", "add", &address]);
        self.done(device, &["contact", "list"]);
        self.done(device, &["contact", "verify", "paul", "--same"]);
        for answer in ["decline", "accept"] {
            self.done(device, &["share", "papers", "paul"]);
            self.done(other, &["share", "list"]);
            self.done(other, &["share", answer]);
        }
        self.done(device, &["vault", "members", "papers"]);
        self.done(device, &["unshare", "papers", "paul"]);
        self.done(device, &["contact", "remove", "paul", "--yes"]);
    }

    fn about_vaults(&mut self, device: &Device) {
        let head = text(&self.done(device, &["vault", "head", "papers"]), "head");
        self.done(device, &["vault", "confirm", "papers", &head]);
        let head = text(&self.done(device, &["vault", "head"]), "head");
        self.done(device, &["vault", "confirm", &head]);
        self.done(device, &["vault", "reconcile", "papers", "--yes"]);
        self.done(device, &["vault", "rename", "papers", "old"]);
        self.done(device, &["vault", "heads", "old"]);
        self.done(device, &["vault", "repair", "old", "--yes"]);
        self.done(device, &["vault", "delete", "old", "--yes"]);
        self.done(device, &["vault", "list", "--deleted"]);
        self.done(device, &["vault", "undelete", "old"]);
    }
}

fn phrase(device: &Device) -> String {
    let path = device.home.path().join("phrase");
    path.to_str().unwrap().to_owned()
}

/// Every command there is, as its manual page names it: those that only group others
/// are none.
fn commands(manual: &Value) -> BTreeSet<String> {
    let files = manual["files"].as_array().unwrap().iter();
    let pages = files.map(|file| Path::new(file.as_str().unwrap()).file_stem().unwrap());
    let pages = pages.filter_map(|page| page.to_str().unwrap().strip_prefix("coffre-"));
    let pages: BTreeSet<_> = pages.map(str::to_owned).collect();
    let is_group = |page: &str| {
        let begins = format!("{page}-");
        // This one answers by itself, too.
        page != "share" && pages.iter().any(|other| other.starts_with(&begins))
    };
    let commands = pages.iter().filter(|page| !is_group(page));
    commands.cloned().collect()
}

#[test]
fn documents_keep_their_fields_and_every_command_has_one() {
    let hoster = Hoster::start();
    let directory = tempdir().unwrap();
    let mut seen = Seen::default();
    let device = seen.sign_up(&hoster);
    seen.about_files(&device, &directory);
    seen.about_devices(&device, &hoster);
    let other = hoster.member();
    seen.about_others(&device, &other);
    seen.about_vaults(&device);
    let pages = directory.path().join("pages");
    let manual = seen.done(&device, &["man", "--to", pages.to_str().unwrap()]);

    let mut expected = commands(&manual);
    assert!(expected.contains("device-pair") && !expected.contains("device"));
    expected.insert("error".to_owned());
    assert_eq!(seen.0, expected);
}
