"""Templates of proposals: TOML with comments, to be filled in and given to `bocc gov propose`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from bocc.governance import Present, name_fields

Json = Any  # what documents nest
_BRAKE_MS: Final = 3_600_000
_BODIES: Final[Mapping[str, str]] = {
    "list_platform": """
platform = ""             # lasting id of the machine, as `bocc query enclave` shows it
verdict = "denied"        # or "allowed"; without this line it is taken off the list
""",
    "distrust_root": """
fingerprint = ""          # SHA-256 of the root certificate, as `bocc query enclave` shows it (root)
""",
    "schedule_number": """
root = ""                 # SHA-256 of the root certificate
number = 0                # evaluation number, above the one in force
due_ms = {later_ms}    # when it comes into force
""",
    "upgrade": """
height = 0                # the first block that needs the new protocol; nodes that are too old stop before it
protocol = 2
software = ""             # name of the release, for people
verifier_changed = false  # whether evidence is verified otherwise: then every proof from before ends soon
""",
    "change_validator": """
validator = ""            # boccval1..., or the operator's address or key
change = "jail"           # its operator may return it after the jail time; or "remove": off the roster
""",
    "spend_treasury": """
to = ""                   # address, or the name of a key
amount = "1"              # BOCC; "1ubocc" is the smallest unit
""",
    "set_brake": """
# Needs two thirds of all power, has no timelock, and ends by itself.

[payload.brake]
scope = "orders"          # attestations, orders: no subject; tee, product, platform, release
subject = ""              # tee: one byte; product: FMSPC, or AMD's product as one byte; platform: its id;
                          # release: address of the resource in hex and number, 8 bytes
until_ms = {later_ms}
""",
    "end_order": """
# Needs two thirds of all power, and has no timelock.
order = ""                # boccord1...
""",
    "text": """
statement_hash = ""       # SHA-256 of what is said elsewhere, or nothing
""",
}


def template(kind: str, present: Present, now_ms: int) -> str:
    """Return the document of a kind of change, with present values where it changes parts of something."""
    deposit = present.params.governance.proposal_deposit
    head = f'title = "" # at most 64 characters\ndeposit = "{deposit}ubocc"\n\n[payload]\nkind = "{kind}"\n'
    if kind in _BODIES:
        return head + _BODIES[kind].lstrip("\n").format(later_ms=now_ms + _BRAKE_MS)
    if kind == "change_params":
        note = "# Take the # away from what shall change, and from the name of its group. All else stays.\n"
        tables = {f"payload.{name}": group for name, group in name_fields(present.params).items()}
    else:
        note = "# These are the present values. Change some, or leave lines out that shall stay.\n"
        rules = name_fields(present.rules)
        policy = rules.pop("policy")
        tables = {"payload.rules": rules, "payload.rules.policy": policy}
    lines = (line for name, table in tables.items() for line in _format_table(name, table))
    mark = "# " if kind == "change_params" else ""
    return head + note + "".join(f"{mark}{line}\n" if line else "\n" for line in lines)


def _format_table(name: str, table: Mapping[str, Json]) -> Iterator[str]:
    yield ""
    yield f"[{name}]"
    for key, content in table.items():
        yield f"{key} = {_format(content)}"


def _format(content: Json) -> str:
    """Return a value in TOML, which writes all but tables as JSON does."""
    if isinstance(content, Mapping):
        return "{ " + ", ".join(f"{key} = {_format(inner)}" for key, inner in content.items()) + " }"
    if isinstance(content, list):
        return "[" + ", ".join(map(_format, content)) + "]"
    return json.dumps(content)
