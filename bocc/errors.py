"""What can go wrong between a user and a node, by who must act."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from state.errors import Rejected

REASON_UNKNOWN: Final = "unknown"
"""Stands where an answer of a node names no reason."""


class NodeUnreachable(Exception):
    """No answer from the node within all attempts: it does not run, is elsewhere, or the network is down."""

    def __init__(self, url: str, cause: str, attempts: int) -> None:
        super().__init__(f"cannot reach {url} ({cause}; {attempts} attempts)")
        self.url = url
        self.cause = cause
        self.attempts = attempts


class AnswerMalformed(Exception):
    """Something answered that does not speak our JSON-RPC: most likely a wrong URL."""


class NotFinal(Exception):
    """A transaction was not final in its time: the chain stands still, or the node is cut off from the others."""


class RpcRejected(Exception):
    """The node understood the call and refuses it: `reason` is the stable name of the rule, seen and bound the values."""

    def __init__(self, code: int, message: str, data: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data or {}
        self.reason = str(self.data.get("reason", REASON_UNKNOWN))
        self.seen = self.data.get("seen")
        self.bound = self.data.get("bound")


class CapsuleRejected(Exception):
    """A key cannot be sealed like this, or a capsule does not open: it is for another enclave or purpose, or was changed."""


class SealRejected(Exception):
    """Content or an output cannot be sealed like this, or does not open: another key, or it was changed."""


class InputReason(StrEnum):
    """Why what a person typed or passed cannot be used."""

    BAD_AMOUNT = "bad_amount"
    """Neither BOCC with at most six decimals nor an integer with `ubocc`."""
    AMOUNT_TOO_LARGE = "amount_too_large"
    """More than 2^63-1 ubocc."""
    BAD_DURATION = "bad_duration"
    """Not numbers with units from ms to d, or longer than any duration of a chain."""
    BAD_POLICY = "bad_policy"
    """A text that is no policy; the line and what would do are told."""
    BAD_FILE = "bad_file"
    """A file that does not say what to offer or order; the place in it is told."""
    NO_OFFER = "no_offer"
    """Nothing on offer fits what an order asks for."""
    BAD_GRANT = "bad_grant"
    """No key can be released for this order or line now."""
    UNPROVEN = "unproven"
    """What a node says cannot be proven from the genesis that is trusted, or is something else than what is proven."""
    BAD_OUTPUT = "bad_output"
    """An order has no output yet, it is elsewhere, or it is not what the enclave signed."""
    BAD_SUBJECT = "bad_subject"
    """Nothing that can be endorsed."""
    BAD_PARTITION = "bad_partition"
    """A partition names each node once, as in 0,1/2,3."""
    UNKNOWN_NAME = "unknown_name"
    """Neither an address nor the name of a key of this home."""
    BAD_RULES = "bad_rules"
    """The file with a provider's rules cannot be read, or says something that no rule can."""
    BAD_PROPOSAL = "bad_proposal"
    """The document is no TOML, or a value is missing, unknown or of the wrong kind; `seen` says where."""
    BAD_URL = "bad_url"
    """A node is reached by http or https."""
    UNKNOWN_NODE = "unknown_node"
    """No node of this name in the network."""
    NO_NETWORK = "no_network"
    """There is no network in this home."""
    NETWORK_EXISTS = "network_exists"
    """The home has a network; `up` goes on with it, --fresh begins a new one."""
    HOME_OCCUPIED = "home_occupied"
    """Something else has a name that the network needs; it is never overwritten."""
    ALREADY_RUNNING = "already_running"
    """A network of this home runs already."""
    NOT_RUNNING = "not_running"
    """The node has no process that could get a signal."""
    PORTS_TAKEN = "ports_taken"
    """The ports that were asked for are in use."""
    BAD_VALIDATOR_COUNT = "bad_validator_count"
    """The network in the home has another number of nodes."""
    ADMIN_REFUSED = "admin_refused"
    """The node's admin socket refused or does not answer."""
    NODE_DIED = "node_died"
    """A node ended while the network was starting; its log says why."""
    NOT_READY = "not_ready"
    """The network did not become ready in time."""


class InputRejected(Rejected):
    """A value from the command line or a caller that cannot be used."""
