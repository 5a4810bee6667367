//! What is new in a vault, asked for and announced.

use std::{collections::BTreeMap, time::Duration};

use vault_proto::{
    account_log::AccountLog,
    head::{HeadContext, PreviousHeads, SeenHeads, UnverifiedHead},
    ids::{AccountId, RootHash},
    pack_list::PackList,
    vault_log::VaultLog,
    wire,
};
use vault_rpc::hoster::{
    KnownAccount, Reason, SyncVaultRequest, SyncVaultResponse, WatchHeadsRequest,
};

use crate::support::{Member, TestServer, VaultOf, assert_refused, random};

fn none() -> PackList {
    PackList::default()
}

/// A device that knows nothing but the vault's id, and verifies everything.
struct Reader {
    accounts: BTreeMap<AccountId, AccountLog>,
    log: Option<VaultLog>,
    seen: SeenHeads,
}

impl Reader {
    fn new() -> Self {
        Self {
            accounts: BTreeMap::new(),
            log: None,
            seen: SeenHeads::none(),
        }
    }

    fn request(&self, vault: &VaultOf) -> SyncVaultRequest {
        SyncVaultRequest {
            vault: vault.id().to_vec(),
            vault_log_seq: self.log.as_ref().map_or(0, |log| log.position().seq),
            head_seq: self.seen.position().map_or(0, |at| at.seq),
            accounts: self
                .accounts
                .values()
                .map(|log| KnownAccount {
                    account: log.id().to_vec(),
                    seq: log.position().seq,
                })
                .collect(),
            without_root: false,
            until_head_seq: 0,
        }
    }

    fn take(&mut self, answer: &SyncVaultResponse) {
        for account in &answer.accounts {
            let id = AccountId::from_slice(&account.account).unwrap();
            for entry in &account.entries {
                match self.accounts.get_mut(&id) {
                    Some(log) => log.append(entry).unwrap(),
                    None => {
                        let log = AccountLog::verify_genesis(entry).unwrap();
                        assert_eq!(log.id(), id);
                        self.accounts.insert(id, log);
                    }
                }
            }
        }
        for entry in &answer.vault_entries {
            match &mut self.log {
                Some(log) => log.append(entry, &self.accounts).unwrap(),
                None => {
                    self.log = Some(VaultLog::verify_genesis(entry, &self.accounts).unwrap());
                }
            }
        }
        if answer.heads.is_empty() {
            return;
        }
        let heads = answer
            .heads
            .iter()
            .map(|head| UnverifiedHead::decode(head).unwrap());
        let path = self.seen.follow(heads.collect()).unwrap();
        let context = HeadContext {
            vault_log: self.log.as_ref().unwrap(),
            account_logs: &self.accounts,
            previous: PreviousHeads::Path(&path),
        };
        let newest = path.newest().clone().verify(&context).unwrap();
        newest.check_root(&answer.root).unwrap();
        assert_eq!(newest.position().seq, answer.newest_head_seq);
        self.seen = newest.seen().clone();
    }

    /// Asks until there is nothing more; how often.
    async fn sync(&mut self, member: &Member, vault: &VaultOf) -> usize {
        for round in 1.. {
            let answer = member.sync(self.request(vault)).await.unwrap();
            self.take(&answer);
            if !answer.more {
                return round;
            }
        }
        unreachable!()
    }
}

#[tokio::test]
async fn who_knows_nothing_can_verify_everything() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Writer).await;
    let mut reader = Reader::new();
    assert_eq!(reader.sync(&bob, &vault).await, 1);
    assert_eq!(reader.accounts.len(), 2);
    assert_eq!(reader.seen, SeenHeads::none());
    for count in 0..100 {
        let member = if count % 3 == 0 { &mut bob } else { &mut alice };
        member.commit(&mut vault, &none(), &none()).await;
    }
    assert_eq!(reader.sync(&bob, &vault).await, 1);
    assert_eq!(reader.seen.position(), vault.seen.position());
    let mut afresh = Reader::new();
    afresh.sync(&alice, &vault).await;
    assert_eq!(afresh.seen.position(), vault.seen.position());
}

#[tokio::test]
async fn a_long_way_is_a_short_answer() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let mut vault = alice.create_vault().await;
    alice.commit(&mut vault, &none(), &none()).await;
    for _ in 1..64 {
        alice.commit(&mut vault, &none(), &none()).await;
    }
    let known = SyncVaultRequest {
        vault: vault.id().to_vec(),
        vault_log_seq: 1,
        head_seq: 1,
        accounts: vec![KnownAccount {
            account: alice.id().to_vec(),
            seq: 1,
        }],
        without_root: true,
        until_head_seq: 0,
    };
    let answer = alice.sync(known.clone()).await.unwrap();
    assert!(answer.accounts.is_empty() && answer.vault_entries.is_empty());
    assert!(answer.root.is_empty());
    assert_eq!(answer.newest_head_seq, 64);
    assert!(answer.heads.len() <= 21, "{} heads", answer.heads.len());

    let up_to_date = SyncVaultRequest {
        head_seq: 64,
        without_root: false,
        ..known.clone()
    };
    let answer = alice.sync(up_to_date).await.unwrap();
    assert!(answer.heads.is_empty());
    // The root comes also when the head is not new.
    let newest = vault.seen.newest().unwrap().root;
    assert_eq!(RootHash::of(&answer.root), newest);
    let from_the_future = SyncVaultRequest {
        head_seq: 1000,
        ..known
    };
    let answer = alice.sync(from_the_future).await.unwrap();
    assert!(answer.heads.is_empty());
    assert_eq!(answer.newest_head_seq, 64);
}

#[tokio::test]
async fn heads_are_told_up_to_one_that_is_asked_for() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let mut vault = alice.create_vault().await;
    let mut made = Vec::new();
    for _ in 0..12 {
        alice.commit(&mut vault, &none(), &none()).await;
        made.push(vault.seen.newest().unwrap().clone());
    }
    let ask = |head_seq, until_head_seq| SyncVaultRequest {
        vault: vault.id().to_vec(),
        vault_log_seq: 1,
        head_seq,
        accounts: Vec::new(),
        without_root: false,
        until_head_seq,
    };
    let seqs = |answer: &SyncVaultResponse| -> Vec<u64> {
        let heads = answer.heads.iter();
        heads
            .map(|head| UnverifiedHead::decode(head).unwrap().seq())
            .collect()
    };
    // One head by its number, and its root.
    let answer = alice.sync(ask(6, 7)).await.unwrap();
    let head = UnverifiedHead::decode(&answer.heads[0]).unwrap();
    assert_eq!((answer.heads.len(), head.claims()), (1, &made[6]));
    assert_eq!(RootHash::of(&answer.root), made[6].root);
    assert_eq!(answer.newest_head_seq, 12);
    // The way to it, and none.
    let answer = alice.sync(ask(0, 11)).await.unwrap();
    assert_eq!(seqs(&answer), [11, 10, 8]);
    assert!(seqs(&alice.sync(ask(9, 7)).await.unwrap()).is_empty());
    // None is asked for, or one that is not there yet: up to the newest.
    for until in [0, 12, 13, u64::MAX] {
        let answer = alice.sync(ask(8, until)).await.unwrap();
        assert_eq!(seqs(&answer), [12], "until {until}");
        assert_eq!(RootHash::of(&answer.root), made[11].root);
    }
}

#[tokio::test]
async fn a_long_log_comes_in_several_answers() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let mut vault = alice.create_vault().await;
    // Entries of 2.5 KB: a device, and its removal with a new account key.
    for _ in 0..250 {
        let machine = alice.add_device().await;
        alice.remove_device(machine.device.id()).await;
    }
    alice.commit(&mut vault, &none(), &none()).await;
    let mut reader = Reader::new();
    let rounds = reader.sync(&alice, &vault).await;
    assert!(rounds > 1, "{rounds}");
    assert_eq!(
        reader.accounts[&alice.id()].position(),
        alice.log.position()
    );
    assert_eq!(reader.seen.position(), vault.seen.position());
}

#[tokio::test]
async fn an_account_log_takes_its_next_entry_only() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let machine = alice.add_device().await;
    let (one, two) = (
        alice.removal(machine.device.id()),
        alice.removal(machine.device.id()),
    );
    alice.append(one.clone()).await.unwrap();
    assert_refused(alice.send_account_entry(two).await, Reason::LostRace);
    // The first answer was lost.
    alice.send_account_entry(one.clone()).await.unwrap();
    let mut forged = alice.removal(alice.device.id());
    forged.signatures[0].signature = random::<64>().to_vec();
    assert_refused(
        alice.send_account_entry(forged).await,
        Reason::InvalidSigned,
    );
    // It is the caller's own log that grows.
    let bob = server.member().await;
    assert_refused(bob.send_account_entry(one).await, Reason::InvalidSigned);
}

async fn watch(
    member: &mut Member,
    vaults: &[&VaultOf],
) -> tonic::Streaming<vault_rpc::hoster::WatchHeadsResponse> {
    let request = member.request(WatchHeadsRequest {
        vaults: vaults.iter().map(|vault| vault.id().to_vec()).collect(),
    });
    member
        .client
        .watch_heads(request)
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn new_heads_are_announced() {
    let server = TestServer::start().await;
    let (mut alice, mut bob) = (server.member().await, server.member().await);
    let mut vault = alice.create_vault().await;
    let mut quiet = alice.create_vault().await;
    alice.share(&mut vault, &mut bob, wire::Role::Reader).await;
    let first = alice.commit(&mut vault, &none(), &none()).await;
    let mut announced = watch(&mut bob, &[&vault]).await;
    // What stands, and what comes; nothing of a vault that is not watched.
    alice.commit(&mut quiet, &none(), &none()).await;
    let message = announced.message().await.unwrap().unwrap();
    assert_eq!((message.head_seq, message.vault), (1, vault.id().to_vec()));
    assert_eq!(message.head_hash, first.hash.to_vec());
    for seq in 2..10 {
        alice.commit(&mut vault, &none(), &none()).await;
        let message = announced.message().await.unwrap().unwrap();
        assert_eq!(
            (message.head_seq, message.vault),
            (seq, vault.id().to_vec())
        );
    }
    // A stop of the server does not wait for who watches.
    server.server.stop().await;
    assert!(matches!(announced.message().await, Ok(None) | Err(_)));
}

#[tokio::test]
async fn a_quiet_watch_is_kept_alive() {
    let server = TestServer::start_with(|config| {
        config.limits.watch_keepalive = Duration::from_millis(50);
    })
    .await;
    let mut alice = server.member().await;
    let vault = alice.create_vault().await;
    let mut announced = watch(&mut alice, &[&vault]).await;
    for _ in 0..3 {
        let message = announced.message().await.unwrap().unwrap();
        assert_eq!((message.vault, message.head_seq), (Vec::new(), 0));
    }
    let request = alice.request(WatchHeadsRequest {
        vaults: vec![vault.id().to_vec(); 1025],
    });
    let many = alice.client.watch_heads(request).await.map(drop);
    assert_refused(many, Reason::TooLarge);
}
