"""A process that makes blocks final without end and says each height once it is durable; for tests that kill or starve it.

    python -m tests.support.committing_process FOLDER [FILE_BYTES_MAX]

Each block's height is appended to a log and synced before the block is finalised, as a vote would be. The process ends with the
text of the first fault, after showing that nothing can be written any more.
"""

from __future__ import annotations

import resource
import signal
import sys
from pathlib import Path

from node.wal import FileLog
from state.chain import Chain
from state.chain_commit import Retention
from state.errors import StorageFault
from state.leveldb import LevelDBStore
from tests.support.toy_chain import GENESIS, ToyExecution, certify, execute, toy_transaction

HEADER = b"committing process"
RETENTION = Retention(history_heights=16)
RECORDS = 50


def open_folder(folder: Path) -> tuple[Chain, FileLog]:
    """Open chain and log of a folder, or make them in an empty one."""
    table_path = folder / "data" / "state.table"
    if table_path.parent.exists():
        store = LevelDBStore.open(folder / "data" / "state")
        chain = Chain.open(store, begin_execution=ToyExecution, retention=RETENTION, table_path=table_path)
        return chain, FileLog.open(folder / "data" / "votes.log", HEADER)
    table_path.parent.mkdir(parents=True)
    log = FileLog.create(folder / "data" / "votes.log", HEADER)
    store = LevelDBStore.create(folder / "data" / "state")
    chain = Chain.create(store, GENESIS, begin_execution=ToyExecution, retention=RETENTION, table_path=table_path)
    return chain, log


def balances_at(height: int) -> dict[int | str, int | None]:
    """Return what the block of a height writes."""
    return {(height * 31 + index) % 2_000: height for index in range(RECORDS)}


def commit_next(chain: Chain, log: FileLog) -> int:
    """Make one more block final, and return its height."""
    height = chain.tip.block.height + 1
    block = execute(chain, chain.tip.block.block_hash, [toy_transaction(balances_at(height), height)], height)
    log.append(b"%d" % height)
    log.sync()
    if height % 10 == 0:
        log.rewrite([b"%d" % height])
    chain.finalize([block.block_hash], certify(block))
    dump = chain.take_dump()
    if dump is not None:
        dump.run()
    return height


def main() -> None:
    """Commit until the end."""
    if len(sys.argv) > 2:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    chain, log = open_folder(Path(sys.argv[1]))
    print("open", flush=True)
    try:
        while True:
            print(commit_next(chain, log), flush=True)
    except StorageFault as fault:
        print(f"fault {fault}", flush=True)
        sys.exit(3)


if __name__ == "__main__":
    main()
