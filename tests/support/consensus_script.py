"""Text scripts of one node: what it is told, and exactly what it does then.

    # Comments explain.
    propose A from=v3
    ----
    check A
    log proposal of view 1: A
    ...

A script begins with `node v0`; the other validators exist only as senders. Four validators of equal power lead in the order v3, v2,
v1, v0 from view 1 on. Commands are the functions `_do_...` below, with their arguments. Blocks have names that the script gives
them; `root` is genesis, and a block that the node builds itself is called own1, own2, ... after its view.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from consensus.effects import Effect
from consensus.inputs import BlockAvailable, Input, MessageReceived
from consensus.messages import CertificatesMessage, CertificatesRequest, ConsensusMessage, Status, VoteMessage
from state.block import Block, BlockReference, Header, hash_header
from state.certificates import Certificate
from state.votes import Vote, VoteKind
from tests.support.consensus_cast import certificate, child_header, proposal_of, vote
from tests.support.consensus_harness import World
from tests.support.consensus_node import Node
from tests.support.consensus_script_text import Teller
from tests.support.consensus_toys import INVALID, ToyChain, genesis_tip, set_power

KINDS = {"N": VoteKind.NOTARIZE, "X": VoteKind.NULLIFY, "F": VoteKind.FINALIZE}
SEPARATOR = "----"
SILENT = {"block", "clock", "crash", "execution"}
"""Commands that tell the node nothing."""


class Words:
    """The words of a command: those in order, and those with a name."""

    def __init__(self, line: str) -> None:
        """Split a line."""
        words = line.split()
        self.plain = [word for word in words if "=" not in word]
        self._named = dict(word.split("=", 1) for word in words if "=" in word)

    def text(self, name: str, default: str = "") -> str:
        """Return a named word."""
        return self._named.get(name, default)

    def number(self, name: str, default: int) -> int:
        """Return a named number."""
        return int(self._named.get(name, default))

    def many(self, name: str, default: str = "") -> list[str]:
        """Return a named list, separated by commas."""
        found = self._named.get(name, default)
        return found.split(",") if found else []


class Script:
    """A node that is told things line by line."""

    def __init__(self) -> None:
        """Have nothing yet; the command `node` comes first."""
        self._lines: list[str] = []
        self._world = World(is_busy=False)
        self._world.checks.tolerated |= {
            "peers",
            "own key",
            "halt",
            "G7 accountability",
        }  # the script is what the others do
        self._name = ""
        self._shadow = ToyChain(genesis_tip(self._world.validators))
        self._references: dict[str, BlockReference] = {"root": self._shadow.tip.block}
        self._blocks: dict[str, Block] = {}
        self._teller = Teller({self._shadow.tip.block.block_hash: "root"})
        self._world.tracer = self._trace

    @property
    def _node(self) -> Node:
        return self._world[self._name]

    def _trace(self, _node: Node, effect: Effect) -> None:
        self._lines.append(self._teller.tell(effect))

    def run(self, line: str) -> list[str]:
        """Perform a command; return what the node did."""
        self._lines = []
        words = Words(line)
        _COMMANDS[words.plain[0]](self, words)
        return self._lines

    def _feed(self, event: Input) -> None:
        self._node.feed(event)

    def _hear(self, peer: str, message: ConsensusMessage) -> None:
        self._feed(MessageReceived(peer, message))

    # commands

    def _do_node(self, words: Words) -> None:
        """node NAME: take this validator as the one under test, and start it."""
        self._name = words.plain[1]
        self._world.start(self._name)

    def _do_submit(self, words: Words) -> None:
        """submit T...: put transactions into its mempool."""
        for name in words.plain[1:]:
            self._world.submit(envelope_of(name), self._name)

    def _do_block(self, words: Words) -> None:
        """block A view=1 parent=root parent_view=0 with=t1,v1:2 time=10: define a block by the leader of its view."""
        parent = self._references[words.text("parent", "root")]
        envelopes = tuple(envelope_of(name) for name in words.many("with"))
        view = words.number("view", 1)
        parent_view = words.number("parent_view", view - 1)
        header = child_header(parent, view, parent_view, envelopes=envelopes, delay_ms=words.number("time", 10))
        self._define(words.plain[1], Block(header=header, envelopes=envelopes))

    def _define(self, name: str, block: Block) -> None:
        self._blocks[name] = block
        block_hash = hash_header(block.header)
        self._teller.names[block_hash] = name
        if (
            block.header.parent_hash == self._shadow.tip.block.block_hash
            or block.header.parent_hash in self._shadow.executed
        ):
            self._references[name] = self._shadow.execute(block).reference

    def _do_propose(self, words: Words) -> None:
        """propose A view=1 justify=N1:root,X2 change=height: hear the leader's proposal, with a wrong field if one is named."""
        block = self._blocks[words.plain[1]]
        view = words.number("view", block.header.view)
        header = _changed(block.header, words.text("change"))
        self._teller.names.setdefault(hash_header(header), f"{words.plain[1]}*")
        proposal = proposal_of(
            header,
            view=view,
            parent_view=words.number(
                "parent_view", block.header.parent_view if view == block.header.view else view - 1
            ),
            justify=[self._certificate(text) for text in words.many("justify")],
            envelopes=block.envelopes if view == block.header.view else (),
        )
        self._hear(words.text("from", f"v{proposal.vote.validator}"), proposal)

    def _certificate(self, text: str, signers: str = "v0,v1,v2") -> Certificate:
        """Return N1:A, X2 or F1:A as a certificate."""
        place, _, name = text.partition(":")
        kind, view = KINDS[place[0]], int(place[1:])
        indices = [int(signer[1:]) for signer in signers.split(",")]
        if kind is VoteKind.NULLIFY:
            return certificate(kind, view, signers=indices)
        reference = self._references[name]
        return certificate(kind, view, reference.block_hash, reference.result, signers=indices)

    def _vote(self, words: Words, index: int) -> Vote:
        kind, view = KINDS[words.plain[1]], words.number("view", 1)
        if kind is VoteKind.NULLIFY:
            return vote(kind, index, view, is_forged=words.text("signature") == "forged")
        reference = self._references[words.plain[2]]
        result = b"other".ljust(32) if words.text("result") == "other" else reference.result
        is_forged = words.text("signature") == "forged"
        return vote(kind, index, view, reference.block_hash, result, is_forged=is_forged)

    def _do_vote(self, words: Words) -> None:
        """vote N A view=1 from=v1,v2 result=other signature=forged: hear votes, each from its validator."""
        for name in words.many("from"):
            self._hear(name, VoteMessage(vote=self._vote(words, int(name[1:]))))

    def _do_certificates(self, words: Words) -> None:
        """certificates X1 N2:A from=v2 signers=v0,v1,v2: hear certificates."""
        found = tuple(self._certificate(text, words.text("signers", "v0,v1,v2")) for text in words.plain[1:])
        self._hear(words.text("from", "v2"), CertificatesMessage(certificates=found))

    def _do_status(self, words: Words) -> None:
        """status from=v2 epoch=0 view=5 height=3: hear where a peer is."""
        told = Status(
            epoch=words.number("epoch", 0),
            view=words.number("view", 1),
            final_height=words.number("height", 0),
            final_hash=bytes(32),
        )
        self._hear(words.text("from", "v2"), told)

    def _do_request(self, words: Words) -> None:
        """request from=v2 views=1-3: hear a peer ask what settled these views."""
        first, last = words.text("views").split("-")
        request = CertificatesRequest(epoch=words.number("epoch", 0), first_view=int(first), last_view=int(last))
        self._hear(words.text("from", "v2"), request)

    def _do_body(self, words: Words) -> None:
        """body A: the block's transactions arrive."""
        block = self._blocks[words.plain[1]]
        self._node.keep_body(block)
        self._feed(BlockAvailable(hash_header(block.header), block.header))

    def _do_execution(self, words: Words) -> None:
        """execution 50: from now on executing a block takes so many milliseconds."""
        self._world.execution_ms = int(words.plain[1])

    def _do_clock(self, words: Words) -> None:
        """clock -30: set the wall clock so many milliseconds off."""
        self._node.clock_offset_ms = int(words.plain[1])

    def _do_wait(self, words: Words) -> None:
        """wait 1000: let milliseconds pass."""
        self._world.run_for(int(words.plain[1]))

    def _do_crash(self, _words: Words) -> None:
        """crash: lose power."""
        self._node.crash()

    def _do_restart(self, _words: Words) -> None:
        """restart: start again from the log and the final blocks."""
        self._node.start()

    def _do_state(self, _words: Words) -> None:
        """state: tell the epoch, the view and the final height."""
        core = self._node.running.node
        self._lines.append(f"epoch {core.state.number}, view {core.view}, final height {self._node.height}")


_COMMANDS: dict[str, Callable[[Script, Words], None]] = {
    name.removeprefix("_do_"): method for name, method in vars(Script).items() if name.startswith("_do_")
}


def envelope_of(name: str) -> bytes:
    """Return the envelope that a script means: v1:2 sets a power, bad... is invalid, anything else is a transfer."""
    if ":" in name:
        validator, power = name.split(":")
        return set_power(int(validator[1:]), int(power))
    return (INVALID if name.startswith("bad") else b"") + name.encode()


_CHANGES: dict[str, Callable[[Header], Header]] = {
    "": lambda header: header,
    "height": lambda header: structs.replace(header, height=header.height + 1),
    "parent_result": lambda header: structs.replace(header, parent_result=bytes(32)),
    "validators_hash": lambda header: structs.replace(header, validators_hash=bytes(32)),
}


def _changed(header: Header, change: str) -> Header:
    return _CHANGES[change](header)


def rewrite(text: str) -> str:
    """Return a script with the output that its commands give now."""
    script = Script()
    written: list[str] = []
    is_output = False
    for line in text.splitlines():
        if line == SEPARATOR:
            is_output = True
        elif not line:
            written += [""] if not written or written[-1] else []
            is_output = False
        elif line.startswith("#"):
            written.append(line)
            is_output = False
        elif not is_output:
            written.append(line)
            told = script.run(line)
            if told or line.split()[0] not in SILENT:
                written += [SEPARATOR, *(told or ["nothing"])]
    return "\n".join(written).rstrip() + "\n"


def check_script(path: Path, *, is_rewriting: bool) -> tuple[str, str]:
    """Return a script as it stands and as it should; write the latter if asked to."""
    written = path.read_text(encoding="utf-8")
    expected = rewrite(written)
    if is_rewriting and expected != written:
        path.write_text(expected, encoding="utf-8")
    return written, expected
