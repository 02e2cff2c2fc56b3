"""The command `bocc`: one module per group of commands, loaded when it is used.

- `context`: options that every command takes, and what follows from them
- `output`: tables for people, JSON for programs
- `failures`: one line and a next step for everything that can go wrong, with exit codes
- `asking`, `sending`: what commands that ask a node, or send a transaction, share
- `keys`, `tx`, `query`, `provider`, `collateral`, `faucet`, `gov`, `health`, `node`, `proof`, `tee`, `testnet`: the commands
"""
