"""Offering and ordering, from files that people write to messages that the chain takes.

- `forms`: how amounts, durations, dates, addresses and policies are written in files
- `order_file`: what an order's file says; `offers` which offers fit it; `costs` what it costs; `drafts` the message of all that
- `resource_file`, `profiles`, `resource_templates`: what a resource's file says, how software measures, files to fill in
- `fitting`: which open orders an enclave could take
- `grants`: keys sealed for one enclave and one order; `grant_proofs` what they are sealed to, verified from the genesis
"""
