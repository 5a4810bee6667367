//! The cache's database.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};

use super::record::{CachedDirectory, DirectoryRecord, directories_in};
use crate::files::handle::lock;

/// Changes whenever the tables or the layout of a row do: another version's
/// cache is thrown away.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
    DROP TABLE IF EXISTS directories;
    CREATE TABLE directories (
        series BLOB NOT NULL,
        path BLOB NOT NULL,
        head_seq INTEGER NOT NULL,
        listing BLOB NOT NULL,
        UNIQUE (series, path)
    ) STRICT;";

/// Longer paths are not cached. They are rare, and each level of a deep tree
/// repeats all of those above.
const MAX_PATH: usize = 4096;

/// How long a store waits for another process's.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cache of what earlier backups saved: any number of threads and
/// processes may use it at once.
///
/// It knows paths and sizes, as the device itself does, so only the user may
/// read it.
#[derive(Debug)]
pub struct StatCache {
    path: PathBuf,
    idle: Mutex<Idle>,
}

#[derive(Debug, Default)]
struct Idle {
    connections: Vec<Connection>,
    // Counts how often the database was thrown away.
    generation: u64,
}

impl StatCache {
    /// The cache in the database at `path`, which is made if there is none and
    /// thrown away if it is damaged or of another version.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        let cache = Self {
            path: path.to_owned(),
            idle: Mutex::default(),
        };
        cache.with(|_| Ok(()));
        cache
    }

    /// The directory as the newest stored backup of a series saved it.
    #[must_use]
    pub fn load_directory(&self, series: &[u8; 16], path: &[u8]) -> Option<CachedDirectory> {
        if path.len() > MAX_PATH {
            return None;
        }
        let row = self.with(|connection| {
            connection
                .prepare_cached(
                    "SELECT head_seq, listing FROM directories WHERE series = ?1 AND path = ?2",
                )?
                .query_row(params![series, path], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
                })
                .optional()
        });
        let (head_seq, blob) = row??;
        CachedDirectory::decode(series, path, head_seq.cast_unsigned(), blob)
    }

    /// Puts directories into the cache, all or none. What was cached of
    /// directories that are not in them any more is forgotten.
    pub fn store(&self, series: &[u8; 16], records: Vec<DirectoryRecord>) {
        let rows: Vec<_> = records
            .into_iter()
            .filter(|record| record.path.len() <= MAX_PATH)
            .map(|record| {
                let (path, head_seq) = (record.path.clone(), record.head_seq);
                (path, head_seq.cast_signed(), record.into_blob(series))
            })
            .collect();
        self.with(|connection| {
            // One that began by reading could not wait for another's write.
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for (path, head_seq, blob) in &rows {
                forget_vanished(&transaction, series, path, blob)?;
                transaction
                    .prepare_cached(
                        "INSERT INTO directories (series, path, head_seq, listing)
                         VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (series, path)
                         DO UPDATE SET head_seq = ?3, listing = ?4",
                    )?
                    .execute(params![series, path, head_seq, blob])?;
            }
            transaction.commit()
        });
    }

    /// Forgets a series.
    pub fn forget(&self, series: &[u8; 16]) {
        self.with(|connection| {
            connection.execute("DELETE FROM directories WHERE series = ?1", params![series])
        });
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.with(|connection| connection.execute("DELETE FROM directories", params![]));
    }

    /// Lends a connection. A database that proves damaged is thrown away, and
    /// the call made once more on a new one; any other error leaves nothing.
    fn with<R>(&self, call: impl Fn(&mut Connection) -> rusqlite::Result<R>) -> Option<R> {
        for _ in 0..2 {
            let (generation, taken) = {
                let mut idle = lock(&self.idle);
                (idle.generation, idle.connections.pop())
            };
            let result = taken
                .map_or_else(|| connect(&self.path), Ok)
                .and_then(|mut connection| Ok((call(&mut connection)?, connection)));
            match result {
                Ok((value, connection)) => {
                    let mut idle = lock(&self.idle);
                    if idle.generation == generation {
                        idle.connections.push(connection);
                    }
                    return Some(value);
                }
                Err(error) if is_damage(&error) => self.throw_away(generation),
                Err(_) => return None,
            }
        }
        None
    }

    fn throw_away(&self, generation: u64) {
        let mut idle = lock(&self.idle);
        if idle.generation != generation {
            // Another thread was faster.
            return;
        }
        idle.connections.clear();
        idle.generation += 1;
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            // If it cannot be removed it stays damaged, and nothing is cached.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Made here, because SQLite would let everybody read it. Its log takes
    // after it. Whether this works shows when SQLite opens it.
    let _ = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path);
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A crash of the machine may lose the newest rows, and damages none.
    connection.pragma_update(None, "synchronous", "normal")?;
    // Two processes may find an old cache at the same time; one throws it away.
    if version_of(&connection)? != SCHEMA_VERSION {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version_of(&transaction)? != SCHEMA_VERSION {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        transaction.commit()?;
    }
    Ok(connection)
}

fn version_of(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    match error.sqlite_error_code() {
        Some(code) => matches!(
            code,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch
        ),
        // A column of another type than this version gave it.
        None => matches!(
            error,
            rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)
        ),
    }
}

/// Forgets the directories beneath `path` that its new listing lacks.
fn forget_vanished(
    connection: &Connection,
    series: &[u8; 16],
    path: &[u8],
    new: &[u8],
) -> rusqlite::Result<()> {
    // Both listings may be those of a million files, which nobody asks for here.
    let old = connection
        .prepare_cached("SELECT listing FROM directories WHERE series = ?1 AND path = ?2")?
        .query_row(params![series, path], |row| {
            let names = directories_in(series, path, row.get_ref(0)?.as_blob()?);
            Ok(names.map(|names| names.into_iter().map(<[u8]>::to_vec).collect::<Vec<_>>()))
        })
        .optional()?;
    let (Some(old), Some(new)) = (old.flatten(), directories_in(series, path, new)) else {
        return Ok(());
    };
    for name in old {
        if new.binary_search(&&name[..]).is_ok() {
            continue;
        }
        let mut gone = path.to_vec();
        if gone != b"/" {
            gone.push(b'/');
        }
        gone.extend_from_slice(&name);
        // The next byte after the slash ends what is beneath.
        let (mut first, mut end) = (gone.clone(), gone.clone());
        first.push(b'/');
        end.push(b'/' + 1);
        connection
            .prepare_cached(
                "DELETE FROM directories WHERE series = ?1
                 AND (path = ?2 OR (path >= ?3 AND path < ?4))",
            )?
            .execute(params![series, gone, first, end])?;
    }
    Ok(())
}
