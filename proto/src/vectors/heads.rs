//! Heads and paths.

use super::json::Json;
use crate::head::tests::{Cast, cases};
use crate::head::{HeadError, SIGNED_HEAD_BYTES, UnverifiedHead, skip_path, skip_seq};

pub(super) fn heads() -> Json {
    let cast = Cast::new();
    let accepted = [
        cast.next(&cast.alice, |_| {}),
        cast.next(&cast.bob, |head| {
            head.reconciled = Some(crate::ids::HeadHash::from_array([9; 32]));
        }),
    ];
    let refused = cases(&cast).into_iter().map(|case| {
        let log = if case.due { &cast.due } else { &cast.vault };
        Json::Object(vec![
            ("name", Json::text(case.name)),
            ("vault_entries", Json::Number(log.log.position().seq)),
            ("error", Json::error(&case.error)),
            ("head", Json::hex(case.head.to_bytes())),
        ])
    });
    let paths = [(12, 0), (12, 5), (13, 1), (5, 4), (4, 4), (100_000, 65_537)];
    let paths = paths.map(|(newest, known)| {
        let path = skip_path(newest, known).into_iter();
        Json::Object(vec![
            ("newest", Json::Number(newest)),
            ("known", Json::Number(known)),
            ("heads", Json::list(path.map(Json::Number))),
        ])
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Account logs, a vault log, and its first six heads. Each accepted and each refused \
                 head is offered as the next one to who has seen those six, and the first \
                 `vault_entries` entries of the vault log. skip_seq lists where heads 1 to 16 skip \
                 to; paths, which heads to send to who knows `known`.",
            ),
        ),
        (
            "account_logs",
            Json::list(cast.logs.values().map(|log| Json::entries(log.entries()))),
        ),
        ("vault_log", Json::entries(cast.due.log.entries())),
        (
            "heads",
            Json::list(cast.heads.heads.iter().map(|head| {
                Json::Object(vec![
                    ("head", Json::hex(head.to_bytes())),
                    ("hash", Json::hex(head.hash().as_bytes())),
                ])
            })),
        ),
        (
            "accepted",
            Json::list(accepted.iter().map(|head| {
                let claims = head.claims();
                Json::Object(vec![
                    ("vault_entries", Json::Number(6)),
                    ("head", Json::hex(head.to_bytes())),
                    ("hash", Json::hex(head.hash().as_bytes())),
                    (
                        "root_associated_data",
                        Json::hex(claims.to_root_associated_data()),
                    ),
                ])
            })),
        ),
        ("refused", Json::list(refused)),
        ("undecodable", Json::list(undecodable(&accepted[0]))),
        (
            "skip_seq",
            Json::list((1..=16).map(|seq| Json::Number(skip_seq(seq)))),
        ),
        ("paths", Json::list(paths)),
    ])
}

fn undecodable(head: &UnverifiedHead) -> Vec<Json> {
    let bytes = head.to_bytes();
    let changed = |change: fn(&mut [u8; SIGNED_HEAD_BYTES])| {
        let mut bytes = bytes;
        change(&mut bytes);
        bytes.to_vec()
    };
    [
        ("one byte short", bytes[..455].to_vec()),
        ("one byte long", [&bytes[..], &[0]].concat()),
        ("another version", changed(|bytes| bytes[7] = b'2')),
        ("number 0", changed(|bytes| bytes[40] = 0)),
        ("vault log position 0", changed(|bytes| bytes[112] = 0)),
        ("account log position 0", changed(|bytes| bytes[216] = 0)),
        ("epoch 0", changed(|bytes| bytes[256] = 0)),
        (
            "no head before the seventh",
            changed(|bytes| bytes[48..80].fill(0)),
        ),
        (
            "no head to skip to",
            changed(|bytes| bytes[80..112].fill(0)),
        ),
        ("a head before the first", changed(|bytes| bytes[40] = 1)),
        ("a skip past the first", changed(|bytes| bytes[40] = 8)),
        ("two hashes for one head", changed(|bytes| bytes[80] ^= 1)),
    ]
    .map(|(name, bytes)| {
        let error: HeadError = UnverifiedHead::decode(&bytes).unwrap_err();
        Json::Object(vec![
            ("name", Json::text(name)),
            ("head", Json::hex(&bytes)),
            ("error", Json::error(&error)),
        ])
    })
    .to_vec()
}
