"""What somebody can do about a refusal: one sentence for each reason, and one for each family of the verifier's."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from state.runtime.market_remedies import MARKET_REMEDIES
from state.runtime.reasons import EnclaveReason, TransactionReason
from tee.appraisal import DenialReason
from tee.errors import Reason

REMEDIES: Final[Mapping[StrEnum, str]] = {
    **MARKET_REMEDIES,
    TransactionReason.ENVELOPE_TOO_LARGE: "send fewer or smaller messages in one transaction",
    TransactionReason.NOT_AN_ACCOUNT: "use the address of an account (bocc1...)",
    TransactionReason.EXPIRED: "sign again with a later expires_at_ms",
    TransactionReason.EXPIRES_TOO_LATE: "sign again with an earlier expires_at_ms",
    TransactionReason.FEE_TOO_LOW: "sign again with at least the allowed value as fee",
    TransactionReason.NONCE_USED: "sign again with the account's next_nonce; if this very transaction ran, do nothing",
    TransactionReason.NONCE_TOO_HIGH: "sign again with a nonce near the account's next_nonce",
    TransactionReason.UNAUTHORISED: (
        "sign with keys of the sender that reach its threshold in every message's scope;"
        " for another account's recovery, also with keys of a quorum of its guardians;"
        " for an assignment, also with the new owner's keys of scope OWN"
    ),
    TransactionReason.BAD_SIGNATURE: "sign again for this chain; the chain id is part of what is signed",
    TransactionReason.CANNOT_PAY: "fund the sender, or wait until its pending transactions are done",
    TransactionReason.ZERO_AMOUNT: "give an amount",
    TransactionReason.UNEXPECTED_AMOUNT: "set the amount to 0",
    TransactionReason.BALANCE_TOO_LOW: "fund the sender or lower the amount",
    TransactionReason.UNEXPECTED_FIELD: "fill exactly the fields that this action uses",
    TransactionReason.KEYS_NOT_SORTED: "sort keys by public key and guardians by address, each once",
    TransactionReason.UNREACHABLE_THRESHOLD: "lower the threshold or give more weight to keys with the scope",
    TransactionReason.BAD_GUARDIAN_QUORUM: "choose a quorum between 1 and the number of guardians, or 0 without any",
    TransactionReason.GUARDIAN_IS_SELF: "name other accounts as guardians",
    TransactionReason.STAKE_TOO_LOW: "bond at least the allowed value",
    TransactionReason.BAD_PROOF: "sign the proof with the consensus key, for this chain and this sender",
    TransactionReason.DEVELOPMENT_KEY: "make a consensus key of your own",
    TransactionReason.KEY_TAKEN: "make a new consensus key",
    TransactionReason.KEY_IS_FIXED: "leave key and proof empty; a validator keeps its first key",
    TransactionReason.ROSTER_FULL: "bond more than the weakest validator outside the set",
    TransactionReason.NO_VALIDATOR: "name the operator's address of a validator",
    TransactionReason.TOMBSTONED: "choose another validator; this one is convicted for ever",
    TransactionReason.NOT_BONDED: "name a validator to which the sender has delegated",
    TransactionReason.BOND_TOO_LOW: "remove at most what is bonded and free; if it is worth nothing, claim its rewards to close it",
    TransactionReason.TOO_MANY_DELEGATIONS: "remove another delegation first",
    TransactionReason.TOO_MANY_UNBONDINGS: "wait until an unbonding entry is paid out",
    TransactionReason.BELOW_MINIMUM_SET: "wait until another validator has joined",
    TransactionReason.NOT_JAILED: "nothing to do: the validator is not in jail",
    TransactionReason.STILL_JAILED: "wait until the jail time is over",
    TransactionReason.WRONG_ACTION: "choose an action that exists for this purpose",
    TransactionReason.NOT_CONFLICTING: "report two votes that no correct validator signs both",
    TransactionReason.VOTES_NOT_SORTED: "exchange the two votes",
    TransactionReason.BAD_VOTE: "report votes whose signatures verify under the validator's consensus key",
    TransactionReason.EVIDENCE_FROM_FUTURE: "wait until the epoch of the votes has begun",
    TransactionReason.EVIDENCE_TOO_OLD: "nothing to do: such old votes convict no longer",
    TransactionReason.TOO_MANY_LARGE_MESSAGES: "send each of them in a transaction of its own",
    TransactionReason.NO_RESOURCE: "name a resource by its address (boccres1...)",
    TransactionReason.NOT_OWNER: "send from the account that owns the resource",
    TransactionReason.WRONG_RESOURCE_KIND: "name a resource of the allowed kind",
    TransactionReason.RESOURCE_NOT_ACTIVE: "use another resource, or have its owner resume it",
    TransactionReason.NO_RELEASE: "name releases by their numbers, ascending, below the allowed value",
    TransactionReason.NO_ORDER: "leave the field empty, or name an order that exists",
    TransactionReason.POLICY_MALFORMED: "give each node its children in prefix order, within the bounds of depth and conditions",
    TransactionReason.PLANS_MALFORMED: "number plans on in their order, least terms within longest; close some if many are open",
    TransactionReason.PAYEES_MALFORMED: "sort payees, name each once, and let their shares sum to the allowed value",
    TransactionReason.CAPACITY_MALFORMED: "sort models of GPUs and name each once",
    TransactionReason.PROFILE_MALFORMED: "use the names that are allowed for this TEE, sorted, and values within their masks",
    TransactionReason.PROFILE_INCOMPLETE: "pin at least the allowed registers; a signer's key alone identifies no program",
    TransactionReason.BAD_SUBJECT: "name the subject in the form of its kind",
    TransactionReason.UNTIL_PAST: "name a later time, or 0 to take an endorsement back",
    TransactionReason.UNTIL_TOO_LATE: "name a time within the allowed one, and endorse again before it is over",
    TransactionReason.NOT_ENDORSED: "nothing to do: there is no such endorsement",
    TransactionReason.UNKNOWN_COLLATERAL: "name a kind of document that the chain keeps",
    TransactionReason.COLLATERAL_NOT_NEWER: "nothing to do: the chain has this document or a later one",
    TransactionReason.NUMBER_TOO_LOW: "fetch the vendor's present document",
    TransactionReason.NUMBER_NOT_HIGHER: "name a number above the one in force; numbers never go back",
    TransactionReason.UNKNOWN_TEE: "name a kind of evidence that the chain verifies",
    TransactionReason.NO_PROFILE: "have the software's owner publish a release with a profile for this TEE",
    TransactionReason.ENCLAVE_REVOKED: "start an enclave with a new key on a machine that is not withdrawn",
    TransactionReason.ENCLAVE_MOVED: "attest under the operator, hardware and machine of the enclave, or with a new key",
    TransactionReason.CHALLENGE_NOT_NEWER: "make new evidence for a recent block",
    TransactionReason.CHALLENGE_UNKNOWN: "make new evidence for a block below the tip, within the challenge window",
    TransactionReason.CHALLENGE_TOO_OLD: "make new evidence for a recent block, and send it at once",
    TransactionReason.BAD_ENCLAVE_SIGNATURE: "have the enclave sign this chain, operator, hardware and evidence",
    TransactionReason.COLLATERAL_TOO_OLD: "fetch the vendor's present document and put it on the chain",
    TransactionReason.BINDING_MISMATCH: "make new evidence whose report data is the allowed value",
    TransactionReason.MEASUREMENT_MISMATCH: "boot the very image of the release, or name the release that runs",
    TransactionReason.PLATFORM_TAKEN: "wait until its enclaves elsewhere are gone; another owner's also until the notice is over",
    TransactionReason.PLATFORM_REPEATED: "give each GPU of the machine once",
    TransactionReason.TOO_MANY_ENCLAVES: "let an enclave of this machine expire first",
    TransactionReason.TOO_MANY_COHORTS: "wait until a kind of machine is no longer in use",
    TransactionReason.TOO_MANY_ROOTS: "nothing to do for a sender",
    TransactionReason.TOO_MANY_BRAKES: "wait until a brake ends",
    TransactionReason.BRAKE_TOO_LONG: "choose an end within the allowed time",
}
"""What its sender can do about a refusal; one for each reason."""

ENCLAVE_REMEDIES: Final[Mapping[StrEnum, str]] = {
    EnclaveReason.EXPIRED: "renew: attest again under the same key",
    EnclaveReason.VERIFIER_CHANGED: "renew: attest again under the same key",
    EnclaveReason.ROOT_DISTRUSTED: "nothing to do for a provider: governance distrusts the vendor's root",
    EnclaveReason.CERTIFICATE_REVOKED: "have the vendor certify the machine anew, and start an enclave with a new key",
    EnclaveReason.AUTHORITY_REVOKED: "have the vendor certify the machine anew, and start an enclave with a new key",
    EnclaveReason.BRAKED: "wait until the brake ends",
    EnclaveReason.RELEASE_REVOKED: "run a current release",
    EnclaveReason.COLLATERAL_LACKING: "fetch the vendor's documents for this machine and put them on the chain",
    EnclaveReason.COLLATERAL_OVERDUE: "fetch the vendor's present documents and put them on the chain",
    EnclaveReason.COLLATERAL_EXPIRED: "fetch the vendor's present documents and put them on the chain",
    EnclaveReason.COLLATERAL_BEHIND: (
        "fetch the vendor's documents of the evaluation number in force, and put them on the chain before the grace ends"
    ),
    EnclaveReason.BEHIND: "update firmware and modules of the machine before the grace ends, then renew",
    EnclaveReason.STANDING_TOO_LOW: "update firmware and modules of the machine, then renew",
}
"""For the states of enclaves."""


_OTHER_EVIDENCE: Final = "use a machine, program or setting that the policy of the chain accepts"
DENIAL_REMEDIES: Final[Mapping[StrEnum, str]] = {
    DenialReason.EVALUATION_NUMBER_TOO_LOW: (
        "fetch the vendor's documents of the allowed evaluation number or a later one, and put them on the chain"
    ),
}
"""For those denials that another machine, program or setting does not help against."""

_FETCH: Final = "fetch the vendor's present documents and put them on the chain"
_SIGNED_ANEW: Final = (
    "put documents on the chain that the vendor has signed anew: it withdrew the signer; evidence need not change"
)
_CERTIFY: Final = "have the vendor certify the machine anew: its certificate, or the authority above it, is withdrawn"
VERIFIER_REMEDIES: Final[Mapping[StrEnum, str]] = {
    Reason.COLLATERAL_MISSING: "fetch the vendor's documents for this machine and put them on the chain",
    Reason.TCB_INFO_SIGNER_REVOKED: _SIGNED_ANEW,
    Reason.QE_IDENTITY_SIGNER_REVOKED: _SIGNED_ANEW,
    Reason.PCK_REVOKED: _CERTIFY,
    Reason.ICA_REVOKED: _CERTIFY,
    Reason.VEK_REVOKED: _CERTIFY,
    Reason.ASK_REVOKED: _CERTIFY,
    Reason.ROOT_CRL_EXPIRED: _FETCH,
    Reason.PCK_CRL_EXPIRED: _FETCH,
    Reason.CRL_EXPIRED: _FETCH,
    Reason.TCB_INFO_EXPIRED: _FETCH,
    Reason.QE_IDENTITY_EXPIRED: _FETCH,
}
"""For those of the verifier's reasons that other bytes of evidence do not help against."""


def remedy_of(reason: StrEnum) -> str:
    """Return what helps against a refusal."""
    if isinstance(reason, DenialReason):
        return DENIAL_REMEDIES.get(reason, _OTHER_EVIDENCE)
    if isinstance(reason, Reason):
        unchanged = "send the vendor's bytes unchanged and complete; if a window has ended, fetch or make them anew"
        return VERIFIER_REMEDIES.get(reason, unchanged)
    return REMEDIES.get(reason) or ENCLAVE_REMEDIES[reason]
