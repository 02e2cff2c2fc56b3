"""The governance runtime: how a transaction changes the state.

execute         the entry: blocks, receipts, validity and admission
dispatch        one row for each message and each deadline
context         what a handler sees of the block and its transaction
rules           the checks of admission and block validity, one by one
explain         dry run of a transaction: every check with its remedy
authorisation   which keys may act for an account
nonces          used and unused nonces of an account
work            what each message costs
prices          work and fees
accounts        transfer; balances
auth_changes    set_auth: keys, guardians, recovery
staking         bond: validators, delegation, provider bonds, return from jail
delegations     shares of a validator's stake
unbonding       money on its way back to its owner
rewards         fees to validators and delegators
roster          who may be chosen as a validator
equivocation    report: conviction by two conflicting votes
downtime        missed views, jail
proposals       propose and vote
ballots         how votes decide
proposal_effects    what each kind of proposal checks and changes
upgrades        the protocol moves on at a height
validator_updates   choice of the next validator set
block_edges     duties at the beginning and the end of each block
conservation    where all money is
reasons         why something is refused
"""
