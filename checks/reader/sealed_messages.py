"""The schemas of `sealed.proto` and `link.proto`: what is only ever stored sealed."""

from .messages import DEVICE_PUBLIC, POSITION, many, one
from .wire import Message

PACK_FOOTER = Message(
    "PackFooter",
    one(1, "kinds", "bytes"),
    one(2, "chunk_ids", "bytes"),
    many(3, "sealed_lengths", "uint32"),
)
LOCATED = Message(
    "Located",
    one(1, "chunk_id", "bytes"),
    one(2, "pack", "bytes"),
    one(3, "epoch", "uint64"),
    one(4, "offset", "uint32"),
    one(5, "sealed_length", "uint32"),
    one(6, "sealed_hash", "bytes"),
    one(7, "pack_size", "uint32"),
)
PACK_ROW = Message(
    "PackRow", one(1, "pack", "bytes"), one(2, "epoch", "uint64"), one(3, "size", "uint32")
)
INDEX_SEGMENT = Message(
    "IndexSegment",
    many(1, "packs", PACK_ROW),
    one(2, "chunk_ids", "bytes"),
    one(3, "kinds", "bytes"),
    many(4, "rows", "uint32"),
    many(5, "offsets", "uint32"),
    many(6, "sealed_lengths", "uint32"),
)
STREAM = Message(
    "Stream",
    one(1, "length", "uint64"),
    one(2, "depth", "uint32"),
    one(3, "chunk_ids", "bytes"),
    many(4, "lengths", "uint32"),
)
TIMESTAMP = Message("Timestamp", one(1, "seconds", "sint64"), one(2, "nanoseconds", "uint32"))
EXTENDED_ATTRIBUTE = Message(
    "ExtendedAttribute", one(1, "name", "bytes"), one(2, "value", "bytes")
)
HOLE = Message("Hole", one(1, "offset", "uint64"), one(2, "length", "uint64"))
NODE = Message(
    "Node",
    one(1, "name", "bytes"),
    one(2, "kind", "enum"),
    one(3, "mode", "uint32"),
    one(4, "modified", TIMESTAMP),
    one(5, "uid", "uint32"),
    one(6, "gid", "uint32"),
    one(7, "user", "bytes"),
    one(8, "group", "bytes"),
    many(9, "xattrs", EXTENDED_ATTRIBUTE),
    one(10, "content", STREAM),
    one(11, "size", "uint64"),
    many(12, "holes", HOLE),
    one(13, "symlink_target", "bytes"),
    one(14, "device_major", "uint32"),
    one(15, "device_minor", "uint32"),
    one(16, "hard_link", "bytes"),
    one(17, "node_id", "bytes"),
)
TOTALS = Message(
    "Totals",
    one(1, "files", "uint64"),
    one(2, "directories", "uint64"),
    one(3, "others", "uint64"),
    one(4, "bytes", "uint64"),
)
SNAPSHOT = Message(
    "Snapshot",
    one(1, "series", "bytes"),
    one(2, "started", TIMESTAMP),
    one(3, "finished", TIMESTAMP),
    one(4, "tree", STREAM),
    many(5, "paths", "bytes"),
    one(6, "device", "bytes"),
    one(7, "device_name", "string"),
    one(8, "complete", "bool"),
    one(9, "totals", TOTALS),
    one(10, "left_out", "uint64"),
    one(11, "program", "string"),
)
SERIES = Message(
    "Series",
    one(1, "id", "bytes"),
    one(2, "name", "string"),
    one(3, "kind", "enum"),
    one(4, "without_deduplication", "bool"),
)
CATALOG = Message(
    "Catalog",
    many(1, "series", SERIES),
    one(2, "snapshots", STREAM),
    one(3, "snapshot_count", "uint64"),
)
SEGMENT_REF = Message("SegmentRef", one(1, "at", LOCATED), one(2, "entries", "uint32"))
ROOT = Message(
    "Root",
    one(1, "minimum_reader", "uint32"),
    one(2, "minimum_writer", "uint32"),
    one(3, "committed", TIMESTAMP),
    one(4, "catalog", LOCATED),
    many(5, "segments", SEGMENT_REF),
    one(6, "last_removal_seq", "uint64"),
    one(7, "links", LOCATED),
    one(8, "settings", LOCATED),
    one(9, "pack_count", "uint64"),
    one(10, "pack_bytes", "uint64"),
)
KNOWN_HOSTER = Message(
    "KnownHoster",
    one(1, "hoster", "bytes"),
    one(2, "origin", "string"),
    one(3, "tls_mode", "enum"),
    one(4, "tls_pin", "bytes"),
)
KNOWN_VAULT = Message(
    "KnownVault",
    one(1, "vault", "bytes"),
    one(2, "hoster", "bytes"),
    one(3, "name", "string"),
    one(4, "deleted", "bool"),
    one(5, "shared_by", "string"),
)
CONTACT = Message(
    "Contact",
    one(1, "account", "bytes"),
    one(2, "name", "string"),
    one(3, "origin", "string"),
    one(4, "hoster", "bytes"),
    one(5, "verified", "bool"),
    one(6, "position", POSITION),
)
ACCOUNT_SETTINGS = Message(
    "AccountSettings",
    many(1, "hosters", KNOWN_HOSTER),
    many(2, "vaults", KNOWN_VAULT),
    one(3, "name", "string"),
    many(4, "contacts", CONTACT),
)

# link.proto

PASSWORD_STRETCHING = Message(
    "PasswordStretching",
    one(1, "algorithm", "enum"),
    one(2, "version", "uint32"),
    one(3, "memory_kibibytes", "uint32"),
    one(4, "passes", "uint32"),
    one(5, "lanes", "uint32"),
    one(6, "salt", "bytes"),
)
LINK_URL = Message(
    "LinkUrl",
    one(1, "version", "uint32"),
    one(2, "hoster", "bytes"),
    one(3, "tls_mode", "enum"),
    one(4, "tls_pin", "bytes"),
    one(5, "secret", "bytes"),
    one(6, "capsule", "bytes"),
    one(7, "password", PASSWORD_STRETCHING),
)
CAPSULE_NODE = Message(
    "CapsuleNode",
    one(1, "depth", "uint32"),
    one(2, "name", "bytes"),
    one(3, "kind", "enum"),
    one(4, "mode", "uint32"),
    one(5, "modified", TIMESTAMP),
    one(6, "symlink_target", "bytes"),
    one(7, "size", "uint64"),
    many(8, "holes", HOLE),
    many(9, "chunks", "uint32"),
)
CAPSULE = Message(
    "Capsule",
    one(1, "version", "uint32"),
    one(2, "link", "bytes"),
    one(3, "account", "bytes"),
    one(4, "device", DEVICE_PUBLIC),
    one(5, "created", TIMESTAMP),
    many(6, "nodes", CAPSULE_NODE),
    one(7, "packs", "bytes"),
    many(8, "pack_sizes", "uint32"),
    many(9, "rows", "uint32"),
    many(10, "offsets", "uint32"),
    many(11, "sealed_lengths", "uint32"),
    many(12, "lengths", "uint32"),
    one(13, "keys", "bytes"),
    one(14, "sealed_hashes", "bytes"),
)
SIGNED_CAPSULE = Message(
    "SignedCapsule", one(1, "payload", "bytes"), one(2, "signature", "bytes")
)
LINK = Message(
    "Link",
    one(1, "secret", "bytes"),
    one(2, "capsule_key", "bytes"),
    one(3, "capsule", "bytes"),
    one(4, "capsule_size", "uint32"),
    one(5, "password", PASSWORD_STRETCHING),
    one(6, "account", "bytes"),
    one(7, "created", TIMESTAMP),
    one(8, "expires", "uint64"),
    one(9, "max_downloads", "uint32"),
    one(10, "snapshot", "bytes"),
    one(11, "path", "bytes"),
    one(12, "label", "string"),
)
LINKS = Message("Links", many(1, "links", LINK))
