"""Enclaves judged again per second, in one validator: ten thousand of them, when a document comes that they all rest on.

`python -m bench reappraisals`; figures are CPU time of this process. A block judges as many as its budget allows, and the
rest waits for the next ones, which have nothing else to do here. Each enclave has attested, on a simulated machine of its own.
"""

from __future__ import annotations

from statistics import median

from msgspec.structs import replace

from bench.lone_chain import GENESIS_S, Clock, Fleet, LoneChain, lone_chain
from state.receipts import EventKind
from state.runtime.trust.cohorts import has_queue
from state.trust_messages import PutCollateral
from tee.documents import CollateralKind
from tee.simulated import SimulatedVendor, tcb_info_template
from tee.simulated_documents import CURRENT_LEVELS, RECOVERY_LEVELS, PlatformLevelTemplate

ENCLAVES = 10_000
BLOCK = 250
"""Attestations per block while the enclaves come; about as many as a block has work for."""


def main() -> None:
    with lone_chain() as lone:
        fleet, clock = Fleet(lone), Clock()
        for _ in range(0, ENCLAVES, BLOCK):
            lone.send(*(fleet.attest() for _ in range(BLOCK)))
        clock.stage("attest")
        budget = lone.chain.params().blocks.reappraisals_max
        print(
            f"{ENCLAVES} enclaves have attested in {clock.figures['attest'][0] / 1e6:.0f} s; {budget} are judged per block"
        )
        _measure(lone, "all stay as they are", GENESIS_S + 1, CURRENT_LEVELS)
        _measure(lone, "all fall behind", GENESIS_S + 2, RECOVERY_LEVELS)


def _measure(lone: LoneChain, title: str, issued_s: int, levels: tuple[PlatformLevelTemplate, ...]) -> None:
    """Bring a document and make blocks until nobody waits to be judged."""
    clock, changed, blocks = Clock(), 0, 0
    message: tuple[PutCollateral, ...] = (_document(issued_s, levels),)
    while blocks == 0 or has_queue(lone.chain.ledger):
        settled = lone.send(*message, clock=clock)
        changed += sum(stored.event.kind is EventKind.ENCLAVE_CHANGED for _, stored in settled.events)
        message, blocks = (), blocks + 1
    stages = {name: [us / 1000 for us in samples] for name, samples in clock.figures.items()}
    whole_ms = [sum(parts) for parts in zip(*stages.values(), strict=True)]
    print(
        f"{title}: {changed} changes in {blocks} blocks and {sum(whole_ms) / 1000:.2f} s, "
        f"{ENCLAVES / sum(whole_ms) * 1000:.0f} enclaves/s; ms per block: {median(whole_ms):.0f}, of it "
        + ", ".join(f"{name} {median(samples):.1f}" for name, samples in stages.items())
    )


def _document(issued_s: int, levels: tuple[PlatformLevelTemplate, ...]) -> PutCollateral:
    """Return a statement of the vendor on its machines, of the same number as the one before."""
    vendor = SimulatedVendor()
    body = vendor.tcb_info(replace(tcb_info_template(issued_s), levels=levels))
    return PutCollateral(kind=CollateralKind.INTEL_TCB_INFO, body=body, chain=(vendor.tcb_signer, vendor.root))


if __name__ == "__main__":
    main()
