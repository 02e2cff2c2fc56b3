"""order.toml: what somebody wants done, on what, until when and for how much.

A line names a resource, or says what will do and takes the cheapest offer that fits. Everything that needs no node is checked here,
by the rules that the chain has (PROTOCOL.md, Order).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from bocc.durations import format_duration
from bocc.errors import InputReason, InputRejected
from bocc.market.forms import (
    NO_POLICY,
    CapacityForm,
    Form,
    Millis,
    Moment,
    Octets,
    OrderName,
    PolicyText,
    ResourceName,
    Ubocc,
    parse_moment,
)
from state.offers import BasisPoints, Words
from state.order_terms import (
    AFTER_MAX,
    ATTEMPTS_MAX,
    LINES_MAX,
    QUANTITY_MAX,
    LineRole,
    MachineTerms,
    Reference,
    Workload,
)
from state.params import DURATION_MS_MAX
from state.policies import Level, OutputParty
from state.runtime.ordering import SOFTWARE_LINES_MAX

DIGEST_BYTES: Final = 32
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]


class WantForm(Form, frozen=True):
    """What a line uses: a resource by its address, or whatever offer fits and is cheapest."""

    resource: ResourceName | None = None
    category: Words | None = None
    """Of the offers to choose from."""
    plan: Annotated[int, Meta(ge=0, le=255)] | None = None
    """None: the cheapest open one."""
    quantity: Quantity = 1
    price_max: Ubocc | None = None
    """Per unit; None: what the plan costs now."""


class ContentForm(WantForm, frozen=True):
    """Data or software."""

    release: int | None = None
    """None: the newest that is current."""


class ComputeForm(WantForm, frozen=True):
    """The machine that runs the work."""

    any: bool = False
    """Whether any provider may accept, at price_max, rather than one machine being named now."""
    tee: Literal["sgx", "tdx", "sev_snp", "nitro"] | None = None
    capacity: CapacityForm = CapacityForm()
    """What each unit must give."""
    beat_every_max: Millis = Millis(60_000)
    """With `any`: what the plan of whoever accepts must promise, in this and the following."""
    grace_max: Millis = Millis(300_000)
    penalty_bp_min: BasisPoints = 0
    min_term_max: Millis = Millis(300_000)
    """With `any`: cancelling costs this long at most."""

    def machine_terms(self) -> MachineTerms:
        """Return what any hardware must offer."""
        return MachineTerms(
            capacity=self.capacity.build(),
            beat_every_ms_max=int(self.beat_every_max),
            grace_ms_max=int(self.grace_max),
            penalty_bp_min=self.penalty_bp_min,
            min_term_ms_max=int(self.min_term_max),
        )


class WorkForm(Form, frozen=True):
    """What shall be done."""

    args_file: str | None = None
    """Beside the order's file; its SHA-256 is pinned."""
    args_digest: Octets | None = None
    """Or that digest itself."""
    args_reference: Reference = ""
    manifest_root: Octets = Octets()


class TermsForm(Form, frozen=True, kw_only=True):
    """Under which conditions."""

    accept_by: Moment = parse_moment("10m")
    start_by: Moment = parse_moment("20m")
    end_by: Moment
    attempts: Annotated[int, Meta(ge=1, le=ATTEMPTS_MAX)] = 2
    level_min: Level = 4
    constraints: PolicyText = NO_POLICY
    purpose: Words | None = None
    output_to: Literal["customer", "owner", "both"] = "customer"
    result_key: Octets | None = None
    """X25519; None: one is made beside the order's file."""
    after: Annotated[tuple[OrderName, ...], Meta(max_length=AFTER_MAX)] = ()
    deposit: Ubocc | None = None
    """None: what the whole duration costs."""


class OrderForm(Form, frozen=True, kw_only=True):
    """All of order.toml."""

    compute: ComputeForm
    software: tuple[ContentForm, ...] = ()
    data: tuple[ContentForm, ...] = ()
    storage: tuple[WantForm, ...] = ()
    workload: WorkForm
    terms: TermsForm

    def wants(self) -> Iterator[Want]:
        """Yield what each line wants, the compute line first."""
        yield Want("compute", LineRole.COMPUTE, self.compute)
        for role, forms in (
            (LineRole.SOFTWARE, self.software),
            (LineRole.DATA, self.data),
            (LineRole.STORAGE, self.storage),
        ):
            for index, form in enumerate(forms):
                yield Want(f"{role.name.lower()}[{index}]", role, form)


class Want(Struct, frozen=True):
    """One line of an order's file."""

    place: str
    """Where in the file."""
    role: LineRole
    form: WantForm


class Dates(Struct, frozen=True):
    """The dates of an order, in block time."""

    accept_by_ms: int
    start_by_ms: int
    end_by_ms: int


def check_shape(form: OrderForm, now_ms: int) -> Dates:
    """Check what an order's file says by itself, and return its dates.

    Raises:
        InputRejected: BAD_FILE with the place and what would do.
    """
    wants = list(form.wants())
    if len(wants) > LINES_MAX:
        raise _refuse("lines", len(wants), LINES_MAX)
    if len(form.software) > SOFTWARE_LINES_MAX:
        raise _refuse("software", len(form.software), SOFTWARE_LINES_MAX)
    for want in wants:
        _check_want(want)
    _check_named_once(wants)
    if (form.workload.args_file is None) is (form.workload.args_digest is None):
        raise _refuse("workload", "args_file and args_digest", "one of the two")
    digests = (form.workload.args_digest, form.workload.manifest_root or None, form.terms.result_key)
    for name, digest in zip(
        ("workload.args_digest", "workload.manifest_root", "terms.result_key"), digests, strict=True
    ):
        if digest is not None and len(digest) != DIGEST_BYTES:
            raise _refuse(name, f"{len(digest)} bytes", DIGEST_BYTES)
    return _check_dates(form.terms, now_ms)


def _check_want(want: Want) -> None:
    """Check that a line names a resource or says what will do, and nothing that does not go with it."""
    form, place = want.form, want.place
    is_any = isinstance(form, ComputeForm) and form.any
    if is_any and (form.resource is not None or form.plan is not None or form.price_max is None):
        raise _refuse(place, "any = true", "price_max and capacity, without resource and plan")
    if form.resource is None and form.plan is not None:
        raise _refuse(place, f"plan = {form.plan}", "a plan belongs to a resource: give resource, or leave plan out")
    if isinstance(form, ContentForm) and form.resource is None and (form.category is None or form.release is not None):
        raise _refuse(place, "no resource", "resource, with release or the newest one; or category alone")


def _check_named_once(wants: list[Want]) -> None:
    seen: set[tuple[object, ...]] = set()
    for want in wants:
        name = (want.role, want.form.resource, getattr(want.form, "release", None), want.form.plan)
        if want.form.resource is not None and name in seen:
            raise _refuse(want.place, "the same resource twice", "one line with a larger quantity")
        seen.add(name)


def _check_dates(terms: TermsForm, now_ms: int) -> Dates:
    dates = [
        ("now", now_ms),
        ("terms.accept_by", terms.accept_by.at_ms(now_ms)),
        ("terms.start_by", terms.start_by.at_ms(now_ms)),
        ("terms.end_by", terms.end_by.at_ms(now_ms)),
    ]
    for (earlier, earlier_ms), (later, later_ms) in pairwise(dates):
        if later_ms < earlier_ms or (earlier == "now" and later_ms == now_ms):
            away = f"{format_duration(earlier_ms - later_ms)} before {earlier}"
            raise _refuse(later, away, f"a time after {earlier}")
    if dates[3][1] - now_ms > DURATION_MS_MAX:
        raise _refuse("terms.end_by", format_duration(dates[3][1] - now_ms), format_duration(DURATION_MS_MAX))
    return Dates(accept_by_ms=dates[1][1], start_by_ms=dates[2][1], end_by_ms=dates[3][1])


def build_workload(form: WorkForm, folder: Path) -> Workload:
    """Return the work by its digests; the arguments are a file in the folder of the order's file, or a digest.

    Raises:
        OSError: there is no such file.
    """
    digest = bytes(form.args_digest or b"")
    if form.args_file is not None:
        digest = sha256((folder / form.args_file).read_bytes()).digest()
    return Workload(args_digest=digest, args_reference=form.args_reference, manifest_root=bytes(form.manifest_root))


def output_party(terms: TermsForm) -> OutputParty:
    """Return to whom the output is sealed."""
    return OutputParty[terms.output_to.upper()]


def _refuse(place: str, seen: object, bound: object) -> InputRejected:
    return InputRejected(InputReason.BAD_FILE, f"{place}: {seen}", bound)


TEMPLATE: Final = '''\
# An order of work. `bocc order validate FILE` checks it without a node,
# `bocc order create FILE --from NAME --dry-run` against a chain, and without --dry-run it is sent.
# Amounts are BOCC ("0.25") or ubocc ("5ubocc"); durations "10s", "5m", "1h30m", "90d".

# The machine. Three ways:
#  1. resource = "boccres1..."       this machine
#  2. neither resource nor any       the cheapest machine that has what is asked for below
#  3. any = true                     whichever provider accepts first, at price_max or less
[compute]
# resource = "boccres1..."
# plan = 0                          # the cheapest open one without
# any = true
quantity = 1                        # units of the plan at a time
# price_max = "0.001"               # per unit; without: the price of now
# tee = "tdx"                       # sgx, tdx, sev_snp or nitro
capacity = { vcpus = 1, memory_mib = 512 }  # also disk_mib, network_mbps, gpus = { h100 = 1 }

# With any = true, what the plan of whoever accepts must promise:
# beat_every_max = "60s"             # a proof at least this often
# grace_max = "5m"                   # how long it may be silent
# penalty_bp_min = 500               # what it pays then, in hundredths of a percent of what it could still have earned
# min_term_max = "5m"                # what cancelling costs at most

# What runs on it, up to four pieces, in the order in which they are loaded.
[[software]]
resource = "boccres1..."
# release = 3                       # the newest current one without
# category = "inference"            # in place of resource: the cheapest offer of this class

# What it works on. Sealed data need a key from their owner before the work starts.
# [[data]]
# resource = "boccres1..."

# Machines that keep something.
# [[storage]]
# resource = "boccres1..."
# quantity = 100                    # gigabytes, under a plan per gb_second

[workload]
args_file = "args.json"             # pinned by its SHA-256; the enclave must start with exactly this
# args_digest = "00..."             # or that digest itself
# args_reference = "https://..."    # where the (sealed) arguments are, for the provider
# manifest_root = "00..."

[terms]
accept_by = "10m"                   # from now, or a date: 2027-01-31T12:00:00Z
start_by = "20m"
end_by = "2h"
attempts = 2                        # providers that may try it, one after the other
level_min = 4                       # least level of the enclave at every moment: 5 up to date ... 1 SIMULATED
# constraints = """                 # what else you ask of the enclave
# all_of(
#   tee_in(tdx, sev_snp),
#   endorsed(platform, bocc1..., data-centre),
# )"""
# purpose = "research"              # for owners who ask for one
# output_to = "customer"            # or owner, or both
# result_key = "00..."              # X25519 key to which the output is sealed; without, one is made beside this file
# after = ["boccord1..."]           # your orders whose outputs this one waits for
# deposit = "10"                    # into escrow; without, what the whole duration costs. The rest comes back
'''
