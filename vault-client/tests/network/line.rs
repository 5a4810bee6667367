//! A line that breaks, stalls, dribbles, and a hoster that restarts.

use std::io::Read;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::time::Duration;

use vault_client::account::VaultSelector;
use vault_client::error::ErrorCode;
use vault_client::remote::grpc::Pace;
use vault_client::remote::{PackRange, RemoteError};
use vault_client::vault::VaultError;
use vault_proto::ids::PackId;

use crate::support::hoster::{Device, Hoster, impatient};
use crate::support::relay::Line;
use crate::support::{commit, put_pack};

/// That patience ended it, and not the line. Without it, or with the patience that is
/// the default, a ping that nobody answers would have ended the connection first.
fn ran_out_of_patience(error: &RemoteError) -> bool {
    match error {
        RemoteError::Stalled => true,
        RemoteError::Unreachable { detail } => detail == "no connection in time",
        _ => false,
    }
}

#[test]
fn a_hoster_that_restarts_is_a_pause() {
    let mut hoster = Hoster::start();
    let (device, mut vault) = Device::with_vault(&hoster);
    hoster.stop();
    let error = vault.refresh().unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    assert!(error.is_transient());
    hoster.start_again();
    let before = device.account.remote().traffic().rpcs;
    vault.refresh().unwrap();
    // The login has outlived the server.
    assert_eq!(device.account.remote().traffic().rpcs - before, 1);
    commit(&mut vault);
}

#[test]
fn nobody_at_the_address_is_unreachable() {
    let mut hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    hoster.stop();
    let account = device.reopened(&hoster, Pace::default());
    let error = account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    assert_eq!(account.remote().traffic().rpcs, 0);
}

#[test]
fn a_line_that_breaks_now_and_then_is_no_error() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    for after in [0, 100, 3_000] {
        hoster.relay.spoil_next(Line {
            breaks_after: Some(after),
            ..Line::default()
        });
        let account = device.reopened(&hoster, Pace::default());
        let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
        vault.refresh().unwrap();
        commit(&mut vault);
    }
}

#[test]
fn a_line_that_always_breaks_is_unreachable() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    hoster.relay.spoil_all(Line {
        breaks_after: Some(100),
        ..Line::default()
    });
    let account = device.reopened(&hoster, Pace::default());
    let before = hoster.relay.connections();
    let error = account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    assert_eq!(hoster.relay.connections() - before, 3);
}

#[test]
fn silence_ends_every_call() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let id = put_pack(&vault);
    // In the handshake, in the login, in a call, in a stream.
    for after in [0, 1_000, 6_000] {
        hoster.relay.spoil_all(Line {
            stalls_after: Some(after),
            ..Line::default()
        });
        let remote = device.reopened(&hoster, impatient()).remote();
        let whole = PackRange {
            pack: id,
            offset: 0,
            length: 16_384,
        };
        let error = remote
            .read_packs(&vault.id(), &[whole], &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(ran_out_of_patience(&error), "{error:?}");
        let error = remote
            .watch_heads(&[vault.id()], &mut |_| ControlFlow::Continue(()))
            .unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        assert!(ran_out_of_patience(&error), "{error:?}");
    }
}

#[test]
fn an_upload_that_nobody_takes_ends() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    hoster.relay.spoil_all(Line {
        upload_stalls_after: Some(200 << 10),
        ..Line::default()
    });
    let remote = device.reopened(&hoster, impatient()).remote();
    let bytes = bytes::Bytes::from(vec![1; 16 << 20]);
    let ended = remote.put_pack(&vault.id(), &PackId::of(&bytes), bytes);
    assert_eq!(ended, Err(RemoteError::Stalled));
}

#[test]
fn a_dribble_ends() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let bytes = bytes::Bytes::from(vec![1; 1 << 20]);
    let id = PackId::of(&bytes);
    vault.remote().put_pack(&vault.id(), &id, bytes).unwrap();
    hoster.relay.spoil_all(Line {
        dribbles_after: Some((100 << 10, Duration::from_millis(1))),
        ..Line::default()
    });
    let remote = device.reopened(&hoster, impatient()).remote();
    let whole = PackRange {
        pack: id,
        offset: 0,
        length: 1 << 20,
    };
    let ended = remote.read_packs(&vault.id(), &[whole], &mut |_| ControlFlow::Continue(()));
    assert_eq!(ended, Err(RemoteError::Stalled));
}

#[test]
fn what_is_no_hoster_is_unreachable() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    hoster.relay.lead_to(listener.local_addr().unwrap());
    let chatter = std::thread::spawn(move || {
        for _ in 0..3 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut first = [0; 5];
            let _ = stream.read(&mut first);
            let _ = std::io::Write::write_all(&mut stream, b"SSH-2.0-OpenSSH_9.2\r\n");
        }
    });
    let account = device.reopened(&hoster, impatient());
    let error = account.vaults().err().unwrap();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable, "{error}");
    chatter.join().unwrap();
}

#[test]
fn an_interrupted_call_ends_at_once_and_the_next_one_works() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    hoster.relay.spoil_next(Line {
        stalls_after: Some(0),
        ..Line::default()
    });
    let account = device.reopened(&hoster, Pace::default());
    let remote = account.remote();
    let before = hoster.relay.connections();
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let waiting = std::thread::spawn(move || (vault.refresh(), vault));
    // It is interrupted as often as it takes to have begun.
    while !waiting.is_finished() {
        remote.interrupt();
        std::thread::yield_now();
    }
    let (ended, mut vault) = waiting.join().unwrap();
    assert!(
        matches!(ended, Err(VaultError::Remote(RemoteError::Cancelled))),
        "{ended:?}"
    );
    assert_eq!(ended.unwrap_err().code(), ErrorCode::Cancelled);
    // Nobody waited until the first had come to nothing: the second is a good one. It may
    // have been interrupted before there was any.
    assert!(hoster.relay.connections() - before <= 1);
    vault.refresh().unwrap();
}

#[test]
fn handles_may_be_dropped_anywhere() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    // In the middle of a task, where waiting for a runtime to end would panic.
    hoster.tokio().block_on(async move {
        drop(vault);
        drop(device);
    });
}

#[test]
fn threads_share_a_connection_and_a_login() {
    let hoster = Hoster::start();
    let (device, vault) = Device::with_vault(&hoster);
    let account = device.reopened(&hoster, Pace::default());
    let before = hoster.relay.connections();
    let remote = account.remote();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| remote.have_packs(&vault.id(), &[]).unwrap());
            scope.spawn(|| remote.usage().unwrap());
        }
    });
    assert_eq!(hoster.relay.connections() - before, 1);
    assert_eq!(remote.traffic().rpcs, 2 + 8, "nothing asked is no call");
}
