"""Tables of trust and of resources hold the largest records that messages can make."""

from __future__ import annotations

import pytest

from state.codec import INTEGER_MAX, Wire
from state.ledger import Table
from state.offers import PAYEES_MAX, Capacity, GpuCount, Payee, ResourceKind
from state.policies import NAMES_MAX, AllOf, ReleaseName, SoftwareIn, SubjectKind
from state.resource_records import (
    ENDORSEMENTS,
    RESOURCE_USES,
    RESOURCES,
    Endorsement,
    Resource,
    ResourceStatus,
    ResourceUse,
)
from state.trust_messages import CERTIFICATE_BYTES_MAX, CHAIN_MAX, COLLATERAL_BYTES_MAX
from state.trust_records import (
    BRAKES,
    BRAKES_MAX,
    COHORT_BOOKS,
    COHORTS,
    COHORTS_MAX,
    COLLATERAL,
    COLLATERAL_BODIES,
    COLLATERAL_NUMBERS,
    EVALUATIONS,
    NUMBERS_MAX,
    PLATFORMS,
    ROOTS_DISTRUSTED_MAX,
    SIMULATED_ROOTS_MAX,
    TRUST_BOOKS,
    TRUSTED_ROOTS,
    VERIFIER_CHANGES_MAX,
    Brake,
    Brakes,
    BrakeScope,
    Cohort,
    Cohorts,
    Collateral,
    CollateralBody,
    CollateralNumbers,
    Evaluation,
    PendingNumber,
    Platform,
    TrustBooks,
    TrustedRoots,
    VerifierChange,
)
from tee.documents import CollateralKind, RevokedSerials

MAX = INTEGER_MAX
ADDRESS = b"\xff" * 21
HASH = b"\xff" * 32
CAPACITY = Capacity(
    vcpus=1 << 20,
    memory_mib=1 << 40,
    disk_mib=1 << 50,
    network_mbps=1 << 30,
    gpus=(GpuCount(model="m" * 32, count=1_024),) * 8,
)
SOFTWARE = SoftwareIn(releases=(ReleaseName(resource=ADDRESS, release=MAX),) * NAMES_MAX)
LARGEST: list[tuple[Table, Wire]] = [
    (
        RESOURCES,
        Resource(
            owner=ADDRESS,
            kind=ResourceKind.HARDWARE,
            category="c" * 32,
            title="\U0001f512" * 64,
            meta_hash=HASH,
            status=ResourceStatus.RETIRED,
            policy=(AllOf(count=32), *(SOFTWARE,) * 32, *(AllOf(count=1),) * 31),
            plan_count=MAX,
            release_count=MAX,
            payees=(Payee(account=ADDRESS, share_bp=10_000),) * PAYEES_MAX,
            vault=ADDRESS,
            derived_from=ADDRESS,
            grant_epoch=MAX,
            bond_locked=MAX,
            capacity=CAPACITY,
            in_use=CAPACITY,
            drain_at_ms=MAX,
            created_ms=MAX,
            frozen_ms=MAX,
        ),
    ),
    (RESOURCE_USES, ResourceUse(count=MAX, promised=MAX)),
    (
        ENDORSEMENTS,
        Endorsement(
            endorser=ADDRESS,
            subject_kind=SubjectKind.ACCOUNT,
            subject=b"s" * 80,
            claim="c" * 32,
            statement_hash=HASH,
            from_ms=MAX,
            until_ms=MAX,
            bond_locked=MAX,
            wheel_ms=MAX,
        ),
    ),
    (COLLATERAL_NUMBERS, CollateralNumbers(numbers=(MAX,) * NUMBERS_MAX)),
    (
        COLLATERAL,
        Collateral(
            document=RevokedSerials(
                kind=CollateralKind.AMD_CRL,
                root=HASH,
                issued_s=MAX,
                next_update_s=MAX,
                valid_from_s=MAX,
                valid_until_s=MAX,
                issuer=b"i" * 1_024,
                key=HASH,
                serials=b"s" * 20 * 10_000,
            ),
            body_hash=HASH,
            first_seen_ms=MAX,
            stored_ms=MAX,
        ),
    ),
    (
        COLLATERAL_BODIES,
        CollateralBody(body=b"b" * COLLATERAL_BYTES_MAX, chain=(b"c" * CERTIFICATE_BYTES_MAX,) * CHAIN_MAX),
    ),
    (
        EVALUATIONS,
        Evaluation(
            number=MAX,
            since_ms=MAX,
            number_before=MAX,
            pending=(PendingNumber(number=MAX, due_ms=MAX),) * NUMBERS_MAX,
        ),
    ),
    (PLATFORMS, Platform(owner=ADDRESS, hardware=ADDRESS, enclave_count=MAX, free_from_ms=MAX)),
    (COHORTS, Cohort(tee=255, root=HASH, product=b"p" * 16, issuer=HASH, unseen_count=MAX)),
    (
        COHORT_BOOKS,
        Cohorts(ids=(b"i" * 20,) * COHORTS_MAX, queue=(b"q" * 20,) * COHORTS_MAX, again=(b"a" * 20,) * COHORTS_MAX),
    ),
    (
        TRUST_BOOKS,
        TrustBooks(
            verification_root=HASH,
            verifier_changes=(VerifierChange(changed_ms=MAX, ends_ms=MAX),) * VERIFIER_CHANGES_MAX,
        ),
    ),
    (
        TRUSTED_ROOTS,
        TrustedRoots(
            simulated=(b"r" * CERTIFICATE_BYTES_MAX,) * SIMULATED_ROOTS_MAX, distrusted=(HASH,) * ROOTS_DISTRUSTED_MAX
        ),
    ),
    (
        BRAKES,
        Brakes(brakes=(Brake(scope=BrakeScope.PLATFORM, subject=b"s" * 65, until_ms=MAX),) * BRAKES_MAX),
    ),
]


@pytest.mark.parametrize(("table", "record"), LARGEST, ids=[type(record).__name__ for _, record in LARGEST])
def test_a_table_holds_its_largest_record(table: Table, record: Wire) -> None:
    assert table.codec.decode(table.codec.encode(record)) == record
