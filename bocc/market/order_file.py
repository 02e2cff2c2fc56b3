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
from urllib.parse import quote

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
from state.runtime.orders.ordering import SOFTWARE_LINES_MAX

DIGEST_BYTES: Final = 32
REFERENCE_CHARS_MAX: Final = 256
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
    notice_min: Millis = Millis(0)
    min_term_max: Millis = Millis(300_000)
    """With `any`: a plan whose least term is longer does not do."""

    def machine_terms(self) -> MachineTerms:
        """Return what any hardware must offer."""
        return MachineTerms(
            capacity=self.capacity.build(),
            beat_every_ms_max=int(self.beat_every_max),
            grace_ms_max=int(self.grace_max),
            penalty_bp_min=self.penalty_bp_min,
            notice_ms_min=int(self.notice_min),
            min_term_ms_max=int(self.min_term_max),
        )


class WorkForm(Form, frozen=True):
    """What shall be done."""

    args_file: str | None = None
    """Beside the order's file; its SHA-256 is pinned."""
    args_digest: Octets | None = None
    """Or that digest itself."""
    args_public: str | None = None
    """Or the arguments themselves, which then stand in the order for everybody to read."""
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
    _check_arguments(form.workload)
    digests = (form.workload.args_digest, form.workload.manifest_root or None, form.terms.result_key)
    for name, digest in zip(
        ("workload.args_digest", "workload.manifest_root", "terms.result_key"), digests, strict=True
    ):
        if digest is not None and len(digest) != DIGEST_BYTES:
            raise _refuse(name, f"{len(digest)} bytes", DIGEST_BYTES)
    return _check_dates(form.terms, now_ms)


def _check_arguments(work: WorkForm) -> None:
    given = [one for one in (work.args_file, work.args_digest, work.args_public) if one is not None]
    if len(given) != 1:
        raise _refuse("workload", "args_file, args_digest, args_public", "one of the three")
    if work.args_public is not None and (work.args_reference or len(_inline(work.args_public)) > REFERENCE_CHARS_MAX):
        raise _refuse(
            "workload.args_public", f"{len(work.args_public)} characters", "a few words, without args_reference"
        )


def _inline(arguments: str) -> str:
    """Return a reference that holds the arguments themselves."""
    return f"data:,{quote(arguments, safe='')}"


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
    digest, reference = bytes(form.args_digest or b""), form.args_reference
    if form.args_file is not None:
        digest = sha256((folder / form.args_file).read_bytes()).digest()
    if form.args_public is not None:
        digest, reference = sha256(form.args_public.encode()).digest(), _inline(form.args_public)
    return Workload(args_digest=digest, args_reference=reference, manifest_root=bytes(form.manifest_root))


def output_party(terms: TermsForm) -> OutputParty:
    """Return to whom the output is sealed."""
    return OutputParty[terms.output_to.upper()]


def _refuse(place: str, seen: object, bound: object) -> InputRejected:
    return InputRejected(InputReason.BAD_FILE, f"{place}: {seen}", bound)
