"""A chain in this process, on disk but without network, whose stages are timed: what benches of one validator share.

Times are the CPU time of this process. The vendor's documents are as old as the genesis, and simulated certificates hold then.
"""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from bocc.provider.attesting import Challenge
from bocc.provider.software import SoftwareTee, publish_hardware, publish_image
from state import merkle
from state.address import account_address
from state.block import HEADER_VERSION, Header, hash_header
from state.building import build_transaction
from state.certificates import Certificate
from state.chain import Chain, Finalized
from state.crypto import SigningKey, tagged_hash
from state.development_genesis import development_genesis
from state.genesis import GenesisAccount
from state.leveldb import LevelDBStore
from state.messages import Message
from state.receipts import EventKind, ReceiptStatus
from state.transactions import Transaction
from state.trust_messages import Attest
from state.votes import VoteKind

ACCOUNTS = 240
BALANCE = 10**10
GENESIS_S = 1_790_000_000
BLOCK_MS = (GENESIS_S + 60) * 1_000
"""Time of the first block, a minute after the genesis; each further one is a millisecond later."""
EXPIRES_MS = BLOCK_MS + 60_000
KEYS = [SigningKey(tagged_hash(b"bench", str(index).encode())) for index in range(ACCOUNTS)]
ADDRESSES = [account_address(key.public_key) for key in KEYS]


class Clock:
    """CPU time of each stage, from the end of the one before, divided among a number of things."""

    def __init__(self, count: int = 1, figures: dict[str, list[float]] | None = None) -> None:
        self.figures = defaultdict(list) if figures is None else figures
        self._count = count
        self._started = time.process_time()

    def stage(self, name: str) -> None:
        self.figures[name].append((time.process_time() - self._started) / self._count * 1e6)
        self._started = time.process_time()


class LoneChain:
    """A chain of rich accounts."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._nonces = [0] * ACCOUNTS

    @property
    def next_ms(self) -> int:
        """Time of the next block."""
        return BLOCK_MS + self.chain.tip.block.height

    def sign(self, index: int, message: Message) -> Transaction:
        """Return the next transaction of an account."""
        self._nonces[index] += 1
        return build_transaction(
            chain_id=self.chain.chain_id,
            keys=(KEYS[index],),
            sender=ADDRESSES[index],
            nonce=self._nonces[index] - 1,
            expires_at_ms=EXPIRES_MS,
            messages=(message,),
            params=self.chain.params(),
        )

    def header(self, transactions: Sequence[Transaction]) -> Header:
        """Return the header of the next block."""
        tip = self.chain.tip.block
        return Header(
            version=HEADER_VERSION,
            chain_id=self.chain.chain_id,
            epoch=0,
            view=tip.height + 1,
            height=tip.height + 1,
            time_ms=self.next_ms,
            parent_hash=tip.block_hash,
            parent_view=tip.height,
            parent_result=tip.result,
            proposer=self.chain.validators.members[0].address,
            validators_hash=self.chain.validators.set_hash,
            tx_root=merkle.root([one.envelope_hash for one in transactions]),
            tx_count=len(transactions),
        )

    def settle(self, header: Header, transactions: Sequence[Transaction], clock: Clock) -> Finalized:
        """Execute a block, whose transactions must do well, and make it final."""
        pending = self.chain.begin(hash_header(header), header, transactions)
        pending.run(len(transactions))
        clock.stage("execute")
        executed = self.chain.finish(pending)
        assert {receipt.status for receipt in executed.receipts} <= {ReceiptStatus.OK}
        clock.stage("finish (tree, receipts)")
        certificate = Certificate(
            kind=VoteKind.FINALIZE,
            epoch=0,
            view=header.view,
            block_hash=executed.block_hash,
            result=executed.result_hash,
            signers=b"\x0f",
            signatures=(bytes(64),) * 4,
        )
        finalized = self.chain.finalize([executed.block_hash], certificate)
        clock.stage("commit")
        return finalized

    def send(self, *messages: Message, clock: Clock | None = None) -> Finalized:
        """Make a block of transactions of the first account, or one without any."""
        transactions = [self.sign(0, message) for message in messages]
        return self.settle(self.header(transactions), transactions, clock or Clock())


class Fleet:
    """Simulated machines of the first account on a chain that knows the vendor's documents, an enclave on each."""

    def __init__(self, lone: LoneChain) -> None:
        documents = SoftwareTee("any", bytes(32)).documents(GENESIS_S)
        settled = lone.send(*(document.message() for document in documents), publish_hardware(), publish_image())
        published = [stored.event for _, stored in settled.events if stored.event.kind is EventKind.PUBLISHED]
        self._hardware, self._image = (dict(event.attributes)["resource"] for event in published)
        self._lone = lone
        self._count = 0

    def attest(self) -> Attest:
        """Return the attestation of one more machine, for the newest block."""
        chain, number = self._lone.chain, self._count.to_bytes(4, "big")
        self._count += 1
        tee = SoftwareTee(f"bench {number.hex()}", tagged_hash(b"bench", number))
        tip = chain.tip.block
        names = tee.names(ADDRESSES[0], self._hardware, self._image)
        return tee.attest(names, Challenge(chain.chain_id, tip.height, tip.block_hash))


@contextmanager
def lone_chain() -> Iterator[LoneChain]:
    """Make a chain in a temporary directory."""
    genesis = development_genesis("bench-1", 4, bytes(32), GENESIS_S * 1_000)
    extra = tuple(GenesisAccount(address=address, balance=BALANCE) for address in ADDRESSES)
    genesis = replace(
        genesis,
        accounts=tuple(sorted((*genesis.accounts, *extra), key=lambda account: account.address)),
        treasury=genesis.treasury - ACCOUNTS * BALANCE,
    )
    with tempfile.TemporaryDirectory(prefix="bocc-bench-") as directory:
        chain = Chain.create(LevelDBStore.create(Path(directory) / "state"), genesis)
        try:
            yield LoneChain(chain)
        finally:
            chain.close()
