"""The providers of a local network: processes with simulated hardware, started, stopped and asked like nodes.

They are started when the nodes are ready and attest in their own time, so nothing waits for them.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Final

import msgspec

from bocc.provider.place import enclave_of
from bocc.testnet.health import probe_call
from bocc.testnet.process import is_paused, is_running, process_of, start_module
from bocc.testnet.record import ProviderRecord

PROVIDER_LOG_NAME: Final = "provider.log"
_GOOD_STATES: Final = frozenset({"trusted", "grace"})


class ProviderState(msgspec.Struct, frozen=True, kw_only=True):
    """How a provider is, and what the chain says of its enclave."""

    name: str
    state: str
    """running, paused or stopped."""
    is_ready: bool
    """Whether it runs and its enclave is good."""
    pid: int | None
    enclave: str | None
    """Address of the enclave; None before its first start."""
    enclave_state: str | None
    """As the chain has it; None before the first attestation, or if no node answers."""
    level: int | None
    expires_ms: int | None
    is_simulated: bool
    """Always: it proves nothing about any hardware."""


def start_provider(network_home: Path, provider: ProviderRecord) -> ProviderRecord:
    """Start the process of a provider and return its record."""
    home = Path(provider.home)
    home.mkdir(mode=0o700, exist_ok=True)
    hash_seed = Random(provider.home).randrange(1, 1 << 32)
    arguments = ["--home", str(network_home), "--name", provider.name]
    process = start_module("bocc.provider", arguments, home / PROVIDER_LOG_NAME, hash_seed)
    return msgspec.structs.replace(provider, pid=process.pid, started_ticks=process.started_ticks)


def provider_state(provider: ProviderRecord, rpc: str) -> ProviderState:
    """Look at the process of a provider, and ask a node about its enclave."""
    process = process_of(provider)
    state = "running" if process is not None and is_running(process) else "stopped"
    if process is not None and state == "running" and is_paused(process):
        state = "paused"
    enclave = enclave_of(Path(provider.home))
    told = None if enclave is None else probe_call(rpc, "enclave", {"id": enclave})
    told = told or {}
    return ProviderState(
        name=provider.name,
        state=state,
        is_ready=state == "running" and told.get("state") in _GOOD_STATES,
        pid=None if state == "stopped" else provider.pid,
        enclave=enclave,
        enclave_state=told.get("state"),
        level=told.get("level"),
        expires_ms=told.get("expires_ms"),
        is_simulated=provider.is_simulated,
    )
