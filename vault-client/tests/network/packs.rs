//! Packs up and down: refusals, breaks, and a long line.

use std::ops::ControlFlow;

use bytes::Bytes;
use vault_client::account::Account;
use vault_client::error::ErrorCode;
use vault_client::remote::grpc::Pace;
use vault_client::remote::{
    Misbehaviour, PackRange, Presence, PutOutcome, RefusalReason, Remote, RemoteError,
};
use vault_client::vault::Vault;
use vault_proto::ids::{PackId, VaultId};

use crate::support::hoster::{Device, Hoster};
use crate::support::relay::Line;

fn bytes(vault: &Vault, length: usize) -> (PackId, Bytes) {
    let seed = vault.random::<32>();
    let mut bytes = vec![0; length];
    blake3::Hasher::new_keyed(&seed)
        .finalize_xof()
        .fill(&mut bytes);
    (PackId::of(&bytes), Bytes::from(bytes))
}

fn whole(pack: PackId, length: usize) -> PackRange {
    PackRange {
        pack,
        offset: 0,
        length: u32::try_from(length).unwrap(),
    }
}

fn read(
    remote: &dyn Remote,
    vault: &VaultId,
    ranges: &[PackRange],
) -> Result<Vec<u8>, RemoteError> {
    let mut read = Vec::new();
    remote.read_packs(vault, ranges, &mut |bytes| {
        read.extend_from_slice(&bytes);
        ControlFlow::Continue(())
    })?;
    Ok(read)
}

#[test]
fn packs_go_up_and_come_down() {
    let hoster = Hoster::start();
    let (_device, vault) = Device::with_vault(&hoster);
    let remote = vault.remote();
    for length in [16 << 10, 256 << 10, 4 << 20] {
        let (id, bytes) = bytes(&vault, length);
        assert_eq!(
            remote.have_packs(&vault.id(), &[id]),
            Ok(vec![Presence::Absent])
        );
        let outcome = remote.put_pack(&vault.id(), &id, bytes.clone());
        assert_eq!(outcome, Ok(PutOutcome::Stored));
        let outcome = remote.put_pack(&vault.id(), &id, bytes.clone());
        assert_eq!(outcome, Ok(PutOutcome::WasThere));
        assert_eq!(
            remote.have_packs(&vault.id(), &[id]),
            Ok(vec![Presence::There])
        );
        let all = read(&*remote, &vault.id(), &[whole(id, length)]).unwrap();
        assert_eq!(all, bytes);
        let part = |offset, length| PackRange {
            pack: id,
            offset,
            length,
        };
        let parts = read(
            &*remote,
            &vault.id(),
            &[part(9_000, 11), part(5, 3), part(0, 0)],
        );
        let expected = [&bytes[9_000..9_011], &bytes[5..8]].concat();
        assert_eq!(parts, Ok(expected));
    }
    let many: Vec<_> = (0..20_000_u32)
        .map(|n| PackId::of(&n.to_le_bytes()))
        .collect();
    let there = remote.have_packs(&vault.id(), &many).unwrap();
    assert_eq!(there, vec![Presence::Absent; 20_000]);
    assert_eq!(read(&*remote, &vault.id(), &[]), Ok(Vec::new()));
}

#[test]
fn more_ranges_than_one_call_carries_are_several_calls() {
    let hoster = Hoster::start();
    let (_device, vault) = Device::with_vault(&hoster);
    let (id, bytes) = bytes(&vault, 16 << 10);
    vault
        .remote()
        .put_pack(&vault.id(), &id, bytes.clone())
        .unwrap();
    let ranges: Vec<_> = (0..2_500)
        .map(|offset| PackRange {
            pack: id,
            offset,
            length: 2,
        })
        .collect();
    let before = vault.remote().traffic().rpcs;
    let all = read(&*vault.remote(), &vault.id(), &ranges).unwrap();
    assert_eq!(all.len(), 5_000);
    assert_eq!(all[4_998..], bytes[2_499..2_501]);
    assert_eq!(vault.remote().traffic().rpcs - before, 3);
}

#[test]
fn refusals_say_why() {
    let hoster = Hoster::start();
    let (_device, vault) = Device::with_vault(&hoster);
    let remote = vault.remote();
    let (id, good) = bytes(&vault, 16 << 10);
    let mut flipped = good.to_vec();
    flipped[77] ^= 1;
    let reason = |result: Result<PutOutcome, RemoteError>| match result {
        Err(RemoteError::Refused(refusal)) => refusal.reason,
        other => panic!("{other:?}"),
    };
    let outcome = remote.put_pack(&vault.id(), &id, flipped.into());
    assert_eq!(reason(outcome), RefusalReason::HashMismatch);
    assert_eq!(
        remote.have_packs(&vault.id(), &[id]),
        Ok(vec![Presence::Absent])
    );

    let nowhere = VaultId::from_array([9; 32]);
    let outcome = remote.put_pack(&nowhere, &id, good.clone());
    assert_eq!(reason(outcome), RefusalReason::NotFound);
    let error = read(&*remote, &vault.id(), &[whole(id, 10)]).unwrap_err();
    assert_eq!(error, RemoteError::Misbehaved(Misbehaviour::PackMissing));
    let odd = good.slice(..5_000);
    let outcome = remote.put_pack(&vault.id(), &PackId::of(&odd), odd);
    assert_eq!(reason(outcome), RefusalReason::Malformed);
}

#[test]
fn a_full_quota_is_told_with_its_numbers() {
    let hoster = Hoster::start();
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), Pace::default());
    let invitation = hoster.invite(1 << 20);
    let (account, _) = Account::sign_up(&setup, &invitation, "a laptop").unwrap();
    let vault = account.create_vault("documents").unwrap();
    let (id, large) = bytes(&vault, 1 << 20);
    let error = vault
        .remote()
        .put_pack(&vault.id(), &id, large)
        .unwrap_err();
    assert_eq!(error.code(), ErrorCode::QuotaExceeded);
    let RemoteError::Refused(refusal) = error else {
        panic!("{error:?}")
    };
    assert_eq!(refusal.quota_bytes, 1 << 20);
    assert_eq!(refusal.used_bytes, 16_384);
}

#[test]
fn a_read_goes_on_where_the_line_broke() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let (id, sent) = bytes(&vault, 4 << 20);
    vault
        .remote()
        .put_pack(&vault.id(), &id, sent.clone())
        .unwrap();
    let account = device.reopened(&hoster, Pace::default());
    // More often than there are attempts: each brings something.
    for _ in 0..7 {
        hoster.relay.spoil_next(Line {
            breaks_after: Some(600 << 10),
            ..Line::default()
        });
    }
    let remote = account.remote();
    let all = read(&*remote, &vault.id(), &[whole(id, 4 << 20)]).unwrap();
    assert!(all == sent);
    // Nothing came twice but what was under way when a line broke.
    assert!(remote.traffic().received_bytes < 9 << 20);
    assert!(remote.traffic().rpcs >= 8);
}

#[test]
fn an_upload_is_repeated_after_the_line_broke() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let (id, sent) = bytes(&vault, 4 << 20);
    let account = device.reopened(&hoster, Pace::default());
    for _ in 0..2 {
        hoster.relay.spoil_next(Line {
            upload_breaks_after: Some(1 << 20),
            ..Line::default()
        });
    }
    let remote = account.remote();
    let outcome = remote.put_pack(&vault.id(), &id, sent.clone());
    assert_eq!(outcome, Ok(PutOutcome::Stored));
    let all = read(&*remote, &vault.id(), &[whole(id, 4 << 20)]).unwrap();
    assert!(all == sent);
}

#[test]
fn a_reader_that_has_enough_is_not_sent_more() {
    let hoster = Hoster::start();
    let (_device, vault) = Device::with_vault(&hoster);
    let (id, sent) = bytes(&vault, 16 << 20);
    let remote = vault.remote();
    remote.put_pack(&vault.id(), &id, sent).unwrap();
    let mut parts = 0;
    let ended = remote.read_packs(&vault.id(), &[whole(id, 16 << 20)], &mut |_| {
        parts += 1;
        ControlFlow::Break(())
    });
    assert_eq!((ended, parts), (Err(RemoteError::Cancelled), 1));
    // The connection is as good as before.
    let connections = hoster.relay.connections();
    remote.usage().unwrap();
    assert_eq!(hoster.relay.connections(), connections);
}

/// However long the line is: that much is sent before a word comes back. With windows
/// of 64 KiB, the default, it never would be.
#[test]
fn a_long_line_is_kept_full() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let remote = device.reopened(&hoster, Pace::default()).remote();
    let packs: Vec<_> = (0..4).map(|_| bytes(&vault, 8 << 20)).collect();
    remote.usage().unwrap();
    // On all streams of a connection.
    hoster.relay.await_up(12 << 20);
    std::thread::scope(|scope| {
        for (id, bytes) in &packs {
            scope.spawn(|| remote.put_pack(&vault.id(), id, bytes.clone()).unwrap());
        }
    });
    // On one.
    let ranges: Vec<_> = packs.iter().map(|(id, _)| whole(*id, 8 << 20)).collect();
    hoster.relay.await_down(3 << 20);
    let all = read(&*remote, &vault.id(), &ranges).unwrap();
    let sent = packs.iter().flat_map(|(_, bytes)| bytes.iter());
    assert!(all.iter().eq(sent));
}
