"""Reads what a provider decides by: its enclave and what its machine is offered for, and orders with what belongs to them."""

from __future__ import annotations

from collections.abc import Sequence

from bocc.provider.orders import Machine, Task
from bocc.provider.records import Records
from state.order_records import ORDER_GRANTS, ORDER_RUNS, ORDER_TERMS, ORDERS, OrderState, OrderTerms, line_key
from state.resource_records import PLANS, RESOURCES, numbered_key
from state.runtime.trust.judgement import GOOD_STATES
from state.trust_records import ENCLAVES


async def find_machine(records: Records, address: bytes) -> Machine | None:
    """Return an enclave and what its machine is offered for; None while it is not good."""
    enclave = await records.find_one(ENCLAVES, address)
    if enclave is None or enclave.state not in GOOD_STATES:
        return None
    resource = await records.find_one(RESOURCES, enclave.hardware)
    numbers = range(0 if resource is None else resource.plan_count)
    plans = await records.find(PLANS, [numbered_key(enclave.hardware, number) for number in numbers])
    return Machine(
        operator=enclave.operator,
        enclave=address,
        hardware=enclave.hardware,
        image=enclave.image,
        release=enclave.release,
        level=enclave.level,
        plans=tuple(one.plan for one in plans if one is not None and one.is_open),
    )


class TaskReader:
    """Reads orders; terms, which never change, are asked for once."""

    def __init__(self) -> None:
        self._terms: dict[bytes, OrderTerms] = {}

    async def find(self, records: Records, addresses: Sequence[bytes]) -> list[Task]:
        """Return the orders of these that are on record, in their order."""
        lacking = [address for address in addresses if address not in self._terms]
        for address, terms in zip(lacking, await records.find(ORDER_TERMS, lacking), strict=True):
            if terms is not None:
                self._terms[address] = terms
        orders = await records.find(ORDERS, addresses)
        runs = await records.find(ORDER_RUNS, addresses)
        tasks: list[Task] = []
        for address, order, run in zip(addresses, orders, runs, strict=True):
            if order is None or address not in self._terms:
                continue
            terms = self._terms[address]
            keys = [line_key(address, index) for index in range(len(terms.lines))]
            needs_grants = order.state is OrderState.ACCEPTED and any(line.is_sealed for line in terms.lines)
            tasks.append(
                Task(
                    address=address,
                    terms=terms,
                    order=order,
                    run=run,
                    grants=tuple(await records.find(ORDER_GRANTS, keys)) if needs_grants else (),
                    after_roots=await _after_roots(records, terms),
                )
            )
        return tasks

    def keep(self, addresses: set[bytes]) -> None:
        """Forget the terms of all other orders."""
        self._terms = {address: terms for address, terms in self._terms.items() if address in addresses}


async def _after_roots(records: Records, terms: OrderTerms) -> tuple[bytes, ...] | None:
    """Return the outputs that an order waits for; None while one is missing."""
    runs = await records.find(ORDER_RUNS, terms.after)
    outputs = [run.output for run in runs if run is not None and run.output is not None]
    return None if len(outputs) < len(runs) else tuple(output.root for output in outputs)
