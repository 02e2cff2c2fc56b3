"""`bocc tee`: verify and read evidence of confidential hardware, without node or network."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

import click
from msgspec.structs import replace

from bocc.cli.failures import ExitCode, Failure, print_failure
from bocc.cli.output import print_fields, print_json, print_line
from bocc.cli.tee_text import print_report
from bocc.evidence.decode import cut_quote, decode
from bocc.evidence.files import (
    FILE_BYTES_MAX,
    Content,
    Document,
    Kind,
    find_kind,
    find_vek_name,
    read_certificate_table,
    read_certificates,
    read_content,
)
from bocc.evidence.folder import load_files
from bocc.evidence.hints import find_hint
from bocc.evidence.names import FAMILY_TITLES, to_plain
from bocc.evidence.report import Case, Report, judge
from tee.certificates import Certificate, parse_certificate
from tee.checks import Family
from tee.civil_time import seconds_since_1970
from tee.der import DerError
from tee.errors import EvidenceRejected
from tee.intel_chain import parse_intel_certificate
from tee.roots import VENDOR_ROOTS, Roots, TrustedRoot
from tee.simulated_root import SIMULATED_ROOT, SIMULATED_ROOT_DER
from tee.spdm import NONCE_BYTES
from tee.vek import parse_authority

_TIME: Final = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2}))?(?:Z|\+00:00)?)?",
    re.ASCII,
)
_SECONDS: Final = re.compile(r"\d{1,12}", re.ASCII)
_ROOT_PARSERS: Final[dict[Family, Callable[[bytes], Certificate]]] = {
    Family.SGX: parse_intel_certificate,
    Family.TDX: parse_intel_certificate,
    Family.SEV_SNP: parse_authority,
    Family.NITRO: parse_certificate,
    Family.NVIDIA: parse_certificate,
}
"""How a family reads its root."""
_DECODED_ONLY: Final = "Decoded only: nothing here is verified."

_kind_option = click.option(
    "--kind",
    "kind_word",
    type=click.Choice([family.value for family in Family]),
    help="What FILE holds.  [default: by its first bytes]",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, errors included.")


def _parse_time(_ctx: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    """Return seconds since 1970, from an ISO date in UTC or a number."""
    if text is None:
        return None
    if _SECONDS.fullmatch(text):
        return int(text)
    match = _TIME.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is neither like 2026-03-01T12:00:00Z nor a number of seconds since 1970")
    try:
        return seconds_since_1970(*(int(part or 0) for part in match.groups()))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}") from error


@click.group()
def command() -> None:
    """Verify and read evidence of confidential hardware, offline.

    FILE is an SGX or TDX quote, an SEV-SNP report, a Nitro document or an NVIDIA report, in binary, hex or base64.
    """


@command.command(name="verify", short_help="Verify FILE and explain the verdict.")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--collateral",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the vendor's documents: six files for Intel, amd_crl.der for AMD.",
)
@click.option(
    "--at",
    "at_s",
    callback=_parse_time,
    metavar="TIME",
    help="Judge at this time, ISO in UTC or seconds since 1970.  [default: this machine's clock]",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Certificate to trust in place of the vendors' roots, for tests.",
)
@click.option("--simulated", is_flag=True, help="Trust the software TEE too, which proves nothing about hardware.")
@click.option(
    "--certificate",
    "certificate_files",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    multiple=True,
    help="SEV-SNP: the VEK, or the table (auxblob) with it; then, if they are not the vendor's, the ASK and the ARK.",
)
@click.option(
    "--chain",
    "chain_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="NVIDIA: the device's certificates in PEM, leaf first.",
)
@click.option("--nonce", metavar="HEX", help="NVIDIA: the 32 bytes that the device was asked with.")
@_kind_option
@_json_option
def verify_command(
    file: BinaryIO,
    collateral: Path | None,
    at_s: int | None,
    root: Path | None,
    simulated: bool,
    certificate_files: tuple[Path, ...],
    chain_file: Path | None,
    nonce: str | None,
    kind_word: str | None,
    as_json: bool,
) -> None:
    """Verify FILE (- for the standard input) and explain the verdict.

    Exit code 0 means that the evidence is authentic at that time, 1 that it is refused. Whether what it proves is good enough is
    policy: look at status, flags and measurements too.
    """
    content = read_content(file.read(FILE_BYTES_MAX + 1))
    family = _find_family(content, kind_word)
    if family is Family.NVIDIA and (chain_file is None or nonce is None):
        raise click.UsageError("an NVIDIA report needs --chain and --nonce")
    case = Case(
        family=family,
        evidence=content.octets,
        certificates=tuple(der for path in certificate_files for der in _read_veks(path, content.octets)),
        chain=read_certificates(_read_file(chain_file)) if chain_file else (),
        nonce=_parse_nonce(nonce) if nonce else b"",
        files=load_files(collateral),
        roots=_choose_roots(family, root, is_simulated_trusted=simulated),
        time_s=int(time.time()) if at_s is None else at_s,
    )
    report = judge(case)
    hint = find_hint(report, case, content, file.name)
    if as_json:
        print_json(_to_json(report, hint, "clock" if at_s is None else "given"))
    else:
        print_report(report, content, hint, is_clock=at_s is None)
    click.get_current_context().exit(ExitCode.DONE if report.is_authentic else ExitCode.REFUSED)


@command.command(name="decode", short_help="Show what FILE says, unverified.")
@click.argument("file", type=click.File("rb"))
@_kind_option
@_json_option
def decode_command(file: BinaryIO, kind_word: str | None, as_json: bool) -> None:
    """Show what FILE (- for the standard input) says, without verifying it.

    FILE is evidence of any kind, or a document of a vendor: TCB info, QE identity, revocation list, certificates.
    """
    octets = file.read(FILE_BYTES_MAX + 1)
    content = read_content(octets)
    kind: Kind | None = Family(kind_word) if kind_word else find_kind(content.octets)
    if kind is None:
        raise click.UsageError(f"{file.name} is neither evidence nor a document of a vendor that is known here")
    parts = read_certificates(octets) if kind is Document.CERTIFICATES else (content.octets,)
    try:
        decoded = [decode(kind, part) for part in parts]
    except EvidenceRejected as rejection:
        title = FAMILY_TITLES[kind] if isinstance(kind, Family) else kind.value
        failure = Failure(
            exit_code=ExitCode.REFUSED,
            message=f"this {title} cannot be read: {rejection}",
            reason=rejection.reason.value,
            seen=str(rejection.seen),
            bound=str(rejection.bound),
        )
        print_failure(failure, as_json=as_json)
        click.get_current_context().exit(ExitCode.REFUSED)
    shown = decoded[0] if len(decoded) == 1 else {"certificates": decoded}
    if as_json:
        print_json({"is_verified": False, "form": content.form.value, **shown})
        return
    print_line(f"{_DECODED_ONLY}\n")
    print_fields(shown)
    if kind in {Family.SGX, Family.TDX} and cut_quote(content.octets)[1]:
        print_line("\nBytes stand behind the quote: verification refuses the file until they are cut off.")


def _find_family(content: Content, word: str | None) -> Family:
    """Return which evidence a file holds."""
    if word is not None:
        return Family(word)
    kind = find_kind(content.octets)
    if isinstance(kind, Family):
        return kind
    if kind is None:
        raise click.UsageError("the file is no evidence that is known here; --kind says what it should be")
    raise click.UsageError(f"the file is a vendor's document ({kind.value}), no evidence; `bocc tee decode` shows it")


def _choose_roots(family: Family, root_file: Path | None, *, is_simulated_trusted: bool) -> Roots:
    """Return whom to trust: the vendors, or the one root that is given; the software TEE if that is asked for."""
    roots = VENDOR_ROOTS
    if root_file is not None:
        certificates = read_certificates(_read_file(root_file))
        if len(certificates) != 1:
            raise click.UsageError(f"{root_file} holds {len(certificates)} certificates, --root takes one")
        try:
            _ROOT_PARSERS[family](certificates[0])
        except (DerError, EvidenceRejected) as error:
            raise click.UsageError(f"{root_file} is no root that {family.value} could have: {error}") from error
        given = (TrustedRoot(der=certificates[0], is_simulated=certificates[0] == SIMULATED_ROOT_DER),)
        match family:
            case Family.SGX | Family.TDX:
                roots = Roots(intel=given)
            case Family.SEV_SNP:
                roots = Roots(amd=given)
            case Family.NITRO:
                roots = Roots(aws=given)
            case Family.NVIDIA:
                roots = Roots(nvidia=given)
    return replace(roots, intel=(*roots.intel, SIMULATED_ROOT)) if is_simulated_trusted else roots


def _read_veks(path: Path, report: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a file; of a table, the one of the key that signed the report."""
    file = _read_file(path)
    table = read_certificate_table(file)
    if not table:
        return read_certificates(file)
    name = find_vek_name(report)
    if name not in table:
        raise click.UsageError(f"{path} has no {name} for this report, only {', '.join(table)}")
    return (table[name],)


def _parse_nonce(text: str) -> bytes:
    digits = text.removeprefix("0x")
    if len(digits) != 2 * NONCE_BYTES or not re.fullmatch("[0-9A-Fa-f]+", digits):
        raise click.UsageError(f"--nonce takes {2 * NONCE_BYTES} hex digits")
    return bytes.fromhex(digits)


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(FILE_BYTES_MAX)


def _to_json(report: Report, hint: str, time_source: str) -> dict[str, object]:
    """Return the report for programs, with its verdict in one word in front."""
    plain = to_plain(report)
    assert isinstance(plain, dict)
    verdict = "authentic" if report.is_authentic else "refused"
    return {"verdict": verdict, "time_source": time_source, "hint": hint, **plain}
