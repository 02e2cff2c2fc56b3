"""What the chain says: formats, records, the runtime that changes them, and authenticated storage.

Formats        codec, errors, crypto, address, merkle, validators, votes, certificates, block, messages, transactions, receipts
State          records, params, ledger (decoded records in layers), deadlines, queries; `runtime` executes blocks
Genesis        genesis, genesis_file, development (public keys), development_genesis
Tree           tree, tree_shape, tree_bucket, tree_view (older heights), tree_proof, tree_snapshot, tree_dump, tree_errors
Chain          chain (final and executed blocks), chain_branches, chain_commit, chain_execution, chain_history, chain_open,
               chain_table, chain_views, stored (records of the store)
Disk           store (the protocol, and the one in memory), leveldb, durable (files that survive power loss), keyfile
For clients    building (transactions from messages), proof_bundle (what a stranger needs to check a fact)
"""
