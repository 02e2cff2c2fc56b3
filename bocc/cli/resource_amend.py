"""`bocc resource amend`: change what a resource is offered for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import click
from msgspec import Struct
from msgspec.structs import replace

from bocc.cli.asking import ask
from bocc.cli.sending import Sending, sending_options
from bocc.durations import parse_duration
from bocc.market.forms import parse_resource, read_form
from bocc.market.resource_file import CapacityOnlyForm, PayeesForm, PlansForm, build_payees, build_plans
from bocc.policy_text import Names, parse_policy
from state.address import format_address
from state.offers import Capacity, Payee, Plan
from state.policies import PolicyNode
from state.resource_messages import Amend, ReleaseChange
from state.resource_records import ReleaseStatus, ResourceStatus

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_NUMBER = click.IntRange(min=0)


_UNCHANGED: Final = Amend(
    resource=bytes(21),
    policy=None,
    payees=None,
    vault=None,
    plans_added=(),
    plans_closed=(),
    releases=(),
    capacity=None,
    drain_at_ms=None,
    status=None,
    bumps_grant_epoch=False,
    freezes=False,
)


class Changes(Struct, frozen=True, kw_only=True):
    """The options of `amend`."""

    status: str | None
    freeze: bool
    bump_grants: bool
    policy_file: Path | None
    no_policy: bool
    plans_file: Path | None
    closed: tuple[int, ...]
    payees_file: Path | None
    no_payees: bool
    vault: str | None
    no_vault: bool
    deprecate: tuple[int, ...]
    notice: str
    revoke: tuple[int, ...]
    restore: tuple[int, ...]
    capacity_file: Path | None
    drain_in: str | None
    no_drain: bool


@click.command()
@click.argument("resource", metavar="RESOURCE")
@click.option("--pause", "status", flag_value="paused", help="Take no new orders; those that run go on.")
@click.option("--resume", "status", flag_value="active", help="Take orders again.")
@click.option("--retire", "status", flag_value="retired", help="For ever; no order may use it then.")
@click.option(
    "--freeze", is_flag=True, help="End every order that uses it, each after its notice and least term; and pause."
)
@click.option("--bump-grants", is_flag=True, help="Let keys granted so far open nothing more.")
@click.option("--policy", "policy_file", type=_FILE, help="File with a policy as in resource.toml, without quotes.")
@click.option("--no-policy", is_flag=True, help="Lift all conditions.")
@click.option("--add-plans", "plans_file", type=_FILE, help="TOML file with [[plans]] to add.")
@click.option(
    "--close-plan", "closed", type=click.IntRange(0, 255), multiple=True, help="Takes no more orders. Repeatable."
)
@click.option("--payees", "payees_file", type=_FILE, help="TOML file with [[payees]] in place of the present ones.")
@click.option("--no-payees", is_flag=True, help="Let all income be the owner's.")
@click.option("--vault", metavar="RESOURCE", help="Software whose enclaves may grant in your place.")
@click.option("--no-vault", is_flag=True, help="Let nobody grant in your place.")
@click.option(
    "--deprecate", type=_NUMBER, multiple=True, metavar="N", help="Release to revoke after --notice. Repeatable."
)
@click.option("--notice", default="30d", show_default=True, metavar="DURATION", help="Of --deprecate.")
@click.option(
    "--revoke", type=_NUMBER, multiple=True, metavar="N", help="Release to revoke at once, for ever. Repeatable."
)
@click.option("--restore", type=_NUMBER, multiple=True, metavar="N", help="Deprecated release that stays. Repeatable.")
@click.option("--capacity", "capacity_file", type=_FILE, help="TOML file with [capacity] of a machine.")
@click.option("--drain-in", metavar="DURATION", help="When a machine stops taking orders.")
@click.option("--no-drain", is_flag=True, help="Let it take orders for ever.")
@sending_options
def amend(sending: Sending, /, resource: str, **given: Any) -> int:  # as click gives the options above
    """Change what a resource of yours is offered for; what is not named stays. Running orders keep their copies of plans.

    --dry-run shows what the chain thinks of it.
    """
    changes, address = Changes(**given), parse_resource(resource)
    for first, one, second, other in (
        ("--policy", changes.policy_file, "--no-policy", changes.no_policy),
        ("--payees", changes.payees_file, "--no-payees", changes.no_payees),
        ("--vault", changes.vault, "--no-vault", changes.no_vault),
        ("--drain-in", changes.drain_in, "--no-drain", changes.no_drain),
    ):
        if one is not None and other:
            raise click.UsageError(f"{first} and {second} contradict each other")
    message = _build(sending, address, changes)
    if message == replace(_UNCHANGED, resource=address):
        raise click.UsageError("nothing to change: give an option")
    return sending.send(message)


def _build(sending: Sending, address: bytes, changes: Changes) -> Amend:
    names = sending.context.account
    vault = None if changes.vault is None else parse_resource(changes.vault)
    return replace(
        _UNCHANGED,
        resource=address,
        policy=() if changes.no_policy else _read_policy(changes.policy_file, names),
        payees=() if changes.no_payees else _read_payees(changes.payees_file, names),
        vault=b"" if changes.no_vault else vault,
        plans_added=_read_plans(sending, changes.plans_file, address),
        plans_closed=tuple(sorted(set(changes.closed))),
        releases=_release_changes(changes),
        capacity=_read_capacity(changes.capacity_file, names),
        drain_at_ms=0 if changes.no_drain else _drain_at_ms(changes.drain_in),
        status=None if changes.status is None else ResourceStatus[changes.status.upper()],
        bumps_grant_epoch=changes.bump_grants,
        freezes=changes.freeze,
    )


def _read_policy(path: Path | None, names: Names) -> tuple[PolicyNode, ...] | None:
    return None if path is None else parse_policy(path.read_text(encoding="utf-8"), names)


def _read_payees(path: Path | None, names: Names) -> tuple[Payee, ...] | None:
    return None if path is None else build_payees(read_form(path, PayeesForm, names).payees)


def _read_capacity(path: Path | None, names: Names) -> Capacity | None:
    return None if path is None else read_form(path, CapacityOnlyForm, names).capacity.build()


def _read_plans(sending: Sending, path: Path | None, address: bytes) -> tuple[Plan, ...]:
    """Return the plans of a file, numbered on from the resource's last one."""
    if path is None:
        return ()
    forms = read_form(path, PlansForm, sending.context.account).plans
    told = ask(sending.context, lambda client: client.call("resource", id=format_address(address)))
    return build_plans(forms, int(told["plan_count"]))


def _release_changes(changes: Changes) -> tuple[ReleaseChange, ...]:
    """Return what becomes of releases, in their order."""
    notice_ms = parse_duration(changes.notice)
    given = [
        *((number, ReleaseStatus.DEPRECATED, notice_ms) for number in changes.deprecate),
        *((number, ReleaseStatus.REVOKED, 0) for number in changes.revoke),
        *((number, ReleaseStatus.CURRENT, 0) for number in changes.restore),
    ]
    if len({number for number, _, _ in given}) != len(given):
        raise click.UsageError("name each release once")
    return tuple(
        ReleaseChange(release=number, status=status, notice_ms=after_ms) for number, status, after_ms in sorted(given)
    )


def _drain_at_ms(drain_in: str | None) -> int | None:
    return None if drain_in is None else time.time_ns() // 1_000_000 + parse_duration(drain_in)
