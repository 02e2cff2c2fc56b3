"""attest: a machine proves which program runs on it, under a key of its own, for a while; and renews the proof under the same key.

A renewal changes the enclave in place: its name, its orders and its place in lists stay.
"""

from __future__ import annotations

from state.lists import ListKind, add_member, list_name
from state.receipts import EventKind
from state.runtime.context import Context
from state.runtime.life_tables import ENCLAVE_STEPS, EnclaveTrigger, check_step
from state.runtime.trust.attest_checks import CHECKS, Attempt
from state.runtime.trust.cohorts import cohort_of, id_of, join_cohort, leave_cohort
from state.runtime.trust.enclaves import emit_changed, judged, release_platform, review_if_worse, schedule
from state.runtime.trust.judgement import LIVE, platforms_of
from state.trust_messages import Attest
from state.trust_records import ENCLAVES, PLATFORMS, Enclave, Platform


def apply_attest(context: Context, sender: bytes, message: Attest) -> None:
    """Put an enclave on record, or renew it.

    Raises:
        TransactionRejected: what the checks of CHECKS say, in their order, and TOO_MANY_COHORTS.
    """
    attempt = Attempt(context, sender, message)
    for check in CHECKS:
        check.run(attempt)
    before, address = attempt.before, attempt.address
    enclave = judged(attempt.proven, attempt.judgement)
    check_step(ENCLAVE_STEPS, None if before is None else before.state, EnclaveTrigger.ATTEST, enclave.state)
    live_before = before if before is not None and before.state in LIVE else None
    _move_platforms(context, live_before, enclave)
    _move_cohort(context, address, live_before, enclave)
    if before is None:
        add_member(context.ledger, list_name(ListKind.OPERATOR, sender), address)
    enclave = schedule(context, address, enclave, enclave.expires_ms)
    context.ledger.put(ENCLAVES, address, enclave)
    if before is not None:
        review_if_worse(context, address, before, enclave)
    context.emit(
        EventKind.ATTESTED,
        enclave=address,
        operator=sender,
        hardware=enclave.hardware,
        image=enclave.image,
        release=enclave.release,
        is_renewal=int(before is not None),
        is_simulated=int(enclave.is_simulated),
        expires_ms=enclave.expires_ms,
    )
    emit_changed(context, address, enclave)


def _move_platforms(context: Context, before: Enclave | None, enclave: Enclave) -> None:
    """Count the enclave on its machine and GPUs, and off those that it no longer has."""
    held = () if before is None else platforms_of(before)
    needed = platforms_of(enclave)
    for platform in held:
        if platform not in needed:
            release_platform(context, platform)
    for platform in needed:
        if platform not in held:
            record = context.ledger.find(PLATFORMS, platform)
            count = 0 if record is None else record.enclave_count
            claimed = Platform(
                owner=enclave.operator, hardware=enclave.hardware, enclave_count=count + 1, free_from_ms=0
            )
            context.ledger.put(PLATFORMS, platform, claimed)


def _move_cohort(context: Context, address: bytes, before: Enclave | None, enclave: Enclave) -> None:
    if before is not None and id_of(cohort_of(before)) != id_of(cohort_of(enclave)):
        leave_cohort(context.ledger, address, before)
    join_cohort(context.ledger, address, enclave)
