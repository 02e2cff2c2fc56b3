"""What somebody can do about a refusal around resources, orders and governance: one sentence for each reason."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from state.runtime.reasons import TransactionReason

MARKET_REMEDIES: Final[Mapping[StrEnum, str]] = {
    TransactionReason.PLAN_MALFORMED: "ask for beats no more often than beat_ms_min, and for some wherever time is paid",
    TransactionReason.NO_PLAN: "name a plan that the resource shows as open",
    TransactionReason.CAPACITY_IN_USE: "wait until orders have ended, or name at least what is in use",
    TransactionReason.RESOURCE_IN_USE: "wait until its enclaves have expired and its orders have ended",
    TransactionReason.RELEASE_STATUS_FINAL: "publish a new release",
    TransactionReason.NOT_OUTPUT: "name your order whose output has exactly this content root",
    TransactionReason.LINES_MALFORMED: "put one COMPUTE line first; give a release to data and software alone",
    TransactionReason.TERMS_MALFORMED: "choose accept_by, start_by and end_by that ascend from now and fit the plans' terms",
    TransactionReason.NOT_CURRENT: "order the resource's current release",
    TransactionReason.PRICE_TOO_HIGH: "raise price_max, or choose another plan",
    TransactionReason.PLAN_TOO_WEAK: "accept under a plan that promises what the order asks for",
    TransactionReason.STOCK_EXHAUSTED: "order fewer units, wait, or choose another plan",
    TransactionReason.CAPACITY_TOO_LOW: "order fewer units, or choose a larger plan or machine",
    TransactionReason.POLICY_DENIED: "choose parts that the named condition allows, or ask the owner",
    TransactionReason.DEPOSIT_TOO_LOW: "deposit at least the allowed value",
    TransactionReason.ORDERS_BRAKED: "wait until the brake ends",
    TransactionReason.AFTER_MALFORMED: "name your own orders, sorted, each once",
    TransactionReason.AFTER_PENDING: "wait for the output of the order named; if it closed without one, order again",
    TransactionReason.TOO_MANY_CONTRIBUTIONS: "order again with a larger deposit",
    TransactionReason.WRONG_STATE: "look at the order's state; this step does not follow it",
    TransactionReason.NOT_PARTY: "send from the customer, the provider or the owner of a line, as the step needs",
    TransactionReason.TOO_LATE: "nothing to do: the date named is over; an upgrade needs at least the allowed height",
    TransactionReason.NO_ENCLAVE: "name the enclave by its address (boccenc1...); for an order, the one that accepted it",
    TransactionReason.ENCLAVE_NOT_TRUSTED: "renew the enclave's proof; `bocc query enclave` tells what is short",
    TransactionReason.WRONG_PROGRAM: "run one of the order's software releases in the enclave",
    TransactionReason.WRONG_HARDWARE: "accept with an enclave on the hardware that the order names",
    TransactionReason.PENALTY_TOO_HIGH: "look at the order again, and accept with a higher bound if its penalty is worth it",
    TransactionReason.PROVIDER_BOND_TOO_LOW: "bond more with purpose provider",
    TransactionReason.TOO_MANY_ORDERS: "use another enclave, or wait until orders have ended",
    TransactionReason.NO_LINE: "name a sealed line of the order, counted from 0",
    TransactionReason.GRANT_STALE: "seal again, to the order's present enclave and in the resource's present epoch",
    TransactionReason.GRANT_LACKING: "have the line's owner grant its key to this enclave first",
    TransactionReason.BAD_VAULT: "use a trusted enclave that runs the resource's vault, and sign with its key",
    TransactionReason.TOO_MANY_RECEIPTS: "send what is no beat in several messages",
    TransactionReason.RECEIPT_NUMBER: "continue from the order's receipt_count",
    TransactionReason.BAD_RECEIPT_SIGNATURE: "sign with the enclave's key over the orders' present heads and a recent block",
    TransactionReason.INPUTS_MISMATCH: "load exactly what was ordered, and name the digests in the order of the lines",
    TransactionReason.ALREADY_MARKED: "nothing to do: a mark stays",
    TransactionReason.NO_PROPOSAL: "name a proposal by its number",
    TransactionReason.NO_POWER: "vote with a validator's operator account that had power when the proposal was made",
    TransactionReason.VOTING_OVER: "nothing to do: the proposal is decided",
    TransactionReason.TOO_MANY_PROPOSALS: "wait until a proposal has ended",
    TransactionReason.TOO_MANY_OWN_PROPOSALS: "wait until a proposal of this account has ended",
    TransactionReason.PROPOSAL_DEPOSIT_TOO_LOW: "deposit at least the allowed value",
    TransactionReason.PAYLOAD_MALFORMED: "correct what is named",
    TransactionReason.TREASURY_TOO_LOW: "propose a smaller amount",
    TransactionReason.BASIS_MOVED: "propose it anew, made from the values that are in force by now",
    TransactionReason.QUORUM_MISSED: "propose again, and have more power vote",
    TransactionReason.MAJORITY_MISSED: "propose again with more support",
    TransactionReason.VOTED_DOWN: "propose something else",
}
