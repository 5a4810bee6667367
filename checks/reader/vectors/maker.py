"""Makes a small vault from the text, to walk the whole way through it.

No published vector holds a whole vault. What is made here shows that the parts of
the reader fit together, and nothing about any other program.
"""

from __future__ import annotations

from typing import Any

from ..crypto import ed25519, hpke, xwing
from ..crypto.hashing import derive, plain_hash, split, u32, u64
from ..crypto.sealing import seal
from ..messages import ACCOUNT_ENTRY, ACCOUNT_KEY, EPOCH, MEMBER_REF, NEW_DEVICE, VAULT_ENTRY
from ..public.account_log import SIGN_LABEL as ACCOUNT_LABEL, AccountLog
from ..public.entries import SignedEntry
from ..public.heads import MAGIC, Head
from ..public.vault_log import SIGN_LABEL as VAULT_LABEL, VaultLog
from ..sealed_messages import INDEX_SEGMENT, LOCATED, PACK_FOOTER, PACK_ROW, ROOT, STREAM
from ..secret.boxes import ACCOUNT_SEED, EPOCH_SECRET, BoxPlace, box_info
from ..secret.chunks import associated
from ..secret.keys import INDEX, VaultKeys
from ..secret.phrases import DeviceKeys, paper_device
from ..wire import Field, Message, Record, encode, write_varint

ENTROPY = derive("coffre checks", b"entropy")
SALT, HOME, SEED, SECRET = (derive("coffre checks", name) for name in (b"1", b"2", b"3", b"4"))
NONCE = bytes(24)


def make(schema: Message, **fields: Any) -> Record:
    """A message with these fields."""
    record = Record(schema)
    for name, value in fields.items():
        setattr(record, name, value)
    return record


def _schema(message: Message, name: str) -> Message:
    found: Field = next(field for field in message.fields if field.name == name)
    assert found.message is not None
    return found.message


def _box(public: bytes, at: BoxPlace, secret: bytes) -> bytes:
    return hpke.seal_box(public, box_info(at, public), secret, bytes(range(64)))


def _entry(schema: Message, label: str, signer: DeviceKeys, **fields: Any) -> SignedEntry:
    """A genesis of one signature."""
    message = make(schema, version=1, seq=1, **fields)
    message.which = "genesis"
    payload = encode(message)
    return SignedEntry(
        payload, [(signer.id, ed25519.sign(signer.signing_seed, label, payload))]
    )


def account() -> tuple[DeviceKeys, AccountLog]:
    """An account of one paper device."""
    device = paper_device(ENTROPY)
    at = BoxPlace(ACCOUNT_SEED, device.id, bytes(32), 1)
    seed_schema = _schema(ACCOUNT_KEY, "seeds")
    seed = make(seed_schema, device=device.id, box=_box(device.public.kem_key, at, SEED))
    genesis = make(
        _schema(ACCOUNT_ENTRY, "genesis"),
        salt=SALT,
        home=HOME,
        devices=[make(NEW_DEVICE, public=device.public)],
        account_key=make(
            ACCOUNT_KEY, generation=1, kem_key=xwing.public_key(SEED), seeds=[seed]
        ),
    )
    log = AccountLog()
    log.append(_entry(ACCOUNT_ENTRY, ACCOUNT_LABEL, device, author=device.id, genesis=genesis))
    return device, log


def vault_log(device: DeviceKeys, owner: AccountLog) -> VaultLog:
    """A vault of that account, in its first epoch."""
    position = make(_schema(MEMBER_REF, "position"), seq=1, hash=owner.id)
    author = make(MEMBER_REF, account=owner.id, position=position)
    at = BoxPlace(EPOCH_SECRET, device.id, bytes(32), 1)
    box = make(
        _schema(EPOCH, "boxes"),
        member=author,
        generation=1,
        box=_box(xwing.public_key(SEED), at, SECRET),
    )
    commitment = derive("coffre v1 epoch commitment", SECRET)
    genesis = make(
        _schema(VAULT_ENTRY, "genesis"),
        salt=SALT,
        kind=1,
        home=HOME,
        epoch=make(EPOCH, number=1, commitment=commitment, boxes=[box]),
    )
    log = VaultLog()
    signed = _entry(
        VAULT_ENTRY, VAULT_LABEL, device, author=author, device=device.id, genesis=genesis
    )
    log.append(signed, {owner.id: owner})
    return log


class PackMaker:
    """Seals chunks into one pack after another."""

    def __init__(self, keys: VaultKeys, vault: bytes) -> None:
        self.keys, self.vault = keys, vault
        self.packs: dict[bytes, bytes] = {}
        self.waiting: list[tuple[int, bytes, bytes]] = []
        self.entries: dict[bytes, tuple[int, bytes, int, int]] = {}

    def add(self, kind: int, plaintext: bytes) -> bytes:
        """A chunk for the next pack; its id."""
        chunk_id = self.keys.chunk_id(kind, plaintext)
        key = self.keys.chunk_key(1, chunk_id)
        self.waiting.append(
            (kind, chunk_id, seal(key, associated(kind), b"\0" + plaintext, NONCE))
        )
        return chunk_id

    def stream(self, kind: int, plaintexts: list[bytes]) -> Record:
        """A stream of at most 16 chunks."""
        ids = [self.add(kind, one) for one in plaintexts]
        lengths = [len(one) for one in plaintexts]
        return make(STREAM, length=sum(lengths), chunk_ids=b"".join(ids), lengths=lengths)

    def finish_pack(self) -> bytes:
        """The pack of what waits; its id."""
        chunks = b"".join(sealed for _, _, sealed in self.waiting)
        footer = encode(
            make(
                PACK_FOOTER,
                kinds=bytes(kind for kind, _, _ in self.waiting),
                chunk_ids=b"".join(id for _, id, _ in self.waiting),
                sealed_lengths=[len(sealed) for _, _, sealed in self.waiting],
            )
        )
        key, place = self.keys.footer_key(1), self.vault + u64(1)
        sealed_footer = seal(key, b"\x01pack footer" + place, footer, NONCE)
        words = (len(chunks), len(sealed_footer), len(self.waiting), 0)
        trailer = seal(key, b"\x01pack trailer" + place, b"".join(map(u32, words)), NONCE)
        filler = bytes(65_536 - len(chunks) - len(sealed_footer) - len(trailer))
        pack = chunks + sealed_footer + filler + trailer
        pack_id, offset = plain_hash(pack), 0
        self.packs[pack_id] = pack
        for kind, id, sealed in self.waiting:
            self.entries[id] = (kind, pack_id, offset, len(sealed))
            offset += len(sealed)
        self.waiting = []
        return pack_id

    def segment(self) -> bytes:
        """An index segment of everything that is in packs."""
        packs = sorted({pack for _, pack, _, _ in self.entries.values()})
        ids = sorted(self.entries)
        found = [self.entries[id] for id in ids]
        return encode(
            make(
                INDEX_SEGMENT,
                packs=[make(PACK_ROW, pack=pack, epoch=1, size=65_536) for pack in packs],
                chunk_ids=b"".join(ids),
                kinds=bytes(kind for kind, _, _, _ in found),
                rows=[packs.index(pack) for _, pack, _, _ in found],
                offsets=[offset for _, _, offset, _ in found],
                sealed_lengths=[length for _, _, _, length in found],
            )
        )

    def located(self, chunk_id: bytes) -> Record:
        """Where a chunk is, for a root."""
        _, pack, offset, length = self.entries[chunk_id]
        sealed = self.packs[pack][offset : offset + length]
        return make(
            LOCATED,
            chunk_id=chunk_id,
            pack=pack,
            epoch=1,
            offset=offset,
            sealed_length=length,
            sealed_hash=plain_hash(sealed),
            pack_size=65_536,
        )


def records(encoded: list[bytes]) -> bytes:
    """A stream of records."""
    return b"".join(write_varint(len(one)) + one for one in encoded)


def root(maker: PackMaker, catalog: bytes) -> Record:
    """A root with one segment and that catalog."""
    segment_id = maker.add(INDEX, maker.segment())
    maker.finish_pack()
    segment = make(_schema(ROOT, "segments"), at=maker.located(segment_id), entries=4)
    return make(
        ROOT,
        minimum_reader=1,
        minimum_writer=1,
        catalog=maker.located(catalog),
        segments=[segment],
        committed=make(_schema(ROOT, "committed"), seconds=1),
        pack_count=len(maker.packs),
        pack_bytes=65_536 * len(maker.packs),
    )


def head_and_root(
    maker: PackMaker, device: DeviceKeys, owner: AccountLog, message: Record
) -> tuple[Head, bytes]:
    """Head 1 and its sealed root."""
    added = derive("coffre v1 pack list", b"".join(sorted(maker.packs)))
    none = derive("coffre v1 pack list", b"")
    parts = [
        MAGIC,
        maker.vault,
        u64(1),
        bytes(64),
        u64(1),
        maker.vault,
        owner.id,
        device.id,
        u64(1),
        owner.id,
        u64(1),
        bytes(32),
        added,
        none,
        bytes(32),
    ]
    unsigned = b"".join(parts)
    encoded = encode(message)
    padded = (u32(len(encoded)) + encoded).ljust(4056, b"\0")
    sealed = seal(maker.keys.root_key(1), unsigned, padded, NONCE)
    signed = unsigned[:264] + derive("coffre v1 sealed root", sealed) + unsigned[296:]
    signature = ed25519.sign(device.signing_seed, "coffre v1 sign head", signed)
    return Head.decode(signed + signature), sealed


def pack_ids(maker: PackMaker) -> bytes:
    """The list of packs that head 1 adds."""
    return b"".join(sorted(split(b"".join(maker.packs))))
