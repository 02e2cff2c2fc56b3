"""resource.toml: data, software or hardware on offer, with its releases, plans, policy and shares of income.

A release's content is a file, of which the chain gets the SHA-256; sealed, with the key's commitment (bocc/sealed.py). How software
measures when it boots is read from evidence of a machine that runs it, or written down.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Final, Literal

from msgspec import Meta

from bocc.errors import InputReason, InputRejected
from bocc.market.forms import (
    NO_POLICY,
    AccountName,
    CapacityForm,
    Form,
    Millis,
    Octets,
    OrderName,
    PolicyText,
    ResourceName,
    Ubocc,
)
from bocc.market.profiles import ProfileForm, build_profile
from bocc.sealed import CONTENT_KEY_BYTES, key_commitment, open_content, seal_content
from state.codec import UInt
from state.offers import (
    LOCATORS_MAX,
    PAYEES_MAX,
    PLANS_MAX,
    PROFILES_MAX,
    BasisPoints,
    Locator,
    Payee,
    Plan,
    PlanUnit,
    Provenance,
    ReleaseBody,
    ResourceKind,
    ServiceLevel,
    Title,
    Words,
)
from state.params import BASIS_POINTS
from state.trust_messages import Publish, Supersede

SEALED_SUFFIX: Final = ".sealed"
"""Of the file beside a content's with its sealed form."""
_KEY_MODE: Final = 0o600
DIGEST_BYTES: Final = 32


class PlanForm(Form, frozen=True, kw_only=True):
    """Terms under which a resource can be ordered."""

    unit: Literal["once", "second", "gb_second", "use"]
    price: Ubocc
    """Per unit."""
    min_term: Millis = Millis(0)
    max_term: Millis = Millis(0)
    capacity: CapacityForm = CapacityForm()
    """What one unit takes of a machine."""
    stock: UInt = 0
    beat_every: Millis = Millis(0)
    grace: Millis = Millis(0)
    penalty_bp: BasisPoints = 0
    notice: Millis = Millis(0)
    keep_after: Millis = Millis(0)

    def build(self, number: int) -> Plan:
        """Return it as the chain holds it."""
        return Plan(
            number=number,
            unit=PlanUnit[self.unit.upper()],
            price=int(self.price),
            min_term_ms=int(self.min_term),
            max_term_ms=int(self.max_term),
            capacity=self.capacity.build(),
            stock=self.stock,
            service_level=ServiceLevel(
                beat_every_ms=int(self.beat_every), grace_ms=int(self.grace), penalty_bp=self.penalty_bp
            ),
            notice_ms=int(self.notice),
            keep_after_ms=int(self.keep_after),
        )


class PayeeForm(Form, frozen=True, kw_only=True):
    """An account's share of the income."""

    account: AccountName
    share_bp: Annotated[int, Meta(ge=1, le=BASIS_POINTS)]


class ReleaseForm(Form, frozen=True):
    """One release of data or software."""

    content: str | None = None
    """File beside resource.toml."""
    content_root: Octets | None = None
    """Or the SHA-256 of the content, with its size."""
    size: UInt | None = None
    key_file: str | None = None
    """Seals the content with the key in this file; made if it is missing."""
    sealed_root: Octets = Octets()
    """Or the SHA-256 of the sealed form, with key_commit."""
    key_commit: Octets = Octets()
    locators: Annotated[tuple[Locator, ...], Meta(max_length=LOCATORS_MAX)] = ()
    profiles: Annotated[tuple[ProfileForm, ...], Meta(max_length=PROFILES_MAX)] = ()
    requirements: CapacityForm = CapacityForm()
    source_uri: Annotated[str, Meta(max_length=256)] = ""
    commit: Octets = Octets()
    recipe_hash: Octets = Octets()


class ResourceForm(Form, frozen=True, kw_only=True):
    """All of resource.toml."""

    kind: Literal["data", "software", "hardware"]
    title: Title
    category: Words
    meta_hash: Octets = Octets()
    policy: PolicyText = NO_POLICY
    vault: ResourceName | None = None
    derived_from: OrderName | None = None
    payees: Annotated[tuple[PayeeForm, ...], Meta(max_length=PAYEES_MAX)] = ()
    plans: Annotated[tuple[PlanForm, ...], Meta(max_length=PLANS_MAX)] = ()
    capacity: CapacityForm | None = None
    release: ReleaseForm | None = None


class PlansForm(Form, frozen=True):
    """A file with nothing but plans, to add to a resource."""

    plans: Annotated[tuple[PlanForm, ...], Meta(min_length=1, max_length=PLANS_MAX)]


class PayeesForm(Form, frozen=True):
    """A file with nothing but shares of income, in place of a resource's."""

    payees: Annotated[tuple[PayeeForm, ...], Meta(min_length=1, max_length=PAYEES_MAX)]


class CapacityOnlyForm(Form, frozen=True):
    """A file with nothing but what a machine has."""

    capacity: CapacityForm


def build_publish(form: ResourceForm, folder: Path, *, keeps: bool) -> Publish:
    """Return the message that offers what a file says; sealed forms and keys are written beside it if they shall be kept.

    Raises:
        InputRejected: BAD_FILE with the place and what would do.
        OSError: a file cannot be read or written.
    """
    is_hardware = form.kind == "hardware"
    if is_hardware is (form.capacity is None) or is_hardware is (form.release is not None):
        raise _refuse(form.kind, "capacity and release", "hardware has a capacity, data and software have a release")
    return Publish(
        resource=b"",
        kind=ResourceKind[form.kind.upper()],
        category=form.category,
        title=form.title,
        meta_hash=_digest("meta_hash", form.meta_hash),
        release=None if form.release is None else build_release(form.release, folder, keeps=keeps),
        capacity=None if form.capacity is None else form.capacity.build(),
        policy=form.policy.nodes,
        plans=build_plans(form.plans, 0),
        payees=build_payees(form.payees),
        vault=bytes(form.vault or b""),
        derived_from=bytes(form.derived_from or b""),
        supersedes=Supersede.NONE,
        superseded=(),
        notice_ms=0,
    )


def build_release_publish(
    form: ResourceForm,
    folder: Path,
    resource: bytes,
    superseded: Supersede | tuple[int, ...],
    notice_ms: int,
    *,
    keeps: bool,
) -> Publish:
    """Return the message that adds a file's release to a resource; older ones are superseded all, none, or by number.

    Raises:
        InputRejected: BAD_FILE with the place and what would do.
        OSError: a file cannot be read or written.
    """
    if form.release is None:
        raise _refuse("release", "missing", "data or software with a release")
    numbers = superseded if isinstance(superseded, tuple) else ()
    return Publish(
        resource=resource,
        kind=ResourceKind[form.kind.upper()],
        category=form.category,
        title=form.title,
        meta_hash=_digest("meta_hash", form.meta_hash),
        release=build_release(form.release, folder, keeps=keeps),
        capacity=None,
        policy=(),
        plans=(),
        payees=(),
        vault=b"",
        derived_from=b"",
        supersedes=superseded if isinstance(superseded, Supersede) else Supersede.LISTED,
        superseded=numbers,
        notice_ms=notice_ms,
    )


def build_plans(forms: tuple[PlanForm, ...], first: int) -> tuple[Plan, ...]:
    """Return plans numbered on from `first`.

    Raises:
        InputRejected: BAD_FILE: the longest term is shorter than the least.
    """
    for index, form in enumerate(forms):
        if 0 < form.max_term < form.min_term:
            raise _refuse(f"plans[{index}].max_term", f"{int(form.max_term)} ms", "0, or min_term at least")
    return tuple(form.build(number) for number, form in enumerate(forms, first))


def build_payees(forms: tuple[PayeeForm, ...]) -> tuple[Payee, ...]:
    """Return shares of income in the order of the chain.

    Raises:
        InputRejected: BAD_FILE: they are not the whole, or an account has two.
    """
    payees = sorted((bytes(form.account), form.share_bp) for form in forms)
    if len({account for account, _ in payees}) != len(payees):
        raise _refuse("payees", "an account twice", "each account once")
    whole = sum(share_bp for _, share_bp in payees)
    if whole not in {0, BASIS_POINTS}:
        raise _refuse("payees", f"share_bp {whole} in all", BASIS_POINTS)
    return tuple(Payee(account=account, share_bp=share_bp) for account, share_bp in payees)


def build_release(form: ReleaseForm, folder: Path, *, keeps: bool) -> ReleaseBody:
    """Return a release with the digests of its content and of the sealed form.

    Raises:
        InputRejected: BAD_FILE with the place and what would do.
        SealRejected: a sealed form that is there already does not open with the key.
        OSError: a file cannot be read or written.
    """
    if (form.content is None) is (form.content_root is None):
        raise _refuse("release", "content and content_root", "one of the two")
    if form.content is None and (form.key_file is not None or form.size is None):
        raise _refuse("release", "content_root", "with size; key_file goes with content")
    content = b"" if form.content is None else (folder / form.content).read_bytes()
    sealed_root, key_commit = (
        _digest("release.sealed_root", form.sealed_root),
        _digest("release.key_commit", form.key_commit),
    )
    if form.key_file is not None and form.content is not None:
        sealed_root, key_commit = _seal(content, folder / form.content, folder / form.key_file, keeps=keeps)
    root = bytes(form.content_root or b"") if form.content is None else sha256(content).digest()
    if len(root) != DIGEST_BYTES:
        raise _refuse("release.content_root", f"{len(root)} bytes", DIGEST_BYTES)
    return ReleaseBody(
        content_root=root,
        sealed_root=sealed_root,
        size=len(content) if form.size is None else form.size,
        locators=form.locators,
        key_commit=key_commit,
        profiles=tuple(build_profile(profile, folder, index) for index, profile in enumerate(form.profiles)),
        requirements=form.requirements.build(),
        provenance=Provenance(
            source_uri=form.source_uri,
            commit=bytes(form.commit),
            recipe_hash=_digest("release.recipe_hash", form.recipe_hash),
        ),
    )


def _seal(content: bytes, path: Path, key_path: Path, *, keeps: bool) -> tuple[bytes, bytes]:
    """Return the digests of a content's sealed form and of its key; both are files, made if they are missing and shall be kept."""
    key = key_path.read_bytes() if key_path.exists() else os.urandom(CONTENT_KEY_BYTES)
    if len(key) != CONTENT_KEY_BYTES:
        raise _refuse("release.key_file", f"{len(key)} bytes in {key_path.name}", CONTENT_KEY_BYTES)
    sealed_path = path.with_name(path.name + SEALED_SUFFIX)
    if sealed_path.exists():
        sealed = sealed_path.read_bytes()
        if open_content(sealed, key) != content:
            raise _refuse("release.content", f"another content is in {sealed_path.name}", f"no {sealed_path.name}")
    else:
        sealed = seal_content(content, key)
    if keeps:
        if not key_path.exists():
            descriptor = os.open(key_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_MODE)
            with os.fdopen(descriptor, "wb") as file:
                file.write(key)
        sealed_path.write_bytes(sealed)
    return sha256(sealed).digest(), key_commitment(key)


def _digest(place: str, digest: bytes) -> bytes:
    if len(digest) not in {0, DIGEST_BYTES}:
        raise _refuse(place, f"{len(digest)} bytes", DIGEST_BYTES)
    return bytes(digest)


def _refuse(place: str, seen: object, bound: object) -> InputRejected:
    return InputRejected(InputReason.BAD_FILE, f"{place}: {seen}", bound)
