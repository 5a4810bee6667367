//! Commits in the middle of a backup, while files go on being saved.

use std::time::Duration;

use vault_client::backup::back_up;
use vault_client::progress::Cancellation;

use super::{
    Event, Eventful, Files, SecondDevice, assert_restores, assert_whole, backed_up, forget_cache,
    noise, restored, silent, snapshots,
};
use crate::support::Member;

/// A line on which each pack takes a while, so that savers always have one ready when
/// another has arrived.
#[expect(
    clippy::disallowed_methods,
    reason = "nothing is waited for: it is slow"
)]
fn slow(events: &Eventful) {
    events.on(|event| {
        if event == Event::BeforePut {
            std::thread::sleep(Duration::from_millis(25));
        }
    });
}

#[test]
fn a_checkpoint_holds_all_that_its_tree_names_and_nothing_is_lost_between_two() {
    const DIRECTORIES: usize = 40;
    const FILES_IN_EACH: usize = 6;
    let member = Member::new();
    member.account.create_vault("documents").unwrap();
    let events = Eventful::new(&member.hoster);
    let device = SecondDevice::dialling(&member, events.clone());
    let files = Files::new(&[]);
    for directory in 0..DIRECTORIES {
        for file in 0..FILES_IN_EACH {
            let number = directory * FILES_IN_EACH + file;
            let content = noise(number as u64, 400_000 + 3_000 * number);
            files.write(&format!("{directory:02}/{file}"), &content);
            // Twice the same: the second relies on a chunk that another thread stores.
            files.write(&format!("{directory:02}/{file}-again"), &content);
        }
    }
    let mut vault = device.vault();
    let mut options = files.options();
    options.checkpoint_bytes = 8 << 20;
    slow(&events);
    let report = back_up(&mut vault, &options, &silent(), &Cancellation::new()).unwrap();
    events.quiet();
    assert_eq!(report.left_out, []);
    assert_eq!(report.files, 2 * (DIRECTORIES * FILES_IN_EACH) as u64);

    let found = snapshots(&vault);
    // How many, is a matter of how far the savers are ahead.
    assert!(found.len() >= 2, "{} snapshots", found.len());
    assert_whole(&mut vault);
    forget_cache(&vault);
    for partial in &found[..found.len() - 1] {
        assert!(!partial.snapshot.fields().complete);
        let target = tempfile::tempdir().unwrap();
        let report = restored(&vault, partial, files.path(), target.path()).unwrap();
        assert_eq!(report.left_out, []);
    }
    assert_restores(&vault, &found[found.len() - 1], &files);
    // The caches rely on no chunk that is not there.
    files.write("one more", b"so that there is something to commit");
    backed_up(&mut vault, &files).unwrap();
    let newest = snapshots(&vault).pop().unwrap();
    assert_restores(&vault, &newest, &files);
    assert_whole(&mut vault);
}
