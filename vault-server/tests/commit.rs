//! Heads.

use vault_proto::{
    entry::{BOX_BYTES, UnsignedEntry},
    head::Head,
    ids::{EntryHash, HeadHash, PackId, RootHash},
    pack_list::PackList,
    position::HeadPosition,
    vault_log::member_ref,
    wire,
};
use vault_rpc::hoster::{
    CommitHeadRequest, CommitHeadResponse, LostRace, Reason, UsageRequest,
    commit_head_response::Outcome,
};

use crate::support::{
    Member, TestServer, VaultOf, assert_refused, logs, pack, random, refusal, sorted,
};

const KIB: usize = 1 << 10;

fn none() -> PackList {
    PackList::default()
}

#[track_caller]
fn assert_lost(answer: CommitHeadResponse, head_seq: u64, vault_log_seq: u64) {
    let lost = LostRace {
        head_seq,
        vault_log_seq,
    };
    assert_eq!(answer.outcome, Some(Outcome::LostRace(lost)));
}

#[track_caller]
fn assert_accepted(answer: CommitHeadResponse) {
    assert!(
        matches!(answer.outcome, Some(Outcome::Accepted(_))),
        "{answer:?}"
    );
}

/// Commits with a head that was changed before it was signed.
async fn with_head(
    member: &mut Member,
    vault: &VaultOf,
    change: impl FnOnce(&mut Head),
) -> Result<CommitHeadResponse, tonic::Status> {
    let (mut head, root) = member.head(vault, &none(), &none());
    change(&mut head);
    let commit = CommitHeadRequest {
        head: member.sign_head(head).to_bytes().to_vec(),
        root,
        ..Default::default()
    };
    member.send(&commit).await
}

#[tokio::test]
async fn a_chain_of_heads_adds_and_removes_packs() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let packs: Vec<_> = (0..9).map(|n| pack((16 * KIB) << (n % 5))).collect();
    for (count, pack) in packs.iter().enumerate() {
        member.put(vault.id(), pack).await.unwrap();
        let removes = if count == 5 {
            sorted([&packs[0]])
        } else {
            none()
        };
        member.commit(&mut vault, &sorted([pack]), &removes).await;
    }
    let request = member.request(UsageRequest {});
    let usage = member.client.usage(request).await.unwrap().into_inner();
    let total: usize = packs.iter().map(|pack| pack.bytes.len()).sum();
    assert_eq!(usage.committed_bytes, (total - 16 * KIB) as u64);
    assert_eq!(usage.trash_bytes, 16 * KIB as u64);
    assert_eq!(usage.unclaimed_bytes, 0);
    // What is in the trash can still be read.
    let trashed = (packs[0].id, 0, 16 * KIB as u32);
    let read = member.read(vault.id(), &[trashed]).await.unwrap();
    assert!(read == packs[0].bytes);
}

#[tokio::test]
async fn missing_packs_are_named() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let (one, two, three) = (pack(16 * KIB), pack(128 * KIB), pack(16 * KIB));
    member.put(vault.id(), &two).await.unwrap();
    let commit = member.commit_of(&vault, &sorted([&one, &two, &three]), &none());
    let answer = member.send(&commit).await.unwrap();
    let Some(Outcome::Missing(missing)) = answer.outcome else {
        panic!("{answer:?}");
    };
    assert_eq!(missing.packs, sorted([&one, &three]).to_bytes());
    for pack in [&one, &three] {
        member.put(vault.id(), pack).await.unwrap();
    }
    // The same head, byte for byte.
    assert_accepted(member.send(&commit).await.unwrap());
    vault.follow(&commit);
    member.commit(&mut vault, &none(), &none()).await;
}

#[tokio::test]
async fn an_add_revives_what_was_removed() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let pack = pack(128 * KIB);
    member.put(vault.id(), &pack).await.unwrap();
    member.commit(&mut vault, &sorted([&pack]), &none()).await;
    member.commit(&mut vault, &none(), &sorted([&pack])).await;
    member.commit(&mut vault, &sorted([&pack]), &none()).await;
    let request = member.request(UsageRequest {});
    let usage = member.client.usage(request).await.unwrap().into_inner();
    assert_eq!(usage.committed_bytes, 128 * KIB as u64);
    assert_eq!(usage.trash_bytes, 0);
}

#[tokio::test]
async fn the_trash_holds_one_quota() {
    let server = TestServer::start().await;
    let mut member = server.member_with_quota(1_500_000).await;
    let mut vault = member.create_vault().await;
    let (one, two) = (pack(1024 * KIB), pack(1024 * KIB));
    for pack in [&one, &two] {
        member.put(vault.id(), pack).await.unwrap();
        member.commit(&mut vault, &sorted([pack]), &none()).await;
        let commit = member.commit_of(&vault, &none(), &sorted([pack]));
        match member.send(&commit).await {
            Ok(answer) => {
                assert_accepted(answer);
                vault.follow(&commit);
            }
            Err(status) => {
                let refusal = refusal(&status);
                assert_eq!(refusal.reason(), Reason::QuotaExceeded);
                assert_eq!(refusal.used_bytes, 2048 * KIB as u64);
                assert!(refusal.message.contains("trash"), "{}", refusal.message);
                assert_eq!(pack.id, two.id);
                return;
            }
        }
    }
    panic!("both were removed");
}

#[tokio::test]
async fn an_accepted_head_may_be_sent_again() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let first = member.commit_of(&vault, &none(), &none());
    assert_accepted(member.send(&first).await.unwrap());
    assert_accepted(member.send(&first).await.unwrap());
    vault.follow(&first);
    member.commit(&mut vault, &none(), &none()).await;
    assert_accepted(member.send(&first).await.unwrap());
}

#[tokio::test]
async fn of_two_heads_at_one_place_the_second_loses() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let second = member.commit_of(&vault, &none(), &none());
    member.commit(&mut vault, &none(), &none()).await;
    assert_lost(member.send(&second).await.unwrap(), 1, 1);

    // On top of a head that the hoster does not have, as after it went back.
    let mut ahead = vault.clone();
    let other = member.commit_of(&vault, &none(), &none());
    ahead.follow(&other);
    let beyond = member.commit_of(&ahead, &none(), &none());
    assert_lost(member.send(&beyond).await.unwrap(), 1, 1);
    let on_another = |head: &mut Head| head.previous = Some(HeadHash::from_array([5; 32]));
    assert_lost(
        with_head(&mut member, &vault, on_another).await.unwrap(),
        1,
        1,
    );
}

#[tokio::test]
async fn commits_at_once_form_one_chain() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let mut commits = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let mut member = member.clone();
        let commit = member.commit_of(&vault, &none(), &none());
        commits.spawn(async move { member.send(&commit).await.unwrap().outcome });
    }
    let outcomes = commits.join_all().await;
    let is_accepted = |outcome: &&Option<_>| matches!(outcome, Some(Outcome::Accepted(_)));
    assert_eq!(outcomes.iter().filter(is_accepted).count(), 1);
    assert!(
        outcomes.iter().all(|outcome| {
            matches!(outcome, Some(Outcome::Accepted(_) | Outcome::LostRace(_)))
        })
    );
}

#[tokio::test]
async fn a_head_that_knows_an_older_log_loses() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    let old = alice.commit_of(&vault, &none(), &none());
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    assert_lost(alice.send(&old).await.unwrap(), 0, 3);
    alice.commit(&mut vault, &none(), &none()).await;
    bob.commit(&mut vault, &none(), &none()).await;
}

#[tokio::test]
async fn a_head_that_does_not_verify_is_refused() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    member.commit(&mut vault, &none(), &none()).await;
    let invalid = Reason::InvalidSigned;

    let epoch = |head: &mut Head| head.epoch = 2;
    assert_refused(with_head(&mut member, &vault, epoch).await, invalid);
    let device = |head: &mut Head| head.device = vault_proto::ids::DeviceId::from_array([1; 32]);
    assert_refused(with_head(&mut member, &vault, device).await, invalid);
    let fork = |head: &mut Head| head.account_position.hash = EntryHash::from_array([1; 32]);
    assert_refused(with_head(&mut member, &vault, fork).await, invalid);
    let log = |head: &mut Head| head.vault_position.hash = EntryHash::from_array([1; 32]);
    assert_refused(with_head(&mut member, &vault, log).await, invalid);
    let root = |head: &mut Head| head.root = RootHash::of(b"another");
    assert_refused(with_head(&mut member, &vault, root).await, invalid);
    let adds = |head: &mut Head| head.adds = sorted([&pack(16 * KIB)]).hash();
    assert_refused(with_head(&mut member, &vault, adds).await, invalid);
    let removes = |head: &mut Head| head.removes = sorted([&pack(16 * KIB)]).hash();
    assert_refused(with_head(&mut member, &vault, removes).await, invalid);

    let mut commit = member.commit_of(&vault, &none(), &none());
    commit.head[440] ^= 1;
    assert_refused(member.send(&commit).await, invalid);
    let mut commit = member.commit_of(&vault, &none(), &none());
    commit.root.truncate(4095);
    assert_refused(member.send(&commit).await, invalid);
    // None of them moved the vault.
    member.commit(&mut vault, &none(), &none()).await;
}

#[tokio::test]
async fn a_commit_that_makes_no_sense_is_malformed() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let packs = sorted(&[pack(16 * KIB), pack(16 * KIB)]);
    let good = member.commit_of(&vault, &packs, &none());
    let swapped = packs.to_bytes();
    let swapped = [&swapped[32..], &swapped[..32]].concat();
    let changes: [fn(&mut CommitHeadRequest); 3] = [
        |commit| commit.head.truncate(455),
        |commit| commit.head[0] ^= 1,
        |commit| commit.adds.truncate(33),
    ];
    for change in changes {
        let mut commit = good.clone();
        change(&mut commit);
        assert_refused(member.send(&commit).await, Reason::Malformed);
    }
    let unordered = CommitHeadRequest {
        adds: swapped,
        ..good.clone()
    };
    assert_refused(member.send(&unordered).await, Reason::Malformed);
    let both = member.commit_of(&vault, &packs, &packs);
    assert_refused(member.send(&both).await, Reason::Malformed);
    let many = CommitHeadRequest {
        adds: (0..8193_u32)
            .flat_map(|n| *PackId::of(&n.to_le_bytes()).as_bytes())
            .collect(),
        ..good
    };
    assert_refused(member.send(&many).await, Reason::TooLarge);
}

#[tokio::test]
async fn a_commit_of_the_largest_size_is_accepted() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let vault = member.create_vault().await;
    let ids = |from: u32| (from..from + 8192).map(|n| PackId::of(&n.to_le_bytes()));
    let list = |from| PackList::from_unordered(ids(from).collect()).unwrap();
    let (mut head, _) = member.head(&vault, &list(0), &list(10_000));
    let root = random::<16_384>().to_vec();
    head.root = RootHash::of(&root);
    let commit = CommitHeadRequest {
        head: member.sign_head(head).to_bytes().to_vec(),
        root,
        adds: list(0).to_bytes(),
        removes: list(10_000).to_bytes(),
    };
    let answer = member.send(&commit).await.unwrap();
    let Some(Outcome::Missing(missing)) = answer.outcome else {
        panic!("{answer:?}");
    };
    assert_eq!(missing.packs, list(0).to_bytes());
}

#[tokio::test]
async fn a_removed_device_signs_nothing_any_more() {
    let server = TestServer::start().await;
    let mut paper = server.member().await;
    let mut machine = paper.add_device().await;
    machine.log_in().await;
    let mut vault = machine.create_vault().await;
    machine.commit(&mut vault, &none(), &none()).await;
    let stolen = machine.commit_of(&vault, &none(), &none());
    paper.remove_device(machine.device.id()).await;
    assert_refused(machine.send(&stolen).await, Reason::Removed);
    // Nor does another device of the member carry it in: the place of the log
    // that it names is older, where the device was active.
    assert_refused(paper.send(&stolen).await, Reason::InvalidSigned);
    paper.commit(&mut vault, &none(), &none()).await;
}

#[tokio::test]
async fn nothing_is_committed_while_a_rotation_is_due() {
    let server = TestServer::start().await;
    let mut paper = server.member().await;
    let mut machine = paper.add_device().await;
    machine.log_in().await;
    let mut vault = paper.create_vault().await;
    paper.remove_device(machine.device.id()).await;
    let accounts = logs([&paper]);
    let me = member_ref(&paper.id(), &paper.log.position());
    let refresh = wire::vault_entry::Body::Refresh(wire::RefreshMember {
        member: Some(me.clone()),
    });
    let entry = paper.vault_entry(&mut vault, refresh, &accounts);
    paper.send_vault_entry(vault.id(), entry).await.unwrap();
    let commit = paper.commit_of(&vault, &none(), &none());
    assert_refused(paper.send(&commit).await, Reason::InvalidSigned);

    let rotate = wire::vault_entry::Body::Rotate(wire::RotateEpoch {
        epoch: Some(wire::Epoch {
            number: 2,
            commitment: random::<32>().to_vec(),
            boxes: vec![wire::EpochBox {
                member: Some(me),
                generation: 2,
                r#box: random::<BOX_BYTES>().to_vec(),
            }],
            previous_secret: random::<72>().to_vec(),
        }),
    });
    let entry = paper.vault_entry(&mut vault, rotate, &accounts);
    paper.send_vault_entry(vault.id(), entry).await.unwrap();
    paper.commit(&mut vault, &none(), &none()).await;
}

#[tokio::test]
async fn a_log_entry_names_the_newest_head() {
    let server = TestServer::start().await;
    let (mut alice, bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    let accounts = logs([&alice, &bob]);
    let add = wire::vault_entry::Body::AddMember(wire::AddMember {
        role: wire::Role::Reader.into(),
        r#box: Some(wire::EpochBox {
            member: Some(member_ref(&bob.id(), &bob.log.position())),
            generation: 1,
            r#box: random::<BOX_BYTES>().to_vec(),
        }),
    });
    let early = alice.vault_entry(&mut vault.clone(), add.clone(), &accounts);
    alice.commit(&mut vault, &none(), &none()).await;
    let sent = alice.send_vault_entry(vault.id(), early).await;
    assert_refused(sent, Reason::LostRace);

    let mut forged = vault.clone();
    let commit = alice.commit_of(&vault, &none(), &none());
    forged.follow(&commit);
    let ahead = alice.vault_entry(&mut forged, add.clone(), &accounts);
    let sent = alice.send_vault_entry(vault.id(), ahead).await;
    assert_refused(sent, Reason::LostRace);

    let now = alice.vault_entry(&mut vault, add, &accounts);
    alice
        .send_vault_entry(vault.id(), now.clone())
        .await
        .unwrap();
    // The answer was lost.
    alice.send_vault_entry(vault.id(), now).await.unwrap();
    alice.commit(&mut vault, &none(), &none()).await;
}

/// A head may say that it takes the place of one that never was, and an entry may
/// name that. The entries after it do too, and the vault goes on.
#[tokio::test]
async fn a_head_in_the_place_of_one_that_never_was_stops_nobody() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let never = HeadHash::from_array([9; 32]);
    let (mut head, root) = bob.head(&vault, &none(), &none());
    head.reconciled = Some(never);
    let commit = CommitHeadRequest {
        head: bob.sign_head(head).to_bytes().to_vec(),
        root,
        ..Default::default()
    };
    assert_accepted(bob.send(&commit).await.unwrap());
    vault.follow(&commit);

    let leave = wire::vault_entry::Body::Leave(wire::LeaveVault {});
    let leave = vault.log.next_entry(
        &bob.id(),
        &bob.log.position(),
        &bob.device.id(),
        Some(HeadPosition {
            seq: 1,
            hash: never,
        }),
        leave,
    );
    let leave = bob.device.sign_entry(UnsignedEntry::vault(&leave));
    vault.log.append(&leave, &logs([&alice, &bob])).unwrap();
    bob.send_vault_entry(vault.id(), leave).await.unwrap();

    // No head helps while a rotation is due.
    let commit = alice.commit_of(&vault, &none(), &none());
    assert_refused(alice.send(&commit).await, Reason::InvalidSigned);
    alice.rotate(&mut vault, &[]).await;
    alice.commit(&mut vault, &none(), &none()).await;
    alice.share(&mut vault, &mut bob, wire::Role::Reader).await;
    alice.commit(&mut vault, &none(), &none()).await;
}
