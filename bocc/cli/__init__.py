"""The command `bocc`: one module per group of commands, loaded when it is used.

- `context`: options that every command takes, and what follows from them
- `output`: tables for people, JSON for programs
- `failures`: one line and a next step for everything that can go wrong, with exit codes
- `asking`, `sending`: what commands that ask a node, or send a transaction, share
- `keys`, `tx`, `query`, `order`, `resource`, `endorse`, `provider`, `collateral`, `faucet`, `gov`, `health`, `node`, `proof`,
  `tee`, `testnet`: the commands
- `order_sides`, `query_trust`, `query_market`: parts of them; modules named `..._text` are what they print
"""
