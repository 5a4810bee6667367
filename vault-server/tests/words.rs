//! What cannot be read is refused in words, over TLS as everything is.

use vault_rpc::hoster::Reason;

use crate::support::{TestServer, assert_refused, call};

#[tokio::test]
async fn a_damaged_request_is_refused_in_words() {
    let server = TestServer::start().await;
    let invitation = server.invite(1000).await;
    let channel = server.dial(&invitation).await.channel;
    let damaged: [&[u8]; 4] = [
        // No field begins like this;
        &[0xff; 20],
        // a field that is longer than the message;
        &[0x0a, 0x20, 1, 2, 3],
        // field 1 as a number, where bytes are expected;
        &[0x08, 0x01],
        // and a length without an end.
        &[
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ],
    ];
    let methods = [
        "Hello",
        "Login",
        "CreateAccount",
        "AppendAccountEntry",
        "CreateVault",
        "AppendVaultEntry",
        "SyncVault",
        "WatchHeads",
        "HavePacks",
        "PutPack",
        "ReadPacks",
        "CommitHead",
    ];
    for method in methods {
        for message in damaged {
            let answer = call(&channel, method, tokio_stream::once(message.to_vec())).await;
            assert_refused(answer, Reason::Malformed);
        }
        let long = tokio_stream::once(vec![0; 2 << 20]);
        assert_refused(call(&channel, method, long).await, Reason::TooLarge);
        if method != "PutPack" {
            let none = call(&channel, method, tokio_stream::empty()).await;
            assert_refused(none, Reason::Malformed);
        }
    }
    // The connection is as good as before.
    let member = crate::support::Member::sign_up(&server, &invitation).await;
    assert!(!member.token.is_empty());
}
