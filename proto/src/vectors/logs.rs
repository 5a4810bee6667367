//! Account logs and vault logs.

use super::json::Json;
use crate::account_log::{AccountLog, tests as accounts};
use crate::testing::{TestAccount, TestVault};
use crate::vault_log::{Role, VaultLog, tests as vaults};
use crate::wire::SignedEntry;

pub(super) fn account_logs() -> Json {
    let cast = accounts::Cast::new();
    let mut account = cast.account.clone();
    account.append(account.rename(&cast.phone), &[]);
    account.append_by_paper(account.moved());
    let log = &account.log;
    let cases = accounts::cases();
    // 17 devices in hexadecimal are not worth their bytes.
    let cases = cases
        .iter()
        .filter(|case| case.entry.payload.len() < 20_000);
    let refused = cases.map(|case| {
        let after = Json::Number(case.after as u64);
        refused(case.name, after, Json::error(&case.error), &case.entry)
    });
    Json::Object(vec![
        (
            "about",
            Json::text(
                "An account log; what it means after each of its entries; and entries that are \
                 refused when `after` entries of the log stand before them (0: as a genesis). `papers` \
                 is another log, with those of its papers that may remove papers and move the log. \
                 Boxes, names and account keys are filler: nothing opens them.",
            ),
        ),
        ("log", Json::entries(log.entries())),
        ("id", Json::hex(log.id().as_bytes())),
        (
            "states",
            Json::list((1..=6).map(|seq| account_state(log, seq))),
        ),
        ("home", Json::hex(log.home().as_bytes())),
        ("home_origin", Json::text("elsewhere.example:443")),
        ("refused", Json::list(refused)),
        ("papers", papers()),
    ])
}

/// Who may remove papers.
fn papers() -> Json {
    let cast = accounts::PaperCast::new();
    let log = &cast.account.log;
    let rooted = log.devices().filter(|record| record.is_rooted);
    let cases = cast.cases();
    let cases = cases.iter().map(|case| {
        let after = Json::Number(case.after as u64);
        refused(case.name, after, Json::error(&case.error), &case.entry)
    });
    Json::Object(vec![
        ("log", Json::entries(log.entries())),
        (
            "rooted_papers",
            Json::list(rooted.map(|record| Json::hex(record.public.id().as_bytes()))),
        ),
        ("refused", Json::list(cases)),
    ])
}

fn account_state(log: &AccountLog, seq: u64) -> Json {
    let active = log.active_devices_at(seq).map(|record| {
        let id = record.public.id();
        Json::hex(id.as_bytes())
    });
    let key = log.account_key_at(seq).unwrap();
    Json::Object(vec![
        ("seq", Json::Number(seq)),
        ("hash", Json::hex(log.hash_at(seq).unwrap().as_bytes())),
        ("active_devices", Json::list(active)),
        ("generation", Json::Number(key.generation)),
    ])
}

pub(super) fn vault_logs() -> Json {
    let cast = vaults::Cast::new();
    let mut full = cast.due.clone();
    let rotate = full.rotate(&cast.members());
    full.append(&cast.bob_renewed, rotate, &cast.logs);
    full.head = Some(vaults::head_at(9));
    for (author, body) in [
        (&cast.alice, TestVault::change(&cast.carol, Role::Manager)),
        (&cast.dan, TestVault::accept()),
        (&cast.carol, TestVault::remove(&cast.dan)),
        (&cast.alice, TestVault::leave()),
    ] {
        full.append(author, body, &cast.logs);
    }
    full.append_by_paper(&cast.carol, TestVault::moved(), &cast.logs);
    let log = &full.log;

    let cases = vaults::cases(&cast);
    let refused = cases.iter().map(|case| {
        let after = match case.after {
            vaults::After::Nothing => Json::list([]),
            vaults::After::Calm => log_name("log", cast.calm.log.entries()),
            vaults::After::Due => log_name("log", cast.due.log.entries()),
            vaults::After::Account => log_name("account_vault", cast.account.log.entries()),
        };
        refused(case.name, after, Json::error(&case.error), &case.entry)
    });
    let accounts = cast.logs.values();
    Json::Object(vec![
        (
            "about",
            Json::text(
                "Account logs; a vault log and an account vault's that refer to them; what the vault \
                 log means after each of its entries; and entries that are refused after the named \
                 number of entries of one of the two ([]: as a genesis). `moves` is another vault log, \
                 of the account of `papers` in account_logs.json, with moves that are accepted and \
                 refused after it. Heads are only named here. Boxes and commitments are filler.",
            ),
        ),
        (
            "account_logs",
            Json::list(accounts.map(|log| Json::entries(log.entries()))),
        ),
        ("log", Json::entries(log.entries())),
        ("account_vault", Json::entries(cast.account.log.entries())),
        ("id", Json::hex(log.id().as_bytes())),
        (
            "states",
            Json::list((1..=log.position().seq).map(|seq| vault_state(&cast, log, seq))),
        ),
        (
            "earliest_position_for_head",
            Json::list((0..12).map(|seq| Json::Number(log.earliest_position_for_head(seq)))),
        ),
        ("refused", Json::list(refused)),
        ("moves", moves()),
    ])
}

/// Who may move a vault.
fn moves() -> Json {
    let cast = vaults::MoveCast::new();
    let log = &cast.vault.log;
    let after = || Json::Number(log.position().seq);
    let refused = cast.refused();
    let refused = refused
        .iter()
        .map(|(name, entry, error)| self::refused(name, after(), Json::error(error), entry));
    Json::Object(vec![
        (
            "account_log",
            Json::entries(cast.paula.account.log.entries()),
        ),
        ("log", Json::entries(log.entries())),
        (
            "accepted",
            Json::list(cast.accepted().iter().map(Json::entry)),
        ),
        ("refused", Json::list(refused)),
    ])
}

fn log_name(name: &str, entries: &[SignedEntry]) -> Json {
    Json::list([Json::text(name), Json::Number(entries.len() as u64)])
}

fn vault_state(cast: &vaults::Cast, log: &VaultLog, seq: u64) -> Json {
    let mut accounts: Vec<&TestAccount> = cast.members().to_vec();
    accounts.sort_by_key(|account| account.id());
    let members = accounts.into_iter().filter_map(|account| {
        let id = account.id();
        let state = log.role_at(&id, seq)?;
        Some(Json::Object(vec![
            ("account", Json::hex(id.as_bytes())),
            ("role", Json::text(format!("{:?}", state.role))),
            ("accepted", Json::Bool(state.accepted)),
            (
                "recorded_seq",
                Json::Number(log.known_position_at(&id, seq).unwrap().seq),
            ),
        ]))
    });
    Json::Object(vec![
        ("seq", Json::Number(seq)),
        ("hash", Json::hex(log.hash_at(seq).unwrap().as_bytes())),
        ("members", Json::list(members)),
        ("epoch", Json::Number(log.epoch_at(seq).unwrap().number)),
        ("rotation_due", Json::Bool(log.rotation_due_at(seq))),
    ])
}

fn refused(name: &str, after: Json, error: Json, entry: &SignedEntry) -> Json {
    Json::Object(vec![
        ("name", Json::text(name)),
        ("after", after),
        ("error", error),
        ("entry", Json::entry(entry)),
    ])
}
