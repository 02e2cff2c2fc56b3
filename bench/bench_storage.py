"""Storage on a real disk: cost of a final block of 1000 changed records, of a restart, and of replaying blocks of transfers.

Run from the project's root: python bench/bench_storage.py [records] [blocks]; the defaults are 100000 and 60.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from msgspec.structs import replace

from state.address import account_address
from state.block import hash_header
from state.chain import Chain
from state.crypto import SigningKey
from state.genesis import Genesis, GenesisAccount
from state.leveldb import LevelDBStore
from state.records import ACCOUNTS
from state.runtime.execute import check_block
from state.transactions import Body, parse_transaction, sign_transaction
from tests.support.chain_builders import make_genesis, transfer
from tests.support.toy_chain import GENESIS, ToyExecution, address, certify, make_header, record

BLOCK_RECORDS = 1000
REPLAY_SENDERS = 1000
FEE = 100_000


class Writes:
    """Stands for a transaction: account records to be written."""

    def __init__(self, balances: dict[int, int]) -> None:
        self.balances = balances
        self.encoded = b"w"


class WritingExecution(ToyExecution):
    """Writes records and does nothing else, so that storage alone is measured."""

    def apply(self, transaction: Writes) -> None:  # type: ignore[override]
        for index, balance in transaction.balances.items():
            self._overlay.put(ACCOUNTS, address(index), record(balance))


class Stopwatch:
    """Wall time of the parts of some work."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def total(self, name: str) -> float:
        return sum(self.seconds[name])

    def show(self, name: str, per: int, unit: str) -> None:
        spent = sorted(self.seconds[name])
        print(
            f"  {name:<44} {sum(spent) * 1e6 / len(spent) / per:8.2f} us per {unit}"
            f"   median {spent[len(spent) // 2] * 1e3:6.2f} ms, worst {spent[-1] * 1e3:6.2f} ms"
        )


def add_block(chain: Chain, writes: Writes, watch: Stopwatch) -> None:
    """Make a block of writes final."""
    header = make_header(chain, chain.tip.block.block_hash, chain.tip.view + 1, 1)
    with watch.part("execute and apply to the tree"):
        pending = chain.begin(hash_header(header), header, [writes])
        pending.run(1)
        block = chain.finish(pending)
    with watch.part("finalize: batch, synced write, history"):
        chain.finalize([block.block_hash], certify(block))


def measure_commits(folder: Path, records: int, blocks: int) -> None:
    print(f"{records} records, blocks of {BLOCK_RECORDS} changed ones")
    table = folder / "state.table"
    chain = Chain.create(
        LevelDBStore.create(folder / "db"), GENESIS, begin_execution=WritingExecution, table_path=table
    )
    for start in range(0, records, 10_000):
        add_block(chain, Writes(dict.fromkeys(range(start, min(start + 10_000, records)), 1)), Stopwatch())
    chance, watch = random.Random(1), Stopwatch()
    for block in range(blocks):
        add_block(chain, Writes(dict.fromkeys(chance.sample(range(records), BLOCK_RECORDS), block + 2)), watch)
    for part in watch.seconds:
        watch.show(part, BLOCK_RECORDS, "record")
    keys = [chance.randbytes(33) for _ in range(BLOCK_RECORDS)]
    for _ in range(20):
        with watch.part("bare synced write of 1000 x 100 bytes"):
            chain._store.write([(b"bench" + key, bytes(100)) for key in keys])
    watch.show("bare synced write of 1000 x 100 bytes", BLOCK_RECORDS, "record")
    tip = chain.tip
    with watch.part("clean close with table"):
        chain.close()
    with watch.part("opening the database"):
        store = LevelDBStore.open(folder / "db")
    with watch.part("restart from the table"):
        chain = Chain.open(store, begin_execution=WritingExecution, table_path=table)
    assert (chain.tip, chain.tree_source) == (tip, "table")
    with watch.part("restart by scan"):
        chain = Chain.open(store, begin_execution=WritingExecution)
    assert (chain.tip, chain.tree_source) == (tip, "scan")
    for part in ("clean close with table", "opening the database", "restart from the table", "restart by scan"):
        watch.show(part, records, "record")
    chain.close()


def make_envelopes(genesis: Genesis, keys: list[SigningKey], blocks: int) -> list[list[bytes]]:
    """Return blocks of signed transfers, one of each sender in each block."""
    senders = [address_of(key) for key in keys]
    return [
        [
            sign_transaction(
                genesis.chain_id,
                Body(
                    sender=sender,
                    nonce=nonce,
                    expires_at_ms=genesis.time_ms + 3_600_000,
                    fee=FEE,
                    messages=(transfer(senders[(index * 7 + 1) % len(senders)], 1),),
                    memo=b"",
                ),
                (key,),
            ).encoded
            for index, (sender, key) in enumerate(zip(senders, keys, strict=True))
        ]
        for nonce in range(blocks)
    ]


def address_of(key: SigningKey) -> bytes:
    return account_address(key.public_key)


def measure_replay(folder: Path, blocks: int) -> None:
    print(f"replay of {blocks} blocks of {REPLAY_SENDERS} transfers between {REPLAY_SENDERS} accounts, one thread")
    keys = sorted((SigningKey(index.to_bytes(32, "big")) for index in range(1, REPLAY_SENDERS + 1)), key=address_of)
    accounts = tuple(GenesisAccount(address=address_of(key), balance=10**10) for key in keys)
    genesis = replace(make_genesis(), accounts=accounts)
    stored = make_envelopes(genesis, keys, blocks)
    chain = Chain.create(LevelDBStore.create(folder / "replay"), genesis)
    watch = Stopwatch()
    for envelopes in stored:
        tip = chain.tip.block
        header = replace(
            make_header(chain, tip.block_hash, chain.tip.view + 1, len(envelopes)), chain_id=chain.chain_id
        )
        with watch.part("parse"):
            transactions = [parse_transaction(encoded, chain.chain_id) for encoded in envelopes]
        with watch.part("verify signatures"):
            assert all(transaction.has_valid_signatures() for transaction in transactions)
        with watch.part("check against the state"):
            check_block(chain.ledger, header, tip.time_ms, transactions)
        with watch.part("execute and apply to the tree"):
            pending = chain.begin(hash_header(header), header, transactions)
            pending.run(len(transactions))
            block = chain.finish(pending)
        with watch.part("finalize: batch, synced write, history"):
            chain.finalize([block.block_hash], certify(block))
    for part in watch.seconds:
        watch.show(part, REPLAY_SENDERS, "transaction")
    total = sum(map(watch.total, watch.seconds))
    count = blocks * REPLAY_SENDERS
    print(
        f"  all: {count / total:,.0f} tx/s; without signatures: {count / (total - watch.total('verify signatures')):,.0f} tx/s"
    )
    chain.close()


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    blocks = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    with tempfile.TemporaryDirectory(dir=".") as folder:
        measure_commits(Path(folder), records, blocks)
        measure_replay(Path(folder), blocks)


if __name__ == "__main__":
    main()
