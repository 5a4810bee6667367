//! Who is no member sees nothing, and who may read changes nothing.

use vault_proto::{pack_list::PackList, wire};
use vault_rpc::hoster::{
    CreateVaultRequest, HavePacksRequest, ListVaultsRequest, Reason, SyncVaultRequest,
    UsageRequest, WatchHeadsRequest,
};

use crate::support::{Member, TestServer, VaultOf, assert_refused, pack, sorted};

const KIB: usize = 1 << 10;

async fn listed(member: &mut Member) -> Vec<Vec<u8>> {
    let request = member.request(ListVaultsRequest {});
    let answer = member.client.list_vaults(request).await.unwrap();
    let vaults = answer.into_inner().vaults.into_iter();
    vaults.map(|vault| vault.vault).collect()
}

fn sync(vault: &VaultOf) -> SyncVaultRequest {
    SyncVaultRequest {
        vault: vault.id().to_vec(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_stranger_is_told_that_there_is_no_such_vault() {
    let server = TestServer::start().await;
    let (mut alice, mut eve) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    let pack = pack(128 * KIB);
    alice.put(vault.id(), &pack).await.unwrap();
    alice
        .commit(&mut vault, &sorted([&pack]), &PackList::default())
        .await;
    assert_eq!(listed(&mut eve).await, Vec::<Vec<u8>>::new());

    let id = vault.id();
    let not_found = Reason::NotFound;
    assert_refused(eve.put(id, &pack).await, not_found);
    assert_refused(eve.read(id, &[(pack.id, 0, 1)]).await, not_found);
    assert_refused(eve.sync(sync(&vault)).await, not_found);
    let have = eve.request(HavePacksRequest {
        vault: id.to_vec(),
        packs: pack.id.to_vec(),
    });
    assert_refused(eve.client.have_packs(have).await, not_found);
    let watch = eve.request(WatchHeadsRequest {
        vaults: vec![id.to_vec()],
    });
    assert_refused(eve.client.watch_heads(watch).await.map(drop), not_found);
    let commit = alice.commit_of(&vault, &PackList::default(), &PackList::default());
    assert_refused(eve.send(&commit).await, not_found);
    let leave = wire::vault_entry::Body::Refresh(wire::RefreshMember { member: None });
    let entry = vault.log.next_entry(
        &eve.id(),
        &eve.log.position(),
        &eve.device.id(),
        vault.seen.position(),
        leave,
    );
    let entry = eve
        .device
        .sign_entry(vault_proto::entry::UnsignedEntry::vault(&entry));
    assert_refused(eve.send_vault_entry(id, entry).await, not_found);
}

#[tokio::test]
async fn a_pack_of_one_vault_is_none_of_another() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let (one, two) = (alice.create_vault().await, alice.create_vault().await);
    for size in [16 * KIB, 256 * KIB] {
        let pack = pack(size);
        alice.put(one.id(), &pack).await.unwrap();
        let have = alice.request(HavePacksRequest {
            vault: two.id().to_vec(),
            packs: pack.id.to_vec(),
        });
        let there = alice.client.have_packs(have).await.unwrap();
        assert_eq!(there.into_inner().there, [0]);
        let read = alice.read(two.id(), &[(pack.id, 0, 1)]).await;
        assert_refused(read, Reason::NotFound);
        let commit = alice.commit_of(&two, &sorted([&pack]), &PackList::default());
        let answer = alice.send(&commit).await.unwrap();
        assert!(format!("{answer:?}").contains("Missing"), "{answer:?}");
        // It is uploaded again, and counts again.
        assert!(!alice.put(two.id(), &pack).await.unwrap().was_there);
    }
    let request = alice.request(UsageRequest {});
    let usage = alice.client.usage(request).await.unwrap().into_inner();
    assert_eq!(usage.unclaimed_bytes, 2 * (272 * KIB) as u64);
}

#[tokio::test]
async fn a_reader_reads_and_does_not_write() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    let pack = pack(128 * KIB);
    alice.put(vault.id(), &pack).await.unwrap();
    alice.share(&mut vault, &mut bob, wire::Role::Reader).await;
    assert_eq!(listed(&mut bob).await, [vault.id().to_vec()]);
    bob.sync(sync(&vault)).await.unwrap();
    assert!(bob.read(vault.id(), &[(pack.id, 0, 100)]).await.is_ok());
    assert_refused(bob.put(vault.id(), &pack).await, Reason::Forbidden);
    let commit = bob.commit_of(&vault, &PackList::default(), &PackList::default());
    assert_refused(bob.send(&commit).await, Reason::Forbidden);
}

#[tokio::test]
async fn a_writer_uploads_at_the_cost_of_who_made_the_vault() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member_with_quota(1).await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let pack = pack(128 * KIB);
    bob.put(vault.id(), &pack).await.unwrap();
    bob.commit(&mut vault, &sorted([&pack]), &PackList::default())
        .await;
    let request = alice.request(UsageRequest {});
    let usage = alice.client.usage(request).await.unwrap().into_inner();
    assert_eq!(usage.committed_bytes, 128 * KIB as u64);
    // A head is sent by who made it.
    let commit = alice.commit_of(&vault, &PackList::default(), &PackList::default());
    assert_refused(bob.send(&commit).await, Reason::Forbidden);
}

#[tokio::test]
async fn a_removed_member_is_a_stranger() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    alice.remove_member(&mut vault, &bob).await;
    assert_eq!(listed(&mut bob).await, Vec::<Vec<u8>>::new());
    // But for the entry that put him out, and what it takes to verify that.
    alice.rotate(&mut vault, &[]).await;
    alice
        .commit(&mut vault, &PackList::default(), &PackList::default())
        .await;
    let shown = bob.sync(sync(&vault)).await.unwrap();
    assert_eq!(
        shown.vault_entries.len(),
        4,
        "made, added, accepted, removed"
    );
    assert!(shown.heads.is_empty() && shown.root.is_empty() && !shown.more);
    assert_eq!(shown.newest_head_seq, 0);
    let known = SyncVaultRequest {
        vault_log_seq: 4,
        ..sync(&vault)
    };
    assert!(bob.sync(known).await.unwrap().vault_entries.is_empty());
    let put = bob.put(vault.id(), &pack(16 * KIB)).await;
    assert_refused(put, Reason::NotFound);
}

#[tokio::test]
async fn a_vault_is_made_by_its_creator_for_this_hoster() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let vault = alice.create_vault().await;
    let genesis = CreateVaultRequest {
        genesis: Some(vault.log.entries()[0].clone()),
    };
    // Again, as when the answer was lost.
    let again = alice.request(genesis.clone());
    alice.client.create_vault(again).await.unwrap();
    let stolen = bob.request(genesis.clone());
    assert_refused(bob.client.create_vault(stolen).await, Reason::Forbidden);
    let mut forged = genesis;
    if let Some(entry) = &mut forged.genesis {
        entry.signatures[0].signature[0] ^= 1;
    }
    let forged = alice.request(forged);
    assert_refused(
        alice.client.create_vault(forged).await,
        Reason::InvalidSigned,
    );
}
