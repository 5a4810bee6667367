//! Logs of accounts for whoever knows their id, and the account of a device.

use std::path::Path;

use tonic::Status;
use vault_proto::{
    account_log::AccountLog,
    ids::{AccountId, DeviceId},
    wire::SignedEntry,
};
use vault_rpc::hoster::{FetchAccountLogRequest, FindAccountRequest, Reason};

use crate::support::{Member, TestServer, assert_refused, random};

/// Asks without a token.
async fn fetch(
    member: &Member,
    account: Vec<u8>,
    seq: u64,
) -> Result<(Vec<SignedEntry>, bool), Status> {
    let request = FetchAccountLogRequest { account, seq };
    let answer = member.client.clone().fetch_account_log(request).await?;
    let answer = answer.into_inner();
    Ok((answer.entries, answer.more))
}

async fn find(member: &Member, device: DeviceId) -> Result<AccountId, Status> {
    let request = FindAccountRequest {
        device: device.to_vec(),
    };
    let answer = member.client.clone().find_account(request).await?;
    Ok(AccountId::from_slice(&answer.into_inner().account).unwrap())
}

#[tokio::test]
async fn a_log_is_there_for_whoever_knows_the_account() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    alice.add_device().await;
    let stranger = server.member().await;
    let (entries, more) = fetch(&stranger, alice.id().to_vec(), 0).await.unwrap();
    assert_eq!((&entries[..], more), (alice.log.entries(), false));
    let log = AccountLog::verify_genesis(&entries[0]).unwrap();
    assert_eq!(log.id(), alice.id());
    let (entries, _) = fetch(&stranger, alice.id().to_vec(), 1).await.unwrap();
    assert_eq!(entries, alice.log.entries()[1..]);
    for seq in [2, u64::MAX] {
        let (entries, more) = fetch(&stranger, alice.id().to_vec(), seq).await.unwrap();
        assert_eq!((entries.len(), more), (0, false));
    }
    let nobody = fetch(&stranger, random::<32>().to_vec(), 0).await;
    assert_refused(nobody, Reason::NotFound);
    assert_refused(fetch(&stranger, vec![1], 0).await, Reason::Malformed);
}

#[tokio::test]
async fn a_device_finds_its_account_as_long_as_it_is_active() {
    let server = TestServer::start().await;
    let mut alice = server.member().await;
    let bob = server.member().await;
    let machine = alice.add_device().await;
    assert_eq!(find(&bob, alice.device.id()).await.unwrap(), alice.id());
    assert_eq!(find(&bob, machine.device.id()).await.unwrap(), alice.id());
    let server = server.restart(|_| {}).await;
    let invitation = server.invite(1).await;
    let anyone = Member::new(server.dial(&invitation).await, &invitation);
    assert_eq!(
        find(&anyone, machine.device.id()).await.unwrap(),
        alice.id()
    );
    alice.reconnect(server.dial(&invitation).await);
    alice.remove_device(machine.device.id()).await;
    let refused = find(&anyone, machine.device.id()).await.unwrap_err();
    let words = refused.message().to_owned();
    assert_refused::<()>(Err(refused), Reason::NotFound);
    // As if it never had been.
    let never = find(&anyone, DeviceId::from_array(random())).await;
    assert_eq!(never.unwrap_err().message(), words);
    assert_eq!(find(&anyone, alice.device.id()).await.unwrap(), alice.id());
}

/// Leaves a directory as servers did that kept no index of devices; those after
/// them did for `known`.
fn forget_devices(data: &Path, known: Option<(DeviceId, AccountId)>) {
    let options = rocksdb::Options::default();
    let ledger = data.join("ledger");
    let families = rocksdb::DB::list_cf(&options, &ledger).unwrap();
    let mut database = rocksdb::DB::open_cf(&options, &ledger, families).unwrap();
    database.delete(b"indexes").unwrap();
    database.drop_cf("devices").unwrap();
    if let Some((device, account)) = known {
        database.create_cf("devices", &options).unwrap();
        let devices = database.cf_handle("devices").unwrap();
        database
            .put_cf(devices, device.as_bytes(), account.as_bytes())
            .unwrap();
    }
}

#[tokio::test]
async fn a_directory_from_before_devices_were_indexed_gets_its_index() {
    let mut server = TestServer::start().await;
    let mut alice = server.member().await;
    let machine = alice.add_device().await;
    let removed = alice.add_device().await;
    alice.remove_device(removed.device.id()).await;
    let bob = server.member().await;
    for known in [None, Some((bob.device.id(), bob.id()))] {
        server = server.restart(|data| forget_devices(data, known)).await;
        let invitation = server.invite(1).await;
        let anyone = Member::new(server.dial(&invitation).await, &invitation);
        for (device, account) in [
            (alice.device.id(), alice.id()),
            (machine.device.id(), alice.id()),
            (bob.device.id(), bob.id()),
        ] {
            assert_eq!(find(&anyone, device).await.unwrap(), account);
        }
        let refused = find(&anyone, removed.device.id()).await;
        assert_refused(refused, Reason::NotFound);
    }
}
