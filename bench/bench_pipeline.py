"""Microseconds per transfer in each stage of one validator, in its own thread: where the time of a busy node goes.

`python -m bench.bench_pipeline` prints the table; figures are CPU time of this process, medians over blocks.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from msgspec.structs import replace

from node.admission import RuntimeRules, Source
from node.mempool import Mempool
from p2p.gossip import Gossip, GossipStore
from state import merkle
from state.address import account_address
from state.block import HEADER_VERSION, Header, hash_header
from state.building import build_transaction
from state.certificates import Certificate
from state.chain import Chain
from state.crypto import SigningKey, tagged_hash
from state.development_genesis import development_genesis
from state.genesis import GenesisAccount
from state.leveldb import LevelDBStore
from state.messages import Transfer
from state.runtime.execute import check_block
from state.transactions import Transaction, hash_envelope, parse_transaction
from state.votes import VoteKind

ACCOUNTS = 240
BLOCK = 500
BLOCKS = 12


def main() -> None:
    keys = [SigningKey(tagged_hash(b"bench", str(index).encode())) for index in range(ACCOUNTS)]
    genesis = development_genesis("bench-1", 4, bytes(32), 1_000)
    extra = tuple(GenesisAccount(address=account_address(key.public_key), balance=10**9) for key in keys)
    genesis = replace(
        genesis,
        accounts=tuple(sorted((*genesis.accounts, *extra), key=lambda account: account.address)),
        treasury=genesis.treasury - ACCOUNTS * 10**9,
    )
    figures: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        chain = Chain.create(LevelDBStore.create(Path(directory) / "state"), genesis)
        mempool: Mempool = Mempool(RuntimeRules())
        nonce = 0
        for number in range(BLOCKS):
            encoded = []
            for index in range(BLOCK):
                key, to = keys[index % ACCOUNTS], keys[(index * 7 + 1) % ACCOUNTS]
                encoded.append(_sign(chain, key, to, nonce + index).encoded)
            nonce += BLOCK
            _run_block(chain, mempool, encoded, 2_000 + number, figures)
        chain.close()
    total = 0.0
    for stage, samples in figures.items():
        figure = median(samples[2:])
        total += figure
        print(f"{stage:28s} {figure:8.1f} us")
    print(f"{'all':28s} {total:8.1f} us per transfer, blocks of {BLOCK}")


def _sign(chain: Chain, key: SigningKey, to: SigningKey, nonce: int) -> Transaction:
    return build_transaction(
        chain_id=chain.chain_id,
        keys=(key,),
        sender=account_address(key.public_key),
        nonce=nonce,
        expires_at_ms=60_000,
        messages=(Transfer(to=account_address(to.public_key), amount=5),),
        params=chain.params(),
    )


class Clock:
    """CPU time per transfer of each stage, from the end of the one before."""

    def __init__(self, figures: dict[str, list[float]]) -> None:
        self._figures = figures
        self._started = time.process_time()

    def stage(self, name: str) -> None:
        self._figures[name].append((time.process_time() - self._started) / BLOCK * 1e6)
        self._started = time.process_time()


def _run_block(
    chain: Chain, mempool: Mempool, encoded: list[bytes], time_ms: int, figures: dict[str, list[float]]
) -> None:
    sender, receiver = _gossips(mempool)
    clock = Clock(figures)
    transactions = [parse_transaction(one, chain.chain_id) for one in encoded]
    clock.stage("parse")
    assert all(one.has_valid_signatures() for one in transactions)
    clock.stage("verify signature")
    for one in transactions:
        mempool.admit(one, chain.ledger, time_ms, Source.PEER)
    clock.stage("admit")
    sender.publish([one.envelope_hash for one in transactions])
    outgoing = sender.flush()
    clock.stage("gossip send")
    for message in outgoing:
        receiver.handle("s", message.payload, 0)
    clock.stage("gossip receive (known)")
    limits = chain.params().blocks
    chosen = mempool.select(
        chain.ledger, time_ms, max_bytes=limits.bytes_max, max_transactions=BLOCK, max_work=limits.work_max
    )
    assert len(chosen) == BLOCK
    clock.stage("select (leader only)")
    header = _header(chain, chosen, time_ms)
    clock.stage("transaction root")
    check_block(chain.ledger, header, chain.tip.block.time_ms, chosen)
    clock.stage("check block")
    pending = chain.begin(hash_header(header), header, chosen)
    pending.run(BLOCK)
    clock.stage("execute")
    executed = chain.finish(pending)
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
    chain.finalize([executed.block_hash], certificate)
    clock.stage("commit")
    mempool.remove_final(chosen, chain.ledger, time_ms)
    clock.stage("mempool after commit")
    assert not len(mempool)


def _gossips(mempool: Mempool) -> tuple[Gossip, Gossip]:
    store = GossipStore(
        identify=hash_envelope,
        is_known=lambda one: mempool.find(one) is not None,
        find_blob=lambda one: found.encoded if (found := mempool.find(one)) else None,
    )
    sender, receiver = Gossip(store, is_push_mode=True), Gossip(store, is_push_mode=True)
    sender.add_peer("r")
    receiver.add_peer("s")
    return sender, receiver


def _header(chain: Chain, transactions: list[Transaction], time_ms: int) -> Header:
    tip = chain.tip.block
    return Header(
        version=HEADER_VERSION,
        chain_id=chain.chain_id,
        epoch=0,
        view=tip.height + 1,
        height=tip.height + 1,
        time_ms=time_ms,
        parent_hash=tip.block_hash,
        parent_view=tip.height,
        parent_result=tip.result,
        proposer=chain.validators.members[0].address,
        validators_hash=chain.validators.set_hash,
        tx_root=merkle.root([one.envelope_hash for one in transactions]),
        tx_count=BLOCK,
    )


if __name__ == "__main__":
    sys.exit(main())
