//! Logs whose home is another hoster by now.

use vault_proto::{entry::UnsignedEntry, pack_list::PackList, wire};
use vault_rpc::hoster::Reason;

use crate::support::{Member, TestServer, assert_refused, logs, pack, random};

#[tokio::test]
async fn a_vault_that_moved_takes_nothing_more() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let before = pack(16 << 10);
    member.put(vault.id(), &before).await.unwrap();
    let moved = wire::vault_entry::Body::Moved(wire::VaultMoved {
        home: random::<32>().to_vec(),
        origin: "elsewhere.example.org:443".into(),
    });
    let accounts = logs([&member]);
    let entry = member.vault_entry(&mut vault, moved, &accounts);
    member
        .send_vault_entry(vault.id(), entry.clone())
        .await
        .unwrap();

    let put = member.put(vault.id(), &pack(16 << 10)).await;
    assert_refused(put, Reason::Moved);
    let nothing = PackList::default();
    let commit = member.commit_of(&vault, &nothing, &nothing);
    assert_refused(member.send(&commit).await, Reason::Moved);
    // The answer to the entry itself may have been lost.
    member.send_vault_entry(vault.id(), entry).await.unwrap();
    // What is here can still be read, as long as the hoster keeps it.
    let read = member.read(vault.id(), &[(before.id, 0, 100)]).await;
    assert!(read.unwrap() == before.bytes[..100]);
}

#[tokio::test]
async fn an_account_that_moved_grows_elsewhere() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    member.append(account_moved(&member)).await.unwrap();
    let next = account_moved(&member);
    assert_refused(member.send_account_entry(next).await, Reason::Moved);
}

fn account_moved(member: &Member) -> wire::SignedEntry {
    let body = wire::account_entry::Body::Moved(wire::AccountMoved {
        home: random::<32>().to_vec(),
        origin: "elsewhere.example.org:443".into(),
    });
    let entry = member.log.next_entry(member.device.id(), body);
    member.device.sign_entry(UnsignedEntry::account(&entry))
}

/// Else a thief with one of a member's machines would send log and vaults to a
/// hoster that does not exist, and nothing could be removed any more.
#[tokio::test]
async fn a_machine_moves_nothing() {
    let server = TestServer::start().await;
    let mut member = server.member().await;
    let mut vault = member.create_vault().await;
    let mut machine = member.add_device().await;
    machine.log_in().await;

    let entry = account_moved(&machine);
    assert_refused(
        machine.send_account_entry(entry).await,
        Reason::InvalidSigned,
    );
    let moved = wire::vault_entry::Body::Moved(wire::VaultMoved {
        home: random::<32>().to_vec(),
        origin: "elsewhere.example.org:443".into(),
    });
    let (id, position) = (machine.id(), machine.log.position());
    let device = machine.device.id();
    let entry = vault.log.next_entry(&id, &position, &device, None, moved);
    let entry = machine.device.sign_entry(UnsignedEntry::vault(&entry));
    assert_refused(
        machine.send_vault_entry(vault.id(), entry).await,
        Reason::InvalidSigned,
    );

    // The owner's paper still puts the machine out.
    member.remove_device(machine.device.id()).await;
    let refresh = wire::vault_entry::Body::Refresh(wire::RefreshMember {
        member: Some(vault_proto::vault_log::member_ref(
            &member.id(),
            &member.log.position(),
        )),
    });
    let accounts = logs([&member]);
    let entry = member.vault_entry(&mut vault, refresh, &accounts);
    member.send_vault_entry(vault.id(), entry).await.unwrap();
}
