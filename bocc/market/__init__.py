"""Offering and ordering, from files that people write to messages that the chain takes.

- `forms`: how amounts, durations, dates, addresses and policies are written in files
- `order_file`, `resource_file`: files that say what to order and what to offer
- `offers`: which offers fit an order, with release and plan pinned
- `costs`: what an order costs at least, for its whole duration, and in the state
- `quotes`: the message that orders what a file asks for, with its costs
- `grants`: keys sealed for one enclave and one order
"""
