"""The schemas of `proto/coffre/v1/`, as the text names them.

Part 1 repeats the numbers of its messages' fields; those of the other parts stand
in the schemas alone, and so do all types.
"""

from .wire import Field, Message


def one(number: int, name: str, kind: str | Message) -> Field:
    """A field that stands once at most."""
    if isinstance(kind, Message):
        return Field(number, name, "message", kind)
    return Field(number, name, kind)


def many(number: int, name: str, kind: str | Message) -> Field:
    """A repeated field."""
    if isinstance(kind, Message):
        return Field(number, name, "message", kind, repeated=True)
    return Field(number, name, kind, repeated=True)


def either(number: int, name: str, message: Message) -> Field:
    """A field of the message's `oneof`."""
    return Field(number, name, "message", message, oneof=True)


# log.proto

POSITION = Message("Position", one(1, "seq", "uint64"), one(2, "hash", "bytes"))
SIGNATURE = Message("Signature", one(1, "device", "bytes"), one(2, "signature", "bytes"))
SIGNED_ENTRY = Message(
    "SignedEntry", one(1, "payload", "bytes"), many(2, "signatures", SIGNATURE)
)
DEVICE_PUBLIC = Message(
    "DevicePublic",
    one(1, "kind", "enum"),
    one(2, "signing_key", "bytes"),
    one(3, "kem_key", "bytes"),
)
NEW_DEVICE = Message(
    "NewDevice", one(1, "public", DEVICE_PUBLIC), one(2, "sealed_name", "bytes")
)
SEALED_SEED = Message("SealedSeed", one(1, "device", "bytes"), one(2, "box", "bytes"))
ACCOUNT_KEY = Message(
    "AccountKey",
    one(1, "generation", "uint64"),
    one(2, "kem_key", "bytes"),
    many(3, "seeds", SEALED_SEED),
    one(4, "previous_seed", "bytes"),
)
ACCOUNT_GENESIS = Message(
    "AccountGenesis",
    one(1, "salt", "bytes"),
    one(2, "home", "bytes"),
    many(3, "devices", NEW_DEVICE),
    one(4, "account_key", ACCOUNT_KEY),
)
ADD_DEVICE = Message("AddDevice", one(1, "device", NEW_DEVICE), one(2, "seed", SEALED_SEED))
REMOVE_DEVICE = Message(
    "RemoveDevice", one(1, "device", "bytes"), one(2, "account_key", ACCOUNT_KEY)
)
RENAME_DEVICE = Message(
    "RenameDevice", one(1, "device", "bytes"), one(2, "sealed_name", "bytes")
)
ACCOUNT_MOVED = Message("AccountMoved", one(1, "home", "bytes"), one(2, "origin", "string"))
ACCOUNT_ENTRY = Message(
    "AccountEntry",
    one(1, "version", "uint32"),
    one(2, "account", "bytes"),
    one(3, "seq", "uint64"),
    one(4, "previous", "bytes"),
    one(5, "author", "bytes"),
    either(10, "genesis", ACCOUNT_GENESIS),
    either(11, "add_device", ADD_DEVICE),
    either(12, "remove_device", REMOVE_DEVICE),
    either(13, "rename_device", RENAME_DEVICE),
    either(14, "moved", ACCOUNT_MOVED),
)

MEMBER_REF = Message("MemberRef", one(1, "account", "bytes"), one(2, "position", POSITION))
EPOCH_BOX = Message(
    "EpochBox",
    one(1, "member", MEMBER_REF),
    one(2, "generation", "uint64"),
    one(3, "box", "bytes"),
)
EPOCH = Message(
    "Epoch",
    one(1, "number", "uint64"),
    one(2, "commitment", "bytes"),
    many(3, "boxes", EPOCH_BOX),
    one(4, "previous_secret", "bytes"),
)
VAULT_GENESIS = Message(
    "VaultGenesis",
    one(1, "salt", "bytes"),
    one(2, "kind", "enum"),
    one(3, "home", "bytes"),
    one(4, "epoch", EPOCH),
)
ADD_MEMBER = Message("AddMember", one(1, "role", "enum"), one(2, "box", EPOCH_BOX))
ACCEPT_MEMBERSHIP = Message("AcceptMembership")
CHANGE_ROLE = Message("ChangeRole", one(1, "member", MEMBER_REF), one(2, "role", "enum"))
REMOVE_MEMBER = Message("RemoveMember", one(1, "member", MEMBER_REF))
LEAVE_VAULT = Message("LeaveVault")
REFRESH_MEMBER = Message("RefreshMember", one(1, "member", MEMBER_REF))
ROTATE_EPOCH = Message("RotateEpoch", one(1, "epoch", EPOCH))
VAULT_MOVED = Message("VaultMoved", one(1, "home", "bytes"), one(2, "origin", "string"))
VAULT_ENTRY = Message(
    "VaultEntry",
    one(1, "version", "uint32"),
    one(2, "vault", "bytes"),
    one(3, "seq", "uint64"),
    one(4, "previous", "bytes"),
    one(5, "author", MEMBER_REF),
    one(6, "device", "bytes"),
    one(7, "head", POSITION),
    either(10, "genesis", VAULT_GENESIS),
    either(11, "add_member", ADD_MEMBER),
    either(12, "accept", ACCEPT_MEMBERSHIP),
    either(13, "change_role", CHANGE_ROLE),
    either(14, "remove_member", REMOVE_MEMBER),
    either(15, "leave", LEAVE_VAULT),
    either(16, "refresh", REFRESH_MEMBER),
    either(17, "rotate", ROTATE_EPOCH),
    either(18, "moved", VAULT_MOVED),
)

# invitation.proto

INVITATION = Message(
    "Invitation",
    one(1, "version", "uint32"),
    one(2, "hoster", "bytes"),
    one(3, "tls_mode", "enum"),
    one(4, "tls_pin", "bytes"),
    one(5, "secret", "bytes"),
    one(6, "expires", "uint64"),
)

# exchange.proto

PAIRING_CODE = Message(
    "PairingCode",
    one(1, "version", "uint32"),
    one(2, "secret", "bytes"),
    one(3, "device", "bytes"),
)
PAIRING_INTRODUCTION = Message(
    "PairingIntroduction", one(1, "public", DEVICE_PUBLIC), one(2, "name", "string")
)
SEEN_VAULT = Message(
    "SeenVault",
    one(1, "vault", "bytes"),
    one(2, "hoster", "bytes"),
    one(3, "position", POSITION),
    one(4, "head", POSITION),
)
PAIRING_PROPOSAL = Message(
    "PairingProposal",
    one(1, "payload", "bytes"),
    one(2, "hoster", "bytes"),
    one(3, "origin", "string"),
    one(4, "tls_mode", "enum"),
    one(5, "tls_pin", "bytes"),
    one(6, "account_vault", "bytes"),
    many(7, "seen", SEEN_VAULT),
    one(8, "words", "enum"),
)
PAIRING_SIGNATURE = Message("PairingSignature", one(1, "signature", "bytes"))
PAIRING_END = Message("PairingEnd", one(1, "outcome", "enum"))
OFFER = Message(
    "Offer",
    one(1, "version", "uint32"),
    one(2, "vault", "bytes"),
    one(3, "hoster", "bytes"),
    one(4, "origin", "string"),
    one(5, "tls_mode", "enum"),
    one(6, "tls_pin", "bytes"),
    one(7, "vault_name", "string"),
    one(8, "role", "enum"),
    one(9, "sender", "bytes"),
    one(10, "sender_name", "string"),
    one(11, "sender_origin", "string"),
    one(12, "sender_device", "bytes"),
    one(13, "sender_position", POSITION),
    one(14, "recipient", "bytes"),
    one(15, "generation", "uint64"),
    one(16, "entry", POSITION),
    one(17, "head", POSITION),
    one(18, "created", "uint64"),
)
SIGNED_OFFER = Message("SignedOffer", one(1, "payload", "bytes"), one(2, "signature", "bytes"))
