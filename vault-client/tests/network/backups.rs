//! Whole backups and restores over a line that is long, or that breaks.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use vault_client::account::VaultSelector;
use vault_client::backup::{BackupError, BackupOptions, BackupReport, back_up};
use vault_client::check::{ReadData, check};
use vault_client::contents::Contents;
use vault_client::error::ErrorCode;
use vault_client::progress::{Cancellation, NoProgress, ProgressListener};
use vault_client::remote::Traffic;
use vault_client::remote::grpc::Pace;
use vault_client::restore::{RestoreOptions, restore};
use vault_client::vault::Vault;

use crate::support::hoster::{Device, Hoster};
use crate::support::relay::Line;

const MIB: u64 = 1 << 20;

fn no_progress() -> Arc<dyn ProgressListener> {
    Arc::new(NoProgress)
}

/// As a process would that begins now: with a new connection and login.
fn fresh(device: &Device, hoster: &Hoster) -> Vault {
    let account = device.reopened(hoster, Pace::default());
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    vault.refresh().unwrap();
    vault
}

fn save(device: &Device, hoster: &Hoster, tree: &Path) -> Result<BackupReport, BackupError> {
    let account = device.reopened(hoster, Pace::default());
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let options = BackupOptions::new(vec![tree.to_owned()]);
    let mut report = back_up(&mut vault, &options, &no_progress(), &Cancellation::new())?;
    // From the first byte of the connection on.
    report.traffic = vault.remote().traffic();
    Ok(report)
}

/// What happens between the two on the network.
fn traffic_of(vault: &Vault, work: impl FnOnce()) -> Traffic {
    let before = vault.remote().traffic();
    work();
    vault.remote().traffic().since(before)
}

/// Bytes of all packs below a directory. One that is on its way is none yet, and
/// what is there of it goes when the hoster notices that its line broke.
fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries
        .filter(|entry| entry.file_name() != "incoming")
        .map(|entry| match entry.metadata().unwrap() {
            found if found.is_dir() => bytes_below(&entry.path()),
            found => found.len(),
        })
        .sum()
}

/// Bytes that do not compress.
fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    let mut output = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    output.fill(&mut bytes);
    bytes
}

/// 1,200 small files in 40 directories, and 64 MiB that do not compress.
fn plant() -> (TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap().join("tree");
    for directory in 0..40 {
        let directory_path = tree.join(format!("{directory}"));
        fs::create_dir_all(&directory_path).unwrap();
        for file in 0..30 {
            let name = format!("{file}.txt");
            fs::write(directory_path.join(name), noise(directory * 30 + file, 700)).unwrap();
        }
    }
    fs::write(tree.join("film"), noise(9_999, 64 * MIB)).unwrap();
    (place, tree)
}

#[test]
fn an_interrupted_backup_sends_nothing_again_that_arrived() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    drop(vault);
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().canonicalize().unwrap();
    let content = 80 * MIB;
    // Each is one chunk, whatever the vault's key: packs end with little filler.
    let files = 640;
    for file in 0..files {
        fs::write(tree.join(format!("{file}")), noise(file, content / files)).unwrap();
    }
    hoster.relay.spoil_next(Line {
        upload_breaks_after: Some(56 * MIB),
        ..Line::default()
    });
    hoster.relay.spoil_all(Line {
        upload_breaks_after: Some(0),
        ..Line::default()
    });
    let error = save(&device, &hoster, &tree).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable, "{error}");
    assert!(error.is_transient());
    let arrived = bytes_below(&hoster.data.path().join("blobs"));
    let sent_before = hoster.relay.uploaded_bytes();
    assert!(arrived > 16 * MIB && sent_before >= 56 * MIB, "{arrived}");

    hoster.relay.spoil_all(Line::default());
    let report = save(&device, &hoster, &tree).unwrap();
    assert!(report.left_out.is_empty(), "{:?}", report.left_out);
    let sent = hoster.relay.uploaded_bytes() - sent_before;
    // Filler counts as arrived, too: as much is missing besides.
    let missing = content - arrived + report.filler_bytes;
    assert!(
        sent < missing + 4 * MIB,
        "{sent} bytes sent where {missing} were missing"
    );
    let mut vault = fresh(&device, &hoster);
    let checked = check(
        &mut vault,
        ReadData::Everything,
        &no_progress(),
        &Cancellation::new(),
    );
    assert!(checked.unwrap().problems.is_empty());
}

/// However many snapshots there are, an unchanged one costs as much: five calls,
/// and 64 kB with TLS and the login.
///
/// `COFFRE_SNAPSHOTS` says how many there are in the end.
#[expect(clippy::print_stdout, reason = "the numbers are worth reading")]
#[expect(clippy::disallowed_methods, reason = "tests have no other arguments")]
#[test]
fn an_unchanged_backup_costs_the_same_after_many() {
    let snapshots = std::env::var("COFFRE_SNAPSHOTS").map_or(120, |text| text.parse().unwrap());
    let hoster = Hoster::start_patient();
    let (device, vault) = Device::with_vault(&hoster);
    drop(vault);
    let tree = tempfile::tempdir().unwrap();
    for file in 0..20 {
        fs::write(tree.path().join(file.to_string()), [file; 1_000]).unwrap();
    }
    let tree = tree.path().canonicalize().unwrap();
    // By the second, the cache knows the tree.
    for _ in 0..2 {
        save(&device, &hoster, &tree).unwrap();
    }
    let mut costs = Vec::new();
    for _ in 2..snapshots {
        let traffic = save(&device, &hoster, &tree).unwrap().traffic;
        costs.push((traffic.sent_bytes + traffic.received_bytes, traffic.rpcs));
    }
    let most = costs.iter().max().unwrap();
    let last = costs.last().unwrap();
    println!(
        "of {snapshots} snapshots: the first {:?}, the last {last:?}, the most {most:?}",
        costs[0]
    );
    for (number, (bytes, rpcs)) in costs.iter().enumerate() {
        assert_eq!(*rpcs, 5, "after {number}");
        assert!(*bytes < 64_000, "{bytes} bytes after {number}");
    }
}

/// On a line of 50 ms. Numbers of calls and bytes, not times: 20 calls one after the other
/// would be a second there. Uploads and downloads have 4 MiB on their way.
#[expect(clippy::print_stdout, reason = "the numbers are worth reading")]
#[test]
fn no_call_is_made_per_file_or_chunk() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    drop(vault);
    let (place, tree) = plant();
    hoster.relay.spoil_all(Line {
        delay: Duration::from_millis(25),
        ..Line::default()
    });
    hoster.relay.await_up(4 * MIB);

    let first = save(&device, &hoster, &tree).unwrap();
    println!("first backup: {:?}, {} packs", first.traffic, first.packs);
    assert_eq!(first.files, 1_201);
    // Login, what is new, one call for each pack, the commit.
    assert!(first.traffic.rpcs <= first.packs + 8, "{:?}", first.traffic);
    assert!(!hoster.relay.awaits_up());

    let second = save(&device, &hoster, &tree).unwrap();
    println!("unchanged: {:?}", second.traffic);
    assert_eq!(second.traffic.rpcs, 5);
    let both_ways = second.traffic.sent_bytes + second.traffic.received_bytes;
    assert!(both_ways < 64 << 10, "{:?}", second.traffic);

    // A device that has cached nothing pays for reading, but not by the file.
    let caches = device.home.path().join("vaults");
    fs::remove_dir_all(&caches).unwrap();
    let mut vault = fresh(&device, &hoster);
    let listed = traffic_of(&vault, || {
        let contents = Contents::open(&vault).unwrap();
        let named = contents.snapshot("latest", None).unwrap();
        let mut entries = 0;
        let mut count = |_: &[u8], _: &_| {
            entries += 1;
            ControlFlow::Continue(())
        };
        contents
            .list(&named.snapshot, b"/", true, &mut count)
            .unwrap();
        assert!(entries > 1_241);
    });
    println!("listing: {listed:?}");
    assert!(listed.rpcs <= 8, "{listed:?}");
    // What is the same in both snapshots is not read twice.
    let compared = traffic_of(&vault, || {
        let contents = Contents::open(&vault).unwrap();
        let all = contents.snapshots(None).unwrap();
        let inside = tree.as_os_str().as_encoded_bytes();
        // The directories above belong to others as well.
        let mut none = |path: &[u8], _: &_| {
            assert!(!path.starts_with(inside), "nothing changed");
            ControlFlow::Continue(())
        };
        contents
            .diff(&all[0].snapshot, &all[1].snapshot, &mut none)
            .unwrap();
    });
    assert_eq!(compared.rpcs, 0, "{compared:?}");
    let read = traffic_of(&vault, || {
        let contents = Contents::open(&vault).unwrap();
        let named = contents.snapshot("latest", None).unwrap();
        let film = tree.join("film");
        let mut bytes = Vec::new();
        contents
            .read_file(
                &named.snapshot,
                film.as_os_str().as_encoded_bytes(),
                &mut bytes,
            )
            .unwrap();
        assert!(bytes == noise(9_999, 64 * MIB));
    });
    println!("reading one file: {read:?}");
    // One for each 16 MiB, and for what says where they are.
    assert!(read.rpcs <= 6, "{read:?}");

    hoster.relay.await_down(4 * MIB);
    let restored = traffic_of(&vault, || {
        let named = Contents::open(&vault)
            .unwrap()
            .snapshot("latest", None)
            .unwrap();
        let target = place.path().join("restored");
        let report = restore(
            &vault,
            &named,
            b"/",
            &target,
            &RestoreOptions::default(),
            &no_progress(),
            &Cancellation::new(),
        );
        let report = report.unwrap();
        assert!(report.left_out.is_empty() && report.files == 1_201);
    });
    println!("restore: {restored:?}");
    assert!(!hoster.relay.awaits_down());
    assert!(restored.rpcs <= first.packs + 4, "{restored:?}");

    let mut checked = |read_data| {
        let before = vault.remote().traffic();
        let report = check(&mut vault, read_data, &no_progress(), &Cancellation::new());
        assert!(report.unwrap().problems.is_empty());
        vault.remote().traffic().since(before)
    };
    let structure = checked(ReadData::Nothing);
    println!("check: {structure:?}");
    assert!(structure.rpcs <= 4, "{structure:?}");
    let everything = checked(ReadData::Everything);
    println!("check --read-data: {everything:?}");
    assert!(everything.rpcs <= first.packs + 6, "{everything:?}");
}
