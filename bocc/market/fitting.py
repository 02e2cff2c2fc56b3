"""Which enclave of a provider an open order fits, as far as the lists of a node tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = Mapping[str, Any]  # JSON of the node


def find_fit(order: Json, enclaves: Iterable[Json]) -> str | None:
    """Return the enclave of the highest level that an order in a list fits, or None.

    Its level, its machine and what it boots are compared. The chain judges the rest: policies, constraints, capacity, bond.
    """
    fitting = [enclave for enclave in enclaves if _fits(order, enclave)]
    best = max(fitting, key=lambda enclave: (int(enclave["level"]), str(enclave["id"])), default=None)
    return None if best is None else str(best["id"])


def _fits(order: Json, enclave: Json) -> bool:
    compute = order["lines"][0]
    software = {(line["resource"], line["release"]) for line in order["lines"] if line["role"] == "software"}
    runs_image = not software or (enclave["image"], enclave["release"]) in software
    has_machine = compute["resource"] in (None, enclave["hardware"])
    return bool(enclave["level"] >= order["level_min"] and has_machine and runs_image)
