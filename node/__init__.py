"""The imperative shell: wires everything, and owns time, disk, sockets and keys.

running        the process: its loop, its signals, and the observation before a key signs whose votes may be lost
node           builds all parts and runs them in one task group
happenings     what waits for the one consumer: lanes, turns of peers, room
driver         performs the effects of consensus, in order; the simulator drives the same code
shell          what the driver asks of the world outside; `outside` implements it
mempool        pending transactions; `admission` are its rules, `intake` its door, `body_pool` what unfinal blocks pin,
               `evidence_queue` what is held until its evidence is verified
block_fetch    fresh blocks from mempool and peers; `block_checks` checks them, `block_server` serves peers
executor       executions of blocks in slices
catch_up       old blocks in proven runs; `syncing` applies them
proposer       what a leader puts into a block
wal            the write-ahead log; `wal_frames` is its format, `vote_log` how the driver uses it
home, opened   a node's directory, and its files once they are open; `config` is its config.toml
signer         the only holder of the validator key
api            JSON-RPC, WebSocket, health pages
"""
