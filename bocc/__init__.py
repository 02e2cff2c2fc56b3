"""What people touch: the command line, the client library, local networks, and proofs that need no node.

- `client`: the asynchronous client of a node; `rpc`, `events`, `nonces` and `pricing` are its parts
- `wallet`: mnemonics, derivation and keyrings
- `light`: facts about the chain, checked offline
- `evidence`: evidence of confidential hardware, verified and explained offline; `provider`: brought to a chain
- `market`: offering and ordering, from files that people write; `policy_text`, `durations`, `amounts` are how they write
- `errors`, `home`: what can go wrong, where things are
- `testnet`: local networks of several nodes; `load`: transfers at a steady rate on one
- `testing`, `pytest_plugin`, `pytest_async`: a running network for tests
- `cli`: the command `bocc`
"""
