"""Proofs of all vendors on a whole chain: whether verified ahead, in the block or years later, they leave the same bytes."""

from __future__ import annotations

import time

import pytest
from msgspec.structs import replace

from state.attestation import enclave_address, gpu_nonce, report_data
from state.chain_views import StoredBlock
from state.offers import ResourceKind
from state.receipts import EventKind
from state.runtime.trust import evidence
from state.runtime.trust.evidence import SHARED_CACHE
from state.runtime.warming import EvidenceTasks, Lack, keep_answer
from state.transactions import Transaction, parse_transaction
from state.trust_messages import Attest
from state.trust_records import ENCLAVES
from tee.errors import Reason
from tee.evidence import EvidenceKind
from tee.simulated import SimulatedVendor
from tests.support import snp_pki
from tests.support.attesting import (
    build_attest,
    collateral_messages,
    enclave_key,
    facts_of,
    list_verifications,
    publish,
)
from tests.support.chain_builders import account
from tests.support.fixture_chain import FixtureChain
from tests.support.tee_caches import clear_caches
from tests.support.vendor_machines import NitroMachine, amd_list, image, make_gpu, snp_machine, vendors_genesis

GUEST, ENCLAVE, DOMAIN, WITH_GPU, REFUSED = range(5)
PROVIDER = 0


class VerifiedInBlock(Exception):
    """A block verified evidence that was verified ahead."""


def refuse(*_arguments: object) -> None:
    raise VerifiedInBlock


class History(FixtureChain):
    """A chain of these vendors on which evidence is verified ahead, and in blocks never."""

    def __init__(self) -> None:
        super().__init__(vendors_genesis())
        self.vendor = SimulatedVendor()
        self.tasks = EvidenceTasks()
        self.nonce = 0
        self.hardware = self.image = b""
        self.reasons: list[str] = []

    @property
    def now_s(self) -> int:
        """Time of the last block."""
        return self.chain.tip.block.time_ms // 1_000

    def send(self, *messages: object) -> list[bytes]:
        """Make a block of one transaction of the provider's and return what it published."""
        finalized = self.add(self.sign(PROVIDER, *messages, nonce=self.nonce))
        self.nonce += 1
        events = [stored.event for _sequence, stored in finalized.events]
        return [dict(event.attributes)["resource"] for event in events if event.kind is EventKind.PUBLISHED]

    def attest(self, number: int, *, is_gpu_fresh: bool = True) -> None:
        """Attest an enclave for the last block: verify that ahead, then put it into a block."""
        transaction = self.sign(PROVIDER, self.build(number, is_gpu_fresh=is_gpu_fresh), nonce=self.nonce)
        self.nonce += 1
        with pytest.MonkeyPatch.context() as patch:
            if self.verify_ahead(transaction):
                patch.setattr(evidence, "verify_evidence", refuse)
            self.add(transaction)
        self.reasons.append(self.chain.views.block_by_height(self.chain.tip.block.height).receipts[0].reason)

    def verify_ahead(self, transaction: Transaction) -> bool:
        """Verify as at admission, with the records that are asked for; tell whether there is an answer."""
        tip = self.chain.tip.block
        while True:
            task = self.tasks.find_task(self.chain.ledger, tip.block_hash, transaction, tip.time_ms)
            assert task is not None
            found = task.verify()
            if isinstance(found, Lack):
                self.tasks.learn(self.chain.ledger, found)
                continue
            if found is not None:
                keep_answer(task.key, found)
            return found is not None

    def build(self, number: int, *, is_gpu_fresh: bool) -> Attest:
        """Return the attestation of an enclave; two of them have a GPU."""
        key, tip = enclave_key(number), self.chain.tip.block
        facts = facts_of(key, self.chain.chain_id, account(PROVIDER), self.hardware, tip.height, tip.block_hash)
        if number in {WITH_GPU, REFUSED}:
            names = ("chain_id", "sign_key", "challenge_height", "challenge_hash")
            nonce = gpu_nonce(**{name: facts[name] for name in names})
            facts["gpus"] = (make_gpu(nonce if is_gpu_fresh else bytes(32)),)
        data = report_data(**facts)
        if number == DOMAIN:
            return build_attest(key, facts, self.image, self.vendor.machine("domain").quote(data))
        machine = NitroMachine() if number == ENCLAVE else snp_machine(chip=number)
        made = build_attest(key, facts, self.image, machine.make(data, self.now_s))
        return replace(made, tee=machine.kind)


def blocks_of(chain: FixtureChain) -> list[StoredBlock]:
    """Return every block from the first."""
    return [chain.chain.views.block_by_height(height) for height in range(1, chain.chain.tip.block.height + 1)]


def enclaves_of(chain: FixtureChain) -> list[tuple[int, str, int]]:
    """Return kind, state and level of every enclave."""
    names = (enclave_address(enclave_key(number).public_key) for number in range(5))
    found = (chain.chain.ledger.find(ENCLAVES, name) for name in names)
    return [(each.tee, each.state.name, each.level) for each in found if each is not None]


@pytest.fixture(scope="module")
def history() -> History:
    """Give a history: documents, four enclaves of all kinds, one that is refused, a renewal."""
    history = History()
    for message in collateral_messages(history.vendor.collateral(history.now_s)):
        history.send(message)
    history.send(amd_list())
    history.hardware, history.image = history.send(publish(ResourceKind.HARDWARE), image())
    for number in (GUEST, ENCLAVE, DOMAIN, WITH_GPU):
        history.attest(number)
    history.attest(REFUSED, is_gpu_fresh=False)
    history.attest(GUEST)
    return history


def test_every_kind_of_evidence_comes_on_record_by_what_was_verified_ahead(history: History) -> None:
    assert history.reasons == ["", "", "", "", Reason.NONCE, ""]
    assert enclaves_of(history) == [
        (EvidenceKind.SEV_SNP, "TRUSTED", 1),
        (EvidenceKind.NITRO, "TRUSTED", 1),
        (EvidenceKind.TDX, "TRUSTED", 1),
        (EvidenceKind.SEV_SNP, "TRUSTED", 1),
    ]


def replay(history: History) -> FixtureChain:
    """Execute the blocks of a history on a new chain that remembers nothing from one block to the next."""
    chain = FixtureChain(history.genesis)
    for block in blocks_of(history):
        clear_caches()
        SHARED_CACHE._answers.clear()
        chain.add(*[parse_transaction(envelope, chain.chain.chain_id) for envelope in block.envelopes])
    return chain


def test_a_chain_that_verifies_in_the_block_has_the_same_blocks_results_and_receipts(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = list_verifications(monkeypatch)
    assert blocks_of(replay(history)) == blocks_of(history)
    assert len(verified) == len(history.reasons)


def test_a_replay_after_every_certificate_has_ended_has_the_same_blocks_results_and_receipts(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_s = snp_pki.YEAR_2045 + 10 * 365 * 86_400
    monkeypatch.setattr(time, "time", lambda: float(later_s))
    monkeypatch.setattr(time, "time_ns", lambda: later_s * 10**9)
    assert blocks_of(replay(history)) == blocks_of(history)


def test_two_chains_judge_a_withdrawn_authority_alike(history: History) -> None:
    """Given chains that verified ahead and in the block, when AMD withdraws an authority, then their states stay the same."""
    message = amd_list(history.now_s, serials=(snp_pki.ask("Genoa").serial,))
    cold = replay(history)
    transaction = history.sign(PROVIDER, message, nonce=history.nonce)
    warm, anew = history.execute(transaction), cold.execute(transaction)
    assert warm.block_result == anew.block_result
    cold.finalize(anew)
    assert enclaves_of(cold) == [
        (EvidenceKind.SEV_SNP, "REVOKED", 0),
        (EvidenceKind.NITRO, "TRUSTED", 1),
        (EvidenceKind.TDX, "TRUSTED", 1),
        (EvidenceKind.SEV_SNP, "REVOKED", 0),
    ]
