"""The governance runtime: how a transaction changes the state.

A transaction and its block:
execute             the entry: blocks, receipts, validity and admission
dispatch            one row for each message and each deadline
context             what a handler sees of the block and its transaction
rules               the checks of admission and block validity, one by one
block_edges         duties at the beginning and the end of each block
authorisation       which keys may act for an account
nonces              used and unused nonces of an account
work                what each message costs
prices              work and fees
conservation        where all money is
reasons             why something is refused
life_tables         the state machines of all but orders
explain             dry run of a transaction: every check with its remedy
remedies            what helps against a refusal
market_remedies     likewise around resources, orders and governance

Accounts and validators:
accounts            transfer; balances, treasury
auth_changes        set_auth: keys, guardians, recovery
staking             bond: validators, delegation, provider bonds, return from jail
delegations         shares of a validator's stake
unbonding           money on its way back to its owner
rewards             fees to validators and delegators
roster              who may be chosen as a validator
validator_updates   choice of the next validator set
equivocation        report: conviction by two conflicting votes
downtime            missed views, jail
proposals           propose and vote
ballots             how votes decide
proposal_effects    what each kind of proposal checks and changes
trust_rules         what proposals decide about trust
upgrades            the protocol moves on at a height

Evidence and enclaves:
collateral          put_collateral: a vendor's document comes in
documents           which document of a subject counts now
attestations        attest: a machine proves what it runs
attest_checks       the checks of an attestation, in one table
challenges          recent blocks that evidence and receipts name
evidence            verifying evidence, and keeping the answers
warming             verifying it ahead of its block
profiles            measurements that a release expects
judgement           state and level of an enclave by what the chain knows now
enclaves            how a judgement changes an enclave; re-appraisal
cohorts             enclaves that stand or fall together, and their queue
endorsements        endorse: what accounts say about others

Resources:
resources           publish: new resources and releases
amendments          amend: their terms change
assignments         assign: their owner changes
releases            a release gets another status
offer_checks        what must hold of what is offered
policy              policies as handlers apply them

Orders:
order_table         their state machine: what may happen in each state
ordering            order and fund
accepting           accept
granting            grant
work_receipts       receipt
closing             close
order_clock         what happens when a date has come
standstill          no silence counts while the chain stands still
order_steps         how orders end, return to the market, stall
order_reviews       orders whose enclave fell or whose resource was withdrawn
order_queue         lists of orders that wait for that
order_policies      whose policies an order meets
order_usage         the ledger of use
order_books         how orders are found and written
order_attempts      the checks of order and accept one by one
settlement          their money
capacities          arithmetic of machines' capacities
"""
