//! Packs in and out.

use std::time::Duration;

use prost::bytes::Bytes;
use vault_proto::ids::{PackId, VaultId};
use vault_rpc::{
    admin::SetQuotaRequest,
    hoster::{
        HavePacksRequest, PutPackRequest, Reason, UsageRequest, UsageResponse,
        put_pack_request::Part,
    },
};
use vault_server::{Pace, store::DiskReserve};

use crate::support::{
    Member, Packed, TestServer, assert_refused, header, pack, part, random, refusal, slow_upload,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

async fn usage(member: &mut Member) -> UsageResponse {
    let request = member.request(UsageRequest {});
    member.client.usage(request).await.unwrap().into_inner()
}

async fn have(member: &mut Member, vault: VaultId, packs: &[&Packed]) -> Vec<u8> {
    let request = member.request(HavePacksRequest {
        vault: vault.to_vec(),
        packs: packs.iter().flat_map(|pack| pack.id.to_vec()).collect(),
    });
    let answer = member.client.have_packs(request).await.unwrap();
    answer.into_inner().there
}

#[tokio::test]
async fn packs_of_every_size_go_in_and_come_out() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    for power in 14..=24 {
        let pack = pack(1 << power);
        assert!(!member.put(vault, &pack).await.unwrap().was_there);
        let size = 1_u32 << power;
        let whole = member.read(vault, &[(pack.id, 0, size)]).await.unwrap();
        assert!(whole == pack.bytes, "{size} bytes");
        assert!(member.put(vault, &pack).await.unwrap().was_there);
    }
}

#[tokio::test]
async fn ranges_come_in_the_order_asked_for() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let (small, large) = (pack(64 * KIB), pack(MIB));
    for pack in [&small, &large] {
        member.put(vault, pack).await.unwrap();
    }
    let ranges = [
        (large.id, 65_536, 700_000),
        (small.id, 0, 65_536),
        (large.id, 1, 1),
        (large.id, 65_536, 65_536),
    ];
    let read = member.read(vault, &ranges).await.unwrap();
    let expected = [
        &large.bytes[65_536..765_536],
        &small.bytes,
        &large.bytes[1..2],
        &large.bytes[65_536..131_072],
    ];
    assert!(read == expected.concat());
    assert!(member.read(vault, &[]).await.unwrap().is_empty());

    let size = 64 * KIB as u32;
    for (range, reason) in [
        ((small.id, 0, 0), Reason::Malformed),
        ((small.id, 0, size + 1), Reason::Malformed),
        ((small.id, size, 1), Reason::Malformed),
        ((small.id, u32::MAX, 2), Reason::Malformed),
        ((PackId::of(b"another"), 0, 1), Reason::NotFound),
    ] {
        assert_refused(member.read(vault, &[range]).await, reason);
    }
    let many = vec![(small.id, 0, 1); 1025];
    assert_refused(member.read(vault, &many).await, Reason::TooLarge);
}

#[tokio::test]
async fn what_is_there_is_told_and_what_is_not() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let (one, two, three) = (pack(16 * KIB), pack(128 * KIB), pack(16 * KIB));
    member.put(vault, &one).await.unwrap();
    member.put(vault, &two).await.unwrap();
    let there = have(&mut member, vault, &[&three, &one, &two, &one]).await;
    assert_eq!(there, [0, 1, 1, 1]);
    let ask = |packs: usize, more: usize| HavePacksRequest {
        vault: vault.to_vec(),
        packs: vec![0; packs * 32 + more],
    };
    let request = member.request(ask(8192, 0));
    member.client.have_packs(request).await.unwrap();
    let request = member.request(ask(8193, 0));
    assert_refused(member.client.have_packs(request).await, Reason::TooLarge);
    let request = member.request(ask(1, 1));
    assert_refused(member.client.have_packs(request).await, Reason::Malformed);
}

#[tokio::test]
async fn the_wrong_bytes_are_refused_and_nothing_is_kept() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    for size in [16 * KIB, MIB] {
        let pack = pack(size);
        let size = size as u32;
        let mut flipped = pack.bytes.clone();
        flipped[7] ^= 1;
        let put = member.put_as(vault, pack.id, size, &flipped).await;
        assert_refused(put, Reason::HashMismatch);
        let short = &pack.bytes[..pack.bytes.len() - 1];
        let put = member.put_as(vault, pack.id, size, short).await;
        assert_refused(put, Reason::Malformed);
        let long = [&pack.bytes[..], &[0; 1000]].concat();
        let put = member.put_as(vault, pack.id, size, &long).await;
        assert_refused(put, Reason::Malformed);
        assert_eq!(have(&mut member, vault, &[&pack]).await, [0]);
    }
    assert_eq!(usage(&mut member).await.unclaimed_bytes, 0);
}

#[tokio::test]
async fn a_pack_has_one_of_eleven_sizes() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    for size in [0, 1, 8 * KIB, 17 * KIB, 32 * MIB, u32::MAX as usize] {
        let put = member
            .put_as(vault, PackId::of(b""), size as u32, &[])
            .await;
        assert_refused(put, Reason::Malformed);
    }
}

#[tokio::test]
async fn the_quota_refuses_before_a_byte_is_sent() {
    let server = TestServer::start().await;
    let mut member = server.member_with_quota(3 * MIB as u64).await;
    let vault = member.create_vault().await.id();
    member.put(vault, &pack(2 * MIB)).await.unwrap();

    // Only a header: the refusal does not wait for the bytes.
    let slow = slow_upload(&member);
    let too_much = header(vault, PackId::of(b""), 2 * MIB as u32);
    slow.sender.send(too_much).await.unwrap();
    let status = slow.answer.await.unwrap().unwrap_err();
    let refusal = refusal(&status);
    assert_eq!(refusal.reason(), Reason::QuotaExceeded);
    assert_eq!(refusal.quota_bytes, 3 * MIB as u64);
    assert_eq!(refusal.used_bytes, 2 * MIB as u64);
    member.put(vault, &pack(MIB)).await.unwrap();
}

#[tokio::test]
async fn uploads_under_way_take_room() {
    let server = TestServer::start().await;
    let mut member = server.member_with_quota(3 * MIB as u64).await;
    let vault = member.create_vault().await.id();
    let first = pack(2 * MIB);
    let slow = slow_upload(&member);
    let announced = header(vault, first.id, 2 * MIB as u32);
    slow.sender.send(announced).await.unwrap();
    slow.sender.send(part(&first.bytes[..1])).await.unwrap();
    // The header has arrived when there is a file for what follows it.
    let incoming = server.data.path().join("blobs/incoming");
    while std::fs::read_dir(&incoming).unwrap().next().is_none() {
        tokio::task::yield_now().await;
    }
    let second = pack(2 * MIB);
    assert_refused(member.put(vault, &second).await, Reason::QuotaExceeded);
    // The first one hangs up, and its room comes back.
    slow.answer.abort();
    drop(slow.sender);
    while member.put(vault, &second).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_quota_refuses_while_bytes_are_sent() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let large = pack(16 * MIB);
    let slow = slow_upload(&member);
    let announced = header(vault, large.id, 16 * MIB as u32);
    slow.sender.send(announced).await.unwrap();
    slow.sender
        .send(part(&large.bytes[..MIB / 2]))
        .await
        .unwrap();
    // The hoster lowers it now.
    let request = SetQuotaRequest {
        member: member.id().to_string(),
        quota_bytes: 1000,
    };
    server.admin().await.set_quota(request).await.unwrap();
    // Two messages are enough to see it; the sender need not send all sixteen.
    let mut sent = MIB / 2;
    while slow
        .sender
        .send(part(&large.bytes[sent..sent + MIB / 2]))
        .await
        .is_ok()
    {
        sent += MIB / 2;
        if sent == large.bytes.len() {
            break;
        }
    }
    let status = slow.answer.await.unwrap().unwrap_err();
    assert_eq!(refusal(&status).reason(), Reason::QuotaExceeded);
    assert_eq!(usage(&mut member).await.unclaimed_bytes, 0);
}

#[tokio::test]
async fn a_full_disk_refuses_uploads_and_nothing_else() {
    let server = TestServer::start_with(|config| {
        config.disk_reserve = DiskReserve {
            bytes: u64::MAX,
            percent: 0,
        };
    })
    .await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let put = member.put(vault.id(), &pack(16 * KIB)).await;
    assert_refused(put, Reason::DiskFull);
    let nothing = Default::default();
    member.commit(&mut vault, &nothing, &nothing).await;
}

fn hasty(config: &mut vault_server::Config) {
    config.limits.pace = Pace {
        header: Duration::from_millis(200),
        message: Duration::from_millis(200),
        pack: Duration::from_secs(60),
    };
}

#[tokio::test]
async fn an_upload_that_stands_still_is_cut_off() {
    let server = TestServer::start_with(hasty).await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();

    let silent = slow_upload(&member);
    let status = silent.answer.await.unwrap().unwrap_err();
    assert_eq!(refusal(&status).reason(), Reason::TooSlow);

    let large = pack(MIB);
    let stuck = slow_upload(&member);
    stuck
        .sender
        .send(header(vault, large.id, MIB as u32))
        .await
        .unwrap();
    stuck.sender.send(part(&large.bytes[..10])).await.unwrap();
    let status = stuck.answer.await.unwrap().unwrap_err();
    assert_eq!(refusal(&status).reason(), Reason::TooSlow);
    drop(stuck.sender);
    assert_eq!(have(&mut member, vault, &[&large]).await, [0]);
    member.put(vault, &large).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_drips_is_cut_off() {
    let server = TestServer::start_with(|config| {
        hasty(config);
        config.limits.pace.pack = Duration::from_millis(500);
    })
    .await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let large = pack(MIB);
    let drip = slow_upload(&member);
    drip.sender
        .send(header(vault, large.id, MIB as u32))
        .await
        .unwrap();
    let dripping = async {
        for byte in large.bytes.chunks(1) {
            if drip.sender.send(part(byte)).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (_, answer) = tokio::join!(dripping, drip.answer);
    let status = answer.unwrap().unwrap_err();
    assert_eq!(refusal(&status).reason(), Reason::TooSlow);
}

#[tokio::test]
async fn an_upload_is_a_header_and_then_bytes() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let pack = pack(16 * KIB);
    let head = || header(vault, pack.id, 16 * KIB as u32);
    let all = || part(&pack.bytes);
    let empty = PutPackRequest {
        part: Some(Part::Bytes(Bytes::new())),
    };
    for messages in [
        vec![],
        vec![all()],
        vec![head(), head()],
        vec![PutPackRequest { part: None }],
        vec![head(), PutPackRequest { part: None }],
        vec![head(), empty, all()],
    ] {
        let request = member.request(tokio_stream::iter(messages));
        assert_refused(member.client.put_pack(request).await, Reason::Malformed);
    }
    let request = member.request(tokio_stream::iter([head(), all()]));
    member.client.put_pack(request).await.unwrap();
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_in_words() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let large = pack(4 * MIB);
    let messages = [header(vault, large.id, 4 * MIB as u32), part(&large.bytes)];
    let request = member.request(tokio_stream::iter(messages));
    let status = member.client.put_pack(request).await.unwrap_err();
    assert_eq!(refusal(&status).reason(), Reason::TooLarge);

    let request = member.request(HavePacksRequest {
        vault: vault.to_vec(),
        packs: vec![0; 2 * MIB],
    });
    let status = member.client.have_packs(request).await.unwrap_err();
    assert_eq!(refusal(&status).reason(), Reason::TooLarge);
    // 1 MiB of a pack is a message.
    let messages = large.bytes.chunks(MIB).map(part);
    let messages = [header(vault, large.id, 4 * MIB as u32)]
        .into_iter()
        .chain(messages);
    let request = member.request(tokio_stream::iter(messages.collect::<Vec<_>>()));
    member.client.put_pack(request).await.unwrap();
}

#[tokio::test]
async fn an_upload_needs_a_token_and_a_vault() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await.id();
    let pack = pack(16 * KIB);
    let nowhere = VaultId::from_array(random());
    assert_refused(member.put(nowhere, &pack).await, Reason::NotFound);
    member.token.clear();
    assert_refused(member.put(vault, &pack).await, Reason::Unauthenticated);
}
