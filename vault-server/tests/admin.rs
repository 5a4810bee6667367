//! The hoster's own commands, and what they show.

use std::{path::PathBuf, time::Duration};

use serde_json::Value;
use vault_proto::{
    ids::{AccountId, PackId},
    invitation::Invitation,
    pack_list::PackList,
    wire,
};
use vault_rpc::{
    admin::{
        InspectMemberRequest, InviteRequest, InviteResponse, ListInvitationsRequest,
        ListMembersRequest, RevokeInvitationRequest, SetQuotaRequest, SetQuotaResponse,
        StatsRequest,
    },
    hoster::{
        CreateLinkRequest, LinkBlocks, OpenLinkRequest, PackRange, PutOfferRequest,
        ReadLinkRequest, Reason,
    },
};
use vault_server::admin::{ClientError, connect};

use crate::support::{
    Member, TestClock, TestServer, VaultOf, ask, assert_refused, field_paths, pack, sorted,
};

/// Downloads a link, whose ticket counts by that.
async fn download(member: &Member, link: [u8; 32], data: PackId) {
    let mut client = member.client.clone();
    let link = link.to_vec();
    let opened = client.open_link(OpenLinkRequest { link }).await.unwrap();
    let range = PackRange {
        pack: data.to_vec(),
        offset: 0,
        length: 1,
    };
    let read = ReadLinkRequest {
        ticket: opened.into_inner().ticket,
        ranges: vec![range],
    };
    let mut stream = client.read_link(read).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
}

async fn invite(server: &TestServer, label: &str, lifetime_seconds: u64) -> InviteResponse {
    let request = InviteRequest {
        quota_bytes: 10_000_000,
        label: label.into(),
        lifetime_seconds,
    };
    let answer = server.admin().await.invite(request).await.unwrap();
    answer.into_inner()
}

async fn labelled(server: &TestServer, label: &str) -> Member {
    let answer = invite(server, label, 60).await;
    let invitation = Invitation::parse(&answer.url).unwrap();
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
    let (capsule, data) = (pack(16 << 10), pack(32 << 10));
    for pack in [&capsule, &data] {
        alice.put(vault.id(), pack).await.unwrap();
    }
    let adds = sorted([&capsule, &data]);
    alice.commit(&mut vault, &adds, &PackList::default()).await;
    let link = CreateLinkRequest {
        vault: vault.id().to_vec(),
        link: vec![7; 32],
        capsule: capsule.id.to_vec(),
        packs: vec![LinkBlocks {
            pack: data.id.to_vec(),
            blocks: vec![1],
        }],
        expires: 0,
        max_downloads: 3,
    };
    let request = alice.request(link);
    alice.client.create_link(request).await.unwrap();
    download(&alice, [7; 32], data.id).await;
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

/// What the program prints about a member.
async fn printed(server: &TestServer, member: &Member, json: bool) -> String {
    let arguments = ["inspect", &member.id().to_string(), "--json"];
    asked(server, &arguments[..if json { 3 } else { 2 }]).await
}

/// What the program prints, which must succeed.
async fn asked(server: &TestServer, arguments: &[&str]) -> String {
    let data: PathBuf = server.data.path();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|&argument| argument.to_owned())
        .collect();
    let asked = tokio::task::spawn_blocking(move || {
        let arguments: Vec<_> = arguments.iter().map(|argument| &argument[..]).collect();
        ask(&data, &arguments)
    });
    let output = asked.await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether there is something at a path, in one of the values of each list.
fn is_filled(value: &Value, path: &str) -> bool {
    let (name, rest) = path
        .split_once('.')
        .map_or((path, None), |(name, rest)| (name, Some(rest)));
    let values = match value.get(name) {
        None => panic!("there is no {name} in {value}"),
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
    };
    values.into_iter().any(|value| match (rest, value) {
        (_, Value::Null) => false,
        (Some(rest), value) => is_filled(value, rest),
        (None, Value::String(text)) => !text.is_empty(),
        (None, Value::Number(number)) => number.as_u64() != Some(0),
        (None, value) => *value == Value::Bool(true),
    })
}

/// Alice with all that a hoster can have of a member.
async fn busy_member(server: &TestServer, home: &TestServer) -> (Member, Member, VaultOf) {
    let mut alice = labelled(server, "alice").await;
    let carol = labelled(server, "carol").await;
    let bob = home.member().await;
    alice.bring(&bob, 1).await.unwrap();
    let mut vault = alice.create_vault().await;
    let [small, large, linked, unclaimed] = [16, 256, 32, 64].map(|kib| pack(kib << 10));
    for pack in [&small, &large, &linked, &unclaimed] {
        alice.put(vault.id(), pack).await.unwrap();
    }
    let (nothing, adds) = (PackList::default(), sorted([&small, &large, &linked]));
    alice.commit(&mut vault, &adds, &nothing).await;
    let removes = sorted([&small]);
    alice.commit(&mut vault, &nothing, &removes).await;
    alice
        .add(&mut vault, &carol, wire::Role::Reader)
        .await
        .unwrap();
    let link = alice.request(CreateLinkRequest {
        vault: vault.id().to_vec(),
        link: vec![7; 32],
        capsule: large.id.to_vec(),
        packs: vec![LinkBlocks {
            pack: linked.id.to_vec(),
            blocks: vec![1],
        }],
        expires: TestClock::START + 1000,
        max_downloads: 3,
    });
    alice.client.create_link(link).await.unwrap();
    download(&alice, [7; 32], linked.id).await;
    for (from, to) in [(&carol, &alice), (&alice, &carol)] {
        let offer = from.request(PutOfferRequest {
            account: to.id().to_vec(),
            offer: vec![1; 99],
        });
        from.client.clone().put_offer(offer).await.unwrap();
    }
    let machine = alice.add_device().await;
    alice.remove_device(machine.device.id()).await;
    (alice, bob, vault)
}

/// The document has every field of the answer, and each of them is filled for a
/// member of whom there is everything, or for a guest.
#[tokio::test]
async fn the_document_shows_all_that_is_asked_for() {
    let (server, home) = (TestServer::start().await, TestServer::start().await);
    let (alice, bob, _) = busy_member(&server, &home).await;
    let document = async |member| -> Value {
        serde_json::from_str(&printed(&server, member, true).await).unwrap()
    };
    let documents = [document(&alice).await, document(&bob).await];
    let paths = field_paths("InspectMemberResponse");
    assert!(paths.len() > 80, "{}", paths.len());
    for path in paths {
        // A guest has neither an invitation nor vaults.
        let is_there = is_filled(&documents[0], &path)
            || path.starts_with("member.") && is_filled(&documents[1], &path);
        assert!(is_there, "{path}");
    }
    let text = printed(&server, &alice, false).await;
    let carol = "(reader, invited)";
    for words in ["logged in until", carol, "2 packs, 1 downloads of 3", "of "] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("all that the server knows"));
    // Moments as people read them: the clock of the tests began with these digits.
    let began = TestClock::START.to_string();
    let digits = |text: &str| text.contains(&began[..6]);
    assert!(digits(&began) && !digits(&text), "{text}");
    assert!(text.contains("joined    20"), "{text}");
}

async fn set_quota(
    server: &TestServer,
    member: &str,
    quota_bytes: u64,
) -> Result<SetQuotaResponse, tonic::Status> {
    let member = member.to_owned();
    let request = SetQuotaRequest {
        member,
        quota_bytes,
    };
    let answer = server.admin().await.set_quota(request).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn a_quota_is_changed_at_once() {
    let (server, home) = (TestServer::start().await, TestServer::start().await);
    let mut alice = labelled(&server, "alice").await;
    let bob = labelled(&server, "bob").await;
    let guest = home.member().await;
    alice.bring(&guest, 1).await.unwrap();
    let vault = alice.create_vault().await;
    let [first, second] = [0, 1].map(|_| pack(64 << 10));
    alice.put(vault.id(), &first).await.unwrap();

    let id = alice.id().to_string();
    for (number, name) in (1..).zip(["alice", &id, &id[..8]]) {
        let changed = set_quota(&server, name, number).await.unwrap();
        let before = if number == 1 { 10_000_000 } else { number - 1 };
        assert_eq!(changed.old_quota_bytes, before);
        let member = changed.member.unwrap();
        assert_eq!(member.account, alice.id().to_vec());
        assert_eq!(
            (member.quota_bytes, member.unclaimed_bytes),
            (number, 64 << 10)
        );
    }
    let refused = alice.put(vault.id(), &second).await;
    assert_refused(refused, Reason::QuotaExceeded);
    let member = ["member", "quota", "alice"];
    let text = asked(&server, &[&member[..], &["70kB"]].concat()).await;
    assert!(text.contains("quota 3 B -> 70.0 kB\n"), "{text}");
    assert!(!text.contains("nothing more"), "{text}");
    let text = asked(&server, &[&member[..], &["0"]].concat()).await;
    assert!(
        text.contains("70.0 kB -> 0 B\n65.5 kB are stored"),
        "{text}"
    );
    let text = asked(&server, &[&member[..], &["1GB", "--json"]].concat()).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["schema"], "coffre-server.member-quota/1");
    assert_eq!(document["old_quota_bytes"], 0);
    assert_eq!(document["member"]["quota_bytes"], 1_000_000_000);
    assert_eq!(document["over_quota"], false);
    alice.put(vault.id(), &second).await.unwrap();

    // A guest has none to be changed; and nobody else's has been.
    for (name, words) in [
        (&guest.id().to_string()[..], "guest"),
        ("nobody", "no member"),
        ("", "several members"),
    ] {
        let refused = set_quota(&server, name, 1).await.unwrap_err();
        assert!(refused.message().contains(words), "{refused:?}");
    }
    let mut admin = server.admin().await;
    let members = admin.list_members(ListMembersRequest {}).await;
    let members = members.unwrap().into_inner().members;
    let bobs = members
        .iter()
        .find(|member| member.account == bob.id().to_vec());
    assert_eq!(bobs.unwrap().quota_bytes, 10_000_000);
    // It outlives the server.
    let server = server.restart(|_| {}).await;
    let changed = set_quota(&server, "alice", 1).await.unwrap();
    assert_eq!(changed.old_quota_bytes, 1_000_000_000);
}

#[tokio::test]
async fn invitations_are_listed_and_revoked() {
    let server = TestServer::start().await;
    labelled(&server, "alice").await;
    let [dave, carol] = ["dave", "carol"].map(|label| invite(&server, label, 120));
    let (dave, carol) = (dave.await, carol.await);
    invite(&server, "soon", 60).await;
    invite(&server, "twice", 90).await;
    let second = invite(&server, "twice", 91).await;
    let mut admin = server.admin().await;
    let mut list = async || {
        let listed = admin.list_invitations(ListInvitationsRequest {}).await;
        listed.unwrap().into_inner().invitations
    };
    let labels = |listed: &[vault_rpc::admin::Invitation]| {
        let labels = listed.iter().map(|invitation| invitation.label.clone());
        labels.collect::<Vec<_>>().join(" ")
    };
    // Those that were used are not among them; those that end first come first.
    let listed = list().await;
    let shown = labels(&listed);
    assert!(
        ["soon twice twice dave carol", "soon twice twice carol dave"].contains(&&shown[..]),
        "{shown}"
    );
    assert_eq!(listed[0].quota_bytes, 10_000_000);
    assert_eq!(listed[0].expires, TestClock::START + 60);
    // As the program prints them, and never what makes them worth an account.
    let text = asked(&server, &["invitation", "list"]).await;
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(
        text.contains("carol                    10.0 MB  20"),
        "{text}"
    );
    let json = asked(&server, &["invitation", "list", "--json"]).await;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["schema"], "coffre-server.invitation-list/1");
    assert_eq!(document["invitations"].as_array().unwrap().len(), 5);
    for url in [&dave.url, &carol.url, &second.url] {
        let secret = *Invitation::parse(url).unwrap().secret.as_bytes();
        let spelled = data_encoding::HEXLOWER.encode(&secret);
        assert!(!text.contains(&spelled[..16]) && !json.contains(&spelled[..16]));
        assert!(listed.iter().all(|invitation| invitation.id != secret));
    }

    let id = document["invitations"][1]["id"].as_str().unwrap();
    let text = asked(&server, &["invitation", "revoke", &id[..16]]).await;
    assert_eq!(text, format!("revoked {}  twice\n", &id[..16]));
    let json = asked(&server, &["invitation", "revoke", "carol", "--json"]).await;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["schema"], "coffre-server.invitation-revoke/1");
    assert_eq!(document["invitation"]["label"], "carol");
    assert_eq!(labels(&list().await), "soon twice dave");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(labels(&list().await), "twice dave");
    let revoke = async |invitation: &str| {
        let invitation = invitation.to_owned();
        let request = RevokeInvitationRequest { invitation };
        let mut admin = server.admin().await;
        admin.revoke_invitation(request).await.map(|_| ())
    };
    for (wanted, words) in [
        ("carol", "no open invitation"),
        ("alice", "no open invitation"),
        ("soon", "no open invitation"),
        (&id[..16], "no open invitation"),
        ("", "several invitations"),
    ] {
        let refused = revoke(wanted).await.unwrap_err();
        assert!(refused.message().contains(words), "{wanted}: {refused:?}");
    }
    // A revoked one is as one that never was; the others are as good as before.
    let revoked = Invitation::parse(&carol.url).unwrap();
    let mut member = Member::new(server.dial(&revoked).await, &revoked);
    let refused = member.create_account(&revoked).await;
    assert_refused(refused, Reason::InvitationUnknown);
    Member::sign_up(&server, &Invitation::parse(&dave.url).unwrap()).await;
    Member::sign_up(&server, &Invitation::parse(&second.url).unwrap()).await;
}

#[tokio::test]
async fn several_invitations_of_one_label_are_told_apart_by_their_ids() {
    let server = TestServer::start().await;
    for _ in 0..2 {
        invite(&server, "twice", 60).await;
    }
    let request = RevokeInvitationRequest {
        invitation: "twice".into(),
    };
    let mut admin = server.admin().await;
    let refused = admin.revoke_invitation(request).await.unwrap_err();
    assert!(refused.message().contains("more digits"), "{refused:?}");
    let listed = admin.list_invitations(ListInvitationsRequest {}).await;
    assert_eq!(listed.unwrap().into_inner().invitations.len(), 2);
}

#[tokio::test]
async fn a_label_that_is_taken_is_told() {
    let server = TestServer::start().await;
    let taken = async |label: &str| {
        let answer = invite(&server, label, 60).await;
        (answer.label_of_member, answer.label_of_invitation)
    };
    labelled(&server, "alice").await;
    assert_eq!(taken("alice").await, (true, false));
    assert_eq!(taken("alice").await, (true, true));
    assert_eq!(taken("bob").await, (false, false));
    assert_eq!(taken("bob").await, (false, true));
    // No label is nobody's.
    for _ in 0..2 {
        assert_eq!(taken("").await, (false, false));
    }
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(taken("bob").await, (false, false));
}

#[tokio::test]
async fn a_list_that_is_cut_says_how_long_it_is() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let mut vault = alice.create_vault().await;
    let packs: Vec<_> = (0..20).map(|_| pack(16 << 10)).collect();
    for pack in &packs {
        alice.put(vault.id(), pack).await.unwrap();
    }
    let nothing = PackList::default();
    for _ in 0..2 {
        alice.commit(&mut vault, &nothing, &nothing).await;
    }
    alice.commit(&mut vault, &sorted(&packs), &nothing).await;
    for _ in 0..99 {
        alice.commit(&mut vault, &nothing, &nothing).await;
    }
    let text = printed(&server, &alice, true).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    let vault = &document["vaults"][0];
    let heads = vault["heads"].as_array().unwrap();
    assert_eq!((heads.len(), &vault["head_seq"]), (100, &102.into()));
    let head = &heads[99];
    assert_eq!(
        (&head["seq"], &head["added_packs"]),
        (&3.into(), &20.into())
    );
    assert_eq!(head["adds"].as_array().unwrap().len(), 16);
    let text = printed(&server, &alice, false).await;
    assert!(text.contains("  2 older heads\n"), "{text}");
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
