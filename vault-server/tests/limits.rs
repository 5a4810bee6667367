//! What is too much: calls, logins, connections, log entries, and the room of a
//! prune.

use std::{num::NonZeroU32, time::Duration};

use tonic::Status;
use vault_proto::wire;
use vault_rpc::hoster::{self, HelloRequest, Reason, UsageRequest, WatchHeadsRequest};
use vault_server::{Config, Rate};

use crate::support::{
    Member, TestServer, VaultOf, assert_refused, dial, header, logs, pack, part, refusal,
    slow_upload,
};

/// So many, and then none while the test runs.
fn at_most(burst: u32) -> Rate {
    Rate {
        burst: NonZeroU32::new(burst).unwrap(),
        every: Duration::from_secs(24 * 60 * 60),
    }
}

async fn usage(member: &mut Member) -> Result<(), Status> {
    let request = member.request(UsageRequest {});
    member.client.usage(request).await.map(drop)
}

#[tokio::test]
async fn a_device_that_calls_too_often_is_told_to_wait() {
    let few = |config: &mut Config| config.limits.rates.calls = at_most(3);
    let server = TestServer::start_with(few).await;
    let (mut busy, mut other) = (server.member().await, server.member().await);
    for _ in 0..3 {
        usage(&mut busy).await.unwrap();
    }
    assert_refused(usage(&mut busy).await, Reason::TooMany);
    // Another token is no way round, nor another connection.
    busy.log_in().await;
    assert_refused(usage(&mut busy).await, Reason::TooMany);
    usage(&mut other).await.unwrap();
}

#[tokio::test]
async fn nobody_uses_up_the_logins_of_another() {
    let few = |config: &mut Config| config.limits.rates.logins = at_most(2);
    let server = TestServer::start_with(few).await;
    let mut member = server.member().await;
    for _ in 0..5 {
        let (nonce, hello) = member.hello().await.unwrap();
        let mut request = member.sign_login(&member.login(nonce, &hello));
        request.signature[0] ^= 1;
        let forged = member.client.login(request).await;
        assert_refused(forged, Reason::Unauthenticated);
    }
    member.log_in().await;
    assert_refused(member.try_log_in().await, Reason::TooMany);
    // The token that it has is as good as before.
    usage(&mut member).await.unwrap();
}

#[tokio::test]
async fn strangers_are_counted_by_where_they_come_from() {
    let few = |config: &mut Config| config.limits.rates.strangers = at_most(3);
    let server = TestServer::start_with(few).await;
    // A greeting, a new account, a login: three.
    let mut member = server.member().await;
    let hello = || HelloRequest {
        client_nonce: vec![0; 32],
        origin: server.server.address().to_string(),
    };
    let refused = member.client.hello(hello()).await;
    assert_refused(refused, Reason::TooMany);
    let invitation = server.invite(1000).await;
    member.reconnect(server.dial(&invitation).await);
    let refused = member.client.hello(hello()).await;
    assert_refused(refused, Reason::TooMany);
    usage(&mut member).await.unwrap();
}

/// Every call that needs no token counts, and none of them alone.
#[tokio::test]
async fn every_call_without_a_token_is_counted() {
    let few = |config: &mut Config| config.limits.rates.strangers = at_most(3 + 9);
    let server = TestServer::start_with(few).await;
    let mut member = server.member().await;
    let mut client = member.client.clone();
    let account = member.id().to_vec();
    let fetch = || hoster::FetchAccountLogRequest {
        account: account.clone(),
        seq: 0,
    };
    client.fetch_account_log(fetch()).await.unwrap();
    let find = hoster::FindAccountRequest {
        device: vec![0; 32],
    };
    assert_refused(client.find_account(find).await, Reason::NotFound);
    let put = hoster::PutMessageRequest {
        name: vec![1; 32],
        message: vec![1],
    };
    client.put_message(put).await.unwrap();
    let wait = hoster::AwaitMessageRequest {
        name: vec![1; 32],
        wait_milliseconds: 0,
    };
    client.await_message(wait).await.unwrap();
    let offer = |token: bool| {
        let offer = hoster::PutOfferRequest {
            account: account.clone(),
            offer: vec![1],
        };
        match token {
            true => member.request(offer),
            false => tonic::Request::new(offer),
        }
    };
    client.put_offer(offer(false)).await.unwrap();
    // With a token it is its device's.
    client.put_offer(offer(true)).await.unwrap();
    let bring = || hoster::PutAccountLogRequest {
        account: account.clone(),
        entries: Vec::new(),
    };
    client.put_account_log(bring()).await.unwrap();
    client
        .put_account_log(member.request(bring()))
        .await
        .unwrap();
    let open = || hoster::OpenLinkRequest { link: vec![1; 32] };
    assert_refused(client.open_link(open()).await, Reason::LinkOver);
    let read = || hoster::ReadLinkRequest {
        ticket: vec![1; 32],
        ranges: Vec::new(),
    };
    let refused = client.read_link(read()).await.map(drop);
    assert_refused(refused, Reason::Unauthenticated);

    client.fetch_account_log(fetch()).await.unwrap();
    let refused = client.fetch_account_log(fetch()).await;
    assert_refused(refused, Reason::TooMany);
    assert_refused(client.open_link(open()).await, Reason::TooMany);
    let refused = client.read_link(read()).await.map(drop);
    assert_refused(refused, Reason::TooMany);
    assert_refused(client.put_offer(offer(false)).await, Reason::TooMany);
    let refused = client.put_account_log(bring()).await;
    assert_refused(refused, Reason::TooMany);
    client.put_offer(offer(true)).await.unwrap();
    usage(&mut member).await.unwrap();
}

fn pin(server: &vault_proto::invitation::Invitation) -> [u8; 32] {
    match server.tls {
        vault_proto::invitation::TlsTrust::Pinned(pin) => pin,
        _ => panic!("no pin"),
    }
}

#[tokio::test]
async fn one_place_has_so_many_connections() {
    let few = |config: &mut Config| config.accepting.connections_of_one = 2;
    let server = TestServer::start_with(few).await;
    let pin = Some(pin(&server.invite(1000).await));
    let address = server.server.address();
    let first = dial(address, pin).await.unwrap();
    let _second = dial(address, pin).await.unwrap();
    assert!(dial(address, pin).await.is_err());
    assert!(dial(address, pin).await.is_err());
    // When one ends, the next may come.
    drop(first);
    while dial(address, pin).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let few = |config: &mut Config| config.accepting.connections = 2;
    let server = TestServer::start_with(few).await;
    let pin = Some(pin(&server.invite(1000).await));
    let address = server.server.address();
    let first = dial(address, pin).await.unwrap();
    let _second = dial(address, pin).await.unwrap();
    let mut third = tokio::spawn(dial(address, pin));
    let waiting = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(waiting.is_err(), "it was let in");
    drop(first);
    third.await.unwrap().unwrap();
}

/// A sentence names what is full, and by how much.
#[tokio::test]
async fn the_records_of_an_account_have_a_limit_of_their_own() {
    let small = |config: &mut Config| config.terms.record_bytes = 20_000;
    let server = TestServer::start_with(small).await;
    let mut member = server.member_with_quota(1600).await;
    let mut vault = member.create_vault().await;
    let nothing = Default::default();
    let status = loop {
        let commit = member.commit_of(&vault, &nothing, &nothing);
        match member.send(&commit).await {
            Ok(_) => vault.follow(&commit),
            Err(status) => break status,
        };
    };
    let refused = refusal(&status);
    assert_eq!(refused.reason(), Reason::QuotaExceeded);
    assert_eq!(refused.quota_bytes, 20_100);
    assert!(refused.used_bytes > 20_100);
    let request = member.request(UsageRequest {});
    let usage = member.client.usage(request).await.unwrap().into_inner();
    assert_eq!(usage.record_limit_bytes, 20_100);
    assert!(0 < usage.record_bytes && usage.record_bytes < 20_100);
    assert_eq!((usage.committed_bytes, usage.unclaimed_bytes), (0, 0));
    // Its roots go in their time, all but the newest, and make room.
    server.clock.advance(Duration::from_secs(31 * 24 * 60 * 60));
    server
        .server
        .packs()
        .sweep(vault_server::clock::Clock::now(&*server.clock))
        .unwrap();
    member.log_in().await;
    member.commit(&mut vault, &nothing, &nothing).await;
}

#[tokio::test]
async fn a_log_that_is_too_long_takes_removals_alone() {
    let short = |config: &mut Config| {
        config.limits.account_log_bytes = 8000;
        config.limits.vault_log_bytes = 9000;
    };
    let server = TestServer::start_with(short).await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;

    let rename = |member: &Member| {
        let body = wire::account_entry::Body::RenameDevice(wire::RenameDevice {
            device: member.device.id().to_vec(),
            sealed_name: vec![3; 100],
        });
        let entry = member.log.next_entry(member.device.id(), body);
        let entry = vault_proto::entry::UnsignedEntry::account(&entry);
        member.device.sign_entry(entry)
    };
    let machine = alice.add_device().await;
    let full = loop {
        let entry = rename(&alice);
        match alice.append(entry).await {
            Ok(()) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(refusal(&full).reason(), Reason::TooLarge);
    assert!(full.message().contains("8000"), "{full:?}");
    alice.remove_device(machine.device.id()).await;

    let change = |role: wire::Role| {
        wire::vault_entry::Body::ChangeRole(wire::ChangeRole {
            member: Some(vault_proto::vault_log::member_ref(
                &bob.id(),
                &bob.log.position(),
            )),
            role: role.into(),
        })
    };
    let accounts = logs([&alice, &bob]);
    let mut roles = [wire::Role::Reader, wire::Role::Writer].into_iter().cycle();
    let full = loop {
        let mut after = vault.clone();
        let entry = alice.vault_entry(&mut after, change(roles.next().unwrap()), &accounts);
        match alice.send_vault_entry(vault.id(), entry).await {
            Ok(()) => vault = after,
            Err(status) => break status,
        }
    };
    assert_eq!(refusal(&full).reason(), Reason::TooLarge);
    alice.remove_member(&mut vault, &bob).await;
}

/// That this is where a member's log stands.
fn refresh(of: &Member) -> wire::vault_entry::Body {
    let position = of.log.position();
    wire::vault_entry::Body::Refresh(wire::RefreshMember {
        member: Some(vault_proto::vault_log::member_ref(&of.id(), &position)),
    })
}

/// What one member's devices bring about is in a log that another pays for.
#[tokio::test]
async fn there_is_an_end_to_what_follows_removals() {
    const MOST: usize = 9000;
    let short = |config: &mut Config| config.limits.vault_log_bytes = MOST;
    let server = TestServer::start_with(short).await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let bytes = |vault: &VaultOf| -> usize {
        let entries = vault.log.entries().iter();
        entries.map(prost::Message::encoded_len).sum()
    };
    let full = loop {
        assert!(bytes(&vault) < 10 * MOST, "there is none");
        let machine = bob.add_device().await;
        bob.remove_device(machine.device.id()).await;
        let mut after = vault.clone();
        let accounts = logs([&alice, &bob]);
        let entry = bob.vault_entry(&mut after, refresh(&bob), &accounts);
        if let Err(status) = bob.send_vault_entry(vault.id(), entry).await {
            break status;
        }
        vault = after.clone();
        match bob.try_rotate(&mut after, &[&alice]).await {
            Ok(()) => vault = after,
            Err(status) => break status,
        }
    };
    assert_eq!(refusal(&full).reason(), Reason::TooLarge);
    assert!(MOST < bytes(&vault) && bytes(&vault) <= 2 * MOST);
    // He can be removed all the same.
    alice.remove_member(&mut vault, &bob).await;
}

/// That a place of a log is recorded at which nobody was removed can wait.
#[tokio::test]
async fn a_full_log_records_no_places_without_need() {
    let short = |config: &mut Config| config.limits.vault_log_bytes = 9000;
    let server = TestServer::start_with(short).await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let full = loop {
        assert!(bob.log.entries().len() < 100, "it is never full");
        let body = wire::account_entry::Body::RenameDevice(wire::RenameDevice {
            device: bob.device.id().to_vec(),
            sealed_name: vec![3; 100],
        });
        let entry = bob.log.next_entry(bob.device.id(), body);
        let entry = vault_proto::entry::UnsignedEntry::account(&entry);
        bob.append(bob.device.sign_entry(entry)).await.unwrap();
        let mut after = vault.clone();
        let accounts = logs([&alice, &bob]);
        let entry = alice.vault_entry(&mut after, refresh(&bob), &accounts);
        match alice.send_vault_entry(vault.id(), entry).await {
            Ok(()) => vault = after,
            Err(status) => break status,
        }
    };
    assert_eq!(refusal(&full).reason(), Reason::TooLarge);
    let machine = bob.add_device().await;
    bob.remove_device(machine.device.id()).await;
    let accounts = logs([&alice, &bob]);
    let entry = alice.vault_entry(&mut vault, refresh(&bob), &accounts);
    alice.send_vault_entry(vault.id(), entry).await.unwrap();
}

/// Else whoever knows somebody's address fills what he has to list.
#[tokio::test]
async fn nobody_waits_in_too_many_vaults_unasked() {
    let few = |config: &mut Config| config.terms.unaccepted_of_one = 2;
    let server = TestServer::start_with(few).await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let carol = server.member().await;
    let own = bob.create_vault().await;
    let listed = |member: &Member| {
        let request = member.request(hoster::ListVaultsRequest {});
        let mut client = member.client.clone();
        async move {
            let answer = client.list_vaults(request).await.unwrap();
            let vaults = answer.into_inner().vaults.into_iter();
            vaults.map(|listed| listed.vault).collect::<Vec<_>>()
        }
    };
    let mut vaults = Vec::new();
    for _ in 0..3 {
        vaults.push(alice.create_vault().await);
    }
    let role = wire::Role::Reader;
    for vault in &mut vaults[..2] {
        alice.add(vault, &bob, role).await.unwrap();
    }
    let refused = alice.add(&mut vaults[2], &bob, role).await;
    assert_refused(refused, Reason::BoxFull);
    alice.add(&mut vaults[2], &carol, role).await.unwrap();
    // His own come first, and then what he has accepted.
    assert_eq!(listed(&bob).await[0], own.id().to_vec());
    bob.accept(&mut vaults[1], &alice).await;
    let accepted = listed(&bob).await;
    assert!(accepted[..2].contains(&vaults[1].id().to_vec()));
    assert_eq!(accepted[2], vaults[0].id().to_vec());
    alice.add(&mut vaults[2], &bob, role).await.unwrap();
    let mut bobs = bob.create_vault().await;
    bob.add(&mut bobs, &alice, role).await.unwrap();
}

#[tokio::test]
async fn a_prune_may_exceed_the_quota_while_it_runs() {
    const MIB: usize = 1 << 20;
    let server = TestServer::start().await;
    let mut member = server.member_with_quota(MIB as u64).await;
    let vault = member.create_vault().await;
    member.put(vault.id(), &pack(MIB)).await.unwrap();
    let more = pack(MIB);
    let put = member.put(vault.id(), &more).await;
    assert_refused(put, Reason::QuotaExceeded);
    let prune = slow_upload(&member);
    let mut begin = header(vault.id(), more.id, MIB as u32);
    if let Some(vault_rpc::hoster::put_pack_request::Part::Header(header)) = &mut begin.part {
        header.for_prune = true;
    }
    prune.sender.send(begin).await.unwrap();
    prune.sender.send(part(&more.bytes)).await.unwrap();
    drop(prune.sender);
    prune.answer.await.unwrap().unwrap();
}

#[tokio::test]
async fn one_account_has_so_many_streams() {
    let few = |config: &mut Config| config.limits.streams_of_one = 2;
    let server = TestServer::start_with(few).await;
    let (mut member, mut other) = (server.member().await, server.member().await);
    let vault = member.create_vault().await;
    let kept = pack(16 << 10);
    member.put(vault.id(), &kept).await.unwrap();
    let watch = |member: &Member| {
        let request = member.request(WatchHeadsRequest { vaults: Vec::new() });
        let mut client = member.client.clone();
        async move {
            client
                .watch_heads(request)
                .await
                .map(tonic::Response::into_inner)
        }
    };
    let first = watch(&member).await.unwrap();
    let _second = watch(&member).await.unwrap();
    assert_refused(watch(&member).await.map(drop), Reason::TooMany);
    let range = [(kept.id, 0, 100)];
    assert_refused(member.read(vault.id(), &range).await, Reason::TooMany);
    drop(watch(&other).await.unwrap());
    usage(&mut other).await.unwrap();
    drop(first);
    while member.read(vault.id(), &range).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn one_account_has_so_many_uploads() {
    let few = |config: &mut Config| config.limits.uploads_of_one = 2;
    let server = TestServer::start_with(few).await;
    let (mut member, mut other) = (server.member().await, server.member().await);
    let (vault, others) = (member.create_vault().await, other.create_vault().await);
    let slow = [slow_upload(&member), slow_upload(&member)];
    for upload in &slow {
        let begin = header(vault.id(), pack(1 << 20).id, 1 << 20);
        upload.sender.send(begin).await.unwrap();
    }
    let incoming = server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().count() < 2 {
        tokio::task::yield_now().await;
    }
    let small = pack(16 << 10);
    let third = member.put(vault.id(), &small).await;
    assert_refused(third, Reason::TooMany);
    usage(&mut member).await.unwrap();
    other.put(others.id(), &small).await.unwrap();
    for upload in slow {
        drop(upload.sender);
        assert_refused(upload.answer.await.unwrap(), Reason::Malformed);
    }
    member.put(vault.id(), &small).await.unwrap();
}

#[tokio::test]
async fn who_reads_nothing_has_no_place_for_ever() {
    const MIB: u32 = 1 << 20;
    let hasty = |config: &mut Config| {
        config.limits.streams_of_one = 1;
        config.limits.stalled = Duration::from_millis(200);
    };
    let server = TestServer::start_with(hasty).await;
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let large = pack(16 * MIB as usize);
    member.put(vault.id(), &large).await.unwrap();
    // More than is sent unread: 160 MiB.
    let range = hoster::PackRange {
        pack: large.id.to_vec(),
        offset: 0,
        length: 16 * MIB,
    };
    let request = member.request(hoster::ReadPacksRequest {
        vault: vault.id().to_vec(),
        ranges: vec![range; 10],
    });
    let stream = member.client.read_packs(request).await.unwrap();
    let mut unread = stream.into_inner();
    let place = async {
        while member.read(vault.id(), &[(large.id, 0, 1)]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let place = tokio::time::timeout(Duration::from_secs(60), place).await;
    place.expect("his place is kept for him");
    let end = loop {
        match unread.message().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    assert_refused(end, Reason::TooSlow);
}

#[tokio::test]
async fn one_place_has_so_many_calls_under_way() {
    let few = |config: &mut Config| config.limits.calls_of_one_network = 2;
    let server = TestServer::start_with(few).await;
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let slow = [slow_upload(&member), slow_upload(&member)];
    for upload in &slow {
        let begin = header(vault.id(), pack(1 << 20).id, 1 << 20);
        upload.sender.send(begin).await.unwrap();
    }
    // Both are under way when there is a file for each.
    let incoming = server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().count() < 2 {
        tokio::task::yield_now().await;
    }
    assert_refused(usage(&mut member).await, Reason::TooMany);
    for upload in slow {
        drop(upload.sender);
        assert_refused(upload.answer.await.unwrap(), Reason::Malformed);
    }
    member.put(vault.id(), &pack(16 << 10)).await.unwrap();
}

/// A few bytes on the line, and many in memory: refused whoever asks, before it waits.
#[tokio::test]
async fn a_request_does_not_list_more_than_it_can_mean() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    const MANY: usize = 20_000;
    let entries = vec![wire::SignedEntry::default(); MANY];
    let account = member.log.id().to_vec();
    let request = hoster::PutAccountLogRequest { account, entries };
    let refused = member.client.put_account_log(request).await;
    assert_refused(refused, Reason::TooLarge);
    let entry = wire::SignedEntry {
        payload: Vec::new(),
        signatures: vec![wire::Signature::default(); MANY],
    };
    let request = hoster::AppendAccountEntryRequest { entry: Some(entry) };
    let request = member.request(request);
    let refused = member.client.append_account_entry(request).await;
    assert_refused(refused, Reason::TooLarge);
    let request = hoster::SyncVaultRequest {
        accounts: vec![hoster::KnownAccount::default(); MANY],
        ..hoster::SyncVaultRequest::default()
    };
    let request = member.request(request);
    let refused = member.client.sync_vault(request).await;
    assert_refused(refused, Reason::TooLarge);
    let vaults = vec![Vec::new(); MANY];
    let request = member.request(WatchHeadsRequest { vaults });
    let refused = member.client.watch_heads(request).await;
    assert_refused(refused, Reason::TooLarge);
    let ranges = vec![hoster::PackRange::default(); MANY];
    let vault = vec![0; 32];
    let request = member.request(hoster::ReadPacksRequest {
        vault,
        ranges: ranges.clone(),
    });
    let refused = member.client.read_packs(request).await;
    assert_refused(refused, Reason::TooLarge);
    let ticket = vec![0; 32];
    let request = hoster::ReadLinkRequest { ticket, ranges };
    let refused = member.client.read_link(request).await;
    assert_refused(refused, Reason::TooLarge);
}
