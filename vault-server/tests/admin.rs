//! The hoster's own commands, and what they show.

use vault_proto::{ids::AccountId, invitation::Invitation, pack_list::PackList};
use vault_rpc::{
    admin::{InspectMemberRequest, InviteRequest, ListMembersRequest, StatsRequest},
    hoster::{CreateLinkRequest, OpenLinkRequest, PutOfferRequest},
};
use vault_server::admin::{ClientError, connect};

use crate::support::{Member, TestServer, pack, sorted};

async fn labelled(server: &TestServer, label: &str) -> Member {
    let request = InviteRequest {
        quota_bytes: 10_000_000,
        label: label.into(),
        lifetime_seconds: 60,
    };
    let answer = server.admin().await.invite(request).await.unwrap();
    let invitation = Invitation::parse(&answer.into_inner().url).unwrap();
    Member::sign_up(server, &invitation).await
}

#[tokio::test]
async fn members_are_listed_and_inspected() {
    let server = TestServer::start().await;
    let mut alice = labelled(&server, "alice").await;
    labelled(&server, "bob").await;
    let mut vault = alice.create_vault().await;
    let (small, large) = (pack(16 << 10), pack(256 << 10));
    for pack in [&small, &large] {
        alice.put(vault.id(), pack).await.unwrap();
    }
    alice
        .commit(&mut vault, &sorted([&small, &large]), &PackList::default())
        .await;
    alice
        .commit(&mut vault, &PackList::default(), &sorted([&small]))
        .await;

    let mut admin = server.admin().await;
    let members = admin.list_members(ListMembersRequest {}).await.unwrap();
    let members = members.into_inner().members;
    assert_eq!(members.len(), 2);
    let listed = members
        .iter()
        .find(|member| member.label == "alice")
        .unwrap();
    assert_eq!(AccountId::from_slice(&listed.account), Ok(alice.id()));
    assert_eq!((listed.vaults, listed.devices), (1, 1));
    assert_eq!(listed.quota_bytes, 10_000_000);
    assert_eq!(
        (listed.committed_bytes, listed.trash_bytes),
        (256 << 10, 16 << 10)
    );

    for name in [
        "alice",
        &alice.id().to_string(),
        &alice.id().to_string()[..8],
    ] {
        let request = InspectMemberRequest {
            member: name.to_owned(),
        };
        let inspected = admin.inspect_member(request).await.unwrap().into_inner();
        assert_eq!(inspected.member.as_ref(), Some(listed));
        assert_eq!(inspected.devices.len(), 1);
        assert_eq!(inspected.devices[0].kind, "paper");
        let [shown] = &inspected.vaults[..] else {
            panic!("one vault");
        };
        assert_eq!(
            (shown.kind.as_str(), shown.role.as_str()),
            ("storage", "manager")
        );
        assert_eq!((shown.head_seq, shown.log_entries, shown.epoch), (2, 1, 1));
        let classes: Vec<_> = shown
            .size_classes
            .iter()
            .map(|c| (c.size, c.packs))
            .collect();
        assert_eq!(classes, [(16 << 10, 1), (256 << 10, 1)]);
        let heads: Vec<_> = shown
            .heads
            .iter()
            .map(|h| (h.seq, h.added_packs, h.added_bytes, h.removed_packs))
            .collect();
        assert_eq!(heads, [(2, 0, 0, 1), (1, 2, 272 << 10, 0)]);
    }
    for name in ["carol", "", "zz"] {
        let request = InspectMemberRequest {
            member: name.to_owned(),
        };
        assert!(admin.inspect_member(request).await.is_err(), "{name:?}");
    }

    let stats = admin.stats(StatsRequest {}).await.unwrap().into_inner();
    assert_eq!((stats.members, stats.vaults, stats.packs), (2, 1, 2));
    assert_eq!(
        (stats.committed_bytes, stats.trash_bytes),
        (256 << 10, 16 << 10)
    );
    assert_eq!(stats.open_invitations, 0);
    assert_eq!(stats.hoster_id, server.server.id().to_string());
    assert!(0 < stats.disk_free_bytes && stats.disk_free_bytes <= stats.disk_total_bytes);
}

#[tokio::test]
async fn guests_offers_and_links_are_shown() {
    let (server, home) = (TestServer::start().await, TestServer::start().await);
    let mut alice = labelled(&server, "alice").await;
    let bob = home.member().await;
    alice.bring(&bob, 1).await.unwrap();
    let mut vault = alice.create_vault().await;
    let capsule = pack(16 << 10);
    alice.put(vault.id(), &capsule).await.unwrap();
    let adds = sorted([&capsule]);
    alice.commit(&mut vault, &adds, &PackList::default()).await;
    let link = CreateLinkRequest {
        vault: vault.id().to_vec(),
        link: vec![7; 32],
        capsule: capsule.id.to_vec(),
        packs: Vec::new(),
        expires: 0,
        max_downloads: 3,
    };
    let request = alice.request(link);
    alice.client.create_link(request).await.unwrap();
    let open = OpenLinkRequest { link: vec![7; 32] };
    alice.client.open_link(open).await.unwrap();
    let offer = PutOfferRequest {
        account: alice.id().to_vec(),
        offer: vec![1],
    };
    alice.client.put_offer(offer).await.unwrap();

    let mut admin = server.admin().await;
    let mut inspect = async |account: AccountId| {
        let member = account.to_string();
        let answer = admin.inspect_member(InspectMemberRequest { member }).await;
        answer.unwrap().into_inner()
    };
    let shown = inspect(alice.id()).await;
    let member = shown.member.unwrap();
    assert_eq!((member.guests, member.offers), (1, 1));
    assert!(member.brought_by.is_empty());
    assert!(0 < member.record_bytes && member.record_bytes < member.record_limit_bytes);
    let [link] = &shown.vaults[0].links[..] else {
        panic!("one link");
    };
    assert_eq!((link.max_downloads, link.downloads), (3, 1));
    assert_eq!(link.account, alice.id().to_vec());
    let guest = inspect(bob.id()).await;
    let member = guest.member.unwrap();
    assert_eq!(member.brought_by, alice.id().to_vec());
    assert_eq!((member.quota_bytes, member.offers), (0, 0));
    assert_eq!(guest.devices.len(), 1);
    let stats = admin.stats(StatsRequest {}).await.unwrap().into_inner();
    assert_eq!((stats.members, stats.guests), (1, 1));
}

#[tokio::test]
async fn an_invitation_needs_an_address_that_can_be_dialled() {
    let server = TestServer::start_with(|config| {
        config.listen = ([0, 0, 0, 0], 0).into();
    })
    .await;
    let request = InviteRequest {
        quota_bytes: 1,
        label: String::new(),
        lifetime_seconds: 60,
    };
    let status = server.admin().await.invite(request).await.unwrap_err();
    assert!(status.message().contains("--public-address"), "{status:?}");

    let server = TestServer::start_with(|config| {
        config.listen = ([0, 0, 0, 0], 0).into();
        config.public_addresses = vec!["Coffre.Example.org:4433".parse().unwrap()];
    })
    .await;
    let invitation = server.invite(1).await;
    assert_eq!(invitation.origin.as_str(), "coffre.example.org:4433");
}

#[tokio::test]
async fn a_label_is_one_line() {
    let server = TestServer::start().await;
    for label in ["two\nlines".to_owned(), "x".repeat(257)] {
        let request = InviteRequest {
            quota_bytes: 1,
            label,
            lifetime_seconds: 60,
        };
        assert!(server.admin().await.invite(request).await.is_err());
    }
}

#[tokio::test]
async fn without_a_server_there_is_nobody_to_ask() {
    let server = TestServer::start().await;
    let data = server.data.clone();
    server.server.stop().await;
    let refused = connect(&data.path()).await;
    assert!(matches!(refused, Err(ClientError::NotRunning)));
    let nowhere = connect(&data.path().join("nowhere")).await;
    assert!(matches!(nowhere, Err(ClientError::NotRunning)));
}
