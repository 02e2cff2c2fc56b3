"""Microseconds per transfer and per attestation in each stage of one validator: where the time of a busy node goes.

`python -m bench pipeline` prints both tables; figures are CPU time of this process, medians over blocks. Attestations have
simulated quotes in the format of TDX, each of another machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import count
from statistics import median

from bench.lone_chain import ACCOUNTS, ADDRESSES, Clock, Fleet, LoneChain, lone_chain
from node.admission import RuntimeRules, Source
from node.mempool import Mempool
from p2p.gossip import Gossip, GossipStore
from state.chain import Chain
from state.messages import Transfer
from state.runtime.execute import check_block
from state.runtime.warming import EvidenceTasks, Lack, has_evidence, keep_answer
from state.transactions import Transaction, hash_envelope, parse_transaction

BLOCKS = 12
TRANSFERS = 500
ATTESTATIONS = 200


def main() -> None:
    with lone_chain() as lone:
        numbers = count()
        _measure(lone, "transfer", TRANSFERS, lambda: _transfer(lone, next(numbers)))
    with lone_chain() as lone:
        fleet = Fleet(lone)
        _measure(lone, "attestation", ATTESTATIONS, lambda: lone.sign(0, fleet.attest()))


def _transfer(lone: LoneChain, number: int) -> Transaction:
    return lone.sign(number % ACCOUNTS, Transfer(to=ADDRESSES[(number * 7 + 1) % ACCOUNTS], amount=5))


def _measure(lone: LoneChain, name: str, size: int, make: Callable[[], Transaction]) -> None:
    mempool: Mempool = Mempool(RuntimeRules())
    figures: dict[str, list[float]] = defaultdict(list)
    tasks = EvidenceTasks()
    for _ in range(BLOCKS):
        _run_block(lone, mempool, tasks, [make().encoded for _ in range(size)], figures)
    total = 0.0
    for stage, samples in figures.items():
        figure = median(samples[2:])
        total += figure
        print(f"{stage:28s} {figure:8.1f} us")
    print(f"{'all':28s} {total:8.1f} us per {name}, blocks of {size}")


def _verify_ahead(tasks: EvidenceTasks, chain: Chain, transaction: Transaction, time_ms: int) -> None:
    """Verify evidence as the thread does, with what it asks for meanwhile."""
    while True:
        task = tasks.find_task(chain.ledger, chain.tip.block.block_hash, transaction, time_ms)
        assert task is not None, "the evidence of a benchmark is new and could pass"
        found = task.verify()
        if not isinstance(found, Lack):
            break
        tasks.learn(chain.ledger, found)
    assert found is not None, "the evidence of a benchmark is good"
    keep_answer(task.key, found)


def _run_block(
    lone: LoneChain, mempool: Mempool, tasks: EvidenceTasks, encoded: list[bytes], figures: dict[str, list[float]]
) -> None:
    chain, time_ms = lone.chain, lone.next_ms
    sender, receiver = _gossips(mempool)
    clock = Clock(len(encoded), figures)
    transactions = [parse_transaction(one, chain.chain_id) for one in encoded]
    clock.stage("parse")
    assert all(one.has_valid_signatures() for one in transactions)
    clock.stage("verify signature")
    for one in transactions:
        mempool.admit(one, chain.ledger, time_ms, Source.PEER)
    clock.stage("admit")
    if has_evidence(transactions[0]):
        for one in transactions:
            _verify_ahead(tasks, chain, one, time_ms)
        clock.stage("verify evidence")
    sender.publish([one.envelope_hash for one in transactions])
    outgoing = sender.flush()
    clock.stage("gossip send")
    for message in outgoing:
        receiver.handle("s", message.payload, 0)
    clock.stage("gossip receive (known)")
    limits = chain.params().blocks
    chosen = mempool.select(
        chain.ledger, time_ms, max_bytes=limits.bytes_max, max_transactions=len(encoded), max_work=limits.work_max
    )
    assert len(chosen) == len(encoded)
    clock.stage("select (leader only)")
    header = lone.header(chosen)
    clock.stage("transaction root")
    check_block(chain.ledger, header, chain.tip.block.time_ms, chosen)
    clock.stage("check block")
    lone.settle(header, chosen, clock)
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


if __name__ == "__main__":
    main()
