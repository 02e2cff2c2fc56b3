"""Laws of what `bocc tee` tells people: one line is the verdict, nobody else writes lines, and numbers have their meaning."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from bocc.cli.tee import command
from bocc.evidence.names import FLAG_MEANINGS, describe_claim
from tee.claims import Flag
from tee.roots import VENDOR_ROOTS
from tee.simulated import recovery_template
from tee.simulated_documents import OLD_TDX_SVN
from tee.simulated_quotes import TD_ATTRIBUTES, TdBody
from tests.support.nitro_pki import TIME_S, make_roots
from tests.support.nitro_pki import World as NitroWorld
from tests.support.simulated_world import ISSUED_S, NOW_S, SGX_WORLD, TDX_15_WORLD, TDX_WORLD, World
from tests.support.snp_cases import GENOA, Evidence

MIGRATABLE = 1 << 29


def tell(*arguments: object) -> list[str]:
    return CliRunner().invoke(command, [str(argument) for argument in arguments]).stdout.splitlines()


@pytest.fixture
def judge(tmp_path: Path):
    """Verify the quote of a simulated world whose root is given, as that of a vendor that nobody knows."""

    def run(world: World) -> list[str]:
        world = world.having(root={"not_before_s": 1})
        for name, file in world.files().items():
            (tmp_path / name).write_bytes(file)
        (tmp_path / "quote").write_bytes(world.quote())
        (tmp_path / "root").write_bytes(world.vendor().root)
        return tell(
            "verify", tmp_path / "quote", "--collateral", tmp_path, "--at", world.time_s, "--root", tmp_path / "root"
        )

    return run


@pytest.fixture
def judge_report(tmp_path: Path):
    """Verify a report of SEV-SNP whose root is given."""

    def run(evidence: Evidence, at: str = "2026-06-01") -> list[str]:
        (tmp_path / "report").write_bytes(evidence.report.encode())
        for name, certificate in (("vek", evidence.vek), ("ask", evidence.ask), ("ark", evidence.ark)):
            (tmp_path / name).write_bytes(certificate.encode())
        given = ("--certificate", tmp_path / "vek", "--certificate", tmp_path / "ask", "--root", tmp_path / "ark")
        return tell("verify", tmp_path / "report", *given, "--at", at)

    return run


def level_of(lines: list[str]) -> str:
    """Return the line below the title of the appraisal."""
    return lines[next(place for place, line in enumerate(lines) if line.startswith("Under the default policy")) + 1]


def end_of(lines: list[str]) -> str:
    """Return what the verdict says behind the time."""
    mark = ", below a root that is not a vendor's"
    assert lines[-1].startswith("AUTHENTIC until ")
    assert mark in lines[-1]
    return lines[-1].partition(mark)[2]


def test_no_name_in_evidence_writes_a_line_or_steers_the_terminal(judge_report):
    verdict = "AUTHENTIC until 2033-01-01 00:00:00"
    lines = judge_report(GENOA.with_vek(issuer=f"x\x1b[1A\x1b[2K\n{verdict}\r"))
    assert (
        lines[-1] == f"REFUSED at issuers: vek_bad_issuer: x\ufffd[1A\ufffd[2K\ufffd{verdict}\ufffd, allowed SEV-Genoa"
    )
    assert [line for line in lines if line.startswith(verdict) or "\x1b" in line] == []


@pytest.mark.parametrize(
    ("root", "hint"),
    [
        (VENDOR_ROOTS.amd[0].der, "this root is a vendor's, but not the one that --root trusts in its place"),
        (GENOA.ask.encode(), "the root is none of the vendors'; --root FILE trusts another one, for tests"),
    ],
    ids=["a vendor's", "nobody's"],
)
def test_vendors_root_that_another_was_put_in_the_place_of_is_told_from_one_that_is_nobodys(tmp_path, root, hint):
    for name, der in (("vek", GENOA.vek.encode()), ("ask", GENOA.ask.encode()), ("ark", root)):
        (tmp_path / name).write_bytes(der)
    (tmp_path / "report").write_bytes(GENOA.report.encode())
    (tmp_path / "trusted").write_bytes(GENOA.ark.encode())
    given = [option for name in ("vek", "ask", "ark") for option in ("--certificate", tmp_path / name)]
    lines = tell("verify", tmp_path / "report", *given, "--root", tmp_path / "trusted", "--at", "2026-06-01")
    assert lines[-2] == f"What to do: {hint}"
    assert lines[-1].startswith("REFUSED at issuers: root_untrusted: ")


def test_name_of_a_file_is_quoted_in_the_command_that_cuts_it(tmp_path):
    quote = tmp_path / "$(reboot); .bin"
    quote.write_bytes(TDX_WORLD.quote() + b"behind")
    (hint,) = (line for line in tell("verify", quote, "--at", NOW_S) if line.startswith("What to do: "))
    assert f"head -c {len(TDX_WORLD.quote())} '{quote}' > evidence.bin" in hint


@pytest.mark.parametrize(
    ("world", "verdict", "hint"),
    [
        (
            TDX_WORLD.having(qe_identity={"next_update_s": NOW_S - 1}),
            "REFUSED at qe-identity: qe_identity_expired: 2026-06-01 00:00:00, allowed until 2026-05-31 23:59:59",
            "get this document from the vendor anew, or judge at a time at which it was good (--at)",
        ),
        (
            TDX_WORLD.having(tcb_info={"issue_s": NOW_S + 60}),
            "REFUSED at tcb-info: tcb_info_not_yet_valid: 2026-06-01 00:00:00, allowed from 2026-06-01 00:01:00",
            "look at the clock, or at --at: this is before the time of what the evidence rests on",
        ),
        (
            TDX_WORLD.having(certificate={"not_after_s": NOW_S - 1}),
            "REFUSED at validity: pck_cert_expired: 2026-06-01 00:00:00, allowed until 2026-05-31 23:59:59",
            "make the evidence anew, or judge it at the time at which it was made (--at)",
        ),
    ],
    ids=["document", "document too young", "certificate"],
)
def test_refusals_for_the_time_name_dates_and_what_to_renew(judge, world, verdict, hint):
    assert judge(world)[-2:] == [f"What to do: {hint}", verdict]


def test_document_from_the_future_is_refused_with_dates(tmp_path):
    world = NitroWorld().put(timestamp=(TIME_S + 60) * 1_000)
    (tmp_path / "document").write_bytes(world.encode())
    (tmp_path / "root").write_bytes(make_roots(world).aws[0].der)
    last = tell("verify", tmp_path / "document", "--root", tmp_path / "root", "--at", TIME_S)[-1]
    assert last == "REFUSED at timestamp: timestamp: 2026-06-01 10:01:00, allowed until 2026-06-01 10:00:00"


@pytest.mark.parametrize(
    ("world", "level", "end"),
    [
        (TDX_WORLD, "level 5: current", ""),
        (
            TDX_WORLD.having(tcb_info=recovery_template(ISSUED_S)),
            "level 2: genuine and out of date; a chain gives 3 while its grace lasts (advisories INTEL-SA-90004)",
            ", status OutOfDate",
        ),
        (
            TDX_WORLD.having(
                tcb_info={
                    "levels": (
                        replace(
                            TDX_WORLD.tcb_info.levels[0], status="SWHardeningNeeded", advisories=("INTEL-SA-90009",)
                        ),
                    )
                }
            ),
            "level 2: genuine, held down by advisories that no waiver covers: INTEL-SA-90009",
            ", status SWHardeningNeeded",
        ),
        (
            replace(TDX_WORLD, body=TdBody(td_attributes=TD_ATTRIBUTES | MIGRATABLE)),
            "DENIED: flag_denied: MIGRATABLE",
            ", but denied by the default policy: flag_denied MIGRATABLE",
        ),
        (
            replace(TDX_WORLD, body=TdBody(td_attributes=TD_ATTRIBUTES | 1)),
            "DENIED: debug: DEBUG",
            ", but DEBUG: its memory is open to the owner of the machine",
        ),
    ],
    ids=["current", "out of date", "advisories", "denied", "debug"],
)
def test_verdict_says_what_is_not_as_good_as_it_could_be(judge, world, level, end):
    lines = judge(world)
    assert (level_of(lines), end_of(lines)) == (level, end)


def test_verdict_says_that_what_runs_now_is_worse_than_at_launch(judge):
    world = replace(TDX_15_WORLD, body=TdBody(body_type=3, tee_tcb_svn2=OLD_TDX_SVN))
    assert end_of(judge(world)) == ", in force now OutOfDate"


def test_every_flag_has_its_meaning():
    assert set(FLAG_MEANINGS) == {flag.value for flag in Flag}


def test_flags_are_explained_below_their_list(judge_report):
    lines = judge_report(GENOA.with_report(vmpl=2))
    place = lines.index("Flags: VMPL_2")
    assert lines[place + 1] == "VMPL_2  what asked for the report does not have the highest privilege in its guest"


@pytest.mark.parametrize(
    ("name", "claim", "shown"),
    [
        ("pck_not_after_s", 1_959_722_751, ("pck_not_after", "2032-02-06 23:25:51")),
        ("timestamp_ms", 1_665_651_482_136, ("timestamp", "2022-10-13 08:58:02")),
        ("not_after_s", 253_402_300_799, ("not_after", "9999, for ever")),
        ("td_attributes", "0x10000000", ("td_attributes", "0x10000000 (SEPT_VE_DISABLE)")),
        ("td_attributes", "0x0", ("td_attributes", "0x0")),
        ("policy", "0x3001f", ("policy", "0x3001f (SMT, ONE)")),
        ("platform_info", "0x40", ("platform_info", "0x40 (bit 6)")),
        ("configuration", 5, ("configuration", "5 (DYNAMIC_PLATFORM, SMT)")),
        ("sgx_type", 2, ("sgx_type", "2 (scalable with integrity)")),
        ("chip", "GH100", ("chip", "GH100")),
    ],
)
def test_claims_are_shown_with_dates_and_names_of_bits(name, claim, shown):
    assert describe_claim(name, claim) == shown


@pytest.mark.parametrize(("world", "folder"), [(TDX_WORLD, "tdx"), (SGX_WORLD, "sgx")], ids=["tdx", "sgx"])
def test_quote_without_documents_says_of_which_platform_they_must_be(tmp_path, world, folder):
    (tmp_path / "quote").write_bytes(world.quote())
    hint = tell("verify", tmp_path / "quote", "--at", NOW_S, "--simulated")[-2]
    assert hint.endswith(
        f"tcb_signing_chain.pem, as Intel's service gives them out for FMSPC ff00ff00ff00, below /{folder}/"
    )


def test_what_cannot_be_decoded_is_named(tmp_path):
    (tmp_path / "quote").write_bytes(TDX_WORLD.quote()[:-1])
    failed = CliRunner().invoke(command, ["decode", str(tmp_path / "quote")])
    assert "this TDX quote cannot be read: parse: " in failed.output
