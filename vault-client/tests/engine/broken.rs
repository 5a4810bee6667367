//! What a check says of snapshots that cannot be restored whole.

use std::fs;

use super::{Files, backed_up, checked, forget_cache, noise, restored, snapshots};
use crate::engine::reconcile::at;
use crate::support::Member;

/// Whatever pack is lost: those are named of which a restore leaves out something, each
/// with as many files.
#[test]
fn every_snapshot_that_cannot_be_restored_whole_is_named() {
    let member = Member::new();
    let mut vault = member.account.create_vault("documents").unwrap();
    let files = Files::many(1, 8, 200_000);
    backed_up(&mut vault, &files).unwrap();
    files.write("1/more", &noise(7, 400_000));
    files.write("other/same as more", &noise(7, 400_000));
    backed_up(&mut vault, &files).unwrap();
    // All of it is shared.
    backed_up(&mut vault, &files).unwrap();
    fs::remove_file(files.path().join("1/more")).unwrap();
    fs::remove_dir_all(files.path().join("2")).unwrap();
    files.write("new", &noise(8, 400_000));
    backed_up(&mut vault, &files).unwrap();
    let id = vault.id();
    drop(vault);

    let mut shared = 0;
    for pack in member.hoster.packs(&id) {
        let hoster = member.hoster.fork();
        assert!(hoster.lose_pack(&id, &pack));
        let mut vault = at(&member, &hoster);
        forget_cache(&vault);
        // Without its index or catalog nothing can be followed.
        let Ok(report) = checked(&mut vault) else {
            continue;
        };
        for snapshot in snapshots(&vault) {
            let target = tempfile::tempdir().unwrap();
            let restored = restored(&vault, &snapshot, files.path(), target.path());
            let found = report.broken.iter().find(|found| found.id == snapshot.id);
            match (restored, found) {
                (Ok(restored), None) => assert_eq!(restored.left_out, []),
                (Ok(restored), Some(found)) => {
                    assert_eq!(found.files, restored.left_out.len() as u64, "{found:?}");
                    assert_eq!(found.directories, 0, "{found:?}");
                }
                (Err(_), Some(found)) => {
                    assert!(found.directories > 0, "{found:?}");
                }
                (Err(error), None) => panic!("{error}: {report:?}"),
            }
        }
        shared += usize::from((2..4).contains(&report.broken.len()));
    }
    assert!(shared > 0);
}
