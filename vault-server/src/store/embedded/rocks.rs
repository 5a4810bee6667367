//! RocksDB: its tables, its memory, and how its errors read.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, Direction,
    ErrorKind, IteratorMode, LogLevel, Options, ReadOptions, WriteBatch, WriteBufferManager,
};

use super::{
    disk::{Disk, Sync},
    lock::DirectoryLock,
};

/// The one budget for all memtables, and the one cache for all blocks. With
/// what RocksDB needs besides, the server idles under 50 MB.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
const BLOCK_CACHE_BYTES: usize = 16 << 20;

/// A column family. Keys are listed beside each; ids are 32 bytes, numbers
/// eight, big endian, so that they sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    /// `"format"`: the version of everything here.
    Format,
    /// invitation hash
    Invitations,
    /// account
    Accounts,
    /// account, seq
    AccountLog,
    /// device: the account that named it last
    Devices,
    /// token hash
    Tokens,
    /// vault
    Vaults,
    /// vault, seq
    VaultLog,
    /// account, vault: whether it was accepted
    Members,
    /// vault, pack
    Packs,
    /// time, [`Due`](super::keys::Due), what it is: what the sweep looks at, and when
    Due,
    /// vault, seq
    Heads,
    /// vault, seq
    Roots,
    /// vault, seq: the packs that a head added and removed
    Changes,
    /// account, time, offer hash; the time at which it is dropped
    Offers,
    /// link
    Links,
    /// vault, link
    VaultLinks,
    /// link: the packs that it names, their ids end to end
    LinkPacks,
    /// vault, pack, link: a bit for each block
    LinkBlocks,
    /// ticket hash
    Tickets,
    /// link, time, ticket hash; the time at which it was made: 1 until it counts
    LinkTickets,
    /// vault, pack: packs too small for a file, whole
    SmallPacks,
    /// vault, pack: small packs that the ledger has not recorded yet
    Unrecorded,
}

impl Table {
    pub(super) const ALL: [Self; 23] = [
        Self::Format,
        Self::Invitations,
        Self::Accounts,
        Self::AccountLog,
        Self::Devices,
        Self::Tokens,
        Self::Vaults,
        Self::VaultLog,
        Self::Members,
        Self::Packs,
        Self::Due,
        Self::Heads,
        Self::Roots,
        Self::Changes,
        Self::Offers,
        Self::Links,
        Self::VaultLinks,
        Self::LinkPacks,
        Self::LinkBlocks,
        Self::Tickets,
        Self::LinkTickets,
        Self::SmallPacks,
        Self::Unrecorded,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Format => "default",
            Self::Invitations => "invitations",
            Self::Accounts => "accounts",
            Self::AccountLog => "account-log",
            Self::Devices => "devices",
            Self::Tokens => "tokens",
            Self::Vaults => "vaults",
            Self::VaultLog => "vault-log",
            Self::Members => "members",
            Self::Packs => "packs",
            Self::Due => "due",
            Self::Heads => "heads",
            Self::Roots => "roots",
            Self::Changes => "changes",
            Self::Offers => "offers",
            Self::Links => "links",
            Self::VaultLinks => "vault-links",
            Self::LinkPacks => "link-packs",
            Self::LinkBlocks => "link-blocks",
            Self::Tickets => "tickets",
            Self::LinkTickets => "link-tickets",
            Self::SmallPacks => "small-packs",
            Self::Unrecorded => "unrecorded",
        }
    }
}

/// An open database, shared by the ledger and the small packs.
#[derive(Clone)]
pub(super) struct Rocks(Arc<Inner>);

struct Inner {
    db: DB,
    disk: Arc<dyn Disk>,
    /// After the database, which is closed before it.
    _lock: DirectoryLock,
}

impl Rocks {
    pub(super) fn open(path: &Path, lock: DirectoryLock, disk: Arc<dyn Disk>) -> io::Result<Self> {
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);
        let families = Table::ALL
            .map(|table| ColumnFamilyDescriptor::new(table.name(), family_options(table, &cache)));
        let db = DB::open_cf_descriptors(&database_options(), path, families);
        let db = db.map_err(io_error)?;
        Ok(Self(Arc::new(Inner {
            db,
            disk,
            _lock: lock,
        })))
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        let family = self.0.db.cf_handle(table.name());
        family.expect("open created every family")
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> io::Result<Option<DBPinnableSlice<'_>>> {
        let mut options = ReadOptions::default();
        // Packs are read once; the cache is for what is asked again and again.
        options.fill_cache(table != Table::SmallPacks);
        let value = self
            .0
            .db
            .get_pinned_cf_opt(self.family(table), key, &options);
        value.map_err(io_error)
    }

    pub(super) fn get_all(
        &self,
        table: Table,
        keys: &[Vec<u8>],
    ) -> io::Result<Vec<Option<DBPinnableSlice<'_>>>> {
        let family = self.family(table);
        let values = self.0.db.batched_multi_get_cf(family, keys, false);
        values
            .into_iter()
            .map(|value| value.map_err(io_error))
            .collect()
    }

    /// Calls `visit` with the pairs from `from` on, in the order of the keys,
    /// until it returns false.
    pub(super) fn visit<E: From<io::Error>>(
        &self,
        table: Table,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let mut options = ReadOptions::default();
        options.fill_cache(table != Table::SmallPacks);
        let family = self.family(table);
        for pair in self.0.db.iterator_cf_opt(family, options, mode) {
            let (key, value) = pair.map_err(io_error)?;
            if !visit(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn batch(&self) -> Batch<'_> {
        Batch {
            rocks: self,
            batch: WriteBatch::default(),
        }
    }

    /// Makes durable all that was written before.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.disk.sync_ledger(&self.0.db)
    }

    /// How many rows a table has; reads every key.
    pub(super) fn count(&self, table: Table) -> io::Result<u64> {
        let mut count = 0;
        self.visit(table, &[], |_, _| {
            count += 1;
            Ok::<_, io::Error>(true)
        })?;
        Ok(count)
    }
}

/// Changes that are written all or nothing.
#[must_use]
pub(super) struct Batch<'a> {
    rocks: &'a Rocks,
    batch: WriteBatch,
}

impl Batch<'_> {
    pub(super) fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.batch.put_cf(self.rocks.family(table), key, value);
    }

    pub(super) fn delete(&mut self, table: Table, key: &[u8]) {
        self.batch.delete_cf(self.rocks.family(table), key);
    }

    pub(super) fn write(self, sync: Sync) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let Inner { db, disk, .. } = &*self.rocks.0;
        disk.write_batch(db, self.batch, sync)
    }
}

/// Locks by key: what has the same key never runs at the same time, what has
/// not seldom waits.
pub(super) struct Stripes([Mutex<()>; 64]);

impl Default for Stripes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Stripes {
    /// `key` begins with bytes that are as good as random: a hash.
    pub(super) fn lock(&self, key: &[u8; 32]) -> MutexGuard<'_, ()> {
        self.lock_stripe(self.stripe(key))
    }

    /// Locks several keys, in an order that all keep to.
    pub(super) fn lock_all<'k>(
        &self,
        keys: impl IntoIterator<Item = &'k [u8; 32]>,
    ) -> Vec<MutexGuard<'_, ()>> {
        let stripes = keys.into_iter().map(|key| self.stripe(key));
        let stripes: BTreeSet<_> = stripes.collect();
        let guards = stripes.into_iter().map(|stripe| self.lock_stripe(stripe));
        guards.collect()
    }

    fn stripe(&self, key: &[u8; 32]) -> usize {
        usize::from(key[0]) % self.0.len()
    }

    fn lock_stripe(&self, stripe: usize) -> MutexGuard<'_, ()> {
        let stripe = self.0[stripe].lock();
        stripe.unwrap_or_else(PoisonError::into_inner)
    }
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager(
        WRITE_BUFFER_BYTES,
        false,
    ));
    options.set_max_total_wal_size(64 << 20);
    options.set_max_open_files(256);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.set_manifest_preallocation_size(64 << 10);
    // A log that is missing a file in its middle is damage, not the end.
    options.set_track_and_verify_wals_in_manifest(true);
    // RocksDB's own log: two files of a megabyte, warnings only.
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

fn family_options(table: Table, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(5);
    if matches!(table, Table::Packs | Table::SmallPacks) {
        // Most packs that are asked for are not there yet.
        blocks.set_bloom_filter(10.0, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(if table == Table::SmallPacks {
        8 << 20
    } else {
        4 << 20
    });
    // Packs do not compress, and the rest is ids and signatures.
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options
}

/// RocksDB tells its errors in words.
pub(super) fn io_error(error: rocksdb::Error) -> io::Error {
    let kind = match error.kind() {
        ErrorKind::IOError if error.as_ref().contains("No space left") => {
            io::ErrorKind::StorageFull
        }
        ErrorKind::IOError if error.as_ref().contains("Disk quota") => io::ErrorKind::QuotaExceeded,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
