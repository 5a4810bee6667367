//! The whole way: sign up, create, commit, and see it again.

use vault_client::account::{Account, Standing, VaultSelector};
use vault_client::error::ErrorCode;
use vault_client::remote::grpc::Pace;
use vault_client::vault::CommitResult;
use vault_proto::ids::PackId;
use vault_server::Tls;

use crate::support::hoster::{Device, Hoster, impatient};
use crate::support::{commit, plan, put_pack};

#[test]
fn a_member_signs_up_and_commits() {
    let hoster = Hoster::start();
    let (device, mut vault) = Device::with_vault(&hoster);
    for seq in 2..6 {
        commit(&mut vault);
        assert_eq!(vault.head().unwrap().seq, seq);
    }
    let account = device.reopened(&hoster, Pace::default());
    let vaults = account.vaults().unwrap();
    assert_eq!(vaults.len(), 1);
    assert_eq!(vaults[0].standing, Standing::Listed);
    let mut again = account.open_vault(&VaultSelector::Only).unwrap();
    again.refresh().unwrap();
    assert_eq!(
        (again.head(), again.root().unwrap()),
        (vault.head(), vault.root().unwrap())
    );
    let usage = account.remote().usage().unwrap();
    // Five packs of the vault, one of the settings; the settings' first one is
    // in the trash.
    assert_eq!(usage.committed_bytes, 6 * 16_384);
    assert_eq!(usage.trash_bytes, 16_384);
}

#[test]
fn behind_a_proxy_on_this_machine_there_is_no_tls() {
    let hoster = Hoster::start_with(Tls::BehindProxy);
    let (device, vault) = Device::with_vault(&hoster);
    let account = device.reopened(&hoster, Pace::default());
    let mut again = account.open_vault(&VaultSelector::Only).unwrap();
    again.refresh().unwrap();
    assert_eq!(again.head(), vault.head());
}

#[test]
fn an_unchanged_backup_costs_five_calls_and_64_kilobytes() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    let account = device.reopened(&hoster, Pace::default());
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    commit(&mut vault);
    let traffic = account.remote().traffic();
    assert_eq!(traffic.rpcs, 5);
    let bytes = traffic.sent_bytes + traffic.received_bytes;
    assert!((16_384..64_000).contains(&bytes), "{traffic:?}");
}

#[test]
fn the_server_names_the_packs_it_misses() {
    let hoster = Hoster::start();
    let (_device, mut vault) = Device::with_vault(&hoster);
    let missing = PackId::from_array([7; 32]);
    let planned = plan(&vault, vec![put_pack(&vault), missing]);
    let result = vault.commit(planned).unwrap();
    assert_eq!(result, CommitResult::Missing(vec![missing]));
    commit(&mut vault);
    assert_eq!(vault.head().unwrap().seq, 2);
}

#[test]
fn a_lost_answer_is_found_out_at_a_real_hoster_too() {
    let hoster = Hoster::start();
    let (device, _) = Device::with_vault(&hoster);
    let account = device.reopened(&hoster, impatient());
    let mut vault = account.open_vault(&VaultSelector::Only).unwrap();
    let planned = plan(&vault, vec![put_pack(&vault)]);
    // The head arrives, and nothing comes back.
    hoster.relay.mute(true);
    let error = vault.commit(planned.clone()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::HosterUnreachable);
    hoster.relay.mute(false);
    let _lock = vault.lock().unwrap();
    vault.refresh().unwrap();
    assert_eq!(vault.root().unwrap(), &planned.root);
    assert_eq!(vault.head().unwrap().seq, 2);
}

#[test]
fn an_invitation_that_is_too_old_is_refused() {
    let hoster = Hoster::start();
    let invitation = hoster.invite(1 << 30);
    hoster.clock.forward(std::time::Duration::from_secs(7_200));
    let home = tempfile::tempdir().unwrap();
    let setup = hoster.setup(home.path(), Pace::default());
    let error = Account::sign_up(&setup, &invitation, "a laptop")
        .err()
        .unwrap();
    assert_eq!(error.code(), ErrorCode::InvitationExpired, "{error}");
    // Another one brings the same sign-up to its end.
    let invitation = hoster.invite(1 << 30);
    Account::sign_up(&setup, &invitation, "a laptop").unwrap();
}

#[test]
fn news_of_heads_arrive() {
    let hoster = Hoster::start();
    let (device, mut vault) = Device::with_vault(&hoster);
    let listener = device.reopened(&hoster, Pace::default()).remote();
    let id = vault.id();
    let (ready, wait) = std::sync::mpsc::sync_channel(16);
    let watching = std::thread::spawn({
        let listener = listener.clone();
        move || {
            listener.watch_heads(&[id], &mut |news| {
                ready.send(news).unwrap();
                std::ops::ControlFlow::Continue(())
            })
        }
    });
    // A stream that begins tells where the heads are, or begins before the
    // commits do not.
    let news = loop {
        commit(&mut vault);
        if let Ok(news) = wait.recv_timeout(std::time::Duration::from_millis(200)) {
            break news;
        }
    };
    assert_eq!(news.vault, id);
    assert!(news.head_seq >= 1);
    listener.interrupt();
    let ended = watching.join().unwrap();
    assert_eq!(ended, Err(vault_client::remote::RemoteError::Cancelled));
}
