//! Files that somebody touches while they are saved: what is left of them is
//! saved, and each is reported.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Once;

use vault_client::backup::BackupReport;
use vault_client::files::{LeftOut, Reason};
use vault_client::vault::Vault;

use super::{
    Event, Eventful, Files, SecondDevice, assert_restores, assert_whole, backed_up, content_of,
    noise, restored, snapshots,
};
use crate::support::Member;

/// More than all packs and buffers of a backup hold: when the first pack is on
/// its way, the last of them has not been read.
const MORE_THAN_FITS: usize = 256 << 20;

/// A device to which something happens when its first pack is on its way.
struct Scene {
    device: SecondDevice,
    events: Eventful,
}

impl Scene {
    fn new() -> Self {
        let member = Member::new();
        member.account.create_vault("documents").unwrap();
        let events = Eventful::new(&member.hoster);
        let device = SecondDevice::dialling(&member, events.clone());
        Self { device, events }
    }

    fn save_while(
        &self,
        vault: &mut Vault,
        files: &Files,
        happening: impl Fn() + Send + Sync + 'static,
    ) -> BackupReport {
        let once = Once::new();
        self.events.on(move |event| {
            if event == Event::BeforePut {
                once.call_once(&happening);
            }
        });
        let report = backed_up(vault, files).unwrap();
        self.events.quiet();
        report
    }
}

fn left_out(path: &Path, reason: Reason) -> LeftOut {
    LeftOut {
        path: path.as_os_str().as_bytes().to_vec(),
        reason,
    }
}

#[test]
fn files_that_vanish_after_they_were_listed_are_reported() {
    const LENGTH: usize = 64 << 10;
    const COUNT: usize = MORE_THAN_FITS / LENGTH;
    let scene = Scene::new();
    let mut vault = scene.device.vault();
    let files = Files::new(&[]);
    for number in 0..COUNT {
        files.write(&format!("{number:05}"), &noise(number as u64, LENGTH));
    }
    let path = |number: usize| files.path().join(format!("{number:05}"));
    let gone: Vec<PathBuf> = (COUNT - 20..COUNT - 10).map(path).collect();
    let replaced = path(COUNT - 5);
    let report = {
        let (gone, replaced) = (gone.clone(), replaced.clone());
        scene.save_while(&mut vault, &files, move || {
            for path in &gone {
                fs::remove_file(path).unwrap();
            }
            fs::remove_file(&replaced).unwrap();
            fs::create_dir(&replaced).unwrap();
        })
    };
    let mut expected: Vec<_> = gone
        .iter()
        .map(|path| left_out(path, Reason::Vanished))
        .collect();
    expected.push(left_out(&replaced, Reason::Replaced));
    let mut found = report.left_out;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(found, expected);
    assert_eq!(report.files, (COUNT - 11) as u64);
    // The rest is there, and the directory that came afterwards is not.
    fs::remove_dir(&replaced).unwrap();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
}

#[test]
fn a_file_that_grows_while_it_is_read_is_saved_and_read_again_by_the_next() {
    let scene = Scene::new();
    let mut vault = scene.device.vault();
    let files = Files::new(&[
        ("film", noise(1, MORE_THAN_FITS)),
        ("still", noise(2, 1_000)),
    ]);
    let film = files.path().join("film");
    let report = {
        let film = film.clone();
        scene.save_while(&mut vault, &files, move || {
            let file = fs::OpenOptions::new().append(true).open(&film);
            file.unwrap().write_all(b"and a scene after it").unwrap();
        })
    };
    assert_eq!(report.left_out, [left_out(&film, Reason::ChangedWhileRead)]);
    // What was read of it is kept.
    let newest = snapshots(&vault).pop().unwrap();
    let target = tempfile::tempdir().unwrap();
    let restored = restored(&vault, &newest, files.path(), target.path()).unwrap();
    assert_eq!(restored.left_out, []);
    let content = content_of(target.path());
    assert!(content["film"].starts_with(&noise(1, MORE_THAN_FITS)));
    assert_eq!(content["still"], noise(2, 1_000));

    // Nothing has touched it since, and yet nobody believes that it is known.
    let report = backed_up(&mut vault, &files).unwrap();
    assert_eq!(report.left_out, []);
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
}
