//! Links: blocks of packs for whoever knows a name.

use std::time::Duration;

use tonic::Status;
use vault_proto::{ids::PackId, invitation::TlsTrust, pack_list::PackList, wire};
use vault_rpc::hoster::{
    CreateLinkRequest, LinkBlocks, LinkStatus, ListLinksRequest, OpenLinkRequest, OpenLinkResponse,
    PackRange, ReadLinkRequest, Reason, RevokeLinkRequest, hoster_client::HosterClient,
};
use vault_server::{Config, clock::Clock};

use crate::support::{
    Member, Packed, TestClock, TestServer, VaultOf, assert_refused, logs, pack, random, sorted,
    talk_until_closed,
};

const KIB: u32 = 1 << 10;
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

type Client = HosterClient<tonic::transport::Channel>;

/// A vault with a capsule, a pack of eight blocks and one of four.
struct Cast {
    server: TestServer,
    alice: Member,
    vault: VaultOf,
    capsule: Packed,
    large: Packed,
    small: Packed,
    /// Somebody without an account.
    stranger: Client,
}

impl Cast {
    async fn meet() -> Self {
        Self::meet_with(|_| {}).await
    }

    async fn meet_with(change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::start_with(change).await;
        let mut alice = server.member().await;
        let mut vault = alice.create_vault().await;
        let [capsule, large, small] = [16, 512, 256].map(|kib| pack(kib << 10));
        for pack in [&capsule, &large, &small] {
            alice.put(vault.id(), pack).await.unwrap();
        }
        let adds = sorted([&capsule, &large, &small]);
        alice.commit(&mut vault, &adds, &PackList::default()).await;
        let stranger = dial(&server).await;
        Self {
            server,
            alice,
            vault,
            capsule,
            large,
            small,
            stranger,
        }
    }

    /// A link to blocks 1 and 2 of the large pack and 3 of the small one.
    fn link(&self) -> CreateLinkRequest {
        let mut packs = vec![
            blocks(self.large.id, &[0b0000_0110]),
            blocks(self.small.id, &[0b1000]),
        ];
        packs.sort_by(|a, b| a.pack.cmp(&b.pack));
        CreateLinkRequest {
            vault: self.vault.id().to_vec(),
            link: random::<32>().to_vec(),
            capsule: self.capsule.id.to_vec(),
            packs,
            expires: 0,
            max_downloads: 0,
        }
    }

    fn in_capsule(&self) -> [(PackId, u32, u32); 1] {
        [(self.capsule.id, 0, 100)]
    }

    /// Some of what [`link`](Self::link) leads to.
    fn in_data(&self) -> [(PackId, u32, u32); 1] {
        [(self.large.id, 64 * KIB, 100)]
    }

    /// Opens the link and reads some of that.
    async fn download(&self, link: &[u8]) -> Result<Vec<u8>, Status> {
        let ticket = open(&self.stranger, link).await?.ticket;
        read(&self.stranger, &ticket, &self.in_data()).await?;
        Ok(ticket)
    }

    /// The link, made by Alice.
    async fn made(&self, change: impl FnOnce(&mut CreateLinkRequest)) -> Vec<u8> {
        let mut link = self.link();
        change(&mut link);
        create(&self.alice, &link).await.unwrap();
        link.link
    }
}

async fn dial(server: &TestServer) -> Client {
    let invitation = server.invite(1).await;
    let channel = server.dial(&invitation).await.channel;
    HosterClient::new(channel).max_decoding_message_size(8 << 20)
}

fn blocks(pack: PackId, blocks: &[u8]) -> LinkBlocks {
    LinkBlocks {
        pack: pack.to_vec(),
        blocks: blocks.to_vec(),
    }
}

async fn create(member: &Member, link: &CreateLinkRequest) -> Result<(), Status> {
    let request = member.request(link.clone());
    member.client.clone().create_link(request).await.map(drop)
}

async fn list(member: &Member, vault: &VaultOf) -> Result<Vec<LinkStatus>, Status> {
    let request = member.request(ListLinksRequest {
        vault: vault.id().to_vec(),
    });
    let answer = member.client.clone().list_links(request).await?;
    Ok(answer.into_inner().links)
}

async fn revoke(member: &Member, vault: &VaultOf, link: &[u8]) -> Result<(), Status> {
    let request = member.request(RevokeLinkRequest {
        vault: vault.id().to_vec(),
        link: link.to_vec(),
    });
    member.client.clone().revoke_link(request).await.map(drop)
}

async fn open(client: &Client, link: &[u8]) -> Result<OpenLinkResponse, Status> {
    let link = link.to_vec();
    let answer = client.clone().open_link(OpenLinkRequest { link }).await?;
    Ok(answer.into_inner())
}

async fn read(
    client: &Client,
    ticket: &[u8],
    ranges: &[(PackId, u32, u32)],
) -> Result<Vec<u8>, Status> {
    let ranges = ranges.iter().map(|(pack, offset, length)| PackRange {
        pack: pack.to_vec(),
        offset: *offset,
        length: *length,
    });
    let request = ReadLinkRequest {
        ticket: ticket.to_vec(),
        ranges: ranges.collect(),
    };
    let mut stream = client.clone().read_link(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await? {
        bytes.extend_from_slice(&message.bytes);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_link_serves_its_capsule_and_its_blocks() {
    let cast = Cast::meet().await;
    let link = cast.made(|_| {}).await;
    let opened = open(&cast.stranger, &link).await.unwrap();
    assert_eq!(opened.capsule, cast.capsule.id.to_vec());
    assert_eq!(opened.capsule_size, 16 * KIB);
    assert_eq!(opened.lifetime_seconds, DAY.as_secs());
    let capsule = [(cast.capsule.id, 0, 16 * KIB)];
    let read_all = read(&cast.stranger, &opened.ticket, &capsule).await;
    assert!(read_all.unwrap() == cast.capsule.bytes);
    let ranges = [
        (cast.small.id, 192 * KIB, 64 * KIB),
        (cast.large.id, 64 * KIB, 128 * KIB),
        (cast.large.id, 100 * KIB, 1),
    ];
    let bytes = read(&cast.stranger, &opened.ticket, &ranges).await.unwrap();
    let expected = [
        &cast.small.bytes[192 << 10..],
        &cast.large.bytes[64 << 10..192 << 10],
        &cast.large.bytes[100 << 10..(100 << 10) + 1],
    ]
    .concat();
    assert!(bytes == expected);
}

#[tokio::test]
async fn what_a_link_does_not_name_is_closed() {
    let mut cast = Cast::meet().await;
    let other = pack(64 << 10);
    cast.alice.put(cast.vault.id(), &other).await.unwrap();
    let mut elsewhere = cast.alice.create_vault().await;
    cast.alice.put(elsewhere.id(), &other).await.unwrap();
    let adds = sorted([&other]);
    let nothing = PackList::default();
    cast.alice.commit(&mut elsewhere, &adds, &nothing).await;
    let link = cast.made(|_| {}).await;
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    for (what, range) in [
        ("the block before", (cast.large.id, 64 * KIB - 1, 1)),
        ("into the block before", (cast.large.id, 64 * KIB - 1, 2)),
        ("the block after", (cast.large.id, 192 * KIB, 1)),
        (
            "into the block after",
            (cast.large.id, 128 * KIB, 64 * KIB + 1),
        ),
        ("the whole pack", (cast.large.id, 0, 512 * KIB)),
        ("another pack", (other.id, 0, 1)),
        (
            "a pack that is not there",
            (PackId::from_array(random()), 0, 1),
        ),
    ] {
        let refused = read(&cast.stranger, &ticket, &[range]).await;
        let status = refused.expect_err(what);
        assert_refused::<()>(Err(status), Reason::Forbidden);
        // Nor together with what is named.
        let both = [(cast.capsule.id, 0, 100), range];
        let refused = read(&cast.stranger, &ticket, &both).await;
        assert_refused(refused, Reason::Forbidden);
    }
    for range in [
        (cast.capsule.id, 0, 0),
        (cast.capsule.id, 1, 16 * KIB),
        (cast.capsule.id, u32::MAX, u32::MAX),
    ] {
        let refused = read(&cast.stranger, &ticket, &[range]).await;
        assert_refused(refused, Reason::Malformed);
    }
    let many = vec![(cast.capsule.id, 0, 1); 1025];
    let refused = read(&cast.stranger, &ticket, &many).await;
    assert_refused(refused, Reason::TooLarge);
    // A ticket is one link's.
    let narrow = cast.made(|link| link.packs.clear()).await;
    let ticket = open(&cast.stranger, &narrow).await.unwrap().ticket;
    let refused = read(&cast.stranger, &ticket, &[(cast.large.id, 64 * KIB, 1)]).await;
    assert_refused(refused, Reason::Forbidden);
    let forged = read(&cast.stranger, &random::<32>(), &[]).await;
    assert_refused(forged, Reason::Unauthenticated);
    // Nor is it a token, nor a token a ticket.
    let forged = read(&cast.stranger, &cast.alice.token, &[]).await;
    assert_refused(forged, Reason::Unauthenticated);
    cast.alice.token = ticket;
    let refused = list(&cast.alice, &cast.vault).await;
    assert_refused(refused, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_link_is_downloaded_as_often_as_it_says() {
    let cast = Cast::meet().await;
    let link = cast.made(|link| link.max_downloads = 5).await;
    let (capsule, data) = (cast.in_capsule(), cast.in_data());
    let mut tickets = Vec::new();
    for _ in 0..20 {
        let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
        read(&cast.stranger, &ticket, &capsule).await.unwrap();
        tickets.push(ticket);
    }
    // None has had what the link shows.
    let listed = list(&cast.alice, &cast.vault).await.unwrap();
    assert_eq!(listed[0].downloads, 0);
    let mut reading = Vec::new();
    for tickets in tickets.chunks(5) {
        let client = dial(&cast.server).await;
        for ticket in tickets {
            let (client, ticket) = (client.clone(), ticket.clone());
            reading.push(tokio::spawn(async move {
                read(&client, &ticket, &data).await.map(|_| ticket)
            }));
        }
    }
    let mut counted = Vec::new();
    for read in reading {
        match read.await.unwrap() {
            Ok(ticket) => counted.push(ticket),
            Err(status) => assert_refused::<()>(Err(status), Reason::LinkOver),
        }
    }
    assert_eq!(counted.len(), 5);
    assert_refused(open(&cast.stranger, &link).await, Reason::LinkOver);
    // The downloads that were begun go on, for a day; to others not even the capsule is
    // shown.
    cast.server.clock.advance(DAY - Duration::from_secs(1));
    for ticket in &tickets {
        for range in [&capsule, &data] {
            let read = read(&cast.stranger, ticket, range).await;
            match counted.contains(ticket) {
                true => drop(read.unwrap()),
                false => assert_refused(read, Reason::LinkOver),
            }
        }
    }
    cast.server.clock.advance(Duration::from_secs(1));
    for ticket in &tickets {
        let refused = read(&cast.stranger, ticket, &capsule).await;
        assert_refused(refused, Reason::LinkOver);
    }
}

/// What was refused, and what is in the capsule's pack, is no download.
#[tokio::test]
async fn a_download_counts_when_it_reads_beyond_the_capsule() {
    let cast = Cast::meet().await;
    let link = cast.made(|link| link.max_downloads = 1).await;
    let counts = async || {
        let listed = list(&cast.alice, &cast.vault).await.unwrap();
        let counts: Vec<_> = listed.iter().map(|link| link.downloads).collect();
        counts
    };
    let early = open(&cast.stranger, &link).await.unwrap().ticket;
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    let (capsule, data) = (cast.in_capsule(), cast.in_data());
    read(&cast.stranger, &ticket, &[capsule[0]; 3])
        .await
        .unwrap();
    read(&cast.stranger, &ticket, &[]).await.unwrap();
    let unnamed = [data[0], (cast.large.id, 0, 1)];
    let refused = read(&cast.stranger, &ticket, &unnamed).await;
    assert_refused(refused, Reason::Forbidden);
    assert_eq!(counts().await, [0]);
    // One block of it is enough, beside whatever else.
    for _ in 0..2 {
        let both = [capsule[0], data[0]];
        read(&cast.stranger, &ticket, &both).await.unwrap();
    }
    // Used up, and so not on the list.
    assert!(counts().await.is_empty());
    let refused = read(&cast.stranger, &early, &data).await;
    assert_refused(refused, Reason::LinkOver);
}

#[tokio::test]
async fn a_ticket_is_good_for_a_day() {
    let cast = Cast::meet().await;
    let link = cast.made(|_| {}).await;
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    cast.server.clock.advance(DAY);
    let capsule = [(cast.capsule.id, 0, 100)];
    let refused = read(&cast.stranger, &ticket, &capsule).await;
    assert_refused(refused, Reason::Unauthenticated);
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    read(&cast.stranger, &ticket, &capsule).await.unwrap();
}

#[tokio::test]
async fn a_link_expires_with_its_downloads() {
    let cast = Cast::meet().await;
    let expires = TestClock::START + HOUR.as_secs();
    let link = cast.made(|link| link.expires = expires).await;
    let opened = open(&cast.stranger, &link).await.unwrap();
    assert_eq!(opened.lifetime_seconds, HOUR.as_secs());
    cast.server.clock.advance(HOUR);
    let capsule = [(cast.capsule.id, 0, 100)];
    let refused = read(&cast.stranger, &opened.ticket, &capsule).await;
    assert_refused(refused, Reason::LinkOver);
    assert_refused(open(&cast.stranger, &link).await, Reason::LinkOver);
    // Swept or not, and as if it had never been.
    let sweep = cast.server.server.packs().sweep(cast.server.clock.now());
    assert_eq!(sweep.unwrap().links, 1);
    let over = open(&cast.stranger, &link).await.unwrap_err();
    let never = open(&cast.stranger, &random::<32>()).await.unwrap_err();
    assert_eq!(over.message(), never.message());
    assert_refused::<()>(Err(over), Reason::LinkOver);
}

#[tokio::test]
async fn links_are_listed_and_revoked_by_who_may() {
    let mut cast = Cast::meet().await;
    let [mut bob, mut reader] = [cast.server.member().await, cast.server.member().await];
    let writer_role = wire::Role::Writer;
    cast.alice
        .share(&mut cast.vault, &mut bob, writer_role)
        .await;
    let reader_role = wire::Role::Reader;
    cast.alice
        .share(&mut cast.vault, &mut reader, reader_role)
        .await;

    let alices = cast.made(|link| link.max_downloads = 3).await;
    let bobs = CreateLinkRequest {
        expires: TestClock::START + 100,
        ..cast.link()
    };
    create(&bob, &bobs).await.unwrap();
    assert_refused(create(&reader, &cast.link()).await, Reason::Forbidden);
    cast.download(&alices).await.unwrap();
    open(&cast.stranger, &alices).await.unwrap();
    let mut listed = list(&reader, &cast.vault).await.unwrap();
    listed.sort_by_key(|link| link.expires);
    let expected = |link: &[u8], account: &Member, expires, max_downloads, downloads| LinkStatus {
        link: link.to_vec(),
        created: TestClock::START,
        expires,
        max_downloads,
        downloads,
        account: account.id().to_vec(),
    };
    let expected = [
        expected(&alices, &cast.alice, 0, 3, 1),
        expected(&bobs.link, &bob, TestClock::START + 100, 0, 0),
    ];
    assert_eq!(listed, expected);
    let stranger = cast.server.member().await;
    assert_refused(list(&stranger, &cast.vault).await, Reason::NotFound);

    let refused = revoke(&bob, &cast.vault, &alices).await;
    assert_refused(refused, Reason::Forbidden);
    let refused = revoke(&reader, &cast.vault, &bobs.link).await;
    assert_refused(refused, Reason::Forbidden);
    // By the vault that it is of.
    let other = stranger.clone().create_vault().await;
    revoke(&stranger, &other, &alices).await.unwrap();
    assert_eq!(list(&bob, &cast.vault).await.unwrap().len(), 2);
    // The manager any, and a download ends in its middle.
    let ticket = open(&cast.stranger, &bobs.link).await.unwrap().ticket;
    for _ in 0..2 {
        revoke(&cast.alice, &cast.vault, &bobs.link).await.unwrap();
    }
    let refused = read(&cast.stranger, &ticket, &[(cast.capsule.id, 0, 1)]).await;
    assert_refused(refused, Reason::LinkOver);
    assert_eq!(list(&bob, &cast.vault).await.unwrap(), expected[..1]);
    // One that has been used up is not listed.
    for _ in 0..2 {
        cast.download(&alices).await.unwrap();
    }
    assert_eq!(list(&bob, &cast.vault).await.unwrap(), []);
}

#[tokio::test]
async fn a_download_under_way_ends_when_the_link_is_revoked() {
    let mut cast = Cast::meet().await;
    let huge = pack(16 << 20);
    cast.alice.put(cast.vault.id(), &huge).await.unwrap();
    let adds = sorted([&huge]);
    let nothing = PackList::default();
    cast.alice.commit(&mut cast.vault, &adds, &nothing).await;
    let link = cast
        .made(|link| {
            link.capsule = huge.id.to_vec();
            link.packs.clear();
        })
        .await;
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    // More than fits on the way: 160 MiB.
    let range = PackRange {
        pack: huge.id.to_vec(),
        offset: 0,
        length: 16 << 20,
    };
    let request = ReadLinkRequest {
        ticket,
        ranges: vec![range; 10],
    };
    let stream = cast.stranger.read_link(request).await.unwrap();
    let mut stream = stream.into_inner();
    assert!(stream.message().await.unwrap().is_some());
    revoke(&cast.alice, &cast.vault, &link).await.unwrap();
    let cut = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    assert_refused(cut, Reason::LinkOver);
}

#[tokio::test]
async fn a_link_lives_as_long_as_its_maker_may_write() {
    let mut cast = Cast::meet().await;
    let mut bob = cast.server.member().await;
    let mut carol = cast.server.member().await;
    for member in [&mut bob, &mut carol] {
        let role = wire::Role::Writer;
        cast.alice.share(&mut cast.vault, member, role).await;
    }
    let alices = cast.made(|_| {}).await;
    let [bobs, carols] = [cast.link(), cast.link()];
    create(&bob, &bobs).await.unwrap();
    create(&carol, &carols).await.unwrap();
    let ticket = open(&cast.stranger, &bobs.link).await.unwrap().ticket;
    cast.alice.remove_member(&mut cast.vault, &bob).await;
    let refused = read(&cast.stranger, &ticket, &[(cast.capsule.id, 0, 1)]).await;
    assert_refused(refused, Reason::LinkOver);
    assert_refused(open(&cast.stranger, &bobs.link).await, Reason::LinkOver);
    assert_refused(create(&bob, &bobs).await, Reason::NotFound);

    let change = wire::vault_entry::Body::ChangeRole(wire::ChangeRole {
        member: Some(vault_proto::vault_log::member_ref(
            &carol.id(),
            &carol.log.position(),
        )),
        role: wire::Role::Reader.into(),
    });
    let accounts = logs([&cast.alice, &carol]);
    let entry = cast.alice.vault_entry(&mut cast.vault, change, &accounts);
    let vault = cast.vault.id();
    cast.alice.send_vault_entry(vault, entry).await.unwrap();
    assert_refused(open(&cast.stranger, &carols.link).await, Reason::LinkOver);
    let listed = list(&cast.alice, &cast.vault).await.unwrap();
    assert_eq!(listed.len(), 1);
    open(&cast.stranger, &alices).await.unwrap();

    let moved = wire::vault_entry::Body::Moved(wire::VaultMoved {
        home: random::<32>().to_vec(),
        origin: "elsewhere.example.org:443".into(),
    });
    let entry = cast.alice.vault_entry(&mut cast.vault, moved, &accounts);
    cast.alice.send_vault_entry(vault, entry).await.unwrap();
    assert_refused(open(&cast.stranger, &alices).await, Reason::LinkOver);
    assert_refused(create(&cast.alice, &cast.link()).await, Reason::Moved);
    assert_eq!(list(&cast.alice, &cast.vault).await.unwrap(), []);
}

#[tokio::test]
async fn what_makes_no_link_is_refused() {
    let mut cast = Cast::meet().await;
    let uploaded = pack(64 << 10);
    cast.alice.put(cast.vault.id(), &uploaded).await.unwrap();
    type Change<'a> = Box<dyn FnOnce(&mut CreateLinkRequest) + 'a>;
    let cases: [(&str, Change<'_>, Reason); 11] = [
        (
            "a short name",
            Box::new(|l| l.link.truncate(31)),
            Reason::Malformed,
        ),
        (
            "another vault",
            Box::new(|l| l.vault = vec![1; 32]),
            Reason::NotFound,
        ),
        (
            "a capsule that is not there",
            Box::new(|l| l.capsule = vec![1; 32]),
            Reason::NotFound,
        ),
        (
            "a capsule that is not committed",
            Box::new(|l| l.capsule = uploaded.id.to_vec()),
            Reason::NotFound,
        ),
        (
            "a pack that is not committed",
            Box::new(|l| l.packs = vec![blocks(uploaded.id, &[1])]),
            Reason::NotFound,
        ),
        (
            "no order",
            Box::new(|l| l.packs.reverse()),
            Reason::Malformed,
        ),
        (
            "a pack twice",
            Box::new(|l| l.packs[1] = l.packs[0].clone()),
            Reason::Malformed,
        ),
        (
            "too few bits",
            Box::new(|l| l.packs[0].blocks.clear()),
            Reason::Malformed,
        ),
        (
            "too many bits",
            Box::new(|l| l.packs[0].blocks.push(0)),
            Reason::Malformed,
        ),
        (
            "no block",
            Box::new(|l| l.packs[0].blocks[0] = 0),
            Reason::Malformed,
        ),
        (
            "over already",
            Box::new(|l| l.expires = TestClock::START),
            Reason::Malformed,
        ),
    ];
    for (what, change, reason) in cases {
        let mut link = cast.link();
        change(&mut link);
        let refused = create(&cast.alice, &link).await;
        assert_refused(Err::<(), _>(refused.expect_err(what)), reason);
    }
    let mut link = cast.link();
    let mut many: Vec<_> = (0..8193).map(|_| PackId::from_array(random())).collect();
    many.sort();
    link.packs = many.iter().map(|pack| blocks(*pack, &[1])).collect();
    assert_refused(create(&cast.alice, &link).await, Reason::TooLarge);

    // The same again succeeds, and another under its name does not.
    let link = cast.link();
    for _ in 0..2 {
        create(&cast.alice, &link).await.unwrap();
    }
    let another = CreateLinkRequest {
        max_downloads: 1,
        ..link.clone()
    };
    assert_refused(create(&cast.alice, &another).await, Reason::Forbidden);
    assert_eq!(list(&cast.alice, &cast.vault).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_restart_keeps_links_and_their_counts() {
    let cast = Cast::meet().await;
    let link = cast.made(|link| link.max_downloads = 2).await;
    let counted = cast.download(&link).await.unwrap();
    let [second, third] = [1, 2].map(|_| open(&cast.stranger, &link));
    let (second, third) = (second.await.unwrap(), third.await.unwrap());
    let range = cast.in_data();
    let server = cast.server.restart(|_| {}).await;
    let stranger = dial(&server).await;
    for ticket in [&counted, &second.ticket, &counted] {
        let bytes = read(&stranger, ticket, &range).await.unwrap();
        assert!(bytes == cast.large.bytes[64 << 10..(64 << 10) + 100]);
    }
    let refused = read(&stranger, &third.ticket, &range).await;
    assert_refused(refused, Reason::LinkOver);
    assert_refused(open(&stranger, &link).await, Reason::LinkOver);
}

/// A head removes what a link names, and the link goes on.
#[tokio::test]
async fn packs_of_a_link_are_not_swept() {
    let mut cast = Cast::meet().await;
    let link = cast.made(|_| {}).await;
    let removes = sorted([&cast.capsule, &cast.large, &cast.small]);
    let nothing = PackList::default();
    cast.alice.commit(&mut cast.vault, &nothing, &removes).await;
    cast.server.clock.advance(DAY * 31);
    let sweep = || {
        let packs = cast.server.server.packs();
        packs.sweep(cast.server.clock.now()).unwrap()
    };
    assert_eq!(sweep().packs, 0);
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    let range = [(cast.large.id, 64 * KIB, 64 * KIB)];
    let bytes = read(&cast.stranger, &ticket, &range).await.unwrap();
    assert!(bytes == cast.large.bytes[64 << 10..128 << 10]);
    cast.alice.log_in().await;
    revoke(&cast.alice, &cast.vault, &link).await.unwrap();
    cast.server.clock.advance(DAY * 31);
    assert_eq!(sweep().packs, 3);
}

#[tokio::test]
async fn one_place_reads_so_many_links_at_a_time() {
    let few = |config: &mut Config| config.limits.streams_of_one = 1;
    let mut cast = Cast::meet_with(few).await;
    let huge = pack(16 << 20);
    cast.alice.put(cast.vault.id(), &huge).await.unwrap();
    let adds = sorted([&huge]);
    let nothing = PackList::default();
    cast.alice.commit(&mut cast.vault, &adds, &nothing).await;
    let link = cast.made(|link| link.capsule = huge.id.to_vec()).await;
    let ticket = open(&cast.stranger, &link).await.unwrap().ticket;
    let range = PackRange {
        pack: huge.id.to_vec(),
        offset: 0,
        length: 16 << 20,
    };
    let request = ReadLinkRequest {
        ticket: ticket.clone(),
        ranges: vec![range; 10],
    };
    let stream = cast.stranger.read_link(request).await.unwrap().into_inner();
    let other = dial(&cast.server).await;
    let range = [(huge.id, 0, 1)];
    let refused = read(&other, &ticket, &range).await;
    assert_refused(refused, Reason::TooMany);
    drop(stream);
    while read(&other, &ticket, &range).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Who was given a ticket may take his time over the line that he has.
#[tokio::test]
async fn a_download_is_not_cut_off_as_a_strangers_line_is() {
    let hasty = |config: &mut Config| config.accepting.unproven = Duration::from_secs(2);
    let mut cast = Cast::meet_with(hasty).await;
    let huge = pack(16 << 20);
    cast.alice.put(cast.vault.id(), &huge).await.unwrap();
    let adds = sorted([&huge]);
    let nothing = PackList::default();
    cast.alice.commit(&mut cast.vault, &adds, &nothing).await;
    let link = cast.made(|link| link.capsule = huge.id.to_vec()).await;
    let mut reader = dial(&cast.server).await;
    let ticket = open(&reader, &link).await.unwrap().ticket;
    let range = PackRange {
        pack: huge.id.to_vec(),
        offset: 0,
        length: 16 << 20,
    };
    let request = ReadLinkRequest {
        ticket,
        ranges: vec![range; 3],
    };
    let mut stream = reader.read_link(request).await.unwrap().into_inner();
    let pin = match cast.server.invite(1).await.tls {
        TlsTrust::Pinned(pin) => pin,
        _ => panic!("no pin"),
    };
    let nobody = talk_until_closed(cast.server.server.address(), pin);
    // No machine is too slow for a minute.
    let closed = tokio::time::timeout(Duration::from_secs(60), nobody).await;
    closed.expect("it stays open");
    // The reader dialled before.
    let mut read_bytes = 0;
    while let Some(message) = stream.message().await.unwrap() {
        read_bytes += message.bytes.len();
    }
    assert_eq!(read_bytes, 3 * huge.bytes.len());
}

/// Else one who knows a link would end the downloads of all others.
#[tokio::test]
async fn one_place_begins_so_many_downloads_of_a_link() {
    let few = |config: &mut Config| {
        config.limits.rates.openings.burst = std::num::NonZeroU32::new(2).unwrap();
    };
    let cast = Cast::meet_with(few).await;
    let (link, other) = (cast.made(|_| {}).await, cast.made(|_| {}).await);
    for _ in 0..2 {
        open(&cast.stranger, &link).await.unwrap();
    }
    let again = dial(&cast.server).await;
    assert_refused(open(&again, &link).await, Reason::TooMany);
    open(&again, &other).await.unwrap();
}
