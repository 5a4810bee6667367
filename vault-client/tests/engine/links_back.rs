//! Links that were made, or revoked, after what a hoster has restored.

use std::fs;
use std::path::Path;

use vault_client::check::ReadData;
use vault_client::link::{CreatedLink, LinkOptions, LinkState, create, list, revoke};
use vault_client::progress::Cancellation;
use vault_client::reconcile::{Parted, Reconciled, reconcile};
use vault_client::remote::Presence;
use vault_client::remote::memory::MemoryHoster;
use vault_client::vault::Vault;

use super::second_device::{Two, at};
use super::{assert_whole, backed_up, noise, silent, snapshots};

/// A link to all of the newest snapshot.
fn linked(home: &Path, hoster: &MemoryHoster) -> CreatedLink {
    let mut vault = at(home, hoster);
    vault.refresh().unwrap();
    let snapshot = snapshots(&vault).pop().unwrap();
    create(
        &mut vault,
        &hoster.address(),
        &snapshot,
        b"/",
        &LinkOptions::default(),
        &silent(),
        &Cancellation::new(),
    )
    .unwrap()
}

impl Two {
    fn link_of_first(&self) -> CreatedLink {
        linked(self.member.home.path(), &self.member.hoster)
    }

    fn link_of_second(&self) -> CreatedLink {
        linked(self.second.home.path(), &self.member.hoster)
    }

    /// Both list the links that there are, as they do before they show them.
    fn list_on_both(&self) {
        for home in [self.member.home.path(), self.second.home.path()] {
            states(&mut at(home, &self.member.hoster), &self.member.hoster);
        }
    }

    /// Both find all there is, in as many packs as the root says.
    fn assert_clean(&self) {
        for mut vault in [self.first(), self.second()] {
            assert_whole(&mut vault);
            let root = vault.root().unwrap();
            let packs = self.old.packs(&vault.id());
            let there = vault.remote().have_packs(&vault.id(), &packs).unwrap();
            let there = there
                .iter()
                .filter(|there| **there == Presence::There)
                .count();
            assert!(root.pack_count <= there as u64, "{root:?}");
            let named = checked_packs(&mut vault);
            assert!(vault.root().unwrap().pack_count >= named);
        }
    }
}

fn checked_packs(vault: &mut Vault) -> u64 {
    let nothing = ReadData::Nothing;
    let report = vault_client::check::check(vault, nothing, &silent(), &Cancellation::new());
    report.unwrap().packs
}

fn states(vault: &mut Vault, hoster: &MemoryHoster) -> Vec<LinkState> {
    let listed = list(vault, &hoster.address()).unwrap();
    listed.links.iter().map(|link| link.state).collect()
}

fn done(vault: &mut Vault, parted: Parted) -> Reconciled {
    reconcile(vault, parted, &Cancellation::new()).unwrap()
}

/// The links that were taken off, that are not served, and that are served unlisted.
fn links(report: &Reconciled) -> [u64; 3] {
    [
        report.links_taken_off,
        report.links_not_served,
        report.links_unlisted,
    ]
}

fn forget_capsule(home: &Path, hoster: &MemoryHoster, link: &CreatedLink) {
    let packs = at(home, hoster).directory().unwrap().join("packs");
    fs::remove_file(packs.join(link.url.capsule.to_string())).unwrap();
}

#[test]
fn a_link_whose_capsule_was_kept_is_on_the_list_again() {
    let two = Two::new();
    two.link_of_first();
    two.list_on_both();

    let report = done(&mut two.first(), Parted::Refuse);
    assert_eq!(links(&report), [0, 1, 0], "{report:?}");
    two.second().refresh().unwrap_err();
    let report = done(&mut two.second(), Parted::Refuse);
    assert_eq!(links(&report), [0, 1, 0], "{report:?}");
    two.assert_clean();
    for mut vault in [two.first(), two.second()] {
        assert_eq!(states(&mut vault, &two.old), [LinkState::Over]);
    }
    two.assert_goes_on(1);
}

#[test]
fn a_link_whose_capsule_is_gone_is_taken_off_the_list() {
    // With another one, and alone on the list.
    for others in [1, 0] {
        let two = Two::new();
        for _ in 0..others {
            two.link_of_first();
        }
        let link = two.link_of_first();
        two.list_on_both();
        forget_capsule(two.member.home.path(), &two.member.hoster, &link);

        for _ in 0..2 {
            let report = done(&mut two.first(), Parted::Refuse);
            if report.from < report.lost {
                assert_eq!(links(&report), [1, others, 0], "{report:?}");
            }
            let report = done(&mut two.second(), Parted::Refuse);
            assert_eq!(report.links_taken_off, 0, "{report:?}");
        }
        two.assert_clean();
        for mut vault in [two.first(), two.second()] {
            assert_eq!(states(&mut vault, &two.old).len(), others as usize);
        }
        two.assert_goes_on(1);
    }
}

/// The one that has made it has its capsule, and not the one that is first.
#[test]
fn a_second_device_finds_nothing_amiss_with_a_link_of_its_own() {
    let two = Two::new();
    two.link_of_second();
    two.list_on_both();
    let report = done(&mut two.first(), Parted::Refuse);
    assert_eq!(links(&report), [1, 0, 0], "{report:?}");
    assert_whole(&mut two.first());
    done(&mut two.second(), Parted::Refuse);
    two.assert_clean();
    let head = two.second().head();
    done(&mut two.first(), Parted::Refuse);
    done(&mut two.second(), Parted::Refuse);
    assert_eq!(two.second().head(), head);
    two.assert_goes_on(1);
}

#[test]
fn links_of_two_histories_that_are_joined() {
    // Whether the second has made a link since, too: then its list stands.
    for has_link in [false, true] {
        let two = Two::new();
        two.link_of_first();
        let mut second = two.second();
        two.theirs.write("since", &noise(200, 40_000));
        backed_up(&mut second, &two.theirs).unwrap();
        drop(second);
        if has_link {
            linked(two.second.home.path(), &two.old);
        }
        let report = done(&mut two.first(), Parted::Join);
        assert!(report.joined, "{report:?}");
        let (expected, state) = match has_link {
            false => ([0, 1, 0], LinkState::Over),
            true => ([1, 0, 0], LinkState::Live),
        };
        assert_eq!(links(&report), expected, "{report:?}");
        done(&mut two.second(), Parted::Join);
        two.assert_clean();
        for mut vault in [two.first(), two.second()] {
            assert_eq!(states(&mut vault, &two.old), [state]);
        }
        two.assert_goes_on(2);
    }
}

/// A hoster that goes back serves it again, and nobody knows it any more.
#[test]
fn a_link_that_was_revoked_since_is_told_of() {
    let mut two = Two::new();
    let link = two.link_of_first();
    two.old = two.member.hoster.fork();
    let mut vault = at(two.member.home.path(), &two.member.hoster);
    revoke(&mut vault, &link.id()).unwrap();
    drop(vault);
    two.backup_of_first();

    let report = done(&mut two.first(), Parted::Refuse);
    assert_eq!(links(&report), [0, 0, 1], "{report:?}");
    assert_whole(&mut two.first());
    let mut first = two.first();
    let listed = list(&mut first, &two.old.address()).unwrap();
    assert_eq!((listed.links.len(), listed.unlisted.len()), (0, 1));
    revoke(&mut first, &link.id()).unwrap();
}

/// The list was empty then, and is not what the second device remembers.
#[test]
fn a_link_that_was_revoked_after_it_came_back_stays_revoked() {
    let two = Two::new();
    let link = two.link_of_first();
    two.list_on_both();
    done(&mut two.first(), Parted::Refuse);
    let mut first = two.first();
    revoke(&mut first, &link.id()).unwrap();
    assert_eq!(first.root().unwrap().links, None);
    drop(first);
    done(&mut two.second(), Parted::Refuse);
    assert_eq!(two.second().root().unwrap().links, None);
    two.assert_clean();
}
