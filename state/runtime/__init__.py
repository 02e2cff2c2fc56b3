"""The governance runtime: how a transaction changes the state.

A transaction and its block:
execute             the entry: blocks, receipts, validity and admission
dispatch            one row for each message and each deadline
context             what a handler sees of the block and its transaction
rules               the checks of admission and block validity, one by one
block_edges         duties at the beginning and the end of each block
nonces              used and unused nonces of an account
work                what each message costs
prices              work and fees
conservation        where all money is
reasons             why something is refused
life_tables         the state machines of all but orders
warming             verifying evidence ahead of its block
explain             dry run of a transaction: every check with its remedy
remedies            what helps against a refusal
market_remedies     likewise around resources, orders and governance

What more than one of the folders below needs:
policy              policies as handlers apply them
capacities          arithmetic of machines' capacities
order_queue         lists of orders that wait for a review

Handlers, a folder for each family of records, each above the next:
governance          propose, vote
offers              publish, amend, assign, endorse
orders              order, fund, accept, grant, receipt, close
trust               put_collateral, attest
staking             bond, report
accounts            transfer, set_auth
"""
