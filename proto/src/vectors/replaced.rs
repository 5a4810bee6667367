//! Heads in the place of one that entries of the vault log pin (H15).

use super::json::Json;
use crate::head::tests::replacements;

pub(super) fn heads() -> Json {
    let (cast, cases) = replacements();
    let accounts = [&cast.alice, &cast.bob, &cast.carol, &cast.dan, &cast.eve];
    let logs = accounts.map(|account| Json::entries(account.log.entries()));
    let fourth = Json::hex(cast.heads.at(4).to_bytes());
    let cases = cases.iter().map(|case| {
        let error = case.error.as_ref();
        Json::Object(vec![
            ("name", Json::text(case.name)),
            ("vault_log", Json::entries(case.vault.log.entries())),
            ("head", Json::hex(case.head.to_bytes())),
            ("error", error.map_or(Json::text(""), Json::error)),
        ])
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Account logs; the fourth head of a vault; and cases of a sixth head that takes the \
                 place of another one, which entries of the `vault_log` pin. Each is in order by H1 \
                 to H13 for whoever knows the vault log and sees it for the first time, by the path \
                 of it and the fourth. `error` says which part of H15 keeps what it points at from \
                 being read, nothing where it may be read.",
            ),
        ),
        ("account_logs", Json::list(logs)),
        ("fourth", fourth),
        ("cases", Json::list(cases)),
    ])
}
