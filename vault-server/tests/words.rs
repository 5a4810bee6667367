//! What cannot be read is refused in words, over TLS as everything is.

use std::num::NonZeroU32;

use vault_rpc::hoster::Reason;
use vault_server::Config;

use crate::support::{TestServer, assert_refused, call, methods};

/// Calls that ask nothing.
const HAS_NO_FIELDS: [&str; 3] = ["ListVaults", "Usage", "ListOffers"];

/// Whether these are fields, of whatever message.
fn is_well_formed(message: &[u8]) -> bool {
    message == [0x08, 0x01]
}

#[tokio::test]
async fn a_damaged_request_is_refused_in_words() {
    // Of calls without a token there are more than a stranger has.
    let many = |config: &mut Config| config.limits.rates.strangers.burst = NonZeroU32::MAX;
    let server = TestServer::start_with(many).await;
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
    let methods = methods();
    assert!(methods.len() >= 27, "{}", methods.len());
    for method in methods {
        let name = &method.name;
        for message in damaged {
            // To a message without fields, a field of any type is an unknown one.
            let is_read = HAS_NO_FIELDS.contains(&&name[..]) && is_well_formed(message);
            let answer = call(&channel, name, tokio_stream::once(message.to_vec())).await;
            match is_read {
                true => assert_refused(answer, Reason::Unauthenticated),
                false => assert_refused(answer, Reason::Malformed),
            }
        }
        let long = tokio_stream::once(vec![0; 2 << 20]);
        assert_refused(call(&channel, name, long).await, Reason::TooLarge);
        if !method.takes_a_stream {
            let none = call(&channel, name, tokio_stream::empty()).await;
            assert_refused(none, Reason::Malformed);
        }
    }
    // The connection is as good as before.
    let member = crate::support::Member::sign_up(&server, &invitation).await;
    assert!(!member.token.is_empty());
}
