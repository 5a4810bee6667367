//! What `--json` promises: one document with a schema, and fields that stay.

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::hoster::Hoster;

/// The document has at least these fields, and each is a JSON value of that
/// kind: s(tring), n(umber), b(ool), a(rray), o(bject).
fn assert_fields(document: &Value, schema: &str, fields: &str) {
    assert_eq!(document["schema"], schema, "{document:#}");
    for field in fields.split_whitespace() {
        let (name, kind) = field.split_once(':').unwrap();
        let value = &document[name];
        let is_kind = match kind {
            "s" => value.is_string(),
            "n" => value.is_number(),
            "b" => value.is_boolean(),
            "a" => value.is_array(),
            _ => value.is_object(),
        };
        assert!(is_kind, "{name} of {schema}: {document:#}");
    }
}

#[test]
fn documents_keep_their_fields() {
    let hoster = Hoster::start();
    let device = hoster.member();
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("file"), "text").unwrap();
    let path = directory.path().to_str().unwrap();
    let file = directory.path().canonicalize().unwrap().join("file");
    let file = format!("latest:{}", file.display());
    let target = directory.path().join("target");
    let pages = directory.path().join("pages");

    for (arguments, schema, fields) in [
        (
            &["vault", "create", "papers"][..],
            "coffre.vault-create/1",
            "vault:o",
        ),
        (&["vault", "list"], "coffre.vault-list/1", "vaults:a"),
        (
            &["backup", path],
            "coffre.backup/1",
            "snapshot:s vault:o series:s dry_run:b files:n directories:n others:n bytes:n \
             new_bytes:n uploaded_bytes:n filler_bytes:n packs:n rpcs:n sent_bytes:n \
             received_bytes:n seconds:n left_out:n left_out_entries:a",
        ),
        (&["snapshots"], "coffre.snapshots/1", "vault:o snapshots:a"),
        (
            &["ls", "latest", "-R"],
            "coffre.ls/1",
            "snapshot:s path:s entries:a",
        ),
        (
            &["diff", "latest", "latest"],
            "coffre.diff/1",
            "before:s after:s added:n removed:n modified:n changes:a",
        ),
        (
            &["cat", &file],
            "coffre.cat/1",
            "snapshot:s path:s size:n content:s",
        ),
        (&["find", "file"], "coffre.find/1", "pattern:s matches:a"),
        (
            &["restore", "latest", "--to", target.to_str().unwrap()],
            "coffre.restore/1",
            "snapshot:s series:s path:s target:s files:n bytes:n directories:n others:n kept:n \
             verified:n dropped_privileges:n lost_by_hoster:n rpcs:n sent_bytes:n \
             received_bytes:n seconds:n left_out:n left_out_entries:a",
        ),
        (
            &["check", "--read-data"],
            "coffre.check/1",
            "vault:o snapshots:n nodes:n chunks:n packs:n read_packs:n read_bytes:n problems:a",
        ),
        (
            &["status"],
            "coffre.status/1",
            "account:s device:s device_name:s hoster:s hoster_address:s hoster_reachable:b \
             usage:o vaults:a",
        ),
        (
            &["stats"],
            "coffre.stats/1",
            "vault:o head:n epoch:n series:n snapshots:n snapshot_bytes:n latest:o packs:n \
             pack_bytes:n usage:o",
        ),
        (
            &["completions", "bash"],
            "coffre.completions/1",
            "shell:s script:s",
        ),
        (
            &["man", "--to", pages.to_str().unwrap()],
            "coffre.man/1",
            "path:s files:a",
        ),
    ] {
        assert_fields(&device.done(arguments), schema, fields);
    }
    let (_, error) = device.json(&["ls", "0123456789abcdef"]);
    assert_fields(
        &error,
        "coffre.error/1",
        "command:s code:s message:s exit_code:n",
    );
    assert_eq!(error["command"], "ls");
}
