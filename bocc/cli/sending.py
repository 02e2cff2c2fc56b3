"""What all commands that send a transaction share: options, sending, and telling what became of it."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec

import click
import msgspec

from bocc.amounts import format_amount, parse_amount
from bocc.cli.context import Context, common_options, password_option, run
from bocc.cli.failures import ExitCode
from bocc.cli.output import print_fields, print_json, print_line, print_table
from bocc.client import SUBMIT_TIMEOUT_S, Client, Outcome, Wait
from bocc.market.forms import format_moment
from bocc.tx_file import TxFile, add_signature, format_tx_file
from state.crypto import SigningKey
from state.keyfile import KeyFile
from state.messages import Message
from state.runtime.reasons import TransactionReason
from state.runtime.remedies import remedy_of
from state.transactions import MEMO_BYTES_MAX, SIGNATURES_MAX, Transaction

Parameters = ParamSpec("Parameters")


class AmountType(click.ParamType[int]):
    """An amount on the command line, in ubocc once parsed."""

    name = "AMOUNT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the ubocc of a text such as 5 or 5ubocc."""
        del param, ctx
        return value if isinstance(value, int) else parse_amount(str(value))


class PositiveAmountType(AmountType):
    """An amount of money to move: nothing is a mistake, and the chain would refuse it for a fee."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the ubocc of a text such as 5 or 5ubocc, one or more."""
        amount = super().convert(value, param, ctx)
        if amount == 0:
            self.fail("must be more than 0", param, ctx)
        return amount


class SecondsType(click.FloatRange):
    """A duration in seconds; what is not a number is out of its range."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds of a text such as 2.5."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value} is no duration in seconds", param, ctx)
        return seconds


AMOUNT: Final = AmountType()
POSITIVE_AMOUNT: Final = PositiveAmountType()
_REASONS: Final = frozenset(reason.value for reason in TransactionReason)
DEAR_FEE_FACTOR: Final = 100
"""A fee so many times the smallest is a mistake until somebody says otherwise: the unit is easily forgotten."""
_SIGNATURES_USUAL: Final = 2
"""Of a transaction in a file: there is one because another key is elsewhere."""


dry_run_option: Final = click.option(
    "--dry-run", "is_dry_run", is_flag=True, help="Let the node check it without sending it."
)
timeout_option: Final = click.option(
    "--timeout", "timeout_s", type=SecondsType(0, 600), default=SUBMIT_TIMEOUT_S, show_default=True
)
wait_option: Final = click.option(
    "--wait", type=click.Choice([str(level) for level in Wait]), default=str(Wait.FINAL), show_default=True
)
_OPTIONS: Final = (
    click.option(
        "--signatures",
        "signature_count",
        type=click.IntRange(1, SIGNATURES_MAX),
        help="With --out: how many keys will have signed in the end, for the fee.  [default: 2, or those given]",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Do not send it: write it to a file, for others to sign (`bocc tx sign`) and send (`bocc tx send`).",
    ),
    dry_run_option,
    click.option("--memo", default="", help="Text of at most 256 bytes, public for ever."),
    click.option(
        "--yes", "is_sure", is_flag=True, help=f"Do not ask about a fee above {DEAR_FEE_FACTOR} times the smallest."
    ),
    click.option("--fee", type=AMOUNT, help="Instead of the smallest that the chain takes."),
    timeout_option,
    wait_option,
    click.option("--cosigner", "cosigner_names", multiple=True, metavar="NAME", help="Further key that signs."),
    click.option("--account", help="Sender, if it is not the account of the key."),
    click.option("--from", "name", required=True, metavar="NAME", help="Key that pays and signs."),
)
"""Bottom up, as decorators apply."""


@dataclass(frozen=True, slots=True)
class Sending:
    """How the transaction of one command is signed and sent."""

    context: Context
    name: str
    """Of the key."""
    key: KeyFile
    cosigners: tuple[SigningKey, ...]
    sender: str
    wait: Wait
    timeout_s: float
    fee: int | None
    is_sure: bool
    memo: bytes
    is_dry_run: bool
    password_file: Path | None
    out: Path | None
    """File that the transaction goes to instead of a node."""
    signature_count: int | None

    @property
    def sends_nothing(self) -> bool:
        """Whether the transaction is only tried, or written to a file."""
        return self.is_dry_run or self.out is not None

    def send(self, *messages: Message) -> int:
        """Send messages as one transaction, print what became of it, and return the exit code."""
        return run(self.send_messages(messages))

    async def send_messages(self, messages: Sequence[Message]) -> int:
        """Do the same within an event loop."""
        async with self.context.client() as client:
            if self.is_dry_run:
                return print_checks(self.context, await client.explain(await self.build(client, messages)))
            if self.out is not None:
                return print_written(self.context, self.out, await self.write(client, self.out, messages))
            outcome = await self.submit(client, messages)
        return print_outcome(self.context, outcome, self.wait)

    async def build(self, client: Client, messages: Sequence[Message]) -> Transaction:
        """Return messages as one signed transaction, without sending it."""
        return await client.build(
            self.key.signing_key(),
            messages,
            sender=self.sender,
            cosigners=self.cosigners,
            fee=self.fee,
            memo=self.memo,
        )

    async def write(self, client: Client, path: Path, messages: Sequence[Message]) -> TxFile:
        """Write messages as one transaction, signed by the keys at hand, to a new file. It is valid as long as the chain allows."""
        await self._check_fee(client, messages)
        keys = (self.key.signing_key(), *self.cosigners)
        lacking = (self.signature_count or _SIGNATURES_USUAL) - len(keys)
        # Keys that stand in for those to come, whose signatures the fee pays for and which are dropped.
        others = tuple(SigningKey(bytes((number,)) * 32) for number in range(lacking))
        params = await client.price_params()
        built = await client.build(
            keys[0],
            messages,
            sender=self.sender,
            cosigners=(*keys[1:], *others),
            fee=self.fee,
            memo=self.memo,
            ttl_ms=params.blocks.expiry_ahead_ms_max,
        )
        file = TxFile(chain_id=await client.chain_id(), body=built.body)
        for key in keys:
            file = add_signature(file, key)
        with path.open("xb") as stream:
            stream.write(format_tx_file(file))
        return file

    async def submit(
        self, client: Client, messages: Sequence[Message], on_signed: Callable[[Transaction], None] | None = None
    ) -> Outcome:
        """Send messages as one transaction, which is told to `on_signed` before, and return what became of it."""
        assert not self.sends_nothing, "who sends nothing writes or tries"
        await self._check_fee(client, messages)
        return await client.send(
            self.key.signing_key(),
            messages,
            sender=self.sender,
            cosigners=self.cosigners,
            fee=self.fee,
            memo=self.memo,
            wait=self.wait,
            timeout_s=self.timeout_s,
            on_signed=on_signed,
        )

    async def _check_fee(self, client: Client, messages: Sequence[Message]) -> None:
        """Ask whether a fee far above the smallest is meant.

        Raises:
            click.UsageError: there is no terminal to ask at.
            click.Abort: it is not meant.
        """
        if self.fee is None or self.is_sure:
            return
        least = await client.least_fee(self.key.signing_key(), messages, cosigners=self.cosigners, memo=self.memo)
        if self.fee <= DEAR_FEE_FACTOR * least:
            return
        question = f"The fee is {format_amount(self.fee)}, where {format_amount(least)} would do. Pay it?"
        if self.context.as_json or not sys.stdin.isatty():
            raise click.UsageError(f"{question} Give --yes if so")
        click.confirm(question, abort=True, err=True)


def sending_options(command: Callable[Concatenate[Sending, Parameters], int]) -> Callable[..., int]:
    """Give a command the options of sending, and pass them as one `Sending` before its own parameters."""

    def wrapped(
        context: Context,
        /,
        name: str,
        account: str | None,
        cosigner_names: tuple[str, ...],
        wait: str,
        timeout_s: float,
        fee: int | None,
        is_sure: bool,
        memo: str,
        is_dry_run: bool,
        out: Path | None,
        signature_count: int | None,
        password_file: Path | None,
        *args: Parameters.args,
        **kwargs: Parameters.kwargs,
    ) -> int:
        memo_bytes = memo.encode()
        if len(memo_bytes) > MEMO_BYTES_MAX:
            raise click.BadParameter(f"{len(memo_bytes)} bytes, at most {MEMO_BYTES_MAX}", param_hint="--memo")
        if len({name, *cosigner_names}) <= len(cosigner_names):
            raise click.UsageError(f"each key signs once, not so in {' '.join((name, *cosigner_names))}")
        if is_dry_run and out is not None:
            raise click.UsageError("--dry-run and --out contradict each other")
        key = context.load_key(name, password_file)
        sending = Sending(
            context=context,
            name=name,
            key=key,
            cosigners=tuple(context.load_key(one, password_file).signing_key() for one in cosigner_names),
            sender=context.address(account) if account else key.address,
            wait=Wait(wait),
            timeout_s=timeout_s,
            fee=fee,
            is_sure=is_sure,
            memo=memo_bytes,
            is_dry_run=is_dry_run,
            password_file=password_file,
            out=out,
            signature_count=signature_count,
        )
        return command(sending, *args, **kwargs)

    functools.update_wrapper(wrapped, command)
    decorated = common_options(wrapped)
    for option in _OPTIONS:
        decorated = option(decorated)
    return password_option(decorated)


def print_outcome(context: Context, outcome: Outcome, wait: Wait) -> int:
    """Print what became of a transaction and return the exit code."""
    if context.as_json:
        print_json(outcome)
    else:
        print_fields(_outcome_fields(outcome))
        reason = (outcome.receipt or {}).get("reason")
        if reason in _REASONS:
            print_line(f"It failed. What helps: {remedy_of(TransactionReason(reason))}")
    return outcome_code(outcome, wait)


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """Return what people want to know of an outcome: each thing once, what there is, money with its unit."""
    receipt = dict(outcome.receipt or {})
    receipt.pop("tx_id", None)
    told = msgspec.to_builtins(outcome) | {"receipt": receipt.pop("status", None), **receipt}
    if receipt.get("fee") is not None:
        told["fee"] = format_amount(int(receipt["fee"]))
    if not outcome.provisional:
        told.pop("provisional")
    return {name: content for name, content in told.items() if content is not None}


def print_written(context: Context, path: Path, file: TxFile) -> int:
    """Print that a transaction was written to a file, and what may be done with it."""
    transaction = file.transaction
    if context.as_json:
        told = {"file": str(path), "tx_id": transaction.tx_id.hex(), "expires_at_ms": file.body.expires_at_ms}
        print_json(told | {"signed_by": [pair.public_key.hex() for pair in file.signatures]})
    else:
        expiry = format_moment(file.body.expires_at_ms, time.time_ns() // 1_000_000)
        print_line(f"{path}: transaction {transaction.tx_id.hex()}")
        print_line(f"Signatures: {len(file.signatures)}; expires {expiry}. Next:")
        for step in ("show {}", "sign {} --from NAME", "send {}"):
            print_line(f"  bocc tx {step.format(path)}")
    return ExitCode.DONE


def outcome_code(outcome: Outcome, wait: Wait) -> int:
    """Return the exit code for what became of a transaction."""
    if outcome.receipt is not None and outcome.receipt.get("status") != "ok":
        return ExitCode.REFUSED
    return ExitCode.DONE if outcome.has_reached(wait) else ExitCode.PENDING


def print_checks(context: Context, checks: Any) -> int:
    """Print the checks of `explain` and return 0 if all hold."""
    rows: list[dict[str, Any]] = checks["checks"] if isinstance(checks, dict) else checks
    is_good = all(row["ok"] for row in rows)
    if context.as_json:
        print_json(checks)
    else:
        print_table(
            ("", "check", "seen", "bound", "remedy"),
            [
                ("ok" if row["ok"] else "NO", row["name"], row.get("seen"), row.get("bound"), row.get("remedy"))
                for row in rows
            ],
        )
        print_line("Nothing was sent.")
    return ExitCode.DONE if is_good else ExitCode.REFUSED
