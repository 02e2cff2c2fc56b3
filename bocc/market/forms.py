"""How people write what the chain counts: types for the fields of TOML files, and the reading of such files.

Amounts are `"0.25"` (BOCC) or `"5ubocc"`, durations `"10m"`, moments durations from now or dates, names those of a keyring or
addresses, bytes hex, policies texts (bocc/policy_text.py). What is wrong is told with its place in the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from bocc.amounts import parse_amount
from bocc.durations import format_duration, parse_duration
from bocc.errors import InputReason, InputRejected
from bocc.policy_text import Names, parse_policy
from state.address import HUMAN_PREFIX, AddressKind, parse_address
from state.errors import Rejected
from state.offers import Capacity, GpuCount
from state.policies import PolicyNode

FILE_BYTES_MAX: Final = 1 << 20
FormType = TypeVar("FormType", bound=Struct)


class Form(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of a file: a misspelt name is refused rather than ignored."""


class Ubocc(int):
    """An amount of money. What is written to the wire must be a plain integer, or plain bytes: int(...), bytes(...)."""


class Millis(int):
    """A duration."""


class AccountName(bytes):
    """An account, 21 bytes."""


class ResourceName(bytes):
    """A resource, 21 bytes."""


class OrderName(bytes):
    """An order, 21 bytes."""


class Octets(bytes):
    """Bytes in hex."""


class Moment:
    """A time: so long from now, or a date."""

    __slots__ = ("_is_from_now", "_ms")

    def __init__(self, ms: int, *, is_from_now: bool) -> None:
        self._is_from_now = is_from_now
        self._ms = ms

    def at_ms(self, now_ms: int) -> int:
        """Return the time in milliseconds since 1970."""
        return now_ms + self._ms if self._is_from_now else self._ms


class PolicyText:
    """A policy."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: tuple[PolicyNode, ...] = ()) -> None:
        self.nodes = nodes


NO_POLICY: Final = PolicyText()


class CapacityForm(Form, frozen=True):
    """Amounts of what a machine has."""

    vcpus: int = 0
    memory_mib: int = 0
    disk_mib: int = 0
    network_mbps: int = 0
    gpus: dict[str, int] = {}

    def build(self) -> Capacity:
        """Return it as the chain holds it."""
        return Capacity(
            vcpus=self.vcpus,
            memory_mib=self.memory_mib,
            disk_mib=self.disk_mib,
            network_mbps=self.network_mbps,
            gpus=tuple(GpuCount(model=model, count=count) for model, count in sorted(self.gpus.items())),
        )


def parse_moment(written: object) -> Moment:
    """Return the time that a text or a date of TOML stands for; dates without a zone are UTC.

    Raises:
        InputRejected: BAD_DURATION.
    """
    if isinstance(written, datetime):
        moment = written if written.tzinfo else written.replace(tzinfo=UTC)
        return Moment(int(moment.timestamp() * 1_000), is_from_now=False)
    return Moment(parse_duration(str(written)), is_from_now=True)


def format_moment(moment_ms: int, now_ms: int) -> str:
    """Return how far off a time is, in whole seconds: `in 1h30m`, `2m ago`."""
    away_ms = (moment_ms - now_ms) // 1_000 * 1_000
    if away_ms == 0:
        return "now"
    return f"in {format_duration(away_ms)}" if away_ms > 0 else f"{format_duration(-away_ms)} ago"


def parse_resource(text: str) -> bytes:
    """Return the 21 bytes of a resource's address.

    Raises:
        AddressRejected: it is another one, or none.
    """
    return parse_address(text, HUMAN_PREFIX[AddressKind.RESOURCE], AddressKind.RESOURCE)


def parse_order(text: str) -> bytes:
    """Return the 21 bytes of an order's address.

    Raises:
        AddressRejected: it is another one, or none.
    """
    return parse_address(text, HUMAN_PREFIX[AddressKind.ORDER], AddressKind.ORDER)


def parse_enclave(text: str) -> bytes:
    """Return the 21 bytes of an enclave's address.

    Raises:
        AddressRejected: it is another one, or none.
    """
    return parse_address(text, HUMAN_PREFIX[AddressKind.ENCLAVE], AddressKind.ENCLAVE)


def read_form(path: Path, form_type: type[FormType], names: Names) -> FormType:
    """Return what a TOML file says; `names` gives accounts by word.

    Raises:
        InputRejected: BAD_FILE with the place and what is wrong there.
    """
    encoded = path.read_bytes()
    if len(encoded) > FILE_BYTES_MAX:
        raise InputRejected(InputReason.BAD_FILE, f"{len(encoded)} bytes", FILE_BYTES_MAX)
    return parse_form(encoded.decode("utf-8", "replace"), form_type, names)


def parse_form(text: str, form_type: type[FormType], names: Names = parse_address) -> FormType:
    """Return what a text in TOML says.

    Raises:
        InputRejected: BAD_FILE with the place and what is wrong there.
    """
    parsers: dict[type, Callable[[Any], object]] = {
        Ubocc: lambda written: Ubocc(parse_amount(str(written))),
        Millis: lambda written: Millis(parse_duration(str(written))),
        AccountName: lambda written: AccountName(names(written)),
        ResourceName: lambda written: ResourceName(parse_resource(written)),
        OrderName: lambda written: OrderName(parse_order(written)),
        Octets: lambda written: Octets(bytes.fromhex(written)),
        Moment: parse_moment,
        PolicyText: lambda written: PolicyText(parse_policy(written, names)),
    }

    def parse(wanted: type, written: Any) -> object:  # Any: whatever stands in the file
        try:
            return parsers[wanted](written)
        except (Rejected, TypeError, AttributeError, ValueError) as error:
            raise ValueError(_sentence(error, written)) from error

    try:
        return msgspec.convert(tomllib.loads(text), form_type, dec_hook=parse)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InputRejected(InputReason.BAD_FILE, str(error).replace("`$.", "`")) from error


def _sentence(error: Exception, written: object) -> str:
    if not isinstance(error, Rejected):
        return f"{str(written)[:60]!r} cannot stand here"
    hint = "" if error.bound is None else f" (allowed: {error.bound})"
    return f"{str(error.reason.value).replace('_', ' ')}: {error.seen}{hint}"
