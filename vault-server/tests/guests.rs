//! Accounts whose home is another hoster.

use std::{sync::Arc, time::Duration};

use tonic::Status;
use vault_proto::{
    pack_list::PackList,
    wire::{self, SignedEntry},
};
use vault_rpc::hoster::{
    FetchAccountLogRequest, FindAccountRequest, PutAccountLogRequest, Reason, UsageRequest,
    WatchHeadsRequest,
};
use vault_server::Config;

use crate::support::{
    Device, Member, TestServer, VaultOf, WatchedDisk, assert_refused, genesis, pack, random,
    refusal, sorted,
};

/// Alice, whose vault is here, and Bob, whose home is elsewhere and who was
/// brought here, logged in.
struct Cast {
    here: TestServer,
    home: TestServer,
    alice: Member,
    /// At home.
    bob: Member,
    /// The same device, here.
    guest: Member,
}

impl Cast {
    async fn meet() -> Self {
        Self::meet_with(|_| {}).await
    }

    async fn meet_with(change: impl FnOnce(&mut Config)) -> Self {
        let (here, home) = (
            TestServer::start_with(change).await,
            TestServer::start().await,
        );
        let alice = here.member().await;
        let bob = home.member().await;
        let mut guest = bob.at(&here).await;
        alice.bring(&bob, 1).await.unwrap();
        guest.log_in().await;
        Self {
            here,
            home,
            alice,
            bob,
            guest,
        }
    }

    /// A vault of Alice's, to which Bob may write.
    async fn share(&mut self) -> VaultOf {
        let mut vault = self.alice.create_vault().await;
        self.alice
            .share(&mut vault, &mut self.guest, wire::Role::Writer)
            .await;
        vault
    }
}

async fn usage(member: &Member) -> Result<vault_rpc::hoster::UsageResponse, Status> {
    let request = member.request(UsageRequest {});
    Ok(member.client.clone().usage(request).await?.into_inner())
}

#[tokio::test]
async fn a_guest_works_in_the_vaults_of_others_at_their_cost() {
    let mut cast = Cast::meet().await;
    let mut vault = cast.share().await;
    let before = usage(&cast.alice).await.unwrap();
    let packed = pack(64 << 10);
    let Cast { alice, guest, .. } = &mut cast;
    guest.put(vault.id(), &packed).await.unwrap();
    let adds = sorted([&packed]);
    guest.commit(&mut vault, &adds, &PackList::default()).await;
    let range = [(packed.id, 5, 100)];
    let read = guest.read(vault.id(), &range).await.unwrap();
    assert!(read == packed.bytes[5..105]);
    let synced = guest.sync(vault_rpc::hoster::SyncVaultRequest {
        vault: vault.id().to_vec(),
        ..Default::default()
    });
    assert_eq!(synced.await.unwrap().newest_head_seq, 1);

    let paid = usage(alice).await.unwrap();
    assert_eq!(paid.committed_bytes, 64 << 10);
    assert!(paid.record_bytes > before.record_bytes);
    let his = usage(guest).await.unwrap();
    assert_eq!((his.quota_bytes, his.committed_bytes), (0, 0));

    // He has no vaults of his own, nor what he was not given.
    assert_refused(guest.try_create_vault().await.map(drop), Reason::Forbidden);
    let other = alice.create_vault().await;
    let put = guest.put(other.id(), &packed).await;
    assert_refused(put, Reason::NotFound);
}

#[tokio::test]
async fn a_guest_is_known_after_a_restart() {
    let mut cast = Cast::meet().await;
    let vault = cast.share().await;
    let packed = pack(16 << 10);
    let here = cast.here.restart(|_| {}).await;
    let mut guest = cast.bob.at(&here).await;
    guest.log_in().await;
    guest.put(vault.id(), &packed).await.unwrap();
    assert_refused(guest.try_create_vault().await.map(drop), Reason::Forbidden);
}

/// A removal that is brought here ends what the device has here.
#[tokio::test]
async fn a_removed_device_of_a_guest_is_out_at_once() {
    let mut cast = Cast::meet().await;
    let vault = cast.share().await;
    let machine = cast.bob.add_device().await;
    let mut machine = machine.at(&cast.here).await;
    // It is not known here before its log is.
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
    assert_eq!(cast.guest.bring(&cast.bob, 2).await.unwrap(), 2);
    machine.log_in().await;
    usage(&machine).await.unwrap();
    let watch = machine.request(WatchHeadsRequest {
        vaults: vec![vault.id().to_vec()],
    });
    let watch = machine.client.watch_heads(watch).await.unwrap();
    let mut watch = watch.into_inner();

    cast.bob.remove_device(machine.device.id()).await;
    usage(&machine).await.unwrap();
    // The whole log, as who does not know how much of it is here.
    assert_eq!(cast.guest.bring(&cast.bob, 1).await.unwrap(), 3);
    assert_refused(usage(&machine).await, Reason::Removed);
    let end = loop {
        let message = tokio::time::timeout(Duration::from_secs(60), watch.message()).await;
        match message.expect("the watch goes on") {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(status) => break Err(status),
        }
    };
    assert_refused(end, Reason::Removed);
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
    usage(&cast.guest).await.unwrap();
}

/// It is not known here, so it has no token to bring its own entry with.
#[tokio::test]
async fn a_new_device_of_a_guest_brings_itself() {
    let mut cast = Cast::meet().await;
    let vault = cast.share().await;
    let machine = cast.bob.add_device().await;
    let mut machine = machine.at(&cast.here).await;
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
    for from in [2, 1, 2] {
        assert_eq!(machine.bring_own(from).await.unwrap(), 2);
    }
    machine.log_in().await;
    let packed = pack(16 << 10);
    machine.put(vault.id(), &packed).await.unwrap();
    // Likewise that another one is out, which ends what that has here.
    cast.bob.remove_device(machine.device.id()).await;
    let bob = cast.bob.at(&cast.here).await;
    assert_eq!(bob.bring_own(1).await.unwrap(), 3);
    assert_refused(usage(&machine).await, Reason::Removed);
}

#[tokio::test]
async fn without_a_token_nobody_comes_in_and_nothing_unproved() {
    let mut cast = Cast::meet().await;
    // Who is not here yet, a member brings.
    let home = cast.bob.hoster;
    let carol = somebody(&cast.guest, home);
    for from in [1, 2] {
        assert_refused(carol.bring_own(from).await, Reason::NotFound);
    }
    assert_eq!(cast.alice.bring(&carol, 1).await.unwrap(), 1);
    assert_eq!(carol.bring_own(1).await.unwrap(), 1);
    let machine = cast.bob.add_device().await;
    let machine = machine.at(&cast.here).await;
    let mut forged = machine.clone();
    let entry = rename(&machine);
    forged.log.append(&entry).unwrap();
    let mut entries = forged.log.entries()[1..].to_vec();
    entries[1].signatures[0].signature[0] ^= 1;
    let request = PutAccountLogRequest {
        account: machine.id().to_vec(),
        entries,
    };
    let refused = forged.client.put_account_log(request).await;
    assert_refused(refused, Reason::InvalidSigned);
    assert_eq!(cast.alice.bring_entries(&cast.bob, &[]).await.unwrap(), 1);
    // A token that is there has to be good.
    cast.guest.token = random::<32>().to_vec();
    let refused = cast.guest.bring(&cast.bob, 2).await;
    assert_refused(refused, Reason::Unauthenticated);
    assert_eq!(machine.bring_own(2).await.unwrap(), 2);
}

#[tokio::test]
async fn a_guests_log_grows_at_its_home_alone() {
    let mut cast = Cast::meet().await;
    let machine = cast.bob.add_device().await;
    let entry = cast.bob.log.entries()[1].clone();
    let refused = cast.guest.send_account_entry(entry).await;
    assert_refused(refused, Reason::Forbidden);
    // Anybody who is known here may bring what the home put in order, twice too.
    for _ in 0..2 {
        assert_eq!(cast.alice.bring(&cast.bob, 1).await.unwrap(), 2);
    }
    assert_eq!(cast.alice.bring(&cast.bob, 2).await.unwrap(), 2);
    assert!(cast.bob.log.device(&machine.device.id()).is_some());
}

/// A backup that the hoster restored may lack the entry that would let a device in.
#[tokio::test]
async fn what_a_members_log_lacks_at_home_is_brought_back() {
    let cast = Cast::meet().await;
    let mut alice = cast.alice.clone();
    let (device, entry) = alice.addition();
    alice.log.append(&entry).unwrap();
    let mut machine = Member {
        device,
        token: Vec::new(),
        ..alice.clone()
    };
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
    // Without entries, it only says how many there are.
    assert_eq!(cast.alice.bring_own(2).await.unwrap(), 1);
    let mut forged = entry;
    forged.signatures[0].signature[0] ^= 1;
    let request = PutAccountLogRequest {
        account: alice.id().to_vec(),
        entries: vec![forged],
    };
    let refused = alice.client.clone().put_account_log(request).await;
    assert_refused(refused, Reason::InvalidSigned);
    for from in [2, 1] {
        assert_eq!(machine.bring_own(from).await.unwrap(), 2);
    }
    machine.log_in().await;
    usage(&machine).await.unwrap();
    // As one that was sent by the device itself: it is found by its id, too.
    let request = FindAccountRequest {
        device: machine.device.id().to_vec(),
    };
    let found = alice.client.clone().find_account(request).await.unwrap();
    assert_eq!(found.into_inner().account, alice.id().to_vec());

    // In the place of another, nothing is taken.
    let mut fork = cast.alice.clone();
    fork.log.append(&rename(&cast.alice)).unwrap();
    assert_refused(fork.bring_own(2).await, Reason::LostRace);
    assert_refused(cast.guest.bring(&fork, 2).await, Reason::LostRace);
    // A removal that is brought ends what the device has here, as ever.
    let removal = alice.removal(machine.device.id());
    alice.log.append(&removal).unwrap();
    assert_eq!(cast.guest.bring(&alice, 1).await.unwrap(), 3);
    assert_refused(usage(&machine).await, Reason::Removed);
}

#[tokio::test]
async fn what_is_brought_must_verify_and_follow() {
    let mut cast = Cast::meet().await;
    cast.bob.add_device().await;
    cast.bob.add_device().await;
    let refused = cast.alice.bring(&cast.bob, 3).await;
    assert_refused(refused, Reason::LostRace);
    let mut forged: Vec<SignedEntry> = cast.bob.log.entries().to_vec();
    forged[1].signatures[0].signature[0] ^= 1;
    let refused = cast.alice.bring_entries(&cast.bob, &forged).await;
    assert_refused(refused, Reason::InvalidSigned);
    // All or nothing.
    forged[1] = cast.bob.log.entries()[1].clone();
    forged[2].signatures[0].signature[0] ^= 1;
    let refused = cast.alice.bring_entries(&cast.bob, &forged).await;
    assert_refused(refused, Reason::InvalidSigned);
    assert_eq!(cast.alice.bring_entries(&cast.bob, &[]).await.unwrap(), 1);

    // Of an account that is not here, the genesis comes first, under its name.
    let home = cast.bob.hoster;
    let carol = somebody(&cast.bob, home);
    let refused = cast.alice.bring_entries(&carol, &[]).await;
    assert_refused(refused, Reason::NotFound);
    let middle = &cast.bob.log.entries()[1..];
    let refused = cast.alice.bring_entries(&carol, middle).await;
    assert_refused(refused, Reason::NotFound);
    let another = cast.bob.log.entries();
    let refused = cast.alice.bring_entries(&carol, another).await;
    assert_refused(refused, Reason::Malformed);
    // One whose home is here comes with an invitation.
    let dave = somebody(&cast.bob, cast.alice.hoster);
    assert_refused(cast.alice.bring(&dave, 1).await, Reason::Forbidden);
}

/// The next entry: a device has another name, as long as may be.
fn rename(member: &Member) -> SignedEntry {
    let body = wire::account_entry::Body::RenameDevice(wire::RenameDevice {
        device: member.device.id().to_vec(),
        sealed_name: vec![3; 512],
    });
    let entry = member.log.next_entry(member.device.id(), body);
    let entry = vault_proto::entry::UnsignedEntry::account(&entry);
    member.device.sign_entry(entry)
}

/// An account that signed up nowhere.
fn somebody(like: &Member, home: vault_proto::ids::HosterId) -> Member {
    let device = Device::generate(vault_proto::device::DeviceKind::Paper);
    let genesis = genesis(&device, home);
    Member {
        log: vault_proto::account_log::AccountLog::verify_genesis(&genesis).unwrap(),
        device,
        ..like.clone()
    }
}

#[tokio::test]
async fn members_bring_guests_and_not_too_many() {
    let mut cast = Cast::meet_with(|config| config.terms.guests = 2).await;
    let home = cast.bob.hoster;
    let [carol, dave] = [(); 2].map(|()| somebody(&cast.bob, home));
    // A guest brings nobody.
    assert_refused(cast.guest.bring(&carol, 1).await, Reason::Forbidden);
    assert_eq!(cast.alice.bring(&carol, 1).await.unwrap(), 1);
    assert_refused(cast.alice.bring(&dave, 1).await, Reason::TooLarge);
    // Who is here already costs nothing.
    assert_eq!(cast.alice.bring(&carol, 1).await.unwrap(), 1);
    let other = cast.here.member().await;
    assert_eq!(other.bring(&dave, 1).await.unwrap(), 1);
    cast.alice.token = random::<32>().to_vec();
    let refused = cast.alice.bring(&dave, 1).await;
    assert_refused(refused, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_guests_log_has_an_end_also_with_removals() {
    let short = |config: &mut Config| config.limits.account_log_bytes = 8000;
    let mut cast = Cast::meet_with(short).await;
    let mut machine = cast.bob.add_device().await;
    let full = loop {
        let entry = rename(&cast.bob);
        cast.bob.append(entry).await.unwrap();
        match cast.alice.bring(&cast.bob, 1).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_refused::<()>(Err(full), Reason::TooLarge);
    // A removal brings with it what went before.
    cast.bob.remove_device(machine.device.id()).await;
    cast.alice.bring(&cast.bob, 1).await.unwrap();
    machine = machine.at(&cast.here).await;
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
    let end = loop {
        let machine = cast.bob.add_device().await;
        cast.bob.remove_device(machine.device.id()).await;
        match cast.alice.bring(&cast.bob, 1).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_refused::<()>(Err(end), Reason::TooLarge);
}

#[tokio::test]
async fn a_long_log_goes_and_comes_in_pieces() {
    let mut cast = Cast::meet().await;
    // The home is not asked: a megabyte of entries takes it long.
    while cast.bob.log.entries().len() < 1600 {
        let entry = rename(&cast.bob);
        cast.bob.log.append(&entry).unwrap();
    }
    for piece in cast.bob.log.entries().chunks(800) {
        cast.guest.bring_entries(&cast.bob, piece).await.unwrap();
    }
    let (mut all, mut pieces) = (Vec::new(), 0);
    loop {
        let request = FetchAccountLogRequest {
            account: cast.bob.id().to_vec(),
            seq: all.len() as u64,
        };
        let answer = cast.alice.client.fetch_account_log(request).await.unwrap();
        let answer = answer.into_inner();
        all.extend(answer.entries);
        pieces += 1;
        if !answer.more {
            break;
        }
    }
    assert_eq!(all, cast.bob.log.entries());
    assert!(pieces > 1, "{pieces}");
}

/// The disk has room left that only removals may use.
#[tokio::test]
async fn guests_fill_no_disk() {
    let disk = Arc::new(WatchedDisk::new(|_| Ok(()), |_| Ok(())));
    let watched = disk.clone();
    let mut cast = Cast::meet_with(|config| {
        config.disk = watched;
        config.disk_reserve.bytes = 1;
    })
    .await;
    let mut machine = cast.bob.add_device().await;
    cast.guest.bring(&cast.bob, 2).await.unwrap();
    disk.fill();
    cast.bob.add_device().await;
    let refused = cast.guest.bring(&cast.bob, 3).await;
    assert_refused(refused, Reason::DiskFull);
    // Also not for an account that is new here and brings a removal along.
    let mut carol = cast.home.member().await;
    let removed = carol.add_device().await;
    carol.remove_device(removed.device.id()).await;
    let refused = cast.alice.bring(&carol, 1).await;
    assert_refused(refused, Reason::DiskFull);
    cast.bob.remove_device(machine.device.id()).await;
    assert_eq!(cast.guest.bring(&cast.bob, 3).await.unwrap(), 4);
    machine = machine.at(&cast.here).await;
    assert_refused(machine.try_log_in().await, Reason::Unauthenticated);
}

#[tokio::test]
async fn guests_of_one_member_share_what_they_may_have() {
    let few = |config: &mut Config| {
        config.limits.streams_of_one = 2;
        config.terms.guest_bytes = 20_000;
    };
    let mut cast = Cast::meet_with(few).await;
    let carol = cast.home.member().await;
    cast.alice.bring(&carol, 1).await.unwrap();
    let mut carols = carol.at(&cast.here).await;
    carols.log_in().await;
    let watch = |member: &Member| {
        let request = member.request(WatchHeadsRequest { vaults: Vec::new() });
        let mut client = member.client.clone();
        async move {
            let watch = client.watch_heads(request).await;
            watch.map(tonic::Response::into_inner)
        }
    };
    let _first = watch(&cast.guest).await.unwrap();
    let second = watch(&carols).await.unwrap();
    for guest in [&cast.guest, &carols] {
        assert_refused(watch(guest).await.map(drop), Reason::TooMany);
    }
    // Who brought them has his own.
    let _his = [
        watch(&cast.alice).await.unwrap(),
        watch(&cast.alice).await.unwrap(),
    ];
    drop(second);
    while watch(&cast.guest).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    // The log of one leaves less for the other's.
    let full = loop {
        let entry = rename(&cast.bob);
        cast.bob.append(entry).await.unwrap();
        match cast.guest.bring(&cast.bob, 1).await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    let refused = refusal(&full);
    assert_eq!(refused.reason(), Reason::QuotaExceeded);
    assert_eq!(refused.quota_bytes, 20_000);
    let mut dave = cast.home.member().await;
    dave.add_device().await;
    assert_refused(cast.alice.bring(&dave, 1).await, Reason::QuotaExceeded);
    let other = cast.here.member().await;
    other.bring(&dave, 1).await.unwrap();
}
