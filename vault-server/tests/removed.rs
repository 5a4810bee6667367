//! Who is removed is cut off, whatever he was doing.

use std::time::Duration;

use tonic::{Status, Streaming};
use vault_proto::{pack_list::PackList, wire};
use vault_rpc::hoster::{
    CreateLinkRequest, HavePacksRequest, OpenLinkRequest, PackRange, ReadLinkRequest,
    ReadPacksRequest, Reason, UsageRequest, WatchHeadsRequest, WatchHeadsResponse,
};

use crate::support::{
    Member, Packed, TestServer, VaultOf, assert_refused, header, pack, part, random, slow_upload,
    sorted,
};

const MIB: usize = 1 << 20;

async fn watch(member: &mut Member, vaults: &[&VaultOf]) -> Streaming<WatchHeadsResponse> {
    let request = member.request(WatchHeadsRequest {
        vaults: vaults.iter().map(|vault| vault.id().to_vec()).collect(),
    });
    let stream = member.client.watch_heads(request).await;
    stream.unwrap().into_inner()
}

/// The words a watch ends with, within a minute, which no machine is too slow
/// for.
async fn end_of(mut watch: Streaming<WatchHeadsResponse>) -> String {
    loop {
        let message = tokio::time::timeout(Duration::from_secs(60), watch.message()).await;
        match message.expect("the watch goes on") {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended without a word"),
            Err(status) => {
                let words = status.message().to_owned();
                assert_refused::<()>(Err(status), Reason::Removed);
                return words;
            }
        }
    }
}

/// A member of a vault with two devices, the second of which is logged in.
async fn two_devices(server: &TestServer) -> (Member, Member, VaultOf) {
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let mut machine = member.add_device().await;
    machine.log_in().await;
    (member, machine, vault)
}

#[tokio::test]
async fn a_watch_ends_when_the_device_is_removed() {
    let server = TestServer::start().await;
    let (mut member, mut machine, mut vault) = two_devices(&server).await;
    let mut kept = watch(&mut member, &[&vault]).await;
    let cut = watch(&mut machine, &[&vault]).await;
    member.remove_device(machine.device.id()).await;
    let words = end_of(cut).await;
    assert_eq!(words, "This device was removed from its account.");
    // Its token is worth nothing, for anything.
    let request = machine.request(UsageRequest {});
    assert_refused(machine.client.usage(request).await, Reason::Removed);
    let request = machine.request(WatchHeadsRequest { vaults: Vec::new() });
    let again = machine.client.watch_heads(request).await.map(drop);
    assert_refused(again, Reason::Removed);
    // The other device's watch goes on.
    refresh_and_commit(&mut member, &mut vault).await;
    let message = kept.message().await.unwrap().unwrap();
    assert_eq!((message.head_seq, message.vault), (1, vault.id().to_vec()));
}

/// A removal makes a rotation due, which has to come before the next head.
async fn refresh_and_commit(member: &mut Member, vault: &mut VaultOf) {
    let accounts = crate::support::logs([&*member]);
    let position = member.log.position();
    let rotate = wire::vault_entry::Body::Rotate(wire::RotateEpoch {
        epoch: Some(wire::Epoch {
            number: vault.log.epoch().number + 1,
            commitment: crate::support::random::<32>().to_vec(),
            boxes: vec![wire::EpochBox {
                member: Some(vault_proto::vault_log::member_ref(&member.id(), &position)),
                generation: member.log.account_key().generation,
                r#box: crate::support::random::<{ vault_proto::entry::BOX_BYTES }>().to_vec(),
            }],
            previous_secret: crate::support::random::<72>().to_vec(),
        }),
    });
    let entry = member.vault_entry(vault, rotate, &accounts);
    member.send_vault_entry(vault.id(), entry).await.unwrap();
    let nothing = PackList::default();
    member.commit(vault, &nothing, &nothing).await;
}

#[tokio::test]
async fn a_watch_ends_when_the_member_is_removed() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    let own = bob.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let both = watch(&mut bob, &[&own, &vault]).await;
    alice.remove_member(&mut vault, &bob).await;
    assert!(end_of(both).await.contains(&vault.id().to_string()));
    // He may watch what is left to him.
    drop(watch(&mut bob, &[&own]).await);
}

async fn is_there(member: &mut Member, vault: &VaultOf, pack: &Packed) -> bool {
    let request = member.request(HavePacksRequest {
        vault: vault.id().to_vec(),
        packs: pack.id.to_vec(),
    });
    let there = member.client.have_packs(request).await.unwrap();
    there.into_inner().there == [1]
}

#[tokio::test]
async fn an_upload_ends_when_the_device_or_the_member_is_removed() {
    let server = TestServer::start().await;
    let (mut alice, mut machine, mut vault) = two_devices(&server).await;
    let mut bob = server.member().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let large = pack(MIB);
    let mut uploads = Vec::new();
    for member in [&machine, &bob] {
        let slow = slow_upload(member);
        let begin = header(vault.id(), large.id, MIB as u32);
        slow.sender.send(begin).await.unwrap();
        slow.sender
            .send(part(&large.bytes[..MIB / 2]))
            .await
            .unwrap();
        uploads.push(slow);
    }
    // Both have begun when there is a file for each.
    let incoming = server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().count() < 2 {
        tokio::task::yield_now().await;
    }
    alice.remove_member(&mut vault, &bob).await;
    alice.remove_device(machine.device.id()).await;
    for slow in uploads {
        // The answer may be there before this is sent.
        let _ = slow.sender.send(part(&large.bytes[MIB / 2..])).await;
        drop(slow.sender);
        assert_refused(slow.answer.await.unwrap(), Reason::Removed);
    }
    assert!(!is_there(&mut alice, &vault, &large).await);
    let request = machine.request(UsageRequest {});
    assert_refused(machine.client.usage(request).await, Reason::Removed);
}

#[tokio::test]
async fn an_upload_ends_when_the_member_may_only_read() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let large = pack(MIB);
    let slow = slow_upload(&bob);
    let begin = header(vault.id(), large.id, MIB as u32);
    slow.sender.send(begin).await.unwrap();
    let incoming = server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    let accounts = crate::support::logs([&alice, &bob]);
    let demote = wire::vault_entry::Body::ChangeRole(wire::ChangeRole {
        member: Some(vault_proto::vault_log::member_ref(
            &bob.id(),
            &bob.log.position(),
        )),
        role: wire::Role::Reader.into(),
    });
    let entry = alice.vault_entry(&mut vault, demote, &accounts);
    alice.send_vault_entry(vault.id(), entry).await.unwrap();
    // The answer may be there before this is sent.
    let _ = slow.sender.send(part(&large.bytes)).await;
    drop(slow.sender);
    assert_refused(slow.answer.await.unwrap(), Reason::Forbidden);
    assert!(!is_there(&mut alice, &vault, &large).await);
    assert!(!is_there(&mut bob, &vault, &large).await, "he may read");
}

#[tokio::test]
async fn a_download_ends_when_the_device_is_removed() {
    let server = TestServer::start().await;
    let (mut member, mut machine, mut vault) = two_devices(&server).await;
    let large = pack(16 * MIB);
    member.put(vault.id(), &large).await.unwrap();
    let adds = sorted([&large]);
    member.commit(&mut vault, &adds, &PackList::default()).await;
    // More than fits on the way: 160 MiB.
    let range = PackRange {
        pack: large.id.to_vec(),
        offset: 0,
        length: 16 * MIB as u32,
    };
    let request = machine.request(ReadPacksRequest {
        vault: vault.id().to_vec(),
        ranges: vec![range; 10],
    });
    let stream = machine.client.read_packs(request).await.unwrap();
    let mut stream = stream.into_inner();
    assert!(stream.message().await.unwrap().is_some());
    member.remove_device(machine.device.id()).await;
    let cut = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    assert_refused(cut, Reason::Removed);
}

/// A link to one committed pack, made with this device.
async fn link(member: &Member, vault: &VaultOf, capsule: &Packed) -> Result<Vec<u8>, Status> {
    let link = random::<32>().to_vec();
    let request = member.request(CreateLinkRequest {
        vault: vault.id().to_vec(),
        link: link.clone(),
        capsule: capsule.id.to_vec(),
        packs: Vec::new(),
        expires: 0,
        max_downloads: 0,
    });
    member.client.clone().create_link(request).await?;
    Ok(link)
}

/// The ticket of one more download.
async fn open(anybody: &Member, link: &[u8]) -> Result<Vec<u8>, Status> {
    let link = link.to_vec();
    let mut client = anybody.client.clone();
    let opened = client.open_link(OpenLinkRequest { link }).await?;
    Ok(opened.into_inner().ticket)
}

/// Ends with the last word of a download of more than fits on the way: 160 MiB. At
/// its first message `meanwhile` happens.
async fn download(
    anybody: &Member,
    ticket: Vec<u8>,
    pack: &Packed,
    meanwhile: impl AsyncFnOnce(),
) -> Result<(), Status> {
    let range = PackRange {
        pack: pack.id.to_vec(),
        offset: 0,
        length: pack.bytes.len() as u32,
    };
    let request = ReadLinkRequest {
        ticket,
        ranges: vec![range; 10],
    };
    let stream = anybody.client.clone().read_link(request).await?;
    let mut stream = stream.into_inner();
    assert!(stream.message().await?.is_some());
    meanwhile().await;
    while stream.message().await?.is_some() {}
    Ok(())
}

#[tokio::test]
async fn links_of_a_removed_device_end_with_their_downloads() {
    let server = TestServer::start().await;
    let (mut member, machine, mut vault) = two_devices(&server).await;
    let mut stays = member.add_device().await;
    stays.log_in().await;
    let large = pack(16 * MIB);
    member.put(vault.id(), &large).await.unwrap();
    let adds = sorted([&large]);
    member.commit(&mut vault, &adds, &PackList::default()).await;
    // The same device makes links in a vault for which somebody else pays, too.
    let mut alice = server.member().await;
    let mut shared = alice.create_vault().await;
    alice
        .share(&mut shared, &mut member, wire::Role::Writer)
        .await;
    alice.put(shared.id(), &large).await.unwrap();
    alice.commit(&mut shared, &adds, &PackList::default()).await;
    let thiefs = link(&machine, &vault, &large).await.unwrap();
    let elsewhere = link(&machine, &shared, &large).await.unwrap();
    let others = link(&stays, &vault, &large).await.unwrap();
    let alices = link(&alice, &shared, &large).await.unwrap();
    let ticket = open(&alice, &thiefs).await.unwrap();

    let removed = machine.device.id();
    let cut = download(&alice, ticket.clone(), &large, async || {
        member.remove_device(removed).await;
    });
    assert_refused(cut.await, Reason::LinkOver);
    let again = download(&alice, ticket, &large, async || {}).await;
    assert_refused(again, Reason::LinkOver);
    for link in [&thiefs, &elsewhere] {
        assert_refused(open(&alice, link).await, Reason::LinkOver);
    }
    for link in [&others, &alices] {
        open(&alice, link).await.unwrap();
    }
    let more = link(&machine, &vault, &large).await;
    assert_refused(more, Reason::Removed);
}

/// Where the account is a guest, the log arrives from its home.
#[tokio::test]
async fn links_of_a_guests_removed_device_end() {
    let (server, home) = (TestServer::start().await, TestServer::start().await);
    let mut alice = server.member().await;
    let mut vault = alice.create_vault().await;
    let mut bob = home.member().await;
    let machine = bob.add_device().await;
    alice.bring(&bob, 1).await.unwrap();
    let mut paper = bob.at(&server).await;
    paper.log_in().await;
    alice
        .share(&mut vault, &mut paper, wire::Role::Writer)
        .await;
    let large = pack(16 * MIB);
    alice.put(vault.id(), &large).await.unwrap();
    let adds = sorted([&large]);
    alice.commit(&mut vault, &adds, &PackList::default()).await;
    let mut machine = machine.at(&server).await;
    machine.log_in().await;
    let thiefs = link(&machine, &vault, &large).await.unwrap();
    let papers = link(&paper, &vault, &large).await.unwrap();
    bob.remove_device(machine.device.id()).await;
    // That is not known here yet.
    let ticket = open(&alice, &thiefs).await.unwrap();
    let newest = bob.log.entries().len();
    let brought = Member {
        log: bob.log.clone(),
        ..paper.clone()
    };
    let cut = download(&alice, ticket, &large, async || {
        brought.bring_own(newest).await.unwrap();
    });
    assert_refused(cut.await, Reason::LinkOver);
    assert_refused(open(&alice, &thiefs).await, Reason::LinkOver);
    open(&alice, &papers).await.unwrap();
}

/// Nobody else has agreed to.
#[tokio::test]
async fn who_made_a_vault_pays_for_it_when_he_is_out() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Manager).await;
    bob.remove_member(&mut vault, &alice).await;
    bob.put(vault.id(), &pack(MIB)).await.unwrap();
    for (member, bytes) in [(&alice, MIB as u64), (&bob, 0)] {
        let request = member.request(UsageRequest {});
        let usage = member.client.clone().usage(request).await.unwrap();
        assert_eq!(usage.into_inner().unclaimed_bytes, bytes);
    }
}
