//! Restores of more than waits at once.

use super::{Files, assert_restores, backed_up, newest, noise};
use crate::support::Member;

/// More places than wait, of several packs; and chunks that are wanted in more places
/// than that, and again after their pack was read.
#[test]
fn many_small_files_are_restored_as_they_were() {
    let (_member, mut vault) = Member::with_vault();
    let files = Files::many(3, 6_000, 6_000);
    for number in 0..5_000 {
        files.write(&format!("same/{number}"), b"as the others");
    }
    files.write("again", &noise(3 * 1_000_003, 6_000));
    files.write("long", &noise(4, 3 << 20));
    backed_up(&mut vault, &files).unwrap();
    assert_restores(&vault, &newest(&vault).unwrap(), &files);
}
