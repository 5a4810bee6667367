//! What people may type, and what stands where something is signed or stored.

use std::fmt::Debug;

use super::json::Json;
use crate::address::{Address, fingerprint};
use crate::ids::AccountId;
use crate::origin::Origin;
use crate::testing::filler_32;

pub(super) fn spellings() -> Json {
    let right = fingerprint(&AccountId::from_array(filler_32("account")));
    let origins = [
        "coffre.example:443",
        "Coffre.example:443",
        "192.0.2.7:1",
        "[2001:db8::1]:8443",
        "[2001:DB8::1]:8443",
        "[2001:db8:0::1]:8443",
        "[2001:db8:0:0:0:0:0:1]:8443",
    ];
    let origins = origins.map(|typed| {
        let spelled = Origin::parse(typed).unwrap();
        spelling(typed, spelled.as_str(), &Origin::parse_exact(typed))
    });
    let addresses = [
        format!("alice@coffre.example:443#{right}"),
        format!("Zoé.D-2@[2001:db8::1]:8443#{right}"),
        format!("alice@Coffre.example:443#{right}"),
        format!("alice@[2001:DB8::1]:443#{right}"),
        format!("alice@coffre.example:443#{}", right.to_uppercase()),
        format!(" alice@coffre.example:443#{right}"),
        format!("alice@coffre.example:443#{right}\n"),
    ];
    let addresses = addresses.map(|typed| {
        let spelled = Address::parse(&typed).unwrap().to_string();
        spelling(&typed, &spelled, &Address::parse_exact(&typed))
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "What people may type; its one spelling; and what is said where something that is \
                 signed or stored has it as it was typed, nothing where that is the one spelling.",
            ),
        ),
        ("origins", Json::list(origins)),
        ("addresses", Json::list(addresses)),
    ])
}

fn spelling<T, E: Debug>(typed: &str, spelled: &str, exact: &Result<T, E>) -> Json {
    Json::Object(vec![
        ("text", Json::text(typed)),
        ("spelled", Json::text(spelled)),
        ("error", Json::told(exact)),
    ])
}
