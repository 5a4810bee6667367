//! The vault's list of links, beside everything else that changes a vault.

use vault_client::link::LinkState;
use vault_client::remote::{LinkBlocks, NewLink, Presence, Refusal, RefusalReason};
use vault_core::snapshot::SnapshotId;
use vault_proto::vault_log::Role;

use super::*;
use crate::engine::SecondDevice;

fn states(list: &LinkList) -> Vec<LinkState> {
    list.links.iter().map(|link| link.state).collect()
}

#[test]
fn a_link_is_listed_with_all_there_is_to_say() {
    let mut maker = Maker::new();
    let options = LinkOptions {
        expires: Some(5_000_000_000),
        max_downloads: NonZeroU32::new(3),
        label: "for Éloïse".to_owned(),
        ..with_password()
    };
    let made = maker.make("album/", &options).unwrap();
    let word = secret_word();
    got(
        &maker.member.hoster,
        &made.url,
        Some(&word),
        target().path(),
    )
    .unwrap();
    let list = maker.list();
    let [link] = &list.links[..] else {
        panic!("{list:?}")
    };
    assert_eq!(link.id, made.id());
    assert_eq!(link.url, made.url);
    assert_eq!(link.label, "for Éloïse");
    assert_eq!(link.snapshot, maker.snapshot.id);
    let path = maker.files.path().join("album");
    assert_eq!(link.path, path.as_os_str().as_bytes());
    assert_eq!(link.account, maker.member.account.id());
    assert_eq!(
        (link.expires, link.max_downloads),
        (options.expires, options.max_downloads)
    );
    assert!(link.has_password);
    assert_eq!((link.state, link.downloads), (LinkState::Live, Some(1)));
    assert_eq!(list.unlisted, []);
    // The URL that a member's other device shows opens it, too.
    let second = SecondDevice::of(&maker.member);
    let address = maker.address();
    let other = list_of(&mut second.vault(), &address);
    assert_eq!(other.links[0].url, made.url);
    assert_eq!(
        SnapshotId::from_slice(link.snapshot.as_bytes()),
        Some(link.snapshot)
    );
}

fn list_of(vault: &mut Vault, address: &HosterAddress) -> LinkList {
    list(vault, address).unwrap()
}

#[test]
fn links_survive_other_commits_and_a_check_finds_them_whole() {
    let mut maker = Maker::new();
    let url = maker.link("album");
    let another = maker.link("private");
    assert_whole(&mut maker.vault);
    maker.files.write("album/more", &noise(5, 200_000));
    backed_up(&mut maker.vault, &maker.files).unwrap();
    let second = SecondDevice::of(&maker.member);
    let mut other = second.vault();
    other.refresh().unwrap();
    maker.files.write("album/even more", &noise(6, 200_000));
    backed_up(&mut other, &maker.files).unwrap();
    assert_eq!(states(&maker.list()), [LinkState::Live, LinkState::Live]);
    for url in [&url, &another] {
        maker.get(url, target().path()).unwrap();
    }
    assert_whole(&mut maker.vault);
    let root = maker.vault.root().unwrap();
    let packs = maker.member.hoster.packs(&maker.vault.id());
    let there = maker
        .vault
        .remote()
        .have_packs(&maker.vault.id(), &packs)
        .unwrap();
    let live = there
        .iter()
        .filter(|there| **there == Presence::There)
        .count();
    assert_eq!(root.pack_count, live as u64);

    // The hoster loses a capsule: a check tells.
    assert!(
        maker
            .member
            .hoster
            .lose_pack(&maker.vault.id(), &url.capsule)
    );
    let report = crate::engine::checked(&mut maker.vault).unwrap();
    let missing = vault_client::check::Problem::PackMissing(url.capsule);
    assert_eq!(report.problems, [missing]);
}

#[test]
fn a_backup_that_runs_meanwhile_is_not_overtaken_by_links() {
    let mut maker = Maker::new();
    maker.link("album");
    let before = maker.vault.root().unwrap().last_removal_seq;
    let url = maker.link("private");
    revoke(&mut maker.vault, &url.id()).unwrap();
    assert_eq!(maker.vault.root().unwrap().last_removal_seq, before);
    assert_eq!(maker.list().links.len(), 1);
}

#[test]
fn two_devices_make_and_revoke_links_side_by_side() {
    let mut maker = Maker::new();
    let second = SecondDevice::of(&maker.member);
    let mut other = second.vault();
    let address = maker.address();
    let first = maker.link("album");
    // The other device does not know of it yet.
    let path = maker.files.path().join("private");
    let theirs = create(
        &mut other,
        &address,
        &maker.snapshot,
        path.as_os_str().as_bytes(),
        &LinkOptions::default(),
        &silent(),
        &Cancellation::new(),
    )
    .unwrap();
    assert_eq!(list_of(&mut other, &address).links.len(), 2);
    revoke(&mut other, &first.id()).unwrap();
    let list = maker.list();
    assert_eq!(list.links.len(), 1);
    assert_eq!(list.links[0].id, theirs.id());
    let last = maker.vault.root().unwrap().links.clone();
    revoke(&mut maker.vault, &theirs.id()).unwrap();
    assert!(last.is_some() && maker.vault.root().unwrap().links.is_none());
    let gone = revoke(&mut maker.vault, &theirs.id()).unwrap_err();
    assert!(matches!(gone, LinkError::NoLink), "{gone}");
    assert_whole(&mut maker.vault);
}

#[test]
fn the_list_is_compared_with_what_the_hoster_says() {
    let mut maker = Maker::new();
    let options = LinkOptions {
        max_downloads: NonZeroU32::new(1),
        ..LinkOptions::default()
    };
    let url = maker.make("album", &options).unwrap().url;
    maker.get(&url, target().path()).unwrap();
    assert_eq!(states(&maker.list()), [LinkState::Over]);
    revoke(&mut maker.vault, &url.id()).unwrap();

    // One that nobody has listed.
    let url = maker.link("album");
    let calls = maker.member.hoster.calls();
    let told: Vec<NewLink> = calls
        .into_iter()
        .filter_map(|call| match call {
            Call::CreateLink(link) => Some(link),
            _ => None,
        })
        .collect();
    let planted = NewLink {
        link: LinkId::from_array([9; 32]),
        packs: Vec::<LinkBlocks>::new(),
        ..told.last().unwrap().clone()
    };
    maker.vault.remote().create_link(&planted).unwrap();
    let list = maker.list();
    assert_eq!(states(&list), [LinkState::Live]);
    assert_eq!(list.unlisted.len(), 1);
    assert_eq!(list.unlisted[0].link, planted.link);
    revoke(&mut maker.vault, &planted.link).unwrap();
    assert_eq!(maker.list().unlisted, []);

    // One that the hoster serves for longer than was said.
    let remote = maker.vault.remote();
    remote.revoke_link(&maker.vault.id(), &url.id()).unwrap();
    assert_eq!(states(&maker.list()), [LinkState::Over]);
}

#[test]
fn a_link_that_the_hoster_will_not_have_is_not_listed() {
    let mut maker = Maker::new();
    maker.link("album");
    // How many calls it takes to come to the one that is refused below.
    maker.member.hoster.forget_calls();
    let url = maker.link("private");
    let calls = maker.member.hoster.calls();
    let before = calls
        .iter()
        .position(|call| matches!(call, Call::CreateLink(_)));
    revoke(&mut maker.vault, &url.id()).unwrap();

    let refusal = Refusal::new(RefusalReason::TooLarge, "no");
    maker
        .member
        .hoster
        .fail_after(before.unwrap(), RemoteError::Refused(refusal.clone()));
    let error = maker.make("private", &LinkOptions::default()).unwrap_err();
    assert!(
        matches!(&error, LinkError::Remote(RemoteError::Refused(r)) if *r == refusal),
        "{error}"
    );
    let list = maker.list();
    assert_eq!(states(&list), [LinkState::Live]);
    assert_eq!(list.unlisted, []);
    assert_whole(&mut maker.vault);
}

#[test]
fn a_reader_makes_no_link() {
    let mut maker = Maker::new();
    let reader = Member::at(&maker.member.hoster);
    let log = reader.paper().own_log();
    let id = reader.account.id();
    maker
        .member
        .paper()
        .append_knowing(maker.vault.id(), &[log], |author, keys| {
            author
                .add_member(keys, &id, Role::Reader, &mut rng())
                .unwrap()
        });
    reader
        .paper()
        .append(maker.vault.id(), |author, _| author.accept().unwrap());
    maker.vault.refresh().unwrap();
    let device = reader.paper();
    let planted = NewLink {
        vault: maker.vault.id(),
        link: LinkId::from_array([9; 32]),
        capsule: maker.link("album").capsule,
        packs: Vec::new(),
        expires: None,
        max_downloads: None,
    };
    let refused = device.remote.create_link(&planted).unwrap_err();
    assert!(
        matches!(&refused, RemoteError::Refused(r) if r.reason == RefusalReason::Forbidden),
        "{refused}"
    );
}

#[test]
fn a_link_that_expired_long_ago_is_forgotten_with_its_capsule() {
    let mut maker = Maker::new();
    // The device's clock is far ahead of this.
    let options = LinkOptions {
        expires: Some(2_000_000_000),
        ..LinkOptions::default()
    };
    let expired = maker.make("album", &options).unwrap();
    assert_eq!(maker.list().links.len(), 1);
    let live = maker.link("private");
    let list = maker.list();
    assert_eq!(list.links.len(), 1);
    assert_eq!(list.links[0].id, live.id());
    let capsule = [expired.url.capsule];
    let there = maker
        .vault
        .remote()
        .have_packs(&maker.vault.id(), &capsule)
        .unwrap();
    assert_eq!(there, [Presence::Trash]);
}
