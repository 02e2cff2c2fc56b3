"""How software measures when it boots: written down register by register, or read from evidence of a machine that runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, field

from bocc.errors import InputReason, InputRejected
from bocc.evidence.decode import decode
from bocc.evidence.files import find_kind, read_content
from bocc.market.forms import Form, Octets
from state.offers import AttributeRule, Profile, Register
from state.runtime.trust.profiles import SHAPES
from tee.checks import Family
from tee.errors import EvidenceRejected
from tee.evidence import EvidenceKind

_FAMILIES: Final = {
    Family.SGX: EvidenceKind.SGX,
    Family.TDX: EvidenceKind.TDX,
    Family.SEV_SNP: EvidenceKind.SEV_SNP,
    Family.NITRO: EvidenceKind.NITRO,
}
_HINT: Final = "an SGX or TDX quote, an SNP report or a Nitro document"


class MaskForm(Form, frozen=True, kw_only=True):
    """Bits of an attribute that must have a value."""

    mask: Octets
    expected: Octets


class ProfileForm(Form, frozen=True):
    """How an enclave of one TEE measures."""

    tee: Literal["sgx", "tdx", "sev_snp", "nitro"] | None = None
    """None: that of the evidence."""
    evidence: str | None = None
    """File with evidence of a machine that runs it, not verified; the registers that identify a program are taken from it."""
    registers: dict[str, Octets] = field(default_factory=dict)
    """Beside those of the evidence, or all of them."""
    attributes: dict[str, MaskForm] = field(default_factory=dict)
    svn_min: Annotated[int, Meta(ge=0, lt=1 << 32)] = 0


def build_profile(form: ProfileForm, folder: Path, index: int) -> Profile:
    """Return a profile as the chain holds it.

    Raises:
        InputRejected: BAD_FILE with the place and what would do.
        OSError: the evidence cannot be read.
    """
    place = f"release.profiles[{index}]"
    tee = None if form.tee is None else EvidenceKind[form.tee.upper()]
    registers = {name: bytes(expected) for name, expected in form.registers.items()}
    if form.evidence is not None:
        tee, measured = _read_measured(folder / form.evidence, place)
        registers = measured | registers
    if tee is None:
        raise _refuse(place, "no tee", "tee with registers, or evidence")
    shape = SHAPES[tee]
    unknown = sorted(set(registers) - set(shape.registers)) + sorted(set(form.attributes) - set(shape.attributes))
    if unknown:
        raise _refuse(place, " ".join(unknown), " ".join((*shape.registers, *shape.attributes)))
    missing = [name for name in shape.required if name not in registers]
    if missing:
        raise _refuse(place, f"without {' '.join(missing)}", f"all of {' '.join(shape.required)}")
    return Profile(
        tee=int(tee),
        registers=tuple(Register(name=name, expected=expected) for name, expected in sorted(registers.items())),
        attributes=tuple(
            AttributeRule(name=name, mask=bytes(rule.mask), expected=bytes(rule.expected))
            for name, rule in sorted(form.attributes.items())
        ),
        svn_min=form.svn_min,
    )


def _read_measured(path: Path, place: str) -> tuple[EvidenceKind, dict[str, bytes]]:
    """Return the kind of evidence in a file, and the registers that identify a program, as they stand there."""
    octets = read_content(path.read_bytes()).octets
    family = find_kind(octets)
    tee = _FAMILIES.get(family) if isinstance(family, Family) else None
    if tee is None or not isinstance(family, Family):
        raise _refuse(f"{place}.evidence", path.name, _HINT)
    try:
        fields = decode(family, octets)
    except EvidenceRejected as error:
        raise _refuse(f"{place}.evidence", f"{path.name}: {error}", _HINT) from error
    names = SHAPES[tee].required
    return tee, {name: bytes.fromhex(_find_register(fields, name)) for name in names}


def _find_register(fields: dict[str, Any], name: str) -> str:
    """Return a register in the fields of evidence as `bocc tee decode` shows them."""
    if name.startswith("pcr"):
        pcrs = {str(index): pcr for index, pcr in fields["pcrs"].items()}
        return str(pcrs[name.removeprefix("pcr")])
    return str(fields.get("body", fields)[name])


def _refuse(place: str, seen: object, bound: object) -> InputRejected:
    return InputRejected(InputReason.BAD_FILE, f"{place}: {seen}", bound)
