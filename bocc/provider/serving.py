"""Serves orders with the software TEE: takes those that fit, starts, beats, gives the output, erases.

Each round reads the chain, decides by what it says (bocc/provider/orders.py), sends, and tells when the next one is due. What was
done is on the chain, so a process that was killed at any moment goes on with the next round of another. All receipts of a round
travel in one message, and each such message has a beat of every running order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from bocc.capsules import CapsulePurpose, open_capsule
from bocc.client import Client, Outcome
from bocc.errors import CapsuleRejected, NotFinal, RpcRejected, SealRejected
from bocc.provider.attesting import take_challenge
from bocc.provider.granted import find_capsule
from bocc.provider.inputs import check_input, read_arguments
from bocc.provider.orders import (
    Machine,
    Pauses,
    Step,
    Task,
    beat,
    beat_interval_ms,
    beats_due_ms,
    erase,
    find_penalty_bound,
    find_plan,
    is_too_long,
    next_step,
    open_window,
    sign_receipts,
)
from bocc.provider.place import SIMULATED, Workshop
from bocc.provider.posting import find_failed_check
from bocc.provider.records import Records
from bocc.provider.rules import Rules
from bocc.provider.software import SoftwareTee
from bocc.provider.tasks import TaskReader, find_machine
from bocc.provider.worker import FailCode, WorkRejected, make_output, parse_arguments
from bocc.sealed import seal_output
from node.logs import EventLog
from state.address import account_address, format_address
from state.attestation import enclave_address
from state.crypto import SigningKey
from state.lists import ListKind, list_name
from state.messages import Message
from state.order_messages import Accept, Fail, Output, Start, WorkReceipt
from state.order_records import OrderState
from state.records import ONLY, PARAMS
from state.resource_records import RELEASES, numbered_key
from state.runtime.order_queue import orders_of_enclave

OWN_MAX: Final = 1_000
"""Orders of one enclave that a provider attends to."""
SEND_TIMEOUT_S: Final = 10.0
_REFERENCE_CHARS_MAX: Final = 256


class OrderService:
    """The orders of one enclave. What it keeps in memory saves calls and time, and may be lost."""

    def __init__(self, home: Path, key: SigningKey, tee: SoftwareTee, rules: Rules, folders: Sequence[Path]) -> None:
        """Serve with the operator's key; arguments and inputs are read below these folders."""
        self._key = key
        self._tee = tee
        self._rules = rules
        self._folders = [folder.resolve() for folder in folders]
        self._operator = account_address(key.public_key)
        self._enclave = enclave_address(tee.key.public_key)
        self._workshop = Workshop(home)
        self._pauses = Pauses()
        self._reader = TaskReader()
        self._durations: dict[bytes, int] = {}
        self._expected: dict[bytes, int] = {}
        """Receipts that each order has once what was sent has had its effect."""
        self._beaten_ms = 0
        self._beaten: dict[bytes, int] = {}
        """When beats were last sent, and how much of each order's time was proven before."""
        self._turn = 0
        """Rounds in which open orders were looked at."""
        self._told: dict[bytes, str] = {}
        """What was logged of an order that is left to others."""
        self._log = EventLog(f"provider.{SIMULATED}.orders")

    async def round(self, client: Client, now_ms: int) -> int | None:
        """Do what is due, and return when something is due again; None: whenever something happens on the chain.

        Raises:
            RpcRejected: a node refuses a call.
            NodeUnreachable: no answer after all attempts.
            NotFinal: what was sent has no fate after its time.
        """
        records = Records(client)
        machine = await find_machine(records, self._enclave)
        if machine is None:
            return None
        mine = orders_of_enclave(self._enclave)
        own = await records.members(mine, range(min(OWN_MAX, await records.count_members(mine))))
        held = set(self._workshop.held())
        tasks = await self._reader.find(records, sorted({*own, *held}))
        for address in held - {task.address for task in tasks}:
            self._workshop.erase(address)
        due_ms = await self._report(client, records, machine, tasks, now_ms)
        seen = {task.address for task in tasks}
        if self._rules.accept and len(own) < self._rules.at_once_max:
            offers = await self._offers(records, seen)
            seen |= {offer.address for offer in offers}
            if await self._accept(client, machine, offers, self._rules.at_once_max - len(own), now_ms):
                due_ms = now_ms
        self._forget_all_but(seen)
        return due_ms

    async def _report(
        self, client: Client, records: Records, machine: Machine, tasks: Sequence[Task], now_ms: int
    ) -> int | None:
        """Send the receipts that are due, and return when others are."""
        receipts: list[WorkReceipt] = []
        going: list[Task] = []
        dates_ms: list[int] = []
        for task in tasks:
            self._note_progress(task, now_ms)
            until_ms = self._pauses.until_ms(task.address)
            if until_ms > now_ms:
                dates_ms.append(until_ms)
                continue
            try:
                duration_ms = await self._duration_ms(task)
                match next_step(machine, task, duration_ms, now_ms):
                    case Step.WAIT:
                        pass
                    case Step.FORGET:
                        self._workshop.erase(task.address)
                    case Step.START:
                        receipts.append(await self._start(client, records, machine, task))
                    case Step.BEAT:
                        going.append(task)
                        dates_ms.append(task.order.started_ms + duration_ms)
                    case Step.FINISH:
                        receipts += await self._finish(client, task)
                    case Step.ERASE:
                        receipts.append(erase(task))
            except WorkRejected as rejected:
                receipts += self._fail(task, rejected)
            except RpcRejected as error:
                # What a node refuses to tell of one order keeps no other from its beats.
                dates_ms.append(self._pauses.refuse(task.address, now_ms))
                self._log.warning("waits", order=format_address(task.address), reason=error.reason, seen=error.seen)
        beats_ms = self._beats_ms(going)
        if beats_ms is not None:
            dates_ms.append(beats_ms)
        if receipts or (beats_ms is not None and beats_ms <= now_ms):
            self._beaten_ms, self._beaten = now_ms, {task.address: task.order.proven_ms for task in going}
            # Not all may fit into one envelope: the longest unproven first.
            beats = map(beat, sorted(going, key=lambda task: task.order.proven_ms))
            await self._send_receipts(client, records, tasks, [*receipts, *beats], now_ms)
            return now_ms
        return min(dates_ms, default=None)

    def _beats_ms(self, going: Sequence[Task]) -> int | None:
        """Return when beats are due. If the last ones have proven time, not at once, even if our clock is ahead of the chain's."""
        due_ms = beats_due_ms(going)
        proves = any(task.order.proven_ms > self._beaten.get(task.address, task.order.proven_ms) for task in going)
        if due_ms is None or not proves:
            return due_ms
        return max(due_ms, self._beaten_ms + min(filter(None, map(beat_interval_ms, going))) // 2)

    def _note_progress(self, task: Task, now_ms: int) -> None:
        """Compare what an order has with what was sent: a receipt without effect is tried again later each time."""
        expected = self._expected.pop(task.address, None)
        if expected is None:
            return
        if task.order.receipt_count < expected and task.order.enclave == self._enclave:
            self._pauses.refuse(task.address, now_ms)
            self._log.warning("receipt without effect", order=format_address(task.address), number=expected - 1)
        else:
            self._pauses.forget(task.address)

    async def _duration_ms(self, task: Task) -> int:
        """Return how long an order's work takes.

        Raises:
            WorkRejected: its arguments cannot be read, or say nothing that the sample worker understands.
        """
        if task.order.state is OrderState.CLOSED or task.order.enclave != self._enclave:
            return 0
        known = self._durations.get(task.address)
        if known is None:
            content = await asyncio.to_thread(read_arguments, task.terms.workload, self._folders)
            known = self._durations[task.address] = parse_arguments(content).duration_ms
        return known

    async def _start(self, client: Client, records: Records, machine: Machine, task: Task) -> Start:
        """Load what an order uses and return the receipt that says so.

        Raises:
            WorkRejected: something is not what was ordered.
        """
        roots: list[bytes] = []
        for index, line in enumerate(task.terms.lines):
            if not line.content_root:
                continue
            release = await records.find_one(RELEASES, numbered_key(line.resource, line.release))
            assert release is not None, "an order's release is on record"
            key = await self._open_key(client, machine, task, index) if line.is_sealed else None
            await asyncio.to_thread(check_input, release.body, key, self._folders)
            roots.append(line.content_root)
        self._workshop.hold(task.address)
        self._log.info("starts", order=format_address(task.address), inputs=len(roots))
        return Start(
            order=task.address,
            number=task.order.receipt_count,
            inputs=(*roots, *(task.after_roots or ())),
            args_digest=task.terms.workload.args_digest,
            service=None,
        )

    async def _open_key(self, client: Client, machine: Machine, task: Task, index: int) -> bytes:
        """Return the key of a line that was released to this enclave.

        Raises:
            WorkRejected: KEY_WRONG.
        """
        grant = task.grants[index]
        assert grant is not None, "an order starts when all its keys are there"
        capsule = await find_capsule(client, task.address, index, grant)
        if capsule is None:
            raise WorkRejected(FailCode.KEY_WRONG, "the block with the capsule is not kept any more")
        purpose = CapsulePurpose(
            chain_id=await client.chain_id(),
            order=task.address,
            line=index,
            enclave=machine.enclave,
            release=grant.release,
            grant_epoch=grant.grant_epoch,
        )
        try:
            return open_capsule(capsule, self._tee.seal_secret, purpose)
        except CapsuleRejected as rejected:
            raise WorkRejected(FailCode.KEY_WRONG, str(rejected)) from rejected

    async def _finish(self, client: Client, task: Task) -> list[WorkReceipt]:
        """Make the output, keep its sealed form for the customer, and return the receipts that end the order.

        Raises:
            WorkRejected: RESULT_KEY_WRONG.
        """
        roots = [line.content_root for line in task.terms.lines if line.content_root]
        output = make_output((*roots, *(task.after_roots or ())), task.terms.workload.args_digest)
        try:
            sealed = seal_output(output, task.terms.result_key, await client.chain_id(), task.address)
        except SealRejected as rejected:
            raise WorkRejected(FailCode.RESULT_KEY_WRONG, str(rejected)) from rejected
        reference = self._workshop.save_output(task.address, sealed)
        number = task.order.receipt_count
        root = sha256(output).digest()
        self._log.info("finishes", order=format_address(task.address), root=root.hex(), reference=reference)
        last = Output(
            order=task.address,
            number=number,
            root=root,
            reference=reference if len(reference) <= _REFERENCE_CHARS_MAX else "",
            is_last=True,
            meter=None,
        )
        return [last, erase(task, number + 1)]

    def _fail(self, task: Task, rejected: WorkRejected) -> list[WorkReceipt]:
        """Return the receipts that give an order up."""
        number = task.order.receipt_count
        self._log.warning("gives up", order=format_address(task.address), code=rejected.code.name, why=str(rejected))
        fail = Fail(order=task.address, number=number, code=rejected.code)
        return [fail] if task.run is None else [fail, erase(task, number + 1)]

    async def _send_receipts(
        self, client: Client, records: Records, tasks: Sequence[Task], receipts: list[WorkReceipt], now_ms: int
    ) -> None:
        """Sign receipts for the newest block and send them; what comes of them shows in the orders at the next round."""
        challenge = await take_challenge(client)
        params = await records.find_one(PARAMS, ONLY)
        assert params is not None, "every state has parameters"
        message = sign_receipts(
            self._tee.key,
            self._enclave,
            chain_id=challenge.chain_id,
            at_height=challenge.height,
            at_hash=challenge.block_hash,
            heads={task.address: task.order.head for task in tasks},
            receipts=receipts,
            envelope_bytes_max=params.blocks.large_envelope_bytes_max,
        )
        outcome = await self._send(client, message)
        for receipt in message.receipts:
            if outcome is None:
                self._pauses.refuse(receipt.order, now_ms)
            else:
                self._expected[receipt.order] = receipt.number + 1

    async def _offers(self, records: Records, own: set[bytes]) -> list[Task]:
        """Return some open orders that are not ours."""
        name = list_name(ListKind.OPEN_ORDERS)
        numbers = open_window(await records.count_members(name), self._turn)
        self._turn += 1
        open_orders = await records.members(name, numbers)
        return await self._reader.find(records, [address for address in open_orders if address not in own])

    async def _accept(
        self, client: Client, machine: Machine, offers: Sequence[Task], most: int, now_ms: int
    ) -> list[bytes]:
        """Take up to this many open orders that fit, and return them."""
        taken: list[bytes] = []
        for offer in offers:
            if len(taken) >= most:
                break
            if self._pauses.until_ms(offer.address) > now_ms:
                continue
            plan = await self._choose(machine, offer, now_ms)
            if plan is None:
                continue
            message = Accept(
                order=offer.address,
                enclave=machine.enclave,
                plan=plan,
                penalty_max=find_penalty_bound(machine, offer, plan),
            )
            if await self._send(client, message, is_tried=True) is None:
                self._pauses.refuse(offer.address, now_ms)
                continue
            self._log.info("accepted", order=format_address(offer.address))
            taken.append(offer.address)
        return taken

    async def _choose(self, machine: Machine, offer: Task, now_ms: int) -> int | None:
        """Return the plan to take an order with, or None; why is logged once."""
        plan, why = find_plan(machine, self._rules, offer, now_ms)
        if plan is not None:
            try:
                content = await asyncio.to_thread(read_arguments, offer.terms.workload, self._folders)
                if is_too_long(offer.terms, parse_arguments(content).duration_ms, now_ms):
                    plan, why = None, "takes longer than it may"
            except WorkRejected as rejected:
                plan, why = None, str(rejected)
        if plan is None and self._told.get(offer.address) != why:
            self._told[offer.address] = why
            self._log.info("left to others", order=format_address(offer.address), why=why)
        return plan

    async def _send(self, client: Client, message: Message, *, is_tried: bool = False) -> Outcome | None:
        """Send one message, after a dry run if it is to be tried; return None if it was refused.

        Raises:
            NotFinal: its fate is open; another node may know more.
        """
        name = type(message).__name__
        try:
            if is_tried:
                failed = find_failed_check(await client.explain(await client.build(self._key, (message,))))
                if failed is not None:
                    told = {part: failed.get(part) for part in ("reason", "seen", "bound")}
                    self._log.info("would be refused", message=name, **told)
                    return None
            outcome = await client.send(self._key, (message,), timeout_s=SEND_TIMEOUT_S)
        except RpcRejected as error:
            self._log.warning("refused", message=name, reason=error.reason, seen=error.seen, bound=error.bound)
            return None
        if outcome.has_succeeded:
            return outcome
        if outcome.receipt is None:
            raise NotFinal(f"{name} {outcome.tx_id} is {outcome.status}")
        self._log.warning("refused", message=name, reason=outcome.receipt.get("reason"), tx_id=outcome.tx_id)
        return None

    def _forget_all_but(self, addresses: set[bytes]) -> None:
        """Keep nothing in memory of orders that are neither ours nor open."""
        self._pauses.keep(addresses)
        self._reader.keep(addresses)
        for kept in (self._durations, self._expected, self._told):
            for address in kept.keys() - addresses:
                del kept[address]
