//! The tables, and how an older database becomes a newer one.

use rusqlite::{Connection, TransactionBehavior};

use super::StateError;

/// One step a version, applied in order; released steps never change.
const STEPS: &[&str] = &[
    "
    -- The one account of this device.
    CREATE TABLE account (
        id            INTEGER PRIMARY KEY CHECK (id = 1),
        account       BLOB NOT NULL,
        vault         BLOB NOT NULL,    -- the account vault
        device        BLOB NOT NULL,
        device_name   TEXT NOT NULL,
        hoster        BLOB NOT NULL,
        origin        TEXT NOT NULL,
        tls_mode      INTEGER NOT NULL, -- coffre.v1.TlsMode
        tls_pin       BLOB NOT NULL,
        invitation    BLOB              -- its secret, until the sign-up is done
    );

    -- Verified entries of account logs and vault logs, and those that this
    -- device wrote itself.
    CREATE TABLE entry (
        log   BLOB NOT NULL,
        seq   INTEGER NOT NULL,
        entry BLOB NOT NULL,            -- coffre.v1.SignedEntry
        PRIMARY KEY (log, seq)
    ) WITHOUT ROWID;

    -- The accounts whose logs a vault's log refers to.
    CREATE TABLE vault_account (
        vault   BLOB NOT NULL,
        account BLOB NOT NULL,
        PRIMARY KEY (vault, account)
    ) WITHOUT ROWID;

    CREATE TABLE vault (
        id       BLOB PRIMARY KEY,
        kind     INTEGER NOT NULL,      -- coffre.v1.VaultKind
        hoster   BLOB NOT NULL,
        name     TEXT,                  -- as the account vault last said
        creating INTEGER NOT NULL       -- 1 until hoster and account vault know it
    ) WITHOUT ROWID;

    -- The newest head that was verified, with its sealed root.
    CREATE TABLE head (
        vault BLOB PRIMARY KEY,
        head  BLOB NOT NULL,
        root  BLOB NOT NULL,
        skips BLOB NOT NULL             -- hashes of the heads that it skips back to
    ) WITHOUT ROWID;

    -- A commit that this device has signed and not yet seen accepted.
    CREATE TABLE signed_commit (
        vault   BLOB PRIMARY KEY,
        seq     INTEGER NOT NULL,
        head    BLOB NOT NULL,
        root    BLOB NOT NULL,
        adds    BLOB NOT NULL,
        removes BLOB NOT NULL
    ) WITHOUT ROWID;

    -- Packs that were sealed, and that no head has claimed yet.
    CREATE TABLE pending_pack (
        vault    BLOB NOT NULL,
        pack     BLOB NOT NULL,
        number   INTEGER NOT NULL,      -- in the order they were sealed
        epoch    INTEGER NOT NULL,
        size     INTEGER NOT NULL,
        entries  BLOB NOT NULL,
        uploaded INTEGER NOT NULL,
        PRIMARY KEY (vault, pack)
    ) WITHOUT ROWID;
    CREATE UNIQUE INDEX pending_pack_order ON pending_pack (vault, number);
",
    "
    -- Vaults that members besides this one have been able to write to.
    CREATE TABLE common_vault (
        vault BLOB PRIMARY KEY
    ) WITHOUT ROWID;

    -- What this device has sealed in them.
    CREATE TABLE own_pack (
        vault   BLOB NOT NULL,
        pack    BLOB NOT NULL,
        epoch   INTEGER NOT NULL,
        size    INTEGER NOT NULL,
        entries BLOB NOT NULL,
        PRIMARY KEY (vault, pack)
    ) WITHOUT ROWID;
",
    "
    -- An entry of a log that this device has signed and not yet seen accepted.
    CREATE TABLE signed_entry (
        log   BLOB PRIMARY KEY,
        seq   INTEGER NOT NULL,
        entry BLOB NOT NULL             -- coffre.v1.SignedEntry
    ) WITHOUT ROWID;

    -- Accounts and vaults of which it is not known whether what was seen is the
    -- newest, because this device began without a memory.
    CREATE TABLE doubted (
        log      BLOB PRIMARY KEY,
        own_head INTEGER                -- the first that this device made since
    ) WITHOUT ROWID;

    -- Heads that were seen on the way to the newest, by their place.
    CREATE TABLE seen_head (
        vault BLOB NOT NULL,
        seq   INTEGER NOT NULL,
        hash  BLOB NOT NULL,
        PRIMARY KEY (vault, seq)
    ) WITHOUT ROWID;
",
    "
    -- A pairing or a recovery that this device has begun and not finished.
    CREATE TABLE joining (
        id           INTEGER PRIMARY KEY CHECK (id = 1),
        origin       TEXT NOT NULL,
        device_name  TEXT NOT NULL,
        began        INTEGER NOT NULL,  -- seconds since 1970
        introduction BLOB,              -- the messages of a pairing, sealed
        proposal     BLOB,
        signature    BLOB,
        entry        BLOB               -- of a recovery: coffre.v1.SignedEntry
    );

    -- What another device has said of vaults, until it has been held against
    -- what their hosters show.
    CREATE TABLE told (
        vault     BLOB PRIMARY KEY,
        hoster    BLOB NOT NULL,
        seq       INTEGER NOT NULL,     -- of the vault log
        hash      BLOB NOT NULL,
        head_seq  INTEGER,
        head_hash BLOB
    ) WITHOUT ROWID;

    -- What this device has proposed to new ones that it brings in.
    CREATE TABLE proposal (
        name    BLOB PRIMARY KEY,
        message BLOB NOT NULL           -- sealed
    ) WITHOUT ROWID;

    -- Where the account's hosters are, as its settings last said.
    CREATE TABLE hoster (
        id       BLOB PRIMARY KEY,
        origin   TEXT NOT NULL,
        tls_mode INTEGER NOT NULL,      -- coffre.v1.TlsMode
        tls_pin  BLOB NOT NULL
    ) WITHOUT ROWID;
",
    "
    -- Heads that a hoster has lost, while they are brought back; of the newest,
    -- all of it.
    CREATE TABLE lost_head (
        vault BLOB NOT NULL,
        seq   INTEGER NOT NULL,
        hash  BLOB NOT NULL,
        head  BLOB,
        root  BLOB,
        PRIMARY KEY (vault, seq)
    ) WITHOUT ROWID;

    -- Entries of vault logs, likewise.
    CREATE TABLE lost_entry (
        vault BLOB NOT NULL,
        seq   INTEGER NOT NULL,
        entry BLOB NOT NULL,
        PRIMARY KEY (vault, seq)
    ) WITHOUT ROWID;
",
    "
    -- How much of the account's log a hoster has taken where the account is a
    -- guest.
    CREATE TABLE brought (
        hoster BLOB PRIMARY KEY,
        seq    INTEGER NOT NULL         -- its newest entry there
    ) WITHOUT ROWID;
",
    "
    -- Which devices of the account the member was last shown here.
    CREATE TABLE shown_devices (
        one  INTEGER PRIMARY KEY CHECK (one = 1),
        seq  INTEGER NOT NULL,          -- entry of the account's log
        time INTEGER NOT NULL           -- seconds since 1970
    );
",
];

/// Brings a database up to the newest version.
pub(super) fn migrate(database: &mut Connection) -> Result<(), StateError> {
    let known = u32::try_from(STEPS.len()).expect("there are few steps");
    // Without a transaction, which would wait for whoever writes.
    let found: u32 = database.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found == known {
        return Ok(());
    }
    let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > known {
        return Err(StateError::TooNew { found, known });
    }
    for step in &STEPS[found as usize..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
pub(super) fn dump(database: &Connection) -> Vec<String> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = database.prepare(tables).unwrap();
    let names: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut lines = Vec::new();
    for name in names {
        let mut rows = database.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = rows.column_count();
        let found = rows
            .query_map([], |row| {
                let values: Vec<_> = (0..columns)
                    .map(|i| format!("{:?}", row.get_ref(i).unwrap()))
                    .collect();
                Ok(format!("{name}: {}", values.join(" | ")))
            })
            .unwrap();
        lines.extend(found.map(Result::unwrap));
    }
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_opens_while_another_process_writes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let mut writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        migrate(&mut writer).unwrap();
        let _writing = writer
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .unwrap();
        let mut reader = Connection::open(&path).unwrap();
        reader.busy_timeout(std::time::Duration::ZERO).unwrap();
        migrate(&mut reader).unwrap();
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let mut database = Connection::open_in_memory().unwrap();
        migrate(&mut database).unwrap();
        migrate(&mut database).unwrap();
        database.pragma_update(None, "user_version", 900).unwrap();
        let refused = migrate(&mut database);
        assert!(
            matches!(refused, Err(StateError::TooNew { found: 900, .. })),
            "{refused:?}"
        );
    }
}
