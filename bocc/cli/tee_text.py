"""A report on evidence as people read it: checks in their order, causes, claims, and the verdict last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from bocc.cli.output import print_fields, print_line, print_table, printable
from bocc.evidence.files import Content
from bocc.evidence.names import FAMILY_TITLES, FLAG_MEANINGS, describe_claim, format_second
from bocc.evidence.report import CheckOutcome, CheckState, Proven, Refusal, Report
from tee.appraisal import (
    LEVEL_GRACE,
    LEVEL_HARDENING,
    LEVEL_OUT_OF_DATE,
    LEVEL_SIMULATED,
    LEVEL_UP_TO_DATE,
    DenialReason,
)
from tee.checks import Family
from tee.errors import Reason

_STATES: Final = {
    CheckState.OK: "ok",
    CheckState.FAILED: "NO",
    CheckState.NOT_REACHED: "not reached",
    CheckState.NOT_GIVEN: "not given",
}
_LEVELS: Final = {
    LEVEL_UP_TO_DATE: "current",
    LEVEL_HARDENING: "current, with hardening or configuration left to do",
    LEVEL_GRACE: "behind since a short time",
    LEVEL_OUT_OF_DATE: "genuine and out of date; a chain gives 3 while its grace lasts",
    LEVEL_SIMULATED: "simulated, which proves nothing about hardware",
}
_UP_TO_DATE: Final = "UpToDate"
_HARDENING: Final = frozenset({"SWHardeningNeeded", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"})
"""Statuses of machines that are current, but for advisories."""
_TIME_MARKS: Final = ("expired", "not_yet_valid", Reason.CERT_VALIDITY.value, Reason.TIMESTAMP.value)
"""In reasons that compare seconds."""
_FLAG_NUMBER: Final = re.compile(r"(?<=VMPL)_\d+")
_SIMULATED: Final = "SIMULATED: everybody can sign this; it proves nothing about hardware."


def print_report(report: Report, content: Content, hint: str, *, is_clock: bool) -> None:
    """Print a report; the last line is the verdict."""
    source = "the clock of this machine" if is_clock else "as given"
    print_line(f"{FAMILY_TITLES[report.kind]}, {len(content.octets)} bytes ({content.form.value})")
    print_line(f"Judged at {format_second(report.time_s)} UTC, {source}")
    if report.root_name:
        print_line(f"Root: {_to_one_line(report.root_name)}, {_describe_root(report)}, sha256 {report.root_sha256}")
    if report.is_simulated:
        print_line(_SIMULATED)
    _print_title("Checks")
    print_table(("", "", ""), [(_STATES[check.state], check.name, _explain(report, check)) for check in report.checks])
    if report.proven is not None:
        _print_status(report, report.proven)
    _print_gaps(report)
    if report.proven is not None:
        _print_claims(report.proven)
    if report.windows:
        _print_title("Valid (UTC)")
        rows = [(format_second(each.from_s), format_second(each.until_s), each.what) for each in report.windows]
        print_table(("from", "until", "what"), rows)
    if report.proven is not None:
        _print_appraisal(report.proven)
    print_line("")
    if any(check.state is CheckState.NOT_GIVEN for check in report.checks):
        print_line("Revocation was not checked: --collateral DIR with amd_crl.der brings AMD's list.")
    if hint:
        print_line(f"What to do: {hint}")
    print_line(_conclude(report))


def _print_title(title: str) -> None:
    print_line(f"\n{title}")


def _describe_root(report: Report) -> str:
    if report.is_simulated:
        return "SIMULATED"
    return "the vendor's own" if report.is_vendor_root else "NOT A VENDOR'S"


def _explain(report: Report, check: CheckOutcome) -> str:
    """Return what a check says, or what it found instead."""
    if report.refusal is None or check.state is not CheckState.FAILED:
        return check.law
    return f"{_describe_refusal(report.refusal)}, where this should hold: {check.law}"


def _describe_refusal(refusal: Refusal) -> str:
    """Return the reason with what was seen and what is allowed, in one line, with seconds as dates."""
    seen, bound = refusal.seen, refusal.bound
    if any(mark in refusal.reason for mark in _TIME_MARKS) and seen.isdecimal() and bound.isdecimal():
        side = "from" if int(seen) < int(bound) else "until"
        seen, bound = format_second(int(seen)), f"{side} {format_second(int(bound))}"
    allowed = f", allowed {bound}" if bound else ""
    return _to_one_line(refusal.reason + (f": {seen}{allowed}" if seen else ""))


def _to_one_line(text: str) -> str:
    """Return a text in which no foreign name begins a line of its own, which could look like a verdict."""
    return printable(text.replace("\n", "\r"))


def _print_status(report: Report, proven: Proven) -> None:
    if proven.tcb is not None:
        tcb: dict[str, Any] = proven.tcb  # Any: JSON of `tee.claims.Tcb`.
        _print_title(f"TCB status: {tcb['status']}")
        parts = [("platform", "platform_status"), ("quoting enclave", "qe_status")]
        if report.kind is Family.TDX:
            parts += [("TDX module", "module_status"), ("in force now", "current_status")]
        rows = [(name, tcb[field]) for name, field in parts]
        rows.append(("TCB date", format_second(tcb["date_s"])))
        rows.append(
            ("evaluation numbers", f"TCB info {tcb['tcb_info_number']}, QE identity {tcb['qe_identity_number']}")
        )
        rows.append(("advisories", ", ".join(sorted({*tcb["advisories"], *tcb["current_advisories"]})) or "none"))
        print_table(("", ""), rows)
    _print_title(f"Flags: {', '.join(proven.flags) or 'none'}")
    if proven.flags:
        print_table(("", ""), [(flag, FLAG_MEANINGS[_FLAG_NUMBER.sub("", flag)]) for flag in proven.flags])


def _print_gaps(report: Report) -> None:
    """Print why the status is not better, or that no update of a version would better it."""
    if report.gaps:
        _print_title("Short of the best level")
        print_table(
            ("part", "component", "seen", "needed"),
            [(gap.part, gap.component, gap.seen, gap.needed) for gap in report.gaps],
        )
        if report.kind in {Family.SGX, Family.TDX}:
            print_line("Components are counted from 0, as in the TCB info.")
    elif report.proven is not None and report.proven.tcb is not None and report.proven.tcb["status"] != "UpToDate":
        print_line("\nNo version is short: what remains is configuration, hardening or a decision of the vendor.")


def _print_claims(proven: Proven) -> None:
    _print_title("Platform")
    fields: dict[str, Any] = {"platform_ids": list(proven.platform_ids) or "none: the evidence hides it"}
    print_fields(fields | _for_people(proven.platform or {}))
    _print_title("Measurements")
    print_fields(_for_people(proven.measurements | {"report_data": proven.report_data}))
    _print_title("Other claims")
    print_fields(_for_people(proven.other))


def _for_people(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims that are not empty, with dates and words."""
    return dict(describe_claim(name, field) for name, field in fields.items() if field != "")


def _print_appraisal(proven: Proven) -> None:
    """Print what the policy of this release makes of the claims; a chain has its own."""
    _print_title("Under the default policy of this release, without lists of machines and without grace")
    appraisal = proven.appraisal
    if appraisal["is_denied"]:
        bound = f" (allowed: {appraisal['bound']})" if appraisal["bound"] else ""
        print_line(f"DENIED: {appraisal['reason']}: {appraisal['seen']}{bound}")
    elif "level" not in appraisal:
        print_line("acceptable; a GPU has no level of its own")
    else:
        print_line(f"level {appraisal['level']}: {_describe_level(proven)}")


def _describe_level(proven: Proven) -> str:
    level, advisories = proven.appraisal["level"], ", ".join(proven.appraisal["open_advisories"])
    if level == LEVEL_OUT_OF_DATE and _find_statuses(proven) <= {_UP_TO_DATE, *_HARDENING}:
        return f"genuine, held down by advisories that no waiver covers: {advisories}"
    return _LEVELS[level] + (f" (advisories {advisories})" if advisories else "")


def _find_statuses(proven: Proven) -> set[str]:
    """Return the status at launch and in force; the vendor may sign none, and then the level comes from versions."""
    return set() if proven.tcb is None else {proven.tcb["status"], proven.tcb["current_status"]}


def _conclude(report: Report) -> str:
    """Return the verdict in one line."""
    mark = "SIMULATED, " if report.is_simulated else ""
    if report.refusal is not None:
        return f"{mark}REFUSED at {report.refusal.check}: {_describe_refusal(report.refusal)}"
    assert report.proven is not None
    until = format_second(report.proven.valid_until_s)
    if report.is_simulated:
        return f"{mark}authentic until {until}: below the root of the software TEE, it proves nothing about hardware"
    root = "" if report.is_vendor_root else ", below a root that is not a vendor's"
    return f"AUTHENTIC until {until}" + root + "".join(f", {remark}" for remark in _list_remarks(report.proven))


def _list_remarks(proven: Proven) -> list[str]:
    """Return what is not as good as it could be about authentic evidence."""
    remarks = []
    if proven.tcb is not None and proven.tcb["status"] != _UP_TO_DATE:
        remarks.append(f"status {proven.tcb['status']}")
    elif proven.tcb is not None and proven.tcb["current_status"] != _UP_TO_DATE:
        remarks.append(f"in force now {proven.tcb['current_status']}")
    appraisal = proven.appraisal
    if appraisal["is_denied"] and appraisal["reason"] == DenialReason.DEBUG:
        remarks.append(f"but DEBUG: {FLAG_MEANINGS['DEBUG']}")
    elif appraisal["is_denied"]:
        remarks.append(f"but denied by the default policy: {appraisal['reason']} {appraisal['seen']}")
    return remarks
