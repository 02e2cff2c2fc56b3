"""Verifying the evidence of an attestation, and keeping the answers, so that what was checked at admission is not checked again.

An answer is kept under everything that it depends on: the bytes, the nonce of the GPUs, and the verification root, which moves with
every document, number in force and root of trust. It holds between two block times, the intersection of all windows that it rests
on; outside of them evidence is verified anew. So a node that has an answer and one that has not agree on every block. Refusals are
not kept.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from msgspec import Struct

from state.attestation import hash_gpu_evidence
from state.ledger import Ledger
from state.records import ONLY
from state.runtime.trust.documents import ChainCollateral, roots_of, simulated_roots
from state.trust_messages import Attest
from state.trust_records import TRUST_BOOKS
from tee.claims import Claims, GpuClaims
from tee.documents import Parsed
from tee.evidence import EvidenceKind, verify
from tee.nvidia import verify_gpu

ANSWERS_MAX: Final = 4_096
"""Answers kept, about 3 KiB each; the oldest go first."""


class Answer(Struct, frozen=True):
    """What an attestation's evidence proves."""

    claims: Claims
    gpus: tuple[GpuClaims, ...]
    is_simulated: bool
    """Whether the processor or any GPU is under a root of simulated hardware."""
    root: bytes
    """Fingerprint of the root that the processor's evidence is under."""
    documents: tuple[Parsed, ...]
    """Collateral that it was verified with."""
    valid_from_s: int
    valid_until_s: int


class EvidenceCache:
    """Answers by what they depend on."""

    __slots__ = ("_answers",)

    def __init__(self) -> None:
        """Start empty."""
        self._answers: dict[bytes, Answer] = {}

    def verify(self, ledger: Ledger, attest: Attest, nonce: bytes, time_s: int) -> Answer:
        """Return what the evidence of a message proves at block time, by this state's collateral and roots.

        Raises:
            EvidenceRejected: the evidence of the processor or of a GPU is refused.
        """
        key = answer_key(ledger, attest, nonce)
        answer = self.find(key, time_s)
        if answer is None:
            answer = verify_evidence(ledger, attest, nonce, time_s)
            self.keep(key, answer)
        return answer

    def find(self, key: bytes, time_s: int) -> Answer | None:
        """Return the answer under a key that holds at this time, or None."""
        answer = self._answers.get(key)
        return answer if answer is not None and answer.valid_from_s <= time_s <= answer.valid_until_s else None

    def keep(self, key: bytes, answer: Answer) -> None:
        """Keep an answer under `answer_key`, in the place of the one that was there."""
        self._answers.pop(key, None)
        while len(self._answers) >= ANSWERS_MAX:
            self._answers.pop(next(iter(self._answers)), None)
        self._answers[key] = answer

    def __len__(self) -> int:
        return len(self._answers)


SHARED_CACHE: Final = EvidenceCache()
"""The process' answers: a memory of a pure function, so every chain in the process may use it."""


def verify_evidence(ledger: Ledger, attest: Attest, nonce: bytes, time_s: int) -> Answer:
    """Verify evidence without looking for an answer from before.

    Raises:
        EvidenceRejected: the evidence of the processor or of a GPU is refused.
    """
    roots, collateral = roots_of(ledger), ChainCollateral(ledger)
    verified = verify(EvidenceKind(attest.tee), attest.evidence, collateral, roots, time_s)
    gpus = tuple(verify_gpu(gpu.report, gpu.chain, nonce, roots, time_s) for gpu in attest.gpus)
    # GPU claims tell only the end of their windows, so an answer with any does not reach back before this second.
    valid_from_s = max(verified.valid_from_s, time_s) if gpus else verified.valid_from_s
    simulated = simulated_roots(ledger)
    return Answer(
        claims=verified.claims,
        gpus=gpus,
        is_simulated=verified.is_simulated or any(gpu.root in simulated for gpu in gpus),
        root=verified.root,
        documents=tuple(collateral.document for collateral in collateral.used),
        valid_from_s=valid_from_s,
        valid_until_s=min((verified.valid_until_s, *(gpu.not_after_s for gpu in gpus))),
    )


def answer_key(ledger: Ledger, attest: Attest, nonce: bytes) -> bytes:
    """Return the digest of what an answer depends on, but for time."""
    parts = (
        ledger.get(TRUST_BOOKS, ONLY).verification_root,
        bytes((attest.tee,)),
        sha256(attest.evidence).digest(),
        hash_gpu_evidence(attest.gpus),
        nonce if attest.gpus else bytes(32),
    )
    return sha256(b"".join(parts)).digest()
