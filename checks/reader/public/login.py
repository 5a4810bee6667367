"""Logins (part 1, "Login", G1 and G2)."""

from dataclasses import dataclass

from ..crypto import ed25519
from ..crypto.hashing import derive, number, u16, u64
from ..refusal import require
from . import origins
from .account_log import AccountLog

MOST_SECONDS_OFF = 600


@dataclass(frozen=True)
class Channel:
    """What a side of a login sent and sees itself. `exporter` is empty where the
    login is not bound to the channel."""

    hoster: bytes
    client_nonce: bytes
    server_nonce: bytes
    exporter: bytes
    origin: str

    def _begin(self, time: int) -> bytes:
        bound = b"\x01" + self.exporter if self.exporter else b"\x00"
        return self.hoster + self.client_nonce + self.server_nonce + u64(time) + bound

    def hello(self, time: int) -> bytes:
        """The hoster's payload."""
        return self._begin(time) + u16(len(self.origin)) + self.origin.encode()

    def login(self, time: int, account: bytes, device: bytes) -> bytes:
        """The device's payload."""
        origin = u16(len(self.origin)) + self.origin.encode()
        return self._begin(time) + account + device + origin


def hoster_id(key: bytes) -> bytes:
    """`DK("coffre v1 hoster id", key)`."""
    return derive("coffre v1 hoster id", key)


def check_hello(channel: Channel, key: bytes, time: int, signature: bytes) -> None:
    """G1, by the device."""
    origins.check(channel.origin)
    require(hoster_id(key) == channel.hoster, "OtherHoster")
    ed25519.verify(key, "coffre v1 sign hello", channel.hello(time), signature)


def check_login(
    channel: Channel,
    log: AccountLog,
    account: bytes,
    device: bytes,
    times: tuple[int, int],
    signature: bytes,
) -> None:
    """G2, by the hoster; `times` are the device's and the hoster's."""
    require(log.id == account, "OtherAccount")
    require(device in log.active_at(log.newest), "DeviceNotActive")
    require(abs(times[0] - times[1]) <= MOST_SECONDS_OFF, "Time")
    payload = channel.login(times[0], account, device)
    key = log.devices[device].public.signing_key
    ed25519.verify(key, "coffre v1 sign login", payload, signature)


def read_payload(payload: bytes, is_login: bool) -> tuple[Channel, int]:
    """A payload's own fields: channel and time."""
    bound = payload[104]
    require(bound in (0, 1), "Bound")
    at = 105 + 32 * bound
    exporter = payload[105:at]
    at += 64 if is_login else 0
    length = number(payload[at : at + 2])
    origin = payload[at + 2 :]
    require(len(origin) == length, "Length")
    channel = Channel(payload[:32], payload[32:64], payload[64:96], exporter, origin.decode())
    return channel, number(payload[96:104])
