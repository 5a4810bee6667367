//! The hoster in memory: guests, messages, offers and links.

use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vault_client::remote::memory::{MemoryHoster, MemoryNetwork};
use vault_client::remote::{
    BLOCK_BYTES, Connect, LinkBlocks, LinkTicket, MAX_MESSAGE_BYTES, MAX_OFFER_BYTES, MAX_OFFERS,
    Misbehaviour, NewLink, PackRange, RefusalReason, RemoteError, Visitor,
};
use vault_client::vault::Vault;
use vault_proto::ids::{AccountId, LinkId, MessageName, OfferHash, PackId};
use vault_proto::vault_log::Role;

use crate::support::hoster::Standing;
use crate::support::{Member, Other, plan, rng};

fn refused<T: std::fmt::Debug>(result: Result<T, RemoteError>) -> RefusalReason {
    match result.unwrap_err() {
        RemoteError::Refused(refusal) => refusal.reason,
        error => panic!("{error:?}"),
    }
}

/// A hoster whose clock the test moves.
fn hoster() -> (MemoryHoster, Standing) {
    let hoster = MemoryHoster::new();
    let clock = Standing::new();
    hoster.set_clock(Arc::new(clock.clone()));
    (hoster, clock)
}

#[test]
fn a_network_leads_to_the_hoster_of_the_address() {
    let (one, other) = (MemoryHoster::named("one"), MemoryHoster::named("other"));
    assert_ne!(one.id(), other.id());
    let network = MemoryNetwork::new(&[&one, &other]);
    let (address, _) = network.discover(&one.origin()).unwrap();
    assert_eq!(address, one.address());
    let device = vault_proto::ids::DeviceId::from_array([7; 32]);
    let ask = |address| network.visit(address).find_account(&device);
    assert_eq!(ask(one.address()), Ok(None));
    let mut wrong = one.address();
    wrong.hoster = other.id();
    assert_eq!(ask(wrong.clone()), Err(RemoteError::WrongHosterKey));
    wrong.origin = MemoryHoster::named("nobody").origin();
    let error = ask(wrong.clone()).unwrap_err();
    assert!(matches!(error, RemoteError::Unreachable { .. }));
    assert!(network.discover(&wrong.origin).is_err());
    assert_eq!((one.calls().len(), other.calls().len()), (1, 0));
}

#[test]
fn a_guest_has_a_log_here_and_nothing_else() {
    let (home, other) = (MemoryHoster::named("home"), MemoryHoster::named("other"));
    let (member, host) = (Member::at(&home), Member::at(&other));
    let log = member.paper().own_log();
    let guest = Other::new(&other, log.id(), member.phrase.device_keys());
    assert_eq!(
        refused(guest.remote.list_vaults()),
        RefusalReason::Unauthenticated
    );
    let remote = host.account.remote();
    assert_eq!(remote.put_account_log(&log.id(), log.entries()), Ok(1));
    assert_eq!(remote.put_account_log(&log.id(), log.entries()), Ok(1));
    assert_eq!(guest.remote.list_vaults(), Ok(Vec::new()));
    assert_eq!(guest.remote.usage().unwrap().quota_bytes, 0);

    // It brings its own entries, and no other guests, and makes no vaults.
    let device = member.account.device();
    member
        .account
        .rename_device(&device, "another name")
        .unwrap();
    let log = member.paper().own_log();
    let last = &log.entries()[1..];
    let appended = guest.remote.append_account_entry(&last[0]);
    assert_eq!(refused(appended), RefusalReason::Moved);
    assert_eq!(guest.remote.put_account_log(&log.id(), last), Ok(2));
    // Anybody brings the same, of one who is known here.
    let anybody = other.visitor();
    assert_eq!(anybody.put_account_log(&log.id(), last), Ok(2));
    let stranger = Member::at(&home).paper().own_log();
    let brought = anybody.put_account_log(&stranger.id(), stranger.entries());
    assert_eq!(refused(brought), RefusalReason::NotFound);
    let hosts = host.paper().own_log();
    let brought = anybody.put_account_log(&hosts.id(), hosts.entries());
    assert_eq!(brought, Ok(1));
    let brought = guest
        .remote
        .put_account_log(&stranger.id(), stranger.entries());
    assert_eq!(refused(brought), RefusalReason::Forbidden);
    let named = remote.put_account_log(&stranger.id(), log.entries());
    assert_eq!(refused(named), RefusalReason::Malformed);
    let vault = member.account.create_vault("mine").unwrap();
    let made = guest.remote.create_vault(&vault.log().entries()[0]);
    assert_eq!(refused(made), RefusalReason::Forbidden);
    // Nobody comes in without an invitation where he would be at home.
    let brought = remote.put_account_log(&stranger.id(), &stranger.entries()[..0]);
    assert_eq!(refused(brought), RefusalReason::NotFound);
    let at_home = Member::at(&home).account.remote();
    let theirs = host.paper().own_log();
    at_home
        .put_account_log(&theirs.id(), theirs.entries())
        .unwrap();
    let here = other.visitor().fetch_account_log(&theirs.id(), 0).unwrap();
    assert_eq!(here.entries, theirs.entries());
}

#[test]
fn a_message_stays_a_quarter_of_an_hour() {
    let (hoster, clock) = hoster();
    let visitor = hoster.visitor();
    let name = MessageName::from_array([1; 32]);
    let look = || visitor.await_message(&name, Duration::ZERO);
    assert_eq!(look(), Ok(None));
    visitor.put_message(&name, b"one").unwrap();
    visitor.put_message(&name, b"one").unwrap();
    assert_eq!(look(), Ok(Some(b"one".to_vec())));
    let other = visitor.put_message(&name, b"another");
    assert_eq!(refused(other), RefusalReason::Forbidden);
    clock.forward(Duration::from_secs(899));
    assert_eq!(look(), Ok(Some(b"one".to_vec())));
    clock.forward(Duration::from_secs(1));
    assert_eq!(look(), Ok(None));
    let long = vec![1; MAX_MESSAGE_BYTES + 1];
    assert_eq!(
        refused(visitor.put_message(&name, &long)),
        RefusalReason::TooLarge
    );

    // Whoever waits is woken, by the message or by his own.
    let got = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| visitor.await_message(&name, Duration::from_secs(20)));
        hoster.visitor().put_message(&name, b"another").unwrap();
        waiting.join().unwrap()
    });
    assert_eq!(got, Ok(Some(b"another".to_vec())));
    let next = MessageName::from_array([2; 32]);
    let stopped = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| visitor.await_message(&next, Duration::from_secs(20)));
        while !waiting.is_finished() {
            visitor.interrupt();
            std::thread::yield_now();
        }
        waiting.join().unwrap()
    });
    assert_eq!(stopped, Err(RemoteError::Cancelled));
}

#[test]
fn offers_wait_in_order_and_in_number() {
    let member = Member::new();
    let (visitor, remote) = (member.hoster.visitor(), member.account.remote());
    let id = member.account.id();
    for number in 0..MAX_OFFERS {
        visitor
            .put_offer(&id, &[1, u8::try_from(number).unwrap()])
            .unwrap();
    }
    visitor.put_offer(&id, &[1, 0]).unwrap();
    assert_eq!(
        refused(visitor.put_offer(&id, b"more")),
        RefusalReason::BoxFull
    );
    let offers = remote.list_offers().unwrap();
    assert_eq!((offers.len(), &offers[0][..]), (MAX_OFFERS, &[1, 0][..]));
    remote.drop_offer(&OfferHash::of(&offers[0])).unwrap();
    remote.drop_offer(&OfferHash::of(&offers[0])).unwrap();
    assert_eq!(remote.list_offers().unwrap(), offers[1..]);
    let long = vec![1; MAX_OFFER_BYTES + 1];
    assert_eq!(
        refused(visitor.put_offer(&id, &long)),
        RefusalReason::TooLarge
    );
    let nobody = AccountId::from_array([7; 32]);
    assert_eq!(
        refused(visitor.put_offer(&nobody, b"one")),
        RefusalReason::NotFound
    );
    let other = Member::at(&member.hoster);
    assert!(other.account.remote().list_offers().unwrap().is_empty());
}

/// A vault with a pack of three blocks and a capsule.
fn with_packs(member: &Member) -> (Vault, PackId, PackId) {
    let mut vault = member.account.create_vault("documents").unwrap();
    let put = |vault: &Vault, bytes: usize| {
        let bytes: Vec<u8> = (0..bytes)
            .map(|at| (at / BLOCK_BYTES as usize) as u8)
            .collect();
        let id = PackId::of(&bytes);
        vault
            .remote()
            .put_pack(&vault.id(), &id, bytes.into())
            .unwrap();
        id
    };
    let pack = put(&vault, 3 * BLOCK_BYTES as usize);
    let capsule = put(&vault, 16_384);
    vault.commit(plan(&vault, vec![pack, capsule])).unwrap();
    (vault, pack, capsule)
}

fn link(vault: &Vault, pack: PackId, capsule: PackId) -> NewLink {
    NewLink {
        vault: vault.id(),
        link: LinkId::from_array([1; 32]),
        capsule,
        packs: vec![LinkBlocks {
            pack,
            blocks: vec![0b101],
        }],
        expires: None,
        max_downloads: NonZeroU32::new(2),
    }
}

fn read(
    visitor: &dyn Visitor,
    ticket: &LinkTicket,
    range: PackRange,
) -> Result<Vec<u8>, RemoteError> {
    let mut read = Vec::new();
    visitor.read_link(ticket, &[range], &mut |bytes: Bytes| {
        read.extend_from_slice(&bytes);
        ControlFlow::Continue(())
    })?;
    Ok(read)
}

#[test]
fn a_link_serves_its_blocks_and_no_others() {
    let (hoster, clock) = hoster();
    let member = Member::at(&hoster);
    let (vault, pack, capsule) = with_packs(&member);
    let remote = member.account.remote();
    let visitor = hoster.visitor();
    let asked = link(&vault, pack, capsule);
    assert_eq!(
        refused(visitor.open_link(&asked.link)),
        RefusalReason::NotFound
    );
    remote.create_link(&asked).unwrap();
    remote.create_link(&asked).unwrap();
    let mut other = asked.clone();
    other.max_downloads = None;
    assert_eq!(
        refused(remote.create_link(&other)),
        RefusalReason::Forbidden
    );

    let opened = visitor.open_link(&asked.link).unwrap();
    assert_eq!((opened.capsule, opened.capsule_size), (capsule, 16_384));
    let range = |pack, offset, length| PackRange {
        pack,
        offset,
        length,
    };
    let block = BLOCK_BYTES;
    let got = |range| read(&*visitor, &opened.ticket, range);
    assert_eq!(got(range(capsule, 0, 16_384)).unwrap().len(), 16_384);
    assert_eq!(got(range(pack, 0, block)).unwrap(), vec![0; block as usize]);
    assert_eq!(
        got(range(pack, 2 * block, block)).unwrap(),
        vec![2; block as usize]
    );
    for (offset, length) in [
        (block, 1),
        (block - 1, 2),
        (0, 3 * block),
        (2 * block - 1, 1),
    ] {
        let forbidden = refused(got(range(pack, offset, length)));
        assert_eq!(forbidden, RefusalReason::Forbidden, "{offset}");
    }
    let stranger = PackId::from_array([9; 32]);
    assert_eq!(
        refused(got(range(stranger, 0, 1))),
        RefusalReason::Forbidden
    );
    let forged = LinkTicket::from_array([9; 32]);
    let with_forged = read(&*visitor, &forged, range(pack, 0, 1));
    assert_eq!(refused(with_forged), RefusalReason::Unauthenticated);
    hoster.lengthen_reads(1);
    let longer = got(range(pack, 0, block)).unwrap_err();
    assert_eq!(longer, RemoteError::Misbehaved(Misbehaviour::ReadTooLong));
    hoster.behave();

    // What reads beyond the capsule counts, once a ticket, and tickets do not last.
    let idle = [1, 2].map(|_| visitor.open_link(&asked.link).unwrap().ticket);
    let whole = range(capsule, 0, 16_384);
    read(&*visitor, &idle[1], whole).unwrap();
    let listed = remote.list_links(&vault.id()).unwrap();
    assert_eq!((listed.len(), listed[0].downloads), (1, 1));
    assert_eq!(listed[0].account, member.account.id());
    let second = visitor.open_link(&asked.link).unwrap();
    assert_ne!(second.ticket, opened.ticket);
    read(&*visitor, &second.ticket, range(pack, 0, 1)).unwrap();
    assert_eq!(
        refused(visitor.open_link(&asked.link)),
        RefusalReason::LinkOver
    );
    for (ticket, range) in idle.iter().zip([whole, range(pack, 0, 1)]) {
        let late = read(&*visitor, ticket, range);
        assert_eq!(refused(late), RefusalReason::LinkOver);
    }
    assert_eq!(got(range(pack, 0, 1)).unwrap().len(), 1);
    assert!(remote.list_links(&vault.id()).unwrap().is_empty());
    clock.forward(Duration::from_secs(opened.lifetime_seconds));
    assert_eq!(
        refused(got(range(pack, 0, 1))),
        RefusalReason::Unauthenticated
    );
}

#[test]
fn a_link_ends_when_it_expires_or_is_revoked() {
    let (hoster, clock) = hoster();
    let member = Member::at(&hoster);
    let (vault, pack, capsule) = with_packs(&member);
    let remote = member.account.remote();
    let visitor = hoster.visitor();
    let mut asked = link(&vault, pack, capsule);
    asked.expires = Some(1_790_000_100);
    remote.create_link(&asked).unwrap();
    visitor.open_link(&asked.link).unwrap();
    clock.forward(Duration::from_secs(100));
    assert_eq!(
        refused(visitor.open_link(&asked.link)),
        RefusalReason::LinkOver
    );

    let revoked = NewLink {
        link: LinkId::from_array([2; 32]),
        expires: None,
        ..asked
    };
    remote.create_link(&revoked).unwrap();
    let opened = visitor.open_link(&revoked.link).unwrap();
    remote.revoke_link(&vault.id(), &revoked.link).unwrap();
    remote.revoke_link(&vault.id(), &revoked.link).unwrap();
    assert_eq!(
        refused(visitor.open_link(&revoked.link)),
        RefusalReason::LinkOver
    );
    let range = PackRange {
        pack,
        offset: 0,
        length: 1,
    };
    let late = read(&*visitor, &opened.ticket, range);
    assert_eq!(refused(late), RefusalReason::LinkOver);
}

#[test]
fn who_may_make_links_and_of_what() {
    let (hoster, _) = hoster();
    let member = Member::at(&hoster);
    let (vault, pack, capsule) = with_packs(&member);
    let remote = member.account.remote();
    let good = link(&vault, pack, capsule);
    type Change = fn(&mut NewLink);
    let changes: [(Change, RefusalReason); 5] = [
        (
            |link| link.packs[0].blocks = vec![0b1000],
            RefusalReason::Malformed,
        ),
        (
            |link| link.packs[0].blocks.push(0),
            RefusalReason::Malformed,
        ),
        (
            |link| link.packs.push(link.packs[0].clone()),
            RefusalReason::Malformed,
        ),
        (
            |link| link.packs[0].pack = PackId::from_array([9; 32]),
            RefusalReason::NotFound,
        ),
        (
            |link| link.capsule = PackId::from_array([9; 32]),
            RefusalReason::NotFound,
        ),
    ];
    for (change, reason) in changes {
        let mut link = good.clone();
        change(&mut link);
        assert_eq!(refused(remote.create_link(&link)), reason);
    }

    // A reader makes none, a writer revokes his own alone.
    let guest = Member::at(&hoster);
    let (id, log) = (guest.account.id(), guest.paper().own_log());
    let paper = member.paper();
    paper.append_knowing(vault.id(), &[log], |author, keys| {
        author
            .add_member(keys, &id, Role::Reader, &mut rng())
            .unwrap()
    });
    guest
        .paper()
        .append(vault.id(), |author, _| author.accept().unwrap());
    let theirs = guest.account.remote();
    assert_eq!(refused(theirs.create_link(&good)), RefusalReason::Forbidden);
    paper.append(vault.id(), |author, _| {
        author.change_role(&id, Role::Writer).unwrap()
    });
    remote.create_link(&good).unwrap();
    let revoked = theirs.revoke_link(&vault.id(), &good.link);
    assert_eq!(refused(revoked), RefusalReason::Forbidden);
    let own = NewLink {
        link: LinkId::from_array([2; 32]),
        ..good
    };
    theirs.create_link(&own).unwrap();
    remote.revoke_link(&vault.id(), &own.link).unwrap();
}
